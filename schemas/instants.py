"""Instants as text and as numbers: canonical text is RFC 3339 UTC with exactly three fraction digits and `Z`."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z, in milliseconds since 1970: an event before it is not believed."""
LATEST_MS: Final = 3_471_292_800_000
"""2080-01-01T00:00:00Z: an event from it on is not believed."""
AHEAD_MS: Final = 24 * 3600 * 1000
"""How far `occurred_at` may lie after `received_at`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_ENDS: Final = tuple(f".{ms:03d}Z" for ms in range(1000))
# RFC 3339, section 5.6. `datetime.fromisoformat` alone takes far more: week dates, a comma, blanks, half an offset.
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?", re.ASCII
)


@lru_cache(maxsize=4096)
def _to_the_second(epoch_s: int) -> str:
    return (_EPOCH + timedelta(seconds=epoch_s)).strftime("%Y-%m-%dT%H:%M:%S")


def from_epoch_ms(epoch_ms: int) -> str:
    """Canonical text of milliseconds since 1970.

    >>> from_epoch_ms(1767607200123)
    '2026-01-05T10:00:00.123Z'

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    seconds, ms = divmod(epoch_ms, 1000)
    return _to_the_second(seconds) + _ENDS[ms]


def from_datetime(moment: datetime) -> str:
    """Canonical text of an aware datetime; fractions below a millisecond are cut off."""
    return from_epoch_ms(to_epoch_ms(moment))


def to_epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MS


def parse_ms(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 text: any offset, any number of fraction digits, `t` and `z` in any case.

    >>> parse_ms("2026-01-05T11:00:00.1239999+01:00")
    1767607200123

    Raises:
        ValueError: not RFC 3339, without a zone, or no such day or hour.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError(f"not an RFC 3339 time: {text[:40]!r}")
    second, fraction, zone = found.groups()
    if zone is None:
        raise ValueError(f"a time without a zone: {text[:40]!r}")
    return _ms_of_second(second, zone) + (int(fraction[:3].ljust(3, "0")) if fraction else 0)


@lru_cache(maxsize=4096)
def _ms_of_second(second: str, zone: str) -> int:
    return to_epoch_ms(datetime.fromisoformat(second + zone.upper()))


def now() -> str:
    """The wall clock, as canonical text; only edges (gateway, command line) may ask for it."""
    return from_datetime(datetime.now(UTC))
