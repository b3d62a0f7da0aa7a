"""What people's corrections teach: a kernel model over corrected replies that shifts the heads' log-odds near them.

It is fitted anew from all corrections and some replies of the corpus that must stay as they are, so that it depends on
what was corrected and not on the order, learns at once, and forgets without a trace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

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
_NEAR: Final = 12.0
"""Squared distance of vectors over which likeness falls to a third."""
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
        self._table: _Likenesses | None = None
        self._fit()

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def digest(self) -> int:
        """A number that names the corrections and their labels."""
        names = sorted(self._examples)
        return crc32("\n".join(names).encode(), crc32(b"".join(self._labels[name].tobytes() for name in names)))

    def learn(self, corrections: Mapping[str, tuple[Example, Mapping[str, str]]]) -> None:
        """Adds corrections by the ids of their replies, each with labels by head; a later label replaces an earlier."""
        for name, (example, labels) in corrections.items():
            target = self._labels.pop(name, np.full(WIDTH, np.nan, np.float32)).copy()
            for head, label in labels.items():
                part(head, target)[:] = [float(value == label) for value in HEADS[head]]
            self._examples.pop(name, None)
            self._examples[name], self._labels[name] = example, target
        self.forget(list(self._examples)[:-MOST_CORRECTIONS])

    def forget(self, ids: Sequence[str]) -> None:
        """Erases corrections and what they taught."""
        for name in ids:
            self._examples.pop(name, None)
            self._labels.pop(name, None)
        self._fit()

    def shifts(self, examples: Sequence[Example]) -> Floats:
        """What to add to the log-odds of each reply; row by row, so that it does not hang on the batch."""
        found = np.zeros((len(examples), WIDTH), np.float32)
        if self._examples:
            known = _Packed(self._known)
            for row, example in enumerate(examples):
                found[row] = likeness(example, known) @ self._alphas
        return found

    def dump(self) -> dict[str, NDArray[np.generic]]:
        """The corrections and the shifts as arrays."""
        names = sorted(self._examples)
        order = {name: at for at, name in enumerate(self._examples)}
        return {
            "memory_ids": np.array(names, np.str_),
            "memory_order": np.array([order[name] for name in names], np.int32),
            "memory_targets": np.array([self._labels[name] for name in names], np.float32).reshape(-1, WIDTH),
            "memory_alphas": self._alphas,
            **packed("memory", [self._examples[name] for name in names]),
        }

    def load(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes over what `dump` gave, without fitting."""
        names = [str(name) for name in arrays["memory_ids"]]
        examples = unpacked("memory", arrays)
        targets = np.asarray(arrays["memory_targets"], np.float32)
        aged = sorted(range(len(names)), key=lambda at: int(arrays["memory_order"][at]))
        self._examples = {names[at]: examples[at] for at in aged}
        self._labels = {names[at]: targets[at].copy() for at in aged}
        self._known = examples + self._anchors
        self._alphas = np.array(arrays["memory_alphas"], np.float32)
        self._table = None

    def _fit(self) -> None:
        """Gradient descent on the dual weights of the convex loss: the same corrections give the same bits."""
        names = sorted(self._examples)
        self._known = [self._examples[name] for name in names] + self._anchors
        self._alphas = np.zeros((len(self._known), WIDTH), np.float32)
        if not names:
            self._table = None
            return
        self._table = self._table or _Likenesses(self._anchors)
        alike = self._table.among({name: self._examples[name] for name in names})
        before = np.array([example.log_odds for example in self._known], np.float32)
        aims = np.array([self._labels[name] for name in names], np.float32)
        rate = 1.0 / (_CORRECTION_WORTH * float(np.abs(alike).sum(1).max()) * 0.25 + _RIDGE)
        for head in HEADS:
            told = part(head, aims)
            if np.isnan(told).all():
                continue
            alphas, start = part(head, self._alphas), part(head, before)
            targets = probabilities(start)
            weight = np.ones((len(targets), 1), np.float32)
            is_told = ~np.isnan(told).any(1)
            targets[: len(names)][is_told] = told[is_told]
            weight[: len(names)][is_told] = _CORRECTION_WORTH
            weight[: len(names)][~is_told] = 0.0
            speed = np.zeros_like(alphas)
            for _ in range(_STEPS):
                ahead = alphas + np.float32(0.9) * speed
                gap = weight * (targets - probabilities(start + alike @ ahead)) - np.float32(_RIDGE) * ahead
                speed = np.float32(0.9) * speed + np.float32(rate) * gap
                alphas += speed


class _Packed:
    """Examples side by side, to be compared with one at a time."""

    def __init__(self, examples: Sequence[Example]) -> None:
        starts = np.cumsum([0, *(len(example.places) for example in examples)])
        self.count = len(examples)
        self.filled = np.flatnonzero(np.diff(starts))
        self.starts = starts[self.filled]
        self.places = np.concatenate([np.zeros(0, np.int32), *(example.places for example in examples)])
        self.values = np.concatenate([np.zeros(0, np.float32), *(example.values for example in examples)])
        self.vectors = np.array([example.vector for example in examples], np.float32)


def likeness(one: Example, many: _Packed) -> Floats:
    """How alike a reply is to others: by rare words in common, and by the nearness of their vectors.

    Each number hangs on the two replies alone, to the last bit: einsum sums along a row, BLAS would mix rows.
    """
    gaps = many.vectors - one.vector
    found = np.float32(_VECTOR_WORTH) * np.exp(-np.einsum("ij,ij->i", gaps, gaps) / np.float32(_NEAR))
    if len(many.filled):
        spread = np.zeros(BUCKETS, np.float32)
        spread[one.places] = one.values
        shared = np.add.reduceat(spread[many.places] * many.values, many.starts)
        found[many.filled] += np.float32(_GRAMS_WORTH) * shared
    return np.asarray(found, np.float32)


class _Likenesses:
    """The likeness of all known replies to each other, kept while corrections come one by one."""

    def __init__(self, anchors: Sequence[Example]) -> None:
        self._anchors = list(anchors)
        self._rows: dict[str, Example] = {}
        self._table = _matrix(self._anchors, self._anchors)

    def among(self, examples: Mapping[str, Example]) -> Floats:
        """The table for these examples, in their order, and the anchors behind them."""
        count = len(self._anchors)
        kept = [name for name, example in self._rows.items() if examples.get(name) is example]
        if len(kept) < len(self._rows):
            places = {name: count + at for at, name in enumerate(self._rows)}
            stays = [*range(count), *(places[name] for name in kept)]
            self._table = self._table[np.ix_(stays, stays)]
            self._rows = {name: self._rows[name] for name in kept}
        fresh = {name: example for name, example in examples.items() if name not in self._rows}
        if fresh:
            known, added = [*self._anchors, *self._rows.values()], list(fresh.values())
            right = np.vstack([_matrix(known, added), _matrix(added, added)])
            self._table = np.hstack([np.vstack([self._table, _matrix(added, known)]), right])
            self._rows |= fresh
        places = {name: count + at for at, name in enumerate(self._rows)}
        order = [*(places[name] for name in examples), *range(count)]
        return np.ascontiguousarray(self._table[np.ix_(order, order)])


def _matrix(left: Sequence[Example], right: Sequence[Example]) -> Floats:
    if not right or not left:
        return np.zeros((len(left), len(right)), np.float32)
    beside = _Packed(right)
    return np.array([likeness(example, beside) for example in left], np.float32)


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
