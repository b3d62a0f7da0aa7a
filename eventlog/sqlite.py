"""The embedded log: one SQLite file per stream and partition, WAL, every append synced before it returns.

One file per stream keeps appenders of one stream from waiting for those of another, and lets retention delete in one
place. Offsets are row ids, handed out inside the write transaction: they ascend in commit order, so a reader that has
seen offset N never misses one below it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import xxhash

from eventlog import MAX_READ_BYTES, Record, Stored
from eventlog.erasing import erase_unused, truncate_wal
from schemas.events import Stream
from schemas.failures import LogError

_BUSY_SECONDS: Final = 30.0
_SLICE: Final = 5_000
_PAGE_RECORDS: Final = 2_048
"""More records than eight pages of 4 KiB hold: where retention ended, neighbours lend each other records."""
_WHOLE: Final = frozenset({Stream.CONTROL, Stream.FEEDBACK})
"""Streams that are never split: what holds of them hangs on the order of all their records."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    offset INTEGER PRIMARY KEY,
    key BLOB,
    appended_ms INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS records_key ON records (key) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS progress (consumer TEXT PRIMARY KEY, offset INTEGER NOT NULL);
"""
_INSERT: Final = "INSERT INTO records (key, appended_ms, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteLog:
    """A log in a folder; safe for threads and for several processes at once.

    `partitions` counts for streams that are new; an existing stream keeps the number it was made with.
    """

    def __init__(self, folder: Path, partitions: int = 1) -> None:
        self._folder = folder
        self._partitions = max(1, partitions)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"the log folder {folder} cannot be made: {error.strerror}; check [--home]") from None

    def append(self, stream: str, records: Sequence[Record]) -> list[int]:
        """Appends all records, each partition in one synced transaction; see `eventlog.Log`."""
        count = self.partitions(stream)
        if count == 1:
            return self._append_to(stream, 0, records)
        routes = [_partition_of(record, count) for record in records]
        offsets = [0] * len(records)
        for partition in sorted(set(routes)):
            chosen = [i for i, route in enumerate(routes) if route == partition]
            for i, offset in zip(chosen, self._append_to(stream, partition, [records[i] for i in chosen]), strict=True):
                offsets[i] = offset
        return offsets

    def _append_to(self, stream: str, partition: int, records: Sequence[Record]) -> list[int]:
        if not records:
            return []
        now_ms = time.time_ns() // 1_000_000
        with _as_log_error(f"cannot append to the {stream} log in {self._folder}"):
            connection = self._connection(stream, partition)
            connection.execute("BEGIN IMMEDIATE")
            try:
                before, changes = _last(connection), connection.total_changes
                connection.executemany(_INSERT, [(r.key, now_ms, r.value) for r in records])
                if connection.total_changes - changes == len(records):  # the usual case: no key was known
                    offsets = list(range(before + 1, before + len(records) + 1))
                else:
                    offsets = self._offsets_of(connection, records, before)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return offsets

    @staticmethod
    def _offsets_of(connection: sqlite3.Connection, records: Sequence[Record], before: int) -> list[int]:
        """Offsets where some keys were known: by key, keyless records in the order they were inserted."""
        rows = connection.execute("SELECT offset FROM records WHERE offset > ? AND key IS NULL ORDER BY 1", (before,))
        keyless = iter([row[0] for row in rows])
        find = "SELECT offset FROM records WHERE key = ?"
        return [next(keyless) if r.key is None else connection.execute(find, (r.key,)).fetchone()[0] for r in records]

    def read(
        self, stream: str, partition: int, from_offset: int, limit: int, max_bytes: int = MAX_READ_BYTES
    ) -> list[Stored]:
        """Records from an offset on, in order; see `eventlog.Log`."""
        query = "SELECT offset, value, appended_ms FROM records WHERE offset >= ? ORDER BY offset LIMIT ?"
        with _as_log_error(f"cannot read the {stream} log in {self._folder}"):
            found: list[Stored] = []
            size = 0
            for row in self._connection(stream, partition).execute(query, (from_offset, limit)):
                found.append(Stored(*row))
                size += len(row[1])
                if size > max_bytes:
                    break
        return found

    def end(self, stream: str, partition: int) -> int:
        """One past the newest offset; see `eventlog.Log`."""
        with _as_log_error(f"cannot read the {stream} log in {self._folder}"):
            return _last(self._connection(stream, partition)) + 1

    def partitions(self, stream: str) -> int:
        """How many files the stream has, or will have when first written."""
        known = self._counts.get(stream)
        if known is None:
            found = [int(path.stem.rsplit("-", 1)[1]) for path in self._folder.glob(f"{stream}-*.sqlite")]
            known = max(found) + 1 if found else 1 if stream in _WHOLE else self._partitions
            with _as_log_error(f"cannot open the {stream} log in {self._folder}"):
                for partition in reversed(range(known)):  # the highest first: who looks meanwhile counts all
                    self._connection(stream, partition)
            self._counts[stream] = known
        return known

    def mark(self, consumer: str, stream: str, partition: int, offset: int) -> None:
        """Notes a consumer's progress beside its stream; see `eventlog.Log`."""
        with _as_log_error(f"cannot note progress in {self._folder}"):
            self._connection(stream, partition).execute(
                "INSERT INTO progress VALUES (?, ?) ON CONFLICT (consumer) DO UPDATE SET offset = excluded.offset",
                (consumer, offset),
            )

    def marked(self, consumer: str, stream: str, partition: int) -> int:
        """A consumer's progress; see `eventlog.Log`."""
        with _as_log_error(f"cannot read progress in {self._folder}"):
            query = "SELECT offset FROM progress WHERE consumer = ?"
            row = self._connection(stream, partition).execute(query, (consumer,)).fetchone()
        return int(row[0]) if row else 1

    def expire(self, stream: str, partition: int, older_than_ms: int, below_offset: int | None = None) -> int:
        """Drops what was appended before the instant, but never the newest: its offset must not be handed out again."""
        with _as_log_error(f"cannot expire the {stream} log in {self._folder}"):
            connection = self._connection(stream, partition)
            below = _last(connection) if below_offset is None else min(below_offset, _last(connection))
            dropped = 0
            while dropped_now := _drop_slice(connection, older_than_ms, below):
                dropped += dropped_now
            return dropped

    def rewrite(self, stream: str, partition: int, change: Callable[[Stored], bytes | None]) -> int:
        """Erases in place, some thousand records a transaction; see `eventlog.Log`."""
        changed, offset = 0, 1
        while records := self.read(stream, partition, offset, _SLICE):
            offset = records[-1].offset + 1
            made = [(value, record.offset) for record in records if (value := change(record)) is not None]
            changed += len(made)
            if made:
                with self._erasing(stream, partition) as connection:
                    connection.executemany("UPDATE records SET value = ? WHERE offset = ?", made)
        with self._erasing(stream, partition) as connection:  # the oldest pages still have what was dropped before them
            oldest = connection.execute("SELECT * FROM records ORDER BY offset LIMIT ?", (_PAGE_RECORDS,)).fetchall()
            connection.executemany("DELETE FROM records WHERE offset = ?", [row[:1] for row in oldest])
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", oldest)
        with _as_log_error(f"cannot erase from the {stream} log in {self._folder}"):
            erase_unused(connection)
            is_cut = truncate_wal(connection)
        if not is_cut:
            raise LogError(f"readers hold on to the {stream} log in {self._folder}, so old bytes are left; call again")
        return changed

    @contextmanager
    def _erasing(self, stream: str, partition: int) -> Iterator[sqlite3.Connection]:
        """A transaction in which what is replaced or deleted becomes zeros in the file."""
        with _as_log_error(f"cannot erase from the {stream} log in {self._folder}"):
            connection = self._connection(stream, partition)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes every connection that any thread opened."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _connection(self, stream: str, partition: int) -> sqlite3.Connection:
        cache: dict[tuple[str, int], _Opened] | None = getattr(self._local, "connections", None)
        if cache is None:
            cache = self._local.connections = {}
        opened = cache.get((stream, partition))
        if opened is None:
            path = str(self._folder / f"{stream}-{partition}.sqlite")
            opened = cache[stream, partition] = _Opened(_open(Path(path)), path, _inode(path))
            with self._lock:
                self._opened.append(opened.connection)
        elif _inode(opened.path) != opened.inode:
            # Who goes on with the old one would append what nobody reads, and never see what others append.
            raise LogError(f"{opened.path} was removed or replaced while in use; start this process again")
        return opened.connection


