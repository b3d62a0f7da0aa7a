"""What a campaign will still bring: replies or meetings yet to come of what was sent, and of what will be.

A message's answer comes days later. How much of it has come by which age is told from all campaigns: the rate of messages
of an age beside the rate of those old enough. Counts are of deliveries, by age in whole days.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from features.intervals import Interval, still_to_come

RIPE_DAYS: Final = 14
"""Messages of this age have had nearly all their answers."""
_PRIOR_MESSAGES: Final = 400.0
"""So many messages of an age the assumed curve weighs, until there are more of them."""
_PRIOR_DAYS: Final = 1.5
"""The assumed curve: answers come after an exponential time of this mean. Our choice, for homes with little history."""


class Day(NamedTuple):
    """Messages of one age (days since they were sent): how many arrived, and how many of these have brought it."""

    age: int
    delivered: int
    hits: int


class Forecast(NamedTuple):
    """`have` so far, `expected` in all at the end, and the interval of that (95 %)."""

    have: int
    expected: float
    interval: Interval


def ripeness(days: Sequence[Day]) -> list[float]:
    """The share of answers that has come by each age 0..`RIPE_DAYS` - 1; never falls with age, 1 from then on."""
    ripe = [day for day in days if day.age >= RIPE_DAYS]
    arrived = sum(day.delivered for day in ripe)
    rate = sum(day.hits for day in ripe) / arrived if arrived else 0.0
    shares: list[float] = []
    for age in range(RIPE_DAYS):
        assumed = 1 - math.exp(-(age + 0.5) / _PRIOR_DAYS)
        delivered = sum(day.delivered for day in days if day.age == age)
        hits = sum(day.hits for day in days if day.age == age)
        told = hits / rate if rate > 0 else delivered * assumed
        share = (told + _PRIOR_MESSAGES * assumed) / (delivered + _PRIOR_MESSAGES)
        shares.append(min(1.0, max(share, shares[-1] if shares else 0.0)))
    return shares


def forecast(campaign: Sequence[Day], shares: Sequence[float], still_to_arrive: float = 0.0) -> Forecast:
    """What a campaign has brought in the end, when `still_to_arrive` more messages will arrive.

    >>> shares = ripeness([Day(20, 10_000, 300)])
    >>> found = forecast([Day(20, 1000, 30)], shares, still_to_arrive=1000)
    >>> found.have, round(found.expected)
    (30, 60)
    """
    have = sum(day.hits for day in campaign)
    seen = sum(day.delivered * _share(shares, day.age) for day in campaign)
    unseen = sum(day.delivered * (1 - _share(shares, day.age)) for day in campaign) + still_to_arrive
    more, (low, high) = still_to_come(have, seen, unseen) if unseen > 0 else (0.0, Interval(0.0, 0.0))
    return Forecast(have, have + more, Interval(have + low, have + high))


def _share(shares: Sequence[float], age: int) -> float:
    return shares[age] if 0 <= age < len(shares) else 1.0
