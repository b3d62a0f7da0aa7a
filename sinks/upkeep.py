"""Keeps the lake fast to read: small files merged, signed rows summed up, old snapshots and their files let go.

Thousands of small commits make thousands of small files (1,000 of them take 137 ms to read, one takes 6). Merging goes
by sizes, like a tree of sorted runs, so that a row is rewritten a few times in its life and never once a minute.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import duckdb

from features.deliveries import COHORT_KEYS, COUNTS, HOUR_COUNTS, HOUR_KEYS
from schemas.failures import LakeError
from sinks.attach import in_one_line
from sinks.lake import Lake
from sinks.store import CELL_KEYS, METRIC_DIMENSIONS

_TIERS: Final = ((2**19, 8), (2**22, 8))
"""(files below this many bytes are small, merge when as many of them lie in a row). Larger ones wait for `full`: a merge
holds the writer up, 32 MB of facts for some 1.5 s."""
_FULL_TIERS: Final = ((2**22, 2), (2**25, 4))
_MOST_BYTES: Final = 128 * 2**20
_ADJACENT: Final = {
    "store.facts": "seq",
    "store.replies": "seq",
    "store.answers": "seq",
    "store.readings": "seq",
    "store.links": "rowid",
    "store.suspects": "rowid",
    "main.dead_letters": "rowid",
    "main.data_quality": "rowid",
}
"""Tables whose files follow one another, and by what."""
_QUALITY_SECONDS: Final = 3600.0
"""Outcomes of checks come hourly; a look for old ones reads the whole table."""
_STILL_FILLING: Final = timedelta(minutes=2)
_FIRST_LOOK: Final = timedelta(hours=1)
_SUMMED: Final = {
    "cells": ("minute", *CELL_KEYS),
    "cohorts": ("metric_date", *COHORT_KEYS),
    "send_hours": ("sent_hour", *HOUR_KEYS),
    "corrections": ("occurred_at", *METRIC_DIMENSIONS, "kind", "bounce_class", "is_machine"),
}
_COUNTED: Final = {
    "cells": ("events",),
    "cohorts": tuple(COUNTS),
    "send_hours": tuple(HOUR_COUNTS),
    "corrections": ("events",),
}


_SCHEDULED: Final = "__ducklake_metadata_lake.ducklake_files_scheduled_for_deletion"


class _File(NamedTuple):
    """A Parquet file and the commits (or row ids) whose rows it holds."""

    table: str
    size: int
    low: int
    high: int


def _runs(files: Sequence[_File], limit: int, count: int) -> Iterator[tuple[int, int]]:
    """(lowest, highest commit) of each run of at least `count` neighbours below `limit` bytes, at most 128 MiB long."""
    run: list[_File] = []
    for file in [*files, _File("", limit, 0, 0)]:
        fits = file.size < limit and sum(f.size for f in run) + file.size <= _MOST_BYTES
        if fits and (not run or file.low > run[-1].high):
            run.append(file)
            continue
        if len(run) >= count:
            yield run[0].low, run[-1].high
        run = [file] if file.size < limit else []


@dataclass
class Upkeep:
    """Upkeep of one lake, by its writer, between chunks.

    `keep_minutes` is how long a reader may hold a snapshot before its files go, `quality_days` how long outcomes of checks stay.
    """

    lake: Lake
    keep_minutes: float = 10.0
    quality_days: float = 90.0

    def __post_init__(self) -> None:
        self._quality_at = float("-inf")
        self._summed_at: dict[str, int] = {}
        self._cells_until: datetime | None = None

    def small(self) -> None:
        """One round of what is due."""
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """One round of what is due, step by step: what waits in the log may be landed between two of them.

        A step takes a quarter of a second at most under 1,000 events a second; a whole round takes 1.2.
        """
        yield from self._merge_small(_TIERS)
        self._fold_commits(at_rows=500)
        yield
        for table in ("cohorts", "send_hours", "corrections"):
            self._sum_up(table, at_growth=2.0)
            yield
        self._sum_up_recent_cells()
        yield
        if time.monotonic() - self._quality_at >= _QUALITY_SECONDS:
            self._expire_quality()
        self._expire(datetime.now(UTC) - timedelta(minutes=self.keep_minutes))

    def full(self) -> None:
        """Everything at once: `outpulse maintain`."""
        self.lake.settle()
        for _ in self._merge_small(_FULL_TIERS):
            pass
        self._fold_commits(at_rows=2)
        for table in _SUMMED:
            self._sum_up(table, at_growth=1.0)
        self._expire_quality()
        self._expire(datetime.now(UTC) - timedelta(minutes=self.keep_minutes))
        # What a transaction wrote that a crash cut off belongs to no snapshot; a day is longer than any transaction.
        day_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        self.lake.connection.execute(
            f"CALL ducklake_delete_orphaned_files('lake', older_than => TIMESTAMPTZ '{day_ago}')"
        )

    def _files(self) -> list[_File]:
        """Data files of the current snapshot that hold rows by `seq`, or by row id where there is none."""
        meta = "__ducklake_metadata_lake"
        rows = self.lake.connection.execute(f"""
            SELECT s.schema_name || '.' || t.table_name, f.file_size_bytes,
                coalesce(v.min_value::BIGINT, f.row_id_start) AS low,
                coalesce(v.max_value::BIGINT, f.row_id_start + f.record_count - 1) AS high
            FROM {meta}.ducklake_data_file f
            JOIN {meta}.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
            JOIN {meta}.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
            LEFT JOIN {meta}.ducklake_column c ON c.table_id = t.table_id AND c.end_snapshot IS NULL
                AND c.column_name = 'seq'
            LEFT JOIN {meta}.ducklake_file_column_stats v ON v.data_file_id = f.data_file_id AND v.column_id = c.column_id
            WHERE f.end_snapshot IS NULL ORDER BY low, high""").fetchall()
        return [_File(*row) for row in rows]

    def _merge_small(self, tiers: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Writes runs of small files anew as one file each, a run a step.

        By plain DML: it leaves what a reader on an older snapshot sees as it was, and one run of it is bounded.
        """
        for table in _ADJACENT:
            files = [file for file in self._files() if file.table == table]
            for limit, count in tiers:
                for low, high in _runs(files, limit, count):
                    self._rewrite(table, low, high)
                    yield

    def _rewrite(self, table: str, low: int, high: int) -> None:
        run = self.lake.connection.execute
        chosen = f"{_ADJACENT[table]} BETWEEN {low} AND {high}"
        with self.lake.transaction():
            run(f"CREATE OR REPLACE TEMP TABLE merged AS SELECT * FROM {table} WHERE {chosen}")
            run(f"DELETE FROM {table} WHERE {chosen}")
            run(f"INSERT INTO {table} SELECT * FROM merged")
        run("DROP TABLE temp.merged")

    def _fold_commits(self, at_rows: int) -> None:
        """Keeps one row a source of what was committed, once there are many."""
        run = self.lake.connection.execute
        row = run("SELECT count(*), count(DISTINCT source) FROM store.commits").fetchone()
        if not row or row[0] < at_rows + 2 * row[1]:
            return
        with self.lake.transaction():
            run("""CREATE OR REPLACE TEMP TABLE folded AS
                SELECT max(seq) AS seq, source, max(position) AS position, sum(events)::BIGINT AS events,
                    sum(duplicates)::BIGINT AS duplicates, sum(dead_letters)::BIGINT AS dead_letters,
                    max(newest) AS newest, max(landed_at) AS landed_at
                FROM store.commits
                WHERE source NOT LIKE 'job/%' OR landed_at > now() - INTERVAL 1 DAY GROUP BY source""")
            run("DELETE FROM store.commits")
            run("INSERT INTO store.commits BY NAME SELECT * FROM folded")
            run("CREATE OR REPLACE TEMP TABLE folded AS SELECT max(seq) AS seq FROM store.derived")
            run("DELETE FROM store.derived")
            run("INSERT INTO store.derived SELECT seq FROM folded WHERE seq IS NOT NULL")

    def _sum_up(self, table: str, at_growth: float) -> None:
        """Adds signed rows of equal keys together, when the table has grown that much since the last time."""
        run = self.lake.connection.execute
        row = run(f"SELECT count(*) FROM store.{table}").fetchone()
        rows = int(row[0]) if row else 0
        if rows < max(10_000 if at_growth > 1 else 1, self._summed_at.get(table, 0) * at_growth):
            return
        keys = ", ".join(_SUMMED[table])
        sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in _COUNTED[table])
        kept = " OR ".join(f"sum({name}) <> 0" for name in _COUNTED[table])
        with self.lake.transaction():
            run(f"""CREATE OR REPLACE TEMP TABLE folded AS
                SELECT {keys}, {sums} FROM store.{table} GROUP BY ALL HAVING {kept} ORDER BY ALL""")
            run(f"DELETE FROM store.{table}")
            run(f"INSERT INTO store.{table} BY NAME SELECT * FROM folded")
        left = run("SELECT count(*) FROM folded").fetchone()
        self._summed_at[table] = int(left[0]) if left else 0
        run("DROP TABLE temp.folded")

    def _sum_up_recent_cells(self) -> None:
        """Adds up the minutes since the last round: a minute under load has a row a commit and key.

        Rows that late events add to older minutes stay apart until `full`.
        """
        run = self.lake.connection.execute
        row = run("SELECT max(minute) FROM store.cells").fetchone()
        if not row or row[0] is None:
            return
        until = row[0] - _STILL_FILLING
        since = self._cells_until or until - _FIRST_LOOK
        if until <= since:
            return
        keys = ", ".join(_SUMMED["cells"])
        range_ = f"minute >= TIMESTAMPTZ '{since.isoformat()}' AND minute < TIMESTAMPTZ '{until.isoformat()}'"
        counts = run(f"SELECT count(*), count(DISTINCT ({keys})) FROM store.cells WHERE {range_}").fetchone()
        if counts and counts[0] > 2 * counts[1]:
            with self.lake.transaction():
                run(f"""CREATE OR REPLACE TEMP TABLE folded AS
                    SELECT {keys}, sum(events)::BIGINT AS events FROM store.cells WHERE {range_}
                    GROUP BY ALL HAVING sum(events) <> 0""")
                run(f"DELETE FROM store.cells WHERE {range_}")
                run("INSERT INTO store.cells BY NAME SELECT * FROM folded")
            run("DROP TABLE temp.folded")
        self._cells_until = until

    def _expire_quality(self) -> None:
        """Lets go of outcomes of checks that are older than is set."""
        self._quality_at = time.monotonic()
        cut = (datetime.now(UTC) - timedelta(days=self.quality_days)).isoformat()
        old = f"FROM data_quality WHERE run_at < TIMESTAMPTZ '{cut}'"
        found = self.lake.connection.execute(f"SELECT count(*) {old}").fetchone()
        if found and found[0]:
            with self.lake.transaction():
                self.lake.connection.execute(f"DELETE {old}")

    def _expire(self, older_than: datetime) -> None:
        """Lets go of snapshots, then of files that only expired snapshots had, after the same time again."""
        try:
            self._expire_snapshots(older_than)
        except duckdb.Error as error:
            raise LakeError(f"old snapshots cannot be let go: {in_one_line(error)}") from error

    def _expire_snapshots(self, older_than: datetime) -> None:
        run = self.lake.connection.execute
        # DuckLake compares times of a SQLite catalog as texts, its own ("2026-11-26 09:…") before those it is given
        # ("2026-11-26T09:…"): by `older_than` all snapshots of the day would go, under whoever reads them.
        found = run(
            """SELECT snapshot_id FROM ducklake_snapshots('lake')
            WHERE snapshot_time < ? AND snapshot_id < (SELECT id FROM ducklake_current_snapshot('lake'))""",
            [older_than],
        ).fetchall()
        if found:
            run(f"CALL ducklake_expire_snapshots('lake', versions => {[number for (number,) in found]})")
        run(
            f"UPDATE {_SCHEDULED} SET schedule_start = replace(schedule_start, ' ', 'T') WHERE schedule_start LIKE '% %'"
        )
        run(f"CALL ducklake_cleanup_old_files('lake', older_than => TIMESTAMPTZ '{older_than.isoformat()}')")
