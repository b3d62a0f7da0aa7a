"""Files of canonical events as a source: offset = content identity + byte (or row, for Parquet).

The identity is the hash of the whole content, so a file is known again under any name, and a second replay finds itself
finished. Blocks are read ahead by one thread while the flow works on the block before.
"""

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from features.columns import LONGEST_LINE, Decoded, too_long
from flows.work import Work
from schemas.failures import DeadLetter, OutpulseError
from sinks.rows import Result

EVENT_BYTES: Final = 450
"""A usual event's length: a block of a file holds as many times this as a chunk has events."""
BLOCK_BYTES: Final = 65_536 * EVENT_BYTES
_HELD_BATCHES: Final = 8
"""Rows of that many batches are landed in one transaction, since each costs two small files."""
_DAMAGED: Final = (OSError, EOFError, zlib.error)
FORMATS: Final = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".parquet")
IMPORTED: Final = ".imported"
"""What `outpulse import` writes: events and, by `letter_line`, dead letters."""
_LETTER: Final = b'{"dead_letter":'


def content_id(path: Path) -> str:
    """XXH3-128 of the file's bytes, as hex.

    Raises:
        OutpulseError: the file cannot be read.
    """
    digest = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(8 * 2**20):
                digest.update(block)
    except OSError as error:
        raise OutpulseError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


class EventFile:
    """One file of canonical events, read from a position on; `size_hint` is in bytes, for progress only.

    Raises:
        OutpulseError: unreadable, or a name that tells no known format.
    """

    def __init__(self, path: Path) -> None:
        name = path.name.lower()
        if not name.endswith((*FORMATS, IMPORTED)):
            raise OutpulseError(f"{path} has no known format; valid are {', '.join(FORMATS)} and - for standard input")
        self.path = path
        self.source = f"replay/{content_id(path)}"
        self.size_hint = path.stat().st_size
        self._fault: OutpulseError | None = None
        self._has_letters = name.endswith(IMPORTED)
        self._kind = "parquet" if name.endswith(".parquet") else "gzip" if name.endswith(".gz") else "plain"

    def works(
        self,
        position: int,
        block_bytes: int = BLOCK_BYTES,
        ahead: Callable[[Work], Decoded] | None = None,
        watch: Callable[[pa.Table], Sequence[Result]] | None = None,
        missed: Sequence[Result] = (),
    ) -> Iterator[Work]:
        """Micro-batches from a position on; the last one has `more_waits` False and the position behind the end.

        One thread reads, and decodes if `ahead` tells how, a batch ahead of the one that is being landed. `watch` makes
        further rows of each batch's facts, in the order of the file; they are few, so some batches land them together, and
        `missed` are those that may not have landed before.
        """
        held: list[Result] = list(missed)
        holding = 0
        blocks = _with_last(self._rows(position) if self._kind == "parquet" else self._blocks(position, block_bytes))

        def prepare() -> Work | None:
            work = next(blocks, None)
            return replace(work, decoded=ahead(work)) if work is not None and ahead is not None else work

        def watched(reading: Future[Work | None]) -> Work | None:
            work = reading.result()
            if work is None or watch is None:
                return work
            nonlocal holding
            if work.decoded is None:
                before = tuple(held)
                held.clear()
                return replace(work, watch=lambda facts: (*before, *watch(facts)))
            held.extend(watch(work.decoded.facts))
            holding += 1
            if work.more_waits and holding < _HELD_BATCHES:
                return work
            results, holding = tuple(held), 0
            held.clear()
            return replace(work, decoded=replace(work.decoded, results=results))

        # Three blocks are on their way at a time: one is decoded, one is watched, one is landed.
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as watcher:
            waiting: deque[Future[Work | None]] = deque()
            for _ in range(1 if watch is None else 2):
                waiting.append(watcher.submit(watched, reader.submit(prepare)))
            while (work := waiting.popleft().result()) is not None:
                waiting.append(watcher.submit(watched, reader.submit(prepare)))
                yield work

    def _blocks(self, position: int, block_bytes: int) -> Iterator[Work]:
        self._fault = None
        with self._opened() as file:
            _skip(file, position)
            rest = b""
            while True:
                read = self._read(file, block_bytes)
                block = rest + read if rest else read
                if not block:
                    return
                end = block.rfind(b"\n") + 1 if read else len(block)
                if not end and len(block) <= LONGEST_LINE:  # a line longer than a block
                    rest = block
                    continue
                if not end:
                    length, rest = self._rest_of_line(file, block, block_bytes)
                    yield self._too_long(position, block, position + length)
                    position += length
                    continue
                rest = block[end:]
                lines, starts = split_lines(block, end)
                dead: list[bytes] = []
                if self._has_letters:
                    lines, starts, dead = _without_letters(lines, starts)
                yield Work(
                    source=self.source,
                    cursors={self.source: position + end},
                    lines=lines,
                    at=starts + position,
                    dead=dead,
                )
                position += end

    def _rest_of_line(self, file: BinaryIO, start: bytes, block_bytes: int) -> tuple[int, bytes]:
        """The length of a line that is too long, with its break, and what was read behind it."""
        length = len(start)
        while block := self._read(file, block_bytes):
            end = block.find(b"\n") + 1
            if end:
                return length + end, block[end:]
            length += len(block)
        return length, b""

    def _too_long(self, position: int, start: bytes, end: int) -> Work:
        dead = msgspec.msgpack.encode(too_long(self.source, position, start))
        return Work(source=self.source, cursors={self.source: end}, dead=[dead])

    def _read(self, file: BinaryIO, size: int) -> bytes:
        """Up to `size` bytes; of a damaged file all that can be read, and then the error.

        Raises:
            OutpulseError: the file is damaged here.
        """
        if self._fault is not None:
            raise self._fault
        pieces: list[bytes] = []
        while size > 0:
            try:
                piece = file.read1(min(size, 2**17)) if isinstance(file, gzip.GzipFile) else file.read(size)
            except _DAMAGED as error:
                self._fault = OutpulseError(f"{self.path} is damaged: {error}; the events before that have landed")
                if pieces:
                    break
                raise self._fault from None
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _opened(self) -> BinaryIO:
        if self._kind == "gzip":
            return cast("BinaryIO", gzip.open(self.path))
        return self.path.open("rb")

    def _rows(self, position: int) -> Iterator[Work]:
        try:
            file = pq.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            raise OutpulseError(f"{self.path} is not a Parquet file: {error}") from None
        row = 0
        try:
            for batch in file.iter_batches(batch_size=65_536):
                if row + len(batch) > position:
                    part = batch.slice(max(0, position - row))
                    yield self._rows_work(part, row + max(0, position - row))
                row += len(batch)
        except (OSError, pa.ArrowException) as error:
            raise OutpulseError(f"{self.path} is damaged: {error}; the rows before that have landed") from None

    def _rows_work(self, part: pa.RecordBatch, start: int) -> Work:
        end = start + len(part)
        lines = pa.array(
            [msgspec.json.encode(_canonical(row)) for row in _with_plain_times(part).to_pylist()], pa.binary()
        )
        return Work(
            source=self.source,
            cursors={self.source: end},
            lines=lines,
            at=np.arange(start, end, dtype=np.int64),
        )


