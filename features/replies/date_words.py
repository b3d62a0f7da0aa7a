"""The words for dates of one language, from CLDR's names and `data/date_words.toml`, as compiled patterns."""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from features.replies.folding import fold

_LETTER: Final = r"(?<!\w)"
_END: Final = r"(?!\w)"


_ONES: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_TEENS: Final = (
    *("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth"),
    *("fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth"),
)
_ORDINALS: Final = {
    **{word: number for number, word in enumerate((*_ONES, *_TEENS), 1)},
    **{f"twenty{mark}{word}": number for mark in " -" for number, word in enumerate(_ONES, 21)},
    "thirtieth": 30,
    "thirty first": 31,
    "thirty-first": 31,
}
"""Days of a month as English speakers say them, in transcripts of calls."""


class DateWords(NamedTuple):
    """Patterns over folded text; `months`, `weekdays` and `numbers` say what a matched word counts."""

    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    numbers: Mapping[str, int]
    strict: frozenset[str]
    named: tuple[tuple[re.Pattern[str], str], ...]
    patterns: Mapping[str, re.Pattern[str]]


def alternation(words: Mapping[str, int]) -> str:
    """A group of literal words, longest first."""
    return "(?:" + "|".join(re.escape(w) for w in sorted(words, key=lambda w: (-len(w), w))) + ")"


def _cldr(language: str, kind: str) -> dict[str, int]:
    """Folded names of months (1 to 12) or weekdays (0 is Monday)."""
    from babel import Locale  # noqa: PLC0415  # reads a language's data when the first such reply comes

    names: dict[str, int] = {}
    table = getattr(Locale.parse(language), kind)
    for context in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            names |= {fold(str(name)).rstrip("."): number for number, name in table[context][width].items()}
    return names


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files("data").joinpath("date_words.toml").read_text(encoding="utf-8"))


def languages() -> frozenset[str]:
    """Languages whose dates are written in words and letters; Japanese and Chinese have a module of their own."""
    return frozenset(_table())


def spelled_day(word: str) -> int:
    """The day of a month that an English ordinal in words says."""
    return _ORDINALS[word]


