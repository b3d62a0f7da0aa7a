"""From events to what each rule counts in each scope, in log order, once per delivery; the same in any batches.

An outcome counts in a scope at the event from which on both are known: that it happened, and to whom the delivery belongs.
So a bounce that names no campaign counts for it as soon as any event of its delivery does.

A bounce waits until its message is known to have been sent. Counted together with its own sending it would overtake healthy
messages whose records are still on their way: of scopes at their tolerance, with bounces at once and records 3 minutes
late, 71% were paused that way (`benchmarks/guard_simulation.py`). Only where a provider reports no sending at all does a
bounce tell of both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.guard_memory import DIMENSIONS, NEVER, OUTCOMES, Arrived, Deliveries, Ints, Touched
from features.hashrows import HashRows, Keys

SCOPE_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "all": (),
    "campaign": ("campaign_id",),
    "campaign,step": ("campaign_id", "sequence_step"),
    "campaign,variant": ("campaign_id", "variant"),
    "sender": ("sender",),
    "domain": ("recipient_domain",),
    "sender,domain": ("sender", "recipient_domain"),
}
"""Kinds of scopes and the dimensions that they are made of."""
KINDS: Final = tuple(SCOPE_KINDS)

_ARRIVED: Final = ("delivered", "opened", "clicked", "replied", "complained", "unsubscribed")
_OUTCOMES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "queued": ("sent", "attempted"),  # its delivery or bounce follows: the earliest record that a message is on its way
    "sent": ("sent", "attempted"),
    "deferred": ("sent", "attempted"),
    "bounced": ("sent", "attempted"),
    "rejected": ("attempted", "failed"),
    "failed": ("attempted", "failed"),
    **dict.fromkeys(_ARRIVED, ("sent", "attempted", "delivered")),
}
"""What a kind of event says of its delivery (data model, "How they are derived"); attempts are sent, rejected or failed."""
_ALSO: Final = {"complained": "complained", "unsubscribed": "unsubscribed"}
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def _bits(*names: str) -> int:
    return sum(1 << OUTCOMES.index(name) for name in names)


_BITS: Final = {
    kind: _bits(*outcomes, *([_ALSO[kind]] if kind in _ALSO else ())) for kind, outcomes in _OUTCOMES_OF.items()
}
_SENDING: Final = pa.array(["queued", "sent"])
"""Kinds by which a provider reports sending itself, before any outcome."""
_WAIT_FOR: Final = {"bounced": "sent"}
_BOUNCES: Final = {"hard": _bits("bounced"), "block": _bits("bounced")}


class Codes:
    """Texts as small numbers, in the order in which they appear."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._codes = {text: code for code, text in enumerate(self.texts)}

    def of(self, column: pa.ChunkedArray) -> Ints:
        """The code of each text; -1 for null. New texts get theirs in the order of the column."""
        encoded = pc.dictionary_encode(column.combine_chunks())
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        table = np.array([self.code(text) for text in encoded.dictionary.to_pylist()] or [-1], np.int64)
        indices = np.asarray(pc.fill_null(encoded.indices, -1), np.int64)
        return np.where(indices >= 0, table[indices], -1)

    def code(self, text: str) -> int:
        """The code of one text."""
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code


_OWN_DIMENSIONS: Final = tuple(dimension for dimension in DIMENSIONS if dimension != "recipient_domain")
NEEDED: Final = (
    "event_id",
    "kind",
    "occurred_at",
    "provider",
    "delivery_id",
    "bounce_class",
    "recipient",
    *_OWN_DIMENSIONS,
    "delivery",
    "mail",
    "address",
    "fact",
)
"""Columns of `FACT_SCHEMA` that the guard looks at."""


