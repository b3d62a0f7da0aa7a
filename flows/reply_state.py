"""What the replies flow remembers: one SQLite file in the home, changed in one transaction a micro-batch.

Halves that wait for each other (a reply's words and its event), what was said before in a conversation, how each reply was
read, which version of the model is in use, and where each source goes on. It may be lost: the log read again gives the same.
"""

import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from eventlog.erasing import erase_unused, truncate_wal
from features.forgetting import Forgetting, ReplyName, anonym, anonymous_address, reply_mark
from schemas.events import Event, Reply
from schemas.failures import HomeError
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
_SLICE: Final = 500
"""Rows of a transaction while somebody is taken out: some tens of milliseconds."""
_TRIES: Final = 5
"""Times 30 s; a batch of the flow takes some seconds."""
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

    def events_of(self, contact_id: str | None, address: str | None) -> list[ReplyName]:
        """Names of the replies of a person."""
        query = "SELECT event FROM events WHERE contact_id = ? OR person = ? ORDER BY key"
        rows = self._db.execute(query, (contact_id or "", (address or contact_id or "").strip().lower())).fetchall()
        found = [_EVENT(row[0]) for row in rows]
        return [(event.provider, event.event_id, event.recipient) for event in found]

    def forget(self, event_id: str, token: str, marks: Collection[str] | None = None) -> None:
        """Erases the words of replies and who wrote them; that they came stays, under a name made of `token`.

        `marks` tell which replies of the id are meant (`features.forgetting.reply_mark`); None means all.
        """
        self._has_erased = True
        query = "SELECT key, event FROM events WHERE event_id = ? ORDER BY key"
        found = [(str(key), _EVENT(raw)) for key, raw in self._db.execute(query, (event_id,)).fetchall()]
        meant = [(key, event) for key, event in found if _is_meant(event, token, marks)]
        others = len(found) > len(meant)
        query = "SELECT key, reply FROM replies WHERE event_id = ? ORDER BY key"
        for key, raw in self._db.execute(query, (event_id,)).fetchall():
            reply = _REPLY(zlib.decompress(raw))
            is_whole = reply.provider is not None and reply.recipient is not None
            if _is_meant(reply, token, marks) or (not is_whole and marks and not others):
                self._db.execute("DELETE FROM replies WHERE key = ?", (key,))
        for key, event in meant:
            self._db.execute("DELETE FROM asks WHERE key = ?", (key,))
            self._db.execute("UPDATE events SET words = '', reading = NULL WHERE key = ?", (key,))
            self._put_event(key, _anonymous(event, token))

    def _put_event(self, key: str, event: Event) -> None:
        """Puts an event in the place of what it was, under its new name wherever that stands."""
        name = event_name(event)
        self._db.execute(
            "UPDATE OR REPLACE events SET key = ?, person = ?, contact_id = ?, event = ? WHERE key = ?",
            (name, person_of(event), event.contact_id, _PACK(event), key),
        )
        if name != key:
            self._db.execute("UPDATE OR REPLACE judged SET key = ? WHERE key = ?", (name, key))
            self._db.execute("UPDATE OR REPLACE asks SET key = ? WHERE key = ?", (name, key))
            self._db.execute(
                "UPDATE OR REPLACE meta SET name = ? WHERE name = ?", (f"checked {name}", f"checked {key}")
            )

    def take_out(self, forgetting: Forgetting, change_command: Callable[[bytes], bytes | None]) -> int:
        """Takes a person out of what others wrote; how many rows that changed. In transactions of its own.

        `change_command` gives a command without the person, or None where it is not about them. A live flow goes on in
        between.

        Raises:
            HomeError: the file stayed locked, or held on to by readers; doing it again goes on.
        """
        changes: dict[str, Callable[[tuple[Any, ...]], bool]] = {
            "SELECT rowid, key, event, reading, words FROM events": partial(self._take_out_of_event, forgetting),
            "SELECT rowid, key, reply FROM replies": partial(self._take_out_of_reply, forgetting),
            "SELECT rowid, after, command FROM heeded": partial(self._take_out_of_command, change_command),
        }
        changed = sum(self._take_out_of(query, change) for query, change in changes.items())
        _retried(lambda: erase_unused(self._db))
        if not truncate_wal(self._db):
            raise HomeError(f"{NAME}-wal could not be cut, somebody reads it all the time; call again")
        return changed

    def _take_out_of(self, query: str, change: Callable[[tuple[Any, ...]], bool]) -> int:
        changed, place = 0, 0
        while True:
            with self._patiently():
                rows = self._db.execute(f"{query} WHERE rowid > ? ORDER BY rowid LIMIT {_SLICE}", (place,)).fetchall()
                changed += sum(change(row) for row in rows)
            if not rows:
                return changed
            place = int(rows[-1][0])

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """A short transaction, begun when a live flow lets go of the file: it may hold on to it for a batch."""
        _retried(lambda: self._db.execute("BEGIN IMMEDIATE"))
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _take_out_of_event(self, forgetting: Forgetting, row: tuple[Any, ...]) -> bool:
        _, key, raw, reading, words = row
        event = _EVENT(raw)
        made = forgetting.event(event)
        found = _ROW(reading) if reading else None
        told = forgetting.text(found.extracted) if found and found.extracted else None
        fresh = _PACK(msgspec.structs.replace(found, extracted=told)) if found and told != found.extracted else reading
        text = forgetting.text(words) if words else words
        if forgetting.is_about(event):
            fresh, text = None, words and ""
        if (made, fresh, text) == (event, reading, words):
            return False
        self._db.execute("UPDATE events SET reading = ?, words = ? WHERE key = ?", (fresh, text, key))
        self._put_event(key, made)
        return True

    def _take_out_of_reply(self, forgetting: Forgetting, row: tuple[Any, ...]) -> bool:
        _, key, raw = row
        plain = zlib.decompress(raw)
        if not forgetting.may_concern(plain):
            return False
        reply = _REPLY(plain)
        made = forgetting.reply(reply)
        if made == reply:
            return False
        self._db.execute(
            "UPDATE OR REPLACE replies SET key = ?, reply = ? WHERE key = ?",
            (_name(made.provider, made.event_id, made.recipient), zlib.compress(_PACK(made), 1), key),
        )
        return True

    def _take_out_of_command(self, change: Callable[[bytes], bytes | None], row: tuple[Any, ...]) -> bool:
        made = change(bytes(row[2]))
        if made is not None:
            self._db.execute("UPDATE heeded SET command = ? WHERE rowid = ?", (made, row[0]))
        return made is not None

    def close(self) -> None:
        """Closes the file."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


def _retried(do: Callable[[], object]) -> None:
    """Does something that a live flow may keep waiting.

    Raises:
        HomeError: it kept it waiting all the time.
    """
    for tried in range(_TRIES):
        try:
            do()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or tried == _TRIES - 1:
                raise HomeError(f"{NAME} cannot be changed: {error}; call again") from None
        else:
            return


def _is_meant(one: Event | Reply, token: str, marks: Collection[str] | None) -> bool:
    return marks is None or reply_mark(token, (one.provider, one.event_id, one.recipient)) in marks


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
