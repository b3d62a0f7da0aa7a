"""Serves the gateway with uvicorn on uvloop and httptools, until SIGTERM or SIGINT."""

import contextlib
import errno
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import uvicorn

from adapters import Adapter
from eventlog import Log
from gateway.app import build
from gateway.arrivals import Arrivals
from outpulse.settings import Settings
from schemas.failures import OutpulseError

_BACKLOG: Final = 2048
_KEEP_ALIVE_SECONDS: Final = 75
"""Providers keep connections open between batches; SendGrid posts about every 30 s."""
_STOP_SECONDS: Final = 10
"""How long requests under way may take to end when the gateway is stopped."""
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_LOG: Final = logging.getLogger("outpulse.gateway")


def bind(settings: Settings) -> socket.socket:
    """A listening socket on `[gateway] host` and `port` (0 takes any free port).

    Raises:
        OutpulseError: the port is taken, or the address is not ours.
    """
    host, port = settings.gateway.host, settings.gateway.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise OutpulseError(f"{host}:{port} is taken by another program; set another [gateway] port") from None
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise OutpulseError(f"cannot listen on {host}:{port}: {why}; see [gateway] host and port") from None
    return sock


def serve(
    settings: Settings,
    log: Log,
    demo: bool = False,  # noqa: FBT001, FBT002
    sock: socket.socket | None = None,
    arrivals: Arrivals | None = None,
    hooks: Mapping[str, Adapter] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, ends requests under way, and returns; the log stays open.

    `sock` is a socket of `bind`, for a caller that has to know the port before; `arrivals` counts for `status`.

    Raises:
        OutpulseError: the port is taken.
    """
    sock = sock or bind(settings)
    app = build(settings, log, demo=demo, arrivals=arrivals, hooks=hooks)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        backlog=_BACKLOG,
    )
    host, port = sock.getsockname()[:2]
    _LOG.info("gateway listens on http://%s:%d", host, port)
    # What is loaded by now stays for good: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    try:
        _Server(config, app.control_door.close).run(sockets=[sock])
    finally:
        sock.close()


class _Server(uvicorn.Server):
    """Uvicorn that returns after a signal, where its own would raise the signal again and end the process.

    `end_streams` is called first: a stream that goes on would hold the end up for as long as requests may take.
    """

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends streams, then connections."""
        self._end_streams()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
