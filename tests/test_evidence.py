"""The guard's statistics: against direct formulas, exact enumeration and recounts; the same in any batches."""

import itertools
import math
import pickle
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from features import guard_budget, guard_shift
from features.evidence import EVIDENCE, LOOK, Counts, fresh, observe
from features.guard_limit import (
    ODDS_RATIOS,
    alternatives_above,
    log_above,
    log_gamma,
)
from features.guard_numbers import NUMBERS, number_trials, unnumbered
from features.tolerances import DEFAULT_RULES, PROVIDER_LIMITS, Rule

Ints = NDArray[np.int64]
ALL_RULES = DEFAULT_RULES + PROVIDER_LIMITS
BY_NAME = {rule.name: rule for rule in ALL_RULES}

Event = tuple[int, int, bool, int]
"""Row, trials, hit, number of the hit's trial."""

EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40), st.booleans(), st.integers(0, 300)), min_size=1, max_size=120
)


def counts_of(events: list[Event]) -> Counts:
    row, trials, hit, number = (np.array(column) for column in zip(*events, strict=True))
    return Counts(row.astype(np.int64), trials.astype(np.int64), hit.astype(np.bool_), number.astype(np.int64))


def sequence(outcomes: list[bool] | NDArray[np.bool_]) -> Counts:
    """One scope; every trial's outcome is known with it."""
    number = np.arange(1, len(outcomes) + 1)
    return Counts(np.zeros(len(number), np.int64), np.ones(len(number), np.int64), np.asarray(outcomes, bool), number)


def in_batches(
    counts: Counts, cuts: list[int], rows: int, tolerance: float
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    state, parts = fresh(rows), [np.zeros(0, LOOK)]
    for start, end in itertools.pairwise([0, *cuts, len(counts.row)]):
        part = Counts(
            counts.row[start:end], counts.trials[start:end], counts.hit[start:end], counts.trial_number[start:end]
        )
        state, looks = observe(state, part, tolerance)
        looks["event"] += start
        parts.append(looks)
    return state, np.concatenate(parts)


def every(period: int, size: int) -> list[bool]:
    return [place % period == period - 1 for place in range(size)]


# Batches and order


@given(EVENTS, st.lists(st.integers(0, 120), max_size=6), st.sampled_from([0.003, 0.05, 0.5]))
def test_a_batch_gives_what_its_events_one_by_one_give_bit_for_bit(
    events: list[Event], cuts: list[int], tolerance: float
) -> None:
    counts = counts_of(events)
    state, looks = observe(fresh(4), counts, tolerance)
    for how in (list(range(1, len(events))), sorted(min(cut, len(events)) for cut in cuts)):
        other_state, other_looks = in_batches(counts, how, 4, tolerance)
        assert other_state.tobytes() == state.tobytes()
        assert other_looks.tobytes() == looks.tobytes()


def test_a_long_batch_with_a_change_crosses_at_the_same_event_as_one_by_one() -> None:
    rng = np.random.default_rng(7)
    counts = sequence(rng.random(3_000) < np.where(np.arange(3_000) < 2_000, 0.01, 0.12))
    alphas = np.array([0.01])
    _, whole = observe(fresh(1), counts, 0.05)
    first = guard_budget.first_crossings(whole, alphas)
    assert len(first) == 1
    for size in (1, 17, 1_000):
        _, parts = in_batches(counts, list(range(size, 3_000, size)), 1, 0.05)
        again = guard_budget.first_crossings(parts, alphas)
        assert parts[again].tobytes() == whole[first].tobytes()


@given(EVENTS)
def test_scopes_do_not_know_of_each_other(events: list[Event]) -> None:
    _, together = observe(fresh(4), counts_of(events), 0.05)
    for row in range(4):
        mine = [event for event in events if event[0] == row]
        if mine:
            _, alone = observe(fresh(4), counts_of(mine), 0.05)
            of_row = together[together["row"] == row]
            names = [name for name in LOOK.names or () if name != "event"]
            assert of_row[names].tolist() == alone[names].tolist()


@given(st.lists(st.integers(1, 200), max_size=30, unique=True), st.randoms())
def test_the_order_in_which_hits_of_counted_trials_come_changes_nothing_in_the_end(numbers: list[int], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    shuffled = random.sample(numbers, len(numbers))
    ends = []
    for order in (numbers, shuffled):
        events: list[Event] = [(0, 200, False, 0), *((0, 0, True, number) for number in order)]
        state, looks = observe(fresh(1), counts_of(events), 0.05)
        ends.append((state.tobytes(), looks[-1:][["hits", "trials", "log_limit", "log_shift"]].tolist()))
    assert ends[0] == ends[1]


@given(EVENTS)
def test_blocks_hold_a_recount_of_the_hits_by_their_trials(events: list[Event]) -> None:
    tolerance = 0.05
    state, _ = observe(fresh(4), counts_of(events), tolerance)
    shifts = guard_shift.block_shifts(tolerance)
    trials, hits = defaultdict[int, int](int), defaultdict[int, list[int]](list)
    clock = defaultdict[int, int](int)
    for row, more, hit, number in events:
        trials[row] += more
        if hit:
            clock[row] = trials[row]
            hits[row].append(min(max(number, 1), max(trials[row], 1)))
    for row, numbers in hits.items():
        for level, shift in enumerate(shifts.tolist()):
            newest = (max(clock[row], 1) - 1) >> shift
            for block in range(max(newest - guard_shift.BLOCKS + 1, 0), newest + 1):
                inside = sum((number - 1) >> shift == block for number in numbers)
                assert state["blocks"][row, level, block % guard_shift.BLOCKS] == inside


def test_a_batch_without_events_changes_nothing() -> None:
    state, _ = observe(fresh(2), sequence(every(3, 9)), 0.05)
    none = np.zeros(0, np.int64)
    after, looks = observe(state, Counts(none, none, none.astype(bool), none), 0.05)
    assert after.tobytes() == state.tobytes()
    assert len(looks) == 0


def test_observing_leaves_the_given_state_as_it_was_and_a_stored_state_goes_on() -> None:
    state, _ = observe(fresh(1), sequence(every(10, 100)), 0.05)
    before = state.tobytes()
    stored = pickle.loads(pickle.dumps(state))
    first = observe(state, sequence(every(5, 50)), 0.05)
    second = observe(np.frombuffer(stored.tobytes(), EVIDENCE), sequence(every(5, 50)), 0.05)
    assert state.tobytes() == before
    assert [each.tobytes() for each in first] == [each.tobytes() for each in second]


# Numbers of trials


NUMBERED = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 200), st.booleans(), st.integers(0, 9)),
    min_size=1,
    max_size=150,
)
"""Row, whether the event is a trial, how many trials ago the hit's trial was, whether that is known, how far it runs back."""


