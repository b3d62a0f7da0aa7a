"""`outpulse up` checks the landed tables by itself and tells people when a suite fails and when it holds again."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from outpulse.home import Home
from outpulse.settings import AlertsSettings, AlertTarget, QualitySettings, Settings
from outpulse.supervise import parts_of
from schemas.events import ResultRow, Stream
from schemas.failures import LakeError
from sinks.alerts.courier import Courier
from sinks.alerts.outbox import FILE, Outbox
from tests.alert_servers import hook
from tests.lakes import rows
from tests.processes import answers, free_port, run, start, stop, wait_until

EVENT = {"event_id": "e1", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "campaign_id": "autumn"}
ON_MARS = (
    "INSERT INTO contacts (contact_id, timezone, imported_at) VALUES ('c9', 'Mars/Olympus', TIMESTAMPTZ '2026-01-05')"
)
RUNS = "SELECT run_at, bool_and(success) FILTER (suite = 'imports') FROM data_quality GROUP BY ALL ORDER BY ALL"


def runs(home: Path) -> list[bool]:
    """Whether the suite of imports held, a run each, in their order."""
    try:
        return [bool(holds) for _, holds in rows(home, RUNS)]
    except LakeError:  # the parts are just making it
        return []


def test_up_checks_by_itself_tells_once_that_a_suite_fails_and_once_that_it_holds_again(home: Path) -> None:
    with hook() as web:
        env = {
            "OUTPULSE_GATEWAY__PORT": str(port := free_port()),
            "OUTPULSE_QUALITY__EVERY_MINUTES": "0.05",
            "OUTPULSE_ALERTS__TARGETS__WEB__URL": web.url,
        }
        up = start("up", "--no-dashboard", "--home", str(home), env=env)
        try:
            wait_until(lambda: answers(port), what="the gateway's start")
            given = run("replay", "-", "--home", str(home), env=env, input=json.dumps(EVENT) + "\n")
            assert given.returncode == 0, given.stderr
            wait_until(lambda: True in runs(home), 300, "the first check")
            assert run("sql", "--write", ON_MARS, "--home", str(home), env=env).returncode == 0
            wait_until(lambda: runs(home).count(False) >= 2, 300, "two checks that fail")
            wait_until(lambda: bool(web.bodies), 15, "the alert")
            mended = run("sql", "--write", "DELETE FROM contacts", "--home", str(home), env=env)
            assert mended.returncode == 0
            wait_until(lambda: runs(home)[-2:] == [True, True], 300, "two checks that hold")
            wait_until(lambda: len(web.bodies) > 1, 15, "the notice")
        finally:
            assert stop(up) == 0
    assert web.titles == [  # and nothing of other suites: what was told makes none fail
        "Data quality: 1 of the checks of imports fail",
        "Data quality: all checks of imports hold again",
    ]
    assert "every timezone is a known one (contacts): " in web.bodies[0]["message"]
    assert "imports.zones_exist" in web.bodies[1]["message"]
    assert rows(home, "SELECT title, severity FROM alerts WHERE target IS NULL ORDER BY created_at") == [
        (web.titles[0], "critical"),
        (web.titles[1], "info"),
    ]
    assert (home / "quality" / "docs" / "index.html").exists()


def test_up_checks_unless_it_is_set_to_never() -> None:
    def names(settings: Settings) -> list[str]:
        return [part.name for part in parts_of(Home(Path("home"), settings), dashboard=False)]

    assert "quality" in names(Settings())
    assert "quality" not in names(Settings(quality=QualitySettings(every_minutes=0)))


@pytest.mark.parametrize(
    ("told", "expected"), [(True, ["fail", "hold again"]), (False, [])], ids=["told of it", "not told of it"]
)
def test_that_it_holds_again_goes_to_whoever_was_told_that_it_fails(
    home: Path, expected: list[str], *, told: bool
) -> None:
    def row(number: int, title: str, severity: str, state: str) -> Record:
        found: dict[str, Any] = {
            "id": f"019b8d99-0000-7000-8000-00000000000{number}",
            "severity": severity,
            "title": title,
            "body": title,
            "status": "pending",
            "attempts": 0,
            "created_at": "2026-01-05T10:00:00Z",
            "scope": "quality:facts",
            "rule": str(number),
            "state": state,
        }
        return Record(os.urandom(8), msgspec.json.encode(ResultRow(table="alerts", row=found)))

    log, outbox = SqliteLog(home / "log"), Outbox(home / FILE)
    limits = AlertsSettings(targets={"web": AlertTarget(url="json://127.0.0.1", severity="critical")})
    courier = Courier(log, outbox, limits)
    log.append(Stream.RESULTS, [row(1, "fail", "critical" if told else "warning", "begins")])
    log.append(Stream.RESULTS, [row(2, "hold again", "info", "ends")])
    courier.step()

    found = []
    while (message := outbox.next("web", 4e9)) is not None:
        found += [notice.title for notice in message.notices]
        outbox.note_sent(message, 4e9)
    assert found == expected
    outbox.close()
    log.close()
