"""`outpulse bench`: the replay of a file beside plain DuckDB doing the same job on it, each in a process of its own.

The job: read the NDJSON, drop duplicate facts, count minute cells, write Parquet. The replay also keeps figures per
delivery, offsets and snapshots; DuckDB has the whole file and all the memory it likes. The guard, which has no counterpart
there, watches only where it is asked to.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from outpulse.home import Home
from outpulse.printing import print_table
from schemas.events import EVENT_FIELDS
from schemas.failures import OutpulseError
from sinks.derivation import minute_of
from sinks.store import CELL_KEYS

_TYPES: Final = {"occurred_at": "TIMESTAMPTZ", "received_at": "TIMESTAMPTZ", "is_machine": "BOOLEAN"}


def run_bench(home: Home, file: Path | None, *, events: int, guard: bool, as_json: bool) -> int:
    """Measures and prints `{events, events_per_second, duckdb_events_per_second, ratio, peak_rss_mib}`."""
    del home
    with tempfile.TemporaryDirectory(prefix="outpulse-bench-") as folder:
        place = Path(folder)
        if file is None:
            from data.bulk import write_ndjson

            file = place / "events.ndjson"
            write_ndjson(file, events, 1)
        elif not file.exists():
            raise OutpulseError(f"{file} does not exist")
        _warm(file)
        theirs = _duckdb(file, place / "plain")
        ours = _replay(file, place / "home", guard=guard)
    rows = [
        {
            "events": ours["lines"],
            "events_per_second": round(ours["lines"] / ours["seconds"]),
            "duckdb_events_per_second": round(ours["lines"] / theirs["seconds"]),
            "ratio": round(theirs["seconds"] / ours["seconds"], 3),
            "peak_rss_mib": round(ours["rss_mib"]),
        }
    ]
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(rows[0]) + b"\n")
        sys.stdout.buffer.flush()
    else:
        print_table(list(rows[0]), [list(rows[0].values())])
    if ours["facts"] != theirs["facts"]:
        raise OutpulseError(f"the lake has {ours['facts']} facts, plain DuckDB {theirs['facts']}")
    return 0


def _warm(file: Path) -> None:
    """Reads the file once, so that both find it in memory."""
    with file.open("rb") as stream:
        while stream.read(2**24):
            pass


def _measured(command: list[str], **environment: str) -> tuple[float, float, str]:
    """Wall seconds, peak resident MiB and standard output of a command.

    Raises:
        OutpulseError: it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC", **environment})
    output = process.stdout.read().decode() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise OutpulseError(f"{' '.join(command[:4])} … failed with status {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output


def _replay(file: Path, home: Path, *, guard: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "outpulse", "replay", "--home", str(home), str(file)]
    seconds, rss_mib, _ = _measured(command, OUTPULSE_GUARD__REPLAY=str(guard).lower())
    from sinks.attach import connect

    connection = connect(home, read_only=True)
    row = connection.execute("SELECT sum(events), sum(duplicates), sum(dead_letters) FROM store.commits").fetchone()
    found = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    lines = sum(int(value or 0) for value in row or ())
    return {"seconds": seconds, "rss_mib": rss_mib, "lines": lines, "facts": found[0] if found else 0}


def plain_duckdb_sql(file: Path, folder: Path) -> str:
    """The job in plain DuckDB."""
    columns = ", ".join(
        f"{name}: '{'MAP(VARCHAR, VARCHAR)' if name == 'attributes' else _TYPES.get(name, 'VARCHAR')}'"
        for name in EVENT_FIELDS
    )
    keys = ", ".join(CELL_KEYS)
    return f"""
        SET TimeZone = 'UTC'; SET threads = 2; SET preserve_insertion_order = false;
        CREATE TABLE facts AS
            SELECT DISTINCT ON (provider, event_id, kind, recipient, epoch_ms(occurred_at) // 86400000) *
            FROM read_ndjson('{file}', columns = {{{columns}}});
        COPY facts TO '{folder / "facts.parquet"}' (FORMAT parquet);
        COPY (SELECT {minute_of("occurred_at")} AS minute, {keys}, count(*) AS events FROM facts GROUP BY ALL)
            TO '{folder / "cells.parquet"}' (FORMAT parquet);
        SELECT count(*) FROM facts;"""


def _duckdb(file: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    query = "SET enable_progress_bar = false;" + plain_duckdb_sql(file, folder)
    script = f"import duckdb; print(duckdb.sql({query!r}).fetchone()[0])"
    seconds, rss_mib, output = _measured([sys.executable, "-c", script])
    shutil.rmtree(folder)
    return {"seconds": seconds, "rss_mib": rss_mib, "facts": int(output.strip() or 0), "version": duckdb.__version__}
