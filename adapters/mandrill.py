"""Mandrill (Mailchimp Transactional): batches of up to 1,000 events in one form field, signed with HMAC-SHA1.

Facts are from Mailchimp's Transactional pages "About webhooks", "Authenticating webhook requests", "Tracking message
events" and "Inbound email", at https://mailchimp.com/developer/transactional/guides/. The signature covers the webhook's
URL as configured and every field of the form. `msg.metadata` hands our data back; PHP writes it `[]` when it is empty.
"""

import base64
import hashlib
import hmac
from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.forms import fields_of
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_credentials, needs_signature, required_header, same
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    bare_id,
    batch_of,
    by_agent,
    event_of,
    handed_back,
    inner,
    joined,
    kind_of,
    object_of,
    occurred_ms,
    read_items,
    receipt_of,
    said_by_code,
    unmapped,
    whole_rejected,
    with_sender,
)
from schemas.decode import load_json
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused

name: str = "mandrill"

SIGNATURE_HEADER: Final = "X-Mandrill-Signature"
FIELD: Final = "mandrill_events"
TEST_KEY: Final = "test-webhook"
"""What Mandrill signs the empty array with when a webhook is saved; public, so good for nothing else."""

VOCABULARY: Final[dict[str, Kind]] = {
    "send": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "deferral": Kind.DEFERRED,
    "hard_bounce": Kind.BOUNCED,
    "soft_bounce": Kind.BOUNCED,
    "reject": Kind.REJECTED,
    "open": Kind.OPENED,
    "click": Kind.CLICKED,
    "spam": Kind.COMPLAINED,
    "unsub": Kind.UNSUBSCRIBED,
    # Sync events (blacklist, whitelist …) have a type and no event: unmapped.
}
_CLASSES: Final = {"hard_bounce": BounceClass.HARD, "soft_bounce": BounceClass.SOFT}
FAMILIES: Final[dict[str, str]] = {
    # `bounce_description`, from Mailchimp's help on bounces; general, undetermined and transient leave it to `diag`.
    "bad_mailbox": "mailbox",
    "invalid_mailbox": "mailbox",
    "mailbox_full": "mailbox",
    "inactive_mailbox": "mailbox",
    "invalid_domain": "domain",
    "dns_failure": "domain",
    "timeout": "domain",
    "message_too_large": "content",
    "too_large": "content",
    "prohibited_attachment": "content",
    "spam_content": "content",
    "spam_block": "reputation",
    "mail_block": "reputation",
    "relay_denied": "policy",
    "relaying_denied": "policy",
    "challenge_response": "policy",
}
_CAUSES: Final = frozenset({Kind.BOUNCED, Kind.DEFERRED, Kind.REJECTED})
_TAKEN: Final = frozenset({"event", "ts", "_id", "msg"})
_CLICKED: Final = _TAKEN | {"url"}
_OF_MESSAGE: Final = frozenset({"_id", "email", "metadata", "sender", "ts"})


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the HMAC-SHA1 over the configured URL and the form's fields, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad or missing proof, 403 where no key or no URL is set.
    """
    del now_ms
    if request.method == "HEAD":  # whether the URL exists: unsigned, and nothing is read from it
        return
    if needs_signature(name, "webhook_keys", settings.webhook_keys, settings):
        if not settings.url:
            raise RequestRefused(
                f"no URL is set for {name}: set [providers.{name}] url to the webhook's URL exactly as Mandrill has it",
                status=403,
            )
        _check_signature(request, settings)
    check_credentials(request, settings)


def _check_signature(request: RawRequest, settings: ProofSettings) -> None:
    given = required_header(request, SIGNATURE_HEADER)
    fields = fields_of(request)[0]
    signed = settings.url.encode() + b"".join(key.encode() + value for key, value in sorted(fields))
    fitting = sum(same(_signature(key, signed), given) for key in settings.webhook_keys if key)
    if not fitting and fields == [(FIELD, b"[]")]:
        fitting = same(_signature(TEST_KEY, signed), given)
    if not fitting:
        raise RequestRefused("the signature does not fit the URL, the form and any of the keys")


def _signature(key: str, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha1).digest()).decode()


def replay_key(request: RawRequest) -> bytes | None:
    """The signature: it covers the whole form, so the same one is the same batch."""
    found = request.headers.get(SIGNATURE_HEADER.lower(), "")
    return found.encode("utf-8", "surrogatepass") + hashlib.sha256(request.body).digest() if found else None


def parse(request: RawRequest) -> Parsed:
    """One event or one dead letter per item of the batch; never raises."""
    if request.method == "HEAD":
        return Parsed()
    try:
        items = _items(request)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    receipt = receipt_of(request)
    if not any(_is_mail(item) for item in items):
        return read_items(items, receipt, _event)
    return joined(
        read_mails([item], receipt, lambda mail: _inbound(mail, receipt))
        if _is_mail(item)
        else read_items([item], receipt, _event)
        for item in items
    )


def _is_mail(item: object) -> bool:
    return isinstance(item, dict) and item.get("event") == "inbound"


def _inbound(item: dict[str, Any], receipt: Receipt) -> Inbound:
    """A mail, whole in `raw_msg`."""
    message = inner(item, "msg")
    whole = optional_text(message.get("raw_msg"))
    return Inbound(
        provider=name,
        mime=whole.encode("utf-8", "surrogateescape") if whole else None,
        sender=optional_text(message.get("from_email")),
        subject=optional_text(message.get("subject")),
        text=optional_text(message.get("text")),
        html=optional_text(message.get("html")),
        headers=pairs_of(message.get("headers")),
        recipient=optional_text(message.get("email")),
        at_ms=occurred_ms(item.get("ts"), receipt),
    )


def _items(request: RawRequest) -> list[Any]:
    field = next((value for key, value in fields_of(request)[0] if key == FIELD), request.body)
    body = load_json(field) if b"inbound" in field else batch_of(field)  # mails are told from events by their name
    if not isinstance(body, list):
        raise BadEvent("not an array", f"{FIELD} is a JSON {type(body).__name__}, valid is an array of events")
    return body


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    event = item.get("event")
    if event is None and isinstance(item.get("type"), str):
        raise unmapped(name, item["type"])
    kind = kind_of(name, event, VOCABULARY)
    at_ms = occurred_ms(item.get("ts"), receipt)
    message = inner(item, "msg")
    url = is_machine = bounce_class = reason = None
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    attributes |= attributes_of(message, _OF_MESSAGE)
    if kind in _CAUSES:
        diag, description = _answer(message), optional_text(message.get("bounce_description"))
        reason = diag or description or _rejection(message.get("reject"))
        bounce_class = said_by_code(_CLASSES[str(event)], diag) if kind is Kind.BOUNCED else None
        add_family(attributes, kind, FAMILIES.get(str(description).lower()), bounce_class, diag, description)
    elif kind is Kind.OPENED or kind is Kind.CLICKED:
        is_machine = by_agent(item.get("user_agent"))
        url = optional_text(item.get("url")) if kind is Kind.CLICKED else None
        add_client(attributes, item.get("ip"), item.get("user_agent"))
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=None,
        message_id=bare_id(item.get("_id")) or bare_id(message.get("_id")),
        recipient=address_of(message.get("email")),
        attributes=attributes,
        ours=with_sender(handed_back(inner(message, "metadata"), attributes), message.get("sender")),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


def _answer(message: dict[str, Any]) -> str | None:
    """What the receiver said: of a bounce in `diag`, of a deferral in the last of `smtp_events`."""
    told = optional_text(message.get("diag"))
    events = message.get("smtp_events")
    if told is None and isinstance(events, list) and events and isinstance(events[-1], dict):
        told = optional_text(events[-1].get("diag"))
    return told


def _rejection(told: object) -> str | None:
    return optional_text(told.get("reason")) if isinstance(told, dict) else optional_text(told)
