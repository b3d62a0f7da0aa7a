"""The guard flow: events → counts and evidence in every scope → commands in the `control` stream.

It reads the log beside delivery, with its own positions, so that no lake transaction delays a pause. Decisions depend on
the log and on when a person said what. The state is a snapshot in the home with the positions it stands for; what came
after is read again, and decides the same: commands have ids of their events, and a known one is not appended twice. Where
a person's command was heeded is on disk before it takes effect (`flows.guard_heeding`), so that it stays there ever after.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from control.commands import record_of
from eventlog import Log, Record
from features.columns import Decoder
from features.guard import Guard
from features.guard_counts import NEEDED
from features.guard_state import dump, load
from flows.guard_commands import Outcome, decided, measured_row, suppressions
from flows.guard_feed import OWN, GuardBatch, of_events
from flows.guard_heeding import Heeded, Heedings, command_of, heed
from schemas.events import Command, Stream

NAME: Final = OWN
FOLDER: Final = "guard"
_SNAPSHOT: Final = "state.npz"
_SNAPSHOT_SECONDS: Final = 20.0
"""What a crash costs at most is read again at some 300,000 events a second."""
_LOG: Final = logging.getLogger("outpulse.flows")


@dataclass(frozen=True)
class Verdicts:
    """What a batch has decided, and where its sources go on."""

    outcomes: Sequence[Outcome]
    suppressed: Sequence[Command]
    positions: Mapping[str, int]
    measured: Sequence[tuple[bytes, bytes]] = ()

    @property
    def rows(self) -> list[tuple[bytes, bytes]]:
        """Keys and records of the `results` stream: what was done, then what came of it."""
        return [*(outcome.row for outcome in self.outcomes if outcome.row is not None), *self.measured]

    @property
    def commands(self) -> list[Command]:
        """All commands, in order."""
        return [*(outcome.command for outcome in self.outcomes), *self.suppressed]


class WatchEvents:
    """Step: facts into the guard, decisions out. All of its state is in `guard`."""

    def __init__(self, guard: Guard, *, slow_share: float, by: str = NAME, suppresses: bool = True) -> None:
        """`suppresses` says whether commands about people who must not be written to again are made too."""
        self.guard = guard
        self._slow_share = slow_share
        self._by = by
        self._suppresses = suppresses

    @cached_property
    def _decoder(self) -> Decoder:
        """For the log's lines; a replay brings facts."""
        return Decoder(logged=True)

    def __call__(self, batch: GuardBatch) -> Verdicts:
        """Watches one batch."""
        for record in batch.commands:
            command = command_of(record.value)
            if command is not None:
                heed(self.guard, command)
        if not batch.events:
            return Verdicts((), (), batch.positions)
        lines = pa.array([record.value for record in batch.events], pa.binary())
        found = self._decoder.decode(lines, np.arange(len(lines), dtype=np.int64), "guard")
        return self.watch(found.facts, batch.positions)

    def watch(self, facts: pa.Table, positions: Mapping[str, int]) -> Verdicts:
        """Watches decoded facts (columns of `FACT_SCHEMA`)."""
        decisions = self.guard.take(facts.select(list(NEEDED))) if len(facts) else []
        outcomes = [decided(decision, facts, self._slow_share, self._by) for decision in decisions]
        measured = [measured_row(*one, self._slow_share, self._by) for one in self.guard.measured()]
        return Verdicts(outcomes, suppressions(facts, self._by) if self._suppresses else (), positions, measured)


class GuardStep:
    """The step of the flow: watches a batch, appends commands to `control` and rows to `results`, keeps the snapshot.

    One step, so that the state is never ahead of what was appended.
    """

    def __init__(self, log: Log, watch: WatchEvents, home: Path) -> None:
        self._log = log
        self._watch = watch
        self._home = home
        self._positions: dict[str, int] = load_state(home, watch.guard)
        self.heedings = Heedings(home / FOLDER)
        self._saved_at = time.monotonic()
        self._is_dirty = False
        self._is_whole = True

    @property
    def positions(self) -> Mapping[str, int]:
        """Where each source goes on."""
        return self._positions

    def __call__(self, batch: GuardBatch) -> None:
        """Watches one batch; durable when it returns."""
        self._is_whole = False  # until what was decided is on disk, the state must not be saved
        if batch.commands:
            partitions = range(self._log.partitions(Stream.EVENTS))
            events = [batch.positions.get(of_events(partition), 1) for partition in partitions]
            self.heedings.note(Heeded(batch.commands[-1].offset, events))
        verdicts = self._watch(batch)
        if verdicts.commands:
            self._log.append(Stream.CONTROL, [record_of(command) for command in verdicts.commands])
        if verdicts.rows:
            self._log.append(Stream.RESULTS, [Record(key, value) for key, value in verdicts.rows])
        for name, position in verdicts.positions.items():
            if self._positions.get(name) == position:
                continue
            self._positions[name] = position
            self._is_dirty = True
            stream, _, partition = name.partition("/")
            self._log.mark(NAME, stream, int(partition or 0), position)
        self._is_whole = True
        if time.monotonic() - self._saved_at > _SNAPSHOT_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes a snapshot, if there is anything new; at once whole or not at all."""
        if not self._is_dirty or not self._is_whole:
            return
        save_state(self._home, self._watch.guard, self._positions)
        self._saved_at = time.monotonic()
        self._is_dirty = False


def save_state(home: Path, guard: Guard, positions: Mapping[str, int]) -> None:
    """Writes the snapshot of a home."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    making = folder / f"{_SNAPSHOT}.making-{os.getpid()}"
    names = sorted(positions)
    with making.open("wb") as file:
        arrays: dict[str, Any] = dump(guard)
        arrays["positions"] = np.array([positions[name] for name in names], np.int64)
        np.savez(file, allow_pickle=False, streams=np.array(names, np.str_), **arrays)
        file.flush()
        os.fsync(file.fileno())
    making.replace(folder / _SNAPSHOT)


def load_state(home: Path, guard: Guard) -> dict[str, int]:
    """Takes the snapshot of a home over; the positions it stands for, none where the log has to be read from its start."""
    path = home / FOLDER / _SNAPSHOT
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        if not load(guard, arrays):
            return {}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        _LOG.warning("the guard's snapshot cannot be read, the log is read again: %s", type(error).__name__)
        return {}
    return dict(zip(arrays["streams"].tolist(), arrays["positions"].tolist(), strict=True))


def build(flow: Dataflow, source: Source[GuardBatch], sink: Sink[GuardBatch]) -> Dataflow:
    """Adds the guard's steps to a dataflow."""
    batches = op.input("read_guarded", flow, source)
    # GuardBatch(events=[Stored(offset=1, value=b"...")]) or GuardBatch(commands=[Stored(...)])
    op.output("watch_and_command", batches, sink)
    return flow
