"""SendGrid (Twilio): batches of events, signed with ECDSA.

Facts are from Twilio's pages "Event Webhook Reference" (names and fields), "Getting Started with the Event Webhook
Security Features" (signature, its two headers and the form of the key) and "Tracking events: retries" (24 h), at
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events. Custom arguments given at sending come back as
top-level keys of each event, beside SendGrid's own.
"""

import base64
import binascii
import hashlib
import re
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters.contract import Parsed, ProofSettings, Rejected
from adapters.facts import (
    OUR_KEYS,
    bare_address,
    class_by_code,
    epoch_ms_of,
    fact_id,
    machine_by_agent,
    optional_text,
    rejected_item,
    text_of,
)
from adapters.proofs import (
    check_age,
    check_credentials,
    decoded_base64,
    needs_signature,
    required_header,
    signed_ms,
)
from schemas.decode import check_instants, load_json
from schemas.events import BounceClass, Channel, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS, from_epoch_ms, parse_ms

name: str = "sendgrid"

SIGNATURE_HEADER: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
BACK_MS: Final = 26 * 3600 * 1000
"""How old a signature may be: SendGrid retries for 24 h and documents no window of its own; two hours of slack."""
AHEAD_OF_CLOCK_MS: Final = 5 * 60 * 1000
"""How far ahead of our clock a signature's time may lie."""

VOCABULARY: Final[dict[str, Kind]] = {
    "processed": Kind.QUEUED,
    "deferred": Kind.DEFERRED,
    "delivered": Kind.DELIVERED,
    "bounce": Kind.BOUNCED,
    "dropped": Kind.REJECTED,  # never tried: suppressed, unsubscribed, over quota
    "open": Kind.OPENED,
    "click": Kind.CLICKED,
    "spamreport": Kind.COMPLAINED,
    "unsubscribe": Kind.UNSUBSCRIBED,
    "group_unsubscribe": Kind.UNSUBSCRIBED,
    # group_resubscribe has no kind of ours, account_status_change no recipient: both stay unmapped.
}
_BOUNCE_TYPES: Final = {"blocked": BounceClass.BLOCK, "bounce": BounceClass.HARD}

