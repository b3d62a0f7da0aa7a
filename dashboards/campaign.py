"""One campaign: its timeline, what it is made of, what it will still bring, and how it stands: the SQL behind the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.charts import BLUE, GREEN, GREY, ORANGE, PALE_BLUE, PURPLE, VERMILLION, dress
from dashboards.cohorts import added, cohorts, cohorts_of, funnel, on, totals
from dashboards.figures import Totals, totals_of
from dashboards.filters import Days, Filters, Range, buckets, send_days
from dashboards.queries import BY_SEND_DAY, COUNTS, spelled, status
from dashboards.reader import Reading
from features.forecast import Day
from features.intervals import wilson

DIMENSIONS: Final[Mapping[str, str]] = {
    "Step": "sequence_step",
    "Variant": "variant",
    "Persona": "persona",
    "Tier": "account_tier",
    "Channel": "channel",
    "Sender": "sender",
}
_SEGMENT_COUNTS: Final = (
    "sent",
    "delivered",
    "opened",
    "clicked",
    "answered",
    "positive",
    "meetings",
    "bounced",
    "complained",
)
_SEGMENTS: Final = (
    f"SELECT {', '.join(DIMENSIONS.values())}, {', '.join(f'sum({c})::BIGINT AS {c}' for c in _SEGMENT_COUNTS)}"
    " FROM store.cohorts WHERE {where} GROUP BY ALL"
)
_SEGMENTS_AS_DOCUMENTED: Final = """
    SELECT {dimension} AS segment, count(actual_send_time) AS sent, count(delivered_at) AS delivered,
        count(opened_at) AS opened, count(clicked_at) AS clicked, count(replied_at) AS replied,
        count(bounced_at) AS bounced, count(complained_at) AS complained
    FROM message_deliveries WHERE actual_send_time IS NOT NULL AND {where} GROUP BY ALL ORDER BY sent DESC"""
TIMELINE: Final = """
    SELECT make_timestamptz(bucket * {step_us}) AS bucket, kind, sum(events)::BIGINT AS events FROM (
        SELECT epoch_us(minute) // {step_us} AS bucket, kind, events FROM store.cells
        WHERE minute >= ? AND kind IN ('delivered', 'replied', 'bounced', 'meeting_booked')
            AND coalesce(is_machine, false) = false AND {where})
    GROUP BY ALL HAVING sum(events) <> 0 ORDER BY ALL"""
MARKS: Final = """
    SELECT occurred_at AS at, action AS what, scope_value AS scope, why FROM pauses
    WHERE action <> 'warn' AND (scope_kind = 'all' OR (scope_kind IN ('campaign', 'campaign,step', 'campaign,variant')
        AND (scope_value = ? OR starts_with(scope_value, ? || ',')
            OR starts_with(scope_value, '"' || replace(?, '"', '""') || '",'))))
    UNION ALL
    SELECT start_date, 'experiment', experiment_name, hypothesis FROM campaign_experiments WHERE campaign_id = ?
    UNION ALL
    SELECT end_date, 'experiment ends', experiment_name, winning_variant FROM campaign_experiments
    WHERE campaign_id = ? AND end_date IS NOT NULL
    ORDER BY 1"""


@dataclass(frozen=True)
class Campaign:
    """What the page shows of one campaign."""

    filters: Filters
    now: Totals
    others: Totals
    funnel: dict[str, int]
    segments: dict[str, list[dict[str, Any]]]
    timeline: list[dict[str, Any]]
    start: datetime
    marks: list[dict[str, Any]]
    ages: list[dict[str, Any]]
    sql: dict[str, str]


def load(reading: Reading, campaign: str, chosen: Filters) -> Campaign:
    """All of it on one snapshot.

    Raises:
        NoLake: nothing has landed yet.
    """
    now = status(reading)
    days, steps = send_days(chosen.range, now.as_of), buckets(chosen.range, now.as_of, now.oldest)
    mine = Filters(chosen.range, (campaign,), chosen.channel)
    where, values = cohorts_of(mine, days)
    sent = cohorts(reading, Filters(Range.ALL, (), chosen.channel), Days(None, now.as_of.date()))
    counts = totals(on(sent, days)).to_pylist()
    cells = reading.arrow(_SEGMENTS.format(where=where), values)
    channel = (" AND channel = ?", [chosen.channel]) if chosen.channel else ("", [])
    step_us = int(steps.step.total_seconds() * 1_000_000)
    return Campaign(
        filters=mine,
        now=sum((totals_of(row) for row in counts if row["campaign_id"] == campaign), Totals()),
        others=sum((totals_of(row) for row in counts if row["campaign_id"] != campaign), Totals()),
        funnel=funnel(on(sent, days).filter(pc.equal(on(sent, days)["campaign_id"], campaign))),
        segments={name: _segments(cells, column) for name, column in DIMENSIONS.items()},
        timeline=reading.arrow(
            TIMELINE.format(step_us=step_us, where=f"campaign_id = ?{channel[0]}"), [steps.start, campaign, *channel[1]]
        ).to_pylist(),
        start=steps.start,
        marks=reading.arrow(MARKS, [campaign] * 5).to_pylist(),
        ages=_ages(sent, campaign, now.as_of.date()),
        sql={
            "segments": spelled(
                _SEGMENTS_AS_DOCUMENTED.format(dimension="{dimension}", where=_documented(where)), values
            ),
            "days": spelled(BY_SEND_DAY.format(counts=COUNTS, where=where), values),
        },
    )


def variants(reading: Reading, campaign: str) -> list[dict[str, Any]]:
    """Counts of each variant of a campaign, all of its time; columns as in `Campaign.segments`."""
    return _segments(reading.arrow(_SEGMENTS.format(where="campaign_id = ?"), [campaign]), "variant")


def _segments(cells: pa.Table, dimension: str) -> list[dict[str, Any]]:
    """Counts of each segment of a dimension to which something was sent, the largest first."""
    found = added(cells, [dimension], _SEGMENT_COUNTS).rename_columns(["segment", *_SEGMENT_COUNTS])
    rows = found.filter(pc.greater(found["sent"], 0)).sort_by([("sent", "descending"), ("segment", "ascending")])
    told: list[dict[str, Any]] = rows.to_pylist()
    return told


def _ages(sent: pa.Table, campaign: str, today: date) -> list[dict[str, Any]]:
    """Deliveries by the days since they were sent, of this campaign and of the others."""
    whose = sent.append_column("is_this", pc.fill_null(pc.equal(sent["campaign_id"], campaign), fill_value=False))
    rows = added(whose, ["metric_date", "is_this"], ("delivered", "answered", "meetings"))
    return [row | {"age": (today - row["metric_date"]).days} for row in rows.to_pylist()]


def _documented(where: str) -> str:
    return where.replace("metric_date", "actual_send_time::DATE")


def ages_of(rows: Sequence[Mapping[str, Any]], what: str, *, only: bool) -> list[Day]:
    """Deliveries by age, of the campaign alone or of all; `what` is `answered` or `meetings`."""
    return [
        Day(max(0, row["age"]), row["delivered"] or 0, row[what] or 0) for row in rows if row["is_this"] or not only
    ]


def timeline(found: Campaign) -> go.Figure:
    """What happened when: deliveries as bars, replies, bounces and meetings as lines, decisions and experiments as marks."""
    figure = go.Figure()
    looks = {
        "bounced": (VERMILLION, "x", "Bounces"),  # on the left scale: a storm would hide the rest
        "replied": (PURPLE, "circle", "Replies"),
        "meeting_booked": (GREEN, "star", "Meetings"),
    }
    sent = [row for row in found.timeline if row["kind"] == "delivered"]
    figure.add_bar(
        x=[r["bucket"] for r in sent],
        y=[r["events"] for r in sent],
        name="Delivered",
        marker={"color": PALE_BLUE, "line": {"color": BLUE, "width": 1}},
    )
    for kind, (color, symbol, name) in looks.items():
        points = [row for row in found.timeline if row["kind"] == kind]
        if points:
            figure.add_scatter(
                x=[r["bucket"] for r in points], y=[r["events"] for r in points], name=name,
                yaxis="y" if kind == "bounced" else "y2", mode="markers", marker={"color": color, "size": 8, "symbol": symbol},
            )  # fmt: skip
    colors = {"pause": VERMILLION, "slow": ORANGE, "resume": GREEN}
    for place, mark in enumerate(m for m in found.marks if m["at"] is not None and m["at"] >= found.start):
        color = colors.get(mark["what"], GREY)
        figure.add_vline(x=mark["at"].timestamp() * 1000, line={"color": color, "dash": "dot", "width": 1.5})
        figure.add_annotation(
            x=mark["at"], y=1.0 - 0.08 * (place % 4), yref="paper", text=mark["what"], showarrow=False, xanchor="left",
            font={"size": 11}, hovertext=f"{mark['scope']}: {mark['why'] or ''}",
        )  # fmt: skip
    dress(figure, height=360)
    figure.update_layout(
        yaxis={"title": {"text": "delivered, bounced"}, "rangemode": "tozero"},
        yaxis2={
            "overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False,
            "tickmode": "auto", "nticks": 6, "tickformat": ",d",
            "title": {"text": "replies, meetings"},
        },
        legend={"orientation": "h", "y": -0.15, "yanchor": "top"},
    )  # fmt: skip
    return figure


RATES: Final[Mapping[str, tuple[str, str]]] = {
    "Replies": ("answered", "delivered"),
    "Positive": ("positive", "delivered"),
    "Meetings": ("meetings", "delivered"),
    "Human opens": ("opened", "delivered"),
    "Bounces": ("bounced", "sent"),
}


def segment_rates(rows: Sequence[Mapping[str, Any]], rate: str) -> list[dict[str, Any]]:
    """Each segment's rate with its interval; the largest first."""
    part, whole = RATES[rate]
    told = []
    for row in rows[:20]:
        limits = wilson(row[part], row[whole])
        if limits is not None:
            told.append(
                {
                    "segment": str(row["segment"]) if row["segment"] is not None else "(not said)",
                    "sent": row["sent"],
                    "hits": row[part],
                    "of": row[whole],
                    "rate": row[part] / row[whole],
                    "low": limits.low,
                    "high": limits.high,
                }
            )
    return told


def dots(rows: Sequence[Mapping[str, Any]], name: str = "") -> go.Figure:
    """Rates as dots with their intervals, one line each."""
    figure = go.Figure(
        go.Scatter(
            x=[row["rate"] for row in rows],
            y=[row["segment"] for row in rows],
            mode="markers",
            marker={"size": 11, "color": BLUE},
            name=name,
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.6, "color": GREY,
                "array": [row["high"] - row["rate"] for row in rows],
                "arrayminus": [row["rate"] - row["low"] for row in rows],
            },
            customdata=[f"{row['hits']:,} of {row['of']:,}" for row in rows],
            hovertemplate="%{y}: %{x:.2%}, %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    dress(figure, height=90 + 34 * max(len(rows), 1))
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(tickformat=".2~%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def segments_sql(dimension: str, campaign: str) -> str:
    """The documented query of a campaign's segments, all of its time."""
    return spelled(_SEGMENTS_AS_DOCUMENTED.format(dimension=dimension, where="campaign_id = ?"), [campaign])
