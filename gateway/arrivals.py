"""What arrived and what was refused, a minute and provider: for `status` and `doctor` in other processes.

Counted in memory, written every few seconds by a thread of its own, so that no request waits for it. Reasons are kept
without their numbers and to a bounded count, so that a flood of forged requests cannot fill the disk.
"""

import re
import sqlite3
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = "arrivals.sqlite"
STORED: Final = "stored"
KEEP_MINUTES: Final = 8 * 24 * 60
_WRITE_SECONDS: Final = 2.0
_MOST_REASONS: Final = 200
"""Different (provider, outcome) pairs between two writes; the rest is counted as `other`."""
_MOST_TEXT: Final = 120
_NUMBERS: Final = re.compile(r"\d+")
_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS arrivals (minute INTEGER, provider TEXT, outcome TEXT, requests INTEGER,
    PRIMARY KEY (minute, provider, outcome)) WITHOUT ROWID"""


class Arrived(NamedTuple):
    """Requests of a provider with one outcome: `stored`, or why they were refused. `last_minute` since 1970."""

    provider: str
    outcome: str
    requests: int
    last_minute: int


class Arrivals:
    """Counts of one gateway, in a file of the home."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write_often, daemon=True)
        self._thread.start()

    def count(self, provider: str, refusal: str | None = None) -> None:
        """Counts one request, with the reason of its refusal."""
        outcome = STORED if refusal is None else _NUMBERS.sub("N", refusal)[:_MOST_TEXT]
        key = (int(time.time()) // 60, provider, outcome)
        with self._lock:
            if key not in self._counts and len(self._counts) >= _MOST_REASONS:
                key = (key[0], provider, "other")
            self._counts[key] += 1

    def close(self) -> None:
        """Writes what is left."""
        self._ending.set()
        self._thread.join(5)
        self._write()

    def _write_often(self) -> None:
        while not self._ending.wait(_WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        # Figures for people: a full disk or a locked file loses some, and must not stop the gateway.
        with suppress(sqlite3.Error), sqlite3.connect(self._path, timeout=5) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)
            connection.executemany(
                "INSERT INTO arrivals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
                [(*key, value) for key, value in counts.items()],
            )
            connection.execute("DELETE FROM arrivals WHERE minute < ?", (int(time.time()) // 60 - KEEP_MINUTES,))


def arrived(path: Path, minutes: int) -> list[Arrived]:
    """What came in the last minutes, by provider and outcome; nothing where no gateway has run."""
    since = int(time.time()) // 60 - minutes
    query = """SELECT provider, outcome, sum(requests), max(minute) FROM arrivals WHERE minute >= ?
        GROUP BY 1, 2 ORDER BY 1, 3 DESC"""
    return [Arrived(*row) for row in _rows(path, query, (since,))]


def silent_minutes(path: Path) -> dict[str, tuple[int, int]]:
    """(minutes of silence, minutes that would be unusual) of each provider that is silent for longer than usual.

    Unusual is more than an hour, and more than three times the longest of 99 in 100 of its gaps of the last days.
    """
    now = int(time.time()) // 60
    found: dict[str, list[int]] = {}
    query = "SELECT provider, minute FROM arrivals WHERE outcome = ? GROUP BY 1, 2 ORDER BY 1, 2"
    for provider, minute in _rows(path, query, (STORED,)):
        found.setdefault(provider, []).append(minute)
    silent: dict[str, tuple[int, int]] = {}
    for provider, minutes in found.items():
        gaps = sorted(after - before for before, after in pairwise(minutes))
        if len(gaps) < _ENOUGH_GAPS:
            continue
        usual = max(60, 3 * gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))])
        if now - minutes[-1] > usual:
            silent[provider] = (now - minutes[-1], usual)
    return silent


_ENOUGH_GAPS: Final = 20


def _rows(path: Path, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with suppress(sqlite3.Error), sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
        return connection.execute(query, values).fetchall()
    return []
