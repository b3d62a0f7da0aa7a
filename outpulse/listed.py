"""`outpulse import contacts|campaigns|messages`: rows of people's own lists, checked cell by cell, into the lake.

A row with a cell that cannot be used is told with its number, column, what was received and what is valid; its good
neighbours land. Of several rows with one id the last counts.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.localtimes import time_ms, zone_of
from outpulse.home import Home
from outpulse.parts import ask_writer
from outpulse.replaying import Progress
from outpulse.rows import RowFile
from schemas.derive import Column, columns
from schemas.failures import BadEvent, OutpulseError
from schemas.imported import IMPORTED

TABLES: Final = {"contacts": "contacts", "campaigns": "campaign_plans", "messages": "campaign_messaging"}
"""Kind of import -> the table that it fills."""
NOT_ALL_USABLE: Final = 3
"""Exit status where some rows could not be used."""
ALIASES: Final[Mapping[str, str]] = {
    "id_of_contact": "contact_id", "email": "recipient", "email_address": "recipient", "tier": "account_tier",
    "time_zone": "timezone", "tz": "timezone", "account": "account_id", "value": "account_value",
    "campaign": "campaign_id", "strategy_id": "campaign_strategy_id", "start_date": "launch_date", "launch": "launch_date",
    "end_date": "completion_date", "targets": "total_targets", "steps": "total_steps", "budget": "cost",
    "settings": "execution_settings", "step": "sequence_step", "message_id": "id", "text": "body",
}  # fmt: skip
"""Other names that a column may have in a list."""
_SETTINGS: Final = ("throttling", "timing", "channel_preferences")
"""Columns of campaigns that become keys of `execution_settings`."""
_MADE: Final = frozenset({"attributes", "imported_at"})
_TOLD: Final = 100
"""Faults that are told one by one; the others are counted."""
_SHOWN: Final = 60
_LONGEST: Final = 2**20


class Fault(NamedTuple):
    """One cell that cannot be used; `row` as a spreadsheet counts it, the header is row 1."""

    row: int
    column: str
    received: str
    valid: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: received {self.received}, valid is {self.valid}"


def run_lists(home: Home, kind: str, files: Sequence[Path], time_zone: str) -> int:
    """Lands every file; returns when SQL shows them. Times without a zone are in `time_zone`.

    Raises:
        OutpulseError: a file cannot be read, or no column holds the id.
    """
    zone, status = zone_of(time_zone), 0
    for path in files:
        found = _read(path, kind, zone)
        landed = {"new": 0, "changed": 0, "unchanged": 0} if not found.rows else _land(home, found)
        told = ", ".join(f"{count} {name}" for name, count in landed.items())
        again = f", {found.repeated} rows with an id that a later row has" if found.repeated else ""
        print(  # noqa: T201 - the verb's answer
            f"{path.name} ({kind}): {told}, {len(found.bad_rows)} rows not usable{again}", file=sys.stderr
        )
        for fault in found.faults[:_TOLD]:
            print(f"{path.name}: {fault}", file=sys.stderr)  # noqa: T201 - for people
        if len(found.faults) > _TOLD:
            print(f"{path.name}: and {len(found.faults) - _TOLD} more", file=sys.stderr)  # noqa: T201 - as above
        if found.bad_rows:
            status = 1 if not found.rows and not status else NOT_ALL_USABLE
    return status


class _List:
    """What a file holds: usable rows by id, and faults."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.columns = {c.name: c for c in columns(IMPORTED[table]) if c.name not in _MADE}
        self.key = next(iter(self.columns))
        self.given: list[str] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.bad_rows: set[int] = set()
        self.repeated = 0

    def reject(self, fault: Fault) -> None:
        self.faults.append(fault)
        self.bad_rows.add(fault.row)


def _read(path: Path, kind: str, zone: ZoneInfo) -> _List:
    found = _List(TABLES[kind])
    head, rows = _rows_of(path, found)
    names = _named(path, head, found)
    for number, cells in rows:
        before = len(found.faults)
        row = _row(number, {names[name]: value for name, value in cells.items() if name in names}, found, zone)
        if len(found.faults) == before:
            found.repeated += row[found.key] in found.rows
            found.rows[row[found.key]] = row
    return found


