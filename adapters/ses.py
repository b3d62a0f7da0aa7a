"""Amazon SES through SNS: event publishing and the older feedback notifications, inside SNS's signed envelope.

Facts are from the SES developer guide ("Contents of event data that Amazon SES publishes to Amazon SNS", "Amazon SNS
notification contents for Amazon SES") and the SNS developer guide ("Verifying the signatures of Amazon SNS messages",
"HTTP/HTTPS headers and message formats"), at https://docs.aws.amazon.com. Message tags hand our data back. How an
envelope is proved stands in `adapters.sns`.
"""

from collections.abc import Iterator
from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_credentials, decoded_base64, needs_signature
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
    unmapped,
    whole_rejected,
    with_sender,
)
from adapters.sns import check_envelope, is_amazons
from schemas.decode import load_json
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent

name: str = "ses"

VOCABULARY: Final[dict[str, Kind]] = {
    "Send": Kind.SENT,
    "Delivery": Kind.DELIVERED,
    "Bounce": Kind.BOUNCED,  # suppressed: rejected
    "Complaint": Kind.COMPLAINED,  # suppressed: rejected; not-spam: unmapped
    "Reject": Kind.REJECTED,
    "Open": Kind.OPENED,
    "Click": Kind.CLICKED,
    "Rendering Failure": Kind.FAILED,
    "DeliveryDelay": Kind.DEFERRED,
    "Subscription": Kind.UNSUBSCRIBED,  # only when somebody opts out
}
_OBJECTS: Final = {
    "Send": "send",
    "Delivery": "delivery",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Open": "open",
    "Click": "click",
    "Rendering Failure": "failure",
    "DeliveryDelay": "deliveryDelay",
    "Subscription": "subscription",
}
_RECIPIENTS: Final = {
    "bounce": "bouncedRecipients",
    "complaint": "complainedRecipients",
    "delivery": "recipients",
    "deliveryDelay": "delayedRecipients",
}
_BOUNCES: Final = {
    ("Permanent", "General"): BounceClass.HARD,
    ("Permanent", "NoEmail"): BounceClass.HARD,
    ("Transient", "General"): BounceClass.SOFT,  # often an out-of-office
    ("Transient", "MailboxFull"): BounceClass.SOFT,
    ("Transient", "MessageTooLarge"): BounceClass.SOFT,
    ("Transient", "AttachmentRejected"): BounceClass.SOFT,
    ("Transient", "ContentRejected"): BounceClass.BLOCK,
    ("Undetermined", "Undetermined"): BounceClass.SOFT,
}
_BY_TYPE: Final = {"Permanent": BounceClass.HARD, "Transient": BounceClass.SOFT, "Undetermined": BounceClass.SOFT}
_SUPPRESSED: Final = frozenset({"Suppressed", "OnAccountSuppressionList"})
FAMILIES: Final[dict[str, str]] = {
    # `bounceSubType` and `delayType`, from the guide's tables "Bounce types" and "Delivery delay types"; General and
    # Undetermined leave it to the receiver's answer, InternalFailure and SendingDeferral are Amazon's own affair.
    "NoEmail": "mailbox",
    "MailboxFull": "mailbox",
    "MessageTooLarge": "content",
    "ContentRejected": "content",
    "AttachmentRejected": "content",
    "Suppressed": "mailbox",  # bounced before
    "OnAccountSuppressionList": "mailbox",
    "SpamDetected": "reputation",  # the receiver has seen a large amount of unsolicited mail from us
    "IPFailure": "reputation",  # the sending address is blocked or throttled
    "RecipientServerError": "domain",
    "TransientCommunicationFailure": "domain",
}
_TAKEN: Final = frozenset({"timestamp", "link", *_RECIPIENTS.values()})
_TAGS_HEADER: Final = "x-ses-message-tags"
_VALIDATION: Final = "Successfully validated SNS topic"


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the topic, SNS's signature and its certificate, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad or missing proof, 403 for a topic that is not allowed or where none is set.
        CertificateNeeded: the certificate is not at hand; the gateway fetches it.
    """
    if needs_signature(name, "topic_arns", settings.topic_arns, settings):
        check_envelope(request, settings, now_ms)
    check_credentials(request, settings)


def replay_key(request: RawRequest) -> bytes | None:
    """SNS's message id, which stays over retries, with the topic."""
    try:
        envelope = object_of(body_of(request))
    except BadEvent:
        return None
    parts = (optional_text(envelope.get("TopicArn")), optional_text(envelope.get("MessageId")))
    return "\x1f".join(part or "" for part in parts).encode("utf-8", "surrogatepass") if parts[1] else None


