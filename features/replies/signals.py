"""What a reply says between the lines of a deal: kind of objection, budget, authority, need, time, interest, questions."""

import re
from collections.abc import Mapping
from typing import Final

from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.reply_words import words

OBJECTION_TYPES: Final = ("budget", "timing", "authority", "need", "competitor", "trust")

_BUDGET: Final = words("signals", "budget")
_TIMING: Final = words("signals", "timing")
_AUTHORITY: Final = words("signals", "authority")
_NEED: Final = words("signals", "need")
_COMPETITOR: Final = words("signals", "competitor")
_TRUST: Final = words("signals", "trust")
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "budget": re.compile(_BUDGET),
    "timing": re.compile(_TIMING),
    "authority": re.compile(_AUTHORITY),
    "need": re.compile(_NEED),
    "competitor": re.compile(_COMPETITOR),
    "trust": re.compile(_TRUST),
}
_WEIGHTS: Final = {"budget": 1.1, "timing": 0.6, "authority": 0.9, "need": 0.5, "competitor": 0.9, "trust": 0.8}
"""How much a word of the kind tells, fitted by hand on the development part of the corpus."""
_MOST_WORDS: Final = 4
"""Words of a kind that count; more say nothing new."""

_BANT: Final[Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    "budget": (
        ("none", re.compile(words("signals", "bant"))),
        ("frozen", re.compile(words("signals", "bant_2"))),
        ("approved", re.compile(words("signals", "bant_3"))),
        ("price", _PATTERNS["budget"]),
    ),
    "authority": (("others", _PATTERNS["authority"]),),
    "need": (
        ("present", re.compile(words("signals", "bant_4"))),
        ("absent", re.compile(words("signals", "bant_5"))),
    ),
    "timeline": (
        ("now", re.compile(words("signals", "bant_6"))),
        ("quarter", re.compile(r"\bq[1-4]\b|quartal|trimest|kwarta|四半期|季度")),
        ("year", re.compile(words("signals", "bant_7"))),
        ("contract_end", re.compile(words("signals", "bant_8"))),
    ),
}
_WARM: Final = re.compile(words("signals", "warm"))
_COLD: Final = re.compile(words("signals", "cold"))
_LEVEL: Final = {
    "meeting_request": "high",
    "interested": "high",
    "question": "medium",
    "not_now": "low",
    "objection": "low",
    "referral": "low",
    "not_interested": "none",
    "unsubscribe": "none",
    "out_of_office": "none",
}
_SENTENCE: Final = re.compile(r"[^.!?？！。\n]*+(?:[.!?？！。\n]++|$)")
_MOST_QUESTIONS: Final = 10


def objection_scores(text: str, language: str) -> dict[str, float]:
    """How much the words point to each of `OBJECTION_TYPES`: 0 for none, up to some 5; not probabilities.

    The words of all languages are looked for, since people mix them; `language` only tells who asks.
    """
    del language
    folded = fold(text[:MOST_CHARACTERS])
    return {
        kind: _WEIGHTS[kind] * min(_MOST_WORDS, sum(1 for _ in _PATTERNS[kind].finditer(folded)))
        for kind in OBJECTION_TYPES
    }


def objection_type(text: str, language: str, product: str | None) -> str:
    """The kind of an objection by its words; doubt where no word tells, the commonest of such."""
    scores = objection_scores(text, language)
    if product is not None:
        scores["competitor"] += 2.5
    best = max(OBJECTION_TYPES, key=lambda kind: scores[kind])
    return best if scores[best] > 0 else "trust"


def bant(text: str) -> dict[str, str]:
    """Short words on budget, authority, need and timeline, for those of them that the text mentions."""
    folded = fold(text[:MOST_CHARACTERS])
    found = {kind: next((word for word, p in words if p.search(folded)), None) for kind, words in _BANT.items()}
    return {kind: word for kind, word in found.items() if word is not None}


def interest_level(text: str, intent: str) -> str:
    """How interested the sender is: high, medium, low or none; the intent says most, warm or cold words shift it."""
    level = _LEVEL.get(intent, "low")
    folded = fold(text[:MOST_CHARACTERS])
    warm, cold = _WARM.search(folded), _COLD.search(folded)
    if level == "low" and warm and not cold:
        return "medium"
    if level == "medium" and warm and not cold:
        return "high"
    return "none" if level == "low" and cold else level


def questions(text: str) -> tuple[str, ...]:
    """The sentences that end in a question mark, as written."""
    text = text[:MOST_CHARACTERS]
    found = [m[0].strip(" \n\t\"'»«-*>") for m in _SENTENCE.finditer(text) if "?" in m[0] or "？" in m[0]]
    return tuple(dict.fromkeys(q for q in found if len(q) > 2))[:_MOST_QUESTIONS]
