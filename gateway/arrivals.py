"""What arrived and what was refused, a minute and provider: for `status` and `doctor` in other processes.

Counted in memory, written every few seconds by a thread of its own, so that no request waits for it. Reasons are kept
without their numbers and to a bounded count, so that a flood of forged requests cannot fill the disk.
"""

import re
import sqlite3
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = "arrivals.sqlite"
STORED: Final = "stored"
KEEP_MINUTES: Final = 36 * 24 * 60
"""Four weeks to compare a silence with, and a week of silence."""
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


def silent_minutes(path: Path, now: int | None = None) -> dict[str, tuple[int, int]]:
    """(minutes of silence, minutes from which it was unusual) of each provider that is silent for longer than usual.

    A silence is compared with the same stretch of time in each of up to four weeks before, so nights, weekends and other
    regular pauses are no silence. It is unusual once half of those weeks, or more, had ten minutes with requests in that
    stretch, an hour at either end left out: so that neither a late batch nor a change to summer time is found. A silence of
    more than a week must also be longer than every pause before. Without a full week of history only more than three
    days are told, a weekend with a night on either side. `now` is in minutes since 1970, the clock if left out.
    """
    now = int(time.time()) // 60 if now is None else now
    found: dict[str, list[int]] = {}
    query = "SELECT provider, minute FROM arrivals WHERE outcome = ? AND minute <= ? GROUP BY 1, 2 ORDER BY 1, 2"
    for provider, minute in _rows(path, query, (STORED, now)):
        found.setdefault(provider, []).append(minute)
    silent: dict[str, tuple[int, int]] = {}
    for provider, minutes in found.items():
        last = minutes[-1]
        unusual = next((length for length in _lengths(now - last) if is_unusual(minutes, length)), None)
        if unusual is not None:
            silent[provider] = (now - last, unusual)
    return silent


_WEEK: Final = 7 * 24 * 60
_WEEKS: Final = 4
_ENOUGH: Final = 10
"""Active minutes that are missed: with ten expected, none at all comes by chance once in 22,000 times (Poisson)."""
_MARGIN: Final = 60
_FIRST_WEEK: Final = 3 * 24 * 60
_KNOWN: Final = 2 * 24 * 60
"""A provider that was seen for less than two days has no usual pauses yet."""


def _lengths(silence: int) -> Iterator[int]:
    """Up to the silence: by ten minutes in the first two days, then by the hour."""
    yield from range(2 * _MARGIN, min(silence, 2880) + 1, 10)
    yield from range(2880, silence + 1, 60)


def is_unusual(minutes: Sequence[int], length: int) -> bool:
    """Whether a silence of so many minutes after the last of the active minutes (sorted) is unusual by their history."""
    last = minutes[-1]
    start, end = last + _MARGIN, last + length - _MARGIN
    weeks = [week * _WEEK for week in range(1, _WEEKS + 1) if last - week * _WEEK >= minutes[0]]
    if not weeks:
        return length > _FIRST_WEEK and last - minutes[0] > _KNOWN and len(minutes) > _ENOUGH
    missed = sorted(_between(minutes, start - week, end - week) for week in weeks)
    if missed[(len(missed) - 1) // 2] < _ENOUGH:
        return False
    return length <= _WEEK or length > max(after - before for before, after in pairwise(minutes))


def _between(minutes: Sequence[int], start: int, end: int) -> int:
    """Active minutes after the start, up to the end."""
    return bisect_right(minutes, end) - bisect_right(minutes, start)


def _rows(path: Path, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with suppress(sqlite3.Error), sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
        return connection.execute(query, values).fetchall()
    return []
