"""Short answers: yes, no or neither to what we asked last, and how far that shifts what a reply means.

A reply is left to itself where it is long, asks something, or says more than an answer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.replies.asked import (
    NOTHING,
    WITHOUT_SPACES,
    Asked,
    asked_in,
    choice_of,
    last_of_ours,
    options_of,
    table,
)
from features.replies.folding import fold
from features.replies.heads import INTENTS, NEXT_ACTIONS, SENTIMENTS, URGENCY_LEVELS, WIDTH, part, probabilities
from features.replies.reading import Reading, ReplyInput

MOST_WORDS: Final = 8
"""Words of a reply that may be but an answer, with courtesies: from 4 to 12 the figures of `train` are the same, with 2 fewer
answers are found."""
_NAMES: Final = 3
_STEM: Final = 4
_WIDE: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_WORD: Final = re.compile(r"[^\W_]+")
_KINDS: Final = ("no", "yes", "please", "filler")
_SURE_OFFER: Final = 0.6
"""Probability from which the heads' word on our question counts, where no phrase tells what it offers."""
_BY_HEADS: Final = {
    "unsubscribe": "remove", "meeting_request": "meet", "not_now": "later", "referral": "who", "interested": "send",
    "not_interested": "close",
}  # fmt: skip
_YES: Final[Mapping[str, tuple[str, float]]] = {
    "remove": ("unsubscribe", 6.0),
    "close": ("not_interested", 6.0),
    "meet": ("meeting_request", 6.0),
    "later": ("not_now", 6.0),
    "send": ("interested", 6.0),
    "you": ("interested", 3.0),
    "who": ("referral", 3.0),
    "interest": ("interested", 5.0),
    "happy": ("objection", 5.0),
}
_NO: Final[Mapping[str, tuple[str, float]]] = {
    "remove": ("interested", 4.0),
    "close": ("interested", 4.0),
    "you": ("objection", 4.0),
    "happy": ("interested", 2.0),
    "meet": ("not_interested", 2.0),
    "send": ("not_interested", 2.0),
    "later": ("not_interested", 2.0),
    "interest": ("not_interested", 2.0),
}
_NEITHER: Final[Mapping[str, tuple[str, float]]] = {
    "who": ("referral", 4.0),
    "you": ("referral", 3.0),
    "tool": ("objection", 4.0),
    "blocker": ("objection", 4.0),
}
"""Nats by what is offered, for an answer that is nothing but yes, no, or a name."""
_STRONGEST: Final = ("remove", "close", "later", "happy", "who", "you", "meet", "send", "interest")
"""Of several offers in one question, which an answer takes up: the narrower word first ("shall I send an invite?")."""
_TONE: Final[Mapping[str, tuple[str, str, str]]] = {
    "unsubscribe": ("negative", "low", "mark_closed"),
    "not_interested": ("negative", "low", "mark_closed"),
    "meeting_request": ("positive", "high", "schedule_meeting"),
    "not_now": ("neutral", "low", "add_to_nurture"),
    "referral": ("neutral", "low", "human_review"),
    "interested": ("positive", "medium", "auto_respond"),
    "objection": ("neutral", "medium", "human_review"),
}
"""Sentiment, urgency and next action that go with an intent in a bare answer, by the conventions of the labels."""
_TONE_WORTH: Final = 0.5
_KEPT: Final = (0.25, 0.6, 0.8, 1.0)
"""How much of what the words say alone stays, by how many are neither yes, no nor courtesy: "works" alone says nothing."""
_KEPT_BESIDE_NAMES: Final = 0.5
_SAYS_IT_ITSELF: Final = 0.9
"""Confidence from which words beside yes and no are left to what they say themselves."""

_POINTS_ELSEWHERE: Final = 0.985
"""The same where a product in use was asked for: its name alone looks like a person's."""

Floats = NDArray[np.float32]
Judge = Callable[[Sequence[str]], Floats]
"""Log-odds of texts read as if they were replies."""


class Meant(NamedTuple):
    """The intent that an answer has, by how many nats, beside how much of what its words say alone."""

    intent: str
    nats: float
    kept: float


class Answer(NamedTuple):
    """What a short reply consists of: `rest` are the words that are neither yes, no, nor courtesy.

    A plain no is one that gives no reason.
    """

    says_yes: bool
    says_no: bool
    is_plain: bool
    rest: tuple[str, ...]


