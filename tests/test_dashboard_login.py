"""Who may look and who may act."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import streamlit as st

from dashboards.people import viewer
from dashboards.process import Source
from outpulse.home import open_home
from outpulse.parts import run_dashboard
from outpulse.settings import DashboardSettings
from schemas.failures import SettingsError


def source_of(home: Path, **chosen: Any) -> Source:
    found = Source(home)
    dashboard = DashboardSettings(**chosen)
    found._settings = msgspec.structs.replace(found.settings, dashboard=dashboard)
    return found


def told(monkeypatch: pytest.MonkeyPatch, **claims: Any) -> None:
    """What the provider says of who looks."""
    monkeypatch.setattr(st, "user", claims)


def test_without_a_login_whoever_uses_this_machine_may_act(home: Path) -> None:
    who = viewer(source_of(home))

    assert who is not None
    assert who.may_act
    assert who.name


def test_nobody_looks_before_they_have_logged_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, is_logged_in=False)

    assert viewer(source_of(home, login=True, operators=["ida@brightloom.example"])) is None


@pytest.mark.parametrize(
    ("claims", "may_act"),
    [
        pytest.param({"email": "Ida@Brightloom.example", "email_verified": True}, True, id="an operator, in any case"),
        pytest.param({"email": "kofi@brightloom.example", "email_verified": True}, False, id="a viewer"),
        pytest.param({"email": "ida@brightloom.example", "email_verified": False}, False, id="not verified"),
        pytest.param({"sub": "4711"}, False, id="no address"),
    ],
)
def test_only_operators_may_act(
    home: Path, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], *, may_act: bool
) -> None:
    told(monkeypatch, is_logged_in=True, **claims)

    who = viewer(source_of(home, login=True, operators=["ida@brightloom.example"]))

    assert who is not None
    assert who.may_act is may_act


def test_other_machines_are_not_served_without_a_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_DASHBOARD__HOST", "0.0.0.0")

    with pytest.raises(SettingsError, match=r"without \[dashboard\] login only 127\.0\.0\.1"):
        run_dashboard(open_home(str(home)), port=None)


def test_a_login_without_a_provider_is_one_clear_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_DASHBOARD__LOGIN", "true")

    with pytest.raises(SettingsError, match=r"Authlib|dashboard-login\.toml"):
        run_dashboard(open_home(str(home)), port=None)
