"""The provider of the simulated world: what it says, in which requests, and how it posts them."""

import base64
import json
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from data.esp import Esp, Undeliverable, new_key
from data.facts import Told
from data.mail import HEALTHY, send_email
from data.sendgrid import CUSTOM_ARGS, SIGNATURE_HEADER, TIMESTAMP_HEADER, signed_headers, webhook_item
from data.traffic import EVENTS_PATH, WEBHOOK_PATH, Role, plan
from data.world import World
from schemas.events import Kind
from schemas.instants import parse_ms
from tests.test_world import SCALE


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=11, days=7, scale=SCALE)


@pytest.fixture(scope="module")
def told(world: World) -> list[Told]:
    return list(world.events())


# What SendGrid says


def _read_back(item: dict[str, Any]) -> dict[str, Any]:
    """The documented reading of an item, written down a second time."""
    names = {
        "processed": "queued",
        "deferred": "deferred",
        "delivered": "delivered",
        "bounce": "bounced",
        "dropped": "rejected",
        "open": "opened",
        "click": "clicked",
        "spamreport": "complained",
        "unsubscribe": "unsubscribed",
    }
    soft_or_hard = "soft" if item.get("status", "").startswith("4") else "hard"
    agent = item.get("useragent", "")
    scanner = re.search(r"bot|crawler|spider|python-requests|curl/|Barracuda|Proofpoint|Mimecast", agent)
    looks = {"opened": True, "clicked": True}
    kind = names[item["event"]]
    return {
        "event_id": item["sg_event_id"],
        "kind": kind,
        "occurred_ms": item["timestamp"] * 1000,
        "message_id": item.get("sg_message_id", ".filter").split(".filter")[0] or None,
        "recipient": item["email"],
        "bounce_class": {"blocked": "block", "bounce": soft_or_hard}[item["type"]] if kind == "bounced" else None,
        "is_machine": item.get("sg_machine_open", agent == "Mozilla/5.0" or scanner is not None)
        if kind in looks
        else None,
        "url": item.get("url"),
        **{name: item.get(name) for name in CUSTOM_ARGS},
    }


def test_an_item_read_by_the_documented_rules_says_what_the_world_said(told: list[Told]) -> None:
    for event in told:
        if event.provider == "sendgrid":
            item = json.loads(msgspec.json.encode(webhook_item(event)))
            read = _read_back(item)
            expected = {name: getattr(event, name) for name in read if name != "occurred_ms"}

            assert read == expected | {"occurred_ms": parse_ms(event.occurred_at)}


def test_a_late_bounce_comes_without_a_message_id() -> None:
    one = World(3, 3, scale=0.01)
    made = next(made for made in one.deliveries if made.channel == "email")
    made.facts = []
    send_email(made, one.start_ms, msgspec.structs.replace(HEALTHY, late_bounce=1.0), np.random.default_rng(4))
    late = [fact for fact in made.facts if fact.kind is Kind.BOUNCED]

    assert [fact.kind for fact in made.facts] == [Kind.QUEUED, Kind.DELIVERED, Kind.BOUNCED]
    assert late[0].message_id is None


def test_a_signature_verifies_and_any_change_of_body_or_time_breaks_it() -> None:
    private_key, public_text = new_key()
    headers = signed_headers(private_key, 1_770_000_000, b"[1]\r\n")

    assert _proves(public_text, headers, b"[1]\r\n")
    assert not _proves(public_text, headers, b"[1]\n")
    assert not _proves(public_text, headers | {TIMESTAMP_HEADER: "1770000001"}, b"[1]\r\n")


