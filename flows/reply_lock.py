"""One process a home understands replies: two would learn the same correction apart."""

import fcntl
import os
from pathlib import Path

from flows.reply_models import FOLDER
from schemas.failures import HomeError

_NAME = "replies.lock"


class RepliesLock:
    """The right to run the replies flow of a home; the system gives it back when the process ends, however it ends.

    Raises:
        HomeError: another process has it.
    """

    def __init__(self, home: Path) -> None:
        folder = home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise HomeError(
                f"another process understands the replies of {home} already; stop it, or choose another --home"
            ) from None
        os.set_inheritable(self._file, False)  # noqa: FBT003 - the standard library's signature

    def release(self) -> None:
        """Gives it back."""
        os.close(self._file)


def is_running(home: Path) -> bool:
    """Whether a process runs the replies flow of a home."""
    try:
        RepliesLock(home).release()
    except HomeError:
        return True
    return False
