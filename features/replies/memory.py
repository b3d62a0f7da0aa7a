"""What people's corrections teach: a kernel model over corrected replies that shifts the heads' log-odds near them.

It is fitted anew from all corrections and some replies of the corpus that must stay as they are, so that it depends on
what was corrected and not on the order, learns at once, and forgets without a trace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.replies.grams import BUCKETS
from features.replies.heads import HEADS, WIDTH, part, probabilities

MOST_CORRECTIONS: Final = 2_000
"""Corrections that are kept, the latest: fitting them takes some 2 s."""
_STEPS: Final = 150
_RIDGE: Final = 0.02
_GRAMS_WORTH: Final = 12.0
_VECTOR_WORTH: Final = 1.0
"""How much rare words and the encoder's vector count in the likeness of replies: set by `benchmarks/replies_habits.py`."""
_CORRECTION_WORTH: Final = 4.0
"""A correction weighs as many replies of the corpus."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """A reply in the memory: its grams (weighed), its vector (centred), the heads' log-odds before any correction."""

    places: NDArray[np.int32]
    values: Floats
    vector: Floats
    log_odds: Floats


class Memory:
    """Corrected replies by id with their labels, and the shifts fitted to them."""

    def __init__(self, anchors: Sequence[Example]) -> None:
        self._anchors = list(anchors)
        self._examples: dict[str, Example] = {}
        self._labels: dict[str, Floats] = {}
        self._fit()

    def __len__(self) -> int:
        return len(self._examples)

    def learn(self, corrections: Mapping[str, tuple[Example, Mapping[str, str]]]) -> None:
        """Adds corrections by the ids of their replies, each with labels by head; a later label replaces an earlier."""
        for name, (example, labels) in corrections.items():
            target = self._labels.pop(name, np.full(WIDTH, np.nan, np.float32)).copy()
            for head, label in labels.items():
                part(head, target)[:] = [float(value == label) for value in HEADS[head]]
            self._examples.pop(name, None)
            self._examples[name], self._labels[name] = example, target
        for name in list(self._examples)[:-MOST_CORRECTIONS]:
            del self._examples[name], self._labels[name]
        self._fit()

    def forget(self, ids: Sequence[str]) -> None:
        """Erases corrections and what they taught."""
        for name in ids:
            self._examples.pop(name, None)
            self._labels.pop(name, None)
        self._fit()

    def shifts(self, examples: Sequence[Example]) -> Floats:
        """What to add to the log-odds of each reply."""
        if not self._examples or not examples:
            return np.zeros((len(examples), WIDTH), np.float32)
        return np.asarray(_likeness(examples, self._known) @ self._alphas, np.float32)

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """The corrections and the shifts as arrays."""
        kept = list(self._examples.values())
        return {
            "memory_ids": np.array(list(self._examples), np.str_),
            "memory_targets": np.array(list(self._labels.values()), np.float32).reshape(-1, WIDTH),
            "memory_alphas": self._alphas,
            **packed("memory", kept),
        }

    def load(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes over what `dump` gave, without fitting."""
        names = [str(name) for name in arrays["memory_ids"]]
        self._examples = dict(zip(names, unpacked("memory", arrays), strict=True))
        self._labels = dict(zip(names, np.asarray(arrays["memory_targets"], np.float32), strict=True))
        self._known = [self._examples[name] for name in sorted(self._examples)] + self._anchors
        self._alphas = np.asarray(arrays["memory_alphas"], np.float32)

    def _fit(self) -> None:
        """Gradient descent on the dual weights of the convex loss: the same corrections give the same bits."""
        names = sorted(self._examples)
        self._known = [self._examples[name] for name in names] + self._anchors
        self._alphas = np.zeros((len(self._known), WIDTH), np.float32)
        if not names:
            return
        likeness = _likeness(self._known, self._known)
        before = np.array([example.log_odds for example in self._known], np.float32)
        aims = np.array([self._labels[name] for name in names], np.float32)
        rate = 1.0 / (_CORRECTION_WORTH * float(np.abs(likeness).sum(1).max()) * 0.25 + _RIDGE)
        for head in HEADS:
            alphas, start = part(head, self._alphas), part(head, before)
            told = part(head, aims)
            targets = probabilities(start)
            weight = np.ones((len(targets), 1), np.float32)
            is_told = ~np.isnan(told).any(1)
            targets[: len(names)][is_told] = told[is_told]
            weight[: len(names)][is_told] = _CORRECTION_WORTH
            weight[: len(names)][~is_told] = 0.0
            speed = np.zeros_like(alphas)
            for _ in range(_STEPS):
                ahead = alphas + np.float32(0.9) * speed
                gap = weight * (targets - probabilities(start + likeness @ ahead)) - np.float32(_RIDGE) * ahead
                speed = np.float32(0.9) * speed + np.float32(rate) * gap
                alphas += speed


def _likeness(left: Sequence[Example], right: Sequence[Example]) -> Floats:
    """How alike replies are: by rare words in common, and by the nearness of their vectors."""
    a, b = (np.array([example.vector for example in side], np.float32) for side in (left, right))
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T
    found = np.float32(_VECTOR_WORTH) * np.exp(-np.maximum(squares, 0) / np.float32(WIDTH_OF_NEARNESS))
    return np.asarray(found + np.float32(_GRAMS_WORTH) * _overlap(left, right), np.float32)


WIDTH_OF_NEARNESS: Final = 12.0
"""Squared distance of vectors over which likeness falls to a third; replies of one intent lie some 10 apart."""


def _overlap(left: Sequence[Example], right: Sequence[Example]) -> Floats:
    found = np.zeros((len(left), len(right)), np.float32)
    spread = np.zeros(BUCKETS, np.float32)
    starts = np.cumsum([0, *(len(example.places) for example in right)])
    places = np.concatenate([example.places for example in right]) if right else np.zeros(0, np.int32)
    values = np.concatenate([example.values for example in right]) if right else np.zeros(0, np.float32)
    filled = np.flatnonzero(np.diff(starts))
    for row, example in enumerate(left):
        spread[example.places] = example.values
        products = spread[places] * values
        if len(filled):
            found[row, filled] = np.add.reduceat(products, starts[filled])
        spread[example.places] = 0
    return found


def packed(name: str, examples: Sequence[Example]) -> dict[str, NDArray[np.generic]]:
    """Examples as plain arrays."""
    return {
        f"{name}_lengths": np.array([len(example.places) for example in examples], np.int32),
        f"{name}_places": np.concatenate([e.places for e in examples]) if examples else np.zeros(0, np.int32),
        f"{name}_values": np.concatenate([e.values for e in examples]) if examples else np.zeros(0, np.float32),
        f"{name}_vectors": np.array([example.vector for example in examples], np.float32),
        f"{name}_log_odds": np.array([example.log_odds for example in examples], np.float32),
    }


def unpacked(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> list[Example]:
    """The examples that `packed` made into arrays."""
    ends = np.cumsum(np.asarray(arrays[f"{name}_lengths"], np.int64))
    places = np.split(np.asarray(arrays[f"{name}_places"], np.int32), ends[:-1]) if len(ends) else []
    values = np.split(np.asarray(arrays[f"{name}_values"], np.float32), ends[:-1]) if len(ends) else []
    vectors = np.asarray(arrays[f"{name}_vectors"], np.float32)
    log_odds = np.asarray(arrays[f"{name}_log_odds"], np.float32)
    return [Example(*fields) for fields in zip(places, values, vectors, log_odds, strict=True)]
