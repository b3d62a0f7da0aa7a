import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.dedupe import SeenFacts
from flows.delivery import DecodeWork, DropDuplicates, LandBatch
from outpulse.settings import QualitySettings
from schemas.failures import DeadLetter, LakeLocked, LakeTooNew
from sinks.attach import connect, writer_pid
from sinks.lake import Chunk, Lake
from sinks.upkeep import Upkeep
from tests.lakes import differences, rows, tables, works
from tests.processes import run
from tests.test_delivery import event


def many_small_commits(lake: Lake, number: int, upkeep: Upkeep | None = None) -> None:
    seen = SeenFacts(lake)
    decode, drop, land = DecodeWork(), DropDuplicates(seen), LandBatch(lake, seen)
    events = [
        event(n, delivery_id=f"d{n // 4}", campaign_id=f"c{n % 3}", occurred_at=f"2026-01-05T10:{n % 60:02d}:00.000Z")
        for n in range(number * 5)
    ]
    for turn, work in enumerate(works(events, [5])):
        land(drop(decode(work)))
        if upkeep and turn % 7 == 6:
            upkeep.small()
    lake.settle()


def files(home: Path) -> int:
    return len(list((home / "lake" / "data").rglob("*.parquet")))


def test_upkeep_changes_files_and_no_row(tmp_path: Path) -> None:
    kept, plain = tmp_path / "kept", tmp_path / "plain"
    lake = Lake(plain)
    many_small_commits(lake, 40)
    lake.close()
    lake = Lake(kept)
    many_small_commits(lake, 40, Upkeep(lake, keep_minutes=0))
    positions = lake.positions()
    Upkeep(lake, keep_minutes=0).full()
    Upkeep(lake, keep_minutes=0).full()  # what the first let go of has no reader any more

    assert positions == lake.positions()
    lake.close()
    assert differences(tables(plain), tables(kept)) == []
    assert files(kept) < files(plain) / 4


def test_a_reader_beside_a_writer_sees_whole_chunks_only_and_never_fails(home: Path) -> None:
    lake = Lake(home)
    lake.land(Chunk({"test": 0}))
    odd: list[int] = []
    ending = threading.Event()

    def read() -> None:
        connection = connect(home, read_only=True)
        while not ending.is_set():
            row = connection.execute(
                "SELECT (SELECT count(*) FROM events), (SELECT sum(events) FROM store.commits)"
            ).fetchone()
            assert row is not None
            if row[0] % 5 or row[0] != row[1]:
                odd.append(row[0])
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    many_small_commits(lake, 30, Upkeep(lake))
    ending.set()
    reader.join()
    lake.close()

    assert odd == []


def test_a_second_writer_is_refused_and_told_who_the_first_is(home: Path) -> None:
    lake = Lake(home)

    with pytest.raises(LakeLocked, match=f"pid {writer_pid(home)}"):
        Lake(home)
    lake.close()
    Lake(home).close()


def test_a_lake_of_a_newer_release_is_refused_with_what_to_do(home: Path) -> None:
    lake = Lake(home)
    with lake.transaction() as connection:
        connection.execute("UPDATE store.meta SET value = '99' WHERE name = 'format'")
    lake.close()

    with pytest.raises(LakeTooNew, match=r"lake format 99, this release knows \d+\); upgrade"):
        Lake(home)


def test_identity_hashes_are_made_anew_when_the_database_hashes_otherwise(home: Path) -> None:
    lake = Lake(home)
    many_small_commits(lake, 3)
    before = lake.connection.execute("SELECT fact, delivery FROM store.facts ORDER BY event_id").fetchall()
    with lake.transaction() as connection:
        connection.execute("UPDATE store.meta SET value = 'other' WHERE name = 'hash'")
        connection.execute("UPDATE store.facts SET fact = 1, delivery = 2")
    lake.close()

    lake = Lake(home)
    assert before == lake.connection.execute("SELECT fact, delivery FROM store.facts ORDER BY event_id").fetchall()
    lake.close()


def test_old_minutes_with_many_rows_are_added_up_while_the_newest_wait(home: Path) -> None:
    lake = Lake(home)
    upkeep = Upkeep(lake)
    start = datetime(2026, 1, 5, 10, tzinfo=UTC)
    with lake.transaction() as connection:
        for turn in range(6):
            for minute in range(5):
                at = (start + timedelta(minutes=minute)).isoformat()
                connection.execute(
                    f"INSERT INTO store.cells VALUES ('{at}', 'c{turn % 2}', 'email', 'sent', NULL, NULL, 1)"
                )
    upkeep.small()
    found = lake.connection.execute(
        "SELECT minute, count(*), sum(events) FROM store.cells GROUP BY 1 ORDER BY 1"
    ).fetchall()
    lake.close()

    assert [(row[1], row[2]) for row in found] == [(2, 6), (2, 6), (6, 6), (6, 6), (6, 6)]
    assert rows(home, "SELECT sum(events)::INT FROM metrics_campaign_minute") == [(30,)]


