"""The laws of the log: durable when answered, ordered, repeatable, each key once; for many processes at once."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing.pool import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import Record, Stored
from eventlog.sqlite import SqliteLog
from schemas.failures import LogError

ROOT: Final = Path(__file__).parents[1]
SPAWN: Final = multiprocessing.get_context("spawn")
KEYS: Final = st.none() | st.sampled_from([b"a", b"b", b"c", b"d"])
RECORDS: Final = st.lists(st.builds(Record, KEYS, st.binary(max_size=4)), max_size=8)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path)
    yield opened
    opened.close()


def keyless(*values: bytes) -> list[Record]:
    return [Record(None, value) for value in values]


def everything(log: SqliteLog, stream: str = "raw") -> list[Stored]:
    """All records of all partitions."""
    return [record for p in range(log.partitions(stream)) for record in log.read(stream, p, 1, 1_000_000)]


def offsets(records: Sequence[Stored]) -> list[int]:
    return [record.offset for record in records]


# One process


def test_appending_gives_ascending_offsets_and_reading_gives_the_records_back(log: SqliteLog) -> None:
    assert log.append("raw", keyless(b"a", b"b")) == [1, 2]
    assert log.append("raw", keyless(b"c")) == [3]
    assert log.append("raw", []) == []
    assert [(record.offset, record.value) for record in log.read("raw", 0, 1, 10)] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert log.end("raw", 0) == 4
    assert log.read("events", 0, 1, 10) == []


@given(st.lists(RECORDS, max_size=5), st.integers(1, 4))
def test_a_key_counts_once_and_every_keyless_record_counts(batches: list[list[Record]], partitions: int) -> None:
    with TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder), partitions)
        given_offsets = [log.append("events", batch) for batch in batches]
        stored = [log.read("events", p, 1, 1000) for p in range(partitions)]
        log.close()
    first: dict[bytes, bytes] = {}
    for record in (record for batch in batches for record in batch):
        if record.key is not None:
            first.setdefault(record.key, record.value)
    loose = [record.value for batch in batches for record in batch if record.key is None]
    told = {(record.key, offset) for batch, given in zip(batches, given_offsets, strict=True)
            for record, offset in zip(batch, given, strict=True) if record.key is not None}  # fmt: skip

    assert sorted(record.value for part in stored for record in part) == sorted([*first.values(), *loose])
    assert {key for key, _ in told} == set(first)
    assert len(told) == len(first), "a key was given two offsets"
    for part in stored:
        assert offsets(part) == list(range(1, len(part) + 1))


@given(st.lists(RECORDS, max_size=4), st.integers(-1, 12), st.integers(1, 6), st.integers(0, 12))
def test_reading_is_ordered_repeatable_and_heeds_both_limits(
    batches: list[list[Record]], start: int, limit: int, max_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder))
        for batch in batches:
            log.append("raw", batch)
        whole = [record for record in everything(log) if record.offset >= start]
        part = log.read("raw", 0, start, limit, max_bytes)
        again = log.read("raw", 0, start, limit, max_bytes)
        log.close()

    assert part == again == whole[: len(part)]
    assert len(part) <= limit
    assert bool(part) == bool(whole), "what waits must be handed out, however large it is"
    assert sum(len(record.value) for record in part[:-1]) <= max_bytes
    if len(part) < min(limit, len(whole)):
        assert sum(len(record.value) for record in part) > max_bytes


def test_a_key_lies_in_the_same_partition_whoever_appends_it(tmp_path: Path) -> None:
    records = [Record(f"key-{n}".encode(), f"{n}".encode()) for n in range(200)]
    one, other = SqliteLog(tmp_path, 4), SqliteLog(tmp_path, 4)
    given_offsets = one.append("events", records)

    assert other.append("events", list(reversed(records))) == list(reversed(given_offsets))
    assert [len(one.read("events", p, 1, 1000)) > 20 for p in range(4)] == [True] * 4
    assert len(everything(other, "events")) == 200
    one.close()
    other.close()


def test_a_stream_keeps_the_number_of_partitions_it_was_made_with(tmp_path: Path) -> None:
    made = SqliteLog(tmp_path, 3)
    made.append("raw", keyless(b"a"))
    later = SqliteLog(tmp_path, 5)

    assert (later.partitions("raw"), later.partitions("events")) == (3, 5)
    made.close()
    later.close()


def test_progress_is_kept_by_consumer_stream_and_partition(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path, 2)
    log.mark("normalize", "raw", 1, 17)
    log.mark("normalize", "raw", 1, 12)
    log.close()

    assert log.marked("normalize", "raw", 1) == 12
    assert [log.marked("normalize", "raw", 0), log.marked("other", "raw", 1), log.marked("normalize", "events", 1)] == [
        1,
        1,
        1,
    ]
    log.close()


@pytest.mark.parametrize("older_than_ms", [0, 2**60], ids=["nothing is so old", "everything is so old"])
def test_expiry_never_lets_an_offset_be_given_twice(log: SqliteLog, older_than_ms: int) -> None:
    log.append("raw", [Record(b"k", b"1"), *keyless(b"2", b"3")])
    dropped = log.expire("raw", 0, older_than_ms)

    assert dropped == (2 if older_than_ms else 0)
    assert offsets(everything(log)) == ([3] if older_than_ms else [1, 2, 3])
    assert log.end("raw", 0) == 4
    assert log.append("raw", keyless(b"4")) == [4]
    log.expire("raw", 0, older_than_ms)
    log.close()
    assert log.append("raw", keyless(b"5")) == [5]


def test_expiry_drops_what_was_appended_before_the_instant_and_nothing_else(log: SqliteLog) -> None:
    log.append("raw", keyless(b"1", b"2"))
    (newest,) = log.read("raw", 0, 2, 1)

    assert log.expire("raw", 0, newest.appended_ms) == 0
    assert log.expire("raw", 0, newest.appended_ms + 1) == 1
    assert offsets(everything(log)) == [2]


def test_expiry_spares_what_lies_at_and_beyond_an_offset(log: SqliteLog) -> None:
    log.append("raw", keyless(b"1", b"2", b"3", b"4"))

    assert log.expire("raw", 0, 2**60, below_offset=3) == 2
    assert offsets(everything(log)) == [3, 4]
    assert log.expire("raw", 0, 2**60, below_offset=99) == 1
    assert offsets(everything(log)) == [4]


def test_a_folder_that_cannot_be_made_and_a_file_that_is_no_log_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "raw-0.sqlite").write_bytes(b"no database" * 1000)
    log = SqliteLog(tmp_path)

    with pytest.raises(LogError, match=r"raw log in .*file is not a database"):
        log.append("raw", keyless(b"a"))
    with pytest.raises(LogError, match=r"raw log in .*file is not a database"):
        log.read("raw", 0, 1, 1)
    with pytest.raises(LogError, match="Not a directory"):
        SqliteLog(tmp_path / "raw-0.sqlite" / "log")
    log.close()


FULL: Final = """
import sys
from pathlib import Path
from eventlog import Record
from eventlog.sqlite import SqliteLog
import resource
log = SqliteLog(Path(sys.argv[1]))
log.append("raw", [Record(None, b"before")])
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
try:
    log.append("raw", [Record(None, b"x" * 200_000), Record(None, b"y")])
