"""The one writer at work: what it takes next, in which order, and what it does between chunks.

Order: jobs that people asked for, then the log and files in turn, so that a long replay does not hold live figures up;
when nothing waits, figures that lag behind are derived and the lake is tidied.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters import REGISTRY, Adapter
from eventlog import Log
from features.dedupe import SeenFacts
from flows.delivery import DecodeWork, LandBatch
from flows.files import EVENT_BYTES, EventFile
from flows.forgetting import forget
from flows.inbox import LogInbox, source_name
from flows.jobs import Job, Jobs
from flows.normalize import CONSUMER
from flows.rebuild import rebuild
from flows.replay_guard import ReplayGuard
from flows.work import Batch, Work
from outpulse.settings import Settings
from schemas.decode import decode_record
from schemas.events import Stream
from schemas.failures import BadEvent, OutpulseError
from schemas.instants import parse_ms
from sinks.anchor import Anchor
from sinks.imports import land_import
from sinks.lake import Lake
from sinks.rows import Result
from sinks.upkeep import Upkeep

_LOG: Final = logging.getLogger("outpulse.flows")
_JOBS_EVERY_SECONDS: Final = 0.2
_PACED_BYTES: Final = 2**16
"""Block of a paced replay: every event of it is read to learn its time."""


@dataclass
class _Replay:
    """A file on its way into the lake, for a job or for itself."""

    file: EventFile
    works: Iterator[Work]
    job: Job | None
    end: int
    events: int = 0
    held: Work | None = None
    held_s: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0))


@dataclass
class Writer:
    """The lake's writer with its sources. `take` is what the engine calls; all of it runs in the engine's one thread.

    Without a `log` it serves only `files` and ends when they have landed; with `follow` off it ends when nothing waits.
    `pace` is event seconds per real second for `files`; None is as fast as possible. `live` takes the commands that the
    guard makes of them.
    """

    home: Path
    settings: Settings
    lake: Lake
    log: Log | None = None
    files: list[EventFile] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    follow: bool = True
    on_landed: Callable[[Batch], None] | None = None
    pace: float | None = None
    live: Log | None = None
    adapters: Mapping[str, Adapter] = field(default_factory=lambda: REGISTRY)

    def __post_init__(self) -> None:
        lake = self.settings.lake
        self._anchor = Anchor(self.home)
        self.seen = SeenFacts(self.lake)
        self.decode = DecodeWork()
        self._land = LandBatch(self.lake, self.seen)
        self._upkeep = Upkeep(self.lake, lake.keep_snapshots_minutes, self.settings.quality.keep_days)
        self._landed = self.lake.positions()
        self._inbox = None
        if self.log is not None:
            self._inbox = LogInbox(self.log, self._landed, pause_seconds=lake.commit_seconds, limit=lake.chunk_events)
        self._jobs = Jobs(self.home) if self.log is not None else None
        self._jobs_at = 0.0
        self._upkeep_at = time.monotonic()
        self._round: Iterator[None] | None = None
        self.fault: OutpulseError | None = None
        self._files_turn = True
        self._paced_from: tuple[float, float] | None = None
        self._paced_at = 0.0
        self._replays = [self._replay_of(file, None) for file in self.files]

    def take(self) -> Work | None:
        """The next micro-batch, or None when nothing waits.

        Raises:
            StopIteration: asked to stop, or (not following) nothing is left.
        """
        if self.stopping.is_set() or self.fault is not None:
            raise StopIteration
        try:
            self._do_jobs()
            work = self._next()
            if work is not None:
                return work
            self.lake.settle()
            self._tidy()
        except OutpulseError as error:  # ends the flow cleanly: what Bytewax raises it also prints at length
            self._fail(error)
            raise StopIteration from None
        if not self.follow and not self._replays:
            self._end_round()
            raise StopIteration
        return None

    def land(self, batch: Batch) -> None:
        """The flow's last step."""
        if self.fault is not None:
            return
        try:
            self._land(batch)
        except OutpulseError as error:
            self._fail(error)
            return
        self._landed.update(batch.cursors)
        for replay in self._replays:
            if replay.file.source in batch.cursors:
                replay.events += len(batch.facts)
        if self.on_landed:
            self.on_landed(batch)
        try:
            self._tidy()
        except OutpulseError as error:
            self._fail(error)

    def _fail(self, error: OutpulseError) -> None:
        """Ends the whole flow; `fault` is raised by who runs it."""
        self.fault = error
        self.stopping.set()

    def close(self) -> None:
        """Closes the lake and the list of jobs."""
        if self._jobs:
            self._jobs.close()
        self._anchor.release()
        self.lake.close()

    def _next(self) -> Work | None:
        self._files_turn = not self._files_turn
        first, second = (self._from_file, self._from_log) if self._files_turn else (self._from_log, self._from_file)
        work = first()
        return work if work is not None else second()

    def _from_log(self) -> Work | None:
        return self._inbox.take(at_once=not self.follow) if self._inbox else None

    def _from_file(self) -> Work | None:
        while self._replays:
            replay = self._replays[0]
            try:
                work = replay.held or next(replay.works, None)
            except Exception as error:
                if not replay.job or not self._jobs:
                    if isinstance(error, OutpulseError):
                        raise
                    raise OutpulseError(f"{replay.file.path} cannot be read: {error}") from error
                self._replays.pop(0)  # a damaged file must not stop the live events
                self._jobs.mark(replay.job, "failed", str(error))
                continue
            if work is not None and self.pace is not None:
                work = self._due_part(replay, work, self.pace)
                if work is None:
                    return None
            if work is not None:
                replay.end = work.cursors[replay.file.source]
                return work
            if self._landed.get(replay.file.source, 0) < replay.end:
                return None  # its last chunk is still on its way
            self.lake.settle()
            self._replays.pop(0)
            if replay.job and self._jobs:
                self._jobs.mark(replay.job, "done", f"{replay.events} events")
        return None

    def _replay_of(self, file: EventFile, job: Job | None) -> _Replay:
        live = bool(job.args.get("live")) if job else self.live is not None
        log = self.live or self.log
        position = self._landed.get(file.source, 0)
        is_watched = live or self.settings.guard.replay
        guard = ReplayGuard(self.settings.guard, log if live else None) if is_watched else None
        block = self.settings.lake.chunk_events * EVENT_BYTES if self.pace is None else _PACED_BYTES
        missed: list[Result] = []
        if guard and position and next(file.works(position, block), None) is not None:
            missed = self._watch_again(file, guard, position, block)
        ahead = None if self.pace is not None else self.decode.ahead
        works = file.works(position, block, ahead, guard.watch if guard else None, missed)
        return _Replay(file, works, job, position)

    def _watch_again(self, file: EventFile, guard: ReplayGuard, position: int, block: int) -> list[Result]:
        """What of a file has landed before a crash, for the guard alone; its decisions may have landed or not."""
        found: list[Result] = []
        decode = DecodeWork()  # of its own: another file may be decoded meanwhile
        for work in file.works(0, block):
            landed = int(np.searchsorted(work.at, position))
            if landed:
                part = replace(work, lines=work.lines[:landed], at=work.at[:landed], decoded=None, watch=None)
                found.extend(guard.watch(decode.ahead(part).facts))
            if work.cursors[file.source] >= position:
                break
        return found

    def _due_part(self, replay: _Replay, work: Work, pace: float) -> Work | None:
        """The first events of a paced file's micro-batch, up to one that lies in the future; the rest is held."""
        if work is not replay.held:
            replay.held, replay.held_s = work, _seconds_of(work)
        now = time.monotonic()
        known = replay.held_s[np.isfinite(replay.held_s)]
        if self._paced_from is None and len(known):
            self._paced_from = (now, float(known[0]))  # the first event sets the clock
        began, first = self._paced_from or (now, now)
        late = np.flatnonzero((replay.held_s - first) / pace > now - began)
        due = int(late[0]) if len(late) else len(work.lines)
        if due == len(work.lines):
            replay.held = None
            return work
        if not due or now - self._paced_at < self.settings.lake.commit_seconds:
            return None
        self._paced_at = now
        cursor = {replay.file.source: int(work.at[due])}
        replay.held = replace(work, lines=work.lines[due:], at=work.at[due:], dead=(), decoded=None)
        replay.held_s = replay.held_s[due:]
        return replace(work, lines=work.lines[:due], at=work.at[:due], cursors=cursor, decoded=None)

    def _do_jobs(self) -> None:
        now = time.monotonic()
        if self._jobs is None or now - self._jobs_at < _JOBS_EVERY_SECONDS:
            return
        self._jobs_at = now
        running = {replay.job.id for replay in self._replays if replay.job}
        for job in self._jobs.open_jobs():
            if job.id in running:
                continue
            try:
                self._do(job)
            except Exception as error:  # noqa: BLE001 - what somebody asked for must not stop the live events
                self._jobs.mark(job, "failed", str(error) or type(error).__name__)

    def _do(self, job: Job) -> None:
        assert self._jobs is not None  # noqa: S101 - only called with jobs
        self._jobs.mark(job, "running")
        if job.verb == "replay":
            self._replays.append(self._replay_of(EventFile(Path(job.args["path"])), job))
            return
        retention = self.settings.log.retention_days
        result = do_in_lake(job.verb, job.args, self.lake, self.log, self._upkeep, retention, self.adapters)
        self.seen.clear()
        self._jobs.mark(job, "done", result)

    def _end_round(self) -> None:
        """The steps that are left of a round of upkeep that has begun."""
        try:
            while self._round is not None:
                self._tidy()
        except OutpulseError as error:
            self._fail(error)

    def _tidy(self) -> None:
        """A step of upkeep, when it is time for a round; the guard's commands and new events come between two steps."""
        if time.monotonic() - self._upkeep_at <= self.settings.lake.maintain_seconds:
            return
        if self._round is None:
            self._round = self._upkeep.steps()
        started = time.monotonic()
        is_over = next(self._round, self) is self
        _LOG.debug("a step of upkeep took %.2f s", time.monotonic() - started)
        if is_over:
            self._round = None
            if self.log is not None:
                expire_log(self.log, self._landed, self.settings.log.retention_days)
            self._upkeep_at = time.monotonic()


