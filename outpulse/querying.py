"""`outpulse sql`: one query, or a prompt, on the lake; read-only unless told otherwise."""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import duckdb

from outpulse.home import Home
from outpulse.printing import print_csv, print_json, print_table, unique
from schemas.failures import LakeError, LakeLocked, OutpulseError
from sinks.attach import connect, writer_pid

_PATIENCE_SECONDS: Final = 20.0
_ROWS: Final = 10_000


def run_sql(home: Home, query: str | None, form: str | None, *, write: bool) -> int:
    """Runs a query, or a prompt when there is none."""
    if write:
        return _write(home, query)
    connection = _connected(home)
    chosen = form or ("table" if sys.stdout.isatty() else "csv")
    try:
        if query is not None:
            _run(connection, query, chosen)
        else:
            _prompt(connection, chosen)
    except BrokenPipeError:  # who reads has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        connection.close()
    return 0


def _connected(home: Home) -> duckdb.DuckDBPyConnection:
    """A reader of the lake; waits where a writer has started and is still setting the lake up."""
    ensure_lake(home)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return connect(home.path, read_only=True)
        except LakeError:
            if writer_pid(home.path) is None or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def ensure_lake(home: Home) -> None:
    """Sets a fresh home up, so that the first query finds empty tables."""
    if writer_pid(home.path) is not None:
        return
    try:
        connect(home.path, read_only=True).close()
    except LakeError:
        from flows.run import open_lake

        home.ensure()
        with suppress(LakeLocked):  # somebody else is just doing that
            open_lake(home.path, home.settings).close()


def _write(home: Home, query: str | None) -> int:
    from outpulse.parts import ask_writer

    if query is None:
        raise OutpulseError("--write needs the query on the command line")
    ask_writer(home, "sql", query=query, key=uuid.uuid4().hex)
    return 0


def _run(connection: duckdb.DuckDBPyConnection, query: str, form: str) -> None:
    try:
        result = connection.execute(query)
        columns = [(str(column[0]), column[1]) for column in result.description or []]
        rows = _fetched(result) if columns else iter(())
    except duckdb.Error as error:
        raise OutpulseError(_one_line(error)) from None
    names = [name for name, _ in columns]
    if form == "json":
        keys, readers = unique(names), [_reader(kind) for _, kind in columns]
        print_json({key: read(value) for key, read, value in zip(keys, readers, row, strict=True)} for row in rows)
    elif form == "csv":
        print_csv(names, rows)
    else:
        print_table(names, rows)


def _fetched(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """The rows, which DuckDB holds more compactly than Python would."""
    while batch := result.fetchmany(_ROWS):
        yield from batch


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's words without the line of the caret."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = " ".join(line for line in lines if line.strip("^ "))
    return f"{told} Add --write to change the lake." if "read-only mode" in told else told


def _reader(kind: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - a DuckDB type
    """What turns a column's value into one with JSON text parsed, wherever in lists, structs and maps it lies."""
    if str(kind) == "JSON":
        return _parsed
    if "JSON" not in str(kind) or kind.id not in {"list", "array", "struct", "map"}:
        return lambda value: value
    inner = {name: _reader(child) for name, child in kind.children if isinstance(child, type(kind))}
    if kind.id == "struct":
        return lambda value: value and {name: inner[name](item) for name, item in value.items()}
    if kind.id == "map":
        return lambda value: value and {key: inner["value"](item) for key, item in value.items()}
    return lambda value: value and [inner["child"](item) for item in value]


def _parsed(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return value if value is None else json.loads(value)
    except ValueError:
        return value


def _prompt(connection: duckdb.DuckDBPyConnection, form: str) -> None:
    """Reads statements until end of file; a statement ends with a semicolon."""
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401 - line editing for input()

        print("SQL on the lake, read-only; end a statement with ; and leave with Ctrl-D")  # noqa: T201 - for people
    statement = ""
    while True:
        try:
            statement += input(("...> " if statement else "sql> ") if interactive else "") + "\n"
        except EOFError:
            break
        if statement.rstrip().endswith(";"):
            try:
                _run(connection, statement, form)
            except OutpulseError as error:
                if not interactive:
                    raise
                print(error, file=sys.stderr)  # noqa: T201 - for people
            statement = ""
    if statement.strip():
        _run(connection, statement, form)
