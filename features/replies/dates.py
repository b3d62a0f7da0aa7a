"""The day to come back: the return or deferral date that a reply names, resolved against the day of receipt."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from features.replies.date_mentions import Finder, Mention, find_mentions
from features.replies.date_words import date_words, languages
from features.replies.dates_cjk import CjkMention, find_cjk
from features.replies.folding import MOST_CHARACTERS, clause_ends, fold
from features.replies.periods import STALE_DAYS, Period, add_months, quarter_of, working_day_after
from features.replies.reply_words import words

_ANY_DATE: Final = frozenset({"not_now", "out_of_office"})
_CLEAR_DATE: Final = frozenset({"referral", "objection", "not_interested"})
_CLEAR: Final = 5
"""Points that a date needs in a reply whose intent is not a deferral: words for coming back beside it."""
_LEAST: Final = {"out_of_office": 1.0, "not_now": 0.0}
"""Points that a date needs: a notice names opening hours and days of other things, a deferral hardly anything else."""
_AWAY_MODES: Final = {"through": 4.0, "until": 4.0, "after": 2.5, "in": 1.0, "": 0.5}
_LATER_MODES: Final = {"through": 0.8, "until": 0.8, "after": 1.5, "in": 1.0}
_LOOK: Final = 60
_CONTRACT: Final = re.compile(words("dates", "contract"))
"""Verbs of contracts: what ends then is no absence."""
_GREETING: Final = re.compile(words("dates", "greeting"))
"""Wishes before the name of a holiday."""
_GONE_CJK: Final = re.compile(r"离开|離開|离职|離職|不再|退休|調離|调离|退職|異動|廃止|退社")
_LATIN: Final = re.compile(r"[a-z]{3,} [a-z]{3,}")
"""English words in a Japanese or Chinese text, whose dates count too."""
_AMERICAN: Final = re.compile(words("dates", "american"))
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
    least = _LEAST.get(intent, _CLEAR)
    found = [one for one in found if one.points >= least]
    if not found:
        return None
    if intent == "out_of_office":
        return max(found, key=lambda one: (one.points, one.day)).answer
    return max(found, key=lambda one: (one.points, one.place)).answer


def candidates(
    text: str, language: str, today: date, intent: str, *, month_first: bool | None = None
) -> list[Candidate]:
    """Every date of the text that may be meant, with its points."""
    folded = fold(text)
    if language in {"ja", "zh"}:
        found_cjk = [_judged_cjk(m, intent, today) for m in find_cjk(folded, today)]
        if intent == "out_of_office" and _GONE_CJK.search(folded):
            found_cjk = [one for one in found_cjk if one.points >= _CLEAR]
        latin = candidates(text, "en", today, intent, month_first=month_first) if _LATIN.search(folded) else []
        return [*found_cjk, *latin]
    order = _month_first(text, language) if month_first is None else month_first
    find = Finder(folded, text, date_words(language if language in languages() else "en"), today, order)
    mentions = _joined(find, find_mentions(find))
    ends = clause_ends(folded)
    gone = intent == "out_of_office" and find.words.patterns["gone"].search(folded)
    found = [_judged(find, ms, ends, intent) for ms in _with_neighbours(mentions)]
    if gone:
        found = [one for one in found if one is not None and one.points >= _CLEAR]
    if not mentions and language != "en":
        return candidates(text, "en", today, intent, month_first=order)
    return [one for one in found if one is not None]


def _month_first(text: str, language: str) -> bool:
    return language == "en" and bool(_IMPOSSIBLE.search(text) or _AMERICAN.search(text))


def _joined(find: Finder, mentions: list[Mention]) -> list[Mention]:
    """Mentions where "A to B" has become the end B of a stretch."""
    joined: list[Mention] = []
    for mention in mentions:
        if joined and (dated := _redated(find, joined[-1], mention)):
            joined[-1] = dated
            continue
        if joined and find.words.patterns["to"].search(find.folded[joined[-1].end : mention.start] + " "):
            before = joined[-1]
            if before.weak and mention.weak:  # opening hours, "Monday to Friday"
                joined.pop()
                continue
            if before.period.grain == mention.period.grain and before.period.first < mention.period.last:
                last = mention.period
                period = Period(last.first, last.last, "day") if last.grain in {"day", "month"} else last
                joined[-1] = Mention(before.start, mention.end, period, weak=False, until=True)
                continue
        joined.append(mention)
    return joined


def _redated(find: Finder, first: Mention, second: Mention) -> Mention | None:
    """The quarter or month "Q1" that is followed by its year in words, "of next year"; or the other way round."""
    parts = {"month", "quarter", "half", "season"}
    for part, year in ((first, second), (second, first)):
        ahead = year.period.grain == "year" or (
            year.period.grain == "offset" and year.period.first.month == 1 == year.period.first.day
        )
        gap = find.folded[first.end : second.start]
        if part.period.grain in parts and ahead and len(gap) < 12 and not re.search(r"[.!?;:,]", gap):
            shift = year.period.first.year - part.period.first.year
            begin, end, grain = part.period
            last = end if shift == 0 else add_months(end, 12 * shift)
            return Mention(first.start, second.end, Period(begin.replace(year=begin.year + shift), last, grain))
    return None


def _with_neighbours(mentions: list[Mention]) -> Iterator[tuple[int, Mention, int]]:
    """Each mention with the end of the one before and the start of the one after."""
    for place, mention in enumerate(mentions):
        after = mentions[place + 1].start if place + 1 < len(mentions) else MOST_CHARACTERS
        yield (mentions[place - 1].end if place else 0), mention, after


def _judged(find: Finder, near: tuple[int, Mention, int], ends: list[int], intent: str) -> Candidate | None:
    patterns, folded, today = find.words.patterns, find.folded, find.today
    _, mention, _ = near
    before = folded[max(0, mention.start - _LOOK) : mention.start]
    mode = _mode(find, mention, before)
    answer, day = resolve(mention.period, mode.removesuffix("!"))
    away = intent == "out_of_office"
    if day < today - timedelta(STALE_DAYS) or (day <= today and not away) or _GREETING.search(before):
        return None
    points = _points(find, near, mode, ends, away=away)
    if not away and (day - today).days <= 14:
        points -= 1
    if away and mention.period.grain == "offset" and not mention.until:
        points -= 1 if patterns["back"].search(before) else 6
    return Candidate(points, mention.start, answer, day)


def _mode(find: Finder, mention: Mention, before: str) -> str:
    """How a date is meant; "in!" is what a contract ends with."""
    patterns, after = find.words.patterns, find.folded[mention.end : mention.end + _LOOK]
    if patterns["through_post"].search(after) or mention.until:
        return "through"
    if patterns["after_post"].search(after):
        return "after"
    for mode in ("through", "until", "after", "start", "in"):
        if match := patterns[mode].search(before):
            return "in!" if mode == "until" and _CONTRACT.match(match[0].strip()) else mode
    return ""


def _sides(find: Finder, near: tuple[int, Mention, int], ends: list[int]) -> tuple[str, str]:
    """What stands in the mention's clause before and after it, at most `_LOOK` characters far, up to other mentions."""
    left, mention, right = near
    begin = max((e for e in ends if e <= mention.start), default=0)
    end = min((e for e in ends if e >= mention.end), default=len(find.folded))
    before = find.folded[max(begin, left, mention.start - _LOOK) : mention.start]
    return before, find.folded[mention.end : min(end, right, mention.end + _LOOK)]


