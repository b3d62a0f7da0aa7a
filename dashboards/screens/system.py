"""System: what runs, what lags, how fast it is, what could not be read, alerts, and model versions."""

from datetime import UTC, datetime

import streamlit as st

from dashboards import frames, state
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.reader import NoLake
from dashboards.tiles import Tile, Trend, tiles_html
from dashboards.windows import windows_html
from dashboards.words import NOTHING, ago, count


def draw(source: Source, who: Viewer) -> None:
    """The page; streams and processes are shown though there is no lake yet."""
    del who
    try:
        found = source.figures("state", state.load)
    except NoLake:
        found = None
    rows = state.streams(source, found.positions if found else {})
    waiting = sum(row["waiting"] for row in rows)
    st.html(tiles_html(_tiles(source, found, waiting)))
    _streams(rows)
    if found is None:
        frames.empty("Nothing has landed yet", "The figures of the lake follow with the first events.")
        return
    _landing(found)
    frames.part("Events right now", "Of the hour and the day that end with the newest event, each event counted.")
    st.html(windows_html(found.windows["last hour"], found.windows["last 24 hours"]))
    _letters(found)
    _alerts(found)
    _models(found)


def _tiles(source: Source, found: state.State | None, waiting: int) -> list[Tile]:
    runs = source.flows_run()
    figures = [("Flows", "running" if runs else "stopped", "The process that writes to the lake.")]
    figures.append(("Waiting in the log", count(waiting), "Records that no flow has taken yet."))
    if found is not None:
        landed = found.sums["landed_at"]
        figures += [
            (
                "Last landed",
                ago(landed, datetime.now(UTC)) if landed else NOTHING,
                "When the newest chunk was committed.",
            ),
            ("Pace", f"{state.pace(found):,.1f} /s", "Events a second in the five minutes before the last landing."),
            ("Events", count(found.sums["events"]), "All facts of the lake, each once."),
            ("Duplicates dropped", count(found.sums["duplicates"]), "Copies that changed no figure."),
            (
                "Dead letters",
                count(found.sums["dead_letters"]),
                "Records that could not be read; kept with their bytes.",
            ),
            ("Models", count(sum(1 for m in found.models if m["active"])), "Versions that make predictions now."),
        ]
    return [Tile(name, value, None, None, Trend.NEITHER, why) for name, value, why in figures]


def _streams(rows: list[dict[str, object]]) -> None:
    frames.part("Log", "Each stream with what waits of it: raw for the adapters, the others for the lake.")
    if not rows:
        frames.empty("Nothing was received yet", "The gateway makes the log with the first request: `outpulse up`.")
        return
    columns = (
        Column("stream", "Stream"),
        Column("records", "Records", is_number=True),
        Column("waiting", "Waiting", is_number=True),
        Column("state", "", _state_html, is_html=True),
    )
    frames.table("streams", "Streams of the log and what waits", columns, rows)


def _state_html(text: str) -> str:
    return f'<span class="{"good" if text == "even" else "warn"}">{text}</span>'


def _landing(found: state.State) -> None:
    frames.part("Landing", "Events by the minute in which they landed (UTC, wall clock), of the last hour with any.")
    names = list(found.commits[0]) if found.commits else []
    says = "Events landed by minute"
    frames.chart(state.landing_chart(found), "landing", says=says, rows=found.commits, names=names, sql=state.COMMITS)


def _letters(found: state.State) -> None:
    frames.part("Last errors", "What could not be read, by reason. Nothing is lost: the bytes are in `dead_letters`.")
    frames.letters("dead_letters", found.letters, sql=state.LETTERS)


def _alerts(found: state.State) -> None:
    frames.part("Alerts", "What people were told, newest first.")
    if not found.alerts:
        frames.empty(
            "No alert yet", "Say who is told in `[alerts.targets.NAME]`, and try it with `outpulse alert test`."
        )
        return
    columns = (
        Column("created_at", "When (UTC)"),
        Column("severity", "Severity"),
        Column("title", "Title", is_wide=True),
        Column("target", "To"),
        Column("status", "State", _alert_html, is_html=True),
        Column("attempts", "Tries", is_number=True),
    )
    frames.table("alerts", "Alerts to people", columns, found.alerts, sql=state.ALERTS)


def _alert_html(text: str) -> str:
    return f'<span class="{ {"sent": "good", "pending": "warn"}.get(text, "alarm") }">{text}</span>'


def _models(found: state.State) -> None:
    frames.part("Model versions")
    if not found.models:
        frames.empty("No model yet", "Models come with the flow that uses them, such as `replies`.")
        return
    columns = (
        Column("name", "Model"),
        Column("version", "Version"),
        Column("active", "Predicts now"),
        Column("trained_on", "Learned from", is_wide=True),
        Column("metrics", "Scores", is_wide=True),
        Column("created_at", "Newest lesson (UTC)"),
    )
    frames.table("models", "Versions of models", columns, found.models, sql=state.MODELS)
