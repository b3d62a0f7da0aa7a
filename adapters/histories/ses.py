"""Amazon SES's history: event publishing as Firehose or S3 keep it, one JSON object after the other, or as CSV.

Facts are from the SES developer guide, "Examples of event data that Amazon SES publishes to Firehose", at
https://docs.aws.amazon.com. The objects are those inside SNS's messages. The webhook's events have the id of the SNS
message, which these do not have.
"""

import re
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.histories.formats import CsvFormat, Item, JsonFormat, known_columns, nested, ours
from adapters.localtimes import time_ms
from schemas.failures import BadEvent
from schemas.instants import from_epoch_ms

_FIELDS: Final = {
    "mail": ("timestamp", "messageId", "source", "destination", "tags"),
    "bounce": ("bounceType", "bounceSubType", "bouncedRecipients", "timestamp", "feedbackId", "reportingMTA"),
    "complaint": ("complainedRecipients", "timestamp", "complaintFeedbackType", "complaintSubType", "feedbackId"),
    "delivery": ("timestamp", "recipients", "smtpResponse", "processingTimeMillis", "reportingMTA"),
    "deliveryDelay": ("delayType", "delayedRecipients", "expirationTime", "timestamp"),
    "open": ("ipAddress", "timestamp", "userAgent"),
    "click": ("ipAddress", "timestamp", "userAgent", "link", "linkTags"),
    "reject": ("reason",),
    "failure": ("errorMessage", "templateName"),
}
_PATHS: Final = known_columns(
    ["eventType", "notificationType", *(f"{name}.{field}" for name, fields in _FIELDS.items() for field in fields)]
) | {"event": "eventType", "messageid": "mail.messageId", "source": "mail.source", "destination": "mail.destination"}
_BETWEEN: Final = re.compile(r"[\s,;]+")


def _row(row: Item, zone: ZoneInfo) -> Iterator[Item]:
    item = nested(row, _PATHS)
    mail = item.setdefault("mail", {})
    mail.setdefault("timestamp", row.get("timestamp"))
    for holder in (one for one in item.values() if isinstance(one, dict)):
        if "timestamp" in holder:
            holder["timestamp"] = from_epoch_ms(time_ms(holder["timestamp"], zone))
    if isinstance(mail.get("destination"), str):
        mail["destination"] = [one for one in _BETWEEN.split(mail["destination"]) if one]
    tags = mail.get("tags")
    mail["tags"] = (tags if isinstance(tags, dict) else {}) | {
        key: [value] for key, value in ours(row, "mailtags").items()
    }
    if not mail.get("destination"):
        raise BadEvent("recipient missing", "the row has no mail.destination")
    yield item


FORMATS: Final = (
    JsonFormat(
        provider="ses",
        what="event publishing, as Firehose and S3 keep it",
        keys=frozenset({"eventType", "mail"}),
        tell=lambda item, _: [item],
    ),
    JsonFormat(
        provider="ses",
        what="feedback notifications",
        keys=frozenset({"notificationType", "mail"}),
        tell=lambda item, _: [item],
    ),
    JsonFormat(
        provider="ses",
        what="SNS messages",
        keys=frozenset({"Type", "MessageId", "TopicArn", "Message"}),
        tell=lambda item, _: [item],
    ),
    CsvFormat(
        provider="ses",
        what="event CSV with dotted columns",
        needs=(
            ("eventtype", "notificationtype"),
            ("mailmessageid", "messageid"),
            ("mailtimestamp", "timestamp"),
            ("maildestination", "destination"),
        ),
        tell=_row,
    ),
)
