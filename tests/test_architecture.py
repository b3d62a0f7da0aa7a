"""The shape of the house: who may import whom, how long a module may be, what every module and provider must have."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

MAY_IMPORT: Final[Mapping[str, frozenset[str]]] = {
    "schemas": frozenset({"schemas"}),
    "features": frozenset({"schemas", "features"}),
    "adapters": frozenset({"schemas", "adapters"}),
    "eventlog": frozenset({"schemas", "eventlog"}),
    "control": frozenset({"schemas", "eventlog", "control"}),
    "sinks": frozenset({"schemas", "features", "eventlog", "control", "sinks"}),
    "flows": frozenset({"adapters", "features", "schemas", "eventlog", "control", "sinks", "flows"}),
    "gateway": frozenset({"adapters", "schemas", "eventlog", "control", "gateway"}),
    "dashboards": frozenset({"schemas", "features", "eventlog", "control", "sinks", "dashboards"}),
    "data": frozenset({"schemas", "data"}),
}
"""Package -> the packages of the house it may import; everybody may import `outpulse.settings`, `outpulse` all."""
HOUSE: Final = frozenset({*MAY_IMPORT, "dispatch", "outpulse"})
FOR_ALL: Final = "outpulse.settings"
NO_FLOWS: Final = frozenset({"gateway", "dispatch", "dashboards"})
DRAWERS: Final = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})
LONGEST: Final = 500


def modules_of(*packages: str) -> Iterator[Path]:
    for package in sorted(packages):
        yield from sorted((ROOT / package).rglob("*.py"))


def imports_of(source: str, module: str) -> set[str]:
    """Dotted names that a module's text imports, anywhere in it; `from a import b` counts as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def forbidden(package: str, names: set[str]) -> set[str]:
    """The imported names that the house's rules do not allow in the package."""
    found = {n for n in names if n.split(".")[0] == "bytewax"} if package != "flows" else set()
    if package in NO_FLOWS:
        found |= {n for n in names if n.split(".")[0] == "flows"}
    if package in MAY_IMPORT:
        inside = {n for n in names if n.split(".")[0] in HOUSE and not f"{n}.".startswith(f"{FOR_ALL}.")}
        found |= {n for n in inside if n.split(".")[0] not in MAY_IMPORT[package]}
    return found


def test_every_package_imports_only_what_it_may_know() -> None:
    found = {
        dotted(path): sorted(wrong)
        for path in modules_of(*HOUSE)
        if (wrong := forbidden(path.relative_to(ROOT).parts[0], imports_of(path.read_text(), dotted(path))))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("package", "source", "wrong"),
    [
        pytest.param("features", "import schemas.events\nimport polars", set(), id="features know schemas"),
        pytest.param("features", "from sinks import lake", {"sinks.lake"}, id="features do not know sinks"),
        pytest.param("schemas", "def f():\n    import features.x", {"features.x"}, id="imports inside functions count"),
        pytest.param("gateway", "from outpulse import settings", set(), id="everybody knows the settings"),
        pytest.param(
            "gateway", "from outpulse.settings import load", set(), id="everybody knows parts of the settings"
        ),
        pytest.param("gateway", "from outpulse import cli", {"outpulse.cli"}, id="nobody knows the command line"),
        pytest.param("dispatch", "from flows import guard", {"flows.guard"}, id="dispatch does not know flows"),
        pytest.param("outpulse", "import flows.jobs, dashboards.app", set(), id="outpulse knows all"),
        pytest.param("outpulse", "import bytewax.run", {"bytewax.run"}, id="outpulse does not know the engine"),
        pytest.param("flows", "from bytewax.dataflow import Dataflow", set(), id="flows know the engine"),
        pytest.param("sinks", "from . import store", set(), id="relative imports stay inside"),
        pytest.param("sinks", "from ..flows import jobs", {"flows.jobs"}, id="relative imports cannot escape"),
    ],
)
def test_the_import_check_finds_what_is_forbidden(package: str, source: str, wrong: set[str]) -> None:
    assert forbidden(package, imports_of(source, f"{package}.module")) == wrong


def test_no_module_is_a_drawer_for_anything() -> None:
    assert [dotted(p) for p in modules_of(*HOUSE, "tests", "benchmarks") if p.stem in DRAWERS] == []


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {dotted(p): len(p.read_text().splitlines()) for p in modules_of(*HOUSE, "tests", "benchmarks")}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_package_begins_with_an_empty_file() -> None:
    assert [
        dotted(p) for p in modules_of(*HOUSE, "tests") if p.name == "__init__.py" and not p.read_text().strip()
    ] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        dotted(p) for p in modules_of(*HOUSE, "benchmarks") if ast.get_docstring(ast.parse(p.read_text())) is None
    ]

    assert silent == []


def test_every_provider_has_golden_cases() -> None:
    registry = importlib.import_module("adapters").REGISTRY

    assert [name for name in sorted(registry) if not any((ROOT / "tests/golden" / name).glob("*.json"))] == []
