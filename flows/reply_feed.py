"""What waits for the replies flow: replies, their events, what people say of readings and of scopes, in one order.

The order is that of the appenders' clocks; of equal instants feedback comes first. So the log read again gives the same order.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventlog import Log, Stored
from flows.guard_feed import clock, is_peoples, timed
from schemas.events import Stream

_STREAMS: Final = (Stream.FEEDBACK, Stream.CONTROL, Stream.EVENTS, Stream.REPLIES)
_RECORDS: Final = 20_000
"""Records of one read: most events are no replies, and one look at them costs 0.1 µs."""
_MOST: Final = 16
"""Replies and corrections of a batch: some 2 s of work on one core, and what a crash costs."""
_MARK: Final = b'"replied"'


@dataclass(frozen=True)
class ReplyBatch:
    """Records with their streams, in order; `positions` is where each source goes on after them."""

    records: Sequence[tuple[Stream, Stored]] = ()
    positions: Mapping[str, int] = field(default_factory=dict)


def source_of(stream: str, partition: int) -> str:
    """The name of a partition among positions."""
    return f"{stream}/{partition}"


class ReplyFeed:
    """Hands out batches, engine-free."""

    def __init__(
        self, log: Log, positions: Mapping[str, int], stopped: Callable[[], bool], *, follow: bool, most: int = _MOST
    ) -> None:
        self._log = log
        self._parts = [(stream, p) for stream in _STREAMS for p in range(log.partitions(stream))]
        self._next = {part: positions.get(source_of(*part), self._start(part, positions)) for part in self._parts}
        self._stopped = stopped
        self._follow = follow
        self._most = most

    def _start(self, part: tuple[Stream, int], positions: Mapping[str, int]) -> int:
        """Where a source without a position begins; commands from before a home's replies flow heeded any do not count."""
        return self._log.end(*part) if positions and part[0] is Stream.CONTROL else 1

    def take(self) -> ReplyBatch | None:
        """The next batch, or None when nothing waits.

        Raises:
            StopIteration: asked to stop, or (not following) nothing is left.
        """
        if self._stopped():
            raise StopIteration
        chunks = {part: self._log.read(*part, self._next[part], _RECORDS) for part in self._parts}
        if not any(chunks.values()):
            if not self._follow:
                raise StopIteration
            return None
        return self._merged(chunks)

    def _merged(self, chunks: Mapping[tuple[Stream, int], list[Stored]]) -> ReplyBatch:
        """The first records of all chunks, as far as nothing unread may come before them."""
        # A chunk ends where the read did: what follows in its partition is not older than its last record.
        ends = [clock(chunk)[-1] for part, chunk in chunks.items() if chunk and self._goes_on(part, chunk[-1].offset)]
        horizon = min(ends, default=None)
        taken: list[tuple[Stream, Stored]] = []
        for moment, rank, record in heapq.merge(*map(timed, chunks.values(), range(len(chunks)))):
            if (horizon is not None and moment > horizon) or len(taken) >= self._most:
                break
            stream, partition = self._parts[rank]
            self._next[stream, partition] = record.offset + 1
            if _is_wanted(stream, record.value):
                taken.append((stream, record))
        return ReplyBatch(taken, {source_of(*part): position for part, position in self._next.items()})

    def _goes_on(self, part: tuple[Stream, int], last: int) -> bool:
        return self._log.end(*part) > last + 1


def _is_wanted(stream: Stream, raw: bytes) -> bool:
    """Whether a record is one for the flow, told from its bytes."""
    if stream is Stream.EVENTS:
        return _MARK in raw
    return stream is not Stream.CONTROL or is_peoples(raw)
