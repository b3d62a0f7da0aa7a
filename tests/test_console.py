"""Strangers' statements on the lake: what they may do, and that nothing else happens, whatever they try."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from schemas.failures import LakeError, OutpulseError, QueryRefused, QueryStopped
from sinks.console import Console, Limits
from sinks.statements import LONGEST, checked
from tests.lakes import land, works

EVENTS: list[dict[str, Any]] = [
    {
        "event_id": f"e{number}",
        "kind": "sent",
        "occurred_at": f"2026-01-05T10:00:{number:02}Z",
        "channel": "email",
        "campaign_id": "autumn",
        "delivery_id": f"d{number}",
    }
    for number in range(50)
]


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("console") / "home"
    land(home, works(EVENTS, [20]))
    with sqlite3.connect(home / "secrets.sqlite") as other:
        other.execute("CREATE TABLE secrets AS SELECT 'hidden' AS word")
    return home


@pytest.fixture(scope="module")
def console(lake_home: Path) -> Iterator[Console]:
    with Console(lake_home, Limits(seconds=20)) as made:
        yield made


@pytest.fixture
def hasty(lake_home: Path) -> Iterator[Console]:
    with Console(lake_home, Limits(seconds=2, memory_mib=200)) as made:
        yield made


def everything_below(folder: Path) -> dict[str, int]:
    return {
        str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix == ".parquet"
    }


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) AS n FROM events",
        "FROM events",
        "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x WHERE a < 5) FROM x",
        "DESCRIBE message_deliveries",
        "SHOW ALL TABLES",
        "SUMMARIZE campaign_performance_metrics",
        "EXPLAIN SELECT 1",
        "/* why */ EXPLAIN ANALYZE SELECT count(*) FROM events -- so",
        "PRAGMA table_info('events')",
        "VALUES (1), (2);",
        "PIVOT events ON kind IN ('sent', 'opened') USING count(*) GROUP BY campaign_id",
        "SELECT * FROM events AT (VERSION => 3)",
        "SELECT unnest(range(3)), [x + 1 FOR x IN [1, 2]]",
        "SELECT 'COPY t TO x; glob(*)' AS words",
    ],
)
def test_statements_that_read_the_lake_run(query: str, console: Console) -> None:
    console.run(query)


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{home}/out.csv'",
        "COPY events TO '{home}/lake/data/out.parquet'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/out.csv'",
        "EXPLAIN /* */ COPY (SELECT 1) TO '{home}/out.csv'",
        "EXPORT DATABASE '{home}/out'",
        "INSERT INTO feedback SELECT * FROM feedback",
        "EXPLAIN ANALYZE DELETE FROM pauses",
        "DELETE FROM pauses",
        "UPDATE pauses SET why = ''",
        "DROP VIEW events",
        "CREATE TABLE memory.x (a INTEGER)",
        "CREATE OR REPLACE VIEW events AS SELECT 1",
        "CREATE SECRET x (TYPE s3)",
        "ATTACH '{home}/other.db' AS other",
        "ATTACH '{home}/secrets.sqlite' AS other (TYPE sqlite)",
        "DETACH lake",
        "USE memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "SET VARIABLE a = 1",
        "PRAGMA memory_limit = '100GB'",
        "PRAGMA enable_profiling",
        "CALL sqlite_attach('{home}/secrets.sqlite')",
        "CALL ducklake_merge_adjacent_files('lake')",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW events",
        "",
        ";",
        "-- nothing",
        "selec",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_text('{home}/lake/data/../../secrets.sqlite')",
        "SELECT * FROM read_blob('{home}/lake/catalog.sqlite')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "FROM sqlite_scan('{home}/secrets.sqlite', 'secrets')",
        "FROM system.main.SQLITE_SCAN('{home}/secrets.sqlite', 'secrets')",
        "FROM sqlite_query('__ducklake_metadata_lake', 'DELETE FROM ducklake_snapshot RETURNING *')",
        "SELECT (SELECT count(*) FROM sqlite_scan('{home}/secrets.sqlite', 'secrets'))",
        "WITH a AS MATERIALIZED (FROM glob('*')) FROM a",
        "FROM events, LATERAL (FROM glob('*'))",
        "DESCRIBE FROM sqlite_scan('{home}/secrets.sqlite', 'secrets')",
        "SUMMARIZE FROM sqlite_scan('{home}/secrets.sqlite', 'secrets')",
        "PIVOT sqlite_scan('{home}/secrets.sqlite', 'secrets') ON word IN ('hidden') USING count(*)",
        "SELECT 1 ORDER BY (SELECT count(*) FROM glob('*'))",
        "SELECT 1 UNION ALL SELECT count(*) FROM glob('*')",
        "SELECT * FROM query('SELECT * FROM glob(''*'')')",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT * FROM ducklake_cleanup_old_files('lake', cleanup_all => true)",
        "SELECT * FROM ducklake_expire_snapshots('lake', older_than => now())",
        "SELECT * FROM duckdb_secrets()",
        "SELECT sleep_ms(100000)",
        "SELECT count(*) FROM events WHERE write_log('x') IS NULL",
        "SELECT current_setting('temp_directory')",
    ],
)
def test_statements_that_do_more_are_refused_and_change_nothing(query: str, console: Console, lake_home: Path) -> None:
    before = everything_below(lake_home)

    with pytest.raises(QueryRefused):
        console.run(query.format(home=lake_home))

    assert everything_below(lake_home) == before
    assert not (lake_home / "out.csv").exists()
    assert console.run("SELECT count(*) FROM events").table.to_pylist() == [{"count_star()": 50}]


@pytest.mark.parametrize(
    "query", ["FROM '/etc/passwd'", "FROM 'data.csv'", "FROM secret_of_python", "SELECT * FROM nothing"]
)
def test_a_name_is_neither_a_file_nor_a_variable_of_python(query: str, console: Console) -> None:
    with pytest.raises(LakeError, match=r"does not exist|Cannot access file"):
        console.run(query)


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE x AS (SELECT 1::HUGEINT AS a UNION ALL SELECT a + 1 FROM x) SELECT count(*) FROM x",
        "WITH RECURSIVE x AS (SELECT 'a' AS a UNION ALL SELECT a || a FROM x) SELECT max(len(a)) FROM x",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = -1",
        "SELECT sum(x) FROM (SELECT unnest(range(1000000000)) AS x)",
        "SELECT len(range(200000000)::VARCHAR)",
        "SELECT len(repeat('x', 2000000000))",
        "SELECT array_agg(i) FROM range(1000000000) t(i)",
        "SELECT string_agg(i, ',') FROM range(1000000000) t(i)",
        "SELECT list_sum(list_transform(range(100000000), lambda x: x + 1))",
        "SELECT max(md5(repeat('a', 1000000) || i)) FROM range(100000000) t(i)",
    ],
)
def test_bombs_are_stopped_in_time_and_the_next_statement_runs(query: str, hasty: Console) -> None:
    began = time.monotonic()
    with pytest.raises(QueryStopped):
        hasty.run(query)

    assert time.monotonic() - began < 2 + 1 + 5  # its time, the grace, and starting a process on a busy machine
    assert hasty.run("SELECT 42 AS a").table.to_pylist() == [{"a": 42}]


def test_a_worker_cannot_take_more_memory_than_its_limit_and_what_stands_beside(hasty: Console) -> None:
    peaks = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for child in psutil.Process(os.getpid()).children():
                try:
                    if "sinks.console_worker" in child.cmdline():
                        peaks.append(child.memory_info().rss)
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with pytest.raises(QueryStopped):
            hasty.run("SELECT sum(x) FROM (SELECT unnest(range(30000000 + i)) AS x FROM range(100) t(i))")
    finally:
        over.set()
        watcher.join()

    assert 0 < max(peaks) < (200 + 768 + 200) * 1024 * 1024


def test_many_rows_are_cut_and_said_so(lake_home: Path) -> None:
    with Console(lake_home, Limits(rows=7)) as console:
        few, many = console.run("FROM range(7)"), console.run("FROM range(2000000000)")

    assert (few.table.num_rows, few.cut) == (7, False)
    assert (many.table.num_rows, many.cut) == (7, True)


def test_columns_come_with_their_types_even_without_rows(console: Console) -> None:
    answer = console.run("SELECT campaign_id, occurred_at, 1 AS n, 2 AS n FROM events WHERE false")

    assert answer.columns == [
        ("campaign_id", "VARCHAR"),
        ("occurred_at", "TIMESTAMP WITH TIME ZONE"),
        ("n", "INTEGER"),
        ("n", "INTEGER"),
    ]
    assert answer.table.num_rows == 0


def test_values_are_bound_not_pasted(console: Console) -> None:
    answer = console.run("SELECT $1 AS a, $2 AS b", ["'; DROP VIEW events; --", 3])

    assert answer.table.to_pylist() == [{"a": "'; DROP VIEW events; --", "b": 3}]


def test_the_check_of_nested_text_ends(console: Console) -> None:
    with pytest.raises(OutpulseError):
        console.run("SELECT " + "(" * 50_000 + "1" + ")" * 50_000)
    with pytest.raises(QueryRefused, match="at most"):
        checked("SELECT 1 -- " + "x" * LONGEST)


def test_a_home_without_a_lake_is_said(tmp_path: Path) -> None:
    with Console(tmp_path) as console, pytest.raises(LakeError, match="no lake"):
        console.run("SELECT 1")


def test_a_new_lake_in_the_same_home_is_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    land(home, works(EVENTS[:10], [10]))
    with Console(home) as console:
        assert console.run("SELECT count(*) AS n FROM events").table.to_pylist() == [{"n": 10}]
        (home / "lake").rename(home / "old")
        land(home, works(EVENTS[:3], [10]))
        assert console.run("SELECT count(*) AS n FROM events").table.to_pylist() == [{"n": 3}]


def test_a_worker_sees_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch, lake_home: Path) -> None:
    monkeypatch.setenv("OUTPULSE_GATEWAY__TOKEN", "not for readers")
    with Console(lake_home) as console:
        console.run("SELECT 1")
        alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        workers = [child for child in alive if "sinks.console_worker" in child.cmdline()]
        assert workers
        assert all("OUTPULSE_GATEWAY__TOKEN" not in worker.environ() for worker in workers)


def test_statements_of_several_threads_wait_for_their_turn(lake_home: Path) -> None:
    found: list[Any] = []
    with Console(lake_home, most=2) as console:

        def ask(number: int) -> None:
            found.append(console.run("SELECT $1::INTEGER AS a, count(*) AS n FROM events", [number]).table.to_pylist())

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(row["a"] for (row,) in found) == list(range(6))
    assert {row["n"] for (row,) in found} == {50}


# Large and odd answers.


def test_an_answer_is_cut_at_its_bytes_before_it_leaves_the_process_and_says_so(lake_home: Path) -> None:
    most = 2**20
    with Console(lake_home, Limits(seconds=20, bytes=most)) as console:
        wide = console.run("SELECT repeat('x', 20000) AS v FROM range(10000)")
        huge = console.run("SELECT repeat('x', 2000000) AS v")
        late = console.run("SELECT CASE WHEN i = 700 THEN repeat('x', 2000000) ELSE 'a' END AS v FROM range(900) t(i)")
        small = console.run("SELECT repeat('x', 1000) AS v FROM range(1000)")

    # Each value has an offset of 4 bytes, and the list of offsets one more: 2^20 >= 20,004 n + 4 holds up to 52.
    assert (wide.table.num_rows, wide.too_large, wide.cut) == (52, True, False)
    assert wide.table.nbytes <= most
    assert (huge.table.num_rows, huge.too_large) == (0, True)
    assert (late.table.num_rows, late.too_large) == (700, True)
    assert (small.table.num_rows, small.too_large) == (1000, False)


@pytest.mark.parametrize(
    "value",
    [
        "range(2000)",
        "{'a': range(1000), 'b': repeat('z', 8000)}",
        "MAP {'a': repeat('y', 16000)}",
        "union_value(n := repeat('y', 16000))",
        "[union_value(n := repeat('y', 16000))]",
        "repeat('z', 16000)::BLOB",
        "[repeat('z', 16000)]::VARCHAR[1]",
        "repeat('10', 64000)::BIT",
    ],
)
def test_nested_and_binary_answers_are_cut_too(lake_home: Path, value: str) -> None:
    with Console(lake_home, Limits(seconds=20, bytes=2**20), exact=True) as console:
        answer = console.run(f"SELECT {value} AS v FROM range(3000)")

    assert answer.too_large
    assert 50 <= answer.table.num_rows <= 66
    assert answer.table.nbytes <= 2**20


def test_lists_that_are_larger_in_one_batch_than_the_process_are_cut_and_not_refused(lake_home: Path) -> None:
    with Console(lake_home, Limits(seconds=30)) as console:
        answer = console.run("SELECT range(10000) AS v FROM range(10000)")

    assert answer.too_large
    # A number has 8 bytes and a bit that says whether it is null, a list an offset of 4 bytes.
    assert answer.table.num_rows == 16 * 2**20 // (10_000 * 8 + 10_000 // 8 + 4)


def test_more_columns_than_anybody_reads_are_refused(console: Console) -> None:
    few = console.run("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(5000)))
    assert len(few.columns) == 5000
    with pytest.raises(LakeError, match="12000 columns, valid are 10000"):
        console.run("SELECT " + ",".join(f"{n}" for n in range(12_000)))


def test_a_type_that_arrow_lacks_is_said_by_its_name(console: Console) -> None:
    with pytest.raises(LakeError, match="VARIANT"):
        console.run("SELECT 1::VARIANT AS v")
