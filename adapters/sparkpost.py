"""SparkPost (Bird): batches of events, each wrapped in `{"msys": {class: {…}}}`, unsigned.

Facts are from SparkPost's documentation, "Webhooks", "Event reference" and "Bounce classification codes", at
https://developers.sparkpost.com/api/webhooks/ and https://support.sparkpost.com/docs/deliverability. Nothing is signed:
basic auth, OAuth 2 bearer tokens or custom headers (the old `X-MessageSystems-Webhook-Token` among them) protect the
endpoint. `rcpt_meta` hands our data back.
"""

from typing import Any, Final

from adapters.bounces import REFUSALS, add_family
from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text
from adapters.inbound import Inbound, read_mails
from adapters.proofs import check_credentials, decoded_base64, needs_signature
from adapters.reading import (
    Receipt,
    add_client,
    address_of,
    attributes_of,
    batch_of,
    body_of,
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
from schemas.events import BounceClass, Event, Kind, RawRequest
from schemas.failures import BadEvent

name: str = "sparkpost"

VOCABULARY: Final[dict[str, Kind]] = {
    "injection": Kind.QUEUED,
    "delivery": Kind.DELIVERED,
    "delay": Kind.DEFERRED,
    "bounce": Kind.BOUNCED,  # some bounce classes are something else, see BOUNCES
    "out_of_band": Kind.BOUNCED,  # refused after it had been taken
    "policy_rejection": Kind.REJECTED,
    "generation_rejection": Kind.REJECTED,
    "generation_failure": Kind.FAILED,
    "spam_complaint": Kind.COMPLAINED,
    "open": Kind.OPENED,
    "initial_open": Kind.OPENED,  # the pixel at the top; an `open` may follow for the same look
    "amp_open": Kind.OPENED,
    "amp_initial_open": Kind.OPENED,
    "click": Kind.CLICKED,
    "amp_click": Kind.CLICKED,
    "list_unsubscribe": Kind.UNSUBSCRIBED,
    "link_unsubscribe": Kind.UNSUBSCRIBED,
}
_CLASSES: Final = frozenset({"message_event", "track_event", "gen_event", "unsubscribe_event"})

_HARD, _SOFT, _BLOCK = ((Kind.BOUNCED, found) for found in (BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK))
BOUNCES: Final[dict[str, tuple[Kind, BounceClass | None]]] = {
    "1": _SOFT,  # undetermined
    "10": _HARD,  # invalid recipient
    "20": _SOFT,
    "21": _SOFT,
    "22": _SOFT,  # mailbox full
    "23": _SOFT,  # message too large
    "24": _SOFT,
    "25": (Kind.REJECTED, None),  # admin failure: SparkPost did not try
    "30": _HARD,  # no such domain, generic
    "40": _SOFT,
    "50": _BLOCK,
    "51": _BLOCK,
    "52": _BLOCK,
    "53": _BLOCK,
    "54": _BLOCK,
    "70": _SOFT,
    "90": (Kind.UNSUBSCRIBED, None),
    # 60 automatic reply, 80 subscribe and 100 challenge are no bounces: unmapped.
}
FAMILIES: Final[dict[str, str]] = {
    # `bounce_class`, from "Bounce classification codes"; 1, 20, 40 and 70 leave it to the receiver's answer.
    "10": "mailbox",  # invalid recipient
    "21": "domain",  # DNS failure
    "22": "mailbox",  # full
    "23": "content",  # too large
    "24": "domain",  # timeout
    "25": "policy",  # by SparkPost's own configured rules
    "30": "mailbox",  # no recipient could be determined
    "50": "reputation",  # mail block
    "51": "reputation",  # blocked as a known source of spam
    "52": "content",  # spam content
    "53": "content",  # prohibited attachment
    "54": "policy",  # relaying denied
}
_CHECK: Final[dict[str, Any]] = {"msys": {}}
_NO_BOUNCES: Final = frozenset({"60", "80", "100"})
_TAKEN: Final = frozenset({"type", "timestamp", "event_id", "transmission_id", "raw_rcpt_to", "rcpt_to", "rcpt_meta"})
_CLICKED: Final = _TAKEN | {"target_link_url"}


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks basic auth, bearer token or headers: SparkPost signs nothing.

    Raises:
        RequestRefused: 401 for bad or missing credentials, 403 where none are set.
    """
    del now_ms
    needs_signature(name, "basic_auth", (), settings)
    check_credentials(request, settings)


def parse(request: RawRequest) -> Parsed:
    """One event or one dead letter per item; `{"msys": {}}`, the check when a webhook is saved, is nothing. Never raises."""
    mails = b"relay_message" in request.body  # a batch is looked through only where there can be a mail
    try:
        body = body_of(request) if mails else batch_of(request.body)
    except BadEvent as bad:
        return whole_rejected(request, bad)
    items, receipt = body if isinstance(body, list) else [body], receipt_of(request)
    if not mails:
        return read_items(items, receipt, _event)
    return joined(
        read_mails([item], receipt, _inbound) if _is_mail(item) else read_items([item], receipt, _event)
        for item in items
    )


def _is_mail(item: object) -> bool:
    msys = item.get("msys") if isinstance(item, dict) else None
    return isinstance(msys, dict) and "relay_message" in msys


def _inbound(item: dict[str, Any]) -> Inbound:
    """A relayed mail, whole."""
    told = object_of(item["msys"]["relay_message"])
    content = inner(told, "content")
    text = optional_text(content.get("email_rfc822")) or ""
    whole = decoded_base64(text) if content.get("email_rfc822_is_base64") is True else None
    return Inbound(
        provider=name,
        mime=whole if whole is not None else text.encode("utf-8", "surrogateescape"),
        recipient=optional_text(told.get("rcpt_to")),
        event_id=None,
    )


def _event(told: Any, receipt: Receipt) -> Event | tuple[()]:  # noqa: ANN401 - JSON is anything
    item = _unwrapped(object_of(told))
    if item is None:
        return ()
    event = item.get("type")
    kind = kind_of(name, event, VOCABULARY)
    at_ms = occurred_ms(item.get("timestamp"), receipt)
    url = is_machine = bounce_class = reason = None
    taken = _TAKEN
    engaged = kind is Kind.OPENED or kind is Kind.CLICKED
    if engaged:
        is_machine = _by_machine(item)
        if kind is Kind.CLICKED:
            url, taken = optional_text(item.get("target_link_url")), _CLICKED
    else:
        reason = optional_text(item.get("raw_reason")) or optional_text(item.get("reason"))
        if kind is Kind.BOUNCED:
            kind, bounce_class = _bounce(str(event), item)
    attributes = attributes_of(item, taken)
    if engaged:
        add_client(attributes, item.get("ip_address"), item.get("user_agent"))
    elif kind in REFUSALS:
        add_family(attributes, kind, FAMILIES.get(str(item.get("bounce_class"))), bounce_class, reason)
    return event_of(
        name,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=optional_text(item.get("event_id")),
        message_id=optional_text(item.get("transmission_id")),
        recipient=address_of(item.get("raw_rcpt_to")) or address_of(item.get("rcpt_to")),
        attributes=attributes,
        ours=_ours(item, attributes),
        url=url,
        is_machine=is_machine,
        bounce_class=bounce_class,
        reason=reason,
    )


def _unwrapped(item: dict[str, Any]) -> dict[str, Any] | None:
    """The event inside its wrapping; None for the check when a webhook is saved.

    Raises:
        BadEvent: wrapped otherwise, or of a class that has no events of ours.
    """
    msys = item.get("msys")
    if not isinstance(msys, dict) or len(msys) != 1:
        if item == _CHECK:
            return None
        raise BadEvent("kind missing", f"msys holds {text_keys(msys)}, valid is one of {', '.join(sorted(_CLASSES))}")
    ((wrapping, found),) = msys.items()
    if wrapping not in _CLASSES:
        event = found.get("type") if isinstance(found, dict) else None
        raise unmapped(name, event if isinstance(event, str) and event else wrapping)
    return object_of(found)


def text_keys(msys: object) -> str:
    """What stands in `msys`, for an error."""
    return f"{len(msys)} events" if isinstance(msys, dict) else f"a JSON {type(msys).__name__}"


def _ours(item: dict[str, Any], attributes: dict[str, str]) -> dict[str, str]:
    ours = with_sender(handed_back(inner(item, "rcpt_meta"), attributes), item.get("friendly_from"))
    campaign = item.get("campaign_id")
    if "campaign_id" not in ours and isinstance(campaign, str) and campaign:
        ours["campaign_id"] = campaign
    return ours


def _by_machine(item: dict[str, Any]) -> bool | None:
    """SparkPost's flag of a prefetch decides; `is_proxy` alone is a person behind a proxy; else the user agent."""
    parsed = inner(item, "user_agent_parsed")
    flag = {"true": True, "false": False}.get(str(parsed.get("is_prefetched")).lower())
    if flag is not None:
        return flag
    return False if parsed.get("is_proxy") is True else by_agent(item.get("user_agent"))


def _bounce(event: str, item: dict[str, Any]) -> tuple[Kind, BounceClass | None]:
    """By SparkPost's class, which decides alone; where it is none that is documented, codes and words do."""
    told = optional_text(item.get("bounce_class")) or ""
    if told in _NO_BOUNCES:
        raise unmapped(name, event)
    if told in BOUNCES:
        return BOUNCES[told]
    return Kind.BOUNCED, said_by_code(None, optional_text(item.get("raw_reason")), optional_text(item.get("reason")))
