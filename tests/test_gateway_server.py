"""The gateway from commit to socket: groups of appends, and a real server under load, stopped and killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from gateway.commit import Busy, GroupCommit
from gateway.server import bind
from outpulse.settings import GatewaySettings, Settings
from schemas.failures import LogError, OutpulseError
from schemas.rawrecords import unpack
from tests.test_gateway import (
    EVENT,
    PUBLIC_KEY,
    ROOT,
    TOKEN,
    WatchedLog,
    signed,
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WatchedLog]:
    watched = WatchedLog(tmp_path / "log")
    yield watched
    watched.close()


# Group commit


def test_a_failed_append_fails_only_those_who_waited_for_it(log: WatchedLog) -> None:
    async def run() -> list[Any]:
        commit = GroupCommit(log)
        try:
            log.failure = LogError("full")
            first = await asyncio.gather(commit.append("raw", lambda: [Record(None, b"a")], 1), return_exceptions=True)
            log.failure = None
            second = await asyncio.gather(
                commit.append("raw", lambda: [Record(None, b"b"), Record(None, b"c")], 2),
                commit.append("raw", lambda: [1 / 0], 1),  # type: ignore[list-item]
                commit.append("events", lambda: [Record(None, b"d")], 1),
                return_exceptions=True,
            )
            return [*first, *second]
        finally:
            commit.close()

    failed, offsets, unmade, other = asyncio.run(run())

    assert isinstance(failed, LogError)
    assert (offsets, other) == ([1, 2], [1])
    assert isinstance(unmade, LogError)


@pytest.mark.parametrize("bounds", [{"max_waiting": 2}, {"max_waiting_bytes": 20}], ids=["too many", "too many bytes"])
def test_beyond_its_bounds_the_queue_takes_nothing_more(log: WatchedLog, bounds: dict[str, int]) -> None:
    async def run() -> tuple[Any, list[int], list[int]]:
        commit = GroupCommit(log, **bounds)  # type: ignore[arg-type]
        log.go.clear()
        first = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"a")], 10))
        second = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"b")], 10))
        await asyncio.sleep(0)
        refused = (await asyncio.gather(commit.append("raw", list, 10), return_exceptions=True))[0]
        log.go.set()
        stored = await first, await second
        commit.close()
        return refused, *stored

    refused, first, second = asyncio.run(run())

    assert isinstance(refused, Busy)
    assert (first, second) == ([1], [2])


def test_closing_appends_what_waits_and_refuses_what_comes_later(log: WatchedLog) -> None:
    async def run() -> tuple[list[int], Any]:
        commit = GroupCommit(log)
        waiting = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"a")], 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(commit.close)
        late = await asyncio.gather(commit.append("raw", list, 1), return_exceptions=True)
        return await waiting, late[0]

    stored, late = asyncio.run(run())

    assert stored == [1]
    assert isinstance(late, Busy)


# A real server


SERVER = """
import sys
from pathlib import Path
from eventlog.sqlite import SqliteLog
from gateway.server import serve
from outpulse.settings import load
home = Path(sys.argv[1])
log = SqliteLog(home / "log")
serve(load(home), log)
log.close()
print("stopped", flush=True)
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    environ = os.environ | {
        "OUTPULSE_GATEWAY__PORT": str(port),
        "OUTPULSE_GATEWAY__TOKEN": "sesame",
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([PUBLIC_KEY]),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], cwd=ROOT, env=environ, stdout=subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/healthz")
            break
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield process, url
    finally:
        process.kill()
        process.communicate()


async def post_from_many(url: str, connections: int, posts: int) -> list[int]:
    """Statuses of one-event posts, `posts` on each of so many connections."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def one(number: int) -> list[int]:
            request = signed(json.dumps([{"event": "open", "n": number}]).encode(), int(time.time()))
            return [(await client.post(f"{url}/webhooks/sendgrid", **request)).status_code for _ in range(posts)]

        found = await asyncio.gather(*(one(number) for number in range(connections)))
    return [status for statuses in found for status in statuses]


def test_64_connections_at_once_lose_nothing_and_sigterm_ends_cleanly(
    served: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = served

    statuses = asyncio.run(post_from_many(url, 64, 5))

    assert statuses == [204] * 320
    log = SqliteLog(tmp_path / "log")
    bodies = [unpack(stored.value).body for stored in log.read("raw", 0, 0, 1000)]
    log.close()
    assert len(bodies) == 320
    assert len(set(bodies)) == 64
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert process.stdout is not None
    assert b"stopped" in process.stdout.read()


def test_what_was_answered_204_is_there_after_kill_9(
    served: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = served

    assert httpx.post(f"{url}/webhooks/sendgrid", **signed(b"[1]", int(time.time()))).status_code == 204
    process.kill()
    process.wait()

    log = SqliteLog(tmp_path / "log")
    assert [unpack(stored.value).body for stored in log.read("raw", 0, 0, 10)] == [b"[1]"]
    log.close()


def test_a_real_server_refuses_a_large_body_and_serves_on(served: tuple[subprocess.Popen[bytes], str]) -> None:
    _, url = served
    with httpx.Client() as client:
        assert client.post(f"{url}/webhooks/sendgrid", content=b" " * (10 * 2**20 + 1)).status_code == 413
        assert client.get(f"{url}/healthz").status_code == 200
        assert client.head(f"{url}/webhooks/sendgrid").status_code == 200
        assert client.post(f"{url}/events", json=EVENT, headers=TOKEN).json()["accepted"] == 1
        assert client.post(f"{url}/events", json=EVENT, headers=TOKEN).status_code == 202


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with bind(Settings(gateway=GatewaySettings(port=0))) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OutpulseError, match=rf"127\.0\.0\.1:{port} is taken.*\[gateway\] port"):
            bind(Settings(gateway=GatewaySettings(port=port)))


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 8080), ("no host", 8080), ("127.0.0.1", 70_000)])
def test_an_address_that_is_not_ours_is_one_clear_error(host: str, port: int) -> None:
    with pytest.raises(OutpulseError, match=r"\[gateway\] host"):
        bind(Settings(gateway=GatewaySettings(host=host, port=port)))
