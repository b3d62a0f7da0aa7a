"""SendGrid's history: the CSV of Email Activity, and the Email Activity API's messages with and without their events.

Facts are from Twilio's pages "Filter all messages", "Filter messages by message ID" and "Request a CSV", at
https://www.twilio.com/docs/sendgrid/api-reference/email-activity. Neither gives the `sg_event_id` of the webhook.
"""

from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, objects, ours, plain, without_empty
from adapters.localtimes import time_ms
from adapters.reading import custom_object
from schemas.failures import BadEvent

NAMES: Final = {
    "processed": "processed",
    "deferred": "deferred",
    "delivered": "delivered",
    "bounce": "bounce",
    "bounced": "bounce",
    "blocked": "bounce",  # with type blocked
    "dropped": "dropped",
    "drop": "dropped",
    "open": "open",
    "opened": "open",
    "click": "click",
    "clicked": "click",
    "spamreport": "spamreport",
    "unsubscribe": "unsubscribe",
    "unsubscribed": "unsubscribe",
    "groupunsubscribe": "group_unsubscribe",
    "groupunsubscribed": "group_unsubscribe",
    # received (SendGrid took the request, a moment before processed) and group_resubscribe: unmapped.
}
_MORE: Final = {
    "originatingip": "ip",
    "attempt": "attempt",
    "subject": "subject",
    "categories": "category",
    "templateid": "template_id",
    "asmgroupid": "asm_group_id",
    "mx": "mx",
    "useragent": "useragent",
    "url": "url",
    "reason": "reason",
    "from": "sender",
}


def _row(row: Item, zone: ZoneInfo) -> Iterator[Item]:
    fields = {_MORE[name]: text for name, text in row.items() if name in _MORE}
    yield _posted(
        row.get("event"),
        row.get("processed"),
        zone,
        fields | custom_object(row.get("uniqueargs")) | ours(row),
        email=row.get("email"),
        message_id=row.get("messageid"),
        bounce_type=row.get("type"),
    )


def _message(message: Item, zone: ZoneInfo) -> Iterator[Item]:
    args = custom_object(message.get("unique_args"))
    common = {"sender": message.get("from_email"), **args}
    common |= {"subject": message.get("subject"), "category": message.get("categories")}
    if "events" not in message:
        yield _by_status(message, zone, common)
        return
    for event in objects(message["events"]):
        fields = {"reason": event.get("reason"), "url": event.get("url"), "attempt": event.get("attempt_num")}
        fields |= {"useragent": event.get("http_user_agent"), "mx": event.get("mx_server")}
        yield _posted(
            event.get("event_name"),
            event.get("processed"),
            zone,
            common | fields,
            email=message.get("to_email"),
            message_id=message.get("msg_id"),
            bounce_type=event.get("bounce_type"),
        )


def _by_status(message: Item, zone: ZoneInfo, common: Item) -> Item:
    """A message of the list: of its events only the last one's time is told, of opens and clicks only the number."""
    status = str(message.get("status"))
    if status not in {"processed", "delivered"}:
        detail = "the list does not say whether it bounced or was dropped; export the message's events"
        raise BadEvent(f"unmapped: {status[:200]}", detail)
    counts = {name: message.get(name) for name in ("opens_count", "clicks_count")}
    return _posted(
        status,
        message.get("last_event_time"),
        zone,
        common | counts,
        email=message.get("to_email"),
        message_id=message.get("msg_id"),
        bounce_type=None,
    )


def _posted(
    name: object,
    at: object,
    zone: ZoneInfo,
    fields: Item,
    *,
    email: Any,  # noqa: ANN401 - a cell or a JSON value
    message_id: Any,  # noqa: ANN401
    bounce_type: Any,  # noqa: ANN401
) -> Item:
    """The event as the webhook would post it."""
    told = str(name or "")
    blocked = plain(told) == "blocked" or (isinstance(bounce_type, str) and bounce_type.lower() == "blocked")
    return without_empty(
        {
            **fields,
            "event": NAMES.get(plain(told), told),
            "timestamp": time_ms(at, zone),
            "email": email,
            "sg_message_id": message_id,
            "type": "blocked" if blocked else bounce_type,
        }
    )


FORMATS: Final = (
    JsonFormat(
        provider="sendgrid",
        what="Email Activity API, messages with events",
        keys=frozenset({"msg_id", "events"}),
        tell=_message,
    ),
    JsonFormat(
        provider="sendgrid",
        what="Email Activity API, list of messages",
        keys=frozenset({"msg_id", "last_event_time"}),
        tell=_message,
        states_only=True,
    ),
    JsonFormat(
        provider="sendgrid",
        what="webhook events",
        keys=frozenset({"event", "email", "sg_event_id"}),
        tell=lambda item, _: [item],
    ),
    CsvFormat(
        provider="sendgrid",
        what="Email Activity CSV",
        needs=(("processed",), ("messageid",), ("event",), ("email",)),
        tell=_row,
    ),
)
