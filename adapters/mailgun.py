"""Mailgun (Sinch): one event a request, with a signature inside the body that does not cover it.

Facts are from Mailgun's pages "Webhooks", "Securing webhooks" and "Event structure", at
https://documentation.mailgun.com/docs/mailgun/user-manual/tracking-messages. Webhooks made before 2018 still post forms.
The HMAC covers a timestamp and a token only: whoever sees one triple could send it with another body, so its age is
checked, and a token that was taken in once is stored no second time (`replay_key`).
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.bounces import add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import OUR_KEYS, optional_text, text_of
from adapters.forms import fields_of, form_of
from adapters.inbound import Inbound, read_mails
from adapters.mime import addresses_in
from adapters.proofs import check_age, check_credentials, needs_signature, same, signed_ms
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    bare_id,
    body_of,
    by_agent,
    custom_object,
    event_of,
    handed_back,
    inner,
    kind_of,
    object_of,
    occurred_ms,
    our_keys,
    read_items,
    receipt_of,
    said_by_code,
    whole_rejected,
    with_sender,
)
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused

name: str = "mailgun"

BACK_MS: Final = 10 * 3600 * 1000
"""How old a signature may be: Mailgun retries for 8 h and documents no window of its own; two hours of slack."""
AHEAD_OF_CLOCK_MS: Final = 5 * 60 * 1000

VOCABULARY: Final[dict[str, Kind]] = {
    "accepted": Kind.QUEUED,
    "delivered": Kind.DELIVERED,
    "failed": Kind.BOUNCED,  # severity temporary: deferred; reason suppress-…: rejected
    "rejected": Kind.REJECTED,
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "complained": Kind.COMPLAINED,
    "unsubscribed": Kind.UNSUBSCRIBED,
    # stored and the list events have no kind of ours: unmapped.
}
LEGACY: Final[dict[str, Kind]] = {
    "bounced": Kind.BOUNCED,
    "dropped": Kind.REJECTED,
    "delivered": Kind.DELIVERED,
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "complained": Kind.COMPLAINED,
    "unsubscribed": Kind.UNSUBSCRIBED,
}
"""Names in the forms of old webhooks."""
FAMILIES: Final[dict[str, str]] = {
    # `reason`, from Mailgun's page "Event types" and its help on suppressions; bounce, generic and old leave it to codes.
    "espblock": "reputation",
    "greylisted": "throttle",
    "suppress-bounce": "mailbox",  # bounced before
    "suppress-complaint": "policy",
    "suppress-unsubscribe": "policy",
}
_BOTS: Final = {"apple": True, "generic": True, "gmail": False}  # Google's proxy fetches when a person opens
_TAKEN: Final = frozenset({"event", "timestamp", "id", "recipient", "user-variables"})
_CLICKED: Final = _TAKEN | {"url"}
_LEGACY_TAKEN: Final = frozenset(
    {
        *OUR_KEYS,
        "event",
        "timestamp",
        "token",
        "signature",
        "recipient",
        "Message-Id",
        "message-id",
        "url",
        "message-headers",
    }
)


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks the HMAC-SHA256 over timestamp and token, its age, and any other proof that is set.

    Raises:
        RequestRefused: 401 for a bad, missing or stale proof, 403 where no key is set.
    """
    if needs_signature(name, "signing_keys", settings.signing_keys, settings):
        _check_signature(request, settings.signing_keys, now_ms)
    check_credentials(request, settings)


def _check_signature(request: RawRequest, keys: Sequence[str], now_ms: int) -> None:
    proof = _proof(request)
    timestamp, token = _plain(proof.get("timestamp")), _plain(proof.get("token"))
    # What a sub-account sends is signed with the parent account's key too, over the same two texts.
    given = [text for part in _SIGNATURES if (text := _signature(proof.get(part)))]
    signed = (timestamp + token).encode("utf-8", "surrogatepass")
    expected = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in keys if key]
    if not (timestamp and token and sum(same(one, other) for one in given for other in expected)):
        raise RequestRefused("the signature in the body is missing or fits none of the keys")
    # Nothing separates the two texts: three digits of a token, moved over, would make a timestamp in milliseconds.
    if len(timestamp) > _LONGEST_TIMESTAMP:
        raise RequestRefused("the signature's timestamp is not a unix time in seconds")
    check_age(signed_ms(timestamp, "the signature's timestamp"), now_ms, BACK_MS, AHEAD_OF_CLOCK_MS)


