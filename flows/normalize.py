"""The normalize flow: raw webhook requests → the provider's adapter → `events`, `replies` and `deadletter` in the log.

Appending is idempotent by identity, so a repeated pass over `raw` changes nothing, and the log's order of `events` is
the order that decides which of two differing copies stays.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from adapters import REGISTRY, Adapter, Parsed, Rejected, mailbox
from eventlog import Log, Record, Stored
from schemas.events import Event, LoggedEvent, Origin, RawRequest, Reply, Stream
from schemas.failures import DeadLetter
from schemas.identity import event_key, reply_key
from schemas.rawrecords import ERASED, unpack

CONSUMER: Final = "normalize"
_ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class RawBatch:
    """Raw records of one partition, in order."""

    partition: int
    records: Sequence[Stored]


@dataclass(frozen=True)
class Normalized:
    """What a batch of raw records says."""

    events: Sequence[LoggedEvent]
    replies: Sequence[Reply]
    dead: Sequence[DeadLetter]
    partition: int = 0
    next_offset: int = 1


def normalize(batch: RawBatch, adapters: Mapping[str, Adapter] = REGISTRY) -> Normalized:
    """Step: every request through its provider's adapter; what makes no event becomes a dead letter."""
    events: list[LoggedEvent] = []
    replies: list[Reply] = []
    dead: list[DeadLetter] = []
    for record in batch.records:
        place = {"raw_partition": batch.partition, "raw_offset": record.offset}
        request, parsed = _parse(record, adapters)
        origin = Origin.MAILBOX if request and request.provider == mailbox.name else Origin.RAW
        events.extend(_logged(event, origin, place) for event in parsed.events)
        replies.extend(msgspec.structs.replace(r, origin=origin, **place) for r in parsed.replies)
        dead.extend(_dead_letter(i, item, request, place) for i, item in enumerate(parsed.rejected))
    next_offset = batch.records[-1].offset + 1 if batch.records else 1
    return Normalized(events, replies, dead, batch.partition, next_offset)


def _parse(record: Stored, adapters: Mapping[str, Adapter]) -> tuple[RawRequest | None, Parsed]:
    if record.value == ERASED:
        return None, Parsed()
    try:
        request = unpack(record.value)
    except (msgspec.DecodeError, ValueError) as error:
        return None, Parsed(rejected=[Rejected("raw record unreadable", str(error)[:200], record.value)])
    adapter = adapters.get(request.provider)
    if adapter is None:
        detail = f"provider is {request.provider!r}, valid are {', '.join(sorted(adapters))}"
        return request, Parsed(rejected=[Rejected("unknown provider", detail, request.body)])
    try:
        return request, adapter.parse(request)
    except Exception as error:  # noqa: BLE001 - a fault of one adapter must not stop all providers' events
        return request, Parsed(
            rejected=[Rejected("adapter failed", f"{type(error).__name__} in adapter", request.body)]
        )


def _logged(event: Event, origin: Origin, place: dict[str, int]) -> LoggedEvent:
    values: dict[str, Any] = {field: getattr(event, field) for field in Event.__struct_fields__}
    return LoggedEvent(origin=origin, **{**values, **place})


def _dead_letter(index: int, item: Rejected, request: RawRequest | None, place: dict[str, int]) -> DeadLetter:
    name = f"normalize\x1f{place['raw_partition']}\x1f{place['raw_offset']}\x1f{index}"
    return DeadLetter(
        id=hashlib.sha256(name.encode()).hexdigest()[:32],
        stage="normalize",
        stream=Stream.RAW,
        reason=item.reason,
        detail=item.detail,
        raw=item.raw,
        provider=request.provider if request else None,
        received_at=request.received_at if request else None,
        **place,
    )


class AppendNormalized:
    """Last step: appends to the log, each record under its identity."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, found: Normalized) -> None:
        """Appends one batch; durable when it returns."""
        if found.events:
            self._log.append(Stream.EVENTS, [Record(event_key(e), _ENCODE(e)) for e in found.events])
        if found.replies:
            self._log.append(Stream.REPLIES, [Record(reply_key(r), _ENCODE(r)) for r in found.replies])
        if found.dead:
            records = [Record(bytes.fromhex(d.id), msgspec.msgpack.encode(d)) for d in found.dead]
            self._log.append(Stream.DEADLETTER, records)
        self._log.mark(CONSUMER, Stream.RAW, found.partition, found.next_offset)


def run_plainly(batches: Iterable[RawBatch], log: Log) -> None:
    """The same steps in a plain loop."""
    append = AppendNormalized(log)
    for batch in batches:
        append(normalize(batch))


def build(
    flow: Dataflow, source: Source[RawBatch], sink: Sink[Normalized], adapters: Mapping[str, Adapter] = REGISTRY
) -> Dataflow:
    """Adds the normalize steps to a dataflow."""
    requests = op.input("read_raw", flow, source)
    # RawBatch(partition=0, records=[Stored(offset=1, value=b"...")])
    found = op.map("parse_requests", requests, partial(normalize, adapters=adapters))
    # Normalized(events=[LoggedEvent(...)], replies=[...], dead=[...])
    op.output("append_events", found, sink)
    return flow
