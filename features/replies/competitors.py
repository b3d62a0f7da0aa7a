"""The product that a writer says he uses already: one that is well known, or a name after words like "we use"."""

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import Final

from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.people import NOT_NAMES
from features.replies.reply_words import words

_NAME: Final = r"(?P<name>(?:[a-z](?=[A-Z]))?[A-ZÀ-ÖØ-Þ0-9][\w&+.-]*[\w+](?: [A-Z0-9][\w&+-]+){0,2})"
_ARTICLE: Final = words("competitors", "article")
_USE: Final = re.compile(words("competitors", "use"))
_AFTER: Final = re.compile(words("competitors", "after"))
_CJK: Final = (
    re.compile(words("competitors", "cjk")),
    re.compile(words("competitors", "cjk_2")),
)
_NOT_A_PRODUCT: Final = frozenset(words("competitors", "not_a_product").split("|"))


@lru_cache(maxsize=1)
def _known() -> tuple[re.Pattern[str], dict[str, str]]:
    with files("data").joinpath("products.csv").open(encoding="utf-8") as file:
        names = [row["product"] for row in csv.DictReader(file)]
    parts = [re.escape(n) for n in sorted(names, key=len, reverse=True)]
    return re.compile(
        rf"(?<![a-z0-9_@./-])(?:{'|'.join(parts)})(?![a-z0-9_@-]|\.[a-z0-9])", re.IGNORECASE | re.ASCII
    ), {n.lower(): n for n in names}


_COMMON_WORDS: Final = frozenset(words("competitors", "common_words").split("|"))
"""Products that are words of everyday language: they count with a capital in the middle of a sentence only."""


def competitor(text: str, language: str, intent: str) -> str | None:
    """A named product in use, as written, or None; only where the writer holds back because of it."""
    if intent not in {
        "objection",
        "not_now",
        "question",
        "not_interested",
        "interested",
        "meeting_request",
        "referral",
    }:
        return None
    text = text[:MOST_CHARACTERS]
    folded = fold(text)
    if intent in {"objection", "not_now"} or _USE.search(folded):
        found = _in_use(text, folded, strict=intent != "objection")
        if found:
            return found
    if language in {"ja", "zh"} and intent in {"objection", "not_now"}:
        return next((m["name"] for p in _CJK for m in p.finditer(text) if m["name"] not in _NOT_A_PRODUCT), None)
    return None


def known_products(text: str) -> list[tuple[int, int]]:
    """Where products that are well known stand in the text; everyday words count with a capital only."""
    return [match.span() for match in islice(_known_in(text), 20)]


def _known_in(text: str) -> Iterator[re.Match[str]]:
    pattern, _ = _known()
    return (m for m in pattern.finditer(text) if m[0].lower() not in _COMMON_WORDS or m[0][:1].isupper())


def _in_use(text: str, folded: str, *, strict: bool) -> str | None:
    """A known product, else a capitalized name after "we use"; strictly, both need such words."""
    for match in _known_in(text):
        before = folded[max(0, match.start() - 60) : match.start()]
        if not strict or _USE.search(before):
            return match[0]
    for match in re.finditer(rf"(?<![\w@./-]){_NAME}(?![\w@])", text):
        start, name = _without_verb(match.start("name"), match["name"].rstrip("."))
        before, after = folded[max(0, start - 60) : start], folded[start + len(name) : start + len(name) + 30]
        first = name.split(" ")[0]
        if first in _NOT_A_PRODUCT or not first[:1].isalpha() or fold(first) in NOT_NAMES:
            continue
        used, inner = _USE.search(before), re.search(r"[a-z][A-Z]", name) is not None
        if not inner and not used and (not before.strip() or before.rstrip()[-1:] in '.!?:\n"(”'):
            continue
        if (used and (inner or not strict)) or (not strict and _AFTER.match(after)):
            return name
    return None


def _without_verb(start: int, name: str) -> tuple[int, str]:
    """The name without a first word like "Using" that only has its capital from the start of the sentence."""
    first, _, rest = name.partition(" ")
    if rest and (fold(first) in NOT_NAMES or _USE.search(fold(first) + " ")):
        return start + len(first) + 1, rest
    return start, name
