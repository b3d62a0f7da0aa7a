"""Campaign: one campaign's timeline, funnel, segments, what it will still bring, and how it stands beside the others."""

from dataclasses import asdict
from html import escape
from typing import Any

import streamlit as st

from dashboards import campaign as figures
from dashboards import frames, queries
from dashboards.benchmarks import benchmarks
from dashboards.campaign import DIMENSIONS, RATES, Campaign, ages_of
from dashboards.choosing import choose
from dashboards.figures import Totals
from dashboards.funnel import cohort_funnel, funnel_rows
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.tiles import tiles, tiles_html
from dashboards.words import count, percent
from features.forecast import Forecast, forecast, ripeness
from features.intervals import difference, wilson


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    names, _ = source.figures("choices", queries.choices)
    if not names:
        frames.empty("No campaign yet", "A campaign appears with the first event that names it in `campaign_id`.")
        return
    name = st.selectbox("Campaign", names, key="campaign", bind="query-params")
    chosen = choose(source, campaigns=False)
    found = source.figures(("campaign", name, chosen), lambda reading: figures.load(reading, str(name), chosen))
    st.html(tiles_html(tiles(found.now, None, ripe=False)))
    _timeline(source, found)
    left, right = st.columns(2, gap="large")
    with left:
        _funnel(found)
    with right:
        _forecast(found)
    _segments(found)
    _beside_others(found)
    _beside_industry(found.now)


def _timeline(source: Source, found: Campaign) -> None:
    frames.part(
        "Timeline", "Deliveries as bars, replies and meetings on the right scale; dotted: decisions, experiments."
    )
    if not found.timeline:
        frames.empty("Nothing happened in this time", "Choose a longer time or another channel above.")
        return
    says = "What happened when: deliveries, replies, bounces, meetings, with decisions and experiments marked"
    frames.chart(
        source.drawn(("timeline", found.filters), found, lambda: figures.timeline(found)),
        "timeline",
        says=says,
        rows=found.timeline,
        names=["bucket", "kind", "events"],
    )
    if found.marks:
        columns = (
            Column("at", "When (UTC)"),
            Column("what", "What"),
            Column("scope", "Scope"),
            Column("why", "Why", is_wide=True),
        )
        with st.expander(f"{len(found.marks)} marks"):
            frames.table("marks", "Decisions and experiments of the campaign", columns, found.marks)


def _funnel(found: Campaign) -> None:
    frames.part("Funnel", "Each message once, by how far it came; shares are of the stage before.")
    rows = funnel_rows(found.funnel)
    says = "Funnel: " + ", ".join(f"{row['stage']} {count(row['messages'])}" for row in rows)
    frames.chart(
        cohort_funnel(rows), "campaign_funnel", says=says, rows=rows, names=list(rows[0]), sql=found.sql["days"]
    )


def _forecast(found: Campaign) -> None:
    frames.part("What it will still bring", "From how fast answers come in all campaigns; 95 % interval.")
    more = st.number_input(
        "Messages still to be sent", 0, 10_000_000, 0, step=100, key="to_send", bind="query-params",
        help="Add what the campaign will still send, to see what it brings in the end",
    )  # fmt: skip
    arrive = (more or 0) * (found.now.delivery_rate if found.now.delivery_rate is not None else 1.0)
    rows = []
    for what, words in (("answered", "Replies"), ("meetings", "Meetings")):
        shares = ripeness(ages_of(found.ages, what, only=False))
        told = forecast(ages_of(found.ages, what, only=True), shares, arrive)
        rows.append({"what": words, **_told(told)})
    columns = (
        Column("what", ""),
        Column("have", "So far", is_number=True),
        Column("expected", "In the end", is_number=True),
        Column("low", "At least", is_number=True),
        Column("high", "At most", is_number=True),
    )
    frames.table("forecast", "Replies and meetings so far and in the end", columns, rows)
    frames.note("Of all messages of the campaign, whatever time is chosen above.")


