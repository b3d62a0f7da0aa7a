"""What a reply means: language, intent, sentiment, urgency and next action, learnt, and corrected by people at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from features.replies.answers import deferral_in, with_answers
from features.replies.cleaning import Cleaned
from features.replies.encoder import Encoder
from features.replies.extraction import Extracted, KindOf, extract
from features.replies.heads import HEADS, INTENTS, NEXT_ACTIONS, SENTIMENTS, URGENCY_LEVELS, Heads, part, probabilities
from features.replies.languages import language_of
from features.replies.machines import Machine
from features.replies.memory import Example, Memory, unpacked
from features.replies.objections import ObjectionHead
from features.replies.people import copied
from features.replies.reading import Reading, ReplyInput, read
from features.replies.weights import shipped_arrays

__all__ = ["INTENTS", "NEXT_ACTIONS", "URGENCY_LEVELS", "Correction", "ReplyInput", "ReplyModel", "Understood"]

_BY_HEADERS: Final = 9.0
_BY_CONTENT: Final = 4.0
"""Nats for `out_of_office` where a machine shows itself: by headers none of the corpus' people did, by content none in
3,208; the words still count a little, and a correction outweighs them."""
_ACTIONS: Final[Mapping[str, Sequence[str]]] = {
    "out_of_office": ("add_to_nurture",),
    "unsubscribe": ("mark_closed", "human_review"),
    "referral": ("human_review",),
    "meeting_request": ("schedule_meeting", "human_review"),
    "not_now": ("add_to_nurture", "human_review"),
    "objection": ("human_review",),
    "question": ("auto_respond", "human_review"),
    "interested": ("auto_respond", "human_review"),
    "not_interested": ("mark_closed", "human_review"),
}
"""What may follow from an intent, by the conventions of the labels."""
_SPANS: Final = {"negative": (-1.0, -0.21), "neutral": (-0.2, 0.2), "positive": (0.21, 1.0)}

_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""For texts whose dates do not matter."""

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Understood:
    """What a reply was found to mean, and by which version of the model.

    `confidence` is the calibrated probability of `intent`; `is_unsure` says that a person should look at it.
    """

    language: str
    intent: str
    confidence: float
    intent_probabilities: Mapping[str, float]
    sentiment_score: float
    urgency_level: str
    next_action: str
    is_unsure: bool
    extracted: Extracted
    cleaned: Cleaned
    machine: Machine | None
    model_version: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply with what it really means: any of intent, sentiment_score, urgency_level, next_action, language."""

    reply: ReplyInput
    labels: Mapping[str, object] = field(default_factory=dict)


class _Shipped:
    """The weights that come with the project, read once a process; the encoder only when a reply needs it."""

    def __init__(self) -> None:
        self.arrays, self.digest = shipped_arrays("reply_heads")
        self.heads = Heads(self.arrays)
        self.objections = ObjectionHead(self.arrays)
        self.anchors = unpacked("anchor", self.arrays)
        self.sure = float(np.asarray(self.arrays["sure"], np.float64))
        self.scores = np.asarray(self.arrays["sentiment_scores"], np.float32)

    def vectors(self, readings: Sequence[Reading]) -> NDArray[np.float32]:
        found = np.tile(np.asarray(self.arrays["vector_mean"], np.float32), (len(readings), 1))
        rows = [row for row, reading in enumerate(readings) if reading.short and not reading.is_told_by_headers]
        if rows:
            found[rows] = _encoder().encode([readings[row].short for row in rows])
        return found

    def judge(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Log-odds of texts read as if they were replies."""
        readings = [read(ReplyInput("", None, None, {}, _ANY_TIME, text)) for text in texts]
        return self.heads.log_odds(readings, self.vectors(readings))


@lru_cache(maxsize=1)
def _shipped() -> _Shipped:
    return _Shipped()


@lru_cache(maxsize=1)
def _encoder() -> Encoder:
    arrays, _ = shipped_arrays("reply_encoder")
    return Encoder({name: values for name, values in arrays.items() if not name.startswith("vector_")})


