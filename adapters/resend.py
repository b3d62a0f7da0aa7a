"""Resend: one event a request, delivered by Svix and signed as Standard Webhooks say.

Facts are from Resend's pages "Managing webhooks", "Event types" and "Verify webhooks requests", at
https://resend.com/docs/dashboard/webhooks, and from the specification at https://www.standardwebhooks.com. Their Python
helpers check against the wall clock and read bodies as UTF-8 text: a recorded request could not be checked again with
them, and a body of other bytes not at all, so the ten lines of the scheme stand here.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_age, check_credentials, decoded_base64, needs_signature, same, signed_ms
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    bare_id,
    body_of,
    by_agent,
    event_of,
    handed_back,
    inner,
    kind_of,
    object_of,
    occurred_ms,
    read_items,
    receipt_of,
    said_by_code,
    time_text,
    whole_rejected,
    with_sender,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused

name: str = "resend"

WINDOW_MS: Final = 5 * 60 * 1000
"""How old, or how far ahead, a signature may be: the scheme's own tolerance. Retries are signed anew."""
_HEADERS: Final = ("svix", "webhook")

VOCABULARY: Final[dict[str, Kind]] = {
    "email.scheduled": Kind.QUEUED,
    "email.sent": Kind.SENT,
    "email.delivered": Kind.DELIVERED,
    "email.delivery_delayed": Kind.DEFERRED,
    "email.bounced": Kind.BOUNCED,  # subtypes of a suppression: rejected
    "email.complained": Kind.COMPLAINED,
    "email.opened": Kind.OPENED,
    "email.clicked": Kind.CLICKED,
    "email.failed": Kind.FAILED,
    "email.suppressed": Kind.REJECTED,
    # contact.* and domain.* are no messages: unmapped.
}
_CLASSES: Final = {
    "Permanent": BounceClass.HARD,
    "Transient": BounceClass.SOFT,
    "Temporary": BounceClass.SOFT,
    "Undetermined": BounceClass.SOFT,
}
_SUPPRESSED: Final = frozenset({"Suppressed", "OnAccountSuppressionList"})
FAMILIES: Final[dict[str, str]] = {
    # `bounce.subType`, which are those of Amazon SES; General and Undetermined leave it to the receiver's answer.
    "NoEmail": "mailbox",
    "MailboxFull": "mailbox",
    "MessageTooLarge": "content",
    "ContentRejected": "content",
    "AttachmentRejected": "content",
    "Suppressed": "mailbox",  # bounced before
    "OnAccountSuppressionList": "mailbox",
}
_TAKEN: Final = frozenset({"email_id", "to", "tags", "from", "created_at"})


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the HMAC-SHA256 over id, timestamp and raw body, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad, missing or stale proof, 403 where no secret is set.
    """
    if needs_signature(name, "signing_secrets", settings.signing_secrets, settings):
        _check_signature(request, settings.signing_secrets, now_ms)
    check_credentials(request, settings)


def _check_signature(request: RawRequest, secrets: Sequence[str], now_ms: int) -> None:
    message_id, timestamp, signatures = _proof(request)
    keys = [key for secret in secrets if (key := decoded_base64(secret.removeprefix("whsec_")))]
    if not keys:
        raise RequestRefused(f"[providers.{name}] signing_secrets holds no secret that can be read", status=403)
    check_age(signed_ms(timestamp, "the signature's timestamp"), now_ms, WINDOW_MS, WINDOW_MS)
    signed = b".".join((message_id.encode(), timestamp.encode(), request.body))
    expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    given = [found for text in signatures.split(" ") if (found := _version_one(text)) is not None]
    if not sum(same(one, other) for one in given for other in expected):
        raise RequestRefused("the signature does not fit the body and any of the secrets")


def _proof(request: RawRequest) -> tuple[str, str, str]:
    """Id, timestamp and signatures from either family of headers."""
    for family in _HEADERS:
        found = [request.headers.get(f"{family}-{part}", "").strip() for part in ("id", "timestamp", "signature")]
        if all(found):
            return found[0], found[1], found[2]
    raise RequestRefused("the headers svix-id, svix-timestamp and svix-signature are missing")


def _version_one(text: str) -> bytes | None:
    version, _, signature = text.partition(",")
    return decoded_base64(signature) if version == "v1" else None


def replay_key(request: RawRequest) -> bytes | None:
    """The message's id: a retry has the same one, and the signature covers it."""
    found = _message_id(request)
    return found.encode() if found else None