_SIGNATURES: Final = ("signature", "parent-signature")
_LONGEST_TIMESTAMP: Final = len("1767607200")


def _signature(told: object) -> str:
    return _plain(told.get("signature") if isinstance(told, dict) else told)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else text_of(value) if type(value) is int else ""


def _proof(request: RawRequest) -> Mapping[str, Any]:
    """Where a signature lies: in the JSON body, or among a form's fields."""
    try:
        body = body_of(request)
    except BadEvent:
        return dict(form_of(request))
    if not isinstance(body, dict):
        return {}
    found = inner(body, "signature")
    return {"parent-signature": body["parent-signature"], **found} if "parent-signature" in body else found


def replay_key(request: RawRequest) -> bytes | None:
    """The token: one that was taken in before is answered and dropped, whatever body it comes with."""
    token = _plain(_proof(request).get("token"))
    return token.encode("utf-8", "surrogatepass") if token else None


def parse(request: RawRequest) -> Parsed:
    """The event, or a dead letter; never raises."""
    try:
        body = body_of(request)
    except BadEvent as bad:
        fields = dict(form_of(request))
        if not fields.get("event") and fields.keys() & {"body-plain", "body-mime", "body-html", "message-headers"}:
            return _inbound(request)
        if not fields.get("event"):
            return whole_rejected(request, bad)
        return read_items([fields], receipt_of(request), _legacy_event)
    return read_items([body], receipt_of(request), _event)


def _inbound(request: RawRequest) -> Parsed:
    """A route's form: the mail in parts, or whole in `body-mime` where the route's URL ends in `mime`."""
    fields, files = fields_of(request)
    form = {field: value.decode("utf-8", "replace") for field, value in fields}
    whole = next((value for field, value in fields if field == "body-mime"), None)
    receipt = receipt_of(request)
    names = [upload.filename for _, upload in files] or _stored_names(form.get("attachments"))
    attributes = {"attachments": ", ".join(names)} if names else {}

    def make(_: object) -> Inbound:
        return Inbound(
            provider=name,
            mime=whole,
            sender=form.get("from") or form.get("sender"),
            subject=form.get("subject"),
            text=form.get("body-plain"),
            html=form.get("body-html"),
            headers=custom_pairs(form.get("message-headers"))
            or [pair for pair in form.items() if pair[0][:1].isupper()],
            recipient=form.get("recipient"),
            at_ms=occurred_ms(form.get("timestamp"), receipt),
            event_id=form.get("token"),
            attributes=attributes,
        )

    return read_mails([form], receipt, make)


def _event(told: Any, receipt: Receipt) -> Event | list[Event]:  # noqa: ANN401 - JSON is anything
    item = object_of(object_of(told).get("event-data"))
    kind = kind_of(name, item.get("event"), VOCABULARY)
    at_ms = occurred_ms(item.get("timestamp"), receipt)
    headers = inner(inner(item, "message"), "headers")
    variables = custom_object(item.get("user-variables"))
    engaged = kind is Kind.OPENED or kind is Kind.CLICKED
    url = is_machine = bounce_class = reason = None
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    if engaged:
        client = inner(item, "client-info")
        is_machine = _by_client(client)
        url = optional_text(item.get("url")) if kind is Kind.CLICKED else None
        add_client(attributes, item.get("ip"), client.get("user-agent"))
    else:
        kind, bounce_class, reason = _outcome(kind, item, attributes)
    ours = with_sender(handed_back(variables, attributes), headers.get("from"))

    def about(recipient: str | None) -> Event:
        return event_of(
            name,
            receipt,
            kind=kind,
            at_ms=at_ms,
            event_id=optional_text(item.get("id")),
            message_id=bare_id(headers.get("message-id")),
            recipient=recipient,
            attributes=attributes,
            ours=ours,
            url=url,
            is_machine=is_machine,
            bounce_class=bounce_class,
            reason=reason,
        )

    recipient = address_of(item.get("recipient"))
    if recipient is not None:
        return about(recipient)
    # Absent on rejected: everybody the message was to.
    return [about(one) for one in addresses_in(optional_text(headers.get("to")))] or about(
        address_of(headers.get("to"))
    )


