"""An installed Outpulse has the files that it reads, not only the checkout."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
NAMED = re.compile(r"""files\("data"\)\.joinpath\(f?"([^"]+)"\)""")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the packages, unpacked as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        below = source / package.replace(".", "/")
        below.mkdir(parents=True, exist_ok=True)
        for path in (ROOT / package.replace(".", "/")).iterdir():
            if path.is_file():
                shutil.copy(path, below)
            elif path.name in {"generated", "queries", ".streamlit"}:
                shutil.copytree(path, below / path.name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_every_package_of_the_checkout_is_built() -> None:
    found = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for package in {name.partition(".")[0] for name in PACKAGES}
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert found == set(PACKAGES)


def test_a_wheel_has_every_file_that_the_code_names(installed: Path) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for package in PACKAGES
                     for path in (ROOT / package.replace(".", "/")).glob("*.py"))  # fmt: skip
    named = {name for name in NAMED.findall(code) if "{" not in name}
    models = {f"{path.stem}{end}" for path in (ROOT / "data").glob("*.npz") for end in (".npz", ".sha256")}

    assert len(named) > 5
    assert len(models) >= 6
    assert [name for name in sorted(named | models) if not (installed / "data" / name).is_file()] == []
    for name in ("schemas/generated", "schemas/queries", "dashboards/.streamlit", "dashboards/icon.svg"):
        wanted = [path for path in (ROOT / name).rglob("*") if path.is_file()] or [ROOT / name]
        assert [path for path in wanted if not (installed / path.relative_to(ROOT)).is_file()] == []


def test_the_dashboard_of_an_installed_wheel_offers_the_25_worked_queries(installed: Path, tmp_path: Path) -> None:
    script = "from dashboards import saved; print(saved.__file__, len(saved.saved_queries()) - len(saved.OWN), sep='|')"
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(installed)}, cwd=tmp_path, check=True,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    where, number = done.stdout.strip().split("|")

    assert Path(where).is_relative_to(installed)
    assert number == "25"
