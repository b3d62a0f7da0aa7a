"""`outpulse provider`, and what `status` and `doctor` say of providers."""

import json
from pathlib import Path
from typing import Any

import httpx

from adapters import REGISTRY
from adapters.guides import GUIDES
from gateway.arrivals import FILE, KEEP_MINUTES, Arrivals, arrived
from outpulse.settings import ProviderSettings
from tests.processes import answers, free_port, run, start, stop, wait_until


def test_every_provider_has_a_guide_with_settings_that_exist() -> None:
    assert list(GUIDES) == list(REGISTRY)
    for guide in GUIDES.values():
        assert set(guide.secrets) <= set(ProviderSettings.__struct_fields__)
        assert len(guide.events) >= 6


def shown(home: Path, name: str, **env: str) -> dict[str, Any]:
    outcome = run("provider", name, "--json", "--home", str(home), env=env)
    assert outcome.returncode == 0, outcome.stderr
    (row,) = json.loads(outcome.stdout)
    return dict(row)


def test_a_guide_shows_url_setting_and_events_and_never_the_secret(tmp_path: Path) -> None:
    row = shown(tmp_path, "sendgrid", OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS='["s3cret"]')

    assert row["url"] == "http://127.0.0.1:8080/webhooks/sendgrid"
    assert row["secret_settings"] == ["[providers.sendgrid] public_keys"]
    assert row["secret_is_set"] is True
    assert "Delivered" in row["events"]
    assert "s3cret" not in json.dumps(row)


def test_a_guide_knows_the_public_url_and_that_a_secret_is_missing(tmp_path: Path) -> None:
    row = shown(tmp_path, "mandrill", OUTPULSE_GATEWAY__PUBLIC_URL="https://hooks.example/")

    assert (row["url"], row["secret_is_set"]) == ("https://hooks.example/webhooks/mandrill", False)


def test_an_unknown_provider_is_one_clear_line(tmp_path: Path) -> None:
    outcome = run("provider", "nobody", "--home", str(tmp_path))

    assert outcome.returncode == 1
    assert outcome.stderr.startswith("outpulse provider: unknown provider 'nobody'; valid are brevo, mailersend")


def test_status_and_doctor_tell_what_arrived_and_what_was_refused(tmp_path: Path) -> None:
    port = free_port()
    env = {"OUTPULSE_GATEWAY__PORT": str(port), "OUTPULSE_PROVIDERS__POSTMARK__BASIC_AUTH": '["a:b"]'}
    gateway = start("gateway", "--home", str(tmp_path), env=env)
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        url = f"http://127.0.0.1:{port}/webhooks/postmark"
        codes = [httpx.post(url, content=b"{}", auth=auth).status_code for auth in (("a", "b"), ("a", "b"), ("a", "c"))]
        assert codes == [204, 204, 401]
    finally:
        assert stop(gateway) == 0
    rows = json.loads(run("status", "--json", "--home", str(tmp_path)).stdout)
    found = {row["state"]: (row["lag"], row["detail"]) for row in rows if row["what"] == "provider postmark"}

    assert found["arrives"] == (2, "requests stored in the last hour")
    assert found["refused"] == (1, "the Authorization header is missing or wrong")
    checks = {row["check"]: row for row in json.loads(run("doctor", "--json", "--home", str(tmp_path)).stdout)}
    assert checks["arrivals"]["state"] == "warn"
    assert "postmark: 1 times the Authorization header" in checks["arrivals"]["found"]


def test_a_flood_of_refusals_is_kept_small_and_old_ones_go(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path / FILE)
    for n in range(5000):
        arrivals.count("resend", f"the signature is stale: {n} s old")
        arrivals.count("resend", f"reason {chr(97 + n % 26)}{chr(97 + n // 26 % 26)} {chr(97 + n // 676)}")
    arrivals.close()
    found = {one.outcome: one.requests for one in arrived(tmp_path / FILE, 60)}

    assert found["the signature is stale: N s old"] == 5000
    assert sum(found.values()) == 10_000
    assert len(found) < 1_000
    assert KEEP_MINUTES > 7 * 1440


def test_doctor_tells_a_mailbox_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "outpulse.toml").write_text(
        '[mailbox]\nhost = "127.0.0.1"\nport = 1\ntls = "none"\nuser = "a"\npassword = "b"\n'
    )
    checks = {row["check"]: row for row in json.loads(run("doctor", "--json", "--home", str(tmp_path)).stdout)}

    assert checks["mailboxes"]["state"] == "fault"
    assert checks["mailboxes"]["mend"] == "check [mailbox] host and port"


def test_a_guide_for_people_has_a_line_each_that_is_never_broken(tmp_path: Path) -> None:
    outcome = run("provider", "ses", "--home", str(tmp_path), env={"COLUMNS": "40"})

    lines = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    assert lines["url"] == "http://127.0.0.1:8080/webhooks/ses"
    assert lines["events"].endswith("Delivery delay, Subscription")
