"""How the system does: what runs, what lags, how fast it is, what could not be read, alerts and models: the SQL behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go

from dashboards.charts import BLUE, dress
from dashboards.filters import Filters
from dashboards.process import Source
from dashboards.queries import live_window, status
from dashboards.reader import Reading
from schemas.events import Stream

COMMITS: Final = """
    SELECT time_bucket(INTERVAL 1 MINUTE, landed_at) AS minute, sum(events)::BIGINT AS events,
        sum(duplicates)::BIGINT AS duplicates, sum(dead_letters)::BIGINT AS dead_letters, count(*) AS commits
    FROM store.commits WHERE landed_at > (SELECT max(landed_at) FROM store.commits) - INTERVAL 1 HOUR
    GROUP BY ALL ORDER BY minute"""
SUMS: Final = """
    SELECT sum(events)::BIGINT AS events, sum(duplicates)::BIGINT AS duplicates,
        sum(dead_letters)::BIGINT AS dead_letters, max(landed_at) AS landed_at
    FROM store.commits"""
POSITIONS: Final = "SELECT source, max(position) AS position FROM store.commits GROUP BY source"
LETTERS: Final = """
    SELECT reason, coalesce(provider, '') AS provider, stage, count(*) AS letters, max(received_at) AS latest,
        arg_max(detail, received_at) AS detail
    FROM dead_letters GROUP BY ALL ORDER BY letters DESC, reason LIMIT 20"""
ALERTS: Final = """
    SELECT created_at, severity, title, target, status, attempts, sent_at FROM alerts
    ORDER BY created_at DESC, id DESC LIMIT 100"""
MODELS: Final = """
    SELECT name, version, active, trained_on, metrics, created_at FROM models
    ORDER BY active DESC, created_at DESC, name, version LIMIT 50"""
_STREAMS: Final = (
    Stream.RAW,
    Stream.EVENTS,
    Stream.REPLIES,
    Stream.RESULTS,
    Stream.CONTROL,
    Stream.FEEDBACK,
    Stream.DEADLETTER,
)


@dataclass(frozen=True)
class State:
    """What the page shows of the lake."""

    commits: list[dict[str, Any]]
    sums: dict[str, Any]
    positions: dict[str, int]
    letters: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    models: list[dict[str, Any]]
    windows: dict[str, Any]


def load(reading: Reading) -> State:
    """All of it on one snapshot.

    Raises:
        NoLake: nothing has landed yet.
    """
    now = status(reading)
    rows = {name: reading.arrow(query).to_pylist() for name, query in _QUERIES.items()}
    return State(
        commits=rows["commits"],
        sums=rows["sums"][0],
        positions={row["source"]: row["position"] for row in rows["positions"]},
        letters=rows["letters"],
        alerts=rows["alerts"],
        models=rows["models"],
        windows={
            name: live_window(reading, Filters(), now.as_of, width)
            for name, width in (("last hour", timedelta(hours=1)), ("last 24 hours", timedelta(days=1)))
        },
    )


_QUERIES: Final = {
    "commits": COMMITS,
    "sums": SUMS,
    "positions": POSITIONS,
    "letters": LETTERS,
    "alerts": ALERTS,
    "models": MODELS,
}


def streams(source: Source, positions: dict[str, int]) -> list[dict[str, Any]]:
    """Each stream of the log with how many records it holds and how many of them wait."""
    folder = source.home / "log"
    return list(_streams(source, positions)) if folder.exists() else []


def _streams(source: Source, positions: dict[str, int]) -> Iterator[dict[str, Any]]:
    log, folder = source.log(), source.home / "log"
    for stream in _STREAMS:
        if next(folder.glob(f"{stream}-*.sqlite"), None) is None:
            continue  # asking would make it
        for partition in range(log.partitions(stream)):
            end = log.end(stream, partition)
            at = positions.get(f"log/{stream}/{partition}", 1)
            if stream is Stream.RAW:
                at = log.marked("normalize", stream, partition)
            waiting = max(0, end - at)
            yield {
                "stream": f"{stream}/{partition}",
                "records": end - 1,
                "waiting": waiting,
                "state": "even" if not waiting else "behind",
            }


def pace(found: State) -> float:
    """Events a second over the last five minutes in which anything landed."""
    newest = found.sums["landed_at"]
    if newest is None:
        return 0.0
    since = newest - timedelta(minutes=5)
    return sum(row["events"] or 0 for row in found.commits if row["minute"] >= since) / 300


def seconds_since_landing(found: State) -> float | None:
    """How long ago the last commit was, by this machine's clock."""
    newest: datetime | None = found.sums["landed_at"]
    return None if newest is None else (datetime.now(UTC) - newest).total_seconds()


def landing_chart(found: State) -> go.Figure:
    """Events landed by minute of the wall clock, of the last hour in which anything landed."""
    figure = go.Figure(
        go.Bar(
            x=[row["minute"] for row in found.commits], y=[row["events"] for row in found.commits], marker_color=BLUE
        )
    )
    dress(figure, height=240)
    figure.update_layout(hovermode="closest", bargap=0.1)
    return figure
