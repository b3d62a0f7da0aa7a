"""The delivery flow: events → decoded columns → duplicates dropped → facts, minute cells and figures in the lake.

The steps are plain functions and small classes over micro-batches; `run_plainly` strings them together without an engine,
`build` with Bytewax, and both leave the same tables.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pyarrow as pa
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from control.commands import read_command
from features.columns import Decoded, Decoder
from features.dedupe import SeenFacts
from flows.work import Batch, Work
from schemas.events import Reply, Stream
from schemas.failures import BadEvent, DeadLetter
from sinks.commands import PlacedCommand
from sinks.lake import Chunk, Lake
from sinks.rows import Result, read_result

_REPLY = msgspec.json.Decoder(Reply)
_DEAD = msgspec.msgpack.Decoder(DeadLetter)


class DecodeWork:
    """Step: lines to columns; bad lines to dead letters."""

    def __init__(self) -> None:
        self._logged = Decoder(logged=True)
        self._replayed = Decoder()

    def ahead(self, work: Work) -> Decoded:
        """Decodes a batch's lines, in any thread: a source may do so while the batch before is being landed."""
        decoder = self._logged if work.logged else self._replayed
        decoded = decoder.decode(work.lines, work.at, work.source)
        return decoded if work.watch is None else replace(decoded, results=work.watch(decoded.facts))

    def __call__(self, work: Work) -> Batch:
        """Decodes one micro-batch, unless its source has."""
        decoded = work.decoded or self.ahead(work)
        results, unusable = _read_results(work.results)
        commands, no_commands = _read_commands(work.control)
        return Batch(
            cursors=work.cursors,
            facts=decoded.facts,
            replies=[*decoded.replies, *map(_REPLY.decode, work.replies)],
            dead=[*decoded.dead, *map(_DEAD.decode, work.dead), *unusable, *no_commands],
            results=[*decoded.results, *results],
            commands=commands,
            more_waits=work.more_waits,
        )


def _read_commands(records: Iterable[tuple[int, bytes]]) -> tuple[list[PlacedCommand], list[DeadLetter]]:
    """Commands with their offsets, and dead letters for what is none."""
    commands: list[PlacedCommand] = []
    dead: list[DeadLetter] = []
    for offset, raw in records:
        try:
            commands.append((offset, read_command(raw)))
        except BadEvent as bad:
            dead.append(_dead_letter(Stream.CONTROL, str(offset).encode(), raw, bad))
    return commands, dead


def _read_results(records: Iterable[bytes]) -> tuple[list[Result], list[DeadLetter]]:
    """Rows for the lake, and dead letters for what is none."""
    results: list[Result] = []
    dead: list[DeadLetter] = []
    for raw in records:
        try:
            results.append(read_result(raw))
        except BadEvent as bad:
            dead.append(_dead_letter(Stream.RESULTS, raw, raw, bad))
    return results, dead


def _dead_letter(stream: Stream, name: bytes, raw: bytes, bad: BadEvent) -> DeadLetter:
    """A record of a stream that cannot be used; `name` tells it from the stream's others."""
    found = hashlib.sha256(stream.encode() + b"\x1f" + name).hexdigest()[:32]
    return DeadLetter(id=found, stage="decode", stream=stream, reason=bad.reason, detail=str(bad), raw=raw)


class DropDuplicates:
    """Step: keeps the first copy of each fact, in log order."""

    def __init__(self, seen: SeenFacts) -> None:
        self._seen = seen

    def __call__(self, batch: Batch) -> Batch:
        """Drops what was seen before."""
        facts = batch.facts
        if not len(facts):
            return batch
        keep = self._seen.keep(facts["day"].to_numpy(), facts["fact"].to_numpy())
        dropped = len(keep) - int(keep.sum())
        kept = facts.filter(pa.array(keep)) if dropped else facts
        return replace(batch, facts=kept, duplicates=dropped, number=self._seen.batch)


class LandBatch:
    """Last step: one lake transaction a batch, with the positions of its sources."""

    def __init__(self, lake: Lake, seen: SeenFacts) -> None:
        self._lake = lake
        self._seen = seen

    def __call__(self, batch: Batch) -> None:
        """Lands one batch; when it returns, readers see it."""
        self._lake.land(
            Chunk(
                batch.cursors, batch.facts, batch.replies, batch.dead, batch.results, batch.duplicates, batch.commands
            ),
            more_waits=batch.more_waits,
        )
        self._seen.committed(batch.number)


def run_plainly(works: Iterable[Work], lake: Lake) -> None:
    """The same steps in a plain loop, for tests and for reading: what Bytewax runs is nothing else."""
    seen = SeenFacts(lake)
    decode, drop, land = DecodeWork(), DropDuplicates(seen), LandBatch(lake, seen)
    for work in works:
        land(drop(decode(work)))
    lake.settle()


def build(flow: Dataflow, source: Source[Work], sink: Sink[Batch], seen: SeenFacts, decode: DecodeWork) -> Dataflow:
    """Adds the delivery steps to a dataflow."""
    works = op.input("read_inbox", flow, source)
    # Work(lines=[...bytes], at=[...], cursors={"log/events/0": 17})
    batches = op.map("decode_lines", works, decode)
    # Batch(facts=<event fields, recipient_domain, origin, day, fact, delivery, alias>, replies, dead)
    fresh = op.map("drop_duplicates", batches, DropDuplicates(seen))
    # Batch(facts=<only first copies>, duplicates=3)
    op.output("land_batch", fresh, sink)
    return flow
