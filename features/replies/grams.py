"""Words and runs of letters of a reply as hashed numbers, and what its form shows."""

import re
from collections import Counter
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from features.replies.folding import fold

BUCKETS: Final = 1 << 16
"""Places for hashed grams; the corpus has some 200,000 different ones, most of them once."""
_MOST: Final = 1_500
"""Characters that are read: some 250 words; a longer reply says what it wants before."""
_WORD: Final = re.compile(r"[^\W\d_]+|\d+|[?!¿¡？！]+|\.{2,}|…|[\u2600-\u27bf\U0001f300-\U0001faff]")
_DIGITS: Final = re.compile(r"\d")

FORM: Final = (
    "questions",
    "is_question_last",
    "exclamations",
    "digits",
    "times",
    "addresses",
    "links",
    "is_short",
    "log_words",
    "lines",
    "is_phone",
    "is_linkedin",
    "is_quoted",
    "is_signed",
    "is_executive",
    "is_shouting",
    "is_lower",
    "has_ellipsis",
    "has_emoji",
    "is_machine_by_content",
    "is_answer",
)
"""Names of the numbers that `form` gives."""
_TIME: Final = re.compile(r"\b\d{1,2}\s?(?:[:h.]\s?\d{2}|uhr|am|pm|時|点|點)|\b\d{1,2}\s?[ap]\.?m\b", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"\S@\S+\.\S|\(at\)|\[at\]")
_LINK: Final = re.compile(r"https?://|www\.")
_EMOJI: Final = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
EXECUTIVE: Final = re.compile(
    r"\b(?:C[EFTOIMPRH]S?O|CISO|CHRO|CDO)\b|\b(?:chief \w+ officer|managing director|owner|founder|president"
    r"|geschäftsführer\w*|vorstand\w*|pdg|directeur général|directrice générale|director general|directora general"
    r"|diretora?[- ]geral|amministrat\w+ delegat\w|algemeen directeur|verkställande direktör|vd|prezes\w*"
    r"|dyrektor generalny)\b|代表取締役|社長|总经理|總經理|首席|董事长|董事長",
    re.IGNORECASE,
)
"""Titles of those who lead a company, in signatures."""
_ANSWER: Final = re.compile(r"\s*(?:re|aw|sv|vs|odp|antw?|rif|res|回复|回覆|答复)\s*[:：]", re.IGNORECASE)


def grams(text: str, subject: str | None = None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Places and values, of length 1 together, of a text's words, pairs of words, and runs of 2 to 5 letters."""
    folded = fold(text[:_MOST])
    words = [_DIGITS.sub("0", word) for word in _WORD.findall(folded)]
    found: Counter[str] = Counter()
    for word in words:
        padded = f" {word} "
        for size in (2, 3, 4, 5):
            for at in range(len(padded) - size + 1):
                found[padded[at : at + size]] += 1
    found.update(f"w:{word}" for word in words)
    found.update(f"p:{a} {b}" for a, b in zip(["^", *words], [*words, "$"], strict=True))
    if subject:
        found.update(f"s:{word}" for word in _WORD.findall(fold(subject[:200])))
    values: dict[int, float] = {}
    for gram, count in found.items():
        place = crc32(gram.encode("utf-8", "replace")) & (BUCKETS - 1)
        values[place] = values.get(place, 0.0) + 1.0 + float(np.log(count))
    places = np.fromiter(sorted(values), np.int32, len(values))
    weights = np.array([values[int(place)] for place in places], np.float32)
    norm = float(np.sqrt((weights * weights).sum()))
    return places, weights / np.float32(norm) if norm else weights


def form(
    text: str, *, channel: str | None, subject: str | None, quoted: str, signature: str, machine: bool
) -> list[float]:
    """What a reply looks like, as the numbers that `FORM` names, each some 0 to 2."""
    text = text[:8_000]
    words = text.split()
    asks = text.count("?") + text.count("？")
    letters = [c for c in text if c.isalpha()]
    upper = sum(c.isupper() for c in letters)
    return [
        min(asks, 4) / 2,
        float(text.rstrip().endswith(("?", "？"))),
        min(text.count("!") + text.count("！"), 4) / 2,
        min(sum(c.isdigit() for c in text), 20) / 10,
        min(len(_TIME.findall(text)), 3) / 2,
        float(bool(_ADDRESS.search(text))),
        float(bool(_LINK.search(text))),
        float(len(text) < 30),
        float(np.log1p(len(words) + len(text) / 12)) / 2,
        min(text.count("\n"), 10) / 5,
        float(channel == "phone"),
        float((channel or "").startswith("linkedin")),
        float(bool(quoted)),
        float(bool(signature)),
        float(bool(EXECUTIVE.search(signature))),
        float(len(letters) > 8 and upper > 0.7 * len(letters)),
        float(len(letters) > 8 and upper == 0),
        float("..." in text or "…" in text),
        float(bool(_EMOJI.search(text))),
        float(machine),
        float(bool(subject and _ANSWER.match(subject))),
    ]
