"""The funnel of a cohort of messages: awareness, interest, engagement, meeting, opportunity."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from dashboards.charts import BLUE, ON_COLOR, dress

STAGES: Final = (
    ("Reached out", "touched", "a message was sent"),
    ("Awareness", "aware", "it arrived"),
    ("Interest", "interested", "opened or clicked by a person"),
    ("Engagement", "engaged", "a person answered"),
    ("Meeting", "met", "a meeting was booked"),
    ("Opportunity", "opportunities", "an opportunity was created"),
)
"""Stages, the count of each, and what proves it; a later stage proves the ones before, so none is larger than its former."""


def funnel_rows(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Stage, messages, and the share of the stage before (None without one)."""
    rows: list[dict[str, Any]] = []
    before: int | None = None
    for name, part, means in STAGES:
        messages = counts[part]
        rows.append(
            {
                "stage": name,
                "messages": messages,
                "of_stage_before": messages / before if before else None,
                "means": means,
            }
        )
        before = messages
    return rows


def cohort_funnel(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The funnel as bars."""
    figure = go.Figure(
        go.Funnel(
            y=[row["stage"] for row in rows],
            x=[row["messages"] for row in rows],
            text=[
                f"{row['messages']:,}" + (f" · {100 * row['of_stage_before']:.1f} %" if row["of_stage_before"] else "")
                for row in rows
            ],
            textinfo="text",
            textposition="auto",
            hovertemplate="%{y}: %{x:,}<extra></extra>",
            marker={"color": BLUE},
            insidetextfont={"color": ON_COLOR},
            connector={"fillcolor": "rgba(128, 140, 150, .15)"},
            constraintext="none",
        )
    )
    dress(figure, height=360)
    figure.update_layout(hovermode="closest", margin={"l": 0, "r": 60, "t": 26, "b": 0})
    return figure
