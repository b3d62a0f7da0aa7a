"""Real targets of alerts on 127.0.0.1: an HTTP server that can be told how to behave, and a mail server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.processes import free_port

Behaviour = Callable[[int], tuple[float, int]]
"""Number of the request, from 1 -> (seconds before the answer, status)."""


class Hook:
    """What an HTTP target got: every body that it answered with 200, in order, and how many requests there were."""

    def __init__(self, port: int, behaviour: Behaviour) -> None:
        self.port = port
        self.behaviour = behaviour
        self.bodies: list[dict[str, Any]] = []
        self.requests = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"json://ida:hush-password@127.0.0.1:{self.port}/hush-token"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]


def well(_number: int) -> tuple[float, int]:
    """Takes everything at once."""
    return 0, 200


@contextmanager
def hook(behaviour: Behaviour = well, port: int | None = None) -> Iterator[Hook]:
    """An HTTP server that takes what `json://` sends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with found.lock:
                found.requests += 1
                seconds, status = found.behaviour(found.requests)
            time.sleep(seconds)
            with found.lock:
                if status == 200:
                    found.bodies.append(body)
            try:
                self.send_response(status)
                self.end_headers()
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port or 0), Handler)
    server.daemon_threads = True
    found = Hook(server.server_address[1], behaviour)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


class Mails:
    """What a mail server got: (recipient, subject, text)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=outpulse@out.example&to=ops@firm.example"

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        part = mail.get_body(("plain", "html"))
        text = part.get_content() if part is not None else ""
        self.got.append((envelope.rcpt_tos[0], str(mail["Subject"]), text))
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mails]:
    """A mail server without login."""
    found = Mails(free_port())
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
