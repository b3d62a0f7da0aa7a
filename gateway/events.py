"""`POST /events`: canonical events and replies from our own systems, into the streams `events` and `replies`."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from eventlog import Record
from gateway.asgi import Answer, Disconnected, Receive, Scope, Send, TooLarge, headers_of, problem, read_body, reply
from gateway.asgi import too_large as too_large_answer
from gateway.commit import GroupCommit
from gateway.metrics import Metrics
from gateway.posted import MAX_ITEMS, Posted, TooManyItems, read
from gateway.tokens import refusal
from gateway.webhooks import RETRY_AFTER_SECONDS, Clock, stamp
from outpulse.settings import Settings
from schemas.events import Stream
from schemas.failures import LogError

_DOOR: Final = "events"
_IN_THREAD_FROM_BYTES: Final = 256 * 1024
"""Smaller bodies are read in a few milliseconds; larger ones in a thread, so that webhooks need not wait for them."""

_LOG: Final = logging.getLogger("outpulse.gateway")


class Events:
    """The door for canonical events."""

    def __init__(
        self, settings: Settings, commit: GroupCommit, metrics: Metrics, clock: Clock, *, demo: bool = False
    ) -> None:
        self._settings = settings.gateway
        self._commit = commit
        self._metrics = metrics
        self._clock = clock
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request to /events."""
        try:
            answer, size = await self._answer(scope, receive)
        except Disconnected:
            return
        self._metrics.answered(_DOOR, answer.status, size)
        await reply(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Answer, int]:
        if scope["method"] != "POST":
            return problem(405, f"{scope['method']} is not served here, valid is POST", allow="POST"), 0
        headers = headers_of(scope)
        refused = refusal(headers, self._settings.token)
        if refused is not None:
            _LOG.warning("request refused door=%s status=%d reason=token", _DOOR, refused.status)
            return refused, 0
        limit = self._settings.max_events_bytes
        try:
            body = await read_body(headers, receive, limit)
        except TooLarge as large:
            return too_large_answer(limit, "max_events_bytes", large), 0
        return await self._take(body, stamp(headers, self._clock(), demo=self._demo)), len(body)

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
            _LOG.error("post not stored door=%s reason=%s", _DOOR, error)
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
