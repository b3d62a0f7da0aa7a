"""Starting, killing and awaiting the real processes in tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

OUTPULSE = [sys.executable, "-m", "outpulse"]


def start(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> "subprocess.Popen[bytes]":
    """A verb as a process; its messages go to the test's stderr."""
    return subprocess.Popen([*OUTPULSE, *arguments], env={**os.environ, **(env or {})}, **options)


def run(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> "subprocess.CompletedProcess[str]":
    """A verb run to its end."""
    return subprocess.run(
        [*OUTPULSE, *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PARTS = ("gateway", "flows", "replies", "mailbox", "alerts", "dashboard")
"""What `up` may supervise, by the verb of each part, or the flow that runs alone."""


def parts(up: "subprocess.Popen[bytes]") -> dict[str, psutil.Process]:
    """The supervised processes by name."""
    found: dict[str, psutil.Process] = {}
    for child in psutil.Process(up.pid).children():
        try:
            command = child.cmdline()
        except psutil.Error:
            continue
        verb = command[command.index("outpulse") + 1] if "outpulse" in command[:-1] else None
        if verb == "flows" and "replies" in command:
            verb = "replies"
        if verb in PARTS:
            found[verb] = child
    return found


def kill(process: Any) -> None:
    """`kill -9`."""
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def stop(process: "subprocess.Popen[bytes]", seconds: float = 30) -> int:
    """SIGTERM, and the exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)


def wait_until(true: Callable[[], bool], seconds: float = 60, what: str = "it") -> None:
    """Polls until true.

    Raises:
        AssertionError: never became true.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def copy_of_log(home: Path, other: Path) -> None:
    """The log of a home, with nothing running on it, in a fresh home."""
    import shutil

    shutil.copytree(home / "log", other / "log")
