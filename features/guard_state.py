"""The guard's whole state as plain arrays and texts, and back: what a snapshot holds. No pickle, a version, no loss."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.guard import Guard
from features.guard_causes import Stopped
from features.guard_counts import Codes
from features.guard_followup import FollowupState
from features.tolerances import Rule

VERSION: Final = 5
"""Raised when anything in the state changes its meaning; a version that is not readable is made anew from the log."""
_READABLE: Final = (4, VERSION)

Arrays = dict[str, NDArray[Any]]
_RuleKey = tuple[str, float, tuple[str, tuple[str, ...]] | None]


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Texts(msgspec.Struct, frozen=True):
    version: int
    seen: int
    ordered: int
    codes: dict[str, list[str]]
    reporting: list[str | None]
    stopped: list[tuple[str, tuple[int, ...], int]]
    told: list[tuple[tuple[str, str, tuple[int, ...]], int]]
    rules: list[_RuleKey]
    followups: FollowupState


def dump(guard: Guard) -> Arrays:
    """The state as arrays; `texts` holds the rest as JSON."""
    counter = guard.counter
    texts = _Texts(
        version=VERSION,
        seen=counter.deliveries.seen,
        ordered=guard.ordered,
        codes={name: codes.texts for name, codes in counter.codes.items()},
        reporting=list(counter.reporting),
        stopped=[(one.kind, one.codes, one.until) for one in guard.causes.stopped],
        told=list(guard.told.items()),
        rules=[_key(one.rule) for one in guard.detectors],
        followups=guard.followups.state,
    )
    arrays = {f"memory_{name}": array for name, array in counter.deliveries.dump().items()}
    arrays |= {f"scopes_{name}": array for name, array in counter.scopes.dump().items()}
    arrays["orders"] = guard.orders
    for number, watch in enumerate(guard.detectors):
        arrays |= {f"rule{number}_{name}": array for name, array in watch.dump().items()}
    arrays["texts"] = np.frombuffer(msgspec.json.encode(texts), np.uint8)
    return arrays


def load(guard: Guard, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Puts a state into a guard that has seen nothing; False where it is of another version.

    A rule that the state does not know with this tolerance and scope begins anew. Reading the log again instead would judge what
    was long past by what is tolerated now, and pause for it today.
    """
    raw = arrays["texts"].tobytes()
    if msgspec.json.decode(raw, type=_Version).version not in _READABLE:
        return False
    texts = msgspec.json.decode(raw, type=_Texts)
    counter = guard.counter
    counter.deliveries.load(_named(arrays, "memory_"), texts.seen)
    counter.scopes.load(_named(arrays, "scopes_"))
    counter.codes = {name: Codes(known) for name, known in texts.codes.items()}
    counter.reporting = dict.fromkeys(texts.reporting, 1)
    guard.causes.stopped = [Stopped(kind, tuple(codes), until) for kind, codes, until in texts.stopped]
    guard.told = {(rule, kind, tuple(codes)): rung for (rule, kind, codes), rung in texts.told}
    guard.followups.load(texts.followups)
    guard.orders, guard.ordered = arrays["orders"], texts.ordered
    for one in guard.detectors:
        if _key(one.rule) in texts.rules:
            one.load(_named(arrays, f"rule{texts.rules.index(_key(one.rule))}_"))
    return True


def _key(rule: Rule) -> _RuleKey:
    """What makes a rule another: its name, its tolerance, and the scope for which that is set."""
    return rule.name, rule.tolerance, rule.scope


def _named(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