_ALWAYS_TAKEN: Final = frozenset({"event", "email", "timestamp", "sg_event_id", "sg_message_id", *OUR_KEYS})
# Where a field has a meaning of its own in an event; everywhere else it is an attribute.
_TAKEN_WITH: Final = {field: _ALWAYS_TAKEN | {field} for field in ("sg_machine_open", "url", "reason", "response")}
_TAKEN: Final = {Kind.OPENED: _TAKEN_WITH["sg_machine_open"], Kind.CLICKED: _TAKEN_WITH["url"]}
_ON_TRIAL: Final = frozenset({Kind.OPENED, Kind.CLICKED, Kind.BOUNCED, Kind.REJECTED, Kind.DEFERRED})
"""Kinds that need more than the common fields."""


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the ECDSA signature (P-256, SHA-256) over timestamp header and raw body, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad, missing or stale proof, 403 where no secret is set.
    """
    setting = "inbound_public_keys" if request.inbound else "public_keys"
    keys = settings.inbound_public_keys if request.inbound else settings.public_keys
    if needs_signature(name, setting, keys, settings):
        _check_signature(request, _loaded(setting, tuple(keys)), now_ms)
    check_credentials(request, settings)


def _check_signature(request: RawRequest, keys: tuple[ec.EllipticCurvePublicKey, ...], now_ms: int) -> None:
    timestamp = required_header(request, TIMESTAMP_HEADER)
    signature = decoded_base64(required_header(request, SIGNATURE_HEADER))
    if signature is None:
        raise RequestRefused(f"{SIGNATURE_HEADER} is not base64")
    check_age(signed_ms(timestamp, TIMESTAMP_HEADER), now_ms, BACK_MS, AHEAD_OF_CLOCK_MS)
    digest = hashlib.sha256(timestamp.encode())
    digest.update(request.body)
    if not any(_fits(key, signature, digest.digest()) for key in keys):
        raise RequestRefused("the signature does not fit the body and any of the public keys")


def _fits(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> bool:
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _loaded(setting: str, texts: tuple[str, ...]) -> tuple[ec.EllipticCurvePublicKey, ...]:
    """The keys that can be read; one that cannot must not put the others out of use."""
    keys = tuple(key for text in texts if (key := _load(text)) is not None)
    if not keys:
        raise RequestRefused(f"[providers.{name}] {setting} holds no P-256 public key that can be read", status=403)
    return keys


def _load(text: str) -> ec.EllipticCurvePublicKey | None:
    """A key from base64 DER (SubjectPublicKeyInfo), as SendGrid shows it; a PEM frame around it is taken off."""
    lines = [line for line in text.split() if line and not line.startswith("---") and not line.endswith("---")]
    bare = "".join(line for line in lines if line not in {"PUBLIC", "BEGIN", "END"})
    try:
        key = load_der_public_key(base64.b64decode(bare, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def parse(request: RawRequest) -> Parsed:
    """One event or one dead letter per item of the batch; never raises."""
    if request.inbound:
        return Parsed(rejected=[Rejected("inbound not supported", "Inbound Parse is not read yet", request.body)])
    try:
        body = load_json(request.body)
    except BadEvent as bad:
        return Parsed(rejected=[Rejected(bad.reason, str(bad), request.body)])
    if isinstance(body, dict) and "event" in body:
        body = [body]
    if not isinstance(body, list):
        detail = f"a JSON {type(body).__name__}, valid is an array of events"
        return Parsed(rejected=[Rejected("not an array", detail, request.body)])
    received_ms = _received_ms(request.received_at)
    received_at = None if received_ms is None else from_epoch_ms(received_ms)
    parsed = Parsed(events=[], rejected=[])
    for item in body:
        try:
            parsed.events.append(_event(item, received_at, received_ms))
        except BadEvent as bad:
            parsed.rejected.append(rejected_item(item, bad.reason, str(bad)))
        except (RecursionError, ValueError, OverflowError) as error:  # absurd nesting, numbers of thousands of digits
            parsed.rejected.append(rejected_item(item, "not usable", str(error)[:200]))
    return parsed


def _received_ms(received_at: str) -> int | None:
    try:
        return parse_ms(received_at)
    except (ValueError, OverflowError):
        return None


def _event(item: Any, received_at: str | None, received_ms: int | None) -> Event:  # noqa: ANN401 - JSON is anything
    """One event of a batch.

    Raises:
        BadEvent: unknown name, no object, no time or an impossible one.
    """
    if not isinstance(item, dict):
        raise BadEvent("not an object", f"a JSON {type(item).__name__}, valid is an object")
    kind = _kind(item.get("event"))
    occurred_ms = _occurred_ms(item.get("timestamp"), received_ms)
    occurred_at = from_epoch_ms(occurred_ms)
    email = optional_text(item.get("email"))
    recipient = (bare_address(email) or None) if email else None
    message_id = _message_id(item.get("sg_message_id"))
    url = is_machine = bounce_class = reason = None
    taken = _TAKEN.get(kind, _ALWAYS_TAKEN)
    if kind in _ON_TRIAL:
        if kind is Kind.OPENED:
            is_machine = _opened_by_machine(item)
        elif kind is Kind.CLICKED:
            url, is_machine = optional_text(item.get("url")), _by_agent(item)
        else:
            reason, taken = _reason(item, kind)
            bounce_class = _bounce_class(item, reason) if kind is Kind.BOUNCED else None
    attributes = _attributes(item, taken)
    ours = _ours(item, attributes)
    return Event(
        event_id=optional_text(item.get("sg_event_id"))
        or fact_id(name, kind=kind, message_id=message_id, recipient=recipient, occurred_at=occurred_at, url=url),
        kind=kind,
        occurred_at=occurred_at,
        received_at=received_at,
        channel=Channel.EMAIL,
        provider=name,
        message_id=message_id,
        recipient=recipient,
        bounce_class=bounce_class,
        is_machine=is_machine,
        url=url,
        reason=reason,
        attributes=attributes or None,
        **ours,
    )


def _kind(event: object) -> Kind:
    if not isinstance(event, str) or not event:
        raise BadEvent("kind missing", f"event is {text_of(event)!r:.80}, valid is a name")
    kind = VOCABULARY.get(event)
    if kind is None:
        raise BadEvent(f"unmapped: {event[:200]}", f"SendGrid's {event[:80]!r} has no kind here")
    return kind


def _occurred_ms(value: object, received_ms: int | None) -> int:
    """The event's time in ms: documented samples have seconds, seconds as text, and 13-digit milliseconds."""
    ms = value * 1000 if type(value) is int and value < _SECONDS_BELOW else epoch_ms_of(value)
    if not EARLIEST_MS <= ms < LATEST_MS or received_ms is None or ms > received_ms + AHEAD_MS:
        check_instants(ms, received_ms)
    return ms


