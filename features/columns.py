"""Lines of canonical JSON to typed columns, a whole micro-batch at a time.

DuckDB's JSON reader takes the plain rows in parallel (1.3 µs an event on two cores; a Struct a row and then columns costs
twice that and holds the interpreter lock). A row that is not plainly good goes, alone, to `schemas.decode`, which defines
what is valid: so one bad line costs its neighbours nothing, and what becomes of a line never depends on its neighbours.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
import pyarrow as pa

from schemas.decode import decode_record
from schemas.events import EVENT_FIELDS, BounceClass, Channel, Event, Kind, Origin, Reply
from schemas.failures import BadEvent, DeadLetter

INSTANT: Final = pa.timestamp("us", tz="UTC")
_TIMES: Final = ("occurred_at", "received_at")
_TEXTS: Final = tuple(f for f in EVENT_FIELDS if f not in {"kind", "is_machine", "attributes", "channel", *_TIMES})
_LOGGED: Final = ("origin", "raw_partition", "raw_offset")

FACT_SCHEMA: Final = pa.schema(
    [
        *((f, INSTANT if f in _TIMES else pa.bool_() if f == "is_machine" else pa.string()) for f in EVENT_FIELDS),
        ("recipient_domain", pa.string()),
        ("origin", pa.string()),
        ("raw_partition", pa.int32()),
        ("raw_offset", pa.int64()),
        ("day", pa.int32()),
        ("fact", pa.uint64()),
        ("delivery", pa.uint64()),
        ("alias", pa.uint64()),
    ]
)
"""Columns of a batch of facts: the Event fields (`attributes` as JSON text), where it came from, the UTC day of
`occurred_at` since 1970, and three 64-bit hashes: `fact` of the event's identity, `delivery` of its delivery key, `alias`
of (provider, message_id, recipient) where there is a message_id."""

_PLAIN_TIME: Final = "({c} LIKE '____-__-__T__:__:__.___Z' OR {c} LIKE '____-__-__T__:__:__Z')"


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def identity_sql() -> str:
    """The hashes of `FACT_SCHEMA` as SQL over event columns; DuckDB's `hash` is fixed by the pinned release."""
    alias = "hash('m', provider, message_id, recipient)"
    return f"""
        CASE WHEN contains(recipient, '@') THEN lower(split_part(recipient, '@', -1)) END AS recipient_domain,
        origin, raw_partition, raw_offset,
        (epoch_ms(occurred_at) // 86400000)::INTEGER AS day,
        hash(provider, event_id, kind, recipient, epoch_ms(occurred_at) // 86400000) AS fact,
        CASE WHEN delivery_id IS NOT NULL THEN hash('d', delivery_id)
             WHEN message_id IS NOT NULL THEN {alias} END AS delivery,
        CASE WHEN message_id IS NOT NULL THEN {alias} END AS alias"""


def _plain_sql() -> str:
    """Whether a row is good beyond doubt; anything else is judged by `schemas.decode`."""
    nested = " OR ".join(f"({c} >= '[' AND {c} < '\\') OR ({c} >= '{{' AND {c} < '|')" for c in _TEXTS)
    occurred, received = (_PLAIN_TIME.format(c=c) for c in _TIMES)
    return f"""
        event_id <> '' AND kind IN ({_quoted(list(Kind))}) AND {occurred}
        AND (received_at IS NULL OR {received})
        AND (channel IS NULL OR channel IN ({_quoted(list(Channel))}))
        AND (bounce_class IS NULL OR bounce_class IN ({_quoted(list(BounceClass))}))
        AND (is_machine IS NULL OR is_machine IN ('true', 'false'))
        AND (attributes IS NULL OR (starts_with(attributes, '{{"') OR attributes = '{{}}'))
        AND CASE WHEN kind = 'replied' THEN NOT regexp_matches(line, '"(text|subject|headers)"') ELSE true END
        AND ({nested}) IS NOT TRUE"""


def _decode_sql(origin: Origin, *, logged: bool) -> str:
    fields = [*EVENT_FIELDS, *(_LOGGED if logged else ())]
    spec = "{" + ",".join(f'"{f}":"VARCHAR"' for f in fields) + "}"
    replaced = ["is_machine = 'true' AS is_machine", *(f"TRY_CAST({t} AS TIMESTAMP) AS {t}" for t in _TIMES)]
    if logged:
        tail = "origin, raw_partition::INTEGER AS raw_partition, raw_offset::BIGINT AS raw_offset"
    else:
        tail = f"'{origin}' AS origin, NULL::INTEGER AS raw_partition, NULL::BIGINT AS raw_offset"
    drop = ", ".join(["line", *(_LOGGED if logged else ())])
    return f"""
        SELECT * EXCLUDE (plain, origin, raw_partition, raw_offset), {identity_sql()},
            coalesce(plain AND occurred_at >= TIMESTAMP '2000-01-01' AND occurred_at < TIMESTAMP '2080-01-01'
                AND (received_at IS NULL OR occurred_at <= received_at + INTERVAL 24 HOUR), false) AS plain
        FROM (
            SELECT * EXCLUDE ({drop}) REPLACE ({", ".join(replaced)}), {tail}, {_plain_sql()} AS plain
            FROM (SELECT position, line, unnest(json_transform({{line}}, '{spec}')) FROM batch)
        )"""


