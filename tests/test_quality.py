"""Each kind of defect is found by the suites; a healthy lake raises none."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import msgspec
import pytest

from eventlog.sqlite import SqliteLog
from schemas.derive import arrow_table
from schemas.identifiers import uuid7_of
from schemas.records import AlertSeverity, DataQualityRow
from schemas.tables import TABLES
from sinks.attach import connect
from sinks.quality.frames import FRAMES
from sinks.quality.judging import judge
from sinks.quality.suites import Check, checks
from sinks.quality.telling import Failing, failing_after, failing_before, tellings
from tests.dashboard_lakes import furnish, land_world
from tests.lakes import rows
from tests.processes import run
from tests.quality_defects import DEFECTS, IMPORTED

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine days of the demo's world, furnished with what other parts find out, and with a plan and a contact."""
    home = furnish(land_world(tmp_path_factory.mktemp("quality") / "home"))
    lists = {
        "contacts": "contact_id,timezone,account_value\nc1,Europe/Berlin,0\n",
        "campaigns": "campaign_id,cost,launch_date\nspring,10,2026-01-01\n",
        "messages": "campaign_id,step,subject\nspring,1,Hello\n",
    }
    for kind, text in lists.items():
        path = home.parent / f"{kind}.csv"
        path.write_text(text)
        assert run("import", kind, str(path), "--home", str(home)).returncode == 0
    with closing(connect(home, read_only=False)) as connection:
        connection.execute(
            "INSERT INTO alerts (id, severity, title, body, status, attempts, created_at) "
            f"SELECT uuid(), 'warning', 'Paused', 'Too many bounces', 'sent', 1, {IMPORTED}"
        )
    return home


