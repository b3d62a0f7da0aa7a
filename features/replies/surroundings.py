"""What stands around each word of a reply, as names of features for the taggers of people, times and products."""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from features.replies.date_words import alternation, date_words, languages
from features.replies.people import NOT_NAMES, pointers
from features.replies.reply_words import words
from features.replies.tagging import Word

_PAD: Final = Word(0, 0, "^", "^")
_SIDE: Final = 4
_MOST_SPANS: Final = 40
_LATIN_CAPITAL: Final = frozenset({"X", "Xx", "XX", "XxX"})
_ENDS: Final = frozenset(".!?¶。！？;；…")
_WIDE: Final = frozenset("khK")
_CAPITAL: Final = _LATIN_CAPITAL | _WIDE
_PRODUCT_SHAPES: Final = _CAPITAL | {"xX", "d1", "d2"}
_TITLE: Final = re.compile(words("people", "title").removesuffix(r"\s*$") + r"(?![\w])")

Features = list[list[str] | None]


@lru_cache(maxsize=1)
def _personal_names() -> Mapping[str, str]:
    """Kinds of names people have, G given and F family, of folded words; signs of Chinese and Japanese as written."""
    with files("data").joinpath("personal_names.csv").open(encoding="utf-8") as file:
        return {row["name"]: row["kind"][0].upper() for row in csv.DictReader(file)}


def _kinds_of_names(row: Sequence[Word]) -> list[str]:
    """G, F or - of each word; of signs the beginning and inside of the longest name that stands there."""
    known = _personal_names()
    kinds = ["-"] * len(row)
    at = 0
    while at < len(row):
        if row[at].shape not in _WIDE:
            kinds[at] = known.get(row[at].text, "-")
        else:
            for length in (3, 2, 1):
                name = "".join(w.text for w in row[at : at + length])
                if name in known:
                    for place in range(at, min(len(row), at + length)):
                        kinds[place] = known[name] + ("b" if place == at else "i") + str(length)
                    at += length - 1
                    break
        at += 1
    return kinds


def _sides(texts: Sequence[str]) -> list[str]:
    return ["^"] * _SIDE + list(texts) + ["^"] * _SIDE


def _starts(row: Sequence[Word]) -> list[bool]:
    """Whether a word begins a sentence or a line."""
    starts, is_start = [], True
    for word in row:
        starts.append(is_start)
        is_start = word.shape in _ENDS or word.shape == ":" or (is_start and not word.shape[0].isalnum())
    return starts


def _near(row: Sequence[Word], at: int, reach: int) -> list[str]:
    """The words of the sentence up to so many before and after, each marked with its side."""
    found = []
    for step, mark in ((-1, "<"), (1, ">")):
        place = at + step
        while 0 <= place < len(row) and abs(place - at) <= reach and row[place].shape not in _ENDS:
            found.append(mark + row[place].text)
            place += step
    return found


def _windows(
    out: list[str], at: int, text: Sequence[str], shape: Sequence[str], kind: Sequence[str], *, is_wide: bool
) -> None:
    """Adds words, shapes and kinds of the neighbours, alone and side by side; `at` counts the padding."""
    a, b, c, d, e = text[at - 2 : at + 3]
    out += ("0" + c, "-1" + b, "+1" + d, "-2" + a, "+2" + e, "-3" + text[at - 3], "+3" + text[at + 3])
    out += (f"-1,0{b} {c}", f"0,1{c} {d}", f"-2,-1{a} {b}", f"1,2{d} {e}")
    out += (f"S{shape[at]}", f"S-{shape[at - 1]} {shape[at]}", f"S+{shape[at]} {shape[at + 1]}")
    out += (f"S={shape[at - 1]} {shape[at]} {shape[at + 1]}", f"S2{shape[at - 2]} {shape[at - 1]} {shape[at]}")
    k = kind[at]
    out += (f"K{k}", f"K-{kind[at - 1]} {k}", f"K+{k} {kind[at + 1]}", f"K={kind[at - 1]} {k} {kind[at + 1]}")
    out += (
        f"K-1{b} {k}",
        f"K+1{k} {d}",
        f"K-2{kind[at - 2]} {kind[at - 1]} {k}",
        f"K+2{k} {kind[at + 1]} {kind[at + 2]}",
    )
    if is_wide:
        out += ("-4" + text[at - 4], "+4" + text[at + 4], f"-3,-2,-1{text[at - 3]}{a}{b}", f"1,2,3{d}{e}{text[at + 3]}")
        out += (f"-2..0{a}{b}{c}", f"0..2{c}{d}{e}", f"2,3{e}{text[at + 3]}", f"-3,-2{text[at - 3]}{a}")
    else:
        out += ("p-1" + b[:4], "p-2" + a[:4], "p+1" + d[:4], "p+2" + e[:4], "s0" + c[-3:])
        out += (f"P-2,-1{a[:4]} {b[:4]}", f"P1,2{d[:4]} {e[:4]}")


