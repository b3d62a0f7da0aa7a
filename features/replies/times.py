"""The times that a reply proposes for a meeting, in the exact words of the writer."""

import re
from functools import lru_cache
from typing import Final

from features.replies.date_words import alternation, date_words, languages
from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.reply_words import words

_MOST: Final = 8
_TODAY: Final = words("times", "today")
_CLOCK: Final = words("times", "clock")
_PART: Final = words("times", "part")
_GLUE: Final = words("times", "glue")
_UNITS_AHEAD: Final = words("times", "units_ahead")
_CJK: Final = re.compile(words("times", "cjk"))

_BEFORE_HOUR: Final = (
    "um|gegen|at|around|efter|vid|kl|verso le|alle|a las|sobre las|as|pelas|umas|om|na|rond|po|o|vers|til"
)
"""What stands before an hour that is written as a word."""


@lru_cache(maxsize=16)
def _pattern(language: str) -> re.Pattern[str]:
    """One expression for runs of days, times and the small words between them."""
    say = date_words(language if language in languages() else "en")
    weekday = alternation({**date_words("en").weekdays, **say.weekdays})
    month = alternation(dict(say.months))
    day = rf"(?:{weekday})\.?(?!\w)|(?:{_TODAY})(?!\w)|(?:{_UNITS_AHEAD})(?!\w)"
    date = (
        rf"\d{{1,2}}(?:st|nd|rd|th|er|\.|º)?\s?(?:(?:of|de|di|den)\s)?(?:{month})\.?(?!\w)"
        rf"|(?:{month})\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?![\w:])|\d{{1,2}}[./]\d{{1,2}}\.?(?!\w)|\d{{1,2}}(?:st|nd|rd|th)(?!\w)"
    )
    hour = r"\d{1,2}[:.]\d{2}\s?(?:uur|uhr|hrs|h|am|pm)(?!\w)"
    number = r"\d{1,2}(?:\s?[-–]\s?\d{1,2})?\.?(?![\w%]|[.,]\d)"
    unit = rf"(?:{hour}|{date}|{_CLOCK}|{day}|(?:{_PART})(?!\w)|{number})"
    spoken = rf"(?:{_BEFORE_HOUR})\s{alternation(dict(say.numbers))}(?!\w)"
    unit = rf"(?:{spoken}|{unit})"
    glue = rf"(?:[\s,()/-]{{0,3}}(?:(?:{_GLUE})(?!\w)[\s,()-]{{1,2}}){{0,4}})"
    return re.compile(rf"(?<![\w@/.-]){unit}(?:{glue}(?<!\w){unit}){{0,7}}")


_OR: Final = re.compile(r"\s(?:or|oder|ou|o|of|eller|lub|albo)\s")
_ANCHOR: Final = re.compile(rf"(?<!\w)(?:{_TODAY}|{_UNITS_AHEAD})(?!\w)")


def proposed_times(text: str, language: str, intent: str) -> tuple[str, ...]:
    """The days and times that the writer offers, as written and in order; only where he wants to meet."""
    if intent != "meeting_request":
        return ()
    text = text[:MOST_CHARACTERS]
    folded = fold(text)
    if language in {"ja", "zh"}:
        found = [text[m.start() : m.end()].rstrip("の、,はに ") for m in _CJK.finditer(text)]
        return tuple(dict.fromkeys(f for f in found if f))[:_MOST]
    say = date_words(language if language in languages() else "en")
    weekday = re.compile(rf"(?<!\w)(?:{alternation(dict(say.weekdays))})(?!\w)")
    month = re.compile(
        rf"(?<!\w)\d{{1,2}}\S{{0,2}}\s?(?:\w+\s)?{alternation(dict(say.months))}(?!\w)|(?<!\w){alternation(dict(say.months))}\.?\s\d"
    )
    times: list[str] = []
    for match in _pattern(language).finditer(folded):
        start, end = match.span()
        run = folded[start:end]
        if len(times) < _MOST and _is_time(run, weekday, month):
            times.extend(text[start + a : start + b].strip(" ,.-(") for a, b in _alternatives(run, weekday))
    return _without_loose_days(tuple(dict.fromkeys(times)))


def _alternatives(run: str, weekday: re.Pattern[str]) -> list[tuple[int, int]]:
    """The parts of "Thursday at 10 or Friday at 2", where each names a day; else the whole."""
    cut = _OR.search(run)
    if cut is None or not all(
        weekday.search(part) or _ANCHOR.search(part) for part in (run[: cut.start()], run[cut.end() :])
    ):
        return [(0, len(run))]
    return [(0, cut.start()), (cut.end(), len(run))]


def _without_loose_days(times: tuple[str, ...]) -> tuple[str, ...]:
    """The times without bare words like "today" where fuller ones stand beside them: those tell of something else."""
    full = tuple(t for t in times if re.search(r"\d", t) or " " in t)
    return full or times


def _is_time(run: str, weekday: re.Pattern[str], month: re.Pattern[str]) -> bool:
    """Whether a run names a day or an hour, not just a number or "now"."""
    day = weekday.search(run) and not re.fullmatch(r"\w{1,2}", run.strip())
    clock = re.search(rf"(?<!\w)(?:{_CLOCK})", run)
    return bool(day or clock or month.search(run) or _ANCHOR.search(run) or re.search(r"\d{1,2}[./]\d{1,2}\b", run))