Rows = Iterator[tuple[int, Mapping[str, Any]]]


def _rows_of(path: Path, found: _List) -> tuple[list[str], Rows]:
    """The names of the columns, and (number, cells by name) of every row that can be read."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        try:
            parquet = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise OutpulseError(f"{path} cannot be read: {error}") from None
        return list(parquet.schema_arrow.names), _parquet_rows(path, parquet)
    file_ = RowFile(path)
    if file_.header is None:
        file_.close()
        raise OutpulseError(f"{path} is neither CSV nor Parquet; valid are CSV with a header, and Parquet")
    return file_.header, _csv_rows(file_, found)


def _parquet_rows(path: Path, parquet: pq.ParquetFile) -> Rows:
    number = 0
    try:
        for batch in parquet.iter_batches(10_000):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise OutpulseError(f"{path} is damaged after row {number}: {error}") from None


def _csv_rows(file: RowFile, found: _List) -> Rows:
    with closing(file), Progress("reading", file.size) as progress:
        for row in file.rows():
            if row.bad is not None:
                found.reject(Fault(row.number, "-", row.bad[1], "a row like the header"))
            elif row.value:
                yield row.number, row.value
            if not row.number % 1000:
                progress.at(file.done())
        if file.fault is not None:
            raise file.fault


def _named(path: Path, head: Sequence[str], found: _List) -> dict[str, str]:
    """Name in the file -> our column, or the file's own name for `attributes`; sets what is given.

    Raises:
        OutpulseError: no column holds the id, or two are the same one.
    """
    names: dict[str, str] = {}
    for name in head:
        plain = "_".join(name.strip().lower().replace("-", " ").split())
        ours = plain if plain in found.columns else ALIASES.get(plain, plain)
        if not plain:
            continue
        if ours in names.values():
            twice = next(other for other, column in names.items() if column == ours)
            raise OutpulseError(f"{path.name}: the columns {twice!r} and {name!r} are both {ours}; leave one out")
        names[name] = ours
    needed = "campaign_id" if found.table == "campaign_messaging" else found.key
    if needed not in names.values():
        shown = ", ".join(head)[:300] or "nothing"
        raise OutpulseError(f"{path.name}: columns {shown}; needed is {needed}, known are {', '.join(found.columns)}")
    told = set(names.values())
    found.given = [name for name in found.columns if name in told or name == found.key]
    if "execution_settings" in found.columns and told & set(_SETTINGS) and "execution_settings" not in told:
        found.given.append("execution_settings")
    if told - set(found.columns) - (set(_SETTINGS) if "execution_settings" in found.columns else set()):
        found.given.append("attributes")
    return names


def _row(number: int, cells: Mapping[str, Any], found: _List, zone: ZoneInfo) -> dict[str, Any]:
    """A row's values by column; faults go to `found`."""
    row: dict[str, Any] = {}
    others: dict[str, str] = {}
    settings: dict[str, Any] = {}
    for name, value in cells.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        try:
            if name in found.columns:
                row[name] = _value(found.columns[name], value, zone)
            elif name in _SETTINGS and "execution_settings" in found.columns:
                settings[name] = _loose(_text(value))
            else:
                others[name] = _text(value)
        except ValueError as error:
            found.reject(Fault(number, name, repr(_plain(value))[:_SHOWN], str(error)))
    if settings:
        row["execution_settings"] = json.dumps(
            json.loads(row.get("execution_settings", "{}")) | settings, sort_keys=True
        )
    if others:
        row["attributes"] = json.dumps(others, sort_keys=True, ensure_ascii=False)
    _name(number, row, found)
    return row


def _name(number: int, row: dict[str, Any], found: _List) -> None:
    """Sees to it that a row has its id; a message's is made of its campaign, step and variant where none is given."""
    is_message = found.table == "campaign_messaging"
    if is_message and "campaign_id" in row:
        row.setdefault("id", "/".join([row["campaign_id"], row.get("sequence_step", ""), row.get("variant", "")]))
    for name in ("campaign_id",) if is_message else (found.key,):
        if name not in row and number not in found.bad_rows:
            found.reject(Fault(number, name, "nothing", "an id"))


