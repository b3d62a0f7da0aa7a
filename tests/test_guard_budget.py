"""The guard's error budget, severities, probation, intervals and default rules: limits below, at and above."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import guard_budget, guard_probation
from features.evidence import LOOK
from features.guard_limit import confidence_sequence, log_above, log_below
from features.tolerances import DEFAULT_RULES, PROVIDER_LIMITS, Rule

ALL_RULES = DEFAULT_RULES + PROVIDER_LIMITS
BY_NAME = {rule.name: rule for rule in ALL_RULES}


def test_the_shares_of_any_number_of_scopes_sum_to_no_more_than_alpha() -> None:
    shares = guard_budget.budget_share(np.arange(1, 1_000_001))
    rest = 0.01 / (2.109742801 * math.log(1_000_001.5))
    assert float(shares.sum()) < 0.01
    assert float(shares.sum()) + rest == pytest.approx(0.01, rel=1e-4)
    assert np.all(np.diff(shares) < 0)


def test_a_scope_before_the_first_has_no_share() -> None:
    with pytest.raises(ValueError, match="order of a scope"):
        guard_budget.budget_share([1, 0])


def test_both_detectors_together_have_no_more_than_alpha() -> None:
    limit, shift = guard_budget.log_bounds(0.01)
    assert math.exp(-float(limit)) + math.exp(-float(shift)) <= 0.01 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.4999, "none"), (0.5, "warn"), (0.7499, "warn"), (0.75, "slow"), (0.9999, "slow"), (1.0, "pause"), (9.0, "pause"),
    ],
)  # fmt: skip
def test_the_ladder_below_at_and_above_each_rung(share: float, expected: str) -> None:
    limit, shift = guard_budget.log_bounds(0.01)
    for strength in (share, guard_budget.strength(share * limit, -np.inf, 0.01)):
        near = np.round(strength, 9)
        assert guard_budget.SEVERITIES[int(guard_budget.severity(near))] == expected
    assert float(guard_budget.strength(-np.inf, share * shift, 0.01)) == pytest.approx(share)


def test_first_crossings_are_the_first_of_each_row_in_log_order() -> None:
    looks = np.zeros(5, LOOK)
    looks["row"] = [1, 0, 1, 0, 2]
    looks["log_limit"] = [0, 9, 9, 99, 1]
    assert guard_budget.first_crossings(looks, np.full(3, 0.01)).tolist() == [1, 2]
    assert guard_budget.first_crossings(looks, np.array([1e-9, 0.01, 0.01])).tolist() == [2, 3]


@pytest.mark.parametrize("tolerance", [0.003, 0.05])
def test_the_money_of_log_below_does_not_grow_at_the_tolerance_or_above(tolerance: float) -> None:
    size = 40
    money = np.exp(log_below(np.arange(size + 1), size, tolerance))
    for rate in (tolerance, 1.5 * tolerance):
        chances = [math.comb(size, hit) * rate**hit * (1 - rate) ** (size - hit) for hit in range(size + 1)]
        assert float(np.dot(money, chances)) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("hits", "trials", "mature_hits", "mature_trials", "verdict"),
    [
        (0, 0, 0, 0, "on"),
        (0, 76, 0, 76, "on"),
        (0, 77, 0, 77, "lift"),
        (0, 500, 0, 20, "on"),
        (1, 200, 1, 200, "lift"),
        (4, 10, 0, 0, "again"),
        (5, 100, 5, 100, "on"),
    ],
    ids=["fresh", "nearly clean", "clean", "pending", "one bounce", "bad from the start", "at the tolerance"],
)
def test_probation_ends_by_its_own_evidence(
    hits: int, trials: int, mature_hits: int, mature_trials: int, verdict: str
) -> None:
    found = guard_probation.judge(hits, trials, mature_hits, mature_trials, 0.05)
    assert guard_probation.VERDICTS[int(found)] == verdict


def test_the_confidence_sequence_misses_the_rate_at_any_look_with_at_most_alpha() -> None:
    rate, alpha, size = 0.12, 0.05, 300
    alive, missed = np.zeros(size + 1), 0.0
    alive[0] = 1.0
    for trials in range(1, size + 1):
        alive = alive * (1 - rate) + np.concatenate([[0.0], alive[:-1] * rate])
        low, high = confidence_sequence(np.arange(trials + 1), trials, alpha)
        out = np.zeros(size + 1, bool)
        out[: trials + 1] = (low > rate) | (high < rate)
        missed += float(alive[out].sum())
        alive[out] = 0.0
    assert 0 < missed <= alpha


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_confidence_sequence_holds_the_share_seen_and_stays_a_rate(hits: int, misses: int) -> None:
    low, high = confidence_sequence(hits, hits + misses, 0.01)
    assert 0 <= low[0] <= hits / max(hits + misses, 1) <= high[0] <= 1
    assert (low[0] == 0) == (hits == 0 or low[0] < 1e-12)
    narrower = confidence_sequence(hits, hits + misses, 0.1)
    assert low[0] <= narrower[0][0] + 1e-12
    assert narrower[1][0] <= high[0] + 1e-12


def test_without_trials_every_rate_is_possible() -> None:
    assert [end.tolist() for end in confidence_sequence(0, 0, 0.05)] == [[0.0], [1.0]]


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.name)
def test_every_rule_says_who_says_so_and_can_be_run(rule: Rule) -> None:
    assert rule.source
    assert len({other.name for other in ALL_RULES}) == len(ALL_RULES)
    assert float(log_above(1, 1, rule.tolerance)) > 0


def test_soft_bounces_and_deferrals_never_pause() -> None:
    assert not [rule.name for rule in ALL_RULES if "soft" in rule.hits or "deferred" in rule.hits]


@pytest.mark.parametrize(
    ("name", "tolerance", "most", "is_on"),
    [
        ("bounces", 0.05, "pause", True),
        ("complaints", 0.003, "pause", True),
        ("complaints_early", 0.001, "warn", True),
        ("failures", 0.10, "pause", True),
        ("unsubscribes", 0.02, "pause", True),
        ("negative_replies", 0.10, "pause", False),
        ("ses_bounces_review", 0.05, "warn", True),
        ("ses_bounces_pause", 0.10, "pause", True),
        ("ses_complaints_review", 0.001, "warn", True),
        ("ses_complaints_pause", 0.005, "pause", True),
        ("gmail_complaints_limit", 0.003, "pause", True),
        ("yahoo_complaints_limit", 0.003, "pause", True),
    ],
)
def test_tolerances_are_those_that_providers_publish_and_the_product_promises(
    name: str,
    tolerance: float,
    most: str,
    is_on: bool,  # noqa: FBT001
) -> None:
    rule = BY_NAME[name]
    assert (rule.tolerance, rule.most, rule.is_on) == (tolerance, most, is_on)
