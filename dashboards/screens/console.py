"""SQL: a read-only console with saved queries and a schema browser."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import streamlit as st

from dashboards import frames
from dashboards.listing import MOST_ROWS, Column, listing_html, plain
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.saved import described, saved_queries
from dashboards.words import count
from schemas.failures import OutpulseError
from sinks.answers import Rows, is_number
from sinks.console import Answer, Console, Limits

_LIMITS: Final = Limits(seconds=10.0, memory_mib=512, rows=10_000)
_FIRST: Final = "Rates by campaign"
_MOST_COLUMNS: Final = 100
"""Shown at once: what a person looks through sideways; the download has all."""
_MOST_SIGNS: Final = 1_000_000
"""Of all cells shown: more takes a browser seconds to draw, and goes to it at every refresh."""


@dataclass(frozen=True)
class _Shown:
    """An answer as it is drawn at every refresh: made once, as converting and writing it takes time."""

    says: str
    listing: str
    rows: Rows


@st.cache_resource(show_spinner=False)
def _console(home: str) -> Console:
    return Console(Path(home), _LIMITS, exact=True)


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    queries = saved_queries()
    left, right = st.columns([2.4, 1], gap="large")
    with left:
        _editor(source, queries)
    with right:
        _schema()


def _editor(source: Source, queries: dict[str, str]) -> None:
    frames.part(
        "Query",
        f"One statement that reads, for at most {_LIMITS.seconds:.0f} s and {count(_LIMITS.rows)} rows. "
        "It cannot write, nor see anything but the lake.",
    )
    st.session_state.setdefault("sql", queries[_FIRST])
    st.selectbox(
        "Saved queries", list(queries), index=None, placeholder="Take a saved query", key="saved",
        on_change=_take, args=(queries,),
    )  # fmt: skip
    with st.form("query", border=False):
        text = st.text_area("SQL", key="sql", height=220, help="Names of tables and columns are at the side")
        runs = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter")
    if runs:
        st.session_state["answer"] = _run(source, text or "")
    answer = st.session_state.get("answer")
    if isinstance(answer, str):
        st.error(answer, icon=":material/error:")
    elif isinstance(answer, _Shown):
        _show(answer)


def _take(queries: dict[str, str]) -> None:
    chosen = st.session_state.get("saved")
    if chosen:
        st.session_state["sql"] = queries[chosen]
        st.session_state.pop("answer", None)


def _run(source: Source, text: str) -> _Shown | str:
    if not text.strip():
        return "Write a query first."
    try:
        return _shown(_console(str(source.home.resolve())).run(text))
    except OutpulseError as error:
        return str(error)


def _shown(answer: Answer) -> _Shown:
    """The answer with its table written.

    Raises:
        LakeError: a value cannot be written.
    """
    rows = Rows(answer.columns, answer.table)
    few = rows.narrow(_MOST_COLUMNS)
    signs = max(40, min(20_000, _MOST_SIGNS // max(1, len(few.names) * min(len(rows), MOST_ROWS))))

    def show(value: Any) -> str:  # noqa: ANN401 - whatever SQL gives
        text = plain(value)
        return text if len(text) <= signs else f"{text[:signs]}…"

    columns = [
        Column(unique, name.replace("_", " "), show, is_number=is_number(kind))
        for unique, (name, kind) in zip(few.names, answer.columns, strict=False)
    ]
    return _Shown(_says(answer), listing_html("Answer", columns, few) if columns else "", rows)


def _says(answer: Answer) -> str:
    """How many rows came, how fast, and what is not there."""
    found, mib = answer.table.num_rows, f"{_LIMITS.bytes / 2**20:.0f} MiB"
    parts = [f"{count(found)} rows in {1000 * answer.seconds:,.0f} ms"]
    if answer.too_large and found:
        parts.append(f"an answer is cut at {mib}, so the rest of the rows was cut")
    elif answer.too_large:
        parts.append(f"an answer is cut at {mib}, and its first row alone is larger")
    elif answer.cut:
        parts.append(f"more than {count(_LIMITS.rows)} were found, the rest was cut")
    if len(answer.columns) > _MOST_COLUMNS:
        parts.append(f"{_MOST_COLUMNS} of {count(len(answer.columns))} columns are shown, the download has all")
    return f"{'; '.join(parts)}."


def _show(shown: _Shown) -> None:
    frames.note(shown.says)
    if shown.listing:
        st.html(shown.listing)
        frames.data("answer", shown.rows, shown.rows.names, caption="Answer", has_table=False)


def _schema() -> None:
    frames.part("Tables and analyses", "Every table, view, macro and column with its meaning.")
    found = described()
    wanted = st.text_input("Find", placeholder="a table, column or word", key="find_column", type="search")
    words = (wanted or "").strip().lower()
    shown = [t for t in found if words in f"{t.name} {t.about} {t.columns} {t.parameters}".lower()]
    if not shown:
        frames.note("Nothing is called so.")
        return
    with st.container(height=640, border=False, key="schema"):
        for table in shown:
            with st.expander(table.name, expanded=bool(words) and len(shown) <= 3):
                frames.note(table.about)
                if table.parameters:
                    frames.note(f"`{table.call}`")
                    _listing(table.name, ("Parameter", "Default", "Meaning"), table.parameters)
                if table.columns:
                    _listing(table.name, ("Column", "Type", "Meaning"), table.columns)


def _listing(caption: str, titles: tuple[str, str, str], rows: tuple[tuple[str, str, str], ...]) -> None:
    columns = [Column(title, title, is_wide=title == "Meaning") for title in titles]
    st.html(listing_html(caption, columns, [dict(zip(titles, row, strict=True)) for row in rows]))
