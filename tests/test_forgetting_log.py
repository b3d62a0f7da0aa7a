"""Erasing from the log: bytes go, records keep their places."""

import random
import sqlite3
from pathlib import Path

import pytest

from eventlog import Record, Stored, erasing
from eventlog.sqlite import SqliteLog
from schemas.failures import LogError


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def change(record: Stored) -> bytes | None:
    return record.value.replace(b"zanna", b"nobody") if b"zanna" in record.value else None


def test_erased_records_keep_offset_key_and_neighbours_and_leave_no_byte(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    values = [b"zanna" * 3000 if n % 3 == 0 else b"other%d" % n for n in range(300)]
    offsets = log.append("events", [Record(b"key%d" % n, value) for n, value in enumerate(values)])

    assert log.rewrite("events", 0, change) == 100
    found = log.read("events", 0, 1, 1000)
    assert [record.offset for record in found] == offsets
    assert [record.value for record in found] == [value.replace(b"zanna", b"nobody") for value in values]
    assert log.append("events", [Record(b"key0", b"again")]) == offsets[:1]
    assert b"zanna" not in bytes_of(tmp_path)
    assert log.rewrite("events", 0, change) == 0


def test_what_retention_dropped_before_is_gone_from_the_file_too(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    for size in (1, 40, 3000):
        log.append("raw", [Record(None, b"zanna %d " % n + b"." * size) for n in range(500)])
        log.append("raw", [Record(None, b"other")])
    log.expire("raw", 0, 2**60, 1100)
    log.append("raw", [Record(None, b"other")])
    log.expire("raw", 0, 2**60, 1503)

    assert b"zanna" in bytes_of(tmp_path)
    assert log.rewrite("raw", 0, lambda _: None) == 0
    assert b"zanna" not in bytes_of(tmp_path)
    assert [record.value for record in log.read("raw", 0, 1, 10)] == [b"other", b"other"]


def test_another_process_reads_and_appends_on_while_records_are_erased(tmp_path: Path) -> None:
    log, other = SqliteLog(tmp_path), SqliteLog(tmp_path)
    log.append("events", [Record(None, b"zanna")])
    assert [record.value for record in other.read("events", 0, 1, 10)] == [b"zanna"]
    log.rewrite("events", 0, change)
    other.append("events", [Record(None, b"new")])

    assert [record.value for record in other.read("events", 0, 1, 10)] == [b"nobody", b"new"]
    assert [record.value for record in log.read("events", 0, 1, 10)] == [b"nobody", b"new"]


def without_care(log: SqliteLog, folder: Path) -> sqlite3.Connection:
    """A connection that leaves what it deletes in the file, as where SQLite was built so and an older release ran."""
    log.end("raw", 0)
    made = sqlite3.connect(folder / "raw-0.sqlite", isolation_level=None)
    made.execute("PRAGMA secure_delete=OFF")
    return made


@pytest.mark.parametrize("seed", [5, 6, 10, 26, 55, 59])
def test_what_was_dropped_and_moved_without_secure_delete_is_gone(tmp_path: Path, seed: int) -> None:
    chance, log = random.Random(seed), SqliteLog(tmp_path)
    careless, offset = without_care(log, tmp_path), 0
    for _ in range(chance.randint(2, 6)):
        size = chance.choice([1, 40, 300, 1500, 3000, 9000])
        for _ in range(chance.randint(1, 800)):
            value = (b"zanna" if chance.random() < 0.5 else b"other") + b"." * chance.randint(0, size)
            careless.execute("INSERT INTO records (appended_ms, value) VALUES (0, ?)", (value,))
            offset += 1
        if chance.random() < 0.6:
            careless.execute("DELETE FROM records WHERE offset < ?", (chance.randint(1, offset),))
    careless.close()
    kept = [(one.offset, one.value.replace(b"zanna", b"nobody")) for one in log.read("raw", 0, 1, 100_000, 2**40)]
    assert b"zanna" in bytes_of(tmp_path)

    log.rewrite("raw", 0, change)
    assert b"zanna" not in bytes_of(tmp_path)
    assert [(one.offset, one.value) for one in log.read("raw", 0, 1, 100_000, 2**40)] == kept


def test_of_a_large_file_free_pages_are_emptied_to_the_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "WHOLE_BYTES", 0)
    log = SqliteLog(tmp_path)
    careless = without_care(log, tmp_path)
    log.append("raw", [Record(None, b"zanna" * 1700) for _ in range(101)] + [Record(None, b"other" * 2000)])
    careless.execute("DELETE FROM records WHERE offset <= 101")
    careless.close()

    assert b"zanna" in bytes_of(tmp_path)
    log.rewrite("raw", 0, change)
    assert b"zanna" not in bytes_of(tmp_path)


def test_what_retention_drops_leaves_no_byte_in_pages_that_are_free(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path)
    log.append("raw", [Record(None, b"zanna" * 2000) for _ in range(50)] + [Record(None, b"other")])
    assert log._connection("raw", 0).execute("PRAGMA secure_delete").fetchone() == (1,)
    log.rewrite("raw", 0, lambda _: None)
    assert log._connection("raw", 0).execute("PRAGMA secure_delete").fetchone() == (1,)
    assert log.expire("raw", 0, 2**60) == 50
    log._connection("raw", 0).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"zanna" not in bytes_of(tmp_path)


def test_a_reader_who_holds_on_to_the_old_bytes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "_TRIES", 1)
    log = SqliteLog(tmp_path)
    log.append("raw", [Record(None, b"zanna")])
    log._connection("raw", 0).execute("PRAGMA busy_timeout = 10")
    reader = sqlite3.connect(tmp_path / "raw-0.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM records").fetchall()

    with pytest.raises(LogError, match="old bytes are left"):
        log.rewrite("raw", 0, change)
    reader.close()
    log.rewrite("raw", 0, change)
    assert b"zanna" not in bytes_of(tmp_path)
