"""The running system under load: how soon a posted event is seen by SQL, and that it keeps up.

Starts `outpulse up` (without dashboard) in a fresh home, posts canonical events at a steady rate in small or large posts,
and asks the lake from this, another, process. Prints one JSON object.

    python -m benchmarks.live --rate 1000 --seconds 60
    python -m benchmarks.live --rate 20000 --seconds 60 --post 1000 --signed
    python -m benchmarks.live --idle 30
    python -m benchmarks.live --rate 20000 --seconds 60 --post 1000 --signed --home LAKE --dashboard
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from sinks.attach import connect

TOKEN = "bench-token"


class Running(NamedTuple):
    """A started `outpulse up`."""

    home: Path
    port: int
    pid: int
    dashboard_port: int


@contextmanager
def running(public_key: str, home: Path | None = None, *, with_dashboard: bool = False) -> Iterator[Running]:
    """`outpulse up` in a home (None: a fresh one) with `TOKEN` and a SendGrid key, settled; ended with the block."""
    with tempfile.TemporaryDirectory(prefix="outpulse-live-") as folder:
        home = home or Path(folder)
        port, dashboard_port = free_port(), free_port()
        env = {
            **os.environ,
            "OUTPULSE_GATEWAY__PORT": str(port),
            "OUTPULSE_GATEWAY__TOKEN": TOKEN,
            "OUTPULSE_DASHBOARD__PORT": str(dashboard_port),
            "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([public_key]),
        }
        extra = [] if with_dashboard else ["--no-dashboard"]
        up = subprocess.Popen([sys.executable, "-m", "outpulse", "up", *extra, "--home", str(home)], env=env)
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                time.sleep(0.2)
            time.sleep(8 if with_dashboard else 4)
            yield Running(home, port, up.pid, dashboard_port)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(30)


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Poster(threading.Thread):
    """Posts at a steady rate; notes when each post was acknowledged and its last event's id."""

    def __init__(self, port: int, rate: int, seconds: float, size: int, key: Any) -> None:
        super().__init__()
        self.port, self.rate, self.seconds, self.size, self.key = port, rate, seconds, size, key
        self.run_id = f"{time.time_ns():x}"
        self.acknowledged: list[tuple[float, int]] = []
        self.worst_lag = 0.0

    def run(self) -> None:
        """Posts until the time is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        started = time.monotonic()
        sent = 0
        while (now := time.monotonic()) - started < self.seconds:
            due = started + sent / self.rate
            if due > now:
                time.sleep(due - now)
            body, headers, path = self._post(sent)
            posted = time.monotonic()
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {202, 204}, answer.status
            sent += self.size
            self.acknowledged.append((posted, sent))
            self.worst_lag = max(self.worst_lag, posted - due)

    def _post(self, sent: int) -> tuple[bytes, dict[str, str], str]:
        stamp = int(time.time())
        if self.key is not None:
            from tests.signing import sign_sendgrid

            events = [
                {
                    "email": f"p{i % 997}@firm{i % 41}.example",
                    "timestamp": stamp,
                    "event": ("processed", "delivered", "open", "click")[i % 4],
                    "sg_event_id": f"{self.run_id}-{i}",
                    "sg_message_id": f"{self.run_id}{i // 4}.filter01",
                    "delivery_id": f"{self.run_id}-{i // 4}",
                    "campaign_id": f"cmp-{i // 4 % 8}",
                    "useragent": "Mozilla/5.0 (Windows NT 10.0) Gecko",
                    "ip": "192.0.2.7",
                }
                for i in range(sent, sent + self.size)
            ]
            body = json.dumps(events).encode()
            headers = sign_sendgrid(self.key, body, str(stamp))
            return body, {**headers, "content-type": "application/json"}, "/webhooks/sendgrid"
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))
        events = [
            {
                "event_id": f"{self.run_id}-{i}",
                "kind": ("sent", "delivered", "opened", "clicked")[i % 4],
                "occurred_at": at,
                "provider": "bench",
                "channel": "email",
                "campaign_id": f"cmp-{i // 4 % 8}",
                "delivery_id": f"{self.run_id}-{i // 4}",
                "recipient": f"p{i % 997}@firm{i % 41}.example",
            }
            for i in range(sent, sent + self.size)
        ]
        return json.dumps(events).encode(), {"authorization": f"Bearer {TOKEN}"}, "/events"


def watch(home: Path, poster: Poster, before: int) -> tuple[list[float], float]:
    """Polls the count of events; returns (seconds from post to sight, per post) and the longest time behind."""
    connection = connect(home, read_only=True)
    seen: list[float] = []
    worst_poll = 0.0
    while True:
        asked = time.monotonic()
        row = connection.execute("SELECT sum(events) FROM store.commits").fetchone()
        now = time.monotonic()
        worst_poll = max(worst_poll, now - asked)
        landed = int((row[0] if row else 0) or 0) - before
        done = list(poster.acknowledged)
        while len(seen) < len(done) and done[len(seen)][1] <= landed:
            seen.append(now - done[len(seen)][0])
        if not poster.is_alive() and len(seen) == len(poster.acknowledged):
            return seen, worst_poll
        if not poster.is_alive() and now - poster.acknowledged[-1][0] > 120:
            raise SystemExit(f"not all events were seen: {len(seen)} of {len(poster.acknowledged)} posts")
        time.sleep(0.02)


def cpu_seconds(process: psutil.Process) -> float:
    """User and system seconds of a process and all below it."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--post", type=int, default=10, help="events a post")
    parser.add_argument("--signed", action="store_true", help="signed SendGrid webhooks instead of /events")
    parser.add_argument("--home", type=Path, help="an existing home; else a fresh one")
    parser.add_argument("--dashboard", action="store_true", help="run the dashboard's queries meanwhile")
    parser.add_argument("--idle", type=float, help="only measure the CPU of an idle `up` with its dashboard")
    chosen = parser.parse_args()
    from tests.signing import sendgrid_keypair

    key, public = sendgrid_keypair()
    with running(public, chosen.home, with_dashboard=bool(chosen.idle)) as up:
        result = (
            idle(up.pid, chosen.idle) if chosen.idle else load(up.home, up.port, chosen, key if chosen.signed else None)
        )
        print(json.dumps(result))


