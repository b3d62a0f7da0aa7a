"""`outpulse up`: the parts as processes; what dies is started again with back-off, what is asked to stop stops cleanly."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from outpulse.home import Home
from outpulse.parts import PARENT
from schemas.failures import HomeError, OutpulseError

_BACKOFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_HEALTHY_SECONDS: Final = 30.0
"""A part that lived so long starts again without waiting."""
_GRACE_SECONDS: Final = 20.0
_ORPHAN_SECONDS: Final = 3.0


@dataclass
class Part:
    """One supervised process."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Starts the process."""
        environment = {**os.environ, **self.environment, PARENT: str(os.getpid())}
        command = [sys.executable, "-m", "outpulse", *self.arguments]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)
        self.started_at = time.monotonic()

    def watch(self) -> None:
        """Notices a death and starts again when it is time."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            self.process = None
            self.failures = 0 if now - self.started_at > _HEALTHY_SECONDS else self.failures + 1
            pause = _BACKOFF_SECONDS[min(self.failures, len(_BACKOFF_SECONDS)) - 1] if self.failures else 0.0
            self.due_at = now + pause
            say(f"{self.name} ended with status {code}; starting again in {pause:g} s")
        if self.process is None and now >= self.due_at:
            self.start()


def say(line: str) -> None:
    """One line about the parts, on stderr."""
    print(f"outpulse up: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the supervisor's voice


def check_port(host: str, port: int, setting: str) -> None:
    """Refuses a port that is taken, and stays so: parts of a killed `up` need a moment to notice.

    Raises:
        OutpulseError: names the port and the setting to change.
    """
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while (error := _bind_error(host, port)) is not None:
        if getattr(error, "errno", None) != errno.EADDRINUSE or time.monotonic() > deadline:
            why = getattr(error, "strerror", None) or error
            raise OutpulseError(f"cannot listen on {host}:{port}: {why}; change {setting}")
        time.sleep(0.1)


def _bind_error(host: str, port: int) -> Exception | None:
    """Why a socket cannot be bound; None when it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return error
    return None


class UpLock:
    """One `up` a home."""

    def __init__(self, home: Home) -> None:
        home.ensure()
        self._file = os.open(home.path / "up.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            raise HomeError(
                f"`outpulse up` already runs on {home.path} (pid {holder}); stop it, or choose another folder with --home"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        os.set_inheritable(self._file, False)  # noqa: FBT003 - the standard library's signature


def _place(home: Home) -> list[str]:
    return ["--home", str(home.path), *(["--config", str(home.config)] if home.config else [])]


def replies_part(home: Home) -> Part:
    """The replies flow, on one core at most."""
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return Part("replies", ["flows", "replies", *_place(home)], environment=one_core)


def parts_of(home: Home, *, dashboard: bool, demo: bool = False) -> list[Part]:
    """The parts that run on this machine."""
    place = _place(home)
    parts = [
        Part("gateway", ["gateway", *place, *(["--demo"] if demo else [])]),
        Part("flows", ["flows", "normalize", "guard", "delivery", *place]),
        replies_part(home),
    ]
    if home.settings.all_mailboxes() and not demo:
        parts.append(Part("mailbox", ["mailbox", *place]))
    if home.settings.alerts.targets and not demo:
        parts.append(Part("alerts", ["alerts", *place]))
    if home.settings.quality.every_minutes:
        parts.append(Part("quality", ["check", "--watch", *place]))
    if dashboard:
        parts.append(Part("dashboard", ["dashboard", *place]))
    return parts


class Supervisor:
    """Starts parts, keeps them alive, and stops them; `run` blocks until `stopping` is set."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.stopping = threading.Event()

    def run(self) -> None:
        """Watches the parts until asked to stop, then stops them."""
        try:
            while not self.stopping.wait(0.2):
                for part in self.parts:
                    part.watch()
        finally:
            self.stop()

    def stop(self) -> None:
        """Asks every part to end, and ends those that do not."""
        running = [part.process for part in self.parts if part.process and part.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run_up(home: Home, *, dashboard: bool) -> int:
    """`outpulse up`.

    Raises:
        OutpulseError: it runs already, a port is taken, or settings would stop the flows at once.
    """
    from flows.guard_rules import check_rules

    lock = UpLock(home)
    settings = home.settings
    check_rules(settings.guard)
    check_port(settings.gateway.host, settings.gateway.port, "[gateway] port (or OUTPULSE_GATEWAY__PORT)")
    if dashboard:
        check_port(settings.dashboard.host, settings.dashboard.port, "[dashboard] port (or OUTPULSE_DASHBOARD__PORT)")
    supervisor = Supervisor(parts_of(home, dashboard=dashboard))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    say(f"webhooks at http://{settings.gateway.host}:{settings.gateway.port}/webhooks/PROVIDER")
    for section, box in settings.all_mailboxes().items():
        say(f"replies from [{section}] at {box.host}:{box.port}")
    if settings.alerts.targets:
        say(f"alerts to {', '.join(settings.alerts.targets)}")
    if dashboard:
        say(f"dashboard at http://{settings.dashboard.host}:{settings.dashboard.port}")
    supervisor.run()
    del lock
    return 0
