"""A text folded for matching: lower case, without accents, half width; each character stays at its place."""

import re
import unicodedata
from typing import Final

MOST_CHARACTERS: Final = 8_000
"""Characters of a reply that extraction looks at, some 1,300 words: ten times the longest reply that people write."""
_ODD: Final = {"ß": "s", "ł": "l", "ø": "o", "æ": "a", "đ": "d", "ı": "i", "’": "'", "‘": "'", "´": "'", "`": "'"}
"""Letters that Unicode does not decompose, and apostrophes, which keyboards write in many ways."""
_ENDS: Final = re.compile(r"[!?;。！？；\n]|\.(?=\s+[^\W\d_a-z]|\s*$)|(?<=[^\W\d])\.(?=\s)")
"""Where a clause ends; the point of an ordinal ("am 4. Mai") is none."""


class _Folding(dict[int, str]):
    """A translation table that learns each character when it first sees it."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold(chr(code))
        return folded


def _fold(char: str) -> str:
    if char in _ODD:
        return _ODD[char]
    plain = unicodedata.normalize("NFKD", char) if not "가" <= char <= "힣" else char
    # Kana lose no voicing marks: が and か are different letters.
    base = char if "\u3040" <= char <= "\u30ff" else plain[:1] or char
    lower = base.lower()
    return _ODD.get(lower, lower if len(lower) == 1 else base)


_TABLE: Final = _Folding()


def fold(text: str) -> str:
    """The text in lower case without accents, of the same length, so that places in it are places in the text.

    >>> fold("Größe, ŁÓDŹ, ça")
    'grose, lodz, ca'
    """
    return text.translate(_TABLE)


def clause_ends(folded: str) -> list[int]:
    """Places after which a new clause begins, in rising order, with the end of the text."""
    return [*(match.end() for match in _ENDS.finditer(folded)), len(folded)]
