"""The gateway: what each request is answered, and that 2xx means on disk."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from gateway.app import build
from outpulse.settings import GatewaySettings, ProviderSettings, Settings
from schemas.events import LoggedEvent, RawRequest
from schemas.failures import LogError
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
    assert "valid are brevo, mailersend" in answer.json()["error"]


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

    control = {"/control", "/control/allowed", "/control/stream"}
    assert set(described["paths"]) == {
        *("/webhooks/{provider}", "/events", "/feedback", "/healthz", "/metrics", "/docs"),
        *control,
    }
    assert {"204", "401", "403", "404", "413", "503"} <= set(
        described["paths"]["/webhooks/{provider}"]["post"]["responses"]
    )
    page = ask(log, "GET", "/docs")
    assert page.status_code == 200
    assert "openapi.json" in page.text
    assert "http:" not in page.text
    assert "https:" not in page.text


def test_what_is_not_served_is_404(log: WatchedLog) -> None:
    for path in ("/", "/inbound/nobody", "/inbound", "/webhooks", "/events/1"):
        assert ask(log, "GET", path).status_code == 404
