"""Mailgun's history: pages of the Events API and of the Logs API, and logs as CSV with the fields as dotted columns.

Facts are from Mailgun's pages "Events" and "Logs", at https://documentation.mailgun.com. The items are those of the
webhook's `event-data`, with the same `id`. The Logs API names the time `@timestamp`.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, as_json, known_columns, nested, ours
from adapters.localtimes import time_ms
from adapters.reading import custom_object

_PATHS: Final = known_columns(
    (
        *("id", "event", "recipient", "severity", "reason", "url", "ip", "tags", "log-level"),
        *(f"message.headers.{name}" for name in ("message-id", "to", "from", "subject")),
        *(f"delivery-status.{name}" for name in ("code", "message", "description", "enhanced-code", "attempt-no")),
        *(f"client-info.{name}" for name in ("user-agent", "bot", "client-type", "client-name", "device-type")),
        *(f"geolocation.{name}" for name in ("country", "region", "city")),
        *("reject.reason", "reject.description"),
    )
) | {
    "messageid": "message.headers.message-id",
    "from": "message.headers.from",
    "to": "message.headers.to",
    "subject": "message.headers.subject",
    "useragent": "client-info.user-agent",
}


def _item(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    if "event-data" in item:
        yield item
        return
    at = item.get("timestamp", item.get("@timestamp"))
    rest = {key: value for key, value in item.items() if key != "@timestamp"}
    yield {"event-data": rest | {"timestamp": time_ms(at, zone)}}


def _row(row: Item, zone: ZoneInfo) -> Iterator[Item]:
    item = nested(row, _PATHS)
    variables = custom_object(as_json(row.get("uservariables", ""))) | ours(row, "uservariables")
    at = row.get("timestamp") or row.get("date")
    yield {"event-data": item | {"timestamp": time_ms(at, zone), "user-variables": variables}}


FORMATS: Final = (
    JsonFormat(
        provider="mailgun", what="Events API", keys=frozenset({"event", "timestamp", "id", "message"}), tell=_item
    ),
    JsonFormat(
        provider="mailgun", what="Logs API", keys=frozenset({"event", "@timestamp", "id", "message"}), tell=_item
    ),
    JsonFormat(provider="mailgun", what="webhook events", keys=frozenset({"event-data"}), tell=_item),
    CsvFormat(
        provider="mailgun",
        what="log CSV",
        needs=(
            ("event",),
            ("timestamp", "date"),
            ("messageheadersmessageid", "messageid"),
            ("loglevel", "deliverystatuscode", "deliverystatusmessage", "messageheadersfrom", "severity"),
        ),
        tell=_row,
    ),
)
