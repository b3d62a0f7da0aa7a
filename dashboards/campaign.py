"""One campaign: its timeline, what it is made of, what it will still bring, and how it stands: the SQL behind the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.charts import BLUE, GREEN, GREY, ORANGE, PALE_BLUE, PURPLE, SKY, VERMILLION, dress
from dashboards.cohorts import added, cohorts, cohorts_of, funnel, on, totals
from dashboards.figures import Totals, totals_of
from dashboards.filters import Days, Filters, Range, buckets, send_days
from dashboards.funnel import STAGES
from dashboards.queries import spelled, status
from dashboards.reader import Reading
from dashboards.words import percent
from features.forecast import RIPE_DAYS, Day, Ripening, ripening
from features.intervals import Z, difference, wilson

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
_SEGMENTS_TOLD: Final = """
    SELECT coalesce(segment, '(not said)') AS segment, sent, hits, "of", hits / "of" AS rate,
        wilson_low(hits, "of", z := {z}) AS low, wilson_high(hits, "of", z := {z}) AS high
    FROM (SELECT {dimension} AS segment, sum(messages_sent)::BIGINT AS sent, sum({part})::BIGINT AS hits,
            sum({whole})::BIGINT AS "of"
        FROM cohorts WHERE {where} GROUP BY ALL HAVING sum(messages_sent) > 0
        ORDER BY sent DESC, segment LIMIT {most})
    WHERE "of" > 0 ORDER BY sent DESC, segment"""
_DOCUMENTED: Final = {
    "sent": "messages_sent",
    "delivered": "messages_delivered",
    "opened": "messages_opened",
    "answered": "responses_received",
    "positive": "positive_responses",
    "meetings": "meetings_booked",
    "bounced": "bounced",
}
"""What the view `cohorts` calls what we count."""
_MOST_SEGMENTS: Final = 20
_FUNNEL_TOLD: Final = """
    SELECT stage, messages, messages / nullif(lag(messages) OVER (ORDER BY place), 0) AS of_stage_before, means
    FROM (SELECT unnest([
            {stages}
        ], recursive := true)
        FROM (SELECT {sums} FROM funnel WHERE {where}))
    ORDER BY place"""
_FUNNEL_COLUMNS: Final = ("touched", "awareness", "interest", "engagement", "meeting", "opportunity")
"""What the view `funnel` calls the stages, in their order."""
# Of each channel what proves that messages went out: deliveries; calls; or, of networks that report neither, sends.
_TIMELINE: Final = """
    SELECT bucket, kind, sum(events)::BIGINT AS events FROM (
        SELECT *, bool_or(kind = 'delivered') OVER (PARTITION BY channel) AS has_delivered,
            bool_or(kind = 'called') OVER (PARTITION BY channel) AS has_called
        FROM ({told}))
    WHERE CASE kind WHEN 'sent' THEN NOT has_delivered AND NOT has_called WHEN 'called' THEN NOT has_delivered ELSE true END
    GROUP BY ALL ORDER BY ALL"""
_TIMELINE_WHERE: Final = """minute >= ? AND kind IN ('sent', 'called', 'delivered', 'replied', 'bounced', 'meeting_booked')
            AND is_machine IS NOT TRUE AND {where}"""
TIMELINE: Final = _TIMELINE.format(
    told=f"""SELECT make_timestamptz(bucket * {{step_us}}) AS bucket, channel, kind, sum(events) AS events FROM (
            SELECT epoch_us(minute) // {{step_us}} AS bucket, channel, kind, events FROM store.cells
            WHERE {_TIMELINE_WHERE})
        GROUP BY ALL HAVING sum(events) <> 0"""
)
_TIMELINE_TOLD: Final = _TIMELINE.format(
    told=f"""SELECT time_bucket(INTERVAL {{seconds}} SECOND, minute) AS bucket, channel, kind, sum(events) AS events
        FROM metrics_campaign_minute
        WHERE {_TIMELINE_WHERE}
        GROUP BY ALL HAVING sum(events) <> 0"""
)
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
    """What the page shows of one campaign.

    `ripe` and `others_ripe` are of messages at least `RIPE_DAYS` old, whatever time is chosen; `to_send` is what the imported
    plan has left, None without a plan; `ages` and `curves` are by `answered` and `meetings`.
    """

    filters: Filters
    now: Totals
    others: Totals
    ripe: Totals
    others_ripe: Totals
    funnel: dict[str, int]
    segments: dict[str, list[dict[str, Any]]]
    timeline: list[dict[str, Any]]
    start: datetime
    marks: list[dict[str, Any]]
    ages: dict[str, list[Day]]
    curves: dict[str, Ripening]
    to_send: int | None
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
    now_sent, old = on(sent, days), on(sent, Days(None, now.as_of.date() - timedelta(days=RIPE_DAYS)))
    mine_now, others_now = _apart(now_sent, campaign)
    mine_ripe, others_ripe = _apart(old, campaign)
    cells = reading.arrow(_SEGMENTS.format(where=where), values)
    channel = (" AND channel = ?", [chosen.channel]) if chosen.channel else ("", [])
    of_campaign, given = f"campaign_id = ?{channel[0]}", [steps.start, campaign, *channel[1]]
    step_us = int(steps.step.total_seconds() * 1_000_000)
    ages = {what: _ages(sent, what, now.as_of.date()) for what in FORECAST}
    passed = (now.as_of - now.as_of.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(days=1)
    return Campaign(
        filters=mine,
        now=mine_now,
        others=others_now,
        ripe=mine_ripe,
        others_ripe=others_ripe,
        funnel=funnel(now_sent.filter(pc.equal(now_sent["campaign_id"], campaign))),
        segments={name: _segments(cells, column) for name, column in DIMENSIONS.items()},
        timeline=reading.arrow(TIMELINE.format(step_us=step_us, where=of_campaign), given).to_pylist(),
        start=steps.start,
        marks=reading.arrow(MARKS, [campaign] * 5).to_pylist(),
        ages={what: found.get(campaign, []) for what, found in ages.items()},
        curves={what: ripening(found.values(), passed) for what, found in ages.items()},
        to_send=_to_send(reading, campaign),
        sql={
            "segments": spelled(_SEGMENTS_TOLD.replace("{where}", where), values),
            "funnel": spelled(_funnel_told(where), values),
            "timeline": spelled(
                _TIMELINE_TOLD.format(seconds=int(steps.step.total_seconds()), where=of_campaign), given
            ),
        },
    )


FORECAST: Final[Mapping[str, str]] = {"answered": "Replies", "meetings": "Meetings"}
"""What is forecast, and how it is called."""


def _apart(sent: pa.Table, campaign: str) -> tuple[Totals, Totals]:
    """The counts of the campaign, and of all others."""
    rows = totals(sent).to_pylist()
    mine, others = Totals(), Totals()
    for row in rows:
        if row["campaign_id"] == campaign:
            mine += totals_of(row)
        else:
            others += totals_of(row)
    return mine, others


def _to_send(reading: Reading, campaign: str) -> int | None:
    """The planned targets less those written to; None without a plan, and where each is written to several times."""
    ((planned,),) = reading.rows("SELECT max(total_targets) FROM campaign_plans WHERE campaign_id = ?", [campaign])
    if planned is None:
        return None
    # A plan's targets are people, on whichever channels: messages of several steps are more than people.
    ((sent, steps),) = reading.rows(
        "SELECT sum(touched), count(DISTINCT sequence_step) FROM store.cohorts WHERE campaign_id = ?",
        [campaign],
    )
    return max(0, int(planned - (sent or 0))) if steps <= 1 else None


def _funnel_told(where: str) -> str:
    """The documented query of the funnel's rows."""
    stages = ",\n            ".join(
        f"{{'place': {place}, 'stage': '{name}', 'messages': {column}, 'means': '{means}'}}"
        for place, ((name, _, means), column) in enumerate(zip(STAGES, _FUNNEL_COLUMNS, strict=True))
    )
    sums = ", ".join(f"coalesce(sum({column}), 0)::BIGINT AS {column}" for column in _FUNNEL_COLUMNS)
    return _FUNNEL_TOLD.format(stages=stages, sums=sums, where=where)


