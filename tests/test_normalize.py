"""From recorded webhooks to tables: by the log and the flows, by `outpulse normalize`, and once more by a rebuild."""

import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from adapters import REGISTRY, Parsed, sendgrid
from eventlog import Record
from eventlog.sqlite import SqliteLog
from flows import normalize
from flows.normalize import RawBatch
from flows.rebuild import rebuild
from schemas.events import EVENT_FIELDS, Event, LoggedEvent, RawRequest
from schemas.identity import event_key
from schemas.rawrecords import pack
from sinks.lake import Lake
from tests.lakes import TABLES, differences, rows, tables
from tests.processes import answers, free_port, run, start, stop, wait_until
from tests.signing import sendgrid_keypair, sign_sendgrid

GOLDEN: Final = Path(__file__).parent / "golden" / "sendgrid"
Item = dict[str, Any]


def request(items: Sequence[Item] | bytes, minute: int = 0, provider: str = "sendgrid") -> RawRequest:
    return RawRequest(
        provider=provider,
        method="POST",
        url=f"/webhooks/{provider}",
        received_at=f"2026-01-05T10:{minute:02d}:30.000Z",
        headers={},
        body=items if isinstance(items, bytes) else json.dumps(items).encode(),
    )


def item(number: int, event: str = "delivered", **fields: Any) -> Item:
    delivery = {
        "delivery_id": f"d{number % 4}",
        "campaign_id": f"c{number % 2}",
        "sg_message_id": f"m{number % 4}.recvd",
    }
    person = {"email": f"p{number % 4}@firm.example", "timestamp": 1767607200 + number, "sg_event_id": f"e{number}"}
    return {"event": event, **delivery, **person, **fields}


def append_raw(log: SqliteLog, *requests: RawRequest | bytes) -> list[int]:
    return log.append("raw", [Record(None, one if isinstance(one, bytes) else pack(one)) for one in requests])


def normalize_all(log: SqliteLog) -> None:
    parts = range(log.partitions("raw"))
    normalize.run_plainly([RawBatch(p, log.read("raw", p, 1, 1000)) for p in parts], log)


def drain(home: Path) -> None:
    outcome = run("flows", "--drain", "--home", str(home))
    assert (outcome.returncode, outcome.stderr) == (0, "")


def by_sql(home: Path, query: str) -> list[dict[str, Any]]:
    outcome = run("sql", "--home", str(home), "--format", "json", query)
    assert outcome.returncode == 0, outcome.stderr
    found: list[dict[str, Any]] = json.loads(outcome.stdout)
    return found


