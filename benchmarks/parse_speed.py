"""What the providers' bodies cost to read and to check, per event, with bodies as the providers send them.

    python benchmarks/parse_speed.py [--provider NAME] [--runs 7] [--json]

Bodies hold every usual kind in a realistic mix, complete with our own data, each event with its own ids, address and
time. Batches are as large as the provider's own: SendGrid 1,000, SparkPost 350, Brevo 500, Mailjet 100, Mandrill 1,000;
the other five send one event a request. `parse` and `verify` are called as the gateway and the flow call them, without
HTTP and without the log. Times are process CPU time and wall time in microseconds per event, the median of the runs
and the least; the machine may be shared, so CPU time is judged. A bar that is missed is marked, and the exit status is then 1.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters import REGISTRY
from benchmarks.payloads import MAKERS, SIZES
from schemas.events import RawRequest
from tests.samples import NOW_MS, NOW_S, Sample, samples

BARS = {
    "sendgrid": 8.0,
    "sparkpost": 8.0,
    "brevo": 8.0,
    "mailjet": 8.0,
    "mailgun": 15.0,
    "postmark": 15.0,
    "resend": 15.0,
    "mailersend": 15.0,
    "ses": 20.0,
    "mandrill": 30.0,
}
"""Microseconds of `parse` per event that may not be passed."""
_EVENTS = 7_000
"""Events in one run: some 50 ms of work at least, far above the clock's grain."""


def requests_of(provider: str, sample: Sample, *, signed: bool) -> list[RawRequest]:
    """Requests with `_EVENTS` different events in all."""
    size, make = SIZES.get(provider, 1), MAKERS[provider]
    found = []
    for start in range(0, _EVENTS, size):
        items = [make(number) for number in range(start, start + size)]
        body = sample.body(items)
        headers = {sample.id_header: f"msg_{start:027d}"} if sample.id_header else {}
        if signed:
            body, proof = sample.sign(body, NOW_S)
            headers |= proof
        found.append(
            RawRequest(
                provider=provider,
                method="POST",
                url=f"/webhooks/{provider}",
                received_at="2026-01-05T10:00:30.000Z",
                headers={"content-type": "application/json"} | headers if sample.is_json else headers,
                body=body,
            )
        )
    return found


def timed(call: Callable[[RawRequest], object], requests: Sequence[RawRequest]) -> tuple[float, float]:
    """CPU and wall seconds of the call over all requests."""
    cpu, wall = time.process_time(), time.perf_counter()
    for request in requests:
        call(request)
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(provider: str, runs: int) -> dict[str, Any]:
    """The figures of one provider; every body must parse whole, or the figures would be worth nothing."""
    adapter, sample = REGISTRY[provider], samples()[provider]
    plain = requests_of(provider, sample, signed=False)
    parsed = [adapter.parse(request) for request in plain]
    events = sum(len(one.events) for one in parsed)
    if events < _EVENTS or any(one.rejected for one in parsed):
        raise SystemExit(f"{provider}: {events} events of {_EVENTS}, {parsed[0].rejected[:1]}")
    proved = requests_of(provider, sample, signed=True)
    gc.collect()
    gc.freeze()  # what the modules and this harness hold is not walked again: 20 ms a full collection, at random runs
    parse = [timed(adapter.parse, plain) for _ in range(runs)]
    verify = [timed(lambda one: adapter.verify(one, sample.settings, NOW_MS), proved) for _ in range(runs)]
    return {
        "provider": provider,
        "events_a_request": SIZES.get(provider, 1),
        "bytes_an_event": round(sum(len(request.body) for request in plain) / events),
        "parse_us": round(statistics.median(cpu for cpu, _ in parse) / events * 1e6, 2),
        "parse_wall_us": round(statistics.median(wall for _, wall in parse) / events * 1e6, 2),
        "parse_least_us": round(min(cpu for cpu, _ in parse) / events * 1e6, 2),
        "bar_us": BARS[provider],
        "verify_us": round(statistics.median(cpu for cpu, _ in verify) / events * 1e6, 2),
        "verify_us_a_request": round(statistics.median(cpu for cpu, _ in verify) / len(proved) * 1e6, 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 where a bar is missed."""
    options = argparse.ArgumentParser(description="What the providers' bodies cost to read, per event.")
    options.add_argument("--provider", choices=sorted(REGISTRY), action="append")
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args(argv)
    found = [measure(provider, chosen.runs) for provider in chosen.provider or REGISTRY]
    if chosen.json:
        print(json.dumps(found))
    else:
        titles = f"{'a request':>10}{'bytes':>7}{'parse':>8}{'least':>8}{'wall':>8}{'bar':>6}{'verify':>8}"
        print(f"{'provider':<11}{titles}  CPU µs/event")
        for one in found:
            mark = "" if one["parse_us"] <= one["bar_us"] else "  MISSED"
            print(
                f"{one['provider']:<11}{one['events_a_request']:>10}{one['bytes_an_event']:>7}{one['parse_us']:>8.2f}"
                f"{one['parse_least_us']:>8.2f}{one['parse_wall_us']:>8.2f}{one['bar_us']:>6.0f}{one['verify_us']:>8.2f}{mark}"
            )
    return int(any(one["parse_us"] > one["bar_us"] for one in found))


if __name__ == "__main__":
    sys.exit(main())
