"""What people ask of the lake's writer: jobs in a small SQLite table of the home.

A verb that changes the lake puts a job here. A live writer takes it between two chunks; else the verb takes the writer's
lock and does it itself. A job is repeatable, so one that a crash cut off is simply done again.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

from eventlog.erasing import truncate_wal


class Job(msgspec.Struct, frozen=True):
    """`verb` with its arguments; `state` is waiting, running, done or failed, `result` its outcome or one line of error."""

    id: int
    verb: str
    args: dict[str, Any]
    state: str = "waiting"
    result: str | None = None


class Jobs:
    """The home's list of jobs; safe for several processes."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(home / "jobs.sqlite", timeout=30, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA secure_delete=ON")  # a job may name somebody who is to be forgotten
        self._connection.execute("""CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT,
            verb TEXT NOT NULL, args BLOB NOT NULL, state TEXT NOT NULL, result TEXT, put_at REAL NOT NULL)""")

    def put(self, verb: str, **args: Any) -> Job:  # noqa: ANN401 - arguments of any verb, as JSON
        """Adds a job."""
        return self._added(verb, args, "waiting")

    def _added(self, verb: str, args: dict[str, Any], state: str) -> Job:
        cursor = self._connection.execute(
            "INSERT INTO jobs (verb, args, state, put_at) VALUES (?, ?, ?, ?)",
            (verb, msgspec.json.encode(args), state, time.time()),
        )
        return Job(int(cursor.lastrowid or 0), verb, args, state)

    def open_jobs(self) -> list[Job]:
        """Waiting jobs, and running ones that a crash has left, oldest first."""
        rows = self._connection.execute(
            "SELECT id, verb, args, state, result FROM jobs WHERE state IN ('waiting', 'running') ORDER BY id"
        ).fetchall()
        return [_job(row) for row in rows]

    def get(self, job_id: int) -> Job:
        """One job as it stands now."""
        row = self._connection.execute(
            "SELECT id, verb, args, state, result FROM jobs WHERE id = ?", (job_id,)
        ).fetchone()
        return _job(row)

    def mark(self, job: Job, state: str, result: str | None = None) -> None:
        """Notes how a job stands; a finished one forgets what it was asked, and after a day itself."""
        now = time.time()
        done = state in {"done", "failed"}
        self._connection.execute(
            "UPDATE jobs SET state = ?, result = ?, put_at = ?, args = CASE WHEN ? THEN '{}' ELSE args END WHERE id = ?",
            (state, result, now, done, job.id),
        )
        self._connection.execute(
            "DELETE FROM jobs WHERE state IN ('done', 'failed') AND put_at < ? AND id <> ?", (now - 86_400, job.id)
        )

    def hold(self, verb: str, **args: Any) -> Job:  # noqa: ANN401 - as for `put`
        """Notes for the verb itself what it has begun; no writer takes it, and it stays until it is marked done."""
        return self._added(f"held {verb}", args, "held")

    def held(self, verb: str) -> list[Job]:
        """What calls of a verb have begun and not ended, oldest first."""
        query = "SELECT id, verb, args, state, result FROM jobs WHERE state = 'held' AND verb = ? ORDER BY id"
        return [_job(row) for row in self._connection.execute(query, (f"held {verb}",)).fetchall()]

    def erase(self) -> None:
        """Lets go of every byte of what finished jobs were asked."""
        truncate_wal(self._connection)

    def close(self) -> None:
        """Closes the list."""
        self._connection.close()


def _job(row: tuple[Any, ...]) -> Job:
    return Job(row[0], row[1], msgspec.json.decode(row[2]), row[3], row[4])
