"""Brevo's history: the CSV of the transactional logs, weekly event exports, and unaggregated events of the API.

Facts are from Brevo's pages "Get all your transactional email activity (unaggregated events)", "Weekly event exports" and
"Manage your transactional logs", at https://developers.brevo.com and https://help.brevo.com. No event has an id. Times in
the logs' CSV are in the account's time zone and day first. The logs name events in the account's language: only English
names are known here.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, cell, ours, plain, without_empty
from adapters.localtimes import time_ms

NAMES: Final = {
    "requests": "request",
    "request": "request",
    "sent": "request",
    "delivered": "delivered",
    "deferred": "deferred",
    "hardbounces": "hard_bounce",
    "hardbounce": "hard_bounce",
    "hardbounced": "hard_bounce",
    "softbounces": "soft_bounce",
    "softbounce": "soft_bounce",
    "softbounced": "soft_bounce",
    "invalid": "invalid_email",
    "invalidemail": "invalid_email",
    "blocked": "blocked",
    "error": "error",
    "opened": "opened",
    "opens": "opened",
    "firstopening": "unique_opened",
    "uniqueopened": "unique_opened",
    "loadedbyproxy": "proxy_open",
    "proxyopen": "proxy_open",
    "uniqueloadedbyproxy": "unique_proxy_open",
    "uniqueproxyopen": "unique_proxy_open",
    "firstloadedbyproxy": "unique_proxy_open",
    "clicks": "click",
    "click": "click",
    "clicked": "click",
    "spam": "spam",
    "complaint": "complaint",
    "unsubscribed": "unsubscribed",
    "unsubscribe": "unsubscribed",
}
_NOTHING: Final = "NA"


def _named(name: object) -> str:
    told = str(name or "")
    return NAMES.get(plain(told), told)


def _event(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    yield without_empty(
        {
            "event": _named(item.get("event")),
            "email": item.get("email"),
            "message-id": item.get("messageId"),
            "ts_epoch": time_ms(item.get("date"), zone),
            "subject": item.get("subject"),
            "reason": item.get("reason"),
            "link": item.get("link"),
            "ip": item.get("ip"),
            "tag": item.get("tag"),
            "template_id": item.get("templateId"),
            "sender_email": item.get("from"),
        }
    )


def _log_row(told: Item, zone: ZoneInfo) -> Iterator[Item]:
    row = {name: text for name, text in told.items() if text != _NOTHING}
    yield without_empty(
        {
            "event": _named(row.get("sttext")),
            "email": row.get("email"),
            "message-id": row.get("mid"),
            "ts_epoch": time_ms(row.get("ts"), zone),
            "subject": row.get("sub"),
            "sender_email": row.get("frm"),
            "tag": row.get("tag"),
            "link": row.get("link"),
            "X-Mailin-custom": ours(row),
        }
    )


def _export_row(row: Item, zone: ZoneInfo) -> Iterator[Item]:
    """A row of a weekly export: the fields of the webhook."""
    at = cell(row, "tsepoch", "tsevent")  # seconds or milliseconds in UTC
    local = cell(row, "date", "ts")
    yield without_empty(
        {
            "event": _named(row.get("event")),
            "email": row.get("email"),
            "message-id": row.get("messageid"),
            "ts_epoch": time_ms(at or local, zone),
            "reason": row.get("reason"),
            "link": row.get("link"),
            "subject": row.get("subject"),
            "sender_email": cell(row, "senderemail", "from"),
            "user_agent": row.get("useragent"),
            "ip": row.get("ip"),
            "tag": cell(row, "tag", "tags"),
            "X-Mailin-custom": row.get("xmailincustom") or ours(row),
        }
    )


FORMATS: Final = (
    JsonFormat(
        provider="brevo",
        what="events of the API",
        keys=frozenset({"event", "email", "messageId", "date"}),
        tell=_event,
    ),
    JsonFormat(
        provider="brevo",
        what="webhook events",
        keys=frozenset({"event", "email", "message-id"}),
        tell=lambda item, _: [item],
    ),
    CsvFormat(
        provider="brevo",
        what="transactional log CSV",
        needs=(("sttext",), ("ts",), ("email",), ("mid",)),
        tell=_log_row,
    ),
    CsvFormat(
        provider="brevo",
        what="weekly event export",
        needs=(("event",), ("email",), ("messageid",), ("tsepoch", "tsevent", "ts")),
        tell=_export_row,
    ),
)
