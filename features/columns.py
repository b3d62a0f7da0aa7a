"""Lines of canonical JSON to typed columns, a whole micro-batch at a time.

DuckDB's JSON reader takes the plain rows in parallel (1.3 µs an event on two cores; a Struct a row and then columns costs
twice that and holds the interpreter lock). A row that is not plainly good goes, alone, to `schemas.decode`, which defines
what is valid: so one bad line costs its neighbours nothing, and what becomes of a line never depends on its neighbours.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.plain import INSTANT, Mask, instants, plain_rows
from schemas.decode import decode_record
from schemas.events import EVENT_FIELDS, Event, LoggedEvent, Origin, Reply
from schemas.failures import BadEvent, DeadLetter

_TIMES: Final = ("occurred_at", "received_at")
_LOGGED: Final = ("origin", "raw_partition", "raw_offset")
_DAY_US: Final = 86_400_000_000
_AS_JSON: Final = frozenset({"is_machine", "attributes"})
_KEYS: Final = "json_keys(attributes)"
# DuckDB takes NaN for JSON, nulls for attributes, and keeps names that come twice.
_ODD_MAP: Final = " OR ".join(
    [
        *(f"contains(attributes::VARCHAR, '{word}')" for word in ("null", "NaN", "nfinity")),
        f"CASE WHEN contains(attributes::VARCHAR, ',') THEN len(list_distinct({_KEYS})) < len({_KEYS}) ELSE false END",
    ]
)
LONGEST_LINE: Final = 64 * 2**20
"""Bytes of a line at most: what an inbound mail with its attachments can be."""
KEPT_OF_LONG: Final = 2**16
"""Bytes that a dead letter keeps of a longer line."""
_LONG: Final = 2**16
"""Bytes from which a line is decoded alone: many of them at once would not fit into the decoder's memory."""

FACT_SCHEMA: Final = pa.schema(
    [
        *((f, INSTANT if f in _TIMES else pa.bool_() if f == "is_machine" else pa.string()) for f in EVENT_FIELDS),
        ("origin", pa.string()),
        ("raw_partition", pa.int32()),
        ("raw_offset", pa.int64()),
        ("day", pa.int32()),
        ("fact", pa.uint64()),
        ("delivery", pa.uint64()),
        ("mail", pa.uint64()),
        ("address", pa.uint64()),
    ]
)
"""Columns of a batch of facts: the Event fields (`attributes` as JSON text), where it came from, the UTC day of
`occurred_at` since 1970, and 64-bit hashes: `fact` of the event's identity within its day, `delivery` of its delivery key,
`mail` and `address` of the message's id and its recipient, by which replies and reports that came as mail find it (null
for those themselves)."""


IDENTITY_VERSION: Final = 3
"""Raised when the hashes are made of other columns; a lake with others has them made anew."""

_TOLD_BY_MAIL: Final = ("from", "in_reply_to", "references", "original_message_id")
_REPORTED: Final = ("bounced", "deferred", "delivered", "complained", "unsubscribed", "failed")
CAME_AS_MAIL: Final = f"""CASE WHEN delivery_id IS NOT NULL OR attributes IS NULL THEN false
    WHEN kind = 'replied' THEN {" OR ".join(f"contains(attributes::VARCHAR, '{chr(34)}{k}{chr(34)}')" for k in _TOLD_BY_MAIL)}
    WHEN kind IN {_REPORTED} THEN contains(attributes::VARCHAR, '"report"') ELSE false END"""
"""SQL: whether a fact came as a mail that nobody has tied to a delivery: a reply, or a report about a message.

Its own message id and recipient are those of that mail, so they name no delivery; `sinks.links` finds the one it is about.
"""
MAIL_HASH: Final = "hash('i', split_part({}, '@', 1))"
"""SQL: the hash of a mail's id. Providers show theirs with or without the host, so what stands before the `@` counts."""
ADDRESS_HASH: Final = "hash('a', lower({}))"


ALIAS: Final = "CASE WHEN message_id IS NOT NULL THEN hash('m', provider, message_id, recipient) END"
"""SQL: the delivery key of an event that has no delivery_id (data model, "How they are derived")."""


def identities() -> Mapping[str, str]:
    """The hashes of `FACT_SCHEMA` as SQL over event columns; DuckDB's `hash` is fixed by the pinned release."""
    return {
        "fact": "hash(provider, event_id, kind, recipient)",
        "delivery": f"""CASE WHEN delivery_id IS NOT NULL THEN hash('d', delivery_id)
            WHEN message_id IS NOT NULL THEN {ALIAS}
            WHEN {CAME_AS_MAIL} THEN hash('r', provider, event_id, recipient) END""",
        "mail": f"CASE WHEN message_id IS NOT NULL AND NOT ({CAME_AS_MAIL}) THEN {MAIL_HASH.format('message_id')} END",
        "address": f"""CASE WHEN recipient IS NOT NULL AND NOT ({CAME_AS_MAIL})
            THEN {ADDRESS_HASH.format("recipient")} END""",
    }


