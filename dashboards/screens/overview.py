"""Overview: what needs attention, the headline, the funnel, campaigns by health, and what happens over time."""

from html import escape
from typing import Any

import pyarrow as pa
import streamlit as st

from dashboards import attention, frames, queries, table
from dashboards.charts import FEWEST, OPENS, RATES, events_over_time, rates_by_send_day
from dashboards.choosing import at_first, choose
from dashboards.figures import Level, ripe_days, sum_of
from dashboards.filters import Filters, Range
from dashboards.funnel import cohort_funnel, funnel_rows
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.tiles import tiles, tiles_html
from dashboards.words import count, days

_MARKS = {Level.ALARM: ("alarm", "now"), Level.WARN: ("warn", "soon"), Level.FINE: ("good", "news")}


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    _needs(source)
    page = _page(source, choose(source))
    now = sum_of(page.totals)
    before, ripe = (sum_of(found) if found else None for found in (page.totals_before, page.totals_ripe))
    frames.note(_days_line(page))
    st.html(tiles_html(tiles(now, before, ripe=ripe)))
    frames.note(
        "Human opens leave out machine opens: mail privacy proxies and security scanners load images by themselves. "
        f"Machines opened {count(now.machine_opened)} of these messages, whether a person read them or not."
    )
    _campaigns(page)
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        _funnel(source, page)
    with right:
        _by_send_day(source, page)
    _over_time(source, page)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    attention.items(source)
    _page(source, at_first(source))


def _page(source: Source, chosen: Filters) -> queries.Page:
    return source.figures(("page", chosen), lambda reading: queries.load(reading, chosen))


def _needs(source: Source) -> None:
    """What needs attention, each line with its way there."""
    items = attention.items(source)
    frames.part("Needs attention")
    if not items:
        frames.empty("Nothing needs you", "No pause, no reply that waits, no rate over a mark.")
        return
    pages = st.session_state.get("pages", {})
    with st.container(border=True, gap="xsmall", key="attention"):
        for item in items:
            look, mark = _MARKS[item.level]
            words, way = st.columns([6, 1], vertical_alignment="center")
            words.html(
                f'<div class="item"><span class="mark {look}">{mark}</span><span><strong>{escape(item.title)}</strong> '
                f'<span class="why">{escape(item.why)}</span></span></div>'
            )
            page = pages.get(item.page)
            if page is not None:
                way.page_link(page, label=f"{page.title}", icon=":material/arrow_forward:", help=item.title)


def _days_line(page: queries.Page) -> str:
    said = [f"Messages sent {days(page.days)} (UTC days), each counted once in every rate."]
    if page.filters.range in {Range.HOUR, Range.DAY}:
        said.append(f"Rates go by the day of sending, so these are all days that the last {page.filters.range} touch.")
    if page.days_before:
        said.append(f"Changes are against {days(page.days_before)}.")
        rising = "Answers come for two weeks: rates of opens, answers and complaints"
        ripe = ripe_days(page.days)
        said.append(f"{rising} are compared for {days(ripe)} only." if ripe else f"{rising} are compared over 30 days.")
    return " ".join(said)


def _campaigns(page: queries.Page) -> None:
    title, order = st.columns([3, 1], vertical_alignment="bottom")
    with title:
        frames.part("Campaigns", "Health is what is left until a provider steps in: 100 is none of it used up.")
    by = order.selectbox("Order", list(table.ORDERS), key="order", label_visibility="collapsed", bind="query-params")
    st.html(table.campaigns_html(page.totals, page.last_hour, by))
    hidden, marked = table.hidden_rows(page.totals, by)
    if hidden:
        frames.note(
            f"{hidden} more campaigns, {marked} of them with a warning: choose another order, or campaigns above."
        )
    frames.data("campaigns", page.totals.to_pylist(), page.totals.column_names, sql=page.sql["totals"], has_table=False)


def _funnel(source: Source, page: queries.Page) -> None:
    frames.part("Funnel", "Each message once, by how far it came; shares are of the stage before.")
    rows = funnel_rows(page.funnel)
    says = "Funnel: " + ", ".join(f"{row['stage']} {count(row['messages'])}" for row in rows)
    figure = source.drawn(("funnel", page.filters), page, lambda: cohort_funnel(rows))
    frames.chart(figure, "funnel", says=says, rows=rows, names=list(rows[0]))


def _by_send_day(source: Source, page: queries.Page) -> None:
    frames.part(
        "Rates by send day", f"Largest campaigns, by UTC day of sending; days with fewer than {FEWEST} left out."
    )
    rate = st.segmented_control(
        "Rate",
        list(RATES),
        default=OPENS,
        key="rate",
        label_visibility="collapsed",
        bind="query-params",
        required=True,
        wrap=True,
    )
    name = rate or OPENS
    figure = source.drawn(
        ("by_send_day", name, page.filters), page, lambda: rates_by_send_day(page.by_send_day, name, page.days.last)
    )
    says = f"{rate or OPENS} by send day, one line a campaign"
    frames.chart(
        figure, "by_send_day", says=says, rows=_rows(page.by_send_day), names=page.by_send_day.column_names,
        sql=page.sql["by_send_day"],
    )  # fmt: skip


def _over_time(source: Source, page: queries.Page) -> None:
    frames.part("Events over time", "When things happened (UTC); the last step is not yet whole.")
    figure = source.drawn(
        ("over_time", page.filters), page, lambda: events_over_time(page.over_time, page.buckets, page.status.as_of)
    )
    says = "Events over time, by kind, in three panels: sending, opens, and what else came back"
    frames.chart(
        figure, "over_time", says=says, rows=_rows(page.over_time), names=page.over_time.column_names,
        sql=page.sql["over_time"],
    )  # fmt: skip


def _rows(table_of: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table_of.to_pylist()
    return found
