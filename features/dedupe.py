"""Which facts are new: identity hashes in memory for the days in use, older days asked of the lake.

A fact's identity is its UTC day and a hash, so a copy can only meet a fact of the same day, and days are what is kept and
forgotten. The memory is a cache of the lake and nothing more: it is filled from the lake, never recovered by itself.
"""

from typing import Any, Final, Protocol

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Days = np.ndarray[Any, np.dtype[np.int32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

_MERGE_AT: Final = 65_536
"""Fresh hashes of a day wait in small sorted runs and are merged into the sorted array at this many."""
_WORTH_LOADING: Final = 2_000
"""Rows of one day in one batch that pay for reading the day's hashes when the memory is full."""
_FADING: Final = 0.9
"""How much of a day's use counts on to the next batch."""


class Facts(Protocol):
    """What the lake knows."""

    def sizes_of_days(self, days: list[int]) -> dict[int, int]:
        """How many facts it holds of each of some days; days without any may be left out."""
        ...

    def facts_of_days(self, days: list[int]) -> tuple[Days, Hashes]:
        """(days since 1970, hashes) of all facts of some days."""
        ...

    def known_facts(self, days: Days, hashes: Hashes) -> Mask:
        """Which of some facts the lake holds."""
        ...


class _Day:
    """Hashes of one UTC day: one sorted array and some small sorted runs; `use` is how busy it has been lately."""

    __slots__ = ("base", "last_batch", "runs", "use")

    def __init__(self, base: Hashes, batch: int) -> None:
        self.base = base
        self.runs: list[Hashes] = []
        self.last_batch = batch
        self.use = 0.0

    def knows(self, hashes: Hashes) -> Mask:
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
    """Remembers facts by day, within about `capacity` hashes (8 bytes each); what it has forgotten it asks of the lake.

    A batch of `keep` may be on its way while the next is judged: until `committed` tells that the lake holds it, nothing
    of it is forgotten.
    """

    def __init__(self, lake: Facts, capacity: int = 12_000_000) -> None:
        self._lake = lake
        self._capacity = capacity
        self._days: dict[int, _Day] = {}
        self._under_way: list[tuple[int, Days, Hashes]] = []
        self.batch = 0
        self._committed = 0

    def keep(self, days: Days, hashes: Hashes) -> Mask:
        """True for rows that are the first of their fact, in row order, ever; they count as seen from now on.

        The batch's number is `batch` afterwards.
        """
        self.batch += 1
        keep = np.zeros(len(hashes), np.bool_)
        if not len(hashes):
            return keep
        keep[_first_rows(days, hashes)] = True
        present, counts = np.unique(days, return_counts=True)
        self._fetch(dict(zip(present.tolist(), counts.tolist(), strict=True)))
        elsewhere = keep.copy()
        for day, count in zip(present.tolist(), counts.tolist(), strict=True):
            known = self._days.get(day)
            if known is None:
                continue
            rows = np.flatnonzero(keep & (days == day)) if len(present) > 1 else np.flatnonzero(keep)
            elsewhere[rows] = False
            seen = known.knows(hashes[rows])
            keep[rows[seen]] = False
            known.add(hashes[rows[~seen]])
            known.last_batch, known.use = self.batch, known.use + count
        self._ask_lake(keep, np.flatnonzero(elsewhere), days, hashes)
        self._forget()
        return keep

    def committed(self, batch: int) -> None:
        """Everything kept up to this batch has reached the lake."""
        self._committed = max(self._committed, batch)
        self._under_way = [item for item in self._under_way if item[0] > self._committed]

    def clear(self) -> None:
        """Forgets all that the lake holds: its facts were changed by other means."""
        self._days = {day: known for day, known in self._days.items() if known.last_batch > self._committed}

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    def _ask_lake(self, keep: Mask, rows: np.ndarray[Any, np.dtype[np.intp]], days: Days, hashes: Hashes) -> None:
        """Judges rows of days that are not in memory."""
        if not len(rows):
            return
        seen = self._lake.known_facts(days[rows], hashes[rows])
        for _, other_days, other in self._under_way:
            for day in np.intersect1d(days[rows], other_days):
                seen |= (days[rows] == day) & np.isin(hashes[rows], other[other_days == day])
        keep[rows[seen]] = False
        fresh = rows[~seen]
        if len(fresh):
            self._under_way.append((self.batch, days[fresh], hashes[fresh]))

    def _fetch(self, counts: dict[int, int]) -> None:
        """Loads missing days: all of them while there is room, else only those that this batch has much of."""
        missing = [day for day in counts if day not in self._days]
        if len(self) >= self._capacity // 2:
            missing = [day for day in missing if counts[day] >= _WORTH_LOADING]
        waiting = {int(day) for _, days, _ in self._under_way for day in np.unique(days)}
        missing = [day for day in missing if day not in waiting]
        for run in self._affordable(missing, counts):
            found_days, found = self._lake.facts_of_days(run)
            order = np.argsort(found_days, kind="stable")
            found_days, found = found_days[order], found[order]
            for day in run:
                low, high = np.searchsorted(found_days, [day, day + 1])
                self._days[day] = _Day(np.sort(found[low:high]), self.batch)

    def _affordable(self, missing: list[int], counts: dict[int, int]) -> list[list[int]]:
        """Runs of neighbouring days to load, the busiest first chosen, as long as they fit into the memory."""
        if not missing:
            return []
        sizes = self._lake.sizes_of_days(missing)
        room = self._capacity - len(self)
        chosen: list[int] = []
        for day in sorted(missing, key=lambda one: -counts[one]):
            room -= sizes.get(day, 0)
            if room >= 0:
                chosen.append(day)
        runs: list[list[int]] = []
        for day in sorted(chosen):
            if runs and day == runs[-1][-1] + 1:
                runs[-1].append(day)
            else:
                runs.append([day])
        return runs

    def _forget(self) -> None:
        """Drops the least used days once there are too many hashes, and only what the lake holds."""
        held = len(self)
        if held > self._capacity:
            for day, known in sorted(self._days.items(), key=lambda item: item[1].use):
                if held <= self._capacity * 3 // 4:
                    break
                if known.last_batch <= self._committed:
                    held -= len(known)
                    del self._days[day]
        for known in self._days.values():
            known.use *= _FADING


def _first_rows(days: Days, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The first row of each (day, hash)."""
    order = np.lexsort((hashes, days))  # stable: equal pairs stay in row order
    one, other = hashes[order], days[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    return order[fresh]


def _contains(sorted_hashes: Hashes, wanted: Hashes) -> Mask:
    if not len(sorted_hashes):
        return np.zeros(len(wanted), np.bool_)
    at = np.searchsorted(sorted_hashes, wanted)
    at[at == len(sorted_hashes)] = len(sorted_hashes) - 1
    found: Mask = sorted_hashes[at] == wanted
    return found
