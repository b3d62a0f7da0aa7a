"""The language of a reply, by py3langid, with what is likely among replies for short or mixed texts."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES: Final = ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ja", "zh")
"""The languages that the models know, as ISO 639-1."""
_KANA: Final = re.compile("[\u3040-\u30ff]")
_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_OWN_MARKS: Final = (
    ("pl", re.compile("[ąęłśźż]", re.IGNORECASE)),
    ("de", re.compile("ß")),
    ("es", re.compile("[¿¡ñ]", re.IGNORECASE)),
    ("pt", re.compile("[ãõ]", re.IGNORECASE)),
    ("sv", re.compile("å", re.IGNORECASE)),
)
"""Letters that one of the languages has and the others lack; they count as `_MARK_WORTH` nats."""
_MARK_WORTH: Final = 3.0
_ENGLISH_PRIOR: Final = 0.5
"""Nats in favour of English, which people mix into every language and write to foreigners."""
_FEW_LETTERS: Final = 25
"""Below some five words the thread decides as well."""
_THREAD_WORTH: Final = 1.5
_FOREIGN_LETTERS: Final = 60
_FOREIGN_MARGIN: Final = 12.0
"""Nats by which another language must lead, over a text of some ten words, to be told at all."""


def language_of(text: str, around: Sequence[str] = ()) -> str:
    """The ISO 639-1 code of the language that most of a text is written in.

    `around` holds the subject and earlier messages, which help where the text is short; without any letter, English.
    """
    text = text[:1_500]
    letters = len(_LETTER.findall(text))
    if not letters:
        joined = " ".join(part for part in around if part)[:1_500]
        return language_of(joined) if _LETTER.search(joined) else "en"
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    if 3 * (han + kana) > letters:
        if kana:
            return "ja" if 8 * kana >= han else "zh"
        return "ja" if letters < _FEW_LETTERS and any(_KANA.search(part[:500]) for part in around) else "zh"
    ranks = _ranks(text)
    scores = {code: ranks[code] for code in LANGUAGES}
    scores["en"] += _ENGLISH_PRIOR
    for code, mark in _OWN_MARKS:
        if mark.search(text):
            scores[code] += _MARK_WORTH
    if letters < _FEW_LETTERS:
        for part in around:
            if len(part.split()) > 2 and (found := language_of(part)) in scores:
                scores[found] += _THREAD_WORTH
    best = max(scores, key=lambda code: scores[code])
    foreign = max(ranks, key=lambda code: ranks[code])
    if foreign not in scores and letters >= _FOREIGN_LETTERS and ranks[foreign] > scores[best] + _FOREIGN_MARGIN:
        return foreign
    return best


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  # reads 4 MB when the first reply comes

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _ranks(text: str) -> dict[str, float]:
    """Log-likelihoods by language, up to a constant."""
    return {code: float(value) for code, value in _identifier().rank(text)}
