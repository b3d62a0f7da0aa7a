"""The only glue to the engine: log and inbox as Bytewax sources, steps that end a flow as Bytewax sinks.

The `raw` source keeps its position in Bytewax's recovery store: what it repeats after a crash is appended under the same
identities and changes nothing. The inbox takes its positions from the lake, where they were committed together with the
rows they stand for; so recovery state can be lost without losing or repeating anything.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from bytewax.inputs import DynamicSource, FixedPartitionedSource, StatefulSourcePartition, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from eventlog import Log
from flows.normalize import CONSUMER, RawBatch
from schemas.events import Stream
from schemas.failures import OutpulseError

X = TypeVar("X")
"""Type of the items that a sink takes."""

IDLE_SECONDS: Final = 0.05
"""Pause between looks at an empty log: adds half of it to the latency, and costs under 1% of a core."""
_RAW_RECORDS: Final = 256
"""Requests a batch at most: with 1,000 events each, what a lake commit takes well."""


@dataclass
class Ending:
    """How a flow ends: asked to by `stopping`, or by a fault, which who runs the flow raises.

    What Bytewax itself raises it also prints at length, so steps end their flow cleanly.
    """

    stopping: threading.Event
    fault: OutpulseError | None = None

    def fail(self, error: OutpulseError) -> None:
        """Ends the whole flow."""
        self.fault = self.fault or error
        self.stopping.set()

    def guarded(self, call: Callable[[X], None]) -> Callable[[X], None]:
        """The call, which does nothing any more after a fault."""

        def guard(item: X) -> None:
            if self.fault is None:
                try:
                    call(item)
                except OutpulseError as error:
                    self.fail(error)

        return guard


class RawSource(FixedPartitionedSource[RawBatch, int]):
    """The `raw` stream. Ends when asked to, or with `follow` off at the end of the log."""

    def __init__(self, log: Log, ending: Ending, *, follow: bool = True) -> None:
        self._log = log
        self._ending = ending
        self._follow = follow

    def list_parts(self) -> list[str]:
        """One per log partition."""
        return [str(p) for p in range(self._log.partitions(Stream.RAW))]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "_RawPartition":
        """Goes on at the recovered offset, but never behind what has been appended; else at the beginning.

        Bytewax also keeps the position of a flow that ended with a fault, before its last batch was appended.
        """
        del step_id
        offset = min(resume_state or 1, self._log.marked(CONSUMER, Stream.RAW, int(for_part)))
        return _RawPartition(self._log, int(for_part), offset, self._ending, follow=self._follow)


class _RawPartition(StatefulSourcePartition[RawBatch, int]):
    def __init__(self, log: Log, partition: int, offset: int, ending: Ending, *, follow: bool) -> None:
        self._log = log
        self._partition = partition
        self._offset = offset
        self._ending = ending
        self._follow = follow
        self._awake: datetime | None = None

    def next_batch(self) -> list[RawBatch]:
        if self._ending.stopping.is_set():
            raise StopIteration
        try:
            records = self._log.read(Stream.RAW, self._partition, self._offset, _RAW_RECORDS, 8 * 2**20)
        except OutpulseError as error:
            self._ending.fail(error)
            raise StopIteration from None
        if not records:
            if not self._follow:
                raise StopIteration
            self._awake = datetime.now(UTC) + timedelta(seconds=IDLE_SECONDS)
            return []
        self._awake = None
        self._offset = records[-1].offset + 1
        return [RawBatch(self._partition, records)]

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> int:
        return self._offset


class WorkSource(DynamicSource[X], Generic[X]):
    """Micro-batches from `take` (None: nothing now) until it raises StopIteration."""

    def __init__(self, take: Callable[[], X | None]) -> None:
        self._take = take

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_WorkPartition[X]":
        """The first worker reads; a lake has one writer."""
        del step_id, worker_count
        return _WorkPartition(self._take if worker_index == 0 else _nothing)


def _nothing() -> None:
    raise StopIteration


class _WorkPartition(StatelessSourcePartition[X], Generic[X]):
    def __init__(self, take: Callable[[], X | None]) -> None:
        self._take = take
        self._awake: datetime | None = None

    def next_batch(self) -> list[X]:
        work = self._take()
        self._awake = datetime.now(UTC) + timedelta(seconds=IDLE_SECONDS) if work is None else None
        return [] if work is None else [work]

    def next_awake(self) -> datetime | None:
        return self._awake


class CallSink(DynamicSink[X], Generic[X]):
    """Hands every item to a function; what it raises stops the flow."""

    def __init__(self, call: Callable[[X], None]) -> None:
        self._call = call

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_CallPartition[X]":
        """The same function in every worker."""
        del step_id, worker_index, worker_count
        return _CallPartition(self._call)


class _CallPartition(StatelessSinkPartition[X], Generic[X]):
    def __init__(self, call: Callable[[X], None]) -> None:
        self._call = call

    def write_batch(self, items: list[X]) -> None:
        for item in items:
            self._call(item)
