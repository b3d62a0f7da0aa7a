"""The process in which strangers' statements run: locked down by DuckDB's settings, by a check, and by the system.

`python -m sinks.console_worker HOME MEMORY_MIB [exact]` reads requests on standard input and answers on standard output. A
request is one line of JSON; an answer is frames: a letter, a length, and that many bytes. It holds nothing between
statements, so its parent may kill it at any moment.
"""

import bisect
import json
import os
import re
import resource
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import pyarrow as pa

from schemas.failures import LakeError, OutpulseError, QueryRefused, QueryStopped, QueryWrong
from sinks.attach import LAKE, connect, lake_folder
from sinks.statements import checked, one_line

HEAD: Final = struct.Struct("!cQ")
"""Before each frame: what it is, and its length."""
READY, COLUMNS, ROWS, END, CUT, FAILED = b"r", b"c", b"b", b"e", b"x", b"f"
EXACT: Final = "exact"
"""Types that Arrow lacks come as DuckDB's own, which only DuckDB reads. Without it the largest UHUGEINT arrives as -1, a
TIMETZ without its zone, and bits as bytes.
"""
MOST_COLUMNS: Final = 10_000
"""PostgreSQL's limit is 1,600; a statement can make millions, whose names alone would fill the one who asks."""
BATCH_ROWS: Final = 8192
FEW_ROWS: Final = 512
"""At a time where bytes are counted: lists of 10,000 numbers in 8192 rows are 634 MiB, more than a worker may take."""
_BESIDE_MIB: Final = 768
"""What Python, Arrow and DuckDB's vectors take beside DuckDB's own count of memory; measured 330 MiB on plain queries."""
_SPILL: Final = "2GB"
_STOPPED: Final = re.compile(r"INTERRUPT Error|Out of Memory Error")
"""What Arrow's reader hands on of DuckDB's errors; a type that Arrow lacks is an OSError with it."""


def locked(home: Path, memory_mib: int, *, exact: bool = False) -> duckdb.DuckDBPyConnection:
    """A reader that can neither write, nor attach, nor open files but the lake's data.

    Raises:
        LakeError: there is no lake, or it cannot be opened.
    """
    connection = connect(home, read_only=True, memory_limit=f"{memory_mib}MiB", threads=2)
    data = str(lake_folder(home) / "data") + "/"
    connection.execute("SET allowed_directories = [{}]".format("'" + data.replace("'", "''") + "'"))
    connection.execute(f"SET max_temp_directory_size = '{_SPILL}'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    connection.execute(f"SET arrow_lossless_conversion = {exact}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def macros_of(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Names of the lake's own macros."""
    found = connection.execute(
        f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE database_name = '{LAKE}'"
    ).fetchall()
    return frozenset(str(name).lower() for (name,) in found)


class Answering:
    """Answers to one parent."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, out: BinaryIO) -> None:
        self._connection = connection
        self._macros = macros_of(connection)
        self._out = out

    def say(self, kind: bytes, payload: bytes = b"") -> None:
        """One frame."""
        self._out.write(HEAD.pack(kind, len(payload)) + payload)
        self._out.flush()

    def answer(self, request: dict[str, Any]) -> None:
        """Runs one statement; whatever goes wrong is the answer."""
        timer = threading.Timer(float(request["seconds"]), self._connection.interrupt)
        timer.start()
        try:
            self._run(str(request["query"]), request.get("values") or [], request.get("bytes"))
        except QueryRefused as error:
            self._fail("refused", str(error))
        except duckdb.InterruptException:
            self._fail("stopped", f"the statement ran longer than {request['seconds']:g} s")
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            self._fail("stopped", f"the statement needs more memory than it may take: {one_line(error)}")
        except (duckdb.Error, OutpulseError, OSError, RuntimeError, ValueError, pa.ArrowException) as error:
            self._fail("stopped" if _STOPPED.search(str(error)) else "wrong", one_line(error))
        finally:
            timer.cancel()

    def _run(self, query: str, values: Sequence[Any], most_bytes: int | None) -> None:
        text = checked(query, self._macros)
        result = self._connection.execute(text, values or None)
        described = [(str(column[0]), str(column[1])) for column in result.description or []]
        if len(described) > MOST_COLUMNS:
            raise LakeError(
                f"the answer has {len(described)} columns, valid are {MOST_COLUMNS} at most; name those you want"
            )
        self.say(COLUMNS, json.dumps(described).encode())
        reader = result.to_arrow_reader(BATCH_ROWS if most_bytes is None else FEW_ROWS)
        self.say(ROWS, _ipc(reader.schema, []))
        left = most_bytes
        for batch in reader:
            rows = batch.num_rows if left is None else rows_within(batch, left)
            if rows < batch.num_rows:
                self.say(ROWS, _ipc(reader.schema, [batch.slice(0, rows)]))
                self.say(CUT)
                return
            self.say(ROWS, _ipc(reader.schema, [batch]))
            left = None if left is None else left - batch.nbytes
        self.say(END)

    def _fail(self, kind: str, text: str) -> None:
        self.say(FAILED, json.dumps([kind, text]).encode())


def failure(payload: bytes) -> LakeError:
    """What a frame FAILED tells."""
    kind, text = json.loads(payload)
    kinds: dict[str, type[LakeError]] = {"refused": QueryRefused, "stopped": QueryStopped, "wrong": QueryWrong}
    return kinds.get(kind, LakeError)(text)


def rows_within(batch: Any, most_bytes: int) -> int:  # noqa: ANN401 - pyarrow has no types
    """How many of the first rows take at most so many bytes."""
    rows: int = batch.num_rows
    if batch.nbytes <= most_bytes:
        return rows
    return bisect.bisect_right(range(1, rows + 1), most_bytes, key=lambda first: int(batch.slice(0, first).nbytes))


def _ipc(schema: Any, batches: Sequence[Any]) -> bytes:  # noqa: ANN401 - pyarrow has no types
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def main(arguments: Sequence[str]) -> None:
    """Answers until standard input ends."""
    home, memory_mib = Path(arguments[0]), int(arguments[1])
    most = (memory_mib + _BESIDE_MIB) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)  # people's statements give way to the writer
    try:
        answering = Answering(locked(home, memory_mib, exact=EXACT in arguments[2:]), sys.stdout.buffer)
    except LakeError as error:
        payload = json.dumps(["no lake", str(error)]).encode()
        sys.stdout.buffer.write(HEAD.pack(FAILED, len(payload)) + payload)
        return
    answering.say(READY)
    for line in sys.stdin.buffer:
        answering.answer(json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1:])