def identity_sql() -> str:
    """`identities` as columns."""
    return ", ".join(f"{expression} AS {name}" for name, expression in identities().items())


def _decode_sql(origin: Origin, *, logged: bool) -> str:
    fields = [*EVENT_FIELDS, *(_LOGGED if logged else ())]
    # As JSON, a text keeps its quotes: "true" is no boolean, and a text that looks like a map is none.
    spec = "{" + ",".join(f'"{f}":"{"JSON" if f in _AS_JSON else "VARCHAR"}"' for f in fields) + "}"
    named = [f"{f}::VARCHAR AS {f}" if f in _AS_JSON else f for f in EVENT_FIELDS]
    if logged:
        tail = "origin, raw_partition::INTEGER AS raw_partition, raw_offset::BIGINT AS raw_offset"
    else:
        tail = f"'{origin}' AS origin, NULL::INTEGER AS raw_partition, NULL::BIGINT AS raw_offset"
    return f"""
        SELECT position, {", ".join(named)}, {tail}, {identity_sql()},
            CASE WHEN kind = 'replied' THEN regexp_matches(line, '"(text|subject|headers)"') ELSE false END
                OR (attributes IS NOT NULL AND ({_ODD_MAP})) AS odd
        FROM (SELECT position, line, unnest(json_transform({{line}}, '{spec}')) FROM batch)"""


def too_long(source: str, position: int, start: bytes) -> DeadLetter:
    """What a line beyond `LONGEST_LINE` becomes; of its bytes the first ones are kept."""
    detail = f"a line of more than {LONGEST_LINE >> 20} MiB; its first {KEPT_OF_LONG >> 10} KiB are kept"
    return _dead_letter(source, position, start[:KEPT_OF_LONG], BadEvent("line too long", detail))


@dataclass(frozen=True)
class Decoded:
    """A decoded micro-batch: `facts` by `FACT_SCHEMA` in the order of the lines, replies, and what was unusable.

    `results` are rows for the lake that a source has made of the facts.
    """

    facts: pa.Table
    replies: list[Reply]
    dead: list[DeadLetter]
    results: Sequence[Any] = ()


class Decoder:
    """Turns lines into columns; holds an in-memory DuckDB and nothing else.

    `logged` says that the lines are the log's own (`LoggedEvent`, which carry their origin); else `origin` is theirs.
    """

    def __init__(self, *, logged: bool = False, origin: Origin = Origin.REPLAY) -> None:
        # One thread: the other core lands the batch before (2.3 µs an event each, so both are busy).
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "200MB"})
        self._connection.execute("SET TimeZone = 'UTC'")
        sql = _decode_sql(origin, logged=logged)
        self._fast = sql.replace("{line}", "line")
        self._careful = sql.replace("{line}", "CASE WHEN json_valid(line) THEN line END")
        self._logged = logged
        self._origin = origin

    def decode(self, lines: pa.Array, positions: np.ndarray[Any, Any], source: str) -> Decoded:
        """Decodes lines (Arrow text or bytes); `positions` (int64, one a line) and `source` name a line for ever.

        Blank lines are nothing. The order of the lines is kept.
        """
        texts, set_aside = _as_text(lines)
        found = self._untyped(texts, positions)
        table, plain = _typed(found)
        if plain.all():
            return Decoded(table, [], [])
        at = found["position"].to_numpy()
        doubtful = {int(p) for p in at[~plain]}
        wanted = [i for i, p in enumerate(positions) if int(p) in doubtful]
        slow = [(int(positions[i]), set_aside.get(i) or lines[i].as_py()) for i in wanted]
        return self._with_doubtful(table.filter(pa.array(plain)), at[plain], slow, source)

    def columns(self, events: Sequence[Event], origin: Origin) -> pa.Table:
        """Events as columns of `FACT_SCHEMA`."""
        rows = [_row(event, origin) for event in events]
        names = [*EVENT_FIELDS, *_LOGGED]
        columns = [[row[i] for row in rows] for i in range(len(names))]
        kinds = [pa.string() if n in _TIMES else _type_of(n) for n in names]
        events_table = pa.Table.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], names=names
        )
        with self._connection.cursor() as cursor:
            cursor.register("events_table", events_table)
            hashed = cursor.execute(f"SELECT *, {identity_sql()} FROM events_table").to_arrow_table()
        return _assembled(hashed, *(pc.cast(hashed[t], INSTANT) for t in _TIMES))

    def _untyped(self, texts: pa.Array, positions: np.ndarray[Any, Any]) -> pa.Table:
        """Fields as text, with their hashes."""
        batch = pa.table({"line": texts, "position": positions})
        with self._connection.cursor() as cursor:
            cursor.register("batch", batch)
            try:
                return cursor.execute(self._fast).to_arrow_table()
            except duckdb.Error:  # some line is not JSON; which one, the careful pass tells
                return cursor.execute(self._careful).to_arrow_table()

    def _with_doubtful(
        self, facts: pa.Table, at: np.ndarray[Any, Any], slow: list[tuple[int, bytes | str]], source: str
    ) -> Decoded:
        events: list[Event] = []
        places: list[int] = []
        replies: list[Reply] = []
        dead: list[DeadLetter] = []
        for position, line in slow:
            raw = _bytes_of(line)
            if not raw.strip():
                continue
            if len(raw) > LONGEST_LINE:
                dead.append(too_long(source, position, raw))
                continue
            try:
                event, reply = decode_record(raw)
            except BadEvent as error:
                dead.append(_dead_letter(source, position, raw, error))
                continue
            if event is not None:
                events.append(_as_logged(event, raw) if self._logged else event)
                places.append(position)
            if reply is not None:
                replies.append(msgspec.structs.replace(reply, origin=self._origin))
        if events:
            facts = pa.concat_tables([facts, self.columns(events, self._origin)])
            facts = facts.take(np.argsort(np.concatenate([at, places]), kind="stable"))
        return Decoded(facts, replies, dead)


