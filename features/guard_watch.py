"""One rule over all scopes: batches of counts in, evidence at each hit out.

Trials are many and hits are few, so trials are sorted once for all rules that count the same, and a rule asks them only
how many there were before a hit, and which.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import evidence, guard_budget, guard_limit, guard_numbers
from features.guard_counts import Counted
from features.guard_memory import Ints
from features.guard_numbers import Trials
from features.tolerances import Rule

OUTCOMES_OF: Final[Mapping[str, tuple[str, str]]] = {
    # what a rule's hits and trials are called in `guard_memory.OUTCOMES`
    "bounces": ("bounced", "sent"),
    "complaints": ("complained", "delivered"),
    "complaints_early": ("complained", "delivered"),
    "failures": ("failed", "attempted"),
    "unsubscribes": ("unsubscribed", "delivered"),
    "negative_replies": ("failed", "attempted"),  # as `flows/reply_guard.py` tells of replies
    "ses_bounces_review": ("ses_bounced", "ses_sent"),
    "ses_bounces_pause": ("ses_bounced", "ses_sent"),
    "ses_complaints_review": ("ses_complained", "ses_delivered"),
    "ses_complaints_pause": ("ses_complained", "ses_delivered"),
    "gmail_complaints_advice": ("complained", "delivered"),
    "gmail_complaints_limit": ("complained", "delivered"),
    "yahoo_complaints_advice": ("complained", "delivered"),
    "yahoo_complaints_limit": ("complained", "delivered"),
}
"""Rules that the running guard knows how to count."""
_STATE: Final = ("trials", "slot", "reached", "again_at")
_NONE: Final = -1
_UNKNOWN: Final = np.iinfo(np.uint32).max
_PLACES: Final = 32
"""Bits for the place of an event in its batch."""


class Looks(NamedTuple):
    """`evidence.LOOK` at each hit of a batch, with the scopes and the places of the events."""

    looks: NDArray[np.void]
    scope: Ints
    at: Ints


NO_LOOKS: Final = Looks(np.zeros(0, evidence.LOOK), np.empty(0, np.int64), np.empty(0, np.int64))


class ScopedTrials(NamedTuple):
    """A batch's trials of one outcome: how many in each scope, and those of the wanted scopes sorted by scope and place.

    `key` is scope and place in one number; a scope's trials are `trials[start[scope]:start[scope + 1]]`.
    """

    counts: Ints
    start: Ints
    key: Ints
    trials: Trials

    @classmethod
    def of(cls, counted: Counted, is_wanted: NDArray[np.bool_]) -> "ScopedTrials":
        """Sorts what was counted; `is_wanted` has one entry for each scope."""
        counts = np.bincount(counted.scope, minlength=len(is_wanted))
        kept = np.flatnonzero(is_wanted[counted.scope])
        key = _key(counted.scope[kept], counted.at[kept])
        order = np.argsort(key)  # no two are equal: an event is of one delivery
        key = key[order]
        start = np.append(0, np.cumsum(np.where(is_wanted, counts, 0)))
        return cls(counts, start, key, guard_numbers.sorted_trials(key >> _PLACES, counted.ordinal[kept][order]))


def _key(scope: Ints, at: Ints) -> Ints:
    return (scope.astype(np.int64) << _PLACES) | at


class Watch:
    """One rule over all scopes.

    Most scopes never see a hit of most rules: those have a number of trials only. From its first hit on a scope has a slot with
    evidence. A rule that follows another has neither.
    """

    def __init__(self, rule: Rule, before: "Sequence[Watch]" = ()) -> None:
        self.rule = rule
        self.hit, self.trial = OUTCOMES_OF[rule.name]
        self.trials = np.zeros(0, np.uint32)
        self.slot = np.zeros(0, np.int32)
        self.evidence = evidence.fresh(0)
        self.numbers = guard_numbers.unnumbered(0)
        self.used = 0
        self.is_mine = np.zeros(0, np.bool_)
        self.reached = np.zeros(0, np.int8)
        self.again_at = np.zeros(0, np.int64)
        self.most = guard_budget.SEVERITIES.index(rule.most)
        self.looks = NO_LOOKS
        self.admitted = 0
        self.follows = next((one for one in before if _counts_the_same(one, self)), None)

    def __len__(self) -> int:
        """For how many scopes there is room."""
        return len(self.is_mine)

    @property
    def nbytes(self) -> int:
        """Bytes of the state."""
        dense: list[NDArray[Any]] = [getattr(self, name) for name in _STATE]
        return sum(array.nbytes for array in (*dense, self.is_mine, self.evidence, self.numbers))

    def grow(self, scopes: int) -> None:
        """Makes room for scopes, as much as any other rule; all are watched unless somebody says otherwise in `is_mine`."""
        if scopes <= len(self):
            return
        more = max(256, 1 << (scopes - 1).bit_length()) - len(self)
        if self.follows is None:
            self.trials = np.append(self.trials, np.zeros(more, np.uint32))
            self.slot = np.append(self.slot, np.full(more, _NONE, np.int32))
        self.is_mine = np.append(self.is_mine, np.ones(more, np.bool_))
        self.reached = np.append(self.reached, np.zeros(more, np.int8))
        self.again_at = np.append(self.again_at, np.zeros(more, np.int64))

    def forget(self, scope: int) -> None:
        """Watches a scope anew."""
        if scope >= len(self):
            return
        if self.follows is None:
            self.trials[scope] = 0
            self.slot[scope] = _NONE  # what stood there is not used again, a few hundred bytes a resumption
        self.reached[scope] = 0
        self.again_at[scope] = 0

    def dump(self) -> dict[str, NDArray[Any]]:
        """The state as arrays; who is watched is not in it."""
        slots = {"evidence": self.evidence[: self.used], "numbers": self.numbers[: self.used]}
        return {name: getattr(self, name) for name in _STATE} | slots

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes a state over, unless it is of a rule that had none because it followed another."""
        if self.follows is None and len(arrays["trials"]) < len(arrays["reached"]):
            return
        for name in (*_STATE, "evidence", "numbers"):
            setattr(self, name, arrays[name].copy())
        self.used = len(self.evidence)
        self.is_mine = np.ones(len(self.reached), np.bool_)
        self.admitted = 0

    def follow(self) -> Looks:
        """The looks of the rule that counts the same, weighed by this rule's tolerance."""
        assert self.follows is not None  # noqa: S101 - asked for only then
        self.looks = self.follows.looks
        looks, scope, at = self._mine()
        looks["log_limit"] = guard_limit.log_above(looks["hits"], looks["trials"], self.rule.tolerance)
        return Looks(looks, scope, at)

    def take(self, trials: ScopedTrials, hits: Counted, seen: int) -> Looks:
        """Weighs a batch; gives the looks at hits. `seen` events came before the batch."""
        mine = np.flatnonzero(self.is_mine[hits.scope]) if self._is_narrow else np.arange(len(hits.scope))
        key = _key(hits.scope[mine], hits.at[mine])
        by_key = np.argsort(key)  # no two are equal: an event is of one delivery
        order, key = mine[by_key], key[by_key]
        scope, at, ordinal = (array[order].astype(np.int64) for array in (hits.scope, hits.at, hits.ordinal))
        heads = np.flatnonzero(np.diff(scope, prepend=-1))
        had = self.trials.astype(np.int64)
        reached = had[scope] + np.searchsorted(trials.key, key, side="right") - trials.start[scope]
        first = trials.start[:-1].copy()
        self._number(heads[self.slot[scope[heads]] == _NONE], key, trials, first, seen)

        is_touched = (self.slot != _NONE) & (trials.counts > 0)
        is_touched[scope] = True
        rows = np.flatnonzero(is_touched)
        slots = self.slot[rows]
        row = np.searchsorted(rows, scope)
        self.numbers[slots], number = guard_numbers.number_hits(
            self.numbers[slots],
            first[rows],
            trials.start[rows + 1],
            trials.trials,
            guard_numbers.Hits(row, reached, ordinal),
            self.rule.tolerance,
        )
        since = np.diff(reached, prepend=0)
        since[heads] = reached[heads] - had[scope[heads]]
        counts = evidence.Counts(row, since, np.ones(len(row), np.bool_), number)
        state = self.evidence[slots]
        state["trials"] = had[rows]
        self.evidence[slots], looks = evidence.observe(state, counts, self.rule.tolerance)
        self.trials += trials.counts.astype(np.uint32)
        self.looks = Looks(looks, scope[looks["event"]], at[looks["event"]])
        return self._mine()

    @property
    def _is_narrow(self) -> bool:
        """Whether hits count only in scopes that the rule watches: no other follows it in scopes that it does not."""
        return not (self.rule.scope is None and self.rule.receiver is None and self.rule.provider is None)

    def _mine(self) -> Looks:
        """The looks at scopes that the rule watches."""
        mine = np.flatnonzero(self.is_mine[self.looks.scope])
        looks, scope, at = self.looks
        return Looks(looks[mine], scope[mine], at[mine])

    def _number(self, heads: Ints, key: Ints, trials: ScopedTrials, first: Ints, seen: int) -> None:
        """From their first hit on, scopes have a slot and know which trials are new; those before count as old.

        `heads` are the places of first hits in `key`; `first` is set to the first new trial of each.
        """
        scope, at = key[heads] >> _PLACES, key[heads] & (2**_PLACES - 1)
        first[scope] = np.searchsorted(trials.key, key[heads], side="left")
        numbers = guard_numbers.unnumbered(len(heads))
        numbers["trials"] = self.trials[scope] + first[scope] - trials.start[scope]
        numbers["highest"] = seen + at
        numbers["began"] = _UNKNOWN
        slots = self._slots(len(heads))
        self.slot[scope] = slots
        self.numbers[slots] = numbers

    def _slots(self, many: int) -> Ints:
        """The next slots; arrays grow by half, so that few batches copy them."""
        found = self.used + np.arange(many)
        self.used += many
        if self.used > len(self.evidence):
            more = max(self.used, len(self.evidence) * 3 // 2, 64) - len(self.evidence)
            self.evidence = np.concatenate([self.evidence, evidence.fresh(more)])
            self.numbers = np.concatenate([self.numbers, guard_numbers.unnumbered(more)])
        return found


def _counts_the_same(one: Watch, other: Watch) -> bool:
    """Whether a rule needs no evidence of its own: the hits and trials of another, that watches all scopes, tell."""
    watches_all = one.rule.scope is None and one.rule.receiver is None and one.follows is None
    return (one.hit, one.trial) == (other.hit, other.trial) and watches_all and other.rule.detectors == ("limit",)


def weigh(watches: Sequence[Watch], counts: Mapping[str, Counted], seen: int) -> list[Looks]:
    """The looks of each rule at a batch; trials are sorted once for the rules that count them."""
    size = max(map(len, watches), default=0)
    is_wanted: dict[int, NDArray[np.bool_]] = {}
    trials_of: dict[int, ScopedTrials] = {}
    for watch in watches:
        wanted = is_wanted.setdefault(id(counts[watch.trial]), np.zeros(size, np.bool_))
        if watch.follows is None and len(watch):
            wanted |= watch.slot != _NONE
            wanted[counts[watch.hit].scope] = True
    found = []
    for watch in watches:
        counted = counts[watch.trial]
        if not len(watch):
            found.append(NO_LOOKS)
            continue
        if id(counted) not in trials_of:
            trials_of[id(counted)] = ScopedTrials.of(counted, is_wanted[id(counted)])
        found.append(watch.follow() if watch.follows else watch.take(trials_of[id(counted)], counts[watch.hit], seen))
    return found
