"""The page's head and how fresh its figures are."""

from datetime import datetime, timedelta
from html import escape
from typing import Final

from dashboards.queries import Status
from dashboards.words import ago, count, instant

_LIVE: Final = timedelta(seconds=30)
"""Something landed within this time: the page calls itself live."""


def head_html(title: str, status: Status | None, now: datetime, *, flows_run: bool = True) -> str:
    """Title and freshness; no status when there is no lake."""
    fresh = _fresh_html(status, now, flows_run=flows_run) if status else ""
    return f'<div class="head"><h1>{escape(title)}</h1>{fresh}</div>'


def _fresh_html(status: Status, now: datetime, *, flows_run: bool) -> str:
    live = flows_run and now - status.landed_at < _LIVE
    parts = [
        f"as of <b>{escape(instant(status.as_of, now))}</b>, {ago(status.as_of, now)}",
        f"last landed {escape(instant(status.landed_at, now))}, {ago(status.landed_at, now)}",
    ]
    if status.waiting:
        parts.append(f"<b>{count(status.waiting)}</b> events not yet in the rates")
    state, dot = (
        ("Live", " live") if live else ("Waiting for events", "") if flows_run else ("Flows are stopped", " down")
    )
    return f'<span class="fresh"><span class="dot{dot}"></span>{" · ".join([state, *parts])}</span>'