def variants(reading: Reading, campaign: str) -> list[dict[str, Any]]:
    """Counts of each variant of a campaign, all of its time; columns as in `Campaign.segments`."""
    return _segments(reading.arrow(_SEGMENTS.format(where="campaign_id = ?"), [campaign]), "variant")


def _segments(cells: pa.Table, dimension: str) -> list[dict[str, Any]]:
    """Counts of each segment of a dimension to which something was sent, the largest first."""
    found = added(cells, [dimension], _SEGMENT_COUNTS).rename_columns(["segment", *_SEGMENT_COUNTS])
    rows = found.filter(pc.greater(found["sent"], 0)).sort_by([("sent", "descending"), ("segment", "ascending")])
    told: list[dict[str, Any]] = rows.to_pylist()
    return told


def _ages(sent: pa.Table, what: str, today: date) -> dict[str | None, list[Day]]:
    """Each campaign's messages (sent, or calls made) by the days since then, with those that have brought it."""
    found: dict[str | None, list[Day]] = {}
    for row in added(sent, ["metric_date", "campaign_id"], ("touched", what)).to_pylist():
        age = max(0, (today - row["metric_date"]).days)
        found.setdefault(row["campaign_id"], []).append(Day(age, row["touched"] or 0, row[what] or 0))
    return found


