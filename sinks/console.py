"""Statements of people and tools on the lake: read-only, one at a time, with a limit of time and of memory.

Each runs in a child process (`sinks.console_worker`), because DuckDB's own limits do not hold: measured, an interrupt after
3 s was obeyed after 41 s, and a query under `memory_limit = 512MB` took 9.3 GiB (`SELECT unnest(range(...))`). A child that
does not end in time is killed; the next statement gets another.
"""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from schemas.failures import LakeError, QueryStopped
from sinks.attach import lake_folder
from sinks.console_worker import COLUMNS, CUT, END, EXACT, FAILED, HEAD, READY, failure

_GRACE_SECONDS: Final = 1.0
"""How long after its time a statement may take to obey, before its process is killed."""
_START_SECONDS: Final = 20.0
"""A process needs 0.3 s to start, on a busy machine some seconds."""
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
"""What of the environment a worker gets to see: settings and their secrets are no business of it."""


@dataclass(frozen=True)
class Limits:
    """What one statement may take; the memory is DuckDB's, the process may have 768 MiB more."""

    seconds: float = 10.0
    memory_mib: int = 512
    rows: int = 10_000
    bytes: int = 16 * 2**20
    """Of an answer of `Console.run`, as Arrow: 10,000 rows of plain events take 4 MiB."""


@dataclass(frozen=True)
class Answer:
    """`columns` are (name, DuckDB's type); `cut` says that there were more rows than the limit, `too_large` more bytes."""

    columns: list[tuple[str, str]]
    table: pa.Table
    cut: bool
    too_large: bool
    seconds: float


