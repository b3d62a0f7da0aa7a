"""Logging in to the real dashboard by a real OpenID provider, in a browser: who may act, who may look, who sees nothing."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from control.client import ControlClient
from control.commands import append, decide
from control.scopes import parse_scope
from eventlog.sqlite import SqliteLog
from schemas.events import CommandAction
from tests.browser import needs_chromium
from tests.dashboard_browser import PAGES, Seen, browser, looking, served
from tests.dashboard_lakes import event
from tests.lakes import land, works
from tests.processes import answers, free_port, stop, wait_until

pytestmark = [needs_chromium, pytest.mark.chromium]
SOON: Final = 30_000
PEOPLE: Final = {
    "operator": {"email": "Ida@brightloom.example", "email_verified": True},
    "viewer": {"email": "kofi@brightloom.example", "email_verified": True},
    "stranger": {"email": "eve@craneford.example", "email_verified": True},
    "impostor": {"email": "ida@brightloom.example", "email_verified": False},
}
"""Who has an account with the provider, by the name that they log in with."""
SECRETS: Final = ("spring-pilot", "ada@pinehall.example", "ruth@out.example", "9 of 61 bounced", "4,321")
"""What of the lake and the log stands on pages: a campaign, a recipient, a sender, a reason, a figure."""


class Provider:
    """An OpenID provider, and the dashboard that asks it."""

    def __init__(self, base: str, home: Path) -> None:
        self.base = base
        self.home = home

    def held(self) -> list[tuple[str, str]]:
        log = SqliteLog(self.home / "log")
        found = [(one.scope.text, one.command.decided_by) for one in ControlClient(log).holding().pauses]
        log.close()
        return found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of a provider: a process of its own, by https://pypi.org/project/oidc-provider-mock."""
    port = free_port()
    people = [f"--user-claims={json.dumps({'sub': name, **claims})}" for name, claims in PEOPLE.items()]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", *people],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port), what="the provider's start")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


