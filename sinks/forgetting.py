"""Takes a person out of the lake: rows first, in one transaction; then the files and the catalog that still hold the bytes.

Figures stay: kinds, times, campaigns, domains and readings are not touched, and the hashes that tie facts to deliveries are
made anew from the other names everywhere at once. A Parquet file is never changed, so files with rows that were changed are
written anew, and all snapshots but the newest go with the files that only they name.
"""

import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import duckdb
import msgspec
import pyarrow as pa

from features.columns import ADDRESS_HASH, Decoder
from features.forgetting import Forgetting, Row
from schemas.events import EVENT_FIELDS, LoggedEvent, Origin
from schemas.failures import LakeError
from schemas.instants import from_datetime
from sinks.attach import lake_folder
from sinks.lake import Lake
from sinks.store import FACT_COLUMNS, STORED_TABLES

_WORDS: Final = ("store.replies", "store.readings")
_META: Final = "__ducklake_metadata_lake"
_MAILS: Final = "mailbox"
"""The provider whose requests are one mail each, in which anything may be in base64."""
_PLACES: Final = ("raw_partition", "raw_offset")
_VACUUM: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("VACUUM")
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"""


def forget_in_lake(lake: Lake, forgetting: Forgetting, erased: Collection[tuple[int, int]]) -> dict[str, int]:
    """Takes a person out of all tables; how many rows of each were changed, without those where none was.

    `erased` are the places (partition, offset) of raw requests that are gone: dead letters made of mails among them keep no
    bytes; of others those whose own bytes name the person.
    """
    lake.settle()
    with lake.transaction() as connection:
        counts = {"facts": _facts(connection, forgetting)}
        for table in (*_WORDS, *STORED_TABLES):
            counts[table.removeprefix("store.")] = _rows(connection, table, forgetting, erased)
    _purge(lake)
    return {name: count for name, count in counts.items() if count}


def _facts(connection: duckdb.DuckDBPyConnection, forgetting: Forgetting) -> int:
    chosen = connection.execute(f"""
        SELECT rowid AS place, seq, delivery, origin, raw_partition, raw_offset, {", ".join(EVENT_FIELDS)}
        FROM store.facts WHERE {_concerns_fact(forgetting)}""")
    names = [column[0] for column in chosen.description or []]
    found = [dict(zip(names, row, strict=True)) for row in chosen.fetchall()]
    pairs = [(row, event, forgetting.event(event)) for row in found for event in [_event(row)]]
    changed = [(row, made) for row, event, made in pairs if made != event]
    if not changed:
        return 0
    landing = Decoder().columns([made for _, made in changed], Origin.REPLAY)
    deliveries = [
        (row["delivery"], new) for (row, _), new in zip(changed, landing["delivery"].to_pylist(), strict=True)
    ]
    for name in ("place", "seq"):
        landing = landing.append_column(name, pa.array([row[name] for row, _ in changed], pa.int64()))
    connection.register("landing", landing)
    columns = ", ".join(FACT_COLUMNS)
    connection.execute("DELETE FROM store.facts WHERE rowid IN (SELECT place FROM landing)")
    connection.execute(f"INSERT INTO store.facts (seq, {columns}) SELECT seq, {columns} FROM landing")
    connection.unregister("landing")
    _rename(connection, {old: new for old, new in deliveries if old != new and old is not None})
    _rename_addresses(connection, forgetting)
    return len(changed)


def _concerns_fact(forgetting: Forgetting) -> str:
    """SQL: whether a fact may be about the person, or name them."""
    person = forgetting.person
    told = [
        _is_one_of("contact_id", person.contacts),
        _is_one_of("lower(trim(recipient))", person.addresses),
        _is_one_of("lower(trim(json_extract_string(attributes, '$.from')))", person.addresses),
        _is_one_of("delivery_id", person.deliveries),
        f"(kind = 'replied' AND {_is_one_of('event_id', [name[1] for name in person.replies])})",
        *(_holds(column, forgetting) for column in ("attributes", "reason", "url")),
    ]
    return " OR ".join(told)


def _is_one_of(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(map(_quoted, values))})" if values else "false"


def _holds(column: str, forgetting: Forgetting) -> str:
    """SQL: whether text holds a name of the person, whatever stands around it."""
    names = forgetting.needles
    return (
        "(" + " OR ".join([f"contains(lower({column}::VARCHAR), {_quoted(name)})" for name in names] or ["false"]) + ")"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _event(row: Row) -> LoggedEvent:
    """The event of a row of store.facts."""
    values = {name: row[name] for name in EVENT_FIELDS}
    for name in ("occurred_at", "received_at"):
        values[name] = from_datetime(row[name]) if row[name] is not None else None
    values["attributes"] = msgspec.json.decode(row["attributes"]) if row["attributes"] else None
    told = {"origin": row["origin"]} | {name: row[name] for name in _PLACES}
    return msgspec.convert(values | told, LoggedEvent)


def _rename(connection: duckdb.DuckDBPyConnection, deliveries: dict[int, int]) -> None:
    """Puts the new keys of deliveries into what refers to them."""
    if not deliveries:
        return
    table = pa.table({"old": pa.array(deliveries, pa.uint64()), "new": pa.array(deliveries.values(), pa.uint64())})
    connection.register("renamed", table)
    for name, columns in {"links": ("alias", "linked"), "suspects": ("delivery",), "answers": ("delivery",)}.items():
        for column in columns:
            _replace(connection, f"store.{name}", column)
    connection.unregister("renamed")


def _rename_addresses(connection: duckdb.DuckDBPyConnection, forgetting: Forgetting) -> None:
    """The same for the hashes of addresses by which mails look for their messages."""
    old, new = list(forgetting.renamed()), list(forgetting.renamed().values())
    connection.register("names", pa.table({"o": pa.array(old, pa.string()), "n": pa.array(new, pa.string())}))
    hashes = f"SELECT {ADDRESS_HASH.format('o')} AS old, {ADDRESS_HASH.format('n')} AS new FROM names"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE renamed AS {hashes}")
    _replace(connection, "store.answers", "address")
    connection.execute("DROP TABLE temp.renamed")
    connection.unregister("names")


def _replace(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    concerned = f"{column} IN (SELECT old FROM renamed)"
    if connection.execute(f"SELECT count(*) > 0 FROM {table} WHERE {concerned}").fetchone() == (True,):
        connection.execute(
            f"UPDATE {table} SET {column} = (SELECT new FROM renamed WHERE old = {column}) WHERE {concerned}"
        )


def _rows(
    connection: duckdb.DuckDBPyConnection, table: str, forgetting: Forgetting, erased: Collection[tuple[int, int]]
) -> int:
    """Changes the rows of a table that are about the person, or name them."""
    kinds = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()}
    shown = ", ".join(name if kind == "BLOB" else f"{name}::VARCHAR AS {name}" for name, kind in kinds.items())
    place = "rowid AS place"
    found = connection.execute(f"SELECT {place}, {shown} FROM {table} WHERE {_concerns_row(kinds, forgetting, erased)}")
    changed: list[tuple[int, Row | None]] = []
    for found_place, *values in found.fetchall():
        row = dict(zip(kinds, values, strict=True))
        made = _changed_row(table.removeprefix("store."), row, forgetting, erased)
        if made != row:
            changed.append((found_place, made))
    if changed:
        _write(connection, table, kinds, changed)
    return len(changed)


def _changed_row(table: str, row: Row, forgetting: Forgetting, erased: Collection[tuple[int, int]]) -> Row | None:
    came_from = tuple(int(row.get(name) or 0) for name in _PLACES)
    is_mail = row.get("provider") == _MAILS and came_from in erased
    if table == "dead_letters" and (is_mail or forgetting.mentions(row["raw"])):
        return row | {"raw": b"", "detail": None}
    return forgetting.row(table, row)


def _concerns_row(kinds: dict[str, str], forgetting: Forgetting, erased: Collection[tuple[int, int]]) -> str:
    """SQL: whether a row may be about the person, or name them."""
    person = forgetting.person
    replies = sorted({name[1] for name in person.replies})
    told = [_holds(name, forgetting) for name, kind in kinds.items() if kind in {"VARCHAR", "JSON", "BLOB"}]
    told += [_is_one_of(name, person.contacts) for name in ("contact_id",) if name in kinds]
    told += [_is_one_of(f"lower(trim({name}))", person.addresses) for name in ("recipient",) if name in kinds]
    if "scope_value" in kinds:
        told += [f"(scope_kind = 'contact' AND {_is_one_of('scope_value', person.contacts)})"]
        told += [f"(scope_kind = 'recipient' AND {_is_one_of('lower(scope_value)', person.addresses)})"]
    told += [_is_one_of(name, replies) for name in ("event_id",) if name in kinds]
    if "event_context" in kinds:
        told += [_is_one_of("json_extract_string(event_context, '$.event_id')", replies)]
    if erased and set(_PLACES) <= set(kinds) and "raw" in kinds:
        places = ", ".join(f"({partition}, {offset})" for partition, offset in sorted(erased))
        told += [f"(coalesce(raw_partition, 0), raw_offset) IN ({places})"]
    return " OR ".join(told) or "false"


def _write(
    connection: duckdb.DuckDBPyConnection, table: str, kinds: dict[str, str], changed: Sequence[tuple[int, Row | None]]
) -> None:
    """Puts changed rows in the place of what they were; those that are None go."""
    types = [pa.binary() if kind == "BLOB" else pa.string() for kind in kinds.values()]
    kept = [row for _, row in changed if row is not None]
    columns = [pa.array([row[name] for row in kept], kind) for name, kind in zip(kinds, types, strict=True)]
    connection.register("gone", pa.table({"place": pa.array([place for place, _ in changed], pa.int64())}))
    connection.register("landing", pa.Table.from_arrays(columns, names=list(kinds)))
    cast = ", ".join(f"{name}::{kind} AS {name}" for name, kind in kinds.items())
    connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT place FROM gone)")
    connection.execute(f"INSERT INTO {table} BY NAME SELECT {cast} FROM landing")
    connection.unregister("gone")
    connection.unregister("landing")


def _purge(lake: Lake) -> None:
    """Lets go of every byte that the newest snapshot does not name: old rows, old files, old statistics.

    Raises:
        LakeError: something could not be removed; doing it again goes on.
    """
    try:
        for statement in _steps(lake.connection):
            lake.connection.execute(statement)
        _widen_extremes(lake.connection)
    except duckdb.Error as error:
        raise LakeError(f"files of the lake could not be written anew: {error}") from None
    catalog = lake_folder(lake.home) / "catalog.sqlite"
    # In a process of its own: two copies of SQLite in one undo each other's locks (see `sinks.anchor`).
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-I", "-S", "-c", _VACUUM, str(catalog)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise LakeError(f"the catalog {catalog} could not be written anew: {done.stderr.strip().splitlines()[-1:]}")


def _widen_extremes(connection: duckdb.DuckDBPyConnection) -> None:
    """Puts bounds that any text lies in in the place of the smallest and greatest texts of whole tables.

    They may be a person's words, DuckLake only ever widens them, and takes a missing one for a table without values.
    """
    names = ", ".join(_quoted(name.removeprefix("store.")) for name in ("facts", *_WORDS, *STORED_TABLES))
    texts = f"""table_id IN (SELECT table_id FROM {_META}.ducklake_table WHERE end_snapshot IS NULL AND table_name IN ({names}))
        AND (table_id, column_id) IN (SELECT (table_id, column_id) FROM {_META}.ducklake_column
            WHERE lower(column_type) {{}} AND end_snapshot IS NULL)"""
    for kinds, greatest in (("IN ('varchar', 'json')", "chr(1114111)"), ("= 'blob'", "repeat('F', 512)")):
        connection.execute(f"""
            UPDATE {_META}.ducklake_table_column_stats SET min_value = '', max_value = {greatest}
            WHERE min_value IS NOT NULL AND {texts.format(kinds)}""")


def _steps(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    tables = connection.execute(f"""
        SELECT DISTINCT s.schema_name, t.table_name FROM {_META}.ducklake_delete_file d
        JOIN {_META}.ducklake_table t ON t.table_id = d.table_id AND t.end_snapshot IS NULL
        JOIN {_META}.ducklake_schema s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
        WHERE d.end_snapshot IS NULL""").fetchall()
    for schema, table in tables:
        named = f"{_quoted(table)}, schema => {_quoted(schema)}"
        yield f"CALL ducklake_rewrite_data_files('lake', {named}, delete_threshold => 0.0)"
    # Of the day's snapshots DuckLake lets all go but the newest, see `Upkeep._expire`; here that is what is wanted.
    yield "CALL ducklake_expire_snapshots('lake', older_than => now())"
    yield "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)"
    yield "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)"
