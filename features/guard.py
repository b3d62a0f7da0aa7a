"""The guard without any input or output: batches of facts in, decisions out, the same decisions in any batches.

Each rule counts hits and trials in every scope (`features/guard_counts.py`) and weighs them (`features/evidence.py`). What
reaches a rung of the ladder is looked into (`features/guard_causes.py`): harm that a scope which is stopped already
explains is no reason to stop another, and a narrower scope is stopped where that alone explains the harm.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import evidence, guard_budget, guard_limit, guard_numbers
from features.guard_causes import Causes, Look
from features.guard_counts import KINDS, SCOPE_KINDS, Counted, Counter
from features.guard_memory import DIMENSIONS, NEVER, Ints, Touched
from features.tolerances import Rule

Values = tuple[str, ...]
OUTCOMES_OF: Final[Mapping[str, tuple[str, str]]] = {
    # what a rule's hits and trials are called in `guard_memory.OUTCOMES`
    "bounces": ("bounced", "sent"),
    "complaints": ("complained", "delivered"),
    "complaints_early": ("complained", "delivered"),
    "failures": ("failed", "attempted"),
    "unsubscribes": ("unsubscribed", "delivered"),
}
"""Rules that the running guard knows how to count."""
_STATE: Final = ("evidence", "numbers", "is_numbered", "reached", "again_at")
_UNKNOWN: Final = np.iinfo(np.uint32).max
_MORE: Final = 1.1
"""A scope that was looked into in vain is looked into again when its hits have grown so much."""


class Decision(NamedTuple):
    """What the guard has decided at the event at `place` of a batch, about one scope.

    `severity` is warn, slow or pause; `evidence` the e-value; `since_trials` are the trials since a change where a change
    was found, else 0.
    """

    place: int
    severity: str
    rule: Rule
    kind: str
    values: Values
    hits: int
    trials: int
    evidence: float
    low: float
    high: float
    detector: str
    since_hits: int
    since_trials: int


class _Watch:
    """One rule over all scopes."""

    def __init__(self, rule: Rule, before: "Sequence[_Watch]" = ()) -> None:
        self.rule = rule
        self.evidence = evidence.fresh(0)
        self.numbers = guard_numbers.unnumbered(0)
        self.is_numbered = np.zeros(0, np.bool_)
        self.reached = np.zeros(0, np.int8)
        self.again_at = np.zeros(0, np.int64)
        self.most = guard_budget.SEVERITIES.index(rule.most)
        self.looks = (np.zeros(0, evidence.LOOK), np.empty(0, np.int64), np.empty(0, np.int64))
        self.follows = next((one for one in before if _counts_the_same(one.rule, rule)), None)

    def grow(self, scopes: int) -> None:
        """Makes room for scopes."""
        if scopes <= len(self.evidence):
            return
        more = max(scopes, 2 * len(self.evidence), 256) - len(self.evidence)
        self.evidence = np.concatenate([self.evidence, evidence.fresh(more)])
        self.numbers = np.concatenate([self.numbers, guard_numbers.unnumbered(more)])
        self.is_numbered = np.append(self.is_numbered, np.zeros(more, np.bool_))
        self.reached = np.append(self.reached, np.zeros(more, np.int8))
        self.again_at = np.append(self.again_at, np.zeros(more, np.int64))

    def forget(self, scope: int) -> None:
        """Watches a scope anew."""
        self.evidence[scope] = np.zeros((), evidence.EVIDENCE)
        self.numbers[scope] = np.zeros((), guard_numbers.NUMBERS)
        self.is_numbered[scope] = False
        self.reached[scope] = 0
        self.again_at[scope] = 0

    def dump(self) -> dict[str, NDArray[Any]]:
        """The state as arrays."""
        return {name: getattr(self, name) for name in _STATE}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes a state over."""
        for name in _STATE:
            setattr(self, name, arrays[name].copy())

    def follow(self) -> tuple[NDArray[np.void], Ints, Ints]:
        """The looks of the rule that counts the same, weighed by this rule's tolerance."""
        assert self.follows is not None  # noqa: S101 - asked for only then
        looks, scope, at = self.follows.looks
        looks = looks.copy()
        looks["log_limit"] = guard_limit.log_above(looks["hits"], looks["trials"], self.rule.tolerance)
        return looks, scope, at

    def take(self, trials: Counted, hits: Counted, seen: int) -> tuple[NDArray[np.void], Ints, Ints]:
        """Weighs a batch; gives the looks at hits with their scopes and places. `seen` events came before the batch."""
        scopes = len(self.evidence)
        first_hit = np.full(scopes, NEVER, np.int32)
        np.minimum.at(first_hit, hits.scope, hits.at)
        # Until its first hit a scope needs no more than a number of trials; most scopes never have one.
        is_plain = ~self.is_numbered[trials.scope] & (trials.at < first_hit[trials.scope])
        self.evidence["trials"] += np.bincount(trials.scope[is_plain], minlength=scopes).astype(np.uint32)
        fresh = np.flatnonzero((first_hit < NEVER) & ~self.is_numbered)
        self._number(fresh, seen + first_hit[fresh].astype(np.int64))
        rest = Counted(trials.at[~is_plain], trials.scope[~is_plain], trials.ordinal[~is_plain])
        touched = np.zeros(scopes, np.bool_)
        touched[rest.scope] = touched[hits.scope] = True
        rows = np.flatnonzero(touched)
        if len(rows):
            self.looks = self._weigh(rows, rest, hits)
        else:
            self.looks = (np.zeros(0, evidence.LOOK), rows, rows)
        return self.looks

    def _number(self, rows: Ints, seen: Ints) -> None:
        """From their first hit on, scopes know which trials are new; those before count as old."""
        self.numbers["trials"][rows] = self.evidence["trials"][rows]
        self.numbers["highest"][rows] = seen
        self.numbers["began"][rows] = _UNKNOWN
        self.is_numbered[rows] = True

    def _weigh(self, rows: Ints, trials: Counted, hits: Counted) -> tuple[NDArray[np.void], Ints, Ints]:
        at = np.concatenate([trials.at, hits.at])
        is_hit = np.repeat(np.array([False, True]), [len(trials.at), len(hits.at)])
        scope = np.concatenate([trials.scope, hits.scope])
        ordinal = np.concatenate([trials.ordinal, hits.ordinal])
        # Trials stand before hits: of one event the trial counts first. numpy sorts 16-bit numbers by counting.
        order = np.argsort(at.astype(np.uint16) if at.max() < 1 << 16 else at, kind="stable")
        at, is_hit, ordinal = at[order], is_hit[order], ordinal[order]
        row_of = np.zeros(len(self.evidence), np.int64)
        row_of[rows] = np.arange(len(rows))
        row = row_of[scope[order]]
        tolerance = self.rule.tolerance
        numbers, number = guard_numbers.number_trials(self.numbers[rows], row, ~is_hit, is_hit, ordinal, tolerance)
        counts = evidence.Counts(row, (~is_hit).astype(np.int64), is_hit, number)
        after, looks = evidence.observe(self.evidence[rows], counts, tolerance)
        self.numbers[rows], self.evidence[rows] = numbers, after
        return looks, rows[looks["row"]], at[looks["event"]]


