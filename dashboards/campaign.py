"""One campaign: its timeline, what it is made of, what it will still bring, and how it stands: the SQL behind the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import plotly.graph_objects as go

from dashboards.charts import BLUE, GREEN, GREY, ORANGE, PALE_BLUE, PURPLE, VERMILLION, dress
from dashboards.figures import Totals, totals_of
from dashboards.filters import Filters, buckets, send_days
from dashboards.queries import BY_SEND_DAY, COUNTS, TOTALS, cohorts_of, funnel, spelled, status
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
_COHORT_COUNTS: Final = """
    sum(sent)::BIGINT AS sent, sum(delivered)::BIGINT AS delivered, sum(opened)::BIGINT AS opened,
    sum(clicked)::BIGINT AS clicked, sum(answered)::BIGINT AS answered, sum(positive)::BIGINT AS positive,
    sum(meetings)::BIGINT AS meetings, sum(bounced)::BIGINT AS bounced, sum(complained)::BIGINT AS complained"""
SEGMENTS: Final = (
    "SELECT {dimension} AS segment," + _COHORT_COUNTS + " FROM store.cohorts WHERE {where} "
    "GROUP BY ALL HAVING sum(sent) > 0 ORDER BY sent DESC, segment"
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
AGES: Final = """
    SELECT (SELECT max(newest) FROM store.commits)::DATE - metric_date AS age, campaign_id = ? AS is_this,
        sum(messages_delivered)::BIGINT AS delivered, sum(responses_received)::BIGINT AS answered,
        sum(meetings_booked)::BIGINT AS meetings
    FROM campaign_performance_metrics WHERE {where} GROUP BY ALL ORDER BY ALL"""


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
    all_where, all_values = cohorts_of(Filters(chosen.range, (), chosen.channel), days)
    totals = reading.arrow(TOTALS.format(counts=COUNTS, where=all_where), all_values).to_pylist()
    channel = (" AND channel = ?", [chosen.channel]) if chosen.channel else ("", [])
    step_us = int(steps.step.total_seconds() * 1_000_000)
    return Campaign(
        filters=mine,
        now=sum((totals_of(row) for row in totals if row["campaign_id"] == campaign), Totals()),
        others=sum((totals_of(row) for row in totals if row["campaign_id"] != campaign), Totals()),
        funnel=funnel(reading, mine, days),
        segments={
            name: reading.arrow(SEGMENTS.format(dimension=column, where=where), values).to_pylist()
            for name, column in DIMENSIONS.items()
        },
        timeline=reading.arrow(
            TIMELINE.format(step_us=step_us, where=f"campaign_id = ?{channel[0]}"), [steps.start, campaign, *channel[1]]
        ).to_pylist(),
        start=steps.start,
        marks=reading.arrow(MARKS, [campaign] * 5).to_pylist(),
        ages=reading.arrow(
            AGES.format(where="channel = ?" if chosen.channel else "true"), [campaign, *channel[1]]
        ).to_pylist(),
        sql={
            "segments": spelled(
                _SEGMENTS_AS_DOCUMENTED.format(dimension="{dimension}", where=_documented(where)), values
            ),
            "days": spelled(BY_SEND_DAY.format(counts=COUNTS, where=where), values),
        },
    )


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
