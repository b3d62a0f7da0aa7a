"""What the tables must say, worked out from a list of events in plain Python, without any code of the project's flows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
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


class Ambiguous(Exception):  # noqa: N818 - reads as the state it names
    """Two deliveries fit equally well: the lake takes one by their hashes, which this recount does not know."""


Key = tuple[Any, ...] | str
MAIL_TELLS = {"from", "in_reply_to", "references", "original_message_id"}
REPORTED = {"bounced", "deferred", "delivered", "complained", "unsubscribed", "failed"}


def came_as_mail(event: Event) -> bool:
    told = event.get("attributes") or {}
    if event.get("delivery_id") is not None:
        return False
    return (
        bool(MAIL_TELLS & set(told)) if event["kind"] == "replied" else event["kind"] in REPORTED and "report" in told
    )


def alias_of(event: Event) -> tuple[Any, ...] | None:
    if event.get("message_id") is None:
        return None
    return event.get("provider"), event["message_id"], event.get("recipient")


def own_key(event: Event) -> Key | None:
    if event.get("delivery_id") is not None:
        return str(event["delivery_id"])
    alias = alias_of(event)
    if alias is None and came_as_mail(event):
        return "mail", event.get("provider"), event["event_id"], event.get("recipient")
    return alias


def local(message_id: str) -> str:
    return message_id.strip("<>, ").split("@")[0]


def ids_asked(event: Event) -> list[str]:
    """Ids of the message that a mail is about, best first."""
    told = event.get("attributes") or {}
    found = [event.get("message_id")]
    if event["kind"] == "replied":
        found += [told.get("original_message_id"), (told.get("in_reply_to") or "").split(" ")[0]]
        found += reversed((told.get("references") or "").split(" "))
    return [local(one) for one in found if one]


def meant(event: Event, messages: Sequence[tuple[Key, Event]]) -> Key | None:
    """The delivery that a mail is about."""
    told = event.get("attributes") or {}
    author = told.get("from") if event["kind"] == "replied" else event.get("recipient")

    def is_author(one: Event) -> bool:
        return bool(author) and (one.get("recipient") or "").lower() == str(author).lower()

    for asked in ids_asked(event):
        with_id = [(key, one) for key, one in messages if one.get("message_id") and local(one["message_id"]) == asked]
        same = {key for key, one in with_id if is_author(one)}
        if len(same) > 1:
            raise Ambiguous
        if same or len({key for key, _ in with_id}) == 1:
            return same.pop() if same else with_id[0][0]
    first: dict[Key, str] = {}
    for key, one in messages:
        if is_author(one):
            first[key] = min(first.get(key, "9"), one["occurred_at"])
    earlier = {key: at for key, at in first.items() if at <= event["occurred_at"]}
    newest = [key for key, at in earlier.items() if at == max(earlier.values())]
    if len(newest) > 1:
        raise Ambiguous
    return newest[0] if newest else None


def deliveries(events: Sequence[Event]) -> dict[Any, list[Event]]:
    """Facts by the delivery they belong to; one without delivery_id by what it is known to mean."""
    named: dict[Key, set[str]] = defaultdict(set)
    for event in events:
        alias = alias_of(event)
        if event.get("delivery_id") is not None and alias is not None:
            named[alias].add(event["delivery_id"])

    def key_of(event: Event) -> Key | None:
        key = own_key(event)
        names = named.get(key) if key is not None and event.get("delivery_id") is None else None
        assert names is None or len(names) == 1, "the tests name a message once"
        return next(iter(names)) if names else key

    keys = [key_of(event) for event in events]
    messages = [
        (key, event) for key, event in zip(keys, events, strict=True) if key is not None and not came_as_mail(event)
    ]
    grouped: dict[Any, list[Event]] = defaultdict(list)
    for key, event in zip(keys, events, strict=True):
        found = meant(event, messages) if came_as_mail(event) else None
        grouped[key if found is None else found].append(event)
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


def suspicion(group: Sequence[Event]) -> list[str]:
    """Why a delivery's opens or clicks look like a machine's."""
    delivered = min((at_ms(e) for e in group if e["kind"] == "delivered"), default=None)
    opens = [at_ms(e) for e in group if human(e, "opened")]
    clicks = [(at_ms(e), e.get("url")) for e in group if human(e, "clicked")]
    told = [(e.get("attributes") or {}).get("ip", "") for e in group if human(e, "opened") or human(e, "clicked")]

    def links(low: float, high: float) -> int:
        return len({url for at, url in clicks if low <= at <= high and url is not None})

    found = ["network"] if any(ip.startswith("67.231.1") for ip in told) else []
    found += ["hidden_link"] if any("op_hidden=1" in (url or "") for _, url in clicks) else []
    early = delivered is not None and links(0, delivered + 10_000) >= 2
    found += ["many_links"] if early or any(links(at, at + 2_000) >= 3 for at, _ in clicks) else []
    soon = delivered is not None and (
        any(at <= delivered + 5_000 for at, _ in clicks) or any(at <= delivered + 1_000 for at in opens)
    )
    return [*found, "at_delivery"] if soon else found


def at_ms(event: Event) -> float:
    return round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000)


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
    """Key -> (status, campaign, sent time or None, events, why it is suspect)."""
    rows = {}
    for key, group in deliveries(events).items():
        if key is not None:
            is_sent = bool({event["kind"] for event in group} & SENT)
            sent = sent_time(group) if is_sent else None
            why = ", ".join(suspicion(group)) or None
            rows[key] = (status(group), smallest(group, "campaign_id"), sent, len(group), why)
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
        suspect = bool(suspicion(group))
        row["messages_opened_strict"] += not suspect and any(human(event, "opened") for event in group)
        row["messages_clicked_strict"] += not suspect and any(human(event, "clicked") for event in group)
        row["responses_received"] += "replied" in kinds
        row["meetings_booked"] += "meeting_booked" in kinds
        for bounce in ("hard", "soft", "block"):
            row[f"bounced_{bounce}"] += any(
                event["kind"] == "bounced" and event.get("bounce_class") == bounce for event in group
            )
        for kind in ("complained", "unsubscribed", "rejected", "failed"):
            row[kind] += kind in kinds
    return {key: dict(row) for key, row in found.items()}
