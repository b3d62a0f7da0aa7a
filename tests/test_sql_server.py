"""`outpulse serve-sql` in a real process, asked by a real client of PostgreSQL; and what the wire makes of values."""

import datetime as dt
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpulse.settings import SqlSettings
from outpulse.sql_server import PASSWORD_FILE, password_of
from outpulse.sql_wire import literal, parameters_in, statements_in, with_values
from schemas.analyses import ANALYSES
from schemas.failures import HomeError
from schemas.pages import worked_queries
from schemas.tables import TABLES
from tests.lakes import land, rows, works

EVENTS: list[dict[str, Any]] = [
    {
        "event_id": f"e{number}",
        "kind": kind,
        "occurred_at": f"2026-01-05T10:00:{number:02}Z",
        "channel": "email",
        "campaign_id": "autumn",
        "delivery_id": f"d{number}",
        "contact_id": f"c{number}",
        "attributes": {"ip": "192.0.2.1"},
    }
    for number in range(50)
    for kind in ("sent", "meeting_booked")
]


class Served:
    """A server in a process of its own."""

    def __init__(self, home: Path, *settings: str) -> None:
        (home / "outpulse.toml").write_text("\n".join(["[sql]", *settings]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "outpulse", "serve-sql", "--home", str(home), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.told = self.process.stdout.readline()
        found = re.search(r"host=(\S+) port=(\d+)", self.told)
        assert found is not None, self.told
        self.host, self.port = found[1], int(found[2])
        self.password = (home / PASSWORD_FILE).read_text().strip()

    def connect(self, password: str | None = None) -> psycopg.Connection:
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user="analyst",
            dbname="lake",
            password=self.password if password is None else password,
            autocommit=True,
            connect_timeout=20,
        )

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        return errors


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served") / "home"
    land(made, works(EVENTS, [100]))
    return made


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    server = Served(home, "seconds = 3", "memory_mib = 200", "rows = 20000")
    yield server
    server.stop()


@pytest.fixture
def client(served: Served) -> Iterator[psycopg.Connection]:
    with served.connect() as connection:
        yield connection


@pytest.mark.parametrize("query", worked_queries(), ids=lambda query: query.name)
def test_the_worked_queries_give_the_same_over_the_wire(query: Any, client: psycopg.Connection, home: Path) -> None:
    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, Decimal) else value

    assert [tuple(map(plain, row)) for row in client.execute(query.sql).fetchall()] == rows(home, query.sql)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_values_of_all_types_arrive(*, binary: bool, client: psycopg.Connection) -> None:
    cursor = client.execute(
        """SELECT true, 1::TINYINT, 2::BIGINT, 3::HUGEINT, 4.5::DOUBLE, 1.50::DECIMAL(5, 2), 'ä', NULL, DATE '2026-01-05',
            TIMESTAMPTZ '2026-01-05 10:00:00.123+02', '00000000-0000-7000-8000-000000000001'::UUID, '{"a": 1}'::JSON,
            [1, 2], MAP {'k': 'v'}, '\\xAA'::BLOB, INTERVAL 2 HOUR, 'a'::ENUM ('a', 'b')""",
        binary=binary,
    )

    assert cursor.fetchone() == (
        True, 1, 2, 3, 4.5, Decimal("1.50"), "ä", None, dt.date(2026, 1, 5),
        dt.datetime(2026, 1, 5, 8, 0, 0, 123000, dt.UTC), uuid.UUID("00000000-0000-7000-8000-000000000001"), {"a": 1},
        [1, 2], {"k": "v"}, b"\xaa", dt.timedelta(hours=2), "a",
    )  # fmt: skip


def test_parameters_are_bound_by_their_types(client: psycopg.Connection) -> None:
    counted = client.execute(
        "SELECT count(*) FROM public.events WHERE occurred_at >= %s AND kind = %s AND contact_id <> %s",
        (dt.datetime(2026, 1, 5, 10, 0, 10, tzinfo=dt.UTC), "sent", "it's -- $1"),
    )
    assert counted.fetchone() == (40,)
    assert client.execute("SELECT %s::VARCHAR, %s, %s", ("'; DROP VIEW events --", 7, None)).fetchone() == (
        "'; DROP VIEW events --",
        7,
        None,
    )


