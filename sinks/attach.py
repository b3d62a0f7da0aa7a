"""How a process reaches the lake: DuckLake with an SQLite catalog in WAL mode and Parquet files, in `HOME/lake`.

Hierarchy: the catalog (`catalog.sqlite`) lists snapshots; a snapshot lists tables and their Parquet files (`data/`).
Exactly one process writes, held by a file lock; any number read, each query on one snapshot. The extensions come as
wheels of exactly DuckDB's version and are loaded by path with signature checks on: nothing is downloaded.
"""

import fcntl
import importlib.util
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import duckdb

from schemas.failures import HomeError, LakeError, LakeLocked

LAKE: Final = "lake"
_EXTENSIONS: Final = ("sqlite_scanner", "ducklake")


def extension_path(name: str) -> Path:
    """Where the wheel of a DuckDB extension lies.

    Raises:
        LakeError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    places = list(spec.submodule_search_locations or []) if spec else []
    found = [path for place in places for path in Path(place).rglob("*.duckdb_extension")]
    if not found:
        wheel = f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
        raise LakeError(f"the DuckDB extension {name} is not installed; run: pip install {wheel}")
    return found[0]


def lake_folder(home: Path) -> Path:
    """The lake's folder in a home."""
    return home / "lake"


def connect(
    home: Path, *, read_only: bool, memory_limit: str | None = None, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection with the lake attached as `lake` and in use, in UTC.

    Raises:
        HomeError: the folder cannot be made or written.
        LakeError: there is no lake yet (read only), or it cannot be opened.
    """
    folder = lake_folder(home)
    catalog = folder / "catalog.sqlite"
    if read_only and not catalog.exists():
        raise LakeError(f"there is no lake in {home} yet: run `outpulse up`, `outpulse replay FILE` or `outpulse demo`")
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        spill = folder / "spill"
        spill.mkdir(exist_ok=True)
    except OSError as error:
        if not read_only:
            raise HomeError(
                f"the home folder {home} cannot be written: {error.strerror}; choose another with --home"
            ) from None
        spill = Path()
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(spill)}
    if memory_limit:
        config["memory_limit"] = memory_limit
    if threads:
        config["threads"] = threads
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'")
    for name in _EXTENSIONS:
        connection.execute(f"LOAD {_literal(str(extension_path(name)))}")
    # Else a scan of the catalog opens connections of its own, outside the transaction: beside a commit that replaces
    # files, 3 of 4,700 reads found a table empty.
    connection.execute("SET GLOBAL sqlite_disable_multithreaded_scans = true")
    options = [f"DATA_PATH {_literal(str(folder / 'data'))}", "OVERRIDE_DATA_PATH true", "DATA_INLINING_ROW_LIMIT 0"]
    options.append("READ_ONLY" if read_only else "META_JOURNAL_MODE 'WAL'")
    try:
        connection.execute(f"ATTACH {_literal(f'ducklake:sqlite:{catalog}')} AS {LAKE} ({', '.join(options)})")
        connection.execute(f"USE {LAKE}")
        ready = not read_only or is_set_up(connection)
    except duckdb.Error as error:
        connection.close()
        raise LakeError(f"the lake in {folder} cannot be opened: {in_one_line(error)}") from None
    if not ready:
        connection.close()
        raise LakeError(f"the lake in {home} is still being set up; try again in a moment")
    return connection


def is_set_up(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the lake has its tables: a process killed while it made them leaves a catalog without."""
    found = connection.execute(
        f"SELECT count(*) FROM duckdb_tables() WHERE database_name = '{LAKE}' AND schema_name = 'store'"
        " AND table_name = 'meta'"
    ).fetchone()
    return found == (1,)


def in_one_line(error: duckdb.Error) -> str:
    """What DuckDB says, causes included, without the lines that repeat the statement."""
    lines = str(error).split("\nLINE ")[0].splitlines()
    return " ".join(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class WriterLock:
    """The right to write to a home's lake: an advisory lock that ends with its process, however that ends.

    Raises:
        LakeLocked: another process holds it; the message names its pid.
        HomeError: the folder cannot be written.
    """

    def __init__(self, home: Path) -> None:
        path = lake_folder(home) / "writer.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise HomeError(
                f"the home folder {home} cannot be written: {error.strerror}; choose another with --home"
            ) from None
        if not self._taken():
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise LakeLocked(
                f"another process (pid {holder or 'unknown'}) writes to the lake in {home}; stop it or use another --home"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def _taken(self) -> bool:
        """Takes the lock; tries for a moment, since a look at who writes (`writer_pid`) holds it for one too."""
        for _ in range(10):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.03)
            else:
                return True
        return False

    def release(self) -> None:
        """Gives the right back; harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def writer_pid(home: Path) -> int | None:
    """The pid of the process that writes to the lake now, or None."""
    path = lake_folder(home) / "writer.lock"
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else -1
    finally:
        os.close(file)
    return None
