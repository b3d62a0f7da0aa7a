"""The day to come back: the return or deferral date that a reply names, resolved against the day of receipt."""

import re
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from features.replies.date_mentions import Finder, Mention, find_mentions
from features.replies.date_words import date_words, languages
from features.replies.dates_cjk import CjkMention, find_cjk
from features.replies.folding import MOST_CHARACTERS, clause_ends, fold
from features.replies.periods import STALE_DAYS, Period, quarter_of, working_day_after

_ANY_DATE: Final = frozenset({"not_now", "out_of_office"})
_CLEAR_DATE: Final = frozenset({"referral", "objection", "not_interested"})
_CLEAR: Final = 5
"""Points that a date needs in a reply whose intent is not a deferral: words for coming back beside it."""
_LOOK: Final = 60
_AMERICAN: Final = re.compile(
    r"\b(?:[ECMP][SD]?T|PTO|[A-Z]{2} \d{5}|vacation|gotten|color|center|organization|fiscal|Thanksgiving)\b|\(\d{3}\) ?\d{3}-\d{4}|\b\d{3}-\d{3}-\d{4}\b|\$\d"
)
"""What gives a writer of English away who puts the month first."""
_IMPOSSIBLE: Final = re.compile(r"(?<![\d/])(?:0?[1-9]|1[0-2])/(?:1[3-9]|2\d|3[01])(?![\d/]\d)")


class Candidate(NamedTuple):
    """A mention, what it resolves to, and how surely it is the day to come back."""

    points: float
    place: int
    answer: str
    day: date


def local_day(received_at: datetime, timezone: tzinfo | None) -> date:
    """The day of receipt at the contact's place, where its zone is known, else in UTC."""
    return (received_at if timezone is None else received_at.astimezone(timezone)).date()


def resume_date(text: str, language: str, today: date, intent: str, *, month_first: bool | None = None) -> str | None:
    """When to come back, as `YYYY-MM-DD` or `YYYY-Qn`, or None.

    "Until 4 May" is the day after, "back on 4 May" that day; of a range the day after its end; a month its first day;
    a quarter stays; the second half is its first quarter; "after Easter" is the first working day after Easter Monday.
    English 3/5 is 3 May unless something American stands in the text or `month_first` says otherwise.
    """
    if intent not in _ANY_DATE | _CLEAR_DATE:
        return None
    found = candidates(text[:MOST_CHARACTERS], language, today, intent, month_first=month_first)
    least = 0.0 if intent in _ANY_DATE else _CLEAR
    found = [one for one in found if one.points >= least]
    if not found:
        return None
    if intent == "out_of_office":
        return max(found, key=lambda one: (one.points, one.day)).answer
    return max(found, key=lambda one: (one.points, one.place)).answer


def candidates(text: str, language: str, today: date, intent: str, *, month_first: bool | None = None) -> list[Candidate]:
    """Every date of the text that may be meant, with its points."""
    folded = fold(text)
    if language in {"ja", "zh"}:
        return [_judged_cjk(m, intent, today) for m in find_cjk(folded, today)]
    order = _month_first(text, language) if month_first is None else month_first
    find = Finder(folded, text, date_words(language if language in languages() else "en"), today, order)
    mentions = _joined(find, find_mentions(find))
    ends = clause_ends(folded)
    found = [_judged(find, m, ends, intent) for m in mentions]
    if not found and language != "en":
        return candidates(text, "en", today, intent, month_first=order)
    return [one for one in found if one is not None]


def _month_first(text: str, language: str) -> bool:
    return language == "en" and bool(_IMPOSSIBLE.search(text) or _AMERICAN.search(text))


def _joined(find: Finder, mentions: list[Mention]) -> list[Mention]:
    """Mentions where "A to B" has become the end B of a stretch."""
    joined: list[Mention] = []
    for mention in mentions:
        if joined and find.words.patterns["to"].search(find.folded[joined[-1].end : mention.start] + " "):
            before = joined[-1]
            if before.period.grain == mention.period.grain and before.period.first < mention.period.last:
                last = mention.period
                period = Period(last.first, last.last, "day") if last.grain in {"day", "month"} else last
                joined[-1] = Mention(before.start, mention.end, period, weak=False, until=True)
                continue
        joined.append(mention)
    return joined


def _judged(find: Finder, mention: Mention, ends: list[int], intent: str) -> Candidate | None:
    patterns, folded, today = find.words.patterns, find.folded, find.today
    before = folded[max(0, mention.start - _LOOK) : mention.start]
    after = folded[mention.end : mention.end + _LOOK]
    mode = next((m for m in ("through", "until", "after", "start", "in") if patterns[m].search(before)), "")
    if patterns["through_post"].search(after) or mention.until:
        mode = "through"
    elif patterns["after_post"].search(after):
        mode = "after"
    answer, day = resolve(mention.period, mode)
    if day < today - timedelta(STALE_DAYS) or (day <= today and intent != "out_of_office"):
        return None
    clause = _clause(folded, mention, ends)
    points = _points(find, mention, mode, before, clause)
    if intent != "out_of_office" and (day - today).days <= 14:
        points -= 1
    return Candidate(points, mention.start, answer, day)


def _clause(folded: str, mention: Mention, ends: list[int]) -> str:
    """What stands in the mention's clause on both sides of it, at most `_LOOK` characters far."""
    begin = max((e for e in ends if e <= mention.start), default=0)
    end = min((e for e in ends if e >= mention.end), default=len(folded))
    return folded[max(begin, mention.start - _LOOK) : mention.start] + " | " + folded[mention.end : min(end, mention.end + _LOOK)]


def _points(find: Finder, mention: Mention, mode: str, before: str, clause: str) -> float:
    patterns = find.words.patterns
    back, again = patterns["back"].search(clause), patterns["again"].search(clause)
    points = 4.0 * bool(back) + 2.0 * bool(again) + {"through": 3.0, "until": 3.0, "after": 2.5, "in": 1.0}.get(mode, 0.0)
    if mode == "start" and not back:
        points -= 3
    if mode in {"", "in"} and patterns["past"].search(before):
        points -= 5
    if mention.weak and not (back or mode in {"through", "until", "after"}):
        points -= 2
    return points + 2.0 * (len(clause) < 16)


def resolve(period: Period, mode: str) -> tuple[str, date]:
    """The answer for a period and how it is meant, and its first day."""
    first, last, grain = period
    if grain == "holiday":
        day = working_day_after(last) if mode in {"after", "until", "through"} else first
    elif grain == "offset":
        day = first
    elif mode == "after" or (mode == "through" and grain != "week") or (mode == "until" and grain == "day"):
        if mode == "after" and grain == "week":
            return _iso_answer(last + timedelta(1))
        day = last + timedelta(1)
    elif mode == "through":
        day = last + timedelta(1)
    else:
        day = first
    if grain in {"quarter", "half"}:
        number = (day.month + 2) // 3
        return f"{day.year}-Q{number}", quarter_of(day.year, number).first
    return _iso_answer(day)


def _iso_answer(day: date) -> tuple[str, date]:
    return day.isoformat(), day


def _judged_cjk(mention: CjkMention, intent: str, today: date) -> Candidate:
    mode, points = mention.mode, mention.points
    answer, day = resolve(mention.period, mode)
    if day < today - timedelta(STALE_DAYS) or (day <= today and intent != "out_of_office"):
        points -= 20
    return Candidate(points, mention.start, answer, day)
