"""How soon a storm is obeyed: signed webhook posted → `allowed()` says no in another process, under load.

Starts `outpulse up` in a fresh home, posts events of healthy campaigns at a steady rate, and every half second a webhook
with twelve messages of a new campaign that all bounce. This process asks the dispatchers' client until it says no. Prints
one JSON object.

    python -m benchmarks.guard_latency --rate 1000 --storms 60
"""

import argparse
import http.client
import json
import statistics
import time
from typing import Any

from benchmarks.live import Poster, running
from control.client import ControlClient
from eventlog.sqlite import SqliteLog
from tests.signing import sendgrid_keypair, sign_sendgrid

_MESSAGES = 12
_PATIENCE_SECONDS = 10.0


def storm(number: int, run_id: str) -> list[dict[str, Any]]:
    """Messages of a campaign of its own, each sent by a sender of its own and refused at once."""
    stamp = int(time.time())
    return [
        {
            "email": f"p{n}@firm{number}-{n}.example",
            "timestamp": stamp,
            "event": kind,
            "type": "bounce",
            "sg_event_id": f"{run_id}-{number}-{n}-{kind}",
            "sg_message_id": f"{run_id}{number}x{n}.filter01",
            "delivery_id": f"{run_id}-{number}-{n}",
            "campaign_id": f"storm-{number}",
            "sender": f"s{number}-{n}@out.example",
        }
        for n in range(_MESSAGES)
        for kind in ("processed", "bounce")
    ]


def obeyed_after(
    client: ControlClient, connection: http.client.HTTPConnection, key: Any, number: int, run: str
) -> float:
    """Seconds from before the post to the first no."""
    body = json.dumps(storm(number, run)).encode()
    headers = {**sign_sendgrid(key, body), "content-type": "application/json"}
    posted = time.monotonic()
    connection.request("POST", "/webhooks/sendgrid", body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204, answer.status
    while client.allowed(f"storm-{number}", "other@out.example", "somebody@else.example").allowed:
        if time.monotonic() - posted > _PATIENCE_SECONDS:
            raise SystemExit(f"storm {number} was not stopped within {_PATIENCE_SECONDS:g} s")
        time.sleep(0.005)
    return time.monotonic() - posted


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1000, help="events a second of healthy campaigns beside")
    parser.add_argument("--storms", type=int, default=60)
    chosen = parser.parse_args()
    key, public = sendgrid_keypair()
    with running(public) as up:
        poster = Poster(up.port, chosen.rate, chosen.storms * 0.6 + 10, 10, None)
        poster.start()
        time.sleep(3)
        client = ControlClient(SqliteLog(up.home / "log"))
        connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)
        found = []
        for number in range(chosen.storms):
            found.append(obeyed_after(client, connection, key, number, poster.run_id))
            time.sleep(0.3)
        found.sort()
        result = {
            "storms": len(found),
            "median_s": round(statistics.median(found), 3),
            "p99_s": round(found[int(len(found) * 0.99)], 3),
            "max_s": round(found[-1], 3),
            "healthy_paused": sum(
                not client.allowed(f"cmp-{n}", "a@out.example", "b@c.example").allowed for n in range(8)
            ),
        }
        poster.join()
        print(json.dumps(result))


if __name__ == "__main__":
    main()
