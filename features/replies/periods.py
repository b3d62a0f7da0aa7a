"""Days, months, quarters and seasons as periods of the calendar, and which of them a speaker means."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from dateutil.easter import easter

Grain = Literal["day", "offset", "week", "month", "quarter", "half", "year", "season", "holiday"]

STALE_DAYS: Final = 45
"""A day without a year that lies this short before the receipt is past, not eleven months ahead: notices are left on."""


class Period(NamedTuple):
    """A stretch of days, both ends included, and the unit in which it was said."""

    first: date
    last: date
    grain: Grain


def day_of(day: date, grain: Grain = "day") -> Period:
    """A period of one day."""
    return Period(day, day, grain)


def safe_date(year: int, month: int, day: int) -> date | None:
    """The date, or None if the calendar has no such day or nobody means such a year."""
    try:
        return date(year, month, day) if 2000 <= year < 2080 else None
    except ValueError:
        return None


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or the month's last day where it is shorter."""
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, month_of(year, month + 1).last.day))


def month_of(year: int, month: int) -> Period:
    """The whole month."""
    after = date(year + month // 12, month % 12 + 1, 1)
    return Period(date(year, month, 1), after - timedelta(1), "month")


def quarter_of(year: int, number: int) -> Period:
    """The quarter 1 to 4 of the calendar year."""
    return Period(date(year, number * 3 - 2, 1), month_of(year, number * 3).last, "quarter")


def half_of(year: int, number: int) -> Period:
    """The half 1 or 2 of the calendar year."""
    return Period(date(year, number * 6 - 5, 1), month_of(year, number * 6).last, "half")


def year_of(year: int) -> Period:
    """The calendar year."""
    return Period(date(year, 1, 1), date(year, 12, 31), "year")


def week_of(day: date) -> Period:
    """The week, Monday to Sunday, that holds the day."""
    monday = day - timedelta(day.weekday())
    return Period(monday, monday + timedelta(6), "week")


def iso_week(number: int, today: date) -> Period | None:
    """The next week of this number of ISO 8601."""
    for year in (today.year, today.year + 1):
        try:
            week = week_of(date.fromisocalendar(year, number, 1))
        except ValueError:
            continue
        if week.last >= today - timedelta(STALE_DAYS):
            return week
    return None


def next_day(month: int, day: int, today: date) -> date | None:
    """The day of the year that is meant without a year: the coming one, or one just past."""
    found = [safe_date(today.year + ahead, month, day) for ahead in (-1, 0, 1, 2, 3, 4)]
    return next((d for d in found if d is not None and d >= today - timedelta(STALE_DAYS)), None)


def next_month(month: int, today: date) -> Period:
    """The coming month of this number; the running month counts as long as half of it is ahead."""
    year = today.year
    if month < today.month or (month == today.month and today.day > 15):
        year += 1
    return month_of(year, month)


def next_quarter(number: int, today: date) -> Period:
    """The coming quarter of this number; the running one counts until its last month."""
    running = (today.month + 2) // 3
    ends = number == running and today.month == number * 3
    return quarter_of(today.year + (number < running or ends), number)


def next_weekday(weekday: int, today: date, weeks: int = 0) -> date:
    """The next day of this weekday (0 is Monday) after today, and so many weeks later."""
    return today + timedelta((weekday - today.weekday() - 1) % 7 + 1 + 7 * weeks)


SEASONS: Final[Mapping[str, tuple[int, int]]] = {
    "spring": (3, 5),
    "summer": (6, 8),
    "autumn": (9, 11),
    "winter": (12, 2),
}
"""First and last month, as meteorologists have it: "after the summer" is 1 September."""


def next_season(name: str, today: date) -> Period:
    """The coming season, or the running one."""
    first, last = SEASONS[name]
    ends = [month_of(today.year + (last < first) + ahead, last).last for ahead in (-1, 0, 1)]
    end = next(e for e in ends if e >= today)
    return Period(date(end.year - (last < first), first, 1), end, "season")


@lru_cache(maxsize=256)
def _named(country: str, year: int, name: str) -> date | None:
    """The last day of the country's holiday that has the name, off days in lieu left aside."""
    import holidays  # noqa: PLC0415  # some 30 ms that only texts with such a word pay

    days = holidays.country_holidays(country, years=[year], language="en_US")
    return max((d for d, n in days.items() if name in n and "observed" not in n and "Eve" not in n), default=None)


def _fixed(month: int, day: int) -> Callable[[int], date]:
    return lambda year: date(year, month, day)


def _after_easter(days: int) -> Callable[[int], date]:
    return lambda year: easter(year) + timedelta(days)


def _official(country: str, name: str) -> Callable[[int], date | None]:
    return lambda year: _named(country, year, name)


HOLIDAYS: Final[Mapping[str, Callable[[int], date | None]]] = {
    "easter": _after_easter(1),
    "ascension": _after_easter(39),
    "pentecost": _after_easter(50),
    "corpus_christi": _after_easter(60),
    "carnival": _after_easter(-47),
    "christmas": _fixed(12, 26),
    "holidays": _fixed(1, 1),
    "new_year": _fixed(1, 1),
    "epiphany": _fixed(1, 6),
    "boxing_day": _fixed(12, 26),
    "july_4": _fixed(7, 4),
    "july_14": _fixed(7, 14),
    "june": _fixed(5, 31),
    "mid_august": _fixed(8, 15),
    "all_saints": _fixed(11, 1),
    "majowka": _fixed(5, 3),
    "may_bridge": _fixed(5, 3),
    "st_john": _fixed(6, 24),
    "fiestas_patrias": _fixed(9, 19),
    "kings_day": _fixed(4, 27),
    "sinterklaas": _fixed(12, 5),
    "golden_week": _fixed(5, 5),
    "obon": _fixed(8, 16),
    "silver_week": _fixed(9, 23),
    "thanksgiving": _official("US", "Thanksgiving"),
    "labor_day": _official("US", "Labor Day"),
    "memorial_day": _official("US", "Memorial Day"),
    "diwali": _official("IN", "Diwali"),
    "midsummer": _official("SE", "Midsummer Day"),
    "lunar_new_year": _official("CN", "Chinese New Year"),
    "national_day_cn": _fixed(10, 7),
    "labour_day_cn": _fixed(5, 5),
    "mid_autumn": _official("CN", "Mid-Autumn"),
    "dragon_boat": _official("CN", "Dragon Boat"),
    "tomb_sweeping": _official("CN", "Tomb-Sweeping"),
    "ramadan": _official("TR", "Eid al-Fitr"),
    "bridge": lambda _: None,
    "long_weekend": lambda _: None,
}
"""The last day off of a holiday in a year. Sources: dateutil for Easter, `holidays` for what laws or the moon decide; a bridge of
days off or a long weekend has no date of its own."""


def next_holiday(name: str, today: date) -> Period | None:
    """The coming holiday of this name as its last day off."""
    for year in (today.year, today.year + 1):
        day = HOLIDAYS[name](year) if year < 2080 else None
        if day is not None and day >= today - timedelta(7):
            return Period(day, day, "holiday")
    return None


def working_day_after(day: date) -> date:
    """The first day after this one that is no Saturday, Sunday or 1 January."""
    after = day + timedelta(1)
    while after.weekday() > 4 or (after.month, after.day) == (1, 1):
        after += timedelta(1)
    return after
