"""Helpers that drive the real flows in tests and read the lake back in comparable form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from flows.delivery import run_plainly
from flows.work import Work
from sinks.attach import connect
from sinks.lake import Lake

WALL_CLOCK = {"decided_at", "sent_at"}
TABLES = (
    "events",
    "metrics_minute",
    "metrics_1h",
    "metrics_24h",
    "metrics_campaign_minute",
    "message_deliveries",
    "campaign_performance_metrics",
    "response_intelligence",
    "campaign_executions",
    "dead_letters",
)


def works(events: Sequence[dict[str, Any]], sizes: Sequence[int], source: str = "test", start: int = 0) -> list[Work]:
    """Micro-batches of the given sizes (repeated as needed) over events as JSON lines."""
    lines = [msgspec.json.encode(event) for event in events]
    made: list[Work] = []
    at, turn = 0, 0
    while at < len(lines):
        size = sizes[turn % len(sizes)]
        end = min(at + size, len(lines))
        made.append(
            Work(
                source=source,
                cursors={source: start + end},
                lines=pa.array(lines[at:end], pa.binary()),
                at=np.arange(start + at, start + end, dtype=np.int64),
                more_waits=turn % 3 == 0,
            )
        )
        at, turn = end, turn + 1
    return made


def land(home: Path, batches: Sequence[Work]) -> None:
    """Lands batches by the plain loop, opening and closing the lake as a process would."""
    lake = Lake(home, memory_limit="200MB")
    try:
        run_plainly(batches, lake)
    finally:
        lake.close()


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """What another process would read."""
    connection = connect(home, read_only=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def tables(home: Path, names: Sequence[str] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted, without wall-clock columns."""
    connection = connect(home, read_only=True)
    try:
        return {name: _sorted(connection, name) for name in names}
    finally:
        connection.close()


def _sorted(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[Any, ...]]:
    columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall() if row[0] not in WALL_CLOCK]
    found = connection.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()
    return sorted(found, key=repr)


def differences(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]]) -> list[str]:
    """Tables that differ, with the first rows that only one of the two has."""
    found = []
    for name, mine in one.items():
        left, right = {repr(row) for row in mine}, {repr(row) for row in other[name]}
        if mine != other[name]:
            found.append(
                f"{name}: {len(mine)} and {len(other[name])} rows, {sorted(left - right)[:2]} {sorted(right - left)[:2]}"
            )
    return found
