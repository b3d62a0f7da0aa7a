"""What is to be told and how far it got, in a file of the home: positions in the log, sendings, messages.

A *sending* is one notice for one target, and a row of table `alerts`; a *message* is what goes out, with one sending or more.
Positions move in the transaction that takes the notices in; a message is noted after it was sent. So after `kill -9` at any
instant nothing is lost, and at most the messages on their way are sent once more. Targets are known by name: the file holds
no address and no secret.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from schemas.failures import HomeError
from schemas.identifiers import uuid7_of
from schemas.instants import from_epoch_ms, parse_ms
from schemas.records import AlertStatus
from sinks.alerts.notices import BEGINS, ENDS, Notice
from sinks.alerts.pacing import Bundle, Memory, Waiting

FILE: Final = "alerts.sqlite"
KEEP_SECONDS: Final = 7 * 86_400
"""How long what is done stays in the file: `status` and `doctor` tell of failures until then."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS positions (place TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sendings (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, target TEXT NOT NULL, kind TEXT NOT NULL,
    severity TEXT NOT NULL, scope TEXT NOT NULL, rule TEXT NOT NULL, source TEXT NOT NULL, notice BLOB NOT NULL,
    taken_at REAL NOT NULL, message INTEGER, status TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
    sent_at TEXT, changes INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS sendings_waiting ON sendings (target, number) WHERE message IS NULL AND status = 'pending';
CREATE INDEX IF NOT EXISTS sendings_of_message ON sendings (message);
CREATE INDEX IF NOT EXISTS sendings_of_scope ON sendings (target, scope) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS sendings_of_source ON sendings (source);
CREATE INDEX IF NOT EXISTS sendings_changed ON sendings (number) WHERE changes > 0;
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, is_summary INTEGER NOT NULL, created_at REAL NOT NULL,
    due_at REAL NOT NULL, status TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0, fault TEXT,
    ended_at REAL);