@pytest.fixture
def log(home: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(home / "log")
    yield opened
    opened.close()


# By the flows


def test_recorded_requests_make_the_same_events_in_the_tables_and_on_standard_output(
    home: Path, log: SqliteLog, tmp_path: Path
) -> None:
    requests = {}
    for path in sorted(GOLDEN.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        body = json.dumps([case["item"] for case in content["cases"]])
        recorded = {"method": "POST", "url": "/webhooks/sendgrid", "headers": {}, "received_at": content["received_at"]}
        requests[path.name] = msgspec.convert({"provider": "sendgrid", "body": b"", **recorded}, RawRequest)
        requests[path.name] = msgspec.structs.replace(requests[path.name], body=body.encode())
        (tmp_path / path.name).write_text(json.dumps(recorded | {"body": body}))
    append_raw(log, *requests.values())
    drain(home)
    outcome = run("normalize", "sendgrid", *(str(tmp_path / name) for name in requests))
    lines = [json.loads(one) for one in outcome.stdout.splitlines()]
    printed: dict[tuple[str, ...], Item] = {}
    for line in lines:
        if "dead_letter" not in line:
            identity = (line["event_id"], line["kind"], str(line["recipient"]), line["occurred_at"][:10])
            printed.setdefault(identity, {field: line[field] for field in EVENT_FIELDS})

    landed = by_sql(home, f"SELECT {', '.join(EVENT_FIELDS)} FROM events")
    assert sorted(landed, key=repr) == sorted(printed.values(), key=repr)
    assert len(landed) > 40
    dead = [(one["dead_letter"], one["detail"]) for one in lines if "dead_letter" in one]
    assert sorted(rows(home, "SELECT reason, detail FROM dead_letters")) == sorted(dead)
    assert len(dead) > 5
    assert list(dict.fromkeys(line["request"] for line in lines)) == list(requests)


def test_normalizing_twice_changes_nothing(home: Path, log: SqliteLog) -> None:
    append_raw(log, request([item(n) for n in range(30)]), request(b"no JSON"), request([item(3), {"event": "odd"}]))
    normalize_all(log)
    drain(home)
    before = tables(home)
    ends = [log.end(stream, 0) for stream in ("events", "replies", "deadletter")]
    normalize_all(log)
    drain(home)

    assert [log.end(stream, 0) for stream in ("events", "replies", "deadletter")] == ends
    assert differences(before, tables(home)) == []
    assert (len(before["events"]), len(before["dead_letters"])) == (30, 2)


def test_what_no_adapter_can_read_is_a_dead_letter_and_its_neighbours_land(home: Path, log: SqliteLog) -> None:
    odd: list[RawRequest | bytes] = [
        b"",
        b"\x07?",
        b"\x00no MessagePack",
        b"\x01no Zstandard",
        pack(request(b"x"))[:-9],
        request(b"<xml>", 1, "nobody"),
    ]
    offsets = append_raw(log, request([item(1)]), *odd, request([item(2)]))
    drain(home)
    found = rows(home, "SELECT raw_offset, reason, raw, provider, stage FROM dead_letters ORDER BY 1")

    assert rows(home, "SELECT event_id, origin FROM events ORDER BY 1") == [("e1", "raw"), ("e2", "raw")]
    assert [row[0] for row in found] == offsets[1:-1]
    assert [row[1] for row in found] == [*["raw record unreadable"] * 5, "unknown provider"]
    assert [row[2] for row in found] == [*odd[:-1], b"<xml>"]
    assert found[-1][3:] == ("nobody", "normalize")


@pytest.mark.parametrize("reason", ["[552] mailbox full", '{"code": 552}', "[", "plain"])
def test_an_event_is_known_by_the_request_it_came_from_whatever_its_texts_hold(
    home: Path, log: SqliteLog, reason: str
) -> None:
    append_raw(log, request([]), request([item(1, "bounce", reason=reason)]))
    drain(home)

    assert rows(home, "SELECT reason, origin, raw_partition, raw_offset FROM store.facts") == [(reason, "raw", 0, 2)]


def test_very_long_events_in_the_log_do_not_stop_the_flow(home: Path, log: SqliteLog) -> None:
    long = {"a": "x" * 20 * 2**20}
    event, *_ = sendgrid.parse(request([item(1)])).events
    append_events(log, event, msgspec.structs.replace(event, event_id="long", attributes=long))
    append_events(log, *(msgspec.structs.replace(event, event_id=f"{n}", reason="x" * 2**20) for n in range(40)))
    drain(home)

    assert rows(home, "SELECT count(*), max(length(attributes['a'])) FROM events") == [(42, 20 * 2**20)]


class Changed:
    """SendGrid's adapter with another `parse`."""

    name = "sendgrid"
    verify = staticmethod(sendgrid.verify)

    def __init__(self, parse: Callable[[RawRequest], Parsed]) -> None:
        self.parse = parse


def test_a_request_that_an_adapter_fails_on_is_a_dead_letter_and_the_flow_goes_on(
    home: Path, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(one: RawRequest) -> Parsed:
        if b"e1" in one.body:
            raise KeyError("a mistake")
        return sendgrid.parse(one)

    monkeypatch.setitem(REGISTRY, "sendgrid", Changed(fail))
    append_raw(log, request([item(1)]), request([item(2)]))
    normalize_all(log)
    assert run("flows", "delivery", "--drain", "--home", str(home)).returncode == 0

    assert rows(home, "SELECT event_id FROM events") == [("e2",)]
    assert rows(home, "SELECT reason, raw_offset FROM dead_letters") == [("adapter failed", 1)]
    assert run("flows", "--rebuild", "--home", str(home)).returncode == 0  # another process has the adapter as it was
    assert rows(home, "SELECT event_id FROM events ORDER BY 1") == [("e1",), ("e2",)]
    assert rows(home, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_on_a_full_disk_no_request_is_passed_over(home: Path, log: SqliteLog) -> None:
    append_raw(log, *(request([item(100 * n + i, note="x" * 400) for i in range(100)]) for n in range(8)))
    log.close()

    def little_space() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150 * 1024, resource.RLIM_INFINITY))

    limited = run("flows", "--drain", "--home", str(home), preexec_fn=little_space)
    assert limited.returncode == 1
    assert "outpulse flows: " in limited.stderr
    drain(home)

    assert rows(home, "SELECT count(*), count(DISTINCT event_id) FROM events") == [(800, 800)]


def test_a_signed_webhook_reaches_every_table_through_the_real_parts(home: Path) -> None:
    key, public = sendgrid_keypair()
    port = free_port()
    env = {
        "OUTPULSE_GATEWAY__PORT": str(port),
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([public]),
    }
    now = int(time.time())
    items = [
        item(4 * n, name, timestamp=now - 90 + n) for n, name in enumerate(["processed", "delivered", "open", "click"])
    ]
    items += [item(1, "bounce", timestamp=now, type="bounce"), {"event": "odd", "timestamp": now}]
    body = json.dumps(items).encode()
    up = start("up", "--no-dashboard", "--home", str(home), env=env)
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        for expected, sent in ((204, body), (401, body + b" ")):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/webhooks/sendgrid", content=sent, headers=sign_sendgrid(key, body)
            )
            assert answer.status_code == expected
        wait_until(lambda: run("sql", "--home", str(home), "SELECT count(*) FROM events").stdout == "count_star()\n5\n")
    finally:
        assert stop(up) == 0

    status = "SELECT delivery_id, delivery_status, campaign_id, events FROM message_deliveries ORDER BY 1"
    assert rows(home, status) == [("d0", "clicked", "c0", 4), ("d1", "bounced", "c1", 1)]
    figures = "messages_sent, messages_delivered, messages_opened, messages_clicked, bounced_hard"
    assert rows(home, f"SELECT campaign_id, {figures} FROM campaign_performance_metrics ORDER BY 1") == [
        ("c0", 1, 1, 1, 1, 0),
        ("c1", 1, 0, 0, 0, 1),
    ]
    assert rows(home, "SELECT sum(events)::INT FROM metrics_minute") == [(5,)]
    assert rows(home, "SELECT reason, provider FROM dead_letters") == [("unmapped: odd", "sendgrid")]


# By a rebuild


def append_events(log: SqliteLog, *events: Event) -> None:
    logged = [LoggedEvent(origin="api", **msgspec.structs.asdict(event)) for event in events]  # type: ignore[arg-type]
    log.append("events", [Record(event_key(one), msgspec.json.encode(one)) for one in logged])


def of(number: int, **fields: Any) -> Event:
    """The event that an item is read as, changed."""
    (event,) = sendgrid.parse(request([item(number)])).events
    return msgspec.structs.replace(event, **fields)


@pytest.fixture
def history(home: Path, log: SqliteLog, tmp_path: Path) -> Path:
    """A home with events of all doors, and copies of one fact that came by different ones."""
    append_events(log, of(1, reason="the API was first"), of(900, reason="only by the API", provider="own"))
    append_raw(
        log,
        request([item(n, ["delivered", "open", "bounce"][n % 3], reason=f"[{n}] as received") for n in range(20)], 1),
        request(b"no JSON", 2),
        request([item(n, delivery_id=None) for n in range(15, 30)], 3),
        request([item(1), item(2, reason="a later copy"), {"event": "odd", "timestamp": 1767607200}], 4),
        b"\x07unreadable",
        request([item(30), item(900, timestamp=1767607200 + 86400)], 50),
    )
    drain(home)
    append_events(log, of(2, reason="the API was last"), of(901, campaign_id="c9"))
    late = [msgspec.json.encode(of(n, reason="a replay was last")) for n in (3, 902, 31)]
    (tmp_path / "late.ndjson").write_bytes(b"\n".join(late))
    assert run("replay", "--home", str(home), str(tmp_path / "late.ndjson")).returncode == 0
    append_raw(log, request([item(31), item(902, reason="the replay was first")], 51))
    drain(home)
    return home


def facts(home: Path) -> dict[str, tuple[str, str, str]]:
    """Origin, campaign and reason of each event, by id, kind and day."""
    found = rows(
        home, "SELECT concat_ws(' ', event_id, kind, day(occurred_at)), origin, campaign_id, reason FROM events"
    )
    assert len({row[0] for row in found}) == len(found)
    return {name: (origin, campaign, reason) for name, origin, campaign, reason in found}


def rebuild_here(home: Path, since: str | None = None) -> str:
    log, lake = SqliteLog(home / "log"), Lake(home)
    try:
        return rebuild(lake, log, since)
    finally:
        lake.close()
        log.close()


@pytest.mark.parametrize(
    "since", [(), ("--since", "2026-01-05T10:03:00Z"), ("--since", "2026-01-05t11:04:30.000+01:00")]
)
def test_a_rebuild_with_the_same_adapter_leaves_all_tables_equal(history: Path, since: tuple[str, ...]) -> None:
    before = tables(history)
    outcome = run("flows", "--rebuild", *since, "--home", str(history))

    assert outcome.returncode == 0, outcome.stderr
    assert " facts from " in outcome.stdout
    assert differences(before, tables(history)) == []
    assert {origin for origin, _, _ in facts(history).values()} == {"raw", "api", "replay"}
    drain(history)
    assert differences(before, tables(history)) == []
    assert set(before) == set(TABLES)


def renamed(one: RawRequest) -> Parsed:
    """SendGrid's reading, mended: campaigns have another name, the odd event has a kind."""
    parsed = sendgrid.parse(msgspec.structs.replace(one, body=one.body.replace(b'"odd"', b'"open"')))
    return msgspec.structs.replace(
        parsed, events=[msgspec.structs.replace(event, campaign_id="a new name") for event in parsed.events]
    )


def test_a_rebuild_with_a_mended_adapter_changes_its_facts_and_nobody_elses(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts(history)
    odd_before = rows(history, "SELECT count(*) FROM dead_letters WHERE reason = 'unmapped: odd'")
    monkeypatch.setitem(REGISTRY, "sendgrid", Changed(renamed))
    rebuild_here(history)
    after = facts(history)

    (found_anew,) = set(after) - set(before)
    assert after.pop(found_anew)[:2] == ("raw", "a new name")
    for name, (origin, campaign, reason) in before.items():
        assert after[name] == (origin, "a new name" if origin == "raw" else campaign, reason)
    assert len([name for name, (origin, _, _) in before.items() if origin == "raw"]) > 20
    assert (odd_before, rows(history, "SELECT count(*) FROM dead_letters WHERE reason = 'unmapped: odd'")) == (
        [(1,)],
        [(0,)],
    )
    cohorts = dict(
        rows(history, "SELECT campaign_id, sum(deliveries)::INT FROM campaign_performance_metrics GROUP BY 1")
    )
    assert cohorts["a new name"] >= 4
    assert rows(history, "SELECT count(*) FROM events") == [(len(after) + 1,)]


def test_a_rebuild_since_a_time_leaves_earlier_requests_alone(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "sendgrid", Changed(renamed))
    rebuild_here(history, "2026-01-05T10:50:30.000Z")
    after = facts(history)

    found = {name for name, (_, campaign, _) in after.items() if campaign == "a new name"}
    assert found == {"e30 delivered 5", "e900 delivered 6"}
    assert after["e31 delivered 5"][0] == "replay"


def test_a_mended_adapter_that_drops_events_and_brings_them_back_leaves_no_trace(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tables(history)
    with monkeypatch.context() as patched:
        patched.setitem(REGISTRY, "sendgrid", Changed(lambda _: Parsed()))
        rebuild_here(history)
    assert {origin for origin, _, _ in facts(history).values()} == {"api", "replay"}
    rebuild_here(history)

    assert differences(before, tables(history)) == []


def test_of_differing_copies_in_several_partitions_a_rebuild_keeps_the_one_that_was_first(home: Path) -> None:
    log = SqliteLog(home / "log", 3)
    for n in range(8):
        append_raw(log, request([item(1, "bounce", reason=f"copy {n}"), item(10 + n)], 9 - n))
        normalize_all(log)
    log.close()
    drain(home)
    before = tables(home)
    rebuild_here(home)

    assert len(before["events"]) == 9
    assert rows(home, "SELECT reason FROM events WHERE event_id = 'e1'") == [("copy 0",)]
    assert differences(before, tables(home)) == []


def test_a_time_that_is_none_is_one_clear_line(home: Path) -> None:
    outcome = run("flows", "--rebuild", "--since", "yesterday", "--home", str(home))

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        "outpulse flows: --since: not an RFC 3339 time: 'yesterday'; valid is RFC 3339 such as 2026-01-05T00:00:00Z\n"
    )