class Running:
    """One statement under way: its columns, then its rows in parts; closing it early kills its process."""

    def __init__(self, console: "Console", worker: "_Worker", request: dict[str, Any]) -> None:
        self._console = console
        self._worker = worker
        self._over = self._cancelled = False
        self.too_large = False
        self.seconds = float(request["seconds"])
        self._deadline = time.monotonic() + self.seconds + _GRACE_SECONDS
        try:
            worker.send(json.dumps(request).encode() + b"\n")
        except BaseException:
            self.close()
            raise

    @cached_property
    def columns(self) -> list[tuple[str, str]]:
        """Name and DuckDB's type of each; waits until the statement has got so far.

        Raises:
            LakeError: as `Console.start`.
        """
        kind, payload = self._frame()
        if kind != COLUMNS:
            raise LakeError(f"a worker answered {kind!r} where columns were due")
        return [(str(name), str(type_)) for name, type_ in json.loads(payload)]

    def parts(self) -> Iterator[pa.Table]:
        """The rows as Arrow tables, after the columns; the first part has none, but the schema.

        Raises:
            QueryStopped: too long or too large.
            LakeError: the statement fails while it runs.
        """
        _ = self.columns
        while True:
            kind, payload = self._frame()
            if kind in {END, CUT}:
                self.too_large = kind == CUT
                self._over = not self.too_large  # what grew large does not give all memory back
                self.close()
                return
            yield pa.ipc.open_stream(payload).read_all()

    def _frame(self) -> tuple[bytes, bytes]:
        try:
            kind, payload = self._worker.frame(self._deadline, self.seconds)
        except QueryStopped:
            if self._cancelled:
                raise QueryStopped("the statement was cancelled") from None
            raise
        if kind == FAILED:
            error = failure(payload)
            self._over = not isinstance(error, QueryStopped)
            self.close()
            raise error
        return kind, payload

    def cancel(self) -> None:
        """Ends the statement from another thread; whoever waits for it gets QueryStopped."""
        worker = self._worker
        if worker is not _GONE:
            self._cancelled = True
            worker.stop()

    def close(self) -> None:
        """Gives the process back, or ends it and the statement."""
        worker, self._worker = self._worker, _GONE
        if worker is not _GONE:
            self._console.give_back(worker, keep=self._over)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One child process."""

    def __init__(self, home: Path, limits: Limits, *, exact: bool) -> None:
        self._limits = limits
        self.catalog = _catalog(home)
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "sinks.console_worker", str(home), str(limits.memory_mib), *[EXACT] * exact],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        kind, payload = self.frame(time.monotonic() + _START_SECONDS, _START_SECONDS)
        if kind != READY:
            self.kill()
            raise failure(payload)

    def send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            raise QueryStopped("the process of the statement has ended; try again") from None

    def frame(self, deadline: float, seconds: float) -> tuple[bytes, bytes]:
        """The next frame.

        Raises:
            QueryStopped: none came in time, or the process died, as it does when it grows too large.
        """
        kind, length = HEAD.unpack(self._bytes(HEAD.size, deadline, seconds))
        return kind, self._bytes(length, deadline, seconds)

    def _bytes(self, wanted: int, deadline: float, seconds: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        pipe, parts = self._process.stdout.fileno(), bytearray()
        while len(parts) < wanted:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                self.kill()
                raise QueryStopped(f"the statement ran longer than {seconds:g} s")
            part = os.read(pipe, min(wanted - len(parts), 1 << 20))
            if not part:
                self.kill()
                raise QueryStopped(f"the statement needs more memory than it may take ({self._limits.memory_mib} MiB)")
            parts += part
        return bytes(parts)

    def stop(self) -> None:
        """Ends the process and leaves its pipes to the thread that reads them."""
        self._process.kill()

    def kill(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        self._process.wait()


_GONE: Final[Any] = object()


class Console:
    """Runs statements on a home's lake, in any thread; at most `most` at the same time, others wait for their turn.

    With `exact`, types that Arrow lacks come as DuckDB's own (`sinks.answers` reads them), else as what is nearest.
    """

    def __init__(self, home: Path, limits: Limits | None = None, *, most: int = 2, exact: bool = False) -> None:
        self._home = home
        self._exact = exact
        self.limits = limits or Limits()
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def start(
        self, query: str, values: Sequence[Any] = (), *, seconds: float | None = None, most_bytes: int | None = None
    ) -> Running:
        """A statement under way; close it. Of more than `most_bytes` only the rows that are within come.

        Raises:
            QueryRefused: it does more than read.
            QueryStopped: it ran too long or grew too large, or no turn came in that time.
            LakeError: there is no lake, or the statement fails.
        """
        allowed = self.limits.seconds if seconds is None else seconds
        if not self._turns.acquire(timeout=allowed + _GRACE_SECONDS):
            raise QueryStopped("other statements are running; try again in a moment")
        try:
            worker = self._worker()
        except BaseException:
            self._turns.release()
            raise
        asked = {"query": query, "values": list(values), "seconds": allowed, "bytes": most_bytes}
        return Running(self, worker, asked)

    def run(self, query: str, values: Sequence[Any] = ()) -> Answer:
        """A statement's answer, at most `limits.rows` rows and `limits.bytes` bytes of it.

        Raises:
            LakeError: as `start`.
        """
        began = time.monotonic()
        with self.start(query, values, most_bytes=self.limits.bytes) as running:
            parts, rows = [], 0
            for part in running.parts():
                parts.append(part)
                rows += part.num_rows
                if rows > self.limits.rows:
                    break
            table = pa.concat_tables(parts).slice(0, self.limits.rows)
            spent = time.monotonic() - began
            return Answer(running.columns, table, rows > self.limits.rows, running.too_large, spent)

    def _worker(self) -> _Worker:
        """An idle process of the lake as it is, or a new one."""
        catalog = _catalog(self._home)
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.catalog == catalog:
                    return worker
                worker.kill()
        return _Worker(self._home, self.limits, exact=self._exact)

    def give_back(self, worker: _Worker, *, keep: bool) -> None:
        """Takes a process back from a statement that is over, or ends it."""
        if keep:
            with self._lock:
                self._idle.append(worker)
        else:
            worker.kill()
        self._turns.release()

    def close(self) -> None:
        """Ends the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _catalog(home: Path) -> tuple[int, int] | None:
    """Which lake it is: another takes its place when a home is made anew."""
    try:
        found = (lake_folder(home) / "catalog.sqlite").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
