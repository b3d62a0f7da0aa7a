import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.intervals import at_least, difference, still_to_come, wilson


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


def test_what_is_to_come_has_the_moments_of_the_beta_binomial() -> None:
    # Recounted from the probabilities themselves: hits among 40 more, after 3 of 50.
    a, b, n = 3.5, 47.5, 40
    weights = [
        math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            + math.lgamma(k + a) + math.lgamma(n - k + b) - math.lgamma(n + a + b)
            + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        )
        for k in range(n + 1)
    ]  # fmt: skip
    mean = sum(k * w for k, w in enumerate(weights))
    deviation = math.sqrt(sum((k - mean) ** 2 * w for k, w in enumerate(weights)))

    expected, (low, high) = still_to_come(3, 50.0, 40.0)

    assert expected == pytest.approx(mean)
    assert high - expected == pytest.approx(1.959964 * deviation, rel=1e-4)
    assert low == max(0.0, expected - (high - expected))


def test_nothing_is_to_come_of_nothing() -> None:
    assert still_to_come(3, 50.0, 0.0) == (0.0, (0.0, 0.0))


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