CREATE INDEX IF NOT EXISTS messages_due ON messages (target, due_at) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS memories (target TEXT PRIMARY KEY, memory BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stopped (scope TEXT, target TEXT, PRIMARY KEY (scope, target)) WITHOUT ROWID;
"""
_NEXT: Final = """
SELECT number, is_summary, attempts FROM messages m WHERE target = ? AND status = 'pending' AND due_at <= ?
    AND NOT EXISTS (SELECT 1 FROM sendings s JOIN sendings o ON o.target = s.target AND o.scope = s.scope
        AND o.status = 'pending' AND o.message < m.number WHERE s.message = m.number)
ORDER BY due_at, number LIMIT 1"""


class Message(NamedTuple):
    """What goes out: notices in the order of arrival; `attempts` that failed before."""

    number: int
    notices: list[Notice]
    is_summary: bool
    attempts: int


class Change(NamedTuple):
    """A sending as table `alerts` should have it; `changes` tells this state of it from later ones."""

    number: int
    id: UUID
    target: str
    notice: Notice
    status: AlertStatus
    attempts: int
    sent_at: str | None
    changes: int


class Outbox:
    """The file of one home; safe for threads. Instants are seconds since 1970."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def position(self, place: str, otherwise: int) -> int:
        """The next offset of a place of the log, or what is given for the first time; that is then noted."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO positions VALUES (?, ?)", (place, otherwise))
            row = connection.execute("SELECT next FROM positions WHERE place = ?", (place,)).fetchone()
        return int(row[0])

    def take(self, place: str, position: int, wanted: Sequence[tuple[Notice, Sequence[str]]], now: float) -> None:
        """Takes in notices, each with the targets that want it, and where the log is to be read on.

        What ends (a pause, a failure) is also for whoever was told of its begin. A notice that is known for a target is not
        taken again.
        """
        with self._transaction() as connection:
            for notice, targets in wanted:
                for target in (*targets, *(t for t in self._stopped_for(notice) if t not in targets)):
                    self._add(notice, target, now)
                self._note_stop(notice, targets)
            connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (place, position))

    def _add(self, notice: Notice, target: str, now: float) -> None:
        known = (notice.kind, notice.severity, notice.scope, notice.rule, notice.source, msgspec.json.encode(notice))
        self._connection.execute(
            "INSERT OR IGNORE INTO sendings (id, target, kind, severity, scope, rule, source, notice, taken_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (sending_id(notice, target).bytes, target, *known, now),
        )

    def _stopped_for(self, notice: Notice) -> list[str]:
        """Who was told of the begin of what a notice ends."""
        if notice.state != ENDS:
            return []
        rows = self._connection.execute("SELECT target FROM stopped WHERE scope = ?", (notice.scope,)).fetchall()
        return [str(target) for (target,) in rows]

    def _note_stop(self, notice: Notice, targets: Sequence[str]) -> None:
        if notice.state == BEGINS:
            rows = [(notice.scope, target) for target in targets]
            self._connection.executemany("INSERT OR IGNORE INTO stopped VALUES (?, ?)", rows)
        elif notice.state == ENDS:
            self._connection.execute("DELETE FROM stopped WHERE scope = ?", (notice.scope,))

    def waiting(self, target: str) -> list[Waiting]:
        """What is in no message yet, in the order of arrival."""
        query = (
            "SELECT number, kind, scope, rule, severity FROM sendings"
            " WHERE target = ? AND message IS NULL AND status = 'pending' ORDER BY number"
        )
        with self._lock:
            return [Waiting(*row) for row in self._connection.execute(query, (target,))]

    def memory(self, target: str) -> Memory:
        """What was told to a target lately."""
        with self._lock:
            row = self._connection.execute("SELECT memory FROM memories WHERE target = ?", (target,)).fetchone()
        return msgspec.json.decode(row[0], type=Memory) if row else Memory()

    def bundle(self, target: str, bundles: Sequence[Bundle], memory: Memory, now: float) -> None:
        """Makes messages that are due at once, and notes what was told."""
        with self._transaction() as connection:
            for one in bundles:
                values = (target, one.is_summary, now, now)
                made = connection.execute(
                    "INSERT INTO messages (target, is_summary, created_at, due_at) VALUES (?, ?, ?, ?)", values
                )
                members = [(made.lastrowid, number) for number in one.numbers]
                connection.executemany("UPDATE sendings SET message = ? WHERE number = ?", members)
            connection.execute("INSERT OR REPLACE INTO memories VALUES (?, ?)", (target, msgspec.json.encode(memory)))

    def next(self, target: str, now: float) -> Message | None:
        """The message to send now; one that tells of the same scope as an older unsent one waits for it."""
        with self._lock:
            row = self._connection.execute(_NEXT, (target, now)).fetchone()
            if row is None:
                return None
            query = "SELECT notice FROM sendings WHERE message = ? ORDER BY number"
            notices = [msgspec.json.decode(raw, type=Notice) for (raw,) in self._connection.execute(query, (row[0],))]
        return Message(row[0], notices, bool(row[1]), row[2])

    def note_sent(self, message: Message, now: float) -> None:
        """Notes that a message was sent."""
        self._end(message, AlertStatus.SENT, now, None)

    def note_failure(self, message: Message, fault: str, now: float, again_at: float | None) -> None:
        """Notes that sending failed, and when it is tried again; None gives the message up."""
        if again_at is None:
            self._end(message, AlertStatus.FAILED, now, fault)
            return
        with self._transaction() as connection:
            connection.execute(
                "UPDATE messages SET attempts = attempts + 1, due_at = ?, fault = ? WHERE number = ?",
                (again_at, fault, message.number),
            )
            connection.execute(
                "UPDATE sendings SET attempts = attempts + 1, changes = changes + 1 WHERE message = ?",
                (message.number,),
            )

    def _end(self, message: Message, status: AlertStatus, now: float, fault: str | None) -> None:
        sent_at = from_epoch_ms(int(now * 1000)) if status is AlertStatus.SENT else None
        with self._transaction() as connection:
            connection.execute(
                "UPDATE messages SET status = ?, attempts = attempts + 1, ended_at = ?, fault = ? WHERE number = ?",
                (status, now, fault, message.number),
            )
            connection.execute(
                "UPDATE sendings SET status = ?, attempts = attempts + 1, sent_at = ?, changes = changes + 1 WHERE message = ?",
                (status, sent_at, message.number),
            )
            if status is AlertStatus.FAILED:
                connection.execute(
                    "DELETE FROM stopped WHERE (scope, target) IN (SELECT scope, target FROM sendings WHERE message = ?)",
                    (message.number,),
                )

    def drop_targets_but(self, targets: Sequence[str], now: float) -> None:
        """Gives up what waits for targets that are no longer set."""
        marks = ", ".join("?" * len(targets))
        with self._transaction() as connection:
            connection.execute(
                f"UPDATE messages SET status = 'failed', ended_at = ?, fault = 'no longer set' WHERE status = 'pending'"
                f" AND target NOT IN ({marks})",
                (now, *targets),
            )
            connection.execute(
                f"UPDATE sendings SET status = 'failed', changes = changes + 1 WHERE status = 'pending'"
                f" AND target NOT IN ({marks})",
                targets,
            )
            connection.execute(f"DELETE FROM stopped WHERE target NOT IN ({marks})", targets)

    def changed(self, limit: int = 500) -> list[Change]:
        """Sendings that table `alerts` does not know in their state."""
        query = (
            "SELECT number, id, target, notice, status, attempts, sent_at, changes FROM sendings WHERE changes > 0"
            " ORDER BY number LIMIT ?"
        )
        with self._lock:
            rows = self._connection.execute(query, (limit,)).fetchall()
        return [
            Change(
                row[0],
                UUID(bytes=row[1]),
                row[2],
                msgspec.json.decode(row[3], type=Notice),
                AlertStatus(row[4]),
                *row[5:],
            )
            for row in rows
        ]

    def of_source(self, source: str) -> list[tuple[str, int, str | None]]:
        """(status, attempts, sent_at) of every sending of a notice."""
        query = "SELECT status, attempts, sent_at FROM sendings WHERE source = ?"
        with self._lock:
            return self._connection.execute(query, (source,)).fetchall()

    def note_reported(self, changes: Sequence[Change]) -> None:
        """Notes that table `alerts` knows of changes, or will when the log has landed."""
        with self._transaction() as connection:
            rows = [(one.number, one.changes) for one in changes]
            connection.executemany("UPDATE sendings SET changes = 0 WHERE number = ? AND changes = ?", rows)

    def expire(self, now: float) -> None:
        """Lets go of what was done long ago."""
        with self._transaction() as connection:
            old = "SELECT number FROM messages WHERE ended_at < ?"
            connection.execute(
                f"DELETE FROM sendings WHERE status <> 'pending' AND changes = 0 AND (message IN ({old})"
                " OR message IS NULL AND taken_at < ?)",
                (now - KEEP_SECONDS, now - KEEP_SECONDS),
            )
            connection.execute(
                "DELETE FROM messages WHERE ended_at < ?"
                " AND NOT EXISTS (SELECT 1 FROM sendings WHERE message = messages.number)",
                (now - KEEP_SECONDS,),
            )


def sending_id(notice: Notice, target: str) -> UUID:
    """The id of a notice for a target: the same for every pass over the log."""
    return uuid7_of(parse_ms(notice.created_at), f"alert\x1f{notice.source}\x1f{target}")


class State(NamedTuple):
    """How alerts to one target fare: what waits, since when at the longest (seconds since 1970), what ended in a week.

    `fault` is why the newest attempt failed, None when it did not; `is_broken` says that the newest message was given up.
    """

    waiting: int
    since: float | None
    sent: int
    failed: int
    fault: str | None
    is_broken: bool


def states(path: Path) -> Mapping[str, State]:
    """The state of each target by its name, read beside a running part; nothing when there is no file.

    Raises:
        HomeError: the file cannot be read.
    """
    if not path.exists():
        return {}
    connection = sqlite3.connect(path, timeout=30)
    try:
        counts: list[Any] = connection.execute(
            "SELECT target, count(*) FILTER (WHERE status = 'pending'), min(taken_at) FILTER (WHERE status = 'pending'),"
            " count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status = 'failed') FROM sendings GROUP BY target"
        ).fetchall()
        tried = connection.execute(
            "SELECT target, fault, status FROM messages WHERE attempts > 0 OR status <> 'pending' ORDER BY number"
        ).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):  # the part is making the file
            return {}
        raise HomeError(f"{path} cannot be read: {error}") from None
    finally:
        connection.close()
    newest = {target: (fault, status == AlertStatus.FAILED) for target, fault, status in tried}
    return {row[0]: State(row[1], row[2], row[3], row[4], *newest.get(row[0], (None, False))) for row in counts}
