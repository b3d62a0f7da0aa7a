"""The kind of an objection, by a fitted linear head over the reply's vector and over the words that point to each kind."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.replies.signals import OBJECTION_TYPES, objection_scores

KINDS: Final = (*OBJECTION_TYPES, None)
"""What the head tells apart; None is an objection to the effort, which has no type."""

Floats = NDArray[np.float32]


def evidence(text: str, language: str, vector: Floats, product: str | None) -> Floats:
    """What the head reads of an objection: its vector away from the mean, scores of words, whether a product is in use."""
    scores = objection_scores(text, language)
    words = [scores[kind] for kind in OBJECTION_TYPES]
    return np.concatenate([vector, np.array([*words, product is not None], np.float32)])


class ObjectionHead:
    """The fitted weights: one row for each number of `evidence`, one column for each of `KINDS`."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self._weights = np.asarray(arrays["objection_weights"], np.float32)
        self._bias = np.asarray(arrays["objection_bias"], np.float32)

    def kind(self, text: str, language: str, vector: Floats, product: str | None) -> str | None:
        """The likeliest kind of an objection, or None where it has none."""
        odds = evidence(text, language, vector, product) @ self._weights + self._bias
        return KINDS[int(odds.argmax())]
