"""Marks spans of words in a text: a chain of tags B, I, O over words, scored by fitted weights of their surroundings.

The model is a linear-chain conditional random field (Lafferty, McCallum, Pereira 2001); `benchmarks/replies_spans.py` fits it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.replies.folding import fold

MOST_WORDS: Final = 700
"""Words of a reply that are marked; the longest of the corpus has some 450, and who writes more says it before."""
_WORD: Final = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}|https?://[^\s<>]{1,200}"
    r"|[\u3400-\u9fff\u3041-\u309f々〆]|[\u30a1-\u30ffー]+|(?:(?![\u3041-\u30ff\u3400-\u9fff々〆])[^\W\d_])+|\d+|\n|[^\w\s]|_"
)
_NEVER: Final = -1e9
_LINK: Final = re.compile(r"https?://|[^@]+@")


class Word(NamedTuple):
    """A word, a number, a mark or a line's end (¶), where it stands, folded; `shape` says how it is written."""

    start: int
    end: int
    text: str
    shape: str


def words_in(text: str) -> list[Word]:
    """The first 700 words and marks of a text; signs of Chinese and kana stand alone, runs of katakana together."""
    folded = fold(text)
    found = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if match[0] == "\n":
            found.append(Word(start, end, "¶", "¶"))
        else:
            found.append(Word(start, end, folded[start:end], _shape(match[0])))
        if len(found) == MOST_WORDS:
            break
    return found


def _shape(word: str) -> str:
    first = word[0]
    if first.isdigit():
        return "d" + str(min(len(word), 5))
    if _LINK.match(word):
        return "@"
    if not first.isalpha():
        return word
    if "\u3040" <= first <= "\u9fff":
        return "h" if first <= "\u309f" else "K" if first <= "\u30ff" else "k"
    return _capitals(word)


def _capitals(word: str) -> str:
    """Xx, XX, XxX, a lone X, x or xX, as the word has capitals."""
    if not word[0].isupper():
        return "x" if word.islower() else "xX"
    if len(word) == 1:
        return "X"
    return "XX" if word.isupper() else "Xx" if word[1:].islower() else "XxX"


class Span(NamedTuple):
    """Words from `first` to before `last`, and how much likelier than nothing their beginning is, in nats."""

    first: int
    last: int
    margin: float


class Tagger:
    """Fitted weights of one kind of span."""

    def __init__(self, names: Sequence[str], weights: NDArray[np.floating], moves: NDArray[np.floating]) -> None:
        """Weights of features and of moves between tags: columns O, B, I; a text begins as after O."""
        self._weights = dict(zip(names, map(tuple, weights.tolist()), strict=True))
        self._moves: list[list[float]] = moves.tolist()

    @classmethod
    def unpacked(cls, name: str, arrays: Mapping[str, NDArray[np.generic]], *, bias: float = 0.0) -> "Tagger":
        """The tagger that was packed under a name; `bias` is added wherever a span may begin."""
        names = bytes(np.asarray(arrays[f"{name}_features"], np.uint8)).decode().split("\n")
        scale = np.asarray(arrays[f"{name}_scale"], np.float64)
        weights = np.asarray(arrays[f"{name}_weights"], np.float64) * scale
        moves = np.array(arrays[f"{name}_moves"], np.float64)
        moves[:, 1] += bias
        return cls(names, weights, moves)

    def spans(self, features: Sequence[Sequence[str] | None]) -> list[Span]:
        """The likeliest spans, given the features of each word; a word with None is in no span."""
        (out_out, out_begin, _), (begin_out, begin_begin, begin_in), (in_out, in_begin, in_in) = self._moves
        out, begin, inside = 0.0, _NEVER, _NEVER
        back: list[tuple[int, int, int]] = []
        margins: list[float] = []
        for said in features:
            o, b, i = self._score(said) if said is not None else (0.0, _NEVER, _NEVER)
            to_out = out + out_out, begin + begin_out, inside + in_out
            to_begin = out + out_begin, begin + begin_begin, inside + in_begin
            to_in = _NEVER, begin + begin_in, inside + in_in
            best = max(to_out), max(to_begin), max(to_in)
            back.append((to_out.index(best[0]), to_begin.index(best[1]), to_in.index(best[2])))
            margins.append(b - o)
            out, begin, inside = best[0] + o, best[1] + b, best[2] + i
        return _read_back((out, begin, inside), back, margins)

    def _score(self, said: Sequence[str]) -> tuple[float, float, float]:
        out = begin = inside = 0.0
        get = self._weights.get
        for name in said:
            if (weights := get(name)) is not None:
                out += weights[0]
                begin += weights[1]
                inside += weights[2]
        return out, begin, inside


def _read_back(last: Sequence[float], back: Sequence[tuple[int, int, int]], margins: Sequence[float]) -> list[Span]:
    tag = max(range(3), key=lambda t: last[t])
    spans: list[Span] = []
    end = None
    for at in range(len(back) - 1, -1, -1):
        if tag and end is None:
            end = at + 1
        if tag == 1 and end is not None:
            spans.append(Span(at, end, margins[at]))
            end = None
        tag = back[at][tag]
    return spans[::-1]
