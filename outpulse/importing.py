"""`outpulse import events`: what providers export as history, through their adapters, into the lake as a replay does.

Each file becomes lines of canonical events and dead letters in the home's spool, and those land as a file of `outpulse
replay` does. The lines of a file are the same each time, so a second import finds itself done.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from adapters import REGISTRY
from adapters.contract import Parsed, Rejected
from adapters.histories import LISTS, described, format_of_item, formats_of_columns, read
from adapters.histories.formats import CsvFormat, JsonFormat, column
from adapters.localtimes import zone_of
from adapters.mapped import Mapped
from adapters.mappings import read_mapping
from adapters.reading import Receipt
from outpulse.home import Home
from outpulse.known_facts import KnownFacts
from outpulse.listed import TABLES as LISTS_OF_PEOPLE
from outpulse.listed import run_lists
from outpulse.parts import give_memory_back
from outpulse.replaying import Progress, land_files, landed_counts
from outpulse.rows import Row, RowFile
from schemas.events import Event, Kind
from schemas.failures import DeadLetter, OutpulseError, SettingsError
from schemas.instants import AHEAD_MS, from_epoch_ms

KINDS: Final = ("events",)
_BATCH: Final = 16_384
"""Events that wait for a look into the lake: some 30 MiB of them."""
_ENCODE: Final = msgspec.json.Encoder().encode
_UNKNOWN: Final = Receipt(None, None)
_SHOWN: Final = 12
"""Columns or keys that an error shows of a file."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the files."""

    provider: str | None = None
    mapping: Path | None = None
    campaign_id: str | None = None
    time_zone: str = "UTC"


def run_import(home: Home, kind: str, files: Sequence[Path], options: Options) -> int:
    """Lands every file; returns when SQL shows them.

    Raises:
        OutpulseError: a file's format is not known; says what was found and what is valid.
    """
    if kind not in {*KINDS, *LISTS_OF_PEOPLE}:
        raise SettingsError(f"import kind {kind!r}; valid are {', '.join((*KINDS, *LISTS_OF_PEOPLE))}")
    _check(options)
    if kind in LISTS_OF_PEOPLE:
        if options != Options(time_zone=options.time_zone):
            raise SettingsError(f"{kind} take --time-zone alone; other options are for events")
        return run_lists(home, kind, files, options.time_zone)
    home.ensure()
    give_memory_back()
    for path in files:
        with closing(RowFile(path)) as file:
            _import(home, file, options)
            if file.fault is not None:
                raise file.fault
    return 0


def _check(options: Options) -> None:
    try:
        zone_of(options.time_zone)
    except ValueError as error:
        raise SettingsError(f"--time-zone: {error}") from None
    if options.provider is not None and options.mapping is None and options.provider not in REGISTRY:
        valid = ", ".join(sorted(REGISTRY))
        raise SettingsError(f"--provider {options.provider!r}; valid are {valid}, or any name with --mapping FILE")


def _import(home: Home, file: RowFile, options: Options) -> None:
    from flows.files import EventFile, content_id

    reader = reader_of(file, options)
    spool = home.path / "spool"
    spool.mkdir(exist_ok=True)
    identity = content_id(file.path)
    part = spool / f"import-{identity}-{time.time_ns()}.part"
    part.touch(mode=0o600)
    known = KnownFacts(home.path, reader.provider, states_only=reader.states_only)
    lines = part.with_suffix(".imported")
    try:
        with closing(known), part.open("wb") as out, Progress("reading", file.size) as progress:
            writer = _Writer(out, reader.provider, identity, known, options.campaign_id)
            for row in file.rows():
                writer.add(row, reader)
                if not row.number % 1000:
                    progress.at(file.done())
            writer.flush()
        part.rename(lines)
        landing = EventFile(lines)
        land_files(home, [landing])
        events, duplicates, dead = landed_counts(home, landing.source)
    finally:
        part.unlink(missing_ok=True)
        lines.unlink(missing_ok=True)
    print(  # noqa: T201 - the verb's answer
        f"{file.path.name} ({reader.what}): {events} events landed, {duplicates} duplicates dropped, {dead} dead letters",
        file=sys.stderr,
    )


class Reader(Protocol):
    """Turns rows into events."""

    provider: str
    what: str
    states_only: bool

    def items(self, row: Row) -> Iterator[Any]:
        """The items in a row: one of a CSV row, all of a page."""
        ...

    def read(self, item: Any) -> Parsed:  # noqa: ANN401 - JSON is anything
        """The events of an item."""
        ...


