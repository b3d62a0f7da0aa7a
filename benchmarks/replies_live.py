"""How soon a reply is understood while everything else runs: posted → visible by SQL; and pauses beside it.

Starts `outpulse up` in a fresh home, posts events of healthy campaigns and replies of `data/replies` at steady rates, and now
and then a storm (`benchmarks.guard_latency`), and asks the lake from this process. Prints one JSON object. `--replies 0` gives
the pauses' latency without replies, to compare.

    python -m benchmarks.replies_live --rate 1000 --replies 5 --seconds 60
"""

import argparse
import http.client
import json
import random
import statistics
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.guard_latency import obeyed_after
from benchmarks.live import TOKEN, Poster, running
from control.client import ControlClient
from eventlog.sqlite import SqliteLog
from sinks.attach import connect
from tests.signing import sendgrid_keypair

_PATIENCE_SECONDS = 60.0
_WARM_SECONDS = 15.0
"""The first replies load the model; they are told apart."""


class Replies(threading.Thread):
    """Posts replies at a steady rate; notes when each was acknowledged."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        super().__init__()
        lines = [line for path in sorted(Path("data/replies").glob("*_[a-e].jsonl")) for line in path.open()]
        self.texts = [json.loads(line) for line in random.Random(3).sample(lines, min(2000, len(lines)))]
        self.port, self.rate, self.seconds = port, rate, seconds
        self.posted: dict[str, float] = {}

    def run(self) -> None:
        """Posts until the time is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        started = time.monotonic()
        number = 0
        while self.rate and (now := time.monotonic()) - started < self.seconds:
            time.sleep(max(0.0, started + number / self.rate - now))
            told = self.texts[number % len(self.texts)]
            event = {
                "event_id": f"reply-{number}", "kind": "replied", "provider": "bench", "campaign_id": "autumn",
                "occurred_at": datetime.now(UTC).isoformat(), "delivery_id": f"rd-{number}", "contact_id": f"rc-{number}",
                "recipient": f"rp{number}@firm{number}.example", "text": told["text"], "subject": told["subject"],
                "headers": told["headers"],
            }  # fmt: skip
            received = time.monotonic()
            connection.request("POST", "/events", json.dumps(event).encode(), headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
            self.posted[f"reply-{number}"] = received
            number += 1


class Watcher(threading.Thread):
    """Asks the lake which replies are read, and notes when each was first seen."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.ending = threading.Event()
        self.seen: dict[str, float] = {}

    def run(self) -> None:
        """Asks until told to end."""
        connection = connect(self.home, read_only=True, threads=1)
        while not self.ending.wait(0.1):
            # The view response_intelligence shows these rows in the same snapshot; asking for them alone costs less.
            found = connection.execute("SELECT event_id FROM store.readings").fetchall()
            now = time.monotonic()
            for (name,) in found:
                self.seen.setdefault(name, now)
        connection.close()


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"median_s": round(statistics.median(ordered), 3), "p99_s": round(p99, 3), "max_s": round(ordered[-1], 3)}


def measure(home: Path, port: int, key: Any, chosen: argparse.Namespace) -> dict[str, Any]:
    """Runs the load and gives the figures."""
    seconds = chosen.seconds + _WARM_SECONDS
    poster = Poster(port, chosen.rate, seconds + 2, 10, None)
    poster.start()
    replies, watcher = Replies(port, chosen.replies, seconds), Watcher(home)
    replies.start()
    time.sleep(3)
    watcher.start()
    time.sleep(_WARM_SECONDS - 3)
    measured_from = time.monotonic()
    client = ControlClient(SqliteLog(home / "log"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    pauses = []
    while time.monotonic() - measured_from < chosen.seconds:
        pauses.append(obeyed_after(client, connection, key, len(pauses), poster.run_id))
        time.sleep(0.7)
    replies.join()
    poster.join()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(watcher.seen) < len(replies.posted) and time.monotonic() < deadline:
        time.sleep(0.2)
    watcher.ending.set()
    watcher.join()
    waits = [
        watcher.seen.get(name, deadline) - at for name, at in replies.posted.items() if at >= measured_from
    ]  # those that never came count as the whole patience
    words = [len(text["text"].split()) for text in replies.texts]
    return {
        "events_per_second": chosen.rate,
        "replies_per_second": chosen.replies,
        "replies": len(waits),
        "median_words": statistics.median(words),
        "receipt_to_sql": percentiles(waits),
        "storms": len(pauses),
        "posted_to_no": percentiles(pauses),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1000, help="events a second of healthy campaigns beside")
    parser.add_argument("--replies", type=float, default=5.0, help="replies a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    chosen = parser.parse_args()
    key, public = sendgrid_keypair()
    with running(public) as up:
        print(json.dumps(measure(up.home, up.port, key, chosen)))


if __name__ == "__main__":
    main()
