"""What waits to be landed: streams of the log, and files that somebody asked to replay. Engine-free.

`take` hands out the next micro-batch or nothing. Batches are small when little waits (one each `pause_seconds`) and as
large as `limit` when much does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from eventlog import Log, Stored
from flows.work import Work
from schemas.events import Stream

LANDED_STREAMS: Final = (Stream.EVENTS, Stream.REPLIES, Stream.DEADLETTER, Stream.RESULTS, Stream.CONTROL)
_BUSY_EVENTS: Final = 4_000
"""With as many waiting a batch is taken at once: a commit's fixed cost is then under a tenth of its work."""


def source_name(stream: str, partition: int) -> str:
    """The name of a log partition among the lake's sources."""
    return f"log/{stream}/{partition}"


class LogInbox:
    """The log's landed streams (or only `streams`) from given positions on, merged into one micro-batch a time."""

    def __init__(
        self,
        log: Log,
        positions: Mapping[str, int],
        *,
        pause_seconds: float = 0.4,
        limit: int = 131_072,
        clock: Callable[[], float] = time.monotonic,
        streams: Sequence[Stream] = LANDED_STREAMS,
    ) -> None:
        self._log = log
        self._parts = [(stream, p) for stream in streams for p in range(log.partitions(stream))]
        self._next = {source_name(*part): positions.get(source_name(*part), 1) for part in self._parts}
        self._pause_seconds = pause_seconds
        self._limit = limit
        self._clock = clock
        self._taken_at = float("-inf")

    def waiting(self) -> int:
        """About how many records wait."""
        return sum(max(0, self._log.end(*part) - self._next[source_name(*part)]) for part in self._parts)

    def take(self, *, at_once: bool = False) -> Work | None:
        """The next micro-batch, or None when nothing waits or it is too early for a small one."""
        waiting = self.waiting()
        if not waiting:
            return None
        now = self._clock()
        if not at_once and waiting < _BUSY_EVENTS and now - self._taken_at < self._pause_seconds:
            return None
        self._taken_at = now
        found = {part: self._read(part) for part in self._parts}
        cursors = {source_name(*part): self._next[source_name(*part)] for part, records in found.items() if records}
        if not cursors:
            return None
        events = [(part, record) for part, records in found.items() if part[0] == Stream.EVENTS for record in records]
        return Work(
            source="log/events",
            cursors=cursors,
            lines=pa.array([record.value for _, record in events], pa.binary()),
            at=np.array([(part[1] << 48) + record.offset for part, record in events], np.int64),
            replies=self._values(found, Stream.REPLIES),
            dead=self._values(found, Stream.DEADLETTER),
            results=self._values(found, Stream.RESULTS),
            control=[(r.offset, r.value) for part, rs in found.items() if part[0] == Stream.CONTROL for r in rs],
            logged=True,
            more_waits=self.waiting() >= _BUSY_EVENTS,
        )

    def _read(self, part: tuple[Stream, int]) -> list[Stored]:
        name = source_name(*part)
        records = self._log.read(*part, self._next[name], self._limit)
        if records:
            self._next[name] = records[-1].offset + 1
        return records

    @staticmethod
    def _values(found: Mapping[tuple[Stream, int], list[Stored]], stream: Stream) -> list[bytes]:
        return [record.value for part, records in found.items() if part[0] == stream for record in records]