def _calendar_patterns(say: Mapping[str, Any], month: str, weekday: str) -> dict[str, str]:
    """Days of months, in words and numbers."""
    of = rf"(?:(?:{say['of']})\s*)?" if say["of"] else ""
    ordinal = alternation(_ORDINALS)
    nth = r"(?:st|nd|rd|th|er|:e|:a|[.°ºª]|e|ste|de|o|\.o)?"
    year = rf"(?:[-,/]?\s*{of}(?P<year>20\d\d)(?!\d))?"
    lead = rf"(?:{weekday}\.?,?\s+)?"
    to = rf"\s*(?:[-–—/]|{say['until']}|{say['through']}|to|and|und|et|e|y|i|och|en|al?|au|ao|ai|all'|del?)\s*"
    article = r"(?:(?:the|le|el|il|den|dem|dia|o|al|au|ao|dnia|zum|l')\s*)?"
    day = rf"(?<![\w:/])(?<!\d[.,]){lead}{article}(?P<day>[0-3]?\d){nth}"
    return {
        "spelled": rf"{_LETTER}(?:(?P<ordinal>{ordinal})\s+(?:of\s+)?(?P<name>{month})|(?P<name2>{month})\s+(?:the\s+)?(?P<ordinal2>{ordinal})){_END}",
        "iso": r"(?<!\d)(?P<year>20\d\d)[-/.](?P<month>[01]?\d)[-/.](?P<day>[0-3]?\d)(?!\d)",
        "span": rf"(?<![\w:/])(?<!\d[.,])(?P<from>[0-3]?\d){nth}{to}{lead}{article}(?P<day>[0-3]?\d){nth}\s*{of}(?P<name>{month}){_END}\.?{year}",
        "day_month": rf"{day}[\s-]*{of}(?P<name>{month}){_END}\.?{year}",
        "month_span": rf"{_LETTER}(?P<name>{month})\.?\s+(?P<from>[0-3]?\d){nth}{to}(?P<day>[0-3]?\d){nth}(?![\d:]){year}",
        "month_day": rf"{_LETTER}{lead}(?P<name>{month})\.?\s+(?:the\s+)?(?P<day>[0-3]?\d){nth}(?![\d:h%/]|\s?(?:uhr|pm|am|people|%)){year}",
        "numeric_span": r"(?<![\d.:/])(?P<from>[0-3]?\d)\.?\s*(?:[-–]|bis)\s*(?P<day>[0-3]?\d)\.(?P<month>[01]?\d)(?:\.(?P<year>20\d\d|\d\d)?)?(?![\d%])",
        "numeric": r"(?<![\d.:/$€£-])(?P<day>[0-3]?\d)(?P<mark>[./-])\s?(?P<month>[0-3]?\d)(?:(?P=mark)\s?(?P<year>20\d\d|\d\d)|(?P<point>\.))?(?![\d%/:]|[.-]\d)",
        "month": rf"{_LETTER}(?P<name>{month})(?!\w|'s\b)\.?(?:,?\s*{of}(?P<year>20\d\d)(?!\d))?",
        "weekday": rf"{_LETTER}(?P<name>{weekday}){_END}",
        "nth_day": rf"(?:{say['until']}|\bon|\bthe|\bback|\bde|\bden)\s+(?:{weekday},?\s+)?(?:on\s+)?(?:the\s+)?(?P<day>[0-3]?\d)(?:st|nd|rd|th|e|:e){_END}(?!\s+of)",
        "weekday_day": rf"{_LETTER}(?P<name>{weekday})\.?,?\s+(?:the\s+|dia\s+|den\s+|d\.\s*)?(?P<day>[0-3]?\d)(?:st|nd|rd|th|\.)?(?![\w:]|[.,/]\d|\s*(?:[-–]|to|till|bis|tot|do|a|as|alle|til|till)\s*\d|\s*(?:uhr|h|am|pm|a\.m|p\.m|o'clock|min)\b)",
        "year": r"(?<![\w.,-])(?P<year>20[2-4]\d)(?![\w-]|[.,]\d)",
    }


def _unit_patterns(say: Mapping[str, Any], number: str) -> dict[str, str]:
    """Quarters, halves, seasons, and spans of time from now on."""
    unit = "|".join(f"(?P<{u}>{say[u]})" for u in ("fortnight", "half_year", "day", "week", "month", "quarter", "year"))
    count = (
        rf"(?:(?P<count>\d{{1,2}})(?:\s*(?:-|–|to|bis|ou|o|a|or|of|oder)\s*(?P<more>\d{{1,2}}))?|(?P<word>{number}))"
    )
    some = rf"(?:{count}\s+)?(?:good |full |gute |goede |bons |buoni |dobre )?(?:{unit}){_END}"
    of = rf"(?:\s*(?:{say['article']}|{say['of'] or 'roku'}|fy|/)?\s*'?(?P<year>20\d\d|\d\d(?!\d)))?"
    nth = "|".join(f"(?P<q{i + 1}>{words})" for i, words in enumerate(say["ordinals"]))
    next_ = rf"(?:{say['next']})"
    post = rf"\s+(?:{say['next_post']})" if say.get("next_post") else None
    parts = "|".join(f"(?P<{u}>{say[u]})" for u in ("week", "month", "quarter", "half", "year"))
    return {
        "quarter": rf"{_LETTER}(?:[qt]\s?(?P<number>[1-4])|(?P<first>[1-4])\s?[qt]|(?:{say['quarter']})\s(?P<after>[1-4])|(?:{nth})\s+(?:{say['quarter']})){_END}{of}",
        "second_half": rf"{_LETTER}(?:{say['second_half']}){_END}{of}",
        "first_half": rf"{_LETTER}(?:{say['first_half']}){_END}{of}",
        "in_units": rf"{_LETTER}(?:{say['in']})\s+{some}",
        "units_ahead": rf"{_LETTER}{some}\s*(?:{say['ahead']}){_END}",
        "coming_units": rf"{_LETTER}(?:{say['coming']})\s+{some}",
        "for_units": rf"{_LETTER}(?:{say['during']})\s+{some}",
        "next": rf"{_LETTER}{next_}\s+(?:{parts}){_END}",
        "next_post": rf"{_LETTER}(?:{parts}){post}{_END}" if post else r"(?!)",
        "this": rf"{_LETTER}(?:{say['this']})\s+(?:{parts}){_END}",
        "month_end": rf"{_LETTER}(?:{say['month_end']}){_END}",
        "quarter_end": rf"{_LETTER}(?:{say['quarter_end']}){_END}",
        "year_end": rf"{_LETTER}(?:{say['year_end']}){_END}",
        "new_year": rf"{_LETTER}(?:{say['new_year']}){_END}",
        "tomorrow": rf"{_LETTER}(?:(?P<over>{say['overmorrow']})|{say['tomorrow']}){_END}",
        "week_number": rf"{_LETTER}(?:{say['week_number']})\s?(?P<number>[0-5]?\d){_END}(?!\s*[-:]\d)",
        "september": rf"{_LETTER}(?:{say['september']}){_END}" if "september" in say else r"(?!)",
        **{s: rf"{_LETTER}(?:{say[s]}){_END}{of}" for s in ("spring", "summer", "autumn", "winter")},
        **{h: rf"{_LETTER}(?:{say[h]}){_END}" for h in ("easter", "pentecost", "christmas", "holidays")},
    }


