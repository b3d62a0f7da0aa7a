"""The ground truth: what the lake must come to, counted from the world's own knowledge of each delivery."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Protocol

from data.facts import Delivery
from schemas.events import BounceClass, Kind

METRICS: Final = (
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced_hard",
    "bounced_soft",
    "bounced_block",
    "complained",
    "unsubscribed",
    "replied",
)
"""Deliveries of which at least one such fact is known; opened and clicked by a person."""

DELIVERED: Final = frozenset(
    {Kind.DELIVERED, Kind.OPENED, Kind.CLICKED, Kind.REPLIED, Kind.COMPLAINED, Kind.UNSUBSCRIBED},
)
SENT: Final = DELIVERED | {Kind.SENT, Kind.DEFERRED, Kind.BOUNCED}
"""Kinds that prove a message sent, or delivered, though nobody said so: the product's rules (data model)."""
_BOUNCES: Final = {
    BounceClass.HARD: "bounced_hard",
    BounceClass.SOFT: "bounced_soft",
    BounceClass.BLOCK: "bounced_block",
}
_PLAIN: Final = frozenset({Kind.COMPLAINED, Kind.UNSUBSCRIBED, Kind.REPLIED})
_BY_PERSON: Final = frozenset({Kind.OPENED, Kind.CLICKED})


class Lived(Protocol):
    """What has a truth: a world that knows what became of each delivery."""

    deliveries: list[Delivery]


def truth(world: Lived) -> list[dict[str, Any]]:
    """Rows `{campaign_id, metric, world}`, every metric of every campaign, in the order of both names' lists."""
    counts: dict[str, Counter[str]] = {}
    for delivery in world.deliveries:
        counts.setdefault(delivery.campaign.campaign_id, Counter()).update(set(_metrics(delivery)))
    return [
        {"campaign_id": campaign_id, "metric": metric, "world": counts[campaign_id][metric]}
        for campaign_id in sorted(counts)
        for metric in METRICS
    ]


def _metrics(delivery: Delivery) -> Iterator[str]:
    """The metrics that this delivery counts in; may repeat."""
    for fact in delivery.facts:
        if fact.kind in SENT:
            yield "sent"
        if fact.kind in DELIVERED:
            yield "delivered"
        if fact.kind in _PLAIN or (fact.kind in _BY_PERSON and not fact.is_machine):
            yield str(fact.kind)
        if fact.bounce_class is not None:
            yield _BOUNCES[fact.bounce_class]
