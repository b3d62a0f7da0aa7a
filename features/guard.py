"""The guard without any input or output: batches of facts in, decisions out, the same decisions in any batches.

Each rule counts hits and trials in every scope (`features/guard_counts.py`) and weighs them (`features/evidence.py`). What
reaches a rung of the ladder is looked into (`features/guard_causes.py`): harm that a scope which is stopped already
explains is no reason to stop another, and a narrower scope is stopped where that alone explains the harm.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from features import guard_budget, guard_limit
from features.guard_causes import Causes, Look
from features.guard_counts import KINDS, SCOPE_KINDS, Counted, Counter
from features.guard_memory import DIMENSIONS, Touched
from features.guard_watch import OUTCOMES_OF, Watch, weigh
from features.tolerances import Rule

Values = tuple[str, ...]
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


class Guard:
    """All rules over all scopes; `take` is called with facts in log order, in any batches."""

    def __init__(self, rules: Sequence[Rule], alpha: float = guard_budget.ALPHA, kept: int | None = None) -> None:
        self.counter = Counter(kept)
        self.causes = Causes(self.counter.deliveries)
        self.alpha = alpha
        self.watches: list[Watch] = []
        for rule in rules:
            if rule.is_on and rule.name in OUTCOMES_OF:
                self.watches.append(Watch(rule, self.watches))
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
        all_looks = weigh(self.watches, counts, len(self.counter.scopes), seen)
        for number, (watch, (looks, scope, at)) in enumerate(zip(self.watches, all_looks, strict=True)):
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
        watch: Watch,
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
        found = self.causes.explain(
            Look(
                kind,
                self.counter.scopes.codes[scope],
                watch.hit,
                watch.trial,
                0 if is_limit else int(look["since_trials"]),
            ),
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
