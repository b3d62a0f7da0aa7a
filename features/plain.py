"""Which rows of a decoded batch are good beyond doubt, judged on whole columns; the rest is `schemas.decode`'s to judge.

Checks work on Arrow's buffers with numpy: the same checks in SQL cost 1.4 µs an event, here 0.2.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.events import EVENT_FIELDS, BounceClass, Channel, Kind
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS

Mask = np.ndarray[Any, np.dtype[np.bool_]]

INSTANT: Final = pa.timestamp("us", tz="UTC")
_CHOSEN: Final = {
    "kind": pa.array(list(Kind)),
    "channel": pa.array(list(Channel)),
    "bounce_class": pa.array(list(BounceClass)),
    "is_machine": pa.array(["true", "false"]),
}
_TEXTS: Final = tuple(f for f in EVENT_FIELDS if f not in {*_CHOSEN, "occurred_at", "received_at", "attributes"})
_OPENERS: Final = np.zeros(256, np.bool_)
_OPENERS[[ord("["), ord("{")]] = True
_BRACE, _QUOTE, _ZULU, _TEE, _DOT = (ord(c) for c in '{"ZT.')
_SHAPE: Final = "%Y-%m-%dT%H:%M:%S"
_NO_NUMBERS: Final = ((ord("N"), 3), (ord("I"), 8), (ord("-"), 9))
"""First byte and length of NaN, Infinity and -Infinity: DuckDB takes them for JSON, and a text may be like them."""
_DIGITS: Final = 20  # the length of 2026-01-05T10:00:00Z; with milliseconds it is four more


class _Text:
    """A text column's buffers: `starts` and `lengths` in bytes, `there` where it is not null."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(array, pa.ChunkedArray):  # an empty column has no chunk to combine
            array = pa.array([], pa.string())
        buffers = array.buffers()
        offsets = (
            np.frombuffer(buffers[1], np.int32, len(array) + 1, 4 * array.offset) if len(array) else np.zeros(1, int)
        )
        self.bytes = np.frombuffer(buffers[2], np.uint8) if len(array) and buffers[2] else np.zeros(1, np.uint8)
        self.starts = offsets[:-1]
        self.lengths = np.diff(offsets)
        self.there = ~np.asarray(array.is_null()) if array.null_count else np.ones(len(array), np.bool_)

    def byte(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The byte at an index of each text (negative: from its end); anything where the text is too short."""
        at = self.starts + (index if index >= 0 else self.lengths + index)
        found: np.ndarray[Any, np.dtype[np.uint8]] = self.bytes[np.clip(at, 0, max(0, len(self.bytes) - 1))]
        return found


def instants(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """The column as instants (null where it cannot be) and which rows are plain: null, or UTC with 0 or 3 digits."""
    text = _Text(column)
    long = text.lengths == _DIGITS + 4
    shaped = (long | (text.lengths == _DIGITS)) & (text.byte(-1) == _ZULU) & (text.byte(10) == _TEE)
    shaped &= ~long | (text.byte(19) == _DOT)
    plain = shaped | ~text.there
    if not plain.all():
        column = pc.if_else(pa.array(plain), column, pa.scalar(None, pa.string()))
    try:
        return pc.cast(column, INSTANT), plain
    except pa.ArrowInvalid:  # some date or time of the right shape does not exist
        exists = pc.is_valid(pc.strptime(pc.utf8_slice_codeunits(column, 0, 19), _SHAPE, "us", error_is_null=True))
        plain &= np.asarray(exists) | ~text.there
    try:
        return pc.cast(pc.if_else(pa.array(plain), column, pa.scalar(None, pa.string())), INSTANT), plain
    except pa.ArrowInvalid:  # milliseconds that are no digits, and the like
        return pa.chunked_array([pa.nulls(len(column), INSTANT)]), ~text.there


def plain_rows(table: pa.Table, occurred: pa.ChunkedArray, received: pa.ChunkedArray) -> Mask:
    """Rows whose every field is as `schemas.decode` would have it, given the instants of both time columns."""
    event_id = _Text(table["event_id"])
    plain: Mask = event_id.there & (event_id.lengths > 0)
    for name, valid in _CHOSEN.items():
        column = table[name]
        good = np.asarray(pc.is_in(column, value_set=valid))
        plain &= good if name == "kind" else good | np.asarray(pc.is_null(column))
    for name in _TEXTS:
        text = _Text(table[name])
        if text.there.any():
            first, lengths = text.byte(0), text.lengths
            doubtful = _OPENERS[first] & (lengths > 0)
            for opener, length in _NO_NUMBERS:
                doubtful |= (lengths == length) & (first == opener)
            plain &= ~(doubtful & text.there)
    attributes = _Text(table["attributes"])
    opened = (attributes.byte(0) == _BRACE) & ((attributes.byte(1) == _QUOTE) | (attributes.lengths == 2))
    plain &= opened | ~attributes.there
    return plain & _believable(occurred, received)


def _believable(occurred: pa.ChunkedArray, received: pa.ChunkedArray) -> Mask:
    """Within 2000 to 2079, and at most 24 h after reception where that is known."""
    at, known = _milliseconds(occurred)
    seen, received_known = _milliseconds(received)
    within: Mask = known & (at >= EARLIEST_MS) & (at < LATEST_MS)
    return within & (~received_known | (at <= seen + AHEAD_MS))


def _milliseconds(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Mask]:
    whole = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), 0)
    return np.asarray(whole) // 1000, ~np.asarray(pc.is_null(column))
