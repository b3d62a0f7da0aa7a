"""A connection to an IMAP server: TLS, login, the folder, and faults told as the setting to change."""

import logging
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import CapabilityError, IMAPClientError, LoginError

from outpulse.settings import MailboxSettings
from schemas.failures import SettingsError
from schemas.instants import from_epoch_ms

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
"""A server may need long to open a folder of a hundred thousand mails; beyond this it is gone."""
TROUBLE: Final = (IMAPClientError, OSError)
"""What a connection can end with; imapclient's error is imaplib's."""
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TLS: Final = {"true": "implicit", "starttls": "starttls", "none": "none", "false": "none"}
# The library's debug lines hold whole mails.
logging.getLogger("imapclient").setLevel(logging.WARNING)


class Connection(IMAPClient):  # type: ignore[misc] # the library has no annotations
    """The library's connection, which also hears what a server says just before or behind its consent to idle.

    The library takes an EXISTS before the consent for a fault, and does not look into its buffer for one that came in
    the same packet: a mail of that instant would be known only when the idling ends.
    """

    _looked = True
    _has_news = False

    def idle(self) -> None:
        """Puts the server into IDLE mode (RFC 2177).

        Raises:
            IMAPClientError: the server does not want to.
        """
        self._looked = self._has_news = False
        self._idle_tag = self._imap._command("IDLE")  # noqa: SLF001 - as the library's own
        while (said := self._imap._get_response()) is not None:  # noqa: SLF001
            self._has_news = self._has_news or b"EXISTS" in said
            if self._imap.tagged_commands[self._idle_tag] is not None:
                raise IMAPClientError("the server does not idle")

    def hears_news(self, seconds: float) -> bool:
        """Whether a mail has come or the connection is about to end, while idling; waits at most so long."""
        began = time.monotonic()
        looked, lines = self._looked, [] if self._has_news else self.idle_check(seconds)
        if self._has_news or any(b"EXISTS" in line or b"BYE" in line for line in lines):
            return True
        # Woken without a line: the other side has hung up, which the end of idling finds out.
        return looked and not lines and time.monotonic() - began < seconds / 2

    def _poll_socket(self, sock: Any, timeout: float | None = None) -> Any:  # noqa: ANN401 - overrides the library's
        if not self._looked:
            self._looked = True
            return [True]
        return super()._poll_socket(sock, timeout)


class Place(msgspec.Struct, frozen=True):
    """A mailbox as it is set: the section of its settings, the settings, and the home that its files count from."""

    section: str
    settings: MailboxSettings
    home: Path

    @property
    def key(self) -> str:
        """What names the folder in the noted positions."""
        return f"{self.settings.user}@{self.settings.host}/{self.settings.folder}"


class Listed(msgspec.Struct, frozen=True):
    """A mail that lies in the folder: its UID, its bytes on the server, and when it came there (canonical text)."""

    uid: int
    size: int
    came_at: str | None


