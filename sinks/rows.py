"""Replies and dead letters as Arrow rows for the lake."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from schemas.derive import arrow_table
from schemas.events import Reply, ResultRow
from schemas.failures import BadEvent, DeadLetter
from schemas.imported import IMPORTED
from schemas.records import ModelRow
from schemas.tables import TABLES, ResponseIntelligence
from sinks.store import READ_COLUMNS, STORED_TABLES

READ: Final = "response_intelligence"
MODELS: Final = "models"
_NOT_SENT: Final = frozenset({"dead_letters", "suppressions", *IMPORTED})
RESULT_TABLES: Final = (*(name for name in STORED_TABLES if name not in _NOT_SENT), READ)
"""Tables whose rows other parts may send: those whose rows have an id, and `models`. Readings of replies become a view."""
_READ_RESULT: Final = msgspec.json.Decoder(ResultRow).decode

Result = tuple[str, msgspec.Struct]
"""A table's name and a row of it, as its Struct."""

REPLY_FIELDS: Final = (
    "event_id",
    "provider",
    "recipient",
    "channel",
    "occurred_at",
    "received_at",
    "subject",
    "text",
    "headers",
    "origin",
    "raw_partition",
    "raw_offset",
)
DEAD_FIELDS: Final = DeadLetter.__struct_fields__
_PLACES: Final = {"raw_partition": pa.int64(), "raw_offset": pa.int64()}


def reply_rows(replies: Sequence[Reply]) -> pa.Table:
    """Replies with `REPLY_FIELDS`, headers as JSON text, and `place`, their order."""
    rows = [{f: getattr(reply, f) for f in REPLY_FIELDS} for reply in replies]
    for row in rows:
        row["headers"] = None if row["headers"] is None else msgspec.json.encode(row["headers"]).decode()
    schema = pa.schema([(f, _PLACES.get(f, pa.string())) for f in REPLY_FIELDS])
    return pa.Table.from_pylist(rows, schema=schema).append_column("place", pa.array(range(len(rows)), pa.int64()))


def dead_rows(dead: Sequence[DeadLetter]) -> pa.Table:
    """Dead letters with `DEAD_FIELDS`."""
    kinds = {"raw": pa.binary(), **_PLACES}
    rows = [{f: getattr(letter, f) for f in DEAD_FIELDS} for letter in dead]
    return pa.Table.from_pylist(rows, schema=pa.schema([(f, kinds.get(f, pa.string())) for f in DEAD_FIELDS]))


def insert_replies(table: str, seq: int) -> str:
    """SQL: the rows of `landing` (by `reply_rows`) into a table like store.replies; the first words of a reply stay."""
    chosen = ", ".join(f"CAST({f} AS TIMESTAMPTZ)" if f.endswith("_at") else f for f in REPLY_FIELDS)
    return f"""
        INSERT INTO {table} (seq, {", ".join(REPLY_FIELDS)})
        SELECT {seq}, {chosen} FROM (
            SELECT * FROM landing
            QUALIFY row_number() OVER (PARTITION BY event_id, provider, recipient ORDER BY place) = 1) n
        WHERE NOT EXISTS (SELECT 1 FROM {table} s WHERE s.event_id = n.event_id
            AND s.provider IS NOT DISTINCT FROM n.provider AND s.recipient IS NOT DISTINCT FROM n.recipient)"""


def insert_dead(table: str) -> str:
    """SQL: the rows of `landing` (by `dead_rows`) into a table like dead_letters, each id once."""
    casts = {"id": "id::UUID", "received_at": "received_at::TIMESTAMPTZ"}
    return f"""
        INSERT INTO {table} ({", ".join(DEAD_FIELDS)})
        SELECT {", ".join(casts.get(f, f) for f in DEAD_FIELDS)} FROM (SELECT DISTINCT ON (id) * FROM landing)
        WHERE id::UUID NOT IN (SELECT id FROM {table})"""


def read_result(raw: bytes) -> Result:
    """A record of the `results` stream.

    Raises:
        BadEvent: not a row of a table that takes results.
    """
    try:
        found = _READ_RESULT(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent("result unusable", str(error)) from None
    struct = TABLES.get(found.table) if found.table in RESULT_TABLES else None
    if struct is None:
        raise BadEvent("result unusable", f"table {found.table[:80]!r}, valid are {', '.join(RESULT_TABLES)}")
    try:
        row = msgspec.convert(found.row, struct, strict=False)
        arrow_table(struct, [row])
    except (ValueError, OverflowError, RecursionError, pa.ArrowException) as error:
        raise BadEvent("result unusable", f"{found.table}: {error}") from None
    return found.table, row


def result_rows(results: Sequence[Result]) -> dict[str, Any]:
    """Arrow tables by name, the last row of each id; of readings every row, of a model's versions the last one is active."""
    newest: dict[str, dict[Any, msgspec.Struct]] = {}
    for table, row in results:
        rows = newest.setdefault(table, {})
        if isinstance(row, ModelRow) and row.active:
            for name, other in list(rows.items()):
                if isinstance(other, ModelRow) and other.name == row.name:
                    rows[name] = msgspec.structs.replace(other, active=False)
        rows.pop(_name_of(row), None)
        rows[_name_of(row)] = row
    return {table: arrow_table(TABLES[table], list(rows.values())) for table, rows in newest.items()}


def _name_of(row: msgspec.Struct) -> Any:  # noqa: ANN401 - whatever tells rows of a table apart
    if isinstance(row, ModelRow):
        return row.name, row.version
    if isinstance(row, ResponseIntelligence):
        return row.id, row.feedback_offset, row.model_version
    return row.id  # type: ignore[attr-defined] # see RESULT_TABLES


def put_result(table: str, seq: int) -> tuple[str, ...]:
    """SQL statements that put the rows of `landing` (by `result_rows`) into a table of the lake."""
    if table == READ:
        names = ", ".join(sorted(READ_COLUMNS))
        return (
            f"""INSERT INTO store.readings (seq, place, {names}) SELECT {seq}, row_number() OVER (), {names} FROM landing n
            WHERE NOT EXISTS (SELECT 1 FROM store.readings s WHERE s.id = n.id AND s.feedback_offset = n.feedback_offset
                AND s.model_version = n.model_version)""",
        )
    if table == MODELS:
        return (
            "DELETE FROM models WHERE (name, version) IN (SELECT (name, version) FROM landing)",
            "UPDATE models SET active = false WHERE name IN (SELECT name FROM landing WHERE active)",
            "INSERT INTO models BY NAME SELECT * FROM landing",
        )
    # A replay may decide what the guard decided live: what came through the control stream stays.
    kept = "WHERE id NOT IN (SELECT id FROM store.commands)" if table == "pauses" else ""
    return (
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM landing {kept})",
        f"INSERT INTO {table} BY NAME SELECT * FROM landing {kept}",
    )
