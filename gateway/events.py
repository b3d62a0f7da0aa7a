"""`POST /events`: canonical events and replies from our own systems, into the streams `events` and `replies`."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from eventlog import Record
from gateway.asgi import Answer, problem
from gateway.door import LOG, PostDoor
from gateway.posted import MAX_ITEMS, Posted, TooManyItems, read
from gateway.webhooks import RETRY_AFTER_SECONDS
from schemas.events import Stream
from schemas.failures import LogError

_IN_THREAD_FROM_BYTES: Final = 256 * 1024
"""Smaller bodies are read in a few milliseconds; larger ones in a thread, so that webhooks need not wait for them."""


class Events(PostDoor):
    """The door for canonical events."""

    name = "events"

    async def _take(self, body: bytes, received_at: str) -> Answer:
        try:
            if len(body) < _IN_THREAD_FROM_BYTES:
                posted = read(body, received_at)
            else:
                posted = await asyncio.to_thread(read, body, received_at)
        except TooManyItems:
            return problem(413, f"more than {MAX_ITEMS} items in one post; send several")
        try:
            await self._store(posted, len(body))
        except LogError as error:
            LOG.error("post not stored door=%s reason=%s", self.name, error)
            return problem(503, "try again later", retry_after=RETRY_AFTER_SECONDS)
        self._metrics.taken(posted.accepted, len(posted.rejected))
        return _outcome(posted)

    async def _store(self, posted: Posted, size: int) -> None:
        """Returns once the records of both streams are on disk.

        Raises:
            LogError: some are not; sending the post again is harmless.
        """
        streams = [(Stream.REPLIES, posted.replies), (Stream.EVENTS, posted.events)]
        waiting = [self._append(stream, records, size) for stream, records in streams if records]
        await asyncio.gather(*waiting)

    async def _append(self, stream: Stream, records: Sequence[Record], size: int) -> None:
        await self._commit.append(stream, lambda: records, size)


def _outcome(posted: Posted) -> Answer:
    told = {"accepted": posted.accepted, "rejected": posted.rejected}
    if posted.accepted:
        return Answer(202, msgspec.json.encode(told))
    why = "no item is a usable event" if posted.rejected else "the body is empty; valid is an event, an array or NDJSON"
    return Answer(422, msgspec.json.encode({"error": why, **told}))
