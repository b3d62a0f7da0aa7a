"""Which facts are new, against a plain set of all facts ever seen."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dedupe import Days, Hashes, Mask, SeenFacts

Fact = tuple[int, int]

DAYS: Final = st.sampled_from([-1, 0, 1, 2, 3, 20_000, 29_218])
HASHES: Final = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1])
ROWS: Final = st.lists(st.tuples(DAYS, HASHES), max_size=12)
CAPACITIES: Final = st.sampled_from([0, 1, 4, 9, 1000])


class Landed:
    """What has reached the lake: a set of facts; it counts how often it is asked."""

    def __init__(self) -> None:
        self.facts: set[Fact] = set()
        self.loads = 0

    def sizes_of_days(self, days: list[int]) -> dict[int, int]:
        return {day: sum(fact[0] == day for fact in self.facts) for day in days}

    def facts_of_days(self, days: list[int]) -> tuple[Days, Hashes]:
        assert days == list(range(days[0], days[-1] + 1))
        self.loads += 1
        found = sorted(fact for fact in self.facts if fact[0] in days)
        return columns(found[::2] + found[1::2])  # in no order that could be relied on

    def known_facts(self, days: Days, hashes: Hashes) -> Mask:
        pairs = zip(days.tolist(), hashes.tolist(), strict=True)
        return np.array([pair in self.facts for pair in pairs], np.bool_)


def columns(rows: Sequence[Fact]) -> tuple[Days, Hashes]:
    return np.array([day for day, _ in rows], np.int32), np.array([one for _, one in rows], np.uint64)


def keep(seen: SeenFacts, rows: Sequence[Fact]) -> list[bool]:
    kept: list[bool] = seen.keep(*columns(rows)).tolist()
    return kept


def expected(rows: Sequence[Fact], known: set[Fact]) -> list[bool]:
    """Whether each row is the first of its fact; all of them are known from then on."""
    firsts = []
    for row in rows:
        firsts.append(row not in known)
        known.add(row)
    return firsts


@settings(max_examples=400)
@given(st.lists(st.tuples(ROWS, st.integers(0, 3)), max_size=30), CAPACITIES)
def test_a_fact_is_kept_once_however_little_is_remembered_and_however_late_the_lake(
    batches: list[tuple[list[Fact], int]], capacity: int
) -> None:
    lake, known = Landed(), set[Fact]()
    seen = SeenFacts(lake, capacity)
    under_way: list[tuple[int, set[Fact]]] = []
    for rows, committing in batches:
        before = set(known)
        assert keep(seen, rows) == expected(rows, known)
        under_way.append((seen.batch, known - before))
        for number, facts in under_way[:committing]:
            lake.facts |= facts
            seen.committed(number)
        del under_way[:committing]


@settings(max_examples=150)
@given(st.lists(st.tuples(ROWS, st.booleans(), st.booleans()), max_size=15), CAPACITIES)
def test_after_a_crash_what_the_lake_lacks_comes_again_and_is_kept_again(
    batches: list[tuple[list[Fact], bool, bool]], capacity: int
) -> None:
    lake, known = Landed(), set[Fact]()
    seen = SeenFacts(lake, capacity)
    waiting: list[list[Fact]] = []
    for rows, lands, crashes in batches:
        assert keep(seen, rows) == expected(rows, known)
        waiting.append(rows)
        if lands:
            lake.facts |= known
            seen.committed(seen.batch)
            waiting.clear()
        if crashes:
            seen, known = SeenFacts(lake, capacity), set(lake.facts)
            for again in waiting:
                assert keep(seen, again) == expected(again, known)


@given(st.lists(ROWS.filter(len), max_size=20), CAPACITIES)
def test_memory_beyond_the_capacity_is_only_what_the_lake_does_not_hold_yet(
    batches: list[list[Fact]], capacity: int
) -> None:
    lake, known = Landed(), set[Fact]()
    seen = SeenFacts(lake, capacity)
    for rows in batches:
        keep(seen, rows)
        known.update(rows)
        in_batch = {day for day, _ in rows}
        spared = len([day for day, _ in known if day in in_batch])
        assert len(seen) <= capacity + spared
        lake.facts |= known
        seen.committed(seen.batch)


def test_days_in_memory_are_not_asked_of_the_lake_again() -> None:
    lake = Landed()
    lake.facts = {(1, 7), (2, 8), (3, 9)}
    seen = SeenFacts(lake)

    assert keep(seen, [(1, 7), (2, 7), (1, 1)]) == [False, True, True]
    assert lake.loads == 1
    assert keep(seen, [(1, 7), (2, 7), (1, 1), (2, 8)]) == [False, False, False, False]
    assert lake.loads == 1
    assert keep(seen, [(3, 9)]) == [False]
    assert lake.loads == 2


def test_of_a_hash_on_two_days_each_is_a_fact_of_its_own_while_both_are_under_way() -> None:
    seen = SeenFacts(Landed(), capacity=0)

    assert keep(seen, [(1, 7), (2, 8)]) == [True, True]
    assert keep(seen, [(1, 8), (2, 7)]) == [True, True]
    assert keep(seen, [(1, 7), (1, 8), (2, 7), (2, 8)]) == [False, False, False, False]


def test_clearing_forgets_what_the_lake_holds_so_that_it_is_asked_again() -> None:
    lake = Landed()
    seen = SeenFacts(lake)
    keep(seen, [(1, 7), (2, 7)])
    lake.facts = {(2, 7)}  # (1, 7) was landed, and then taken away by other means
    seen.committed(seen.batch)
    seen.clear()

    assert keep(seen, [(1, 7), (2, 7)]) == [True, False]


def test_many_small_and_a_few_large_batches_of_one_day_are_remembered_alike() -> None:
    rng = np.random.default_rng(3)
    seen, known = SeenFacts(Landed()), set[int]()
    for size in [*[50] * 30, 40_000, 40_000, *[50] * 12, 70_000]:
        hashes = rng.integers(0, 60_000, size, np.uint64)
        kept = seen.keep(np.full(size, 5, np.int32), hashes)
        fresh = set(hashes.tolist()) - known

        assert set(hashes[kept].tolist()) == fresh
        assert int(kept.sum()) == len(fresh)
        known |= fresh
    assert len(seen) == len(known)
