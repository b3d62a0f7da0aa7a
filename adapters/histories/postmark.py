"""Postmark's history: lists of messages, bounces, opens and clicks of its API, a message's details, activity as CSV.

Facts are from Postmark's pages "Messages API", "Bounce API", "Message opens API" and "Message clicks API", at
https://postmarkapp.com/developer/api. Bounces have the webhook's `ID`; opens and clicks have none, where the webhook has
the id of its request. A message that Postmark took has no webhook: it is `queued`.
"""

from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.facts import text_of
from adapters.histories.formats import CsvFormat, Item, JsonFormat, cell, objects, ours, plain, without_empty
from adapters.localtimes import time_ms
from adapters.postmark import BOUNCES
from adapters.reading import Receipt, address_of, event_of, inner, occurred_ms, our_keys, unmapped, with_sender
from schemas.events import Event, Kind
from schemas.instants import from_epoch_ms

_UNKNOWN: Final = Receipt(None, None)
_RECORDS: Final = {
    "delivered": "Delivery",
    "delivery": "Delivery",
    "open": "Open",
    "opened": "Open",
    "click": "Click",
    "clicked": "Click",
    "linkclicked": "Click",
    "spamcomplaint": "SpamComplaint",
    "subscriptionchange": "SubscriptionChange",
    "subscriptionchanged": "SubscriptionChange",
}
_TIMES: Final = {"Delivery": "DeliveredAt", "Open": "ReceivedAt", "Click": "ReceivedAt", "Bounce": "BouncedAt"}
_TIMES_MORE: Final = {"SpamComplaint": "BouncedAt", "SubscriptionChange": "ChangedAt"}
_BOUNCES: Final = {plain(name): name for name in BOUNCES}


def _posted(record: str, at: object, zone: ZoneInfo, fields: Item) -> Item:
    """The record as the webhook would post it."""
    when = from_epoch_ms(time_ms(at, zone))
    return without_empty(fields | {"RecordType": record, (_TIMES | _TIMES_MORE)[record]: when})


