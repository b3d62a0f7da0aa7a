"""Evidence that a rate is above its tolerance, or below it: e-processes that depend on counted hits and trials only.

An e-process is a bet against "the rate is at most the tolerance": money that starts at 1 and, while the claim is true, is
never expected to grow, whenever one looks. Reaching 1/alpha has therefore a probability of at most alpha (Ville, 1939).
For one alternative rate the money is a likelihood ratio; a fixed mixture over alternatives is again an e-process.
`docs/guard.md` has the proofs, also of why outcomes that are still pending only make it smaller.

Sources: Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference" (2023); Robbins,
"Statistical methods related to the law of the iterated logarithm" (1970) for the mixture behind the interval.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ODDS_RATIOS: Final = np.geomspace(1.15, 200.0, 14)
"""Alternatives: the odds of a hit as multiples of the tolerance's; so they stay rates for every tolerance."""
_CENTRE: Final = np.log(5.0)
_WIDTH: Final = 0.9
_FLOOR: Final = 0.03
"""Weights: a bump at five times the tolerance, and some for all. At tolerance 3% and a bound of 1/0.009 the exact medians
are 22 sends at 20% and 60 at 12%; with equal weights 24 and 69; with two alternatives at exactly those rates 21 and 53."""
BELOW: Final = (0.0, 0.25, 0.5, 0.75)
"""Alternatives of `log_below`: rates as shares of the tolerance."""


class Alternatives(NamedTuple):
    """A mixture over rates: what one hit and one miss add to the logarithm of each bet, and where each begins."""

    log_weight: Floats
    per_hit: Floats
    per_miss: Floats


@cache
def alternatives_above(tolerance: float) -> Alternatives:
    """The mixture that bets on rates above the tolerance.

    Raises:
        ValueError: the tolerance is no rate between 0 and 1, both excluded.
    """
    rates = rates_above(tolerance, ODDS_RATIOS)
    weights = np.exp(-0.5 * ((np.log(ODDS_RATIOS) - _CENTRE) / _WIDTH) ** 2) + _FLOOR
    return Alternatives(
        np.log(weights / weights.sum()), np.log(rates / tolerance), np.log((1.0 - rates) / (1.0 - tolerance))
    )