@given(NUMBERED, st.lists(st.integers(0, 150), max_size=4))
def test_a_hit_gets_the_first_trial_of_the_finest_block_kept_that_holds_its_own(
    events: list[tuple[int, bool, int, bool, int]], cuts: list[int]
) -> None:
    tolerance = 0.05
    shifts = guard_shift.block_shifts(tolerance).tolist()
    ordinals: dict[int, list[int]] = defaultdict(list)
    columns, expected, total = [], [], 0
    for row, is_trial, ago, is_known, back in events:
        mine = ordinals[row]
        if is_trial:
            total += 1
            mine.append(max(total - back, 1))
        place = len(mine) - 1 if is_trial else len(mine) - ago
        has_number = is_trial or (is_known and place >= 0)
        columns.append((row, is_trial, mine[place] if has_number else 0))
        firsts = [
            block << shift
            for level, shift in enumerate(shifts)
            for block in range(
                max(((len(mine) - 1) >> shift) - guard_shift.BLOCKS + 1, 0), ((len(mine) - 1) >> shift) + 1
            )
            if level == 0 or ((len(mine) - 1) >> shift) - block >= guard_shift.BLOCKS // 2
        ]
        expected.append(
            max((first + 1 for first in firsts if has_number and max(mine[: first + 1]) <= mine[place]), default=0)
        )
    rows, trial, ordinal = (np.array(column) for column in zip(*columns, strict=True))
    hit = np.ones(len(rows), np.bool_)
    for how in ([], list(range(1, len(events))), sorted(min(cut, len(events)) for cut in cuts)):
        state, found = unnumbered(3), []
        for start, end in itertools.pairwise([0, *how, len(events)]):
            part = slice(start, end)
            state, numbers = number_trials(state, rows[part], trial[part], hit[part], ordinal[part], tolerance)
            found.extend(numbers.tolist())
        assert found == expected
        assert state["trials"].tolist() == [len(ordinals[scope]) for scope in range(3)]


