"""Why a scope looks harmful: what of it scopes that are stopped already explain, and whether a narrower one explains it all.

Looked into only when a scope reaches a rung of the ladder, over all remembered deliveries, as they were at that event.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features import guard_limit
from features.guard_counts import SCOPE_KINDS
from features.guard_memory import DIMENSIONS, OUTCOMES, Deliveries, Ints, Past, Touched

Codes = tuple[int, ...]
Mask = NDArray[np.bool_]

NARROWER: Final[dict[str, tuple[str, ...]]] = {
    "all": ("campaign", "sender", "domain", "campaign,step", "campaign,variant", "sender,domain"),
    "campaign": ("campaign,step", "campaign,variant", "sender,domain"),
    "sender": ("sender,domain", "campaign", "campaign,step", "campaign,variant"),
    "domain": ("sender,domain", "campaign", "campaign,step", "campaign,variant"),
    "campaign,step": (),
    "campaign,variant": (),
    "sender,domain": (),
}
"""Scopes that may be stopped instead of a wider one, of equals the first."""
ENOUGH_REST: Final = 20
"""Trials beside a narrower scope that must look healthy, before that scope alone is held to be the cause."""
PROVEN: Final = float(np.log(20.0))
"""Log-evidence that the narrower scope itself is harmful: e-value 20."""


class Look(NamedTuple):
    """A scope that reached a rung: names of hits and trials; `since_trials` are the newest that show a change, 0 for all."""

    kind: str
    codes: Codes
    hit: str
    trial: str
    since_trials: int


class Found(NamedTuple):
    """The scope to act on with its counts, and the log-evidence of what stopped scopes do not explain.

    `is_covered`: a scope that is stopped covers the whole of it.
    """

    kind: str
    codes: Codes
    hits: int
    trials: int
    log_rest: float
    is_covered: bool


class Stopped(NamedTuple):
    """A scope that is or was stopped: deliveries sent up to the ordinal `until` are explained by that."""

    kind: str
    codes: Codes
    until: int


_NOW: Final = np.iinfo(np.int64).max


class Causes:
    """What is stopped, and the search for causes among the remembered deliveries."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self.stopped: list[Stopped] = []

    def stop(self, kind: str, codes: Codes) -> None:
        """Notes that a scope is stopped."""
        self.stopped = [one for one in self.stopped if (one.kind, one.codes) != (kind, codes)]
        self.stopped.append(Stopped(kind, codes, _NOW))

    def let_go(self, kind: str, codes: Codes) -> None:
        """Notes that a scope goes on: what was sent before stands against nobody any more."""
        self.stopped = [one for one in self.stopped if (one.kind, one.codes) != (kind, codes)]
        self.stopped.append(Stopped(kind, codes, self._deliveries.seen))

    def is_covered(self, kind: str, codes: Codes) -> bool:
        """Whether a scope that is stopped covers the whole of a scope."""
        return any(one.until == _NOW and _covers(one, kind, codes) for one in self.stopped)

    def explain(
        self, look: Look, tolerance: float, touched: Touched, place: int, may_be: Callable[[str, Codes], bool]
    ) -> Found:
        """Looks into one scope as of the event at a place of the last batch; `may_be` says which scopes may be the cause."""
        if self.is_covered(look.kind, look.codes):
            return Found(look.kind, look.codes, 0, 0, -np.inf, is_covered=True)
        past = self._deliveries.as_of(touched, place)
        mine = (past.outcomes >> OUTCOMES.index(look.trial)) & 1 == 1
        mine &= _inside(look.kind, look.codes, past)
        for one in self.stopped:
            mine &= ~(_inside(one.kind, one.codes, past) & (past.ordinal <= one.until))
        rows = np.flatnonzero(mine)
        if look.since_trials and len(rows) > look.since_trials:
            newest = np.argpartition(past.ordinal[rows], len(rows) - look.since_trials)[-look.since_trials :]
            rows = rows[np.sort(newest)]
        is_hit = (past.outcomes[rows] >> OUTCOMES.index(look.hit)) & 1 == 1
        hits, trials = int(is_hit.sum()), len(rows)
        log_rest = _log_above(hits, trials, tolerance)
        kind, chosen = look.kind, look.codes
        best = trials + 1
        for narrower in NARROWER[look.kind]:
            cause = _cause(look.kind, narrower, past, rows, is_hit, tolerance)
            if cause is not None and cause[2] < best and may_be(narrower, cause[0]):
                kind, (chosen, hits, best) = narrower, cause
        return Found(kind, chosen, hits, trials if kind == look.kind else best, log_rest, is_covered=False)


