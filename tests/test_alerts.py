"""Alerts reach people: real mail and HTTP servers, dead and slow ones, `kill -9`, and what the tables say of it."""

import io
import json
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control.commands import append, decide, decide_on_person
from control.scopes import parse_scope
from eventlog import Record
from eventlog.sqlite import SqliteLog
from gateway.silence import alert_of
from outpulse.home import Home
from outpulse.settings import AlertsSettings, AlertTarget, Settings
from outpulse.supervise import parts_of
from schemas.events import CommandAction, ResultRow, Stream
from sinks.alerts.courier import FIRST_LOOK_SECONDS, Courier
from sinks.alerts.outbox import FILE, Outbox, states
from tests.alert_servers import Hook, hook, mail_server
from tests.lakes import rows
from tests.processes import free_port, kill, run, start, stop, wait_until
from tests.test_pauses import land_log

ROWS = "SELECT title, target, severity, status, attempts FROM alerts WHERE target IS NOT NULL ORDER BY title, target"
QUICK: dict[str, Any] = {"retry_seconds": (0.1, 0.2, 0.3), "flood_alerts": 1000, "timeout_seconds": 10.0}


def send(home: Path, action: str, scope: str = "campaign:a", why: str = "a test") -> None:
    log = SqliteLog(home / "log")
    append(log, decide(CommandAction(action), parse_scope(scope), by="ida", why=why, send_share=0.2))
    log.close()


def settings_of(targets: dict[str, str | AlertTarget], **changes: Any) -> AlertsSettings:
    made = {name: AlertTarget(url=target) if isinstance(target, str) else target for name, target in targets.items()}
    return AlertsSettings(targets=made, **(QUICK | changes))


