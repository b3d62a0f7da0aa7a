"""SparkPost's history: results of the Events API, which are the webhook's events without wrapping, and the same as CSV.

Facts are from SparkPost's page "Events", at https://developers.sparkpost.com/api/events/. `event_id` is the webhook's.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, known_columns, nested, ours
from adapters.localtimes import time_ms

_FIELDS: Final = known_columns(
    (
        *("type", "event_id", "transmission_id", "message_id", "rcpt_to", "raw_rcpt_to", "rcpt_meta", "rcpt_tags"),
        *("friendly_from", "msg_from", "subject", "template_id", "subaccount_id", "bounce_class", "error_code"),
        *(
            "raw_reason",
            "reason",
            "target_link_url",
            "target_link_name",
            "user_agent",
            "user_agent_parsed",
            "ip_address",
        ),
        *("sending_ip", "ip_pool", "num_retries", "mailbox_provider", "campaign_id"),
    )
)


def _item(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    if "msys" in item:
        yield item
        return
    # The kind of the event stands inside; the adapter takes any of SparkPost's wrappings.
    yield {"msys": {"message_event": item | {"timestamp": time_ms(item.get("timestamp"), zone)}}}


def _row(row: Item, zone: ZoneInfo) -> Iterator[Item]:
    item = nested(row, _FIELDS)
    meta = item.get("rcpt_meta")
    campaign = {"campaign_id": row["campaign_id"]} if row.get("campaign_id") else {}
    own = {key: value for key, value in ours(row).items() if key not in campaign}
    item["rcpt_meta"] = (meta if isinstance(meta, dict) else {}) | own
    yield from _item(item | campaign | {"timestamp": row.get("timestamp")}, zone)


FORMATS: Final = (
    JsonFormat(provider="sparkpost", what="Events API", keys=frozenset({"type", "event_id", "timestamp"}), tell=_item),
    JsonFormat(provider="sparkpost", what="webhook events", keys=frozenset({"msys"}), tell=_item),
    CsvFormat(
        provider="sparkpost",
        what="events CSV",
        needs=(("type",), ("timestamp",), ("eventid", "transmissionid"), ("rcptto", "rawrcptto")),
        tell=_row,
    ),
)
