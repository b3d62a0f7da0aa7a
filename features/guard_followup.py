"""What the guard follows after it has decided: probations, which it lifts or ends, and what each decision changed.

Only deliveries that were first attempted after the decision count, told by their ordinal (`features/guard_memory.py`). Time is
the events' own: the latest of `occurred_at` so far, where an event that claims to be of the future counts as of its receipt.
Silence is judged at ticks of that clock, hits at their events; so verdicts depend on the order of events only, not on batches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import guard_limit
from features.guard_counts import Counted
from features.guard_memory import Ints
from features.guard_probation import AGAIN_ALPHA, LIFT_ALPHA, MATURE_HOURS
from features.tolerances import Rule

Values = tuple[str, ...]
Told = tuple[str, str, Values]
"""A rule's name, a kind of scope, and its values."""

TICK_MS: Final = 600_000
"""Ten minutes: how late a probation is lifted at most, against hours that its mail has to be old."""
_TICKS_AN_HOUR: Final = 3_600_000 // TICK_MS
_HOUR_MS: Final = 3_600_000
IMPACT_TICKS: Final = 24 * _TICKS_AN_HOUR
"""A day after a decision its impact is measured, however little was sent."""
IMPACT_HITS: Final = 10.0
"""Or earlier, when so many hits would be expected at the tolerance: then a rate is known to a third."""
_DOUBLINGS: Final = 6
"""A scope that failed its probation waits twice as long for the next, up to 64 times."""
_END: Final = np.iinfo(np.int64).max


class Probation(msgspec.Struct):
    """A scope on probation; `mature` trials are old enough, `pending` holds (tick, trials) of the others."""

    rule: str
    kind: str
    values: Values
    since: int
    hits: int = 0
    trials: int = 0
    mature: int = 0
    pending: list[tuple[int, int]] = []


class Paused(msgspec.Struct, frozen=True):
    """A scope that the guard has paused, and from which hour since 1970 on it may go on probation."""

    rule: str
    kind: str
    values: Values
    due_hour: int


class Followed(msgspec.Struct):
    """A decision whose impact is to be measured; `figures` are the fields of the decision that are no rule and no scope.

    Counted since: `hits` of `trials` attempted after it, and `late` hits of what had been attempted before.
    """

    rule: str
    kind: str
    values: Values
    figures: dict[str, Any]
    event_id: str
    occurred_ms: int
    since: int
    end_tick: int
    hits: int = 0
    trials: int = 0
    late: int = 0


class Verdict(NamedTuple):
    """How a probation ends at a place: `lift` or `again`, with the counts and the logarithm of the evidence."""

    place: int
    name: str
    of: Probation
    hits: int
    trials: int
    log_evidence: float


class Measured(NamedTuple):
    """What a decision changed, known at a time: `ended_ms` is the guard's clock."""

    of: Followed
    ended_ms: int


class FollowupState(msgspec.Struct):
    """Everything that has to outlive a restart."""

    clock_ms: int = 0
    probations: list[Probation] = []
    paused: list[Paused] = []
    failed: list[tuple[Told, int]] = []
    followed: list[Followed] = []


