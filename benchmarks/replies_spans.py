"""Fits the taggers of names, times and products and writes `data/reply_spans.npz` with its hash.

Needs SciPy (`pip install -e '.[models]'`). The same corpus gives the same bytes on one machine.

    python -m benchmarks.replies_spans [--authors LETTERS] [--check LETTERS] [--turns LETTERS-LETTERS...]

`--check` prints how well the fitted taggers mark the replies of other authors, `--turns` fits without some authors and
marks theirs, by turns, and writes nothing.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from benchmarks.replies_fit import corpus, save
from features.replies.cleaning import clean
from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.people import unquoted
from features.replies.spans import BIAS, INTENTS_WITH, KINDS, Evidence, evidence
from features.replies.tagging import Tagger

AUTHORS: Final = "abcdefghijklmnopqrsxyz9"
"""Authors fitted by; t to w are the frozen test. What the penalties and biases are was chosen without r, s, x, y and z."""
FIELDS: Final = {"name": "referred_name", "time": "proposed_times", "product": "competitor"}
PENALTY: Final = {"name": 1.0, "time": 1.0, "product": 0.3}
LEAST: Final = {"name": 3, "time": 2, "product": 2}
"""Penalty of squares, and how often a feature must stand in the corpus: by authors left out by turns."""
STEPS: Final = 60
_FAINT: Final = 0.02
"""Nats below which a weight is left out."""
_NEVER: Final = -1e4

Array = NDArray[np.floating[Any]]


class Marked(NamedTuple):
    """A reply's text with what the tagger sees, the tags that are right, and the spans wanted."""

    text: str
    seen: Evidence
    tags: list[int]
    wanted: set[str]


def text_of(row: dict[str, Any]) -> str:
    """The text that extraction reads: of automatic replies the whole, else what the sender wrote."""
    text = row["text"] if row["intent"] == "out_of_office" else clean(row["text"]).written
    return unquoted(text[:MOST_CHARACTERS])


def spans_of(row: dict[str, Any], kind: str) -> list[str]:
    """The labelled spans of a kind."""
    label = row["extracted"].get(FIELDS[kind])
    return label if isinstance(label, list) else [label] if label else []


def examples(rows: Sequence[dict[str, Any]], kind: str) -> list[Marked]:
    """The replies that may name something of the kind."""
    found = []
    for row in rows:
        if row["intent"] in INTENTS_WITH[kind]:
            text = text_of(row)
            seen = evidence(kind, text, row["language"], row["intent"])
            spans = spans_of(row, kind)
            found.append(Marked(text, seen, _tags(text, seen, spans, kind), folded(spans)))
    return found


def folded(spans: Sequence[str]) -> set[str]:
    """What is compared, as in `benchmarks/extraction.py`."""
    return {fold(span).strip(" .,") for span in spans}


def _tags(text: str, seen: Evidence, spans: Sequence[str], kind: str) -> list[int]:
    """0 outside, 1 at the beginning and 2 inside a labelled span; a name counts each time that it stands there."""
    tags, plain = [0] * len(seen.row), fold(text)
    for span in map(fold, spans):
        at = plain.find(span)
        while at >= 0:
            inside = [i for i, w in enumerate(seen.row) if w.start >= at and w.end <= at + len(span)]
            for number, place in enumerate(inside):
                tags[place] = 2 if number else 1
            at = -1 if kind == "time" else plain.find(span, at + len(span))
    return tags


class Chains:
    """Runs of words that may be in a span, padded into steps, for the likelihood of all at once."""

    def __init__(self, marked: Sequence[Marked], least: int) -> None:
        """Numbers the features that stand at least so often."""
        counts = Counter(name for one in marked for said in one.seen.features if said for name in set(said))
        self.names = sorted(name for name, count in counts.items() if count >= least)
        runs = sorted((run for one in marked for run in _runs(one)), key=len)
        number = {name: at for at, name in enumerate(self.names)}
        said = [[number[n] for n in names if n in number] for run in runs for names, _ in run]
        pointers = np.cumsum([0, *map(len, said)])
        shape = (len(said), len(self.names))
        self.seen = csr_matrix((np.ones(pointers[-1]), [n for names in said for n in names], pointers), shape=shape)
        self.turned = self.seen.T.tocsr()
        self.tags = np.array([tag for run in runs for _, tag in run])
        self.lengths = np.array([len(run) for run in runs])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.alive = [int(np.searchsorted(self.lengths, step, side="right")) for step in range(int(self.lengths[-1]))]
        self.later = np.setdiff1d(np.arange(len(self.tags)), self.starts)
        self.before = np.zeros(len(self.tags), np.int64)
        self.before[self.later] = self.tags[self.later - 1]
        self.wanted = self.turned @ np.eye(3)[self.tags]
        self.moved = np.zeros((3, 3))
        np.add.at(self.moved, (self.before, self.tags), 1)

    def loss(self, weights: Array, penalty: float) -> tuple[float, Array]:
        """The penalized negative log-likelihood of the tags, and its gradient, by the forward-backward recursion."""
        size = len(self.names)
        by_name, moves = weights[: 3 * size].reshape(size, 3), weights[3 * size :].reshape(3, 3).copy()
        moves[0, 2] += _NEVER
        scores = self.seen @ by_name
        ahead, behind = np.zeros_like(scores), np.zeros_like(scores)
        for step, first in enumerate(self.alive):
            at = self.starts[first:] + step
            ahead[at] = scores[at] + (moves[0] if step == 0 else _log_sum(ahead[at - 1][:, :, None] + moves, 1))
        for step in range(len(self.alive) - 2, -1, -1):
            at = self.starts[self.alive[step + 1] :] + step
            behind[at] = _log_sum(moves + (scores[at + 1] + behind[at + 1])[:, None, :], 2)
        whole = _log_sum(ahead[self.starts + self.lengths - 1], 1)
        each = np.repeat(whole, self.lengths)
        shares = np.exp(ahead + behind - each[:, None])
        later = self.later
        pairs = ahead[later - 1][:, :, None] + moves + (scores[later] + behind[later])[:, None, :]
        moving = np.exp(pairs - each[later][:, None, None]).sum(0)
        moving[0] += shares[self.starts].sum(0)
        told = scores[np.arange(len(self.tags)), self.tags].sum() + moves[self.before, self.tags].sum()
        slope = np.concatenate([(self.turned @ shares - self.wanted).ravel(), (moving - self.moved).ravel()])
        loss = float(whole.sum() - told + 0.5 * penalty * (weights @ weights))
        return loss, slope + penalty * weights


