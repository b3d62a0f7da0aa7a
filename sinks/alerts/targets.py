"""What a target takes, when its quiet hours are, and how it may be shown."""

import re
from datetime import datetime, time
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from outpulse.settings import AlertTarget
from sinks.alerts.notices import RANK, Notice

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}(?=://)")


def takes(target: AlertTarget, notice: Notice) -> bool:
    """Whether a target wants a notice at all, now or after its quiet hours."""
    wanted = not target.kinds or notice.kind in target.kinds
    return wanted and RANK[notice.severity] >= RANK[target.severity]


def is_quiet(target: AlertTarget, now: float) -> bool:
    """Whether the target's clocks show a quiet hour; `now` in seconds since 1970.

    The end is not quiet any more. An hour that the clocks skip ends where they jump; one that they show twice is quiet twice.
    """
    if not target.quiet:
        return False
    begin, end = _hours(target.quiet)
    clock = datetime.fromtimestamp(now, ZoneInfo(target.time_zone)).time()
    return begin <= clock < end if begin < end else clock >= begin or clock < end


@lru_cache
def _hours(text: str) -> tuple[time, time]:
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


def masked(url: str) -> str:
    """What may be shown of a target's URL.

    >>> masked("mailto://ida:secret@mail.example")
    'mailto://***'
    """
    scheme = _SCHEME.match(url)
    return f"{scheme[0].lower() if scheme else ''}://***"
