"""The page's head and how fresh its figures are."""

from datetime import datetime, timedelta
from html import escape
from typing import Final

from dashboards.queries import Status
from dashboards.words import ago, count, instant

_LIVE: Final = timedelta(seconds=30)
"""Something landed within this time: the page calls itself live."""

STYLE: Final = """
.stApp [data-testid="stHeader"], .stApp [data-testid="stToolbar"], .stApp [data-testid="stStatusWidget"] {display: none}
.stApp [data-testid="stMainBlockContainer"] {padding: 1.2rem 2rem 2rem; max-width: 1600px}
.stApp [data-stale="true"] {opacity: 1 !important; transition: none !important}
.stApp [data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] {gap: .6rem}
.head {display: flex; justify-content: space-between; align-items: baseline; flex-wrap: wrap; gap: .2rem 2rem}
.head h1 {font-size: 1.7rem; font-weight: 650; padding: 0; margin: 0}
.head .fresh {font-size: .9rem; font-variant-numeric: tabular-nums}
.head .fresh b {font-weight: 600}
.head .dot {display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .35rem;
    border: 2px solid #8A949E}
.head .dot.live {background: #009E73; border-color: #009E73}
"""
"""Without Streamlit's own bar, and without fading what is only being refreshed."""


def head_html(status: Status | None, now: datetime) -> str:
    """Title and freshness; no status when there is no lake."""
    return f'<div class="head"><h1>Outpulse</h1>{_fresh_html(status, now) if status else ""}</div>'


def _fresh_html(status: Status, now: datetime) -> str:
    live = now - status.landed_at < _LIVE
    parts = [
        f"as of <b>{escape(instant(status.as_of, now))}</b>, {ago(status.as_of, now)}",
        f"last landed {escape(instant(status.landed_at, now))}, {ago(status.landed_at, now)}",
    ]
    if status.waiting:
        parts.append(f"<b>{count(status.waiting)}</b> events not yet in the rates")
    dot = f'<span class="dot{" live" if live else ""}"></span>{"Live" if live else "Waiting for events"}'
    return f'<span class="fresh">{" · ".join([dot, *parts])}</span>'