def _flags(row: Sequence[Word], spans: Sequence[tuple[int, int]]) -> list[str]:
    """b, i or - of each word: whether it begins or is inside one of the spans of characters."""
    flags = ["-"] * len(row)
    for start, end in spans[:_MOST_SPANS]:
        for at, word in enumerate(row):
            if word.start < end and word.end > start and flags[at] == "-":
                flags[at] = "b" if at == 0 or row[at - 1].end <= start else "i"
    return flags


def _runs(row: Sequence[Word], capital: Sequence[bool]) -> tuple[list[int], int]:
    """Of each word the number, up to 4, of its run of capitals that no sentence begins with, and how many there are."""
    starts, order, count = _starts(row), [], 0
    for at, is_capital in enumerate(capital):
        is_first = is_capital and (at == 0 or not capital[at - 1] or starts[at - 1])
        count += is_first and not starts[at] and row[at].text not in NOT_NAMES
        order.append(min(count, 4))
    return order, min(count, 4)


def name_features(
    row: Sequence[Word], folded: str, intent: str, ruled: Sequence[tuple[int, int]], address: tuple[int, str] | None
) -> Features:
    """Features of each word that may belong to a person's name.

    `ruled` are the spans of characters that rules took for the name; `address` the place and text of the mailbox named.
    """
    if not row:
        return []
    kinds, starts, flags = _kinds_of_names(row), _starts(row), _flags(row, ruled)
    titles = _flags(row, [match.span(1) for match in _TITLE.finditer(folded)])
    local = re.sub(r"[^a-z]", "", address[1].split("@")[0]) if address else ""
    text, shape = _sides([w.text for w in row]), _sides([w.shape for w in row])
    kind = _sides(
        [
            f"{k}{'N' if w.text in NOT_NAMES else ''}{'T' if t != '-' else ''}"
            for w, k, t in zip(row, kinds, titles, strict=True)
        ]
    )
    capital = [
        w.shape in _CAPITAL or t != "-" or (k == "G" and len(w.text) > 3)
        for w, t, k in zip(row, titles, kinds, strict=True)
    ]
    order, count = _runs(row, capital)
    capital = [*capital, False, False]
    found: Features = []
    for at, word in enumerate(row):
        if not capital[at] and not (at and capital[at - 1] and (capital[at + 1] or capital[at + 2])):
            found.append(None)
            continue
        out = ["1", "I" + intent, "R" + flags[at], f"R{flags[at]} {intent}", f"B{starts[at]} {word.shape} {kinds[at]}"]
        _windows(out, at + _SIDE, text, shape, kind, is_wide=word.shape in _WIDE)
        near = _near(row, at, 7)
        out += near
        if word.shape == "x" or word.shape in _LATIN_CAPITAL:
            out += [near_word[:5] + "*" for near_word in near]
            cue, own, duty, gone = pointers(folded, word.start, word.end)
            out += (f"Cc{cue}", f"Co{own}", f"Cd{duty}", f"Cg{gone}", f"C{cue}{own}{duty}{gone} {intent}")
        is_local = len(word.text) > 2 and word.text in local
        out.append(f"A{is_local} {intent}")
        if address is not None:
            out.append(f"M{0 <= address[0] - word.end < 8} {word.shape}")
        out += (f"Q{order[at]} {count}", f"Q{order[at]} {count} {intent} {starts[at]} {kinds[at][0]}")
        out.append(f"RK{flags[at]} {kinds[at]} {starts[at]} {is_local}")
        is_alone = at == 0 or row[at - 1].shape == "¶", at + 1 == len(row) or row[at + 1].shape == "¶"
        out.append(f"Z{is_alone[0]} {is_alone[1]}")
        found.append(out)
    return found