def _cue_patterns(say: Mapping[str, Any], weekday: str) -> dict[str, str]:
    """What stands before or after a date and tells how it is meant; those ending in $ look back from the date."""
    article = rf"(?:(?:{say['article']})(?!\w)|[\s'’])*"
    glue = rf"(?:(?:{say['article']}|{weekday}[,.]?)(?!\w)|[\s~:(\"'-])*"
    before = {k: rf"{_LETTER}(?:{say[k]}){glue}$" for k in ("until", "through", "after", "start", "in", "past")}
    parts = {f"{k}_of": rf"{_LETTER}(?:{say[k]})-?{article}$" for k in ("end", "late", "mid", "early")}
    nth = "|".join(f"(?P<n{i + 1}>{words})" for i, words in enumerate(say["ordinals"]))
    return (
        before
        | parts
        | {
            "week_of_month": rf"{_LETTER}(?:{nth})\s+(?:{say['week']})-?{article}$",
            "through_post": rf"^[\s,(]*(?:{say['through_post']}){_END}",
            "after_post": rf"^[\s,]*(?:{say['after_post']}){_END}",
            "gone": rf"{_LETTER}(?:{say['gone']}){_END}",
            "back": rf"{_LETTER}(?:{say['back']}){_END}",
            "again": rf"{_LETTER}(?:{say['again']}){_END}",
            "to": rf"^\s*(?:[-–—]|(?:{say['until']}|{say['through']}|to|and|und|y|e|et|a|do|oraz)){article}$",
        }
    )


@lru_cache(maxsize=16)
def date_words(language: str) -> DateWords:
    """The words of a language of `languages()`; compiled once, within some 30 ms."""
    say = _table()[language]
    months = _cldr(language, "months") | say["months"]
    weekdays = _cldr(language, "days") | say["weekdays"]
    strict = frozenset(say["strict_months"])
    weekday, month = alternation(weekdays), alternation(months)
    texts = (
        _calendar_patterns(say, month, weekday)
        | _unit_patterns(say, alternation(say["numbers"]))
        | _cue_patterns(say, weekday)
    )
    return DateWords(
        months,
        weekdays,
        say["numbers"],
        strict,
        tuple((re.compile(rf"{_LETTER}(?:{words}){_END}"), name) for words, name in say["named"].items()),
        {name: re.compile(text) for name, text in texts.items()},
    )