def _seconds_of(work: Work) -> np.ndarray[Any, Any]:
    """When each event of a micro-batch happened, in seconds since 1970; NaN where a line is no event."""
    found = np.full(len(work.lines), np.nan)
    for index, line in enumerate(work.lines.to_pylist()):
        try:
            event, _ = decode_record(line)
        except BadEvent:
            continue
        if event is not None:
            found[index] = parse_ms(event.occurred_at) / 1000
    return found


def expire_log(log: Log, positions: Mapping[str, int], retention_days: Mapping[str, float]) -> None:
    """Lets go of what is older than its stream's retention, and never of what has not been landed, nor of `control`."""
    now_ms = time.time_ns() // 1_000_000
    for stream, days in retention_days.items():
        if days <= 0 or stream == Stream.CONTROL:  # what holds is folded from all of it
            continue
        for partition in range(log.partitions(stream)):
            consumed = log.marked(CONSUMER, stream, partition) if stream == Stream.RAW else None
            consumed = positions.get(source_name(stream, partition), 1) if consumed is None else consumed
            log.expire(stream, partition, now_ms - int(days * 86_400_000), consumed)


def do_in_lake(
    verb: str,
    args: Mapping[str, str],
    lake: Lake,
    log: Log | None,
    upkeep: Upkeep,
    retention_days: Mapping[str, float],
    adapters: Mapping[str, Adapter],
) -> str:
    """Does one job that is no replay; everything it changes is in one transaction or repeatable.

    Raises:
        OutpulseError: unknown verb, or the job failed.
    """
    if verb == "maintain":
        upkeep.full()
        if log is not None:
            expire_log(log, lake.positions(), retention_days)
        return "maintained"
    if verb == "sql":
        lake.run_once(f"job/{args['key']}", args["query"])
        return "done"
    if verb == "import":
        return land_import(lake, args["table"], Path(args["path"]), args["columns"].split(","))
    if verb == "rebuild":
        if log is None:
            raise OutpulseError("a rebuild needs the log")
        return rebuild(lake, log, args.get("since"), adapters)
    if verb == "forget":
        return forget(lake, log, args["person"], adapters)
    raise OutpulseError(f"unknown job {verb!r}; valid are replay, maintain, sql, import, rebuild, forget")
