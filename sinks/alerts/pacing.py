"""When what waits is told, and how much of it in one message: repeats, floods, quiet hours. No input or output.

The same kind, scope and rule again within a set time waits until that time is over, then all of it is one message with a
count. More alerts than so many in a set time become one summary; critical ones are counted apart, so that a flood of
warnings never delays a pause. A change of what may be sent begins anew: a pause after a resume is no repeat.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from outpulse.settings import AlertsSettings, AlertTarget
from schemas.events import CommandAction
from schemas.records import AlertSeverity
from sinks.alerts.notices import HOLDING
from sinks.alerts.targets import is_quiet

Topic = tuple[str, str, str]
"""What makes an alert a repeat: kind, scope, rule."""
URGENT: Final = "critical"
_LANES: Final = (URGENT, "other")


class Waiting(NamedTuple):
    """A notice that waits to be told to a target; `number` ascends in the order of arrival."""

    number: int
    kind: str
    scope: str
    rule: str
    severity: str

    @property
    def topic(self) -> Topic:
        """What makes it a repeat of another."""
        return (self.kind, self.scope, self.rule)

    @property
    def lane(self) -> str:
        """Whether it is counted among the critical ones or the others."""
        return URGENT if self.severity == AlertSeverity.CRITICAL else "other"


class Group(NamedTuple):
    """Notices of one topic that are told at once."""

    topic: Topic
    lane: str
    numbers: list[int]


class Bundle(NamedTuple):
    """The notices of one message, in the order of arrival; of a summary also how many topics it has."""

    numbers: list[int]
    is_summary: bool


class Memory(msgspec.Struct):
    """What was told to one target lately; instants in seconds since 1970.

    `told` has the last time of each topic, `counted` (lane, instant, topics) of each message, `floods` until when what comes
    in a lane is gathered.
    """

    told: dict[str, dict[str, dict[str, float]]] = {}
    counted: list[tuple[str, float, int]] = []
    floods: dict[str, float] = {}

    def told_at(self, topic: Topic) -> float | None:
        """When a topic was last told; None when it was not, or something else has come since."""
        kind, scope, rule = topic
        return self.told.get(scope, {}).get(kind, {}).get(rule)

    def note(self, topic: Topic, now: float) -> None:
        """Notes that a topic is told now; what it makes untrue begins anew."""
        kind, scope, rule = topic
        of_scope = self.told.setdefault(scope, {})
        for other in _ended_by(kind):
            of_scope.pop(other, None)
        of_scope.setdefault(kind, {})[rule] = now

    def forget(self, told_before: float, counted_before: float) -> None:
        """Lets go of what is too old to matter."""
        self.counted = [one for one in self.counted if one[1] > counted_before]
        for scope in list(self.told):
            of_scope = self.told[scope]
            for kind in list(of_scope):
                of_scope[kind] = {rule: at for rule, at in of_scope[kind].items() if at > told_before}
                if not of_scope[kind]:
                    del of_scope[kind]
            if not of_scope:
                del self.told[scope]


def release(
    waiting: Sequence[Waiting], memory: Memory, target: AlertTarget, limits: AlertsSettings, now: float
) -> list[Bundle]:
    """The messages that are due now, in their order; `memory` is changed to know of them. `waiting` is in order."""
    memory.forget(now - limits.repeat_minutes * 60, now - limits.flood_minutes * 60)
    hold = is_quiet(target, now)
    ready = [one for one in waiting if not hold or one.lane == URGENT]
    groups = _grouped(ready, memory)
    bundles = [
        bundle
        for lane in _LANES
        for bundle in _of_lane([g for g in groups if g.lane == lane], lane, memory, limits, now)
    ]
    by_number = {one.number: one for one in waiting}
    released = {number for bundle in bundles for number in bundle.numbers}
    for group in groups:
        if group.numbers[0] in released:
            memory.note(group.topic, now)
    return _with_older(sorted(bundles), by_number, released)


def _ended_by(kind: str) -> Iterable[str]:
    """Kinds about the same scope that are no longer the last word."""
    if kind == CommandAction.RESUME:
        return (CommandAction.WARN, CommandAction.SLOW, CommandAction.PAUSE)
    return HOLDING - {kind} if kind in HOLDING else ()


def _grouped(ready: Iterable[Waiting], memory: Memory) -> list[Group]:
    """What may be told now by topic; a repeat of what was told lately is left out."""
    groups: list[Group] = []
    open_groups: dict[str, dict[str, dict[str, Group]]] = {}
    changed: dict[str, set[str]] = {}
    for one in ready:
        of_scope = open_groups.setdefault(one.scope, {})
        group = of_scope.get(one.kind, {}).get(one.rule)
        if group is not None:
            group.numbers.append(one.number)
        elif memory.told_at(one.topic) is None or one.kind in changed.get(one.scope, ()):
            group = Group(one.topic, one.lane, [one.number])
            groups.append(group)
            of_scope.setdefault(one.kind, {})[one.rule] = group
            for other in _ended_by(one.kind):
                of_scope.pop(other, None)
                changed.setdefault(one.scope, set()).add(other)
    return groups


def _of_lane(groups: list[Group], lane: str, memory: Memory, limits: AlertsSettings, now: float) -> list[Bundle]:
    """The messages of one lane: each topic by itself, all in one, or none yet."""
    until = memory.floods.get(lane)
    if until is not None and now < until:
        return []
    if not groups:
        memory.floods.pop(lane, None)
        return []
    spent = sum(count for which, _, count in memory.counted if which == lane)
    at_once = len(groups) > limits.flood_alerts
    if until is None and spent + len(groups) > limits.flood_alerts:
        memory.floods[lane] = now + limits.flood_minutes * 60
        if not at_once:
            return []
    elif until is not None and at_once:
        memory.floods[lane] = now + limits.flood_minutes * 60
    else:
        memory.floods.pop(lane, None)
    memory.counted.append((lane, now, len(groups)))
    if len(groups) > 1 and (until is not None or at_once):
        return [Bundle(sorted(number for group in groups for number in group.numbers), is_summary=True)]
    return [Bundle(group.numbers, is_summary=False) for group in groups]


def _with_older(bundles: list[Bundle], by_number: dict[int, Waiting], released: set[int]) -> list[Bundle]:
    """The messages; one that changes what may be sent takes along what is older and still waits about its scope."""
    left: dict[str, list[int]] = {}
    for number, one in by_number.items():
        if number not in released:
            left.setdefault(one.scope, []).append(number)
    if not left:
        return bundles
    found = []
    for bundle in bundles:
        changing = [by_number[number] for number in bundle.numbers if by_number[number].kind in HOLDING]
        newest = {one.scope: one.number for one in changing}
        older = [number for scope, last in newest.items() for number in _taken(left, scope, last)]
        found.append(Bundle(sorted((*bundle.numbers, *older)), bundle.is_summary))
    return found


def _taken(left: dict[str, list[int]], scope: str, before: int) -> list[int]:
    waiting = left.get(scope, [])
    taken = [number for number in waiting if number < before]
    if taken:
        left[scope] = [number for number in waiting if number > before]
    return taken
