"""Replies: the inbox by priority, one click to correct a label, and how well people agree with the model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

import streamlit as st

from dashboards import commands, frames, inbox
from dashboards.inbox import INTENT_WORDS, PAGE_ROWS, Show, Wanted
from dashboards.listing import Column
from dashboards.people import ONLY_LOOKS, Viewer
from dashboards.process import Source
from dashboards.words import ago, campaign_name, count, instant, percent, sure
from schemas.failures import OutpulseError

_FIELD: Final = "intent"
_CORRECTED: Final = "corrected"
_FILTERS: Final = "replies_filters"
_PAGE: Final = "replies_page"
_DIGITS: Final = 7
_EXTRACTED: Final = {
    "resume_date": "come back",
    "referred_name": "ask",
    "referred_email": "ask at",
    "proposed_times": "proposes",
    "competitor": "uses",
    "objection_type": "objects to",
}


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    wanted = _wanted()
    found = _figures(source, wanted)
    waiting = found.waiting
    frames.part(
        "Inbox",
        f"{count(waiting['replies'])} wait for a person, {count(waiting['urgent'])} of them urgent, "
        f"{count(waiting['meetings'])} ask for a meeting. By priority: value of the account, urgency and intent together.",
    )
    if not who.may_act:
        frames.note(ONLY_LOOKS)
    if found.replies:
        for reply in found.replies:
            _card(source, who, reply)
        _pages(found)
        frames.data("replies", found.replies, list(found.replies[0]), sql=found.sql, has_table=False)
    else:
        _nothing(wanted)
    _how_read(source)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    _figures(source, Wanted())
    _reading(source)


def _figures(source: Source, wanted: Wanted) -> inbox.Inbox:
    return source.figures(("inbox", wanted), lambda reading: inbox.load(reading, wanted))


def _reading(source: Source) -> inbox.HowRead:
    return source.figures("how_read", inbox.load_reading)


def _wanted() -> Wanted:
    with st.container(key="filters"):
        show, intents, words = st.columns([1.6, 2, 1.4], vertical_alignment="bottom")
    chosen = show.segmented_control(
        "Show",
        [s.value for s in Show],
        default=Show.WAITING.value,
        key="show",
        bind="query-params",
        required=True,
        wrap=True,
    )
    picked = intents.multiselect(
        "Read as", list(INTENT_WORDS), format_func=INTENT_WORDS.__getitem__, placeholder="Anything", key="intent",
        bind="query-params",
    )  # fmt: skip
    text = words.text_input("Words", placeholder="Find in the text", key="words", bind="query-params", type="search")
    wanted = Wanted(Show(chosen or Show.WAITING), tuple(str(p) for p in picked), text or "")
    before = st.session_state.get(_FILTERS)
    st.session_state[_FILTERS] = wanted
    if before not in {None, wanted}:
        st.session_state[_PAGE] = 1
    return replace(wanted, page=_page_asked())


def _page_asked() -> int:
    """The page of the list that is chosen, else the one of the address."""
    asked = str(st.session_state.get(_PAGE) or st.query_params.get(_PAGE) or 1)
    return max(1, int(asked)) if asked.isdecimal() and len(asked) < _DIGITS else 1


def _pages(found: inbox.Inbox) -> None:
    last = -(-found.found // PAGE_ROWS)
    if last > 1:
        if st.session_state.get(_PAGE) != found.page:
            st.session_state[_PAGE] = found.page
        st.pagination(last, key=_PAGE, bind="query-params")


def _nothing(wanted: Wanted) -> None:
    if wanted.show is Show.WAITING and not wanted.intents and not wanted.words:
        frames.empty(
            "No reply waits for a person",
            "Replies that the model is unsure of, or that are angry, legal, from executives or about a meeting, come here "
            "as the flow `replies` reads them. Under All are the others.",
        )
    else:
        frames.empty("No such reply", "Choose fewer labels or other words.")


def _card(source: Source, who: Viewer, reply: Mapping[str, Any]) -> None:
    event_id, name = reply["event_id"], _name(reply)
    with st.container(border=True, key=f"reply_{name}"):
        st.html(_card_html(reply))
        given = st.session_state.setdefault(_CORRECTED, {}).get(event_id)
        if given is not None and given != reply["intent_classification"]:
            frames.note(f"Corrected to {_words(given)}: the models learn it, and the label follows when the flows run.")
        if not who.may_act:
            return
        pills, right = st.columns([6, 1], vertical_alignment="bottom")
        current = given or reply["intent_classification"]
        key = f"label_{name}_{current}"
        pills.pills(
            "Read as; press another to correct it",
            list(INTENT_WORDS),
            default=current,
            format_func=_words,
            key=key,
            required=current is not None,
            wrap=True,
            on_change=_correct,
            args=(source, who, event_id, reply["intent_classification"], key),
        )
        if reply["intent_classification"] is not None:
            right.button(
                "Right", icon=":material/check:", key=f"right_{name}", width="stretch",
                help="Confirms the label: agreement is counted over what people have checked",
                disabled=given is not None,
                on_click=_give, args=(source, who, event_id, reply["intent_classification"], reply["intent_classification"]),
            )  # fmt: skip


def _name(reply: Mapping[str, Any]) -> str:
    """What no other reply of the list has: providers may give the same id, and so may two mails of one."""
    return "_".join(str(reply[key] or "") for key in ("event_id", "provider", "recipient", "occurred_at"))


def _correct(source: Source, who: Viewer, event_id: str, old: str | None, key: str) -> None:
    new = st.session_state.get(key)
    if new is not None:
        _give(source, who, event_id, old, str(new))


def _give(source: Source, who: Viewer, event_id: str, old: str | None, new: str) -> None:
    try:
        commands.correct(source, event_id, _FIELD, old=old, new=new, by=who.name)
    except OutpulseError as error:
        st.session_state["done"] = f"Nothing was learned: {error}"
        return
    st.session_state.setdefault(_CORRECTED, {})[event_id] = new
    st.session_state["done"] = f"{'Confirmed' if new == old else 'Corrected'}: {_words(new)}"


def _words(intent: Any) -> str:  # noqa: ANN401 - an option of a widget
    return INTENT_WORDS.get(intent, str(intent))


def _card_html(reply: Mapping[str, Any]) -> str:
    now = datetime.now(UTC)
    moment = reply["occurred_at"]
    name = reply["recipient"] or reply["contact_id"] or "unknown sender"
    head = (
        f'<div class="item"><span><strong>{escape(str(name))}</strong> <span class="why">to '
        f"{escape(campaign_name(reply['campaign_id']))} · {instant(moment, now)}, {ago(moment, now)}"
        f"{' · ' + escape(reply['subject']) if reply['subject'] else ''}</span></span></div>"
    )
    return head + f"<div>{''.join(_chips(reply))}</div>" + _letter_html(reply)


def _letter_html(reply: Mapping[str, Any]) -> str:
    text = reply["text"] or "(its words were not handed on)"
    return f'<div class="letter" tabindex="0" role="region" aria-label="the reply">{escape(text)}</div>'


def _chips(reply: Mapping[str, Any]) -> list[str]:
    if reply["intent_classification"] is None:
        return ['<span class="chip">not read yet</span>']
    label = f"{_words(reply['intent_classification'])} · {sure(reply['ai_confidence_score'])}"
    chips = [f'<span class="chip"><strong>{escape(label)}</strong></span>']
    if reply["urgency_level"]:
        hot = " hot" if reply["urgency_level"] in {"urgent", "high"} else ""
        chips.append(f'<span class="chip{hot}">{escape(reply["urgency_level"])} urgency</span>')
    for key, words in (("next_action_required", "next: {}"), ("language", "in {}")):
        if reply[key]:
            chips.append(f'<span class="chip">{escape(words.format(str(reply[key]).replace("_", " ")))}</span>')
    if reply["review_reasons"]:
        chips.append(f'<span class="chip hot">a person is asked: {escape(reply["review_reasons"])}</span>')
    chips += [f'<span class="chip">{escape(text)}</span>' for text in _extracted(reply["extracted"])]
    return chips


def _extracted(told: str | None) -> list[str]:
    try:
        values = json.loads(told) if told else {}
    except ValueError:
        return []
    if not isinstance(values, dict):
        return []
    found = {words: values.get(key) for key, words in _EXTRACTED.items()}
    return [f"{words}: {', '.join(v) if isinstance(v, list) else v}" for words, v in found.items() if v]


def _how_read(source: Source) -> None:
    read = _reading(source)
    left, right = st.columns(2, gap="large")
    with left:
        frames.part("What replies say", "By day, as read now.")
        if read.by_day:
            frames.chart(
                inbox.intents_by_day(read.by_day), "intents_by_day", says="Replies by day, stacked by intent",
                rows=read.by_day, names=list(read.by_day[0]), sql=inbox.BY_DAY,
            )  # fmt: skip
        else:
            frames.empty("No reply has been read yet", "The flow `replies` fills this: `outpulse flows replies`.")
    with right:
        frames.part(
            "Agreement", "Of the replies that people checked, the share they read as the model did; 95 % interval."
        )
        if read.agreement:
            frames.chart(
                inbox.agreement_by_day(read.agreement), "agreement", says="Agreement of people with the model by day",
                rows=read.agreement, names=list(read.agreement[0]), sql=inbox.AGREEMENT,
            )  # fmt: skip
        else:
            frames.empty("Nobody has checked a label yet", "Press Right, or the right label, on any reply above.")
    if read.confused:
        frames.part("Most corrected")
        columns = (
            Column("read_as", "Read as", _words),
            Column("should_be", "Should be", _words),
            Column("times", "Times", is_number=True),
        )
        frames.table("confused", "Labels that people corrected most", columns, read.confused, sql=inbox.CONFUSED)
    if read.drift:
        frames.part("Drift", "When agreement changed for good, by ADWIN over what people checked.")
        drifted = (
            Column("created_at", "When (UTC)"),
            Column("learning_insight", "What was seen", is_wide=True),
            Column("confidence_level", "Confidence", percent, is_number=True),
        )
        frames.table("drift", "Drift of agreement", drifted, read.drift, sql=inbox.DRIFT)
