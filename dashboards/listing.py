"""Tables as plain HTML: what a screen reader reads out, a phone scrolls sideways, and a person can select and copy."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Any, Final

from dashboards.words import NOTHING, count

MOST_ROWS: Final = 200
"""Rows shown at once; the download has all."""


@dataclass(frozen=True)
class Column:
    """One column: its key in the rows, its title, and how a value is written (plain text unless `is_html`)."""

    key: str
    title: str
    show: Callable[[Any], str] | None = None
    hint: str = ""
    is_number: bool = False
    is_html: bool = False
    is_wide: bool = False


def listing_html(caption: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> str:
    """The table; its caption is for screen readers alone."""
    heads = "".join(
        f'<th scope="col"{_class(c)}{f" title={_quoted(c.hint)}" if c.hint else ""}>{escape(c.title)}</th>'
        for c in columns
    )
    body = "".join(f"<tr>{''.join(_cell(c, row.get(c.key)) for c in columns)}</tr>" for row in rows[:MOST_ROWS])
    more = len(rows) - MOST_ROWS
    tail = f'<p class="note">{count(more)} more rows are in the download.</p>' if more > 0 else ""
    return f"""<div class="wide" tabindex="0" role="region" aria-label={_quoted(caption)}><table class="listing">
        <caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{tail}"""


def columns_of(names: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Columns for rows that nobody has described: names as titles, numbers to the right."""
    first = rows[0] if rows else {}
    return [Column(n, n.replace("_", " "), is_number=isinstance(first.get(n), int | float | Decimal)) for n in names]


def plain(value: Any) -> str:  # noqa: ANN401 - whatever SQL gives
    """A value of any type as text, with no more digits than are worth reading."""
    return NOTHING if value is None else next(show(value) for kind, show in _PLAIN if isinstance(value, kind))


_PLAIN: Final[Sequence[tuple[type, Callable[[Any], str]]]] = (
    (bool, lambda v: "yes" if v else "no"),
    (int, lambda v: f"{v:,}"),
    (float, lambda v: f"{v:,.4g}"),
    (Decimal, lambda v: f"{v:,}"),
    (datetime, lambda v: f"{v:%Y-%m-%d %H:%M:%S}"),
    (bytes, lambda v: str(v[:80].decode("utf-8", "replace"))),
    (object, str),
)


def csv_bytes(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as CSV (RFC 4180, UTF-8 with a mark, as spreadsheets want it).

    A text that a spreadsheet would take for a formula gets a quote before it. Source: OWASP, CSV injection.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_safe(name) for name in names])
    writer.writerows([[_safe(row.get(name)) for name in names] for row in rows])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def _safe(value: Any) -> Any:  # noqa: ANN401 - whatever SQL gives
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value


def _cell(column: Column, value: Any) -> str:  # noqa: ANN401 - whatever SQL gives
    text = column.show(value) if column.show else plain(value)
    return f"<td{_class(column)}>{text if column.is_html else escape(text)}</td>"


def _class(column: Column) -> str:
    names = [n for n, is_so in (("number", column.is_number), ("words", column.is_wide)) if is_so]
    return f' class="{" ".join(names)}"' if names else ""


def _quoted(text: str) -> str:
    return f'"{escape(text, quote=True)}"'
