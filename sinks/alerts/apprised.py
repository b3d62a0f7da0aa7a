"""One attempt to send one message through Apprise, in a thread of its own and with an end. Nothing of a URL comes out of here.

It imports Apprise, which costs a third of a second: who may not need it imports this module late.
"""

import logging
import re
import threading
from collections.abc import Iterator
from typing import Final

import apprise
from apprise.plugins.base import NotifyBase

from schemas.records import AlertSeverity
from sinks.alerts.messages import Text

_STATUS: Final = re.compile(r"\berror=(\d{3})\b|\bstatus code (\d{3})\b")
_SMTP: Final = re.compile(r"\((\d{3}), b['\"]")
# What Apprise and the libraries below it write, and what may be told of it: their own words hold addresses and secrets.
_FAULTS: Final = (
    ("connection refused", re.compile(r"connection refused|actively refused", re.IGNORECASE)),
    (
        "its name is not known",
        re.compile(r"getaddrinfo|name or service not known|resolve|name resolution", re.IGNORECASE),
    ),
    ("its certificate is not trusted", re.compile(r"certificate", re.IGNORECASE)),
    ("no answer in time", re.compile(r"timed out|timeout", re.IGNORECASE)),
    ("cannot be reached", re.compile(r"unreachable|no route", re.IGNORECASE)),
    ("connection broken", re.compile(r"reset by peer|closed|aborted|broken pipe|disconnected", re.IGNORECASE)),
    ("cannot be reached", re.compile(r"connection error", re.IGNORECASE)),
)
INVALID: Final = "no URL that Apprise takes"
UNSENT: Final = "not taken, and Apprise does not say why"
_TALKATIVE: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")


def is_usable(url: str) -> bool:
    """Whether Apprise can make something of a URL; nothing is sent."""
    return _service(url) is not None


class Attempt:
    """A message on its way; `fault` says why it did not arrive, None while it is on its way and when it did."""

    def __init__(self, url: str, text: Text) -> None:
        self.fault: str | None = None
        self.is_sent = False
        self._thread = threading.Thread(target=self._run, args=(url, text), daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits for the end; False when it has not come by then."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, url: str, text: Text) -> None:
        try:
            self.fault = _send(url, text)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and its words may hold a secret
            self.fault = f"failed with {type(error).__name__}"
        self.is_sent = self.fault is None


def _send(url: str, text: Text) -> str | None:
    service = _service(url)
    if service is None:
        return INVALID
    messenger = apprise.Apprise(asset=service.asset)
    messenger.add(service)
    result = messenger.notify(
        title=text.title,
        body=text.body,
        notify_type=_type_of(text),
        body_format=apprise.NotifyFormat.TEXT,
        log_level=logging.DEBUG,  # the reason of a failed connection is told at this level only
    )
    return None if result else _fault_of(entry.message for entry in result.logs())


def _service(url: str) -> NotifyBase | None:
    """The plugin of a URL, or None; without time limits of its own, since they cost threads of a shared pool."""
    asset = apprise.AppriseAsset(app_id="Outpulse", app_desc="Outpulse", async_mode=False, service_timeout=0)
    try:
        return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:  # noqa: BLE001 - whatever it is, nothing can be sent by it
        return None


def _type_of(text: Text) -> apprise.NotifyType:
    if text.kind == "resume":
        return apprise.NotifyType.SUCCESS
    return {
        AlertSeverity.CRITICAL.value: apprise.NotifyType.FAILURE,
        AlertSeverity.WARNING.value: apprise.NotifyType.WARNING,
    }.get(str(text.severity), apprise.NotifyType.INFO)


def _fault_of(lines: Iterator[str]) -> str:
    """What may be told of the reason that Apprise gives."""
    said = "\n".join(lines)
    if status := _STATUS.search(said):
        return f"answered {status[1] or status[2]}"
    if status := _SMTP.search(said):
        return f"answered {status[1]}"
    return next((fault for fault, pattern in _FAULTS if pattern.search(said)), UNSENT)


def _silence() -> None:
    """Keeps what these write to themselves: at debug level it has addresses with their secrets."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        if logger.propagate:
            logger.propagate = False
            logger.addHandler(logging.NullHandler())
    logging.getLogger("apprise").setLevel(logging.DEBUG)  # so that the result has the reason of a failure


_silence()
