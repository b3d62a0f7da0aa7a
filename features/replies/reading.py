"""A reply as the models see it: its words, language, machine, hashed grams, and numbers on form and phrases."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.replies.cleaning import Cleaned, clean
from features.replies.cues import CUES, cues
from features.replies.grams import FORM, form, grams
from features.replies.languages import language_of
from features.replies.machines import Machine, machine_by_content, machine_by_headers
from features.replies.wording import shortened, words_of

DENSE: Final = (*CUES, *FORM)
"""Names of the numbers in `Reading.dense`."""


@dataclass(frozen=True, slots=True)
class ReplyInput:
    """A reply as received; `received_at` is aware, `context` holds earlier messages of the thread, oldest first.

    `answered` is what we wrote last, empty where that is not known; None says that it is the last message of `context`. What
    the reply itself quotes goes before both.
    """

    id: str
    channel: str | None
    subject: str | None
    headers: Mapping[str, str]
    received_at: datetime
    text: str
    context: tuple[str, ...] = ()
    answered: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read off one reply before any model: `short` goes to the encoder, `places` and `values` are its grams."""

    cleaned: Cleaned
    machine: Machine | None
    is_told_by_headers: bool
    language: str
    short: str
    places: NDArray[np.int32]
    values: NDArray[np.float32]
    dense: NDArray[np.float32]


def read(reply: ReplyInput) -> Reading:
    """Reads one reply; any text can be read, and none raises."""
    by_headers = machine_by_headers(reply.headers)
    machine = by_headers or machine_by_content(reply.subject, reply.text)
    cleaned = clean(reply.text)
    words = words_of(cleaned, reply.subject)
    language = language_of(words, [reply.subject or "", cleaned.quoted, *reply.context[-2:]])
    places, values = grams(words, reply.subject)
    shape = form(
        words,
        channel=reply.channel,
        subject=reply.subject,
        quoted=cleaned.quoted,
        signature=cleaned.signature,
        machine=machine is not None,
    )
    dense = np.array([*cues(words, language), *shape], np.float32)
    return Reading(cleaned, machine, by_headers is not None, language, shortened(words), places, values, dense)
