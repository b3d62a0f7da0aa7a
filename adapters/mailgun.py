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

from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text, text_of
from adapters.forms import fields_of, form_of
from adapters.inbound import Inbound, read_mails
from adapters.proofs import check_age, check_credentials, needs_signature, same, signed_ms
from adapters.reading import (
    Receipt,
    address_of,
    attributes_of,
    bare_id,
    body_of,
    by_agent,
    custom_object,
    event_of,
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
_BOTS: Final = {"apple": True, "generic": True, "gmail": False}  # Google's proxy fetches when a person opens
_TAKEN: Final = frozenset({"event", "timestamp", "id", "recipient", "user-variables"})
_CLICKED: Final = _TAKEN | {"url"}
_LEGACY_TAKEN: Final = frozenset(
    {"event", "timestamp", "token", "signature", "recipient", "Message-Id", "message-id", "url", "message-headers"}
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
    for proof in _proofs(request):
        timestamp, token, signature = (_plain(proof.get(part)) for part in ("timestamp", "token", "signature"))
        if not (timestamp and token and signature):
            continue
        signed = (timestamp + token).encode("utf-8", "surrogatepass")
        if sum(same(hmac.new(key.encode(), signed, hashlib.sha256).hexdigest(), signature) for key in keys):
            check_age(signed_ms(timestamp, "the signature's timestamp"), now_ms, BACK_MS, AHEAD_OF_CLOCK_MS)
            return
    raise RequestRefused("the signature in the body is missing or fits none of the keys")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else text_of(value) if isinstance(value, int) else ""


def _proofs(request: RawRequest) -> list[Mapping[str, Any]]:
    """Where a signature may lie: in the JSON body, a sub-account's parent beside it, or among a form's fields."""
    try:
        body = body_of(request)
    except BadEvent:
        return [dict(form_of(request))]
    if not isinstance(body, dict):
        return []
    own = inner(body, "signature")
    return [own, inner(own, "parent-signature"), inner(body, "parent-signature")]


def replay_key(request: RawRequest) -> bytes | None:
    """The token: one that was taken in before is answered and dropped, whatever body it comes with."""
    found = next((token for proof in _proofs(request) if (token := _plain(proof.get("token")))), None)
    return found.encode("utf-8", "surrogatepass") if found else None


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
    attributes = {"attachments": ", ".join(upload.filename for _, upload in files)} if files else {}

    def make(_: object) -> Inbound:
        return Inbound(
            provider=name,
            mime=whole,
            sender=form.get("from") or form.get("sender"),
            subject=form.get("subject"),
            text=form.get("body-plain"),
            html=form.get("body-html"),
            headers=custom_pairs(form.get("message-headers")),
            recipient=form.get("recipient"),
            at_ms=occurred_ms(form.get("timestamp"), receipt),
            event_id=form.get("token"),
            attributes=attributes,
        )

    return read_mails([form], receipt, make)


def _event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
    item = object_of(object_of(told).get("event-data"))
    kind = kind_of(name, item.get("event"), VOCABULARY)
    at_ms = occurred_ms(item.get("timestamp"), receipt)
    headers = inner(inner(item, "message"), "headers")
    url = is_machine = bounce_class = reason = None
    if kind in {Kind.OPENED, Kind.CLICKED}:
        is_machine = _by_client(inner(item, "client-info"))
        url = optional_text(item.get("url")) if kind is Kind.CLICKED else None
    else:
        kind, bounce_class, reason = _outcome(kind, item)
    attributes = attributes_of(item, _CLICKED if kind is Kind.CLICKED else _TAKEN)
    variables = custom_object(item.get("user-variables"))
    attributes |= {f"var_{key}": text for key, text in attributes_of(variables, frozenset()).items()}
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=optional_text(item.get("id")),
        message_id=bare_id(headers.get("message-id")),
        recipient=address_of(item.get("recipient")) or address_of(headers.get("to")),  # absent on rejected
        attributes=attributes,
        ours=with_sender(our_keys(variables, attributes), headers.get("from")),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


def _by_client(client: dict[str, Any]) -> bool | None:
    flag = client.get("bot")
    known = _BOTS.get(flag) if isinstance(flag, str) else None
    return by_agent(client.get("user-agent")) if known is None else known


def _outcome(kind: Kind, item: dict[str, Any]) -> tuple[Kind, BounceClass | None, str | None]:
    """Kind, class and readable cause of what was not an open or a click."""
    status = inner(item, "delivery-status")
    told = optional_text(item.get("reason")) or ""
    texts = [optional_text(status.get(field)) for field in ("enhanced-code", "message", "description")]
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
    if told.startswith("suppress-"):
        return Kind.REJECTED, None, reason
    if item.get("severity") == "temporary":
        return Kind.DEFERRED, None, reason
    return kind, said_by_code(_CLASSES.get(told, BounceClass.HARD), *texts), reason


_CLASSES: Final = {"espblock": BounceClass.BLOCK, "old": BounceClass.SOFT}  # old: gave up retrying


def _legacy_event(told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - fields of a form
    fields: dict[str, str] = told
    kind = kind_of(name, fields.get("event"), LEGACY)
    at_ms = occurred_ms(fields.get("timestamp"), receipt)
    attributes = attributes_of(fields, _LEGACY_TAKEN)
    reason = fields.get("error") or fields.get("description") or fields.get("reason") or None
    bounce_class = None
    if kind is Kind.BOUNCED:
        bounce_class = said_by_code(BounceClass.HARD, fields.get("code"), reason)
    is_machine = _by_client({"bot": fields.get("bot"), "user-agent": fields.get("user-agent")})
    engaged = kind in {Kind.OPENED, Kind.CLICKED}
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=fields.get("token") or None,
        message_id=bare_id(fields.get("Message-Id") or fields.get("message-id")),
        recipient=address_of(fields.get("recipient")),
        attributes=attributes,
        ours=our_keys(_legacy_variables(fields), attributes),
        url=(fields.get("url") or None) if kind is Kind.CLICKED else None,
        is_machine=is_machine if engaged else None,
        bounce_class=bounce_class,
        reason=None if engaged else reason,
    )


def _legacy_variables(fields: dict[str, str]) -> dict[str, Any]:
    """Our variables: merged into the form, and repeated as JSON in a header of the message."""
    pairs = custom_pairs(fields.get("message-headers"))
    repeated = next((value for key, value in pairs if key.lower() == "x-mailgun-variables"), None)
    return {**custom_object(repeated), **fields}


def custom_pairs(told: str | None) -> list[tuple[str, str]]:
    """The headers of a message, which Mailgun gives as a JSON list of pairs."""
    wrapped = custom_object(f'{{"pairs": {told}}}') if told else {}
    pairs = wrapped.get("pairs")
    if not isinstance(pairs, list):
        return []
    return [(text_of(pair[0]), text_of(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
