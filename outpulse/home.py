"""A home folder: where one installation keeps its log, lake, recovery state and settings."""

import os
from dataclasses import dataclass
from pathlib import Path

from eventlog.sqlite import SqliteLog
from outpulse.settings import DEFAULT_HOME, Settings, load
from schemas.failures import HomeError


@dataclass(frozen=True)
class Home:
    """A home with its settings."""

    path: Path
    settings: Settings
    config: Path | None = None

    def log(self) -> SqliteLog:
        """The home's log; its folder is made when missing."""
        self.ensure()
        return SqliteLog(self.path / "log", self.settings.log.partitions)

    def ensure(self) -> None:
        """Makes the folder.

        Raises:
            HomeError: it cannot be made or written, with what to do.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds people's mail
            probe = self.path / f".writable-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise HomeError(
                f"the home folder {self.path} cannot be written: {error.strerror}; choose another with --home or $OUTPULSE_HOME"
            ) from None


def open_home(path: str | None, config: str | None = None) -> Home:
    """The home that an option names, else `$OUTPULSE_HOME`, else `./.outpulse`, with its settings.

    Raises:
        SettingsError: a setting is wrong.
    """
    home = Path(path or os.environ.get("OUTPULSE_HOME") or DEFAULT_HOME)
    chosen = Path(config) if config else None
    return Home(home, load(home, chosen), chosen)
