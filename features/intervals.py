"""How sure a rate is: its interval, its lower limit, and the interval of a difference.

Rates are 0..1. Intervals are two-sided at 95 %, the lower limit is one of them.
"""

import math
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""The normal quantile of 97.5 %."""
_TAIL: Final = 0.025
_FEW: Final = 50
"""Hits up to which the exact limit is worked out; with more, Wilson's is within a twentieth of it."""
_HALVINGS: Final = 50


class Interval(NamedTuple):
    """A lower and an upper limit."""

    low: float
    high: float


def wilson(hits: int, trials: int, z: float = Z) -> Interval | None:
    """The interval of a rate of `hits` in `trials`; None without trials. It holds at 0 and at small numbers too.

    >>> low, high = wilson(1, 10)
    >>> round(low, 3), round(high, 3)
    (0.018, 0.404)

    Source: Wilson (1927), J. Am. Stat. Assoc. 22, 209-212; Brown, Cai, DasGupta (2001), Stat. Sci. 16, equation 4.
    """
    if trials <= 0:
        return None
    share = min(hits / trials, 1.0)
    square = z * z / trials
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def at_least(hits: int, trials: int) -> float:
    """The lower limit of a rate, exact where there are few hits (Clopper and Pearson), else Wilson's; 0 without trials.

    One hit in one trial is no proof of a high rate, and Wilson's limit, true on average, says 0.21 of it.

    >>> round(at_least(1, 1), 3), round(at_least(1, 300), 5), round(at_least(10, 100), 3)
    (0.025, 8e-05, 0.049)

    Source: Clopper, Pearson (1934), Biometrika 26, 404-413: the rate at which so many hits have a probability of 2.5 %.
    """
    hits = min(hits, trials)  # meetings of people who were called may be more than the mails that arrived
    if hits <= 0:
        return 0.0
    if hits > _FEW:
        found = wilson(hits, trials)
        return found.low if found else 0.0
    low, high = 0.0, hits / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _probability(hits, trials, middle) < _TAIL else (low, middle)
    return low


def _probability(hits: int, trials: int, rate: float) -> float:
    """Of at least so many hits."""
    if rate >= 1:
        return 1.0
    ratio = math.log(rate) - math.log1p(-rate)
    logs = [trials * math.log1p(-rate)]
    for number in range(1, hits):
        logs.append(logs[-1] + math.log((trials - number + 1) / number) + ratio)
    return 1.0 - math.fsum(map(math.exp, logs))


def difference(hits: int, trials: int, past_hits: int, past_trials: int) -> Interval | None:
    """The interval of the first rate less the second; None where either has no trials. A change is told where 0 is outside.

    >>> difference(56, 70, 48, 80) is not None
    True

    Source: Newcombe (1998), Stat. Med. 17, 873-890, method 10: both Wilson limits, squared and added.
    """
    now, past = wilson(hits, trials), wilson(past_hits, past_trials)
    if now is None or past is None:
        return None
    share, before = min(hits / trials, 1.0), min(past_hits / past_trials, 1.0)
    down = math.hypot(share - now.low, past.high - before)
    up = math.hypot(now.high - share, before - past.low)
    return Interval(share - before - down, share - before + up)
