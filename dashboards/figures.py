"""Counts of messages, their rates, and the marks at which providers step in."""

from dataclasses import astuple, dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

from dashboards.filters import Days
from dashboards.words import ratio
from features.forecast import RIPE_DAYS
from features.intervals import at_least

BOUNCE_MARK: Final = 0.05
"""Amazon SES reviews an account from 5 % bounces on: https://docs.aws.amazon.com/ses/latest/dg/faqs-enforcement.html"""
COMPLAINT_MARK: Final = 0.001
"""Gmail wants complaints below 0.1 % (https://support.google.com/a/answer/81126); from there on SES reviews."""
COMPLAINT_LIMIT: Final = 0.003
"""Gmail: complaints should never reach 0.3 %."""

RIPENING_DAYS: Final = 3
"""Most of what comes of a message comes within this many days; in the simulated world opens take 17 h in the mean."""


class Level(StrEnum):
    """How a rate stands to its marks."""

    FINE = "fine"
    WARN = "warn"
    ALARM = "alarm"


@dataclass(frozen=True)
class Totals:
    """Messages sent and what came of them, each delivery once; rates are 0..1, None without a denominator."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    machine_opened: int = 0
    clicked: int = 0
    replied: int = 0
    answered: int = 0
    positive: int = 0
    read: int = 0
    meetings: int = 0
    bounced: int = 0
    bounced_hard: int = 0
    bounced_soft: int = 0
    bounced_block: int = 0
    complained: int = 0
    unsubscribed: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    @property
    def delivery_rate(self) -> float | None:
        """Of those sent."""
        return ratio(self.delivered, self.sent)

    @property
    def open_rate(self) -> float | None:
        """Opened by a human, of those delivered."""
        return ratio(self.opened, self.delivered)

    @property
    def click_rate(self) -> float | None:
        """Clicked by a human, of those delivered."""
        return ratio(self.clicked, self.delivered)

    @property
    def reply_rate(self) -> float | None:
        """With a reply that is no absence notice, of those delivered."""
        return ratio(self.answered, self.delivered)

    @property
    def positive_rate(self) -> float | None:
        """With a positive reply, of those delivered; None while replies wait to be read."""
        return ratio(self.positive, self.delivered) if self.read or not self.answered else None

    @property
    def meeting_rate(self) -> float | None:
        """With a booked meeting, of those delivered."""
        return ratio(self.meetings, self.delivered)

    @property
    def bounce_rate(self) -> float | None:
        """Of those sent."""
        return ratio(self.bounced, self.sent)

    @property
    def complaint_rate(self) -> float | None:
        """Of those delivered."""
        return ratio(self.complained, self.delivered)

    @property
    def unsubscribe_rate(self) -> float | None:
        """Of those delivered."""
        return ratio(self.unsubscribed, self.delivered)


def totals_of(row: dict[str, Any]) -> Totals:
    """The counts of one row that `cohorts.totals` or `cohorts.by_send_day` gave."""
    return Totals(**{field.name: row[field.name] or 0 for field in fields(Totals)})


def sum_of(table: pa.Table) -> Totals:
    """All rows of such a table together."""
    return sum((totals_of(row) for row in table.to_pylist()), Totals())


def ripe_days(days: Days) -> Days | None:
    """Those of the days that are old enough for rates that rise to be compared; None where none is."""
    last = days.last - timedelta(days=RIPE_DAYS)
    return None if days.first is not None and last < days.first else Days(days.first, last)


def marks(figures: Totals) -> Level:
    """The worst level of a campaign's rates, as far as they are sure: one bounce of one message is none."""
    levels = {
        bounce_level(at_least(figures.bounced, figures.sent)),
        complaint_level(at_least(figures.complained, figures.delivered)),
    }
    return next((level for level in (Level.ALARM, Level.WARN) if level in levels), Level.FINE)


def bounce_level(rate: float | None) -> Level:
    """How a bounce rate stands."""
    return Level.ALARM if rate is not None and rate >= BOUNCE_MARK else Level.FINE


def complaint_level(rate: float | None) -> Level:
    """How a complaint rate stands."""
    if rate is None or rate < COMPLAINT_MARK:
        return Level.FINE
    return Level.ALARM if rate >= COMPLAINT_LIMIT else Level.WARN


def health(figures: Totals) -> int | None:
    """0 (a provider steps in) to 100: what is left of the mark that bounces or complaints have surely used up; None if unsent.

    A campaign whose bounces are surely (95 %) half of `BOUNCE_MARK`, and its complaints less of `COMPLAINT_LIMIT`, has 50.
    """
    if not figures.sent:
        return None
    used = max(
        at_least(figures.bounced, figures.sent) / BOUNCE_MARK,
        at_least(figures.complained, figures.delivered) / COMPLAINT_LIMIT,
    )
    return round(100 * (1 - min(used, 1.0)))
