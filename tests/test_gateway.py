"""The gateway: what each request is answered, and that 2xx means on disk."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from gateway.app import build
from gateway.commit import Busy, GroupCommit
from gateway.posted import read
from gateway.server import bind
from outpulse.settings import GatewaySettings, ProviderSettings, Settings
from schemas.decode import event_from
from schemas.events import Event, LoggedEvent, RawRequest, Reply
from schemas.failures import BadEvent, LogError, OutpulseError
from schemas.identity import event_key
from schemas.rawrecords import unpack
from tests.signing import sendgrid_keypair, sign_sendgrid

ROOT = Path(__file__).parents[1]
PRIVATE_KEY, PUBLIC_KEY = sendgrid_keypair()
TOKEN = {"authorization": "Bearer sesame"}
SETTINGS = Settings(
    gateway=GatewaySettings(token="sesame", max_webhook_bytes=2000, max_events_bytes=200_000),
    providers={"sendgrid": ProviderSettings(public_keys=[PUBLIC_KEY])},
)
NOW_MS = 1_767_607_200_000
EVENT = {"event_id": "e-1", "kind": "delivered", "occurred_at": "2026-01-05T09:00:00Z", "provider": "own"}


class WatchedLog(SqliteLog):
    """The embedded log; it keeps what is appended to look at, and can be told to fail or to wait."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.streams: dict[str, list[Record]] = {}
        self.appends: list[tuple[str, int]] = []
        self.failure: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def append(self, stream: str, records: Sequence[Record]) -> list[int]:
        """Appends, once it is told to go."""
        self.entered.set()
        assert self.go.wait(10)
        if self.failure is not None:
            raise self.failure
        self.appends.append((stream, len(records)))
        self.streams.setdefault(stream, []).extend(records)
        return super().append(stream, records)

    def raw(self) -> list[RawRequest]:
        """The stored requests."""
        return [unpack(record.value) for record in self.streams.get("raw", [])]

    def events(self) -> list[LoggedEvent]:
        """The stored events."""
        return [msgspec.json.decode(r.value, type=LoggedEvent) for r in self.streams.get("events", [])]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WatchedLog]:
    watched = WatchedLog(tmp_path / "log")
    yield watched
    watched.close()


