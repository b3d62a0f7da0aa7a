"""Rows of CSV, JSON and NDJSON files of any size, one after the other, each with its number; gzip and zip are unpacked.

A row that cannot be read is told as such, and costs its neighbours nothing.
"""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from outpulse.documents import Damaged, values_of
from schemas.decode import load_json
from schemas.failures import BadEvent, OutpulseError

_LOOK: Final = 2**20
"""Characters that are looked at to tell what a file is."""
_MOST_LINES: Final = 200
"""A row of more lines than this is one whose quote was never closed."""
_DELIMITERS: Final = ",;\t|"
_DAMAGED: Final = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


class Row(NamedTuple):
    """One row. `number` counts as a spreadsheet does: a CSV's header is row 1; of JSON the first item is 1.

    `value` is an object of a JSON file, or a CSV's cells by the header's names without empty ones. `list_name` is the
    list of a large document that the value was in. `bad` is (reason, detail) of a row that cannot be read.
    """

    number: int
    value: Any
    raw: bytes | None = None
    bad: tuple[str, str] | None = None
    list_name: str | None = None
    is_csv: bool = False


class RowFile:
    """A file of rows. `header` is a CSV's first row, None of a JSON file; `fault` says where a damaged file ended.

    Raises:
        OutpulseError: it cannot be read, or holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: OutpulseError | None = None
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
            self._text = self._opened()
            start = self._text.read(_LOOK)
        except _DAMAGED as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise OutpulseError(f"{path} cannot be read: {why}") from None
        self._rest = _Text(start, self._text)
        self._start = start.lstrip()
        if not self._start and self._bytes.fault is not None:
            raise OutpulseError(f"{path} cannot be read: {self._bytes.fault}")
        if not self._start:
            raise OutpulseError(f"{path} is empty; valid are CSV, JSON and NDJSON files")
        self.header: list[str] | None = None
        if self._start[0] not in "[{":
            self._lines = _Lines(self._rest)
            self.header = self._read_header()

    def done(self) -> int:
        """How many bytes of the file were read, for progress."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._text.close()
        self._file.close()

    def rows(self) -> Iterator[Row]:
        """Every row, in order. Where the file is damaged they end, and `fault` is set."""
        if self.header is not None:
            yield from self._csv_rows(self.header)
        elif _is_by_lines(self._start):
            yield from self._json_lines()
        else:
            yield from _numbered(values_of(self._rest.read))
        if self._bytes.fault is not None:
            why = str(self._bytes.fault)
            self.fault = OutpulseError(f"{self.path} is damaged: {why}; the rows before that have landed")

    def _opened(self) -> io.TextIOBase:
        magic = self._file.read(4)
        self._file.seek(0)
        unpacked: IO[bytes] = self._file
        if magic[:2] == b"\x1f\x8b":
            unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=self._file))
        elif magic == b"PK\x03\x04":
            unpacked = self._unzipped()
        self._bytes = _Mended(unpacked)
        buffered = io.BufferedReader(self._bytes, 2**18)
        mark = buffered.peek(4)
        encoding = next((name for sign, name in _MARKS if mark.startswith(sign)), "utf-8")
        return io.TextIOWrapper(buffered, encoding=encoding, errors="replace", newline="")

    def _unzipped(self) -> IO[bytes]:
        archive = zipfile.ZipFile(self._file)
        names = [one.filename for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__")]
        if len(names) != 1:
            raise OutpulseError(f"{self.path} holds {len(names)} files, valid is one; unpack it and import its files")
        return archive.open(names[0])

    def _read_header(self) -> list[str]:
        first = self._start.splitlines()[0]
        self._delimiter = max(_DELIMITERS, key=first.count)
        cells = next(csv.reader(self._lines, delimiter=self._delimiter), [])
        return [cell.strip() for cell in cells]

    def _csv_rows(self, header: Sequence[str]) -> Iterator[Row]:
        lines, width, number = self._lines, len(header), 1
        reader = csv.reader(lines, delimiter=self._delimiter)
        while True:
            lines.used = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], str(error)
            else:
                if not cells:
                    number += 1
                    continue
                while len(cells) > width and not cells[-1]:
                    cells.pop()
                fault = "" if len(cells) == width else f"{len(cells)} cells, the header has {width}"
                if len(lines.used) > _MOST_LINES:
                    fault = "a quote is not closed"
            number += 1
            if not fault:
                yield Row(
                    number,
                    {name: cell for name, cell in zip(header, cells, strict=True) if cell},
                    lines.raw(),
                    is_csv=True,
                )
                continue
            lines.give_back()
            yield Row(number, None, lines.raw(), ("not a CSV row", fault))

    def _json_lines(self) -> Iterator[Row]:
        for number, line in enumerate(_Lines(self._rest), 1):
            if line.isspace():
                continue
            raw = line.strip().encode("utf-8", "surrogatepass")
            try:
                yield Row(number, load_json(raw), raw)
            except BadEvent as bad:
                found = list(values_of(iter([line, ""]).__next__))
                if any(isinstance(one, Damaged) for one in found):
                    yield Row(number, None, raw, (bad.reason, str(bad)))
                else:  # several objects on one line, as Firehose writes them
                    yield from (Row(number, one[1]) for one in found if not isinstance(one, Damaged))