@pytest.fixture(scope="module")
def provider(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    home = tmp_path_factory.mktemp("login") / "home"
    facts: dict[str, Any] = {
        "campaign_id": "spring-pilot",
        "recipient": "ada@pinehall.example",
        "sender": "ruth@out.example",
    }
    land(home, works([event(number, "delivered", **facts) for number in range(4321)], [5000]))
    log = SqliteLog(home / "log")
    scope = parse_scope("campaign:spring-pilot")
    append(log, decide(CommandAction.PAUSE, scope, by="guard", why="9 of 61 bounced"))
    log.close()
    port = free_port()
    (home / "dashboard-login.toml").write_text(f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "a long random text for tests, and for tests alone"
client_id = "outpulse"
client_secret = "for tests"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
""")
    environment = {
        "OUTPULSE_DASHBOARD__LOGIN": "true",
        "OUTPULSE_DASHBOARD__OPERATORS": '["ida@brightloom.example"]',
        "OUTPULSE_DASHBOARD__VIEWERS": '["@brightloom.example"]',
    }
    with served(home, port, **environment) as base:
        yield Provider(base, home)


@pytest.fixture
def seen(chromium: Browser, provider: Provider) -> Iterator[Seen]:
    with looking(chromium, provider.base) as found:
        # The provider's own pages have a style sheet of another machine.
        answer = {"body": "", "content_type": "text/css", "headers": {"Access-Control-Allow-Origin": "*"}}
        found.page.context.route(re.compile("^https:"), lambda route: route.fulfill(**answer))
        yield found
        assert found.errors == []


def go(page: Page, base: str, address: str) -> Page:
    page.goto(f"{base}/{address}", wait_until="domcontentloaded")
    return page


def log_in(page: Page, base: str, name: str) -> Page:
    """A page after somebody has logged in with the provider."""
    go(page, base, "").get_by_role("button", name="Log in").click(timeout=SOON)
    page.wait_for_url("**/oauth2/authorize?**", timeout=SOON)
    page.get_by_role("button", name=name, exact=True).first.click()
    page.wait_for_url(f"{base}/**", timeout=SOON)
    return page


def told_of(page: Page) -> list[bytes]:
    """Whatever the server sends to the page from now on, pages and messages."""
    found: list[bytes] = []

    def heard(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: found.append(frame if isinstance(frame, bytes) else frame.encode()))

    page.on("websocket", heard)
    return found


def leaks(page: Page, told: list[bytes]) -> list[str]:
    everything = b"".join(told) + page.content().encode()
    return [secret for secret in SECRETS if secret.encode() in everything]


def test_an_operator_may_pause_and_stands_under_it(seen: Seen, provider: Provider) -> None:
    page = log_in(seen.page, provider.base, "operator")
    page.locator(".head h1", has_text="Overview").wait_for(timeout=SOON)
    expect(page.get_by_text("ida@brightloom.example · operator")).to_be_visible(timeout=SOON)

    seen.open("deliverability")
    page.get_by_text("Pause something yourself").click()
    page.get_by_label("Name").fill("autumn")
    page.locator(".st-key-pause_why").get_by_label("Reason").fill("wrong prices")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("campaign:autumn").first).to_be_visible(timeout=SOON)

    assert ("campaign:autumn", "ida@brightloom.example") in provider.held()


def test_a_viewer_sees_the_figures_and_finds_no_way_to_act(seen: Seen, provider: Provider) -> None:
    before = provider.held()
    page = log_in(seen.page, provider.base, "viewer")
    expect(page.get_by_text("kofi@brightloom.example · viewer")).to_be_visible(timeout=SOON)
    told = told_of(page)
    seen.open("deliverability")
    expect(page.get_by_text("9 of 61 bounced").first).to_be_visible(timeout=SOON)

    expect(page.get_by_text("You may look. To pause, resume or correct")).to_be_visible(timeout=SOON)
    for name in ("Pause", "Resume", "Keep"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    assert "spring-pilot" in leaks(page, told)  # so that the test of strangers would find it
    assert provider.held() == before


@pytest.mark.parametrize("address", PAGES)
def test_who_has_not_logged_in_gets_neither_figures_nor_names(seen: Seen, provider: Provider, address: str) -> None:
    told = told_of(seen.page)
    page = go(seen.page, provider.base, address)

    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=SOON)
    page.wait_for_timeout(1500)
    assert told
    assert leaks(page, told) == []
    expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)


@pytest.mark.parametrize("name", ["stranger", "impostor"])
def test_who_is_neither_operator_nor_viewer_gets_neither_figures_nor_names(
    seen: Seen, provider: Provider, name: str
) -> None:
    told = told_of(seen.page)
    page = log_in(seen.page, provider.base, name)
    for address in ("", "campaign", "deliverability", "sql"):
        go(page, provider.base, address)
        expect(page.get_by_text("and may not look")).to_be_visible(timeout=SOON)
        page.wait_for_timeout(800)
        assert leaks(page, told) == []
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)


def test_who_logs_out_sees_nothing_any_more(seen: Seen, provider: Provider) -> None:
    page = log_in(seen.page, provider.base, "viewer")
    page.locator(".head h1", has_text="Overview").wait_for(timeout=SOON)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log out")).to_have_count(0, timeout=SOON)
    page.wait_for_timeout(500)

    told = told_of(page)
    go(page, provider.base, "deliverability")
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=SOON)
    assert leaks(page, told) == []


def test_who_is_refused_by_the_provider_comes_back_to_the_login(seen: Seen, provider: Provider) -> None:
    page = go(seen.page, provider.base, "")
    page.get_by_role("button", name="Log in").click(timeout=SOON)
    page.wait_for_url("**/oauth2/authorize?**", timeout=SOON)
    page.get_by_role("button", name="Deny").click()

    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=SOON)
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_a_cookie_that_is_made_up_lets_nobody_in(chromium: Browser, provider: Provider) -> None:
    with looking(chromium, provider.base) as found:
        claims = json.dumps({"is_logged_in": True, "email": "ida@brightloom.example", "origin": provider.base})
        for name in ("_streamlit_user", "_streamlit_user_tokens"):
            found.page.context.add_cookies([{"name": name, "value": claims, "url": provider.base}])
        told = told_of(found.page)
        page = go(found.page, provider.base, "deliverability")
        expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=SOON)
        assert leaks(page, told) == []