def _counts_the_same(one: Rule, other: Rule) -> bool:
    """Whether a rule needs no evidence of its own: the hits and trials of another tell."""
    return OUTCOMES_OF[one.name] == OUTCOMES_OF[other.name] and other.detectors == ("limit",)


class Guard:
    """All rules over all scopes; `take` is called with facts in log order, in any batches."""

    def __init__(self, rules: Sequence[Rule], alpha: float = guard_budget.ALPHA, kept: int | None = None) -> None:
        self.counter = Counter(kept)
        self.causes = Causes(self.counter.deliveries)
        self.alpha = alpha
        self.watches: list[_Watch] = []
        for rule in rules:
            if rule.is_on and rule.name in OUTCOMES_OF:
                self.watches.append(_Watch(rule, self.watches))
        self.told: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self.orders = np.zeros(0, np.int64)
        self.ordered = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the guard's memory, without names."""
        states = sum(watch.evidence.nbytes + watch.numbers.nbytes for watch in self.watches)
        return states + self.counter.deliveries.nbytes

    def take(self, facts: pa.Table) -> list[Decision]:
        """Decisions about a batch of facts (columns of `FACT_SCHEMA`, e-mail only), in the order of their events."""
        decisions: list[Decision] = []
        for counts, touched in self.counter.take(facts):
            self._order_new()
            decisions += self._decided(counts, touched, self.counter.deliveries.seen)
        return decisions

    def resume(self, kind: str, values: Values) -> None:
        """A person lets a scope go on: it is watched anew, and what it did before stands against nobody."""
        codes = self._codes_of(kind, values)
        self.causes.let_go(kind, codes)
        self.told = {told: rung for told, rung in self.told.items() if told[1:] != (kind, codes)}
        scope = self._find(kind, values)
        if scope is not None:
            for watch in self.watches:
                watch.grow(len(self.counter.scopes))
                watch.forget(scope)
            self.ordered += 1
            self.orders[scope] = self.ordered

    def stop(self, kind: str, values: Values) -> None:
        """A person stops a scope: what it does from now on is no reason to stop another."""
        self.causes.stop(kind, self._codes_of(kind, values))

    def _order_new(self) -> None:
        """Places new scopes in the order that shares the budget."""
        fresh = len(self.counter.scopes) - len(self.orders)
        if fresh > 0:
            self.orders = np.append(self.orders, self.ordered + 1 + np.arange(fresh))
            self.ordered += fresh

    def _decided(self, counts: Mapping[str, Counted], touched: Touched, seen: int) -> Iterator[Decision]:
        waiting: list[tuple[int, int, int, int, float, Any]] = []
        for number, watch in enumerate(self.watches):
            watch.grow(len(self.counter.scopes))
            hit, trial = OUTCOMES_OF[watch.rule.name]
            if watch.follows is not None:
                looks, scope, at = watch.follow()
            else:
                looks, scope, at = watch.take(counts[trial], counts[hit], seen)
            if not len(looks):
                continue
            shift = looks["log_shift"] if "shift" in watch.rule.detectors else np.full(len(looks), -np.inf)
            alphas = guard_budget.budget_share(self.orders[scope], self.alpha)
            strength = guard_budget.strength(looks["log_limit"], shift, alphas)
            rung = np.minimum(guard_budget.severity(strength), watch.most)
            waiting += [
                (int(at[place]), number, int(scope[place]), int(rung[place]), float(alphas[place]), looks[place])
                for place in np.flatnonzero(rung > watch.reached[scope])
            ]
        for at_place, number, scope_number, rung_reached, alpha, look in sorted(waiting, key=lambda one: one[:3]):
            watch = self.watches[number]
            if rung_reached > watch.reached[scope_number] and look["hits"] >= watch.again_at[scope_number]:
                yield from self._look_into(watch, scope_number, at_place, rung_reached, look, alpha, touched)

    def _look_into(  # all that is known of one look
        self,
        watch: _Watch,
        scope: int,
        at: int,
        rung: int,
        look: Any,  # noqa: ANN401 - one of numpy's records
        alpha: float,
        touched: Touched,
    ) -> Iterator[Decision]:
        rule = watch.rule
        limit_bound, shift_bound = (float(bound) for bound in guard_budget.log_bounds(alpha))
        is_limit = look["log_limit"] / limit_bound >= look["log_shift"] / shift_bound or "shift" not in rule.detectors
        kind = KINDS[self.counter.scopes.kind[scope]]
        hit, trial = OUTCOMES_OF[rule.name]
        found = self.causes.explain(
            Look(kind, self.counter.scopes.codes[scope], hit, trial, 0 if is_limit else int(look["since_trials"])),
            rule.tolerance,
            touched,
            at,
        )
        rest = guard_budget.severity(found.log_rest / limit_bound)
        if found.is_covered or (is_limit and rest < rung) or (not is_limit and found.log_rest <= 0):
            watch.again_at[scope] = int(look["hits"] * _MORE) + 1
            return
        watch.reached[scope] = rung
        told = (rule.name, found.kind, found.codes)
        if self.told.get(told, 0) >= rung:
            return
        self.told[told] = rung
        severity = guard_budget.SEVERITIES[rung]
        stopped_kind, codes = found.kind, found.codes
        if severity == "pause":
            self.causes.stop(stopped_kind, codes)
        low, high = (float(end[0]) for end in guard_limit.confidence_sequence(found.hits, found.trials, 0.05))
        yield Decision(
            place=at,
            severity=severity,
            rule=rule,
            kind=stopped_kind,
            values=self._values_of(stopped_kind, codes),
            hits=found.hits,
            trials=found.trials,
            evidence=float(np.exp(min(look["log_limit" if is_limit else "log_shift"], 700.0))),
            low=low,
            high=high,
            detector="limit" if is_limit else "shift",
            since_hits=0 if is_limit else int(look["since_hits"]),
            since_trials=0 if is_limit else int(look["since_trials"]),
        )

    def _values_of(self, kind: str, codes: Sequence[int]) -> Values:
        return tuple(
            self.counter.codes[dimension].texts[codes[DIMENSIONS.index(dimension)]] for dimension in SCOPE_KINDS[kind]
        )

    def _codes_of(self, kind: str, values: Values) -> tuple[int, ...]:
        """The codes of a scope's values; those not seen yet get theirs."""
        codes = [-1] * len(DIMENSIONS)
        for dimension, value in zip(SCOPE_KINDS[kind], values, strict=True):
            codes[DIMENSIONS.index(dimension)] = self.counter.codes[dimension].code(value)
        return tuple(codes)

    def _find(self, kind: str, values: Values) -> int | None:
        wanted = (KINDS.index(kind), self._codes_of(kind, values))
        return self.counter.scopes.number_of(*wanted)
