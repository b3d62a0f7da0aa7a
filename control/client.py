"""The client of dispatchers: may this message be sent now?

It folds the control stream in memory and looks for new commands when it is asked, so it needs no thread and no server.
An answer rests on a look that is at most 250 ms old; when the log cannot be read for longer, the answer is no.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
import xxhash

from control.commands import PARTITION, read_command
from control.scopes import address, keys_of
from control.state import Held, State, Suppressed
from eventlog import Log
from schemas.events import Channel, Stream
from schemas.failures import BadEvent, LogError

LOOK_SECONDS: Final = 0.1
"""The log is looked into again when the last look is older."""
STALE_SECONDS: Final = 0.25
"""With a last look older than this nothing is allowed."""
_READ: Final = 10_000
_LOG: Final = logging.getLogger("outpulse.control")


class Decision(msgspec.Struct, frozen=True):
    """Whether a message may be sent.

    `share` is the share of messages that its scopes let through: 1 all, 0 none. `reason` is None where nothing is said
    about the message; else it begins with `suppressed:` (do not try again), `paused:`, `slowed:` or `unknown:` (try
    later). `pause_id` is the command that decided, None for a suppression.
    """

    allowed: bool
    reason: str | None = None
    pause_id: str | None = None
    share: float = 1.0


class Unknown(Decision, frozen=True):
    """The answer while the log cannot be read: no."""


class Holding(msgspec.Struct, frozen=True):
    """What holds after the command at `offset`; `unusable` counts records of the stream that were no commands."""

    offset: int
    pauses: list[Held]
    suppressions: list[Suppressed]
    unusable: int


_SLOW: Final = f"the last look into the control log is more than {STALE_SECONDS * 1000:.0f} ms old"
_FREE: Final = Decision(allowed=True)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class ControlClient:
    """Answers from the control stream of a log; safe for threads, and any number of processes may have one.

    `clock` is monotonic, in seconds; `wall_clock` gives milliseconds since 1970, for what ends by itself. The first question
    reads the whole stream; `look` does so ahead of it.
    """

    def __init__(
        self, log: Log, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], int] = _wall_clock_ms
    ) -> None:
        self._log = log
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._state = State()
        self._looked_at = float("-inf")
        self._fault = "the control log has not been read yet"

    def look(self) -> None:
        """Reads what is new in the log.

        Raises:
            LogError: it cannot be read.
        """
        with self._lock:
            self._look()
            if self._is_stale():
                raise LogError(self._fault)

    def allowed(
        self,
        campaign_id: str | None,
        sender: str | None,
        recipient: str | None,
        contact_id: str | None = None,
        step: str | int | None = None,
        variant: str | None = None,
        channel: str = Channel.EMAIL,
    ) -> Decision:
        """Whether a message may be sent now; the same message gets the same answer as long as the same holds.

        Of several shares the least counts. Under a share, a message passes when a hash of (contact, else recipient;
        campaign; step), taken as a number in 0..1, lies below it: what passes under a share passes under a larger one.
        """
        sender = address(sender) if sender is not None else None
        recipient = address(recipient) if recipient is not None else None
        step = str(step) if step is not None else None
        if not self._taken():
            return self._unknown()
        try:
            if self._clock() - self._looked_at > LOOK_SECONDS:
                self._look()
                if self._is_stale():
                    return self._unknown()
            person = self._state.suppression(contact_id, recipient, channel)
            if person is not None:
                return Decision(allowed=False, reason=f"suppressed: {person.reason}", share=0.0)
            held = self._least(keys_of(campaign_id, sender, recipient, contact_id, step, variant))
        finally:
            self._lock.release()
        return _FREE if held is None else _under(held, contact_id or recipient, campaign_id, step)

    def holding(self) -> Holding:
        """What holds now.

        Raises:
            LogError: the log cannot be read.
        """
        self.look()
        with self._lock:
            state = self._state
            now_ms = self._wall_clock()
            held = [one for one in state.pauses() if one.holds_at(now_ms)]
            return Holding(state.offset, held, list(state.suppressions()), state.unusable)

    def _taken(self) -> bool:
        """Takes the lock; False when another thread has been reading for so long that nothing fresh is known."""
        if self._lock.acquire(blocking=False):
            return True
        left = STALE_SECONDS - (self._clock() - self._looked_at)
        return self._lock.acquire(timeout=min(max(left, 0.0), STALE_SECONDS))

    def _least(self, keys: list[tuple[str, ...]]) -> Held | None:
        """The strictest of what holds about a message; of equals the widest."""
        held = self._state.held
        if not held:
            return None
        least: Held | None = None
        for key in keys:
            one = held.get(key)
            if one is None or (one.until_ms is not None and not one.holds_at(self._wall_clock())):
                continue
            if least is None or one.share < least.share:
                least = one
        return least

    def _is_stale(self) -> bool:
        return self._clock() - self._looked_at > STALE_SECONDS

    def _unknown(self) -> Unknown:
        return Unknown(allowed=False, reason=f"unknown: {self._fault}", share=0.0)

    def _look(self) -> None:
        """Folds what is new; on a failure the last look stays where it was."""
        while True:
            began = self._clock()
            try:
                records = self._log.read(Stream.CONTROL, PARTITION, self._state.offset + 1, _READ)
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer must be no and not a crash
                self._fault = str(error) if isinstance(error, LogError) else f"{type(error).__name__}: {error}"
                return
            for record in records:
                try:
                    self._state.apply(record.offset, read_command(record.value))
                except BadEvent as bad:
                    self._state.skip(record.offset)
                    _LOG.warning("record %d of the control stream is skipped: %s", record.offset, bad)
            if not records:
                self._looked_at, self._fault = began, _SLOW
                return


def _under(held: Held, person: str | None, campaign_id: str | None, step: str | None) -> Decision:
    """The decision on a message under a pause or a share."""
    command = held.command
    if held.share <= 0:
        why = f"paused: {held.scope.text}: {command.why}"
        return Decision(allowed=False, reason=why, pause_id=command.id, share=0.0)
    name = "\x1f".join((person or "", campaign_id or "", step or ""))
    passes = xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass")) < held.share * 2**64
    why = f"slowed: {held.scope.text} to {held.share:g}: {command.why}"
    return Decision(allowed=passes, reason=why, pause_id=command.id, share=held.share)
