"""When messages are sent and answered, by weekday and hour: the SQL and the heat maps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from dashboards.charts import dress
from dashboards.filters import Filters, send_days, where_of
from dashboards.queries import spelled, status
from dashboards.reader import Reading
from features.intervals import wilson

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
RATES: Final[Mapping[str, str]] = {
    "Replies": "answered",
    "Positive": "positive",
    "Human opens": "opened",
    "Clicks": "clicked",
}
FEWEST: Final = 20
"""A rate of fewer messages than this is left empty."""
HOURS: Final = """
    SELECT isodow(sent_hour) AS weekday, hour(sent_hour) AS hour, sum(sent)::BIGINT AS sent,
        sum(delivered)::BIGINT AS delivered, sum(opened)::BIGINT AS opened, sum(clicked)::BIGINT AS clicked,
        sum(answered)::BIGINT AS answered, sum(positive)::BIGINT AS positive
    FROM store.send_hours WHERE sent_hour >= ? AND {where} GROUP BY ALL HAVING sum(sent) > 0 ORDER BY ALL"""
_AS_DOCUMENTED: Final = """
    SELECT isodow(actual_send_time) AS weekday, hour(actual_send_time) AS hour, count(*) AS sent,
        count(delivered_at) AS delivered, count(opened_at) AS opened, count(clicked_at) AS clicked
    FROM message_deliveries WHERE actual_send_time >= ? AND {where} GROUP BY ALL ORDER BY ALL"""
ADVICE: Final = """
    SELECT created_at, application_scope, learning_insight, confidence_level, implementation_status, event_context
    FROM ai_learning_events WHERE event_type = 'optimization_result' OR learning_insight ILIKE '%send%time%'
    ORDER BY created_at DESC LIMIT 50"""


def load(reading: Reading, chosen: Filters) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Rows by weekday (1 is Monday) and hour, in UTC; what was learned of it; and the SQL of the former."""
    now = status(reading)
    days = send_days(chosen.range, now.as_of)
    where, values = where_of(chosen)
    start = days.first or now.oldest.date()
    rows = reading.arrow(HOURS.format(where=where), [start, *values]).to_pylist()
    advice = reading.arrow(ADVICE).to_pylist()
    return rows, advice, spelled(_AS_DOCUMENTED.format(where=where), [start, *values])


def best_hours(rows: Sequence[Mapping[str, Any]], rate: str) -> list[dict[str, Any]]:
    """Hours of the week by the lower limit of their rate (95 %): the surest first."""
    part = RATES[rate]
    told = []
    for row in rows:
        limits = wilson(row[part], row["delivered"])
        if limits is not None and row["delivered"] >= FEWEST:
            told.append(
                {
                    "when": f"{WEEKDAYS[row['weekday'] - 1]} {row['hour']:02d}:00",
                    "delivered": row["delivered"],
                    "hits": row[part],
                    "rate": row[part] / row["delivered"],
                    "low": limits.low,
                    "high": limits.high,
                }
            )
    return sorted(told, key=lambda row: -row["low"])


def heat_map(rows: Sequence[Mapping[str, Any]], rate: str | None) -> go.Figure:
    """Weekdays by hours: a rate of what was delivered, or without one the number of messages sent."""
    cells = {(row["weekday"], row["hour"]): row for row in rows}
    values: list[list[float | None]] = []
    told: list[list[str]] = []
    for day in range(1, 8):
        line = [cells.get((day, hour)) for hour in range(24)]
        values.append([_value(row, rate) for row in line])
        told.append([_told(row, rate) for row in line])
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[f"{hour:02d}" for hour in range(24)],
            y=list(WEEKDAYS),
            customdata=told,
            hovertemplate="%{y} %{x}:00 UTC: %{customdata}<extra></extra>",
            colorscale="Viridis",
            xgap=2,
            ygap=2,
            colorbar={"thickness": 12, "tickformat": ".1%" if rate else ",d"},
        )
    )
    dress(figure, height=290)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(showgrid=False, type="category", title={"text": "hour of sending, UTC"})
    figure.update_yaxes(showgrid=False, autorange="reversed")
    return figure


def _value(row: Mapping[str, Any] | None, rate: str | None) -> float | None:
    if row is None:
        return None
    if rate is None:
        return float(row["sent"])
    return row[RATES[rate]] / row["delivered"] if row["delivered"] >= FEWEST else None


def _told(row: Mapping[str, Any] | None, rate: str | None) -> str:
    if row is None:
        return "nothing sent"
    if rate is None:
        return f"{row['sent']:,} sent"
    return f"{row[RATES[rate]]:,} of {row['delivered']:,}"