def _listed(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    """A bounce, an open or a click of the API's lists."""
    record = item.get("RecordType") or (
        "Bounce" if "BouncedAt" in item else "Click" if "OriginalLink" in item else "Open"
    )
    if record == "Bounce" and item.get("Type") == "SpamComplaint":
        record = "SpamComplaint"
    at = item.get((_TIMES | _TIMES_MORE).get(str(record), "ReceivedAt"))
    yield _posted(record, at, zone, item) if record in (_TIMES | _TIMES_MORE) else item | {"RecordType": record}


def _message(message: Item, zone: ZoneInfo) -> Iterator[Event | Item]:
    """A message of the list, `queued` for each recipient, and what its details tell beside it."""
    told = message.get("Recipients")
    listed = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    recipients: list[Any] = listed or [str(one.get("Email")) for one in objects(message.get("To"))]
    for recipient in recipients or [None]:
        yield _own(message, Kind.QUEUED, message.get("ReceivedAt"), zone, recipient=recipient)
    for event in objects(message.get("MessageEvents")):
        yield _of_details(message, event, zone)


def _of_details(message: Item, event: Item, zone: ZoneInfo) -> Event | Item:
    kind, details, at = plain(str(event.get("Type"))), inner(event, "Details"), event.get("ReceivedAt")
    common = {name: message.get(name) for name in ("MessageID", "Metadata", "Tag", "MessageStream", "From")}
    common["Recipient"] = event.get("Recipient")
    if kind == "bounced":  # without its type: hard or soft is not told
        bounce_id = details.get("BounceID")
        return _own(
            message,
            Kind.BOUNCED,
            at,
            zone,
            recipient=event.get("Recipient"),
            event_id=text_of(bounce_id) if bounce_id else None,
            reason=details.get("Summary"),
        )
    if kind == "transient":
        cause = details.get("DeliveryMessage") or details.get("Summary")
        return _posted("Bounce", at, zone, common | {"Type": "Transient", "Details": cause})
    record = _RECORDS.get(kind)
    if record is None:
        raise unmapped("postmark", str(event.get("Type")))
    common |= {"Details": details.get("DeliveryMessage"), "OriginalLink": details.get("Link")}
    if record == "SubscriptionChange":
        common["SuppressSending"] = str(details.get("SuppressSending")).lower() == "true"
        common["SuppressionReason"] = "ManualSuppression"
    return _posted(record, at, zone, common)


def _own(
    message: Item,
    kind: Kind,
    at: object,
    zone: ZoneInfo,
    *,
    recipient: Any,  # noqa: ANN401 - a JSON value
    event_id: str | None = None,
    reason: Any = None,  # noqa: ANN401
) -> Event:
    attributes = {name: text_of(message[name]) for name in ("Tag", "Subject", "MessageStream") if message.get(name)}
    ours_told = our_keys(inner(message, "Metadata"), attributes)
    return event_of(
        "postmark",
        _UNKNOWN,
        kind=kind,
        at_ms=occurred_ms(time_ms(at, zone), _UNKNOWN),
        event_id=event_id,
        message_id=text_of(message["MessageID"]) if message.get("MessageID") else None,
        recipient=address_of(recipient),
        attributes=attributes,
        ours=with_sender(ours_told, message.get("From")),
        reason=text_of(reason) if reason else None,
    )


def _row(row: Item, zone: ZoneInfo) -> Iterator[Event | Item]:
    told = cell(row, "recordtype", "eventtype", "event", "type", "status") or ""
    at = cell(row, "receivedat", "date", "timestamp", "time", "occurredat")
    name, kind = plain(told), cell(row, "bouncetype")
    fields: Item = {
        "MessageID": row.get("messageid"),
        "Recipient": cell(row, "recipient", "to", "email"),
        "From": cell(row, "from"),
        "Tag": row.get("tag"),
        "Subject": row.get("subject"),
        "MessageStream": cell(row, "messagestream", "stream"),
        "Metadata": ours(row, "metadata"),
        "Details": cell(row, "details", "description", "reason", "message"),
        "OriginalLink": cell(row, "originallink", "link", "url"),
        "UserAgent": cell(row, "useragent"),
    }
    if name in {"sent", "processed", "queued"}:
        yield _own(fields, Kind.QUEUED, at, zone, recipient=fields["Recipient"])
    elif name in _RECORDS:
        more = {"SuppressSending": True, "SuppressionReason": "ManualSuppression"} if "subscription" in name else {}
        yield _posted(_RECORDS[name], at, zone, fields | more)
    elif name in _BOUNCES or (name in {"bounce", "bounced"} and kind):
        kind = _BOUNCES.get(plain(kind or told), kind or told)
        yield _posted("Bounce", at, zone, fields | {"Type": kind, "ID": cell(row, "bounceid", "id")})
    elif name in {"bounce", "bounced"}:
        yield _own(fields, Kind.BOUNCED, at, zone, recipient=fields["Recipient"], reason=fields["Details"])
    else:
        raise unmapped("postmark", told)


_LISTED: Final = (
    ("Bounces API", {"BouncedAt", "MessageID"}),
    ("Opens and Clicks API", {"ReceivedAt", "MessageID", "Recipient"}),
    ("webhook events", {"RecordType", "MessageID"}),
)
FORMATS: Final[tuple[JsonFormat | CsvFormat, ...]] = (
    *(JsonFormat(provider="postmark", what=what, keys=frozenset(keys), tell=_listed) for what, keys in _LISTED),
    JsonFormat(
        provider="postmark",
        what="Messages API",
        keys=frozenset({"MessageID", "ReceivedAt", "Recipients", "Status"}),
        tell=_message,
    ),
    CsvFormat(
        provider="postmark",
        what="activity CSV",
        needs=(
            ("recordtype", "eventtype", "event", "type", "status"),
            ("receivedat", "date", "timestamp", "time", "occurredat"),
            ("messageid",),
            ("recipient", "to", "email"),
            ("messagestream", "stream", "recordtype", "receivedat"),
        ),
        tell=_row,
    ),
)
