"""Erasing from the log: bytes go, records keep their places."""

from pathlib import Path

from eventlog import Record, Stored
from eventlog.sqlite import SqliteLog


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
