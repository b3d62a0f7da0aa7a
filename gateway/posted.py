"""What a body posted to /events says: an object, an array or NDJSON, judged item by item, as records for the log.

Plain events take a typed decoder; every item it does not take goes to `schemas.decode`, where the rules are.
"""

import json
import re
from typing import Any, Final

import msgspec

from eventlog import Record
from schemas.decode import check_instants, decode_record, load_json
from schemas.events import Event, LoggedEvent, Origin, Reply
from schemas.failures import BadEvent
from schemas.identity import event_key, reply_key
from schemas.instants import from_epoch_ms, parse_ms

MAX_ITEMS: Final = 500_000
"""More items than this in one post are refused: their list of reasons alone would fill the memory."""

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)
_BOM: Final = b"\xef\xbb\xbf"
_ENCODE: Final = msgspec.json.Encoder().encode
_FIELDS: Final = tuple(field for field in Event.__struct_fields__ if field not in {"occurred_at", "received_at"})


class Refusal(msgspec.Struct, frozen=True):
    """One item that was not taken: its place in the post, from 0, and a short stable reason."""

    index: int
    reason: str


class Posted(msgspec.Struct, frozen=True):
    """Records for the streams `events` and `replies`, and what was not taken; `accepted` counts items."""

    accepted: int = 0
    events: list[Record] = []
    replies: list[Record] = []
    rejected: list[Refusal] = []


class TooManyItems(Exception):  # noqa: N818 - reads as the state it names
    """The post holds more than `MAX_ITEMS`."""


class _Plain(Event, frozen=True, kw_only=True):
    """An event as posted; with any of these three it may carry a reply, which the rules decide."""

    subject: Any = None
    text: Any = None
    headers: Any = None


_DECODE: Final = msgspec.json.Decoder(_Plain).decode
_ONE: Final = msgspec.json.Decoder(msgspec.Raw).decode
_MANY: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read(body: bytes, received_at: str) -> Posted:
    """Judges a body; `received_at` (canonical) is stamped where an item has none. Never raises for what it holds.

    Raises:
        TooManyItems: more than `MAX_ITEMS`.
    """
    try:
        items = split(body.removeprefix(_BOM))
    except BadEvent as bad:
        return Posted(rejected=[Refusal(0, bad.reason)])
    if len(items) > MAX_ITEMS:
        raise TooManyItems
    events: list[Record] = []
    replies: list[Record] = []
    rejected: list[Refusal] = []
    received_ms = parse_ms(received_at)
    for index, raw in enumerate(items):
        event = _plain(raw, received_at, received_ms)
        if event is not None:
            events.append(Record(event_key(event), _ENCODE(event)))
            continue
        try:
            found, reply = decode_record(bytes(raw), received_at)
        except BadEvent as bad:
            rejected.append(Refusal(index, bad.reason))
        except (RecursionError, ValueError, OverflowError):  # absurd nesting, numbers of thousands of digits
            rejected.append(Refusal(index, "not usable"))
        else:
            if found is not None:
                events.append(_event_record(found))
            if reply is not None:
                replies.append(_reply_record(reply))
    return Posted(len(items) - len(rejected), events, replies, rejected)


def split(body: bytes) -> list[bytes] | list[msgspec.Raw]:
    """The items as JSON texts.

    Raises:
        BadEvent: an array that is not JSON.
    """
    start = body[:64].lstrip()[:1]
    try:
        if start == b"[":
            return _MANY(body)
        return [_ONE(body)]
    except RecursionError:
        if start == b"[" and (items := _parts(body)) is not None:
            return items
    except msgspec.DecodeError:
        pass
    if start != b"[":  # lines; of each the item's own decoding says what is wrong
        return [line for line in body.split(b"\n") if line and not line.isspace()]
    whole = load_json(body)  # repairs what UTF-8 cannot carry
    return [json.dumps(item).encode() for item in whole]


def _parts(body: bytes) -> list[bytes] | None:
    """The items of an array of which one is nested too deeply to be read with the others; None where brackets differ."""
    found: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(body):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            start = token.end() if depth == 1 else start
        elif depth == 1 and mark in b",]":
            found.append(body[start : token.start()])
            start = token.end()
        depth -= mark in b"]}"
    return found if depth == 0 else None


def _plain(raw: bytes | msgspec.Raw, received_at: str, received_ms: int) -> LoggedEvent | None:
    """A plain event, None for anything that has to be looked at more closely."""
    try:
        posted = _DECODE(raw)
        occurred_ms = parse_ms(posted.occurred_at)
        if posted.received_at:
            received_ms = parse_ms(posted.received_at)
            received_at = from_epoch_ms(received_ms)
        check_instants(occurred_ms, received_ms)
        occurred_at = from_epoch_ms(occurred_ms)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    if not posted.event_id or posted.text is not None or posted.subject is not None or posted.headers is not None:
        return None
    return _logged(posted, occurred_at, received_at)


def _logged(event: Event, occurred_at: str, received_at: str | None) -> LoggedEvent:
    values = {field: getattr(event, field) for field in _FIELDS}
    return LoggedEvent(**values, occurred_at=occurred_at, received_at=received_at, origin=Origin.API)


def _event_record(event: Event) -> Record:
    logged = _logged(event, event.occurred_at, event.received_at)
    return Record(event_key(logged), _ENCODE(logged))


def _reply_record(reply: Reply) -> Record:
    logged = msgspec.structs.replace(reply, origin=Origin.API)
    return Record(reply_key(logged), _ENCODE(logged))
