"""Whatever SQL gives is shown: as a value where Python holds it, else as DuckDB's own text."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dashboards.listing import csv_bytes, listing_html
from dashboards.screens import console as screen
from sinks.answers import Rows, unique
from sinks.console import Console, Limits
from tests.lakes import land, works


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    home = tmp_path_factory.mktemp("answers") / "home"
    land(home, works([{"event_id": "e1", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z"}], [1]))
    with Console(home, Limits(seconds=20), exact=True) as made:
        yield made


def answered(console: Console, query: str) -> list[dict[str, Any]]:
    answer = console.run(query)
    return [dict(row) for row in Rows(answer.columns, answer.table)]


HELD = [
    ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1),
    ("340282366920938463463374607431768211455::UHUGEINT", 2**128 - 1),
    ("(-12345678901234567890123456789)::HUGEINT", -12345678901234567890123456789),
    ("123::BIGNUM", 123),
    ("18446744073709551615::UBIGINT", 2**64 - 1),
    ("1.50::DECIMAL(38, 2)", Decimal("1.50")),
    ("'-inf'::DOUBLE", -math.inf),
    ("true", True),
    ("NULL", None),
    ("DATE '9999-12-31'", date(9999, 12, 31)),
    ("TIMESTAMP '0001-01-01'", datetime(1, 1, 1)),  # noqa: DTZ001 - SQL's type without a zone
    ("TIMESTAMPTZ '2026-01-05 10:00:00+01'", datetime(2026, 1, 5, 9, tzinfo=UTC)),
    ("(SELECT sum(i) FROM range(3) t(i))", 3),
    ("chr(0) || 'x'", "\0x"),
]
WRITTEN = [
    "TIMESTAMP '290000-01-01'",
    "TIMESTAMPTZ '290000-01-01'",
    "TIMESTAMP_S '290000-01-01'",
    "TIMESTAMP_NS '2026-01-01 00:00:00.123456789'",
    "DATE 'infinity'",
    "DATE '-infinity'",
    "TIMESTAMP 'infinity'",
    "TIMESTAMPTZ '-infinity'",
    "DATE '0044-03-15 (BC)'",
    "DATE '9999-12-31' + 1",
    "TIME '24:00:00'",
    "TIMETZ '10:00:00+02'",
    "INTERVAL '3 months 2 days 5 seconds'",
    "'\\x00\\xFFabc'::BLOB",
    "'10101'::BIT",
    "'7262daa1-d48a-4c82-8ace-78cc951619e9'::UUID",
    "MAP {[1]: {'x': INTERVAL '2 days'}}",
    "{'a': [1, NULL], 'b': TIMESTAMP '290000-01-01', 'c': 5::HUGEINT, 'd': true}",
    "[[1], [], NULL]",
    "[1, 2]::INTEGER[2]",
    "[union_value(n := 3), union_value(n := 4)]",
    "union_value(n := DATE 'infinity')",
    "'b'::ENUM('a', 'b')",
    "('x', 2)",
    "repeat('9', 5000)::BIGNUM",
]


@pytest.mark.parametrize(("value", "wanted"), HELD, ids=[value for value, _ in HELD])
def test_a_value_that_python_holds_stays_one(console: Console, value: str, wanted: Any) -> None:
    assert answered(console, f"SELECT {value} AS v") == [{"v": wanted}]


@pytest.mark.parametrize("value", WRITTEN)
def test_a_value_that_python_cannot_hold_is_shown_as_duckdb_writes_it(console: Console, value: str) -> None:
    (row,) = answered(console, f"SELECT {value} AS v, ({value})::VARCHAR AS text")

    assert str(row["v"]) == row["text"]


def test_not_a_number_is_one_of_the_numbers(console: Console) -> None:
    assert math.isnan(answered(console, "SELECT 'NaN'::DOUBLE AS v")[0]["v"])


def test_one_far_date_leaves_its_neighbours_what_they_are(console: Console) -> None:
    rows = answered(console, "FROM (VALUES (DATE '2026-01-05'), (DATE 'infinity'), (NULL)) AS t(v)")

    assert [row["v"] for row in rows] == [date(2026, 1, 5), "infinity", None]


def test_columns_of_one_name_keep_their_own_values(console: Console) -> None:
    assert answered(console, "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a") == [{"a": 1, "a_2": 2, "a_1": 3, "a_3": 4}]
    assert unique(["a", "a", "a"]) == ["a", "a_1", "a_2"]
    assert len(set(unique(["a"] * 5000 + ["a_17"] * 5000))) == 10_000


def test_rows_are_a_sequence(console: Console) -> None:
    answer = console.run("SELECT i, [i] AS l FROM range(1000) t(i)")
    rows = Rows(answer.columns, answer.table)

    assert (len(rows), rows[-1], rows[3:5]) == (
        1000,
        {"i": 999, "l": "[999]"},
        [{"i": 3, "l": "[3]"}, {"i": 4, "l": "[4]"}],
    )
    assert [row["i"] for row in rows] == list(range(1000))
    assert [row["i"] for row in rows[::-400]] == [999, 599, 199]
    with pytest.raises(IndexError):
        rows[1000]


# The page.


@pytest.mark.parametrize(
    "query",
    [
        "SELECT TIMESTAMP '290000-01-01'",
        "SELECT 1 WHERE false",
        'SELECT 1 AS "<b>", 2 AS "a\nb", 3 AS "  ", 4 AS "=1+1", 5 AS "\U0001f600"',
        "EXPLAIN SELECT count(*) FROM events",
        "SELECT NULL, [NULL], MAP {}",
    ],
)
def test_the_page_draws_any_answer(console: Console, query: str) -> None:
    shown = screen._shown(console.run(query))

    assert "<table" in shown.listing
    assert "<b>" not in shown.listing
    csv_bytes(shown.rows.names, shown.rows)


def test_the_page_shows_both_columns_of_one_name(console: Console) -> None:
    shown = screen._shown(console.run("SELECT 1 AS a, 2 AS a"))

    assert shown.listing.count('<th scope="col" class="number">a</th>') == 2
    assert '<td class="number">1</td><td class="number">2</td>' in shown.listing
    assert csv_bytes(shown.rows.names, shown.rows).decode("utf-8-sig").splitlines() == ["a,a_1", "1,2"]


def test_the_page_says_what_was_cut_and_stays_small(console: Console) -> None:
    wide = screen._shown(console.run("SELECT repeat('x', 20000) AS v FROM range(10000)"))
    huge = screen._shown(console.run("SELECT repeat('x', 20000000) AS v"))
    many = screen._shown(console.run("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(5000)) + " FROM range(300)"))

    assert wide.says.startswith("838 rows in ")
    assert wide.says.endswith("; an answer is cut at 16 MiB, so the rest of the rows was cut.")
    assert huge.says.endswith("; an answer is cut at 16 MiB, and its first row alone is larger.")
    assert many.says.endswith("; 100 of 5,000 columns are shown, the download has all.")
    assert len(many.rows.names) == 5000
    assert all(len(shown.listing) < 2_000_000 for shown in (wide, huge, many))


def test_a_page_is_told_when_rows_were_cut(console: Console) -> None:
    says = screen._shown(console.run("FROM range(10001)")).says

    assert says.endswith("more than 10,000 were found, the rest was cut.")


def test_a_heading_of_a_download_is_no_formula(console: Console) -> None:
    answer = console.run('SELECT 1 AS "=1+1"')
    rows = Rows(answer.columns, answer.table)

    assert csv_bytes(rows.names, rows).decode("utf-8-sig").splitlines()[0] == "'=1+1"
    assert listing_html("x", [], rows)