@lru_cache(maxsize=16)
def _classes(language: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    say = date_words(language if language in languages() else "en")
    english = date_words("en")
    table = {
        "N": alternation(dict(say.numbers)),
        "G": words("times", "glue"),
        "P": words("times", "part"),
        "M": alternation({**english.months, **say.months}) + r"\.?",
        "W": alternation({**english.weekdays, **say.weekdays}) + r"\.?",
        "U": words("times", "units_ahead"),
        "T": words("times", "today"),
        "C": words("times", "clock"),
        "Z": words("times", "zone"),
    }
    return tuple((name, re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")) for name, pattern in table.items())


_WIDE_CLASSES: Final = tuple(
    (name, re.compile(words("times", f"cjk_{word}")))
    for name, word in (("P", "part"), ("W", "weekday"), ("T", "today"), ("M", "month"), ("C", "clock"))
)
_WEAK_KINDS: Final = frozenset("-GgNn")
_REACH: Final = 3
"""Words beside a day, an hour or a number that may belong to a time."""
_NUMBER: Final = ((12, "a"), (24, "b"), (31, "c"), (59, "d"))


def _time_kinds(row: Sequence[Word], folded: str, language: str) -> list[str]:
    """The class of each word: weekday, month, part of a day, clock; B before what begins one."""
    table = _WIDE_CLASSES if language in {"ja", "zh"} else _classes(language)
    starts = {w.start: at for at, w in enumerate(row)}
    kinds = ["-"] * len(row)
    for name, pattern in table:
        for match in pattern.finditer(folded):
            at = starts.get(match.start(), -1)
            if at < 0:
                continue
            mark = name
            while at < len(row) and row[at].end <= match.end():
                kinds[at] = mark
                mark, at = name.lower(), at + 1
    return kinds


def _number(word: Word) -> str:
    if len(word.text) > 2 or not (word.text.isascii() and word.text.isdecimal()):
        return word.shape
    return next((mark for most, mark in _NUMBER if int(word.text) <= most), "e") + str(len(word.text))


def time_features(row: Sequence[Word], folded: str, language: str, ruled: Sequence[tuple[int, int]]) -> Features:
    """Features of each word that may belong to a proposed time; `ruled` are the spans of characters found by rules."""
    if not row:
        return []
    kinds, flags = _time_kinds(row, folded, language), _flags(row, ruled)
    marked = [k not in _WEAK_KINDS or f != "-" or w.shape[0] == "d" for k, f, w in zip(kinds, flags, row, strict=True)]
    near = [any(marked[max(0, at - _REACH) : at + _REACH + 1]) for at in range(len(row))]
    text = _sides([w.text if w.shape[0] != "d" else "#" for w in row])
    shape, kind = _sides([_number(w) for w in row]), _sides(kinds)
    spoken = any(w.shape in ".,?!。、，" for w in row)
    found: Features = []
    for at, word in enumerate(row):
        if not near[at]:
            found.append(None)
            continue
        place = at + _SIDE
        out = ["1", "R" + flags[at], f"R-{flags[at - 1] if at else '^'} {flags[at]}", f"RK{flags[at]} {kinds[at]}"]
        _windows(out, place, text, shape, kind, is_wide=word.shape in _WIDE)
        out += (f"KS{kinds[at]} {shape[place - 1]} {shape[place + 1]}", f"F{spoken} {kinds[at]}")
        out += (f"RR{flags[at]} {kind[place - 1]} {kind[place + 1]}", "K3" + "".join(kind[place - 3 : place + 1]))
        out += ("K4" + "".join(kind[place : place + 4]), "K5" + "".join(kind[place - 2 : place + 3]))
        if marked[at]:
            out += _near(row, at, 6)
        found.append(out)
    return found


def product_features(
    row: Sequence[Word], intent: str, ruled: Sequence[tuple[int, int]], known: Sequence[tuple[int, int]]
) -> Features:
    """Features of each word that may belong to a product's name; `known` are the spans of products that are well known."""
    if not row:
        return []
    kinds, starts, flags, famous = _kinds_of_names(row), _starts(row), _flags(row, ruled), _flags(row, known)
    text, shape = _sides([w.text for w in row]), _sides([w.shape for w in row])
    kind = _sides([f"{f}{'N' if w.text in NOT_NAMES else k[0]}" for w, k, f in zip(row, kinds, famous, strict=True)])
    found: Features = []
    for at, word in enumerate(row):
        if (
            word.shape not in _PRODUCT_SHAPES
            and flags[at] == famous[at] == "-"
            and not (at and row[at - 1].shape in _LATIN_CAPITAL)
        ):
            found.append(None)
            continue
        out = ["1", "I" + intent, "R" + flags[at], f"R{flags[at]} {intent}", f"B{starts[at]} {word.shape}"]
        _windows(out, at + _SIDE, text, shape, kind, is_wide=word.shape in _WIDE)
        out += _near(row, at, 7)
        out.append(f"RK{flags[at]} {famous[at]} {starts[at]} {word.shape}")
        found.append(out)
    return found
