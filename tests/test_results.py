"""Rows that other parts send for the lake, and the alert about a provider that went silent."""

import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from flows.inbox import LogInbox
from gateway.arrivals import FILE
from gateway.silence import alert_of, tell_silences
from schemas.events import ResultRow, Stream
from sinks.lake import Lake
from tests.lakes import land, rows

ALERTS = "SELECT title, severity, status, attempts FROM alerts"


def land_log(home: Path) -> None:
    log = SqliteLog(home / "log")
    lake = Lake(home)
    positions = lake.positions()
    lake.close()
    inbox = LogInbox(log, positions)
    land(home, list(iter(lambda: inbox.take(at_once=True), None)))
    log.close()


def send(home: Path, *values: bytes) -> None:
    log = SqliteLog(home / "log")
    log.append(Stream.RESULTS, [Record(None, value) for value in values])
    log.close()


def a_row(**changes: object) -> bytes:
    alert = msgspec.to_builtins(alert_of("sendgrid", 200, 60, 29_000_000))
    return msgspec.json.encode(ResultRow(table="alerts", row=alert | changes))


def test_a_later_row_of_the_same_id_takes_the_place_of_the_earlier(home: Path) -> None:
    send(home, a_row(), a_row(attempts=1))
    land_log(home)

    assert rows(home, ALERTS) == [("sendgrid has gone silent", "warning", "pending", 1)]

    send(home, a_row(attempts=2, status="sent"))
    land_log(home)

    assert rows(home, ALERTS) == [("sendgrid has gone silent", "warning", "sent", 2)]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b'{"table": "store.facts", "row": {}}', id="a table that takes none"),
        pytest.param(b'{"table": "alerts", "row": {"id": 5}}', id="no row of the table"),
        pytest.param(a_row(severity="loud"), id="a value that is none of the enum's"),
    ],
)
def test_what_is_no_row_is_a_dead_letter_and_its_neighbours_land(home: Path, bad: bytes) -> None:
    send(home, bad, a_row())
    land_log(home)

    assert rows(home, "SELECT count(*) FROM alerts") == [(1,)]
    assert rows(home, "SELECT stream, reason, raw FROM dead_letters") == [("results", "result unusable", bad)]


def history(path: Path, minutes: list[int]) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE arrivals (minute INTEGER, provider TEXT, outcome TEXT, requests INTEGER)")
        connection.executemany("INSERT INTO arrivals VALUES (?, 'sendgrid', 'stored', 1)", [(m,) for m in minutes])
    connection.close()


def test_a_provider_that_goes_silent_raises_one_alert(home: Path) -> None:
    now = int(time.time()) // 60
    home.mkdir(exist_ok=True)
    history(home / FILE, list(range(now - 21 * 24 * 60, now - 600)))
    log = SqliteLog(home / "log")
    for _ in range(3):
        found = tell_silences(home / FILE, log)
    log.close()
    land_log(home)

    assert [alert.title for alert in found] == ["sendgrid has gone silent"]
    assert rows(home, ALERTS) == [("sendgrid has gone silent", "warning", "pending", 0)]


def test_a_provider_that_posts_as_usual_raises_none(home: Path) -> None:
    now = int(time.time()) // 60
    home.mkdir(exist_ok=True)
    history(home / FILE, list(range(now - 21 * 24 * 60, now - 1)))
    log = SqliteLog(home / "log")

    assert tell_silences(home / FILE, log) == []
    log.close()