class Followups:
    """All of it. `watched` gives a rule with the names of its hits and trials; `find` the number of a scope."""

    def __init__(
        self,
        watched: Mapping[str, tuple[Rule, str, str]],
        find: Callable[[str, Values], int | None],
        after_hours: float = 0.0,
        rule_of: Callable[[Rule, str, Values], Rule] = lambda rule, _kind, _values: rule,
    ) -> None:
        """`rule_of` gives a rule with the tolerance that it has in a scope."""
        self._watched = watched
        self._find = find
        self._rule_of = rule_of
        self._after_hours = after_hours
        self.state = FollowupState()
        self._verdicts: list[Verdict] = []
        self.measured: list[Measured] = []
        self._facts: pa.Table | None = None
        self._clock = self._ticks = np.empty(0, np.int64)
        self._tick_places = np.empty(0, np.int64)
        self._seen = 0
        self._done = -1
        self._counts: Mapping[str, Counted] = {}

    @property
    def clock(self) -> Ints:
        """The guard's clock at each event of the part, in ms since 1970."""
        return self._clock

    def knows(self, name: str) -> bool:
        """Whether a rule can be followed: it counts hits that come, and is no collapse."""
        return name in self._watched

    def rule(self, name: str, kind: str, values: Values) -> Rule:
        """A rule that is watched, as it is in a scope."""
        return self._rule_of(self._watched[name][0], kind, values)

    def load(self, state: FollowupState) -> None:
        """Takes a state over; what a rule would have to judge that is watched no more is left out."""
        self.state = FollowupState(
            clock_ms=state.clock_ms,
            probations=[one for one in state.probations if self.knows(one.rule)],
            paused=[one for one in state.paused if self.knows(one.rule)],
            failed=[one for one in state.failed if self.knows(one[0][0])],
            followed=[one for one in state.followed if self.knows(one.rule)],
        )

    def parts(self, facts: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """A batch in parts with their starts, so that probations that are due may begin between them.

        Each part has to be watched before the next is asked for: what is paused in it may be due in the same batch.
        """
        if not self._after_hours or not len(facts):
            yield 0, facts
            return
        hours = event_clock(facts, self.state.clock_ms) // _HOUR_MS
        start = 0
        while start < len(facts):
            # What is paused from here on is due no sooner than this.
            soonest = int(hours[start] + self._after_hours)
            due = min([soonest, *(one.due_hour for one in self.state.paused if one.due_hour > hours[start])])
            stop = int(np.searchsorted(hours, max(due, int(hours[start]) + 1), side="left"))
            yield start, facts.slice(start, stop - start)
            start = stop

    def open(self, facts: pa.Table, seen: int) -> list[Paused]:
        """Begins a part, before which `seen` events came; gives the scopes that go on probation with its first event."""
        before = self.state.clock_ms
        self._facts, self._seen, self._done, self._counts = facts, seen, -1, {}
        self._clock = event_clock(facts, before)
        self._ticks = self._clock // TICK_MS
        moved = np.diff(self._ticks, prepend=before // TICK_MS) > 0
        self._tick_places = np.flatnonzero(moved)
        if not len(self._clock):
            return []
        self.state.clock_ms = int(self._clock[-1])
        hour = int(self._clock[0]) // _HOUR_MS
        if hour <= before // _HOUR_MS:
            return []
        return [one for one in self.state.paused if one.due_hour <= hour]

    def count(self, counts: Mapping[str, Counted]) -> None:
        """Takes in what is counted next in the part."""
        last = max((int(one.at.max(initial=-1)) for one in counts.values()), default=-1)
        self._advance(counts, max(last, self._done))

    def finish(self) -> None:
        """Goes on to the end of the part."""
        self._advance({}, len(self._clock) - 1)

    def until(self, place: int = _END) -> Iterator[Verdict]:
        """The verdicts up to a place, in order; those of probations that have ended meanwhile are dropped."""
        while self._verdicts and self._verdicts[0].place <= place:
            verdict = self._verdicts.pop(0)
            if any(one is verdict.of for one in self.state.probations):
                yield verdict

    def begin(self, rule: str, kind: str, values: Values, seen: int) -> bool:
        """Puts a scope on probation after `seen` events; False where the rule is not watched."""
        self.end(kind, values)
        if rule not in self._watched:
            return False
        self.state.probations.append(Probation(rule, kind, values, seen))
        return True

    def is_on(self, kind: str, values: Values) -> bool:
        """Whether a scope is on probation."""
        return any((one.kind, one.values) == (kind, values) for one in self.state.probations)

    def end(self, kind: str, values: Values) -> None:
        """Ends what is on or due for a scope: somebody has decided about it."""
        state = self.state
        state.probations = [one for one in state.probations if (one.kind, one.values) != (kind, values)]
        state.paused = [one for one in state.paused if (one.kind, one.values) != (kind, values)]

    def note_pause(self, rule: str, kind: str, values: Values, place: int, *, is_again: bool) -> None:
        """Notes that the guard has paused a scope at a place, so that it may go on probation in time."""
        self.end(kind, values)
        failed = dict(self.state.failed)
        times = failed.get((rule, kind, values), 0) + 1 if is_again else 0
        failed[rule, kind, values] = times
        self.state.failed = [(told, count) for told, count in failed.items() if count]
        if self._after_hours:
            wait_ms = self._after_hours * _HOUR_MS * 2 ** min(times, _DOUBLINGS)
            due = -int(-(int(self._clock[place]) + wait_ms) // _HOUR_MS)
            self.state.paused.append(Paused(rule, kind, values, due))

    def follow(self, rule: str, kind: str, values: Values, figures: dict[str, Any], place: int) -> None:
        """Measures from now on what a decision at a place of the part changes."""
        assert self._facts is not None  # noqa: S101 - decisions are of a part
        one = Followed(
            rule=rule,
            kind=kind,
            values=values,
            figures=figures,
            event_id=self._facts["event_id"][place].as_py(),
            occurred_ms=_millis(self._facts["occurred_at"].slice(place, 1)),
            since=self._seen + 1 + place,
            end_tick=int(self._ticks[place]) + IMPACT_TICKS,
        )
        if not self._measure(one, self._counts, place, self._done):
            self.state.followed.append(one)

    def _advance(self, counts: Mapping[str, Counted], upto: int) -> None:
        after, self._done, self._counts = self._done, upto, counts
        counts = self._narrowed(counts)
        for probation in self.state.probations:
            verdict = self._judge(probation, counts, after, upto)
            if verdict is not None:
                self._verdicts.append(verdict)
        self._verdicts.sort(key=lambda one: one.place)
        self.state.followed = [one for one in self.state.followed if not self._measure(one, counts, after, upto)]

    def _narrowed(self, counts: Mapping[str, Counted]) -> dict[str, Counted]:
        """What was counted in the scopes that are followed: few of many."""
        followed: list[Probation | Followed] = [*self.state.probations, *self.state.followed]
        scopes = {self._find(*scope) for scope in {(one.kind, one.values) for one in followed}} - {None}
        names = {name for rule in {one.rule for one in followed} for name in self._watched[rule][1:]}
        if not scopes:
            return {}
        most = max(int(counted.scope.max(initial=-1)) for counted in counts.values()) if counts else -1
        is_wanted = np.zeros(most + 1, np.bool_)
        is_wanted[[scope for scope in scopes if scope is not None and scope <= most]] = True
        narrow = {}
        for name in names & counts.keys():
            counted = counts[name]
            mine = np.flatnonzero(is_wanted[counted.scope])
            narrow[name] = Counted(counted.at[mine], counted.scope[mine], counted.ordinal[mine])
        return narrow

    def _of(self, counts: Mapping[str, Counted], name: str, scope: int | None) -> tuple[Ints, Ints]:
        """Places and ordinals of what was counted in a scope, in order."""
        if scope is None or name not in counts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        mine = np.flatnonzero(counts[name].scope == scope)
        at, ordinal = counts[name].at[mine].astype(np.int64), counts[name].ordinal[mine].astype(np.int64)
        order = np.argsort(at, kind="stable")
        return at[order], ordinal[order]

    def _ticks_between(self, after: int, upto: int) -> Ints:
        places = self._tick_places
        return np.asarray(places[(places > after) & (places <= upto)], np.int64)

    def _judge(self, one: Probation, counts: Mapping[str, Counted], after: int, upto: int) -> Verdict | None:
        """Counts what is new of a probation, and judges it."""
        _, hit, trial = self._watched[one.rule]
        rule = self.rule(one.rule, one.kind, one.values)
        scope = self._find(one.kind, one.values)
        trial_at, trial_ordinal = self._of(counts, trial, scope)
        hit_at, hit_ordinal = self._of(counts, hit, scope)
        trial_at, hit_at = trial_at[trial_ordinal > one.since], hit_at[hit_ordinal > one.since]
        looks = self._ticks_between(after, upto)
        found = [
            self._again(one, rule, hit_at, trial_at),
            self._lift(one, rule, hit_at, trial_at, looks),
        ]
        one.hits += len(hit_at)
        one.trials += len(trial_at)
        return min((verdict for verdict in found if verdict is not None), key=lambda v: v.place, default=None)

    @staticmethod
    def _again(one: Probation, rule: Rule, hit_at: Ints, trial_at: Ints) -> Verdict | None:
        hits = one.hits + 1 + np.arange(len(hit_at))
        trials = np.maximum(one.trials + np.searchsorted(trial_at, hit_at, side="right"), hits)
        weight = guard_limit.log_above(hits, trials, rule.tolerance)
        first = np.flatnonzero(weight >= -np.log(AGAIN_ALPHA))
        if not len(first):
            return None
        place = int(first[0])
        return Verdict(int(hit_at[place]), "again", one, int(hits[place]), int(trials[place]), float(weight[place]))

    def _lift(self, one: Probation, rule: Rule, hit_at: Ints, trial_at: Ints, looks: Ints) -> Verdict | None:
        """The first tick at which the mature trials speak for health; every known hit counts as one of theirs."""
        wait = round(MATURE_HOURS.get(rule.name, 48.0) * _TICKS_AN_HOUR)
        ticks, many = np.unique(self._ticks[trial_at], return_counts=True)
        pending = [*one.pending, *zip(ticks.tolist(), many.tolist(), strict=True)]
        told = np.array([tick for tick, _ in pending], np.int64)
        total = np.append(0, np.cumsum([count for _, count in pending])).astype(np.int64)
        # A tick of trials may appear twice, from two parts; the order is that of time all the same.
        ripe = total[np.searchsorted(told, self._ticks[looks] - wait, side="left")] if len(looks) else total[:0]
        hits = one.hits + np.searchsorted(hit_at, looks, side="right")
        trials = np.maximum(one.mature + ripe, hits)
        if len(looks):
            gone = int(np.searchsorted(told, int(self._ticks[looks[-1]]) - wait, side="left"))
            one.mature += int(total[gone])
            pending = pending[gone:]
        one.pending = _together(pending)
        weight = guard_limit.log_below(hits, trials, rule.tolerance)
        first = np.flatnonzero(weight >= -np.log(LIFT_ALPHA))
        if not len(first):
            return None
        place = int(first[0])
        return Verdict(int(looks[place]), "lift", one, int(hits[place]), int(trials[place]), float(weight[place]))

    def _measure(self, one: Followed, counts: Mapping[str, Counted], after: int, upto: int) -> bool:
        """Counts what is new since a decision; True when its impact is known."""
        _, hit, trial = self._watched[one.rule]
        rule = self.rule(one.rule, one.kind, one.values)
        scope = self._find(one.kind, one.values)
        trial_at, trial_ordinal = self._of(counts, trial, scope)
        hit_at, hit_ordinal = self._of(counts, hit, scope)
        new_trials = trial_at[(trial_ordinal > one.since) & (trial_at > after)]
        new_hits = hit_at[(hit_ordinal > one.since) & (hit_at > after)]
        late = hit_at[(hit_ordinal <= one.since) & (hit_at > after)]
        looks = self._ticks_between(after, upto)
        trials = one.trials + np.searchsorted(new_trials, looks, side="right")
        is_due = (trials >= IMPACT_HITS / rule.tolerance) | (self._ticks[looks] >= one.end_tick)
        end = int(looks[int(np.argmax(is_due))]) if is_due.any() else _END
        one.trials += int(np.searchsorted(new_trials, end, side="right"))
        one.hits += int(np.searchsorted(new_hits, end, side="right"))
        one.late += int(np.searchsorted(late, end, side="right"))
        if end == _END:
            return False
        self.measured.append(Measured(one, int(self._clock[end])))
        return True


def event_clock(facts: pa.Table, before_ms: int) -> Ints:
    """The guard's clock after each fact, in ms since 1970, when it stood at `before_ms`; it never goes back."""
    if not len(facts):
        return np.empty(0, np.int64)
    at = pc.cast(facts["occurred_at"], pa.int64())
    if "received_at" in facts.column_names:
        at = pc.min_element_wise(at, pc.cast(facts["received_at"], pa.int64()))
    told: NDArray[np.int64] = np.asarray(pc.fill_null(at, 0), np.int64) // 1000
    return np.maximum.accumulate(np.maximum(told, before_ms))


def _together(pending: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pending trials, those of one tick as one."""
    found: dict[int, int] = {}
    for tick, count in pending:
        found[tick] = found.get(tick, 0) + count
    return list(found.items())


def _millis(column: pa.ChunkedArray) -> int:
    return int(pc.cast(column, pa.int64())[0].as_py()) // 1000
