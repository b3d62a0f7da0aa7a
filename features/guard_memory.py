"""What the guard remembers of each delivery: which outcomes were counted, whose it is, and when it was first sent.

A delivery is known by its key and by (message, recipient), so that an event without `delivery_id` finds it; by the second
only from the first such event on, since most providers tell one always. Of each thing
the first in log order counts, so a batch gives what its events one by one would give. Only the newest deliveries are kept:
an outcome that comes after its delivery was forgotten counts with a trial of its own.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.hashrows import HashRows, Keys

Ints = NDArray[np.int64]

NEVER: Final = int(np.iinfo(np.int32).max)
"""The place of what has not happened."""
BEFORE: Final = -1
"""The place of what happened before this batch."""
KEPT: Final = 600_000
"""Keys of deliveries that are remembered at most, some 60 MB; at that number the older half is forgotten."""

OUTCOMES: Final = (
    "sent",
    "delivered",
    "attempted",
    "bounced",
    "complained",
    "failed",
    "unsubscribed",
    "opened",
    "ses_sent",
    "ses_delivered",
    "ses_bounced",
    "ses_complained",
)
"""What is counted of a delivery, in the order of their bits."""
_COLUMNS: Final = ("outcomes", "named", "ordinal", "codes", "keys_of", "message")
_MANY: Final = len(OUTCOMES)
_ATTEMPTED: Final = OUTCOMES.index("attempted")
_BIT: Final = np.arange(_MANY, dtype=np.uint16)[:, None]
DIMENSIONS: Final = ("campaign_id", "sender", "recipient_domain", "sequence_step", "variant")


class Arrived(NamedTuple):
    """Events in log order, one row each.

    Places in the batch, keys of the delivery, keys of (message, recipient) (0 where there is none), bits of `OUTCOMES`,
    and codes of `DIMENSIONS` (shape (dimensions, events), -1 where absent).
    """

    place: Ints
    delivery: Keys
    message: Keys
    outcomes: NDArray[np.uint16]
    codes: NDArray[np.int32]

    def part(self, start: int, stop: int) -> "Arrived":
        """Some of the events that follow one another."""
        return Arrived(*(array[..., start:stop] for array in self))  # type: ignore[arg-type] # field by field


class Touched(NamedTuple):
    """The deliveries of a batch; outcomes and dimensions are the first axis, deliveries the last.

    Their rows in the memory; for each outcome and each dimension the place of the event that first told it (`NEVER`, or
    `BEFORE` this batch); the codes; and the ordinal of the event that told that sending was attempted (0: none has).
    """

    rows: Ints
    outcome_at: Ints
    known_at: Ints
    codes: NDArray[np.int32]
    ordinal: Ints


class Past:
    """Remembered deliveries as they once were: bits of `OUTCOMES` and ordinals, one each, and codes of a dimension."""

    def __init__(
        self,
        outcomes: NDArray[np.uint16],
        ordinal: Ints,
        codes: NDArray[np.int32],
        touched: Ints,
        then: NDArray[np.int32],
    ) -> None:
        self.outcomes = outcomes
        self.ordinal = ordinal
        self._codes, self._touched, self._then = codes, touched, then
        self._columns: dict[int, NDArray[np.int32]] = {}

    def codes(self, dimension: int) -> NDArray[np.int32]:
        """The code of each delivery in one of `DIMENSIONS`, -1 where it was unknown."""
        if dimension not in self._columns:
            column = self._codes[:, dimension].copy()
            column[self._touched] = self._then[dimension]
            self._columns[dimension] = column
        return self._columns[dimension]


class Deliveries:
    """The memory; `seen` is how many events came before the batch."""

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.seen = 0
        self._rows = HashRows()
        self._used = 0
        self._keys = 0
        self._is_by_message = False
        self._message = np.zeros(1024, np.uint64)
        self._keys_of = np.zeros(1024, np.int32)
        self._outcomes = np.zeros(1024, np.uint16)
        self._named = np.zeros(1024, np.bool_)
        self._ordinal = np.zeros(1024, np.int64)
        self._codes = np.full((1024, len(DIMENSIONS)), -1, np.int32)
        self._told: NDArray[np.bool_] = np.zeros(1024, np.bool_)

    def __len__(self) -> int:
        """How many keys of deliveries are remembered."""
        return self._keys

    @property
    def nbytes(self) -> int:
        """Bytes of the memory."""
        return self._rows.nbytes + sum(array.nbytes for array in self._columns())

    def _columns(self) -> tuple[NDArray[Any], ...]:
        known = self._outcomes, self._named, self._ordinal, self._codes, self._keys_of
        return *known, self._told, self._message

    def dump(self) -> dict[str, NDArray[Any]]:
        """The memory as arrays."""
        keys, rows = self._rows.items()
        columns = {name: getattr(self, f"_{name}")[: self._used] for name in _COLUMNS}
        return {"keys": keys, "rows": rows, "is_by_message": np.array(self._is_by_message), **columns}

    def load(self, arrays: Mapping[str, NDArray[Any]], seen: int) -> None:
        """Takes a memory over that was dumped after so many events."""
        self.seen = seen
        self._used = len(arrays["outcomes"])
        self._is_by_message = bool(arrays.get("is_by_message", True))  # older ones know all messages by their keys
        for name in _COLUMNS:
            missing = np.zeros(self._used, np.uint64)  # messages, in older ones
            setattr(self, f"_{name}", arrays.get(name, missing).copy())
        self._told = np.asarray((self._codes >= 0).all(axis=1))
        self._keys = int(self._keys_of.sum())
        self._rows = HashRows()
        self._rows.put(arrays["keys"], arrays["rows"])
        self._grow(1)  # there is always a row to look at

    def room(self, arrived: Arrived) -> int:
        """How many of the events may be taken in before older deliveries have to be forgotten."""
        keys, first = np.unique(arrived.delivery, return_index=True)
        fresh = self._rows.find(keys) < 0
        first = np.sort(first[fresh])
        places = first[_counts_as_key(arrived.delivery[first], arrived.message[first])]
        left = self.kept - self._keys
        return len(arrived.delivery) if len(places) <= left else int(places[left])

    def forget(self) -> None:
        """Forgets the older half."""
        cut = self._used - self._used // 2
        keys, rows = self._rows.items()
        stay = rows >= cut
        self._rows = HashRows(self._rows.slots)
        self._rows.put(keys[stay], rows[stay] - cut)
        for array in self._columns():
            array[: self._used - cut] = array[cut : self._used]
            array[self._used - cut : self._used] = -1 if array is self._codes else 0
        self._used -= cut
        self._keys = int(self._keys_of[: self._used].sum())
        if self._is_by_message:
            self._note_all_messages()  # some first keys of messages are forgotten, others of theirs are not

    def asks(self, keys: Keys, outcomes: NDArray[np.uint16]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which events may change anything, and for which of them the dimensions are asked for.

        An event changes something when its delivery is new, or an outcome or a dimension of it is not known yet.
        """
        rows = self._rows.find(keys)
        known = rows >= 0
        rows = np.where(known, rows, 0)
        is_told = known & self._told[rows]
        is_idle = is_told & ((outcomes & ~self._outcomes[rows]) == 0)
        return ~is_idle, ~is_told

    def find_by_message(self) -> None:
        """From now on deliveries are found by their messages too."""
        if self._is_by_message:
            return
        self._is_by_message = True
        self._note_all_messages()

    def take(self, arrived: Arrived) -> Touched:
        """Takes events in, and tells what is new of their deliveries; never more than `room`."""
        if (arrived.delivery == arrived.message).any():
            self.find_by_message()
        row_of = self._rows.find(arrived.delivery)
        fresh = np.flatnonzero(row_of < 0)
        keys, first, which = np.unique(arrived.delivery[fresh], return_index=True, return_inverse=True)
        row_of[fresh] = self._made_rows(keys, fresh[first], arrived)[which]
        rows, group = self._grouped(row_of)
        outcome_at = np.stack([_first(group, (arrived.outcomes >> bit) & 1 == 1, len(rows)) for bit in range(_MANY)])
        outcome_at[(self._outcomes[rows] >> _BIT) & 1 == 1] = BEFORE
        known_at = np.stack([_first(group, own >= 0, len(rows)) for own in arrived.codes])
        codes = self._codes[rows].T.copy()
        told = np.take_along_axis(arrived.codes, np.where(known_at < NEVER, known_at, 0), axis=1)
        is_known = codes >= 0
        codes = np.where(is_known, codes, np.where(known_at < NEVER, told, -1))
        known_at[is_known] = BEFORE

        self._outcomes[rows] |= ((outcome_at < NEVER) << _BIT).sum(0).astype(np.uint16)
        self._codes[rows] = codes.T
        self._told[rows] = (codes >= 0).all(axis=0)
        tried_at = outcome_at[_ATTEMPTED]
        tried_now = (tried_at >= 0) & (tried_at < NEVER)
        self._ordinal[rows[tried_now]] = self.seen + 1 + arrived.place[tried_at[tried_now]]
        _to_places(outcome_at, arrived.place)
        _to_places(known_at, arrived.place)
        return Touched(rows, outcome_at, known_at, codes, self._ordinal[rows])

    def as_of(self, touched: Touched, place: int) -> "Past":
        """All deliveries as they were after the event at a place of the last batch."""
        outcomes = self._outcomes[: self._used].copy()
        outcomes[touched.rows] = ((touched.outcome_at <= place) << _BIT).sum(0).astype(np.uint16)
        then = np.where(touched.known_at <= place, touched.codes, -1)
        return Past(outcomes, self._ordinal[: self._used], self._codes[: self._used], touched.rows, then)

    def _grouped(self, row_of: Ints) -> tuple[Ints, Ints]:
        """Distinct rows, rising, and which of them each event has; by one place for each row instead of by sorting."""
        is_there = np.zeros(self._used, np.bool_)
        is_there[row_of] = True
        rows = np.flatnonzero(is_there)
        place = np.empty(self._used, np.int64)
        place[rows] = np.arange(len(rows))
        return np.asarray(rows, np.int64), place[row_of]

    def _made_rows(self, keys: Keys, first: Ints, arrived: Arrived) -> Ints:
        """The rows of distinct new keys, given in the order in which they first appear."""
        order = np.argsort(first)
        message = arrived.message[first[order]]
        self._grow(self._used + len(keys))
        make = self._rows_by_message if self._is_by_message else self._next_rows
        made = make(keys[order], message)
        self._message[made] = message
        self._rows.put(keys[order], made)
        if self._is_by_message:
            self._note_messages(message, made, message == keys[order])
        rows = np.empty(len(keys), np.int64)
        rows[order] = made
        return rows

    def _next_rows(self, keys: Keys, _: Keys) -> Ints:
        """A row for each key; all are of events with `delivery_id`."""
        made = self._used + np.arange(len(keys))
        self._used += len(keys)
        self._named[made] = True
        self._keys_of[made] = 1
        self._keys += len(keys)
        return made

    def _rows_by_message(self, keys: Keys, message: Keys) -> Ints:
        """A row for each key in the order in which they appear; a new one also by its message.

        A new key takes the row of its message where only events without `delivery_id` have told of that so far.
        """
        nameless = message == keys  # the event's own key is the message's
        # A dict walks the few new keys whose message is known or comes twice; the others are put in as arrays.
        _, back, times = np.unique(message, return_inverse=True, return_counts=True)
        known = np.where(message != 0, self._rows.find(message), -1)
        odd = ((known >= 0) | (times[back] > 1)) & (message != 0)
        made = np.full(len(keys), -1, np.int64)
        of_message: dict[int, int] = {}
        taken: set[int] = set()
        number = self._used
        for place in range(len(keys)) if odd.any() else ():
            if not odd[place]:
                made[place], number = number, number + 1
                continue
            name = int(message[place])
            row = of_message.get(name, int(known[place]))
            if row < 0 or (not nameless[place] and (row in taken or self._is_named(row))):
                row, number = number, number + 1
            of_message.setdefault(name, row)
            if not nameless[place]:
                taken.add(row)
            made[place] = row
        if not odd.any():
            made = self._used + np.arange(len(keys))
            number = self._used + len(keys)
        self._used = number
        self._named[made[~nameless]] = True
        counts = _counts_as_key(keys, message)
        np.add.at(self._keys_of, made[counts], 1)
        self._keys += int(counts.sum())
        return made

    def _is_named(self, row: int) -> bool:
        return row < self._used and bool(self._named[row])

    def _note_all_messages(self) -> None:
        self._note_messages(self._message[: self._used], np.arange(self._used), np.zeros(self._used, np.bool_))

    def _note_messages(self, message: Keys, made: Ints, nameless: NDArray[np.bool_]) -> None:
        """Notes messages that are not known yet, each with the row of its first key."""
        new = np.flatnonzero((message != 0) & ~nameless)
        names, at = np.unique(message[new], return_index=True)
        unknown = self._rows.find(names) < 0
        self._rows.put(names[unknown], made[new[at[unknown]]])

    def _grow(self, wanted: int) -> None:
        if wanted <= len(self._outcomes):
            return
        more = max(wanted, 2 * len(self._outcomes)) - len(self._outcomes)
        self._outcomes = np.append(self._outcomes, np.zeros(more, np.uint16))
        self._named = np.append(self._named, np.zeros(more, np.bool_))
        self._keys_of = np.append(self._keys_of, np.zeros(more, np.int32))
        self._ordinal = np.append(self._ordinal, np.zeros(more, np.int64))
        self._message = np.append(self._message, np.zeros(more, np.uint64))
        self._told = np.append(self._told, np.zeros(more, np.bool_))
        self._codes = np.concatenate([self._codes, np.full((more, len(DIMENSIONS)), -1, np.int32)])