def _told(found: Forecast) -> dict[str, int]:
    low, high = found.interval
    return {"have": found.have, "expected": round(found.expected), "low": int(low), "high": round(high + 0.5)}


def _segments(found: Campaign) -> None:
    frames.part(
        "What it is made of", "Rates with their 95 % interval: where the bars overlap, the difference may be chance."
    )
    by, rate = st.columns(2)
    dimension = by.segmented_control(
        "By", list(DIMENSIONS), default="Step", key="by", bind="query-params", required=True, wrap=True
    )
    which = rate.segmented_control(
        "Rate of", list(RATES), default="Replies", key="rate_of", bind="query-params", required=True, wrap=True
    )
    rows = figures.segment_rates(found.segments[dimension or "Step"], which or "Replies")
    if not rows:
        frames.empty("Nothing to compare", "No message of this campaign says it in this time.")
        return
    frames.chart(
        figures.dots(rows), "segments", says=f"{which} by {dimension}", rows=rows, names=list(rows[0]),
        sql=found.sql["segments"].replace("{dimension}", DIMENSIONS[dimension or "Step"]),
    )  # fmt: skip


def _beside_others(found: Campaign) -> None:
    frames.part(
        "Beside all other campaigns", "Same time and channel; better or worse only where it is more than chance."
    )
    rows = [
        _compared(name, part, whole, found.now, found.others)
        for name, (part, whole) in RATES.items()
        if part != "positive" or found.now.read
    ]
    columns = (
        Column("rate", "Rate"),
        Column("this", "This campaign", percent, is_number=True),
        Column("interval", "95 %", is_number=True),
        Column("others", "Others", percent, is_number=True),
        Column("verdict", "", _chip, is_html=True),
    )
    frames.table("beside_others", "The campaign's rates beside those of all others", columns, rows)


def _beside_industry(now: Totals) -> None:
    frames.part(
        "Beside published figures",
        "Of other senders, lists and years: a rough hint, never a target. Opens there count machines' opens too.",
    )
    own = {
        "Human opens": now.open_rate,
        "Clicks": now.click_rate,
        "Replies": now.reply_rate,
        "Bounces": now.bounce_rate,
        "Unsubscribes": now.unsubscribe_rate,
    }
    rows = [{**asdict(found), "this": own.get(found.metric), "link": found.url} for found in benchmarks()]
    columns = (
        Column("metric", "Rate"),
        Column("this", "This campaign", percent, is_number=True),
        Column("rate", "Published", percent, is_number=True),
        Column("population", "Of whom", is_wide=True),
        Column("as_of", "When"),
        Column("source", "Source", is_wide=True),
        Column("link", "Page", _link_html, is_html=True),
    )
    frames.table("published", "Published figures beside the campaign's", columns, rows)


def _link_html(url: str) -> str:
    address = escape(url, quote=True)
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">{escape(url.split("/")[2])}</a>'


def _compared(name: str, part: str, whole: str, now: Totals, others: Totals) -> dict[str, Any]:
    hits, trials = getattr(now, part), getattr(now, whole)
    past, past_trials = getattr(others, part), getattr(others, whole)
    limits, sure = difference(hits, trials, past, past_trials), wilson(hits, trials)
    verdict = "unknown"
    if limits is not None:
        is_more = limits.low > 0
        verdict = "no clear difference" if limits.low <= 0 <= limits.high else "higher" if is_more else "lower"
        if name == "Bounces" and verdict != "no clear difference":
            verdict = "worse" if is_more else "better"
        elif verdict in {"higher", "lower"}:
            verdict = "better" if is_more else "worse"
    return {
        "rate": name,
        "this": hits / trials if trials else None,
        "interval": f"{percent(sure.low)} to {percent(sure.high)}" if sure else "",
        "others": past / past_trials if past_trials else None,
        "verdict": verdict,
    }


def _chip(text: str) -> str:
    look = {"better": "good", "worse": "alarm"}.get(text, "")
    return f'<span class="{look}">{text}</span>'
