"""The page's way to the lake: one read-only connection a process, one cursor and one snapshot a reading.

All queries of a reading see the same snapshot, so figures on the page agree with each other while the writer goes on.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from schemas.failures import LakeError
from sinks.attach import LAKE, connect, in_one_line, lake_folder

MEMORY_LIMIT: Final = "512MB"
THREADS: Final = 2

Snapshot = tuple[int, int, int]
"""Which lake (device and inode of its catalog), and which snapshot of it."""


class NoLake(LakeError):  # noqa: N818 - reads as the state it names
    """There is nothing to show yet."""


class Reading:
    """Queries on one snapshot of the lake."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def rows(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, times in UTC."""
        return self._cursor.execute(query, values or None).fetchall()

    def arrow(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> pa.Table:
        """All rows of a query as an Arrow table."""
        return self._cursor.execute(query, values or None).to_arrow_table()


class LakeReader:
    """A home's lake, for the threads of one process; connects when needed and again when the lake was replaced."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._catalog: tuple[int, int] | None = None

    def snapshot(self) -> Snapshot:
        """Changes whenever the lake does, and when another lake takes its place; takes a few milliseconds.

        Raises:
            LakeError: as `reading`.
        """
        with self.reading() as reading:
            number = reading.rows(f"SELECT id FROM ducklake_current_snapshot('{LAKE}')")[0][0]
        return (*(self._catalog or (0, 0)), int(number))

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """One snapshot to query; a connection that fails is let go, and the next reading makes another.

        Raises:
            NoLake: there is no lake, or the writer has not made its tables yet.
            LakeError: the lake cannot be read.
        """
        cursor = self._cursor()
        try:
            # A cursor shares the attached lake, but neither `USE` nor settings of the connection it came from.
            cursor.execute(f"SET TimeZone = 'UTC'; USE {LAKE}; BEGIN")
            yield Reading(cursor)
            cursor.execute("COMMIT")
        except duckdb.CatalogException as error:
            is_set_up = self._is_set_up(cursor)
            self._let_go()
            if is_set_up:
                raise LakeError(
                    f"the lake in {self._home} was made by another release; run `outpulse flows` once to bring it up to date"
                ) from error
            raise NoLake(f"the lake in {self._home} has no tables yet") from error
        except duckdb.Error as error:
            self._let_go()
            raise LakeError(f"the lake in {self._home} cannot be read: {in_one_line(error)}") from error
        finally:
            with suppress(duckdb.Error):
                cursor.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            try:
                found = (lake_folder(self._home) / "catalog.sqlite").stat()
            except OSError:
                self._connection = None
                raise NoLake(f"there is no lake in {self._home} yet") from None
            catalog = (found.st_dev, found.st_ino)
            if self._connection is None or catalog != self._catalog:
                self._connection = connect(self._home, read_only=True, memory_limit=MEMORY_LIMIT, threads=THREADS)
                self._catalog = catalog
            return self._connection.cursor()

    @staticmethod
    def _is_set_up(cursor: duckdb.DuckDBPyConnection) -> bool:
        with suppress(duckdb.Error):
            cursor.execute("ROLLBACK")
        with suppress(duckdb.Error):
            return bool(cursor.execute("SELECT count(*) FROM store.commits").fetchone())
        return False

    def _let_go(self) -> None:
        """Forgets the connection; cursors that other threads still use keep it open until they end."""
        with self._lock:
            self._connection = None
