"""A thread for each target sends what the outbox has for it, again with growing pauses where that failed.

A target that hangs or refuses delays only itself. Log lines name the target and a reason, never a URL or what was told.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final

from outpulse.settings import AlertsSettings, AlertTarget
from sinks.alerts.apprised import Attempt
from sinks.alerts.messages import Text, text_of
from sinks.alerts.outbox import Message, Outbox
from sinks.alerts.targets import masked

_LOOK_SECONDS: Final = 0.2
_FAULT_SECONDS: Final = 5.0
"""Pause after the outbox could not be read or written (a full disk)."""
_LATE: Final = 4
"""Attempts of a target that may hang beyond their time; with more of them it is not tried again until one ends."""
_LOG: Final = logging.getLogger("outpulse.alerts")

Begin = Callable[[str, Text], Attempt]


class Sender:
    """Sends to one target until `stopping` is set; `clock` is in seconds since 1970."""

    def __init__(
        self,
        name: str,
        target: AlertTarget,
        limits: AlertsSettings,
        outbox: Outbox,
        stopping: threading.Event,
        clock: Callable[[], float] = time.time,
        begin: Begin = Attempt,
    ) -> None:
        self.name = name
        self._target = target
        self._limits = limits
        self._outbox = outbox
        self._stopping = stopping
        self._clock = clock
        self._begin = begin
        self._late: dict[int, Attempt] = {}
        self._sent: set[int] = set()
        self._thread = threading.Thread(target=self._run, name=f"alerts to {name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(seconds)

    def send_next(self) -> bool:
        """Tries the next message that is due; False when there is none.

        Raises:
            sqlite3.Error: the outbox cannot be read or written; what was sent before is not sent again by this thread.
        """
        message = self._outbox.next(self.name, self._clock())
        if message is None:
            return False
        fault = None if message.number in self._sent else self._tried(message)
        if fault is None:
            self._sent.add(message.number)
            self._outbox.note_sent(message, self._clock())
            self._sent.discard(message.number)
        else:
            self._failed(message, fault)
        return True

    def _tried(self, message: Message) -> str | None:
        """Why an attempt failed; None when the message was sent, by this attempt or by an earlier one that took long."""
        self._late = {number: one for number, one in self._late.items() if number == message.number or not one.wait(0)}
        attempt = self._late.pop(message.number, None)
        if attempt is None or (attempt.wait(0) and not attempt.is_sent):
            if len(self._late) >= _LATE:
                return "no answer to earlier messages"
            attempt = self._begin(self._target.url, text_of(message.notices, is_summary=message.is_summary))
        if attempt.wait(self._limits.timeout_seconds):
            return attempt.fault
        self._late[message.number] = attempt
        return f"no answer within {self._limits.timeout_seconds:g} s"

    def _failed(self, message: Message, fault: str) -> None:
        pauses = self._limits.retry_seconds
        again = message.attempts < len(pauses)
        now = self._clock()
        self._outbox.note_failure(message, fault, now, now + pauses[message.attempts] if again else None)
        if not again:
            self._late.pop(message.number, None)
        then = f"tried again in {pauses[message.attempts]:g} s" if again else "given up"
        tries = f"attempt {message.attempts + 1}"
        _LOG.warning(
            "an alert to %s (%s) was not sent, %s: %s; %s", self.name, masked(self._target.url), tries, fault, then
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                was_busy = self.send_next()
            except sqlite3.Error as error:
                _LOG.error("alerts to %s wait: the outbox cannot be used: %s", self.name, error)
                self._stopping.wait(_FAULT_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 - the thread must live; a text may hold what may not be logged
                _LOG.error("alerts to %s wait: %s", self.name, type(error).__name__)
                self._stopping.wait(_FAULT_SECONDS)
                continue
            if not was_busy:
                self._stopping.wait(_LOOK_SECONDS)
