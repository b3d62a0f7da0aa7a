"""How often the guard stops healthy mail by mistake, and how soon it stops harm: simulations with confidence intervals.

    python benchmarks/guard_simulation.py [--quick] [--only WORD] [--seed N] [--json]

Every line is one claim: what was measured, its 99% interval (Clopper-Pearson for shares, order statistics for medians),
and what must hold. A claim is missed when the figure is on the wrong side; the exit status is then 1. The detectors see
what a flow would give them: hits in order of arrival with the number of their trial, after each the number of trials so
far. Scopes have the whole alpha of a rule (0.01) unless a line says otherwise, which is harder to keep than the shared one.
The full run needs some ten minutes of one core; `--quick` has fewer and shorter runs, ends in seconds, and is no proof.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from features import guard_budget, guard_limit
from features.evidence import EVIDENCE, Counts, fresh, observe
from features.guard_numbers import NUMBERS, number_trials, unnumbered
from features.guard_probation import MATURE_HOURS, VERDICTS, judge

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NEVER: Final = 1 << 60
ERROR: Final = 0.01
"""Of the intervals, both sides together."""
SLICE: Final = 128
"""Hits of each run that are given to the detectors at once."""
ROWS: Final = 250
"""Runs that are simulated together: their hits fit into memory."""
HOUR_SENDS: Final = 500
HOURS_A_DAY: Final = 8
"""A campaign's day: 500 sends an hour for eight hours, then sixteen hours in which only outcomes come."""


class Arrivals(NamedTuple):
    """Hits of many runs in order of arrival, shape (runs, hits): whose trial it is, and trials counted by then; 0 pads."""

    number: Ints
    seen: Ints


class Stops(NamedTuple):
    """Trials counted when each run was first paused, by either detector, or `NEVER`."""

    limit: Ints
    shift: Ints

    @property
    def either(self) -> Ints:
        """By whichever came first."""
        return np.minimum(self.limit, self.shift)


class Claim(NamedTuple):
    """One line of the report."""

    what: str
    measured: str
    interval: str
    must: str
    holds: bool


def binomial_tail(count: int, size: int, rate: float) -> float:
    """The probability of at most `count` hits."""
    if rate in {0.0, 1.0}:
        return 1.0 if rate == 0.0 or count >= size else 0.0
    logs = [
        math.lgamma(size + 1) - math.lgamma(k + 1) - math.lgamma(size - k + 1)
        + k * math.log(rate) + (size - k) * math.log1p(-rate)
        for k in range(count + 1)
    ]  # fmt: skip
    return min(sum(math.exp(one) for one in logs), 1.0)