def _typed(found: pa.Table) -> tuple[pa.Table, Mask]:
    """The columns by `FACT_SCHEMA`, and which rows are plain; the others' values mean nothing."""
    occurred, occurred_plain = instants(found["occurred_at"])
    received, received_plain = instants(found["received_at"])
    plain = plain_rows(found, occurred, received) & occurred_plain & received_plain
    plain &= ~np.asarray(pc.fill_null(found["odd"], fill_value=False))
    is_machine = pc.equal(found["is_machine"], "true")
    found = found.set_column(found.schema.get_field_index("is_machine"), "is_machine", is_machine)
    return _assembled(found, occurred, received), plain


def _assembled(found: pa.Table, occurred: pa.ChunkedArray, received: pa.ChunkedArray) -> pa.Table:
    """A table by `FACT_SCHEMA` from its parts."""
    microseconds = np.asarray(pc.fill_null(pc.cast(occurred, pa.int64()), 0))
    day = pa.chunked_array([pa.array((microseconds // _DAY_US).astype(np.int32))])
    made = {"occurred_at": occurred, "received_at": received, "day": day}
    return pa.Table.from_arrays([made[n] if n in made else found[n] for n in FACT_SCHEMA.names], schema=FACT_SCHEMA)


def _type_of(name: str) -> pa.DataType:
    return FACT_SCHEMA.field(name).type


def _row(event: Event, origin: Origin) -> tuple[Any, ...]:
    values = [getattr(event, field) for field in EVENT_FIELDS]
    attributes = None if event.attributes is None else msgspec.json.encode(event.attributes).decode()
    found = [getattr(event, name, None) for name in _LOGGED]
    return (*values[:-1], attributes, found[0] or origin, *found[1:])


class _Mark(msgspec.Struct, frozen=True):
    """Where an event of the log came from."""

    origin: Origin
    raw_partition: int | None = None
    raw_offset: int | None = None


_READ_MARK: Final = msgspec.json.Decoder(_Mark).decode


def _as_logged(event: Event, raw: bytes) -> Event:
    """The event with its origin, as the log's line has it."""
    try:
        mark = _READ_MARK(raw)
    except msgspec.DecodeError:  # appended by something else than the gateway and the flows
        return event
    values = {field: getattr(event, field) for field in EVENT_FIELDS}
    return LoggedEvent(**values, origin=mark.origin, raw_partition=mark.raw_partition, raw_offset=mark.raw_offset)


def _as_text(lines: pa.Array) -> tuple[pa.Array, dict[int, bytes]]:
    """The lines as valid UTF-8 text; those that are not, and long ones, are blanked and given back by index."""
    texts = lines if pa.types.is_string(lines.type) else lines.view(pa.string())
    aside = {
        int(i): _bytes_of(lines[int(i)].as_py()) for i in np.flatnonzero(np.asarray(pc.binary_length(lines)) > _LONG)
    }
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        aside |= {i: line for i, line in enumerate(texts.view(pa.binary()).to_pylist()) if not _is_text(line)}
    if not aside:
        return texts, {}
    raw = texts.view(pa.binary()).to_pylist()
    return pa.array([b"" if i in aside else line for i, line in enumerate(raw)], pa.binary()).view(pa.string()), aside


def _bytes_of(line: bytes | str) -> bytes:
    return line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dead_letter(source: str, position: int, raw: bytes, error: BadEvent) -> DeadLetter:
    """A dead letter whose id is the same on every pass over the same source."""
    name = hashlib.sha256(f"{source}\x1f{position}\x1f".encode() + raw).hexdigest()[:32]
    return DeadLetter(id=name, stage="decode", stream="events", reason=error.reason, detail=str(error), raw=raw)
