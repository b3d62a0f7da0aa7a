"""Struct -> Arrow schema, DuckDB DDL, comments and JSON Schema; `python -m schemas.derive` writes `schemas/generated/`.

The DDL keeps to what DuckLake supports: plain types and NOT NULL, no keys, checks or enums.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
from msgspec import inspect

from schemas.events import Command, Event, Feedback, LoggedEvent, RawRequest, Reply, ResultRow
from schemas.failures import DeadLetter
from schemas.records import EVENT_COMMENTS
from schemas.tables import TABLES

GENERATED: Final = Path(__file__).parent / "generated"

LOG_RECORDS: Final[tuple[type[msgspec.Struct], ...]] = (
    Event,
    LoggedEvent,
    Reply,
    RawRequest,
    Command,
    Feedback,
    ResultRow,
    DeadLetter,
)
"""What passes through the log; each has a JSON Schema."""

_SQL_TYPES: Final[Mapping[type[inspect.Type], str]] = {
    inspect.StrType: "VARCHAR",
    inspect.EnumType: "VARCHAR",
    inspect.UUIDType: "UUID",
    inspect.DateTimeType: "TIMESTAMPTZ",
    inspect.DateType: "DATE",
    inspect.IntType: "BIGINT",
    inspect.FloatType: "DOUBLE",
    inspect.BoolType: "BOOLEAN",
    inspect.BytesType: "BLOB",
    inspect.DictType: "MAP(VARCHAR, VARCHAR)",
}
_ARROW_TYPES: Final[Mapping[str, Any]] = {
    "VARCHAR": pa.string(),
    "UUID": pa.uuid(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    "DATE": pa.date32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "BLOB": pa.binary(),
    "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
    "JSON": pa.json_(),
}


class Column(msgspec.Struct, frozen=True):
    """One column: `description` is one line or empty, `values` are the allowed ones of an enum, else empty."""

    name: str
    sql_type: str
    nullable: bool
    description: str = ""
    values: tuple[str, ...] = ()

    @property
    def comment(self) -> str:
        """Description and values in one line, or empty."""
        listed = f"one of {', '.join(self.values)}" if self.values else ""
        return "; ".join(part for part in (self.description, listed) if part)


def columns(struct: type[msgspec.Struct]) -> list[Column]:
    """The columns of a table in order.

    Raises:
        TypeError: an annotation that has no column type.
    """
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - a Struct's type info is this
    return [_column(field) for field in info.fields]


def _column(field: inspect.Field) -> Column:
    kind, extra, nullable = _unwrapped(field.type)
    sql_type = extra.get("sql") or _SQL_TYPES.get(type(kind))
    if sql_type is None or (isinstance(kind, inspect.DateTimeType) and not kind.tz):
        raise TypeError(f"{field.name} is {kind}, which is no column type; valid are those in schemas.records")
    values: tuple[str, ...] = (
        tuple(str(member.value) for member in kind.cls) if isinstance(kind, inspect.EnumType) else ()
    )
    return Column(field.name, sql_type, nullable, extra.get("description", ""), values)


def _unwrapped(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], bool]:
    """The plain type inside metadata and `| None`, the metadata gathered on the way, and whether None is allowed."""
    if isinstance(kind, inspect.Metadata):
        inner, extra, nullable = _unwrapped(kind.type)
        return inner, extra | (kind.extra or {}) | (kind.extra_json_schema or {}), nullable
    if isinstance(kind, inspect.UnionType) and kind.includes_none and len(kind.types) == 2:
        inner, extra, _ = _unwrapped(next(t for t in kind.types if not isinstance(t, inspect.NoneType)))
        return inner, extra, True
    return kind, {}, False


@lru_cache(maxsize=64)
def arrow_schema(struct: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The `pyarrow.Schema` of a table; UUID and JSON are Arrow's extension types, which DuckDB reads as such."""
    return pa.schema([pa.field(c.name, _ARROW_TYPES[c.sql_type], c.nullable) for c in columns(struct)])


def arrow_table(struct: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> Any:  # noqa: ANN401 - as above
    """Rows as a `pyarrow.Table` of `arrow_schema(struct)`; for small numbers of rows, it loops over them."""
    schema = arrow_schema(struct)
    arrays = [pa.array([_plain(getattr(row, f.name)) for row in rows], f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any column value
    """Arrow takes a map as pairs."""
    return list(value.items()) if isinstance(value, dict) else value


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _path(name: str, schema: str | None) -> str:
    return f'{schema}."{name}"' if schema else f'"{name}"'


def ddl(name: str, struct: type[msgspec.Struct], schema: str | None = None) -> str:
    """CREATE TABLE without a final semicolon; `schema` is written as given (`lake`, `lake.main`)."""
    lines = ",\n".join(f"    {_definition(column)}" for column in columns(struct))
    return f"CREATE TABLE {_path(name, schema)} (\n{lines}\n)"


def _definition(column: Column) -> str:
    return f'"{column.name}" {column.sql_type}' + ("" if column.nullable else " NOT NULL")


def comments(name: str, struct: type[msgspec.Struct], schema: str | None = None, kind: str = "TABLE") -> list[str]:
    """COMMENT ON statements: for the table (or `kind="VIEW"`) first, then for each column that has something to say.

    DuckLake takes the first for a view, but none for its columns.
    """
    path = _path(name, schema)
    on_columns = [f'COMMENT ON COLUMN {path}."{c.name}" IS {quoted(c.comment)}' for c in columns(struct) if c.comment]
    return [f"COMMENT ON {kind} {path} IS {quoted(_summary(struct))}", *on_columns]


def _summary(struct: type[msgspec.Struct]) -> str:
    """The docstring in one line."""
    return " ".join((struct.__doc__ or "").split())


def tables_sql() -> str:
    """The DDL of all tables, with descriptions and values of enums as comments."""
    head = "-- Generated by python -m schemas.derive; change schemas/tables.py or schemas/records.py instead."
    return "\n\n".join([head, *(_commented(name, struct) for name, struct in TABLES.items())]) + "\n"


def _commented(name: str, struct: type[msgspec.Struct]) -> str:
    """One CREATE TABLE with a comment per column behind it."""
    cells = columns(struct)
    lines = [f"-- {_summary(struct)}", f'CREATE TABLE "{name}" (']
    for column in cells:
        comma = "" if column is cells[-1] else ","
        note = f"  -- {column.comment}" if column.comment else ""
        lines.append(f"    {_definition(column)}{comma}{note}")
    return "\n".join([*lines, ");"])


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every record of the log, under `$defs`."""
    _, definitions = msgspec.json.schema_components(LOG_RECORDS, ref_template="#/$defs/{name}")
    for record in ("Event", "LoggedEvent"):
        for field, schema in definitions[record]["properties"].items():
            if field in EVENT_COMMENTS:
                schema["description"] = EVENT_COMMENTS[field]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Outpulse: the records of the log",
        "description": "Generated by python -m schemas.derive from schemas/events.py and schemas/failures.py.",
        "anyOf": [{"$ref": f"#/$defs/{record.__name__}"} for record in LOG_RECORDS],
        "$defs": definitions,
    }


def generated() -> dict[str, str]:
    """File name in `schemas/generated/` -> its text."""
    schema = msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode()
    return {"events.schema.json": schema + "\n", "tables.sql": tables_sql()}


def main() -> None:
    """Writes the generated files."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in generated().items():
        (GENERATED / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