def _points(find: Finder, near: tuple[int, Mention, int], mode: str, ends: list[int], *, away: bool) -> float:
    """How surely a date is the one to come back: words beside it, how it is meant, and how little else is said."""
    patterns, mention = find.words.patterns, near[1]
    before, after = _sides(find, near, ends)
    ended = near[2] in range(mention.end, mention.end + _LOOK) and near[2] <= min(
        (e for e in ends if e >= mention.end), default=0
    )
    back_before, back_after = patterns["back"].search(before), patterns["back"].search(after)
    again = patterns["again"].search(before) or patterns["again"].search(after)
    points = 5.0 if back_before else 4.0 * bool(back_after and not ended)
    points += 2.0 * bool(again)
    points += (_AWAY_MODES if away else _LATER_MODES).get(mode, 0.0)
    if mode == "start" and not (back_before or back_after or again):
        points -= 3
    past = patterns["past"].search(before) if mode in {"", "in"} else None
    if past and not (
        past[0].strip() == "vor" and mention.period.grain != "offset"
    ):  # "vor April" is ahead, "vor zwei Monaten" not
        points -= 5
    if mention.weak and not (points >= 4 or mode in {"through", "until", "after"}):
        points -= 2
    if away and mention.period.grain == "day" and not mention.weak:
        points += 0.6
    return points + 2.0 * (len(before) + len(after) < 14 and mention.period.grain != "season")


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
