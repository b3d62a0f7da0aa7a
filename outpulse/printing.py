"""Rows on a terminal, as CSV, and as JSON."""

import base64
import csv
import math
import sys
from collections.abc import Mapping, Sequence
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


def print_json(rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON array of objects on stdout, and nothing else."""
    sys.stdout.buffer.write(msgspec.json.encode([plain(dict(row)) for row in rows]) + b"\n")
    sys.stdout.buffer.flush()


def print_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = [plain(value) for value in row]
        writer.writerow([msgspec.json.encode(v).decode() if isinstance(v, (dict, list)) else v for v in values])


def print_table(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(plain(value))) for value in row))
    Console().print(table)
