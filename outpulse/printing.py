"""Rows on a terminal, as CSV, and as JSON."""

import base64
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec


def plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - any SQL value, one line a type
    """A SQL value as JSON has it: times `…T…Z`, dates `YYYY-MM-DD`, NaN null, bytes as text or base64."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{moment.microsecond // 1000:03d}Z"
    if isinstance(value, (date, timedelta, UUID)):
        return value.isoformat() if isinstance(value, date) else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (bytes, bytearray)):
        return _readable(bytes(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _readable(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def unique(names: Sequence[str]) -> list[str]:
    """The names of columns, a repeated one with a number: `a, a_1`; an object has each key once."""
    found: list[str] = []
    for name in names:
        number = 0
        while (one := f"{name}_{number}" if number else name) in found:
            number += 1
        found.append(one)
    return found


def print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON array of objects on stdout, and nothing else."""
    out = sys.stdout.buffer
    out.write(b"[")
    for number, row in enumerate(rows):
        out.write((b",\n" if number else b"") + msgspec.json.encode(plain(dict(row))))
    out.write(b"]\n")
    out.flush()


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a header, in UTF-8: null is nothing, text of no length `""`, maps and lists are JSON."""
    out = sys.stdout.buffer
    out.write(",".join(map(_quoted, names)).encode() + b"\n")
    for row in rows:
        line = ",".join("" if value is None else _quoted(_cell(value)) for value in row)
        out.write((line or '""').encode() + b"\n")  # readers take a blank line for no row at all
    out.flush()


def _cell(value: Any) -> str:  # noqa: ANN401 - any SQL value
    """A value as people and spreadsheets read it."""
    found = plain(value)
    return found if isinstance(found, str) else "" if found is None else msgspec.json.encode(found).decode()


def _quoted(text: str) -> str:
    # Not the csv module: it leaves a lone carriage return unquoted, which readers take for the end of a row.
    return '"' + text.replace('"', '""') + '"' if not text or any(sign in text for sign in ',"\r\n') else text


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else _cell(value)) for value in row))
    Console().print(table)