def is_related(kind: str, codes: Codes, other: str, others: Codes) -> bool:
    """Whether one of two scopes may hold messages of the other: no dimension that both name tells them apart."""
    both = set(SCOPE_KINDS[kind]) & set(SCOPE_KINDS[other])
    return all(codes[DIMENSIONS.index(name)] == others[DIMENSIONS.index(name)] for name in both)


def _covers(stopped: Stopped, kind: str, codes: Codes) -> bool:
    """Whether every message of a scope is one of the stopped scope's."""
    wanted = [DIMENSIONS.index(dimension) for dimension in SCOPE_KINDS[stopped.kind]]
    return set(SCOPE_KINDS[stopped.kind]) <= set(SCOPE_KINDS[kind]) and all(
        stopped.codes[place] == codes[place] for place in wanted
    )


def _inside(kind: str, wanted: Codes, past: Past) -> Mask:
    """Which deliveries are in a scope."""
    inside = np.ones(len(past.outcomes), np.bool_)
    for dimension in SCOPE_KINDS[kind]:
        place = DIMENSIONS.index(dimension)
        inside &= past.codes(place) == wanted[place]
    return inside


def _cause(  # a look's deliveries, and what is asked of them
    wider: str, kind: str, past: Past, rows: Ints, is_hit: Mask, tolerance: float
) -> tuple[Codes, int, int] | None:
    """The narrower scope of a kind that alone explains the harm, with its hits and trials; None where none does."""
    places = [DIMENSIONS.index(dimension) for dimension in SCOPE_KINDS[kind]]
    codes = [past.codes(place)[rows] for place in places]
    widths = [int(column.max(initial=-1)) + 2 for column in codes]
    group = np.zeros(len(rows), np.int64)
    known = np.ones(len(rows), np.bool_)
    for column, width in zip(codes, widths, strict=True):
        group = group * width + column + 1
        known &= column >= 0
    # Where hits are few, so are the groups that may be the cause: only those are counted.
    suspects, hits = np.unique(group[known & is_hit], return_counts=True)
    if not len(suspects):
        return None
    which = np.minimum(np.searchsorted(suspects, group), len(suspects) - 1)
    trials = np.bincount(which[known & (suspects[which] == group)], minlength=len(suspects))
    worst = int(np.argmax(guard_limit.log_above(hits, trials, tolerance)))
    own_hits, own = int(hits[worst]), int(trials[worst])
    rest_hits, rest = int(is_hit.sum()) - own_hits, len(rows) - own
    # Where everything is of one campaign, that campaign is meant: nobody wants to stop all.
    is_distinct = rest >= ENOUGH_REST or (wider == "all" and kind in {"campaign", "sender"})
    if not is_distinct or _log_above(own_hits, own, tolerance) < PROVEN or rest_hits > tolerance * rest:
        return None
    found = [-1] * len(DIMENSIONS)
    left = int(suspects[worst])
    for place, width in zip(reversed(places), reversed(widths), strict=True):
        left, code = divmod(left, width)
        found[place] = code - 1
    return tuple(found), own_hits, own


def _log_above(hits: int, trials: int, tolerance: float) -> float:
    return float(guard_limit.log_above(hits, trials, tolerance))
