"""Collapse: outcomes that used to come and stay away, of the messages old enough to have them.

Messages are counted by the tick in which they were first attempted. When a tick is old enough, its messages without the
outcome are hits among its messages, and the shift detector (`features/guard_shift.py`) asks whether their rate has changed for
the worse from whatever it was: where a provider never tells of arrivals, none stay away. Time is the guard's clock, the
latest `occurred_at` so far: a message whose record came too late to see its outcome come in time counts nowhere, and while
nothing arrives, nothing collapses. The detector looks once a tick, which is a valid choice of moments: its bound holds over
all of them. Within a tick hits count as the older trials, the safe side.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import evidence, guard_budget, guard_shift
from features.guard_counts import KINDS, Counted
from features.guard_limit import Ints
from features.guard_watch import NO_LOOKS, Looks
from features.tolerances import Rule

KINDS_OF_COLLAPSE: Final = tuple(KINDS.index(kind) for kind in ("campaign", "sender", "domain", "sender,domain"))
TICKS: Final = 2
"""Ticks in the time that an outcome has: it is judged between that time and half of it more."""
_WINDOW: Final = TICKS + 2
"""Ticks that are kept at a time: the one that goes on, those that ripen, and room for the next."""
_FEWEST: Final = 20
"""Trials of a scope that are judged together at least: fewer would cost much and tell little."""
_HOUR_MS: Final = 3_600_000
OUTCOMES_OF: Final[Mapping[str, tuple[str, str]]] = {
    # trials, and the outcome whose absence is a hit
    "delivery_collapse": ("sent", "delivered"),
    "opens_collapse": ("delivered", "opened"),
}


class Clock(NamedTuple):
    """A batch's clock in ms since 1970 at each event; `before` is the clock when it began (0: nothing was seen yet)."""

    at: Ints
    before: int


