"""What waits for the guard, in the order in which it is looked at: events of all partitions, and between them what people say.

A person's command is heeded where it was heeded first (`flows.guard_heeding`). One that has not been yet comes after the events
that were appended before it, by the appenders' clocks. Events of several partitions are merged by those clocks, too.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import msgspec

from control.commands import BY_REPLIES
from eventlog import Log, Stored
from flows.guard_heeding import Heedings
from schemas.events import CommandAction, Stream

RECORDS: Final = 65_536
"""Events of a batch at most, and records of one read of the control stream."""
OWN: Final = "guard"
"""Who decides what the guard decides; it knows that already."""
_MACHINES: Final = frozenset({OWN, BY_REPLIES})
"""Who decides without being asked; what replies say about one contact does not concern the guard."""
_PEOPLES: Final = frozenset({CommandAction.PAUSE.value, CommandAction.SLOW.value, CommandAction.RESUME.value})


class _Said(msgspec.Struct):
    """As much of a command as tells whether it has to be heeded."""

    action: str
    decided_by: str


_DECODE: Final = msgspec.json.Decoder(_Said).decode


@dataclass(frozen=True)
class GuardBatch:
    """Events in order, or commands of people; `positions` is where each source goes on after it."""

    events: Sequence[Stored] = ()
    commands: Sequence[Stored] = ()
    positions: Mapping[str, int] = field(default_factory=dict)


def of_events(partition: int) -> str:
    """The name of a partition among positions."""
    return f"{Stream.EVENTS}/{partition}"


class GuardFeed:
    """Hands out batches, engine-free. What it handed out has to be watched in that order."""

    def __init__(
        self,
        log: Log,
        positions: Mapping[str, int],
        stopped: Callable[[], bool],
        heedings: Heedings,
        *,
        follow: bool,
    ) -> None:
        self._log = log
        self._events = [positions.get(of_events(p), 1) for p in range(log.partitions(Stream.EVENTS))]
        self._control = positions.get(Stream.CONTROL, 1)
        self._said: deque[Stored] = deque()
        self._stopped = stopped
        self._heedings = heedings
        self._follow = follow

    def take(self) -> GuardBatch | None:
        """The next batch, or None when nothing waits.

        Raises:
            StopIteration: asked to stop, or (not following) nothing is left.
        """
        if self._stopped():
            raise StopIteration
        self._listen()
        events = self._before(self._said[0]) if self._said else self._read()
        if events:
            return GuardBatch(events, (), self._positions())
        if self._said:
            commands = self._heed_now()
            return GuardBatch((), commands, self._positions())
        if not self._follow:
            raise StopIteration
        return None

    def _positions(self) -> dict[str, int]:
        found = {of_events(partition): position for partition, position in enumerate(self._events)}
        return found | {Stream.CONTROL.value: self._said[0].offset if self._said else self._control}

    def _listen(self) -> None:
        """Reads the control stream up to the next commands of people, or to its end."""
        while not self._said and (records := self._log.read(Stream.CONTROL, 0, self._control, RECORDS)):
            self._control = records[-1].offset + 1
            self._said.extend(record for record in records if is_peoples(record.value))

    def _before(self, command: Stored) -> list[Stored]:
        """The next events that come before a command; none when it is its turn."""
        heeded = self._heedings.of(command.offset)
        if heeded is None:
            return self._read(before_ms=command.appended_ms)
        return self._read(until=[*heeded.events, *([1] * (len(self._events) - len(heeded.events)))])

    def _heed_now(self) -> list[Stored]:
        """The commands whose turn it is: those that were heeded together, or those up to the next event that waits."""
        heeded = self._heedings.of(self._said[0].offset)
        if heeded is not None:
            last = heeded.control
            return [self._said.popleft() for _ in takewhile(lambda one: one.offset <= last, tuple(self._said))]
        first = [self._log.read(Stream.EVENTS, p, position, 1) for p, position in enumerate(self._events)]
        end_ms = min((found[0].appended_ms for found in first if found), default=None)
        taken = [self._said.popleft()]
        while self._said and self._heedings.of(self._said[0].offset) is None:
            if end_ms is not None and self._said[0].appended_ms >= end_ms:
                break
            taken.append(self._said.popleft())
        return taken

    def _read(self, *, until: Sequence[int] | None = None, before_ms: int | None = None) -> list[Stored]:
        """The next events of all partitions; below the positions `until`, and appended up to `before_ms`."""
        limit = max(1, RECORDS // len(self._events))
        chunks: list[list[Stored]] = []
        for partition, position in enumerate(self._events):
            found = self._log.read(Stream.EVENTS, partition, position, limit)
            if until is not None and (not found or found[-1].offset >= until[partition]):
                found = [record for record in found if record.offset < until[partition]]
            if before_ms is not None:
                found = list(takewhile(lambda one: one.appended_ms <= before_ms, found))
            chunks.append(found)
        if len(chunks) > 1:
            return self._merged(chunks)
        if chunks[0]:
            self._events[0] = chunks[0][-1].offset + 1
        return chunks[0]

    def _merged(self, chunks: Sequence[Sequence[Stored]]) -> list[Stored]:
        """What of the chunks comes before anything that is not read yet, by the appenders' clocks."""
        ends = [
            clock(chunk)[-1]
            for partition, chunk in enumerate(chunks)
            if chunk and self._log.end(Stream.EVENTS, partition) > chunk[-1].offset + 1
        ]
        horizon = min(ends, default=None)
        taken: list[Stored] = []
        for moment, partition, record in heapq.merge(*(timed(chunk, p) for p, chunk in enumerate(chunks))):
            if horizon is None or moment <= horizon:
                taken.append(record)
                self._events[partition] = record.offset + 1
        return taken


def clock(chunk: Sequence[Stored]) -> list[int]:
    """When each record was appended; a clock that was set back stands still, as the order of a partition stays."""
    found: list[int] = []
    for record in chunk:
        found.append(max(record.appended_ms, found[-1]) if found else record.appended_ms)
    return found


def timed(chunk: Sequence[Stored], partition: int) -> Iterator[tuple[int, int, Stored]]:
    """The records of a chunk with their instants and the chunk's own number, to be merged with those of others."""
    return ((ms, partition, record) for ms, record in zip(clock(chunk), chunk, strict=True))


def is_peoples(raw: bytes) -> bool:
    """Whether a record may be a person's decision about a scope."""
    try:
        said = _DECODE(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return said.decided_by not in _MACHINES and said.action in _PEOPLES
