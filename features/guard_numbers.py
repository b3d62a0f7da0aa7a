"""Which trial of its scope a late hit belongs to, told by one number per delivery; small state, exact in any batches.

`shift` must know whether a hit is of an old or a new trial (`features/evidence.py`). Who counts deliveries keeps for each
the ordinal of its trial among all trials of all scopes; from the ordinals at which a scope's newest blocks of trials began
follows the block of the trial in each scope. The answer is the first trial of that block: never newer than the truth.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import guard_shift
from features.guard_limit import Ints

NUMBERS: Final = np.dtype(
    [("trials", np.uint32), ("highest", np.uint32), ("began", np.uint32, (guard_shift.LEVELS, guard_shift.BLOCKS))]
)
"""State beside `EVIDENCE`, 200 bytes: trials so far, their highest ordinal, and an ordinal from which on a trial cannot be
from before each of the newest blocks."""

_ROWS: Final = 1024
"""Rows whose rings are written at a time: half a megabyte, which stays in the processor's cache."""


def unnumbered(rows: int) -> NDArray[np.void]:
    """State of rows that have seen no trial."""
    return np.zeros(rows, NUMBERS)


class Trials(NamedTuple):
    """A batch's trials, by row and then in log order: ordinals, and the row's highest so far, with and before each."""

    ordinal: Ints
    highest: Ints
    earlier: Ints


def sorted_trials(group: Ints, ordinal: Ints) -> Trials:
    """Trials of groups that rise from 0 or above."""
    # Ordinals have 32 bits.
    highest = np.maximum.accumulate(ordinal + (group << 32)) - (group << 32)
    earlier = np.append(0, highest[:-1])[: len(highest)]
    earlier[np.flatnonzero(np.diff(group, prepend=-1))] = 0
    return Trials(ordinal, highest, earlier)


class Hits(NamedTuple):
    """Hits: the place of the row in the state, trials of the row up to and with the hit, the ordinal of its own trial."""

    row: Ints
    trials: Ints
    ordinal: Ints


class _Batch(NamedTuple):
    """The ordinals of a row's trials: number k stands at k - 1 - `offset` of the batch's when it is above `had`."""

    ring: Ints
    had: Ints
    offset: Ints
    highest: Ints
    trials: Trials


def number_hits(
    state: NDArray[np.void], first: Ints, last: Ints, trials: Trials, hits: Hits, tolerance: float
) -> tuple[NDArray[np.void], Ints]:
    """The state after a batch, and for each hit the number for `Counts.trial_number`.

    Each row's trials are `trials[first:last]`. An ordinal is that of a trial among all trials: of a hit that of its
    delivery's trial, or 0 when it is not known. It may be that of something before the trial (of a delivery's arrival that
    of its sending), so that it does not always rise from trial to trial: hits may then look older, which is safe, never
    newer. The number is 0 for trials older than the blocks that are kept, and for unknown ones.
    """
    after = state.copy()
    had = state["trials"].astype(np.int64)
    highest = state["highest"].astype(np.int64)
    batch = _Batch(state["began"].astype(np.int64), had, had - first, highest, trials)
    before = guard_shift.starts(hits.trials, tolerance)
    began = _began(batch, hits.row, before, guard_shift.MOMENT_LEVEL, tolerance)
    known = (before >= 0) & (began <= hits.ordinal[:, None])
    numbers = np.where(known, before + 1, 0).max(axis=1, initial=0)
    total = had + last - first
    after["trials"] = total
    some = last > first
    after["highest"][some] = np.maximum(highest[some], trials.highest[last[some] - 1])
    for start in range(0, len(total), _ROWS):
        part = slice(start, start + _ROWS)
        own = _Batch(batch.ring[part], had[part], batch.offset[part], highest[part], trials)
        after["began"][part] = _newest(own, total[part], tolerance)
    return after, numbers


def number_trials(
    state: NDArray[np.void],
    row: Ints,
    is_trial: NDArray[np.bool_],
    is_hit: NDArray[np.bool_],
    ordinal: Ints,
    tolerance: float,
) -> tuple[NDArray[np.void], Ints]:
    """`number_hits` for events in log order, each a trial, a hit or both: a number for each hit, else 0."""
    after = state.copy()
    order = np.argsort(row, kind="stable")
    rows, heads, group = np.unique(row[order], return_index=True, return_inverse=True)
    trial, hit = is_trial[order], np.flatnonzero(is_hit[order])
    begun = np.append(0, np.cumsum(trial, dtype=np.int64))
    first, last = begun[heads], begun[np.append(heads[1:], len(order))[: len(heads)]]
    had = state["trials"][rows].astype(np.int64)
    reached = begun[hit + 1] - first[group[hit]] + had[group[hit]]
    after[rows], found = number_hits(
        state[rows],
        first,
        last,
        sorted_trials(group[trial], ordinal[order][trial]),
        Hits(group[hit], reached, ordinal[order][hit]),
        tolerance,
    )
    numbers = np.zeros(len(row), np.int64)
    numbers[order[hit]] = found
    return after, numbers


def _began(batch: _Batch, row: Ints, before: Ints, level: Ints, tolerance: float) -> Ints:
    """The ordinals of the trials that follow `before`: from the ring, or from the batch's own trials."""
    slot = (before >> guard_shift.block_shifts(tolerance)[level]) % guard_shift.BLOCKS
    began = batch.ring[row[:, None], level, slot]
    look, moment = np.nonzero(before >= batch.had[row][:, None])
    began[look, moment] = _of_batch(batch, row[look], before[look, moment])
    return np.asarray(began, np.int64)


def _of_batch(batch: _Batch, own: Ints, before: Ints) -> Ints:
    """The ordinals of trials of the batch, each the one that follows `before` in its own row."""
    # A moment behind the last trial of the batch has none that follows.
    place = np.minimum(before - batch.offset[own], len(batch.trials.ordinal) - 1)
    # A trial that is no new high may be older than the highest one, which is not in its block: one more than that is.
    above = np.maximum(batch.trials.earlier[place], batch.highest[own]) + 1
    return np.maximum(batch.trials.ordinal[place], above) if len(own) else before


def _newest(batch: _Batch, trials: Ints, tolerance: float) -> Ints:
    """The rings after a batch: blocks that begin in it take the places of older ones."""
    level = np.repeat(np.arange(guard_shift.LEVELS), guard_shift.BLOCKS)
    shift = guard_shift.block_shifts(tolerance)[level]
    newest = (np.maximum(trials, 1) - 1)[:, None] >> shift
    age = (newest - np.tile(np.arange(guard_shift.BLOCKS), guard_shift.LEVELS)) % guard_shift.BLOCKS
    before = (newest - age) << shift
    row, place = np.nonzero((before >= batch.had[:, None]) & (before < trials[:, None]))
    ring = batch.ring.reshape(before.shape).copy()
    ring[row, place] = _of_batch(batch, row, before[row, place])
    return ring.reshape(batch.ring.shape)
