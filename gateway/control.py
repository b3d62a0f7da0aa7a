"""`GET /control`, `/control/allowed` and `/control/stream`: what may be sent, for dispatchers that are not Python's.

The stream is server-sent events. A new listener first gets what holds: events `suppressions` (arrays, without id), then
one `holds` whose id is the place in the control stream; then an event `command` for each new command, its id its offset.
With `Last-Event-ID` it gets the commands after that one instead. Source: the HTML standard, section 9.2.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from control.client import ControlClient, Decision, Holding, Unknown
from control.commands import PARTITION, read_command
from eventlog import Log, Stored
from gateway.asgi import Answer, Receive, Scope, Send, headers_of, problem, reply
from gateway.metrics import Metrics
from gateway.tokens import refusal
from gateway.webhooks import RETRY_AFTER_SECONDS
from outpulse.settings import Settings
from schemas.events import Channel, Stream
from schemas.failures import BadEvent, LogError

COMMENT_SECONDS: Final = 15.0
"""A silent stream gets a comment this often: the standard's advice against proxies that drop idle connections."""
REQUIRED: Final = ("campaign_id", "sender", "recipient")
OPTIONAL: Final = ("contact_id", "step", "variant", "channel")

_DOOR: Final = "control"
_POLL_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 5.0
_AT_ONCE: Final = 500
_ROWS: Final = 1000
_ENCODE: Final = msgspec.json.Encoder().encode
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # else nginx holds events back
]
_LOG: Final = logging.getLogger("outpulse.gateway")
_T = TypeVar("_T")