def _first(group: Ints, chosen: NDArray[np.bool_], groups: int) -> NDArray[Any]:
    """The place of the first chosen event of each group; `NEVER` where there is none."""
    found = np.full(groups, NEVER, np.int32)
    places = np.flatnonzero(chosen)[::-1]
    found[group[places]] = places  # of several assignments the last stays: the earliest place
    return found


def _to_places(found: Ints, place: Ints) -> None:
    """Numbers of events to their places in the batch, in place."""
    told = (found >= 0) & (found < NEVER)
    found[told] = place[found[told]]


def _counts_as_key(keys: Keys, message: Keys) -> NDArray[np.bool_]:
    """Which new keys, in the order of their first events, are not known already by the message of an earlier one."""
    nameless = keys == message
    if not nameless.any() or nameless.all():
        return np.ones(len(keys), np.bool_)
    named = np.flatnonzero(~nameless & (message != 0))
    told, at = np.unique(message[named], return_index=True)
    place = np.minimum(np.searchsorted(told, keys), max(len(told) - 1, 0))
    known = np.flatnonzero(told[place] == keys) if len(told) else np.empty(0, np.int64)
    counts = np.ones(len(keys), np.bool_)
    counts[known[nameless[known] & (named[at[place[known]]] < known)]] = False
    return counts