class Collapse:
    """One rule over all scopes; scopes are numbered by `features.guard_counts.Scopes`."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.trial, self.came = OUTCOMES_OF[rule.name]
        self.tick_ms = rule.mature_hours * _HOUR_MS // TICKS
        self.most = guard_budget.SEVERITIES.index(rule.most)
        self.evidence = evidence.fresh(0)
        self.reached = np.zeros(0, np.int8)
        self.again_at = np.zeros(0, np.int64)
        self.waiting = np.zeros((0, _WINDOW, 2), np.uint32)
        self.ripe = np.zeros((0, 2), np.uint32)
        self.now = 0
        self.starts = np.zeros(_WINDOW, np.int64)
        self._moved = self._ticks = np.empty(0, np.int64)
        self._seen = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the state."""
        return sum(array.nbytes for array in self.dump().values())

    def dump(self) -> dict[str, NDArray[Any]]:
        """The state as arrays."""
        return {name: np.asarray(getattr(self, name)) for name in _STATE}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes a state over."""
        for name in _STATE:
            setattr(self, name, arrays[name].copy())
        self.now = int(self.now)

    def grow(self, scopes: int) -> None:
        """Makes room for scopes."""
        if scopes <= len(self.evidence):
            return
        more = max(scopes, 2 * len(self.evidence), 256) - len(self.evidence)
        self.evidence = np.concatenate([self.evidence, evidence.fresh(more)])
        self.reached = np.append(self.reached, np.zeros(more, np.int8))
        self.again_at = np.append(self.again_at, np.zeros(more, np.int64))
        self.waiting = np.concatenate([self.waiting, np.zeros((more, _WINDOW, 2), np.uint32)])
        self.ripe = np.concatenate([self.ripe, np.zeros((more, 2), np.uint32)])

    def forget(self, scope: int) -> None:
        """Watches a scope anew."""
        if scope >= len(self.evidence):
            return
        self.evidence[scope] = np.zeros((), evidence.EVIDENCE)
        self.reached[scope] = 0
        self.again_at[scope] = 0
        self.waiting[scope] = self.ripe[scope] = 0

    def open(self, clock: Clock, seen: int) -> None:
        """Begins a batch, before which `seen` events came."""
        ticks = clock.at // self.tick_ms
        first = clock.before // self.tick_ms if clock.before else int(ticks[0]) if len(ticks) else 0
        self.now = self.now or first
        self._moved = np.flatnonzero(np.diff(ticks, prepend=first) > 0)
        self._ticks = ticks[self._moved]
        self._seen = seen

    def take(self, counts: Mapping[str, Counted], kinds: Ints) -> Looks:
        """Takes in what is counted next in the batch, and judges ticks as the clock passes; `kinds` are the scopes'."""
        self.grow(len(kinds))
        watched = np.isin(kinds, KINDS_OF_COLLAPSE)
        last = max(int(one.at.max(initial=-1)) for one in counts.values())
        moved = self._moved[: int(np.searchsorted(self._moved, last, side="right"))]
        columns = [_between(counts[name], watched, moved) for name in (self.trial, self.came)]
        found = []
        for number in range(len(moved) + 1):
            for column, parts in enumerate(columns):
                self._count(column, parts[number])
            if number < len(moved):
                found.append(self._turn(int(moved[number])))
        return _together(found)

    def finish(self) -> Looks:
        """Judges the ticks that end after the last count of the batch."""
        return _together([self._turn(place) for place in self._moved.tolist()])

    def _count(self, column: int, counted: Counted) -> None:
        """Counts trials (column 0) or outcomes that came (1) for the ticks of their messages, while those are open."""
        if not len(counted.at):
            return
        age = np.searchsorted(-self.starts, -counted.ordinal.astype(np.int64))
        is_open = age <= TICKS
        scope, age = counted.scope[is_open].astype(np.int64), age[is_open]
        slot = (self.now - age) % _WINDOW
        size = len(self.waiting)
        flat = np.bincount(scope * _WINDOW + slot, minlength=size * _WINDOW)
        self.waiting[:, :, column] += flat.reshape(size, _WINDOW).astype(np.uint32)

    def _turn(self, place: int) -> Looks:
        """Goes on to the tick that begins at a place, and judges those that are old enough by then."""
        tick = int(self._ticks[0])
        self._moved, self._ticks = self._moved[1:], self._ticks[1:]
        for number in range(self.now - _WINDOW + 2, min(tick - TICKS, self.now + 1)):
            slot = number % _WINDOW
            self.ripe += self.waiting[:, slot]
            self.waiting[:, slot] = 0
        # The tick that begins takes the messages first attempted from this event on; those skipped have none.
        skipped = min(tick - self.now, _WINDOW)
        self.starts = np.append(np.full(skipped, self._seen + 1 + place), self.starts)[:_WINDOW]
        self.now = tick
        rows = np.flatnonzero(self.ripe[:, 0] >= _FEWEST)
        if not len(rows):
            return NO_LOOKS
        trials, came = self.ripe[rows].astype(np.int64).T
        self.ripe[rows] = 0
        looks = self._judge(rows, trials, np.minimum(came, trials))
        scope = rows[looks["row"]]
        return Looks(looks, scope, np.full(len(scope), place, np.int64))

    def _judge(self, rows: Ints, trials: Ints, came: Ints) -> NDArray[np.void]:
        """Adds a tick's counts to the rows' evidence; looks at those whose rate is above the tolerance."""
        tolerance = self.rule.tolerance
        shifts = guard_shift.block_shifts(tolerance)
        state = self.evidence[rows]
        hits = trials - came
        before = state["trials"].astype(np.int64)
        total = before + trials
        ring = guard_shift.rolled(state["blocks"].astype(np.int64), state["clock"].astype(np.int64), total, shifts)
        ring += _in_blocks(before, hits, total, shifts)
        state["hits"] += hits.astype(np.uint32)
        state["trials"], state["clock"], state["blocks"] = total, total, ring
        self.evidence[rows] = state
        row = np.flatnonzero(hits > tolerance * trials)
        looks = np.zeros(len(row), evidence.LOOK)
        looks["row"] = row
        looks["log_limit"] = -np.inf
        if not len(row):
            return looks
        looks["hits"], looks["trials"] = state["hits"][row], total[row]
        moments = guard_shift.starts(total[row], tolerance)
        sums = guard_shift.newest_sums(ring[row], total[row], shifts)
        since = guard_shift.old_hits_since(moments, sums, total[row], tolerance)
        found = guard_shift.evidence(looks["hits"], total[row], moments, since, tolerance, most=1.0)
        looks["log_shift"], looks["shift_before"] = found.log_evidence, found.before
        looks["since_hits"], looks["since_trials"] = found.since_hits, found.since_trials
        return looks


def _between(counted: Counted, watched: NDArray[np.bool_], moved: Ints) -> list[Counted]:
    """What was counted in scopes that are watched, before, between and behind some places."""
    mine = np.flatnonzero(watched[counted.scope])
    part = np.searchsorted(moved, counted.at[mine], side="right")
    order = [mine[part == number] for number in range(len(moved) + 1)]
    return [Counted(*(array[rows] for array in counted)) for rows in order]


def _together(found: Sequence[Looks]) -> Looks:
    if not found:
        return NO_LOOKS
    return Looks(*(np.concatenate(part) for part in zip(*found, strict=True)))


_STATE: Final = ("evidence", "reached", "again_at", "waiting", "ripe", "now", "starts")


def _in_blocks(before: Ints, hits: Ints, total: Ints, shifts: Ints) -> Ints:
    """How many of the trials `before` + 1 to `before` + `hits` lie in each block that the rings keep."""
    places = np.arange(guard_shift.BLOCKS)
    newest = (np.maximum(total, 1) - 1)[:, None] >> shifts
    held = newest[:, :, None] - (newest[:, :, None] - places) % guard_shift.BLOCKS
    start = held << shifts[None, :, None]
    end = (held + 1) << shifts[None, :, None]
    low = np.maximum(start, before[:, None, None])
    high = np.minimum(end, (before + hits)[:, None, None])
    return np.asarray(np.where(held >= 0, np.maximum(high - low, 0), 0), np.int64)