def confirmation_url(request: RawRequest, settings: ProofSettings) -> str | None:
    """The URL to visit where the request asks whether an allowed topic may post here."""
    if b"SubscriptionConfirmation" not in request.body:
        return None
    try:
        envelope = object_of(body_of(request))
    except BadEvent:
        return None
    url = envelope.get("SubscribeURL")
    asked = envelope.get("Type") == "SubscriptionConfirmation" and envelope.get("TopicArn") in settings.topic_arns
    return str(url) if asked and is_amazons(url) else None


def parse(request: RawRequest) -> Parsed:
    """One event a recipient, or a dead letter; subscriptions and their ends are nothing. Never raises."""
    try:
        envelope = object_of(body_of(request))
        if envelope.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
            return Parsed()
        told = _messages(envelope)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    if told and isinstance(told[0], dict) and told[0].get("notificationType") == "Received":
        return _received(told[0], request)
    event_id = optional_text(envelope.get("MessageId"))
    return read_items(told, receipt_of(request), lambda item, receipt: list(_events(item, receipt, event_id)))


def _received(item: dict[str, Any], request: RawRequest) -> Parsed:
    """A mail by a receipt rule: its text in `content`, or kept in S3, from where nothing is fetched here."""
    receipt, mail, action = receipt_of(request), inner(item, "mail"), inner(inner(item, "receipt"), "action")
    content = item.get("content")
    recipients = inner(item, "receipt").get("recipients")
    whole: bytes | None = None
    if isinstance(content, str):
        base64 = str(action.get("encoding")).upper() == "BASE64"
        whole = decoded_base64(content) if base64 else content.encode("utf-8", "surrogateescape")
    place: dict[str, str] = {key: str(action[key]) for key in ("bucketName", "objectKey") if key in action}

    def make(_: object) -> Inbound:
        return Inbound(
            provider=name,
            mime=whole,
            sender=optional_text(mail.get("source")),
            headers=pairs_of(mail.get("headers")),
            recipient=address_of(recipients[0]) if isinstance(recipients, list) and recipients else None,
            at_ms=occurred_ms(mail.get("timestamp"), receipt),
            event_id=optional_text(mail.get("messageId")),
            attributes=place,
        )

    found = read_mails([item], receipt, make)
    return found if whole is not None else Parsed(found.events, [], found.rejected)


def _messages(envelope: dict[str, Any]) -> list[Any]:
    """What SES says inside the envelope; nothing for SNS's own greeting."""
    message = envelope.get("Message")
    if message is None and ("eventType" in envelope or "notificationType" in envelope):
        return [envelope]  # a bare event, as `outpulse normalize` may be given one
    if not isinstance(message, str):
        raise BadEvent("not an object", "the envelope has no Message, valid is JSON text")
    if message.startswith(_VALIDATION):
        return []
    return [load_json(message.encode("utf-8", "surrogatepass"))]