def arrivals(
    facts: pa.Table, deliveries: Deliveries, codes: Mapping[str, Codes], reporting: dict[str | None, int]
) -> Arrived:
    """Facts (columns of `FACT_SCHEMA`, e-mail only) as what the memory takes in, without those that tell nothing new.

    `reporting` holds the providers that report sending; those that turn out to do so are added.
    """
    bounced = _is(facts["kind"], "bounced")
    told = _looked_up(facts["kind"], _BITS) | np.where(bounced, _looked_up(facts["bounce_class"], _BOUNCES), 0)
    waits = bounced & _reports(facts, reporting)
    outcomes: NDArray[np.uint8] = np.where(waits, told & ~_bits("sent", "attempted"), told).astype(np.uint8)
    mail, address = (np.asarray(pc.fill_null(facts[name], 0), np.uint64) for name in ("mail", "address"))
    message = np.where((mail != 0) & (address != 0), mail * _MIX ^ address, np.uint64(0))
    nameless = np.asarray(pc.is_null(facts["delivery_id"]))
    delivery = np.asarray(pc.fill_null(facts["delivery"], 0), np.uint64)
    key = np.where(nameless & (message != 0), message, np.where(delivery != 0, delivery, np.asarray(facts["fact"])))
    wanted = np.ones(len(key), np.bool_)
    place = np.arange(len(key))
    if len(deliveries) + len(key) <= deliveries.kept:  # else what is known now may be forgotten before its turn
        news, wanted = deliveries.asks(key, outcomes)
        place = np.flatnonzero(news)
    asked = np.full((len(key), len(DIMENSIONS)), -1, np.int64)
    whose = facts.select(["recipient", *_OWN_DIMENSIONS]).filter(pa.array(wanted))
    asked[wanted] = np.stack([codes[dimension].of(_column(whose, dimension)) for dimension in DIMENSIONS], 1)
    return Arrived(place, key[place], message[place], outcomes[place], asked[place])


def _reports(facts: pa.Table, reporting: dict[str | None, int]) -> NDArray[np.bool_]:
    """Which events are of a provider that has reported a sending before or with them."""
    sending = np.asarray(pc.is_in(facts["kind"], _SENDING))
    encoded = pc.dictionary_encode(facts["provider"].combine_chunks(), null_encoding="encode")
    provider = np.asarray(encoded.indices, np.int64)
    since = np.full(len(encoded.dictionary), NEVER, np.int64)
    places = np.flatnonzero(sending)[::-1]
    since[provider[places]] = places
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        if name in reporting:
            since[code] = -1
        elif since[code] < NEVER:
            reporting[name] = 1
    return np.asarray(since[provider] <= np.arange(len(provider)))


def _looked_up(column: pa.ChunkedArray, table: Mapping[str, int]) -> Ints:
    encoded = pc.dictionary_encode(column.combine_chunks())
    values = np.array([table.get(text, 0) for text in encoded.dictionary.to_pylist()] + [0], np.int64)
    return np.asarray(values[np.asarray(pc.fill_null(encoded.indices, -1), np.int64)], np.int64)


def _is(column: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, text), fill_value=False))


def _column(facts: pa.Table, dimension: str) -> pa.ChunkedArray:
    """A dimension as scopes compare it: senders and domains in lower case."""
    found = _domain(facts["recipient"]) if dimension == "recipient_domain" else facts[dimension]
    if dimension in {"sender", "recipient_domain"}:
        found = pc.utf8_trim_whitespace(pc.utf8_lower(found))
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(found), ""), pa.scalar(None, pa.string()), found)


def _domain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What follows the last `@`, in lower case; null where there is none."""
    parts = pc.split_pattern(pc.utf8_lower(column.combine_chunks()), "@", max_splits=1, reverse=True)
    has_domain = pc.greater(pc.list_value_length(parts), 1)
    return pa.chunked_array([pc.list_element(pc.if_else(has_domain, parts, _NO_DOMAIN), 1)])


_NO_DOMAIN: Final = pa.scalar([None, None], pa.list_(pa.string()))


class Counted(NamedTuple):
    """One outcome as counted in scopes: place of the event, scope, ordinal of the delivery's sending."""

    at: Ints
    scope: Ints
    ordinal: Ints


