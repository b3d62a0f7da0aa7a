"""Pictures of the dashboard for README and docs, from the demo world: `python -m benchmarks.screenshots [HOME]`.

Without a home, `outpulse demo --headless` makes one first. Needs Debian's package chromium. Pictures are small palettes.
"""

import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser import ARGUMENTS, CHROMIUM
from tests.dashboard_browser import PAGES, served
from tests.processes import start, stop

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
COLORS: Final = 256
"""Enough for flat surfaces and text; a third of the bytes."""
PICTURES: Final[dict[str, tuple[str, Literal["light", "dark"], int, int]]] = {
    "overview": ("", "light", 1280, 960),
    "overview-dark": ("", "dark", 1280, 960),
    "campaign": ("campaign?campaign=cmp-warehouse-restock-pilot", "light", 1280, 1180),
    "deliverability": ("deliverability", "light", 1280, 1080),
    "replies": ("replies?show=All", "light", 1280, 900),
    "send-times": ("send-times", "light", 1280, 900),
    "sql": ("sql", "light", 1280, 800),
    "system": ("system", "dark", 1280, 900),
    "phone": ("", "dark", 390, 844),
}
"""Name to address, colours, width and height."""


@contextmanager
def running_flows(home: Path) -> Iterator[None]:
    """The flows, so that the pages are live."""
    flows = start("flows", "--home", str(home))
    try:
        yield
    finally:
        stop(flows)


def take(home: Path) -> None:
    """All pictures of a home."""
    FOLDER.mkdir(exist_ok=True)
    with running_flows(home), served(home) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for name, (address, colors, width, height) in PICTURES.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colors)
            page = context.new_page()
            page.goto(f"{base}/{address}")
            page.locator(".head h1", has_text=PAGES[address.partition("?")[0]]).wait_for(timeout=60_000)
            if name == "sql":
                page.get_by_role("button", name="Run").click()
            page.wait_for_timeout(6000)
            picture = (
                Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
            )
            picture.save(FOLDER / f"{name}.png", optimize=True)
            context.close()
            print(f"{name}.png {(FOLDER / f'{name}.png').stat().st_size // 1024} KiB")
        browser.close()


def main() -> None:
    """Makes them."""
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "demo"
        subprocess.run([sys.executable, "-m", "outpulse", "demo", "--headless", "--home", str(home)], check=True)
        take(home)


if __name__ == "__main__":
    main()
