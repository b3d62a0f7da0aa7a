"""How much one gateway process takes in: signed SendGrid posts over real HTTP, each on disk before its 2xx.

    python benchmarks/gateway_load.py [--seconds 10] [--connections 64]

Two runs against a gateway of its own with the embedded log on this disk: posts of 1,000 events, and posts of one. Every
body is signed beforehand; the generator is raw sockets on an event loop, in this process. Prints one JSON object.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

sys.path.insert(0, str(Path(__file__).parents[1]))

from eventlog.sqlite import SqliteLog
from gateway.server import bind, serve
from outpulse.settings import GatewaySettings, ProviderSettings, Settings
from schemas.rawrecords import unpack
from tests.signing import sendgrid_keypair, sign_sendgrid

_NAMES = ("processed", "delivered", "delivered", "open", "open", "click", "bounce", "deferred")
_STORED = b"HTTP/1.1 204"


def event(number: int) -> dict[str, Any]:
    """A typical SendGrid event with our custom arguments, some 450 bytes."""
    name = _NAMES[number % len(_NAMES)]
    made: dict[str, Any] = {
        "email": f"person{number}@example.com",
        "timestamp": int(time.time()) - number % 60,
        "smtp-id": f"<14c5d75ce93.dfd.{number}@ismtpd-555>",
        "event": name,
        "category": ["outbound", "autumn"],
        "sg_event_id": f"ZGVsaXZlcmVkLTAtMTI{number:020d}",
        "sg_message_id": f"14c5d75ce93{number:010d}.filter0001.16648.5515E0B88.0",
        "campaign_id": f"campaign-{number % 17}",
        "contact_id": f"contact-{number}",
        "delivery_id": f"delivery-{number}",
        "sequence_step": "1",
        "variant": "ab"[number % 2],
    }
    if name in {"open", "click"}:
        made |= {"useragent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "ip": "203.0.113.9"}
    if name == "click":
        made["url"] = f"https://example.com/offer?person={number}"
    if name == "bounce":
        made |= {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user here"}
    return made


def post(key: EllipticCurvePrivateKey, port: int, body: bytes) -> bytes:
    """The bytes of one signed request."""
    headers = {"host": f"127.0.0.1:{port}", "user-agent": "SendGrid Event API", "content-type": "application/json"}
    headers |= sign_sendgrid(key, body) | {"content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /webhooks/sendgrid HTTP/1.1\r\n{lines}\r\n".encode() + body


class Client(asyncio.Protocol):
    """One keep-alive connection that posts again as soon as it has its answer."""

    def __init__(self, requests: list[bytes], offset: int, latencies: list[float], failures: list[bytes]) -> None:
        self._requests = requests
        self._next = offset
        self._latencies = latencies
        self._failures = failures
        self.until = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        # uvloop's transports are not asyncio's, but do the same.
        self._transport: Any = transport

    def start(self, until: float) -> None:
        """Posts until the instant of `time.perf_counter`."""
        self.until = until
        self._post()

    def close(self) -> None:
        """Ends the connection."""
        self._transport.close()

    def _post(self) -> None:
        self._next = (self._next + 1) % len(self._requests)
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next])

    def data_received(self, data: bytes) -> None:
        """Takes an answer; one of 204 has no body, so it comes in one piece."""
        now = time.perf_counter()
        if not (data.startswith(_STORED) and data.endswith(b"\r\n\r\n")):
            self._failures.append(data[:200])
            self._finish()
            return
        self._latencies.append(now - self._sent)
        if now < self.until:
            self._post()
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection closed before its end is a failure."""
        if not self.done.done():
            self._failures.append(f"connection lost: {exc}".encode())
            self._finish()


async def drive(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Posts from many connections at once; figures count what was answered 204."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    failures: list[bytes] = []
    step = max(1, len(requests) // connections)
    clients = [Client(requests, i * step, latencies, failures) for i in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    started = time.perf_counter()
    for client in clients:
        client.start(started + seconds)
    await asyncio.gather(*(client.done for client in clients))
    elapsed = time.perf_counter() - started
    for client in clients:
        client.close()
    return {
        "posts": len(latencies),
        "errors": len(failures),
        "first_error": failures[0].decode("latin-1") if failures else None,
        "posts_per_second": round(len(latencies) / elapsed, 1),
        "latency_ms_p50": round(statistics.median(latencies) * 1000, 2) if latencies else None,
        "latency_ms_p99": round(sorted(latencies)[len(latencies) * 99 // 100] * 1000, 2) if latencies else None,
    }


def run_gateway(folder: str, sock: socket.socket, public_key: str) -> None:
    """The process under test."""
    settings = Settings(gateway=GatewaySettings(), providers={"sendgrid": ProviderSettings(public_keys=[public_key])})
    log = SqliteLog(Path(folder))
    serve(settings, log, sock=sock)
    log.close()


def measure(batch: int, distinct: int, connections: int, seconds: float) -> dict[str, Any]:
    """One run against a fresh gateway; also checks that the log holds exactly what was answered 204."""
    private_key, public_key = sendgrid_keypair()
    sock = bind(Settings(gateway=GatewaySettings(port=0)))
    port = sock.getsockname()[1]
    bodies = [json.dumps([event(i * batch + j) for j in range(batch)]).encode() for i in range(distinct)]
    requests = [post(private_key, port, body) for body in bodies]
    with tempfile.TemporaryDirectory(prefix="outpulse-load-", dir=Path.cwd()) as folder:
        gateway = multiprocessing.get_context("fork").Process(target=run_gateway, args=(folder, sock, public_key))
        gateway.start()
        sock.close()
        try:
            uvloop.run(drive(port, requests, 1, 1.0))  # warm up
            before = SqliteLog(Path(folder)).end("raw", 0)
            found = uvloop.run(drive(port, requests, connections, seconds))
        finally:
            assert gateway.pid is not None
            gateway.terminate()
            gateway.join(20)
        log = SqliteLog(Path(folder))
        stored = log.end("raw", 0) - before
        sizes = [len(record.value) for record in log.read("raw", 0, before, 100)]
        first = unpack(log.read("raw", 0, before, 1)[0].value)
        log.close()
    return found | {
        "events_per_post": batch,
        "events_per_second": round(found["posts_per_second"] * batch),
        "stored_as_answered": stored == found["posts"],
        "gateway_exit": gateway.exitcode,
        "body_bytes": len(first.body),
        "stored_bytes_per_post": round(statistics.mean(sizes)),
        "connections": connections,
    }


def main() -> None:
    """Both runs, printed as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=10.0, help="length of each run")
    options.add_argument("--connections", type=int, default=64, help="keep-alive connections of the one-event run")
    chosen = options.parse_args()
    batches = measure(1000, 64, 16, chosen.seconds)
    singles = measure(1, 4096, chosen.connections, chosen.seconds)
    print(json.dumps({"posts_of_1000": batches, "posts_of_one": singles}, indent=2))


if __name__ == "__main__":
    main()
