"""How soon an event that is posted changes a page that is open, without anybody touching it, on a home of any size.

python -m benchmarks.freshness HOME [--times 20] [--viewers 0] [--rate 0]

Starts `outpulse up` with the dashboard on the home (take a copy), opens Overview in Debian's chromium, posts one message that
was delivered, and waits until the number of messages in the first tile is another. `--rate` posts so many events a second
of other campaigns beside, `--viewers` opens so many more pages. Prints one JSON object.
"""

import argparse
import http.client
import json
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.live import TOKEN, Poster, running
from benchmarks.pages import PAGES
from benchmarks.replies_live import percentiles
from sinks.attach import connect
from tests.signing import sendgrid_keypair

_TILE = ".tile .value"
_IS_ANOTHER = f"before => document.querySelector('{_TILE}').innerText !== before"
_PATIENCE_MS = 60_000


def measure(home: Path, *, times: int, viewers: int, rate: int) -> dict[str, object]:
    """Posts and looks."""
    from playwright.sync_api import sync_playwright

    from tests.browser import ARGUMENTS, CHROMIUM

    connection = connect(home, read_only=True)
    row = connection.execute("SELECT max(newest), sum(events)::BIGINT FROM store.commits").fetchone()
    connection.close()
    assert row is not None
    newest, events = row
    _, public = sendgrid_keypair()
    found: list[float] = []
    with running(public, home, with_dashboard=True) as up, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        base = f"http://127.0.0.1:{up.dashboard_port}"
        for n in range(viewers):
            browser.new_context().new_page().goto(f"{base}/{PAGES[n % len(PAGES)]}")
        page = browser.new_page()
        page.goto(base)
        tile = page.locator(_TILE).first
        tile.wait_for(timeout=_PATIENCE_MS)
        beside = Poster(up.port, rate, times * 6.0, 10, None) if rate else None
        if beside:
            beside.start()
        time.sleep(10)
        gateway = http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        for number in range(times):
            before = tile.inner_text()
            moment = (newest - timedelta(seconds=times - number)).isoformat()
            event = {
                "event_id": f"fresh-{time.time_ns()}", "kind": "delivered", "occurred_at": moment, "provider": "bench",
                "delivery_id": f"fresh-{time.time_ns()}", "campaign_id": "fresh", "channel": "email",
            }  # fmt: skip
            posted = time.monotonic()
            gateway.request("POST", "/events", json.dumps(event).encode(), headers)
            answer = gateway.getresponse()
            answer.read()
            assert answer.status == 202, answer.status
            page.wait_for_function(_IS_ANOTHER, arg=before, polling=50, timeout=_PATIENCE_MS)
            found.append(time.monotonic() - posted)
            time.sleep(1.0 + 0.37 * (number % 5))
        browser.close()
        if beside:
            beside.join()
    return {"events": events, "times": times, "viewers": viewers, "rate": rate, "posted_to_page": percentiles(found)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--viewers", type=int, default=0)
    parser.add_argument("--rate", type=int, default=0)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.home, times=chosen.times, viewers=chosen.viewers, rate=chosen.rate)))


if __name__ == "__main__":
    main()
