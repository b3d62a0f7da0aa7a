"""What the tables must say, worked out from a list of events in plain Python, without any code of the project's flows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

Event = dict[str, Any]

DIMENSIONS = (
    "campaign_id",
    "channel",
    "sequence_step",
    "variant",
    "persona",
    "account_tier",
    "sender",
    "recipient_domain",
)
GIVEN = ("campaign_id", "sequence_step", "variant", "persona", "account_tier", "sender")
SENT = {"sent", "deferred", "delivered", "opened", "clicked", "replied", "bounced", "complained", "unsubscribed"}
DELIVERED = {"delivered", "opened", "clicked", "replied", "complained", "unsubscribed"}


def unique(events: Iterable[Event]) -> list[Event]:
    """The first copy of each fact."""
    found: dict[tuple[Any, ...], Event] = {}
    for event in events:
        key = (
            event.get("provider"),
            event["event_id"],
            event["kind"],
            event.get("recipient"),
            event["occurred_at"][:10],
        )
        found.setdefault(key, event)
    return list(found.values())


def domain(event: Event) -> str | None:
    recipient = event.get("recipient")
    return recipient.rsplit("@", 1)[1].lower() if recipient and "@" in recipient else None


def alias_of(event: Event) -> tuple[Any, ...] | None:
    """The message an event is about; a reply that came as mail is about the one that it answers."""
    told = event.get("attributes") or {}
    if event["kind"] == "replied" and "original_message_id" in told:
        return event.get("provider"), told["original_message_id"], told.get("from")
    if event.get("message_id") is None:
        return None
    return event.get("provider"), event["message_id"], event.get("recipient")


def deliveries(events: Sequence[Event]) -> dict[Any, list[Event]]:
    """Facts by the delivery they belong to; one without delivery_id by what its message is known to be."""
    named: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for event in events:
        alias = alias_of(event)
        if event.get("delivery_id") is not None and alias is not None:
            named[alias].add(event["delivery_id"])
    grouped: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        alias = alias_of(event)
        if event.get("delivery_id") is not None:
            grouped[event["delivery_id"]].append(event)
        elif alias is not None:
            names = named.get(alias)
            assert names is None or len(names) == 1, "the tests name a message once"
            grouped[next(iter(names)) if names else alias].append(event)
        else:
            grouped[None].append(event)
    return grouped


def smallest(events: Sequence[Event], field: str) -> Any:
    values = [event[field] for event in events if event.get(field) is not None]
    return min(values) if values else None


def metrics_minute(events: Sequence[Event]) -> Counter[tuple[Any, ...]]:
    cells: Counter[tuple[Any, ...]] = Counter()
    for key, group in deliveries(events).items():
        known = {field: smallest(group, field) if key is not None else None for field in GIVEN}
        for event in group:
            taken = {**{d: event.get(d) for d in DIMENSIONS}, "recipient_domain": domain(event)}
            for field in GIVEN:
                taken[field] = taken[field] if taken[field] is not None else known[field]
            minute = event["occurred_at"][:16]
            cell = (minute, *taken.values(), event["kind"], event.get("bounce_class"), event.get("is_machine"))
            cells[cell] += 1
    return cells


def human(event: Event, kind: str) -> bool:
    return event["kind"] == kind and event.get("is_machine") is not True


def sent_time(group: Sequence[Event]) -> str:
    for kind in ("sent", "queued"):
        times = [event["occurred_at"] for event in group if event["kind"] == kind]
        if times:
            return str(min(times))
    return str(min(event["occurred_at"] for event in group))


def status(group: Sequence[Event]) -> str:
    kinds = {event["kind"] for event in group}
    if "replied" in kinds:
        return "replied"
    for kind in ("clicked", "opened"):
        if any(human(event, kind) for event in group):
            return kind
    if "bounced" in kinds:
        return "bounced"
    if kinds & {"failed", "rejected"}:
        return "failed"
    if kinds & {"delivered", "complained", "unsubscribed"}:
        return "delivered"
    return "sent" if kinds & SENT else "scheduled"


def delivery_rows(events: Sequence[Event]) -> dict[Any, tuple[Any, ...]]:
    """Key -> (status, campaign, sent time or None, events)."""
    rows = {}
    for key, group in deliveries(events).items():
        if key is not None:
            is_sent = bool({event["kind"] for event in group} & SENT)
            sent = sent_time(group) if is_sent else None
            rows[key] = (status(group), smallest(group, "campaign_id"), sent, len(group))
    return rows


def cohorts(events: Sequence[Event]) -> dict[tuple[Any, ...], dict[str, int]]:
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, group in deliveries(events).items():
        if key is None:
            continue
        kinds = {event["kind"] for event in group}
        row = found[
            sent_time(group)[:10],
            *(smallest(group, field) for field in ("campaign_id", "channel", "persona", "account_tier")),
        ]
        row["deliveries"] += 1
        row["messages_sent"] += bool(kinds & SENT)
        row["messages_delivered"] += bool(kinds & DELIVERED)
        row["messages_opened"] += any(human(event, "opened") for event in group)
        row["messages_clicked"] += any(human(event, "clicked") for event in group)
        row["responses_received"] += "replied" in kinds
        row["meetings_booked"] += "meeting_booked" in kinds
        for bounce in ("hard", "soft", "block"):
            row[f"bounced_{bounce}"] += any(
                event["kind"] == "bounced" and event.get("bounce_class") == bounce for event in group
            )
        for kind in ("complained", "unsubscribed", "rejected", "failed"):
            row[kind] += kind in kinds
    return {key: dict(row) for key, row in found.items()}
