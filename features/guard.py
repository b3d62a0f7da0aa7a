"""The guard without any input or output: batches of facts in, decisions out, the same decisions in any batches.

Each rule counts hits and trials in every scope (`features/guard_counts.py`) and weighs them (`features/evidence.py`). What
reaches a rung of the ladder is looked into (`features/guard_causes.py`): harm that a scope which is stopped already
explains is no reason to stop another, and a narrower scope is stopped where that alone explains the harm.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from features import guard_budget, guard_collapse, guard_limit
from features.guard_admission import Admission
from features.guard_causes import Causes, Look, is_related
from features.guard_collapse import Clock, Collapse
from features.guard_counts import KINDS, SCOPE_KINDS, Counted, Counter
from features.guard_followup import Followups, Measured, Verdict
from features.guard_memory import DIMENSIONS, Touched
from features.guard_watch import NO_LOOKS, OUTCOMES_OF, Looks, Watch, weigh
from features.tolerances import Rule

Values = tuple[str, ...]
PROBATION: Final = "probation"
"""The detector of what a probation decides."""
_MORE: Final = 1.1
"""A scope that was looked into in vain is looked into again when its hits have grown so much."""


class Decision(NamedTuple):
    """What the guard has decided at the event at `place` of a batch, about one scope.

    `severity` is warn, slow, pause or resume; `evidence` the e-value; `since_trials` are the trials since a change where a change
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


def begun(rule: Rule, kind: str, values: Values) -> Decision:
    """The decision, at the first event of a part, that a scope goes on probation."""
    return Decision(0, "slow", rule, kind, values, 0, 0, 1.0, 0.0, 1.0, PROBATION, 0, 0)


def ended(verdict: Verdict, rule: Rule) -> Decision:
    """The decision that ends a probation."""
    low, high = (float(end[0]) for end in guard_limit.confidence_sequence(verdict.hits, verdict.trials, 0.05))
    return Decision(
        place=verdict.place,
        severity="pause" if verdict.name == "again" else "resume",
        rule=rule,
        kind=verdict.of.kind,
        values=verdict.of.values,
        hits=verdict.hits,
        trials=verdict.trials,
        evidence=float(np.exp(min(verdict.log_evidence, 700.0))),
        low=low,
        high=high,
        detector=PROBATION,
        since_hits=0,
        since_trials=0,
    )


