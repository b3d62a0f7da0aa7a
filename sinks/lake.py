"""The lake's writer: one transaction a chunk, with the offsets it came from; so every chunk lands exactly once.

Kill the process at any instant: either the transaction is in the catalog, with the source's position, or nothing is.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from features.columns import FACT_SCHEMA, IDENTITY_VERSION, identities
from schemas.events import Reply
from schemas.failures import DeadLetter, LakeError, LakeTooNew
from sinks.attach import WriterLock, connect, in_one_line, is_set_up
from sinks.commands import PlacedCommand, land_commands
from sinks.copying import copy_before_upgrade
from sinks.derivation import MINUTE_US, derive
from sinks.links import note_orphans
from sinks.rows import READ, Result, dead_rows, insert_dead, insert_replies, put_result, reply_rows, result_rows
from sinks.store import CELL_KEYS, FACT_COLUMNS, LAKE_FORMAT, table_ddl, upgrades
from sinks.views import definitions, view_statements, views_digest

_DERIVE_PAUSE_SECONDS: Final = 10.0
"""While input waits, figures per delivery may lag this long at least: a derivation reads a column of all facts."""


@dataclass(frozen=True)
class Chunk:
    """What one transaction lands.

    `facts` by `FACT_SCHEMA`, without duplicates; `positions` say where each source goes on afterwards.
    """

    positions: Mapping[str, int]
    facts: pa.Table = field(default_factory=FACT_SCHEMA.empty_table)
    replies: Sequence[Reply] = ()
    dead: Sequence[DeadLetter] = ()
    results: Sequence[Result] = ()
    duplicates: int = 0
    commands: Sequence[PlacedCommand] = ()


def _within_days(column: str, days: Sequence[int]) -> str:
    """That an instant lies within the first and the last of some days since 1970."""
    low, high = min(days) * 86_400_000_000, (max(days) + 1) * 86_400_000_000
    return f"{column} >= make_timestamptz({low}) AND {column} < make_timestamptz({high})"


class Lake:
    """The writer of a home's lake; there is at most one, in one thread.

    `derive_share` is the most of the time that figures per delivery may take while more input waits.

    Raises:
        LakeLocked: another process writes.
        LakeTooNew: the lake is of a newer format.
    """

    def __init__(
        self, home: Path, *, memory_limit: str = "300MB", threads: int = 2, derive_share: float = 0.05
    ) -> None:
        self._lock = WriterLock(home)
        self._home = home
        self._seq = self._derived = 0
        self._derive_share = derive_share
        self._threads = threads
        try:
            self._connection = connect(home, read_only=False, memory_limit=memory_limit, threads=threads)
            self._connection.execute("SET preserve_insertion_order = false")
            # The system's own cache of files is enough; DuckDB's second one only makes memory grow with history.
            self._connection.execute("SET enable_external_file_cache = false")
            # A chunk lands on one thread while the next is decoded on another: a second one only adds 40% of CPU.
            self._connection.execute("SET threads = 1")
            self._prepare()
        except BaseException:
            self._lock.release()
            raise
        self._seq, self._derived = self._counters()
        self._derive_seconds = 0.0
        self._derived_at = time.monotonic()

    @property
    def home(self) -> Path:
        """The home that the lake is in."""
        return self._home

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The writer's connection, for upkeep in the same thread."""
        return self._connection

    def positions(self) -> dict[str, int]:
        """Where every known source goes on."""
        rows = self._connection.execute("SELECT source, max(position) FROM store.commits GROUP BY source").fetchall()
        return {str(source): int(position) for source, position in rows}

    def sizes_of_days(self, days: Sequence[int]) -> dict[int, int]:
        """How many facts happened on each of some UTC days (since 1970), where there are any."""
        rows = self._connection.execute(f"""
            SELECT (epoch_us(minute) // 86400000000)::INTEGER AS day, sum(events)::BIGINT FROM store.cells
            WHERE {_within_days("minute", days)} GROUP BY 1""").fetchall()
        return {int(day): int(count) for day, count in rows}

    def facts_of_days(self, days: Sequence[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(days since 1970, identity hashes) of all facts of some neighbouring UTC days."""
        found = self._connection.execute(f"""
            SELECT (epoch_us(occurred_at) // 86400000000)::INTEGER AS day, fact FROM store.facts
            WHERE {_within_days("occurred_at", days)}""").to_arrow_table()
        return found["day"].to_numpy(), found["fact"].to_numpy()

    def known_facts(
        self, days: np.ndarray[Any, np.dtype[np.int32]], hashes: np.ndarray[Any, np.dtype[np.uint64]]
    ) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of some facts (day since 1970, identity hash) the lake holds."""
        self._connection.register("asked", pa.table({"day": days, "fact": hashes, "place": np.arange(len(days))}))
        low, high = int(days.min()) * 86_400_000_000, (int(days.max()) + 1) * 86_400_000_000
        found = self._connection.execute(f"""
            SELECT place FROM asked WHERE (day, fact) IN (
                SELECT ((epoch_us(occurred_at) // 86400000000)::INTEGER, fact) FROM store.facts
                WHERE occurred_at >= make_timestamptz({low}) AND occurred_at < make_timestamptz({high})
                    AND fact IN (SELECT fact FROM asked))""").fetchnumpy()["place"]
        self._connection.unregister("asked")
        known = np.zeros(len(days), np.bool_)
        known[found] = True
        return known

    def land(self, chunk: Chunk, *, more_waits: bool = False) -> None:
        """Writes a chunk in one transaction; figures per delivery follow at once, or soon if more input waits."""
        derives = not more_waits or self._derivation_is_due()
        with self.transaction():
            seq = self._seq + 1
            self._insert(chunk, seq)
            started = time.monotonic()
            is_changed = len(chunk.facts) or any(table == READ for table, _ in chunk.results)
            if derives and (is_changed or self._derived < self._seq):
                self.derive_in_transaction(seq)
        self._seq = seq
        if derives:
            self._after_derivation(seq, started)

    def settle(self) -> None:
        """Brings figures per delivery up to all facts."""
        if self._derived < self._seq:
            started = time.monotonic()
            with self.transaction():
                self.derive_in_transaction(self._seq)
            self._after_derivation(self._seq, started)

    def derive_in_transaction(self, seq: int) -> None:
        """Derives up to commit `seq`, inside an open transaction."""
        self._connection.execute(f"SET threads = {self._threads}")
        derive(self._connection, self._derived)
        self._connection.execute("SET threads = 1")
        self._connection.execute(f"INSERT INTO store.derived VALUES ({seq})")

    def note_orphans_anew(self) -> None:
        """Works out from all facts which of them have to be linked, inside an open transaction."""
        self._connection.execute("DELETE FROM store.orphans")
        self._connection.execute("DELETE FROM store.answers")
        row = self._connection.execute("SELECT count(*) FROM store.facts WHERE delivery_id IS NULL").fetchone()
        if row and row[0]:
            note_orphans(self._connection, "store.facts", self._seq)

    def derive_anew(self) -> None:
        """Throws all derived figures away and derives them from the facts, inside an open transaction."""
        for table in ("cohorts", "send_hours", "corrections", "cells", "derived", "links", "suspects"):
            self._connection.execute(f"DELETE FROM store.{table}")
        self._insert_cells("store.facts")
        self._derived = 0
        self.derive_in_transaction(self._seq)
        self._derived = self._seq

    def run_once(self, name: str, statement: str) -> None:
        """Runs a statement in a transaction that notes its name, so that a crash cannot make it run twice.

        Raises:
            LakeError: the statement failed; nothing was changed.
        """
        if name in self.positions():
            return
        with self.transaction() as connection:
            connection.execute(statement)
            connection.execute("INSERT INTO store.commits VALUES (?, ?, 1, 0, 0, 0, NULL, now())", [self._seq, name])

    def next_seq(self) -> int:
        """The number of the commit that is being made."""
        return self._seq + 1

    def note_commit(self, seq: int) -> None:
        """Counts a commit that changed facts by other means than a chunk, inside an open transaction."""
        self._connection.execute("UPDATE store.commits SET newest = NULL WHERE newest IS NOT NULL")
        self._connection.execute(
            """INSERT INTO store.commits
            SELECT ?, 'lake', ?, 0, 0, 0, (SELECT max(occurred_at) FROM store.facts), now()""",
            [seq, seq],
        )
        self._seq = seq

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One lake transaction: all of it or nothing.

        Raises:
            LakeError: it could not be committed (disk full, catalog locked for long); nothing was written.
        """
        self._connection.execute("BEGIN")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):  # a failed COMMIT has ended the transaction already
                self._connection.execute("ROLLBACK")
            if is_set_up(self._connection):
                self._seq, self._derived = self._counters()
            if isinstance(error, duckdb.Error):
                raise LakeError(f"the lake refused a transaction: {in_one_line(error)}") from error
            raise

    def close(self) -> None:
        """Closes the lake and gives the writer's right back."""
        self._connection.close()
        self._lock.release()

    def _prepare(self) -> None:
        known = {}
        if is_set_up(self._connection):
            known = dict(self._connection.execute("SELECT name, value FROM store.meta").fetchall())
        found = int(known.get("format", LAKE_FORMAT))
        if found > LAKE_FORMAT:
            raise LakeTooNew(
                f"the lake was written by a newer Outpulse (lake format {found}, this release knows {LAKE_FORMAT}); "
                "upgrade Outpulse or use another --home"
            )
        wanted = {"format": str(LAKE_FORMAT), "views": views_digest(), "hash": self._hash_of_today()}
        if known == wanted:
            return
        if known and found < LAKE_FORMAT:
            copy_before_upgrade(self._home, found)
        with self.transaction():
            self._upgrade(found, is_rehashed=known.get("hash", wanted["hash"]) != wanted["hash"])
            # An older release stored what is a view now, and never filled it.
            for name in self._tables() & view_statements().keys():
                self._connection.execute(f"DROP TABLE {name}")
            for statement in definitions():
                self._connection.execute(statement)
            self._connection.execute("DELETE FROM store.meta")
            for name, value in wanted.items():
                self._connection.execute("INSERT INTO store.meta VALUES (?, ?)", [name, value])

    def _upgrade(self, found: int, *, is_rehashed: bool) -> None:
        for statement in (*upgrades(found), *table_ddl()):
            self._connection.execute(statement)
        self._seq, self._derived = self._counters()
        if is_rehashed:
            self._rehash()
        if found < LAKE_FORMAT:
            self.derive_anew()

    def _tables(self) -> set[str]:
        """The stored tables that analysts find."""
        found = self._connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'main'"
        )
        return {str(name) for (name,) in found.fetchall()}

    def _hash_of_today(self) -> str:
        """What DuckDB's `hash` makes of known input; it is fixed within a release only."""
        row = self._connection.execute("SELECT hash('outpulse', NULL::VARCHAR, 'x', 20000::BIGINT)").fetchone()
        return f"{row[0] if row else ''}:{IDENTITY_VERSION}"

    def _rehash(self) -> None:
        """Writes the identity hashes anew after DuckDB's `hash` has changed with an upgrade."""
        sets = ", ".join(f"{name} = {expression}" for name, expression in identities().items())
        self._connection.execute(f"UPDATE store.facts SET {sets}")
        self.note_orphans_anew()

    def _counters(self) -> tuple[int, int]:
        row = self._connection.execute("""
            SELECT (SELECT coalesce(max(seq), 0) FROM store.commits), (SELECT coalesce(max(seq), 0) FROM store.derived)
            """).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _derivation_is_due(self) -> bool:
        share = max(self._derive_share, 0.01)
        pause = max(_DERIVE_PAUSE_SECONDS, self._derive_seconds * (1 / share - 1))
        return time.monotonic() - self._derived_at > pause

    def _after_derivation(self, seq: int, started: float) -> None:
        self._derived = seq
        self._derived_at = time.monotonic()
        self._derive_seconds = self._derived_at - started

    def _insert(self, chunk: Chunk, seq: int) -> None:
        newest = None
        if len(chunk.facts):
            newest = self._insert_facts(chunk.facts, seq)
        self.stage_replies(chunk.replies, seq=seq)
        self.stage_dead(chunk.dead)
        self._put_results(chunk.results, seq)
        land_commands(self._connection, chunk.commands)
        counts = (len(chunk.facts), chunk.duplicates, len(chunk.dead))
        for index, (source, position) in enumerate(chunk.positions.items()):
            self._connection.execute(
                "INSERT INTO store.commits VALUES (?, ?, ?, ?, ?, ?, ?, now())",
                [seq, source, position, *(counts if index == 0 else (0, 0, 0)), newest if index == 0 else None],
            )

    def _insert_facts(self, facts: pa.Table, seq: int) -> Any:  # noqa: ANN401 - an instant as DuckDB gives it
        self._connection.register("landing", facts)
        names = ", ".join(FACT_COLUMNS)
        self._connection.execute(f"INSERT INTO store.facts (seq, {names}) SELECT {seq}, {names} FROM landing")
        if facts["delivery_id"].null_count:
            note_orphans(self._connection, "landing", seq)
        self._insert_cells("landing")
        row = self._connection.execute("SELECT max(occurred_at) FROM landing").fetchone()
        self._connection.unregister("landing")
        return row[0] if row else None

    def _insert_cells(self, source: str) -> None:
        keys = ", ".join(CELL_KEYS)
        self._connection.execute(f"""
            INSERT INTO store.cells (minute, {keys}, events)
            SELECT make_timestamptz(minute * {MINUTE_US}), {keys}, events FROM (
                SELECT epoch_us(occurred_at) // {MINUTE_US} AS minute, {keys}, count(*) AS events
                FROM {source} GROUP BY ALL)""")

    def stage_replies(self, replies: Sequence[Reply], table: str = "store.replies", seq: int = 0) -> None:
        """Writes replies to a table like store.replies, inside an open transaction."""
        self._stage(reply_rows(replies), insert_replies(table, seq))

    def stage_dead(self, dead: Sequence[DeadLetter], table: str = "dead_letters") -> None:
        """Writes dead letters to a table like dead_letters, inside an open transaction."""
        self._stage(dead_rows(dead), insert_dead(table))

    def _put_results(self, results: Sequence[Result], seq: int) -> None:
        for table, rows in result_rows(results).items():
            self._connection.register("landing", rows)
            for statement in put_result(table, seq):
                self._connection.execute(statement)
            self._connection.unregister("landing")

    def _stage(self, rows: pa.Table, statement: str) -> None:
        if len(rows):
            self._connection.register("landing", rows)
            self._connection.execute(statement)
            self._connection.unregister("landing")
