"""`outpulse replay`: files of canonical events through the real flows, by the live writer or by this process."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import xxhash

from outpulse.home import Home
from outpulse.parts import give_memory_back
from schemas.failures import LakeLocked, OutpulseError, SettingsError

if TYPE_CHECKING:
    from flows.files import EventFile
    from flows.work import Batch


def run_replay_verb(home: Home, names: Sequence[str], speed: str, *, live: bool) -> int:
    """Lands every file; returns when SQL shows them."""
    from flows.files import EventFile

    pace = _pace(speed)
    home.ensure()
    give_memory_back(from_mib=4 if live or home.settings.guard.replay else 1)
    paths = [_spooled(home) if name == "-" else Path(name) for name in names]
    try:
        files = [EventFile(path) for path in paths]
        land_files(home, files, pace, live=live)
    finally:
        for name, path in zip(names, paths, strict=True):
            if name == "-":
                path.unlink(missing_ok=True)
    _report(home, files)
    return 0


def land_files(home: Home, files: Sequence["EventFile"], pace: float | None = None, *, live: bool = False) -> None:
    """Lands files by the live writer, else by this process; `pace` is event seconds per real second.

    With `live` what the guard decides about them is sent to the control stream too.

    Raises:
        LakeLocked: a pace is asked for, and another process is the writer.
    """
    if _land_here(home, files, pace, live=live):
        return
    if pace is not None:
        raise LakeLocked(
            f"another process writes to the lake of {home.path}, and lands files as fast as it can; "
            "stop it for a paced replay, or leave out --speed"
        )
    _land_by_live_writer(home, files, live=live)


def _pace(speed: str) -> float | None:
    """Event seconds per real second, None for as fast as possible."""
    if speed == "max":
        return None
    try:
        pace = float(speed.removesuffix("x"))
    except ValueError:
        pace = 0
    if not 0 < pace < float("inf"):
        raise SettingsError(f"--speed is {speed!r}, valid are max, 1x, 60x and the like")
    return pace


def _spooled(home: Home) -> Path:
    """Standard input as a file of the home, named by its content, so that a crash finds it again."""
    folder = home.path / "spool"
    folder.mkdir(exist_ok=True)
    part = folder / f"stdin-{time.time_ns()}.part"
    digest = xxhash.xxh3_128()
    with part.open("wb") as file:
        while block := sys.stdin.buffer.read(2**20):
            digest.update(block)
            file.write(block)
    return part.rename(folder / f"{digest.hexdigest()}.ndjson")


def _land_here(home: Home, files: Sequence["EventFile"], pace: float | None, *, live: bool) -> bool:
    """Lands the files as the lake's writer; False when another process is that."""
    from flows.run import open_lake, run_replay
    from flows.writer import Writer

    try:
        lake = open_lake(home.path, home.settings)
    except LakeLocked:
        return False
    log = home.log() if live else None
    writer = Writer(home.path, home.settings, lake, files=list(files), follow=False, pace=pace, live=log)
    done: dict[str, int] = {file.source: 0 for file in files}
    with Progress("landing", sum(file.size_hint for file in files)) as progress:

        def landed(batch: "Batch") -> None:
            done.update({source: at for source, at in batch.cursors.items() if source in done})
            progress.at(sum(done.values()))

        writer.on_landed = landed
        try:
            run_replay(writer)
        finally:
            writer.close()
    return True


def _land_by_live_writer(home: Home, files: Sequence["EventFile"], *, live: bool) -> None:
    from flows.jobs import Jobs
    from sinks.attach import writer_pid

    jobs = Jobs(home.path)
    spool = home.path / "spool"
    spool.mkdir(exist_ok=True)
    waiting = [jobs.put("replay", path=str(file.path.resolve()), live=live) for file in files]
    while waiting:
        time.sleep(0.1)
        states = [jobs.get(job.id) for job in waiting]
        for job in states:
            if job.state == "failed":
                raise OutpulseError(job.result or "the replay failed")
        waiting = [job for job in states if job.state != "done"]
        if waiting and writer_pid(home.path) is None:
            time.sleep(1)  # a restarted writer goes on by itself; without one, this process does the work
            if writer_pid(home.path) is None and _land_here(home, files, None, live=live):
                for job in waiting:
                    jobs.mark(job, "done")
                return
    jobs.close()


class Progress:
    """A progress bar on a terminal, up to a number of bytes; nothing when piped."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total)
        return self

    def at(self, done: int) -> None:
        """Moves the bar."""
        if self._bar:
            self._bar.update(self._task, completed=done)

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()


def _report(home: Home, files: Sequence["EventFile"]) -> None:
    """What became of the files, on stderr."""
    for file in files:
        events, duplicates, dead = landed_counts(home, file.source)
        print(  # noqa: T201 - the verb's answer
            f"{file.path.name}: {events} events landed, {duplicates} duplicates dropped, {dead} dead letters",
            file=sys.stderr,
        )


def landed_counts(home: Home, source: str) -> tuple[int, int, int]:
    """Events, duplicates and dead letters that have landed of a file, over all of its commits."""
    from sinks.attach import connect

    connection = connect(home.path, read_only=True)
    query = "SELECT sum(events), sum(duplicates), sum(dead_letters) FROM store.commits WHERE source = ?"
    row = connection.execute(query, [source]).fetchone()
    connection.close()
    events, duplicates, dead = (int(value or 0) for value in row or (0, 0, 0))
    return events, duplicates, dead
