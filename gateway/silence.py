"""A provider that goes silent for longer than usual raises an alert: one a silence, as a row for the lake's `alerts`.

Nothing that comes in can tell it, so the gateway's clock does; `gateway.arrivals` knows what is usual.
"""

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from eventlog import Log, Record
from gateway.arrivals import silent_minutes
from schemas.events import ResultRow, Stream
from schemas.failures import LogError
from schemas.identifiers import uuid7_of
from schemas.instants import from_epoch_ms
from schemas.records import Alert, AlertSeverity, AlertStatus

_LOOK_SECONDS: Final = 60.0
_MINUTE_MS: Final = 60_000
_LOG: Final = logging.getLogger("outpulse.gateway")


def alert_of(provider: str, silent: int, usual: int, now_minute: int) -> Alert:
    """The alert about a silence; minutes, `now_minute` since 1970. The same for every look at the same silence."""
    since_ms = (now_minute - silent) * _MINUTE_MS
    since = from_epoch_ms(since_ms)
    return Alert(
        id=uuid7_of(since_ms, f"silent\x1f{provider}\x1f{since}"),
        severity=AlertSeverity.WARNING,
        title=f"{provider} has gone silent",
        body=f"Nothing has come from {provider} since {since[:16]}Z. Its longest usual silence is some {usual} minutes. "
        f"Look at the webhook's page at the provider (`outpulse provider {provider}` shows what it should say), and at "
        "`outpulse doctor`. If nothing was sent, there is nothing to do.",
        status=AlertStatus.PENDING,
        attempts=0,
        created_at=datetime.fromtimestamp((since_ms + usual * _MINUTE_MS) / 1000, UTC),
    )


def tell_silences(path: Path, log: Log) -> list[Alert]:
    """Appends an alert for every provider that is silent for longer than usual; a known one is not appended again.

    Raises:
        LogError: the log cannot be written.
    """
    now_minute = int(time.time()) // 60
    found = [
        alert_of(provider, silent, usual, now_minute)
        for provider, (silent, usual) in sorted(silent_minutes(path).items())
    ]
    records = [
        Record(alert.id.bytes, msgspec.json.encode(ResultRow(table="alerts", row=msgspec.to_builtins(alert))))
        for alert in found
    ]
    log.append(Stream.RESULTS, records)
    return found


def watch_silence(path: Path, log: Log, ending: threading.Event) -> threading.Thread:
    """Looks once a minute, in a thread of its own, until `ending` is set."""

    def look() -> None:
        while not ending.wait(_LOOK_SECONDS):
            try:
                tell_silences(path, log)
            except LogError as error:
                _LOG.warning("silence not told: %s", error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread
