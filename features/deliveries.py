"""What a delivery has come to: its events folded into flags, times and dimensions, as SQL that merges in any order.

All folds are bit-or, minimum and maximum, so neither order nor repetition of events matters. Where events of one delivery
disagree on a dimension, the smallest text wins, for the same reason.
"""

from collections.abc import Mapping, Sequence
from typing import Final

COHORT_KEYS: Final = ("campaign_id", "channel", "persona", "account_tier", "sequence_step", "variant", "sender")

FLAGS: Final[Mapping[str, str]] = {
    "queued": "kind = 'queued'",
    "sent": "kind = 'sent'",
    "deferred": "kind = 'deferred'",
    "delivered": "kind = 'delivered'",
    "opened": "kind = 'opened' AND is_machine IS NOT TRUE",
    "machine_opened": "kind = 'opened' AND is_machine",
    "clicked": "kind = 'clicked' AND is_machine IS NOT TRUE",
    "machine_clicked": "kind = 'clicked' AND is_machine",
    "replied": "kind = 'replied'",
    "bounced_hard": "kind = 'bounced' AND bounce_class = 'hard'",
    "bounced_soft": "kind = 'bounced' AND bounce_class = 'soft'",
    "bounced_block": "kind = 'bounced' AND bounce_class = 'block'",
    "bounced_unknown": "kind = 'bounced' AND bounce_class IS NULL",
    "rejected": "kind = 'rejected'",
    "complained": "kind = 'complained'",
    "unsubscribed": "kind = 'unsubscribed'",
    "failed": "kind = 'failed'",
    "connected": "kind = 'connected'",
    "called": "kind = 'called'",
    "meeting_booked": "kind = 'meeting_booked'",
    "meeting_confirmed": "kind = 'meeting_confirmed'",
    "meeting_cancelled": "kind = 'meeting_cancelled'",
    "meeting_held": "kind = 'meeting_held'",
    "meeting_no_show": "kind = 'meeting_no_show'",
    "opportunity_created": "kind = 'opportunity_created'",
    "suspect": "",  # no single event sets it, see features.suspicion
    "answered": "",  # these three: what a reply was read as, see flags_of_reading
    "positive": "",
    "read": "",
}
"""One bit for each thing that may have happened to a delivery, in this order, and when an event sets it."""

POSITIVE_INTENTS: Final = ("interested", "question", "meeting_request")
"""What counts as a positive reply (data model, "How they are derived")."""
_BIT: Final = {name: 1 << position for position, name in enumerate(FLAGS)}

_BOUNCED: Final = ("bounced_hard", "bounced_soft", "bounced_block", "bounced_unknown")
_ENGAGED: Final = ("opened", "machine_opened", "clicked", "machine_clicked", "replied", "complained", "unsubscribed")
IS_DELIVERED: Final = ("delivered", *_ENGAGED)
"""Kinds that prove arrival (data model, "How they are derived")."""
IS_SENT: Final = ("sent", "deferred", *IS_DELIVERED, *_BOUNCED)
"""Kinds that prove sending; `queued`, `rejected` and `failed` alone do not."""
_MET: Final = (
    "meeting_booked",
    "meeting_confirmed",
    "meeting_cancelled",
    "meeting_held",
    "meeting_no_show",
    "opportunity_created",
)
_ENGAGED_STAGE: Final = ("answered", *_MET)
_INTERESTED: Final = ("opened", "clicked", "connected", *_ENGAGED_STAGE)
_AWARE: Final = (*IS_DELIVERED, "called", *_INTERESTED)


def mask(*names: str) -> int:
    """The bits of some flags together; a name may be given twice."""
    return sum(_BIT[name] for name in set(names))


def has(*names: str, flags: str = "flags") -> str:
    """SQL: whether a delivery has any of the flags."""
    return f"(({flags} & {mask(*names)}) <> 0)"


COUNTS: Final[Mapping[str, str]] = {
    "deliveries": "true",
    "sent": has(*IS_SENT),
    "delivered": has(*IS_DELIVERED),
    "opened": has("opened"),
    "machine_opened": has("machine_opened"),
    "clicked": has("clicked"),
    "opened_strict": f"({has('opened')} AND NOT {has('suspect')})",
    "clicked_strict": f"({has('clicked')} AND NOT {has('suspect')})",
    "replied": has("replied"),
    "answered": has("answered"),
    "positive": has("positive"),
    "read": has("read"),
    "meetings": has("meeting_booked"),
    "bounced": has(*_BOUNCED),
    "bounced_hard": has("bounced_hard"),
    "bounced_soft": has("bounced_soft"),
    "bounced_block": has("bounced_block"),
    "complained": has("complained"),
    "unsubscribed": has("unsubscribed"),
    "rejected": has("rejected"),
    "failed": has("failed"),
    # The funnel: each stage is reached by what proves it, or any later stage, so that none is larger than the one before.
    "touched": has(*IS_SENT, *_AWARE),
    "aware": has(*_AWARE),
    "interested": has(*_INTERESTED),
    "engaged": has(*_ENGAGED_STAGE),
    "met": has(*_MET),
    "opportunities": has("opportunity_created"),
}
"""What a cohort counts, each delivery once: name and SQL condition over `flags`."""

