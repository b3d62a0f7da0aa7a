"""Fixtures that several test files share; Hypothesis profiles."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

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

_TESTS = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """With OUTPULSE_TEST_SHARD=i/n only every n-th file is collected: `make tests` runs n processes side by side.

    pytest-xdist refuses these tests: names of cases hold signatures that each process makes anew.
    """
    shard = os.environ.get("OUTPULSE_TEST_SHARD")
    if not shard or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    mine, many = map(int, shard.split("/"))
    return sorted(path.name for path in _TESTS.glob("test_*.py")).index(collection_path.name) % many != mine or None


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
