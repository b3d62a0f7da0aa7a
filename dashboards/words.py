"""How figures, times and kinds are written on the page."""

from datetime import date, datetime, timedelta
from typing import Final

from dashboards.filters import Days

_DASH: Final = "\N{EN DASH}"
NOTHING: Final = _DASH
_NEARLY: Final = 0.99

CHANNELS: Final = {
    "email": "Email",
    "linkedin_connect": "LinkedIn invites",
    "linkedin_message": "LinkedIn messages",
    "phone": "Phone",
    "video": "Video",
    "": "All channels",
}

KINDS: Final = {
    "queued": "Queued",
    "sent": "Sent",
    "deferred": "Deferred",
    "delivered": "Delivered",
    "opened": "Human opens",
    "machine_opened": "Machine opens",
    "clicked": "Human clicks",
    "machine_clicked": "Machine clicks",
    "replied": "Replies",
    "bounced": "Bounces",
    "rejected": "Rejected",
    "complained": "Complaints",
    "unsubscribed": "Unsubscribes",
    "failed": "Failed",
    "connected": "LinkedIn accepted",
    "called": "Calls",
    "meeting_booked": "Meetings booked",
    "meeting_confirmed": "Meetings confirmed",
    "meeting_cancelled": "Meetings cancelled",
    "meeting_held": "Meetings held",
    "meeting_no_show": "Meeting no-shows",
    "opportunity_created": "Opportunities",
    "other": "Other events",
}
"""Kinds of events in the order of a message's life, machine opens and clicks apart."""


def kind_key(kind: str, *, is_machine: bool) -> str:
    """The key in `KINDS` of an event."""
    machine = f"machine_{kind}"
    return machine if is_machine and machine in KINDS else kind


def kind_name(key: str) -> str:
    """How a kind is called; one that a newer release brings is called by its own name."""
    return KINDS.get(key, key.replace("_", " ").capitalize())


def campaign_name(campaign_id: str | None) -> str:
    """How a campaign is called."""
    return campaign_id if campaign_id is not None else "(no campaign)"


def count(number: int | None) -> str:
    """12,345."""
    return NOTHING if number is None else f"{number:,}"


def percent(share: float | None, digits: int = 1) -> str:
    """12.3 %, of a share 0..1."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def sure(confidence: float | None) -> str:
    """How sure the model says it is, 0..1: never 100 %."""
    return "over 99 % sure" if confidence is not None and confidence > _NEARLY else f"{percent(confidence, 0)} sure"


def ratio(part: int, whole: int) -> float | None:
    """A share 0..1, None without a whole."""
    return part / whole if whole else None


def days(chosen: Days) -> str:
    """`24-30 Jan 2026`, with as little repeated as is clear."""
    if chosen.first is None:
        return f"until {_day(chosen.last)} {chosen.last.year}"
    first, last = chosen.first, chosen.last
    if first == last:
        return f"{_day(last)} {last.year}"
    if first.year != last.year:
        return f"{_day(first)} {first.year} {_DASH} {_day(last)} {last.year}"
    if first.month != last.month:
        return f"{_day(first)} {_DASH} {_day(last)} {last.year}"
    return f"{first.day}{_DASH}{_day(last)} {last.year}"


def ago(past: datetime, now: datetime) -> str:
    """`3 s ago`, in the largest unit that fits; an instant still to come is `now`."""
    seconds = int((now - past) / timedelta(seconds=1))
    if seconds < 1:
        return "now"
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def instant(moment: datetime, now: datetime) -> str:
    """`14:03:20 UTC`, with the date unless it is today's."""
    clock = f"{moment:%H:%M:%S} UTC"
    return clock if moment.date() == now.date() else f"{_day(moment.date())} {moment.year}, {clock}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
