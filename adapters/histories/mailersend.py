"""MailerSend's history: activities of the API, and activity as CSV.

Facts are from MailerSend's page "Activity API", at https://developers.mailersend.com/api/v1/activity.html. An activity has
the `id` that the webhook gives as `data.id`. Its `queued` has no webhook.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.facts import OUR_KEYS, optional_text
from adapters.histories.formats import CsvFormat, Item, JsonFormat, cell, ours, plain, without_empty
from adapters.localtimes import time_ms
from adapters.reading import Receipt, address_of, event_of, inner, occurred_ms, with_sender
from schemas.events import Event, Kind
from schemas.instants import from_epoch_ms

_UNKNOWN: Final = Receipt(None, None)
NAMES: Final = {
    "sent": "activity.sent",
    "delivered": "activity.delivered",
    "deferred": "activity.deferred",
    "softbounced": "activity.soft_bounced",
    "softbounce": "activity.soft_bounced",
    "hardbounced": "activity.hard_bounced",
    "hardbounce": "activity.hard_bounced",
    "opened": "activity.opened",
    "openedunique": "activity.opened_unique",
    "clicked": "activity.clicked",
    "clickedunique": "activity.clicked_unique",
    "unsubscribed": "activity.unsubscribed",
    "spamcomplaint": "activity.spam_complaint",
    "spamcomplaints": "activity.spam_complaint",
    "junk": "activity.spam_complaint",
}


def _activity(item: Item, zone: ZoneInfo) -> Iterator[Event | Item]:
    told, email = str(item.get("type") or ""), inner(item, "email")
    if told.startswith("activity."):  # as a webhook posts it
        yield item
        return
    at_ms = time_ms(item.get("created_at"), zone)
    if told == "queued":
        yield _queued(
            at_ms,
            event_id=optional_text(item.get("id")),
            message_id=optional_text(inner(email, "message").get("id")),
            recipient=inner(email, "recipient").get("email"),
            sender=email.get("from"),
            tags=email.get("tags"),
        )
        return
    data = {"id": item.get("id"), "created_at": from_epoch_ms(at_ms), "email": email, "morph": item.get("morph")}
    yield {"type": NAMES.get(plain(told), told), "data": without_empty(data)}


def _row(row: Item, zone: ZoneInfo) -> Iterator[Event | Item]:
    """The newer, flat form of the webhook."""
    told = cell(row, "event", "type", "activity", "status") or ""
    at_ms = time_ms(cell(row, "date", "createdat", "timestamp", "time"), zone)
    recipient, sender = cell(row, "recipient", "recipientemail", "to"), cell(row, "sender", "from", "senderemail")
    event_id, message_id = cell(row, "id", "activityid"), cell(row, "messageid")
    tags = [one.strip() for one in (row.get("tags") or "").replace(";", ",").split(",") if one.strip()]
    tags += [f"{key}:{value}" for key, value in ours(row).items()]
    if plain(told) == "queued":
        yield _queued(at_ms, event_id=event_id, message_id=message_id, recipient=recipient, sender=sender, tags=tags)
        return
    data = {
        "id": event_id,
        "created_at": from_epoch_ms(at_ms),
        "email": recipient,
        "message_id": message_id,
        "tags": tags,
        "from": sender,
        "subject": row.get("subject"),
        "morph": without_empty({"reason": cell(row, "reason", "details"), "url": cell(row, "url", "link")}),
    }
    yield {"type": NAMES.get(plain(told), told), "data": without_empty(data)}


def _queued(
    at_ms: int, *, event_id: str | None, message_id: str | None, recipient: object, sender: object, tags: object
) -> Event:
    pairs = [tag.partition(":") for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    keys = {key.strip(): value.strip() for key, _, value in pairs if key.strip() in OUR_KEYS and value.strip()}
    return event_of(
        "mailersend",
        _UNKNOWN,
        kind=Kind.QUEUED,
        at_ms=occurred_ms(at_ms, _UNKNOWN),
        event_id=event_id,
        message_id=message_id,
        recipient=address_of(recipient),
        attributes={},
        ours=with_sender(keys, sender),
    )


FORMATS: Final = (
    JsonFormat(
        provider="mailersend",
        what="Activity API",
        keys=frozenset({"id", "created_at", "type", "email"}),
        tell=_activity,
    ),
    JsonFormat(
        provider="mailersend",
        what="webhook events",
        keys=frozenset({"type", "data"}),
        type_prefix="activity.",
        tell=_activity,
    ),
    CsvFormat(
        provider="mailersend",
        what="activity CSV",
        needs=(
            ("event", "type", "activity", "status"),
            ("date", "createdat", "timestamp", "time"),
            ("recipient", "recipientemail", "to"),
            ("sender", "from", "senderemail"),
            ("messageid", "activityid"),
        ),
        tell=_row,
    ),
)
