"""What we asked last: our newest message in a thread, its last question, and what that offers, by phrases of eleven languages."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from features.replies.cleaning import clean
from features.replies.folding import fold
from features.replies.languages import language_of
from features.replies.quote_words import VERBS
from features.replies.quotes import is_separator, label_of

OFFERS: Final = (
    "remove", "close", "meet", "later", "send", "you", "who", "interest", "tool", "happy", "blocker",
)  # fmt: skip
"""What a question may be about: to take off the list, to close the file, to meet, to come back later, to send something,
whether we write to the right person, who else it is, whether it is of interest, what is in use, whether that is liked, what
stands in the way."""
WITHOUT_SPACES: Final = frozenset({"ja", "zh"})
_MOST_CHARACTERS: Final = 4_000
"""Of a message of ours, its end: who asks for an answer asks there."""
_MARK: Final = re.compile(r"[ ]{0,4}[>＞]+ ?")
_MARKS: Final = re.compile(r"[ >＞]*")
_WROTE: Final = re.compile(rf"(?:{VERBS})[^\n]{{0,40}}[:：]?\s*$|[:：]\s*$", re.IGNORECASE)
_END: Final = re.compile(r"(?<=[?？!！。])|(?<=[.;:：])(?=\s)|\n")
_ASKS: Final = re.compile(r"[?？][\"'”»」)\s]*$|(?:か|ですか|ますか|でしょうか)[。\s]*$|[吗呢][。\s]*$")
_OPTION: Final = re.compile(
    r"(?m)^[ \t*•>(\[-]*([1-6１-６①-⑥]|[a-e])\s?[).:：=、．–—\]-]+[ \t]*(\S.{1,160})$", re.IGNORECASE
)
_CHOICE: Final = re.compile(r"[\s(#\[]*(?:option|nr|no|nummer|numero|n°|opcion|opcao|opzione|optie|alternativ|opcja|选项?|我选)?"
                            r"[.\s]*([1-6１-６①-⑥]|[a-e])[\s).!。番です号的]*", re.IGNORECASE)  # fmt: skip
_LONGEST_CHOICE: Final = 40
_HEADING: Final = 300
"""Characters of a quotation in which its headers stand."""
_FEW: Final = 2
"""Sentences at the end of a message without a question that may still ask for an answer."""


class Asked(NamedTuple):
    """The sentence of ours that a reply answers, and what it offers; `told` is the word that it tells to answer with."""

    sentence: str
    offers: frozenset[str]
    is_question: bool
    is_turned: bool
    told: str
    language: str


NOTHING: Final = Asked("", frozenset(), False, False, "", "")  # noqa: FBT003 - a tuple's fields


def last_of_ours(quoted: str, known: str) -> str:
    """Our newest message: what the reply quotes first, else what is known otherwise; empty where there is neither.

    What was passed on within their house is not ours.
    """
    if _is_passed_on(quoted[:_HEADING]):
        return ""
    return first_message(quoted) or clean(known[-_MOST_CHARACTERS:]).written


def _is_passed_on(heading: str) -> bool:
    """Whether separators and headers before a quotation's first words say that it was forwarded."""
    for line in heading.split("\n"):
        if _MARK.match(line) or not _introduces(line):
            return False
        if _said("forwarded").search(fold(line)):
            return True
    return False


def first_message(quoted: str) -> str:
    r"""The newest message within a quotation, without what introduces it and without what it quotes itself.

    >>> first_message("On Mon, 2 Mar 2026, Al <al@example.com> wrote:\n> Hi, may I call?\n>> Who are you?")
    'Hi, may I call?'
    """
    lines = quoted[:_MOST_CHARACTERS].split("\n")
    marked = [line for line in lines if _MARK.match(line)]
    if marked:
        depth = min(_depth(line) for line in marked)
        body = [_MARKS.sub("", line, count=1) for line in marked if _depth(line) == depth]
    else:
        body = lines
    at = 0
    while at < min(len(body), 12) and _introduces(body[at]):
        at += 1
    return clean("\n".join(body[at:])).written


def _depth(line: str) -> int:
    return len(_MARKS.match(line)[0].replace(" ", ""))  # type: ignore[index] # it matches always


def _introduces(line: str) -> bool:
    return not line.strip() or is_separator(line) or label_of(line) is not None or _WROTE.search(line[:300]) is not None


@lru_cache(maxsize=8)
def asked_in(message: str) -> Asked:
    """What a message of ours asks: its last question, else the last of its sentences that offer something."""
    message = message[-_MOST_CHARACTERS:]
    language = language_of(message)
    sentences = [part.strip() for part in _END.split(message) if part.strip()]
    found = [_asked(part, language) for part in sentences]
    questions = [one for one in found if one.is_question]
    answerable = [one for one in found if one.told and one.offers]
    if questions:
        return _with_word(_with_offers(found, questions), answerable)
    telling = [one for one in found[-_FEW - 1 :] if one.offers]
    return _with_word(telling[-1], answerable) if telling else NOTHING


def _with_offers(found: Sequence[Asked], questions: Sequence[Asked]) -> Asked:
    """The last question; where it offers nothing itself ("may I?"), with what the sentences before it offer."""
    last = questions[-1]
    if last.offers:
        return last
    at = max(place for place, one in enumerate(found) if one is last)
    before = [one for one in found[max(0, at - _FEW) : at] if one.offers]
    telling = before or [one for one in questions if one.offers]
    return (
        last._replace(sentence=f"{telling[-1].sentence} {last.sentence}", offers=telling[-1].offers)
        if telling
        else last
    )


def _with_word(asked: Asked, answerable: Sequence[Asked]) -> Asked:
    """The sentence that tells which word to answer with, where there is one and it comes last."""
    return answerable[-1] if answerable and not asked.told else asked


def options_of(message: str) -> Mapping[str, str]:
    """The numbered or lettered answers that a message of ours lets choose from."""
    found = {_sign(sign): words.strip() for sign, words in _OPTION.findall(message[-_MOST_CHARACTERS:])}
    return found if len(found) > 1 else {}


def choice_of(written: str) -> str:
    """The number or letter that a reply consists of, else nothing."""
    written = written.strip()
    found = _CHOICE.fullmatch(written) if len(written) <= _LONGEST_CHOICE else None
    return _sign(found[1]) if found else ""


def _sign(text: str) -> str:
    return "123456"["①②③④⑤⑥".index(text)] if text in "①②③④⑤⑥" else fold(text)


def _asked(sentence: str, language: str) -> Asked:
    folded = fold(sentence)
    codes = {language, "en"}
    offers = frozenset(
        name
        for name in OFFERS
        for code in codes
        if (pattern := _offer(name, code)) is not None and pattern.search(folded)
    )
    asks = _ASKS.search(sentence) is not None
    if not asks and _said("without").match(folded):
        offers = frozenset()
    word = _said("told").search(folded)
    told = next((group for group in word.groups() if group), "") if word else ""
    is_turned = _said("turned").search(folded) is not None
    return Asked(sentence, offers, asks, is_turned, told, language)


@lru_cache(maxsize=1)
def table() -> Mapping[str, Any]:
    """The words of `data/reply_answers.toml`."""
    return tomllib.loads(files("data").joinpath("reply_answers.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def _offer(name: str, language: str) -> re.Pattern[str] | None:
    words = table()["offers"][name].get(language, "").replace("\n", "")
    if not words:
        return None
    return re.compile(f"(?:{words})" if language in WITHOUT_SPACES else rf"(?<!\w)(?:{words})")


@lru_cache(maxsize=4)
def _said(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{table()['said'][name].replace(chr(10), '')})")