class Guard:
    """All rules over all scopes; `take` is called with facts in log order, in any batches."""

    def __init__(
        self,
        rules: Sequence[Rule],
        alpha: float = guard_budget.ALPHA,
        kept: int | None = None,
        probation_after_hours: float = 0.0,
        admission: Admission | None = None,
    ) -> None:
        """`probation_after_hours`, in event time, puts what it paused on probation by itself; 0 never does.

        `admission` says which scopes a rule watches, and which tolerances are set for single scopes.
        """
        self.counter = Counter(kept)
        self.causes = Causes(self.counter.deliveries)
        self.alpha = alpha
        self.admission = admission or Admission({})
        self.watches: list[Watch] = []
        for version in (one for rule in rules if rule.is_on for one in self.admission.versions(rule)):
            if version.name in OUTCOMES_OF:
                self.watches.append(Watch(version, self.watches))
        self.collapses = [Collapse(rule) for rule in rules if rule.is_on and rule.name in guard_collapse.OUTCOMES_OF]
        self.told: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self.orders = np.zeros(0, np.int64)
        self.ordered = 0
        watched = {w.rule.name: (w.rule, w.hit, w.trial) for w in self.watches if w.rule.scope is None}
        self.followups = Followups(watched, self._find, probation_after_hours, self.admission.version)

    @property
    def detectors(self) -> list[Watch | Collapse]:
        """All rules that are on, in their order."""
        return [*self.watches, *self.collapses]

    @property
    def nbytes(self) -> int:
        """Bytes of the guard's memory, without names."""
        return sum(one.nbytes for one in self.detectors) + self.counter.deliveries.nbytes

    def take(self, facts: pa.Table) -> list[Decision]:
        """Decisions about a batch of facts (columns of `FACT_SCHEMA`, e-mail only), in the order of their events."""
        decisions: list[Decision] = []
        for start, part in self.followups.parts(facts):
            decisions += [one._replace(place=one.place + start) for one in self._take(part)]
        return decisions

    def _take(self, facts: pa.Table) -> Iterator[Decision]:
        seen = self.counter.deliveries.seen
        before = self.followups.state.clock_ms
        opened = self.followups.open(facts, seen)
        for collapse in self.collapses:
            collapse.open(Clock(self.followups.clock, before), seen)
        for due in opened:
            if self.probation(due.rule, due.kind, due.values):
                yield from self._followed(
                    begun(self.followups.rule(due.rule, due.kind, due.values), due.kind, due.values)
                )
        for counts, touched in self.counter.take(facts):
            self._order_new()
            self._admit_new(counts)
            self.followups.count(counts)
            kinds = np.array(self.counter.scopes.kind, np.int64)
            looks = weigh(self.watches, counts, seen) + [one.take(counts, kinds) for one in self.collapses]
            yield from self._decided(looks, touched)
        self.followups.finish()
        yield from self._decided([NO_LOOKS for _ in self.watches] + [one.finish() for one in self.collapses], None)

    def measured(self) -> list[tuple[Decision, Measured]]:
        """Decisions whose impact has become known in the batches since the last call, in order."""
        found, self.followups.measured = self.followups.measured, []
        return [
            (
                Decision(
                    0,
                    rule=self.followups.rule(one.of.rule, one.of.kind, one.of.values),
                    kind=one.of.kind,
                    values=one.of.values,
                    **one.of.figures,
                ),
                one,
            )
            for one in found
        ]

    def probation(self, rule: str, kind: str, values: Values) -> bool:
        """Lets a scope go on on probation, judged by a rule; False where the rule is not watched (it goes on all the same)."""
        self.resume(kind, values)
        return self.followups.begin(rule, kind, values, self.counter.deliveries.seen)

    def leave(self, kind: str, values: Values) -> None:
        """A person decides what a scope may send: no probation of the guard is on or due any more."""
        self.followups.end(kind, values)

    def _verdicts(self, place: int | None = None) -> Iterator[Decision]:
        """How probations end up to a place, or to the end of the part."""
        for verdict in self.followups.until() if place is None else self.followups.until(place):
            decision = ended(verdict, self.followups.rule(verdict.of.rule, verdict.of.kind, verdict.of.values))
            if verdict.name == "again":
                self.causes.stop(decision.kind, self._codes_of(decision.kind, decision.values))
            yield from self._followed(decision)

    def _followed(self, decision: Decision) -> Iterator[Decision]:
        """A decision, noted for what follows from it; a scope on probation sends too little to be slowed down."""
        kind, values, name = decision.kind, decision.values, decision.rule.name
        is_on = self.followups.is_on(kind, values)
        is_own = decision.detector == PROBATION
        if decision.severity == "slow" and is_on and not is_own:
            return
        if not self.followups.knows(name):
            pass
        elif decision.severity == "pause":
            self.followups.note_pause(name, kind, values, decision.place, is_again=is_on)
        elif decision.severity == "resume":
            self.followups.end(kind, values)
        if decision.severity != "warn" and self.followups.knows(name):
            figures = decision._asdict()
            for other in ("place", "rule", "kind", "values"):
                del figures[other]
            self.followups.follow(name, kind, values, figures, decision.place)
        yield decision

    def resume(self, kind: str, values: Values) -> None:
        """A person lets a scope go on: it is watched anew, and what it did before stands against nobody."""
        codes = self._codes_of(kind, values)
        self.followups.end(kind, values)
        self.causes.let_go(kind, codes)
        self.told = {told: rung for told, rung in self.told.items() if told[1:] != (kind, codes)}
        scope = self._find(kind, values)
        if scope is not None:
            for watch in self.detectors:
                watch.forget(scope)
            self.ordered += 1
            self.orders[scope] = self.ordered

    def stop(self, kind: str, values: Values) -> None:
        """A person stops a scope: what it does from now on is no reason to stop another."""
        self.followups.end(kind, values)
        self.causes.stop(kind, self._codes_of(kind, values))

    def _order_new(self) -> None:
        """Places new scopes in the order that shares the budget."""
        fresh = len(self.counter.scopes) - len(self.orders)
        if fresh > 0:
            self.orders = np.append(self.orders, self.ordered + 1 + np.arange(fresh))
            self.ordered += fresh

    def _admit_new(self, counts: Mapping[str, Counted]) -> None:
        """Makes room for new scopes in the rules, each for those that it watches."""
        many = len(self.counter.scopes)
        for watch in self.watches:
            if watch.rule.provider is not None and not len(watch) and not len(counts[watch.trial].at):
                continue  # nothing was ever sent through that provider
            watch.grow(many)
            if self.admission.asks(watch.rule):
                for scope in range(watch.admitted, many):
                    kind = KINDS[self.counter.scopes.kind[scope]]
                    values = self._values_of(kind, self.counter.scopes.codes[scope])
                    watch.is_mine[scope] = self.admission.admits(watch.rule, kind, values)
            watch.admitted = many

    def _decided(self, all_looks: Sequence[Looks], touched: Touched | None) -> Iterator[Decision]:
        """What follows from looks of all rules, in the order of their events."""
        watches = self.detectors
        waiting: list[tuple[int, int, int, int, float, Any]] = []
        for number, (watch, (looks, scope, at)) in enumerate(zip(watches, all_looks, strict=True)):
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
        for at_place, number, scope_number, rung_reached, alpha, look in sorted(waiting, key=self._turn_of):
            watch = watches[number]
            yield from self._verdicts(at_place)
            if rung_reached <= watch.reached[scope_number] or look["hits"] < watch.again_at[scope_number]:
                continue
            if isinstance(watch, Collapse):
                found = self._look_into_collapse(watch, scope_number, at_place, rung_reached, look)
            else:
                assert touched is not None  # noqa: S101 - what is counted comes with its deliveries
                found = self._look_into(watch, scope_number, at_place, rung_reached, look, alpha, touched)
            for decision in found:
                yield from self._followed(decision)
        yield from self._verdicts()

    def _turn_of(self, waiting: tuple[int, int, int, int, float, Any]) -> tuple[int, int, int, int]:
        """Looks come in the order of events, rules and scopes; of collapses, which begin together, the narrowest first."""
        place, number, scope = waiting[:3]
        is_collapse = number >= len(self.watches)
        width = len(SCOPE_KINDS[KINDS[self.counter.scopes.kind[scope]]]) if is_collapse else 0
        return place, number, -width, scope

    def _look_into_collapse(self, watch: Collapse, scope: int, at: int, rung: int, look: Any) -> Iterator[Decision]:  # noqa: ANN401
        """A collapse is acted on where no narrower or covering scope has been for the same reason."""
        kind, codes = KINDS[self.counter.scopes.kind[scope]], self.counter.scopes.codes[scope]
        is_told = any(
            name == watch.rule.name and told >= rung and is_related(kind, codes, other, others)
            for (name, other, others), told in self.told.items()
        )
        if is_told or self.causes.is_covered(kind, codes):
            watch.again_at[scope] = int(look["hits"] * _MORE) + 1
            return
        watch.reached[scope] = rung
        self.told[(watch.rule.name, kind, codes)] = rung
        if guard_budget.SEVERITIES[rung] == "pause":
            self.causes.stop(kind, codes)
        hits, trials = int(look["since_hits"]), int(look["since_trials"])
        low, high = (float(end[0]) for end in guard_limit.confidence_sequence(hits, trials, 0.05))
        yield Decision(
            place=at,
            severity=guard_budget.SEVERITIES[rung],
            rule=watch.rule,
            kind=kind,
            values=self._values_of(kind, codes),
            hits=hits,
            trials=trials,
            evidence=float(np.exp(min(look["log_shift"], 700.0))),
            low=low,
            high=high,
            detector="shift",
            since_hits=hits,
            since_trials=trials,
        )

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
            lambda narrower, codes: self._is_judged_by(rule, narrower, codes),
        )
        rest = guard_budget.severity(found.log_rest / limit_bound)
        if found.is_covered or (is_limit and rest < rung) or (not is_limit and found.log_rest <= 0):
            watch.again_at[scope] = int(look["hits"] * _MORE) + 1
            return
        watch.reached[scope] = rung
        told = (rule.name, found.kind, found.codes)
        if max(self.told.get((name, found.kind, found.codes), 0) for name in self._same(watch)) >= rung:
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

    def _is_judged_by(self, rule: Rule, kind: str, codes: tuple[int, ...]) -> bool:
        """Whether a tolerance that is set for a scope leaves it to a rule."""
        return rule.provider is not None or self.admission.admits(rule, kind, self._values_of(kind, codes))

    def _same(self, watch: Watch) -> list[str]:
        """The rules whose word makes another of this rule's needless: of a provider's limit also those that count the same."""
        if watch.rule.receiver is None and watch.rule.provider is None:
            return [watch.rule.name]
        outcomes = (watch.hit.removeprefix("ses_"), watch.trial.removeprefix("ses_"))
        return [one.rule.name for one in self.watches if (one.hit, one.trial) in (outcomes, (watch.hit, watch.trial))]

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
