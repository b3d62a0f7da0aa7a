"""Documented payloads of every provider and what they become: one folder of cases a provider in `tests/golden`.

A file is `{received_at, cases}`. A case has `what` it shows; an `item` (put into a body as the provider's sample does) or
a whole `body` (text); `headers` and `inbound` where they matter; and what comes out: `event`, `events`, `rejected` (one
reason or several), `replies`. An expected event has the fields that are not null, less those that all events share;
`HASH a|b|…` as its id stands for the made one.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import REGISTRY
from adapters.facts import OUR_KEYS
from schemas.events import Event, RawRequest, Reply
from tests.samples import samples

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = samples()
Case = dict[str, Any]


def cases_of(provider: str) -> list[Case]:
    """Every case of a provider, with its file's name and time of receipt."""
    found = []
    for path in sorted((GOLDEN / provider).glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found += [
            {"provider": provider, "file": path.stem, "received_at": content["received_at"]} | case
            for case in content["cases"]
        ]
    return found


CASES = [case for provider in REGISTRY for case in cases_of(provider)]


def request_of(case: Case) -> RawRequest:
    provider = case["provider"]
    body = case["body"].encode() if "body" in case else SAMPLES[provider].body([case["item"]])
    door = "inbound" if case.get("inbound") else "webhooks"
    return RawRequest(
        provider=provider,
        method="POST",
        url=f"/{door}/{provider}",
        received_at=case["received_at"],
        headers=case.get("headers", {}),
        body=body,
        inbound=bool(case.get("inbound")),
    )


def told(case: Case) -> list[Case]:
    """The events a case expects, with what all events have, and with ids that are hashes worked out."""
    expected = [case["event"]] if "event" in case else case.get("events", [])
    shared = {"channel": "email", "provider": case["provider"], "received_at": case["received_at"]}
    return [_with_id(shared | event) for event in expected]


def _with_id(event: Case) -> Case:
    if not event["event_id"].startswith("HASH "):
        return event
    parts = event["event_id"].removeprefix("HASH ").split("|")
    return event | {"event_id": hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]}


def fields_of(found: Event | Reply) -> Case:
    """Fields that are not null, as plain values."""
    values = json.loads(msgspec.json.encode(found))
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['provider']} {case['file']}: {case['what']}")
def test_a_documented_payload_becomes_what_its_case_says(case: Case) -> None:
    parsed = REGISTRY[case["provider"]].parse(request_of(case))
    rejected = case.get("rejected", [])

    assert told(case) == [fields_of(event) for event in parsed.events]
    assert ([rejected] if isinstance(rejected, str) else rejected) == [item.reason for item in parsed.rejected]
    assert case.get("replies", []) == [fields_of(reply) for reply in parsed.replies]


@pytest.mark.parametrize("provider", [name for name in REGISTRY if SAMPLES[name].batches])
def test_all_items_in_one_batch_give_the_same_in_order(provider: str) -> None:
    cases = [case for case in cases_of(provider) if "item" in case and not case.get("headers")]
    request = request_of({**cases[0], "body": SAMPLES[provider].body([case["item"] for case in cases]).decode()})
    parsed = REGISTRY[provider].parse(request)

    assert [event for case in cases for event in told(case)] == [
        fields_of(event) | {"received_at": event.received_at} for event in parsed.events
    ]


def _texts(item: Any) -> set[str]:
    """Every text in an item, at any depth."""
    if isinstance(item, dict):
        return {text for value in item.values() for text in _texts(value)}
    return {item} if isinstance(item, str) else set()


@pytest.mark.parametrize("provider", REGISTRY)
def test_every_row_of_the_vocabulary_has_a_case(provider: str) -> None:
    good = [case for case in cases_of(provider) if ("event" in case or "events" in case) and "item" in case]
    names = {text for case in good for text in _texts(case["item"])}

    assert set(REGISTRY[provider].VOCABULARY) <= names


@pytest.mark.parametrize("provider", REGISTRY)
def test_every_key_of_ours_has_a_case(provider: str) -> None:
    found = {field for case in cases_of(provider) for event in told(case) for field in event}

    assert set(OUR_KEYS) <= found
