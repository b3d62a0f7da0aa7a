"""Data quality: what must hold of the figures, what the suites found, and what could not be read."""

from typing import Any

import streamlit as st

from dashboards import frames, queries, state
from dashboards.listing import Column
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.reader import Reading
from dashboards.windows import checks_html
from dashboards.words import count

SUITES = """
    SELECT suite, check_name, table_name, kind, expectation, success, severity, observed, failures, mend, run_at
    FROM data_quality WHERE run_at = (SELECT max(run_at) FROM data_quality) ORDER BY success, suite, check_name"""


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    frames.part("What must hold", "Looked at again and again while somebody has this page open.")
    broken = _broken(source)
    st.html(checks_html(broken))
    _suites(source)
    found = source.figures("state", state.load)
    frames.part("What could not be read", "Dead letters by reason; their bytes are kept, to be tried again.")
    frames.letters("quality_letters", found.letters, sql=state.LETTERS)


def read_ahead(source: Source) -> None:
    """Reads what the page shows to the first who opens it.

    Raises:
        LakeError: the lake cannot be read.
    """
    _broken(source)
    source.figures("suites", _read_suites)
    source.figures("state", state.load)


def _broken(source: Source) -> tuple[str, ...]:
    return source.figures("broken", queries.broken)


def _suites(source: Source) -> None:
    frames.part("Suites", "The newest run of Great Expectations over the landed tables and imports; failures first.")
    rows = source.figures("suites", _read_suites)
    if not rows:
        frames.empty(
            "No suite has run yet",
            "`outpulse check` runs them: freshness, completeness, enums, ranges, uniqueness, and whether tables fit together.",
        )
        return
    failed = sum(1 for row in rows if not row["success"])
    frames.note(
        f"{count(len(rows) - failed)} of {count(len(rows))} checks hold, as of {rows[0]['run_at']:%Y-%m-%d %H:%M:%S} UTC."
    )
    told = (
        Column("success", "", _success_html, is_html=True),
        Column("expectation", "What must hold", is_wide=True),
        Column("table_name", "Table"),
        Column("kind", "Kind"),
        Column("observed", "Found", is_wide=True),
        Column("failures", "Rows", is_number=True),
        Column("mend", "What to do", is_wide=True),
    )
    frames.table("suites", "Results of the suites", told, rows, sql=SUITES)


def _success_html(holds: Any) -> str:  # noqa: ANN401 - a value of a row
    return f'<span class="{"good" if holds else "alarm"}">{"holds" if holds else "fails"}</span>'


def _read_suites(reading: Reading) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = reading.arrow(SUITES).to_pylist()
    return found