def _message_id(request: RawRequest) -> str | None:
    """The id of the family of headers that is signed: another one beside it could be anybody's."""
    try:
        return _proof(request)[0]
    except RequestRefused:
        return next((found for family in _HEADERS if (found := request.headers.get(f"{family}-id"))), None)


def parse(request: RawRequest) -> Parsed:
    """One event a recipient, or a dead letter; never raises."""
    try:
        body = body_of(request)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    event_id = _message_id(request)
    if isinstance(body, dict) and body.get("type") == "email.received":
        found = read_mails([body], receipt_of(request), lambda item: _inbound(item, receipt_of(request), event_id))
        return Parsed(found.events, [], found.rejected)  # the text has to be fetched from the API: nothing is read here
    return read_items([body], receipt_of(request), lambda item, receipt: list(_events(item, receipt, event_id)))


def _inbound(item: dict[str, Any], receipt: Receipt, event_id: str | None) -> Inbound:
    """A mail's metadata."""
    data = inner(item, "data")
    received = _recipients(data.get("received_for")) + _recipients(data.get("to"))
    headers = [*pairs_of(data.get("headers")), ("Message-ID", str(data.get("message_id") or ""))]
    return Inbound(
        provider=name,
        sender=optional_text(data.get("from")),
        subject=optional_text(data.get("subject")),
        headers=headers,
        recipient=next((one for one in received if one), None),
        at_ms=occurred_ms(time_text(item.get("created_at")), receipt),
        event_id=event_id,
        attributes={"email_id": str(data["email_id"])} if data.get("email_id") else {},
    )


def _events(told: Any, receipt: Receipt, event_id: str | None) -> Iterator[Event]:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    kind = kind_of(name, item.get("type"), VOCABULARY)
    data = inner(item, "data")
    attributes = attributes_of(data, _TAKEN)
    kind, bounce_class, reason = _outcome(kind, data, attributes)
    click = inner(data, "click") if kind is Kind.CLICKED else {}
    # The mail's own created_at lies in `data`; the event's stands beside it.
    at_ms = occurred_ms(time_text(click.get("timestamp") or item.get("created_at")), receipt)
    if click:
        add_client(attributes, click.get("ipAddress"), click.get("userAgent"))
    ours = with_sender(handed_back(_tags(data.get("tags")), attributes), data.get("from"))
    for recipient in _recipients(data.get("to")):
        yield event_of(
            name,
            receipt,
            kind=kind,
            at_ms=at_ms,
            event_id=event_id,
            message_id=bare_id(data.get("email_id")),
            recipient=recipient,
            attributes=attributes,
            ours=ours,
            url=optional_text(click.get("link")),
            is_machine=by_agent(click.get("userAgent")),  # opens have no user agent
            bounce_class=bounce_class,
            reason=reason,
        )


def _recipients(told: object) -> list[str | None]:
    """With several recipients the payload does not say whom it is about: about all."""
    told = [told] if isinstance(told, str) else told
    found: list[str | None] = [address_of(one) for one in told] if isinstance(told, list) else []
    return [one for one in found if one] or [None]


def _outcome(
    kind: Kind, data: dict[str, Any], attributes: dict[str, str]
) -> tuple[Kind, BounceClass | None, str | None]:
    """Kind, class and readable cause; the family of a refusal joins the attributes."""
    if kind is Kind.FAILED:
        return kind, None, optional_text(inner(data, "failed").get("reason"))
    if kind is Kind.REJECTED:
        return kind, None, optional_text(inner(data, "suppressed").get("message"))
    if kind is not Kind.BOUNCED:
        return kind, None, None
    bounce = inner(data, "bounce")
    codes = bounce.get("diagnosticCode")
    texts = [one for one in codes if isinstance(one, str)] if isinstance(codes, list) else [optional_text(codes)]
    reason = optional_text(bounce.get("message")) or next((one for one in texts if one), None)
    told, sub_type = bounce.get("type"), str(bounce.get("subType"))
    bounce_class = None
    if sub_type in _SUPPRESSED:
        kind = Kind.REJECTED
    else:
        known = _CLASSES.get(told) if isinstance(told, str) else None
        bounce_class = said_by_code(known, *texts)
    add_family(attributes, kind, FAMILIES.get(sub_type), bounce_class, *texts, reason)
    return kind, bounce_class, reason


def _tags(told: object) -> dict[str, Any]:
    """The tags as a map: an object, in older payloads a list of names and values."""
    if isinstance(told, list):
        pairs = [(one.get("name"), one.get("value")) for one in told if isinstance(one, dict)]
        told = {key: value for key, value in pairs if isinstance(key, str)}
    return told if isinstance(told, dict) else {}
