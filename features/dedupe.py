"""Which facts are new: identity hashes in memory for the days in use, older days asked of the lake.

A fact's identity is its UTC day and a hash, so a copy can only meet a fact of the same day, and days are what is kept and
forgotten. The memory is a cache of the lake and nothing more: it is filled from the lake, never recovered by itself.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Days = np.ndarray[Any, np.dtype[np.int32]]

_EMPTY: Final[Hashes] = np.empty(0, np.uint64)
_MERGE_AT: Final = 65_536
"""Fresh hashes of a day wait unsorted in runs and are merged into the sorted array at this many."""


class _Day:
    """Hashes of one UTC day: one sorted array and some small sorted runs."""

    __slots__ = ("base", "last_batch", "runs")

    def __init__(self, base: Hashes, batch: int) -> None:
        self.base = base
        self.runs: list[Hashes] = []
        self.last_batch = batch

    def knows(self, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
        found = _contains(self.base, hashes)
        for run in self.runs:
            found |= _contains(run, hashes)
        return found

    def add(self, hashes: Hashes) -> None:
        if len(hashes):
            self.runs.append(np.sort(hashes))
            if len(self.runs) > 8 or sum(map(len, self.runs)) > _MERGE_AT:
                self.base = np.sort(np.concatenate([self.base, *self.runs]), kind="stable")
                self.runs = []

    def __len__(self) -> int:
        return len(self.base) + sum(map(len, self.runs))


class SeenFacts:
    """Remembers facts by day, within `capacity` hashes (8 bytes each).

    `load(days)` gives (days, hashes) of all facts that the lake holds for those days since 1970. Days are forgotten,
    longest unused first, once the lake holds all that was seen of them: `committed` says up to which batch it does.
    """

    def __init__(self, load: Callable[[list[int]], tuple[Days, Hashes]], capacity: int = 6_000_000) -> None:
        self._load = load
        self._capacity = capacity
        self._days: dict[int, _Day] = {}
        self._batch = 0
        self._committed = 0

    def keep(self, days: Days, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """True for rows that are the first of their fact, in row order, ever; they count as seen from now on."""
        self._batch += 1
        keep = np.zeros(len(hashes), np.bool_)
        if not len(hashes):
            return keep
        keep[_first_rows(days, hashes)] = True
        wanted = np.unique(days)
        self._fetch(int(day) for day in wanted)
        for day in wanted:
            rows = np.flatnonzero(keep & (days == day)) if len(wanted) > 1 else np.flatnonzero(keep)
            known = self._days[int(day)]
            known.last_batch = self._batch
            seen = known.knows(hashes[rows])
            keep[rows[seen]] = False
            known.add(hashes[rows[~seen]])
        self._forget()
        return keep

    def committed(self) -> None:
        """Everything seen so far has reached the lake."""
        self._committed = self._batch

    def clear(self) -> None:
        """Forgets all: the lake's facts were changed by other means."""
        self._days.clear()

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    def _fetch(self, days: Iterable[int]) -> None:
        missing = [day for day in days if day not in self._days]
        if not missing:
            return
        found_days, found = self._load(missing)
        order = np.argsort(found_days, kind="stable")
        found_days, found = found_days[order], found[order]
        for day in missing:
            low, high = np.searchsorted(found_days, [day, day + 1])
            self._days[day] = _Day(np.sort(found[low:high]), self._batch)

    def _forget(self) -> None:
        held = len(self)
        if held <= self._capacity:
            return
        for day, known in sorted(self._days.items(), key=lambda item: item[1].last_batch):
            if held <= self._capacity // 2 or known.last_batch > self._committed:
                break
            held -= len(known)
            del self._days[day]


def _first_rows(days: Days, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The first row of each (day, hash)."""
    order = np.lexsort((hashes, days))  # stable: equal pairs stay in row order
    one, other = hashes[order], days[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    return order[fresh]


def _contains(sorted_hashes: Hashes, wanted: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if not len(sorted_hashes):
        return np.zeros(len(wanted), np.bool_)
    at = np.searchsorted(sorted_hashes, wanted)
    at[at == len(sorted_hashes)] = len(sorted_hashes) - 1
    found: np.ndarray[Any, np.dtype[np.bool_]] = sorted_hashes[at] == wanted
    return found