def _with_last(works: Iterator[Work]) -> Iterator[Work]:
    """The same batches, the last of them told as such; of a damaged file that is the last before the damage."""
    waiting: Work | None = None
    try:
        for work in works:
            if waiting is not None:
                yield replace(waiting, more_waits=True)
            waiting = work
    except OutpulseError:
        if waiting is not None:
            yield waiting
        raise
    if waiting is not None:
        yield waiting


def letter_line(letter: DeadLetter) -> bytes:
    """A dead letter as a line of an imported file."""
    return _LETTER + msgspec.json.encode(letter) + b"}"


def _without_letters(
    lines: pa.Array, starts: np.ndarray[Any, Any]
) -> tuple[pa.Array, np.ndarray[Any, Any], list[bytes]]:
    """The lines that are events, where they start, and the dead letters as the flow takes them."""
    is_letter = np.asarray(pc.starts_with(lines, _LETTER.decode()))
    if not is_letter.any():
        return lines, starts, []
    letters = lines.filter(pa.array(is_letter)).to_pylist()
    dead = [msgspec.json.decode(line.strip()[len(_LETTER) : -1], type=DeadLetter) for line in letters]
    return lines.filter(pa.array(~is_letter)), starts[~is_letter], [msgspec.msgpack.encode(one) for one in dead]


def split_lines(block: bytes, end: int) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    """The lines of `block[:end]` as an Arrow array over the same memory, and the byte at which each starts (int64)."""
    view = np.frombuffer(block, np.uint8, end)
    breaks = np.flatnonzero(view == 10)
    if not len(breaks) or breaks[-1] != end - 1:
        breaks = np.append(breaks, end - 1)
    offsets = np.empty(len(breaks) + 1, np.int32)
    offsets[0] = 0
    np.add(breaks, 1, out=offsets[1:], casting="unsafe")
    lines = pa.Array.from_buffers(pa.binary(), len(breaks), [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    return lines, offsets[:-1].astype(np.int64)


def _skip(file: BinaryIO, position: int) -> None:
    if file.seekable():
        file.seek(position)


def _with_plain_times(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Instants in microseconds UTC; those without a zone are UTC already, as everywhere in the lake."""
    for index, column in enumerate(rows.columns):
        if pa.types.is_timestamp(column.type):
            zone = column.type.tz or "UTC"
            moved = pc.cast(pc.cast(column, pa.timestamp("us", zone), safe=False), pa.timestamp("us", "UTC"))
            rows = rows.set_column(index, rows.schema.field(index).name, moved)
    return rows


def _canonical(row: dict[str, Any]) -> dict[str, Any]:
    """A Parquet row as canonical JSON would have it: nulls left away, maps as objects, times as text."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        found[name] = dict(value) if isinstance(value, list) and name in {"attributes", "headers"} else value
    return found
