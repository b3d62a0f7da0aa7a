"""`POST /feedback`: what people say of the readings of replies, into the stream `feedback`."""

import logging
from typing import Any, Final

import msgspec

from eventlog import Record
from gateway.asgi import Answer, Disconnected, Receive, Scope, Send, TooLarge, headers_of, problem, read_body, reply
from gateway.asgi import too_large as too_large_answer
from gateway.commit import GroupCommit
from gateway.metrics import Metrics
from gateway.posted import MAX_ITEMS, Refusal, split
from gateway.tokens import refusal
from gateway.webhooks import RETRY_AFTER_SECONDS, Clock, stamp
from outpulse.settings import Settings
from schemas.decode import load_json
from schemas.events import Stream
from schemas.failures import BadEvent, LogError
from schemas.labels import feedback_of

_DOOR: Final = "feedback"
_MOST_BYTES: Final = 4 * 2**20
"""Some ten thousand corrections; `[gateway] max_events_bytes` bounds it too."""
_LOG: Final = logging.getLogger("outpulse.gateway")


class FeedbackDoor:
    """The door for corrections of readings."""

    def __init__(
        self, settings: Settings, commit: GroupCommit, metrics: Metrics, clock: Clock, *, demo: bool = False
    ) -> None:
        self._settings = settings.gateway
        self._commit = commit
        self._metrics = metrics
        self._clock = clock
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request to /feedback."""
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
        limit = min(_MOST_BYTES, self._settings.max_events_bytes)
        try:
            body = await read_body(headers, receive, limit)
        except TooLarge as large:
            return too_large_answer(limit, "max_events_bytes", large), 0
        return await self._take(body, stamp(headers, self._clock(), demo=self._demo)), len(body)

    async def _take(self, body: bytes, given_at: str) -> Answer:
        records, rejected = read(body, given_at)
        if records:
            try:
                await self._commit.append(Stream.FEEDBACK, lambda: records, len(body))
            except LogError as error:
                _LOG.error("post not stored door=%s reason=%s", _DOOR, error)
                return problem(503, "try again later", retry_after=RETRY_AFTER_SECONDS)
        told = {"accepted": len(records), "rejected": rejected}
        if records:
            return Answer(202, msgspec.json.encode(told))
        return Answer(422, msgspec.json.encode({"error": "no item is a usable correction", **told}))


def read(body: bytes, given_at: str) -> tuple[list[Record], list[Refusal]]:
    """Records of the corrections in a body (an object, an array or NDJSON), and what was not taken; never raises."""
    try:
        items = split(body.removeprefix(b"\xef\xbb\xbf"))
    except BadEvent as bad:
        return [], [Refusal(0, bad.reason)]
    records: list[Record] = []
    rejected: list[Refusal] = []
    for index, raw in enumerate(items[:MAX_ITEMS]):
        try:
            told: Any = load_json(bytes(raw))
            if not isinstance(told, dict):
                raise ValueError("not an object")  # noqa: TRY301, TRY004 - one refusal a reason
            said = feedback_of(told, given_at)
        except (BadEvent, ValueError, RecursionError, OverflowError) as error:
            rejected.append(Refusal(index, error.reason if isinstance(error, BadEvent) else str(error)[:300]))
            continue
        records.append(Record(said.id.encode(), msgspec.json.encode(said)))
    return records, rejected
