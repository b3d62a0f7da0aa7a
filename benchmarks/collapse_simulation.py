"""How often the guard sees a collapse where there is none, and how soon where there is one.

    python -m benchmarks.collapse_simulation [--quick] [--seed N]

Each scope sends the same number of messages an hour; an outcome comes ten minutes later or not at all. The detector has the
whole alpha of 0.01, of which the shift's share is a tenth. Intervals are Clopper and Pearson's at 99%.
"""

import argparse
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from benchmarks.guard_simulation import clopper_pearson
from features import guard_budget
from features.guard_collapse import Clock, Collapse
from features.guard_counts import KINDS, Counted
from features.tolerances import DEFAULT_RULES

_HOUR_MS: Final = 3_600_000
_BEGIN: Final = 1_767_225_600_000
_ALPHA: Final = 0.01


def first_seen(
    rng: np.random.Generator, rule: str, missing: Callable[[int], float], *, hours: int, an_hour: int, scopes: int
) -> np.ndarray:  # type: ignore[type-arg] # int64 of shape (scopes,)
    """The hour in which each scope's collapse is seen, -1 where none is."""
    collapse = Collapse(next(one for one in DEFAULT_RULES if one.name == rule))
    bound = float(guard_budget.log_bounds(_ALPHA)[1])
    found = np.full(scopes, -1, np.int64)
    kinds = np.full(scopes, KINDS.index("campaign"))
    size = scopes * an_hour
    scope, at = np.tile(np.arange(scopes), an_hour), np.arange(size)
    for hour in range(hours):
        before = _BEGIN + hour * _HOUR_MS - 1 if hour else 0
        collapse.open(Clock(_BEGIN + hour * _HOUR_MS + at * _HOUR_MS // size, before), hour * size)
        ordinal = hour * size + 1 + at
        came = rng.random(size) >= missing(hour)
        counts = {
            collapse.trial: Counted(at, scope, ordinal),
            collapse.came: Counted(at[came], scope[came], ordinal[came]),
        }
        looks = collapse.take(counts, kinds)
        seen = looks.scope[looks.looks["log_shift"] >= bound]
        found[seen[found[seen] < 0]] = hour
    return found


def main() -> int:
    """Simulate and print; the exit status says whether the bound on false alarms holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=20260105)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    scopes, days = (200, 20) if options.quick else (2_000, 60)
    holds = True
    for rule, rates in (("delivery_collapse", (0.05, 0.2, 0.5, 1.0)), ("opens_collapse", (0.6, 0.9, 1.0))):
        for rate in rates:
            start = time.process_time()
            found = first_seen(rng, rule, lambda _, rate=rate: rate, hours=24 * days, an_hour=10, scopes=scopes)  # type: ignore[misc]
            wrong = int((found >= 0).sum())
            low, high = clopper_pearson(wrong, scopes)
            holds &= wrong / scopes <= _ALPHA
            print(
                f"{rule}: {rate:.0%} stay away all the time, {scopes:,} scopes, {240 * days:,} messages each: seen in "
                f"{wrong / scopes:.2%} ({low:.2%} to {high:.2%}), at most {_ALPHA:.0%}; {time.process_time() - start:.0f} s",
                flush=True,
            )
    for rule, past, now, an_hour in (
        ("delivery_collapse", 0.02, 0.3, 20),
        ("delivery_collapse", 0.02, 0.6, 20),
        ("delivery_collapse", 0.05, 1.0, 5),
        ("opens_collapse", 0.6, 1.0, 20),
    ):
        change = 24 * 10
        found = first_seen(
            rng,
            rule,
            lambda hour, past=past, now=now, change=change: past if hour < change else now,  # type: ignore[misc]
            hours=change + 24 * 10,
            an_hour=an_hour,
            scopes=200,
        )
        late = np.where(found >= 0, found - change, 10**6)
        print(
            f"{rule}: {past:.0%}, then {now:.0%} of {an_hour} an hour: seen after {np.median(late):.0f} h (median), "
            f"{(found < 0).mean():.1%} not within ten days, {((found >= 0) & (found < change)).mean():.1%} before"
        )
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
