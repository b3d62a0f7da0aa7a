"""Fixtures that several test files share; Hypothesis profiles."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from outpulse.settings import Settings, load

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
# Without shrinking: an example here opens lakes on disk, and a minimal one can take longer to find than to understand.
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
_ALWAYS = {"deadline": None, "suppress_health_check": _SLOW_IS_FINE, "phases": _PHASES}
settings.register_profile("local", max_examples=12, **_ALWAYS)
settings.register_profile("ci", max_examples=30, **_ALWAYS)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    return tmp_path / "home"


@pytest.fixture
def default_settings(home: Path) -> Iterator[Settings]:
    """Settings without a file and without the environment."""
    yield load(home, environ={})
