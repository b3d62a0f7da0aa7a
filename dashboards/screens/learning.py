"""Learning: what was learned, what was done with it, and what came of it."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboards import frames
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.reader import Reading
from dashboards.tiles import Tile, Trend, tiles_html
from dashboards.words import campaign_name, count, percent

INSIGHTS = """
    SELECT created_at, event_type, learning_insight, confidence_level, application_scope, implementation_status,
        impact_measurement
    FROM ai_learning_events ORDER BY created_at DESC, id DESC LIMIT 300"""
ACTIONS = """
    SELECT created_at, campaign_id, optimization_trigger, optimization_status, current_performance,
        recommended_actions, actions_taken, impact_prediction, actual_impact
    FROM optimization_actions ORDER BY created_at DESC, id DESC LIMIT 300"""
COUNTED = """
    SELECT count(*) AS insights, count(*) FILTER (implementation_status IN ('applied', 'tested', 'validated')) AS applied,
        count(*) FILTER (event_type = 'user_edit') AS corrections FROM ai_learning_events"""


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    found = source.figures("learning", _load)
    counted, actions = found["counted"][0], found["actions"]
    measured = sum(1 for row in actions if row["optimization_status"] == "measured")
    told = (
        ("Insights", counted["insights"], "What was learned, of all kinds."),
        ("Applied", counted["applied"], "Insights that are in use, tested or validated."),
        ("Corrections by people", counted["corrections"], "Labels of replies that people corrected."),
        ("Actions measured", measured, "Actions whose effect is known, among the newest 300."),
    )
    _tiles(told)
    _insights(found["insights"])
    _actions(actions)


def _load(reading: Reading) -> dict[str, list[dict[str, Any]]]:
    queries = {"insights": INSIGHTS, "actions": ACTIONS, "counted": COUNTED}
    return {name: reading.arrow(query).to_pylist() for name, query in queries.items()}


def _tiles(told: tuple[tuple[str, int, str], ...]) -> None:
    st.html(tiles_html([Tile(name, count(number), None, None, Trend.NEITHER, why) for name, number, why in told]))


def _insights(rows: list[dict[str, Any]]) -> None:
    frames.part("What was learned", "Newest first: from corrections, from what worked, and from what failed.")
    if not rows:
        frames.empty(
            "Nothing was learned yet",
            "Corrections on the page Replies, finished experiments and measured actions each leave a line here.",
        )
        return
    columns = (
        Column("created_at", "When (UTC)"),
        Column("event_type", "From", _words),
        Column("learning_insight", "Insight", is_wide=True),
        Column("confidence_level", "Sure", lambda share: percent(share, 0), is_number=True),
        Column("application_scope", "For", _words),
        Column("implementation_status", "State", _state_html, is_html=True),
        Column("impact_measurement", "Effect", is_wide=True),
    )
    frames.table("insights", "What was learned", columns, rows, sql=INSIGHTS)


def _actions(rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    frames.part(
        "What was done, and what came of it", "The guard's and the optimizers' actions with their measured effect."
    )
    if not rows:
        frames.empty("No action yet", "Pauses, slow-downs and experiments that decide leave a line here once they act.")
        return
    columns = (
        Column("created_at", "When (UTC)"),
        Column("campaign_id", "Campaign", campaign_name),
        Column("optimization_trigger", "Because of", _words),
        Column("optimization_status", "State", _state_html, is_html=True),
        Column("current_performance", "Before", is_wide=True),
        Column("actions_taken", "Done", is_wide=True),
        Column("actual_impact", "After", is_wide=True),
    )
    frames.table("actions", "Actions and their effect", columns, rows, sql=ACTIONS)


def _words(name: Any) -> str:  # noqa: ANN401 - a value of a row
    return str(name or "").replace("_", " ")


def _state_html(name: Any) -> str:  # noqa: ANN401 - a value of a row
    good = name in {"applied", "tested", "validated", "implemented", "measured"}
    return f'<span class="{"good" if good else "chip"}">{_words(name)}</span>'
