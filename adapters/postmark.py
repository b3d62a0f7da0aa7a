"""Postmark: one event a request, unsigned.

Facts are from Postmark's developer pages "Webhooks overview", one page a webhook (bounce, delivery, open, click, spam
complaint, subscription change) and "Bounce API: bounce types", at https://postmarkapp.com/developer/webhooks. Nothing is
signed, whatever header some code looks for: basic auth in the URL or custom headers have to protect the endpoint.
`Metadata` hands our data back.
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
    unmapped,
    whole_rejected,
    with_sender,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent

name: str = "postmark"

TRACE_HEADER: Final = "x-pm-webhook-trace-id"
"""Stays the same over retries of one request."""

VOCABULARY: Final[dict[str, Kind]] = {
    "Delivery": Kind.DELIVERED,
    "Open": Kind.OPENED,
    "Click": Kind.CLICKED,
    "SpamComplaint": Kind.COMPLAINED,
    "Bounce": Kind.BOUNCED,  # by its Type, see BOUNCES
    "SubscriptionChange": Kind.UNSUBSCRIBED,  # by its SuppressionReason, see SUPPRESSIONS
}
_HARD, _SOFT, _BLOCK = ((Kind.BOUNCED, found) for found in (BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK))
BOUNCES: Final[dict[str, tuple[Kind, BounceClass | None]]] = {
    "HardBounce": _HARD,
    "SoftBounce": _SOFT,
    "Transient": (Kind.DEFERRED, None),  # Postmark goes on trying
    "DnsError": (Kind.DEFERRED, None),
    "Blocked": _BLOCK,
    "DMARCPolicy": _BLOCK,
    "SpamNotification": _BLOCK,
    "VirusNotification": _BLOCK,
    "BadEmailAddress": (Kind.REJECTED, None),  # never tried
    "ManuallyDeactivated": (Kind.REJECTED, None),
    "Unconfirmed": (Kind.REJECTED, None),
    "Unsubscribe": (Kind.UNSUBSCRIBED, None),
    "SMTPApiError": (Kind.FAILED, None),
    "TemplateRenderingFailed": (Kind.FAILED, None),
    "SpamComplaint": (Kind.COMPLAINED, None),
    # Subscribe, AutoResponder, AddressChange, ChallengeVerification, OpenRelayTest, InboundError, Unknown: unmapped.
}
SUPPRESSIONS: Final[dict[str, tuple[Kind, BounceClass | None]]] = {
    "ManualSuppression": (Kind.UNSUBSCRIBED, None),
    "HardBounce": _HARD,
    "SpamComplaint": (Kind.COMPLAINED, None),
}
FAMILIES: Final[dict[str, str]] = {
    # A bounce's `Type`, from Postmark's page "Bounce types"; hard, soft and transient leave it to the receiver's answer.
    "DnsError": "domain",
    "Blocked": "reputation",  # by the receiver, for content or a blocklist
    "DMARCPolicy": "policy",
    "SpamNotification": "content",
    "VirusNotification": "content",
    "BadEmailAddress": "mailbox",
}
_TIMES: Final = {
    "Delivery": "DeliveredAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SpamComplaint": "BouncedAt",
    "Bounce": "BouncedAt",
    "SubscriptionChange": "ChangedAt",
}
_TAKEN: Final = frozenset({"RecordType", "MessageID", "Recipient", "Email", "Metadata", "From", *_TIMES.values()})
_CLICKED: Final = _TAKEN | {"OriginalLink"}


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks basic auth, bearer token or headers: Postmark signs nothing.

    Raises:
        RequestRefused: 401 for bad or missing credentials, 403 where none are set.
    """
    del now_ms
    needs_signature(name, "basic_auth", (), settings)
    check_credentials(request, settings)


def parse(request: RawRequest) -> Parsed:
    """The event, or a dead letter; never raises."""
    try:
        body = body_of(request)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    if isinstance(body, dict) and "RecordType" not in body and "FromFull" in body:
        return read_mails([body], receipt_of(request), _inbound)
    trace = request.headers.get(TRACE_HEADER)
    return read_items([body], receipt_of(request), lambda item, receipt: _event(item, receipt, trace))


def _inbound(item: dict[str, Any]) -> Inbound:
    """A mail; the mail's own Message-ID is among its headers, `MessageID` is Postmark's."""
    whole = item.get("RawEmail")
    files = item.get("Attachments")
    names = [str(one.get("Name")) for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    headers = pairs_of(item.get("Headers"))
    if isinstance(item.get("Date"), str):
        headers.append(("Date", item["Date"]))
    return Inbound(
        provider=name,
        mime=whole.encode("utf-8", "surrogateescape") if isinstance(whole, str) and whole else None,
        sender=optional_text(inner(item, "FromFull").get("Email")) or optional_text(item.get("From")),
        subject=optional_text(item.get("Subject")),
        text=optional_text(item.get("TextBody")),
        html=optional_text(item.get("HtmlBody")),
        headers=headers,
        recipient=optional_text(item.get("OriginalRecipient")),
        event_id=optional_text(item.get("MessageID")),
        attributes={"attachments": ", ".join(names)} if names else {},
        delivery_hint=optional_text(item.get("MailboxHash")),
    )


def _event(told: Any, receipt: Receipt, trace: str | None) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    record = item.get("RecordType")
    kind = kind_of(name, record, VOCABULARY)
    kind, bounce_class = _outcome(item, str(record), kind)
    at_ms = occurred_ms(item.get(_TIMES[str(record)]), receipt)
    url = is_machine = reason = None
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    if kind is Kind.OPENED or kind is Kind.CLICKED:
        is_machine = by_agent(item.get("UserAgent"))
        url = optional_text(item.get("OriginalLink")) if kind is Kind.CLICKED else None
        add_client(attributes, inner(item, "Geo").get("IP"), item.get("UserAgent"))
    elif kind is not Kind.DELIVERED:  # there `Details` is the receiver's thanks, and no cause of anything
        details = optional_text(item.get("Details"))
        reason = details or optional_text(item.get("Description"))
        add_family(attributes, kind, FAMILIES.get(str(item.get("Type"))), bounce_class, details)
    own_id = optional_text(item.get("ID")) if record in {"Bounce", "SpamComplaint"} else None
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=own_id or trace,
        message_id=bare_id(item.get("MessageID")),
        recipient=address_of(item.get("Recipient")) or address_of(item.get("Email")),
        attributes=attributes,
        ours=with_sender(handed_back(inner(item, "Metadata"), attributes), item.get("From")),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


def _outcome(item: dict[str, Any], record: str, kind: Kind) -> tuple[Kind, BounceClass | None]:
    """What a record's own types make of it: a bounce's `Type` (never its `TypeCode`: the pages disagree on the numbers).

    Raises:
        BadEvent: a type that is none of ours.
    """
    if record == "Bounce":
        return _typed(item.get("Type"), BOUNCES, record)
    if record == "SubscriptionChange":
        if str(item.get("SuppressSending")).lower() != "true":  # somebody may be written to again
            raise unmapped(name, record)
        return _typed(item.get("SuppressionReason"), SUPPRESSIONS, record)
    return kind, None


def _typed(
    told: object, table: dict[str, tuple[Kind, BounceClass | None]], record: str
) -> tuple[Kind, BounceClass | None]:
    found = table.get(told) if isinstance(told, str) else None
    if found is None:
        raise unmapped(name, told if isinstance(told, str) and told else record)
    return found
