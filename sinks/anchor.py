"""Keeps the catalog's write-ahead log in being while a writer runs, so that readers never wait.

DuckDB opens the SQLite catalog for a transaction and closes it after. When the last connection closes, SQLite folds the log
in and deletes it under an exclusive lock; who comes just then waits, and the SQLite inside DuckDB waits in whole seconds
(1 to 2% of a reader's queries: 1.02 s; with another connection open: none above 0.05 s). So a small process holds one.
It must be a process of its own: SQLite's locks belong to a process, and two copies of SQLite in one would undo each other's.

Source: "How To Corrupt An SQLite Database File", sections 2.2 and 2.2.1, of SQLite's documentation.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from sinks.attach import lake_folder

_HOLD: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
sys.stdin.read()
"""


class Anchor:
    """A child process that holds the catalog open; it ends when told to, or with its parent, however that ends."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-I", "-S", "-c", _HOLD, str(lake_folder(home) / "catalog.sqlite")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - ourselves

    def release(self) -> None:
        """Lets the catalog go."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
            self._process.wait()