def reader_of(file: RowFile, options: Options) -> Reader:
    """The reader of a file: by the mapping that is told, else of a provider's export, by its columns or first object.

    Raises:
        OutpulseError: unknown, or it could be several providers'.
    """
    if options.mapping is not None:
        name = options.provider or options.mapping.stem
        return _MappedReader(Mapped(name, read_mapping(options.mapping)), options.mapping)
    zone = zone_of(options.time_zone)
    if file.header is not None:
        columns = [column(name) for name in file.header]
        fitting = formats_of_columns(columns, options.provider)
        if len({one.provider for one in fitting}) > 1:
            names = " or ".join(one.provider for one in fitting)
            raise OutpulseError(f"{file.path}: its columns could be {names}'s; say which with --provider")
        if not fitting:
            raise _unknown(file, "columns", file.header, CsvFormat, options.provider)
        return _CsvReader(fitting[0], zone)
    first = _first_object(file.path, options.provider)
    if first is None and options.provider is not None:
        none = JsonFormat(provider=options.provider, what="no objects", keys=frozenset(), tell=_nothing)
        return _JsonReader(none, zone)
    if first is None:
        raise OutpulseError(f"{file.path}: no object is in it; valid is JSON or NDJSON of {described(JsonFormat)}")
    found = format_of_item(first, options.provider)
    if found is None:
        raise _unknown(file, "an object with the keys", list(first), JsonFormat, options.provider)
    return _JsonReader(found, zone)


def _first_object(path: Path, provider: str | None) -> dict[str, Any] | None:
    with closing(RowFile(path)) as look:
        for row in look.rows():
            for item in () if row.bad is not None else _items_of(row, provider):
                if isinstance(item, dict):
                    return item
    return None


def _nothing(*_: object) -> list[Event]:
    return []


