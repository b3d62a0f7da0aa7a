"""The hidden habits of a reader: when they look at mail, what they like, how likely they answer.

Nothing of this is in any event: it is what send-time models and experiments should find out.
"""

import math
from typing import Final

import msgspec

from data.clock import DAY_MS, HOUR_MS, SATURDAY, local_midnight_ms, local_weekday
from data.draws import Rng, between, chance, pick

TONES: Final = ("plain", "numbers", "story")
"""How a message is written; each reader likes one of them better."""

PEAK_HOURS: Final = {
    "finance_leader": (7.0, 8.5),
    "founder": (6.5, 21.0),
    "engineering_leader": (10.0, 16.5),
    "marketing_leader": (9.0, 13.5),
    "operations_leader": (6.5, 14.0),
    "people_leader": (9.5, 15.0),
    "sales_leader": (8.0, 17.5),
}
"""Local hours at which a job family reads: far enough apart that the best hour differs by persona. Invented."""

DAYS_AHEAD: Final = 6
"""A reader who did not look for six days does not look any more: the message is under a week of others."""
FRESH_HOURS: Final = 30.0
"""An unread message loses 1 - 1/e of its chance in this time. Invented; the best hour gains a quarter."""


class Habit(msgspec.Struct, frozen=True):
    """When and how one person reads. Hours are local; probabilities are per message unless said otherwise."""

    peak_hour: float
    spread_hours: float
    weekday_prob: tuple[float, ...]
    read_prob: float
    click_prob: float
    reply_prob: float
    likes: str
    apple: bool


def make_habit(persona: str, rng: Rng, *, apple_share: float) -> Habit:
    """A person's habits: those of the job family, with a personal deviation."""
    weekday_prob = [between(rng, 0.6, 0.95) for _ in range(7)]
    weekday_prob[pick(rng, (0, 1, 2, 3, 4))] = 0.2
    for day in (SATURDAY, SATURDAY + 1):
        weekday_prob[day] = between(rng, 0.05, 0.3)
    return Habit(
        peak_hour=pick(rng, PEAK_HOURS[persona]) + float(rng.normal(0.0, 0.7)),
        spread_hours=between(rng, 0.4, 1.6),
        weekday_prob=tuple(weekday_prob),
        read_prob=float(rng.beta(6.0, 2.0)),
        click_prob=float(rng.beta(1.5, 11.0)),
        reply_prob=float(rng.beta(1.2, 26.0)),
        likes=pick(rng, TONES),
        apple=chance(rng, apple_share),
    )


def next_look_ms(habit: Habit, timezone: str, after_ms: int, rng: Rng) -> int | None:
    """The first instant after `after_ms` at which the person looks at mail, or None within the next days."""
    for ahead in range(DAYS_AHEAD):
        day_ms = after_ms + ahead * DAY_MS
        if not chance(rng, habit.weekday_prob[local_weekday(timezone, day_ms)]):
            continue
        hour = habit.peak_hour + habit.spread_hours * float(rng.normal())
        look_ms = local_midnight_ms(timezone, day_ms) + int(hour * HOUR_MS)
        if look_ms > after_ms:
            return look_ms
    return None


def freshness(sent_ms: int, look_ms: int) -> float:
    """How much of a message's appeal is left when it is found, 0 to 1: why the hour of sending matters."""
    return math.exp(-(look_ms - sent_ms) / (FRESH_HOURS * HOUR_MS))
