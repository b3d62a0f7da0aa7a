"""Draws a page, tells what is wrong in words, and draws it anew when lake or log have changed."""

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from dashboards import frames, header, queries
from dashboards.people import Viewer
from dashboards.process import Query, Source
from dashboards.reader import NoLake
from schemas.failures import OutpulseError

REFRESH_SECONDS: Final = 0.5
"""How often an open page looks whether something has changed: landing takes up to a second more, drawing less."""
_REST: Final = 1.0
"""A page is drawn anew after this many times the time it took: many who look share the process."""
_LOG: Final = logging.getLogger("outpulse.dashboard")

_PATIENCE: Final = 0.7
"""Seconds after a change that a page waits for its slow figures, to be drawn once with all; then it shows what there is."""
_CHANGED: Final = "changed_at"

Draw = Callable[[Source, Viewer], None]


@dataclass(frozen=True)
class Drawn:
    """What a page was drawn from, when some of it is worth another look, and the soonest to draw it again (monotonic seconds)."""

    version: object
    due_at: float | None
    used: Mapping[Hashable, Query]
    not_before: float


def run(source: Source, who: Viewer, title: str, draw: Draw) -> None:
    """Draws a page as of now."""
    began, worked = time.monotonic(), time.thread_time()
    source.begin()
    st.session_state.pop(_CHANGED, None)
    version = source.version()
    head = st.container()
    done = st.session_state.pop("done", None)
    if done:
        st.toast(done, icon=":material/check_circle:")
    try:
        draw(source, who)
    except NoLake:
        frames.empty(
            "No data yet",
            "Run `outpulse replay FILE`, send a webhook, or try `outpulse demo`. This page then fills by itself.",
        )
    except OutpulseError as error:
        st.warning(f"{error}. Trying again every {REFRESH_SECONDS:g} s.", icon=":material/sync_problem:")
    except Exception:  # noqa: BLE001 - a page never shows a traceback
        _LOG.exception("page %s cannot be drawn", title)
        st.error("This page cannot be drawn: the fault is in the dashboard's own messages.", icon=":material/error:")
    took = time.monotonic() - began
    _LOG.debug("drawn page=%s ms=%.0f cpu=%.0f", title, 1000 * took, 1000 * (time.thread_time() - worked))
    st.session_state["just_drawn"] = True
    with head:
        drawn = Drawn(version, source.kept.due_at(), source.used(), not_before=time.monotonic() + _REST * took)
        watch(source, title, drawn)


@st.fragment(run_every=REFRESH_SECONDS)
def watch(source: Source, title: str, drawn: Drawn) -> None:
    """The head of the page; has all of it drawn anew when something is no longer as drawn."""
    if not st.session_state.pop("just_drawn", False) and _is_old(source, drawn):  # else drawing would draw once more
        st.rerun()
    try:
        status: queries.Status | None = source.figures("status", queries.status)
    except OutpulseError:
        status = None
    st.html(header.head_html(title, status, datetime.now(UTC), flows_run=source.flows_run()))


def _is_old(source: Source, drawn: Drawn) -> bool:
    """Whether to draw anew now: something has changed, and what takes long to read has been read again."""
    now = time.monotonic()
    is_due = drawn.due_at is not None and now >= drawn.due_at
    if now < drawn.not_before or not (is_due or source.version() != drawn.version):
        return False
    seen = st.session_state.setdefault(_CHANGED, now)
    try:
        return not source.renewing(drawn.used) or now > seen + _PATIENCE
    except OutpulseError:
        return True  # drawing says what is wrong
