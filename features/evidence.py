"""The two detectors of one rule in one scope: small state, many scopes at once, the same at every event in any batches.

`limit` (`features/guard_limit.py`) asks whether the rate is above its tolerance, `shift` (`features/guard_shift.py`) whether
it has changed for the worse. Both look at each hit, since evidence only falls between hits. Counts come as counted: once
per delivery, decided elsewhere. A hit names its trial by its number in the scope, so it may come long after it.

A batch gives for each hit what its events one by one would give, bit for bit on one machine: sums are made in a fixed order.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import guard_limit, guard_shift
from features.guard_limit import Ints

EVIDENCE: Final = np.dtype(
    [
        ("hits", np.uint32),
        ("trials", np.uint32),
        ("clock", np.uint32),
        ("blocks", np.uint32, (guard_shift.LEVELS, guard_shift.BLOCKS)),
    ]
)
"""State of one rule in one scope, 204 bytes: counts, the number of trials at the last hit, hits in blocks of trials."""

LOOK: Final = np.dtype(
    [
        ("event", np.int64),
        ("row", np.int64),
        ("hits", np.int64),
        ("trials", np.int64),
        ("log_limit", np.float64),
        ("log_shift", np.float64),
        ("shift_before", np.int64),
        ("since_hits", np.int64),
        ("since_trials", np.int64),
    ]
)
"""What is known at one hit: the event's place in the batch, the row of the state, counts, the logarithms of both evidences
(shift: -inf where it is far too small to matter), and the most likely moment of the change with the counts since then."""

_CHUNK: Final = 32
"""Hits of one row that are looked at together; comparing each with each costs more above, calls of numpy more below."""


class Counts(NamedTuple):
    """Counted events in log order: all arrays of one length.

    `row` is the place of the (scope, rule) in the state. `trials` were counted since the event before, up to and with this
    one: 1 for a trial, 0 for a hit whose trial is counted already, any number where only hits are worth an event.
    `trial_number` says of a hit which trial of the scope it belongs to, from 1 in the order of counting; 0 when it is not
    known: it then counts as an old one, which is the safe side for `shift`.

    A hit must be held back until its trial is counted. Counting both when the hit is first would let bounces overtake the
    records of healthy mail on its way: of scopes at their tolerance, with bounces at once and records 3 minutes late, 71%
    were paused that way, 0.5% with hits held back (`benchmarks/guard_simulation.py`). Hits in excess of trials wait here.
    """

    row: Ints
    trials: Ints
    hit: NDArray[np.bool_]
    trial_number: Ints


def fresh(rows: int) -> NDArray[np.void]:
    """State of rows that have seen nothing."""
    return np.zeros(rows, EVIDENCE)


def observe(state: NDArray[np.void], counts: Counts, tolerance: float) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The state after a batch, and a `LOOK` for each hit in log order; the state that came in is left as it was.

    All rows share the tolerance; other tolerances on the same counts (warnings, providers' limits) need only
    `guard_limit.log_above` of the hits and trials of the looks.

    Raises:
        ValueError: the tolerance is no rate between 0 and 1, both excluded.
    """
    after = state.copy()
    # numpy sorts 16-bit numbers by counting, seven times faster than wider ones.
    short = counts.row.astype(np.uint16) if len(state) <= 1 << 16 else counts.row
    order = np.argsort(short, kind="stable")
    row = counts.row[order].astype(np.int64)
    heads = np.flatnonzero(np.diff(row, prepend=-1))
    trials = _running(counts.trials[order], heads) + state["trials"][row]
    hits = _running(counts.hit[order], heads) + state["hits"][row]
    tails = np.append(heads[1:], len(row))[: len(heads)] - 1
    after["trials"][row[tails]] = trials[tails]
    after["hits"][row[tails]] = hits[tails]

    at_hit = np.flatnonzero(counts.hit[order])
    looks = np.zeros(len(at_hit), LOOK)
    looks["event"] = order[at_hit]
    looks["row"] = row[at_hit]
    looks["trials"] = trials[at_hit]
    looks["hits"] = np.minimum(hits[at_hit], trials[at_hit])
    looks["log_limit"] = guard_limit.log_above(looks["hits"], looks["trials"], tolerance)
    number = np.clip(counts.trial_number[order][at_hit], 1, np.maximum(looks["trials"], 1))
    _look_for_shifts(after, looks, number, tolerance)
    return after, looks[np.argsort(looks["event"], kind="stable")]


def _running(numbers: NDArray[Any], heads: Ints) -> Ints:
    """Running sums that begin anew at each head."""
    total = np.cumsum(numbers, dtype=np.int64)
    before = total[heads] - numbers[heads]
    return np.asarray(total - np.repeat(before, np.diff(np.append(heads, len(numbers)))), np.int64)


def _look_for_shifts(state: NDArray[np.void], looks: NDArray[np.void], number: Ints, tolerance: float) -> None:
    """Fill in the shift of looks that are sorted by row, and the rows' blocks; a chunk of each row at a time."""
    if not len(looks):
        return
    heads = np.flatnonzero(np.diff(looks["row"], prepend=-1))
    sizes = np.diff(np.append(heads, len(looks)))
    for done in range(0, int(sizes.max()), _CHUNK):
        alive = sizes > done
        width = np.minimum(sizes[alive] - done, _CHUNK)
        place = (heads[alive] + done)[:, None] + np.arange(int(width.max()))
        real = np.arange(place.shape[1]) < width[:, None]
        _look_at_chunk(state, looks, number, np.where(real, place, place[:, :1]), real, tolerance)


def _look_at_chunk(
    state: NDArray[np.void],
    looks: NDArray[np.void],
    number: Ints,
    place: Ints,
    real: NDArray[np.bool_],
    tolerance: float,
) -> None:
    """One chunk: `place` are the looks of each row in order, `real` says which are no padding."""
    shifts = guard_shift.block_shifts(tolerance)
    rows = looks["row"][place[:, 0]]
    clock = state["clock"][rows].astype(np.int64)
    blocks = state["blocks"][rows].astype(np.int64)
    line, _ = np.nonzero(real)
    at = place[real]
    before = guard_shift.starts(looks["trials"][at], tolerance)
    sums = guard_shift.newest_sums(blocks, clock, shifts)
    since = guard_shift.old_hits_since(before, sums[line], clock[line], tolerance)
    since += _new_hits_since(before, np.where(real, number[place], 0), real)
    found = guard_shift.evidence(looks["hits"][at], looks["trials"][at], before, since, tolerance)
    looks["log_shift"][at] = found.log_evidence
    looks["shift_before"][at] = found.before
    looks["since_hits"][at] = found.since_hits
    looks["since_trials"][at] = found.since_trials

    now = looks["trials"][place].max(axis=1)
    blocks = guard_shift.rolled(blocks, clock, now, shifts)
    guard_shift.add_hits(blocks, line, number[at], now[line], shifts)
    state["blocks"][rows] = blocks
    state["clock"][rows] = now


def _new_hits_since(before: Ints, number: Ints, real: NDArray[np.bool_]) -> Ints:
    """Hits of the chunk itself, up to and with each look, whose trials are after its moments."""
    _, column = np.nonzero(real)
    number = number[real]  # a row's looks follow one another
    order = np.argsort(-column, kind="stable")
    later = before[order]
    counted = np.zeros(before.shape, np.int16)
    many = len(order)
    for back in range(real.shape[1]):
        many -= int(np.count_nonzero(column == back - 1))  # these have no hit that far back
        counted[:many] += number[order[:many] - back][:, None] > later[:many]
    found = np.empty_like(before)
    found[order] = counted
    return found
