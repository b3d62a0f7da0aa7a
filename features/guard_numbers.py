"""Which trial of its scope a late hit belongs to, told by one number per delivery; small state, exact in any batches.

`shift` must know whether a hit is of an old or a new trial (`features/evidence.py`). Who counts deliveries keeps for each
the ordinal of its trial among all trials of all scopes; from the ordinals at which a scope's newest blocks of trials began
follows the block of the trial in each scope. The answer is the first trial of that block: never newer than the truth.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features import guard_shift
from features.guard_limit import Ints

NUMBERS: Final = np.dtype(
    [("trials", np.uint32), ("highest", np.uint32), ("began", np.uint32, (guard_shift.LEVELS, guard_shift.BLOCKS))]
)
"""State beside `EVIDENCE`, 200 bytes: trials so far, their highest ordinal, and an ordinal from which on a trial cannot be
from before each of the newest blocks."""


def unnumbered(rows: int) -> NDArray[np.void]:
    """State of rows that have seen no trial."""
    return np.zeros(rows, NUMBERS)


def number_trials(
    state: NDArray[np.void],
    row: Ints,
    is_trial: NDArray[np.bool_],
    is_hit: NDArray[np.bool_],
    ordinal: Ints,
    tolerance: float,
) -> tuple[NDArray[np.void], Ints]:
    """The state after a batch of events in log order, and for each hit the number for `Counts.trial_number`, else 0.

    `ordinal` is that of the event's trial among all trials: of a trial its own, of a hit that of its delivery's trial, or 0
    when it is not known. It may be that of something before the trial (of a delivery's arrival that of its
    sending), so that it does not always rise from trial to trial: hits may then look older, which is safe, never newer.
    The number is 0 for trials older than the blocks that are kept, and for unknown ones.
    """
    after = state.copy()
    # As in `evidence.observe`: 16-bit numbers are sorted by counting.
    order = np.argsort(row.astype(np.uint16) if len(state) <= 1 << 16 else row, kind="stable")
    rows = row[order].astype(np.int64)
    heads = np.flatnonzero(np.diff(rows, prepend=-1))
    tails = np.append(heads[1:], len(rows))[: len(heads)] - 1
    group = np.repeat(np.arange(len(heads)), tails - heads + 1)
    trial = is_trial[order]
    begun = np.cumsum(trial, dtype=np.int64)
    had = state["trials"][rows[heads]].astype(np.int64)
    # Trial number k of a group stands at `ordinals[k - 1 - offset]` when the batch holds it.
    offset = had - (begun[heads] - trial[heads])
    trials = begun + offset[group]
    lifted = np.where(trial, ordinal[order], 0)
    highest = _highest(lifted, group, state["highest"][rows[heads]].astype(np.int64))
    earlier = np.append(0, highest[:-1])
    earlier[heads] = state["highest"][rows[heads]]
    # A trial that is no new high may be older than the highest one, which is not in its block: one more than that is.
    ordinals = np.append(np.maximum(lifted, earlier + 1)[trial], 0)
    ring = state["began"][rows[heads]].astype(np.int64)

    at = np.flatnonzero(is_hit[order])
    of_hit = group[at]
    before = guard_shift.starts(trials[at], tolerance)
    began = _began(ring[of_hit], before, guard_shift.MOMENT_LEVEL, had[of_hit], offset[of_hit], ordinals, tolerance)
    known = (before >= 0) & (began <= ordinal[order][at][:, None])
    numbers = np.zeros(len(rows), np.int64)
    numbers[order[at]] = np.where(known, before + 1, 0).max(axis=1)

    after["trials"][rows[tails]] = trials[tails]
    after["highest"][rows[tails]] = highest[tails]
    after["began"][rows[tails]] = _newest(ring, trials[tails], had, offset, ordinals, tolerance)
    return after, numbers


def _highest(ordinal: Ints, group: Ints, before: Ints) -> Ints:
    """The running maximum within each group, from what it was before; ordinals have 32 bits."""
    lifted = np.maximum(ordinal, before[group]) + (group << 32)
    return np.asarray(np.maximum.accumulate(lifted) - (group << 32), np.int64)


def _began(ring: Ints, before: Ints, level: Ints, had: Ints, offset: Ints, ordinals: Ints, tolerance: float) -> Ints:
    """The ordinals of the trials that follow `before`: from the ring, or from the batch's own trials."""
    is_new = before >= had[:, None]
    place = np.where(is_new, np.minimum(before - offset[:, None], len(ordinals) - 1), 0)
    slot = (before >> guard_shift.block_shifts(tolerance)[level]) % guard_shift.BLOCKS
    old = ring[np.arange(len(ring))[:, None], level, slot]
    return np.asarray(np.where(is_new, ordinals[place], old), np.int64)


def _newest(ring: Ints, trials: Ints, had: Ints, offset: Ints, ordinals: Ints, tolerance: float) -> Ints:
    """The rings after a batch."""
    level = np.repeat(np.arange(guard_shift.LEVELS), guard_shift.BLOCKS)
    shift = guard_shift.block_shifts(tolerance)[level]
    newest = (np.maximum(trials, 1) - 1)[:, None] >> shift
    age = (newest - np.tile(np.arange(guard_shift.BLOCKS), guard_shift.LEVELS)) % guard_shift.BLOCKS
    before = (newest - age) << shift
    began = _began(ring, before, level, had, offset, ordinals, tolerance)
    return np.where((before >= 0) & (before < trials[:, None]), began, 0).reshape(ring.shape)
