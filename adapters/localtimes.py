"""Times as tools and exports write them, with or without a zone, as milliseconds since 1970."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.facts import epoch_ms_of
from schemas.failures import BadEvent
from schemas.instants import to_epoch_ms

_CLOCK: Final = r"[T ](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
_ZONE: Final = r"(?:\s*(?P<zone>UTC|GMT|[Zz]|[+-]\d\d(?::?\d\d)?))?"
_YEAR_FIRST: Final = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)" + _CLOCK + _ZONE, re.ASCII)
# Day first only with dashes or dots: with slashes nobody can tell the day from the month.
_DAY_FIRST: Final = re.compile(r"(?P<day>\d\d)[-.](?P<month>\d\d)[-.](?P<year>\d{4})" + _CLOCK + _ZONE, re.ASCII)


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name in the IANA database.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"time zone {name!r} is unknown, valid is UTC, Europe/Berlin and the like") from None


def local_ms(moment: datetime, zone: ZoneInfo) -> int:
    """Milliseconds since 1970 of a datetime, which is in `zone` where it carries no zone of its own.

    Of the two readings in the hour that comes twice in autumn, the first counts.

    Raises:
        BadEvent: the zone's clocks never showed that time (the hour that is left out in spring).
    """
    if moment.tzinfo is not None:
        return to_epoch_ms(moment)
    there = moment.replace(tzinfo=zone).astimezone(UTC)
    if there.astimezone(zone).replace(tzinfo=None, fold=0) != moment:
        detail = f"{moment:%Y-%m-%d %H:%M:%S} is left out by the clocks of {zone.key}"
        raise BadEvent("occurred_at is not a time", detail)
    return to_epoch_ms(there)


def time_ms(value: object, zone: ZoneInfo) -> int:
    """Milliseconds since 1970 of a time in an export: RFC 3339 and looser, day first, seconds or milliseconds.

    Text without a zone is in `zone`.

    Raises:
        BadEvent: absent, or not a time.
    """
    if not isinstance(value, str):
        return epoch_ms_of(value)
    return _text_ms(value.strip(), zone)


@lru_cache(maxsize=8192)
def _text_ms(text: str, zone: ZoneInfo) -> int:
    found = _YEAR_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text)
    if found is None:
        return epoch_ms_of(text)
    year, month, day, hour, minute = (int(found[part]) for part in ("year", "month", "day", "hour", "minute"))
    second, ms = int(found["second"] or 0), int((found["fraction"] or "0")[:3].ljust(3, "0"))
    try:
        moment = datetime(year, month, day, hour, minute, second, ms * 1000)  # noqa: DTZ001 - its zone comes next
        return _in_zone(moment, found["zone"], zone)
    except BadEvent:
        raise
    except (ValueError, OverflowError):
        raise BadEvent("occurred_at is not a time", f"the event's time is {text!r:.80}") from None


def _in_zone(moment: datetime, told: str | None, zone: ZoneInfo) -> int:
    if told is None:
        return local_ms(moment, zone)
    if not told[-1].isdigit():
        return to_epoch_ms(moment.replace(tzinfo=UTC))
    offset = told.replace(":", "").ljust(5, "0")
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return to_epoch_ms(moment.replace(tzinfo=UTC)) - minutes * (-60_000 if offset[0] == "-" else 60_000)
