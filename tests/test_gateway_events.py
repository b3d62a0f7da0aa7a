"""POST /events: what is taken, what is refused, item by item."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.posted import read
from outpulse.settings import GatewaySettings, Settings
from schemas.decode import event_from
from schemas.events import Event, LoggedEvent, Reply
from schemas.failures import BadEvent, LogError
from schemas.identity import event_key
from tests.test_gateway import EVENT, SETTINGS, TOKEN, WatchedLog, ask


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WatchedLog]:
    watched = WatchedLog(tmp_path / "log")
    yield watched
    watched.close()


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


def test_a_reply_of_10_mb_is_stored_whole(log: WatchedLog) -> None:
    words = "yes, gladly " * 900_000
    settings = msgspec.structs.replace(SETTINGS, gateway=GatewaySettings(token="sesame"))
    items = [EVENT, EVENT | {"event_id": "e-2", "kind": "replied", "text": words}, EVENT | {"event_id": "e-3"}]

    assert ask(log, "POST", "/events", settings, json=items, headers=TOKEN).json() == {"accepted": 3, "rejected": []}
    assert [msgspec.json.decode(one.value, type=Reply).text for one in log.streams["replies"]] == [words]
    assert [event.event_id for event in log.events()] == ["e-1", "e-2", "e-3"]


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


@pytest.mark.parametrize("depth", [400, 2_000, 100_000])
def test_an_item_nested_absurdly_does_not_lose_its_neighbours(depth: int) -> None:
    good = '{"event_id": "%s", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "reason": "a ]}, [ b"}'
    deep = '{"event_id": "x", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "reason": %s}' % (
        "[" * depth + "]" * depth
    )
    body = f"[{good % 'a'}, {deep}, {good % 'b'}]".encode()

    found = read(body, "2026-01-05T10:00:00.000Z")

    assert (found.accepted, [refusal.index for refusal in found.rejected]) == (2, [1])
