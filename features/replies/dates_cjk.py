"""The dates that a Japanese or Chinese reply mentions, how each is meant, and how surely it is the day to come back."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final, NamedTuple

from features.replies.periods import (
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
from features.replies.reply_words import words

_DIGITS: Final = {c: n for n, c in enumerate("一二三四五六七八九十", 1)} | {"两": 2, "兩": 2, "数": 3, "几": 3, "幾": 3}
_N: Final = r"(?:\d{1,2}|[一二三四五六七八九十廿卅两兩]{1,3})"
_YEAR: Final = r"(?:(?P<year>20\d\d|今|来|明|後|后)\s?年(?:の|的)?\s?)?"
_WEEKDAYS: Final = (
    {"月": 0, "火": 1, "水": 2, "木": 3, "金": 4, "土": 5, "日": 6}
    | {c: n for n, c in enumerate("一二三四五六")}
    | {"天": 6}
)
_MOST: Final = 60
_LOOK: Final = 24
"""Characters beside a date in which words that tell how it is meant stand; a sentence holds some 30."""


class CjkMention(NamedTuple):
    """Where a date stands, what it means, how it is meant (as in `dates.resolve`), and its points."""

    start: int
    end: int
    period: Period
    mode: str
    points: float


def numeral(text: str) -> int:
    """The number that digits or Chinese numerals up to 99 say.

    >>> numeral("十二"), numeral("廿四"), numeral("7")
    (12, 24, 7)
    """
    if text.isdecimal():
        return int(text)
    tens, ten, ones = text.replace("廿", "二十").replace("卅", "三十").rpartition("十")
    return (_DIGITS.get(tens, 1) * 10 if ten else 0) + _DIGITS.get(ones, 0)


def _year(match: re.Match[str], today: date) -> int | None:
    said = match["year"]
    if said is None:
        return None
    return int(said) if said.isdecimal() else today.year + {"今": 0, "来": 1, "明": 1}.get(said, 2)


def _day(match: re.Match[str], today: date) -> Period | None:
    month, day, year = numeral(match["month"]), numeral(match["day"]), _year(match, today)
    found = next_day(month, day, today) if year is None else safe_date(year, month, day)
    return None if found is None else day_of(found)


def _iso(match: re.Match[str], _: date) -> Period | None:
    found = safe_date(int(match["year"]), int(match["month"]), int(match["day"]))
    return None if found is None else day_of(found)


def _slashed(match: re.Match[str], today: date) -> Period | None:
    found = next_day(int(match["month"]), int(match["day"]), today)
    return None if found is None else day_of(found)


def _month(match: re.Match[str], today: date) -> Period | None:
    month, year = numeral(match["month"]), _year(match, today)
    if not 1 <= month <= 12:
        return None
    period = next_month(month, today) if year is None else month_of(year, month)
    return _part(period, match["part"])


def _part(period: Period, part: str | None) -> Period:
    """Beginning, middle or end of a period; early in a month is its first day."""
    if part in {"中旬", "半ば", "なかば", "年中"}:
        middle = period.first.replace(day=15) if period.grain == "month" else period.first + timedelta(182)
        return day_of(middle)
    if part == "下旬":
        return day_of(period.first.replace(day=21))
    if part in {"末", "底", "月底", "月末", "の終わり", "年底", "年末"}:
        return day_of(period.last)
    return period


def _relative_month(match: re.Match[str], today: date) -> Period:
    ahead = {"今": 0, "本": 0, "这": 0, "這": 0, "当": 0, "再来": 2, "下下": 2}.get(match["which"], 1)
    later = add_months(today.replace(day=1), ahead)
    return _part(month_of(later.year, later.month), match["part"])


def _relative_week(match: re.Match[str], today: date) -> Period:
    ahead = {"今": 0, "本": 0, "这": 0, "這": 0, "再来": 2, "下下": 2}.get(match["which"], 1)
    week = week_of(today + timedelta(7 * ahead))
    if match["weekday"]:
        return day_of(week.first + timedelta(_WEEKDAYS[match["weekday"]]))
    return day_of(week.last) if match["end"] else week


def _relative_year(match: re.Match[str], today: date) -> Period:
    which = match["which"]
    ahead = {"今": 0, "本": 0, "再来": 2, "后": 2, "後": 2}.get(which, 1)
    year = today.year + ahead
    part = match["part"]
    if match["half"]:
        return half_of(year, 2 if match["half"] == "下" else 1)
    if match["quarter"]:
        return quarter_of(year, numeral(match["quarter"]))
    return _part(year_of(year), part)


def _fiscal_year(_: re.Match[str], today: date) -> Period:
    """The coming fiscal year, which begins in April for nearly all Japanese companies."""
    return month_of(today.year + (today.month >= 4), 4)


def _weekday(match: re.Match[str], today: date) -> Period:
    return day_of(next_weekday(_WEEKDAYS[match["weekday"] or match["weekday2"]], today))


def _quarter(match: re.Match[str], today: date) -> Period:
    number, year = numeral(match["number"] or match["number2"] or match["number3"]), _year(match, today)
    return next_quarter(number, today) if year is None else quarter_of(year, number)


def _next_quarter(_: re.Match[str], today: date) -> Period:
    later = add_months(today, 3)
    return quarter_of(later.year, (later.month + 2) // 3)


def _half(match: re.Match[str], today: date) -> Period:
    number, year = 2 if match["half"] == "下" else 1, _year(match, today)
    past = today.month > 9 if number == 2 else today.month > 6
    return half_of(today.year + past if year is None else year, number)


def _units(match: re.Match[str], today: date) -> Period:
    if match["half"]:
        return day_of(add_months(today, 6), "offset")
    if match["half_month"]:
        return day_of(today + timedelta(15), "offset")
    count, unit = numeral(match["count"]), match["unit"]
    if unit[-1] in "日天":
        return day_of(today + timedelta(count), "offset")
    if "週" in unit or "周" in unit or "星期" in unit or "礼拜" in unit or "禮拜" in unit:
        return day_of(today + timedelta(7 * count), "offset")
    return day_of(add_months(today, count * (12 if "年" in unit else 1)), "offset")


def _tomorrow(match: re.Match[str], today: date) -> Period:
    return day_of(today + timedelta(2 if match["over"] else 1))


def _week_number(match: re.Match[str], today: date) -> Period | None:
    return iso_week(int(match["number"]), today)


def _nth_day(match: re.Match[str], today: date) -> Period | None:
    months = [add_months(today.replace(day=1), ahead) for ahead in (0, 1, 2)]
    found = [safe_date(m.year, m.month, numeral(match["day"])) for m in months]
    return next((day_of(d) for d in found if d is not None and d >= today), None)


def _unit_end(match: re.Match[str], today: date) -> Period:
    return day_of(year_of(today.year).last if match["year"] else month_of(today.year, today.month).last)


def _new_year(_: re.Match[str], today: date) -> Period:
    return day_of(date(today.year + 1, 1, 1), "offset")


def _holiday(name: str) -> Callable[[re.Match[str], date], Period | None]:
    return lambda _, today: next_holiday(name, today)


def _season(name: str) -> Callable[[re.Match[str], date], Period | None]:
    return lambda _, today: next_season(name, today)


_PART: Final = r"(?P<part>上旬|中旬|下旬|半ば|なかば|の終わり|月?末|月?底|初旬|初め|初|头)?"
_READERS: Final[tuple[tuple[str, Callable[[re.Match[str], date], Period | None]], ...]] = (
    (r"(?<!\d)(?P<year>20\d\d)\s?[-/.]\s?(?P<month>[01]?\d)\s?[-/.]\s?(?P<day>[0-3]?\d)(?!\d)", _iso),
    (
        rf"{_YEAR}(?P<month>{_N})\s?月\s?(?P<day>\d{{1,2}}|[一二三四五六七八九十廿卅]{{1,3}})\s?[日号號]?(?!\s?(?:点|點|時|个|個))",
        _day,
    ),
    (rf"{_YEAR}(?<![\d第])(?P<month>{_N})\s?月(?:份|の)?{_PART}", _month),
    (r"(?<![\d/.])(?P<month>1[0-2]|0?[1-9])/(?P<day>3[01]|[12]\d|0?[1-9])(?![\d/%])", _slashed),
    (r"(?P<which>再来|来|翌|今|当|本|下下|下|这|這)(?:个|個)?\s?月(?!曜)(?:の|份)?" + _PART, _relative_month),
    (
        (
            r"(?P<which>再来|来|翌|今|本|下下|下|这|這)(?:个|個)?(?:週|周|星期|礼拜|禮拜)(?:の|的)?"
            r"(?:(?:周|週|星期)?(?P<weekday>[一二三四五六日天]|[月火水木金土日](?=曜))曜?日?|(?P<end>末))?"
        ),
        _relative_week,
    ),
    (r"(?:来年度|来期|新年度|次年度|翌年度|来季|新会計年度|次期)", _fiscal_year),
    (
        (
            r"(?P<which>再来|来|翌|明|后|後|今|本)年(?!度)(?:の|的)?(?:(?P<half>[上下])半(?:年|期)|第?(?P<quarter>[一二三四1-4])(?:季度|四半期|季)"
            r"|(?P<part>末|底|初|头|中旬|年中))?"
        ),
        _relative_year,
    ),
    (words("dates_cjk", "readers"), _quarter),
    (r"(?:下(?:个|個)?季度?|来四半期|次の四半期|翌四半期)", _next_quarter),
    (rf"{_YEAR}(?P<half>[上下])(?:半年|半期|期)", _half),
    (
        (
            rf"(?:あと|約|大约|大約|再过|再過|过|過|等)?\s?(?:(?P<half>半年)|(?P<half_month>半(?:个|個)月)|(?P<count>{_N})\s?"
            r"(?P<unit>日間?|天|週間?|周間?|(?:个|個)?(?:周|星期|礼拜|禮拜)|(?:か|ヶ|ケ|カ|个|個|箇)月間?|年))(?:間)?\s?(?:ほど|くらい|左右|程度)?"
            r"(?:した|して|の)?(?=後|后|之后|之後|以后|以後|経|过后|くらい|再|先)"
        ),
        _units,
    ),
    (r"(?:年明け|新年|年が明け|元旦|正月|年始|翌年|年越)", _new_year),
    (
        r"(?<![\d月/年第])(?P<day>3[01]|[12]\d|[1-9])[日号號](?!間|後|后|以内|目|中|ほど|楼|樓|线|線|店|室|房|门|門)",
        _nth_day,
    ),
    (
        r"(?<![一二三四五六七八九十廿月年第])(?P<day>[一二三四五六七八九十廿]{1,3})日(?=から|まで|より|に(?:戻|出|再))",
        _nth_day,
    ),
    (r"(?P<year>年)[末底](?!休)|月[末底]", _unit_end),
    (r"(?:春节|春節|农历新年|農曆新年|农历年|農曆年|过年|過年|年后|年後|旧正月)", _holiday("lunar_new_year")),
    (r"(?:国庆|國慶|十一(?:长假|假期|黄金周))(?:节|節)?(?:长假|假期|黄金周)?", _holiday("national_day_cn")),
    (r"(?:五一|劳动节|勞動節)(?:长假|假期|节)?", _holiday("labour_day_cn")),
    (r"(?:中秋)(?:节|節)?", _holiday("mid_autumn")),
    (r"(?:端午)(?:节|節)?", _holiday("dragon_boat")),
    (r"(?:清明)(?:节|節)?", _holiday("tomb_sweeping")),
    (r"(?:ゴールデンウィーク|ゴールデンウイーク|gw|大型連休)", _holiday("golden_week")),
    (r"お?盆(?:休み)?", _holiday("obon")),
    (r"(?:シルバーウィーク)", _holiday("silver_week")),
    (r"(?:复活节|復活節|イースター)", _holiday("easter")),
    (r"(?:圣诞节?|聖誕節?|クリスマス)", _holiday("christmas")),
    (r"第\s?(?P<number>[1-5]?\d)\s?[周週]", _week_number),
    (r"(?:(?P<over>明後日|後天|后天|あさって)|明日|明天)", _tomorrow),
    (r"(?:(?P<weekday>[月火水木金土日])曜日?|(?:周|週|星期|礼拜|禮拜)(?P<weekday2>[一二三四五六日天]))", _weekday),
    (r"春(?:先|天|以降|頃|ごろ|季)", _season("spring")),
    (r"夏(?:休み|天|以降|頃|ごろ|季)|暑假", _season("summer")),
    (r"秋(?:天|以降|頃|ごろ|口|季)", _season("autumn")),
    (r"冬(?:天|以降|頃|ごろ|季)", _season("winter")),
)


_COMPILED: Final = tuple((re.compile(pattern), read) for pattern, read in _READERS)
_UNTIL: Final = re.compile(r"(?:到|至|直到|直至|截至|截止|休假至|休到|延至|[~〜～])\s?(?:约|約)?\s?$")
_UNTIL_POST: Final = re.compile(words("dates_cjk", "until_post"))
_AFTER_POST: Final = re.compile(words("dates_cjk", "after_post"))
_FROM_POST: Final = re.compile(r"^\s?(?:[(（][^)）]{0,6}[)）])?\s?(?:から|より|起|開始|开始)")
_FROM: Final = re.compile(r"(?:从|從|自|由)\s?$")
_TO: Final = re.compile(r"^\s?(?:[(（][^)）]{0,6}[)）])?\s?(?:から|より|起)?\s?[-~〜～–—至到]?\s?$")
_BACK: Final = re.compile(words("dates_cjk", "back"))
_AGAIN: Final = re.compile(words("dates_cjk", "again"))
_PAST: Final = re.compile(r"ました(?!ら)|でした(?!ら)|已经|已經|去年|先月|上个月|上個月|上周|昨|した。|签了|簽了|刚|剛")
_STOPS: Final = re.compile(r"[。！？\n!?；;]")


def find_cjk(folded: str, today: date) -> list[CjkMention]:
    """All dates of a folded text in their order, "A から B まで" as the end B of the stretch."""
    found: list[tuple[int, int, Period]] = []
    taken = bytearray(len(folded) + 1)
    for pattern, read in _COMPILED:
        for match in pattern.finditer(folded):
            start, end = match.span()
            if start == end or any(taken[start:end]) or len(found) >= _MOST:
                continue
            period = read(match, today)
            if period is not None:
                taken[start:end] = b"\1" * (end - start)
                found.append((start, end, period))
    found.sort(key=lambda one: one[0])
    return [_meant(folded, one, before) for one, before in zip(found, [None, *found], strict=False)]


def _meant(folded: str, one: tuple[int, int, Period], previous: tuple[int, int, Period] | None) -> CjkMention:
    start, end, period = one
    before, after = folded[max(0, start - _LOOK) : start], folded[end : end + _LOOK]
    mode = ""
    if previous is not None and start > previous[1] and _TO.search(folded[previous[1] : start]):
        mode = "through"
    elif _UNTIL_POST.search(after) or _UNTIL.search(before):
        mode = "until"
    elif _AFTER_POST.search(after):
        mode = "after"
    elif _FROM_POST.search(after) or _FROM.search(before):
        mode = "start"
    left, right = _STOPS.split(before)[-1], _STOPS.split(after)[0]
    back, again = _BACK.search(right) or _BACK.search(left), _AGAIN.search(right) or _AGAIN.search(left)
    points = 4.0 * bool(back) + 2.0 * bool(again) + {"through": 3.0, "until": 3.0, "after": 2.5}.get(mode, 0.0)
    if mode == "start" and not (back or again):
        points -= 2
    if _PAST.search(right) and not mode:
        points -= 4
    return CjkMention(start, end, period, mode, points)
