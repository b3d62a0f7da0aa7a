"""What must hold of whatever a body was read as: nothing raises, nothing is lost in silence, events are valid.

Counts of items are recounted here from the providers' shapes; only JSON and forms are read by the project's own readers.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from adapters import Parsed
from adapters.forms import fields_of
from schemas.decode import decode_record, load_json
from schemas.events import Event, Kind, RawRequest
from schemas.failures import BadEvent, DeadLetter
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS, from_epoch_ms, parse_ms

_LISTS = frozenset({"sendgrid", "sparkpost", "brevo", "mailjet", "mandrill"})
_LONGEST_REASON = 250


def faults_of(request: RawRequest, parsed: Parsed) -> list[str]:
    """Everything that is wrong with what was read; short stable phrases."""
    found = [fault for event in parsed.events for fault in _of_event(event, request)]
    ids = {event.event_id for event in parsed.events}
    for reply in parsed.replies:
        if reply.event_id not in ids:
            found.append("reply without its event")
        _encodes(reply, "reply", found)
    for item in parsed.rejected:
        if not item.reason or len(item.reason) > _LONGEST_REASON:
            found.append("reason is empty or long")
        if not 0 <= item.after <= len(parsed.events):
            found.append("after is out of range")
        letter = DeadLetter(id="0", stage="parse", reason=item.reason, detail=item.detail, raw=item.raw)
        _encodes(letter, "dead letter", found)
    made, needed = len(parsed.events) + len(parsed.rejected), least_outcomes(request)
    if made < needed:
        found.append(f"silently dropped: {request.provider} {'inbound' if request.inbound else ''}".strip())
    return found


def _encodes(value: msgspec.Struct, what: str, found: list[str]) -> None:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        found.append(f"{what} cannot be written: lone surrogates")


def _of_event(event: Event, request: RawRequest) -> Iterator[str]:
    """By the rules of `schemas.decode`, which judges every event that comes in by another door."""
    if not isinstance(event.event_id, str) or not event.event_id:
        yield "no event_id"
    if not isinstance(event.kind, Kind):
        yield "unknown kind"
    at_ms = parse_ms(event.occurred_at)
    if not EARLIEST_MS <= at_ms < LATEST_MS or at_ms > parse_ms(request.received_at) + AHEAD_MS:
        yield "occurred_at out of range"
    if event.occurred_at != from_epoch_ms(at_ms):
        yield "occurred_at is not canonical"
    yield from _of_fields(event, hook=request.provider.startswith("hook"))
    try:
        if decode_record(msgspec.json.encode(event))[0] != event:
            yield "event reads back as another"
    except BadEvent as bad:
        yield f"event does not read back: {bad.reason}"
    except UnicodeEncodeError:
        yield "event cannot be written: lone surrogates"


def _of_fields(event: Event, *, hook: bool) -> Iterator[str]:
    """Fields that only some kinds have; a hook's mapping may fill a url for any kind."""
    if event.bounce_class is not None and event.kind is not Kind.BOUNCED:
        yield "bounce_class of what is no bounce"
    if event.is_machine is not None and event.kind not in {Kind.OPENED, Kind.CLICKED}:
        yield "is_machine of what is no open or click"
    if event.url is not None and event.kind is not Kind.CLICKED and not hook:
        yield "url of what is no click"


def least_outcomes(request: RawRequest) -> int:
    """How many events and dead letters a body must make at least; 0 for the providers' ways to say nothing."""
    try:
        body = _read(request)
    except BadEvent:
        return 1
    if isinstance(body, dict) and request.provider == "brevo" and isinstance(body.get("items"), list):
        return len(body["items"])
    if request.provider == "hook" and any(empty in request.body for empty in (b"[]", b"null")):
        return 0  # paths of a mapping give no items for them, by JMESPath
    if isinstance(body, list) and request.provider in _LISTS and not _is_form(request):
        return len(body) - (body.count({"msys": {}}) if request.provider == "sparkpost" else 0)
    return 0 if isinstance(body, dict) and _says_nothing(request.provider, body) else 1


def _is_form(request: RawRequest) -> bool:
    """SendGrid's inbound mails are forms: there a list is one thing that cannot be used."""
    at_inbound = request.inbound or "multipart" in request.headers.get("content-type", "")
    return at_inbound and request.provider == "sendgrid"


def _read(request: RawRequest) -> Any:
    if request.provider == "mandrill":
        for key, value in fields_of(request)[0]:
            if key == "mandrill_events":
                return load_json(value)
    return load_json(request.body)


def _says_nothing(provider: str, body: dict[str, Any]) -> bool:
    if provider == "sparkpost":
        return body == {"msys": {}}
    if provider == "mailersend":
        return body.get("type") == "webhook.test"
    if provider == "ses":
        greeting = str(body.get("Message")).startswith("Successfully validated SNS topic")
        return greeting or body.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation")
    return False
