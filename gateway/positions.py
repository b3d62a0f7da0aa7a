"""How far each IMAP folder has been read, and which of its mails the server could not read yet, in a file of the home.

Losing the file costs only time: mails are fetched again and known by their bytes.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

FILE: Final = "mailbox.sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS positions (folder TEXT PRIMARY KEY, uidvalidity INTEGER, uid INTEGER);
CREATE TABLE IF NOT EXISTS waiting (folder TEXT, uidvalidity INTEGER, uid INTEGER, first_at REAL, tried_at REAL,
    PRIMARY KEY (folder, uidvalidity, uid)) WITHOUT ROWID;
"""


class Waiting(NamedTuple):
    """A mail that the server could not read; `first_at` in seconds since 1970."""

    uid: int
    first_at: float


class Positions:
    """Notes of all folders of a home; safe for several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def get(self, folder: str) -> tuple[int, int] | None:
        """(UIDVALIDITY, UID) of a folder; None when it was never read."""
        with self._open() as connection:
            row = connection.execute("SELECT uidvalidity, uid FROM positions WHERE folder = ?", (folder,)).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    def put(self, folder: str, uidvalidity: int, uid: int) -> None:
        """Notes that mails up to a UID are done; within one UIDVALIDITY the highest stays."""
        with self._open() as connection:
            connection.execute(
                """INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (folder) DO UPDATE SET
                    uid = CASE WHEN uidvalidity = excluded.uidvalidity THEN max(uid, excluded.uid) ELSE excluded.uid END,
                    uidvalidity = excluded.uidvalidity""",
                (folder, uidvalidity, uid),
            )

    def try_alone(self, folder: str, uidvalidity: int, uid: int) -> None:
        """Notes that a mail is tried now; it waits until `done`."""
        now = time.time()
        with self._open() as connection:
            connection.execute(
                "INSERT INTO waiting VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET tried_at = excluded.tried_at",
                (folder, uidvalidity, uid, now, now),
            )

    def done(self, folder: str, uidvalidity: int, uid: int) -> None:
        """Notes that a mail waits no longer."""
        with self._open() as connection:
            where = "folder = ? AND uidvalidity = ? AND uid = ?"
            connection.execute(f"DELETE FROM waiting WHERE {where}", (folder, uidvalidity, uid))

    def due(self, folder: str, uidvalidity: int, seconds: float) -> list[Waiting]:
        """Mails that wait, and were not tried for so long; those of another UIDVALIDITY are forgotten."""
        with self._open() as connection:
            connection.execute("DELETE FROM waiting WHERE folder = ? AND uidvalidity <> ?", (folder, uidvalidity))
            rows = connection.execute(
                "SELECT uid, first_at FROM waiting WHERE folder = ? AND tried_at <= ? ORDER BY uid",
                (folder, time.time() - seconds),
            ).fetchall()
        return [Waiting(int(uid), float(first_at)) for uid, first_at in rows]