def _events(told: Any, receipt: Receipt, event_id: str | None) -> Iterator[Event]:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    event = item.get("eventType") or item.get("notificationType")
    kind = kind_of(name, event, VOCABULARY)
    mail, about = inner(item, "mail"), inner(item, _OBJECTS[str(event)])
    at_ms = occurred_ms(about.get("timestamp") or mail.get("timestamp"), receipt)
    kind = _kind(kind, str(event), about)
    attributes = attributes_of(about, _TAKEN)
    tags = _tags(mail)
    ours = with_sender(handed_back(tags, attributes), mail.get("source"))
    engaged = kind is Kind.OPENED or kind is Kind.CLICKED
    if engaged:
        add_client(attributes, about.get("ipAddress"), about.get("userAgent"))
    told_family = FAMILIES.get(str(about.get("bounceSubType") or about.get("delayType")))
    for recipient, status, diagnostic in _recipients(str(event), about, mail):
        bounce_class = _bounce_class(about, status, diagnostic) if kind is Kind.BOUNCED else None
        own = attributes | ({"status": status} if status else {})
        add_family(own, kind, told_family, bounce_class, status, diagnostic)
        yield event_of(
            name,
            receipt,
            kind=kind,
            at_ms=at_ms,
            event_id=event_id,
            message_id=bare_id(mail.get("messageId")),
            recipient=recipient,
            attributes=own,
            ours=ours,
            url=optional_text(about.get("link")) if kind is Kind.CLICKED else None,
            is_machine=by_agent(about.get("userAgent")) if engaged else None,
            bounce_class=bounce_class,
            reason=None if engaged else diagnostic or _reason(about),
        )


def _kind(kind: Kind, event: str, about: dict[str, Any]) -> Kind:
    """What the event's own types make of it.

    Raises:
        BadEvent: no complaint, or no opting out, after all.
    """
    if kind is Kind.BOUNCED and str(about.get("bounceSubType")) in _SUPPRESSED:
        return Kind.REJECTED
    if kind is Kind.COMPLAINED:
        if about.get("complaintSubType") == "OnAccountSuppressionList":
            return Kind.REJECTED
        if about.get("complaintFeedbackType") == "not-spam":
            raise unmapped(name, event)
    if kind is Kind.UNSUBSCRIBED and not _opts_out(about):
        raise unmapped(name, event)
    return kind


def _opts_out(about: dict[str, Any]) -> bool:
    """Whether all mail is refused now, or a topic that was wanted before."""
    after, before = inner(about, "newTopicPreferences"), inner(about, "oldTopicPreferences")
    if after.get("unsubscribeAll") is True:
        return True
    wanted = {topic for topic, status in _topics(before) if status == "OptIn"}
    return any(topic in wanted and status == "OptOut" for topic, status in _topics(after))


def _topics(preferences: dict[str, Any]) -> list[tuple[str, str]]:
    found = preferences.get("topicSubscriptionStatus")
    items = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [(str(one.get("topicName")), str(one.get("subscriptionStatus"))) for one in items]


def _recipients(
    event: str, about: dict[str, Any], mail: dict[str, Any]
) -> list[tuple[str | None, str | None, str | None]]:
    """(address, status, diagnostic code) of everybody the event is about."""
    listed = about.get(_RECIPIENTS.get(_OBJECTS[event], ""))
    if not isinstance(listed, list) or not listed:
        listed = mail.get("destination")
    listed = listed if isinstance(listed, list) else []
    found = [
        (
            address_of(one.get("emailAddress")),
            optional_text(one.get("status")),
            optional_text(one.get("diagnosticCode")),
        )
        if isinstance(one, dict)
        else (address_of(one), None, None)
        for one in listed
    ]
    return [one for one in found if one[0]] or [(None, None, None)]


def _bounce_class(about: dict[str, Any], status: str | None, diagnostic: str | None) -> BounceClass | None:
    pair = (str(about.get("bounceType")), str(about.get("bounceSubType")))
    return said_by_code(_BOUNCES.get(pair, _BY_TYPE.get(pair[0])), status, diagnostic)


def _reason(about: dict[str, Any]) -> str | None:
    fields = ("reason", "errorMessage", "complaintFeedbackType", "delayType", "bounceSubType")
    return next((text for field in fields if (text := optional_text(about.get(field)))), None)


def _tags(mail: dict[str, Any]) -> dict[str, Any]:
    """Message tags: with event publishing as lists of values, else in the original header, where headers are included."""
    found = {key: one[0] if isinstance(one, list) and one else one for key, one in inner(mail, "tags").items()}
    if found:
        return found
    headers = mail.get("headers")
    for header in headers if isinstance(headers, list) else []:
        if isinstance(header, dict) and str(header.get("name")).lower() == _TAGS_HEADER:
            pairs = [pair.partition("=") for pair in str(header.get("value")).split(",")]
            return {key.strip(): value.strip() for key, _, value in pairs}
    return {}
