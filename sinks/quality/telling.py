"""What people are told of the suites: that one fails, once a UTC day while it does, and that it holds again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import duckdb
import msgspec

from schemas.identifiers import uuid7_of
from schemas.records import Alert, AlertSeverity, AlertStatus, DataQualityRow

_FAILING: Final = """
    WITH runs AS (SELECT suite, run_at, bool_and(success) AS holds,
            list(check_name ORDER BY check_name) FILTER (NOT success) AS names
        FROM data_quality WHERE run_at < ? GROUP BY ALL),
    held AS (SELECT suite, max(run_at) AS run_at FROM runs WHERE holds GROUP BY ALL)
    SELECT runs.suite, min(runs.run_at), max_by(runs.names, runs.run_at) FROM runs LEFT JOIN held USING (suite)
    WHERE held.run_at IS NULL OR runs.run_at > held.run_at GROUP BY ALL"""
_RANK: Final = list(AlertSeverity)


class Failing(NamedTuple):
    """A suite that its newest run found failing: the first of the runs in a row that did, and which checks failed."""

    since: datetime
    names: Sequence[str]


def failing_after(rows: Iterable[DataQualityRow], before: Mapping[str, Failing]) -> dict[str, Failing]:
    """The suites that fail in a run, given those that failed in the one before."""
    found: dict[str, Failing] = {}
    for row in sorted(rows, key=lambda row: row.check_name):
        if not row.success:
            since = before[row.suite].since if row.suite in before else row.run_at
            names = found[row.suite].names if row.suite in found else []
            found[row.suite] = Failing(since, [*names, row.check_name])
    return found


class Telling(NamedTuple):
    """An alert with what `sinks.alerts` needs to tell it well; `state` is `begins` or `ends`."""

    alert: Alert
    scope: str
    rule: str
    state: str

    def row(self) -> dict[str, Any]:
        """The row of table `alerts` as a result, with what is not stored of it."""
        row: dict[str, Any] = msgspec.to_builtins(self.alert)
        return row | {"scope": self.scope, "rule": self.rule, "state": self.state}


def failing_before(connection: duckdb.DuckDBPyConnection, run_at: datetime) -> dict[str, Failing]:
    """The suites that failed in their newest landed run before `run_at`."""
    found = connection.execute(_FAILING, [run_at]).fetchall()
    return {suite: Failing(since, names) for suite, since, names in found}


def tellings(rows: Sequence[DataQualityRow], before: Mapping[str, Failing]) -> list[Telling]:
    """One alert a suite that fails, the same for the same failures on one UTC day; one that a suite holds again."""
    suites: dict[str, list[DataQualityRow]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    now = failing_after(rows, before)
    found = []
    for suite, checked in suites.items():
        if suite in now:
            found.append(_fails(suite, [row for row in checked if not row.success], now[suite]))
        elif suite in before:
            found.append(_holds(suite, before[suite], checked[0].run_at))
    return found


def _fails(suite: str, failing: Sequence[DataQualityRow], now: Failing) -> Telling:
    run_at = failing[0].run_at
    begun = max(now.since, run_at.replace(hour=0, minute=0, second=0, microsecond=0))
    told = "; ".join(f"{row.expectation} ({row.table_name}): {row.observed}. Mend: {row.mend}" for row in failing)
    severity = max((row.severity for row in failing), key=_RANK.index)
    title = f"Data quality: {len(failing)} of the checks of {suite} fail"
    return _telling(
        suite,
        severity,
        title,
        f"{told}. See `outpulse check` and table data_quality.",
        run_at,
        begun,
        ",".join(now.names),
    )


def _holds(suite: str, before: Failing, run_at: datetime) -> Telling:
    title = f"Data quality: all checks of {suite} hold again"
    body = f"Since {before.since:%Y-%m-%d %H:%M} UTC failed: {', '.join(before.names)}. There is nothing to do."
    return _telling(suite, AlertSeverity.INFO, title, body, run_at, before.since, "")


def _telling(
    suite: str, severity: AlertSeverity, title: str, body: str, run_at: datetime, begun: datetime, names: str
) -> Telling:
    """`names` are those of the checks that fail, empty where none does."""
    rule = f"{begun.isoformat()} {names or 'holds'}"
    alert = Alert(
        id=uuid7_of(int(begun.timestamp() * 1000), f"quality\x1f{suite}\x1f{rule}"),
        severity=severity,
        title=title,
        body=body,
        status=AlertStatus.PENDING,
        attempts=0,
        created_at=run_at,
    )
    return Telling(alert, f"quality:{suite}", rule, "begins" if names else "ends")
