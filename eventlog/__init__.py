"""The log: one contract, several backends. What passes between running parts passes through here or the lake.

Streams (`schemas.events.Stream`) are split into partitions; within a partition records have ascending offsets.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

MAX_READ_BYTES: Final = 64 * 2**20
"""What one read returns at most, so that a run of huge requests does not fill the memory."""


class Record(msgspec.Struct, frozen=True):
    """What is appended: `key` is the record's identity in its stream (None: every record counts), `value` its bytes."""

    key: bytes | None
    value: bytes


class Stored(msgspec.Struct, frozen=True):
    """A record as it lies in a partition. `appended_ms` is the appender's wall clock, for retention only."""

    offset: int
    value: bytes
    appended_ms: int


class Log(Protocol):
    """Durable, ordered, repeatable; safe for several processes at once."""

    def append(self, stream: str, records: Sequence[Record]) -> list[int]:
        """Appends and returns one offset per record once all are on disk; a known key gets its first offset again.

        Raises:
            LogError: nothing was appended.
        """
        ...

    def read(
        self, stream: str, partition: int, from_offset: int, limit: int, max_bytes: int = MAX_READ_BYTES
    ) -> list[Stored]:
        """Up to `limit` records with offsets from `from_offset` on, in order; the same every time.

        Fewer when their values exceed `max_bytes`, but never none for that reason.
        """
        ...

    def end(self, stream: str, partition: int) -> int:
        """The offset that the next record of the partition will be at or beyond; nothing readable lies there yet."""
        ...

    def partitions(self, stream: str) -> int:
        """How many partitions the stream has."""
        ...

    def mark(self, consumer: str, stream: str, partition: int, offset: int) -> None:
        """Notes where a consumer goes on, for people to see the lag; no contract rests on it."""
        ...

    def marked(self, consumer: str, stream: str, partition: int) -> int:
        """Where a consumer said that it goes on; 1 when it never did."""
        ...

    def expire(self, stream: str, partition: int, older_than_ms: int, below_offset: int | None = None) -> int:
        """Drops records appended before the instant (ms since 1970) and below the offset, if one is given.

        Returns how many. Offsets are never reused.
        """
        ...

    def rewrite(self, stream: str, partition: int, change: Callable[[Stored], bytes | None]) -> int:
        """Erases what somebody may ask to have erased: `change` gives a record's new bytes, or None to leave it.

        Key, offset and time stay, so nothing is read or appended twice. Returns how many were changed. Afterwards no file of
        the partition holds the old bytes, nor those of records that were dropped before; what is cut off is done again whole.
        """
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...
