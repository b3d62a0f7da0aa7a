"""Figures that all who look share: read once a snapshot, and slow ones in the background.

A figure belongs to the version of lake and log it was read from. While the version stays, it costs nothing. One that took
long to read is shown a little old while it is read anew beside, so that a page is drawn at once on a large lake too.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

SLOW_SECONDS: Final = 0.15
"""A figure that took longer is read anew in the background: what a person still feels as at once is about 0.1 to 0.2 s."""
REST: Final = 4.0
"""A slow figure rests for this many times the time it took: it costs a fifth of one core at most."""
MOST: Final = 160
"""Figures kept; the one not asked for the longest goes."""

T = TypeVar("T")


class Same:
    """A version that is one object: equal only to itself."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


@dataclass
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    version: Hashable = None
    value: Any = None
    is_there: bool = False
    seconds: float = 0.0
    again_at: float = 0.0
    is_reading: bool = False


class Kept:
    """Figures by name and parameters; safe for threads, and one thread reads what several ask for.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._drawing = threading.local()
        self.renewed = 0

    def get(self, key: Hashable, version: Hashable, load: Callable[[], T]) -> T:
        """The figure of a version, or one a little older where it is slow to read.

        Raises:
            OutpulseError: as `load`, where no figure is there yet or reading it is quick.
        """
        entry = self._entry(key)
        if entry.is_there and entry.version == version:
            return cast("T", entry.value)
        if entry.is_there and entry.seconds > SLOW_SECONDS:
            self._renew(entry, version, load)
            return cast("T", entry.value)
        with entry.lock:
            if not entry.is_there or entry.version != version:
                self._read(entry, version, load)
        return cast("T", entry.value)

    def renew(self, key: Hashable, version: Hashable, load: Callable[[], Any]) -> bool:
        """Whether a slow figure is being read anew; begins that where its version is another and its rest is over."""
        entry = self._entry(key)
        if not entry.is_there or entry.version == version or entry.seconds <= SLOW_SECONDS:
            return False
        self._renew(entry, version, load)
        return entry.is_reading

    def begin(self) -> None:
        """Notes that this thread begins to draw a page."""
        self._drawing.due = None

    def due_at(self) -> float | None:
        """When something this thread has drawn since `begin` should be asked for again, on the clock; None if all is fresh."""
        found: float | None = getattr(self._drawing, "due", None)
        return found

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > MOST:
                self._entries.popitem(last=False)
            return entry

    def _renew(self, entry: _Entry, version: Hashable, load: Callable[[], Any]) -> None:
        now = self._clock()
        with self._lock:
            starts = not entry.is_reading and now >= entry.again_at
            if starts:
                entry.is_reading = True
        if starts:
            self._pool.submit(self._read_beside, entry, version, load)
        due = now + entry.seconds if starts or entry.is_reading else entry.again_at
        known: float | None = getattr(self._drawing, "due", None)
        self._drawing.due = due if known is None else min(known, due)

    def _read_beside(self, entry: _Entry, version: Hashable, load: Callable[[], Any]) -> None:
        try:
            with entry.lock:
                self._read(entry, version, load)
            self.renewed += 1
        except Exception:  # noqa: BLE001 - the page that asks next meets it itself
            entry.is_there = False
        finally:
            entry.is_reading = False

    def _read(self, entry: _Entry, version: Hashable, load: Callable[[], Any]) -> None:
        began = self._clock()
        entry.value = load()
        entry.seconds = self._clock() - began
        entry.version, entry.is_there = version, True
        entry.again_at = self._clock() + REST * entry.seconds
