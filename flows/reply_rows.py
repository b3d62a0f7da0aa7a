"""How a reply was understood, as a row of response_intelligence, as commands, and with what people say put in."""

import time
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import msgspec

from control.commands import ALL_CHANNELS, BY_REPLIES, canonical
from control.scopes import address
from features.replies.machines import Machine
from features.replies.routing import Account, Routed, priority, route
from features.replies.understanding import ReplyInput, Understood
from flows.reply_state import Pair, person_of
from schemas.events import Command, CommandAction, Event
from schemas.identifiers import uuid7_of
from schemas.instants import from_epoch_ms, parse_ms
from schemas.labels import EXTRACTED, LABELS
from schemas.tables import (
    Intent,
    InterestLevel,
    NextAction,
    ObjectionType,
    ResolutionStatus,
    ResponseIntelligence,
    Urgency,
)

SENT_TO: Final = "sent_to"
"""The attribute of a replied event that names whom the answered message was sent to, once the lake has told."""
ANSWERED: Final = "answered_text"
"""The attribute of a replied event that holds the message of ours which it answers, from senders that know it."""
UNSUBSCRIBED: Final = "unsubscribed by reply"
"""The reason of a suppression."""
_GONE: Final = frozenset({"left_company", "mailbox_moved", "mailbox_full", "non_delivery"})
"""Machines whose word is final: nobody reads there."""
_STOPPED: Final = "replied"
_QUARTER: Final = 7


def input_of(pair: Pair, context: tuple[str, ...] = ()) -> ReplyInput:
    """A reply as the model takes it; dates in it count from its event's time.

    `context` is what the same person wrote before. What we wrote last stands below a mail; other channels may tell it.
    """
    event, reply = pair.event, pair.reply
    return ReplyInput(
        id=event.event_id,
        channel=event.channel or reply.channel,
        subject=reply.subject,
        headers=reply.headers or {},
        received_at=datetime.fromisoformat(event.occurred_at),
        text=reply.text,
        context=context,
        answered=(event.attributes or {}).get(ANSWERED, ""),
    )


def reading_of(pair: Pair, found: Understood, version: str, offset: int) -> tuple[ResponseIntelligence, Routed]:
    """The row of a reply as it was understood, by a version of the model that had heard feedback up to `offset`."""
    event = pair.event
    routed = route(found, Account(event.account_tier, event.persona))
    row = ResponseIntelligence(
        id=uuid7_of(parse_ms(event.occurred_at), _natural_key(event)),
        created_at=datetime.fromisoformat(event.occurred_at),
        event_id=event.event_id,
        provider=event.provider,
        recipient=event.recipient,
        contact_id=event.contact_id,
        sentiment_score=round(found.sentiment_score, 4),
        intent_classification=Intent(found.intent),
        urgency_level=Urgency(found.urgency_level),
        next_action_required=NextAction(routed.next_action),
        auto_response_sent=False,
        human_takeover_requested=routed.needs_human,
        resolution_status=_resolution(routed.next_action, needs_human=routed.needs_human),
        ai_confidence_score=round(found.confidence, 4),
        language=found.language,
        interest_level=InterestLevel(found.extracted.interest_level),
        objection_type=ObjectionType(found.extracted.objection_type) if found.extracted.objection_type else None,
        extracted=_json(extracted_of(found) | _more_of(found)),
        model_version=version,
        feedback_offset=offset,
        priority=routed.priority,
        review_reasons=", ".join(routed.reasons) or None,
    )
    return row, routed


def _natural_key(event: Event) -> str:
    return "\x1f".join(("reply", event.provider or "", event.event_id, event.recipient or ""))


def _resolution(action: str, *, needs_human: bool) -> ResolutionStatus:
    if needs_human:
        return ResolutionStatus.ESCALATED
    return ResolutionStatus.CLOSED if action == NextAction.MARK_CLOSED else ResolutionStatus.PENDING


def extracted_of(found: Understood) -> dict[str, Any]:
    """What was found in a reply, by `EXTRACTED`; absent is None, no proposed times an empty list."""
    told = {name: getattr(found.extracted, name) for name in EXTRACTED}
    return told | {"proposed_times": list(found.extracted.proposed_times)}


def _more_of(found: Understood) -> dict[str, Any]:
    machine: Machine | None = found.machine
    more = {
        "bant": dict(found.extracted.bant) or None,
        "questions": list(found.extracted.questions) or None,
        "machine": machine.kind if machine else None,
    }
    return {name: value for name, value in more.items() if value is not None}


