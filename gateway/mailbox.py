"""Brings an IMAP folder's new mails into the `raw` stream: once, or until asked to stop.

A mail is stored under a key made of its bytes, and only when that is on disk is its UID noted as done. A crash in
between has it fetched again and stored not twice; the same holds for a folder that the server has renumbered
(another UIDVALIDITY, RFC 3501 section 2.3.1.1). New mails are told by IDLE (RFC 2177), else looked for.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from imapclient import SEEN
from imapclient.exceptions import IMAPClientError

from adapters.mailbox import CAME_AT, FAULT, PROVIDER, SIZE
from eventlog import Log, Record
from gateway.arrivals import Arrivals
from gateway.imap import TROUBLE, Connection, Listed, Place, check, connect, fetch_mails, list_mails, open_folder
from schemas.events import RawRequest, Stream
from schemas.failures import LogError, SettingsError
from schemas.instants import from_epoch_ms
from schemas.rawrecords import pack

FILE: Final = "mailbox.sqlite"
CUT_BYTES: Final = 2**20
"""What is read of a mail beyond the limit: headers and, before its attachments, the text."""
_GROUP_BYTES: Final = 8 * 2**20
_GROUP_MAILS: Final = 50
_LISTED: Final = 500
"""Mails whose sizes one command asks for, so that its line stays short of any server's limit."""
_LOOK_SECONDS: Final = 1.0
"""How soon a waiting connection notices that it should end."""
_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_REFUSED_SECONDS: Final = 300.0
"""Between two logins that are refused: servers lock accounts that try often."""
_TRIES: Final = 5
_LOG: Final = logging.getLogger("outpulse.mailbox")


