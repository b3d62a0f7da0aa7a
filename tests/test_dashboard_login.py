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
from tests.processes import run


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
    ("claims", "may_look", "may_act"),
    [
        pytest.param(
            {"email": "Ida@Brightloom.example", "email_verified": True}, True, True, id="an operator, in any case"
        ),
        pytest.param({"email": "ida@brightloom.example"}, True, True, id="an operator of a provider that says no more"),
        pytest.param(
            {"email": "kofi@craneford.example", "email_verified": True}, True, False, id="a viewer by address"
        ),
        pytest.param({"email": "ada@Pinehall.example", "email_verified": "true"}, True, False, id="a viewer by domain"),
        pytest.param({"email": "eve@craneford.example", "email_verified": True}, False, False, id="a stranger"),
        pytest.param({"email": "eve@pinehall.example@craneford.example"}, False, False, id="a domain in the middle"),
        pytest.param({"email": "eve@notpinehall.example"}, False, False, id="a domain that ends alike"),
        pytest.param({"email": "ida@brightloom.example", "email_verified": False}, False, False, id="not verified"),
        pytest.param(
            {"email": "ida@brightloom.example", "email_verified": "false"}, False, False, id="not verified, as text"
        ),
        pytest.param(
            {"sub": "ida@brightloom.example"}, False, False, id="a name of one's own that looks like an address"
        ),
        pytest.param({"sub": "4711"}, False, False, id="no address"),
        pytest.param({"email": "@pinehall.example"}, False, False, id="nobody at a domain"),
        pytest.param({"email": "*"}, False, False, id="a star is no address"),
    ],
)
def test_only_operators_may_act_and_only_viewers_look(
    home: Path, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], *, may_look: bool, may_act: bool
) -> None:
    told(monkeypatch, is_logged_in=True, **claims)
    viewers = ["Kofi@craneford.example", "@pinehall.example"]

    who = viewer(source_of(home, login=True, operators=["ida@brightloom.example"], viewers=viewers))

    assert who is not None
    assert (who.may_look, who.may_act) == (may_look, may_act)


def test_whoever_the_provider_lets_in_may_look_when_it_is_so_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, is_logged_in=True, sub="4711")

    who = viewer(source_of(home, login=True, viewers=["*"]))

    assert who is not None
    assert (who.name, who.may_look, who.may_act) == ("4711", True, False)


def test_other_machines_are_not_served_without_a_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_DASHBOARD__HOST", "0.0.0.0")

    with pytest.raises(SettingsError, match=r"without \[dashboard\] login only 127\.0\.0\.1"):
        run_dashboard(open_home(str(home)), port=None)


WHOLE = """[auth]
redirect_uri = "https://pulse.example.com/oauth2callback"
cookie_secret = "hush"
client_id = "outpulse"
client_secret = "hush"
server_metadata_url = "https://login.example.com/.well-known/openid-configuration"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(None, "dashboard-login.toml: No such file", id="no file"),
        pytest.param("[auth\n", "not valid TOML", id="not TOML"),
        pytest.param(
            "", "lacks redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url", id="empty"
        ),
        pytest.param("auth = 3", "lacks redirect_uri", id="no section"),
        pytest.param(WHOLE.replace("client_secret", "secret"), "lacks client_secret in", id="a name that is wrong"),
        pytest.param(WHOLE.replace('"outpulse"', '""'), "lacks client_id in", id="an empty value"),
    ],
)
def test_a_login_without_a_whole_provider_is_one_clear_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, told: str
) -> None:
    monkeypatch.setenv("OUTPULSE_DASHBOARD__LOGIN", "true")
    home.mkdir()
    if text is not None:
        (home / "dashboard-login.toml").write_text(text)

    with pytest.raises(SettingsError) as caught:
        run_dashboard(open_home(str(home)), port=None)
    assert told in str(caught.value)
    assert "hush" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_login_without_its_libraries_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_DASHBOARD__LOGIN", "true")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "httpx" else object())

    with pytest.raises(SettingsError, match=r"pip install 'outpulse\[login\]'"):
        run_dashboard(open_home(str(home)), port=None)


@pytest.mark.parametrize(
    ("text", "operators", "state", "found"),
    [
        pytest.param(None, "", "fault", "dashboard-login.toml: No such file", id="no provider"),
        pytest.param(WHOLE, "", "warn", "a login is set, and nobody may pause or correct", id="no operators"),
        pytest.param(WHOLE, '["ida@brightloom.example"]', "good", "a login is set, 1 operators", id="whole"),
    ],
)
def test_doctor_looks_at_the_login(home: Path, text: str | None, operators: str, state: str, found: str) -> None:
    home.mkdir()
    if text is not None:
        (home / "dashboard-login.toml").write_text(text)
    env = {"OUTPULSE_DASHBOARD__LOGIN": "true", **({"OUTPULSE_DASHBOARD__OPERATORS": operators} if operators else {})}

    outcome = run("doctor", "--json", "--home", str(home), env=env)

    (line,) = [row for row in msgspec.json.decode(outcome.stdout) if row["check"] == "dashboard"]
    assert (line["state"], found in line["found"]) == (state, True)
    assert "hush" not in outcome.stdout