def _by_client(client: dict[str, Any]) -> bool | None:
    flag = client.get("bot")
    known = _BOTS.get(flag) if isinstance(flag, str) else None
    return by_agent(client.get("user-agent")) if known is None else known


def _outcome(
    kind: Kind, item: dict[str, Any], attributes: dict[str, str]
) -> tuple[Kind, BounceClass | None, str | None]:
    """Kind, class and readable cause of what was not an open or a click; the family of a refusal joins the attributes."""
    status = inner(item, "delivery-status")
    told = optional_text(item.get("reason")) or ""
    texts = [optional_text(status.get(field)) for field in ("enhanced-code", "message", "description")]
    code = optional_text(status.get("code"))
    rejection = inner(item, "reject")
    causes = (
        texts[1],
        texts[2],
        optional_text(rejection.get("reason")),
        optional_text(rejection.get("description")),
        told,
    )
    reason = next((cause for cause in causes if cause), None)
    if kind is not Kind.BOUNCED:
        return kind, None, reason if kind is Kind.REJECTED else None
    bounce_class = None
    if told.startswith("suppress-"):
        kind = Kind.REJECTED
    elif item.get("severity") == "temporary":
        kind = Kind.DEFERRED
    else:
        bounce_class = said_by_code(_CLASSES.get(told, BounceClass.HARD), *texts, code)
    add_family(attributes, kind, FAMILIES.get(told), bounce_class, texts[0], code, *texts[1:])
    return kind, bounce_class, reason


_CLASSES: Final = {"espblock": BounceClass.BLOCK, "old": BounceClass.SOFT}  # old: gave up retrying


def _legacy_event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - fields of a form
    """An event of an old webhook. Our variables are merged into the form, and repeated as JSON in a header."""
    fields: dict[str, str] = told
    kind = kind_of(name, fields.get("event"), LEGACY)
    at_ms = occurred_ms(fields.get("timestamp"), receipt)
    attributes = attributes_of(fields, _LEGACY_TAKEN)
    reason = fields.get("error") or fields.get("description") or fields.get("reason") or None
    bounce_class = None
    if kind is Kind.BOUNCED:
        bounce_class = said_by_code(BounceClass.HARD, fields.get("code"), reason)
        add_family(attributes, kind, FAMILIES.get(fields.get("reason", "")), bounce_class, fields.get("code"), reason)
    is_machine = _by_client({"bot": fields.get("bot"), "user-agent": fields.get("user-agent")})
    engaged = kind in {Kind.OPENED, Kind.CLICKED}
    if engaged:
        add_client(attributes, fields.get("ip"), fields.get("user-agent"))
    headers = {key.lower(): value for key, value in custom_pairs(fields.get("message-headers"))}
    variables = custom_object(headers.get("x-mailgun-variables"))
    ours = handed_back(variables, attributes) | our_keys(fields, attributes)
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=fields.get("token") or None,
        message_id=bare_id(fields.get("Message-Id") or fields.get("message-id") or headers.get("message-id")),
        recipient=address_of(fields.get("recipient")),
        attributes=attributes,
        ours=with_sender(ours, headers.get("from")),
        url=(fields.get("url") or None) if kind is Kind.CLICKED else None,
        is_machine=is_machine if engaged else None,
        bounce_class=bounce_class,
        reason=None if engaged else reason,
    )


def _stored_names(told: str | None) -> list[str]:
    """Names of attachments that `store()` keeps, from a JSON list of links."""
    found = custom_object(f'{{"list": {told}}}').get("list") if told else None
    return [str(one.get("name")) for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def custom_pairs(told: str | None) -> list[tuple[str, str]]:
    """The headers of a message, which Mailgun gives as a JSON list of pairs."""
    wrapped = custom_object(f'{{"pairs": {told}}}') if told else {}
    pairs = wrapped.get("pairs")
    if not isinstance(pairs, list):
        return []
    return [(text_of(pair[0]), text_of(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
