"""The live page: layout only. Started by `outpulse dashboard`, which sets OUTPULSE_HOME.

The head is a fragment that runs every few seconds and costs one small query. Only when the lake has changed does it have
the page drawn anew; the figures are then read once for all who look at the same choice.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import streamlit as st

from dashboards import header, queries, table
from dashboards.charts import CONFIG, FEWEST, OPENS, RATES, events_over_time, rates_by_send_day
from dashboards.figures import is_ripe, sum_of
from dashboards.filters import Filters, Range
from dashboards.footer import checks_line, dead_letters_html, windows_html
from dashboards.reader import LakeReader, NoLake, Snapshot
from dashboards.tiles import show_tiles, tiles
from dashboards.words import CHANNELS, count, days
from outpulse.settings import DEFAULT_HOME
from schemas.failures import OutpulseError

REFRESH_SECONDS: Final = 3
CHECK_SECONDS: Final = 30  # they read the whole lake; no text on a line of its own, as Streamlit would show it
NO_DATA: Final = "**No data yet**: run `outpulse replay FILE` or send a webhook. This page then fills by itself."
ONE_CHANNEL: Final = "Only mail reports deliveries and opens: to compare rates, look at one channel at a time."


@st.cache_resource
def reader_of(home: str) -> LakeReader:
    """One reader a home and process."""
    return LakeReader(Path(home))


@st.cache_data(max_entries=4, show_spinner=False)
def choices_of(snapshot: Snapshot, _reader: LakeReader) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """What can be chosen in a snapshot."""
    del snapshot
    with _reader.reading() as reading:
        return queries.choices(reading)


@st.cache_data(max_entries=32, show_spinner=False)
def page_of(snapshot: Snapshot, chosen: Filters, _reader: LakeReader) -> queries.Page:
    """A page; `snapshot` tells when it must be read anew."""
    del snapshot
    return queries.load(_reader, chosen)


@st.cache_data(ttl=CHECK_SECONDS, max_entries=4, show_spinner=False)
def broken_of(home: str, _reader: LakeReader) -> tuple[str, ...]:
    """The invariants that did not hold when last looked at."""
    del home
    with _reader.reading() as reading:
        return queries.broken(reading)


def draw() -> None:
    """The page as of now."""
    home = os.environ.get("OUTPULSE_HOME") or str(DEFAULT_HOME)
    reader = reader_of(home)
    head = st.container()
    drawn: tuple[Snapshot, queries.Page, tuple[str, ...]] | None = None
    try:
        snapshot = reader.snapshot()
        chosen = choose(*choices_of(snapshot, reader))
        drawn = snapshot, page_of(snapshot, chosen, reader), broken_of(home, reader)
    except NoLake:
        st.info(NO_DATA)
    except OutpulseError as error:
        st.warning(f"{error}. Trying again every {REFRESH_SECONDS} s.")
    st.session_state["just_drawn"] = True
    with head:
        watch(reader, *((drawn[0], drawn[1].status) if drawn else (None, None)))
    if drawn:
        show(*drawn[1:])


@st.fragment(run_every=REFRESH_SECONDS)
def watch(reader: LakeReader, drawn: Snapshot | None, status: queries.Status | None) -> None:
    """The head of the page; has all of it drawn anew when the lake is no longer as `drawn`."""
    if not st.session_state.pop("just_drawn", False):  # else every change while drawing would draw once more
        try:
            changed = reader.snapshot() != drawn
        except OutpulseError:
            changed = drawn is not None
        if changed:
            st.rerun()
    st.html(header.head_html(status, datetime.now(UTC)))


def choose(campaigns: tuple[str, ...], channels: tuple[str | None, ...]) -> Filters:
    """The row of filters; mail alone to begin with, as its rates are what people know."""
    ranges, channel, names = st.columns([1, 0.8, 2.2], vertical_alignment="bottom")
    options = ["", *(name for name in channels if name is not None)]
    default = options.index("email") if "email" in options and None not in channels else 0
    return Filters(
        range=ranges.segmented_control("Time, back from the newest event", list(Range), default=Range.WEEK, key="range")
        or Range.WEEK,
        channel=channel.selectbox(
            "Channel",
            options,
            default,
            format_func=lambda name: CHANNELS.get(name, name),
            key="channel",
            help=ONE_CHANNEL,
        )
        or None,
        campaigns=tuple(names.multiselect("Campaigns", campaigns, placeholder="All campaigns", key="campaigns")),
    )


def show(page: queries.Page, broken: tuple[str, ...]) -> None:
    """All figures of a page."""
    now, ripe = sum_of(page.totals), is_ripe(page.days)
    st.caption(days_line(page, ripe=ripe))
    show_tiles(tiles(now, sum_of(page.totals_before) if page.totals_before else None, ripe=ripe))
    st.caption(
        "Human opens leave out machine opens: mail privacy proxies and security scanners load images by themselves. "
        f"Machines opened {count(now.machine_opened)} of these messages, whether a person read them or not."
    )
    show_campaigns(page)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### Events over time")
        st.caption("When things happened (UTC); the last step is not yet whole.")
        figure = events_over_time(page.over_time, page.buckets, page.status.as_of)
        st.plotly_chart(figure, key="over_time", config=CONFIG)
    with right:
        st.markdown("##### Rates by send day")
        st.caption(f"Largest campaigns, by UTC day of sending; days with fewer than {FEWEST} messages are left out.")
        rate = st.segmented_control("Rate", list(RATES), default=OPENS, key="rate", label_visibility="collapsed")
        figure = rates_by_send_day(page.by_send_day, rate or OPENS, page.days.last)
        st.plotly_chart(figure, key="by_send_day", config=CONFIG)
    st.markdown("##### Right now")
    st.html(windows_html(page.last_hour, page.last_day))
    st.markdown("##### Dead letters")
    left, _ = st.columns(2, gap="large")
    left.html(dead_letters_html(page.dead_letters))
    st.caption(checks_line(broken))


def days_line(page: queries.Page, *, ripe: bool) -> str:
    """Which messages the tiles and the table are about."""
    said = [f"Messages sent **{days(page.days)}** (UTC days), each counted once in every rate."]
    if page.filters.range in {Range.HOUR, Range.DAY}:
        said.append(f"Rates go by the day of sending, so these are all days that the last {page.filters.range} touch.")
    if page.days_before:
        said.append(
            f"Arrows compare with {days(page.days_before)}{'' if ripe else '; grey where answers are still coming in'}."
        )
    return " ".join(said)


def show_campaigns(page: queries.Page) -> None:
    """The table of campaigns and its order."""
    title, order = st.columns([3, 1], vertical_alignment="bottom")
    title.markdown("##### Campaigns")
    by = order.selectbox("Order", list(table.ORDERS), key="order", label_visibility="collapsed")
    st.html(table.campaigns_html(page.totals, page.last_hour, by))
    hidden, marked = table.hidden_rows(page.totals, by)
    if hidden:
        st.caption(
            f"{hidden} more campaigns, {marked} of them with a warning: choose another order, or campaigns above."
        )


def main() -> None:
    """Draws the page."""
    st.set_page_config(page_title="Outpulse", layout="wide")
    st.html(f"<style>{header.STYLE}{table.STYLE}</style>")
    draw()


main()
