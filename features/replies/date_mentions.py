"""The dates that a reply mentions, each as a period of the calendar, in languages written in words and letters."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final, NamedTuple

from features.replies.date_words import DateWords, spelled_day
from features.replies.periods import (
    SEASONS,
    Period,
    add_months,
    day_of,
    half_of,
    iso_week,
    month_of,
    next_day,
    next_holiday,
    next_month,
    next_quarter,
    next_season,
    next_weekday,
    quarter_of,
    safe_date,
    week_of,
    year_of,
)

_LOOK_BACK: Final = 48
"""Characters before a date in which the words that belong to it stand."""
_MOST: Final = 60
"""Mentions that are looked at: a calendar pasted into a mail has more, and says nothing."""


class Mention(NamedTuple):
    """Where a date stands, what it means, and whether it is weak: a word that often means something else."""

    start: int
    end: int
    period: Period
    weak: bool = False
    until: bool = False


class Finder(NamedTuple):
    """What the readers of one text share: the folded text, the original, the words, the day of receipt, the order."""

    folded: str
    text: str
    words: DateWords
    today: date
    month_first: bool


Reader = Callable[[Finder, "re.Match[str]"], Period | None]


def _year(match: re.Match[str]) -> int | None:
    year = match.groupdict().get("year")
    if year is None:
        return None
    return int(year) if len(year) == 4 else 2000 + int(year)


def _dated(find: Finder, month: int, day: int, year: int | None) -> Period | None:
    found = next_day(month, day, find.today) if year is None else safe_date(year, month, day)
    return None if found is None else day_of(found)


def _named_day(find: Finder, match: re.Match[str]) -> Period | None:
    return _dated(find, find.words.months[match["name"]], int(match["day"]), _year(match))


def _spelled(find: Finder, match: re.Match[str]) -> Period | None:
    month = find.words.months[match["name"] or match["name2"]]
    return _dated(find, month, spelled_day(match["ordinal"] or match["ordinal2"]), None)


def _span(find: Finder, match: re.Match[str]) -> Period | None:
    month = find.words.months[match["name"]] if "name" in match.groupdict() else int(match["month"])
    if not int(match["from"]) < int(match["day"]) or not 1 <= month <= 12:
        return None
    end = _dated(find, month, int(match["day"]), _year(match))
    return None if end is None else Period(end.first, end.last, "day")


def _iso(find: Finder, match: re.Match[str]) -> Period | None:
    return _dated(find, int(match["month"]), int(match["day"]), _year(match))


def _numeric(find: Finder, match: re.Match[str]) -> Period | None:
    day, month = int(match["day"]), int(match["month"])
    if (find.month_first and day <= 12) or (month > 12 >= day):
        day, month = month, day
    if (
        match["year"] is None
        and match["mark"] != "/"
        and (match["point"] is None or match["mark"] == "-")
        and not _dotted(find, match)
    ):
        return None
    return _dated(find, month, day, _year(match)) if 1 <= month <= 12 else None


def _dotted(find: Finder, match: re.Match[str]) -> bool:
    """Whether "4.5" is a date, not a number: two digits twice, or a word like until before it."""
    whole = len(match[0]) == 5 and match["mark"] == "."
    before = find.folded[max(0, match.start() - _LOOK_BACK) : match.start()]
    patterns = find.words.patterns
    return whole or any(patterns[cue].search(before) for cue in ("until", "through", "start", "after"))


def _month(find: Finder, match: re.Match[str]) -> Period:
    month, year = find.words.months[match["name"]], _year(match)
    return next_month(month, find.today) if year is None else month_of(year, month)


def _nth_day(find: Finder, match: re.Match[str]) -> Period | None:
    day, today = int(match["day"]), find.today
    months = [add_months(today.replace(day=1), ahead) for ahead in (0, 1, 2)]
    found = [safe_date(m.year, m.month, day) for m in months]
    return next((day_of(d) for d in found if d is not None and d >= today), None)


def _weekday_day(find: Finder, match: re.Match[str]) -> Period | None:
    """A day without a month, in this month or the next two, if that day is the weekday that was said."""
    day, weekday, today = int(match["day"]), find.words.weekdays[match["name"]], find.today
    months = [add_months(today.replace(day=1), ahead) for ahead in (0, 1, 2, 3)]
    found = [safe_date(m.year, m.month, day) for m in months]
    return next((day_of(d) for d in found if d is not None and d >= today and d.weekday() == weekday), None)


def _weekday(find: Finder, match: re.Match[str]) -> Period:
    return day_of(next_weekday(find.words.weekdays[match["name"]], find.today))


def _bare_year(find: Finder, match: re.Match[str]) -> Period | None:
    year = int(match["year"])
    return year_of(year) if year > find.today.year else None


def _quarter(find: Finder, match: re.Match[str]) -> Period:
    groups = match.groupdict()
    number = int(
        groups["number"] or groups["first"] or groups["after"] or next((i for i in "1234" if groups[f"q{i}"]), "1")
    )
    year = _year(match)
    return next_quarter(number, find.today) if year is None else quarter_of(year, number)


def _half(number: int) -> Reader:
    def read(find: Finder, match: re.Match[str]) -> Period:
        today, year = find.today, _year(match)
        past = today.month > 6 if number == 1 else today.month > 9
        return half_of(today.year + past if year is None else year, number)

    return read


def _count(find: Finder, match: re.Match[str]) -> int:
    if match["count"]:
        return int(match["more"] or match["count"])
    return find.words.numbers[match["word"]] if match["word"] else 1


def _units(find: Finder, match: re.Match[str]) -> Period | None:
    """A span from today on: 14 days for two weeks, the same day of a later month."""
    count, today, groups = _count(find, match), find.today, match.groupdict()
    if groups["fortnight"]:
        return day_of(today + timedelta(14), "offset")
    if groups["day"] or groups["week"]:
        return day_of(today + timedelta(count * (7 if groups["week"] else 1)), "offset")
    months = 6 if groups["half_year"] else count * (1 if groups["month"] else 3 if groups["quarter"] else 12)
    return day_of(add_months(today, months), "offset")


def _counted(find: Finder, match: re.Match[str]) -> Period | None:
    """As `_units`, of which the number is said: "for two weeks", not "the week"; Polish leaves out one ("za rok")."""
    said = match["count"] or match["word"] or match["fortnight"] or match["half_year"] or "*" in find.words.numbers
    return _units(find, match) if said else None


def _next(ahead: int) -> Reader:
    def read(find: Finder, match: re.Match[str]) -> Period:
        today, groups = find.today, match.groupdict()
        if groups["week"]:
            return week_of(today + timedelta(7 * ahead))
        if groups["month"]:
            later = add_months(today.replace(day=1), ahead)
            return month_of(later.year, later.month)
        if groups["quarter"]:
            later = add_months(today, 3 * ahead)
            return quarter_of(later.year, (later.month + 2) // 3)
        if groups["half"]:
            later = add_months(today, 6 * ahead)
            return half_of(later.year, 1 + (later.month > 6))
        return year_of(today.year + ahead)

    return read


def _unit_end(unit: str) -> Reader:
    def read(find: Finder, _: re.Match[str]) -> Period:
        today = find.today
        running = {
            "month": month_of(today.year, today.month),
            "quarter": quarter_of(today.year, (today.month + 2) // 3),
            "year": year_of(today.year),
        }[unit]
        return day_of(running.last)

    return read


def _new_year(find: Finder, _: re.Match[str]) -> Period:
    return day_of(date(find.today.year + 1, 1, 1), "offset")


def _tomorrow(find: Finder, match: re.Match[str]) -> Period:
    return day_of(find.today + timedelta(2 if match["over"] else 1))


def _week_number(find: Finder, match: re.Match[str]) -> Period | None:
    return iso_week(int(match["number"]), find.today)


def _season(name: str) -> Reader:
    def read(find: Finder, match: re.Match[str]) -> Period:
        year = _year(match)
        if year is None:
            return next_season(name, find.today)
        first, last = SEASONS[name]
        return Period(date(year, first, 1), month_of(year + (last < first), last).last, "season")

    return read


def _holiday(name: str) -> Reader:
    return lambda find, _: next_holiday(name, find.today)


def _september(find: Finder, _: re.Match[str]) -> Period:
    return next_month(9, find.today)


_READERS: Final[tuple[tuple[str, Reader], ...]] = (
    ("spelled", _spelled),
    ("iso", _iso),
    ("span", _span),
    ("day_month", _named_day),
    ("month_span", _span),
    ("month_day", _named_day),
    ("numeric_span", _span),
    ("numeric", _numeric),
    ("year_end", _unit_end("year")),
    ("quarter_end", _unit_end("quarter")),
    ("month_end", _unit_end("month")),
    ("second_half", _half(2)),
    ("first_half", _half(1)),
    ("quarter", _quarter),
    ("coming_units", _counted),
    ("in_units", _counted),
    ("units_ahead", _counted),
    ("for_units", _counted),
    ("new_year", _new_year),
    ("next_post", _next(1)),
    ("next", _next(1)),
    ("this", _next(0)),
    ("week_number", _week_number),
    ("nth_day", _nth_day),
    ("tomorrow", _tomorrow),
    ("september", _september),
    ("weekday_day", _weekday_day),
    *((season, _season(season)) for season in SEASONS),
    *((holiday, _holiday(holiday)) for holiday in ("easter", "pentecost", "christmas", "holidays")),
    ("month", _month),
    ("weekday", _weekday),
    ("year", _bare_year),
)
"""Pattern and reader, the longer expression before those that are part of it."""
_SPANS: Final = frozenset({"span", "month_span", "numeric_span", "for_units", "coming_units"})
_WEAK: Final = frozenset({"year", "for_units", "weekday", "this", "tomorrow"})


def find_mentions(find: Finder) -> list[Mention]:
    """All dates of the text in the order in which they stand, none inside another."""
    found: list[Mention] = []
    taken = bytearray(len(find.folded) + 1)
    for name, match, read in _matches(find):
        start, end = match.span()
        if any(taken[start:end]) or len(found) >= _MOST or _is_other_word(find, name, match):
            continue
        period = read(find, match)
        if period is None:
            continue
        taken[start:end] = b"\1" * (end - start)
        found.append(_adjusted(find, Mention(start, end, period, name in _WEAK, name in _SPANS)))
    return sorted(found)


def _matches(find: Finder) -> Iterator[tuple[str, re.Match[str], Reader]]:
    for name, read in _READERS:
        for match in find.words.patterns[name].finditer(find.folded):
            yield name, match, read
    for pattern, name in find.words.named:
        for match in pattern.finditer(find.folded):
            yield name, match, _holiday(name if name != "sport_break" else "carnival")


def _is_other_word(find: Finder, name: str, match: re.Match[str]) -> bool:
    """Whether "may", "so" or "mar" stands without anything that makes it a month or a weekday."""
    if name not in {"month", "weekday"} or match["name"] not in find.words.strict or match.groupdict().get("year"):
        return False
    before = find.folded[max(0, match.start() - _LOOK_BACK) : match.start()]
    patterns = find.words.patterns
    if len(match["name"]) > 2 and any(
        patterns[c].search(before)
        for c in ("until", "through", "after", "in", "mid_of", "early_of", "end_of", "late_of")
    ):
        return False
    if name == "weekday" and len(match["name"]) > 2 and patterns["back"].search(before):
        return False
    capital = find.text[match.start()].isupper() and not find.text[match.end() : match.end() + 1].isalpha()
    sentence_start = not before.strip() or before.rstrip()[-1:] in ".!?\n:"
    if name == "weekday":
        return len(match["name"]) < 3 or not capital
    alone = re.match(r"\s*(?:[.!?\n]|$)", find.folded[match.end() :]) or match[0].endswith(".")
    if sentence_start and alone and len(match["name"]) > 2:
        return False
    return not capital or (sentence_start and not re.match(r"\s*[,.!?\n]|\s*$", find.folded[match.end() - 1 :]))


_ADJUST_GRAINS: Final = frozenset({"month", "quarter", "year", "week", "half", "season"})


def _adjusted(find: Finder, mention: Mention) -> Mention:
    """A month with "end of" or "mid" before it becomes a day; what belongs to it is taken in."""
    period = mention.period
    if period.grain not in _ADJUST_GRAINS:
        return mention
    offset = max(0, mention.start - _LOOK_BACK)
    before, patterns = find.folded[offset : mention.start], find.words.patterns
    if period.grain == "month" and (match := patterns["week_of_month"].search(before)):
        number = next(i for i in (1, 2, 3, 4) if match[f"n{i}"])
        monday = period.first + timedelta(-period.first.weekday() % 7 + 7 * (number - 1))
        return mention._replace(
            start=offset + match.start(), period=period if number == 1 else day_of(monday, "offset")
        )
    for cue in ("early_of", "mid_of", "end_of", "late_of"):
        if match := patterns[cue].search(before):
            return mention._replace(start=offset + match.start(), period=_part(period, cue))
    return mention


def _part(period: Period, cue: str) -> Period:
    if cue == "early_of" or (period.grain in {"quarter", "half"} and cue != "early_of"):
        return period
    if cue == "mid_of":
        half_way = timedelta((period.last - period.first).days // 2)
        return day_of(period.first.replace(day=15) if period.grain == "month" else period.first + half_way, "offset")
    return day_of(period.last)