def test_numbers_and_evidence_of_all_scopes_fit_into_200_mib_together() -> None:
    assert 1_000 * 50 * 7 * (EVIDENCE.itemsize + NUMBERS.itemsize) < 200 * 2**20


# Limit


def direct_limit(hits: int, trials: int, tolerance: float) -> float:
    """The mixture of exp(lambda hits) / (1 + tolerance (exp(lambda) - 1)) ** trials, multiplied out."""
    total = 0.0
    weights = np.exp(alternatives_above(tolerance).log_weight)
    for ratio, weight in zip(ODDS_RATIOS, weights, strict=True):
        # The odds ratio of an alternative is the exponential of its lambda.
        total += weight * ratio**hits / (1 + tolerance * (ratio - 1)) ** trials
    return float(total)


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.001, 0.05, 0.3, 0.9]))
def test_limit_is_the_mixture_that_the_page_gives(hits: int, misses: int, tolerance: float) -> None:
    expected = math.log(direct_limit(hits, hits + misses, tolerance))
    assert float(log_above(hits, hits + misses, tolerance)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tolerance", [0.003, 0.05, 0.4])
def test_the_money_of_limit_is_expected_to_stay_at_the_tolerance_and_to_fall_below_it(tolerance: float) -> None:
    size = 40
    hits = np.arange(size + 1)
    money = np.exp(log_above(hits, size, tolerance))
    for rate, low, high in ((tolerance, 1 - 1e-9, 1 + 1e-9), (0.7 * tolerance, 0.0, 1.0)):
        chances = [math.comb(size, hit) * rate**hit * (1 - rate) ** (size - hit) for hit in range(size + 1)]
        assert low <= float(np.dot(money, chances)) <= high


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_a_pending_outcome_or_one_more_miss_never_raises_the_evidence(
    hits: int, misses: int, pending: int, more: int
) -> None:
    trials = hits + misses + pending
    all_known = float(log_above(hits + pending, trials, 0.05))
    assert float(log_above(hits, trials, 0.05)) <= all_known + 1e-12
    assert float(log_above(hits, trials + more, 0.05)) <= float(log_above(hits, trials, 0.05)) + 1e-12


def stopped_by(rate: float, tolerance: float, bound: float, size: int) -> list[float]:
    """The exact probability that limit has reached the bound by each number of trials."""
    alive, gone, found = np.zeros(size + 1), 0.0, []
    alive[0] = 1.0
    for trials in range(1, size + 1):
        alive = alive * (1 - rate) + np.concatenate([[0.0], alive[:-1] * rate])
        over = log_above(np.arange(size + 1), trials, tolerance) >= bound
        over &= np.arange(size + 1) <= trials
        gone += float(alive[over].sum())
        alive[over] = 0.0
        found.append(gone)
    return found


@pytest.mark.parametrize("alpha", [0.1, 0.01, 0.0001])
def test_at_the_tolerance_limit_pauses_with_at_most_its_alpha_over_all_looks(alpha: float) -> None:
    assert stopped_by(0.05, 0.05, -math.log(alpha), 600)[-1] <= alpha


@pytest.mark.parametrize(("rate", "most"), [(0.2, 22), (0.12, 61)])
def test_bounces_from_the_start_are_stopped_after_the_promised_median(rate: float, most: int) -> None:
    bound = float(guard_budget.log_bounds(0.01)[0])
    assert stopped_by(rate, 0.03, bound, 70)[most - 1] >= 0.5


def test_ten_hard_bounces_in_a_row_pause_even_the_fifty_thousandth_scope() -> None:
    bound = float(guard_budget.log_bounds(guard_budget.budget_share(50_000))[0])
    evidence = float(log_above(10, 10, BY_NAME["bounces"].tolerance))
    assert evidence >= bound
    assert float(log_above(1, 1, BY_NAME["bounces"].tolerance)) < float(guard_budget.log_bounds(0.01)[0])


@pytest.mark.parametrize("rule", [rule for rule in ALL_RULES if rule.hits == "complained"], ids=lambda rule: rule.name)
def test_one_complaint_in_a_hundred_deliveries_fires_nothing(rule: Rule) -> None:
    warns = guard_budget.LADDER[0] * float(guard_budget.log_bounds(0.01)[0])
    assert float(log_above(1, 100, rule.tolerance)) < warns


def test_hits_in_excess_of_trials_wait_for_them_and_end_the_same() -> None:
    early: list[Event] = [(0, 0, True, 0)] * 3 + [(0, 1, False, 0)] * 10 + [(0, 0, True, 4)]
    late: list[Event] = [(0, 1, False, 0)] * 10 + [(0, 0, True, number) for number in (1, 2, 3, 4)]
    _, looks = observe(fresh(1), counts_of(early), 0.05)
    _, orderly = observe(fresh(1), counts_of(late), 0.05)
    assert looks["hits"].tolist() == [0, 0, 0, 4]
    assert looks["log_limit"][:3] == pytest.approx(0.0, abs=1e-12)
    assert looks["log_limit"][-1] == orderly["log_limit"][-1]


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_a_tolerance_that_is_no_rate_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="a tolerance is"):
        observe(fresh(1), sequence([True]), tolerance)