_BARS: Final = {
    "delivered": ("Delivered", PALE_BLUE),
    "called": ("Called", SKY),
    "sent": ("Sent, where no delivery is reported", GREY),
}


def bars(found: Campaign) -> list[str]:
    """What the timeline's bars show: `delivered`, and of channels that report no delivery `called` or `sent`."""
    kinds = {row["kind"] for row in found.timeline}
    return [kind for kind in _BARS if kind in kinds]


def timeline(found: Campaign) -> go.Figure:
    """What happened when: deliveries or sends as bars, replies, bounces, meetings, decisions and experiments as marks."""
    figure = go.Figure()
    looks = {
        "bounced": (VERMILLION, "x", "Bounces"),  # on the left scale: a storm would hide the rest
        "replied": (PURPLE, "circle", "Replies, absence notices too"),
        "meeting_booked": (GREEN, "star", "Meetings"),
    }
    for shown in bars(found):
        name, fill = _BARS[shown]
        steps = [row for row in found.timeline if row["kind"] == shown]
        figure.add_bar(
            x=[r["bucket"] for r in steps],
            y=[r["events"] for r in steps],
            name=name,
            marker={"color": fill, "line": {"color": BLUE, "width": 1}},
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
        barmode="stack",
        yaxis={"title": {"text": ", ".join([*(bars(found) or ["delivered"]), "bounced"])}, "rangemode": "tozero"},
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
    for row in rows[:_MOST_SEGMENTS]:
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


def segments_told(query: str, dimension: str, rate: str) -> str:
    """`Campaign.sql["segments"]` for one dimension of `DIMENSIONS` and one of `RATES`: the rows of `segment_rates`."""
    part, whole = RATES[rate]
    names = {
        "dimension": DIMENSIONS[dimension],
        "part": _DOCUMENTED[part],
        "whole": _DOCUMENTED[whole],
        "z": str(Z),
        "most": str(_MOST_SEGMENTS),
    }
    for name, value in names.items():
        query = query.replace(f"{{{name}}}", value)
    return query


def segments_sql(dimension: str, campaign: str, rate: str) -> str:
    """The documented query of a campaign's segments, all of its time."""
    return segments_told(spelled(_SEGMENTS_TOLD.replace("{where}", "campaign_id = ?"), [campaign]), dimension, rate)


def compared(found: Campaign) -> list[dict[str, Any]]:
    """Each rate beside that of all others, of messages at least `RIPE_DAYS` old on both sides, and what it says."""
    return [
        _compared(name, part, whole, found.ripe, found.others_ripe)
        for name, (part, whole) in RATES.items()
        if part != "positive" or found.ripe.read
    ]


def _compared(name: str, part: str, whole: str, now: Totals, others: Totals) -> dict[str, Any]:
    hits, trials = getattr(now, part), getattr(now, whole)
    past, past_trials = getattr(others, part), getattr(others, whole)
    limits, sure = difference(hits, trials, past, past_trials), wilson(hits, trials)
    if limits is None:
        verdict = "too young" if not trials else "nothing to compare with"
    elif limits.low <= 0 <= limits.high:
        verdict = "no clear difference"
    else:
        verdict = "better" if (limits.low > 0) != (name == "Bounces") else "worse"
    return {
        "rate": name,
        "of": trials,
        "this": hits / trials if trials else None,
        "interval": f"{percent(sure.low)} to {percent(sure.high)}" if sure else "",
        "others": past / past_trials if past_trials else None,
        "verdict": verdict,
    }