def rates_above(tolerance: float, odds_ratios: Floats) -> Floats:
    """Rates whose odds are the given multiples of the tolerance's odds.

    Raises:
        ValueError: the tolerance is no rate between 0 and 1, both excluded.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"a tolerance is {tolerance!r}, valid are rates above 0 and below 1, like 0.05")
    odds = odds_ratios * tolerance / (1.0 - tolerance)
    return odds / (1.0 + odds)


def log_sum_exp(terms: list[Floats]) -> Floats:
    """The logarithm of the sum of exponentials, element by element.

    Terms are added in their order and never by a reduction, whose order would depend on the shape: a batch must give the
    same bits as its events one by one.
    """
    top = terms[0]
    for term in terms[1:]:
        top = np.maximum(top, term)
    safe = np.where(np.isfinite(top), top, 0.0)
    total = np.zeros_like(safe)
    for term in terms:
        total = total + np.exp(term - safe)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(total), np.float64)


def log_above(hits: ArrayLike, trials: ArrayLike, tolerance: float) -> Floats:
    """The logarithm of the evidence that the rate is above the tolerance; 0 without trials. Hits are no more than trials."""
    hit = np.asarray(hits, np.float64)
    miss = np.maximum(np.asarray(trials, np.float64) - hit, 0.0)
    mixture = alternatives_above(tolerance)
    return log_sum_exp(
        [
            weight + hit * up + miss * down
            for weight, up, down in zip(mixture.log_weight, mixture.per_hit, mixture.per_miss, strict=True)
        ]
    )


def log_below(hits: ArrayLike, trials: ArrayLike, tolerance: float) -> Floats:
    """The logarithm of the evidence that the rate is below the tolerance; 0 without trials.

    Trials must be mature: one whose outcome is still pending looks like a success and would be evidence too early.
    """
    hit = np.asarray(hits, np.float64)
    miss = np.maximum(np.asarray(trials, np.float64) - hit, 0.0)
    terms = []
    for share in BELOW:
        lost = np.where(hit > 0.0, -np.inf, 0.0) if share == 0.0 else hit * np.log(share)
        terms.append(lost + miss * np.log((1.0 - share * tolerance) / (1.0 - tolerance)) - np.log(len(BELOW)))
    return log_sum_exp(terms)


_LANCZOS_SHIFT: Final = 7


def log_gamma(values: Floats) -> Floats:
    """The logarithm of the gamma function for values above 0, to some 1e-12.

    Source: Stirling's series (DLMF 5.11.1) at the value moved up by seven (DLMF 5.5.1).
    """
    moved = values + _LANCZOS_SHIFT
    product = values.copy()
    for step in range(1, _LANCZOS_SHIFT):
        product = product * (values + step)
    inverse = 1.0 / moved
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    stirling = (moved - 0.5) * np.log(moved) - moved + 0.5 * np.log(2 * np.pi) + series
    return np.asarray(stirling - np.log(product), np.float64)


def log_beta_mixture(hits: Floats, misses: Floats, prior_hits: float, prior_misses: float) -> Floats:
    """The logarithm of the probability of a sequence whose rate was drawn from a beta distribution."""
    prior = log_gamma(np.array([prior_hits, prior_misses, prior_hits + prior_misses]))
    return np.asarray(
        log_gamma(hits + prior_hits)
        + log_gamma(misses + prior_misses)
        - log_gamma(hits + misses + (prior_hits + prior_misses))
        - (prior[0] + prior[1] - prior[2]),
        np.float64,
    )


def log_likelihood(hits: Floats, misses: Floats, rates: Floats) -> Floats:
    """The logarithm of the probability of a sequence at a rate; a count of 0 weighs nothing, also at rates 0 and 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(hits > 0.0, hits * np.log(rates), 0.0)
        down = np.where(misses > 0.0, misses * np.log1p(-rates), 0.0)
    return np.asarray(up + down, np.float64)


_FAN: Final = np.arange(1, 16) / 16
"""An interval is divided by this many points at a time: a quarter of the calls that halving takes."""
_ROUNDS: Final = 15
"""Sixteenths of sixteenths of an interval inside 0 to 1: more than a float64 can tell apart."""


def confidence_sequence(hits: ArrayLike, trials: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Lower and upper end of the rates that the counts have not refuted, right at all looks at once with 1 - alpha.

    The set of rates against which a bet with a beta(1/2, 1/2) mixture has not reached 1/alpha. With outcomes pending the
    lower end holds for the true rate and the upper end only for what is known so far.
    """
    hit = np.atleast_1d(np.asarray(hits, np.float64))
    miss = np.maximum(np.atleast_1d(np.asarray(trials, np.float64)) - hit, 0.0)
    bound = log_beta_mixture(hit, miss, 0.5, 0.5) + np.log(alpha)
    middle = hit / np.maximum(hit + miss, 1.0)
    return _edge(hit, miss, bound, middle, np.zeros_like(middle)), _edge(hit, miss, bound, middle, np.ones_like(middle))


def _edge(hit: Floats, miss: Floats, bound: Floats, inside: Floats, outside: Floats) -> Floats:
    """The rate between `inside` and `outside` where the likelihood falls below the bound; `outside` when nowhere."""
    kept = log_likelihood(hit, miss, outside) > bound
    near, far = inside, outside
    for _ in range(_ROUNDS):
        rates = near[:, None] + (far - near)[:, None] * _FAN
        good = np.count_nonzero(log_likelihood(hit[:, None], miss[:, None], rates) > bound[:, None], axis=1)
        edges = np.column_stack([near, rates, far])
        near, far = (edges[np.arange(len(good)), good + more] for more in (0, 1))
    return np.where(kept, outside, far)