def test_many_small_files_of_dead_letters_become_few_and_none_is_lost(home: Path) -> None:
    lake = Lake(home)
    for n in range(20):
        letter = DeadLetter(id=f"{n:032x}", stage="decode", stream="events", reason="not JSON", detail="", raw=b"x")
        lake.land(Chunk({"test": n}, dead=[letter]))
    Upkeep(lake).small()
    files = lake.connection.execute("""SELECT count(*) FROM __ducklake_metadata_lake.ducklake_data_file f
        JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id)
        WHERE f.end_snapshot IS NULL AND t.table_name = 'dead_letters'""").fetchone()
    lake.close()

    assert files is not None
    assert files[0] < 8
    assert rows(home, "SELECT count(DISTINCT id), count(*) FROM dead_letters") == [(20, 20)]


@pytest.mark.parametrize("by", ["small", "full"])
def test_outcomes_of_checks_go_when_they_are_older_than_is_set(by: str, home: Path) -> None:
    lake = Lake(home)
    for days in (0, 6.9, 7.1, 400):
        lake.connection.execute(f"""INSERT INTO data_quality (id, run_at, suite, check_name, table_name, kind, expectation,
            success, severity) VALUES (uuid(), now() - INTERVAL 1 DAY * {days}, 'facts', '{days}', 'events', 'enum', 'it holds',
            true, 'warning')""")
    getattr(Upkeep(lake, quality_days=7), by)()
    lake.close()

    assert rows(home, "SELECT check_name FROM data_quality ORDER BY run_at DESC") == [("0",), ("6.9",)]


def test_many_runs_of_checks_are_few_files(home: Path) -> None:
    lake = Lake(home)
    for turn in range(12):
        lake.connection.execute(f"""INSERT INTO data_quality (id, run_at, suite, check_name, table_name, kind, expectation,
            success, severity) SELECT uuid(), now(), 'facts', '{turn}.' || n, 'events', 'enum', 'it holds', true, 'warning'
            FROM range(90) t(n)""")
    before = rows(home, "SELECT * FROM data_quality ORDER BY id")
    many = files(home)
    upkeep = Upkeep(lake, keep_minutes=0)
    upkeep.full()
    upkeep.full()
    lake.close()

    assert rows(home, "SELECT * FROM data_quality ORDER BY id") == before
    assert many >= 12
    assert files(home) < many / 2


def test_maintain_lets_go_of_old_outcomes_by_the_setting(home: Path) -> None:
    insert = """INSERT INTO data_quality (id, run_at, suite, check_name, table_name, kind, expectation, success, severity)
        SELECT uuid(), now() - INTERVAL 1 DAY * n, 'facts', n::VARCHAR, 'events', 'enum', 'it holds', true, 'warning'
        FROM range(0, 100, 30) t(n)"""
    assert run("sql", "--write", insert, "--home", str(home)).returncode == 0
    assert run("maintain", "--home", str(home)).returncode == 0
    assert rows(home, "SELECT check_name FROM data_quality ORDER BY run_at DESC") == [("0",), ("30",), ("60",)]
    done = run("maintain", "--home", str(home), env={"OUTPULSE_QUALITY__KEEP_DAYS": "40"})
    assert done.returncode == 0
    assert rows(home, "SELECT check_name FROM data_quality ORDER BY run_at DESC") == [("0",), ("30",)]


@pytest.mark.parametrize("days", [0.99, 36_501, float("nan")])
def test_a_time_to_keep_outcomes_that_makes_no_sense_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="from 1 to 36500"):
        QualitySettings(keep_days=days)


def test_a_snapshot_can_be_read_as_long_as_is_set(home: Path) -> None:
    lake = Lake(home)
    many_small_commits(lake, 8)
    reader = connect(home, read_only=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM store.commits").fetchone() != (0,)  # the snapshot begins
    upkeep = Upkeep(lake, keep_minutes=10)
    for _ in range(3):  # the files of that snapshot are merged, and let go if they may be
        upkeep.full()

    assert len(reader.execute("SELECT * FROM store.facts").fetchall()) == 40
    reader.close()
    lake.close()


def test_what_is_older_than_that_goes_after_the_same_time_again(home: Path) -> None:
    lake = Lake(home)
    upkeep = Upkeep(lake, keep_minutes=10)
    many_small_commits(lake, 40)
    upkeep.full()
    catalog = "__ducklake_metadata_lake"

    def aged(minutes: int) -> int:
        """Files left after upkeep that long after the last one."""
        for table, column in (
            ("ducklake_snapshot", "snapshot_time"),
            ("ducklake_files_scheduled_for_deletion", "schedule_start"),
        ):
            lake.connection.execute(f"""UPDATE {catalog}.{table} SET {column} =
                replace(({column}::TIMESTAMPTZ - INTERVAL {minutes} MINUTE)::VARCHAR, ' ', substr({column}, 11, 1))""")
        upkeep.full()
        return files(home)

    merged = aged(0)
    assert aged(9) >= merged
    assert aged(2) >= merged  # snapshots are let go; a reader may have begun on one a moment before
    assert aged(7) >= merged
    assert aged(4) < merged / 2
    assert rows(home, "SELECT count(*) FROM store.facts") == [(200,)]
    lake.close()