def test_a_prepared_statement_runs_as_often_as_it_is_asked(client: psycopg.Connection) -> None:
    for second in (0, 10, 49, 0):
        query = "SELECT count(*) FROM events WHERE kind = 'sent' AND occurred_at >= %s"
        values = (dt.datetime(2026, 1, 5, 10, 0, second, tzinfo=dt.UTC),)
        assert client.execute(query, values, prepare=True).fetchone() == (50 - second,)


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("DROP VIEW events", "42501"),
        ("INSERT INTO feedback SELECT * FROM feedback", "42501"),
        ("COPY events TO 'events.csv'", "42501"),
        ("SELECT * FROM read_csv('/etc/passwd')", "42501"),
        ("ATTACH 'other.db'", "42501"),
        ("SELECT nothing", "42000"),
        ("SELECT * FROM range(30000)", "57014"),
        ("WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x) SELECT count(*) FROM x", "57014"),
        ("SELECT sum(x) FROM (SELECT unnest(range(1000000000)) AS x)", "57014"),
    ],
)
def test_what_may_not_run_is_refused_with_its_code_and_the_connection_stays(
    query: str, state: str, client: psycopg.Connection
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        client.execute(query)

    assert caught.value.sqlstate == state
    assert client.execute("SELECT count(*) FROM events").fetchone() == (100,)


def test_settings_and_transactions_of_clients_change_nothing(client: psycopg.Connection) -> None:
    client.execute("SET memory_limit = '100GB'")
    client.execute("BEGIN READ WRITE")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.execute("DELETE FROM pauses")
    client.execute("ROLLBACK")
    assert client.execute("SELECT value FROM duckdb_settings() WHERE name = 'memory_limit'").fetchone() == (
        "200.0 MiB",
    )


def test_a_statement_is_cancelled_at_once(served: Served) -> None:
    with served.connect() as client:
        client.execute("SELECT 1")
        timer = threading.Timer(0.5, client.cancel)
        timer.start()
        began = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="cancel"):
            client.execute("WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x) SELECT count(*) FROM x")
        assert time.monotonic() - began < 2.5
        assert client.execute("SELECT 1").fetchone() == (1,)


def test_tools_find_tables_views_and_columns(client: psycopg.Connection) -> None:
    views = {name for name, found in ANALYSES.items() if found.struct and not found.is_macro}
    told = client.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").fetchall()
    assert {name for (name,) in told} == set(TABLES) | views

    for name in sorted({name for (name,) in told}):
        asked = "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position"
        names = [column for (column,) in client.execute(asked, (name,)).fetchall()]
        found = client.execute(f'SELECT * FROM "public"."{name}" LIMIT 0')
        assert [column.name for column in found.description or []] == names


def test_tools_ask_who_and_where_they_are(client: psycopg.Connection) -> None:
    asked = "SELECT current_user, current_database(), current_schema(), current_setting('timezone'), version()"
    user, database, schema, zone, version = client.execute(asked).fetchone() or ()
    assert (user, database, schema, zone) == ("analyst", "lake", "public", "UTC")
    assert version.startswith("16.0")
    assert client.execute("SELECT pg_backend_pid() > 0").fetchone() == (True,)
    assert client.execute("SELECT set_config('application_name', 'tool', false)").fetchone() == ("tool",)
    assert client.execute("SHOW application_name").fetchone() == ("tool",)


# What psql asks at \dt, \d and \l, DBeaver at first, and SQLAlchemy for its columns.
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            """SELECT n.nspname AS "Schema", c.relname AS "Name",
            CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END AS "Type",
            pg_catalog.pg_get_userbyid(c.relowner) AS "Owner"
            FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
            WHERE c.relkind IN ('r', 'p', '') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
            AND c.relname OPERATOR(pg_catalog.~) '^(pauses)$' COLLATE pg_catalog.default
            AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2""",
            [("public", "pauses", "table", "analyst")],
        ),
        (
            """SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
            JOIN pg_class ON pg_class.oid = a.attrelid WHERE pg_class.relname = 'cohorts' AND a.attnum = 1""",
            [("metric_date", "date")],
        ),
        (
            """SELECT c.relkind, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END,
            am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid)
            LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = 'public.pauses'::regclass""",
            [("r", "", "heap")],
        ),
        ("SELECT datname FROM pg_database WHERE datallowconn", [("lake",)]),
        ("SELECT schema_name FROM information_schema.schemata", [("public",)]),
        (
            "WITH t AS (SELECT table_name AS n FROM information_schema.tables) SELECT n FROM t WHERE n = 'pauses'",
            [("pauses",)],
        ),
        ("SELECT typname FROM pg_type WHERE oid = '25'", [("text",)]),
        ("SELECT conname FROM pg_catalog.pg_constraint", []),
        ("SELECT proname FROM pg_catalog.pg_proc", []),
        ("SELECT pg_catalog.no_such_function(oid) AS x FROM pg_catalog.pg_class", []),
    ],
)
def test_questions_about_the_catalogue_are_answered(
    query: str, expected: list[tuple[Any, ...]], client: psycopg.Connection
) -> None:
    assert client.execute(query).fetchall() == expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT \U0001d41e\U0001d42f\U0001d41a\U0001d425('__import__(\"os\").getcwd()') AS n, current_user AS u",
        "SELECT \U0001d41e\U0001d42f\U0001d41a\U0001d425('1') AS n FROM information_schema.tables",
        "SELECT eval('1'), current_user",
        "SELECT READ_CSV('/etc/passwd'), current_user",
        "SELECT count(*) FROM information_schema.tables, read_text('/etc/passwd')",
        "SELECT * FROM pg_catalog.pg_class, read_csv('/etc/passwd')",
        "SELECT getenv('HOME'), current_user",
    ],
)
def test_questions_to_the_server_itself_run_nothing_else(query: str, client: psycopg.Connection) -> None:
    refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.SyntaxErrorOrAccessRuleViolation)
    with suppress(*refused):
        assert client.execute(query).fetchall() == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT version(), " + "ARRAY[" * 40 + "1" + "]" * 40,
        "SET a =" + " " * 5000 + "\nx\ny",
        "SELECT a.oid FROM pg_type a, pg_type b, pg_type c",
        "SELECT version(), " + "(" * 3000 + "1" + ")" * 3000,
    ],
    ids=["arrays", "blanks", "rows", "depth"],
)
def test_no_question_keeps_others_waiting(query: str, served: Served) -> None:
    def ask() -> None:
        with served.connect() as other, suppress(psycopg.Error):
            other.execute(query)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    with served.connect() as client:
        began = time.monotonic()
        while asking.is_alive() and time.monotonic() - began < 3:
            asked = time.monotonic()
            assert client.execute("SHOW timezone").fetchone() == ("UTC",)
            assert time.monotonic() - asked < 2
            time.sleep(0.05)


