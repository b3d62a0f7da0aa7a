"""The dashboard's pages on a home: first paint and refreshes in a browser with several viewers, memory, and each query.

python -m benchmarks.pages HOME [--seconds 40] [--viewers 10] [--write 1000]

`--write` lands so many events a second in the home's lake all the while, as flows do: take a copy of a home. First paint is from
the request to the title and the first figures, in Debian's chromium; a refresh is what the server needs to draw a page anew.
Memory is that of the dashboard with its processes for people's SQL.
"""

import argparse
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

PAGES: Final = (
    "",
    "campaign",
    "deliverability",
    "replies",
    "experiments",
    "send-times",
    "learning",
    "data-quality",
    "sql",
    "system",
)
_SETTLES: Final = 10.0
"""Seconds that the writer has written before anybody looks."""
_ALONE: Final = 8.0
"""Seconds that each page is open by itself."""
_DRAWN: Final = re.compile(r"drawn page=(.+) ms=(\d+) cpu=(\d+)")
_SETTLED: Final = """() => document.querySelector('.head h1') && document.querySelector(
    '.tile .value, .empty, table.listing, .js-plotly-plot, [data-testid="stForm"]')"""


def serve(home: Path, port: int) -> None:
    """The dashboard, with a line for each page drawn."""
    from outpulse.home import open_home
    from outpulse.parts import run_dashboard

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("outpulse.dashboard").setLevel(logging.DEBUG)
    run_dashboard(open_home(str(home)), port=port)


def write(home: Path, rate: int, seconds: float) -> None:
    """Lands `rate` events a second in chunks of one second's events, newest days of the lake."""
    import msgspec

    from sinks.lake import Lake
    from tests.lakes import works

    lake = Lake(home)
    from flows.delivery import run_plainly

    row = lake.connection.execute("SELECT max(newest) FROM store.commits").fetchone()
    assert row is not None
    newest = row[0]
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        began = time.monotonic()
        moment = newest.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        run = f"{time.time_ns()}"
        events = [
            {"event_id": f"w{run}-{n}", "kind": "delivered" if n % 3 else "opened", "occurred_at": moment,
             "delivery_id": f"w{run}-{n // 2}", "campaign_id": f"cmp-{n % 20}", "channel": "email",
             "sender": f"sender{n % 7}@brightloom.example", "recipient": f"p{n}@firm{n % 500}.example"}
            for n in range(rate)
        ]  # fmt: skip
        run_plainly(works([msgspec.to_builtins(e) for e in events], [rate], source=f"bench{run}"), lake)
        number += rate
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    lake.close()
    print(f"wrote {number} events", file=sys.stderr)


@contextmanager
def _process(*arguments: str, messages: Any = None) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.pages", *arguments], stderr=messages)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def measure(home: Path, *, seconds: float, viewers: int, rate: int) -> dict[str, Any]:
    """First paints of a fresh process page by page, again, then refreshes with all viewers, and the memory in the end."""
    from playwright.sync_api import sync_playwright

    from tests.browser import ARGUMENTS, CHROMIUM
    from tests.processes import answers, free_port, wait_until

    port, whole = free_port(), _SETTLES + seconds + (5.0 + _ALONE) * len(PAGES)
    with (
        tempfile.TemporaryFile("w+") as messages,
        _process("--writer", str(home), str(rate), str(whole)) if rate else _nothing(),
        sync_playwright() as playwright,
    ):
        time.sleep(_SETTLES if rate else 0)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        browser.new_page().goto("data:text/html,<h1>A person's browser runs already</h1>")
        with _process("--serve", str(home), str(port), messages=messages) as served:
            wait_until(lambda: answers(port), what="the dashboard's port")
            paints = {page: _first_paint(browser, port, page) for page in PAGES}
            again = {page: _first_paint(browser, port, page) for page in PAGES}
            start = messages.seek(0, os.SEEK_END)
            for page in PAGES:
                context = browser.new_context()
                context.new_page().goto(f"http://127.0.0.1:{port}/{page}")
                time.sleep(_ALONE)
                context.close()
            alone = _drawn(messages, start)
            start = messages.seek(0, os.SEEK_END)
            contexts = [browser.new_context() for _ in range(viewers)]
            for n, context in enumerate(contexts):
                context.new_page().goto(f"http://127.0.0.1:{port}/{PAGES[n % len(PAGES)]}")
            time.sleep(seconds)
            process = psutil.Process(served.pid)
            memory = sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20
            browser.close()
        together = _drawn(messages, start)
    return {
        "first_paint_seconds": {"cold": paints, "warm": again},
        "refresh_ms": {"one_page_open": alone, "all_viewers": together},
        "memory_mib": round(memory),
        "load_average": os.getloadavg(),
        "viewers": viewers,
        "events_per_second": rate,
    }


def _drawn(messages: Any, start: int) -> dict[str, Any]:
    """Milliseconds of each page's drawings that the server has told of since; a page that was opened is drawn twice at first."""
    messages.seek(start)
    drawn: dict[str, list[tuple[int, int]]] = {}
    for title, ms, cpu in _DRAWN.findall(messages.read()):
        drawn.setdefault(title, []).append((int(ms), int(cpu)))
    return {
        title: {
            "median": statistics.median(ms for ms, _ in found),
            "p95": sorted(ms for ms, _ in found)[int(0.95 * len(found))],
            "median_cpu": statistics.median(cpu for _, cpu in found),
            "times": len(found),
        }
        for title, found in sorted(drawn.items())
    }


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def _first_paint(browser: Any, port: int, page: str) -> float:
    context = browser.new_context()
    opened = context.new_page()
    began = time.monotonic()
    opened.goto(f"http://127.0.0.1:{port}/{page}", wait_until="commit")
    opened.wait_for_function(_SETTLED, timeout=60_000)
    took = time.monotonic() - began
    context.close()
    return round(took, 2)


def main() -> None:
    """Measures, or is one of the processes that a measurement needs."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
        return
    if sys.argv[1:2] == ["--writer"]:
        write(Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--write", type=int, default=0)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.home, seconds=chosen.seconds, viewers=chosen.viewers, rate=chosen.write), indent=1))


if __name__ == "__main__":
    main()
