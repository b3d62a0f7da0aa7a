"""The words of a reply that its meaning is read from, cut to what an encoder reads in time."""

import re
from typing import Final

from features.replies.cleaning import Cleaned

_HEAD_WORDS: Final = 60
_TAIL_WORDS: Final = 20
"""An encoder takes some 2 ms a word; people say what they want at the beginning or at the end."""
_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af"
_WIDE: Final = re.compile(f"[{_CJK}]")
_UNIT: Final = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_WIDE_IN_WORD: Final = 2
"""Signs of Chinese or Japanese that count as a word."""
_MOST_CHARACTERS: Final = 700
_LONG: Final = re.compile(r"(?:https?://|www\.)[!-~]+|[!-~]{40,}")


def words_of(cleaned: Cleaned, subject: str | None) -> str:
    """The sender's words; where there are none, the subject, else what the reply quotes or is signed with."""
    for part in (cleaned.written, subject or "", cleaned.quoted, cleaned.signature, cleaned.disclaimer):
        if part.strip():
            return part.strip()
    return ""


def shortened(text: str) -> str:
    """The first 60 and last 20 words of a text in one line; 2 signs of Chinese or Japanese count as a word.

    >>> shortened("See   https://example.com/a?b=c")
    'See link'
    """
    text = " ".join(_LONG.sub("link", text[:20_000]).split())
    per_word = _WIDE_IN_WORD if 3 * len(_WIDE.findall(text)) > len(text) else 1
    head, tail = _HEAD_WORDS * per_word, _TAIL_WORDS * per_word
    if len(text) > head:
        units = list(_UNIT.finditer(text))
        if len(units) > head + tail:
            text = text[: units[head - 1].end()] + " … " + text[units[-tail].start() :]
    if len(text) > _MOST_CHARACTERS:
        text = text[: _MOST_CHARACTERS * 3 // 4] + " … " + text[-_MOST_CHARACTERS // 4 :]
    return text