def clopper_pearson(count: int, size: int) -> tuple[float, float]:
    """The exact interval of a share at confidence 1 - `ERROR`."""

    def solve(is_too_low: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if is_too_low(middle) else (low, middle)
        return low

    lower = 0.0 if count == 0 else solve(lambda rate: 1 - binomial_tail(count - 1, size, rate) < ERROR / 2)
    upper = 1.0 if count == size else solve(lambda rate: binomial_tail(count, size, rate) > ERROR / 2)
    return lower, upper


def median_interval(values: Ints) -> tuple[float, float, float]:
    """The median and the order statistics that hold it with probability 1 - `ERROR` at least."""
    ordered = np.sort(values)
    rank = 0
    while binomial_tail(rank, len(ordered), 0.5) < ERROR / 2:
        rank += 1
    rank = max(rank - 1, 0)
    return float(np.median(ordered)), float(ordered[rank]), float(ordered[-1 - rank])


def hits_at(rng: np.random.Generator, runs: int, parts: list[tuple[int, float]]) -> Ints:
    """Numbers of the trials that hit, shape (runs, most hits), 0 after the last; parts are (trials, rate) in a row."""
    found = []
    start = 0
    for trials, rate in parts:
        most = int(trials * rate + 8 * math.sqrt(trials * rate) + 20)
        numbers = start + np.cumsum(rng.geometric(max(rate, 1e-12), (runs, most)), axis=1)
        found.append(np.where(numbers <= start + trials, numbers, 0))
        start += trials
    return packed(np.concatenate(found, axis=1))


def packed(numbers: Ints) -> Ints:
    """Rows with their zeros moved to the end, order kept, and columns of zeros only cut."""
    order = np.argsort(numbers == 0, axis=1, kind="stable")
    width = int((numbers > 0).sum(axis=1).max(initial=1))
    return np.take_along_axis(numbers, order, axis=1)[:, :width]


def at_once(numbers: Ints) -> Arrivals:
    """Outcomes known with the trial itself."""
    return Arrivals(numbers, numbers)


def delayed(rng: np.random.Generator, numbers: Ints, trials: int) -> Arrivals:
    """Outcomes after log-normal delays, a median of 20 minutes, one in forty above 6.6 hours, over days of pulses."""
    a_day = HOUR_SENDS * HOURS_A_DAY
    sent = numbers - 1
    hours = sent // a_day * 24.0 + sent % a_day / HOUR_SENDS
    arrival = np.where(numbers > 0, hours + rng.lognormal(math.log(1 / 3), 1.5, numbers.shape), np.inf)
    order = np.argsort(arrival, axis=1)
    arrival = np.take_along_axis(arrival, order, axis=1)
    number = np.take_along_axis(numbers, order, axis=1)
    when = np.where(number > 0, arrival, 0.0)
    seen = (when // 24).astype(np.int64) * a_day + np.minimum(when % 24, HOURS_A_DAY) * HOUR_SENDS
    return Arrivals(number, np.where(number > 0, np.minimum(seen.astype(np.int64) + 1, trials), 0))


def disordered(rng: np.random.Generator, runs: int, trials: int, *, prompt: bool, held_back: bool) -> Arrivals:
    """Bounces at 5% among 5,000 sends an hour, records of trials late by a mean of 3 minutes, out of order.

    Outcomes come after log-normal delays with a median of 3 minutes, or `prompt`, within a second. A hit that overtakes its
    trial is `held_back` until then, as the detectors demand, or, against the rule, counts its trial with it.
    """
    hours = np.arange(trials) / (10 * HOUR_SENDS)
    hit = rng.random((runs, trials)) < 0.05
    late = rng.exponential(1 / 3600, hit.shape) if prompt else rng.lognormal(math.log(0.05), 1.5, hit.shape)
    record = hours + rng.exponential(0.05, hit.shape)
    outcome = np.where(hit, hours + late, np.inf)
    counted = record if held_back else np.minimum(record, outcome)
    arrival = np.maximum(outcome, counted)
    in_count = np.sort(counted, axis=1)
    most = int(hit.sum(axis=1).max())
    number, seen = np.zeros((2, runs, most), np.int64)
    for run in range(runs):
        mine = np.flatnonzero(hit[run])
        mine = mine[np.argsort(arrival[run, mine], kind="stable")]
        number[run, : len(mine)] = np.searchsorted(in_count[run], counted[run, mine], side="right")
        seen[run, : len(mine)] = np.searchsorted(in_count[run], arrival[run, mine], side="right")
    return Arrivals(number, seen)


def in_blocks(arrivals: Arrivals, trials: int, tolerance: float) -> Arrivals:
    """The same hits, numbered as `guard_numbers` does from ordinals: by the first trial of the block that holds theirs."""
    found = np.zeros_like(arrivals.number)
    state = unnumbered(1)
    for run, (number, seen) in enumerate(zip(arrivals.number, arrivals.seen, strict=True)):
        real = number > 0
        # Trials first, so that a hit that arrives with a trial comes after it.
        place = np.argsort(np.concatenate([np.arange(1, trials + 1), seen[real]]), kind="stable")
        is_trial = place < trials
        ordinal = np.concatenate([np.arange(1, trials + 1), number[real]])[place]
        _, numbers = number_trials(state, np.zeros(len(place), np.int64), is_trial, ~is_trial, ordinal, tolerance)
        found[run, np.flatnonzero(real)] = np.maximum(numbers[~is_trial], 1)
    return arrivals._replace(number=found)


def watch(arrivals: Arrivals, tolerance: float, alpha: float = guard_budget.ALPHA) -> Stops:
    """Show each run's hits to the detectors, and note the first look at which each would pause."""
    runs, width = arrivals.number.shape
    state = fresh(runs)
    stops = np.full((2, runs), NEVER)
    bounds = [float(bound) for bound in guard_budget.log_bounds(alpha)]
    steps = np.diff(arrivals.seen, axis=1, prepend=0)
    for first in range(0, width, SLICE):
        row, column = np.nonzero(arrivals.number[:, first : first + SLICE])
        column += first
        counts = Counts(row, steps[row, column], np.ones(len(row), np.bool_), arrivals.number[row, column])
        state, looks = observe(state, counts, tolerance)
        for stop, name, bound in zip(stops, ("log_limit", "log_shift"), bounds, strict=True):
            crossed = looks[looks[name] >= bound]
            np.minimum.at(stop, crossed["row"], crossed["trials"])
    return Stops(*stops)


def watched(runs: int, tolerance: float, make: Callable[[int], Arrivals], alpha: float = guard_budget.ALPHA) -> Stops:
    """`watch` for many runs, some at a time."""
    parts = [watch(make(min(ROWS, runs - done)), tolerance, alpha) for done in range(0, runs, ROWS)]
    return Stops(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def share_claim(what: str, stops: Stops, most: float | None) -> Claim:
    """A claim on the share of runs that were paused."""
    count, size = int((stops.either < NEVER).sum()), len(stops.limit)
    low, high = clopper_pearson(count, size)
    by = f"limit {int((stops.limit < NEVER).sum())}, shift {int((stops.shift < NEVER).sum())}"
    must = "reported" if most is None else f"at most {most:.1%}"
    return Claim(
        what, f"{count} of {size} ({by})", f"{low:.2%} to {high:.2%}", must, most is None or count <= most * size
    )


def median_claim(what: str, delays: Ints, most: float | None) -> Claim:
    """A claim on the median of delays in trials; runs that were never stopped count as infinite."""
    median, low, high = median_interval(delays)
    shown = [f"{value:,.0f}" if value < NEVER / 2 else "never" for value in (median, low, high)]
    must = "reported" if most is None else f"at most {most:,.0f}"
    return Claim(what, f"median {shown[0]}", f"{shown[1]} to {shown[2]}", must, most is None or median <= most)


def false_pauses(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """Scopes that must not be paused."""
    runs, sends = (100, 100_000) if quick else (2_000, 1_000_000)
    for name, rate in (("complaints 0.3%", 0.003), ("bounces 5%", 0.05)):
        stops = watched(runs, rate, lambda some, p=rate: at_once(hits_at(rng, some, [(sends, p)])))
        yield share_claim(f"at the tolerance, {sends:,} sends, {name}", stops, 0.01)
    for name, rate in (("complaints 0.3%", 0.003), ("bounces 5%", 0.05)):
        sends = 20_000 if quick else 100_000
        stops = watched(1_000, rate, lambda some, p=rate, n=sends: at_once(hits_at(rng, some, [(n, 0.6 * p)])))
        yield share_claim(f"at 60% of the tolerance, {sends:,} sends, {name}", stops, 0.002)


def delays(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """Outcomes that come late, in pulses, out of order; harm among them is still found."""
    runs, sends = (100, 40_000) if quick else (2_000, 200_000)
    for name, rate in (("complaints 0.3%", 0.003), ("bounces 5%", 0.05)):
        stops = watched(runs, rate, lambda some, p=rate: delayed(rng, hits_at(rng, some, [(sends, p)]), sends))
        yield share_claim(f"at the tolerance, {sends:,} sends, outcomes hours late, {name}", stops, 0.01)
    runs, sends = (50, 8_000) if quick else (1_000, 40_000)
    for prompt, held_back in ((False, True), (True, True), (True, False)):
        stops = watched(
            runs if held_back else runs // 4,
            0.05,
            lambda some, p=prompt, h=held_back: disordered(rng, some, sends, prompt=p, held_back=h),
        )
        how = "at once" if prompt else "late too"
        wrong = "" if held_back else ", hits before their trials (wrong use)"
        what = f"at the tolerance, {sends:,} sends, records late and out of order, bounces {how}{wrong}"
        yield share_claim(what, stops, 0.01 if held_back else None)

    def called_new(some: int) -> Arrivals:
        late = delayed(rng, hits_at(rng, some, [(40_000, 0.05)]), 40_000)
        return late._replace(number=late.seen)

    stops = watched(100, 0.05, called_new)
    yield share_claim("the same, hits given the newest trial's number (wrong use)", stops, None)
    runs, sends = (50, 8_000) if quick else (1_000, 40_000)
    stops = watched(
        runs, 0.05, lambda some: in_blocks(delayed(rng, hits_at(rng, some, [(sends, 0.05)]), sends), sends, 0.05)
    )
    yield share_claim(f"at the tolerance, {sends:,} sends, outcomes hours late, numbered by blocks", stops, 0.01)

    def jump(some: int) -> Arrivals:
        return delayed(rng, hits_at(rng, some, [(2_000, 0.01), (4_000, 0.1)]), 6_000)

    what = "2,000 sends at 1%, then 10%, outcomes hours late (500 sends an hour)"
    runs = 200 if quick else 1_000
    yield median_claim(what, watched(runs, 0.05, jump).either - 2_000, None)
    stops = watched(runs, 0.05, lambda some: in_blocks(jump(some), 6_000, 0.05))
    yield median_claim(f"{what}, numbered by blocks", stops.either - 2_000, None)


def from_the_start(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """Harm from the first send on."""
    runs = 500 if quick else 10_000
    for rate, most in ((0.2, 22), (0.12, 61)):
        stops = watched(runs, 0.03, lambda some, p=rate: at_once(hits_at(rng, some, [(2_000, p)])))
        yield median_claim(f"from the start, tolerance 3%, {rate:.0%} bounces", stops.either, most)
    for rate, tolerance in ((0.2, 0.03), (0.12, 0.03), (0.15, 0.05), (0.01, 0.003)):
        bits = rate * math.log(rate / tolerance) + (1 - rate) * math.log((1 - rate) / (1 - tolerance))
        for alpha in (1e-4, 1e-6, 1e-8):
            ideal = math.log(1 / alpha) / bits
            stops = watched(
                500 if quick else 2_000,
                tolerance,
                lambda some, p=rate, n=int(4 * ideal): at_once(hits_at(rng, some, [(n, p)])),
                alpha,
            )
            what = f"shared budget, alpha {alpha:g}, tolerance {tolerance:.1%}, rate {rate:.0%}"
            yield median_claim(what, stops.either, 1.5 * ideal)


def quiet_past(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """Harm after a healthy time, which the shift must find; and changes that are no harm."""
    runs = 300 if quick else 4_000
    for past, before, rate, tolerance, sends, most in (
        (2_000, 0.01, 0.1, 0.05, 3_000, 180),
        (50_000, 0.0002, 0.005, 0.003, 30_000, 2_500),
        (100, 0.01, 0.1, 0.05, 6_000, None),
        (500, 0.01, 0.1, 0.05, 6_000, None),
        (2_000, 0.02, 0.1, 0.05, 6_000, None),
        (2_000, 0.01, 0.06, 0.05, 20_000, None),
        (20_000, 0.01, 0.1, 0.05, 3_000, None),
        (200_000, 0.01, 0.1, 0.05, 3_000, None),
    ):
        stops = watched(
            runs,
            tolerance,
            lambda some, parts=((past, before), (sends, rate)): at_once(hits_at(rng, some, [*parts])),
        )
        early = int((stops.either <= past).sum())
        what = f"{past:,} sends at {before:.2%}, then {rate:.1%}, tolerance {tolerance:.1%} ({early} stopped before)"
        yield median_claim(what, stops.either - past, most)
    for alpha in (1e-4, 1e-6):
        stops = watched(runs, 0.05, lambda some: at_once(hits_at(rng, some, [(2_000, 0.01), (3_000, 0.1)])), alpha)
        yield median_claim(
            f"2,000 sends at 1.00%, then 10.0%, shared budget, alpha {alpha:g}", stops.either - 2_000, None
        )
    for rate in (0.03, 0.04):
        stops = watched(runs, 0.05, lambda some, p=rate: at_once(hits_at(rng, some, [(2_000, 0.01), (20_000, p)])))
        yield share_claim(f"2,000 sends at 1%, then 20,000 at {rate:.0%}, tolerance 5%: worse but no harm", stops, None)
    stops = watched(runs, 0.9, lambda some: at_once(hits_at(rng, some, [(2_000, 0.6), (2_000, 0.97)])))
    yield median_claim("opens fall from 40% to 3%, tolerance 90% unopened", stops.shift - 2_000, None)
    stops = watched(runs // 4, 0.9, lambda some: at_once(hits_at(rng, some, [(20_000, 0.6)])))
    yield share_claim("opens stay at 40% for 20,000 deliveries", stops, 0.01)


def small_counts(_rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """What single hits do: no chance in it."""
    del quick
    for order in (1, 1_000, 50_000):
        alpha = float(guard_budget.budget_share(order)) if order > 1 else guard_budget.ALPHA
        stops = watch(at_once(np.arange(1, 11)[None, :]), 0.05, alpha)
        at = int(stops.either[0])
        yield Claim(f"ten bounces in a row, scope number {order:,}", f"paused at {at}", "exact", "at most 10", at <= 10)
    for tolerance in (0.001, 0.003, 0.005):
        evidence = float(np.exp(guard_limit.log_above(1, 100, tolerance)))
        first = float(np.exp(guard_limit.log_above(1, 1, tolerance)))
        what = f"one complaint in a hundred deliveries, limit {tolerance:.1%}"
        yield Claim(what, f"evidence {evidence:.2f}", f"as the very first {first:.1f}", "below 111", evidence < 111)


def cost(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """Time and memory, for reading beside the rest; the machine may be busy."""
    size = 50_000
    for rows in (1, 5_000):
        row = rng.integers(0, rows, size)
        order = np.argsort(row, kind="stable")
        count = np.bincount(row, minlength=rows)
        number = np.empty(size, np.int64)
        number[order] = np.arange(size) - np.repeat(np.cumsum(count) - count, count) + 1
        counts = Counts(row, np.ones(size, np.int64), rng.random(size) < 0.03, number)
        took = []
        for _ in range(3 if quick else 9):
            start = time.process_time()
            observe(fresh(rows), counts, 0.05)
            took.append((time.process_time() - start) / size * 1e6)
        yield Claim(
            f"50,000 events, 3% hits, {rows:,} scopes", f"{min(took):.2f} us an event", "CPU", "reported", holds=True
        )
        is_trial = np.ones(size, np.bool_)
        start = time.process_time()
        number_trials(unnumbered(rows), row, is_trial, counts.hit, np.arange(1, size + 1), 0.05)
        took_us = (time.process_time() - start) / size * 1e6
        yield Claim(f"numbers of the same {rows:,} scopes", f"{took_us:.2f} us an event", "CPU", "reported", holds=True)
    itemsize = EVIDENCE.itemsize + NUMBERS.itemsize
    mib = 1_000 * 50 * 7 * itemsize / 2**20
    what = "state of 1,000 campaigns x 50 domains x 7 rules, numbers of trials included"
    yield Claim(what, f"{mib:.0f} MiB", f"{itemsize} bytes a row", "at most 200 MiB", mib <= 200)


class Probations(NamedTuple):
    """Of each run, the trial at which it ended (`NEVER`: not within those simulated), and whether it was let go."""

    ended: Ints
    is_lifted: NDArray[np.bool_]


def probations(
    rng: np.random.Generator, runs: int, trials: int, rates: tuple[float, float], hours: float
) -> Probations:
    """Scopes on probation at a rate and with a tolerance: 25 trials an hour, outcomes after delays as in `delayed`.

    A twentieth of 500 sends an hour. Silence counts when a trial is `hours` old, and every known hit counts as mature, as
    in `features/guard_followup.py`. Looked at after every trial.
    """
    rate, tolerance = rates
    sent = np.arange(trials) / 25.0
    wait = int(np.ceil(hours * 25))
    total = np.arange(1, trials + 1)
    ripe = np.maximum(total - wait, 0)
    ended = np.full(runs, NEVER, np.int64)
    is_lifted = np.zeros(runs, np.bool_)
    for run in range(runs):
        at = sent[rng.random(trials) < rate]
        known = np.sort(at + np.exp(rng.normal(np.log(1 / 3), 1.5, len(at))))
        hits = np.searchsorted(known, sent, side="right")
        verdicts = judge(hits, total, hits, np.maximum(ripe, hits), tolerance)
        first = np.flatnonzero(verdicts)
        if len(first):
            ended[run] = first[0] + 1
            is_lifted[run] = verdicts[first[0]] == VERDICTS.index("lift")
    return Probations(ended, is_lifted)


def on_probation(rng: np.random.Generator, *, quick: bool) -> Iterator[Claim]:
    """How often a probation ends wrongly, and how long a healthy one takes."""
    runs, most = (300, 0.05) if quick else (3_000, 0.05)
    for name, tolerance, trials in (("bounces", 0.05, 5_000), ("complaints", 0.003, 50_000 if quick else 60_000)):
        some = runs if name == "bounces" else runs // 3
        hours = MATURE_HOURS[name]
        found = probations(rng, some, trials, (tolerance, tolerance), hours)
        for what, wrong in (("let go", found.is_lifted), ("paused again", ~found.is_lifted & (found.ended < NEVER))):
            low, high = clopper_pearson(int(wrong.sum()), some)
            told = f"probation exactly at the tolerance, {name} {tolerance:.1%}, {trials:,} trials, {some:,} scopes: {what}"
            yield Claim(
                told,
                f"{wrong.mean():.2%}",
                f"{low:.2%} to {high:.2%}",
                f"at most {most:.0%}",
                bool(wrong.mean() <= most),
            )
        for share in (0.0, 0.2, 0.6):
            found = probations(rng, some // 3, trials, (share * tolerance, tolerance), hours)
            lifted = np.where(found.is_lifted, found.ended, NEVER)
            again = float((~found.is_lifted & (found.ended < NEVER)).mean())
            told = (
                f"probation at {share:.0%} of the tolerance, {name}, {again:.2%} paused again: trials sent until let go"
            )
            yield median_claim(told, lifted, None)
        found = probations(rng, some // 3, trials, (4 * tolerance, tolerance), hours)
        again_at = np.where(found.is_lifted, NEVER, found.ended)
        yield median_claim(
            f"probation at 4 times the tolerance, {name}: trials sent until paused again", again_at, None
        )


PARTS: Final = (small_counts, from_the_start, quiet_past, on_probation, delays, false_pauses, cost)


def main() -> int:
    """Measure, print, and say by the exit status whether every claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--only", default="", help="only the parts whose name has this word")
    parser.add_argument("--seed", type=int, default=20260105)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    claims: list[Claim] = []
    for part in PARTS:
        if options.only not in part.__name__:
            continue
        start = time.process_time()
        for claim in part(np.random.default_rng(options.seed), quick=options.quick):
            claims.append(claim)
            if not options.json:
                print(("ok    " if claim.holds else "MISSED"), " | ".join(claim[:4]), flush=True)
        if not options.json:
            print(f"       {part.__name__}: {time.process_time() - start:.0f} s of CPU", flush=True)
    if options.json:
        print(json.dumps([claim._asdict() for claim in claims]))
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    raise SystemExit(main())
