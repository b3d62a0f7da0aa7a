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
_SENDING: Final = dict.fromkeys(("queued", "sent"), 1)
"""Kinds by which a provider reports sending itself, before any outcome."""
_WAIT_FOR: Final = {"bounced": "sent", "ses_bounced": "ses_sent"}
_BOUNCES: Final = {"hard": _bits("bounced"), "block": _bits("bounced")}
_IS_BOUNCE: Final = {"bounced": 1}
_IF_HUMAN: Final = dict.fromkeys(("opened", "clicked", "replied"), _bits("opened"))
_SES: Final = "ses"
"""The provider that publishes limits of its own."""
_OF_SES: Final = {_bits(name): _bits(f"ses_{name}") for name in ("sent", "delivered", "complained")}
_HARD_OF_SES: Final = {"hard": _bits("ses_bounced")}


class Codes:
    """Texts as small numbers, in the order in which they appear."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._codes = {text: code for code, text in enumerate(self.texts)}

    def of(self, column: pa.Array, dimension: str) -> Ints:
        """The code of each text as scopes compare it; -1 for null. New texts get theirs in the order of the column."""
        encoded = pc.dictionary_encode(column)
        texts = (_compared(text, dimension) for text in encoded.dictionary.to_pylist())
        table = np.array([self.code(text) if text else -1 for text in texts] + [-1], np.int64)
        return np.asarray(table[np.asarray(pc.fill_null(encoded.indices, -1), np.int64)], np.int64)

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
    "channel",
    "occurred_at",
    "received_at",
    "provider",
    "delivery_id",
    "bounce_class",
    "is_machine",
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
    """Facts (columns of `FACT_SCHEMA`) as what the memory takes in: e-mail only, without what tells nothing new.

    `reporting` holds the providers that report sending; those that turn out to do so are added.
    """
    is_mail = np.asarray(pc.fill_null(pc.equal(facts["channel"], "email"), fill_value=True))
    outcomes = _outcomes(facts, is_mail, reporting)
    mail, address = (np.asarray(pc.fill_null(facts[name], 0), np.uint64) for name in ("mail", "address"))
    message = np.where((mail != 0) & (address != 0), mail * _MIX ^ address, np.uint64(0))
    nameless = np.asarray(pc.is_null(facts["delivery_id"]))
    delivery = np.asarray(pc.fill_null(facts["delivery"], 0), np.uint64)
    if (nameless & (message != 0)).any():
        deliveries.find_by_message()
    key = np.where(nameless & (message != 0), message, np.where(delivery != 0, delivery, np.asarray(facts["fact"])))
    news, wanted = is_mail, is_mail
    if len(deliveries) + len(key) <= deliveries.kept:  # else what is known now may be forgotten before its turn
        changes, asks = deliveries.asks(key, outcomes)
        news, wanted = changes & is_mail, asks & is_mail
    place = np.flatnonzero(news)
    asked = np.full((len(DIMENSIONS), len(key)), -1, np.int32)
    whose = facts.select(["recipient", *_OWN_DIMENSIONS])
    if not wanted.all():
        whose = whose.filter(pa.array(wanted))
    for number, dimension in enumerate(DIMENSIONS):
        asked[number, wanted] = codes[dimension].of(_texts(whose, dimension), dimension)
    return Arrived(place, key[place], message[place], outcomes[place], asked[:, place])


def _outcomes(facts: pa.Table, is_mail: NDArray[np.bool_], reporting: dict[str | None, int]) -> NDArray[np.uint16]:
    """The bits of what each event says of its delivery."""
    kind = _encoded(facts["kind"])
    bounced = _looked_up(kind, _IS_BOUNCE)
    told = _looked_up(kind, _BITS) | bounced * _looked_up(_encoded(facts["bounce_class"]), _BOUNCES)
    told |= np.where(_is_true(facts["is_machine"]), 0, _looked_up(kind, _IF_HUMAN))
    waits = (bounced == 1) & _reports(facts, (_looked_up(kind, _SENDING) == 1) & is_mail, reporting)
    told = np.where(waits, told & ~_bits("sent", "attempted"), told)
    of_ses = _is(facts["provider"], _SES)
    if of_ses.any():
        also = bounced * _looked_up(_encoded(facts["bounce_class"]), _HARD_OF_SES)
        for bit, own in _OF_SES.items():
            also |= np.where(told & bit, own, 0)
        told |= np.where(of_ses, also, 0)
    return told.astype(np.uint16)


def _reports(facts: pa.Table, sending: NDArray[np.bool_], reporting: dict[str | None, int]) -> NDArray[np.bool_]:
    """Which events are of a provider that has reported a sending of mail before or with them."""
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


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return pc.dictionary_encode(column.combine_chunks())


def _looked_up(column: pa.DictionaryArray, table: Mapping[str, int]) -> Ints:
    """What a table has for each text; 0 where it has none."""
    values = np.array([table.get(text, 0) for text in column.dictionary.to_pylist()] + [0], np.int64)
    return np.asarray(values[np.asarray(pc.fill_null(column.indices, -1), np.int64)], np.int64)


def _is_true(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(column, fill_value=False))


def _is(column: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.equal(column, text), fill_value=False))


def _compared(text: str, dimension: str) -> str:
    """A dimension's text as scopes compare it: senders and domains in lower case; empty for none."""
    if dimension in {"sender", "recipient_domain"}:
        return text.lower().strip()
    return text if text.strip() else ""