except Exception as error:
    print(type(error).__name__, error)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
print(log.append("raw", [Record(None, b"after")]))
"""


def test_on_a_full_disk_nothing_of_an_append_is_there_and_the_next_one_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    log = SqliteLog(tmp_path)

    assert [record.value for record in everything(log)] == [b"before", b"after"]
    log.close()
    told, given_offsets = done.stdout.splitlines()
    assert told.startswith("LogError cannot append to the raw log in ")
    assert "disk" in told
    assert given_offsets == "[2]"


# Many processes


def append_many(folder: str, partitions: int, name: str, batches: int, shared: int) -> list[int]:
    """Appends batches of a key of its own and `shared` keys that all processes append; gives all offsets."""
    log = SqliteLog(Path(folder), partitions)
    found: list[int] = []
    for number in range(batches):
        own = Record(f"{name}-{number}".encode(), f"{name}-{number}".encode())
        common = [Record(f"{number}-{n}".encode(), f"{number}-{n}".encode()) for n in range(shared)]
        found += log.append("events", [own, *common])
    log.close()
    return found


def read_along(folder: str, partitions: int, until: int) -> list[list[tuple[int, bytes]]]:
    """Follows every partition, a few records at a time, until so many have been read."""
    log = SqliteLog(Path(folder), partitions)
    found: list[list[tuple[int, bytes]]] = [[] for _ in range(log.partitions("events"))]
    while sum(map(len, found)) < until:
        for partition, seen in enumerate(found):
            start = seen[-1][0] + 1 if seen else 1
            seen += [(record.offset, record.value) for record in log.read("events", partition, start, 7)]
    log.close()
    return found


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    with SPAWN.Pool(6) as pool:
        yield pool


@pytest.mark.parametrize("partitions", [1, 3])
def test_readers_miss_nothing_and_see_one_order_while_others_append(
    tmp_path: Path, processes: Pool, partitions: int
) -> None:
    appenders, batches, shared = 3, 40, 5
    total = appenders * batches + batches * shared
    reading = [processes.apply_async(read_along, (str(tmp_path), partitions, total)) for _ in range(2)]
    appending = [
        processes.apply_async(append_many, (str(tmp_path), partitions, f"p{n}", batches, shared))
        for n in range(appenders)
    ]
    given_offsets = [one.get(120) for one in appending]
    one, other = (found.get(120) for found in reading)
    log = SqliteLog(tmp_path)
    stored = [[(r.offset, r.value) for r in log.read("events", p, 1, 10**6)] for p in range(log.partitions("events"))]
    log.close()

    assert len(stored) == partitions
    assert one == other == stored
    assert sum(map(len, stored)) == total
    assert len({value for part in stored for _, value in part}) == total
    for part in stored:
        assert [offset for offset, _ in part] == list(range(1, len(part) + 1))
    common = [[o for at, o in enumerate(found) if at % (shared + 1)] for found in given_offsets]
    assert common[0] == common[1] == common[2], "one key, two offsets"


def open_and_append(folder: str, partitions: int, name: str) -> tuple[int, str]:
    """Opens all streams of a folder at once with others; the number of partitions, and what went wrong."""
    try:
        log = SqliteLog(Path(folder), partitions)
        for stream in ("raw", "events", "replies"):
            log.append(stream, [Record(f"{name}-{n}".encode(), name.encode()) for n in range(8)])
        found = log.partitions("events")
        log.close()
    except LogError as error:
        return 0, str(error)
    return found, ""


@pytest.mark.parametrize("partitions", [1, 4])
def test_many_processes_may_open_a_fresh_folder_at_the_same_moment(
    tmp_path: Path, processes: Pool, partitions: int
) -> None:
    for turn in range(12):
        folder = tmp_path / str(turn)
        jobs = [(str(folder), partitions, f"p{n}") for n in range(6)]
        outcomes = processes.starmap(open_and_append, jobs, chunksize=1)

        assert outcomes == [(partitions, "")] * 6
        log = SqliteLog(folder)
        assert [len(everything(log, stream)) for stream in ("raw", "events", "replies")] == [48, 48, 48]
        log.close()


APPENDER: Final = """
import sys
from pathlib import Path
from eventlog import Record
from eventlog.sqlite import SqliteLog
log = SqliteLog(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    (offset, _) = log.append("raw", [Record(None, b"%d" % number), Record(b"k%d" % number, b"x" * 3000)])
    print(number, offset, flush=True)
"""


def test_what_was_acknowledged_is_there_after_kill_9_and_half_a_batch_never_is(tmp_path: Path) -> None:
    acknowledged: list[tuple[int, int]] = []
    for turn in range(4):
        appender = subprocess.Popen(
            [sys.executable, "-c", APPENDER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert appender.stdout is not None
        told = [appender.stdout.readline() for _ in range(5 + 13 * turn)]
        os.kill(appender.pid, signal.SIGKILL)
        told += appender.communicate()[0].splitlines()
        acknowledged += [(int(one.split()[0]), int(one.split()[1])) for one in told if len(one.split()) == 2]
    log = SqliteLog(tmp_path)
    stored = {record.offset: record.value for record in everything(log)}
    keyed = [value for value in stored.values() if value.startswith(b"x")]
    log.close()

    assert len(acknowledged) > 40
    for number, offset in acknowledged:
        assert stored[offset] == str(number).encode()
    assert list(stored) == list(range(1, len(stored) + 1))
    numbers = [int(value) for value in stored.values() if not value.startswith(b"x")]
    assert len(keyed) == max(numbers)
    assert all(later in (earlier + 1, 1) for earlier, later in pairwise(numbers))


def test_an_appender_waits_for_another_that_holds_the_file(tmp_path: Path, processes: Pool) -> None:
    log = SqliteLog(tmp_path)
    log.append("events", keyless(b"first"))
    holder = sqlite3.connect(tmp_path / "events-0.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waiting = processes.apply_async(append_many, (str(tmp_path), 1, "p", 1, 0))
    while not log.read("events", 0, 1, 10):  # readers are not held up
        pass
    waiting.wait(1.0)
    holder.execute("COMMIT")
    holder.close()

    assert waiting.get(60) == [2]
    log.close()