def _value(column: Column, value: Any, zone: ZoneInfo) -> Any:  # noqa: ANN401 - any cell
    """A cell as its column has it.

    Raises:
        ValueError: says what is valid.
    """
    if column.values:
        chosen = _text(value).lower()
        if chosen not in column.values:
            raise ValueError(f"one of {', '.join(column.values)}")
        return chosen
    if column.name == "timezone":
        try:
            return zone_of(_text(value)).key
        except ValueError:
            raise ValueError("a time zone such as Europe/Berlin") from None
    return _BY_TYPE[column.sql_type](value, zone)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any cell
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _text(value: Any) -> str:  # noqa: ANN401 - any cell
    if isinstance(value, float) and value.is_integer():  # spreadsheets make 17.0 of an id 17
        value = int(value)
    text = str(_plain(value)).strip() if not isinstance(value, (dict, list)) else json.dumps(value, default=str)
    if "\ufffd" in text or "\x00" in text:
        raise ValueError("text in UTF-8")
    if len(text) > _LONGEST:
        raise ValueError(f"text of at most {_LONGEST} characters")
    return text


def _number(value: Any, _: ZoneInfo) -> float:  # noqa: ANN401 - any cell
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise ValueError("a number of 0 or more, such as 1200.50")
    return number


def _integer(value: Any, zone: ZoneInfo) -> int:  # noqa: ANN401 - any cell
    try:
        number = _number(value, zone)
    except ValueError:
        number = 0.5
    if not number.is_integer() or number >= 2**53:
        raise ValueError("a whole number of 0 or more")
    return int(number)


def _instant(value: Any, zone: ZoneInfo) -> datetime:  # noqa: ANN401 - any cell
    """A day is its first instant."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=zone).astimezone(UTC)
    try:
        day = value if isinstance(value, date) else date.fromisoformat(_text(value))
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(time_ms(_text(value), zone) / 1000, UTC)
    except (BadEvent, ValueError, OverflowError, OSError):
        raise ValueError("a day such as 2026-01-31, or a time such as 2026-01-31T09:00:00Z") from None


def _object(value: Any, _: ZoneInfo) -> str:  # noqa: ANN401 - any cell
    try:
        found = value if isinstance(value, dict) else json.loads(_text(value))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return json.dumps(found, sort_keys=True, default=str)
    raise ValueError('a JSON object such as {"per_hour": 50}')


def _loose(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    """JSON where it is some, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


_BY_TYPE: Final[Mapping[str, Callable[[Any, ZoneInfo], Any]]] = {
    "VARCHAR": lambda value, _: _text(value),
    "DOUBLE": _number,
    "BIGINT": _integer,
    "TIMESTAMPTZ": _instant,
    "JSON": _object,
}
_ARROW: Final = {"DOUBLE": pa.float64(), "BIGINT": pa.int64(), "TIMESTAMPTZ": pa.timestamp("us", tz="UTC")}


def _land(home: Home, found: _List) -> dict[str, int]:
    """Has the lake's writer land the rows, by a Parquet file in the spool."""
    kinds = {column.name: column.sql_type for column in columns(IMPORTED[found.table])}
    schema = pa.schema([(name, _ARROW.get(kinds[name], pa.string())) for name in found.given])
    home.ensure()
    spool = home.path / "spool"
    spool.mkdir(exist_ok=True)
    path = (spool / f"import-{found.table}-{time.time_ns()}.parquet").resolve()
    try:
        path.touch(mode=0o600)
        pq.write_table(pa.Table.from_pylist(list(found.rows.values()), schema=schema), path)
        told = ask_writer(home, "import", table=found.table, path=str(path), columns=",".join(found.given))
    finally:
        path.unlink(missing_ok=True)
    return msgspec.json.decode(told, type=dict[str, int])
