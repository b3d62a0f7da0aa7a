"""Mandrill's history: messages of the search API with opens, clicks and SMTP events, and the CSV of an activity export.

Facts are from Mailchimp's pages "Messages: search" and "Exports: export activity history", at
https://mailchimp.com/developer/transactional/api/. The CSV has the columns Date, Email Address, Sender, Subject, Status,
Tags, Opens, Clicks, Bounce Detail and the account's metadata fields: no message's id, and of opens and clicks the number
only. Times are UTC.
"""

from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, objects, ours, plain
from adapters.histories.states import STATES, events_of_state
from adapters.localtimes import time_ms
from adapters.reading import unmapped, with_sender
from schemas.events import Event

_STATES: Final = {
    "bounced": "hard_bounce",
    "hardbounced": "hard_bounce",
    "softbounced": "soft_bounce",
    "rejected": "reject",
    "spam": "spam",
    "unsub": "unsub",
    "deferred": "deferral",
}
_NEVER_SENT: Final = frozenset({"rejected", "queued", "scheduled"})


def _message(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    """What the webhook would have posted in the life of one message."""
    state, at = plain(str(item.get("state"))), time_ms(item.get("ts"), zone)
    known = ("email", "sender", "subject", "tags", "metadata", "template", "reject", "_id")
    message = {name: item[name] for name in known if item.get(name)} | {"ts": at}
    steps = objects(item.get("smtp_events"))
    if state not in _NEVER_SENT:
        yield _posted("send", at, item, message)
    for step in steps:
        if step.get("type") == "sent":
            yield _posted("delivered", time_ms(step.get("ts"), zone), item, message | {"diag": step.get("diag")})
    for kind, detail in (("open", "opens_detail"), ("click", "clicks_detail")):
        for one in objects(item.get(detail)):
            more = {name: one[name] for name in ("url", "ip", "location") if one.get(name)}
            posted = _posted(kind, time_ms(one.get("ts"), zone), item, message)
            yield posted | more | ({"user_agent": one["ua"]} if one.get("ua") else {})
    if state in _STATES:
        last: dict[str, Any] = next((one for one in reversed(steps) if one.get("type") != "sent"), {})
        told = {"diag": last.get("diag") or item.get("diag"), "bounce_description": item.get("bounce_description")}
        happened = time_ms(last.get("ts"), zone) if last.get("ts") else at
        yield _posted(_STATES[state], happened, item, message | told)
    elif state not in {"sent", "queued", "scheduled"}:
        raise unmapped("mandrill", str(item.get("state")))


def _posted(event: str, at_ms: int, item: Item, message: Item) -> Item:
    return {"event": event, "ts": at_ms, "_id": item.get("_id"), "msg": message}


def _row(row: Item, zone: ZoneInfo) -> Iterator[Event]:
    told = str(row.get("status") or "")
    state = STATES.get("hardbounced" if plain(told) == "bounced" else plain(told))
    if state is None:
        raise unmapped("mandrill", told)
    keys = with_sender(ours(row), row.get("sender") or row.get("fromaddress"))
    states = [state]
    states += [
        STATES[name] for name, count in (("opened", "opens"), ("clicked", "clicks")) if _positive(row.get(count))
    ]
    seen = set()
    for one in states:
        for event in events_of_state(
            "mandrill",
            one,
            time_ms(row.get("date"), zone),
            "Date",
            message_id=None,
            recipient=row.get("emailaddress"),
            ours=keys,
            attributes={name: row.get(name) for name in ("subject", "tags", "opens", "clicks")},
            reason=row.get("bouncedetail"),
        ):
            if event.kind not in seen:
                seen.add(event.kind)
                yield event


def _positive(count: object) -> bool:
    return isinstance(count, str) and count.isdigit() and int(count) > 0


FORMATS: Final = (
    JsonFormat(
        provider="mandrill",
        what="messages of the search API",
        keys=frozenset({"_id", "ts", "state", "email"}),
        tell=lambda item, zone: ([posted] for posted in _message(item, zone)),
    ),
    JsonFormat(
        provider="mandrill",
        what="webhook events",
        keys=frozenset({"event", "ts", "msg"}),
        tell=lambda item, _: [[item]],
    ),
    CsvFormat(
        provider="mandrill",
        what="activity CSV",
        needs=(("date",), ("emailaddress",), ("status",), ("bouncedetail",)),
        tell=_row,
        states_only=True,
    ),
)
