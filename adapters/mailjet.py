"""Mailjet (Sinch): events grouped in arrays or alone, unsigned.

Facts are from Mailjet's guide "Event API (webhooks)" and its reference of errors, at
https://dev.mailjet.com/email/guides/webhooks/. Nothing is signed, so basic auth in the URL has to protect the endpoint.
What was given as `EventPayload` at sending comes back as `Payload`, JSON text; `CustomID` is one id of ours.
"""

from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_credentials, needs_signature
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    batch_of,
    by_agent,
    custom_object,
    event_of,
    handed_back,
    kind_of,
    object_of,
    occurred_ms,
    read_items,
    receipt_of,
    said_by_code,
    whole_rejected,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent

name: str = "mailjet"

VOCABULARY: Final[dict[str, Kind]] = {
    "sent": Kind.DELIVERED,  # the receiver's server has taken it; Mailjet tells nothing before
    "open": Kind.OPENED,
    "click": Kind.CLICKED,
    "bounce": Kind.BOUNCED,  # greylisted and not hard: deferred
    "blocked": Kind.REJECTED,  # never tried: preblocked, duplicate, earlier bounces
    "spam": Kind.COMPLAINED,
    "unsub": Kind.UNSUBSCRIBED,
}
FAMILIES: Final[dict[str, str]] = {
    # `error`, from the guide's table of errors …
    "user unknown": "mailbox",
    "mailbox inactive": "mailbox",
    "quota exceeded": "mailbox",
    "invalid domain": "domain",
    "no mail host": "domain",
    "typofix": "domain",  # the domain is misspelled
    "relay/access denied": "policy",
    "greylisted": "throttle",
    "blacklisted": "policy",  # a recipient on the sender's own list
    "spam reporter": "policy",
    "sender blocked": "reputation",
    "content blocked": "content",
    "policy issue": "policy",
    # … and what it is related to; system, protocol and connection issues leave it to the receiver's answer.
    "recipient": "mailbox",
    "domain": "domain",
    "content": "content",
    "policy": "policy",
    "spam": "reputation",
}
_TAKEN: Final = frozenset({"event", "time", "MessageID", "email", "Payload", "CustomID"})
_CLICKED: Final = _TAKEN | {"url"}
_CAUSES: Final = frozenset({Kind.BOUNCED, Kind.REJECTED, Kind.DEFERRED})


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks basic auth, bearer token or headers: Mailjet signs nothing.

    Raises:
        RequestRefused: 401 for bad or missing credentials, 403 where none are set.
    """
    del now_ms
    needs_signature(name, "basic_auth", (), settings)
    check_credentials(request, settings)


def parse(request: RawRequest) -> Parsed:
    """One event or one dead letter per item; never raises."""
    try:
        body = batch_of(request.body)
        if isinstance(body, dict) and "event" not in body and body.keys() & {"Text-part", "Html-part", "Parts"}:
            return read_mails([body], receipt_of(request), _inbound)
        items = body if isinstance(body, list) else [object_of(body)]
    except BadEvent as bad:
        return whole_rejected(request, bad)
    return read_items(items, receipt_of(request), _event)


def _inbound(item: dict[str, Any]) -> Inbound:
    """A mail of the Parse API."""
    files = sorted(key for key in item if key.startswith("Attachment"))
    return Inbound(
        provider=name,
        sender=optional_text(item.get("From")) or optional_text(item.get("Sender")),
        subject=optional_text(item.get("Subject")),
        text=optional_text(item.get("Text-part")),
        html=optional_text(item.get("Html-part")),
        headers=pairs_of(item.get("Headers")),
        recipient=optional_text(item.get("Recipient")),
        attributes={"attachments": ", ".join(files)} if files else {},
    )


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    kind = kind_of(name, item.get("event"), VOCABULARY)
    at_ms = occurred_ms(item.get("time"), receipt)
    url = is_machine = bounce_class = reason = None
    if kind is Kind.BOUNCED:
        kind, bounce_class = _bounce(item)
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    if kind in _CAUSES:
        comment, error = optional_text(item.get("comment")), optional_text(item.get("error"))
        reason = comment or error
        add_family(attributes, kind, _family(item), bounce_class, comment, error)
    elif kind is Kind.OPENED or kind is Kind.CLICKED:
        is_machine = by_agent(item.get("agent"))
        url = optional_text(item.get("url")) if kind is Kind.CLICKED else None
        add_client(attributes, item.get("ip"), item.get("agent"))
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=None,
        message_id=optional_text(item.get("MessageID")),
        recipient=address_of(item.get("email")),
        attributes=attributes,
        ours=_ours(item, attributes),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


def _ours(item: dict[str, Any], attributes: dict[str, str]) -> dict[str, str]:
    ours = handed_back(custom_object(item.get("Payload")), attributes)
    custom_id = optional_text(item.get("CustomID"))
    if custom_id and "delivery_id" not in ours:
        ours["delivery_id"] = custom_id
    return ours


def _family(item: dict[str, Any]) -> str | None:
    told = (item.get("error"), item.get("error_related_to"))
    return next((found for one in told if (found := FAMILIES.get(str(one).lower()))), None)


def _bounce(item: dict[str, Any]) -> tuple[Kind, BounceClass | None]:
    """`hard_bounce`, then what the error is related to, then the code in the receiver's words."""
    hard = item.get("hard_bounce")
    is_hard = hard is True or hard in ("true", "1", 1)  # a tuple: what JSON holds need not be hashable
    if item.get("error") == "greylisted" and not is_hard:
        return Kind.DEFERRED, None
    known = BounceClass.HARD if is_hard else BounceClass.SOFT
    if not is_hard and item.get("error_related_to") == "spam":
        known = BounceClass.BLOCK
    return Kind.BOUNCED, said_by_code(known, optional_text(item.get("comment")))
