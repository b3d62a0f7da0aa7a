"""From a reply's vector, grams and numbers to the log-odds of each label, by fitted linear heads."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.replies.reading import Reading

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
SENTIMENTS: Final = ("negative", "neutral", "positive")
HEADS: Final[Mapping[str, Sequence[str]]] = {
    "intent": INTENTS,
    "urgency_level": URGENCY_LEVELS,
    "next_action": NEXT_ACTIONS,
    "sentiment": SENTIMENTS,
}
_PLACES: Final = {
    name: slice(start, start + len(labels))
    for name, labels, start in zip(HEADS, HEADS.values(), (0, 9, 13, 18), strict=True)
}
WIDTH: Final = 21
"""Labels of all heads together."""
SPREAD: Final = 15.0
"""Vectors of the encoder lie close together: away from their mean they are stretched by this much, as in its tuning."""

Floats = NDArray[np.float32]


class Heads:
    """The fitted weights of all heads: one part reads the encoder's vector, the other grams, form and phrases."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self._mean = np.asarray(arrays["vector_mean"], np.float32)
        self._vector = np.asarray(arrays["vector_weights"], np.float32)
        self._vector_bias = np.asarray(arrays["vector_bias"], np.float32)
        self.idf = np.asarray(arrays["gram_idf"], np.float32)
        self._grams = np.asarray(arrays["gram_weights"], np.float32)
        self._dense_mean = np.asarray(arrays["dense_mean"], np.float32)
        self._dense_scale = np.asarray(arrays["dense_scale"], np.float32)
        self._dense = np.asarray(arrays["dense_weights"], np.float32)
        self._bias = np.asarray(arrays["bias"], np.float32)
        self._blend = np.asarray(arrays["blend"], np.float32)

    def centred(self, vectors: Floats) -> Floats:
        """Vectors away from the mean of replies, some 3 long."""
        return np.asarray((vectors - self._mean) * np.float32(SPREAD), np.float32)

    def weighed(self, reading: Reading) -> Floats:
        """The values of a reading's grams by how rare each is, of length 1 together."""
        values = reading.values * self.idf[reading.places]
        norm = np.float32(np.sqrt(values @ values))
        return np.asarray(values / norm if norm else values, np.float32)

    def log_odds(self, readings: Sequence[Reading], vectors: Floats) -> Floats:
        """Calibrated log-probabilities up to a constant, one row a reply, `WIDTH` columns.

        Row by row: products of whole matrices round by how many rows they have, and a replay has other batches.
        """
        centred = self.centred(vectors)
        by_vector = np.zeros((len(readings), WIDTH), np.float32)
        by_words = np.zeros((len(readings), WIDTH), np.float32)
        for row, reading in enumerate(readings):
            by_vector[row] = centred[row] @ self._vector + self._vector_bias
            dense = (reading.dense - self._dense_mean) * self._dense_scale
            by_words[row] = self._bias + dense @ self._dense
            if len(reading.places):
                by_words[row] += self.weighed(reading) @ self._grams[reading.places]
        found = np.empty((len(readings), WIDTH), np.float32)
        for place, blend in zip(_PLACES.values(), self._blend, strict=True):
            found[:, place] = blend[0] * _normal(by_vector[:, place]) + blend[1] * _normal(by_words[:, place])
        return found


def part(name: str, columns: Floats) -> Floats:
    """The columns of one head."""
    return columns[..., _PLACES[name]]


def probabilities(log_odds: Floats) -> Floats:
    """Softmax over the last axis."""
    return np.exp(_normal(log_odds))


def _normal(log_odds: Floats) -> Floats:
    shifted = log_odds - log_odds.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)