def _unknown(
    file: RowFile, what: str, found: Sequence[str], kind: type[JsonFormat | CsvFormat], provider: str | None
) -> OutpulseError:
    shown = ", ".join(name[:40] for name in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    known = described(kind, [provider] if provider else None) or "none"
    return OutpulseError(
        f"{file.path}: unknown format, found {what} {shown}; known are {known}; "
        "for anything else write a mapping file and give it with --mapping"
    )


class _CsvReader:
    """Rows of a provider's CSV export."""

    def __init__(self, wanted: CsvFormat, zone: ZoneInfo) -> None:
        self.provider, self.what, self.states_only = (
            wanted.provider,
            f"{wanted.provider}, {wanted.what}",
            wanted.states_only,
        )
        self._wanted = wanted
        self._zone = zone
        self._columns: dict[str, str] = {}

    def items(self, row: Row) -> Iterator[Any]:
        """The row's cells by `column`."""
        columns = self._columns
        try:
            yield {columns[name]: text for name, text in row.value.items()}
        except KeyError:
            columns.update({name: column(name) for name in row.value})
            yield {columns[name]: text for name, text in row.value.items()}

    def read(self, item: Any) -> Parsed:  # noqa: ANN401 - JSON is anything
        """What the row tells."""
        return read(self._wanted, item, self._zone)


class _JsonReader:
    """Objects of a provider's JSON export; one provider's, perhaps of several formats."""

    def __init__(self, first: JsonFormat, zone: ZoneInfo) -> None:
        self.provider, self.what, self.states_only = (
            first.provider,
            f"{first.provider}, {first.what}",
            first.states_only,
        )
        self._zone = zone

    def items(self, row: Row) -> Iterator[Any]:
        """The objects of a page, or the one."""
        return _items_of(row, self.provider)

    def read(self, item: Any) -> Parsed:  # noqa: ANN401 - JSON is anything
        """What the object tells."""
        if not isinstance(item, dict):
            return _rejected("not an object", f"a JSON {type(item).__name__}, valid is an object")
        wanted = format_of_item(item, self.provider)
        if wanted is None:
            keys = ", ".join(list(item)[:_SHOWN])
            return _rejected("unknown object", f"keys {keys}; known are {described(JsonFormat, [self.provider])}")
        return read(wanted, item, self._zone)


def _items_of(row: Row, provider: str | None) -> Iterator[Any]:
    """The items in a value: those of a page, of a list, or the value itself. Small lists of large documents are not seen."""
    if row.list_name is not None and row.list_name not in {"", *LISTS}:
        return
    yield from _opened(row.value, provider, 2)


def _opened(value: Any, provider: str | None, deep: int) -> Iterator[Any]:  # noqa: ANN401 - JSON is anything
    if isinstance(value, list) and deep:
        for one in value:
            yield from _opened(one, provider, deep - 1)
    elif isinstance(value, dict) and format_of_item(value, provider) is None:
        lists = [value[name] for name in value if name in LISTS and isinstance(value[name], list)]
        yield from (item for found in lists for item in found) if lists else (value,)
    else:
        yield value


class _MappedReader:
    """Items by a mapping file."""

    states_only = False

    def __init__(self, mapped: Mapped, mapping: Path) -> None:
        self.provider, self.what = mapped.name, f"by {mapping.name}"
        self._mapped = mapped
        self._around: Any = None

    def items(self, row: Row) -> Iterator[Any]:
        """The items that the mapping's path finds, or the value itself."""
        self._around = row.value
        yield from self._mapped.items_in(row.value)

    def read(self, item: Any) -> Parsed:  # noqa: ANN401 - JSON is anything
        """What the item tells."""
        return self._mapped.read([item], _UNKNOWN, self._around)


def _rejected(reason: str, detail: str) -> Parsed:
    return Parsed(rejected=[Rejected(reason, detail, b"")])


class _Writer:
    """Writes lines: events, and dead letters that name their row."""

    def __init__(self, out: BinaryIO, provider: str, identity: str, known: KnownFacts, campaign_id: str | None) -> None:
        self._out = out
        self._provider = provider
        self._identity = identity
        self._known = known
        self._campaign_id = campaign_id
        self._latest = from_epoch_ms(time.time_ns() // 1_000_000 + AHEAD_MS)
        self._events: list[Event] = []
        self._lines: list[bytes | Callable[[Event], bytes]] = []
        self._letters = 0

    def add(self, row: Row, reader: Reader) -> None:
        """One row's events and dead letters."""
        if row.bad is not None:
            self._reject(f"row {row.number}", row.raw or b"", *row.bad)
            return
        items = list(reader.items(row))
        for number, item in enumerate(items, 1):
            place = f"row {row.number}, item {number}" if len(items) > 1 else f"row {row.number}"
            parsed = reader.read(item)
            replies = {reply.event_id: reply for reply in parsed.replies}
            for event in parsed.events:
                if event.occurred_at > self._latest:
                    raw = _raw(row, item)
                    self._reject(
                        place, raw, "occurred_at in the future", f"{event.occurred_at} is more than 24 h ahead"
                    )
                    continue
                reply = replies.get(event.event_id) if event.kind is Kind.REPLIED else None
                words = (
                    {} if reply is None else {"text": reply.text, "subject": reply.subject, "headers": reply.headers}
                )
                self._events.append(self._with_campaign(event))
                self._lines.append(_line_with(words) if words else _ENCODE)
            for bad in parsed.rejected:
                self._reject(place, _raw(row, item), bad.reason, bad.detail)
        if len(self._lines) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        events = iter(self._known.named(self._events))
        self._out.writelines((line if isinstance(line, bytes) else line(next(events))) + b"\n" for line in self._lines)
        self._events, self._lines = [], []

    def _with_campaign(self, event: Event) -> Event:
        if self._campaign_id and event.campaign_id is None:
            return replace(event, campaign_id=self._campaign_id)
        return event

    def _reject(self, place: str, raw: bytes, reason: str, detail: str) -> None:
        from flows.files import letter_line

        name = f"import\x1f{self._identity}\x1f{self._letters}"
        self._letters += 1
        letter = DeadLetter(
            id=hashlib.sha256(name.encode()).hexdigest()[:32],
            stage="import",
            reason=reason,
            detail=f"{place}: {detail}",
            raw=raw,
            provider=self._provider,
        )
        self._lines.append(letter_line(letter))


def _raw(row: Row, item: Any) -> bytes:  # noqa: ANN401 - JSON is anything
    """The bytes of a CSV's row or of a line with one item; of a page the item."""
    return row.raw if row.raw is not None and (row.value is item or row.is_csv) else _ENCODE(item)


def _line_with(words: dict[str, Any]) -> Callable[[Event], bytes]:
    return lambda event: _ENCODE({**msgspec.structs.asdict(event), **words})
