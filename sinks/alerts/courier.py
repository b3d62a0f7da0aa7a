"""The part that tells people: from the log to the outbox, from the outbox to the targets, and what became of it to the log.

It reads stream `control` (what the guard and people decided about scopes; suppressions are not told) and stream `results`
(rows of table `alerts` that other parts made), and appends rows of table `alerts` to `results`.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from control.commands import ABOUT_PEOPLE, BY_REPLIES, read_command
from eventlog import Log, Record, Stored
from outpulse.settings import AlertsSettings
from schemas.events import ResultRow, Stream
from schemas.failures import BadEvent, LogError
from schemas.records import Alert, AlertStatus
from sinks.alerts.notices import NOTICE, Notice, notice_of, notice_of_row
from sinks.alerts.outbox import Change, Outbox
from sinks.alerts.pacing import release
from sinks.alerts.sending import Sender
from sinks.alerts.targets import masked, takes

FIRST_LOOK_SECONDS: Final = 3600
"""The first time the part runs, what was decided longer ago is not told."""
_LOOK_SECONDS: Final = 0.2
_PACE_SECONDS: Final = 1.0
"""What waits for quiet hours, repeats and floods to end is looked at so often."""
_EXPIRE_SECONDS: Final = 600.0
_READ: Final = 1_000
_READS: Final = 100
_END_SECONDS: Final = 8.0
"""How long a message on its way may take when the part is asked to stop; after that it is sent again at the next start."""
_TABLE: Final = "alerts"
_LOG: Final = logging.getLogger("outpulse.alerts")
_DECODE: Final = msgspec.json.Decoder(ResultRow).decode


class Courier:
    """Tells the targets of the settings; `clock` is in seconds since 1970."""

    def __init__(
        self, log: Log, outbox: Outbox, limits: AlertsSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._log = log
        self._outbox = outbox
        self._limits = limits
        self._clock = clock
        self._paced_at = float("-inf")
        self._expired_at = float("-inf")
        begin_ms = int((clock() - FIRST_LOOK_SECONDS) * 1000)
        self._begin_ms = outbox.position("begin_ms", begin_ms)
        parts = [(stream, p) for stream in (Stream.CONTROL, Stream.RESULTS) for p in range(log.partitions(stream))]
        self._next = {part: outbox.position(_place(*part), 1) for part in parts}
        outbox.drop_targets_but(list(limits.targets), clock())

    def run(self, stopping: threading.Event) -> None:
        """Reads, sends and reports until asked to stop."""
        targets = self._limits.targets.items()
        senders = [Sender(name, target, self._limits, self._outbox, stopping, self._clock) for name, target in targets]
        for sender in senders:
            sender.start()
        while not stopping.is_set():
            try:
                was_busy = self.step()
            except (LogError, sqlite3.Error) as error:
                _LOG.error("alerts wait: %s", error)
                was_busy = False
                stopping.wait(_PACE_SECONDS)
            if not was_busy:
                stopping.wait(_LOOK_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        for sender in senders:
            sender.join(max(0.0, deadline - time.monotonic()))
        self.report()

    def step(self) -> bool:
        """Takes in what is new, makes messages of what is due, and reports what changed; True when there was something.

        Raises:
            LogError: the log cannot be read or written.
            sqlite3.Error: the outbox cannot be read or written.
        """
        taken = False
        for _ in range(_READS):  # what came at once is told at once
            if not sum(self._take(*part) for part in self._next):
                break
            taken = True
        now = self._clock()
        if taken or now - self._paced_at >= _PACE_SECONDS:
            self._paced_at = now
            for name in self._limits.targets:
                self._pace(name, now)
        if now - self._expired_at >= _EXPIRE_SECONDS:
            self._expired_at = now
            self._outbox.expire(now)
        return self.report() or taken

    def _take(self, stream: Stream, partition: int) -> bool:
        """Takes in the next records of a partition of the log."""
        records = self._log.read(stream, partition, self._next[stream, partition], _READ)
        if not records:
            return False
        read = _commands if stream is Stream.CONTROL else _rows
        new = [record for record in records if record.appended_ms >= self._begin_ms]
        wanted = [(notice, self._targets_of(notice)) for notice in read(new)]
        position = records[-1].offset + 1
        self._outbox.take(_place(stream, partition), position, wanted, self._clock())
        self._next[stream, partition] = position
        return True

    def _targets_of(self, notice: Notice) -> list[str]:
        return [name for name, target in self._limits.targets.items() if takes(target, notice)]

    def _pace(self, name: str, now: float) -> None:
        """Makes messages of what may be told to a target now."""
        waiting = self._outbox.waiting(name)
        memory = self._outbox.memory(name)
        if not waiting and not memory.floods:
            return
        before = msgspec.json.encode(memory)
        bundles = release(waiting, memory, self._limits.targets[name], self._limits, now)
        if bundles or msgspec.json.encode(memory) != before:
            self._outbox.bundle(name, bundles, memory, now)

    def report(self) -> bool:
        """Appends what changed as rows of table `alerts`; True when something had.

        Raises:
            LogError: the log cannot be written; it is reported later.
        """
        changes = self._outbox.changed()
        if not changes:
            return False
        records = [record for change in changes for record in self._records(change)]
        self._log.append(Stream.RESULTS, records)
        self._outbox.note_reported(changes)
        return True

    def _records(self, change: Change) -> Iterator[Record]:
        """The row of a sending and, when the last of another part's alert has ended, that alert's own."""
        target = self._limits.targets.get(change.target)
        shown = f"{change.target} {masked(target.url)}" if target else change.target
        yield _record(change.id, change.notice, shown, change.status, change.attempts, change.sent_at)
        if change.notice.kind != NOTICE:
            return
        every = self._outbox.of_source(change.notice.source)
        if all(status != AlertStatus.PENDING for status, _, _ in every):
            status = AlertStatus.FAILED if any(one[0] == AlertStatus.FAILED for one in every) else AlertStatus.SENT
            sent_at = max((one[2] for one in every if one[2]), default=None)
            own = UUID(change.notice.source.partition("\x1f")[2])
            yield _record(own, change.notice, None, status, max(one[1] for one in every), sent_at)


def _place(stream: Stream, partition: int) -> str:
    return f"log/{stream}/{partition}"


def _commands(records: Sequence[Stored]) -> Iterator[Notice]:
    """The notices of records of the control stream; one that is no command is skipped, as everybody else does."""
    for record in records:
        try:
            command = read_command(record.value)
        except BadEvent:
            _LOG.warning("record %d of the control stream is no command and is not told", record.offset)
            continue
        if command.action not in ABOUT_PEOPLE and command.decided_by != BY_REPLIES:
            yield notice_of(command)


def _rows(records: Sequence[Stored]) -> Iterator[Notice]:
    """The notices of rows of table `alerts` that other parts made; ours have a target."""
    for record in records:
        try:
            found = _DECODE(record.value)
        except (msgspec.DecodeError, RecursionError):
            continue  # the writer of the lake makes a dead letter of it
        if found.table != _TABLE or found.row.get("status") != AlertStatus.PENDING or found.row.get("target"):
            continue
        try:
            yield notice_of_row(found.row)
        except ValueError:
            _LOG.warning("record %d of the results stream is no alert and is not told", record.offset)


def _record(
    name: UUID, notice: Notice, target: str | None, status: AlertStatus, attempts: int, sent_at: str | None
) -> Record:
    """A row of table `alerts`, once in the log for each state of it."""
    alert = Alert(
        id=name,
        pause_id=UUID(notice.pause_id) if notice.pause_id else None,
        severity=notice.severity,
        title=notice.title,
        body=notice.body,
        target=target,
        status=status,
        attempts=attempts,
        created_at=datetime.fromisoformat(notice.created_at),
        sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
    )
    row: dict[str, Any] = msgspec.to_builtins(alert)
    return Record(f"{name}\x1f{status}\x1f{attempts}".encode(), msgspec.json.encode(ResultRow(table=_TABLE, row=row)))
