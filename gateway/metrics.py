"""What the gateway counts, for Prometheus; label values come from fixed sets, so that no caller can grow them."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one gateway, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "outpulse_gateway_requests", "Requests by door and answer.", ("door", "status"), registry=self._registry
        )
        self._bytes = Counter("outpulse_gateway_bytes", "Bytes of bodies read.", ("door",), registry=self._registry)
        self._events = Counter(
            "outpulse_gateway_events", "Items posted to /events.", ("outcome",), registry=self._registry
        )
        self._appends = Histogram(
            "outpulse_gateway_append_seconds",
            "One append to the log, until it is on disk.",
            ("stream",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._records = Counter("outpulse_gateway_records", "Records appended.", ("stream",), registry=self._registry)
        self._failures = Counter(
            "outpulse_gateway_append_failures", "Appends that failed.", ("stream",), registry=self._registry
        )
        self._answered: dict[tuple[str, int], Counter] = {}
        self._read: dict[str, Counter] = {}

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Shows how many submissions wait for the disk."""
        gauge = Gauge("outpulse_gateway_waiting", "Submissions not on disk yet.", registry=self._registry)
        gauge.set_function(waiting)

    def answered(self, door: str, status: int, size: int = 0) -> None:
        """Counts one request; `door` is a provider's name, `events`, `control`, or `unknown`; `size` is its body's bytes."""
        counter = self._answered.get((door, status))
        if counter is None:  # looking a label up costs more than counting
            counter = self._answered[door, status] = self._requests.labels(door, str(status))
        counter.inc()
        if size:
            read = self._read.get(door)
            if read is None:
                read = self._read[door] = self._bytes.labels(door)
            read.inc(size)

    def taken(self, accepted: int, rejected: int) -> None:
        """Counts the items of one post to /events."""
        self._events.labels("accepted").inc(accepted)
        self._events.labels("rejected").inc(rejected)

    def appended(self, stream: str, seconds: float, records: int, failed: bool) -> None:  # noqa: FBT001 - a callback
        """Counts one append to the log; called in the writer's thread."""
        if failed:
            self._failures.labels(stream).inc()
        else:
            self._appends.labels(stream).observe(seconds)
            self._records.labels(stream).inc(records)

    def page(self) -> bytes:
        """All figures in Prometheus' text form."""
        return generate_latest(self._registry)