@contextlib.asynccontextmanager
async def gateway(log: Any, settings: Settings = SETTINGS, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process, whose writer is stopped at the end."""
    app = build(settings, log, **{"clock": lambda: NOW_MS} | options)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            yield client
    finally:
        app.commit.close()


def ask(log: Any, method: str, path: str, settings: Settings = SETTINGS, **request: Any) -> httpx.Response:
    """One request and its answer."""
    options = request.pop("options", {})

    async def run() -> httpx.Response:
        async with gateway(log, settings, **options) as client:
            return await client.request(method, path, **request)

    return asyncio.run(run())


def signed(body: bytes, at_s: int = NOW_MS // 1000) -> dict[str, Any]:
    return {"content": body, "headers": sign_sendgrid(PRIVATE_KEY, body, at_s)}


# Webhooks


def test_a_proven_request_is_stored_as_received_and_answered_204(log: WatchedLog) -> None:
    body = b'[{"event":"open"}]\r\n'

    answer = ask(log, "POST", "/webhooks/sendgrid?a=1&b=%2F", **signed(body))

    assert (answer.status_code, answer.content) == (204, b"")
    (stored,) = log.raw()
    assert stored.body == body
    assert (stored.provider, stored.method, stored.url) == ("sendgrid", "POST", "/webhooks/sendgrid?a=1&b=%2F")
    assert stored.received_at == "2026-01-05T10:00:00.000Z"
    assert stored.headers["x-twilio-email-event-webhook-timestamp"] == str(NOW_MS // 1000)
    assert [record.key for record in log.streams["raw"]] == [None]


def test_a_proven_body_that_cannot_be_parsed_is_stored_too(log: WatchedLog) -> None:
    assert ask(log, "POST", "/webhooks/sendgrid", **signed(b"[{trunca\xff")).status_code == 204
    assert [request.body for request in log.raw()] == [b"[{trunca\xff"]


def test_credentials_are_not_stored(log: WatchedLog) -> None:
    own = ProviderSettings(public_keys=[PUBLIC_KEY], basic_auth=["user:secret"], headers={"X-Our-Key": "sesame"})
    settings = msgspec.structs.replace(SETTINGS, providers={"sendgrid": own})
    request = signed(b"[]")
    request["headers"] |= {"x-our-key": "sesame", "cookie": "c=1"}

    answer = ask(log, "POST", "/webhooks/sendgrid", settings, auth=("user", "secret"), **request)

    assert answer.status_code == 204
    assert not {"authorization", "cookie", "x-our-key"} & set(log.raw()[0].headers)


def test_a_bad_proof_is_answered_401_and_nothing_is_stored(log: WatchedLog, caplog: pytest.LogCaptureFixture) -> None:
    request = signed(b'[{"email":"ada@example.com"}]')
    request["content"] += b" "

    answer = ask(log, "POST", "/webhooks/sendgrid", **request)

    assert answer.status_code == 401
    assert "signature" in answer.json()["error"]
    assert log.streams == {}
    told = [record.getMessage() for record in caplog.records if record.name == "outpulse.gateway"]
    assert len(told) == 1
    assert "provider=sendgrid status=401" in told[0]
    assert "ada@example.com" not in caplog.text


def test_where_basic_auth_is_set_a_401_asks_for_it(log: WatchedLog) -> None:
    settings = Settings(providers={"sendgrid": ProviderSettings(basic_auth=["user:secret"])})

    answer = ask(log, "POST", "/webhooks/sendgrid", settings, content=b"[]")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_without_a_secret_the_answer_is_403_and_names_the_setting(log: WatchedLog) -> None:
    answer = ask(log, "POST", "/webhooks/sendgrid", Settings(), **signed(b"[]"))

    assert answer.status_code == 403
    assert "[providers.sendgrid] public_keys" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/webhooks/nobody", "/webhooks/", "/webhooks/sendgrid/x", "/webhooks/SENDGRID"])
def test_an_unknown_provider_is_answered_404_with_the_valid_ones(log: WatchedLog, path: str) -> None:
    answer = ask(log, "POST", path, **signed(b"[]"))

    assert answer.status_code == 404
    assert "valid are sendgrid" in answer.json()["error"]


def test_a_trailing_slash_does_no_harm(log: WatchedLog) -> None:
    assert ask(log, "POST", "/webhooks/sendgrid/", **signed(b"[]")).status_code == 204


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_answered_405(log: WatchedLog, method: str) -> None:
    answer = ask(log, method, "/webhooks/sendgrid")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, HEAD")


def test_head_says_that_the_url_exists(log: WatchedLog) -> None:
    assert ask(log, "HEAD", "/webhooks/sendgrid").status_code == 200
    assert ask(log, "HEAD", "/webhooks/nobody").status_code == 404


@pytest.mark.parametrize(
    ("size", "status"), [(1999, 204), (2000, 204), (2001, 413)], ids=["below", "at the limit", "above"]
)
def test_a_body_may_reach_its_limit(log: WatchedLog, size: int, status: int) -> None:
    assert ask(log, "POST", "/webhooks/sendgrid", **signed(b" " * size)).status_code == status


def test_no_more_than_the_limit_is_read(log: WatchedLog) -> None:
    chunks = iter(range(1000))

    async def body() -> AsyncIterator[bytes]:
        for _ in chunks:
            yield b" " * 100

    answer = ask(log, "POST", "/webhooks/sendgrid", content=body())

    assert answer.status_code == 413
    assert next(chunks) <= 2000 // 100 + 2
    assert "max_webhook_bytes" in answer.json()["error"]


def test_while_the_log_fails_the_answer_is_503_with_retry_after(log: WatchedLog) -> None:
    log.failure = LogError("the disk is full")

    answer = ask(log, "POST", "/webhooks/sendgrid", **signed(b"[]"))

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "disk" not in answer.text


def test_an_error_of_another_kind_is_503_too_and_the_next_request_works(log: WatchedLog) -> None:
    async def run() -> list[int]:
        async with gateway(log) as client:
            log.failure = MemoryError()
            first = await client.post("/webhooks/sendgrid", **signed(b"[]"))
            log.failure = None
            second = await client.post("/webhooks/sendgrid", **signed(b"[]"))
            return [first.status_code, second.status_code]

    assert asyncio.run(run()) == [503, 204]


def test_the_answer_waits_for_the_disk(log: WatchedLog) -> None:
    async def run() -> None:
        async with gateway(log) as client:
            log.go.clear()
            post = asyncio.create_task(client.post("/webhooks/sendgrid", **signed(b"[]")))
            assert await asyncio.to_thread(log.entered.wait, 5)
            await asyncio.sleep(0.05)
            assert not post.done()
            log.go.set()
            assert (await post).status_code == 204

    asyncio.run(run())


def test_posts_that_wait_together_are_appended_together(log: WatchedLog) -> None:
    async def run() -> list[int]:
        async with gateway(log) as client:
            log.go.clear()
            posts = [asyncio.create_task(client.post("/webhooks/sendgrid", **signed(b"[]"))) for _ in range(60)]
            assert await asyncio.to_thread(log.entered.wait, 5)
            await asyncio.sleep(0.3)
            log.go.set()
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    assert asyncio.run(run()) == [204] * 60
    assert sum(count for _, count in log.appends) == 60
    assert len(log.appends) <= 3


# Demo mode


@pytest.mark.parametrize(
    ("demo", "told", "stamped"),
    [
        (True, "2025-12-30T08:00:00.5+01:00", "2025-12-30T07:00:00.500Z"),
        (True, "yesterday", "2026-01-05T10:00:00.000Z"),
        (False, "2025-12-30T08:00:00Z", "2026-01-05T10:00:00.000Z"),
    ],
    ids=["demo", "demo with nonsense", "not demo"],
)
def test_only_demo_mode_lets_the_caller_say_when(log: WatchedLog, *, demo: bool, told: str, stamped: str) -> None:
    request = signed(b"[]")
    request["headers"]["x-outpulse-received-at"] = told

    assert ask(log, "POST", "/webhooks/sendgrid", options={"demo": demo}, **request).status_code == 204
    assert [request.received_at for request in log.raw()] == [stamped]


def test_in_demo_mode_a_proof_is_still_judged_by_the_clock(log: WatchedLog) -> None:
    request = signed(b"[]", NOW_MS // 1000 - 7 * 86400)
    request["headers"]["x-outpulse-received-at"] = "2025-12-29T10:00:00.000Z"

    assert ask(log, "POST", "/webhooks/sendgrid", options={"demo": True}, **request).status_code == 401


# Events


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EVENT),
        json.dumps(EVENT, indent=2),
        json.dumps([EVENT]),
        f"\n {json.dumps([EVENT])}\n",
        json.dumps(EVENT) + "\n\n",
        "\ufeff" + json.dumps(EVENT),
    ],
    ids=["object", "indented object", "array", "padded array", "one line", "with a mark of byte order"],
)
def test_an_event_is_stored_under_its_identity(log: WatchedLog, body: str) -> None:
    answer = ask(log, "POST", "/events", content=body.encode(), headers=TOKEN)

    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "rejected": []}
    (event,) = log.events()
    assert (event.event_id, event.origin) == ("e-1", "api")
    assert event.occurred_at == "2026-01-05T09:00:00.000Z"
    assert event.received_at == "2026-01-05T10:00:00.000Z"
    assert [record.key for record in log.streams["events"]] == [event_key(event)]


def test_good_lines_land_beside_bad_ones_which_are_told_by_place(log: WatchedLog) -> None:
    good = json.dumps(EVENT)
    lines = [good, "nope", "", "[1]", '{"kind":"opened"}', good.replace("delivered", "teleported"), good]

    answer = ask(log, "POST", "/events", content="\n".join(lines).encode(), headers=TOKEN)

    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 2,
        "rejected": [
            {"index": 1, "reason": "not JSON"},
            {"index": 2, "reason": "not an object"},
            {"index": 3, "reason": "event_id missing"},
            {"index": 4, "reason": "unknown kind"},
        ],
    }


@pytest.mark.parametrize(
    "body", [b"", b" \n ", b"[]", b"nope", b"[{", b"\xff\xfe", b"[null]", b'"text"', b"7"], ids=repr
)
def test_a_post_without_a_usable_item_is_answered_422(log: WatchedLog, body: bytes) -> None:
    answer = ask(log, "POST", "/events", content=body, headers=TOKEN)

    assert answer.status_code == 422
    assert answer.json()["accepted"] == 0
    assert log.streams == {}


def test_a_reply_goes_to_both_streams(log: WatchedLog) -> None:
    item = EVENT | {"kind": "replied", "subject": "Re: hello", "text": "yes", "headers": {"from": "ada@example.com"}}

    assert ask(log, "POST", "/events", json=[item], headers=TOKEN).status_code == 202
    (reply,) = [msgspec.json.decode(record.value, type=Reply) for record in log.streams["replies"]]
    assert (reply.event_id, reply.subject, reply.text, reply.origin) == ("e-1", "Re: hello", "yes", "api")
    assert reply.headers == {"from": "ada@example.com"}
    assert [event.kind for event in log.events()] == ["replied"]


def test_an_item_of_text_without_kind_is_a_reply_alone(log: WatchedLog) -> None:
    answer = ask(log, "POST", "/events", json={"event_id": "e-1", "text": "yes"}, headers=TOKEN)

    assert answer.json()["accepted"] == 1
    assert set(log.streams) == {"replies"}


def told_by_the_rules(item: dict[str, Any]) -> Event | str:
    """The event, or the reason why there is none."""
    try:
        return event_from(item, "2026-01-05T10:00:00.000Z")
    except BadEvent as bad:
        return bad.reason


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"recipient": "δοκιμή@example.com", "url": "https://example.com/?q=ü", "is_machine": False},
        {"campaign_id": 42, "attributes": {"n": 1, "list": [1]}},
        {"occurred_at": "2026-01-05T10:00:00+01:00", "received_at": "2026-01-05T12:30:00.123456Z"},
        {"received_at": ""},
        {"received_at": None, "channel": None, "attributes": None},
        {"event_id": ""},
        {"event_id": 7},
        {"occurred_at": "1999-12-31T23:59:59Z"},
        {"occurred_at": "2026-01-07T10:00:00Z"},
        {"occurred_at": 1767607200},
        {"channel": "pigeon"},
        {"text": "ignored on a delivery"},
        {"kind": "replied"},
        {"origin": "raw", "raw_offset": 7},
    ],
    ids=str,
)
def test_the_quick_way_and_the_rules_agree(change: dict[str, Any]) -> None:
    item = EVENT | change
    posted = read(json.dumps([item]).encode(), "2026-01-05T10:00:00.000Z")

    found: list[Any] = [msgspec.json.decode(record.value, type=Event) for record in posted.events]
    found += [refusal.reason for refusal in posted.rejected]
    assert found == [told_by_the_rules(item)]
    logged = [msgspec.json.decode(record.value, type=LoggedEvent) for record in posted.events]
    assert all((event.origin, event.raw_offset) == ("api", None) for event in logged)


def test_a_damaged_item_of_an_array_leaves_its_neighbours() -> None:
    items = json.dumps([EVENT, EVENT | {"reason": "DAMAGE"}, EVENT]).encode()

    for damage in (rb"\ud800", b"\xff"):
        assert read(items.replace(b"DAMAGE", damage), "2026-01-05T10:00:00.000Z").accepted == 3


def test_a_large_post_is_taken_whole(log: WatchedLog) -> None:
    items = [EVENT | {"event_id": f"e-{n}", "note": "x" * 300} for n in range(1000)]
    settings = msgspec.structs.replace(SETTINGS, gateway=GatewaySettings(token="sesame"))

    answer = ask(log, "POST", "/events", settings, json=items, headers=TOKEN)

    assert answer.json() == {"accepted": 1000, "rejected": []}
    assert log.appends == [("events", 1000)]


def test_without_a_token_in_the_settings_the_answer_is_403(log: WatchedLog) -> None:
    answer = ask(log, "POST", "/events", Settings(), json=EVENT, headers={"authorization": "Bearer "})

    assert answer.status_code == 403
    assert "[gateway] token" in answer.json()["error"]


@pytest.mark.parametrize("given", ["", "sesame", "Bearer", "Bearer Sesame", "Bearer sesame2", "Basic sesame"])
def test_a_wrong_token_is_answered_401(log: WatchedLog, given: str) -> None:
    answer = ask(log, "POST", "/events", json=EVENT, headers={"authorization": given})

    assert answer.status_code == 401
    assert "sesame" not in answer.text
    assert log.streams == {}


def test_events_are_only_posted(log: WatchedLog) -> None:
    assert ask(log, "GET", "/events", headers=TOKEN).status_code == 405


@pytest.mark.parametrize(
    ("size", "status"), [(199_999, 202), (200_000, 202), (200_001, 413)], ids=["below", "at the limit", "above"]
)
def test_a_post_of_events_may_reach_its_limit(log: WatchedLog, size: int, status: int) -> None:
    body = json.dumps(EVENT).encode().ljust(size)

    assert ask(log, "POST", "/events", content=body, headers=TOKEN).status_code == status


def test_events_are_answered_503_while_the_log_fails(log: WatchedLog) -> None:
    log.failure = LogError("the disk is full")

    answer = ask(log, "POST", "/events", json=EVENT, headers=TOKEN)

    assert answer.status_code == 503
    assert "retry-after" in answer.headers


# Pages


def test_health_tells_whether_the_log_can_be_written_and_read(log: WatchedLog) -> None:
    answer = ask(log, "GET", "/healthz")

    assert answer.status_code == 200
    assert answer.json() | {"waiting": 0} == {
        "status": "ok",
        "writable": True,
        "readable": True,
        "waiting": 0,
        "detail": None,
    }
    for _ in range(4):
        assert ask(log, "GET", "/healthz").status_code == 200
    assert len(log.read("health", 0, 0, 10)) <= 2  # earlier trial appends are dropped again

    log.failure = LogError("the disk is full")
    answer = ask(log, "GET", "/healthz")
    assert answer.status_code == 503
    assert (answer.json()["writable"], answer.json()["readable"]) == (False, True)


def test_metrics_count_requests_events_and_appends(log: WatchedLog) -> None:
    async def run() -> str:
        async with gateway(log) as client:
            await client.post("/webhooks/sendgrid", **signed(b"[]"))
            await client.post("/webhooks/sendgrid", content=b"[]")
            await client.post("/webhooks/" + "x" * 50, content=b"[]")
            await client.post("/events", json=[EVENT, {}], headers=TOKEN)
            return (await client.get("/metrics")).text

    page = asyncio.run(run())

    for line in (
        'outpulse_gateway_requests_total{door="sendgrid",status="204"} 1.0',
        'outpulse_gateway_requests_total{door="sendgrid",status="401"} 1.0',
        'outpulse_gateway_requests_total{door="unknown",status="404"} 1.0',
        'outpulse_gateway_requests_total{door="events",status="202"} 1.0',
        'outpulse_gateway_bytes_total{door="sendgrid"} 4.0',
        'outpulse_gateway_events_total{outcome="accepted"} 1.0',
        'outpulse_gateway_events_total{outcome="rejected"} 1.0',
        'outpulse_gateway_append_seconds_count{stream="raw"} 1.0',
        'outpulse_gateway_records_total{stream="events"} 1.0',
        "outpulse_gateway_waiting 0.0",
    ):
        assert line in page


def test_openapi_describes_all_routes_and_the_page_needs_no_internet(log: WatchedLog) -> None:
    described = ask(log, "GET", "/openapi.json").json()

    assert set(described["paths"]) == {"/webhooks/{provider}", "/events", "/healthz", "/metrics", "/docs"}
    assert {"204", "401", "403", "404", "413", "503"} <= set(
        described["paths"]["/webhooks/{provider}"]["post"]["responses"]
    )
    page = ask(log, "GET", "/docs")
    assert page.status_code == 200
    assert "openapi.json" in page.text
    assert "http:" not in page.text
    assert "https:" not in page.text


def test_what_is_not_served_is_404(log: WatchedLog) -> None:
    for path in ("/", "/inbound/sendgrid", "/webhooks", "/events/1"):
        assert ask(log, "GET", path).status_code == 404


# Group commit


def test_a_failed_append_fails_only_those_who_waited_for_it(log: WatchedLog) -> None:
    async def run() -> list[Any]:
        commit = GroupCommit(log)
        try:
            log.failure = LogError("full")
            first = await asyncio.gather(commit.append("raw", lambda: [Record(None, b"a")], 1), return_exceptions=True)
            log.failure = None
            second = await asyncio.gather(
                commit.append("raw", lambda: [Record(None, b"b"), Record(None, b"c")], 2),
                commit.append("raw", lambda: [1 / 0], 1),  # type: ignore[list-item]
                commit.append("events", lambda: [Record(None, b"d")], 1),
                return_exceptions=True,
            )
            return [*first, *second]
        finally:
            commit.close()

    failed, offsets, unmade, other = asyncio.run(run())

    assert isinstance(failed, LogError)
    assert (offsets, other) == ([1, 2], [1])
    assert isinstance(unmade, LogError)


@pytest.mark.parametrize("bounds", [{"max_waiting": 2}, {"max_waiting_bytes": 20}], ids=["too many", "too many bytes"])
def test_beyond_its_bounds_the_queue_takes_nothing_more(log: WatchedLog, bounds: dict[str, int]) -> None:
    async def run() -> tuple[Any, list[int], list[int]]:
        commit = GroupCommit(log, **bounds)  # type: ignore[arg-type]
        log.go.clear()
        first = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"a")], 10))
        second = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"b")], 10))
        await asyncio.sleep(0)
        refused = (await asyncio.gather(commit.append("raw", list, 10), return_exceptions=True))[0]
        log.go.set()
        stored = await first, await second
        commit.close()
        return refused, *stored

    refused, first, second = asyncio.run(run())

    assert isinstance(refused, Busy)
    assert (first, second) == ([1], [2])


def test_closing_appends_what_waits_and_refuses_what_comes_later(log: WatchedLog) -> None:
    async def run() -> tuple[list[int], Any]:
        commit = GroupCommit(log)
        waiting = asyncio.create_task(commit.append("raw", lambda: [Record(None, b"a")], 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(commit.close)
        late = await asyncio.gather(commit.append("raw", list, 1), return_exceptions=True)
        return await waiting, late[0]

    stored, late = asyncio.run(run())

    assert stored == [1]
    assert isinstance(late, Busy)


# A real server


SERVER = """
import sys
from pathlib import Path
from eventlog.sqlite import SqliteLog
from gateway.server import serve
from outpulse.settings import load
home = Path(sys.argv[1])
log = SqliteLog(home / "log")
serve(load(home), log)
log.close()
print("stopped", flush=True)
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    environ = os.environ | {
        "OUTPULSE_GATEWAY__PORT": str(port),
        "OUTPULSE_GATEWAY__TOKEN": "sesame",
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([PUBLIC_KEY]),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], cwd=ROOT, env=environ, stdout=subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/healthz")
            break
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield process, url
    finally:
        process.kill()
        process.communicate()


async def post_from_many(url: str, connections: int, posts: int) -> list[int]:
    """Statuses of one-event posts, `posts` on each of so many connections."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def one(number: int) -> list[int]:
            request = signed(json.dumps([{"event": "open", "n": number}]).encode(), int(time.time()))
            return [(await client.post(f"{url}/webhooks/sendgrid", **request)).status_code for _ in range(posts)]

        found = await asyncio.gather(*(one(number) for number in range(connections)))
    return [status for statuses in found for status in statuses]


def test_64_connections_at_once_lose_nothing_and_sigterm_ends_cleanly(
    served: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = served

    statuses = asyncio.run(post_from_many(url, 64, 5))

    assert statuses == [204] * 320
    log = SqliteLog(tmp_path / "log")
    bodies = [unpack(stored.value).body for stored in log.read("raw", 0, 0, 1000)]
    log.close()
    assert len(bodies) == 320
    assert len(set(bodies)) == 64
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert process.stdout is not None
    assert b"stopped" in process.stdout.read()


def test_what_was_answered_204_is_there_after_kill_9(
    served: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, url = served

    assert httpx.post(f"{url}/webhooks/sendgrid", **signed(b"[1]", int(time.time()))).status_code == 204
    process.kill()
    process.wait()

    log = SqliteLog(tmp_path / "log")
    assert [unpack(stored.value).body for stored in log.read("raw", 0, 0, 10)] == [b"[1]"]
    log.close()


def test_a_real_server_refuses_a_large_body_and_serves_on(served: tuple[subprocess.Popen[bytes], str]) -> None:
    _, url = served
    with httpx.Client() as client:
        assert client.post(f"{url}/webhooks/sendgrid", content=b" " * (10 * 2**20 + 1)).status_code == 413
        assert client.get(f"{url}/healthz").status_code == 200
        assert client.head(f"{url}/webhooks/sendgrid").status_code == 200
        assert client.post(f"{url}/events", json=EVENT, headers=TOKEN).json()["accepted"] == 1
        assert client.post(f"{url}/events", json=EVENT, headers=TOKEN).status_code == 202


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with bind(Settings(gateway=GatewaySettings(port=0))) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OutpulseError, match=rf"127\.0\.0\.1:{port} is taken.*\[gateway\] port"):
            bind(Settings(gateway=GatewaySettings(port=port)))


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 8080), ("no host", 8080), ("127.0.0.1", 70_000)])
def test_an_address_that_is_not_ours_is_one_clear_error(host: str, port: int) -> None:
    with pytest.raises(OutpulseError, match=r"\[gateway\] host"):
        bind(Settings(gateway=GatewaySettings(host=host, port=port)))
