"""GET /control, /control/allowed and /control/stream: who may ask, what is told, and that a stream goes on."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import gateway.control
from control.client import ControlClient
from control.commands import append
from eventlog import Record
from eventlog.sqlite import SqliteLog
from gateway.control import Control
from gateway.metrics import Metrics
from outpulse.settings import Settings
from tests.processes import answers, free_port, start, stop, wait_until
from tests.test_control import FailingLog, pause, resume, slow, suppress
from tests.test_gateway import SETTINGS, TOKEN, ask

QUESTION = {"campaign_id": "autumn", "sender": "ida@out.example", "recipient": "ada@firm.example"}
PATHS = ["/control", "/control/allowed", "/control/stream"]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FailingLog]:
    opened = FailingLog(tmp_path / "log")
    yield opened
    opened.close()


def allowed(log: SqliteLog, **changes: str) -> tuple[int, dict[str, Any]]:
    answer = ask(log, "GET", "/control/allowed", headers=TOKEN, params=QUESTION | changes)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_told(log: FailingLog, path: str) -> None:
    assert ask(log, "GET", path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert ask(log, "GET", path, headers=TOKEN, settings=Settings()).status_code == 403
    assert ask(log, "POST", path, headers=TOKEN).status_code == 405


def test_another_path_is_not_found(log: FailingLog) -> None:
    assert ask(log, "GET", "/control/other", headers=TOKEN).status_code == 404


def test_a_message_that_nothing_is_said_about_is_allowed(log: FailingLog) -> None:
    assert allowed(log) == (200, {"allowed": True, "reason": None, "pause_id": None, "share": 1.0})


def test_the_answer_is_that_of_the_client_in_python(log: FailingLog) -> None:
    command = pause("campaign:autumn,step:2")
    append(log, command, slow("campaign:autumn,variant:B", 0.5), suppress("c9"))
    client = ControlClient(log)

    assert allowed(log, step="2") == (
        200,
        {
            "allowed": False,
            "reason": "paused: campaign:autumn,step:2: a storm",
            "pause_id": command.id,
            "share": 0.0,
        },
    )
    for more in ({"variant": "B"}, {"variant": "B", "contact_id": "c1"}, {"contact_id": "c9"}, {"step": "1"}):
        decision = client.allowed(**QUESTION, **more)
        status, told = allowed(log, **more)
        assert status == 200
        assert told == {name: getattr(decision, name) for name in ("allowed", "reason", "pause_id", "share")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"campaign_id": ""}, "campaign_id is missing", id="empty"),
        pytest.param({"contact": "c1"}, "unknown parameter 'contact'", id="misspelt"),
        pytest.param({"channel": "fax"}, "channel 'fax', valid are email", id="unknown channel"),
    ],
)
def test_a_question_that_is_not_clear_is_refused(log: FailingLog, change: dict[str, str], told: str) -> None:
    status, answer = allowed(log, **change)

    assert status == 422
    assert told in answer["error"]


def test_while_the_log_cannot_be_read_the_answer_is_503_and_no(log: FailingLog) -> None:
    log.failure = OSError("gone")

    status, told = allowed(log)
    assert status == 503
    assert told == {"allowed": False, "reason": "unknown: OSError: gone", "pause_id": None, "share": 0.0}
    for path in ("/control", "/control/stream"):
        answer = ask(log, "GET", path, headers=TOKEN)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_what_holds_is_told_with_its_evidence(log: FailingLog) -> None:
    command = slow("sender:ida@out.example,domain:firm.example", 0.25)
    append(
        log, pause("all"), command, resume("all"), suppress("c1", "ada@firm.example"), suppress(None, "b@firm.example")
    )
    log.append("control", [Record(None, b"no command")])

    told = ask(log, "GET", "/control", headers=TOKEN).json()

    (held,) = told.pop("pauses")
    assert told == {"offset": 6, "suppressed": 2, "unusable": 1}
    assert held["scope"] == "sender:ida@out.example,domain:firm.example"
    assert (held["scope_kind"], held["scope_value"]) == ("sender,domain", "ida@out.example,firm.example")
    assert (held["id"], held["action"], held["send_share"], held["control_offset"]) == (command.id, "slow", 0.25, 2)
    whole = ask(log, "GET", "/control?suppressions=true", headers=TOKEN).json()
    assert [row["recipient"] for row in whole["suppressions"]] == ["ada@firm.example", "b@firm.example"]


# A real server


class Listener:
    """Reads server-sent events."""

    def __init__(self, port: int, last_id: str | None = None, timeout: float = 30) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        more = {"last-event-id": last_id} if last_id is not None else {}
        self.connection.request("GET", "/control/stream", headers=TOKEN | more)
        self.answer = self.connection.getresponse()

    def block(self) -> dict[str, str]:
        """The next event or comment, field by field; empty at the end of the stream."""
        found: dict[str, str] = {}
        for line in iter(self.answer.readline, b""):
            text = line.decode().rstrip("\n")
            if not text:
                return found
            name, _, value = text.partition(": ")
            found[name or "comment"] = value
        return found

    def event(self) -> tuple[str, str | None, Any]:
        """The next event: its name, id and data."""
        while "event" not in (found := self.block()):
            assert found, "the stream has ended"
        return found["event"], found.get("id"), json.loads(found["data"])

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Any, int, SqliteLog]]:
    port = free_port()
    process = start("gateway", "--home", str(tmp_path), "--port", str(port), env={"OUTPULSE_GATEWAY__TOKEN": "sesame"})
    wait_until(lambda: answers(port), what="the gateway")
    log = SqliteLog(tmp_path / "log")
    yield process, port, log
    log.close()
    if process.poll() is None:
        stop(process)


def test_a_listener_gets_what_holds_and_then_every_new_command(server: tuple[Any, int, SqliteLog]) -> None:
    process, port, log = server
    first, ended = pause("campaign:autumn"), pause("campaign:spring")
    append(log, first, ended, resume("campaign:spring"), *(suppress(f"c{n}") for n in range(1500)))
    listeners = [Listener(port) for _ in range(12)]
    for listener in listeners:
        assert listener.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        parts = [listener.event() for _ in range(2)]
        assert [(name, place, len(rows)) for name, place, rows in parts] == [
            ("suppressions", None, 1000),
            ("suppressions", None, 500),
        ]
        name, place, holds = listener.event()
        assert (name, place, holds["suppressed"]) == ("holds", "1503", 1500)
        assert [held["id"] for held in holds["pauses"]] == [first.id]

    began = time.monotonic()
    news = [slow("domain:firm.example", 0.5), resume("campaign:autumn"), suppress("c1", undo=True)]
    append(log, *news)
    for listener in listeners:
        told = [listener.event() for _ in news]
        assert [(name, place, data["id"]) for name, place, data in told] == [
            ("command", str(1504 + n), command.id) for n, command in enumerate(news)
        ]
    assert time.monotonic() - began < 5

    # The gateway ends although they go on listening, and tells them by ending the streams.
    began = time.monotonic()
    assert stop(process) == 0
    assert time.monotonic() - began < 8
    for listener in listeners:
        assert listener.block() == {}
        listener.close()


def test_a_listener_that_comes_back_gets_what_it_missed_and_nothing_twice(server: tuple[Any, int, SqliteLog]) -> None:
    _, port, log = server
    commands = [pause(f"campaign:c{n}") for n in range(700)]
    append(log, *commands)
    listener = Listener(port)
    assert listener.event()[1] == "700"
    listener.close()
    append(log, resume("campaign:c0"), pause("all"))
    log.append("control", [Record(None, b"no command")])
    append(log, resume("all"))

    again = Listener(port, last_id="700")
    told = [again.event() for _ in range(3)]
    assert [(name, place, data["action"]) for name, place, data in told] == [
        ("command", "701", "resume"), ("command", "702", "pause"), ("command", "704", "resume"),
    ]  # fmt: skip
    again.close()

    from_start = Listener(port, last_id="0")
    assert [from_start.event()[2]["id"] for _ in commands] == [command.id for command in commands]
    from_start.close()


@pytest.mark.parametrize("last_id", ["", "none", "-1", "99999999"])
def test_a_place_that_the_log_does_not_have_begins_anew(server: tuple[Any, int, SqliteLog], last_id: str) -> None:
    _, port, log = server
    append(log, pause("all"))
    listener = Listener(port, last_id=last_id)

    assert listener.event()[:2] == ("holds", "1")
    listener.close()


def test_a_silent_stream_gets_a_comment_every_15_seconds(log: FailingLog, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gateway.control.COMMENT_SECONDS == 15
    monkeypatch.setattr(gateway.control, "COMMENT_SECONDS", 0.1)
    parts: list[bytes] = []

    async def run() -> None:
        door, ending = Control(SETTINGS, log, Metrics()), asyncio.Event()

        async def receive() -> dict[str, Any]:
            await ending.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            parts.append(message.get("body", b""))
            if parts.count(b": nothing new\n\n") == 2:
                ending.set()

        headers = [(name.encode(), value.encode()) for name, value in TOKEN.items()]
        asked = {"type": "http", "method": "GET", "path": "/control/stream", "query_string": b"", "headers": headers}
        await asyncio.wait_for(door(asked, receive, send), 20)

    asyncio.run(run())

    assert parts.count(b": nothing new\n\n") >= 2


def test_the_server_answers_whether_a_message_may_be_sent(server: tuple[Any, int, SqliteLog]) -> None:
    _, port, log = server
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def asked() -> dict[str, Any]:
        connection.request("GET", f"/control/allowed?{urlencode(QUESTION)}", headers=TOKEN)
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found

    assert asked()["allowed"] is True
    append(log, pause("domain:firm.example"))
    time.sleep(0.25)
    assert asked()["allowed"] is False
    connection.close()