def _runs(one: Marked) -> list[list[tuple[list[str], int]]]:
    """Neighbouring words that have features, with their tags; a labelled word without any gets the plainest."""
    runs: list[list[tuple[list[str], int]]] = [[]]
    for said, tag in zip(one.seen.features, one.tags, strict=True):
        if said is None and not tag:
            runs.append([])
        else:
            runs[-1].append((said or ["1"], tag))
    return [run for run in runs if run]


def _log_sum(values: Array, axis: int) -> Array:
    most = values.max(axis, keepdims=True)
    return np.asarray((most + np.log(np.exp(values - most).sum(axis, keepdims=True))).squeeze(axis))


def fitted(kind: str, marked: Sequence[Marked]) -> dict[str, Any]:
    """The tagger of a kind as arrays for `Tagger.unpacked`: weights in 8 bits."""
    chains = Chains(marked, LEAST[kind])
    size = len(chains.names)
    options = {"maxiter": STEPS, "maxcor": 8}
    start = np.zeros(3 * size + 9)
    best = minimize(chains.loss, start, args=(PENALTY[kind],), jac=True, method="L-BFGS-B", options=options).x
    by_name, moves = best[: 3 * size].reshape(size, 3), best[3 * size :].reshape(3, 3).copy()
    moves[0, 2] = _NEVER
    kept = np.abs(by_name).max(1) >= _FAINT
    scale = float(np.abs(by_name).max()) / 127
    names = "\n".join(name for name, is_kept in zip(chains.names, kept, strict=True) if is_kept)
    return {
        f"{kind}_features": np.frombuffer(names.encode(), np.uint8),
        f"{kind}_weights": np.round(by_name[kept] / scale).astype(np.int8),
        f"{kind}_scale": np.array(scale),
        f"{kind}_moves": moves,
    }


def counts(kind: str, tagger: Tagger, marked: Sequence[Marked]) -> NDArray[np.int64]:
    """Spans right, wrong and missed; of names and products the surest of a reply counts."""
    total = np.zeros(3, np.int64)
    for one in marked:
        spans = tagger.spans(one.seen.features)
        if kind != "time" and spans:
            spans = [max(spans, key=lambda span: span.margin)]
        row = one.seen.row
        found = folded([one.text[row[s.first].start : row[s.last - 1].end] for s in spans])
        total += (len(found & one.wanted), len(found - one.wanted), len(one.wanted - found))
    return total


def _print(kind: str, total: NDArray[np.int64]) -> None:
    right, wrong, missed = total.tolist()
    share = 2 * right / max(1, 2 * right + wrong + missed)
    print(f"{FIELDS[kind]:15s} F1 {share:.3f}, {right} right, {wrong} wrong, {missed} missed", flush=True)


def main() -> None:
    """Fits and writes, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--authors", default=AUTHORS)
    parser.add_argument("--check", default="")
    parser.add_argument("--turns", default="")
    parser.add_argument("--kinds", default="name time product")
    options = parser.parse_args()
    started = datetime.now().astimezone()
    arrays: dict[str, Any] = {}
    for kind in options.kinds.split():
        if options.turns:
            total = np.zeros(3, np.int64)
            for out in options.turns.split("-"):
                rest = "".join(a for a in options.authors if a not in out)
                model = fitted(kind, examples(corpus(rest), kind))
                total += counts(kind, Tagger.unpacked(kind, model, bias=BIAS[kind]), examples(corpus(out), kind))
            _print(kind, total)
            continue
        arrays |= fitted(kind, examples(corpus(options.authors), kind))
        if options.check:
            tagger = Tagger.unpacked(kind, arrays, bias=BIAS[kind])
            _print(kind, counts(kind, tagger, examples(corpus(options.check), kind)))
    if arrays and set(KINDS) <= set(options.kinds.split()):
        print("reply_spans.npz", save("reply_spans", arrays))
    print(f"{(datetime.now().astimezone() - started).total_seconds():.0f} s")


if __name__ == "__main__":
    main()