class _Opened(NamedTuple):
    connection: sqlite3.Connection
    path: str
    inode: int


def _inode(path: str) -> int:
    """What tells a file from another at the same place; 0 where there is none. It takes a microsecond or two."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - Path.stat costs twice as much
    except OSError:
        return 0


def _open(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode; SQLite does not wait when two processes switch a new file to it at once, so this does."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous=FULL")  # in WAL mode: every commit is on disk before it returns
    connection.execute("PRAGMA secure_delete=ON")  # what retention drops is gone, whatever SQLite was built with
    connection.executescript(_SCHEMA)
    return connection


def _drop_slice(connection: sqlite3.Connection, older_than_ms: int, below: int) -> int:
    """Drops the oldest records, some thousand at a time: who appends never waits for a long deletion."""
    oldest = "SELECT offset, appended_ms FROM records WHERE offset < ? ORDER BY offset LIMIT ?"
    old = []
    for offset, appended_ms in connection.execute(oldest, (below, _SLICE)):
        if appended_ms >= older_than_ms:
            break
        old.append(offset)
    if old:
        connection.execute("DELETE FROM records WHERE offset <= ?", (old[-1],))
    return len(old)


def _last(connection: sqlite3.Connection) -> int:
    """The newest offset; 0 before the first."""
    row = connection.execute("SELECT max(offset) FROM records").fetchone()
    return int(row[0] or 0)


def _partition_of(record: Record, count: int) -> int:
    return xxhash.xxh3_64_intdigest(record.key if record.key is not None else record.value) % count


@contextmanager
def _as_log_error(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LogError(f"{what}: {error}") from None
