"""MailerSend: one event a request, signed with HMAC-SHA256 over the body.

Facts are from MailerSend's developer pages "Webhooks" (events, payload, security) and "Inbound routes", at
https://developers.mailersend.com/api/v1/webhooks.html. A newer, flat form of the payload exists beside the nested one.
MailerSend keeps no metadata: our data travels as tags such as `campaign_id:c-17`, split at the first colon.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import OUR_KEYS, optional_text
from adapters.inbound import Inbound, pairs_of, read_mails
from adapters.proofs import check_credentials, needs_signature, required_header, same
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    bare_id,
    body_of,
    event_of,
    inner,
    kind_of,
    object_of,
    occurred_ms,
    our_keys,
    read_items,
    receipt_of,
    said_by_code,
    time_text,
    whole_rejected,
    with_sender,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused

name: str = "mailersend"

SIGNATURE_HEADER: Final = "Signature"
TEST_TYPE: Final = "webhook.test"
TEST_SECRET: Final = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"  # noqa: S105 - published by MailerSend, see TEST_TYPE
"""What the request that tries a webhook when it is saved is signed with; good for that type only."""

VOCABULARY: Final[dict[str, Kind]] = {
    "activity.sent": Kind.SENT,
    "activity.delivered": Kind.DELIVERED,
    "activity.deferred": Kind.DEFERRED,
    "activity.soft_bounced": Kind.BOUNCED,
    "activity.hard_bounced": Kind.BOUNCED,
    "activity.opened": Kind.OPENED,
    "activity.opened_unique": Kind.OPENED,  # tick this or the plain one, or opens come twice
    "activity.clicked": Kind.CLICKED,
    "activity.clicked_unique": Kind.CLICKED,
    "activity.unsubscribed": Kind.UNSUBSCRIBED,
    "activity.spam_complaint": Kind.COMPLAINED,
    # activity.survey_*, sender_identity.*, maintenance.*, recipient.on_hold_*: unmapped.
}
_CLASSES: Final = {"activity.soft_bounced": BounceClass.SOFT, "activity.hard_bounced": BounceClass.HARD}
_TAKEN: Final = frozenset({"id", "created_at", "email", "tags", "message_id", "morph"})
_TAKEN_FLAT: Final = _TAKEN | {"meta"}
_OF_MORPH: Final = frozenset({"reason", "readable_reason", "url"})


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the HMAC-SHA256 of the raw body, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad or missing proof, 403 where no secret is set.
    """
    del now_ms
    setting = "inbound_signing_secrets" if request.inbound else "signing_secrets"
    secrets = settings.inbound_signing_secrets if request.inbound else settings.signing_secrets
    if needs_signature(name, setting, secrets, settings):
        _check_signature(request, secrets)
    check_credentials(request, settings)


def _check_signature(request: RawRequest, secrets: Sequence[str]) -> None:
    given = required_header(request, SIGNATURE_HEADER)
    fitting = sum(same(_signature(secret, request.body), given) for secret in secrets if secret)
    if not fitting and same(_signature(TEST_SECRET, request.body), given):
        fitting = _is_test(request)
    if not fitting:
        raise RequestRefused("the signature does not fit the body and any of the secrets")


def _signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _is_test(request: RawRequest) -> bool:
    try:
        body = body_of(request)
    except BadEvent:
        return False
    return isinstance(body, dict) and body.get("type") == TEST_TYPE


def replay_key(request: RawRequest) -> bytes | None:
    """The signature: it covers the whole body, so the same one is the same event."""
    found = request.headers.get(SIGNATURE_HEADER.lower(), "")
    return found.encode("utf-8", "surrogatepass") + hashlib.sha256(request.body).digest() if found else None


def parse(request: RawRequest) -> Parsed:
    """The event, or a dead letter; the test of a webhook is nothing. Never raises."""
    try:
        body = body_of(request)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    if isinstance(body, dict) and body.get("type") == "inbound.message":
        receipt = receipt_of(request)
        return read_mails([body], receipt, lambda item: _inbound(item, receipt))
    items = [] if isinstance(body, dict) and body.get("type") == TEST_TYPE else [body]
    return read_items(items, receipt_of(request), _event)


def _inbound(item: dict[str, Any], receipt: Receipt) -> Inbound:
    """A mail of an inbound route, whole in `raw`."""
    data = inner(item, "data")
    listed = inner(data, "recipients").get("rcptTo")
    first = listed[0] if isinstance(listed, list) and listed else None
    whole = optional_text(data.get("raw"))
    sender = data.get("from")
    return Inbound(
        provider=name,
        mime=whole.encode("utf-8", "surrogateescape") if whole else None,
        sender=optional_text(sender.get("email") if isinstance(sender, dict) else sender),
        subject=optional_text(data.get("subject")),
        text=optional_text(data.get("text")),
        html=optional_text(data.get("html")),
        headers=pairs_of(data.get("headers")),
        recipient=optional_text(first.get("email")) if isinstance(first, dict) else None,
        at_ms=occurred_ms(time_text(data.get("created_at") or item.get("created_at")), receipt),
        event_id=optional_text(data.get("id")),
    )


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(told)
    event = item.get("type")
    kind = kind_of(name, event, VOCABULARY)
    data = inner(item, "data")
    email, morph = inner(data, "email"), inner(data, "morph")
    flat = not email
    if flat:  # the same facts beside one another; the event's time stands at the top
        morph = morph or inner(data, "meta")
    times = (item.get("created_at"), data.get("created_at"))
    at_ms = occurred_ms(time_text(times[not flat] or times[flat]), receipt)
    reasons = [
        optional_text(place.get(field))
        for place in ((morph, data) if flat else (morph,))
        for field in ("readable_reason", "reason")
    ]
    reason = next((text for text in reasons if text), None)
    bounce_class = None
    if kind is Kind.BOUNCED:
        bounce_class = said_by_code(_CLASSES[str(event)], *reversed(reasons))
    attributes = attributes_of(data, _TAKEN_FLAT if flat else _TAKEN) | attributes_of(morph, _OF_MORPH)
    if kind is Kind.OPENED or kind is Kind.CLICKED:
        add_client(attributes, morph.get("ip") or data.get("ip"), None)
    else:
        add_family(attributes, kind, None, bounce_class, *reversed(reasons))
    ours = our_keys(_tagged(data.get("tags") if flat else email.get("tags"), attributes), attributes)
    recipient = data.get("email") if flat else inner(email, "recipient").get("email")
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=optional_text(data.get("id")),
        message_id=bare_id(data.get("message_id") if flat else inner(email, "message").get("id")),
        recipient=address_of(recipient),
        attributes=attributes,
        ours=with_sender(ours, data.get("from") if flat else email.get("from")),
        url=optional_text(morph.get("url") or (data.get("url") if flat else None)) if kind is Kind.CLICKED else None,
        is_machine=None,  # opens and clicks carry no user agent
        bounce_class=bounce_class,
        reason=reason if kind not in {Kind.OPENED, Kind.CLICKED} else None,
    )


def _tagged(told: object, attributes: dict[str, str]) -> dict[str, str]:
    """Our keys among the tags; the other tags stay together as an attribute."""
    tags = [tag for tag in told if isinstance(tag, str)] if isinstance(told, list) else []
    pairs = [tag.partition(":") for tag in tags]
    ours = {key.strip(): value.strip() for key, colon, value in pairs if colon and key.strip() in OUR_KEYS}
    others = [tag for tag, (key, colon, _) in zip(tags, pairs, strict=True) if not colon or key.strip() not in OUR_KEYS]
    if others:
        attributes["tags"] = ",".join(others)
    return ours
