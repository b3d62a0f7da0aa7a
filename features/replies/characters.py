"""A text in plain characters: line ends, spaces, and the marks that nobody sees."""

import re
from typing import Final

MOST_RAW: Final = 2**18
"""Characters of a text as received that are made plain."""
MOST_CHARACTERS: Final = 64_000
"""Characters of a plain text that are looked at, some 10,000 words: no person writes more in answer to an offer."""
MOST_LINES: Final = 2_000
"""Lines that are looked at: a flood of empty lines is cut, too."""
_BREAKS: Final = re.compile("\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_SPACES: Final = re.compile("[\t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Controls, soft hyphen, grapheme joiner (pads previews), zero widths, marks of direction, object replacement, surrogates.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufffc\ufffe\uffff\ud800-\udfff]"
)
_JOINER: Final = re.compile("(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d")
"""The zero-width joiner where it joins no emoji."""


def tidied(text: str) -> str:
    r"""The text with line ends `\\n`, plain spaces, and nothing that a reader cannot see."""
    text = _SPACES.sub(" ", _BREAKS.sub("\n", text))
    return _JOINER.sub("", _UNSEEN.sub("", text))


def cut(text: str) -> tuple[str, str]:
    """What of a text is looked at, and the rest."""
    end = min(len(text), MOST_CHARACTERS)
    at = -1
    for _ in range(MOST_LINES):
        at = text.find("\n", at + 1, end)
        if at < 0:
            return text[:end], text[end:]
    return text[:at], text[at:]
