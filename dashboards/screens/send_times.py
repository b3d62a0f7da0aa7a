"""Send times: how answers depend on the hour of sending, and what the timing model advises."""

from typing import Any

import streamlit as st

from dashboards import frames, times
from dashboards.choosing import at_first, choose
from dashboards.filters import Filters
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.words import count, percent

_BEST = 10


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    chosen = choose(source)
    rows, advice, sql = _figures(source, chosen)
    if not rows:
        frames.empty("Nothing was sent in this time", "Choose a longer time, or another channel.")
        return
    rate = st.segmented_control(
        "Rate by hour of sending", list(times.RATES), default="Human opens", key="rate_by_hour", bind="query-params",
        required=True, wrap=True,
    ) or "Human opens"  # fmt: skip
    names = list(rows[0])
    frames.part(
        f"{rate} by hour of sending",
        f"Of the messages delivered, in UTC; hours with fewer than {times.FEWEST} left out.",
    )
    says = f"{rate} as a share of messages delivered, by weekday and hour of sending"
    frames.chart(times.heat_map(rows, rate), "hours", says=says, rows=rows, names=names, sql=sql)
    left, right = st.columns(2, gap="large")
    with left:
        _best(rows, rate)
    with right:
        frames.part("Messages sent", "By weekday and hour, UTC.")
        frames.chart(
            times.heat_map(rows, None), "sent_by_hour", says="Messages sent by weekday and hour", rows=rows, names=names
        )
    _advice(advice)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    _figures(source, at_first(source))


def _figures(source: Source, chosen: Filters) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    return source.figures(("times", chosen), lambda reading: times.load(reading, chosen))


def _best(rows: list[dict[str, object]], rate: str) -> None:
    frames.part("Surest hours", "By the lower limit of the rate (95 %), so that few messages do not win by luck.")
    best = times.best_hours(rows, rate)
    if not best:
        frames.empty("Too few messages", f"An hour needs {count(times.FEWEST)} messages delivered.")
        return
    columns = (
        Column("when", "Sent at (UTC)"),
        Column("delivered", "Delivered", is_number=True),
        Column("rate", rate, percent, is_number=True),
        Column("low", "At least", percent, is_number=True),
        Column("high", "At most", percent, is_number=True),
    )
    frames.table("best_hours", f"Hours with the surest {rate.lower()}", columns, best[:_BEST])


def _advice(advice: list[dict[str, object]]) -> None:
    frames.part("What the timing model advises")
    if not advice:
        frames.empty(
            "No advice yet",
            "The flow `timing` learns from opens and replies in each contact's own time, and writes here what it found. "
            "For single contacts: `outpulse timing advise CONTACTS.csv`.",
        )
        return
    columns = (
        Column("created_at", "When (UTC)"),
        Column("application_scope", "For"),
        Column("learning_insight", "Advice", is_wide=True),
        Column("confidence_level", "Sure", lambda share: percent(share, 0), is_number=True),
        Column("implementation_status", "State"),
    )
    frames.table("timing_advice", "Advice on send times", columns, advice, sql=times.ADVICE)