@contextmanager
def telling(home: Path, targets: dict[str, str | AlertTarget], **changes: Any) -> Iterator[None]:
    """The part, in this process, until the block ends."""
    log = SqliteLog(home / "log")
    outbox = Outbox(home / FILE)
    stopping = threading.Event()
    courier = Courier(log, outbox, settings_of(targets, **changes))
    thread = threading.Thread(target=courier.run, args=(stopping,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)
        assert not thread.is_alive()
        outbox.close()
        log.close()


def environ_of(targets: dict[str, str], **settings: Any) -> dict[str, str]:
    """Settings of a process, as variables."""
    found = {f"OUTPULSE_ALERTS__TARGETS__{name.upper()}__URL": url for name, url in targets.items()}
    return found | {f"OUTPULSE_ALERTS__{name.upper()}": json.dumps(value) for name, value in settings.items()}


def is_done(home: Path, name: str) -> bool:
    found = states(home / FILE).get(name)
    return found is not None and found.waiting == 0 and found.sent + found.failed > 0


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: it is bound, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def test_a_pause_reaches_a_mailbox_and_a_webhook_and_stands_in_the_table(home: Path) -> None:
    with mail_server() as mails, hook() as web:
        with telling(home, {"mail": mails.url, "web": web.url}):
            send(home, "pause", "sender:ida@out.example,domain:firm.example", why="bounce storm")
            wait_until(lambda: bool(mails.got and web.bodies), 15, "the alert")
        land_log(home)

    title = "Paused: sender:ida@out.example,domain:firm.example"
    ((to, subject, text),) = mails.got
    assert (to, subject) == ("ops@firm.example", title)
    assert "Why: bounce storm" in text
    assert "What to do: " in text
    assert [(body["title"], body["type"]) for body in web.bodies] == [(title, "failure")]
    assert rows(home, ROWS) == [
        (title, "mail mailto://***", "critical", "sent", 1),
        (title, "web json://***", "critical", "sent", 1),
    ]
    assert rows(home, "SELECT count(*) FROM alerts JOIN pauses ON pauses.id = alerts.pause_id") == [(2,)]
    assert rows(home, "SELECT count(*) FROM alerts WHERE sent_at IS NULL") == [(0,)]


def test_who_got_the_pause_gets_the_resumption_though_it_is_below_the_severity(home: Path) -> None:
    with hook() as web, hook() as other:
        critical = AlertTarget(url=web.url, severity="critical", kinds=["pause"])
        with telling(home, {"web": critical, "other": AlertTarget(url=other.url, kinds=["warn"])}):
            send(home, "pause")
            send(home, "resume")
            send(home, "resume", "campaign:never-paused")
            send(home, "warn", "campaign:b")
            wait_until(lambda: len(web.bodies) == 2 and len(other.bodies) == 1, 15, "both")
            time.sleep(0.5)
    assert web.titles == ["Paused: campaign:a", "Resumed: campaign:a"]
    assert other.titles == ["Warning: campaign:b"]


def test_suppressions_and_what_is_no_command_are_not_told_and_their_neighbours_are(home: Path) -> None:
    log = SqliteLog(home / "log")
    person = {"contact_id": "c1", "recipient": "p@firm.example", "channel": "all", "by": "ida", "why": "asked"}
    append(log, decide_on_person(CommandAction.SUPPRESS, **person))
    log.append(
        Stream.CONTROL, [Record(None, b"{"), Record(None, b'{"id":"x","action":"pause"}'), Record(None, b"\xff")]
    )
    log.append(Stream.RESULTS, [Record(None, b"{"), Record(None, b'{"table":"alerts","row":{"status":"pending"}}')])
    log.close()
    send(home, "warn")
    with hook() as web, telling(home, {"web": web.url}):
        wait_until(lambda: bool(web.bodies), 15, "the alert")
        time.sleep(0.5)
    assert web.titles == ["Warning: campaign:a"]


def test_an_alert_of_another_part_is_told_and_its_row_is_no_longer_pending(home: Path) -> None:
    alert = alert_of("sendgrid", 200, 60, int(time.time()) // 60)
    log = SqliteLog(home / "log")
    row = msgspec.json.encode(ResultRow(table="alerts", row=msgspec.to_builtins(alert)))
    log.append(Stream.RESULTS, [Record(alert.id.bytes, row)])
    log.close()
    with hook() as web, mail_server() as mails:
        with telling(home, {"web": web.url, "mail": mails.url}):
            wait_until(lambda: is_done(home, "web") and is_done(home, "mail"), 15, "the alert")
        land_log(home)
    assert web.titles == ["sendgrid has gone silent"]
    assert web.bodies[0]["message"] == alert.body
    assert rows(home, f"SELECT id = '{alert.id}'::UUID, target, status FROM alerts ORDER BY ALL") == [
        (False, "mail mailto://***", "sent"),
        (False, "web json://***", "sent"),
        (True, None, "sent"),
    ]


def test_a_target_that_refuses_is_given_up_after_the_last_try_and_everybody_sees_it(
    home: Path, closed_port: int
) -> None:
    url = f"json://127.0.0.1:{closed_port}/hush-token"
    send(home, "pause")
    with telling(home, {"web": url}):
        wait_until(lambda: is_done(home, "web"), 15, "giving up")
    land_log(home)

    assert rows(home, ROWS) == [("Paused: campaign:a", "web json://***", "critical", "failed", 4)]
    status = run("status", "--json", "--home", str(home), env=environ_of({"web": url}))
    (line,) = [row for row in json.loads(status.stdout) if row["what"] == "alerts to web"]
    assert (line["state"], line["lag"]) == ("failed", 0)
    assert "connection refused" in line["detail"]
    doctor = run("doctor", "--json", "--home", str(home), env=environ_of({"web": url}))
    (line,) = [row for row in json.loads(doctor.stdout) if row["check"] == "alerts"]
    assert (line["state"], doctor.returncode) == ("fault", 1)
    assert "connection refused" in line["found"]
    assert "hush" not in status.stdout + doctor.stdout + status.stderr + doctor.stderr


def test_a_target_that_fails_twice_gets_the_alert_at_the_third_try(home: Path) -> None:
    send(home, "pause")
    with hook(lambda number: (0, 500 if number < 3 else 200)) as web, telling(home, {"web": web.url}):
        wait_until(lambda: is_done(home, "web"), 15, "the third try")
    land_log(home)
    assert (web.requests, web.titles) == (3, ["Paused: campaign:a"])
    assert rows(home, ROWS) == [("Paused: campaign:a", "web json://***", "critical", "sent", 3)]


def test_the_pauses_between_tries_are_those_of_the_settings(home: Path) -> None:
    seen: list[float] = []

    def behaviour(_number: int) -> tuple[float, int]:
        seen.append(time.monotonic())
        return 0, 500

    send(home, "pause")
    with hook(behaviour) as web, telling(home, {"web": web.url}, retry_seconds=(0.5, 1.5)):
        wait_until(lambda: is_done(home, "web"), 15, "giving up")
    assert len(seen) == 3
    assert 0.5 <= seen[1] - seen[0] < 1.5 <= seen[2] - seen[1]


def test_a_dead_and_a_slow_target_do_not_delay_the_others(home: Path, closed_port: int) -> None:
    with hook(lambda _: (30, 200)) as slow, hook() as web:
        targets: dict[str, str | AlertTarget] = {
            "dead": f"json://127.0.0.1:{closed_port}",
            "slow": slow.url + "?rto=60",
            "odd": "nonsense://hush",
            "web": web.url,
        }
        with telling(home, targets, timeout_seconds=2.0):
            for number in range(5):
                send(home, "pause", f"campaign:{number}")
            began = time.monotonic()
            wait_until(lambda: len(web.bodies) == 5, 10, "five alerts")
            assert time.monotonic() - began < 5
            wait_until(lambda: is_done(home, "odd"), 5, "giving up what is no URL")


def test_a_target_that_takes_long_gets_the_alert_once(home: Path) -> None:
    send(home, "pause")
    with hook(lambda _: (1.5, 200)) as slow:
        with telling(home, {"slow": slow.url}, timeout_seconds=1.0, retry_seconds=(1.0, 1.0)):
            wait_until(lambda: is_done(home, "slow"), 15, "the answer")
        land_log(home)
    assert slow.titles == ["Paused: campaign:a"]
    assert rows(home, ROWS) == [("Paused: campaign:a", "slow json://***", "critical", "sent", 2)]


def test_repeats_are_told_once_with_a_count_and_a_flood_is_one_summary(home: Path) -> None:
    for number in range(3):
        send(home, "warn", why=f"reason {number}")
    for number in range(20):
        send(home, "pause", f"campaign:{number}")
    with hook() as web, telling(home, {"web": web.url}, flood_alerts=10):
        wait_until(lambda: is_done(home, "web"), 15, "the alerts")
    land_log(home)
    assert web.titles == ["Warning: campaign:a (3 times)", "20 alerts: 20 pauses"]
    assert rows(home, "SELECT count(*), count(DISTINCT id), min(status), max(status) FROM alerts") == [
        (23, 23, "sent", "sent")
    ]


def test_a_resumption_waits_for_the_pause_that_is_tried_again(home: Path) -> None:
    send(home, "pause")
    only_once = {"retry_seconds": (2.0,)}
    with hook(lambda number: (0, 500 if number == 1 else 200)) as web, telling(home, {"web": web.url}, **only_once):
        wait_until(lambda: web.requests == 1, 10, "the first try")
        send(home, "resume")
        wait_until(lambda: len(web.bodies) == 2, 15, "both")
    assert web.titles == ["Paused: campaign:a", "Resumed: campaign:a"]


def test_what_was_decided_long_before_the_first_start_is_not_told(home: Path) -> None:
    send(home, "pause")
    log = SqliteLog(home / "log")
    outbox = Outbox(home / FILE)
    later = time.time() + FIRST_LOOK_SECONDS + 60
    courier = Courier(log, outbox, settings_of({"web": "json://127.0.0.1"}), clock=lambda: later)
    courier.step()
    assert outbox.waiting("web") == []
    assert outbox.next("web", later) is None
    outbox.close()
    log.close()


def test_alerts_to_a_target_that_is_no_longer_set_are_given_up(home: Path, closed_port: int) -> None:
    send(home, "pause")
    with telling(home, {"web": f"json://127.0.0.1:{closed_port}"}, retry_seconds=(100.0,)):
        wait_until(lambda: (home / FILE).exists() and "web" in states(home / FILE), 15, "the try")
    with hook() as other, telling(home, {"other": other.url}):
        send(home, "warn", "campaign:b")
        wait_until(lambda: is_done(home, "other"), 15, "the other")
    land_log(home)
    assert other.titles == ["Warning: campaign:b"]
    assert ("Paused: campaign:a", "failed") in rows(home, "SELECT title, status FROM alerts")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a log at debug level gets; pytest's own would also take what its writers keep to themselves."""
    found, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(found), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.setLevel(level)
    root.removeHandler(handler)


def test_secrets_are_nowhere(
    home: Path, closed_port: int, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    send(home, "pause")
    with hook(lambda _: (0, 500)) as bad:
        targets: dict[str, str | AlertTarget] = {
            "bad": bad.url + "?hush=hush",
            "dead": f"mailto://hush:hush@127.0.0.1:{closed_port}?from=hush@out.example&to=hush@firm.example",
            "odd": "slack://hush",
        }
        with telling(home, targets):
            wait_until(lambda: all(is_done(home, name) for name in targets), 15, "giving up")
    land_log(home)

    assert "an alert to bad (json://***) was not sent, attempt 4: answered 500; given up" in logged.getvalue()
    assert "hush" not in logged.getvalue() + "".join(capfd.readouterr())
    assert "hush" not in str(rows(home, "SELECT * FROM alerts"))
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"hush" in path.read_bytes()] == []
    assert "hush" not in repr(settings_of(targets)) + repr(Settings(alerts=settings_of(targets)))


def test_an_outbox_that_cannot_be_written_is_told_and_nothing_is_lost(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hook() as web, telling(home, {"web": web.url}):
        with sqlite3.connect(home / FILE) as connection:
            connection.execute("ALTER TABLE sendings RENAME TO gone")
        send(home, "pause")
        wait_until(lambda: "alerts wait" in caplog.text, 15, "the fault")
        with sqlite3.connect(home / FILE) as connection:
            connection.execute("ALTER TABLE gone RENAME TO sendings")
        connection.close()
        wait_until(lambda: bool(web.bodies), 20, "the alert")
    assert web.titles == ["Paused: campaign:a"]


def test_alert_test_sends_one_to_each_target_and_fails_when_one_does(home: Path, closed_port: int) -> None:
    with hook() as web, mail_server() as mails, hook(lambda _: (30, 200)) as slow:
        good = environ_of({"web": web.url, "mail": mails.url})
        done = run("alert", "test", "--home", str(home), env=good)
        assert (done.returncode, sorted(done.stdout.splitlines())) == (
            0,
            ["mail mailto://***: sent", "web json://***: sent"],
        )
        bad = environ_of(
            {"web": web.url, "dead": f"json://127.0.0.1:{closed_port}/hush", "odd": "x://hush", "slow": slow.url},
            timeout_seconds=2,
        )
        done = run("alert", "test", "--home", str(home), "--debug", env=bad)
    assert (done.returncode, sorted(done.stdout.splitlines())) == (
        1,
        [
            "dead json://***: failed: connection refused",
            "odd x://***: failed: no URL that Apprise takes",
            "slow json://***: failed: no answer within 2 s",
            "web json://***: sent",
        ],
    )
    assert "hush" not in done.stdout + done.stderr
    assert web.titles == ["Outpulse: a test alert"] * 2
    assert len(mails.got) == 1


@pytest.mark.parametrize("verb", [["alerts"], ["alert", "test"]], ids=["alerts", "alert test"])
def test_without_a_target_one_line_says_what_to_set(verb: list[str], home: Path) -> None:
    done = run(*verb, "--home", str(home))
    assert done.returncode == 1
    assert "[alerts.targets.NAME] url" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_up_starts_the_part_only_where_targets_are_set(home: Path) -> None:
    def names(settings: Settings, *, demo: bool = False) -> list[str]:
        return [part.name for part in parts_of(Home(home, settings), dashboard=False, demo=demo)]

    some = Settings(alerts=settings_of({"web": "json://127.0.0.1"}))
    assert ("alerts" in names(some), "alerts" in names(Settings()), "alerts" in names(some, demo=True)) == (
        True,
        False,
        False,
    )


def test_apprise_is_imported_only_where_it_is_used() -> None:
    script = (
        "import sys, outpulse.cli, outpulse.alerting, outpulse.health, outpulse.supervise, sinks.alerts.outbox;"
        "print('apprise' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def part(home: Path, web: Hook) -> "subprocess.Popen[bytes]":
    settings = {"flood_alerts": 1000, "retry_seconds": [0.2, 0.5, 1, 2, 5]}
    return start("alerts", "--home", str(home), env=environ_of({"web": web.url}, **settings))


def test_a_second_part_on_one_home_is_refused(home: Path) -> None:
    with hook() as web:
        first = part(home, web)
        wait_until((home / FILE).exists, 30, "the first")
        done = run("alerts", "--home", str(home), env=environ_of({"web": web.url}))
        assert (done.returncode, "already runs" in done.stderr) == (1, True)
        status = run("status", "--json", "--home", str(home), env=environ_of({"web": web.url}))
        assert [row["state"] for row in json.loads(status.stdout) if row["what"] == "alerts"] == ["running"]
        assert stop(first) == 0


@pytest.mark.crash
def test_killed_between_sending_and_noting_it_is_sent_once_more_and_no_more(home: Path) -> None:
    port = free_port()
    with hook(lambda number: (60 if number == 1 else 0, 200), port) as web:
        send(home, "pause")
        first = part(home, web)
        wait_until(lambda: web.requests == 1, 30, "the first request")
        kill(first)
        first.wait()
        second = part(home, web)
        wait_until(lambda: is_done(home, "web"), 30, "the second request")
        time.sleep(1)
        assert stop(second) == 0
    land_log(home)
    assert web.requests == 2
    assert [row[3] for row in rows(home, ROWS)] == ["sent"]


@pytest.mark.crash
def test_killed_at_any_instant_every_alert_is_sent_and_at_most_one_more_for_each_kill(home: Path) -> None:
    kills, alerts = 8, 60
    with hook(lambda _: (0.02, 200)) as web:
        process = part(home, web)
        for number in range(alerts):
            send(home, ("pause", "warn")[number % 2], f"campaign:{number}")
            if number % (alerts // kills) == 3:
                time.sleep(1.2 + number % 7 * 0.13)
                kill(process)
                process.wait()
                process = part(home, web)
        wait_until(lambda: len(set(web.titles)) == alerts, 60, "all alerts")
        wait_until(lambda: is_done(home, "web"), 30, "the last note")
        time.sleep(1)
        assert stop(process) == 0
    land_log(home)
    assert alerts <= len(web.titles) <= alerts + kills
    assert rows(home, "SELECT count(*), count(DISTINCT id), min(status), max(status) FROM alerts") == [
        (alerts, alerts, "sent", "sent")
    ]
