"""Brings an IMAP folder's new mails into the `raw` stream: once, or until asked to stop.

A mail is stored under a key made of its bytes, and only when that is on disk is its UID noted as done. A crash in
between has it fetched again and stored not twice; the same holds for a folder that the server has renumbered
(another UIDVALIDITY, RFC 3501 section 2.3.1.1). New mails are told by IDLE (RFC 2177), else looked for.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from imapclient import SEEN

from adapters.mailbox import CAME_AT, FAULT, PROVIDER, SIZE
from eventlog import Log, Record
from gateway.arrivals import Arrivals
from gateway.imap import TROUBLE, Connection, Listed, Place, check, connect, fetch_mails, list_mails, open_folder
from gateway.positions import Positions
from schemas.events import RawRequest, Stream
from schemas.failures import LogError, SettingsError
from schemas.instants import from_epoch_ms
from schemas.rawrecords import pack

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
AGAIN_SECONDS: Final = 600.0
GIVE_UP_SECONDS: Final = 86_400.0
"""A mail that the server cannot read is tried every ten minutes for a day, then it is a dead letter."""
T = TypeVar("T")
_LOG: Final = logging.getLogger("outpulse.mailbox")


class MailNotRead(Exception):  # noqa: N818 - it is tried again, by itself or later
    """The server did not hand over some mails, or hung up while it did; they are tried one by one."""


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
        self._one_by_one_to = 0
        self._failures = 0
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
        while not self._stopping.is_set():
            client = connect(self.place)
            try:
                self._fetch_new(client, open_folder(client, self.place))
                break
            except MailNotRead as error:
                _LOG.warning("[%s] %s", self.place.section, error)
            finally:
                _leave(client)
        return self.stored - before

    def follow(self, *, patient: bool) -> None:
        """Stores mails as they come until asked to stop; a broken connection is made again.

        Raises:
            SettingsError: a setting is missing or wrong; not when `patient` or once it has worked, then it is logged.
        """
        check(self.place)
        worked = False
        while not self._stopping.is_set():
            try:
                client = connect(self.place)
                try:
                    uidvalidity = open_folder(client, self.place)
                    worked = True
                    self._watch(client, uidvalidity)
                finally:
                    _leave(client)
            except SettingsError as error:
                if not (patient or worked):
                    raise
                self._pause(str(error), _REFUSED_SECONDS)
            except MailNotRead as error:
                self._pause(str(error), _PAUSES[0])
            except (*TROUBLE, LogError) as error:
                self._pause(told(error), _PAUSES[min(self._failures, len(_PAUSES) - 1)])
                self._failures += 1

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
            self._failures = 0
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
        singles = [uid for uid in uids if uid <= self._one_by_one_to]
        for uid in singles:
            self._take_alone(client, uidvalidity, uid)
        self._one_by_one_to = 0
        rest = uids[len(singles) :]
        for at in range(0, len(rest), _LISTED):
            self._take(client, uidvalidity, rest[at : at + _LISTED])
        for waiting in self._positions.due(self.place.key, uidvalidity, AGAIN_SECONDS):
            if time.time() - waiting.first_at > GIVE_UP_SECONDS:
                self._append([self._record(Listed(waiting.uid, 0, None), b"", uidvalidity, cut=False)])
                self._positions.done(self.place.key, uidvalidity, waiting.uid)
            else:
                self._take_alone(client, uidvalidity, waiting.uid)

    def _take(self, client: Connection, uidvalidity: int, uids: Sequence[int]) -> None:
        """Stores some mails, in groups.

        Raises:
            MailNotRead: with the next connection they are taken one by one, so that one of them does not stop the others.
        """
        for group in _groups(self._asked(uids[-1], list_mails, client, uids), self._max_bytes):
            if self._stopping.is_set():
                return
            self._store(client, uidvalidity, group)
        self._positions.put(self.place.key, uidvalidity, uids[-1])

    def _take_alone(self, client: Connection, uidvalidity: int, uid: int) -> None:
        """Stores one mail; it counts as waiting before it is asked for, so that no failure makes it stop the others."""
        if self._stopping.is_set():
            return
        self._positions.try_alone(self.place.key, uidvalidity, uid)
        self._positions.put(self.place.key, uidvalidity, uid)
        for mail in self._asked(self._one_by_one_to, list_mails, client, [uid]):
            self._store(client, uidvalidity, [mail])
        self._positions.done(self.place.key, uidvalidity, uid)

    def _asked(self, last_uid: int, ask: Callable[..., T], client: Connection, *what: Any) -> T:  # noqa: ANN401
        """What the server answers."""
        try:
            return ask(client, *what)
        except TROUBLE as error:
            self._one_by_one_to = max(self._one_by_one_to, last_uid)
            raise MailNotRead(f"the server did not hand over a mail: {told(error)}") from None

    def _store(self, client: Connection, uidvalidity: int, group: Sequence[Listed]) -> None:
        cut = group[0].size > self._max_bytes
        uids = [mail.uid for mail in group]
        found = self._asked(uids[-1], fetch_mails, client, uids, CUT_BYTES if cut else None)
        bodies = [(mail, found[mail.uid]) for mail in group if mail.uid in found]
        self._append([self._record(mail, body, uidvalidity, cut=cut) for mail, body in bodies])
        if bodies and self.place.settings.mark_seen:
            client.add_flags([mail.uid for mail, _ in bodies], [SEEN], silent=True)
        self._positions.put(self.place.key, uidvalidity, uids[-1])

    def _append(self, records: Sequence[Record]) -> None:
        """Stores mails; durable when it returns."""
        if not records:
            return
        self._log.append(Stream.RAW, records)
        self.stored += len(records)
        if self._arrivals is not None:
            for _ in records:
                self._arrivals.count(PROVIDER)

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
    return " ".join(str(words).rpartition("=> ")[2].split())[:200]  # the library puts the command before


def _leave(client: Connection) -> None:
    with suppress(*TROUBLE):
        client.logout()
        return
    with suppress(*TROUBLE):
        client.shutdown()
