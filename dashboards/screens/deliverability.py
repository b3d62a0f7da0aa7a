"""Deliverability: what is held back and why, and where bounces and complaints come from."""

import streamlit as st

from dashboards import deliverability, frames
from dashboards.choosing import at_first, choose
from dashboards.deliverability import Tolerated, verdict
from dashboards.filters import Filters
from dashboards.held import show_held, show_pause_form
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.reader import NoLake
from dashboards.words import count, percent

_PEOPLE = frozenset({"contact", "recipient"})
_LOOKS = {"over": "alarm", "watch": "warn", "fine": "good"}


def draw(source: Source, who: Viewer) -> None:
    """The page; what holds comes from the log, so it is shown though the flows are stopped and the lake is empty."""
    holding = source.holding()
    scopes = [one for one in holding if one.scope.kind not in _PEOPLE]
    frames.part("Held back now", "By the control log: dispatchers obey it, and so do these buttons, at once.")
    if not scopes:
        frames.empty("Nothing is held back", "Every scope may send. The guard pauses one when its evidence is strong.")
    for held in reversed(scopes):
        show_held(source, who, held)
    show_pause_form(source, who)
    _people(len(holding) - len(scopes))
    try:
        chosen = choose(source)
    except NoLake:
        frames.empty("No deliveries yet", "Bounces and complaints by sender and domain follow with the first events.")
        return
    found = _figures(source, chosen)
    _pairs(found, Tolerated.of(source.settings.guard))
    _decisions(found)
    _suppressed(found)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    _figures(source, at_first(source))


def _figures(source: Source, chosen: Filters) -> deliverability.Deliverability:
    tolerated = Tolerated.of(source.settings.guard)
    return source.figures(("deliverability", chosen), lambda reading: deliverability.load(reading, chosen, tolerated))


def _people(number: int) -> None:
    if number:
        frames.note(
            f"Beside these, {count(number)} single contacts are put off or stopped, by what they replied: "
            "see `outpulse pauses`."
        )


def _pairs(found: deliverability.Deliverability, tolerated: Tolerated) -> None:
    frames.part(
        "Bounces and complaints by sender and domain",
        f"Tolerated are {percent(tolerated.bounces)} bounces and {percent(tolerated.complaints)} complaints"
        f"{', in some scopes others by the settings' if tolerated.scopes else ''}; "
        f"sand is at the tolerance, red is twice it. Fields with fewer than {deliverability.FEWEST} messages are empty.",
    )
    if not found.pairs:
        frames.empty("No mail in this time", "Choose a longer time above.")
        return
    what = st.segmented_control(
        "Share of", ["Bounces", "Complaints"], default="Bounces", key="share", label_visibility="collapsed",
        bind="query-params", required=True, wrap=True,
    )  # fmt: skip
    names = list(found.pairs[0])
    frames.chart(
        deliverability.heat_map(found.pairs, what or "Bounces", tolerated),
        "senders_by_domain",
        says=f"{what} as a share of mail, senders by recipients' domains",
        rows=found.pairs,
        names=names,
        sql=found.sql,
    )
    worst = [row for row in found.pairs if verdict(row) != "fine" and row["tried"] >= deliverability.FEWEST]
    frames.part(
        "Worst pairs", "First those surely over a tolerance: the lower limit of their share (95 %) is above it."
    )
    if not worst:
        frames.empty("No pair is over a tolerance", "Neither bounces nor complaints of any sender at any domain.")
        return
    rows = [{**row, "verdict": verdict(row)} for row in worst]
    frames.table("worst_pairs", "Pairs of sender and domain over a tolerance", _COLUMNS, rows)


def _chip(text: str) -> str:
    return f'<span class="{_LOOKS.get(text, "warn")}">{text}</span>'


_COLUMNS = (
    Column("verdict", "", _chip, is_html=True),
    Column("sender", "Sender"),
    Column("recipient_domain", "Domain"),
    Column("tried", "Messages", is_number=True, hint="delivered or bounced"),
    Column("bounced", "Bounced", is_number=True),
    Column("bounce_share", "Share", percent, is_number=True),
    Column("bounce_low", "At least", percent, is_number=True, hint="lower limit of the share, 95 %"),
    Column("complained", "Complained", is_number=True),
    Column("complaint_share", "Share", lambda share: percent(share, 2), is_number=True),
)


def _decisions(found: deliverability.Deliverability) -> None:
    frames.part("Decisions", "The guard's and people's, newest first.")
    if not found.decisions:
        frames.empty("No decision yet", "The guard writes one when a rate is surely over its tolerance.")
        return
    frames.table(
        "decisions",
        "Decisions about what may be sent",
        (
            Column("occurred_at", "When (UTC)"),
            Column("action", "Decision", _action_html, is_html=True),
            Column("scope_value", "Scope"),
            Column("rule", "Rule"),
            Column("observed_rate", "Rate", percent, is_number=True),
            Column("tolerance", "Tolerated", percent, is_number=True),
            Column("decided_by", "By"),
            Column("why", "Why", is_wide=True),
        ),
        found.decisions,
        sql=deliverability.DECISIONS,
    )


def _action_html(action: str) -> str:
    look = {"pause": "alarm", "slow": "warn", "warn": "warn", "resume": "good"}.get(action, "")
    return f'<span class="{look}">{action}</span>'


def _suppressed(found: deliverability.Deliverability) -> None:
    frames.part("Suppressed people", "Who is not written to any more, by reason.")
    if not found.suppressed:
        frames.empty("Nobody is suppressed", "Unsubscribes, complaints and hard bounces come here by themselves.")
        return
    frames.table(
        "suppressed",
        "Suppressed people by reason",
        (
            Column("reason", "Reason", is_wide=True),
            Column("source", "Said by"),
            Column("channel", "Channel"),
            Column("people", "People", is_number=True),
            Column("newest", "Newest (UTC)"),
        ),
        found.suppressed,
        sql=deliverability.SUPPRESSED,
    )
