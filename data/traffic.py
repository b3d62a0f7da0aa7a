"""What the outside world posts: the world's events in batches, some of them again, and a few that are no good.

A plan of requests in the order of sending; `data.esp` proves and posts them.
"""

import heapq
from collections.abc import Iterator
from enum import StrEnum
from itertools import count
from typing import Final

import msgspec

from data.badness import BAD_KINDS, bad_request
from data.clock import MINUTE_MS, SECOND_MS
from data.draws import Rng, chance, child
from data.facts import SENDGRID, Told
from data.sendgrid import webhook_item
from data.world import World
from schemas.instants import parse_ms

SERVERS: Final = 4
"""SendGrid posts from many servers, each with its own batch: what brings events of one message out of order."""
LARGEST_BATCH: Final = 300
LONGEST_WAIT_MS: Final = 15 * MINUTE_MS
"""A batch is posted when it is full or its first event is this old. SendGrid waits some 30 s; the world runs faster."""
LARGEST_POST: Final = 60
"""Canonical events in one post to /events."""

REPEAT_SHARE: Final = 0.025
STUBBORN_SHARE: Final = 0.0005
"""Batches that come once more, and those that come dozens of times (one event was reported 46 times over 29 h)."""
REPEATS: Final = (12, 41)
"""How often the stubborn ones come again: from, up to (not included)."""
REPEAT_AFTER: Final = 150.0
"""Mean distance between a post and its repetition, in posts."""
BAD_SHARE: Final = 0.01


class Role(StrEnum):
    """Why a request is sent; all but GOOD must change no figure."""

    GOOD = "good"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    FORGED = "forged"


class Request(msgspec.Struct, frozen=True):
    """One post. `flaw` names what is wrong with its proof or body; `events` are the world's events in it, told once."""

    path: str
    body: bytes
    received_ms: int
    role: Role
    flaw: str | None = None
    events: int = 0


WEBHOOK_PATH: Final = "/webhooks/sendgrid"
EVENTS_PATH: Final = "/events"

_ENCODER: Final = msgspec.json.Encoder()


def plan(world: World) -> Iterator[Request]:
    """All requests in the order of sending: same world, same plan. Arrival times never run backwards by much."""
    rng = child(world.seed, "traffic")
    due: list[tuple[float, int, Request]] = []
    serial = count()
    flaws = count(int(rng.integers(len(BAD_KINDS))))
    for place, batch in enumerate(_batches(world, rng)):
        good = _request(batch, Role.GOOD)
        yield good
        for _ in range(_repeats(rng)):
            heapq.heappush(due, (place + 1 + rng.exponential(REPEAT_AFTER), next(serial), good))
        while due and due[0][0] <= place:
            yield _again(heapq.heappop(due)[2], good.received_ms)
        if chance(rng, BAD_SHARE):
            yield _bad(batch, BAD_KINDS[next(flaws) % len(BAD_KINDS)], rng)
    while due:
        yield _again(heapq.heappop(due)[2], world.end_ms)


def _repeats(rng: Rng) -> int:
    """How often a batch comes again."""
    if chance(rng, STUBBORN_SHARE):
        return int(rng.integers(*REPEATS))
    return int(chance(rng, REPEAT_SHARE))


def _again(request: Request, now_ms: int) -> Request:
    return msgspec.structs.replace(request, role=Role.DUPLICATE, events=0, received_ms=max(now_ms, request.received_ms))


def _batches(world: World, rng: Rng) -> Iterator[list[Told]]:
    """The world's events, each in one batch; the last slot is for canonical ones, the others for SendGrid's servers."""
    slots = [_Slot() for _ in range(SERVERS + 1)]
    for event in world.events():
        now_ms = _received_ms(event)
        for slot in slots:
            if slot.batch and (len(slot.batch) >= slot.size or now_ms > slot.until_ms):
                yield _shuffled(slot.batch, rng)
                slot.batch = []
        number = int(rng.integers(SERVERS)) if event.provider == SENDGRID else SERVERS
        slot = slots[number]
        if not slot.batch:
            slot.size = int(rng.integers(1, LARGEST_BATCH if number < SERVERS else LARGEST_POST))
            slot.until_ms = now_ms + LONGEST_WAIT_MS
        slot.batch.append(event)
    yield from (_shuffled(slot.batch, rng) for slot in slots if slot.batch)


class _Slot(msgspec.Struct):
    """One server's open batch, the size at which it is posted and the latest instant until which it waits."""

    batch: list[Told] = msgspec.field(default_factory=list)
    size: int = 0
    until_ms: int = 0


def _shuffled(batch: list[Told], rng: Rng) -> list[Told]:
    return [batch[int(row)] for row in rng.permutation(len(batch))]


def _received_ms(event: Told) -> int:
    return parse_ms(event.received_at or event.occurred_at)


def _request(batch: list[Told], role: Role) -> Request:
    """The post of a batch: SendGrid's array, or lines of canonical events; it arrives with its newest event."""
    received_ms = max(map(_received_ms, batch))
    if batch[0].provider == SENDGRID:
        return Request(
            WEBHOOK_PATH, _ENCODER.encode([webhook_item(event) for event in batch]), received_ms, role, None, len(batch)
        )
    return Request(EVENTS_PATH, _ENCODER.encode_lines(batch), received_ms, role, None, len(batch))


def _bad(batch: list[Told], flaw: str, rng: Rng) -> Request:
    """An extra request beside this batch that must change nothing."""
    received_ms = max(map(_received_ms, batch))
    neighbours = [webhook_item(event) for event in batch[:3] if event.provider == SENDGRID]
    body, is_forged = bad_request(flaw, neighbours, batch[0], received_ms // SECOND_MS, rng)
    return Request(WEBHOOK_PATH, body, received_ms, Role.FORGED if is_forged else Role.MALFORMED, flaw)
