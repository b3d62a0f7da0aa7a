"""The page's charts, in Plotly, in colours that colour-blind people tell apart, with a second sign beside colour.

Source of the palette: Okabe and Ito, https://jfly.uni-koeln.de/color/
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import plotly.graph_objects as go
import pyarrow as pa
from plotly.subplots import make_subplots

from dashboards.figures import RIPENING_DAYS, Totals, totals_of
from dashboards.filters import Buckets
from dashboards.words import campaign_name, kind_key, kind_name

BLUE, ORANGE, GREEN, VERMILLION = "#1F6FC0", "#B98000", "#0E9A6C", "#CF4A22"
PURPLE, SKY, BLACK, GREY = "#B9639F", "#2C96C2", "#66727F", "#858F99"
"""Middle tones of that palette: at least 3:1 on the light and the dark grounds (WCAG 2.2, 1.4.11); BLACK is a slate. No tone
is 4.5:1 on both, which text needs, so none is used for text."""
ON_COLOR: Final = "#FFFFFF"
"""Text on BLUE."""
PALE_BLUE: Final = "rgba(31, 111, 192, .3)"
"""The inside of what has an outline in BLUE."""

_PANELS: Final[tuple[Mapping[str, tuple[str, str]], ...]] = (
    {
        "queued": (GREY, "dot"),
        "sent": (BLACK, "solid"),
        "delivered": (BLUE, "solid"),
        "deferred": (ORANGE, "dash"),
        "bounced": (VERMILLION, "solid"),
        "rejected": (PURPLE, "dash"),
        "failed": (SKY, "dash"),
    },
    {
        "opened": (GREEN, "solid"),
        "machine_opened": (GREY, "dot"),
    },
    {
        "clicked": (ORANGE, "solid"),
        "replied": (PURPLE, "solid"),
        "meeting_booked": (BLUE, "solid"),
        "unsubscribed": (BLACK, "dash"),
        "complained": (VERMILLION, "solid"),
        "other": (GREY, "dot"),
    },
)
"""Panels from top to bottom: kind to colour and dash. They differ tenfold in number, so each has its own scale."""
_LEGENDS: Final = ({"y": 1.0}, {"y": 0.63}, {"y": 0.29})
_CAMPAIGN_LOOKS: Final = (
    (BLUE, "circle"),
    (ORANGE, "square"),
    (GREEN, "diamond"),
    (VERMILLION, "triangle-up"),
    (PURPLE, "cross"),
    (SKY, "x"),
    (BLACK, "star"),
)

OPENS: Final = "Human opens"
FEWEST: Final = 20
"""A rate of fewer messages than this is noise."""
_FEW_DAYS: Final = 10
"""So few that every day has room for its name."""

RATES: Final[Mapping[str, Callable[[Totals], float | None]]] = {
    OPENS: lambda t: t.open_rate,
    "Clicks": lambda t: t.click_rate,
    "Replies": lambda t: t.reply_rate,
    "Bounces": lambda t: t.bounce_rate,
    "Complaints": lambda t: t.complaint_rate,
}
"""Rates that can be drawn by send day."""

CONFIG: Final = {"displayModeBar": False}


def events_over_time(events: pa.Table, steps: Buckets, as_of: datetime) -> go.Figure:
    """Three panels over one time axis: sending, opens, and what else came back; a step without events is 0."""
    times: list[datetime] = []
    at = steps.start
    while at <= as_of:
        times.append(at)
        at += steps.step
    series: dict[str, dict[datetime, int]] = {}
    for row in events.to_pylist():
        key = kind_key(row["kind"], is_machine=row["is_machine"])
        key = key if any(key in panel for panel in _PANELS) else "other"
        points = series.setdefault(key, {})
        points[row["bucket"]] = points.get(row["bucket"], 0) + row["events"]
    figure = make_subplots(rows=len(_PANELS), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, looks in enumerate(_PANELS, 1):
        for key, (color, dash) in looks.items():
            if key in series:
                line = {"color": color, "dash": dash, "width": 2}
                values = [series[key].get(moment, 0) for moment in times]
                legend = "legend" if row == 1 else f"legend{row}"
                trace = go.Scatter(x=times, y=values, name=kind_name(key), mode="lines", line=line, legend=legend)
                trace.visible = "legendonly" if key == "other" else True
                figure.add_trace(trace, row=row, col=1)
    dress(figure, height=480)
    for row, place in enumerate(_LEGENDS, 1):
        figure.update_layout({"legend" if row == 1 else f"legend{row}": {**place, "yanchor": "top"}})
    return figure


def rates_by_send_day(days: pa.Table, rate: str, last: date) -> go.Figure:
    """One line a campaign, for those with the most messages sent; days with fewer than `FEWEST` are left out."""
    of = RATES[rate]
    figures = [(row["campaign_id"], row["metric_date"], totals_of(row)) for row in days.to_pylist()]
    sent: dict[str | None, int] = {}
    for campaign, _, figure_of_day in figures:
        sent[campaign] = sent.get(campaign, 0) + figure_of_day.sent
    largest = sorted((c for c in sent if sent[c]), key=lambda c: (-sent[c], campaign_name(c)))[: len(_CAMPAIGN_LOOKS)]
    figure = go.Figure()
    for campaign, (color, symbol) in zip(largest, _CAMPAIGN_LOOKS, strict=False):
        points = [(day, of(t) if t.sent >= FEWEST else None, t.sent) for c, day, t in figures if c == campaign]
        figure.add_trace(
            go.Scatter(
                x=[day for day, _, _ in points],
                y=[value for _, value, _ in points],
                customdata=[sent_that_day for _, _, sent_that_day in points],
                name=campaign_name(campaign),
                mode="lines+markers",
                line={"color": color, "width": 2},
                marker={"symbol": symbol, "size": 8},
                hovertemplate="%{y:.2%} of %{customdata:,} sent",
            )
        )
    figure.add_vrect(
        x0=datetime.combine(last - timedelta(days=RIPENING_DAYS), time(12)),
        x1=datetime.combine(last, time(12)),
        fillcolor=GREY,
        opacity=0.12,
        line_width=0,
        annotation={"text": "still coming in", "font": {"size": 11}, "yanchor": "top"},
        annotation_position="top left",
    )
    dress(figure, height=440)
    figure.update_xaxes(type="date")  # else a chart without any line yet takes the days of the band for no numbers
    figure.update_yaxes(tickformat=".2~%", rangemode="tozero")
    if days.num_rows:
        first = min(day for _, day, _ in figures)
        few = (last - first).days < _FEW_DAYS
        figure.update_xaxes(
            range=[datetime.combine(first, time()) - timedelta(hours=12), datetime.combine(last, time(12))],
            tickformat="%-d %b",
            dtick=timedelta(days=1) // timedelta(milliseconds=1) if few else None,
        )
    figure.update_layout(legend={"orientation": "h", "y": -0.12, "yanchor": "top"})
    return figure


def dress(figure: go.Figure, height: int) -> None:
    """What all charts share; `uirevision` keeps zoom and hidden lines through a refresh."""
    grid: dict[str, Any] = {"gridcolor": "rgba(128, 128, 128, .18)", "zeroline": False}
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 0, "t": 26, "b": 0},
        hovermode="x unified",
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": GREY, "activecolor": BLUE},
        uirevision="kept",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        paper_bgcolor="rgba(0, 0, 0, 0)",
    )
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid, rangemode="tozero")
