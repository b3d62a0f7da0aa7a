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
_STATE: Final = ("evidence", "numbers", "is_numbered", "is_mine", "reached", "again_at")
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
    """One rule over all scopes."""

    def __init__(self, rule: Rule, before: "Sequence[Watch]" = ()) -> None:
        self.rule = rule
        self.hit, self.trial = OUTCOMES_OF[rule.name]
        self.evidence = evidence.fresh(0)
        self.numbers = guard_numbers.unnumbered(0)
        self.is_numbered = np.zeros(0, np.bool_)
        self.is_mine = np.zeros(0, np.bool_)
        self.reached = np.zeros(0, np.int8)
        self.again_at = np.zeros(0, np.int64)
        self.most = guard_budget.SEVERITIES.index(rule.most)
        self.looks = NO_LOOKS
        self.admitted = 0
        self.follows = next((one for one in before if _counts_the_same(one, self)), None)

    def grow(self, scopes: int) -> None:
        """Makes room for scopes, as much as any other rule; all are watched unless somebody says otherwise in `is_mine`."""
        if scopes <= len(self.evidence):
            return
        more = max(256, 1 << (scopes - 1).bit_length()) - len(self.evidence)
        self.evidence = np.concatenate([self.evidence, evidence.fresh(more)])
        self.numbers = np.concatenate([self.numbers, guard_numbers.unnumbered(more)])
        self.is_numbered = np.append(self.is_numbered, np.zeros(more, np.bool_))
        self.is_mine = np.append(self.is_mine, np.ones(more, np.bool_))
        self.reached = np.append(self.reached, np.zeros(more, np.int8))
        self.again_at = np.append(self.again_at, np.zeros(more, np.int64))

    def forget(self, scope: int) -> None:
        """Watches a scope anew."""
        if scope >= len(self.evidence):
            return
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

    def follow(self) -> Looks:
        """The looks of the rule that counts the same, weighed by this rule's tolerance."""
        assert self.follows is not None  # noqa: S101 - asked for only then
        self.looks = self.follows.looks
        looks, scope, at = self._mine()
        looks["log_limit"] = guard_limit.log_above(looks["hits"], looks["trials"], self.rule.tolerance)
        return Looks(looks, scope, at)

    def take(self, trials: ScopedTrials, hits: Counted, seen: int) -> Looks:
        """Weighs a batch; gives the looks at hits. `seen` events came before the batch."""
        # The tolerances that are set for some scopes leave the others' rules a full count to follow.
        mine = np.flatnonzero(self.is_mine[hits.scope]) if self.rule.scope else np.arange(len(hits.scope))
        key = _key(hits.scope[mine], hits.at[mine])
        order = mine[np.argsort(key)]
        key = np.sort(key)
        scope, at, ordinal = (array[order].astype(np.int64) for array in (hits.scope, hits.at, hits.ordinal))
        heads = np.flatnonzero(np.diff(scope, prepend=-1))
        had = self.evidence["trials"].astype(np.int64)
        reached = had[scope] + np.searchsorted(trials.key, key, side="right") - trials.start[scope]
        first = trials.start[:-1].copy()
        self._number(heads[~self.is_numbered[scope[heads]]], key, trials, first, seen)

        is_touched = self.is_numbered & (trials.counts > 0)
        is_touched[scope] = True
        rows = np.flatnonzero(is_touched)
        row = np.searchsorted(rows, scope)
        self.numbers[rows], number = guard_numbers.number_hits(
            self.numbers[rows],
            first[rows],
            trials.start[rows + 1],
            trials.trials,
            guard_numbers.Hits(row, reached, ordinal),
            self.rule.tolerance,
        )
        since = np.diff(reached, prepend=0)
        since[heads] = reached[heads] - had[scope[heads]]
        counts = evidence.Counts(row, since, np.ones(len(row), np.bool_), number)
        self.evidence[rows], looks = evidence.observe(self.evidence[rows], counts, self.rule.tolerance)
        some = np.flatnonzero(trials.counts)
        self.evidence["trials"][some] = had[some] + trials.counts[some]
        self.looks = Looks(looks, scope[looks["event"]], at[looks["event"]])
        return self._mine()

    def _mine(self) -> Looks:
        """The looks at scopes that the rule watches."""
        mine = np.flatnonzero(self.is_mine[self.looks.scope])
        looks, scope, at = self.looks
        return Looks(looks[mine], scope[mine], at[mine])

    def _number(self, heads: Ints, key: Ints, trials: ScopedTrials, first: Ints, seen: int) -> None:
        """From their first hit on, scopes know which trials are new; those before count as old.

        `heads` are the places of first hits in `key`; `first` is set to the first new trial of each.
        """
        scope, at = key[heads] >> _PLACES, key[heads] & (2**_PLACES - 1)
        first[scope] = np.searchsorted(trials.key, key[heads], side="left")
        self.numbers["trials"][scope] = self.evidence["trials"][scope] + first[scope] - trials.start[scope]
        self.numbers["highest"][scope] = seen + at
        self.numbers["began"][scope] = _UNKNOWN
        self.is_numbered[scope] = True


def _counts_the_same(one: Watch, other: Watch) -> bool:
    """Whether a rule needs no evidence of its own: the hits and trials of another, that watches all scopes, tell."""
    watches_all = one.rule.scope is None and one.rule.receiver is None and one.follows is None
    return (one.hit, one.trial) == (other.hit, other.trial) and watches_all and other.rule.detectors == ("limit",)


def weigh(watches: Sequence[Watch], counts: Mapping[str, Counted], seen: int) -> list[Looks]:
    """The looks of each rule at a batch; trials are sorted once for the rules that count them."""
    size = max((len(watch.evidence) for watch in watches), default=0)
    is_wanted: dict[int, NDArray[np.bool_]] = {}
    trials_of: dict[int, ScopedTrials] = {}
    for watch in watches:
        wanted = is_wanted.setdefault(id(counts[watch.trial]), np.zeros(size, np.bool_))
        if watch.follows is None and len(watch.evidence):
            wanted |= watch.is_numbered
            wanted[counts[watch.hit].scope] = True
    found = []
    for watch in watches:
        counted = counts[watch.trial]
        if not len(watch.evidence):
            found.append(NO_LOOKS)
            continue
        if id(counted) not in trials_of:
            trials_of[id(counted)] = ScopedTrials.of(counted, is_wanted[id(counted)])
        found.append(watch.follow() if watch.follows else watch.take(trials_of[id(counted)], counts[watch.hit], seen))
    return found