def idle(pid: int, seconds: float) -> dict[str, Any]:
    """Share of one core that an idle `up` takes."""
    process = psutil.Process(pid)
    before = cpu_seconds(process)
    time.sleep(seconds)
    return {"idle_percent_of_a_core": round(100 * (cpu_seconds(process) - before) / seconds, 2)}


def load(home: Path, port: int, chosen: argparse.Namespace, key: Any) -> dict[str, Any]:
    """Posts and watches."""
    connection = connect(home, read_only=True)
    row = connection.execute("SELECT sum(events) FROM store.commits").fetchone()
    connection.close()
    poster = Poster(port, chosen.rate, chosen.seconds, chosen.post, key if chosen.signed else None)
    poster.start()
    if chosen.dashboard:
        command = [sys.executable, "-m", "benchmarks.page_queries", str(home), str(chosen.seconds)]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE)
    seen, worst_poll = watch(home, poster, int((row[0] if row else 0) or 0))
    seen.sort()
    result: dict[str, Any] = {
        "events": poster.acknowledged[-1][1],
        "events_per_second": round(poster.acknowledged[-1][1] / chosen.seconds),
        "seen_median_s": round(statistics.median(seen), 3),
        "seen_p99_s": round(seen[int(len(seen) * 0.99)], 3),
        "seen_max_s": round(seen[-1], 3),
        "poster_behind_max_s": round(poster.worst_lag, 3),
        "poll_max_s": round(worst_poll, 3),
    }
    if chosen.dashboard:
        result["dashboard"] = json.loads(reader.communicate()[0])
    return result


if __name__ == "__main__":
    main()
