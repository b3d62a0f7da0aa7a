"""What one process of the dashboard has of a home, for all who look: lake, log, what is paused, settings, kept figures."""

import importlib
import os
import pkgutil
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

import streamlit as st

from control.client import ControlClient
from control.state import Held
from dashboards.kept import Kept, Same
from dashboards.reader import LakeReader, Reading, Snapshot
from eventlog.sqlite import SqliteLog
from outpulse.settings import DEFAULT_HOME, Settings, load
from schemas.failures import OutpulseError
from sinks.attach import writer_pid

PULSE_SECONDS: Final = 0.25
"""All who look share one look at the lake that is at most this old."""
_HOLDING_SECONDS: Final = 0.5
_REST: Final = 2.0

T = TypeVar("T")
Query = Callable[[Reading], Any]


class Glance(Generic[T]):
    """A look that all share, at most `seconds` old; while one thread looks, the others get what was seen before."""

    def __init__(self, look: Callable[[], T], seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._lock = threading.Lock()
        self._seen: tuple[float, T] | None = None

    def get(self) -> T:
        """What was seen last, or now."""
        seen = self._seen
        if seen is not None and time.monotonic() - seen[0] <= self._seconds:
            return seen[1]
        if not self._lock.acquire(blocking=seen is None):
            return cast("tuple[float, T]", seen)[1]
        try:
            fresh = self._seen
            if fresh is None or time.monotonic() - fresh[0] > self._seconds:
                fresh = (time.monotonic(), self._look())
                self._seen = fresh
            return fresh[1]
        finally:
            self._lock.release()

    def forget(self) -> None:
        """The next who asks looks, and waits for it."""
        with self._lock:
            self._seen = None


class Source:
    """A home as the dashboard sees it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.reader = LakeReader(home)
        self.kept = Kept()
        self._drawing = threading.local()
        self._lock = threading.Lock()
        self._snapshots = Glance(self._look, PULSE_SECONDS)
        self._holdings = Glance(self._hold, _HOLDING_SECONDS)
        self._log: SqliteLog | None = None
        self._control: ControlClient | None = None
        self._settings = load(home)

    @property
    def settings(self) -> Settings:
        """The home's settings, as of the start of the process."""
        return self._settings

    def snapshot(self) -> Snapshot:
        """Which snapshot of the lake counts now; nobody waits for a look that another thread has begun.

        Raises:
            LakeError: there is none, or it cannot be read.
        """
        found = self._snapshots.get()
        if isinstance(found, OutpulseError):
            raise found
        return found

    def _look(self) -> Snapshot | OutpulseError:
        try:
            return self.reader.snapshot()
        except OutpulseError as error:
            return error

    def version(self) -> Hashable:
        """Changes with whatever a page may show: the lake, what is paused, and whether the flows run."""
        try:
            seen: Hashable = self.snapshot()
        except OutpulseError as error:
            seen = str(error)
        return seen, tuple(held.offset for held in self.holding()), self.flows_run()

    def figures(self, name: Hashable, query: Callable[[Reading], T]) -> T:
        """What a query over the lake gives, read once a snapshot.

        Raises:
            LakeError: the lake cannot be read.
        """
        used: dict[Hashable, Query] = getattr(self._drawing, "used", {})
        used[name] = query
        return self.kept.get(name, self.snapshot(), partial(self._read, query))

    def _read(self, query: Callable[[Reading], T]) -> T:
        with self.reader.reading() as reading:
            return query(reading)

    def begin(self) -> None:
        """Notes that this thread begins to draw a page."""
        self.kept.begin()
        self._drawing.used = {}

    def used(self) -> Mapping[Hashable, Query]:
        """The figures that this thread has asked for since `begin`, by name."""
        found: dict[Hashable, Query] = getattr(self._drawing, "used", {})
        return found

    def renewing(self, figures: Mapping[Hashable, Query]) -> bool:
        """Whether slow ones of these are being read anew; begins that for those that are old.

        Raises:
            LakeError: the lake cannot be read.
        """
        version = self.snapshot()
        begun = [self.kept.renew(name, version, partial(self._read, query)) for name, query in figures.items()]
        return any(begun)

    def drawn(self, name: Hashable, of: object, make: Callable[[], T]) -> T:
        """A picture of figures that `figures` gave, made once for all who look at them."""
        return self.kept.get(("drawn", name), Same(of), make)

    def log(self) -> SqliteLog:
        """The home's log.

        Raises:
            LogError: it cannot be opened.
        """
        with self._lock:
            if self._log is None:
                self._log = SqliteLog(self.home / "log", self._settings.log.partitions)
            return self._log

    def holding(self) -> list[Held]:
        """The pauses and slow-downs that hold by the log, in its order; none where there is no log yet."""
        return self._holdings.get() if (self.home / "log").exists() else []

    def _hold(self) -> list[Held]:
        try:
            log = self.log()
            with self._lock:
                if self._control is None:
                    self._control = ControlClient(log)
            return self._control.holding().pauses
        except OutpulseError:
            return []

    def forget_holding(self) -> None:
        """Looks into the log anew when next asked: something was just written to it."""
        self._holdings.forget()

    def flows_run(self) -> bool:
        """Whether some process writes to the lake now."""
        return writer_pid(self.home) is not None


@st.cache_resource(show_spinner=False)
def _source_of(home: str) -> Source:
    return Source(Path(home))


def source() -> Source:
    """The home that OUTPULSE_HOME names."""
    return _source_of(os.environ.get("OUTPULSE_HOME") or str(DEFAULT_HOME))


def load_screens() -> None:
    """Imports what pages need, before the first is asked for: the charts alone take a second."""
    for name in _screens():
        importlib.import_module(f"dashboards.screens.{name}")


def read_ahead(rest: float = _REST) -> None:
    """Reads what pages show at first, before anybody asks: the first page at once, the others after `rest` seconds."""
    for place, name in enumerate(("overview", *_screens())):
        if place == 1:
            time.sleep(rest)  # whoever waits for the first page comes first
        screen = importlib.import_module(f"dashboards.screens.{name}")
        with suppress(OutpulseError):  # the page says what is wrong
            getattr(screen, "read_ahead", lambda _: None)(source())


def _screens() -> list[str]:
    return [screen.name for screen in pkgutil.iter_modules([str(Path(__file__).parent / "screens")])]