class ReplyModel:
    """Predicts what replies mean and learns from corrections; what it has learnt is in `dump()`."""

    def __init__(self) -> None:
        """A model with the shipped weights; see `shipped`."""
        self._base = _shipped()
        self._memory = Memory(self._base.anchors)
        self._languages: dict[str, str] = {}

    @classmethod
    def shipped(cls) -> Self:
        """The model with the weights that come with the project, without corrections.

        Raises:
            WeightsError: the files of weights are damaged.
        """
        return cls()

    @property
    def version(self) -> str:
        """Names the weights and the corrections that the model has learnt."""
        learnt = f".{self._memory.digest:08x}" if len(self._memory) else ""
        return f"{self._base.digest}+{len(self._memory)}{learnt}"

    def understand(self, replies: Sequence[ReplyInput]) -> list[Understood]:
        """What each reply means, in their order; any text is answered, and none raises."""
        readings, examples = self._examples(replies)
        if not replies:
            return []
        log_odds = np.array([example.log_odds for example in examples]) + self._memory.shifts(examples)
        version = self.version
        vectors = [example.vector for example in examples]
        return [self._told(*row, version) for row in zip(replies, readings, vectors, log_odds, strict=True)]

    def learn(self, corrections: Sequence[Correction]) -> None:
        """Learns corrections at once; the same id with the same labels again changes nothing."""
        if not corrections:
            return
        _, examples = self._examples([correction.reply for correction in corrections])
        told: dict[str, tuple[Example, dict[str, str]]] = {}
        for correction, example in zip(corrections, examples, strict=True):
            name = correction.reply.id
            labels = {**(told[name][1] if name in told else {}), **_labels(correction.labels)}
            if isinstance(language := correction.labels.get("language"), str) and language:
                self._languages[name] = language
            if labels:
                told[name] = (example, labels)
        self._memory.learn(told)

    def forget(self, ids: Iterable[str]) -> None:
        """Erases corrections by the ids of their replies, and what they taught."""
        names = list(ids)
        for name in names:
            self._languages.pop(name, None)
        self._memory.forget(names)

    def dump(self) -> Arrays:
        """What was learnt, as plain arrays for `load`; the texts of replies are not in it."""
        return {
            **self._memory.dump(),
            "language_ids": np.array(list(self._languages), np.str_),
            "languages": np.array(list(self._languages.values()), np.str_),
        }

    def load(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes over a state that `dump` gave, bit for bit."""
        self._memory.load(arrays)
        self._languages = dict(zip(map(str, arrays["language_ids"]), map(str, arrays["languages"]), strict=True))

    def _examples(self, replies: Sequence[ReplyInput]) -> tuple[list[Reading], list[Example]]:
        readings = [read(reply) for reply in replies]
        vectors = self._base.vectors(readings)
        log_odds = self._base.heads.log_odds(readings, vectors)
        centred = self._base.heads.centred(vectors)
        for reading, row in zip(readings, log_odds, strict=True):
            if reading.machine is not None:
                part("intent", row)[0] += _BY_HEADERS if reading.is_told_by_headers else _BY_CONTENT
        log_odds = with_answers(log_odds, replies, readings, self._base.judge)
        rows = zip(readings, centred, log_odds, strict=True)
        return readings, [Example(r.places, self._base.heads.weighed(r), vector, odds) for r, vector, odds in rows]

    def _told(
        self,
        reply: ReplyInput,
        reading: Reading,
        vector: NDArray[np.float32],
        log_odds: NDArray[np.float32],
        version: str,
    ) -> Understood:
        shares = probabilities(part("intent", log_odds))
        intent = INTENTS[int(shares.argmax())]
        language = self._languages.get(reply.id, reading.language)
        is_machine = intent == "out_of_office"
        words = reply.text if is_machine else reading.cleaned.written

        def kind_of(written: str, language: str, product: str | None) -> str | None:
            return self._base.objections.kind(written, language, vector, product)

        return Understood(
            language=language,
            intent=intent,
            confidence=float(shares.max()),
            intent_probabilities={name: float(share) for name, share in zip(INTENTS, shares, strict=True)},
            sentiment_score=self._sentiment(part("sentiment", log_odds)),
            urgency_level="low" if is_machine else URGENCY_LEVELS[int(part("urgency_level", log_odds).argmax())],
            next_action=_action(intent, part("next_action", log_odds)),
            is_unsure=bool(shares.max() < self._base.sure),
            extracted=_extracted(words, language, reply, reading, intent, kind_of),
            cleaned=reading.cleaned,
            machine=reading.machine,
            model_version=version,
        )

    def _sentiment(self, log_odds: NDArray[np.float32]) -> float:
        """The expected score, within the span of the likeliest class."""
        shares = probabilities(log_odds)
        low, high = _SPANS[SENTIMENTS[int(shares.argmax())]]
        return round(min(high, max(low, float(shares @ self._base.scores))), 2)


def _extracted(
    words: str, language: str, reply: ReplyInput, reading: Reading, intent: str, kind_of: KindOf
) -> Extracted:
    """What a reply says; the day that it agrees to may stand in the question that it answers."""
    found = extract(words, language, reply.received_at, intent, subject=reply.subject, kind_of=kind_of)
    if intent == "referral" and found.referred_email is None:
        found = replace(found, referred_email=copied(reading.cleaned.quoted))
    if intent != "not_now" or found.resume_date or not (asked := deferral_in(reply, reading)):
        return found
    return replace(found, resume_date=extract(asked, language_of(asked), reply.received_at, intent).resume_date)


def _action(intent: str, log_odds: NDArray[np.float32]) -> str:
    return max(_ACTIONS[intent], key=lambda action: float(log_odds[NEXT_ACTIONS.index(action)]))


def _labels(told: Mapping[str, object]) -> dict[str, str]:
    """The labels of a correction that the heads know; others are passed over."""
    labels = {
        name: str(told[name]) for name in ("intent", "urgency_level", "next_action") if told.get(name) in HEADS[name]
    }
    score = told.get("sentiment_score")
    if isinstance(score, int | float) and not isinstance(score, bool):
        labels["sentiment"] = "negative" if score < -0.2 else "positive" if score > 0.2 else "neutral"
    return labels
