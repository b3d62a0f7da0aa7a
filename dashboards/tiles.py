"""The headline: one tile a figure, how sure it is, and how it stands beside the same figure of the days before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Final

from dashboards.figures import Level, Totals, bounce_level, complaint_level
from dashboards.words import NOTHING, count, percent
from features.intervals import at_least, difference, wilson

_IMMATURE: Final = "Opens, clicks and replies keep coming for days, so the rates of the newest days still rise."


class Trend(StrEnum):
    """How a change is to be read."""

    BETTER = "up"
    WORSE = "down"
    NEITHER = "flat"


@dataclass(frozen=True)
class Tile:
    """One headline figure as shown; no `sure` without trials, no `change` without earlier figures."""

    name: str
    value: str
    sure: str | None
    change: str | None
    trend: Trend
    explanation: str
    level: Level = Level.FINE


@dataclass(frozen=True)
class _Rate:
    name: str
    part: str
    whole: str
    explanation: str
    is_good: bool = True
    ripens: bool = False
    digits: int = 1
    level: Callable[[float | None], Level] = lambda _: Level.FINE

    def counts(self, totals: Totals) -> tuple[int, int]:
        return getattr(totals, self.part), getattr(totals, self.whole)


_RATES: Final = (
    _Rate("Delivered", "delivered", "sent", "Of the messages sent."),
    _Rate(
        "Human opens",
        "opened",
        "delivered",
        f"Delivered messages that a person opened, each counted once. Machine opens are left out. {_IMMATURE}",
        ripens=True,
    ),
    _Rate(
        "Replies",
        "answered",
        "delivered",
        f"Of the messages delivered; absence notices are left out. {_IMMATURE}",
        ripens=True,
    ),
    _Rate(
        "Positive replies",
        "positive",
        "delivered",
        f"Interested, a question, or a meeting request, of the messages delivered. {_IMMATURE}",
        ripens=True,
    ),
    _Rate("Meetings", "meetings", "delivered", f"Booked meetings, of the messages delivered. {_IMMATURE}", ripens=True),
    _Rate(
        "Bounces",
        "bounced",
        "sent",
        "Of the messages sent, with any bounce: hard, soft or block. Amazon SES reviews accounts from 5 % on.",
        is_good=False,
        level=bounce_level,
    ),
    _Rate(
        "Complaints",
        "complained",
        "delivered",
        "Of the messages delivered. Gmail wants less than 0.1 % and never 0.3 %; Amazon SES reviews from 0.1 % on.",
        is_good=False,
        ripens=True,
        digits=3,
        level=complaint_level,
    ),
)


def tiles(now: Totals, before: Totals | None, *, ripe: Totals | None = None) -> list[Tile]:
    """The headline tiles in order.

    `before` is None, or empty, when there is nothing to compare with. Rates that still rise are compared by the `ripe` ones
    of the messages, so that a younger cohort does not look worse than an older one; without any they have no change. A
    change is better or worse only where it is more than chance (95 %).
    """
    earlier = before if before and before.sent else None
    change = f"{100 * (now.sent / earlier.sent - 1):+.0f} %" if earlier else None
    explanation = "Messages sent on these days, each counted once. Today's count is not yet whole."
    sent = Tile("Sent", count(now.sent), None, change, Trend.NEITHER, explanation)
    return [sent, *(_tile(rate, now, earlier, ripe if rate.ripens else now) for rate in _RATES)]


def _tile(rate: _Rate, now: Totals, before: Totals | None, compared: Totals | None) -> Tile:
    hits, trials = rate.counts(now)
    value = hits / trials if trials else None
    if rate.part == "positive" and now.answered and not now.read:
        value = None  # unknown, as no reply has been read yet
    limits = wilson(hits, trials) if value is not None else None
    told = f"{100 * limits.low:.{rate.digits}f}{NOTHING}{100 * limits.high:.{rate.digits}f} %" if limits else None
    change, trend = (
        _change(rate, compared, before) if compared and before and value is not None else (None, Trend.NEITHER)
    )
    level = rate.level(at_least(hits, trials))
    return Tile(rate.name, percent(value, rate.digits), told, change, trend, rate.explanation, level)


def _change(rate: _Rate, now: Totals, before: Totals) -> tuple[str | None, Trend]:
    hits, trials = rate.counts(now)
    past_hits, past_trials = rate.counts(before)
    limits = difference(hits, trials, past_hits, past_trials)
    if limits is None:
        return None, Trend.NEITHER
    points = round(100 * (hits / trials - past_hits / past_trials), rate.digits)
    text = f"{points:+.{rate.digits}f} pts" if points else f"{0:.{rate.digits}f} pts"
    if limits.low <= 0 <= limits.high:
        return text, Trend.NEITHER
    return text, Trend.BETTER if (points > 0) == rate.is_good else Trend.WORSE


def tiles_html(shown: Sequence[Tile]) -> str:
    """The tiles; colour is never the only sign."""
    return f'<dl class="tiles">{"".join(map(_tile_html, shown))}</dl>'


def _tile_html(tile: Tile) -> str:
    marked = "" if tile.level is Level.FINE else f" {tile.level}-tile"
    name = tile.name if tile.level is Level.FINE else f"⚠ {tile.name}"
    sure = f'<dd class="sure">95 %: {escape(tile.sure)}</dd>' if tile.sure else ""
    words = {Trend.BETTER: "better", Trend.WORSE: "worse", Trend.NEITHER: "no clear change"}[tile.trend]
    if tile.name == "Sent":
        words = "than before"
    arrow = {Trend.BETTER: "✓", Trend.WORSE: "✗", Trend.NEITHER: "·"}[tile.trend]
    change = f'<dd class="change {tile.trend}">{arrow} {escape(tile.change)}, {words}</dd>' if tile.change else ""
    return (
        f'<div class="tile{marked}" title="{escape(tile.explanation, quote=True)}"><dt>{escape(name)}</dt>'
        f'<dd class="value">{escape(tile.value)}</dd>{sure}{change}</div>'
    )
