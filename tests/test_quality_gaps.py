"""A day without events, or with few, is told from a weekend, a holiday, a pause in sending and a young lake."""

from datetime import date, timedelta

import duckdb
import pytest

from sinks.quality.gaps import GAPS

MONDAY = date(2026, 1, 5)
WEEK = (1000, 1000, 1000, 1000, 1000, 60, 0)
"""Events from Monday to Sunday of a sender who rests at weekends."""


def gaps(counts: list[int], first: date = MONDAY) -> tuple[int, int]:
    """(missing days, thin days) of a lake with so many events a day."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA store; CREATE TABLE store.cells (minute TIMESTAMPTZ, events BIGINT)")
    for day, events in enumerate(counts):
        at = f"{first + timedelta(days=day)} 09:30:00+00"
        connection.execute("INSERT INTO store.cells SELECT ?::TIMESTAMPTZ, ? WHERE ? > 0", [at, events, events])
    missing, thin = connection.execute(GAPS["days"]).fetchall()[0]
    return int(missing), int(thin)


def weeks(number: int, changed: dict[int, int] | None = None) -> list[int]:
    """Events of so many weeks, with other numbers on some days since the first."""
    counts = list(WEEK) * number
    for day, events in (changed or {}).items():
        counts[day] = events
    return counts


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (weeks(8), (0, 0)),
        (weeks(8, {22: 0}), (1, 0)),
        (weeks(8, {22: 0, 23: 0}), (2, 0)),
        (weeks(8, {21: 0, 22: 0}), (2, 0)),
        (weeks(8, {22: 0, 23: 0, 24: 0}), (3, 0)),
        (weeks(8, {22: 49}), (0, 1)),
        (weeks(8, {22: 50}), (0, 0)),
        (weeks(8, {23: 100, 24: 80}), (0, 0)),
        (weeks(8, {22: 0, 23: 10}), (0, 2)),
        (weeks(8, dict.fromkeys(range(21, 35), 0)), (0, 0)),
        (weeks(8, dict.fromkeys(range(50, 56), 0)), (0, 0)),
        (weeks(1), (0, 0)),
        (weeks(2), (0, 0)),
        (weeks(2, {8: 0}), (1, 0)),
        (weeks(2, {8: 0, 9: 0}), (2, 0)),
        ([1000, 1000, 0, 1000, 1000], (1, 0)),
        ([1000, 0, 0, 1000, 1000], (2, 0)),
        ([1000, 0, 0, 30, 1000], (0, 0)),
        ([40, 0, 0, 40, 3], (0, 0)),
        ([7, 0, 0, 9, 2, 0, 0, 3, 0, 0, 0, 8], (0, 0)),
        ([1000], (0, 0)),
        ([], (0, 0)),
        ([5000, 800, 90, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] * 4, (0, 0)),
        ([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10000, 20000, 30000, 40000, 50000, 60000], (0, 0)),
    ],
    ids=[
        "a sender who rests at weekends", "one day", "two days", "two days after a weekend", "three days",
        "just below a twentieth", "a twentieth", "a holiday with opens of before", "a day and the first events of the next",
        "a pause of two weeks", "nothing sent any more", "one week", "two weeks", "a day of a second week",
        "two days of a second week", "a day of a first week", "two days of a first week", "an edge that is not busy",
        "a lake with few events", "scattered events", "one day only", "an empty lake", "a send every other week", "a warm-up",
    ],
)  # fmt: skip
def test_gaps_are_told_from_what_is_usual(counts: list[int], expected: tuple[int, int]) -> None:
    assert gaps(counts) == expected


def test_the_weekend_of_a_first_week_is_no_gap() -> None:
    assert gaps([1000, 1000, 0, 0, 1000, 1000], date(2026, 1, 8)) == (0, 0)
    assert gaps([1000, 1000, 0, 0, 0, 1000], date(2026, 1, 8)) == (0, 0)
