"""A copy of a lake while it is being written: the catalog by SQLite's backup, the Parquet files that it names by hard links.

Parquet files never change once they are written, and DuckLake lets go of them only some minutes after the snapshot that
named them; so a link (or, on another file system, a copy) of those that the copied catalog names is a whole lake.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from schemas.failures import LakeError
from sinks.attach import lake_folder

CATALOG: Final = "catalog.sqlite"
_TRIES: Final = 5
_NAMED: Final = """
    SELECT s.path, s.path_is_relative, t.path, t.path_is_relative, f.path, f.path_is_relative
    FROM ({}) f JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s ON s.schema_id = t.schema_id"""
_FILES: Final = "SELECT table_id, path, path_is_relative FROM {}"


def copy_database(source: Path, target: Path) -> None:
    """Copies an SQLite file as of one instant, by SQLite's own backup; who writes to it meanwhile does not wait.

    Raises:
        LakeError: it cannot be read.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode=DELETE")  # so that the copy is one file
            writing.commit()
    except sqlite3.Error as error:
        raise LakeError(f"{source} cannot be copied: {error}") from None


def copy_lake(home: Path, target: Path) -> int:
    """Copies the lake of a home into the folder `target` of another; returns the number of Parquet files.

    Raises:
        LakeError: there is no lake, or it could not be copied whole.
    """
    lake = lake_folder(home)
    if not (lake / CATALOG).exists():
        return 0
    missing = ""
    for _ in range(_TRIES):
        (target / CATALOG).unlink(missing_ok=True)
        copy_database(lake / CATALOG, target / CATALOG)
        with closing(sqlite3.connect(target / CATALOG)) as connection:  # those files are not copied
            connection.execute("DELETE FROM ducklake_files_scheduled_for_deletion")
            connection.commit()
        named = _named_files(target / CATALOG)
        found = _first_missing(lake / "data", target / "data", named)
        if found is None:
            (target / "data").mkdir(exist_ok=True)
            return len(named)
        missing = found
    raise LakeError(f"the lake in {home} lost {missing} while it was copied; raise [lake] keep_snapshots_minutes")


def _named_files(catalog: Path) -> set[str]:
    """The Parquet files that a catalog names, from the data folder on."""
    with closing(sqlite3.connect(catalog)) as connection:
        tables = " UNION ALL ".join(_FILES.format(name) for name in ("ducklake_data_file", "ducklake_delete_file"))
        rows = connection.execute(_NAMED.format(tables)).fetchall()
    found = set()
    for schema, schema_is_relative, table, table_is_relative, file, file_is_relative in rows:
        path = Path(file) if not file_is_relative else Path(table or "") / file
        if file_is_relative and table_is_relative and schema_is_relative:
            path = Path(schema or "") / path
        found.add(str(path))
    return found


def _first_missing(source: Path, target: Path, names: set[str]) -> str | None:
    """Links what is not there yet; the name of a file that is gone."""
    for name in sorted(names):
        place = target / name
        if not place.exists():
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                link_or_copy(source / name, place)
            except FileNotFoundError:
                return name
    return None


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system makes none."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        part = target.with_name(target.name + ".part")
        shutil.copyfile(source, part)
        part.rename(target)


def copy_before_upgrade(home: Path, found: int) -> Path:
    """Copies the lake beside itself before its tables change shape; a copy that is there already stays.

    In a process of its own: this one has the catalog open by DuckDB, and two copies of SQLite in one process would undo
    each other's locks (see `sinks.anchor`).

    Raises:
        LakeError: it could not be copied; nothing was changed.
    """
    place = lake_folder(home) / f"of-format-{found}"
    if place.exists():
        return place
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    code = (
        "import sys; from pathlib import Path; from sinks.copying import copy_lake; copy_lake(*map(Path, sys.argv[1:]))"
    )
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", code, str(home), str(part)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise LakeError(f"the lake in {home} is of an older release and could not be copied before its upgrade: {told}")
    part.rename(place)
    return place
