import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.intervals import at_least, difference, wilson


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # Newcombe (1998), Stat. Med. 17, 857-872, table I, method 3 (Wilson).
        pytest.param(81, 263, 0.2553, 0.3662, id="81 of 263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15 of 148"),
        pytest.param(0, 20, 0.0, 0.1611, id="none of 20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1 of 29"),
    ],
)
def test_wilson_gives_the_published_limits(hits: int, trials: int, low: float, high: float) -> None:
    found = wilson(hits, trials)

    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_there_is_no_interval_without_trials() -> None:
    assert wilson(0, 0) is None
    assert difference(0, 0, 1, 2) is None
    assert difference(1, 2, 0, 0) is None


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe (1998), Stat. Med. 17, 873-890, table II, method 10.
        pytest.param((56, 70, 48, 80), 0.0524, 0.3339, id="56/70 - 48/80"),
        pytest.param((9, 10, 3, 10), 0.1705, 0.8090, id="9/10 - 3/10"),
        pytest.param((10, 10, 0, 20), 0.6791, 1.0, id="10/10 - 0/20"),
    ],
)
def test_differences_have_the_published_limits(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = difference(*counts)

    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_rate_and_stays_within_0_and_1(hits: int, trials: int) -> None:
    hits = min(hits, trials)
    found = wilson(hits, trials)

    assert found is not None
    assert 0 <= found.low <= hits / trials + 1e-12
    assert hits / trials - 1e-12 <= found.high <= 1


@pytest.mark.parametrize("rate", [0.001, 0.003, 0.05, 0.2])
@pytest.mark.parametrize("trials", [1, 5, 20, 200, 3000])
def test_a_lower_limit_is_above_the_true_rate_in_at_most_one_of_forty(rate: float, trials: int) -> None:
    wrong = 0.0
    for hits in range(1, trials + 1):
        log = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
        log += hits * math.log(rate) + (trials - hits) * math.log1p(-rate)
        wrong += math.exp(log) * (at_least(hits, trials) > rate)

    assert wrong <= 0.0275  # 2.5 %, and a tenth for Wilson's limit where there are many


def test_a_lower_limit_rises_with_the_hits_across_the_change_of_method() -> None:
    found = [at_least(hits, 1000) for hits in range(200)]

    assert found == sorted(found)
    assert found[0] == 0.0


def test_more_hits_than_trials_are_all_of_them() -> None:
    assert wilson(2, 1) == wilson(1, 1)
    assert at_least(5, 3) == at_least(3, 3)
    assert difference(2, 1, 3, 2) is not None
