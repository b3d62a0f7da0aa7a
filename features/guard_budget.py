"""How the permitted probability of a mistake is shared: over scopes, over the two detectors, and over severities.

The i-th scope that a rule meets gets alpha / (2.1098 (i + 1) ln(i + 1)**2). These shares sum to alpha over any number of
scopes, so the probability that the rule ever stops even one healthy scope is at most alpha (the union bound: the errors of
scopes may depend on each other, as those of a campaign and its domains do). Evidence adds in logarithms, so small shares
cost little: the thousandth scope has a hundred-thousandth of the budget and needs 3.5 times the log-evidence of a scope alone.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.guard_limit import Floats, Ints

ALPHA: Final = 0.01
"""Of each rule, over all its scopes: one mistaken pause in a hundred installations, not in a hundred campaigns."""
LIMIT_SHARE: Final = 0.9
SHIFT_SHARE: Final = 0.1
"""The detectors' shares of a scope's alpha. With 0.9 the limit still needs 22 and 60 sends (`guard_limit`); with 0.5
26 and 68. The shift's share is for the first million trials; each further million adds 0.6 of it at most."""
SEVERITIES: Final = ("none", "warn", "slow", "pause")
LADDER: Final = (0.5, 0.75, 1.0)
"""Shares of the logarithm of the evidence that warn, slow down and pause need. With alpha 0.01 and the limit alone, false
warnings have a probability of at most 9.5%, false slowing 2.9%, false pauses 0.9%."""

_SHARES_SUM: Final = 2.109742801
"""The sum of 1 / (n ln(n)**2) from n = 2 on. Source: OEIS A115563."""


def budget_share(order: ArrayLike, alpha: float = ALPHA) -> Floats:
    """The alpha of the scopes that a rule met as its 1st, 2nd, …; a scope that is watched anew counts as a new one.

    Raises:
        ValueError: an order below 1.
    """
    place = np.asarray(order, np.float64) + 1.0
    if np.any(place < 2.0):
        raise ValueError(f"the order of a scope is {np.min(place) - 1:.0f}, valid are 1 and above")
    return np.asarray(alpha / (_SHARES_SUM * place * np.log(place) ** 2), np.float64)


def log_bounds(alpha: ArrayLike) -> tuple[Floats, Floats]:
    """The logarithms of evidence at which limit and shift pause a scope with the alpha."""
    share = np.asarray(alpha, np.float64)
    return -np.log(LIMIT_SHARE * share), -np.log(SHIFT_SHARE * share)


def strength(log_limit: ArrayLike, log_shift: ArrayLike, alpha: ArrayLike) -> Floats:
    """How far the stronger detector has come, as a share of the logarithm of what a pause needs; 1 pauses."""
    limit, shift = log_bounds(alpha)
    return np.maximum(np.asarray(log_limit, np.float64) / limit, np.asarray(log_shift, np.float64) / shift)


def severity(strengths: ArrayLike) -> NDArray[np.int8]:
    """Places in `SEVERITIES`."""
    return np.searchsorted(np.array(LADDER), np.asarray(strengths, np.float64), side="right").astype(np.int8)


def first_crossings(looks: NDArray[np.void], alpha_of_row: Floats, rung: float = 1.0) -> Ints:
    """Places in `looks` (in log order) where rows first reach the rung of the ladder, at most one for each row."""
    reached = strength(looks["log_limit"], looks["log_shift"], alpha_of_row[looks["row"]]) >= rung
    places = np.flatnonzero(reached)
    _, first = np.unique(looks["row"][places], return_index=True)
    return np.sort(places[first])
