"""Derives anew the facts that came from retained raw requests: after an adapter was mended, or a field was added.

Facts of other origin stay, and so do facts whose requests have expired. With the same adapter the tables are equal row
for row. All of it is one lake transaction.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from adapters import REGISTRY, Adapter
from eventlog import Log, Stored
from features.columns import Decoder
from flows.normalize import Normalized, RawBatch, normalize
from schemas.events import LoggedEvent, Stream
from schemas.rawrecords import ERASED, unpack
from sinks.lake import Lake
from sinks.store import FACT_COLUMNS

_RECORDS: Final = 200
_ENCODE: Final = msgspec.json.Encoder().encode


def _batches(log: Log, partition: int, since: str | None) -> Iterator[RawBatch]:
    offset = 1
    while records := log.read(Stream.RAW, partition, offset, _RECORDS):
        offset = records[-1].offset + 1
        there = [
            r for r in records if r.value != ERASED
        ]  # what came of an erased request stays, as that of an expired one
        chosen = [r for r in there if since is None or _received_at(r) >= since]
        if chosen:
            yield RawBatch(partition, chosen)


def _received_at(record: Stored) -> str:
    """Canonical time of receipt; what cannot be read counts as new, and becomes a dead letter again."""
    try:
        return unpack(record.value).received_at
    except (msgspec.DecodeError, ValueError):
        return "9"


def rebuild(lake: Lake, log: Log, since: str | None = None, adapters: Mapping[str, Adapter] = REGISTRY) -> str:
    """Rebuilds from `raw` (received from `since` on, canonical time); returns a sentence for the user."""
    decoder = Decoder(logged=True)
    lake.settle()
    with lake.transaction() as connection:
        for name, like in (
            ("anew_facts", "store.facts"),
            ("anew_dead", "dead_letters"),
            ("anew_replies", "store.replies"),
        ):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {like} LIMIT 0")
        connection.execute("CREATE OR REPLACE TEMP TABLE covered (raw_partition INTEGER, raw_offset BIGINT)")
        requests = 0
        for partition in range(log.partitions(Stream.RAW)):
            for batch in _batches(log, partition, since):
                requests += len(batch.records)
                offsets = pa.table({"o": [r.offset for r in batch.records]})
                connection.register("offsets", offsets)
                connection.execute(f"INSERT INTO covered SELECT {partition}, o FROM offsets")
                found = normalize(batch, adapters)
                _stage_facts(lake, decoder, found)
                lake.stage_replies(found.replies, "anew_replies")
                lake.stage_dead(found.dead, "anew_dead")
        facts = _swap(lake)
        lake.derive_anew()
    return f"{facts} facts from {requests} raw requests"


def _stage_facts(lake: Lake, decoder: Decoder, found: Normalized) -> None:
    lines = pa.array([_ENCODE(event) for event in found.events], pa.binary())
    facts = decoder.decode(lines, np.arange(len(lines), dtype=np.int64), "rebuild").facts
    lake.connection.register("landing", facts)
    names = ", ".join(FACT_COLUMNS)
    lake.connection.execute(f"INSERT INTO anew_facts (seq, {names}) SELECT 0, {names} FROM landing")
    lake.connection.unregister("landing")


def _swap(lake: Lake) -> int:
    """Puts the staged rows in the place of what the same requests made before.

    Of differing copies the one stays that was there; of new ones the first received.
    """
    run = lake.connection.execute
    mine = "raw_offset IS NOT NULL AND (raw_partition, raw_offset) IN (SELECT (raw_partition, raw_offset) FROM covered)"
    run(f"""CREATE OR REPLACE TEMP TABLE places AS
        SELECT fact, occurred_at::DATE AS day, raw_partition, raw_offset FROM store.facts WHERE {mine}""")
    run(f"DELETE FROM store.facts WHERE {mine}")
    run(f"DELETE FROM store.replies WHERE {mine}")
    run("""DELETE FROM dead_letters WHERE stage = 'normalize'
        AND (raw_partition, raw_offset) IN (SELECT (raw_partition, raw_offset) FROM covered)""")
    seq = lake.next_seq()
    names = ", ".join(FACT_COLUMNS)
    run(f"""INSERT INTO store.facts (seq, {names}) SELECT {seq}, {names} FROM (
            SELECT n.* FROM anew_facts n
            LEFT JOIN places p ON p.fact = n.fact AND p.day = n.occurred_at::DATE
                AND p.raw_partition = n.raw_partition AND p.raw_offset = n.raw_offset
            QUALIFY row_number() OVER (PARTITION BY n.fact, n.occurred_at::DATE
                ORDER BY p.fact IS NULL, n.received_at, n.raw_partition, n.raw_offset, n.rowid) = 1)
        WHERE (fact, occurred_at::DATE) NOT IN (SELECT (fact, occurred_at::DATE) FROM store.facts)""")
    lake.note_orphans_anew()
    run("""INSERT INTO store.replies SELECT * FROM anew_replies n WHERE NOT EXISTS (
        SELECT 1 FROM store.replies s WHERE s.event_id = n.event_id AND s.provider IS NOT DISTINCT FROM n.provider
            AND s.recipient IS NOT DISTINCT FROM n.recipient)""")
    run("INSERT INTO dead_letters SELECT * FROM anew_dead WHERE id NOT IN (SELECT id FROM dead_letters)")
    lake.note_commit(seq)
    row = run("SELECT count(*) FROM store.facts WHERE seq = ?", [seq]).fetchone()
    return int(row[0]) if row else 0


__all__ = ["LoggedEvent", "rebuild"]
