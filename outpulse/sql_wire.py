"""Between PostgreSQL's protocol and DuckDB: types of columns, values of rows, and parameters of statements."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import pyarrow as pa
from pg_mimic import types as pg

_OIDS: Final[dict[str, int]] = {
    "BOOLEAN": pg.BOOL,
    "TINYINT": pg.INT2,
    "SMALLINT": pg.INT2,
    "UTINYINT": pg.INT2,
    "USMALLINT": pg.INT4,
    "INTEGER": pg.INT4,
    "UINTEGER": pg.INT8,
    "BIGINT": pg.INT8,
    "UBIGINT": pg.NUMERIC,
    "HUGEINT": pg.NUMERIC,
    "UHUGEINT": pg.NUMERIC,
    "FLOAT": pg.FLOAT4,
    "DOUBLE": pg.FLOAT8,
    "DATE": pg.DATE,
    "TIME": pg.TIME,
    "TIMESTAMP": pg.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": pg.TIMESTAMPTZ,
    "INTERVAL": pg.INTERVAL,
    "UUID": pg.UUID,
    "BLOB": pg.BYTEA,
    "JSON": pg.JSON,
}
"""DuckDB's type -> PostgreSQL's; lists, structs and maps go as JSON, all others as text."""
CATALOG_TYPES: Final = {
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMPTZ": "timestamptz",
    "UUID": "uuid",
    "BLOB": "bytea",
    "JSON": "json",
    "MAP(VARCHAR, VARCHAR)": "json",
}
"""A column's type of `schemas.derive` -> its name in information_schema; text for all others."""
_NUMBERS: Final = frozenset({pg.INT2, pg.INT4, pg.INT8, pg.OID, pg.FLOAT4, pg.FLOAT8, pg.NUMERIC})
_CASTS: Final = {
    pg.BOOL: "BOOLEAN",
    pg.INT2: "SMALLINT",
    pg.INT4: "INTEGER",
    pg.INT8: "BIGINT",
    pg.FLOAT4: "FLOAT",
    pg.FLOAT8: "DOUBLE",
    pg.NUMERIC: "DECIMAL(38, 9)",
    pg.DATE: "DATE",
    pg.TIME: "TIME",
    pg.TIMESTAMP: "TIMESTAMP",
    pg.TIMESTAMPTZ: "TIMESTAMPTZ",
    pg.INTERVAL: "INTERVAL",
    pg.UUID: "UUID",
}
_TOKENS: Final = re.compile(
    r"""(?P<schema>"public"|\bpublic)\s*\.(?=\s*["\w])
    | [eE]'(?:[^'\\]|\\.|'')*+'? | '(?:[^']|'')*+'? | "(?:[^"]|"")*+"? | --[^\n]* | /\*(?:.*?\*/|.*)
    | \$(?P<tag>[A-Za-z_]\w*|)\$(?:.*?\$(?P=tag)\$|.*) | \$(?P<number>\d+) | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)
"""PostgreSQL's name of the schema, what holds no parameter (texts, names, comments), a parameter, and the end of a statement.

What is not closed goes to the end of all, so that any text is read in linear time.
"""


def oid_of(kind: str) -> int:
    """PostgreSQL's type of a column of DuckDB's type."""
    as_json, as_number, as_text = (int(oid) for oid in (pg.JSON, pg.NUMERIC, pg.TEXT))
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return as_json
    return as_number if kind.startswith("DECIMAL") else _OIDS.get(kind, as_text)


def rows_of(part: pa.Table, oids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The rows of an Arrow table as values that the wire takes."""
    lists = [_values(part.column(index), oid) for index, oid in enumerate(oids)]
    return zip(*lists, strict=True)


def _values(column: Any, oid: int) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
    kind = column.type
    if oid == pg.INTERVAL:
        return [value if value is None else _interval(value) for value in column.to_pylist()]
    if pa.types.is_nested(kind):
        return [value if value is None else json.dumps(value, default=str) for value in _plain(column)]
    if oid == pg.TEXT and not (pa.types.is_string(kind) or pa.types.is_dictionary(kind)):
        return [value if value is None else str(value) for value in column.to_pylist()]
    found: list[Any] = column.to_pylist()
    return found


def _plain(column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
    """Values with maps as dicts; of a key that comes twice the last."""
    found: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    return found


def _interval(value: Any) -> timedelta | str:  # noqa: ANN401 - Arrow's three-part interval
    """As PostgreSQL writes it; one without months as what has a binary form too."""
    spent = timedelta(microseconds=value.nanoseconds // 1000)
    if value.months == 0:
        return timedelta(days=value.days) + spent
    sign, spent = ("-", -spent) if spent < timedelta() else ("", spent)
    seconds = spent.days * 86400 + spent.seconds
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{spent.microseconds:06}"
    return f"{value.months} mons {value.days} days {sign}{clock}"


def statements_in(query: str) -> list[str]:
    """The statements of a text, apart at semicolons outside of texts, names and comments; empty ones are left out."""
    ends = [found.start() for found in _TOKENS.finditer(query) if found["end"]]
    parts = [query[start:end] for start, end in zip([0, *(end + 1 for end in ends)], [*ends, len(query)], strict=True)]
    return [part for part in parts if part.strip()] or [query]


def parameters_in(query: str) -> int:
    """How many parameters a statement takes: the highest number after a $."""
    return max((int(found["number"]) for found in _TOKENS.finditer(query) if found["number"]), default=0)


def with_values(query: str, values: Sequence[Any], oids: Sequence[int | None]) -> str:
    """The statement with its parameters written out as literals, and the schema `public` that tools name as `main`.

    PostgreSQL takes a text without type as what the place needs, and DuckDB does so for literals only.

    Raises:
        ValueError: a parameter without a value, or a value that is none of its type.
    """

    def written(found: re.Match[str]) -> str:
        if found["schema"]:
            return "main."
        if not found["number"]:
            return found[0]
        place = int(found["number"]) - 1
        if not 0 <= place < len(values):
            raise ValueError(f"no value for ${place + 1}")
        return literal(values[place], oids[place] if place < len(oids) else None)

    return _TOKENS.sub(written, query)


def literal(value: Any, oid: int | None) -> str:  # noqa: ANN401 - text, or lists of it
    """A value as DuckDB writes it; what came with a type is cast to it."""
    if value is None:
        return f"CAST(NULL AS {_CASTS[oid]})" if oid in _CASTS else "NULL"
    if isinstance(value, list):
        return "[" + ", ".join(literal(item, None) for item in value) + "]"
    text = str(value)
    if "\0" in text:
        raise ValueError("a text with a NUL character")
    quoted = "'" + text.replace("'", "''") + "'"
    if oid in _NUMBERS and re.fullmatch(r"[+-]?\d+", text):
        return f"({text})"
    return f"CAST({quoted} AS {_CASTS[oid]})" if oid in _CASTS else quoted
