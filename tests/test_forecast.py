import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.forecast import RIPE_DAYS, Day, forecast, ripening

AGES = (0, 1, 3, 6, 10)
SIZES = (200, 2_000, 10_000)
RATE = 0.02


def curve_of(mean_days: float) -> list[float]:
    """Ripeness by age 0..`RIPE_DAYS` where answers come after an exponential time."""
    come = [1 - math.exp(-(age + 0.5) / mean_days) for age in range(RIPE_DAYS + 1)]
    return [share / come[-1] for share in come]


def steady(rate: float, curve: list[float], sent: int = 100_000) -> list[Day]:
    """One campaign with as many messages of every age, answered as the curve says; older ones fully."""
    young = [Day(age, sent, round(sent * rate * share)) for age, share in enumerate(curve)]
    return [*young, *(Day(RIPE_DAYS + n, sent, round(sent * rate)) for n in range(10))]


def portfolio(dice: np.random.Generator, curve: list[float]) -> list[list[Day]]:
    """Twenty campaigns of their own rates, each sent on ten days that end up to a month ago."""
    made = []
    for _ in range(20):
        rate, last = RATE * dice.lognormal(0, 0.5), int(dice.integers(0, 30))
        sent = dice.integers(100, 400, size=10).tolist()
        made.append(
            [Day(age, n, int(dice.binomial(n, rate * curve[min(age, RIPE_DAYS)]))) for age, n in enumerate(sent, last)]
        )
    return made


def test_the_share_of_answers_that_have_come_is_found_again() -> None:
    curve = [0.3, 0.55, 0.7, 0.8, 0.86, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.998]

    assert ripening([steady(0.03, curve, 1_000_000)]).shares == pytest.approx(curve, abs=0.01)


def test_campaigns_that_differ_in_rate_do_not_bend_the_curve() -> None:
    curve = curve_of(2.5)
    ripe_and_poor = [Day(RIPE_DAYS + n, 100_000, 500) for n in range(10)]
    rich = [Day(age, 100_000, round(5_000 * share)) for age, share in enumerate(curve)]

    assert ripening([ripe_and_poor, rich]).shares == pytest.approx(curve[:-1], abs=0.01)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5000), st.integers(0, 5000)), max_size=20), max_size=5
    )
)
def test_shares_rise_with_age_and_are_whole_only_when_ripe(told: list[list[tuple[int, int, int]]]) -> None:
    campaigns = [[Day(age, sent, min(hits, sent)) for age, sent, hits in days] for days in told]
    found = ripening(campaigns)

    assert len(found.shares) == RIPE_DAYS
    assert all(0 < share < 1 for share in found.shares)
    assert list(found.shares) == sorted(found.shares)
    assert found.draws.max() < 1
    for days in campaigns:
        have, expected, (low, high) = forecast(days, found)
        assert have <= low <= high <= sum(day.sent for day in days)
        assert have <= expected <= sum(day.sent for day in days)


def test_a_young_campaign_that_beats_all_others_is_not_taken_to_be_over() -> None:
    young = [Day(0, 5_000, 75)]
    found = forecast(young, ripening([[Day(20, 10_000, 100)], young]))

    assert found.interval.low > 75
    assert 200 < found.expected < 300
    assert found.interval.low < 250 < found.interval.high


def test_young_messages_still_bring_what_they_have_not() -> None:
    curve = [0.5, 0.75, 0.9, *([0.95] * 5), *([0.98] * 6)]
    found = forecast([Day(30, 10_000, 300), Day(0, 10_000, 150)], ripening([steady(0.03, curve)]))

    assert found.have == 450
    assert found.expected == pytest.approx(600, abs=12)  # half of the young ones' 300 are yet to come
    assert found.interval.low < 600 < found.interval.high


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0, 5.0], ids=lambda times: f"{times:g} times the others' rate")
@pytest.mark.parametrize("mean_days", [1.0, 3.0], ids=lambda days: f"answers after {days:g} days")
def test_intervals_of_95_percent_hold_the_final_count_in_93_percent(times: float, mean_days: float) -> None:
    dice = np.random.default_rng(7)
    curve = curve_of(mean_days)
    found: list[bool] = []
    for run in range(300):
        age, size, rate = AGES[run % len(AGES)], SIZES[run // len(AGES) % len(SIZES)], RATE * times
        have = int(dice.binomial(size, rate * curve[age]))
        more = int(dice.binomial(size - have, rate * (1 - curve[age]) / (1 - rate * curve[age])))
        mine = [Day(age, size, have)]
        low, high = forecast(mine, ripening([*portfolio(dice, curve), mine])).interval
        found.append(low <= have + more <= high)

    assert sum(found) / len(found) >= 0.93


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0, 5.0], ids=lambda times: f"{times:g} times the other's rate")
def test_intervals_hold_with_hardly_any_history(times: float) -> None:
    dice = np.random.default_rng(8)
    curve = curve_of(1.5)
    found: list[bool] = []
    for run in range(300):
        age, size, rate = AGES[run % len(AGES)], SIZES[run // len(AGES) % len(SIZES)], RATE * times
        have = int(dice.binomial(size, rate * curve[age]))
        more = int(dice.binomial(size - have, rate * (1 - curve[age]) / (1 - rate * curve[age])))
        mine = [Day(age, size, have)]
        low, high = forecast(mine, ripening([[Day(20, 10_000, int(dice.binomial(10_000, RATE)))], mine])).interval
        found.append(low <= have + more <= high)

    assert sum(found) / len(found) >= 0.93


def test_the_interval_of_messages_still_to_be_sent_holds_what_they_bring() -> None:
    dice = np.random.default_rng(9)
    curve = curve_of(1.5)
    found: list[bool] = []
    for _ in range(300):
        have, more = int(dice.binomial(1_000, RATE)), int(dice.binomial(3_000, RATE))
        told = forecast([Day(20, 1_000, have)], ripening(portfolio(dice, curve)), still_to_send=3_000)
        found.append(told.interval.low <= have + more <= told.interval.high)

    assert sum(found) / len(found) >= 0.93


def test_a_campaign_that_has_sent_nothing_is_expected_to_do_as_the_others() -> None:
    found = forecast([], ripening([[Day(20, 10_000, 200)]]), still_to_send=1_000)

    assert found.expected == pytest.approx(20)
    assert found.interval.low < 20 < found.interval.high


def test_a_finished_campaign_brings_no_more() -> None:
    found = forecast([Day(30, 1000, 25)], ripening([]))

    assert (found.have, found.expected, found.interval) == (25, 25, (25, 25))


def test_a_campaign_without_a_message_promises_nothing() -> None:
    assert forecast([], ripening([])) == (0, 0.0, (0.0, 0.0))


def test_the_same_figures_always_give_the_same_forecast() -> None:
    young = [Day(2, 3_000, 40)]

    assert forecast(young, ripening([young])) == forecast(young, ripening([young]))


def test_where_nothing_has_come_of_anything_little_is_expected() -> None:
    for today in (Day(0, 10, 0), Day(20, 10, 0), Day(0, 1000, 0)):
        found = forecast([today], ripening([[today]]), still_to_send=1000)

        assert found.have == 0
        assert found.expected <= 0.01 * (today.sent + 1000)
