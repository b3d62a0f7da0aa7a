"""The few ASGI pieces the hot routes need: a body up to a limit, headers as text, an answer in two messages.

The frameworks' request objects, middleware and routing would cost a one-event post more than all the rest together but
its signature.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[str, str]

_JSON: Final = (b"content-type", b"application/json")
_CLOSE_BEYOND: Final = 4
"""A body declared this many times over its limit is not worth waiting for: the connection is closed."""


class Answer(msgspec.Struct, frozen=True):
    """What goes back: `body` is JSON, empty for 204."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class TooLarge(Exception):  # noqa: N818 - reads as the state it names
    """The body is over its limit; `close` when the rest is not worth reading."""

    def __init__(self, *, close: bool) -> None:
        super().__init__("too large")
        self.close = close


class Disconnected(Exception):  # noqa: N818 - reads as the state it names
    """The client went away before its body was complete."""


def problem(status: int, text: str, **headers: str) -> Answer:
    """An answer that says in one line what is wrong; header names with `_` for `-`."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status, msgspec.json.encode({"error": text}), named)


def too_large(limit: int, setting: str, problem_of: TooLarge) -> Answer:
    """413, naming the setting of the limit (bytes)."""
    text = f"the body is larger than {limit} bytes; see [gateway] {setting}"
    return problem(413, text, connection="close") if problem_of.close else problem(413, text)


def headers_of(scope: Scope) -> Headers:
    """Header values by lower-case name, read as Latin-1; of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    """The whole body; never holds more than `limit` bytes and what came with the one that crossed it.

    Raises:
        TooLarge: declared or found to be over the limit.
        Disconnected: the client went away.
    """
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(close=int(declared) > limit * _CLOSE_BEYOND)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _read_on(bytearray(body), receive, limit)
    elif message["type"] == "http.disconnect":
        raise Disconnected
    if len(body) > limit:
        raise TooLarge(close=True)
    return body


async def _read_on(held: bytearray, receive: Receive, limit: int) -> bytes:
    while len(held) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        held += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(held)
    raise TooLarge(close=True)


async def reply(send: Send, answer: Answer) -> None:
    """Sends an answer."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    if answer.status != 204:
        headers += [_JSON, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
