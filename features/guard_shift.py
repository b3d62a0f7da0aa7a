"""Evidence that a rate has changed for the worse from the scope's own past, and is now harmful.

For each moment at which the change may have happened there is one bet: "before it a constant rate, after it a rate above
the tolerance", against "one constant rate, at most the tolerance, all the time". Neither rate is known: the first is mixed
over a beta distribution, the second over a grid, and the claim is granted the constant rate that suits it best (universal
inference: Wasserman, Ramdas, Balakrishnan, 2020). The evidence is the sum over moments, each with a weight fixed in
advance: an e-detector in the form of Shiryaev and Roberts (Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework
for sequential change detection", 2023). The weights of the first million trials sum to 1, so evidence of 1/alpha within
them has a probability of at most alpha while nothing changes; each further million adds 0.6 alpha at most. `docs/guard.md`
proves it.

Moments are boundaries of blocks of trials, finer for the near past, coarser for the far one. A hit is counted in the block
of its own trial, however late it comes: late hits of old trials make the past worse, not the present.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from features.guard_limit import (
    Floats,
    Ints,
    log_beta_mixture,
    log_likelihood,
    log_sum_exp,
    rates_above,
)

LEVELS: Final = 12
BLOCKS: Final = 4
"""At each level the newest four blocks are kept, of twice the size of the level below: changes up to four times 2**11
finest blocks back, 32,768 trials at a tolerance of 5% and 524,288 at 0.3%."""
ODDS_RATIOS: Final = np.array([1.3, 1.7, 2.3, 3.3, 5.0, 9.0, 20.0])
"""Rates after the change: odds as multiples of the tolerance's, closest where changes are hardest to see."""
HORIZON: Final = 1_000_000
"""Trials within which the weights sum to 1."""
HARM: Final = 1.35
"""A moment counts only when the trials since then speak for a rate above the tolerance with a likelihood ratio of e**1.35,
the one-sided 95% point of the normal approximation (1.645**2 / 2): the change is proven, harm is likely. After 2,000 sends
at 1%, a rise to 4% at a tolerance of 5% is then paused in 4.3% of scopes over 20,000 sends (7.4% with 0.82, 2.9% with 1.92),
while complaints that rise to 0.5% at a tolerance of 0.3% need 2,006 deliveries (1,947 with 0.82, 2,201 with 1.92)."""
FLOOR: Final = -3.5
"""Moments whose evidence cannot reach e**-3.5, less than 1/26 of 1, are left out of the sum: it only gets smaller."""

