"""Text and marks stand out from what lies behind them, in light and in dark, by WCAG 2.2: 1.4.3 and 1.4.11."""

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser

import dashboards
from dashboards import charts, inbox
from dashboards.deliverability import HEAT, ON_HEAT
from dashboards.look import style_html
from tests.browser import needs_chromium
from tests.dashboard_browser import browser, looking, served
from tests.dashboard_lakes import furnish, land_world

THEME: Final[dict[str, Any]] = tomllib.loads(
    (Path(dashboards.__file__ or "").parent / ".streamlit" / "config.toml").read_text()
)["theme"]
MODES: Final = ("light", "dark")
TEXT: Final = 4.5
MARK: Final = 3.0
SCRIPT: Final = (Path(__file__).parent / "contrast.js").read_text()
HEX: Final = re.compile(r"#[0-9A-Fa-f]{6}\b|#[0-9A-Fa-f]{3}\b")
MARKS: Final = {
    **{
        name: value
        for name, value in vars(charts).items()
        if name.isupper() and isinstance(value, str) and HEX.fullmatch(value)
    },
    **{f"series {number}": value for number, value in enumerate(THEME["chartCategoricalColors"])},
    **{f"intent {intent}": value for intent, value in inbox._LOOKS.items()},
}
"""Colours of lines, bars and points in charts."""
MARKS.pop("ON_COLOR")
RULES_OF_MARKS: Final = (
    ".head .dot",
    ".head .dot.live",
    ".head .dot.down",
    ".bar i",
    ".chip.hot",
    ".alarm-tile",
    ".warn-tile",
)
"""Rules of the style sheet whose border or background says something by itself."""


def rgb(color: str) -> tuple[float, ...]:
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return tuple(int(digits[at : at + 2], 16) for at in (0, 2, 4))


def luminance(color: tuple[float, ...]) -> float:
    """Relative luminance. Source: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    parts = [part / 255 for part in color]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(top: tuple[float, ...], under: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple(share * a + (1 - share) * b for a, b in zip(top, under, strict=True))


def grounds(mode: str) -> dict[str, tuple[float, ...]]:
    """What text and marks may lie on."""
    found = THEME[mode]
    return {
        "page": rgb(found["backgroundColor"]),
        "field": rgb(found["secondaryBackgroundColor"]),
        "sidebar": rgb(found["sidebar"]["backgroundColor"]),
    }


def rules(mode: str) -> list[tuple[str, dict[str, str]]]:
    """(selector, declarations) of the style sheet, a row for each selector."""
    sheet = re.sub(r"@media[^{]*\{", "", style_html(is_dark=mode == "dark").removeprefix("<style>"))
    found = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", sheet):
        declared = dict(re.findall(r"([a-z-]+):\s*([^;]+)", body))
        found += [(selector.strip(), declared) for selector in selectors.split(",")]
    return found


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(rgb("#000"), rgb("#FFFFFF")) == 21
    assert contrast(rgb("#777777"), rgb("#fff")) == pytest.approx(4.48, abs=0.005)  # known as just too little


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MARKS)
def test_marks_of_charts_stand_out(name: str, mode: str) -> None:
    assert {on: round(contrast(rgb(MARKS[name]), under), 2) for on, under in grounds(mode).items()
            if contrast(rgb(MARKS[name]), under) < MARK} == {}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_words_and_links_of_the_theme_can_be_read(mode: str) -> None:
    for name in ("textColor", "linkColor"):
        for under in grounds(mode).values():
            assert contrast(rgb(THEME[mode][name]), under) >= TEXT, name
    assert contrast(rgb("#FFFFFF"), rgb(THEME[mode]["primaryColor"])) >= TEXT  # buttons


@pytest.mark.parametrize("mode", MODES)
def test_colours_of_words_in_the_style_sheet_can_be_read(mode: str) -> None:
    last: dict[str, tuple[str, str | None]] = {}
    for selector, declared in rules(mode):  # a later rule of the same selector wins
        color_of = HEX.search(declared.get("color", "") or declared.get("fill", ""))
        on = HEX.search(declared.get("background", ""))
        if color_of and "kbd" not in selector:  # a key on a button
            last[selector] = (color_of[0], on[0] if on else None)
    assert len(last) >= 5
    for selector, (color, back) in last.items():
        for under in [rgb(back)] if back else list(grounds(mode).values()):
            assert contrast(rgb(color), under) >= TEXT, selector


@pytest.mark.parametrize("mode", MODES)
def test_words_that_are_made_paler_can_still_be_read(mode: str) -> None:
    found = {
        selector: float(declared["opacity"].split()[0]) for selector, declared in rules(mode) if "opacity" in declared
    }

    assert found
    for selector, share in found.items():
        under = grounds(mode)["page"]
        assert contrast(mixed(rgb(THEME[mode]["textColor"]), under, share), under) >= TEXT, selector


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES_OF_MARKS)
def test_marks_of_the_style_sheet_stand_out(rule: str, mode: str) -> None:
    under = grounds(mode)["page"]
    told = [declared for selector, declared in rules(mode) if selector.endswith(rule)]
    colors = [
        HEX.findall(declared.get(name, "")) for declared in told for name in ("border-color", "border", "background")
    ]

    found = [color for some in colors for color in some]
    assert found
    assert contrast(rgb(found[-1]), under) >= MARK


def test_words_on_marks_of_charts_can_be_read() -> None:
    assert contrast(rgb(charts.ON_COLOR), rgb(charts.BLUE)) >= TEXT
    for (_, one), (_, other) in pairwise(HEAT):
        for step in range(11):
            assert contrast(rgb(ON_HEAT), mixed(rgb(other), rgb(one), step / 10)) >= TEXT


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(furnish(land_world(tmp_path_factory.mktemp("contrast") / "home"))) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@needs_chromium
@pytest.mark.chromium
@pytest.mark.parametrize("mode", MODES)
def test_every_word_in_the_browser_can_be_read(chromium: Browser, base: str, mode: str) -> None:
    with looking(chromium, base, color_scheme=mode) as seen:
        for address in ("", "campaign", "deliverability", "replies", "send-times", "system"):
            page = seen.open(address)
            page.locator(".js-plotly-plot .main-svg text").first.wait_for(timeout=30_000)
            page.wait_for_timeout(700)
            found = page.evaluate(SCRIPT)
            assert found["checked"] > 50
            assert (address, found["bad"]) == (address, [])
            if address == "deliverability":
                fills = "texts => [...new Set(texts.map(text => getComputedStyle(text).fill))]"
                own = f"rgb{rgb(ON_HEAT)}".replace(".0", "")
                assert page.locator(".heatmap-label text").evaluate_all(fills) == [own]
