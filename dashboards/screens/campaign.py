"""Campaign: one campaign's timeline, funnel, segments, what it will still bring, and how it stands beside the others."""

from dataclasses import asdict
from html import escape
from typing import Final

import streamlit as st

from dashboards import campaign as figures
from dashboards import frames, queries
from dashboards.benchmarks import benchmarks
from dashboards.campaign import DIMENSIONS, RATES, Campaign
from dashboards.choosing import at_first, choose
from dashboards.figures import Totals
from dashboards.filters import Filters
from dashboards.funnel import cohort_funnel, funnel_rows
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.tiles import tiles, tiles_html
from dashboards.words import count, percent
from features.forecast import RIPE_DAYS, Forecast, forecast

_BARS: Final = {
    "delivered": "deliveries",
    "called": "calls",
    "sent": "sends (where the channel reports no delivery)",
}


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    names, _ = source.figures("choices", queries.choices)
    if not names:
        frames.empty("No campaign yet", "A campaign appears with the first event that names it in `campaign_id`.")
        return
    name = st.selectbox("Campaign", names, key="campaign", bind="query-params")
    chosen = choose(source, campaigns=False)
    found = _figures(source, str(name), chosen)
    st.html(tiles_html(tiles(found.now, None)))
    _timeline(source, found)
    left, right = st.columns(2, gap="large")
    with left:
        _funnel(found)
    with right:
        _forecast(str(name), found)
    _segments(found)
    _beside_others(found)
    _beside_industry(found.now)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    names, _ = source.figures("choices", queries.choices)
    if names:
        _figures(source, names[0], at_first(source))


def _figures(source: Source, name: str, chosen: Filters) -> figures.Campaign:
    return source.figures(("campaign", name, chosen), lambda reading: figures.load(reading, name, chosen))


def _timeline(source: Source, found: Campaign) -> None:
    what = " and ".join(_BARS[kind] for kind in figures.bars(found)) or "deliveries"
    shown = f"{what[0].upper()}{what[1:]} as bars"
    frames.part("Timeline", f"{shown}, replies and meetings on the right scale; dotted: decisions, experiments.")
    if not found.timeline:
        frames.empty("Nothing happened in this time", "Choose a longer time or another channel above.")
        return
    says = f"What happened when: {what}, replies, bounces, meetings, with decisions and experiments marked"
    frames.chart(
        source.drawn(("timeline", found.filters), found, lambda: figures.timeline(found)),
        "timeline",
        says=says,
        rows=found.timeline,
        names=["bucket", "kind", "events"],
        sql=found.sql["timeline"],
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
        cohort_funnel(rows), "campaign_funnel", says=says, rows=rows, names=list(rows[0]), sql=found.sql["funnel"]
    )


def _forecast(name: str, found: Campaign) -> None:
    frames.part("What it will still bring", "From how fast answers come in all campaigns; 95 % interval.")
    planned = found.to_send
    typed = st.number_input(
        "Messages still to be sent", 0, 10_000_000, None, step=100, key=f"to_send_{name}", bind="query-params",
        placeholder="0" if planned is None else f"{count(planned)} by the plan",
        help="What the campaign will still send, to see what it brings in the end. Left empty: the imported plan's "
        "`total_targets` less the messages sent, 0 without a plan.",
    )  # fmt: skip
    more = (planned or 0) if typed is None else typed
    rows = [
        {"what": words, **_told(forecast(found.ages[what], found.curves[what], more))}
        for what, words in figures.FORECAST.items()
    ]
    columns = (
        Column("what", ""),
        Column("have", "So far", is_number=True),
        Column("expected", "In the end", is_number=True),
        Column("low", "At least", is_number=True),
        Column("high", "At most", is_number=True),
    )
    frames.table("forecast", "Replies and meetings so far and in the end", columns, rows)
    frames.note(
        "Of all messages of the campaign (sent, or calls made), whatever time is chosen above"
        + (f", and {count(more)} still to be sent." if more else ".")
    )


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
        sql=figures.segments_told(found.sql["segments"], dimension or "Step", which or "Replies"),
    )  # fmt: skip


def _beside_others(found: Campaign) -> None:
    frames.part(
        "Beside all other campaigns",
        f"Messages at least {RIPE_DAYS} days old, on both sides and whatever time is chosen: younger ones still bring more. "
        "Same channel; better or worse only where it is more than chance.",
    )
    rows = figures.compared(found)
    columns = (
        Column("rate", "Rate"),
        Column("this", "This campaign", percent, is_number=True),
        Column("of", "Of", is_number=True),
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


def _chip(text: str) -> str:
    look = {"better": "good", "worse": "alarm"}.get(text, "")
    return f'<span class="{look}">{text}</span>'