def _texts(facts: pa.Table, dimension: str) -> pa.Array:
    """The column of a dimension."""
    column = facts["recipient" if dimension == "recipient_domain" else dimension].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    return _domains(column) if dimension == "recipient_domain" else column


def _domains(addresses: pa.Array) -> pa.Array:
    """What follows the last `@` of each address; empty where there is none."""
    count = len(addresses)
    data = addresses.buffers()[2]
    if not count or data is None:
        return pa.array([None] * count, pa.string())
    ends = np.frombuffer(addresses.buffers()[1], np.int32)[addresses.offset : addresses.offset + count + 1]
    content = np.frombuffer(data, np.uint8)
    signs = np.append(-1, np.flatnonzero(content[: ends[-1]] == _AT))  # the bytes of `@` are in no other character
    last = signs[np.searchsorted(signs, ends[1:]) - 1]
    starts = np.where(last >= ends[:-1], last + 1, ends[1:])
    lengths = ends[1:] - starts
    offsets = np.append(np.int32(0), np.cumsum(lengths, dtype=np.int32))
    place = np.arange(offsets[-1], dtype=np.int32) + np.repeat((starts - offsets[:-1]).astype(np.int32), lengths)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(content[place]))


_AT: Final = ord("@")


class Counted(NamedTuple):
    """One outcome as counted in scopes: place of the event, scope, ordinal of the delivery's sending."""

    at: Ints
    scope: Ints
    ordinal: Ints


class Scopes:
    """Every scope that anything was counted in, numbered from 0 in the order in which they appear."""

    def __init__(self) -> None:
        self._rows = HashRows()
        self._direct = {
            kind: np.full(1, -1, np.int64) for kind, name in enumerate(KINDS) if len(SCOPE_KINDS[name]) < _PAIR
        }
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
            self._put(kind, arrays["codes"][mine].T, mine)
        self.kind = arrays["kind"].tolist()
        self.codes = list(map(tuple, arrays["codes"].tolist()))

    def find(self, kind: int, codes: NDArray[Any]) -> Ints:
        """The number of the scope of each delivery in a kind, from codes of shape (dimensions, deliveries); -1 for new ones."""
        direct = self._direct.get(kind)
        if direct is None:
            return self._rows.find(_scope_keys(kind, codes))
        place = _place(kind, codes)
        return np.where(place < len(direct), direct[np.minimum(place, len(direct) - 1)], -1)

    def number_of(self, kind: int, codes: tuple[int, ...]) -> int | None:
        """The number of one scope, by its kind and the codes of its dimensions (others -1)."""
        found = int(self.find(kind, np.array([codes], np.int64).T)[0])
        return found if found >= 0 else None

    def add(self, kinds: Ints, codes: Ints) -> None:
        """Adds new scopes in their order, each once; codes of shape (dimensions, scopes)."""
        numbers = len(self.kind) + np.arange(len(kinds))
        for kind in np.unique(kinds).tolist():
            mine = kinds == kind
            self._put(kind, codes[:, mine], numbers[mine])
        self.kind.extend(kinds.tolist())
        self.codes.extend(map(tuple, codes.T.tolist()))

    def _put(self, kind: int, codes: Ints, numbers: Ints) -> None:
        direct = self._direct.get(kind)
        if direct is None:
            self._rows.put(_scope_keys(kind, codes), numbers)
            return
        place = _place(kind, codes)
        most = int(place.max(initial=0))
        if most >= len(direct):
            direct = np.append(direct, np.full(max(most + 1, 2 * len(direct)) - len(direct), -1, np.int64))
            self._direct[kind] = direct
        direct[place] = numbers