def _json(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    return msgspec.json.encode(value).decode()


def corrected(row: ResponseIntelligence, labels: Mapping[str, Any], offset: int) -> ResponseIntelligence:
    """A reading with what a person said put in; the person has seen it, so it waits for nobody."""
    changes: dict[str, Any] = {LABELS[name]: value for name, value in labels.items() if name in LABELS}
    told = msgspec.json.decode(row.extracted or "{}") | {n: v for n, v in labels.items() if n in EXTRACTED}
    intent: Intent | None = changes.get("intent_classification", row.intent_classification)
    if intent is not None and intent is not row.intent_classification:
        if "next_action" not in labels:
            changes["next_action_required"] = _USUAL[intent]
        changes["priority"] = priority(intent, str(changes.get("urgency_level") or row.urgency_level))
        if intent is not Intent.OBJECTION and "objection_type" not in labels:
            changes["objection_type"] = told["objection_type"] = None
    action = changes.get("next_action_required", row.next_action_required)
    needs_human = action is NextAction.HUMAN_REVIEW
    return msgspec.structs.replace(
        row,
        **changes,
        extracted=_json(told),
        human_takeover_requested=needs_human,
        review_reasons="a person said so" if needs_human else None,
        resolution_status=_resolution(action or "", needs_human=needs_human),
        ai_confidence_score=1.0 if "intent" in labels else row.ai_confidence_score,
        feedback_offset=offset,
    )


_USUAL: Final[Mapping[Intent, NextAction]] = {
    Intent.OUT_OF_OFFICE: NextAction.ADD_TO_NURTURE,
    Intent.UNSUBSCRIBE: NextAction.MARK_CLOSED,
    Intent.REFERRAL: NextAction.HUMAN_REVIEW,
    Intent.MEETING_REQUEST: NextAction.SCHEDULE_MEETING,
    Intent.NOT_NOW: NextAction.ADD_TO_NURTURE,
    Intent.OBJECTION: NextAction.HUMAN_REVIEW,
    Intent.QUESTION: NextAction.AUTO_RESPOND,
    Intent.INTERESTED: NextAction.AUTO_RESPOND,
    Intent.NOT_INTERESTED: NextAction.MARK_CLOSED,
}
"""What follows from an intent where a person said no more."""


def commands_of(event: Event, row: ResponseIntelligence, before: ResponseIntelligence | None = None) -> list[Command]:
    """What a reading asks of the dispatcher; with `before`, only what is different from what that asked.

    A demand to be removed suppresses the person at once. A reply stops the contact's sequence; one that names a day to come
    back, or an absence until a day, puts it off until then. A machine's receipt changes nothing.
    """
    now, then = _wanted(event, row), _wanted(event, before) if before else []
    if now == then:
        return []
    ended = [_undone(wish) for wish in then if not any(_same_place(wish, other) for other in now)]
    offset = row.feedback_offset or 0
    fresh = [wish for wish in now if wish not in then]
    return [_command(event, wish, offset if before else None) for wish in [*ended, *fresh]]


Wish = dict[str, Any]
"""The fields of a command that say what it does."""


def _wanted(event: Event, row: ResponseIntelligence) -> list[Wish]:
    told = msgspec.json.decode(row.extracted or "{}")
    if row.intent_classification is Intent.UNSUBSCRIBE:
        return _suppressions(event)
    scope = _scope(event)
    if scope is None:
        return []
    pause = {"action": CommandAction.PAUSE, **scope}
    until = _until(told.get("resume_date"), event.occurred_at)
    if row.intent_classification is Intent.OUT_OF_OFFICE:
        if told.get("machine") in _GONE:
            return [pause | {"why": f"{str(told['machine']).replace('_', ' ')}, says a machine"}]
        return [pause | {"why": f"away until {until[:10]}", "until": until}] if until else []
    if row.intent_classification is Intent.NOT_NOW and until:
        return [pause | {"why": f"asks to come back on {until[:10]}", "until": until}]
    return [pause | {"why": f"{_STOPPED}: {row.intent_classification}".replace("_", " ")}]


def _suppressions(event: Event) -> list[Wish]:
    """The person by contact and by the address that wrote; and the address written to, where that is another."""
    wrote = person_of(event)
    # The recipient of a mail that nobody tied to a delivery is our own mailbox.
    is_ours = bool((event.attributes or {}).get("from")) and not event.delivery_id
    written_to = address((event.attributes or {}).get(SENT_TO) or ("" if is_ours else event.recipient or ""))
    one: Wish = {"action": CommandAction.SUPPRESS, "channel": ALL_CHANNELS, "why": UNSUBSCRIBED}
    people = [(event.contact_id, wrote if wrote != (event.contact_id or "").lower() else None)]
    if written_to and written_to != wrote:
        people.append((None, written_to))
    return [one | {"contact_id": contact, "recipient": who} for contact, who in people if contact or who]


def _scope(event: Event) -> Wish | None:
    """The contact, else the address that wrote."""
    if event.contact_id:
        return {"scope_kind": "contact", "scope_value": event.contact_id}
    person = person_of(event)
    return {"scope_kind": "recipient", "scope_value": person} if person else None


def _until(resume: str | None, occurred_at: str) -> str | None:
    """The start of the day (or quarter) to come back, UTC; None where it is none, or not in the future."""
    if not resume:
        return None
    try:
        if len(resume) == _QUARTER and resume[4:6] == "-Q":
            day = date(int(resume[:4]), 3 * int(resume[6]) - 2, 1)
        else:
            day = date.fromisoformat(resume)
    except ValueError:
        return None
    moment = f"{day.isoformat()}T00:00:00.000Z"
    return moment if moment > occurred_at else None


def _undone(wish: Wish) -> Wish:
    """What takes a wish back."""
    if wish["action"] is CommandAction.SUPPRESS:
        return wish | {"action": CommandAction.UNSUPPRESS, "why": "a person read the reply otherwise"}
    kept = {name: wish[name] for name in ("scope_kind", "scope_value")}
    return kept | {"action": CommandAction.RESUME, "why": "a person read the reply otherwise"}


def _same_place(one: Wish, other: Wish) -> bool:
    names = ("scope_kind", "scope_value", "contact_id", "recipient")
    return all(one.get(name) == other.get(name) for name in names)


def _command(event: Event, wish: Wish, offset: int | None) -> Command:
    """The command of a wish; the same for the same reply and, after a correction, the same feedback."""
    names = ("action", "scope_kind", "scope_value", "contact_id", "recipient", "until", "why")
    parts = [_natural_key(event), *(str(wish.get(name) or "") for name in names), str(offset or "")]
    return canonical(
        Command(
            **wish,
            id=str(uuid7_of(parse_ms(event.occurred_at), "\x1f".join(("replies", *parts)))),
            occurred_at=event.occurred_at,
            decided_at=from_epoch_ms(time.time_ns() // 1_000_000),
            decided_by=BY_REPLIES,
            caused_by=event.event_id,
        )
    )
