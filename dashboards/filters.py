"""What the page looks at: a time range that ends at the newest event, some campaigns, one channel."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

_DAY: Final = timedelta(days=1)


class Range(StrEnum):
    """How far back to look from the newest event."""

    HOUR = "1 h"
    DAY = "24 h"
    WEEK = "7 d"
    MONTH = "30 d"
    ALL = "all"


_WIDTHS: Final = {
    Range.HOUR: timedelta(hours=1),
    Range.DAY: _DAY,
    Range.WEEK: 7 * _DAY,
    Range.MONTH: 30 * _DAY,
}
_BUCKETS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    _DAY,
    7 * _DAY,
)
MOST_BUCKETS: Final = 200
"""More points than this no longer tell apart on a chart half a page wide."""


@dataclass(frozen=True)
class Filters:
    """One choice; no campaigns means all, a channel of None means all."""

    range: Range = Range.WEEK
    campaigns: tuple[str, ...] = ()
    channel: str | None = None


@dataclass(frozen=True)
class Days:
    """Whole UTC days on which messages were sent, both ends included; `first` None means from the beginning."""

    first: date | None
    last: date

    def before(self) -> "Days | None":
        """The same number of days just before; None when there is no beginning."""
        if self.first is None:
            return None
        count = (self.last - self.first).days + 1
        return Days(self.first - timedelta(days=count), self.first - _DAY)

    @staticmethod
    def spanning(*parts: "Days | None") -> "Days":
        """The fewest days without a gap that hold all of these; at least one is given."""
        given = [part for part in parts if part is not None]
        starts = [part.first for part in given if part.first is not None]
        return Days(min(starts) if len(starts) == len(given) else None, max(part.last for part in given))


def send_days(chosen: Range, as_of: datetime) -> Days:
    """The send days of a range.

    A day is the smallest cohort: a range of hours takes every day it touches, a range of days that many whole days.
    """
    last = as_of.date()
    width = _WIDTHS.get(chosen)
    if width is None:
        return Days(None, last)
    if width <= _DAY:
        return Days((as_of - width).date(), last)
    return Days(last - width + _DAY, last)


def charted_days(chosen: Range, as_of: datetime) -> Days:
    """The send days that a chart by day shows: those of the range, but a week at least."""
    return send_days(Range.WEEK if chosen in {Range.HOUR, Range.DAY} else chosen, as_of)


@dataclass(frozen=True)
class Buckets:
    """Equal steps of time from `start` (UTC, itself on a step) up to the newest event."""

    start: datetime
    step: timedelta


def buckets(chosen: Range, as_of: datetime, oldest: datetime) -> Buckets:
    """The finest steps that give a readable number of points; `oldest` is the first event of the lake.

    The first step is whole, so it may begin a little before the range.
    """
    width = _WIDTHS.get(chosen)
    start = as_of - width if width is not None else min(oldest, as_of)
    step = next((s for s in _BUCKETS if (as_of - start) / s <= MOST_BUCKETS), _BUCKETS[-1])
    epoch = datetime.fromtimestamp(0, as_of.tzinfo)
    return Buckets(epoch + (start - epoch) // step * step, step)


def where_of(chosen: Filters) -> tuple[str, list[Any]]:
    """SQL of the chosen campaigns and channel, and its values."""
    terms: list[str] = ["true"]
    values: list[Any] = []
    if chosen.campaigns:
        terms.append(f"campaign_id IN ({', '.join('?' * len(chosen.campaigns))})")
        values += chosen.campaigns
    if chosen.channel is not None:
        terms.append("channel = ?")
        values.append(chosen.channel)
    return " AND ".join(terms), values