@dataclass(frozen=True)
class Decoded:
    """A decoded micro-batch: `facts` by `FACT_SCHEMA` in the order of the lines, replies, and what was unusable."""

    facts: pa.Table
    replies: list[Reply]
    dead: list[DeadLetter]


class Decoder:
    """Turns lines into columns; holds an in-memory DuckDB and nothing else.

    `logged` says that the lines are the log's own (`LoggedEvent`, which carry their origin); else `origin` is theirs.
    """

    def __init__(self, *, logged: bool = False, origin: Origin = Origin.REPLAY) -> None:
        # One thread: the other core lands the batch before (2.3 µs an event each, so both are busy).
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": "300MB"})
        self._connection.execute("SET TimeZone = 'UTC'")
        sql = _decode_sql(origin, logged=logged)
        self._fast = sql.replace("{line}", "line")
        self._careful = sql.replace("{line}", "CASE WHEN json_valid(line) THEN line END")
        self._origin = origin

    def decode(self, lines: pa.Array, positions: np.ndarray[Any, Any], source: str) -> Decoded:
        """Decodes lines (Arrow text or bytes); `positions` (int64, one a line) and `source` name a line for ever.

        Blank lines are nothing. The order of the lines is kept.
        """
        texts, broken = _as_text(lines)
        table = self._typed(texts, positions)
        plain = table["plain"].to_numpy()
        facts = table.select(FACT_SCHEMA.names)
        if plain.all():
            return Decoded(facts.cast(FACT_SCHEMA), [], [])
        at = table["position"].to_numpy()
        doubtful = {int(p) for p in at[~plain]}
        wanted = [i for i, p in enumerate(positions) if int(p) in doubtful]
        slow = [(int(positions[i]), broken.get(i) or lines[i].as_py()) for i in wanted]
        return self._with_doubtful(facts.filter(pa.array(plain)), at[plain], slow, source)

    def columns(self, events: Sequence[Event], origin: Origin) -> pa.Table:
        """Events as columns of `FACT_SCHEMA`."""
        rows = [_row(event, origin) for event in events]
        names = [*EVENT_FIELDS, *_LOGGED]
        plain = pa.schema([(n, pa.string() if n in _TIMES else _type_of(n)) for n in names])
        columns = [[row[i] for row in rows] for i in range(len(names))]
        events_table = pa.Table.from_arrays(
            [pa.array(column, field.type) for column, field in zip(columns, plain, strict=True)], schema=plain
        )
        times = ", ".join(f"CAST({t} AS TIMESTAMP) AS {t}" for t in _TIMES)
        sql = f"""
            SELECT * EXCLUDE (origin, raw_partition, raw_offset), {identity_sql()}
            FROM (SELECT * REPLACE ({times}) FROM events_table)"""
        with self._connection.cursor() as cursor:
            cursor.register("events_table", events_table)
            return cursor.execute(sql).to_arrow_table().select(FACT_SCHEMA.names).cast(FACT_SCHEMA)

    def _typed(self, texts: pa.Array, positions: np.ndarray[Any, Any]) -> pa.Table:
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
            raw = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
            if not raw.strip():
                continue
            try:
                event, reply = decode_record(raw)
            except BadEvent as error:
                dead.append(_dead_letter(source, position, raw, error))
                continue
            if event is not None:
                events.append(event)
                places.append(position)
            if reply is not None:
                replies.append(msgspec.structs.replace(reply, origin=self._origin))
        if events:
            facts = pa.concat_tables([facts.cast(FACT_SCHEMA), self.columns(events, self._origin)])
            facts = facts.take(np.argsort(np.concatenate([at, places]), kind="stable"))
        return Decoded(facts.cast(FACT_SCHEMA), replies, dead)


def _type_of(name: str) -> pa.DataType:
    return FACT_SCHEMA.field(name).type


def _row(event: Event, origin: Origin) -> tuple[Any, ...]:
    values = [getattr(event, field) for field in EVENT_FIELDS]
    attributes = None if event.attributes is None else msgspec.json.encode(event.attributes).decode()
    found = [getattr(event, name, None) for name in _LOGGED]
    return (*values[:-1], attributes, found[0] or origin, *found[1:])


def _as_text(lines: pa.Array) -> tuple[pa.Array, dict[int, bytes]]:
    """The lines as valid UTF-8 text; those that are not are blanked, and given back as bytes by index."""
    texts = lines if pa.types.is_string(lines.type) else lines.view(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = texts.view(pa.binary()).to_pylist()
    else:
        return texts, {}
    broken: dict[int, bytes] = {}
    for index, line in enumerate(raw):
        try:
            line.decode()
        except UnicodeDecodeError:
            broken[index] = line
    return pa.array([b"" if i in broken else line for i, line in enumerate(raw)], pa.binary()).view(pa.string()), broken


def _dead_letter(source: str, position: int, raw: bytes, error: BadEvent) -> DeadLetter:
    """A dead letter whose id is the same on every pass over the same source."""
    name = hashlib.sha256(f"{source}\x1f{position}\x1f".encode() + raw).hexdigest()[:32]
    return DeadLetter(id=name, stage="decode", stream="events", reason=error.reason, detail=str(error), raw=raw)
