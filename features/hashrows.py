"""A hash table from 64-bit keys to rows, for whole arrays at a time: what a dict does, at 0.05 µs a key and 12 bytes a slot."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Rows = NDArray[np.int64]

_EMPTY: Final = -1
_FULLEST: Final = 0.5
"""Open addressing with steps of one: a look-up takes 1.5 slots at half, 2.5 at two thirds."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4): spreads keys that are not hashes."""


class HashRows:
    """Keys and the rows they stand for; rows may be shared by several keys. Keys are never taken out."""

    def __init__(self, slots: int = 1 << 12) -> None:
        self._allot(slots)

    def __len__(self) -> int:
        """How many keys are known."""
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes of the table."""
        return self._keys.nbytes + self._rows.nbytes

    def find(self, keys: Keys) -> Rows:
        """The row of each key; -1 for keys that are not known."""
        found = np.full(len(keys), _EMPTY, np.int64)
        asking = np.arange(len(keys))
        slot = self._slot_of(keys)
        while len(asking):
            rows = self._rows[slot]
            same = self._keys[slot] == keys[asking]
            known = same & (rows != _EMPTY)
            found[asking[known]] = rows[known]
            on = ~same & (rows != _EMPTY)
            asking, slot = asking[on], (slot[on] + 1) & self._mask
        return found

    def put(self, keys: Keys, rows: Rows) -> None:
        """Notes keys that are not known yet, each once, with their rows."""
        if self._used + len(keys) > _FULLEST * len(self._keys):
            self._grow(self._used + len(keys))
        putting = np.arange(len(keys))
        slot = self._slot_of(keys)
        while len(putting):
            free = self._rows[slot] == _EMPTY
            at, who = slot[free], putting[free]
            self._keys[at] = keys[who]  # of several that want one slot the last wins,
            self._rows[at] = rows[who]
            won = np.zeros(len(putting), np.bool_)
            won[free] = self._keys[at] == keys[who]  # and the others see that they have lost
            putting, slot = putting[~won], (slot[~won] + 1) & self._mask
        self._used += len(keys)

    def items(self) -> tuple[Keys, Rows]:
        """All keys with their rows, in the order of the table."""
        used = np.flatnonzero(self._rows != _EMPTY)
        return self._keys[used], self._rows[used].astype(np.int64)

    def _slot_of(self, keys: Keys) -> Rows:
        return ((keys * _MIX) >> self._shift).astype(np.int64)

    def _allot(self, slots: int) -> None:
        self._keys = np.zeros(slots, np.uint64)
        self._rows = np.full(slots, _EMPTY, np.int32)
        self._mask = slots - 1
        self._shift = np.uint64(64 - slots.bit_length() + 1)
        self._used = 0

    def _grow(self, wanted: int) -> None:
        keys, rows = self.items()
        slots = len(self._keys)
        while wanted > _FULLEST * slots:
            slots *= 2
        self._allot(slots)
        self.put(keys, rows)
