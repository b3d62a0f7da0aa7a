"""What the replies flow remembers: one SQLite file in the home, changed in one transaction a micro-batch.

Halves that wait for each other (a reply's words and its event), what was said before in a conversation, how each reply was
read, which version of the model is in use, and where each source goes on. It may be lost: the log read again gives the same.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from eventlog.erasing import truncate_wal
from features.forgetting import Forgetting, anonym, anonymous_address
from schemas.events import Event, Reply
from schemas.tables import ResponseIntelligence

NAME: Final = "replies.sqlite"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events (key TEXT PRIMARY KEY, event_id TEXT NOT NULL, person TEXT NOT NULL,
    occurred_at TEXT NOT NULL, contact_id TEXT, event BLOB NOT NULL, reading BLOB, words TEXT);
CREATE INDEX IF NOT EXISTS events_id ON events (event_id);
CREATE INDEX IF NOT EXISTS events_person ON events (person, occurred_at);
CREATE INDEX IF NOT EXISTS events_contact ON events (contact_id) WHERE contact_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, event_id TEXT NOT NULL, reply BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS replies_id ON replies (event_id);
CREATE TABLE IF NOT EXISTS agreements (place INTEGER PRIMARY KEY, agreed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS versions (version TEXT PRIMARY KEY, file TEXT NOT NULL, made INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS asks (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS judged (place INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, hostile INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heeded (after INTEGER NOT NULL, command BLOB NOT NULL);
"""
_EARLIER: Final = 3
"""Messages of a conversation that are given to the model as context."""
_EVENT: Final = msgspec.msgpack.Decoder(Event).decode
_REPLY: Final = msgspec.msgpack.Decoder(Reply).decode
_ROW: Final = msgspec.msgpack.Decoder(ResponseIntelligence).decode
_PACK: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode


class Pair(msgspec.Struct, frozen=True):
    """A reply's event and its words; `key` names the pair."""

    key: str
    event: Event
    reply: Reply


def event_name(event: Event) -> str:
    """The name of a replied event: (provider, event_id, recipient)."""
    return _name(event.provider, event.event_id, event.recipient)


def _name(*parts: str | None) -> str:
    return "\x1f".join("\x1e" if part is None else part for part in parts)


def person_of(event: Event) -> str:
    """Who replied, as conversations are told apart: the address that wrote, else that which was written to, else the contact."""
    told = (event.attributes or {}).get("from") or event.recipient or event.contact_id or ""
    return told.strip().lower()