class Positions:
    """The newest UID of each folder whose mails are stored, in a file of the home; losing it costs only time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS positions (folder TEXT PRIMARY KEY, uidvalidity INTEGER, uid INTEGER)"
            )

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self._path, timeout=30, isolation_level=None))

    def get(self, folder: str) -> tuple[int, int] | None:
        """(UIDVALIDITY, UID) of a folder; None when it was never read."""
        with self._open() as connection:
            row = connection.execute("SELECT uidvalidity, uid FROM positions WHERE folder = ?", (folder,)).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    def put(self, folder: str, uidvalidity: int, uid: int) -> None:
        """Notes a UID; within one UIDVALIDITY the highest stays."""
        with self._open() as connection:
            connection.execute(
                """INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (folder) DO UPDATE SET
                    uid = CASE WHEN uidvalidity = excluded.uidvalidity THEN max(uid, excluded.uid) ELSE excluded.uid END,
                    uidvalidity = excluded.uidvalidity""",
                (folder, uidvalidity, uid),
            )


class Mailbox:
    """One folder and where its mails go. `max_bytes` is the largest mail that is stored whole."""

    def __init__(
        self,
        place: Place,
        log: Log,
        positions: Positions,
        stopping: threading.Event,
        *,
        max_bytes: int,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.place = place
        self._log = log
        self._positions = positions
        self._stopping = stopping
        self._max_bytes = max_bytes
        self._arrivals = arrivals
        self._tried: dict[int, int] = {}
        self.stored = 0
        self.found: int | None = None
        """Mails that the first look has found; None before it."""

    def fetch_once(self) -> int:
        """Stores what is there and not stored yet; how many mails were read.

        Raises:
            SettingsError: a setting is missing or wrong.
            IMAPClientError: the server is in trouble.
            OSError: the server cannot be reached.
            LogError: the log cannot be written.
        """
        before = self.stored
        client = connect(self.place)
        try:
            self._fetch_new(client, open_folder(client, self.place))
        finally:
            _leave(client)
        return self.stored - before

    def follow(self, *, patient: bool) -> None:
        """Stores mails as they come until asked to stop; a broken connection is made again.

        Raises:
            SettingsError: a setting is missing or wrong; not when `patient` or once it has worked, then it is logged.
        """
        check(self.place)
        failures, worked = 0, False
        while not self._stopping.is_set():
            try:
                client = connect(self.place)
                try:
                    uidvalidity = open_folder(client, self.place)
                    failures, worked = 0, True
                    self._watch(client, uidvalidity)
                finally:
                    _leave(client)
            except SettingsError as error:
                if not (patient or worked):
                    raise
                self._pause(str(error), _REFUSED_SECONDS)
            except (*TROUBLE, LogError) as error:
                self._pause(told(error), _PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _pause(self, why: str, seconds: float) -> None:
        if not self._stopping.is_set():
            _LOG.warning("[%s] %s; trying again in %g s", self.place.section, why, seconds)
            self._stopping.wait(seconds)

    def _watch(self, client: Connection, uidvalidity: int) -> None:
        """Fetches, waits for news, fetches again."""
        box = self.place.settings
        can_idle = client.has_capability("IDLE")
        while not self._stopping.is_set():
            self._fetch_new(client, uidvalidity)
            if can_idle:
                _idle(client, box.idle_seconds, self._stopping)
            elif not self._stopping.wait(box.poll_seconds):
                client.noop()

    def _fetch_new(self, client: Connection, uidvalidity: int) -> None:
        """Stores all mails behind the noted UID, in groups."""
        noted = self._positions.get(self.place.key)
        last = noted[1] if noted and noted[0] == uidvalidity else 0
        asked: list[str | int | datetime] = ["UID", f"{last + 1}:*"]
        if last == 0 and self.place.settings.since_days:
            asked += ["SINCE", datetime.now(UTC) - timedelta(days=self.place.settings.since_days)]
        uids = sorted(uid for uid in client.search(asked) if uid > last)  # `n:*` always holds the newest mail
        self.found = len(uids) if self.found is None else self.found
        for at in range(0, len(uids), _LISTED):
            listed = list_mails(client, uids[at : at + _LISTED])
            for group in _groups(listed, self._max_bytes):
                if self._stopping.is_set():
                    return
                self._store(client, uidvalidity, group)
            self._positions.put(self.place.key, uidvalidity, uids[min(at + _LISTED, len(uids)) - 1])

    def _store(self, client: Connection, uidvalidity: int, group: Sequence[Listed]) -> None:
        cut = group[0].size > self._max_bytes
        try:
            found = fetch_mails(client, [mail.uid for mail in group], CUT_BYTES if cut else None)
        except IMAPClientError as error:
            if isinstance(error, client.AbortError):
                raise
            found = self._one_by_one(client, group)
        bodies = [(mail, found[mail.uid]) for mail in group if mail.uid in found]
        records = [self._record(mail, body, uidvalidity, cut=cut) for mail, body in bodies]
        if records:
            self._log.append(Stream.RAW, records)
            self.stored += len(records)
            if self._arrivals is not None:
                for _ in records:
                    self._arrivals.count(PROVIDER)
            if self.place.settings.mark_seen:
                client.add_flags([mail.uid for mail, _ in bodies], [SEEN], silent=True)
        self._positions.put(self.place.key, uidvalidity, group[-1].uid)

    def _one_by_one(self, client: Connection, group: Sequence[Listed]) -> dict[int, bytes]:
        """Mails of a group in which the server cannot read one; that one is given up after some tries."""
        found: dict[int, bytes] = {}
        for mail in group:
            try:
                found |= fetch_mails(client, [mail.uid], CUT_BYTES if mail.size > self._max_bytes else None)
            except IMAPClientError as error:
                if isinstance(error, client.AbortError):
                    raise
                self._tried[mail.uid] = self._tried.get(mail.uid, 0) + 1
                if self._tried[mail.uid] < _TRIES:
                    raise
                found[mail.uid] = b""  # becomes a dead letter that says where the mail lies
        return found

    def _record(self, mail: Listed, body: bytes, uidvalidity: int, *, cut: bool) -> Record:
        headers = {CAME_AT: mail.came_at} if mail.came_at else {}
        identity = hashlib.sha256(body)
        if cut:
            headers[SIZE] = str(mail.size)
            identity.update(headers[SIZE].encode())
        if not body:
            headers[FAULT] = "the server could not read it"
            identity.update(f"{self.place.key} {uidvalidity} {mail.uid}".encode())
        section = self.place.section.rpartition(".")[2]
        request = RawRequest(
            provider=PROVIDER,
            method="FETCH",
            url=f"/mailbox/{section}/{uidvalidity}/{mail.uid}",
            received_at=from_epoch_ms(time.time_ns() // 1_000_000),
            headers=headers,
            body=body,
            inbound=True,
        )
        return Record(hashlib.sha256(b"mailbox\x1f" + identity.digest()).digest(), pack(request))


def _groups(listed: Iterable[Listed], max_bytes: int) -> Iterator[list[Listed]]:
    """Mails in order, few enough at a time for the memory; one beyond the limit stands alone."""
    group: list[Listed] = []
    size = 0
    for mail in listed:
        alone = mail.size > max_bytes
        if group and (alone or size + mail.size > _GROUP_BYTES or len(group) >= _GROUP_MAILS):
            yield group
            group, size = [], 0
        group.append(mail)
        size += mail.size
        if alone:
            yield group
            group, size = [], 0
    if group:
        yield group


def _idle(client: Connection, seconds: float, stopping: threading.Event) -> None:
    """Waits until the server tells of a change, the time is over, or it is time to end."""
    client.idle()
    deadline = time.monotonic() + seconds
    while not stopping.is_set() and (left := deadline - time.monotonic()) > 0:
        if client.hears_news(min(_LOOK_SECONDS, left)):
            break
    client.idle_done()


def told(error: Exception) -> str:
    """What a connection ended with, without what the server or a mail says at length."""
    if isinstance(error, LogError):
        return str(error)
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:200]


def _leave(client: Connection) -> None:
    with suppress(*TROUBLE):
        client.logout()
        return
    with suppress(*TROUBLE):
        client.shutdown()
