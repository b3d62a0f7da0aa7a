"""What stands around every chart and table: a title, what it says in words, its data, its SQL, and downloads."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from dashboards.listing import Column, columns_of, csv_bytes, listing_html

_BUTTONS: Final = {"displayModeBar": True, "displaylogo": False, "modeBarButtons": [["toImage", "resetScale2d"]]}

Rows = Sequence[Mapping[str, Any]]


def part(title: str, note: str = "") -> None:
    """The title of a part of the page, and a line below it."""
    below = f'<p class="note">{_words_html(note)}</p>' if note else ""
    st.html(f'<h2 class="part">{escape(title)}</h2>{below}')


def note(text: str) -> None:
    """A line in small print."""
    st.html(f'<p class="note">{_words_html(text)}</p>')


def _words_html(text: str) -> str:
    """Text with what stands in backquotes as code."""
    words = escape(text)
    while words.count("`") >= 2:
        words = words.replace("`", "<code>", 1).replace("`", "</code>", 1)
    return words


def empty(title: str, text: str) -> None:
    """Where nothing is to be seen yet: what will stand here, and what makes it come. `text` may hold `code`."""
    words = _words_html(text)
    st.html(f'<div class="empty" role="status"><div><strong>{escape(title)}</strong><p>{words}</p></div></div>')


def chart(figure: go.Figure, key: str, *, says: str, rows: Rows, names: Sequence[str], sql: str = "") -> None:
    """A chart with its picture as PNG (its own button), its rows as table and CSV, and its SQL; `says` is read aloud."""
    picture = {"format": "png", "filename": f"outpulse-{key}", "scale": 2}
    st.plotly_chart(figure, key=key, config={**_BUTTONS, "toImageButtonOptions": picture}, alt=says)
    data(key, rows, names, sql=sql, caption=says)


def table(key: str, caption: str, columns: Sequence[Column], rows: Rows, *, sql: str = "") -> None:
    """A table with its download and its SQL."""
    st.html(listing_html(caption, columns, rows))
    names = list(rows[0]) if rows else [column.key for column in columns]
    data(key, rows, names, sql=sql, caption=caption, has_table=False)


_LETTERS: Final = (
    Column("reason", "Reason"),
    Column("provider", "From"),
    Column("stage", "Stage"),
    Column("letters", "Letters", is_number=True),
    Column("latest", "Latest (UTC)"),
    Column("detail", "The latest in words", is_wide=True),
)


def letters(key: str, rows: Rows, *, sql: str) -> None:
    """The table of dead letters by reason, or that there are none."""
    if not rows:
        empty("None", "Everything that came in could be read.")
        return
    table(key, "Dead letters by reason", _LETTERS, rows, sql=sql)


def data(
    key: str, rows: Rows, names: Sequence[str], *, sql: str = "", caption: str = "", has_table: bool = True
) -> None:
    """The buttons below a chart or table: its rows as CSV, and what lies behind it once opened."""
    with st.container(horizontal=True, gap="small", key=f"data_{key}"):
        st.download_button(
            "CSV",
            lambda: csv_bytes(names, rows),
            f"outpulse-{key}.csv",
            "text/csv",
            key=f"csv_{key}",
            on_click="ignore",
            icon=":material/download:",
            type="tertiary",
            help=f"Download: {caption}" if caption else None,
        )
        behind = st.popover(
            "Table and SQL" if has_table and sql else "SQL" if sql else "Table",
            type="tertiary",
            icon=":material/table:" if has_table else ":material/code:",
            key=f"behind_{key}",
            on_change="rerun",
        ) if has_table or sql else None  # fmt: skip
        if behind is not None and behind.open:
            with behind:
                if has_table:
                    st.html(listing_html(caption or key, columns_of(names, rows), rows))
                if sql:
                    st.code(sql, language="sql", wrap_lines=True)