class Scopes:
    """Every scope that anything was counted in, numbered from 0 in the order in which they appear."""

    def __init__(self) -> None:
        self._rows = HashRows()
        self.kind: list[int] = []
        self.codes: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        """How many scopes there are."""
        return len(self.kind)

    def dump(self) -> dict[str, NDArray[Any]]:
        """The scopes as arrays."""
        return {
            "kind": np.array(self.kind, np.int64),
            "codes": np.array(self.codes, np.int64).reshape(-1, len(DIMENSIONS)),
        }

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes scopes over."""
        for kind in range(len(KINDS)):
            mine = np.flatnonzero(arrays["kind"] == kind)
            self._rows.put(_scope_keys(kind, arrays["codes"][mine]), mine)
        self.kind = arrays["kind"].tolist()
        self.codes = list(map(tuple, arrays["codes"].tolist()))

    def find(self, keys: Keys) -> Ints:
        """The number of each key, -1 for new ones."""
        return self._rows.find(keys)

    def number_of(self, kind: int, codes: tuple[int, ...]) -> int | None:
        """The number of one scope, by its kind and the codes of its dimensions (others -1)."""
        found = int(self.find(_scope_keys(kind, np.array([codes], np.int64)))[0])
        return found if found >= 0 else None

    def add(self, keys: Keys, kinds: Ints, codes: Ints) -> None:
        """Adds new scopes in their order."""
        self._rows.put(keys, np.arange(len(self.kind), len(self.kind) + len(keys)))
        self.kind.extend(kinds.tolist())
        self.codes.extend(map(tuple, codes.tolist()))


def _scope_keys(kind: int, codes: Ints) -> Keys:
    """A key of each combination of codes (-1 absent) in a kind."""
    key = np.full(len(codes), kind + 1, np.uint64)
    for dimension in SCOPE_KINDS[KINDS[kind]]:
        key = (key * _MIX) ^ (codes[:, DIMENSIONS.index(dimension)] + 1).astype(np.uint64)
        key ^= key >> np.uint64(29)
    return key


def count(touched: Touched, scopes: Scopes) -> dict[str, Counted]:
    """What of each outcome has to be counted in which scopes, in no order; new scopes are added."""
    outcome_at = touched.outcome_at
    for waiting, wanted_first in _WAIT_FOR.items():
        place = OUTCOMES.index(waiting)
        outcome_at[:, place] = np.maximum(outcome_at[:, place], outcome_at[:, OUTCOMES.index(wanted_first)])
    is_new = ((outcome_at >= 0) & (outcome_at < NEVER)).any(axis=1) | (
        (touched.known_at >= 0) & (touched.known_at < NEVER)
    ).any(axis=1)
    groups = np.flatnonzero(is_new)
    outcome_at, known_at, codes = outcome_at[groups], touched.known_at[groups], touched.codes[groups]
    parts: list[tuple[Ints, Ints, Ints, Keys]] = []
    for kind, name in enumerate(KINDS):
        wanted = [DIMENSIONS.index(dimension) for dimension in SCOPE_KINDS[name]]
        at = np.maximum(outcome_at, known_at[:, wanted].max(axis=1, initial=-1)[:, None])
        at[at < 0] = NEVER
        some = np.flatnonzero(at.min(axis=1) < NEVER)
        parts.append((np.full(len(some), kind), some, at[some], _scope_keys(kind, codes[some])))
    kinds, group, at, keys = (np.concatenate(part) for part in zip(*parts, strict=True))
    scope = _numbered(scopes, keys, kinds, codes[group], at.min(axis=1))
    ordinal = touched.ordinal[groups][group]
    found = {}
    for bit, outcome in enumerate(OUTCOMES):
        new = np.flatnonzero(at[:, bit] < NEVER)
        found[outcome] = Counted(at[new, bit], scope[new], ordinal[new])
    return found


def _numbered(scopes: Scopes, keys: Keys, kinds: Ints, codes: Ints, at: Ints) -> Ints:
    """The scopes' numbers; new ones are added by place and kind."""
    scope = scopes.find(keys)
    fresh = np.flatnonzero(scope < 0)
    if len(fresh):
        order = fresh[np.lexsort((kinds[fresh], at[fresh]))]
        _, first = np.unique(keys[order], return_index=True)
        new = order[np.sort(first)]
        wanted = np.full((len(new), len(DIMENSIONS)), -1, np.int64)
        for kind, name in enumerate(KINDS):
            mine = kinds[new] == kind
            for dimension in SCOPE_KINDS[name]:
                column = DIMENSIONS.index(dimension)
                wanted[mine, column] = codes[new[mine], column]
        scopes.add(keys[new], kinds[new], wanted)
        scope[fresh] = scopes.find(keys[fresh])
    return scope


class Counter:
    """Memory, scopes and codes together: batches of facts in, counts out."""

    def __init__(self, kept: int | None = None) -> None:
        self.deliveries = Deliveries() if kept is None else Deliveries(kept)
        self.scopes = Scopes()
        self.codes = {dimension: Codes() for dimension in DIMENSIONS}
        self.reporting: dict[str | None, int] = {}

    def take(self, facts: pa.Table) -> Iterator[tuple[dict[str, Counted], Touched]]:
        """What is to be counted, and of which deliveries; mostly once for the batch."""
        arrived = arrivals(facts, self.deliveries, self.codes, self.reporting)
        start = 0
        while start < len(arrived.delivery):
            part = arrived.part(start, len(arrived.delivery))
            if len(self.deliveries) + len(part.delivery) > self.deliveries.kept:
                room = self.deliveries.room(part)
                if not room:
                    self.deliveries.forget()
                    continue
                part = part.part(0, room)
            touched = self.deliveries.take(part)
            yield count(touched, self.scopes), touched
            start += len(part.delivery)
        self.deliveries.seen += len(facts)