HOUR_KEYS: Final = ("campaign_id", "channel", "persona")
HOUR_COUNTS: Final[Mapping[str, str]] = {
    name: COUNTS[name] for name in ("sent", "delivered", "opened", "clicked", "answered", "positive", "meetings")
}
"""What is counted by the hour of sending: fewer keys than a cohort, for hours would make most of its rows anew."""


def flags_of_event() -> str:
    """SQL: the bits that one event sets, as BIGINT."""
    simple = {k: v for k, v in FLAGS.items() if v and " AND " not in v}
    whens = " ".join(f"WHEN '{kind}' THEN {_BIT[kind]}" for kind in simple)
    pair = "WHEN '{0}' THEN CASE WHEN is_machine THEN {1} ELSE {2} END"
    whens += " " + " ".join(pair.format(k, _BIT[f"machine_{k}"], _BIT[k]) for k in ("opened", "clicked"))
    classes = " ".join(f"WHEN '{c}' THEN {_BIT[f'bounced_{c}']}" for c in ("hard", "soft", "block"))
    whens += f" WHEN 'bounced' THEN CASE bounce_class {classes} ELSE {_BIT['bounced_unknown']} END"
    return f"(CASE kind {whens} ELSE 0 END)::BIGINT"


def flags_of_reading(intent: str) -> str:
    """SQL: the bits that a reply sets by what it was read as; one that is not read yet (NULL) counts as an answer."""
    positive = ", ".join(f"'{name}'" for name in POSITIVE_INTENTS)
    return f"""(CASE WHEN kind <> 'replied' THEN 0 WHEN {intent} IS NULL THEN {mask("answered")}
        WHEN {intent} = 'out_of_office' THEN {mask("read")}
        WHEN {intent} IN ({positive}) THEN {mask("answered", "positive", "read")}
        ELSE {mask("answered", "read")} END)::BIGINT"""


def sent_time() -> str:
    """SQL aggregate: the earliest `sent`, else the earliest `queued`, else the earliest event."""
    first = "min(CASE WHEN kind = '{}' THEN occurred_at END)"
    return f"coalesce({first.format('sent')}, {first.format('queued')}, min(occurred_at))"


def status() -> str:
    """SQL over `flags`: the furthest that a delivery has reached; machine opens and clicks do not raise it."""
    ladder = (
        ("replied", ("replied",)),
        ("clicked", ("clicked",)),
        ("opened", ("opened",)),
        ("bounced", _BOUNCED),
        ("failed", ("failed", "rejected")),
        ("delivered", ("delivered", "complained", "unsubscribed")),
        ("sent", IS_SENT),
    )
    whens = " ".join(f"WHEN {has(*names)} THEN '{name}'" for name, names in ladder)
    return f"CASE {whens} ELSE 'scheduled' END"


def cohort_changes(old: str, new: str) -> str:
    """SQL: signed cohort rows that turn the deliveries of relation `old` into those of relation `new`.

    Both have `COHORT_KEYS`, `flags` and `sent_at`; rows whose counts cancel out are left away.
    """
    return _changes(old, new, ("metric_date", *COHORT_KEYS), "sent_at::DATE AS metric_date", COUNTS)


def hour_changes(old: str, new: str) -> str:
    """SQL: as `cohort_changes`, by the UTC hour of sending."""
    hour = "make_timestamptz(epoch_us(sent_at) // 3600000000 * 3600000000) AS sent_hour"
    return _changes(old, new, ("sent_hour", *HOUR_KEYS), hour, HOUR_COUNTS)


def _changes(old: str, new: str, keys: Sequence[str], when: str, counts: Mapping[str, str]) -> str:
    own = ", ".join([when, *keys[1:]])
    one = ", ".join(f"({condition})::BIGINT AS {name}" for name, condition in counts.items())
    less = ", ".join(f"-(({condition})::BIGINT) AS {name}" for name, condition in counts.items())
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in counts)
    changed = " OR ".join(f"sum({name}) <> 0" for name in counts)
    return f"""
        SELECT {", ".join(keys)}, {sums}
        FROM (SELECT {own}, {one} FROM {new} UNION ALL SELECT {own}, {less} FROM {old})
        GROUP BY ALL HAVING {changed}"""
