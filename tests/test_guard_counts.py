"""What the guard counts, against a recount in plain Python that takes one event after the other."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import Decoder
from features.guard_counts import KINDS, SCOPE_KINDS, Counter
from features.guard_memory import DIMENSIONS
from features.hashrows import HashRows

Event = dict[str, Any]
Line = tuple[int, str, str, tuple[str, ...]]
"""Place of the event, outcome, kind of scope, values of the scope."""

KIND_SAYS: dict[str, set[str]] = {
    "queued": {"sent", "attempted"},
    "sent": {"sent", "attempted"},
    "deferred": {"sent", "attempted"},
    "bounced": {"sent", "attempted"},
    "rejected": {"attempted", "failed"},
    "failed": {"attempted", "failed"},
    "delivered": {"sent", "attempted", "delivered"},
    "opened": {"sent", "attempted", "delivered", "opened"},
    "complained": {"sent", "attempted", "delivered", "complained"},
    "unsubscribed": {"sent", "attempted", "delivered", "unsubscribed"},
    "meeting_booked": set(),
}
BOUNCE_SAYS: dict[str | None, set[str]] = {
    "hard": {"bounced"},
    "block": {"bounced"},
    "soft": set(),
    None: set(),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    events = []
    for number in range(draw(st.integers(1, 30))):
        who = draw(st.integers(0, 5))
        kind = draw(st.sampled_from(sorted(KIND_SAYS)))
        event: Event = {
            "event_id": f"e{number}",
            "kind": kind,
            "occurred_at": "2026-01-05T10:00:00.000Z",
            "provider": draw(st.sampled_from(["ses", "postmark"])),
            "recipient": f"p{who}@Firm{who % 2}.example",
        }
        if draw(st.integers(0, 3)):
            event["delivery_id"] = f"d{who}"
        if draw(st.integers(0, 2)):
            event["message_id"] = f"m{who}"
        if kind == "opened":
            event["is_machine"] = draw(st.sampled_from([True, False, None]))
        if kind == "bounced":
            event["bounce_class"] = draw(st.sampled_from(["hard", "block", "soft", None]))
        about = {
            "campaign_id": f"c{who % 2}",
            "sender": "s@out.example",
            "sequence_step": "1",
            "variant": f"v{who % 3}",
        }
        event |= {name: value for name, value in about.items() if draw(st.booleans())}
        events.append(event)
    return events


class Recount:
    """One event after the other, with dicts and sets."""

    def __init__(self) -> None:
        self.row_of: dict[Any, int] = {}
        self.named: set[int] = set()
        self.rows: list[dict[str, Any]] = []
        self.reporting: set[str] = set()

    def delivery(self, event: Event) -> dict[str, Any]:
        message = (event["message_id"], event["recipient"]) if "message_id" in event else None
        own = ("d", event["delivery_id"]) if "delivery_id" in event else message or ("e", event["event_id"])
        if own not in self.row_of:
            row = self.row_of.get(message) if message else None
            if row is None or (own != message and row in self.named):
                self.rows.append({"outcomes": {}, "known": {}, "values": {}})
                row = len(self.rows) - 1
            self.row_of[own] = row
            if message:
                self.row_of.setdefault(message, row)
            if own != message:
                self.named.add(row)
        return self.rows[self.row_of[own]]

    def take(self, place: int, event: Event) -> Iterator[Line]:
        delivery = self.delivery(event)
        values = {**event, "recipient_domain": event["recipient"].rsplit("@")[-1].lower()}
        for dimension in DIMENSIONS:
            if values.get(dimension) is not None and dimension not in delivery["values"]:
                delivery["values"][dimension] = values[dimension]
                delivery["known"][dimension] = place
        if event["kind"] in {"queued", "sent"}:
            self.reporting.add(event["provider"])
        waits = event["kind"] == "bounced" and event["provider"] in self.reporting
        for outcome in says(event) - ({"sent", "attempted", "ses_sent"} if waits else set()):
            delivery["outcomes"].setdefault(outcome, place)
        for kind, wanted in SCOPE_KINDS.items():
            if set(wanted) <= set(delivery["values"]):
                known = max((delivery["known"][dimension] for dimension in wanted), default=-1)
                chosen = tuple(delivery["values"][dimension] for dimension in wanted)
                for outcome, at in delivery["outcomes"].items():
                    waits_for = outcome.replace("bounced", "sent")
                    sent = delivery["outcomes"].get(waits_for) if outcome.endswith("bounced") else -1
                    if sent is not None and max(at, known, sent) == place:
                        yield place, outcome, kind, chosen


def says(event: Event) -> set[str]:
    also = BOUNCE_SAYS[event.get("bounce_class")] if event["kind"] == "bounced" else set()
    said = KIND_SAYS[event["kind"]] | also
    if event.get("is_machine"):
        said = said - {"opened"}
    if event["provider"] != "ses":
        return said
    of_ses = {"sent", "delivered", "complained"} | ({"bounced"} if event.get("bounce_class") == "hard" else set())
    return said | {f"ses_{one}" for one in said & of_ses}


def recount(events: list[Event]) -> list[Line]:
    whole = Recount()
    return [line for place, event in enumerate(events) for line in whole.take(place, event)]


def columns(events: list[Event]) -> pa.Table:
    lines = pa.array([msgspec.json.encode(event) for event in events], pa.binary())
    return Decoder().decode(lines, np.arange(len(events)), "test").facts


def counted(counter: Counter, events: list[Event], sizes: list[int]) -> list[Line]:
    lines: list[Line] = []
    start = turn = 0
    while start < len(events):
        size = sizes[turn % len(sizes)]
        for found, _ in counter.take(columns(events[start : start + size])):
            for outcome, counts in found.items():
                for at, scope in zip(counts.at.tolist(), counts.scope.tolist(), strict=True):
                    kind = KINDS[counter.scopes.kind[scope]]
                    codes = counter.scopes.codes[scope]
                    values = tuple(
                        counter.codes[dimension].texts[codes[DIMENSIONS.index(dimension)]]
                        for dimension in SCOPE_KINDS[kind]
                    )
                    lines.append((start + at, outcome, kind, values))
        start, turn = start + size, turn + 1
    return lines


@given(histories(), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_counts_equal_a_recount_event_by_event_in_any_batches(events: list[Event], sizes: list[int]) -> None:
    assert sorted(counted(Counter(), events, sizes)) == sorted(recount(events))


@given(histories(), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(2, 5))
def test_what_is_forgotten_does_not_depend_on_the_batches(events: list[Event], sizes: list[int], kept: int) -> None:
    one, other = Counter(kept), Counter(kept)

    assert sorted(counted(one, events, sizes)) == sorted(counted(other, events, [1]))
    assert one.scopes.kind == other.scopes.kind
    assert len(one.deliveries) == len(other.deliveries) <= kept


def test_a_late_bounce_without_campaign_counts_for_the_campaign_of_its_delivery() -> None:
    sent = {
        "event_id": "1",
        "kind": "sent",
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "delivery_id": "d",
        "provider": "p",
    }
    sent |= {"campaign_id": "autumn", "message_id": "m", "recipient": "ada@firm.example"}
    bounced = {"event_id": "2", "kind": "bounced", "occurred_at": "2026-01-05T10:01:00.000Z", "provider": "p"}
    bounced |= {"message_id": "m", "recipient": "ada@firm.example", "bounce_class": "hard"}
    lines = counted(Counter(), [sent, bounced], [1])

    assert (1, "bounced", "campaign", ("autumn",)) in lines
    assert [line for line in lines if line[1] == "sent" and line[2] == "campaign"] == [
        (0, "sent", "campaign", ("autumn",))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_table_of_rows_is_a_dict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, known = HashRows(8), dict[int, int]()
    for _ in range(20):
        keys = np.unique(rng.integers(0, 3000, 300)).astype(np.uint64) * np.uint64(2**32 * (seed + 1))
        found = table.find(keys)

        assert found.tolist() == [known.get(int(key), -1) for key in keys]

        new = keys[found < 0]
        rows = np.arange(len(known), len(known) + len(new))
        table.put(new, rows)
        known |= dict(zip(map(int, new), rows.tolist(), strict=True))
    keys, rows = table.items()

    assert dict(zip(map(int, keys), rows.tolist(), strict=True)) == known
