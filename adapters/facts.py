"""Readings that all providers share: texts, times, addresses, our own keys, bounce codes, machines, ids of facts."""

import hashlib
import json
import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from adapters.contract import Rejected
from schemas.events import BounceClass
from schemas.failures import BadEvent
from schemas.instants import parse_ms

OUR_KEYS: Final = (
    "campaign_id",
    "contact_id",
    "delivery_id",
    "sequence_step",
    "variant",
    "sender",
    "persona",
    "account_tier",
)
"""What we attach to a message when it is sent, and providers hand back with each event."""

# As ms this is 1973, as seconds the year 5138: whole numbers from here on are milliseconds.
MS_FROM: Final = 100_000_000_000
# A robot or scanner names itself; CUBOT is a maker of phones, whose agents hold its name.
_ROBOT: Final = re.compile(
    r"(?<!cu)bot|crawler|spider|python-requests|curl/|go-http-client|headlesschrome|barracuda|proofpoint|mimecast",
    re.IGNORECASE,
)
# Apple's mail privacy proxy sends exactly this (Apple and Litmus on Mail Privacy Protection).
_APPLE_PROXY: Final = "Mozilla/5.0"
_SHORTEST_TIME: Final = len("2026-01-05T10:00:00Z")
_ENCODER: Final = msgspec.json.Encoder()
# Subjects go to 7 (RFC 3463); 0 is "undefined", so the next code is looked for.
_ENHANCED_CODE: Final = re.compile(r"(?<![\d.])([245])\.([1-7])\.(\d{1,3})(?![\d.]*\d)")
_LONGEST_AGENT: Final = 1_000


def text_of(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    """A JSON value as text: text as it is, all else as compact JSON (`true`, `17`, `["a","b"]`).

    Raises:
        BadEvent: it is nested too deeply to be written.
    """
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    try:
        try:
            return _ENCODER.encode(value).decode()
        except (OverflowError, ValueError):  # integers beyond 64 bits
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise BadEvent("nested too deeply", "a value is nested too deeply to be written as text") from None


def optional_text(value: Any) -> str | None:  # noqa: ANN401 - JSON is anything
    """The value as text; None for null and for empty text."""
    if value.__class__ is str:  # the usual case first
        return value or None
    return None if value is None else text_of(value)


def epoch_ms_of(value: object) -> int:
    """Milliseconds since 1970 of a time as providers write it: seconds, milliseconds, floats, either as text, RFC 3339.

    Raises:
        BadEvent: absent, or not a time.
    """
    if value is None or value == "":
        raise BadEvent("occurred_at missing", "the event has no time")
    try:
        if isinstance(value, str):
            return _epoch_ms_of_text(value.strip())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _to_ms(value)
    except (ValueError, OverflowError):
        pass
    raise BadEvent("occurred_at is not a time", f"the event's time is {text_of(value)!r:.80}")


def _epoch_ms_of_text(text: str) -> int:
    if text[4:5] == "-" and len(text) >= _SHORTEST_TIME:
        return parse_ms(text)
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return _to_ms(int(text))
    try:
        return _to_ms(float(text))
    except ValueError:
        return parse_ms(text)


def _to_ms(number: float) -> int:
    return round(number if abs(number) >= MS_FROM else number * 1000)


def bare_address(text: str) -> str:
    """The address without display name and angle brackets, otherwise as it is."""
    if "<" in text:
        return text[text.rindex("<") + 1 :].partition(">")[0].strip()
    return text


def machine_by_agent(agent: str) -> bool | None:
    """Whether a user agent is a machine's; None when there is none to judge by."""
    if not agent:
        return None
    # The cache keeps its keys: a sender of endless agents must not fill the memory.
    return _is_machine(agent) if len(agent) <= _LONGEST_AGENT else _ROBOT.search(agent) is not None


@lru_cache(maxsize=8192)
def _is_machine(agent: str) -> bool:
    return agent == _APPLE_PROXY or _ROBOT.search(agent) is not None


def class_by_code(text: str) -> BounceClass | None:
    """What an enhanced status code in the text says against the provider's class: x.2.2 soft, 5.7.x block, else None.

    Source: RFC 3463 and RFC 5248: X.2.2 is a full mailbox, X.7 is security or policy.
    """
    found = _ENHANCED_CODE.search(text)
    if found is None:
        return None
    status, subject, detail = found.groups()
    if subject == "2" and detail == "2" and status != "2":
        return BounceClass.SOFT
    return BounceClass.BLOCK if status == "5" and subject == "7" else None


def fact_id(
    provider: str, kind: str, message_id: str | None, recipient: str | None, occurred_at: str, url: str | None
) -> str:
    """The `event_id` of a fact that the provider gave none: the same for every copy of it.

    The first 32 hex digits of SHA-256 over the six parts, joined by U+001F, absent ones empty.
    """
    parts = (provider, kind, message_id or "", recipient or "", occurred_at, url or "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def rejected_item(item: Any, reason: str, detail: str, after: int = 0) -> Rejected:  # noqa: ANN401 - JSON is anything
    """A dead letter of one item of a batch, with the item as JSON, as received where that is at hand."""
    try:
        raw = (
            bytes(item)
            if item.__class__ is msgspec.Raw
            else json.dumps(item, ensure_ascii=False).encode("utf-8", "replace")
        )
    except (ValueError, RecursionError):
        raw = b""
    return Rejected(reason, detail, raw, after)