_PAIR: Final = 2
"""Scopes of that many dimensions are found by hash, others directly by the code."""


def _place(kind: int, codes: NDArray[Any]) -> Ints:
    """Where the number of a scope of at most one dimension stands; absent ones at 0."""
    own = SCOPE_KINDS[KINDS[kind]]
    return codes[DIMENSIONS.index(own[0])] + 1 if own else np.zeros(codes.shape[1], np.int64)


def _scope_keys(kind: int, codes: NDArray[Any]) -> Keys:
    """A key of each combination of codes (-1 absent) in a kind."""
    key = np.full(codes.shape[1], kind + 1, np.uint64)
    for dimension in SCOPE_KINDS[KINDS[kind]]:
        key = (key * _MIX) ^ (codes[DIMENSIONS.index(dimension)] + 1).astype(np.uint64)
        key ^= key >> np.uint64(29)
    return key


def count(touched: Touched, scopes: Scopes) -> dict[str, Counted]:
    """What of each outcome has to be counted in which scopes, in no order; new scopes are added.

    Outcomes that are the same in the whole batch share one `Counted`.
    """
    outcome_at = touched.outcome_at
    for waiting, wanted_first in _WAIT_FOR.items():
        place = OUTCOMES.index(waiting)
        outcome_at[place] = np.maximum(outcome_at[place], outcome_at[OUTCOMES.index(wanted_first)])
    known = [
        touched.known_at[[DIMENSIONS.index(dimension) for dimension in own]].max(axis=0, initial=-1)
        for own in SCOPE_KINDS.values()
    ]
    scope = _numbered(touched, known, scopes)
    found: dict[str, Counted] = {}
    for bit, outcome in enumerate(OUTCOMES):
        same = next((OUTCOMES[b] for b in range(bit) if np.array_equal(outcome_at[b], outcome_at[bit])), None)
        found[outcome] = found[same] if same else _counted(outcome_at[bit], known, scope, touched.ordinal)
    return found


def _counted(outcome_at: Ints, known: Sequence[Ints], scope: Sequence[Ints], ordinal: Ints) -> Counted:
    """One outcome, over all kinds."""
    happened = np.flatnonzero(outcome_at < NEVER)
    outcome_at, ordinal = outcome_at[happened], ordinal[happened]
    parts = []
    for known_at, of_kind in zip(known, scope, strict=True):
        at = np.maximum(outcome_at, known_at[happened])
        new = np.flatnonzero(at.view(np.uint32) < NEVER)  # `BEFORE` is the highest number without a sign
        parts.append((at[new], of_kind[happened[new]], ordinal[new]))
    return Counted(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _numbered(touched: Touched, known: Sequence[Ints], scopes: Scopes) -> list[Ints]:
    """The scope of each delivery in each kind; new ones are added by the place at which they first count, and by kind."""
    found = [scopes.find(kind, touched.codes) for kind in range(len(KINDS))]
    fresh_at, fresh_kind, fresh_row = [], [], []
    for kind, of_kind in enumerate(found):
        rows = np.flatnonzero((of_kind < 0) & (known[kind] < NEVER))
        at = np.maximum(touched.outcome_at[:, rows], known[kind][rows])
        at = np.where(at < 0, NEVER, at).min(axis=0, initial=NEVER)
        rows, at = rows[at < NEVER], at[at < NEVER]
        fresh_at.append(at)
        fresh_kind.append(np.full(len(rows), kind))
        fresh_row.append(rows)
    at, kinds, rows = (np.concatenate(part) for part in (fresh_at, fresh_kind, fresh_row))
    if len(rows):
        order = np.lexsort((kinds, at))
        kinds, rows = kinds[order], rows[order]
        codes = np.where(_IS_OWN[kinds].T, touched.codes[:, rows], -1).astype(np.int64)
        keys = np.empty(len(rows), np.uint64)
        for kind in np.unique(kinds).tolist():
            keys[kinds == kind] = _scope_keys(kind, codes[:, kinds == kind])
        _, first = np.unique(keys, return_index=True)
        first = np.sort(first)
        scopes.add(kinds[first], codes[:, first])
        for kind in np.unique(kinds).tolist():
            mine = rows[kinds == kind]
            found[kind][mine] = scopes.find(kind, touched.codes[:, mine])
    return found


_IS_OWN: Final = np.array([[dimension in own for dimension in DIMENSIONS] for own in SCOPE_KINDS.values()])


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