def _is_by_lines(start: str) -> bool:
    """Whether the first line is a JSON value of its own, and more follows."""
    first, _, rest = start.partition("\n")
    if not rest.strip():
        return False
    try:
        load_json(first.encode("utf-8", "surrogatepass"))
    except BadEvent:
        return first.strip().endswith("}") and rest.lstrip().startswith("{")
    return True


def _numbered(found: Iterator[tuple[str | None, Any] | Damaged]) -> Iterator[Row]:
    for number, one in enumerate(found, 1):
        if isinstance(one, Damaged):
            yield Row(number, None, one.raw, ("not JSON", one.why))
        else:
            yield Row(number, one[1], list_name=one[0])


class _Mended(io.RawIOBase):
    """A file that ends where it is damaged; `fault` is what was found there."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.fault: Exception | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """The next bytes."""
        size = min(len(buffer), 2**16)
        read = getattr(self._file, "read1", self._file.read)  # of a packed file no more than can be unpacked
        try:
            part: bytes = b"" if self.fault is not None else read(size)
        except _DAMAGED as error:
            self.fault, part = error, b""
        buffer[: len(part)] = part
        return len(part)


class _Text:
    """A text that was looked at, and the rest of its file."""

    def __init__(self, start: str, file: io.TextIOBase) -> None:
        self._start = start
        self._file = file

    def read(self) -> str:
        """The next part; empty at the end."""
        start, self._start = self._start, ""
        return start or self._file.read(_LOOK)


class _Lines:
    """The lines of a text; remembers those of the row under way, and takes lines back."""

    def __init__(self, text: _Text) -> None:
        self._text = text
        self._ready: list[str] = []
        self._tail = ""
        self.used: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._ready:
            part = self._text.read()
            if not part:
                if not self._tail:
                    raise StopIteration
                self._ready, self._tail = [self._tail], ""
                break
            lines = (self._tail + part).splitlines(keepends=True) if "\r" in part else _split(self._tail + part)
            self._tail = lines.pop()
            lines.reverse()
            self._ready = lines
        line = self._ready.pop()
        self.used.append(line)
        return line

    def give_back(self) -> None:
        """All lines of the row but its first are read again."""
        self._ready.extend(reversed(self.used[1:]))
        del self.used[1:]

    def raw(self) -> bytes:
        """The bytes of the row."""
        return "".join(self.used).encode("utf-8", "surrogatepass")


def _split(text: str) -> list[str]:
    """The lines of a text by line feeds only, the last one perhaps cut off."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + [parts[-1]]
