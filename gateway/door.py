"""What the doors of our own systems share: a bearer token, a bounded body, an answer that is counted."""

import logging
from abc import ABC, abstractmethod
from typing import Final

from gateway.asgi import Answer, Disconnected, Receive, Scope, Send, TooLarge, headers_of, problem, read_body, reply
from gateway.asgi import too_large as too_large_answer
from gateway.commit import GroupCommit
from gateway.metrics import Metrics
from gateway.tokens import refusal
from gateway.webhooks import Clock, stamp
from outpulse.settings import Settings

LOG: Final = logging.getLogger("outpulse.gateway")


class PostDoor(ABC):
    """A door that takes posts of who knows `[gateway] token`; `name` tells it in logs and metrics."""

    name: str

    def __init__(
        self, settings: Settings, commit: GroupCommit, metrics: Metrics, clock: Clock, *, demo: bool = False
    ) -> None:
        self._settings = settings.gateway
        self._commit = commit
        self._metrics = metrics
        self._clock = clock
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            answer, size = await self._answer(scope, receive)
        except Disconnected:
            return
        self._metrics.answered(self.name, answer.status, size)
        await reply(send, answer)

    @property
    def _most_bytes(self) -> int:
        """The longest body that is taken."""
        return self._settings.max_events_bytes

    @abstractmethod
    async def _take(self, body: bytes, received_at: str) -> Answer:
        """Stores what a body holds; `received_at` is RFC 3339 UTC."""

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Answer, int]:
        if scope["method"] != "POST":
            return problem(405, f"{scope['method']} is not served here, valid is POST", allow="POST"), 0
        headers = headers_of(scope)
        refused = refusal(headers, self._settings.token)
        if refused is not None:
            LOG.warning("request refused door=%s status=%d reason=token", self.name, refused.status)
            return refused, 0
        limit = self._most_bytes
        try:
            body = await read_body(headers, receive, limit)
        except TooLarge as large:
            return too_large_answer(limit, "max_events_bytes", large), 0
        return await self._take(body, stamp(headers, self._clock(), demo=self._demo)), len(body)
