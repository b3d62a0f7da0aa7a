"""SQL: a read-only console with saved queries and a schema browser."""

from pathlib import Path

import streamlit as st

from dashboards import frames
from dashboards.listing import Column, columns_of, listing_html
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.saved import described, saved_queries
from dashboards.words import count
from schemas.failures import OutpulseError
from sinks.console import Answer, Console, Limits

_LIMITS = Limits(seconds=10.0, memory_mib=512, rows=10_000)
_FIRST = "Rates by campaign"


@st.cache_resource(show_spinner=False)
def _console(home: str) -> Console:
    return Console(Path(home), _LIMITS)


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
    elif isinstance(answer, Answer):
        _show(answer)


def _take(queries: dict[str, str]) -> None:
    chosen = st.session_state.get("saved")
    if chosen:
        st.session_state["sql"] = queries[chosen]
        st.session_state.pop("answer", None)


def _run(source: Source, text: str) -> Answer | str:
    if not text.strip():
        return "Write a query first."
    try:
        return _console(str(source.home.resolve())).run(text)
    except OutpulseError as error:
        return str(error)


def _show(answer: Answer) -> None:
    rows = answer.table.to_pylist()
    names = [name for name, _ in answer.columns]
    cut = f"; more than {count(_LIMITS.rows)} were found, the rest was cut" if answer.cut else ""
    frames.note(f"{count(len(rows))} rows in {1000 * answer.seconds:,.0f} ms{cut}.")
    if not names:
        return
    frames.table("answer", "Answer", columns_of(names, rows), rows)


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
