import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.forecast import RIPE_DAYS, Day, forecast, ripeness


def steady(rate: float, curve: list[float], delivered: int = 100_000) -> list[Day]:
    """As many messages of every age, answered as the curve says; older ones fully."""
    young = [Day(age, delivered, round(delivered * rate * share)) for age, share in enumerate(curve)]
    return [*young, *(Day(RIPE_DAYS + n, delivered, round(delivered * rate)) for n in range(10))]


def test_the_share_of_answers_that_have_come_is_found_again() -> None:
    curve = [0.3, 0.55, 0.7, 0.8, 0.86, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 1.0]

    assert ripeness(steady(0.03, curve)) == pytest.approx(curve, abs=0.01)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5000), st.integers(0, 5000)), max_size=30))
def test_shares_lie_between_0_and_1_and_never_fall(told: list[tuple[int, int, int]]) -> None:
    shares = ripeness([Day(age, delivered, min(hits, delivered)) for age, delivered, hits in told])

    assert len(shares) == RIPE_DAYS
    assert all(0 < share <= 1 for share in shares)
    assert shares == sorted(shares)


def test_young_messages_still_bring_what_they_have_not() -> None:
    curve = [0.5] * RIPE_DAYS
    found = forecast([Day(30, 10_000, 300), Day(0, 10_000, 150)], ripeness(steady(0.03, curve)))

    assert found.have == 450
    assert found.expected == pytest.approx(600, abs=8)  # half of the young ones' 300 are yet to come
    assert found.interval.low < 600 < found.interval.high


def test_a_finished_campaign_brings_no_more() -> None:
    found = forecast([Day(30, 1000, 25)], ripeness([]))

    assert (found.have, found.expected, found.interval) == (25, 25, (25, 25))


def test_a_campaign_without_a_message_promises_nothing() -> None:
    assert forecast([], ripeness([])) == (0, 0.0, (0.0, 0.0))
