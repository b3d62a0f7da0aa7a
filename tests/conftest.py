"""Fixtures that several test files share; Hypothesis profiles."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from outpulse.settings import Settings, load

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
# Without shrinking: an example here opens lakes on disk, and a minimal one can take longer to find than to understand.
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
for _name, _examples in (("local", 12), ("ci", 30)):
    settings.register_profile(
        _name, max_examples=_examples, deadline=None, suppress_health_check=_SLOW_IS_FINE, phases=_PHASES
    )
settings.load_profile("ci" if os.environ.get("CI") else "local")


_LONG: Final = ("forgetting", "crash", "replies_flow", "dashboard_pages", "guard_flow", "guard", "bad_input", "alerts")
"""Files that take minutes come first, so that no process is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take minutes first."""
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """With OUTPULSE_TEST_CLAIMS (a folder) a file runs in the process that claims it first: `make tests` runs three.

    pytest-xdist refuses these tests: names of cases hold signatures that each process makes anew.
    """
    folder = os.environ.get("OUTPULSE_TEST_CLAIMS")
    return None if not folder or _claims(Path(folder) / item.path.name) else True


@cache
def _claims(place: Path) -> bool:
    """Whether this process is the first to claim a file."""
    try:
        place.mkdir()
    except FileExistsError:
        return False
    return True


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    """Streamlit's tests run a page as `__main__`; processes that others spawn would run it again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    return tmp_path / "home"


@pytest.fixture
def default_settings(home: Path) -> Settings:
    """Settings without a file and without the environment."""
    return load(home, environ={})