def test_log_gamma_agrees_with_the_standard_library() -> None:
    values = np.array([0.5, 1.0, 1.5, 2.0, 7.25, 333.5, 1e5, 1e7, 4e9])
    expected = [math.lgamma(value) for value in values.tolist()]
    assert log_gamma(values) == pytest.approx(np.array(expected), rel=1e-12, abs=1e-11)


# Shift


def direct_shift(outcomes: tuple[bool, ...], tolerance: float, *, kept_only: bool = False) -> float:
    """The weighted sum over all boundaries of all levels, by the page's formulas, without blocks or bounds.

    With `kept_only`, over those that are new enough for their level, old enough for it, and harmful.
    """
    size, hits = len(outcomes), sum(outcomes)
    best = min(hits / size, tolerance)
    constant = best**hits * (1 - best) ** (size - hits)
    odds = guard_shift.ODDS_RATIOS * tolerance / (1 - tolerance)
    rates = (odds / (1 + odds)).tolist()
    prior = max((2 / tolerance - 1) / 2, 0.5)
    total = 0.0
    for level in range(guard_shift.LEVELS):
        block = 2 ** (max(round(math.log2(0.2 / tolerance)), 0) + level)
        for before in range(block, size, block):
            old, new = sum(outcomes[:before]), sum(outcomes[before:])
            age = (size - 1) // block - before // block
            harm = new / (size - before) > tolerance and log_ratio(new, size - before, tolerance) >= guard_shift.HARM
            if kept_only and not (harm and (0 if level == 0 else 2) <= age <= 3):
                continue
            past = math.exp(
                math.lgamma(old + 0.5) + math.lgamma(before - old + prior) - math.lgamma(before + 0.5 + prior)
                - math.lgamma(0.5) - math.lgamma(prior) + math.lgamma(0.5 + prior)
            )  # fmt: skip
            now = sum(rate**new * (1 - rate) ** (size - before - new) for rate in rates) / len(rates)
            weight = block / guard_shift.LEVELS * direct_hazard(before, tolerance)
            total += weight * past * now / constant
    return total


def log_ratio(hits: int, trials: int, rate: float) -> float:
    """The log likelihood ratio of the rate seen to the given one."""
    misses = trials - hits
    up = hits * math.log(hits / trials / rate) if hits else 0.0
    return up + (misses * math.log(misses / trials / (1 - rate)) if misses else 0.0)


def direct_hazard(before: int, tolerance: float) -> float:
    early = 25 / tolerance
    return 0.5 / ((before + early) * math.log(1 + 1e6 / early)) + 0.5e-6


def test_the_weights_of_all_moments_within_a_million_trials_sum_to_at_most_one() -> None:
    for tolerance in (0.003, 0.05, 0.5):
        total = 0.0
        for shift in guard_shift.block_shifts(tolerance).tolist():
            before = np.arange(1 << shift, 1_000_001, 1 << shift)
            total += float((guard_shift.hazard(before.astype(float), tolerance) * (1 << shift)).sum())
        assert 0.9 < total / guard_shift.LEVELS <= 1.0