class Control:
    """The door of what may be sent."""

    def __init__(self, settings: Settings, log: Log, metrics: Metrics) -> None:
        self._token = settings.gateway.token
        self._log = log
        self._metrics = metrics
        self._client = ControlClient(log)
        self._feed = _Feed(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request to /control or below it."""
        refused = self._refused(scope)
        if refused is None and scope["path"] == "/control/stream":
            refused = await self._stream(scope, receive, send)
            if refused is None:
                return
        answer = refused or await self._answer(scope)
        self._metrics.answered(_DOOR, answer.status)
        await reply(send, answer)

    def close(self) -> None:
        """Ends all streams: their listeners reconnect to whoever serves next."""
        self._feed.close()

    def _refused(self, scope: Scope) -> Answer | None:
        if scope["path"] not in {"/control", "/control/allowed", "/control/stream"}:
            return problem(404, "valid are /control, /control/allowed and /control/stream")
        if scope["method"] != "GET":
            return problem(405, f"{scope['method']} is not served here, valid is GET", allow="GET")
        refused = refusal(headers_of(scope), self._token)
        if refused is not None:
            _LOG.warning("request refused door=%s status=%d reason=token", _DOOR, refused.status)
        return refused

    async def _answer(self, scope: Scope) -> Answer:
        asked = _parameters(scope)
        if scope["path"] == "/control":
            return await self._holding(asked)
        wrong = _fault_of(asked)
        if wrong is not None:
            return problem(422, wrong)
        named = {name: value for name, value in asked.items() if value}
        try:
            decision = await _in_time(lambda: self._client.allowed(**named))
        except LogError as error:
            decision = Unknown(allowed=False, reason=f"unknown: {error}", share=0.0)
        return _told(decision)

    async def _holding(self, asked: Mapping[str, str]) -> Answer:
        try:
            holding = await _in_time(self._client.holding)
        except LogError as error:
            return problem(503, str(error), retry_after=RETRY_AFTER_SECONDS)
        rows = {"suppressions": holding.suppressions} if asked.get("suppressions") in {"1", "true"} else {}
        return Answer(200, _ENCODE(_summary(holding) | rows))

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Serves one listener until it goes away; the answer where there is nothing to stream."""
        try:
            opening, at = await _in_time(lambda: self._opening(headers_of(scope).get("last-event-id", "")))
        except LogError as error:
            return problem(503, str(error), retry_after=RETRY_AFTER_SECONDS)
        self._metrics.answered(_DOOR, 200)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        for part in opening:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        gone = asyncio.create_task(_until_gone(receive))
        try:
            async with self._feed.listening():
                await self._follow(at, gone, send)
        except LogError as error:
            _LOG.error("stream ended door=%s reason=%s", _DOOR, error)
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _follow(self, at: int, gone: "asyncio.Task[None]", send: Send) -> None:
        """Sends commands from an offset on as they come, and comments while none does.

        Raises:
            LogError: the log cannot be read.
        """
        while not gone.done() and not self._feed.closing:
            changed = self._feed.changed
            records = await _in_time(lambda: self._read(at))  # noqa: B023 - awaited before `at` changes
            if records:
                at = records[-1].offset + 1
                body = b"".join(_events_of(records))
            elif await _first(changed, gone):
                continue
            else:
                body = b": nothing new\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})

    def _opening(self, last_id: str) -> tuple[list[bytes], int]:
        """What a new listener gets at once, and from which offset on it gets commands."""
        if last_id.isascii() and last_id.isdigit() and int(last_id) < self._log.end(Stream.CONTROL, PARTITION):
            return [b"retry: 1000\n\n"], int(last_id) + 1
        holding = self._client.holding()
        rows = holding.suppressions
        parts = [_event("suppressions", rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS)]
        return [b"retry: 1000\n\n", *parts, _event("holds", _summary(holding), holding.offset)], holding.offset + 1

    def _read(self, at: int) -> list[Stored]:
        return self._log.read(Stream.CONTROL, PARTITION, at, _AT_ONCE)


class _Feed:
    """Wakes listeners when the control stream grows: one look into the log for all of them."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self.closing = False
        self.changed = asyncio.Event()
        """Set, and replaced by a new one, when there may be something new."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """While anybody listens the log is watched."""
        self._listeners += 1
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    def close(self) -> None:
        """Has all listeners leave."""
        self.closing = True
        self._wake()

    def _wake(self) -> None:
        woken, self.changed = self.changed, asyncio.Event()
        woken.set()

    async def _watch(self) -> None:
        end = -1
        while True:
            try:
                now = await _in_time(lambda: self._log.end(Stream.CONTROL, PARTITION))
            except LogError:
                now = -1  # they find out themselves
            if now != end or now < 0:
                end = now
                self._wake()
            await asyncio.sleep(_POLL_SECONDS)


def _parameters(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _fault_of(asked: Mapping[str, str]) -> str | None:
    """What is wrong with a question; one that is misspelt must not be taken for one that was not asked."""
    known = f"valid are {', '.join(REQUIRED)}, and if known {', '.join(OPTIONAL)}"
    unknown = sorted(set(asked) - {*REQUIRED, *OPTIONAL})
    if unknown:
        return f"unknown parameter {unknown[0][:40]!r}; {known}"
    missing = [name for name in REQUIRED if not asked.get(name)]
    if missing:
        return f"{missing[0]} is missing; {known}"
    channel = asked.get("channel") or Channel.EMAIL
    return None if channel in set(Channel) else f"channel {channel[:40]!r}, valid are {', '.join(Channel)}"


def _told(decision: Decision) -> Answer:
    if isinstance(decision, Unknown):
        return Answer(503, _ENCODE(decision), {"retry-after": RETRY_AFTER_SECONDS})
    return Answer(200, _ENCODE(decision))


def _summary(holding: Holding) -> dict[str, Any]:
    return {
        "offset": holding.offset,
        "pauses": [held.row() for held in holding.pauses],
        "suppressed": len(holding.suppressions),
        "unusable": holding.unusable,
    }


def _event(name: str, data: object, offset: int | None = None) -> bytes:
    """One server-sent event; JSON as msgspec writes it has no line ends."""
    told = f"id: {offset}\n" if offset is not None else ""
    return f"event: {name}\n{told}data: ".encode() + _ENCODE(data) + b"\n\n"


def _events_of(records: list[Stored]) -> Iterator[bytes]:
    """Commands as events; what is no command is a dead letter and nothing here."""
    for record in records:
        with contextlib.suppress(BadEvent):
            yield _event("command", read_command(record.value), record.offset)


async def _in_time(work: Callable[[], _T]) -> _T:
    """Runs work on the log in a thread.

    Raises:
        LogError: it failed, or took too long.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), _TIMEOUT_SECONDS)
    except TimeoutError:
        raise LogError(f"the control log did not answer within {_TIMEOUT_SECONDS:.0f} s") from None


async def _first(changed: asyncio.Event, gone: "asyncio.Task[None]") -> bool:
    """Waits until something changed or the listener is gone; False when neither happened for a while."""
    waiting = asyncio.create_task(changed.wait())
    done, _ = await asyncio.wait({waiting, gone}, timeout=COMMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return bool(done)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
