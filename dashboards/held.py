"""A pause or slow-down that holds: what it stops, on what evidence, and what a person can do about it."""

from datetime import UTC, datetime
from html import escape
from typing import Final

import streamlit as st

from control.scopes import parse_scope
from control.state import Held
from dashboards import commands
from dashboards.people import ONLY_LOOKS, Viewer
from dashboards.process import Source
from dashboards.words import ago, count, instant, percent
from features.intervals import wilson
from schemas.failures import OutpulseError

_NO_REASON: Final = "A reason is needed: it stands in the history, for those who come later."


def show_held(source: Source, who: Viewer, held: Held) -> None:
    """One card."""
    command = held.command
    now = datetime.now(UTC)
    since = datetime.fromisoformat(command.occurred_at)
    state = f"slowed to {percent(held.share, 0)}" if held.share else "paused"
    with st.container(border=True, key=f"held_{held.offset}"):
        st.html(
            f'<div class="item"><span class="mark {"warn" if held.share else "alarm"}">{state}</span>'
            f"<span><strong>{escape(held.scope.text)}</strong> <span class='why'>since {instant(since, now)}, "
            f"{ago(since, now)}, by {escape(command.decided_by)}</span><br>{escape(command.why)}</span></div>"
            + _evidence_html(held)
        )
        if not who.may_act:
            return
        with st.form(f"decide_{held.offset}", border=False, enter_to_submit=False):
            reason, go_on, stay = st.columns([4, 1, 1], vertical_alignment="bottom")
            why = reason.text_input(
                "Reason", key=f"why_{held.offset}", placeholder="Why, for those who read it later", max_chars=400
            )
            resumes = go_on.form_submit_button(
                "Resume",
                type="primary",
                width="stretch",
                key=f"resume_{held.offset}",
                help=f"Send again: {held.scope.text}",
            )
            keeps = stay.form_submit_button(
                "Keep", width="stretch", key=f"keep_{held.offset}", help="Leave it until a person ends it"
            )
        if resumes or keeps:
            _decide(source, who, held, why, resumes=resumes)


def _decide(source: Source, who: Viewer, held: Held, why: str, *, resumes: bool) -> None:
    if not why.strip():
        st.warning(_NO_REASON, icon=":material/edit_note:")
        return
    try:
        if resumes:
            commands.resume(source, held, by=who.name, why=why)
        else:
            commands.keep(source, held, by=who.name, why=why)
    except OutpulseError as error:
        st.error(f"Nothing was changed: {error}")
        return
    st.session_state["done"] = f"{held.scope.text} {'goes on' if resumes else 'stays as it is'}"
    st.rerun()


def _evidence_html(held: Held) -> str:
    command = held.command
    if command.trials is None or command.hits is None:
        return ""
    sure = wilson(command.hits, command.trials)
    facts = [
        ("Rule", command.rule or ""),
        ("Watched", command.metric or ""),
        ("Seen", f"{count(command.hits)} of {count(command.trials)}"),
        ("Rate", percent(command.observed_rate, 2)),
        ("95 %", f"{percent(sure.low)} to {percent(sure.high)}" if sure else ""),
        ("Tolerated", percent(command.tolerance, 2)),
        ("Evidence", f"{command.evidence:,.0f} to 1" if command.evidence and command.evidence < 1e9 else "over a billion to 1"
         if command.evidence else ""),
        ("Decided by", str(command.detector or "")),
        ("Tipped by", command.caused_by or ""),
    ]  # fmt: skip
    told = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>' for name, text in facts if text
    )
    return f'<details class="evidence"><summary>Evidence</summary><dl class="tiles facts">{told}</dl></details>'


def show_pause_form(source: Source, who: Viewer) -> None:
    """Lets a person pause something by hand."""
    if not who.may_act:
        st.caption(ONLY_LOOKS)
        return
    with st.expander("Pause something yourself", icon=":material/pause_circle:"), st.form("pause", border=False):
        kind, value, why, button = st.columns([1.2, 2, 3, 1], vertical_alignment="bottom")
        kinds = {"campaign": "Campaign", "sender": "Sender", "domain": "Recipients' domain", "all": "Everything"}
        chosen = kind.selectbox("What", list(kinds), format_func=kinds.__getitem__, key="pause_kind")
        named = value.text_input("Name", key="pause_value", placeholder="such as its id or address")
        reason = why.text_input("Reason", key="pause_why", max_chars=400)
        pressed = button.form_submit_button("Pause", type="primary", width="stretch")
    if pressed:
        _pause(source, who, chosen or "all", named, reason)


def _pause(source: Source, who: Viewer, kind: str, value: str, why: str) -> None:
    if not why.strip():
        st.warning(_NO_REASON, icon=":material/edit_note:")
        return
    quoted = '"' + value.strip().replace('"', '""') + '"'
    try:
        scope = parse_scope("all" if kind == "all" else f"{kind}:{quoted}")
        commands.pause(source, scope, by=who.name, why=why)
    except OutpulseError as error:
        st.error(f"Nothing was paused: {error}")
        return
    st.session_state["done"] = f"{scope.text} is paused"
    st.rerun()