def _proves(public_text: str, headers: dict[str, str], body: bytes) -> bool:
    key = load_der_public_key(base64.b64decode(public_text))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = headers[TIMESTAMP_HEADER].encode() + body
    try:
        key.verify(base64.b64decode(headers[SIGNATURE_HEADER]), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


# The plan of requests


def test_each_event_is_in_exactly_one_good_request(world: World, told: list[Told]) -> None:
    ids: Counter[str] = Counter()
    for request in plan(world):
        if request.role is Role.GOOD:
            ids.update(_ids(request.path, request.body))

    assert ids == Counter(event.event_id for event in told)


def _ids(path: str, body: bytes) -> list[str]:
    if path == EVENTS_PATH:
        return [json.loads(line)["event_id"] for line in body.splitlines()]
    return [item["sg_event_id"] for item in json.loads(body)]


def test_copies_come_later_and_bad_requests_are_one_in_a_hundred() -> None:
    requests = list(plan(World(8, 7, scale=0.3)))
    roles = Counter(request.role for request in requests)
    good = {request.body: place for place, request in enumerate(requests) if request.role is Role.GOOD}
    copies = Counter(request.body for request in requests if request.role is Role.DUPLICATE)

    assert 0.02 < len(copies) / roles[Role.GOOD] < 0.045
    assert 0.005 < (roles[Role.MALFORMED] + roles[Role.FORGED]) / len(requests) < 0.016
    assert abs(roles[Role.MALFORMED] - roles[Role.FORGED]) <= 2
    assert all(place > good[request.body] for place, request in enumerate(requests) if request.role is Role.DUPLICATE)


def test_batches_hold_many_messages_and_kinds_and_disorder_reaches_across_them(world: World) -> None:
    batches = [request for request in plan(world) if request.role is Role.GOOD and request.path == WEBHOOK_PATH]
    kinds = [len({item["event"] for item in json.loads(request.body)}) for request in batches]
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, request in enumerate(batches):
        for item in json.loads(request.body):
            places[item["delivery_id"]].append((item["timestamp"], number))

    assert max(kinds) >= 4
    assert max(request.events for request in batches) <= 300
    assert any([batch for _, batch in sorted(own)] != sorted(batch for _, batch in own) for own in places.values())


# Over HTTP


class Gateway(ThreadingHTTPServer):
    """A gateway that checks proofs, keeps bodies, and is out of order for the first `outages` requests."""

    daemon_threads = True

    def __init__(self, public_text: str, outages: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.public_text = public_text
        self.outages = outages
        self.taken: list[tuple[str, bytes, str]] = []
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        gateway = self.server
        assert isinstance(gateway, Gateway)
        body = self.rfile.read(int(self.headers["content-length"]))
        with gateway.lock:
            gateway.outages -= 1
            status = 503 if gateway.outages >= 0 else self._judge(gateway, body)
            if status in {202, 204}:
                gateway.taken.append((self.path, body, self.headers["x-outpulse-received-at"]))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _judge(self, gateway: Gateway, body: bytes) -> int:
        if self.path == EVENTS_PATH:
            return 202 if self.headers["authorization"] == "Bearer open sesame" else 401
        proof = {name: self.headers.get(name, "") for name in (SIGNATURE_HEADER, TIMESTAMP_HEADER)}
        if not all(proof.values()) or not _proves(gateway.public_text, proof, body):
            return 401
        return 204 if abs(time.time() - int(proof[TIMESTAMP_HEADER])) < 26 * 3600 else 401

    def log_message(self, *_: Any) -> None:
        """Stays quiet."""


@contextmanager
def _gateway(outages: int = 0) -> Iterator[tuple[Gateway, str, ec.EllipticCurvePrivateKey]]:
    private_key, public_text = new_key()
    gateway = Gateway(public_text, outages)
    thread = threading.Thread(target=gateway.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield gateway, f"http://127.0.0.1:{gateway.server_address[1]}", private_key
    finally:
        gateway.shutdown()
        thread.join()
        gateway.server_close()


def test_everything_arrives_signed_through_an_outage_and_nothing_forged_is_taken(
    world: World, told: list[Told]
) -> None:
    seen: list[tuple[int, int]] = []
    with _gateway(outages=3) as (gateway, url, private_key):
        summary = Esp(world, url, private_key, "open sesame").run(
            progress=lambda done, total: seen.append((done, total))
        )
    planned = list(plan(world))
    taken = [event_id for path, body, _ in gateway.taken for event_id in _ids_of_good(path, body)]

    assert set(taken) >= {event.event_id for event in told}
    assert summary["posted"] == len(planned)
    assert summary["events"] == world.event_count
    assert summary["forged"] == sum(request.role is Role.FORGED for request in planned)
    assert summary["answers"].get(401, 0) == summary["forged"]
    assert summary["answers"][204] + summary["answers"][202] == summary["posted"] - summary["forged"]
    assert not any(b"made-up" in body for path, body, _ in gateway.taken if not _is_malformed(planned, body))
    assert max(seen) == (world.event_count, world.event_count)
    assert all(world.start_ms <= parse_ms(received) <= world.end_ms for _, _, received in gateway.taken)


def _ids_of_good(path: str, body: bytes) -> list[str]:
    try:
        return _ids(path, body)
    except (ValueError, TypeError, KeyError):
        return []


def _is_malformed(planned: list[Any], body: bytes) -> bool:
    return any(request.body == body for request in planned if request.role is Role.MALFORMED)


def test_a_gateway_that_never_answers_well_fails_the_run_after_the_deadline() -> None:
    small = World(1, 1, scale=0.001)
    with _gateway(outages=10**9) as (_, url, private_key):
        esp = Esp(small, url, private_key, "open sesame", deadline_seconds=0.3)
        with pytest.raises(Undeliverable, match="answered 503"):
            esp.run()


def test_a_refused_token_fails_the_run_and_names_the_answer() -> None:
    with _gateway() as (_, url, private_key):
        esp = Esp(World(1, 1, scale=0.005), url, private_key, "wrong", deadline_seconds=0.3)
        with pytest.raises(Undeliverable, match="answered 401"):
            esp.run()


def test_speed_holds_the_posts_back() -> None:
    small = World(1, 1, scale=0.001)
    with _gateway() as (_, url, private_key):
        started = time.monotonic()
        Esp(small, url, private_key, "open sesame", speed=86_400.0).run()

    assert 0.5 < time.monotonic() - started < 5
