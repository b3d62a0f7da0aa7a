"""General phrases by which people say what they mean, from `data/reply_cues.toml`, counted in a reply."""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final

from features.replies.folding import fold

CUES: Final = (
    "unsubscribe",
    "referral",
    "meeting_request",
    "not_now",
    "objection",
    "question",
    "interested",
    "not_interested",
    "out_of_office",
    "anger",
    "urgent",
    "technical",
)
"""Sections of the table, in the order of the numbers of `cues`."""
_MOST: Final = 3
"""Phrases of one kind that count; more say nothing new."""
_MOST_CHARACTERS: Final = 2_000
_WITHOUT_SPACES: Final = frozenset({"ja", "zh"})


def cues(text: str, language: str) -> list[float]:
    """How much of each of `CUES` a text holds, 0 to 1, by the phrases of its language and of English, which people mix in."""
    folded = fold(text[:_MOST_CHARACTERS])
    found = []
    for name in CUES:
        patterns = {_patterns(name).get(code) for code in (language, "en")} - {None}
        hits = {match for pattern in patterns if pattern is not None for match in pattern.findall(folded)}
        found.append(min(_MOST, len(hits)) / _MOST)
    return found


@lru_cache(maxsize=len(CUES))
def _patterns(name: str) -> Mapping[str, re.Pattern[str]]:
    return {
        language: re.compile(f"(?:{words})" if language in _WITHOUT_SPACES else rf"(?<!\w)(?:{words})")
        for language, words in _table()[name].items()
    }


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(files("data").joinpath("reply_cues.toml").read_text(encoding="utf-8"))
