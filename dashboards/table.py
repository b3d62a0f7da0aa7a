"""The table of campaigns: health, counts, rates with small bars, and warning colours at the marks of providers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

import pyarrow as pa

from dashboards.figures import Level, Totals, bounce_level, complaint_level, health, marks, totals_of
from dashboards.words import campaign_name, count, percent, ratio
from features.intervals import at_least

MOST_ROWS: Final = 15


@dataclass(frozen=True)
class _Column:
    """A rate: one of the counts of `Totals` over another."""

    name: str
    part: str
    whole: str
    title: str
    digits: int = 1
    bar: bool = False
    level: Callable[[float | None], Level] | None = None

    def counts(self, figures: Totals) -> tuple[int, int]:
        return getattr(figures, self.part), getattr(figures, self.whole)

    def of(self, figures: Totals) -> float | None:
        return ratio(*self.counts(figures))


_COLUMNS: Final = (
    _Column("Delivered", "delivered", "sent", "of those sent"),
    _Column("Human opens", "opened", "delivered", "of those delivered; machine opens left out", bar=True),
    _Column("Clicks", "clicked", "delivered", "of those delivered, by people"),
    _Column("Replies", "answered", "delivered", "of those delivered; absence notices left out", bar=True),
    _Column("Meetings", "meetings", "delivered", "booked, of those delivered", digits=2),
    _Column("Bounces", "bounced", "sent", "of those sent; marked where surely 5 % or more", level=bounce_level),
    _Column(
        "Complaints",
        "complained",
        "delivered",
        "of those delivered; marked where surely 0.1 % or more, more strongly from 0.3 %",
        digits=3,
        level=complaint_level,
    ),
    _Column("Unsubscribes", "unsubscribed", "delivered", "of those delivered", digits=2),
)

ORDERS: Final[Mapping[str, Callable[[Totals], float]]] = {
    "Least healthy": lambda t: -(health(t) if health(t) is not None else 101),  # type: ignore[operator]
    "Most sent": lambda t: t.sent,
    "Most replies": lambda t: t.reply_rate or 0,
    "Most opens": lambda t: t.open_rate or 0,
    "Most bounces": lambda t: t.bounce_rate or 0,
    "Most complaints": lambda t: t.complaint_rate or 0,
}
"""How the table can be ordered: the largest first, ties by name."""


def campaigns_html(totals: pa.Table, last_hour: pa.Table, order: str) -> str:
    """The table as HTML; names are escaped, columns with bars share one scale each."""
    events = _events_by_campaign(last_hour)
    rows = _ordered(totals, order)
    scales = {c.name: max((c.of(t) or 0 for _, t in rows), default=0) for c in _COLUMNS if c.bar}
    heads = "".join(f'<th scope="col" title="{escape(c.title)}">{c.name}</th>' for c in _COLUMNS)
    body = "".join(_row(name, figures, events.get(name, 0), scales) for name, figures in rows[:MOST_ROWS])
    return f"""<div class="wide" tabindex="0" role="region" aria-label="Campaigns"><table class="campaigns"><thead><tr>
        <th scope="col">Campaign</th>
        <th scope="col" title="0 to 100: what is left until a provider steps in">Health</th><th scope="col">Sent</th>{heads}
        <th scope="col" title="deliveries with a bounce of each class">hard · soft · block</th>
        <th scope="col" title="events of any kind in the hour before the newest event">Events, last hour</th></tr></thead>
        <tbody>{body}</tbody></table></div>"""


def hidden_rows(totals: pa.Table, order: str) -> tuple[int, int]:
    """How many campaigns the table leaves out, and how many of these have a warning."""
    hidden = _ordered(totals, order)[MOST_ROWS:]
    return len(hidden), sum(marks(figures) is not Level.FINE for _, figures in hidden)


def _ordered(totals: pa.Table, order: str) -> list[tuple[str | None, Totals]]:
    rows = [(row["campaign_id"], totals_of(row)) for row in totals.to_pylist()]
    sent = [row for row in rows if row[1].sent]
    return sorted(sent, key=lambda row: (-ORDERS[order](row[1]), campaign_name(row[0])))


def _events_by_campaign(window: pa.Table) -> dict[str | None, int]:
    events: dict[str | None, int] = {}
    for row in window.to_pylist():
        events[row["campaign_id"]] = events.get(row["campaign_id"], 0) + row["events"]
    return events


def _row(campaign_id: str | None, figures: Totals, events: int, scales: Mapping[str, float]) -> str:
    cells = "".join(_cell(column, figures, scales) for column in _COLUMNS)
    classes = " · ".join(count(n) for n in (figures.bounced_hard, figures.bounced_soft, figures.bounced_block))
    return (
        f"<tr><td>{escape(campaign_name(campaign_id))}</td><td>{_health_html(figures)}</td>"
        f"<td>{count(figures.sent)}</td>{cells}"
        f'<td class="small">{classes}</td><td>{count(events)}</td></tr>'
    )


def _health_html(figures: Totals) -> str:
    found = health(figures)
    if found is None:
        return count(None)
    level = marks(figures)
    return f'<span class="{level}">⚠ {found}</span>' if level is not Level.FINE else str(found)


def _cell(column: _Column, figures: Totals, scales: Mapping[str, float]) -> str:
    value = column.of(figures)
    part, whole = column.counts(figures)
    text = percent(value, column.digits)
    if column.level and (level := column.level(at_least(part, whole))) is not Level.FINE:
        text = f'<span class="{level}">⚠ {text}</span>'
    elif column.bar:
        scale = scales[column.name]
        width = 100 * (value or 0) / scale if scale else 0
        text += f'<span class="bar"><i style="width:{width:.0f}%"></i></span>'
    return f'<td title="{count(part)} of {count(whole)} {column.whole}">{text}</td>'
