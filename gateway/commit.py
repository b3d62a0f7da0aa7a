"""Group commit: all that waits for a stream is appended with one `Log.append`, so one disk sync serves many requests.

One thread drains a bounded queue. While it waits for the disk, the next group gathers; a lone request waits for nobody.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from eventlog import Log, Record
from schemas.failures import LogError

MAX_WAITING_BYTES: Final = 256 * 2**20
"""Request bodies that may wait for the disk; beyond it new ones are answered 503."""
MAX_WAITING: Final = 20_000
"""Submissions that may wait for the disk."""
_GROUP_BYTES: Final = 64 * 2**20
"""Roughly how much goes into one append, so that the first of a long queue need not wait for the last."""

Prepare = Callable[[], Sequence[Record]]
"""Makes the records of one submission, in the writer's thread: there compression does not hold up other requests."""
Outcome = list[int] | LogError
"""Offsets, or why there are none."""


class Busy(LogError):  # noqa: N818 - reads as the state it names
    """More waits for the disk than may wait; nothing was taken in."""


class _Waiting(msgspec.Struct):
    stream: str
    prepare: Prepare
    size: int
    future: asyncio.Future[list[int]]


class GroupCommit:
    """Appends for many callers at once; `observe(stream, seconds, records, failed)` hears of every append."""

    def __init__(
        self,
        log: Log,
        *,
        observe: Callable[[str, float, int, bool], None] | None = None,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._log = log
        self._observe = observe or (lambda *_: None)
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """Submissions whose records are not on disk yet."""
        return self._waiting

    async def append(self, stream: str, prepare: Prepare, size: int) -> list[int]:
        """Offsets of the records that `prepare` makes, once they are on disk; `size` is roughly their bytes.

        A caller that stops waiting does not take its records back.

        Raises:
            Busy: too much is waiting already.
            LogError: nothing of this submission was appended.
        """
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._submit(_Waiting(stream, prepare, size, future))
        return await future

    def _submit(self, item: _Waiting) -> None:
        with self._changed:
            if self._closing:
                raise Busy("the gateway is stopping")
            if self._waiting and (
                self._waiting >= self._max_waiting or self._waiting_bytes + item.size > self._max_waiting_bytes
            ):
                raise Busy(f"{self._waiting} requests wait for the log already")
            self._waiting += 1
            self._waiting_bytes += item.size
            self._queue.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Appends what still waits, then ends the thread; later submissions are refused as busy."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                group = self._take()
            if not group:
                return
            self._append_group(group)

    def _take(self) -> list[_Waiting]:
        """What waits, in order, up to the size of one group."""
        group: list[_Waiting] = []
        size = 0
        while self._queue and size < _GROUP_BYTES:
            group.append(self._queue.popleft())
            size += group[-1].size
        return group

    def _append_group(self, group: list[_Waiting]) -> None:
        streams: dict[str, list[_Waiting]] = {}
        for item in group:
            streams.setdefault(item.stream, []).append(item)
        outcomes: list[tuple[_Waiting, Outcome]] = []
        for stream, items in streams.items():
            outcomes += self._append_stream(stream, items)
        with self._changed:
            self._waiting -= len(group)
            self._waiting_bytes -= sum(item.size for item in group)
        _tell(outcomes)

    def _append_stream(self, stream: str, items: list[_Waiting]) -> list[tuple[_Waiting, Outcome]]:
        made, outcomes = _make(stream, items)
        records = [record for _, own in made for record in own]
        offsets = self._append(stream, records) if records else []
        at = 0
        for item, own in made:
            outcomes.append((item, offsets if isinstance(offsets, LogError) else offsets[at : at + len(own)]))
            at += len(own)
        return outcomes

    def _append(self, stream: str, records: list[Record]) -> Outcome:
        started = time.perf_counter()
        outcome: Outcome
        try:
            outcome = self._log.append(stream, records)
        except LogError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the thread must live on, and the callers must hear
            outcome = LogError(f"cannot append to {stream}: {type(error).__name__}: {error}")
        self._observe(stream, time.perf_counter() - started, len(records), isinstance(outcome, LogError))
        return outcome


def _make(
    stream: str, items: list[_Waiting]
) -> tuple[list[tuple[_Waiting, Sequence[Record]]], list[tuple[_Waiting, Outcome]]]:
    """The records of each submission, and those that cannot be made: one of them must not hurt the others."""
    made: list[tuple[_Waiting, Sequence[Record]]] = []
    failed: list[tuple[_Waiting, Outcome]] = []
    for item in items:
        try:
            made.append((item, item.prepare()))
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller hears of it
            failed.append((item, LogError(f"a record of {stream} cannot be made: {type(error).__name__}")))
    return made, failed


def _tell(outcomes: list[tuple[_Waiting, Outcome]]) -> None:
    """Settles all with one wake-up of each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Outcome]]] = {}
    for item, outcome in outcomes:
        loops.setdefault(item.future.get_loop(), []).append((item, outcome))
    for loop, settled in loops.items():
        # A loop that is gone took those who waited with it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, settled)


def _settle(outcomes: list[tuple[_Waiting, Outcome]]) -> None:
    for item, outcome in outcomes:
        if item.future.done():  # the caller went away
            continue
        if isinstance(outcome, LogError):
            item.future.set_exception(outcome)
        else:
            item.future.set_result(outcome)