class ReplyState:
    """The memory of a home's replies flow; one process at a time changes it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / NAME, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")  # forgotten words must be gone from the file
        self._db.executescript(_SCHEMA)
        self._has_erased = False
        self._afterwards: list[Callable[[], None]] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes of a micro-batch, or none."""
        self._afterwards.clear()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._afterwards.clear()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        while self._afterwards:
            self._afterwards.pop()()
        if self._has_erased:
            self._has_erased = not truncate_wal(self._db)

    def after_commit(self, do: Callable[[], None]) -> None:
        """Does something once the transaction is on disk, never when it is not; at once where there is none."""
        if not self._db.in_transaction:
            do()
        elif do not in self._afterwards:
            self._afterwards.append(do)

    def positions(self) -> dict[str, int]:
        """Where each source goes on."""
        return dict(self._db.execute("SELECT source, position FROM positions").fetchall())

    def move(self, positions: Mapping[str, int]) -> None:
        """Notes where sources go on."""
        self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?)", list(positions.items()))

    def get(self, name: str, default: str = "") -> str:
        """A single fact, such as the version in use."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def put(self, name: str, value: str) -> None:
        """Notes a single fact."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def told_models(self) -> list[dict[str, Any]]:
        """The rows of table `models` that were made, oldest first."""
        query = "SELECT value FROM meta WHERE name LIKE 'model %' ORDER BY rowid"
        return [msgspec.json.decode(row[0]) for row in self._db.execute(query).fetchall()]

    def add_event(self, event: Event) -> list[Pair]:
        """Notes a replied event; the pair that it completes. A copy changes nothing."""
        row = (event_name(event), event.event_id, person_of(event), event.occurred_at, event.contact_id, _PACK(event))
        added = self._db.execute(
            """INSERT OR IGNORE INTO events (key, event_id, person, occurred_at, contact_id, event)
            VALUES (?, ?, ?, ?, ?, ?)""",
            row,
        )
        reply = self.words_of(event) if added.rowcount else None
        return [] if reply is None else [Pair(row[0], event, reply)]

    def add_reply(self, reply: Reply) -> list[Pair]:
        """Notes a reply's words; the pairs that they complete. A copy changes nothing."""
        key = _name(reply.provider, reply.event_id, reply.recipient)
        raw = zlib.compress(_PACK(reply), 1)
        added = self._db.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?)", (key, reply.event_id, raw))
        if not added.rowcount:
            return []
        query = "SELECT key, event FROM events WHERE event_id = ? AND words IS NULL ORDER BY key"
        found = [(str(name), _EVENT(raw)) for name, raw in self._db.execute(query, (reply.event_id,)).fetchall()]
        return [Pair(name, event, reply) for name, event in found if _fits(reply, event)]

    def words_of(self, event: Event) -> Reply | None:
        """The words of an event: those that name its provider and recipient before those that do not."""
        query = "SELECT reply FROM replies WHERE event_id = ? ORDER BY key"
        found = [_REPLY(zlib.decompress(row[0])) for row in self._db.execute(query, (event.event_id,)).fetchall()]
        fitting = [reply for reply in found if _fits(reply, event)]
        return min(fitting, key=lambda one: (one.provider is None, one.recipient is None), default=None)

    def earlier(self, event: Event) -> tuple[str, ...]:
        """What the same person wrote before, oldest first."""
        query = """SELECT words FROM events WHERE person = ? AND occurred_at < ? AND words <> ''
            ORDER BY occurred_at DESC, key LIMIT ?"""
        rows = self._db.execute(query, (person_of(event), event.occurred_at, _EARLIER)).fetchall()
        return tuple(str(row[0]) for row in reversed(rows))

    def note_words(self, key: str, words: str) -> None:
        """Notes the words that the sender of a pair's reply wrote: the pair is complete, and context for later ones."""
        self._db.execute("UPDATE events SET words = ? WHERE key = ?", (words, key))

    def note_reading(self, key: str, row: ResponseIntelligence) -> None:
        """Notes how a reply is read."""
        self._db.execute("UPDATE events SET reading = ? WHERE key = ?", (_PACK(row), key))

    def readings_of(self, event_id: str) -> list[tuple[Pair, ResponseIntelligence]]:
        """The replies of an event's id that were read, with how."""
        query = "SELECT key, event, reading FROM events WHERE event_id = ? AND reading IS NOT NULL ORDER BY key"
        found = []
        for key, event, reading in self._db.execute(query, (event_id,)).fetchall():
            reply = self.words_of(_EVENT(event))
            if reply is not None:
                found.append((Pair(key, _EVENT(event), reply), _ROW(reading)))
        return found

    def note_judged(self, key: str, *, hostile: bool) -> None:
        """Notes that a reply counts for the guard, in the order in which replies are read."""
        self._db.execute("INSERT OR IGNORE INTO judged (key, hostile) VALUES (?, ?)", (key, int(hostile)))

    def note_heeded(self, command: bytes) -> None:
        """Notes that the guard heeds a person's command between the replies that it judges."""
        self._db.execute("INSERT INTO heeded SELECT coalesce(max(place), 0), ? FROM judged", (command,))

    def judged(self) -> Iterator[tuple[Event, bool] | bytes]:
        """The events of replies that count for the guard, and whether they are hostile; and commands, all in their order."""
        query = """SELECT place, 0 AS rank, event, hostile FROM judged JOIN events USING (key)
            UNION ALL SELECT after, heeded.rowid, command, NULL FROM heeded ORDER BY 1, 2"""
        for _, rank, told, hostile in self._db.execute(query):
            yield bytes(told) if rank else (_EVENT(told), bool(hostile))

    def ask(self, key: str) -> None:
        """Notes that a second opinion on a reply is wanted."""
        self._db.execute("INSERT OR IGNORE INTO asks VALUES (?)", (key,))

    def answered(self, keys: Sequence[str]) -> None:
        """Notes that second opinions came, or will not come."""
        self._db.executemany("DELETE FROM asks WHERE key = ?", [(key,) for key in keys])

    def asked(self) -> list[tuple[Pair, ResponseIntelligence]]:
        """The replies on which a second opinion is wanted, as they are read now."""
        query = "SELECT event_id, key FROM asks JOIN events USING (key) ORDER BY key"
        found = []
        for event_id, key in self._db.execute(query).fetchall():
            found += [one for one in self.readings_of(event_id) if one[0].key == key]
        return found

    def add_agreement(self, place: int, *, agreed: bool) -> None:
        """Notes whether a person agreed with a prediction, at a place of the feedback stream."""
        self._db.execute("INSERT OR IGNORE INTO agreements VALUES (?, ?)", (place, int(agreed)))

    def agreements(self) -> list[bool]:
        """Whether people agreed, in order."""
        return [bool(row[0]) for row in self._db.execute("SELECT agreed FROM agreements ORDER BY place").fetchall()]

    def add_version(self, version: str, file: str, made: int) -> None:
        """Notes where a version of the model lies; `made` orders them."""
        self._db.execute("INSERT OR REPLACE INTO versions VALUES (?, ?, ?)", (version, file, made))

    def versions(self) -> list[tuple[str, str]]:
        """(version, file) of all that are kept, oldest first."""
        return [(str(v), str(f)) for v, f in self._db.execute("SELECT version, file FROM versions ORDER BY made")]

    def drop_versions(self, versions: Sequence[str]) -> None:
        """Forgets versions whose files are gone."""
        self._db.executemany("DELETE FROM versions WHERE version = ?", [(version,) for version in versions])

    def events_of(self, contact_id: str | None, address: str | None) -> list[str]:
        """Ids of the replies of a person."""
        query = "SELECT DISTINCT event_id FROM events WHERE contact_id = ? OR person = ? ORDER BY 1"
        rows = self._db.execute(query, (contact_id or "", (address or contact_id or "").strip().lower())).fetchall()
        return [str(row[0]) for row in rows]

    def forget(self, event_id: str, token: str) -> None:
        """Erases the words of a reply and who wrote it; that it came stays, under a name made of `token`."""
        self._has_erased = True
        self._db.execute("DELETE FROM replies WHERE event_id = ?", (event_id,))
        self._db.execute("DELETE FROM asks WHERE key IN (SELECT key FROM events WHERE event_id = ?)", (event_id,))
        query = "SELECT key, event FROM events WHERE event_id = ?"
        for key, raw in self._db.execute(query, (event_id,)).fetchall():
            event = _anonymous(_EVENT(raw), token)
            self._db.execute(
                """UPDATE OR REPLACE events SET key = ?, person = ?, contact_id = ?, event = ?, words = '', reading = NULL
                WHERE key = ?""",
                (event_name(event), person_of(event), event.contact_id, _PACK(event), key),
            )
            self._db.execute("UPDATE OR REPLACE judged SET key = ? WHERE key = ?", (event_name(event), key))
            self._db.execute("DELETE FROM meta WHERE name = ?", (f"checked {key}",))

    def take_out(self, forgetting: Forgetting) -> int:
        """Takes a person out of what others wrote; how many rows that changed. In a transaction of its own."""
        with self.transaction():
            self._has_erased = True
            return self._take_out_of_words(forgetting) + self._take_out_of_replies(forgetting)

    def _take_out_of_words(self, forgetting: Forgetting) -> int:
        changed = 0
        rows = self._db.execute("SELECT key, event, reading, words FROM events").fetchall()
        for key, raw, reading, words in rows:
            event = _EVENT(raw)
            row = _ROW(reading) if reading else None
            told = forgetting.text(row.extracted) if row and row.extracted else None
            made = (
                _PACK(forgetting.event(event)) if forgetting.may_concern(raw) else raw,
                _PACK(msgspec.structs.replace(row, extracted=told)) if row and told != row.extracted else reading,
                forgetting.text(words) if words else words,
            )
            if made != (raw, reading, words):
                changed += 1
                self._db.execute("UPDATE events SET event = ?, reading = ?, words = ? WHERE key = ?", (*made, key))
        return changed

    def _take_out_of_replies(self, forgetting: Forgetting) -> int:
        changed = 0
        for key, raw in self._db.execute("SELECT key, reply FROM replies").fetchall():
            plain = zlib.decompress(raw)
            if not forgetting.may_concern(plain):
                continue
            made = _PACK(forgetting.reply(_REPLY(plain)))
            if made != plain:
                changed += 1
                self._db.execute("UPDATE replies SET reply = ? WHERE key = ?", (zlib.compress(made, 1), key))
        return changed

    def close(self) -> None:
        """Closes the file."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def _anonymous(event: Event, token: str) -> Event:
    """An event of somebody who was forgotten; what the guard counts of it stays."""
    return msgspec.structs.replace(
        event,
        contact_id=anonym(token),
        recipient=anonymous_address(event.recipient, token) if event.recipient else None,
        url=None,
        reason=None,
        attributes=None,
    )


def _fits(reply: Reply, event: Event) -> bool:
    """Whether words may be an event's: what they name of it is the same."""
    provider_fits = reply.provider is None or reply.provider == event.provider
    return provider_fits and (reply.recipient is None or reply.recipient == event.recipient)
