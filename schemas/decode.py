"""The definition of a usable event: one line of JSON in, an `Event`, a `Reply` or a `BadEvent` out.

The columnar decoder in `features.columns` takes the plain rows at speed and hands every row it is not sure of to this
module, so this is where the rules are.
"""

import json
import math
from typing import Any, Final

import msgspec

from schemas.events import EVENT_FIELDS, BounceClass, Channel, Event, Kind, Reply
from schemas.failures import BadEvent
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS, from_epoch_ms, parse_ms

_KINDS: Final = frozenset(Kind)
_CHANNELS: Final = frozenset(Channel)
_CLASSES: Final = frozenset(BounceClass)
_TEXT_FIELDS: Final = tuple(
    f for f in EVENT_FIELDS if f not in {"event_id", "kind", "occurred_at", "received_at", "is_machine", "attributes"}
)
_DECODER: Final = msgspec.json.Decoder()
_DIGITS: Final = 4000
"""Longer integers stay text: beyond 4,300 digits Python refuses to convert them."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS else text


def _real(text: str) -> float | str:
    """The number; what a double cannot hold stays as it was written."""
    number = float(text)
    return number if math.isfinite(number) else text


# Not strict: a raw line break within one text must not cost the whole batch.
_LENIENT: Final = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_int=_integer, parse_float=_real)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def load_json(raw: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Any JSON value; what UTF-8 cannot carry (lone surrogates, bad bytes) reads as U+FFFD.

    A mark of byte order and raw control characters inside texts do no harm. Numbers beyond a double or 4,000 digits
    read as their text.

    Raises:
        BadEvent: not JSON at all.
    """
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _repaired(_LENIENT.decode(raw.decode("utf-8", "replace").removeprefix("\ufeff")))
    except RecursionError:
        raise BadEvent("not JSON", "not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise BadEvent("not JSON", f"not JSON: {str(error)[:200]}") from None


def _repaired(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """The value with lone surrogates replaced."""
    if isinstance(value, str):
        return value if _is_clean(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value


def _is_clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_json(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    """The value as compact JSON, as the columnar decoder writes it too.

    Raises:
        BadEvent: it is nested too deeply.
    """
    try:
        return _ENCODER.encode(value)
    except RecursionError:
        raise BadEvent("nested too deeply", "a value is nested too deeply to be written as text") from None


def _text(record: dict[str, Any], field: str) -> str | None:
    """The field as text; numbers and booleans read as their JSON text."""
    value = record.get(field)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return _as_json(value)
    raise BadEvent(f"{field} is not text", f"{field} is {type(value).__name__}, valid is text or null")


def _chosen(record: dict[str, Any], field: str, valid: frozenset[Any]) -> str | None:
    value = _text(record, field)
    if value is not None and value not in valid:
        raise BadEvent(f"unknown {field}", f"{field} is {value[:80]!r}, valid are {', '.join(sorted(valid))}")
    return value


def _instant_ms(record: dict[str, Any], field: str) -> int | None:
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadEvent(f"{field} is not a time", f"{field} is {_as_json(value)[:80]}, valid is RFC 3339 text in UTC")
    try:
        return parse_ms(value)
    except (ValueError, OverflowError) as error:
        raise BadEvent(f"{field} is not a time", f"{field}: {error}") from None


def check_instants(occurred_ms: int, received_ms: int | None) -> None:
    """Refuses times that cannot be true: nothing is clamped.

    Raises:
        BadEvent: before 2000, from 2080 on, or more than 24 h after `received_at`.
    """
    if not EARLIEST_MS <= occurred_ms < LATEST_MS:
        raise BadEvent("occurred_at out of range", f"occurred_at is {occurred_ms} ms since 1970, valid is 2000 to 2079")
    if received_ms is not None and occurred_ms > received_ms + AHEAD_MS:
        raise BadEvent("occurred_at in the future", "occurred_at lies more than 24 h after received_at")


def _attributes(value: object, field: str) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadEvent(f"{field} is not a map", f"{field} is {type(value).__name__}, valid is a flat map of text")
    return {k: v if isinstance(v, str) else _as_json(v) for k, v in value.items() if v is not None}


def event_from(record: dict[str, Any], received_at: str | None = None) -> Event:
    """An event from parsed JSON; `received_at` stands in where the record has none.

    Raises:
        BadEvent: with the first thing that is wrong.
    """
    event_id = _text(record, "event_id")
    if not event_id:
        raise BadEvent("event_id missing", "event_id is absent or empty, valid is any text that names the fact")
    kind = _chosen(record, "kind", _KINDS)
    if kind is None:
        raise BadEvent("kind missing", f"kind is absent, valid are {', '.join(sorted(_KINDS))}")
    occurred_ms = _instant_ms(record, "occurred_at")
    if occurred_ms is None:
        raise BadEvent("occurred_at missing", "occurred_at is absent, valid is RFC 3339 text in UTC")
    received_ms = _instant_ms({"received_at": record.get("received_at") or received_at}, "received_at")
    check_instants(occurred_ms, received_ms)
    is_machine = record.get("is_machine")
    if is_machine is not None and not isinstance(is_machine, bool):
        raise BadEvent("is_machine is not a boolean", f"is_machine is {_as_json(is_machine)[:80]}")
    _chosen(record, "channel", _CHANNELS)
    _chosen(record, "bounce_class", _CLASSES)
    texts = {field: _text(record, field) for field in _TEXT_FIELDS}
    return Event(
        event_id=event_id,
        kind=Kind(kind),
        occurred_at=from_epoch_ms(occurred_ms),
        received_at=None if received_ms is None else from_epoch_ms(received_ms),
        is_machine=is_machine,
        attributes=_attributes(record.get("attributes"), "attributes"),
        **texts,  # type: ignore[arg-type]
    )


def reply_from(record: dict[str, Any], received_at: str | None = None) -> Reply:
    """The words of a reply from parsed JSON that has `event_id` and `text`.

    Raises:
        BadEvent: with the first thing that is wrong.
    """
    event_id = _text(record, "event_id")
    if not event_id:
        raise BadEvent("event_id missing", "a reply without event_id cannot be tied to its event")
    text = _text(record, "text")
    occurred_ms = _instant_ms(record, "occurred_at")
    received_ms = _instant_ms({"received_at": record.get("received_at") or received_at}, "received_at")
    return Reply(
        event_id=event_id,
        text=text or "",
        subject=_text(record, "subject"),
        headers=_attributes(record.get("headers"), "headers"),
        provider=_text(record, "provider"),
        recipient=_text(record, "recipient"),
        occurred_at=None if occurred_ms is None else from_epoch_ms(occurred_ms),
        received_at=None if received_ms is None else from_epoch_ms(received_ms),
        channel=_text(record, "channel"),
    )


def holds_reply(record: dict[str, Any]) -> bool:
    """Whether the record carries a reply's words: `text`, or `subject` or `headers` beside them."""
    return any(record.get(field) is not None for field in ("text", "subject", "headers"))


def decode_record(raw: bytes, received_at: str | None = None) -> tuple[Event | None, Reply | None]:
    """One canonical line: an event, an event with its reply, or (no `kind` but `text`) a reply alone.

    Raises:
        BadEvent: with a short reason and a detail for the dead letter.
    """
    record = load_json(raw)
    if not isinstance(record, dict):
        raise BadEvent("not an object", f"a JSON {type(record).__name__}, valid is an object")
    if record.get("kind") is None and record.get("text") is not None:
        return None, reply_from(record, received_at)
    event = event_from(record, received_at)
    reply = reply_from(record, received_at) if event.kind is Kind.REPLIED and holds_reply(record) else None
    return event, reply
