"""Arithmetic on instants (whole milliseconds since 1970, UTC) and on the local days and hours of a time zone."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

SATURDAY: Final = 5
"""Weekdays count from Monday = 0."""
_EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday."""


@lru_cache(maxsize=65_536)
def _offset_on(zone: str, day: int) -> int:
    """The zone's offset in milliseconds at noon UTC of a day since 1970."""
    noon = datetime.fromtimestamp(day * DAY_MS // SECOND_MS, UTC) + timedelta(hours=12)
    offset = noon.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)
    return offset // timedelta(milliseconds=1)


def offset_ms(zone: str, at_ms: int) -> int:
    """Milliseconds to add to UTC for local time, to the day: hours around a change of clocks may be one off.

    >>> offset_ms("Europe/Berlin", 1767607200000) // HOUR_MS
    1
    """
    return _offset_on(zone, at_ms // DAY_MS)


def local_midnight_ms(zone: str, at_ms: int) -> int:
    """The instant at which the local day of `at_ms` began."""
    offset = offset_ms(zone, at_ms)
    return (at_ms + offset) // DAY_MS * DAY_MS - offset


def local_weekday(zone: str, at_ms: int) -> int:
    """Monday is 0, Sunday is 6, in the zone."""
    return ((at_ms + offset_ms(zone, at_ms)) // DAY_MS + _EPOCH_WEEKDAY) % 7


def whole_second(at_ms: float) -> int:
    """The instant cut to its second: SendGrid's timestamps have no fractions."""
    return int(at_ms) // SECOND_MS * SECOND_MS
