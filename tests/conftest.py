"""Fixtures that several test files share; Hypothesis profiles."""

import os
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


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    return tmp_path / "home"


@pytest.fixture
def default_settings(home: Path) -> Settings:
    """Settings without a file and without the environment."""
    return load(home, environ={})
