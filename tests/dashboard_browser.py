"""A served dashboard and a browser on it, for tests of its pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import ARGUMENTS, CHROMIUM
from tests.processes import answers, free_port, start, stop, wait_until

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {
    "": "Overview",
    "campaign": "Campaign",
    "deliverability": "Deliverability",
    "replies": "Replies",
    "experiments": "Experiments",
    "send-times": "Send times",
    "learning": "Learning",
    "data-quality": "Data quality",
    "sql": "SQL",
    "system": "System",
}
"""The last part of each page's address, and its title."""
_PROBES: Final = ("/_stcore/health", "/_stcore/host-config")
"""Streamlit's own script asks for these below the page's address first; browsers log its 404 as an error."""


class Seen:
    """A page of the dashboard, and whatever went wrong in it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type == "error" and not str(message.location.get("url", "")).endswith(_PROBES):
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def open(self, address: str) -> Page:
        """The page at an address, drawn."""
        self.page.goto(f"{self.base}/{address}", wait_until="domcontentloaded")
        title = PAGES[address.split("?", maxsplit=1)[0]]
        self.page.locator(".head h1", has_text=title).wait_for(timeout=60_000)
        return self.page


@contextmanager
def served(home: Path, port: int | None = None, **environment: str) -> Iterator[str]:
    """The address of a dashboard over a home."""
    port = port or free_port()
    process = start("dashboard", "--home", str(home), "--port", str(port), cwd=ROOT, env=environment)
    try:
        wait_until(lambda: answers(port), what="the dashboard's port")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
    wait_until(lambda: not answers(port), what="the end of the page's server")


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield found
        finally:
            found.close()


@contextmanager
def looking(found: Browser, base: str, **options: Any) -> Iterator[Seen]:
    """A fresh page in a browser."""
    context = found.new_context(viewport=options.pop("viewport", {"width": 1400, "height": 1000}), **options)
    try:
        yield Seen(context.new_page(), base)
    finally:
        context.close()
