"""The headline: one tile a figure, beside the same figure of the days before."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import streamlit as st

from dashboards.figures import Level, Totals, bounce_level, complaint_level
from dashboards.words import count, percent

_IMMATURE: Final = "Opens, clicks and replies keep coming for days, so the rates of the newest days still rise."


class Trend(StrEnum):
    """How a change is to be read; the words are Streamlit's colours of a delta."""

    MORE_IS_BETTER = "normal"
    LESS_IS_BETTER = "inverse"
    NEITHER = "off"


@dataclass(frozen=True)
class Tile:
    """One headline figure: `value` and `change` as shown; no change without earlier figures."""

    name: str
    value: str
    change: str | None
    trend: Trend
    explanation: str
    level: Level = Level.FINE


@dataclass(frozen=True)
class _Rate:
    name: str
    of: Callable[[Totals], float | None]
    explanation: str
    trend: Trend = Trend.MORE_IS_BETTER
    ripens: bool = False
    digits: int = 1
    level: Callable[[float | None], Level] = lambda _: Level.FINE


_RATES: Final = (
    _Rate("Delivered", lambda t: t.delivery_rate, "Of the messages sent."),
    _Rate(
        "Human opens",
        lambda t: t.open_rate,
        f"Delivered messages that a person opened, each counted once. Machine opens are left out. {_IMMATURE}",
        ripens=True,
    ),
    _Rate(
        "Clicks",
        lambda t: t.click_rate,
        f"Delivered messages in which a person clicked, each counted once. {_IMMATURE}",
        ripens=True,
    ),
    _Rate("Replies", lambda t: t.reply_rate, f"Of the messages delivered. {_IMMATURE}", ripens=True),
    _Rate(
        "Bounces",
        lambda t: t.bounce_rate,
        "Of the messages sent, with any bounce: hard, soft or block. Amazon SES reviews accounts from 5 % on.",
        trend=Trend.LESS_IS_BETTER,
        level=bounce_level,
    ),
    _Rate(
        "Complaints",
        lambda t: t.complaint_rate,
        "Of the messages delivered. Gmail wants less than 0.1 % and never 0.3 %; Amazon SES reviews from 0.1 % on.",
        trend=Trend.LESS_IS_BETTER,
        ripens=True,
        digits=3,
        level=complaint_level,
    ),
)


def tiles(now: Totals, before: Totals | None, *, ripe: bool) -> list[Tile]:
    """The headline tiles in order.

    `before` is None, or empty, when there is nothing to compare with. Unless `ripe`, changes of rates that still rise are
    shown as neither good nor bad.
    """
    earlier = before if before and before.sent else None
    change = f"{100 * (now.sent / earlier.sent - 1):+.0f} %" if earlier else None
    explanation = "Messages sent on these days, each counted once. Today's count is not yet whole."
    sent = Tile("Sent", count(now.sent), change, _trend(change, Trend.MORE_IS_BETTER), explanation)
    return [sent, *(_tile(rate, now, earlier, ripe=ripe) for rate in _RATES)]


def _tile(rate: _Rate, now: Totals, before: Totals | None, *, ripe: bool) -> Tile:
    value, past = rate.of(now), rate.of(before) if before else None
    change = None
    if value is not None and past is not None:
        points = round(100 * (value - past), rate.digits)
        change = f"{points:+.{rate.digits}f} pts" if points else f"{0:.{rate.digits}f} pts"
    trend = _trend(change, rate.trend) if ripe or not rate.ripens else Trend.NEITHER
    return Tile(rate.name, percent(value, rate.digits), change, trend, rate.explanation, rate.level(value))


def _trend(change: str | None, trend: Trend) -> Trend:
    """A change that rounds to nothing is neither good nor bad."""
    return trend if change and any(digit in change for digit in "123456789") else Trend.NEITHER


def show_tiles(shown: list[Tile]) -> None:
    """The tiles in one row."""
    for place, tile in zip(st.columns(len(shown)), shown, strict=True):
        place.metric(
            tile.name if tile.level is Level.FINE else f"⚠ {tile.name}",
            tile.value,
            tile.change,
            delta_color=tile.trend.value,
            help=tile.explanation,
            border=True,
            height="stretch",
        )