MOMENT_LEVEL: Final[Ints] = np.array([0] * BLOCKS + [level for level in range(1, LEVELS) for _ in range(BLOCKS // 2)])
_AGE: Final[Ints] = np.array([*range(BLOCKS)] + [*range(BLOCKS // 2, BLOCKS)] * (LEVELS - 1))
"""The moments looked at: boundary of level and age in blocks; each level carries on where the one below ends."""
MOMENTS: Final = len(MOMENT_LEVEL)


class Found(NamedTuple):
    """Evidence per look, and the moment that carries most of it: trials before it, hits and trials since."""

    log_evidence: Floats
    before: Ints
    since_hits: Ints
    since_trials: Ints


class _Plan(NamedTuple):
    """What follows from the tolerance alone."""

    shifts: Ints
    log_weight: Floats
    per_hit: Floats
    per_miss: Floats
    prior_misses: float
    early: float


@cache
def _plan(tolerance: float) -> _Plan:
    rates = rates_above(tolerance, ODDS_RATIOS)
    finest = max(round(np.log2(0.2 / tolerance)), 0)
    early = 25.0 / tolerance
    return _Plan(
        shifts=finest + np.arange(LEVELS, dtype=np.int64),
        log_weight=np.full(len(rates), -np.log(len(rates))),
        per_hit=np.log(rates),
        per_miss=np.log1p(-rates),
        prior_misses=max(0.5 * (2.0 / tolerance - 1.0), 0.5),
        early=early,
    )


def block_shifts(tolerance: float) -> Ints:
    """The logarithms to base 2 of the sizes of the blocks of each level: the finest expects a fifth of a hit."""
    return _plan(tolerance).shifts


def hazard(before: Floats, tolerance: float) -> Floats:
    """The weight per trial of a change after so many trials; it falls, and sums to 1 over `HORIZON` trials.

    Half is spread evenly, half falls as 1/trials: early changes are found sooner for the same bound.
    """
    early = _plan(tolerance).early
    return np.asarray(0.5 / ((before + early) * np.log1p(HORIZON / early)) + 0.5 / HORIZON, np.float64)


def newest_sums(blocks: Ints, clock: Ints, shifts: Ints) -> Ints:
    """Hits in the 0 to `BLOCKS` newest blocks of each level, from rings of shape (rows, levels, blocks).

    Block number b of a level is kept at b modulo `BLOCKS`; `clock` is the number of trials when the rings were written.
    """
    newest = (np.maximum(clock, 1) - 1)[:, None] >> shifts
    place = (newest[:, :, None] - np.arange(BLOCKS)) % BLOCKS
    sums = np.zeros((*blocks.shape[:2], BLOCKS + 1), np.int64)
    np.cumsum(np.take_along_axis(blocks, place, axis=2), axis=2, out=sums[:, :, 1:])
    return sums


def rolled(blocks: Ints, clock: Ints, now: Ints, shifts: Ints) -> Ints:
    """The rings with the blocks emptied that became too old between two numbers of trials."""
    old = (np.maximum(clock, 1) - 1)[:, None] >> shifts
    new = (np.maximum(now, 1) - 1)[:, None] >> shifts
    # The number of the block that each place held at `old`, and the one it holds at `new`.
    places = np.arange(BLOCKS)
    held = old[:, :, None] - (old[:, :, None] - places) % BLOCKS
    holds = new[:, :, None] - (new[:, :, None] - places) % BLOCKS
    return np.where(held == holds, blocks, 0)


def starts(trials: Ints, tolerance: float) -> Ints:
    """Trials before each moment, shape (looks, `MOMENTS`); 0 or less where there is no such moment yet."""
    shifts = _plan(tolerance).shifts[MOMENT_LEVEL]
    return np.asarray((((trials[:, None] - 1) >> shifts) - _AGE) << shifts, np.int64)


def old_hits_since(before: Ints, sums: Ints, clock: Ints, tolerance: float) -> Ints:
    """Hits since each moment among those the rings know; `sums` and `clock` have one row per look."""
    shifts = _plan(tolerance).shifts[MOMENT_LEVEL]
    newest = (np.maximum(clock, 1) - 1)[:, None] >> shifts
    known = np.clip(newest - (before >> shifts) + 1, 0, BLOCKS)
    return np.asarray(sums[np.arange(len(clock))[:, None], MOMENT_LEVEL, known], np.int64)


def evidence(hits: Ints, trials: Ints, before: Ints, since: Ints, tolerance: float, most: float | None = None) -> Found:
    """The evidence of looks at (hits, trials) with `since` hits since each of the moments `before`.

    `most` is the highest constant rate that is granted to the claim of no change, the tolerance unless told. With 1 only a
    change is evidence, however high the rate has been ever since.
    """
    ceiling = tolerance if most is None else most
    size = len(hits)
    total = np.full(size, -np.inf)
    best = np.zeros(size, np.int64)
    look, moment = _worth(hits, trials, before, since, tolerance, ceiling)
    if len(look):
        each = _each(hits[look], trials[look], before[look, moment], since[look, moment], moment, tolerance, ceiling)
        seen, at = np.unique(look, return_inverse=True)
        dense = np.full((len(seen), MOMENTS), -np.inf)
        dense[at, moment] = each
        total[seen] = log_sum_exp([np.ascontiguousarray(dense[:, column]) for column in range(MOMENTS)])
        best[seen] = dense.argmax(axis=1)
    rows = np.arange(size)
    start = np.maximum(before[rows, best], 0)
    return Found(total, start, since[rows, best], trials - start)


def _worth(hits: Ints, trials: Ints, before: Ints, since: Ints, tolerance: float, most: float) -> tuple[Ints, Ints]:
    """Looks and moments that are harmful and whose evidence can reach the floor; by cheap bounds first."""
    after = trials[:, None] - before
    since = np.minimum(since, after)
    look, moment = np.nonzero((since > tolerance * after) & (before > 0))
    hit = since[look, moment].astype(np.float64)
    miss = after[look, moment] - hit
    flat = np.full(len(hit), tolerance)
    top = log_likelihood(hit, miss, hit / np.maximum(hit + miss, 1.0))
    harmful = top - log_likelihood(hit, miss, flat) >= HARM
    look, moment = look[harmful], moment[harmful]
    hit, miss, top = hit[harmful], miss[harmful], top[harmful]
    old_hit = hits[look] - hit
    old_miss = np.maximum((trials[look] - hits[look]) - miss, 0.0)
    bound = top + log_likelihood(old_hit, old_miss, old_hit / np.maximum(old_hit + old_miss, 1.0))
    bound -= _best_constant(hits[look], trials[look], most)
    worth = bound + _log_moment_weight(before[look, moment], moment, tolerance) >= FLOOR
    return look[worth], moment[worth]


def _each(  # one array for each fact of a moment
    hits: Ints, trials: Ints, before: Ints, since: Ints, moment: Ints, tolerance: float, most: float
) -> Floats:
    """The weighted log evidence of single moments."""
    plan = _plan(tolerance)
    hit = np.minimum(since, trials - before).astype(np.float64)
    miss = (trials - before) - hit
    old_hit = hits - hit
    old_miss = np.maximum(before - old_hit, 0.0)
    now = log_sum_exp(
        [
            weight + hit * up + miss * down
            for weight, up, down in zip(plan.log_weight, plan.per_hit, plan.per_miss, strict=True)
        ]
    )
    past = log_beta_mixture(old_hit, old_miss, 0.5, plan.prior_misses)
    return past + now - _best_constant(hits, trials, most) + _log_moment_weight(before, moment, tolerance)


def _best_constant(hits: Ints, trials: Ints, most: float) -> Floats:
    """The highest log likelihood that a constant rate up to `most` gives."""
    hit = hits.astype(np.float64)
    miss = trials - hit
    return log_likelihood(hit, miss, np.minimum(hit / np.maximum(trials, 1), most))


def _log_moment_weight(before: Ints, moment: Ints, tolerance: float) -> Floats:
    """The weight of a moment: hazard per trial times trials per block, shared by the levels."""
    size = np.left_shift(1, _plan(tolerance).shifts[MOMENT_LEVEL[moment]]).astype(np.float64)
    return np.asarray(np.log(size * hazard(before.astype(np.float64), tolerance) / LEVELS), np.float64)


def add_hits(blocks: Ints, row: Ints, number: Ints, clock: Ints, shifts: Ints) -> None:
    """Count hits of the trials `number` in the rings of their rows, in place; those of trials too old stay uncounted."""
    block = (number[:, None] - 1) >> shifts
    kept = block > ((clock[:, None] - 1) >> shifts) - BLOCKS
    hit, level = np.nonzero(kept)
    np.add.at(blocks, (row[hit], level, block[hit, level] % BLOCKS), 1)
