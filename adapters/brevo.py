"""Brevo (formerly Sendinblue): single events, or batches of up to 500, unsigned.

Facts are from Brevo's pages "Transactional webhooks" and "Secure webhook calls", at
https://developers.brevo.com/docs/transactional-webhooks. Nothing is signed: a bearer token, a custom header or basic auth
in the URL has to protect the endpoint. The mail header `X-Mailin-custom` comes back as JSON text under that name.
"""

from typing import Any, Final

from adapters.bounces import REFUSALS, add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_credentials, needs_signature
from adapters.reading import (
    Receipt,
    address_of,
    attributes_of,
    bare_id,
    batch_of,
    by_agent,
    custom_object,
    event_of,
    handed_back,
    inner,
    kind_of,
    object_of,
    occurred_ms,
    read_items,
    receipt_of,
    said_by_code,
    whole_rejected,
    with_sender,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent

name: str = "brevo"

VOCABULARY: Final[dict[str, Kind]] = {
    "request": Kind.QUEUED,
    "delivered": Kind.DELIVERED,
    "deferred": Kind.DEFERRED,  # may carry a 550 all the same: Brevo goes on trying
    "hard_bounce": Kind.BOUNCED,
    "invalid_email": Kind.BOUNCED,  # the address cannot exist
    "soft_bounce": Kind.BOUNCED,
    "blocked": Kind.REJECTED,  # on Brevo's own block list
    "error": Kind.FAILED,
    "opened": Kind.OPENED,
    "unique_opened": Kind.OPENED,
    "proxy_open": Kind.OPENED,  # Apple's and other proxies: a machine
    "unique_proxy_open": Kind.OPENED,
    "click": Kind.CLICKED,
    "spam": Kind.COMPLAINED,
    "complaint": Kind.COMPLAINED,
    "unsubscribed": Kind.UNSUBSCRIBED,
    "unsubscribe": Kind.UNSUBSCRIBED,
}
_CLASSES: Final = {
    "hard_bounce": BounceClass.HARD,
    "invalid_email": BounceClass.HARD,
    "soft_bounce": BounceClass.SOFT,
}
FAMILIES: Final[dict[str, str]] = {"invalid_email": "mailbox"}
"""Brevo has no classes beside its names: the receiver's answer in `reason` tells the rest."""
_MACHINES: Final = {"proxy_open", "unique_proxy_open"}
_CUSTOM: Final = "X-Mailin-custom"
_TAKEN: Final = frozenset({"event", "email", "message-id", "ts_epoch", "ts_event", _CUSTOM, "reason"})
_CLICKED: Final = _TAKEN | {"link"}


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks bearer token, headers or basic auth: Brevo signs nothing.

    Raises:
        RequestRefused: 401 for bad or missing credentials, 403 where none are set.
    """
    del now_ms
    needs_signature(name, "bearer_tokens", (), settings)
    check_credentials(request, settings)


def parse(request: RawRequest) -> Parsed:
    """One event or one dead letter per item; never raises."""
    try:
        body = batch_of(request.body)
        if isinstance(body, dict) and isinstance(body.get("items"), list):
            return read_mails(body["items"], receipt_of(request), _inbound)
        items = body if isinstance(body, list) else [object_of(body)]
    except BadEvent as bad:
        return whole_rejected(request, bad)
    return read_items(items, receipt_of(request), _event)


def _inbound(told: object) -> Inbound:
    """A mail; its attachments have to be fetched from the API."""
    item = object_of(told)
    ids, recipients, files = item.get("Uuid"), item.get("Recipients"), item.get("Attachments")
    first = recipients[0] if isinstance(recipients, list) and recipients else None
    names = [str(one.get("Name")) for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    headers = pairs_of(item.get("Headers"))
    for header, field in (("Message-ID", "MessageId"), ("In-Reply-To", "InReplyTo"), ("Date", "SentAtDate")):
        if isinstance(item.get(field), str) and header.lower() not in {key.lower() for key, _ in headers}:
            headers.append((header, item[field]))
    return Inbound(
        provider=name,
        sender=optional_text(inner(item, "From").get("Address")),
        subject=optional_text(item.get("Subject")),
        text=optional_text(item.get("RawTextBody")) or optional_text(item.get("ExtractedMarkdownMessage")),
        html=optional_text(item.get("RawHtmlBody")),
        headers=headers,
        recipient=optional_text(first.get("Address")) if isinstance(first, dict) else optional_text(first),
        event_id=optional_text(ids[0]) if isinstance(ids, list) and ids else None,
        attributes={"attachments": ", ".join(names)} if names else {},
    )


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    event = item.get("event")
    kind = kind_of(name, event, VOCABULARY)
    # `date` and `ts` are in the account's time zone; `ts` is only better than nothing.
    at_ms = occurred_ms(item.get("ts_epoch") or item.get("ts_event") or item.get("ts"), receipt)
    url = is_machine = bounce_class = None
    reason = (optional_text(item.get("reason")) or "").strip() or None
    if kind is Kind.OPENED:
        is_machine = event in _MACHINES
    elif kind is Kind.CLICKED:
        url, is_machine = optional_text(item.get("link")), by_agent(item.get("user_agent"))
    elif kind is Kind.BOUNCED:
        bounce_class = said_by_code(_CLASSES[str(event)], reason)
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    if kind in REFUSALS:
        add_family(attributes, kind, FAMILIES.get(str(event)), bounce_class, reason)
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=None,
        message_id=bare_id(item.get("message-id")),
        recipient=address_of(item.get("email")),
        attributes=attributes,
        ours=with_sender(handed_back(custom_object(item.get(_CUSTOM)), attributes), item.get("sender_email")),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )
