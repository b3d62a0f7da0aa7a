"""Rows of a console's answer as values that Python holds, and as DuckDB's own text where it holds none.

Python has no year 290000, no infinite date and no TIMETZ; DuckDB reads its own types back from Arrow and writes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, overload

import duckdb
import pyarrow as pa

from schemas.failures import LakeError
from sinks.statements import one_line

_CELLS: Final = 200_000
"""Converted at a time: some 20 MB of Python objects."""
_WHOLE: Final = frozenset(["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"])
_LARGE: Final = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM"})
"""Whole numbers that Arrow lacks."""
_BROKEN: Final = frozenset({"FLOAT", "DOUBLE"})
_OTHERS: Final = frozenset(
    {"BOOLEAN", "VARCHAR", "JSON", "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"}
)


def is_number(kind: str) -> bool:
    """Whether values of a type of DuckDB are numbers."""
    return kind in _WHOLE | _LARGE | _BROKEN or kind.startswith("DECIMAL")


def unique(names: Sequence[str]) -> list[str]:
    """The names, later ones of the same as DuckDB calls them in a table: a, a_1, a_2."""
    taken, numbers, found = set(names), dict.fromkeys(names, 0), list[str]()
    for name in names:
        made = name
        while numbers[name] and made in taken:
            made = f"{name}_{numbers[name]}"
            numbers[name] += 1
        numbers[name] = max(numbers[name], 1)
        taken.add(made)
        found.append(made)
    return found


class Rows(Sequence[Mapping[str, Any]]):
    """The rows of an answer by the `unique` names of their columns, converted when they are asked for.

    Each use raises LakeError for what cannot even be written as text.
    """

    def __init__(self, columns: Sequence[tuple[str, str]], table: pa.Table) -> None:
        self.names = unique([name for name, _ in columns])
        self.kinds = [kind for _, kind in columns]
        self._table = table.rename_columns([f"c{place}" for place in range(len(columns))])

    def narrow(self, most: int) -> "Rows":
        """Its first columns alone."""
        columns = list(zip(self.names, self.kinds, strict=True))[:most]
        return Rows(columns, self._table.select(range(len(columns))))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            return self._converted(first, last)[::step] if step > 0 else [self[at] for at in range(first, last, step)]
        return self._converted(at := range(len(self))[place], at + 1)[0]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        step = max(1, _CELLS // max(1, len(self.names)))
        for first in range(0, len(self), step):
            yield from self._converted(first, first + step)

    def _converted(self, first: int, last: int) -> list[dict[str, Any]]:
        part = self._table.slice(first, last - first)
        columns = [_values(part.column(place), kind) for place, kind in enumerate(self.kinds)]
        written = [place for place, column in enumerate(columns) if column is None]
        for place, texts in zip(written, _texts(part.select(written)), strict=True):
            columns[place] = _mended(part.column(place), self.kinds[place], texts)
        held = (column or [] for column in columns)
        return [dict(zip(self.names, row, strict=True)) for row in zip(*held, strict=True)]


def _values(column: Any, kind: str) -> list[Any] | None:  # noqa: ANN401 - pyarrow has no types
    """The values of a column, or nothing where Python cannot hold all."""
    if kind not in _OTHERS | _WHOLE | _BROKEN and not kind.startswith("DECIMAL"):
        return None
    try:
        found: list[Any] = column.to_pylist()
    except (OverflowError, ValueError, pa.ArrowException):
        return None
    return found


def _texts(table: pa.Table) -> list[list[str | None]]:
    """DuckDB's text of all values, by column.

    Raises:
        LakeError: it has none.
    """
    if not table.num_columns:
        return []
    asked = ", ".join(f'"{name}"::VARCHAR' for name in table.column_names)
    try:
        with duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("answer", table)
            rows = connection.execute(f"SELECT {asked} FROM answer").fetchall()
    except duckdb.Error as error:
        raise LakeError(f"the answer cannot be written as text: {one_line(error)}") from None
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in table.column_names]


def _mended(column: Any, kind: str, texts: Sequence[str | None]) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
    """The texts, with the value itself where Python holds it."""
    if kind in _LARGE:
        return [_number(text) for text in texts]
    if kind in _OTHERS:
        return [_value(scalar, text) for scalar, text in zip(column, texts, strict=True)]
    return list(texts)


def _number(text: str | None) -> int | str | None:
    try:
        return text if text is None else int(text)
    except ValueError:  # more digits than Python reads
        return text


def _value(scalar: Any, text: str | None) -> Any:  # noqa: ANN401 - whatever SQL gives
    try:
        return scalar.as_py()
    except (OverflowError, ValueError, pa.ArrowException):
        return text