@pytest.fixture
def lake(healthy: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose changes are taken back."""
    with closing(connect(healthy, read_only=False)) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.execute("ROLLBACK")


def failing(connection: duckdb.DuckDBPyConnection, chosen: Sequence[Check]) -> dict[str, DataQualityRow]:
    frames = {name: connection.execute(FRAMES[name]).df() for name in {check.frame for check in chosen}}
    found = judge(frames, chosen, NOW)
    assert len(found) == len(chosen)
    return {row.check_name: row for row in found if not row.success}


def test_a_healthy_lake_raises_none(lake: duckdb.DuckDBPyConnection) -> None:
    assert failing(lake, checks()) == {}


def test_a_lake_of_which_nothing_is_known_yet_raises_none(home: Path) -> None:
    assert run("sql", "SELECT 1", "--home", str(home)).returncode == 0
    with closing(connect(home, read_only=True)) as connection:
        assert failing(connection, checks()) == {}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_kind_of_defect_is_found(defect: str, lake: duckdb.DuckDBPyConnection) -> None:
    statements, name = DEFECTS[defect]
    lake.execute(statements)

    frame = next(check.frame for check in checks() if f"{check.suite}.{check.name}" == name)
    found = failing(lake, [check for check in checks() if check.frame == frame])

    assert name in found
    assert found[name].observed
    assert found[name].mend
    assert (found[name].failures or 0) > 0


def test_every_check_has_a_measure_a_table_and_a_name_of_its_own() -> None:
    names = [(check.suite, check.name) for check in checks()]

    assert len(names) == len(set(names))
    assert {check.frame for check in checks()} == set(FRAMES)
    assert {check.table for check in checks()} <= {*TABLES, "metrics_campaign_minute"}
    assert all((check.least, check.most, check.among) != (None, None, ()) for check in checks())


def row_of(
    check: str, *, success: bool, severity: AlertSeverity = AlertSeverity.WARNING, at: datetime = NOW
) -> DataQualityRow:
    suite = check.split(".", maxsplit=1)[0]
    return DataQualityRow(
        id=uuid7_of(0, check),
        run_at=at, suite=suite, check_name=check, table_name="events", kind="enum", expectation="it holds", success=success,
        severity=severity, observed="3", failures=1, mend="mend it",
    )  # fmt: skip


def test_a_failing_suite_is_one_alert_a_day_unless_something_else_fails_too() -> None:
    one = [row_of("facts.a", success=False), row_of("facts.b", success=True), row_of("figures.c", success=True)]
    two = [*one, row_of("facts.d", success=False, severity=AlertSeverity.CRITICAL)]
    later = [row_of("facts.a", success=False, at=NOW + timedelta(hours=3))]
    tomorrow = [row_of("facts.a", success=False, at=NOW + timedelta(days=1))]
    failing = {"facts": Failing(NOW, ["facts.a"])}

    ((alert, scope, _, state),) = tellings(one, {})
    assert (alert.severity, scope, state) == (AlertSeverity.WARNING, "quality:facts", "begins")
    assert "it holds (events): 3. Mend: mend it" in alert.body
    assert tellings(later, failing)[0].alert.id == alert.id
    assert tellings(tomorrow, failing)[0].alert.id != alert.id
    assert tellings(two, failing)[0].alert.id != alert.id
    assert tellings(two, failing)[0].alert.severity is AlertSeverity.CRITICAL
    assert tellings(one[1:], {}) == []


def test_a_suite_that_holds_again_is_told_once_and_that_it_fails_anew_is_told_on_the_same_day() -> None:
    (first,) = tellings([row_of("facts.a", success=False)], {})
    holds = [row_of("facts.a", success=True, at=NOW + timedelta(hours=1))]
    (ended,) = tellings(holds, {"facts": Failing(NOW, ["facts.a"])})
    (again,) = tellings([row_of("facts.a", success=False, at=NOW + timedelta(hours=2))], {})

    assert (ended.alert.severity, ended.scope, ended.state) == (AlertSeverity.INFO, first.scope, "ends")
    assert ended.alert.title == "Data quality: all checks of facts hold again"
    assert "Since 2026-11-26 10:00 UTC failed: facts.a" in ended.alert.body
    assert tellings(holds, {}) == []
    assert len({first.alert.id, ended.alert.id, again.alert.id}) == 3
    assert len({first.rule, ended.rule, again.rule}) == 3


def test_what_failed_before_is_read_from_the_newest_runs_in_a_row(lake: duckdb.DuckDBPyConnection) -> None:
    outcomes = {
        "facts": [False, True, False, False],
        "figures": [False, False, False, True],
        "imports": [False, False, False],
    }
    found = [
        row_of(f"{suite}.a", success=success, at=NOW + timedelta(hours=hour))
        for suite, of_suite in outcomes.items()
        for hour, success in enumerate(of_suite)
    ]
    landing = arrow_table(DataQualityRow, [msgspec.structs.replace(row, id=uuid4()) for row in found])
    lake.register("landing", landing)
    lake.execute("DELETE FROM data_quality")
    lake.execute("INSERT INTO data_quality BY NAME SELECT * FROM landing")

    assert failing_before(lake, NOW + timedelta(hours=9)) == {
        "facts": (NOW + timedelta(hours=2), ["facts.a"]),
        "imports": (NOW, ["imports.a"]),
    }
    assert failing_before(lake, NOW) == {}


def test_check_tells_lands_and_alerts_and_writes_data_docs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    file = tmp_path / "events.ndjson"
    event = {"event_id": "e1", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "campaign_id": "autumn"}
    file.write_text(json.dumps(event) + "\n")
    assert run("replay", str(file), "--home", str(home)).returncode == 0

    fine = run("check", "--home", str(home))
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "checks hold" in fine.stdout
    assert fine.stderr == ""

    assert run("sql", "--write", "UPDATE store.facts SET kind = 'odd'", "--home", str(home)).returncode == 0
    bad = run("check", "--json", "--home", str(home))
    assert bad.returncode == 1
    told = {row["check_name"]: row for row in json.loads(bad.stdout)}
    assert told["facts.known_kind"]["observed"] == "kind: odd"
    assert rows(home, "SELECT count(DISTINCT run_at), count(*) FILTER (NOT success) > 1 FROM data_quality") == [
        (2, True)
    ]
    assert ("critical", "pending") in rows(
        home, "SELECT severity, status FROM alerts WHERE title LIKE '%of facts fail'"
    )
    lines = {row["what"]: row for row in json.loads(run("status", "--json", "--home", str(home)).stdout)}
    failing = sum(not row["success"] for row in told.values())
    assert (lines["data quality"]["state"], lines["data quality"]["lag"]) == ("look", failing)
    assert f"{len(told) - failing} of {len(told)} checks hold" in lines["data quality"]["detail"]
    assert (home / "quality" / "docs" / "index.html").stat().st_size > 1000
    log = SqliteLog(home / "log")
    assert log.end("results", 0) > len(told)
    log.close()


def test_what_a_run_found_is_known_to_the_next_before_it_has_landed() -> None:
    def run_at(hour: int, *, holds: bool) -> list[DataQualityRow]:
        at = NOW + timedelta(hours=hour)
        return [row_of(name, success=holds, at=at) for name in ("facts.b", "facts.a")]

    before = failing_after(run_at(0, holds=False), {})
    assert before == {"facts": Failing(NOW, ["facts.a", "facts.b"])}
    assert failing_after(run_at(1, holds=False), before) == before
    assert failing_after(run_at(2, holds=True), before) == {}
