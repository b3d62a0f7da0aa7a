"""What a reply means: language, intent, sentiment, urgency and next action, learnt, and corrected by people at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from features.replies.cleaning import Cleaned, clean
from features.replies.extraction import Extracted, extract
from features.replies.machines import Machine, machine_by_content, machine_by_headers

INTENTS: Final = (
    "out_of_office",
    "unsubscribe",
    "referral",
    "meeting_request",
    "not_now",
    "objection",
    "question",
    "interested",
    "not_interested",
)
"""In the order of precedence: of several that fit a reply, the first is meant."""
URGENCY_LEVELS: Final = ("low", "medium", "high", "urgent")
NEXT_ACTIONS: Final = ("schedule_meeting", "auto_respond", "human_review", "add_to_nurture", "mark_closed")

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class ReplyInput:
    """A reply as received; `received_at` is aware, `context` holds earlier messages of the thread, oldest first."""

    id: str
    channel: str | None
    subject: str | None
    headers: Mapping[str, str]
    received_at: datetime
    text: str
    context: tuple[str, ...] = ()


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


class ReplyModel:
    """Predicts what replies mean and learns from corrections; all of its state is in `dump()`."""

    def __init__(self) -> None:
        self._learnt: dict[str, str] = {}

    @classmethod
    def shipped(cls) -> Self:
        """The model with the weights that come with the project, without corrections."""
        return cls()

    @property
    def version(self) -> str:
        """Names the weights and the corrections that the model has learnt."""
        return f"provisional+{len(self._learnt)}"

    def understand(self, replies: Sequence[ReplyInput]) -> list[Understood]:
        """What each reply means, in their order; any text is answered, and none raises."""
        return [self._understand(reply) for reply in replies]

    def learn(self, corrections: Sequence[Correction]) -> None:
        """Learns corrections at once; the same id with the same labels again changes nothing."""
        for correction in corrections:
            self._learnt[correction.reply.id] = str(correction.labels.get("intent", ""))

    def forget(self, ids: Iterable[str]) -> None:
        """Erases corrections by the ids of their replies."""
        for name in ids:
            self._learnt.pop(name, None)

    def dump(self) -> dict[str, Array]:
        """The whole state as plain arrays, for `load`."""
        return {
            "ids": np.array(list(self._learnt), dtype=np.str_),
            "labels": np.array([*self._learnt.values()], np.str_),
        }

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Takes over a state that `dump` gave, bit for bit."""
        self._learnt = dict(zip(map(str, arrays["ids"]), map(str, arrays["labels"]), strict=True))

    def _understand(self, reply: ReplyInput) -> Understood:
        machine = machine_by_headers(reply.headers) or machine_by_content(reply.subject, reply.text)
        cleaned = clean(reply.text)
        intent = "out_of_office" if machine else (self._learnt.get(reply.id) or "question")
        confidence = 0.99 if machine else 0.12
        rest = (1 - confidence) / (len(INTENTS) - 1)
        return Understood(
            language="en",
            intent=intent,
            confidence=confidence,
            intent_probabilities={name: confidence if name == intent else rest for name in INTENTS},
            sentiment_score=0.0,
            urgency_level="low" if machine else "medium",
            next_action="add_to_nurture" if machine else "human_review",
            is_unsure=machine is None,
            extracted=extract(reply.text if machine else cleaned.written, "en", reply.received_at, intent),
            cleaned=cleaned,
            machine=machine,
            model_version=self.version,
        )