_SECONDS_BELOW: Final = 10_000_000_000
_ROUTE_MARK: Final = re.compile(r"\.recvd|\.filter")


def _message_id(value: object) -> str | None:
    """The `X-Message-Id` of the send call: what stands before `.recvd` or `.filter`, else before the first dot."""
    text = optional_text(value)
    if text is None:
        return None
    mark = _ROUTE_MARK.search(text)
    return (text[: mark.start()] if mark else text.partition(".")[0]).strip("<>") or None


def _opened_by_machine(item: dict[str, Any]) -> bool | None:
    """SendGrid's flag (Apple's prefetch) decides, on opens only; else the user agent."""
    flag = item.get("sg_machine_open")
    if isinstance(flag, str):
        flag = {"true": True, "false": False}.get(flag.lower())
    return flag if isinstance(flag, bool) else _by_agent(item)


def _by_agent(item: dict[str, Any]) -> bool | None:
    agent = item.get("useragent")
    return machine_by_agent(agent) if isinstance(agent, str) else None


def _reason(item: dict[str, Any], kind: Kind) -> tuple[str | None, frozenset[str]]:
    """The readable cause, and the fields that are no attributes then: deferrals give it in `response`."""
    field = "response" if kind is Kind.DEFERRED and not item.get("reason") else "reason"
    return optional_text(item.get(field)), _TAKEN_WITH[field]


def _bounce_class(item: dict[str, Any], reason: str | None) -> BounceClass:
    """`type` decides, a status 4.x.x softens a bounce; without a type the enhanced code has its say."""
    kind_of_bounce = item.get("type")
    known = _BOUNCE_TYPES.get(kind_of_bounce) if isinstance(kind_of_bounce, str) else None
    status = optional_text(item.get("status")) or ""
    if known is None:
        by_code = class_by_code(status) or class_by_code(reason or "")
        if by_code is not None:
            return by_code
    if known is BounceClass.BLOCK:
        return known
    return BounceClass.SOFT if status.startswith("4") else BounceClass.HARD


def _ours(item: dict[str, Any], attributes: dict[str, str]) -> dict[str, str]:
    """Our own keys among the top-level ones; empty text counts as absent, lists and objects are but attributes."""
    ours: dict[str, str] = {}
    for key in OUR_KEYS:
        if key in item:
            value = item[key]
            if value.__class__ is str:  # the usual case first: this runs eight times an event
                if value:
                    ours[key] = value
            elif isinstance(value, (list, dict)):
                attributes[key] = text_of(value)
            elif value is not None:
                ours[key] = text_of(value)
    return ours


def _attributes(item: dict[str, Any], taken: frozenset[str]) -> dict[str, str]:
    """Everything else as text: SendGrid's own campaign notions, codes, place and categories, and unknown arguments."""
    return {
        key: value if value.__class__ is str else text_of(value)
        for key, value in item.items()
        if key not in taken and value is not None
    }