def with_answers(log_odds: Floats, replies: Sequence[ReplyInput], readings: Sequence[Reading], judge: Judge) -> Floats:
    """The log-odds of replies, of which those that answer a question of ours are shifted; the others stay to the bit."""
    found = log_odds.copy()
    for at, (reply, reading) in enumerate(zip(replies, readings, strict=True)):
        if (_known(reply) or reading.cleaned.quoted) and reading.machine is None:
            found[at] = _shifted(log_odds[at], reply, reading, judge)
    return found


def deferral_in(reply: ReplyInput, reading: Reading) -> str:
    """The sentence of ours that names when to come back, where a reply does nothing but agree to it."""
    asked = asked_of(reply, reading)
    answer = _answer(reading, asked) if "later" in asked.offers else None
    return asked.sentence if answer and answer.says_yes and not answer.says_no and not answer.rest else ""


def _known(reply: ReplyInput) -> str:
    if reply.answered is not None:
        return reply.answered
    return reply.context[-1] if reply.context else ""


def _answer(reading: Reading, asked: Asked) -> Answer:
    return answer_in(reading.cleaned.written, tuple(sorted({reading.language, asked.language, "en"})))


def asked_of(reply: ReplyInput, reading: Reading) -> Asked:
    """What a short reply answers; `NOTHING` where it is long, asks itself, or nothing of ours is known."""
    written = reading.cleaned.written
    if not written or count_words(written) > MOST_WORDS or "?" in fold(written):
        return NOTHING
    message = last_of_ours(reading.cleaned.quoted, _known(reply))
    return asked_in(message) if message else NOTHING


def _shifted(own: Floats, reply: ReplyInput, reading: Reading, judge: Judge) -> Floats:
    written = reading.cleaned.written
    if choice := choice_of(written):
        options = options_of(last_of_ours(reading.cleaned.quoted, _known(reply)))
        if choice in options:
            return np.asarray(judge([options[choice]])[0], np.float32)
    asked = asked_of(reply, reading)
    if asked is NOTHING:
        return own
    answer = _answer(reading, asked)
    if not asked.offers and (answer.says_yes != answer.says_no):
        asked = _asked_by_heads(asked, judge)
    told = _meant(answer, asked)
    if told is None or (answer.rest and _is_sure(own, told)):
        return own
    return np.asarray(own * np.float32(told.kept) + _row(told.intent, told.nats), np.float32)


def _is_sure(own: Floats, told: Meant) -> bool:
    """Whether the words that are neither yes nor no mean something else by themselves."""
    shares = probabilities(part("intent", own))
    likeliest = INTENTS[int(shares.argmax())]
    limit = _POINTS_ELSEWHERE if (told.intent, likeliest) == ("objection", "referral") else _SAYS_IT_ITSELF
    return bool(shares.max() >= limit) and likeliest != told.intent


def _asked_by_heads(asked: Asked, judge: Judge) -> Asked:
    shares = probabilities(part("intent", judge([asked.sentence])))[0]
    name = _BY_HEADS.get(INTENTS[int(shares.argmax())])
    return asked._replace(offers=frozenset({name})) if name and shares.max() >= _SURE_OFFER else asked


def _meant(answer: Answer, asked: Asked) -> Meant | None:
    """What an answer to a question means."""
    yes, no = answer.says_yes, answer.says_no
    if yes and no:
        return None
    if asked.told and (yes or no):
        yes, no = (True, False) if yes == _is_yes(asked.told) else (False, True)
        if no:
            return None  # the word that was not told says what it says
    elif asked.is_turned and (yes or no):
        yes, no = no, yes
    elif no and not asked.is_question:
        return None
    if yes or (no and not ({"who", "you"} & asked.offers and answer.rest)):
        rest = _without_echo(answer.rest, asked.sentence) if yes else answer.rest
        meant = _by_polarity(_YES if yes else _NO, asked, len(rest))
        # "not for us" is no wish to stay on the list, nor to meet
        is_odd = answer.says_no and not answer.is_plain and meant is not None and meant.intent != "not_interested"
        return None if is_odd else meant
    offer = next((name for name in _NEITHER if name in asked.offers), None)
    if offer is None or not asked.is_question or not 0 < len(answer.rest) <= _NAMES:
        return None
    return Meant(*_NEITHER[offer], _KEPT_BESIDE_NAMES)


