"""`outpulse check`: the quality of the landed tables now, in table `data_quality`, as Data Docs, and as alerts where it fails.

Outcomes and alerts go through the `results` stream, as those of all parts do: a live writer lands them, else this process.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from eventlog import Log, Record
from outpulse.home import Home
from outpulse.parts import stop_event
from outpulse.printing import print_json, print_table
from outpulse.querying import ensure_lake
from schemas.events import ResultRow, Stream
from schemas.failures import LakeError, LakeLocked
from schemas.records import DataQualityRow
from sinks.attach import connect, in_one_line, writer_pid
from sinks.quality.telling import Failing, failing_after, failing_before, tellings

DOCS: Final = Path("quality") / "docs"
"""Where in a home the Data Docs are."""
_FAILING: Final = Path("quality") / "failing.json"
_FIRST_SECONDS: Final = 60.0
"""After `up` has started its parts the first check waits so long: what waits in the log comes first."""
_NICE: Final = 15
"""Checks give way to all other parts."""
_PATIENCE_SECONDS: Final = 10.0
_SHOWN: Final = ("check_name", "expectation", "observed", "mend")


def run_check(home: Home, *, as_json: bool) -> int:
    """Checks once; 0 where all holds, 1 where something does not."""
    from sinks.quality.judging import judged
    from sinks.quality.suites import checks

    ensure_lake(home)
    run_at = datetime.now(UTC).replace(microsecond=0)
    rows = judged(home.path, checks(home.settings.quality.stale_hours), run_at, home.path / DOCS)
    _publish(home, rows)
    failing = [row for row in rows if not row.success]
    if as_json:
        print_json(msgspec.structs.asdict(row) for row in rows)
    elif failing:
        print_table(_SHOWN, ([getattr(row, name) for name in _SHOWN] for row in failing))
    if not as_json:
        print(f"{len(rows) - len(failing)} of {len(rows)} checks hold; {home.path / DOCS / 'index.html'}")  # noqa: T201
    return 1 if failing else 0


def watch_quality(home: Home) -> int:
    """Checks every so often, each time in a process of its own: nothing of it stays in memory between."""
    stopping = stop_event()
    with suppress(OSError):
        os.nice(_NICE)
    every = home.settings.quality.every_minutes * 60
    due = time.monotonic() + min(_FIRST_SECONDS, every)
    while every and not stopping.wait(max(0.0, due - time.monotonic())):
        due = time.monotonic() + every
        _check_beside(home, stopping)
    return 0


def _check_beside(home: Home, stopping: threading.Event) -> None:
    place = ["--home", str(home.path), *(["--config", str(home.config)] if home.config else [])]
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "outpulse", "check", *place]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **one_core})
    while process.poll() is None:
        if stopping.wait(0.5):
            process.terminate()
            process.wait()


def _publish(home: Home, rows: Sequence[DataQualityRow]) -> None:
    """Appends outcomes and alerts, and sees to it that they land, or waits a little for a busy writer."""
    before = _failing_before(home, rows[0].run_at)
    found = [(row.id, "data_quality", msgspec.to_builtins(row)) for row in rows]
    found += [(one.alert.id, "alerts", one.row()) for one in tellings(rows, before)]
    records = [Record(name.bytes, msgspec.json.encode(ResultRow(table=table, row=row))) for name, table, row in found]
    log = home.log()
    with closing(log):
        log.append(Stream.RESULTS, records)
        _note_failing(home, failing_after(rows, before))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _is_landed(home, rows[0]) and time.monotonic() < deadline:
            if writer_pid(home.path) is None:
                _land_here(home, log)
            else:
                time.sleep(0.2)


def _failing_before(home: Home, run_at: datetime) -> dict[str, Failing]:
    """What the run before found failing: as it noted itself, since its rows may not have landed yet; else as the lake tells."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((home.path / _FAILING).read_bytes(), type=dict[str, Failing])
    try:
        with closing(connect(home.path, read_only=True)) as connection:
            return failing_before(connection, run_at)
    except duckdb.Error as error:
        raise LakeError(f"the outcomes of former checks cannot be read: {in_one_line(error)}") from error


def _note_failing(home: Home, failing: Mapping[str, Failing]) -> None:
    place = home.path / _FAILING
    place.parent.mkdir(parents=True, exist_ok=True)
    making = place.with_suffix(".making")
    making.write_bytes(msgspec.json.encode(failing))
    making.replace(place)


def _is_landed(home: Home, row: DataQualityRow) -> bool:
    with suppress(LakeError), closing(connect(home.path, read_only=True)) as connection:
        found = connection.execute("SELECT count(*) FROM data_quality WHERE run_at = ?", [row.run_at]).fetchone()
        return bool(found and found[0])
    return False


def _land_here(home: Home, log: Log) -> None:
    """Lands what waits of the results stream as the lake's writer, unless somebody else is that by now."""
    from flows.delivery import run_plainly
    from flows.inbox import LogInbox
    from flows.run import open_lake

    try:
        lake = open_lake(home.path, home.settings)
    except LakeLocked:
        time.sleep(0.1)
        return
    with closing(lake):
        inbox = LogInbox(log, lake.positions(), streams=[Stream.RESULTS])
        run_plainly(iter(lambda: inbox.take(at_once=True), None), lake)