def test_a_mistake_is_no_empty_answer_and_a_name_of_ones_own_is_no_catalogue(client: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.SyntaxErrorOrAccessRuleViolation):
        client.execute("SELECT e.knd FROM events e, pg_class c")
    query = "WITH pg_mine AS (SELECT kind FROM events) SELECT count(*) AS n FROM pg_mine"
    assert client.execute(query).fetchone() == (100,)
    assert client.execute("SELECT pg_catalog.set_config('search_path', 'public', false)").fetchone() == ("public",)


def test_a_question_about_the_catalogue_takes_no_longer_than_others_may(client: psycopg.Connection) -> None:
    columns = "information_schema.columns"
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.execute(f"SELECT max(sin(a.ordinal_position * b.ordinal_position + c.ordinal_position + d.ordinal_position)) "
                       f"FROM {columns} a, {columns} b, {columns} c, {columns} d")  # fmt: skip
    assert client.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("password", ["wrong", ""], ids=["wrong", "empty"])
def test_without_the_password_nobody_gets_in(password: str, served: Served) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        served.connect(password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=served.host, port=served.port, user="nobody", dbname="lake", password=password)


def test_it_listens_on_this_machine_alone_and_tells_no_password(served: Served, home: Path) -> None:
    assert served.host == "127.0.0.1"
    with pytest.raises(OSError, match="refused"), socket.socket() as other:
        other.connect(("127.0.0.2", served.port))
    assert served.password not in served.told
    assert stat.S_IMODE((home / PASSWORD_FILE).stat().st_mode) == 0o600


def test_statements_and_passwords_are_not_in_its_log(tmp_path: Path) -> None:
    made = tmp_path / "home"
    land(made, works(EVENTS, [100]))
    server = Served(made)
    with server.connect() as client:
        client.execute("EXPLAIN SELECT * FROM events WHERE recipient = 'ada@firm.example'")
    with pytest.raises(psycopg.OperationalError):
        server.connect("a wrong secret")

    assert server.stop() == ""


def test_a_port_that_is_taken_is_one_line(home: Path, served: Served) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "outpulse", "serve-sql", "--home", str(home), "--port", str(served.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr


def test_the_password_comes_from_the_settings_or_from_a_file_that_stays(tmp_path: Path) -> None:
    assert password_of(tmp_path, SqlSettings(password="given"))[0] == "given"
    made, where = password_of(tmp_path, SqlSettings())
    assert len(made) >= 32
    assert password_of(tmp_path, SqlSettings()) == (made, where)
    assert "given" not in repr(SqlSettings(password="given"))
    (tmp_path / PASSWORD_FILE).write_text("")
    with pytest.raises(HomeError, match="empty"):
        password_of(tmp_path, SqlSettings())


def test_statements_end_at_semicolons_outside_of_texts() -> None:
    assert statements_in("SELECT ';' AS \"a;b\"; -- ;\nSELECT $x$;$x$ /* ; */;;") == [
        "SELECT ';' AS \"a;b\"",
        " -- ;\nSELECT $x$;$x$ /* ; */",
    ]
    assert statements_in("") == [""]


@pytest.mark.parametrize("piece", ["/*", "'", '"', "$a$", "$$", "e'\\", "$1", ";"])
def test_any_text_is_taken_apart_in_linear_time(piece: str) -> None:
    began = time.perf_counter()
    statements_in(piece * 100_000)
    parameters_in(piece * 100_000)
    assert time.perf_counter() - began < 2


def test_parameters_in_texts_names_and_comments_are_none() -> None:
    query = """SELECT $1, '$2', "$3", E'\\'$4', $tag$ $5 $tag$, 'it''s $6' -- $7
        /* $8 */ FROM public.events WHERE a = $2 AND "public".b = 'public.c'"""

    assert parameters_in(query) == 2
    made = with_values(query, ["x'y", "5"], [None, 23])
    assert made == query.replace("SELECT $1", "SELECT 'x''y'").replace("a = $2", "a = (5)").replace(
        "FROM public.", "FROM main."
    ).replace('"public".', "main.")


@given(st.text())
def test_any_text_is_one_literal(text: str) -> None:
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        return
    assert duckdb.sql(f"SELECT {literal(text, None)}").fetchall() == [(text,)]
