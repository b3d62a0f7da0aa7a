"""`outpulse sql`: one query, or a prompt, on the lake; read-only unless told otherwise."""

import sys
from contextlib import suppress
from typing import Any

import duckdb
import msgspec

from outpulse.home import Home
from outpulse.printing import print_csv, print_json, print_table
from schemas.failures import LakeError, LakeLocked, OutpulseError
from sinks.attach import connect, writer_pid


def run_sql(home: Home, query: str | None, form: str | None, *, write: bool) -> int:
    """Runs a query, or a prompt when there is none."""
    if write:
        return _write(home, query)
    ensure_lake(home)
    connection = connect(home.path, read_only=True)
    chosen = form or ("table" if sys.stdout.isatty() else "csv")
    try:
        if query is not None:
            _run(connection, query, chosen)
        else:
            _prompt(connection, chosen)
    finally:
        connection.close()
    return 0


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
    ask_writer(home, "sql", query=query)
    return 0


def _run(connection: duckdb.DuckDBPyConnection, query: str, form: str) -> None:
    try:
        result = connection.execute(query)
        names = [column[0] for column in result.description or []]
        kinds = [str(column[1]) for column in result.description or []]
        rows = result.fetchall() if names else []
    except duckdb.Error as error:
        raise OutpulseError(str(error)) from None
    if form == "json":
        print_json([dict(zip(names, _parsed(row, kinds), strict=True)) for row in rows])
    elif form == "csv":
        print_csv(names, rows)
    else:
        print_table(names, rows)


def _parsed(row: tuple[Any, ...], kinds: list[str]) -> list[Any]:
    """The row with JSON columns as values."""
    return [
        msgspec.json.decode(value) if kind == "JSON" and isinstance(value, str) else value
        for value, kind in zip(row, kinds, strict=True)
    ]


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