def _by_polarity(meanings: Mapping[str, tuple[str, float]], asked: Asked, rest: int) -> Meant | None:
    offer = next((name for name in _STRONGEST if name in asked.offers and name in meanings), None)
    if offer is None or rest >= len(_KEPT) - 1:
        return None
    intent, nats = meanings[offer]
    kept = 1.0 if meanings is _NO and intent == "not_interested" else _KEPT[rest]  # a no says so itself
    return Meant(intent, nats / (1 + rest), kept)


def _without_echo(rest: Sequence[str], sentence: str) -> tuple[str, ...]:
    """Words of an answer that do not take up a word of the question, by their first four letters."""
    asked = {word[:_STEM] for word in _WORD.findall(fold(sentence)) if len(word) >= _STEM}
    return tuple(word for word in rest if word[:_STEM] not in asked)


def _is_yes(word: str) -> bool:
    return word in {"yes", "ja", "oui", "si", "sim", "tak", "はい", "是", "好"}


def _row(intent: str, nats: float) -> Floats:
    row = np.zeros(WIDTH, np.float32)
    part("intent", row)[INTENTS.index(intent)] = nats
    sentiment, urgency, action = _TONE[intent]
    part("sentiment", row)[SENTIMENTS.index(sentiment)] = nats * _TONE_WORTH
    part("urgency_level", row)[URGENCY_LEVELS.index(urgency)] = nats * _TONE_WORTH
    part("next_action", row)[NEXT_ACTIONS.index(action)] = nats * _TONE_WORTH
    return row


def count_words(text: str) -> int:
    """Words of a text; 2 signs of Chinese or Japanese count as one."""
    wide = len(_WIDE.findall(text[:400]))
    return len(_WORD.findall(_WIDE.sub(" ", text[:400]))) + wide // 2 + (MOST_WORDS + 1) * (len(text) > 400)


def answer_in(written: str, languages: tuple[str, ...]) -> Answer:
    """Takes a short reply apart by the phrases of some languages; of several that fit, the longest counts.

    >>> answer_in("Yes please, go ahead!", ("en",))
    Answer(says_yes=True, says_no=False, is_plain=False, rest=())
    """
    kinds, pattern = _phrases(languages)
    folded = fold(written)
    matches = [match[0] for match in pattern.finditer(folded)]
    found = {kinds[phrase] for phrase in matches}
    rest = pattern.sub(" ", folded)
    wide = "".join(_WIDE.findall(rest))
    words = [word for word in _WORD.findall(_WIDE.sub(" ", rest)) if len(word) > 1 or word.isdigit()]
    words += [wide[at : at + 2] for at in range(0, len(wide), 2)]
    says_yes = "yes" in found or ("please" in found and not words and "no" not in found)
    refusals = [phrase for phrase in matches if kinds[phrase] == "no"]
    return Answer(says_yes, bool(refusals), len(refusals) == 1 and refusals[0] in _plain(), tuple(words))


@lru_cache(maxsize=1)
def _plain() -> frozenset[str]:
    return frozenset(fold(phrase) for phrase in table()["said"]["plain_no"].replace("\n", "").split("|"))


@lru_cache(maxsize=64)
def _phrases(languages: tuple[str, ...]) -> tuple[Mapping[str, str], re.Pattern[str]]:
    """Phrases with what they say, and a pattern that finds the longest of them at each place."""
    kinds: dict[str, str] = {}
    wide: set[str] = set()
    for kind in _KINDS:
        for code in ("any", *languages):
            for phrase in table()[kind].get(code, "").replace("\n", "").split("|"):
                folded = fold(phrase)
                if folded and (folded not in kinds or kinds[folded] == "filler"):
                    kinds[folded] = kind
                if code in WITHOUT_SPACES or not folded[:1].isalnum():
                    wide.add(folded)
    longest = sorted(kinds, key=lambda phrase: (-len(phrase), phrase))
    parts = [re.escape(p) if p in wide else rf"(?<!\w){re.escape(p)}(?!\w)" for p in longest]
    return kinds, re.compile("|".join(parts))