def check(place: Place) -> str:
    """How the connection is encrypted: implicit, starttls or none.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    box = place.settings
    tls = _TLS.get(str(box.tls).lower())
    if tls is None:
        raise SettingsError(f'[{place.section}] tls is {box.tls!r}, valid are true, "starttls" and "none"')
    if not box.host or not box.user:
        raise SettingsError(f"[{place.section}] {'user' if box.host else 'host'} is missing")
    if tls == "none" and box.host not in _LOCAL:
        raise SettingsError(f'[{place.section}] tls = "none" is for this machine only; set true or "starttls"')
    if box.auth not in {"login", "xoauth2"}:
        raise SettingsError(f'[{place.section}] auth is {box.auth!r}, valid are "login" and "xoauth2"')
    return tls


def connect(place: Place) -> Connection:
    """A connection that is logged in.

    Raises:
        SettingsError: the server refuses the login, or its certificate is not trusted; names the setting.
        IMAPClientError: the server is in trouble.
        OSError: the server cannot be reached.
    """
    tls, box = check(place), place.settings
    secret, context = _secret(place), _context(place)
    timeout = SocketTimeout(CONNECT_SECONDS, READ_SECONDS)
    client = None
    try:
        client = Connection(box.host, box.port, ssl=tls == "implicit", ssl_context=context, timeout=timeout)
        if tls == "starttls":
            client.starttls(context)
        _login(client, place, secret)
    except ssl.SSLCertVerificationError as error:
        _abandon(client)
        raise SettingsError(
            f"the certificate of {box.host}:{box.port} is not trusted ({error.verify_message}); "
            f"set [{place.section}] ca_file to the certificate of its authority"
        ) from None
    except ssl.SSLError as error:
        _abandon(client)
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):  # it hung up
            raise
        told = error.reason or "no TLS"
        raise SettingsError(
            f"{box.host}:{box.port} does not speak TLS as [{place.section}] tls and port say ({told})"
        ) from None
    except BaseException:
        _abandon(client)
        raise
    client.normalise_times = False
    with suppress(OSError):  # a dead line is noticed while nothing is sent
        client.socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return client


def open_folder(client: Connection, place: Place) -> int:
    """Selects the folder, read-only unless mails are to be marked; its UIDVALIDITY.

    Raises:
        SettingsError: there is no such folder.
    """
    box = place.settings
    try:
        told = client.select_folder(box.folder, readonly=not box.mark_seen)
    except IMAPClientError as error:
        if isinstance(error, client.AbortError):
            raise
        raise SettingsError(
            f"{box.host} does not open the folder {box.folder!r}: set [{place.section}] folder"
        ) from None
    return int(told.get(b"UIDVALIDITY", 0))


def list_mails(client: Connection, uids: Sequence[int]) -> list[Listed]:
    """Sizes and times of some mails, those that have gone meanwhile left out."""
    found = client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"]) if uids else {}
    return [
        Listed(uid, int(told.get(b"RFC822.SIZE", 0)), _instant(told.get(b"INTERNALDATE")))
        for uid, told in sorted(found.items())
    ]


def fetch_mails(client: Connection, uids: Sequence[int], most: int | None = None) -> dict[int, bytes]:
    """The bytes of some mails, or their first `most`; those that have gone meanwhile are left out."""
    item = "BODY.PEEK[]" if most is None else f"BODY.PEEK[]<0.{most}>"
    found: dict[int, bytes] = {}
    for uid, told in client.fetch(uids, [item]).items():
        body = next((value for name, value in told.items() if name.startswith(b"BODY[]")), None)
        if isinstance(body, bytes):
            found[uid] = body
    return found


def _instant(told: Any) -> str | None:  # noqa: ANN401 - whatever the server says
    return from_epoch_ms(round(told.timestamp() * 1000)) if isinstance(told, datetime) else None


def _secret(place: Place) -> str:
    box = place.settings
    if not box.password_file:
        if not box.password:
            variable = f"OUTPULSE_{place.section.replace('.', '__').upper()}__PASSWORD"
            raise SettingsError(f"[{place.section}] password is missing (or password_file, or the variable {variable})")
        return box.password
    path = place.home / box.password_file
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"[{place.section}] password_file {path} cannot be read: {why}") from None


def _context(place: Place) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if place.settings.ca_file:
        path = place.home / place.settings.ca_file
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM certificate"
            raise SettingsError(f"[{place.section}] ca_file {path} cannot be read: {why}") from None
    return context


def _login(client: Connection, place: Place, secret: str) -> None:
    box = place.settings
    try:
        if box.auth == "xoauth2":
            client.oauth2_login(box.user, secret)
        elif b"AUTH=PLAIN" in client.capabilities():  # LOGIN takes no password beyond ASCII
            client.plain_login(box.user, secret)
        else:
            client.login(box.user, secret)
    except (LoginError, CapabilityError, UnicodeEncodeError) as error:
        if isinstance(error.__context__, client.AbortError):
            raise IMAPClientError("the server hung up during the login") from None
        if "[UNAVAILABLE]" in str(error).upper():  # RFC 5530: the server's trouble, not the password's
            raise IMAPClientError("the server cannot check logins now") from None
        section = place.section
        raise SettingsError(
            f"{box.host}:{box.port} refuses the login: check [{section}] user and password (auth is {box.auth!r})"
        ) from None


def _abandon(client: Connection | None) -> None:
    if client is not None:
        with suppress(*TROUBLE):
            client.shutdown()