def test_shift_is_never_more_than_the_sum_that_is_proven_and_that_sum_keeps_its_expectation() -> None:
    tolerance, size = 0.2, 11
    every_outcome = list(itertools.product([False, True], repeat=size))
    proven = np.array([direct_shift(outcomes, tolerance) for outcomes in every_outcome])
    counts = Counts(
        np.repeat(np.arange(len(every_outcome)), size),
        np.ones(size * len(every_outcome), np.int64),
        np.array(every_outcome).ravel(),
        np.tile(np.arange(1, size + 1), len(every_outcome)),
    )
    _, looks = observe(fresh(len(every_outcome)), counts, tolerance)
    at_end = looks[looks["trials"] == size]
    assert np.all(np.exp(at_end["log_shift"]) <= proven[at_end["row"]] * (1 + 1e-9))
    weights = sum(
        (1 << shift) / guard_shift.LEVELS * direct_hazard(before, tolerance)
        for shift in guard_shift.block_shifts(tolerance).tolist()
        for before in range(1 << shift, size, 1 << shift)
    )
    hits = np.array([sum(outcomes) for outcomes in every_outcome])
    for rate in (0.02, 0.1, tolerance):
        assert float(np.dot(proven, rate**hits * (1 - rate) ** (size - hits))) <= weights


@pytest.mark.parametrize(
    "outcomes",
    [(*every(100, 400), *every(2, 20)), (*every(100, 400), *every(8, 90)), (*every(40, 160), *every(2, 60))],
    ids=["a short burst", "a long rise", "now above the tolerance in all"],
)
def test_shift_is_the_sum_over_the_moments_that_are_kept_and_harmful(outcomes: tuple[bool, ...]) -> None:
    _, looks = observe(fresh(1), sequence(list(outcomes)), 0.05)
    last = looks[-1]
    seen = outcomes[: int(last["trials"])]
    assert 1 < math.exp(last["log_shift"]) == pytest.approx(direct_shift(seen, 0.05, kept_only=True), rel=0.02)


def test_a_jump_after_a_quiet_past_is_found_where_it_happened_and_limit_alone_would_not() -> None:
    outcomes = [*every(100, 2_000), *every(10, 400)]
    _, looks = observe(fresh(1), sequence(outcomes), 0.05)
    first = looks[guard_budget.first_crossings(looks, np.array([0.01]))[0]]
    assert 2_000 < first["trials"] <= 2_180
    assert first["log_limit"] < 0
    assert abs(first["shift_before"] - 2_000) <= 32
    assert first["since_hits"] / first["since_trials"] == pytest.approx(0.1, abs=0.02)
    assert first["since_trials"] == first["trials"] - first["shift_before"]


@pytest.mark.parametrize("period", [20, 25, 34])
def test_a_steady_rate_up_to_the_tolerance_is_no_shift(period: int) -> None:
    _, looks = observe(fresh(1), sequence(every(period, 20_000)), 0.05)
    assert float(looks["log_shift"].max()) < 0
    assert len(guard_budget.first_crossings(looks, np.array([0.01]), guard_budget.LADDER[0])) == 0


def test_a_rise_that_stays_well_below_the_tolerance_is_no_harm() -> None:
    _, looks = observe(fresh(1), sequence([*every(500, 5_000), *every(50, 5_000)]), 0.05)
    assert len(guard_budget.first_crossings(looks, np.array([0.01]))) == 0


def test_a_rise_to_just_above_the_tolerance_waits_until_harm_is_likely() -> None:
    _, looks = observe(fresh(1), sequence([*every(500, 5_000), *every(19, 1_000)]), 0.05)
    assert log_ratio(53, 1_000, 0.05) < guard_shift.HARM
    assert len(guard_budget.first_crossings(looks, np.array([0.01]))) == 0
    _, looks = observe(fresh(1), sequence([*every(500, 5_000), *every(14, 1_000)]), 0.05)
    assert log_ratio(71, 1_000, 0.05) > guard_shift.HARM
    assert len(guard_budget.first_crossings(looks, np.array([0.01]))) == 1


def late_outcomes(number_of: str) -> Counts:
    """2,000 trials at 5% whose outcomes come after all of them, in 100 further trials."""
    numbers = {"own": range(20, 2_001, 20), "unknown": [0] * 100, "newest": range(2_001, 2_101)}[number_of]
    events: list[Event] = [(0, 2_000, False, 0), *((0, 1, True, number) for number in numbers)]
    return counts_of(events)


@pytest.mark.parametrize(("number_of", "is_shift"), [("own", False), ("unknown", False), ("newest", True)])
def test_late_hits_of_old_trials_look_like_a_change_only_to_who_calls_them_new(number_of: str, is_shift: bool) -> None:  # noqa: FBT001
    _, looks = observe(fresh(1), late_outcomes(number_of), 0.05)
    assert bool(looks["log_shift"].max() >= guard_budget.log_bounds(0.01)[1]) is is_shift
