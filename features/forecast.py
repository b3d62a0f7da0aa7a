"""What a campaign will still bring: replies or meetings yet to come of what was sent, and of what will be.

A message's answer comes days later. How much of it has come by which age is told within campaigns: a campaign's young
messages beside its own older ones, for campaigns differ in what they bring in the end. Counts are of messages sent, by age
in whole days.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.intervals import Interval

RIPE_DAYS: Final = 14
"""Messages of this age have had nearly all their answers."""
_PRIOR_DAYS: Final = 1.5
"""The assumed curve: answers come after an exponential time of this mean. Our choice, for homes with little history."""
_LEVEL_SD: Final = 0.25
_SLOPE_SD: Final = 0.2
_DAY_SD: Final = 0.2
"""How far the curve may be from the assumed one, in logarithms of what a day adds: all days alike, more by each later day,
and each day from the day before. Curves of means from 1 to 3 days differ by 0.3 a day."""
_UNSEEN_RATE: Final = 0.01
"""The rate taken where no campaign has brought anything yet; it weighs half a hit, as 50 messages without one."""
_RATE_HITS: Final = 0.5
"""A campaign's rate is taken to be gamma distributed with Jeffreys' half a hit before anything is seen of it."""
_RATE_SPREAD: Final = 2.2
"""Mean of that distribution over the rate of all campaigns: as many campaigns are then above the latter as below it."""
_DRAWS: Final = 2000
"""Each end of the interval then leaves out 2.5 % give or take 0.35 % (one standard error)."""
_STEPS: Final = 50
"""Scoring needs 5 to 15 of these."""

Floats = NDArray[np.float64]


class Day(NamedTuple):
    """Messages of one age (days since they were sent): how many were sent, and how many of these have brought it."""

    age: int
    sent: int
    hits: int


class Forecast(NamedTuple):
    """`have` so far, `expected` in all at the end, and the interval of that (95 %)."""

    have: int
    expected: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class Ripening:
    """How answers ripen: the share that has come by each age 0..`RIPE_DAYS` - 1, and `draws` of how it may truly be.

    `rate` is what all campaigns' messages bring in the end.
    """

    shares: tuple[float, ...]
    draws: Floats
    rate: float


def ripening(campaigns: Iterable[Sequence[Day]], day_share: float = 1.0) -> Ripening:
    """How answers ripen, from the messages of each campaign; `day_share` is how much of the newest day (age 0) is over.

    Given what a campaign has brought in all, its ages share that out as messages times ripeness: a multinomial, in which the
    campaign's own rate has cancelled out. Its logarithm and the assumed curve's are maximised by Fisher scoring; where days
    of one campaign differ by more than chance, it counts for less. Shares grow with age and reach 1 at `RIPE_DAYS` only.

    Source: McCullagh and Nelder, Generalized Linear Models, 2nd edition, sections 2.5 (scoring), 6.4 (Poisson given totals)
    and 9.2 (dispersion from Pearson's statistic); Bayesian Data Analysis, 3rd edition, section 4.1 (normal posterior).
    """
    sent, hits = _counted(campaigns)
    assumed = _assumed(day_share)
    days = np.arange(RIPE_DAYS)
    spread = _LEVEL_SD**2 + _SLOPE_SD**2 * np.outer(days, days) + _DAY_SD**2 * np.minimum.outer(days + 1, days + 1)
    firm: Floats = np.linalg.inv(spread).astype(np.float64)
    steps, _ = _fit(assumed, firm, sent, hits, 1.0)
    dispersion = _dispersion(_shares(steps), sent, hits)
    steps, known = _fit(assumed, firm, sent, hits, dispersion)
    noise = np.random.default_rng(1).standard_normal((_DRAWS, RIPE_DAYS))
    draws = steps + np.linalg.solve(np.linalg.cholesky(known).T, noise.T).T
    shares = _shares(steps)
    seen = float((sent @ shares).sum())
    return Ripening(tuple(shares[:-1].tolist()), _shares(draws)[:, :-1], float(hits.sum()) / seen if seen else 0.0)


def forecast(campaign: Sequence[Day], curve: Ripening, still_to_send: float = 0.0) -> Forecast:
    """What a campaign has brought in the end, when `still_to_send` more messages will be sent.

    The interval is of a gamma-Poisson prediction, over all that the curve may be.

    >>> curve = ripening([[Day(20, 10_000, 300)]])
    >>> found = forecast([Day(20, 1000, 30)], curve, still_to_send=1000)
    >>> found.have, round(found.expected)
    (30, 60)

    Source: Gelman et al., Bayesian Data Analysis, 3rd edition, section 2.6 (gamma-Poisson).
    """
    have = sum(day.hits for day in campaign)
    sent, _ = _counted([campaign])
    drawn = np.column_stack([curve.draws, np.ones(len(curve.draws))])
    seen, total = drawn @ sent[0], float(sent.sum())
    unseen = np.maximum(total - seen, 0.0) + still_to_send
    most = total - have + still_to_send
    if total + still_to_send <= 0 or most <= 0 or not unseen.any():
        return Forecast(have, float(have), Interval(have, have))
    shown = float(np.append(curve.shares, 1.0) @ sent[0])
    prior = _RATE_HITS / (curve.rate or _UNSEEN_RATE)
    expected = min(most, (total - shown + still_to_send) * (have + _RATE_HITS) / (shown + prior))
    dice = np.random.default_rng(2)
    rates = np.minimum(dice.gamma(have + _RATE_HITS, size=len(seen)) / (seen + prior / _RATE_SPREAD), 1.0)
    more = np.minimum(dice.poisson(rates * unseen), most)
    low, high = np.quantile(more, [0.025, 0.975], method="inverted_cdf").tolist()
    return Forecast(have, have + expected, Interval(have + low, have + high))


def _counted(campaigns: Iterable[Sequence[Day]]) -> tuple[Floats, Floats]:
    """Messages and hits of each campaign (row) by age; the last column holds the ripe ones."""
    found = list(campaigns)
    sent, hits = np.zeros((2, len(found), RIPE_DAYS + 1))
    for row, days in enumerate(found):
        for day in days:
            age = min(max(day.age, 0), RIPE_DAYS)
            sent[row, age] += day.sent
            hits[row, age] += day.hits
    return sent, hits


def _assumed(day_share: float) -> Floats:
    """What each further day adds to the logarithm of the assumed curve, as a logarithm."""
    ages = np.arange(RIPE_DAYS + 1) + day_share - 0.5
    ages[0] = max(day_share, 0.02) / 2  # half an hour at least
    come = np.log1p(-np.exp(-ages / _PRIOR_DAYS))
    added: Floats = np.log(np.diff(come))
    return added


def _shares(steps: Floats) -> Floats:
    """Ripeness at ages 0..`RIPE_DAYS`, of what each day adds."""
    added = np.exp(np.clip(steps, -30.0, 3.0))
    left = np.flip(np.cumsum(np.flip(added, -1), -1), -1)
    come = np.minimum(np.exp(-left), np.nextafter(1.0, 0.0))
    whole: Floats = np.concatenate([come, np.ones((*come.shape[:-1], 1))], axis=-1)
    return whole


def _parts(shares: Floats, sent: Floats) -> Floats:
    """The share of each campaign's hits that each age should hold."""
    ripe = sent * shares
    parts: Floats = ripe / np.maximum(ripe.sum(axis=1, keepdims=True), 1e-300)
    return parts


def _fit(assumed: Floats, firm: Floats, sent: Floats, hits: Floats, dispersion: float) -> tuple[Floats, Floats]:
    """The likeliest curve's daily additions and how surely they are known: the inverse of their covariance."""
    keep = (hits.sum(axis=1) > 0) & ((sent > 0).sum(axis=1) > 1)
    sent, hits = sent[keep], hits[keep]
    totals = hits.sum(axis=1)

    def worth(steps: Floats) -> float:
        shares = _shares(steps)
        ripe = np.log(np.maximum(sent @ shares, 1e-300))
        told = hits.sum(axis=0) @ np.log(shares) - totals @ ripe
        return float(told / dispersion - (steps - assumed) @ firm @ (steps - assumed) / 2)

    steps, best = assumed, worth(assumed)
    for _ in range(_STEPS):
        parts = _parts(_shares(steps), sent)
        slopes = -np.triu(np.ones((RIPE_DAYS, RIPE_DAYS))) * np.exp(steps)
        slopes = np.vstack([slopes, np.zeros(RIPE_DAYS)])
        pull = slopes.T @ (hits - totals[:, None] * parts).sum(axis=0) / dispersion - firm @ (steps - assumed)
        weight = np.diag(totals @ parts) - (parts * totals[:, None]).T @ parts
        known = slopes.T @ weight @ slopes / dispersion + firm
        move = np.linalg.solve(known, pull)
        size = 1.0
        while size > 1e-6 and worth(steps + size * move) < best:
            size /= 2
        steps = steps + size * move
        now = worth(steps)
        if now - best < 1e-9 * (1 + abs(best)):
            break
        best = now
    return steps, known


def _dispersion(shares: Floats, sent: Floats, hits: Floats) -> float:
    """How much more than by chance a campaign's ages differ from the curve: 1 is chance."""
    expected = hits.sum(axis=1, keepdims=True) * _parts(shares, sent)
    is_told = expected >= 1  # below it Pearson's statistic is erratic
    free = int(np.maximum(is_told.sum(axis=1) - 1, 0).sum()) - RIPE_DAYS
    if free <= 0:
        return 1.0
    return max(1.0, float((np.square(hits - expected)[is_told] / expected[is_told]).sum()) / free)
