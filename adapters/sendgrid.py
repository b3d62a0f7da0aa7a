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

from adapters.bounces import add_family, read_bounce
from adapters.contract import Parsed, ProofSettings
from adapters.facts import OUR_KEYS, bare_address, machine_by_agent, optional_text
from adapters.forms import fields_of
from adapters.inbound import Inbound, lines_of, read_mails
from adapters.mime import in_charset
from adapters.proofs import (
    check_age,
    check_credentials,
    decoded_base64,
    needs_signature,
    required_header,
    signed_ms,
)
from adapters.reading import (
    Receipt,
    add_client,
    attributes_of,
    batch_of,
    custom_object,
    event_of,
    kind_of,
    object_of,
    occurred_ms,
    our_keys,
    read_items,
    receipt_of,
    whole_rejected,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused

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
FAMILIES: Final[dict[str, str]] = {
    # `bounce_classification`, from Twilio's page "Bounce and Block Classifications".
    "invalid address": "mailbox",
    "mailbox unavailable": "mailbox",
    "technical": "domain",  # DNS, connection, the receiver's own faults
    "content": "content",
    "reputation": "reputation",
    "frequency or volume too high": "throttle",
    # Unclassified tells nothing.
}

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
    inbound = _is_inbound(request)
    setting = "inbound_public_keys" if inbound else "public_keys"
    keys = settings.inbound_public_keys if inbound else settings.public_keys
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
    if _is_inbound(request):
        return _inbound(request)
    try:
        return read_items(_items(batch_of(request.body)), receipt_of(request), _event)
    except BadEvent as bad:
        return whole_rejected(request, bad)


def _is_inbound(request: RawRequest) -> bool:
    """Whether it is Inbound Parse: by its URL, or as a multipart form, which events never are."""
    return request.inbound or request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _inbound(request: RawRequest) -> Parsed:
    """Inbound Parse: a form whose fields have a charset each, or the whole mail in `email`."""
    fields, files = fields_of(request)
    form = dict(fields)
    if not form.keys() & {"email", "from", "headers"}:
        bad = BadEvent("not a mail", "the form has no field email, from or headers")
        return whole_rejected(request, bad)
    charsets = custom_object(form.get("charsets", b"").decode("utf-8", "replace"))

    def text(field: str) -> str | None:
        charset = charsets.get(field)
        return in_charset(form[field], charset if isinstance(charset, str) else None) if field in form else None

    envelope = custom_object(text("envelope"))
    recipients = envelope.get("to") if isinstance(envelope.get("to"), list) else []
    attributes = {name: value for name in ("spam_score", "SPF", "dkim") if (value := text(name))}
    if files:
        attributes["attachments"] = ", ".join(upload.filename for _, upload in files)
    mail = Inbound(
        provider=name,
        mime=form.get("email"),
        sender=text("from"),
        subject=text("subject"),
        text=text("text"),
        html=text("html"),
        headers=lines_of(text("headers") or ""),
        recipient=next((one for one in recipients or [] if isinstance(one, str)), None),
        attributes=attributes,
    )
    return read_mails([None], receipt_of(request), lambda _: mail)


def _items(body: Any) -> list[Any]:  # noqa: ANN401 - JSON is anything
    if isinstance(body, dict) and "event" in body:
        return [body]
    if isinstance(body, list):
        return body
    raise BadEvent("not an array", f"a JSON {type(body).__name__}, valid is an array of events")


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    """One event of a batch.

    Raises:
        BadEvent: unknown name, no object, no time or an impossible one.
    """
    item = object_of(told)
    kind = kind_of(name, item.get("event"), VOCABULARY)
    at_ms = occurred_ms(item.get("timestamp"), receipt)
    email = optional_text(item.get("email"))
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
    attributes = attributes_of(item, taken)
    if kind in _ON_TRIAL:
        if kind is Kind.OPENED or kind is Kind.CLICKED:
            add_client(attributes, item.get("ip"), item.get("useragent"))
        else:
            told_family = FAMILIES.get(str(item.get("bounce_classification")).lower())
            add_family(attributes, kind, told_family, bounce_class, optional_text(item.get("status")), reason)
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=optional_text(item.get("sg_event_id")),
        message_id=_message_id(item.get("sg_message_id")),
        recipient=(bare_address(email) or None) if email else None,
        attributes=attributes,
        ours=our_keys(item, attributes),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


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
    """`type` decides, a status 4.x.x softens a bounce; without a type codes and words have their say."""
    told = item.get("type")
    known = _BOUNCE_TYPES.get(told) if isinstance(told, str) else None
    status = optional_text(item.get("status")) or ""
    if known is None:
        return read_bounce(f"{status} {reason or ''}", final=True).bounce_class or BounceClass.HARD
    if known is BounceClass.BLOCK:
        return known
    return BounceClass.SOFT if status.startswith("4") else BounceClass.HARD
