import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from tests import oracle
from tests.lakes import land, rows, tables, works

Event = dict[str, Any]

MINUTE = "strftime(minute, '%Y-%m-%dT%H:%M')"
KINDS = [
    "queued",
    "sent",
    "deferred",
    "delivered",
    "opened",
    "clicked",
    "replied",
    "bounced",
    "rejected",
    "complained",
    "unsubscribed",
    "failed",
    "meeting_booked",
    "called",
]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of a few deliveries in which every field may be missing, with duplicates, in any order."""
    events: list[Event] = []
    for number in range(draw(st.integers(1, 6))):
        named = draw(st.booleans())
        has_message = draw(st.booleans()) or not named
        about = {
            "campaign_id": draw(st.sampled_from(["c1", "c2"])),
            "sequence_step": draw(st.sampled_from(["1", "2"])),
            "variant": draw(st.sampled_from(["A", "B"])),
            "persona": draw(st.sampled_from(["cto", "cfo"])),
            "account_tier": draw(st.sampled_from(["a", "b"])),
            "sender": "s@out.example",
            "channel": "email",
        }
        for index in range(draw(st.integers(1, 6))):
            kind = draw(st.sampled_from(KINDS))
            event: Event = {
                "event_id": f"e{number}-{index}",
                "kind": kind,
                "occurred_at": f"2026-01-{draw(st.integers(1, 4)):02d}T{draw(st.integers(0, 23)):02d}:"
                f"{draw(st.integers(0, 1)):02d}:{draw(st.integers(0, 6)):02d}.{draw(st.integers(0, 999)):03d}Z",
                "provider": "sendgrid",
                "recipient": f"p{number}@Firm{number % 2}.example",
            }
            event |= {name: value for name, value in about.items() if draw(st.booleans())}
            if named and draw(st.booleans()):
                event["delivery_id"] = f"d{number}"
            if has_message and draw(st.integers(0, 3)):
                event["message_id"] = f"m{number}"
            if kind in {"replied", "bounced", "complained"} and draw(st.booleans()):
                event |= mails(draw, event, number)
            if kind == "bounced":
                event["bounce_class"] = draw(st.sampled_from(["hard", "soft", "block", None]))
            if kind in {"opened", "clicked"}:
                event["is_machine"] = draw(st.sampled_from([True, False, None]))
                event["attributes"] = {"ip": draw(st.sampled_from(["192.0.2.7", "67.231.150.9", "fe80::1", "6"]))}
            if kind == "clicked":
                event["url"] = draw(
                    st.sampled_from(["https://a.example/", "https://b.example/", "https://c.example/?op_hidden=1"])
                )
            events.append(event)
            if draw(st.integers(0, 4)) == 0:
                events.append(dict(event))
    return draw(st.permutations(events))


def mails(draw: st.DrawFn, event: Event, number: int) -> Event:
    """What a reply or report has of its own when it came as mail: an id, a recipient, and what it says of the message."""
    if event["kind"] != "replied":
        return {"provider": "mailbox", "attributes": {"report": "delivery-status"}}
    told = {"from": str(event["recipient"]).upper()} if draw(st.booleans()) else {"from": "assistant@firm.example"}
    if draw(st.booleans()):
        told["in_reply_to"] = f"m{draw(st.integers(0, 6))}@host.example"
    if draw(st.booleans()):
        told["references"] = f"<m{number}@host.example> <x{number}@host.example>"
    own = {"message_id": f"r{event['event_id']}"} if draw(st.booleans()) else {}
    return {"provider": "mailbox", "recipient": "reply@out.example", "attributes": told, **own}


def check_against_oracle(home: Path, events: Sequence[Event]) -> None:
    facts = oracle.unique(events)

    assert len(facts) == rows(home, "SELECT count(*) FROM events")[0][0]

    keys = ", ".join([*oracle.DIMENSIONS, "kind", "bounce_class", "is_machine"])
    cells = rows(home, f"SELECT {MINUTE}, {keys}, events FROM metrics_minute")
    assert dict(oracle.metrics_minute(facts)) == {row[:-1]: row[-1] for row in cells}
    assert len(cells) == len({row[:-1] for row in cells})

    sent = "strftime(actual_send_time, '%Y-%m-%dT%H:%M:%S.%gZ')"
    found = rows(
        home,
        f"""SELECT delivery_id, provider, message_id, recipient, delivery_status, campaign_id, {sent}, events,
        machine_reason FROM message_deliveries""",
    )
    known = {name for name in oracle.delivery_rows(facts) if isinstance(name, str)}
    assert sorted(map(repr, oracle.delivery_rows(facts).values())) == sorted(repr(row[4:]) for row in found)
    assert {row[0]: row[4:] for row in found if row[0]} == {name: oracle.delivery_rows(facts)[name] for name in known}

    names = sorted({name for row in oracle.cohorts(facts).values() for name in row})
    cohorts = rows(
        home,
        f"""SELECT metric_date::VARCHAR, campaign_id, channel, contact_persona, account_tier, {", ".join(names)}
        FROM campaign_performance_metrics""",
    )
    expected = {key: tuple(row.get(name, 0) for name in names) for key, row in oracle.cohorts(facts).items()}
    assert expected == {row[:5]: row[5:] for row in cohorts}


@given(histories(), st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_figures_equal_a_plain_recount_whatever_the_order_and_the_size_of_batches(
    events: list[Event], sizes: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        land(Path(folder), works(events, sizes))

        try:
            check_against_oracle(Path(folder), events)
        except oracle.Ambiguous:
            reject()


@given(histories(), st.integers(0, 2**32))
def test_shuffled_and_repeated_input_gives_the_same_tables(events: list[Event], seed: int) -> None:
    shuffled = [dict(event) for event in events * 2]
    random.Random(seed).shuffle(shuffled)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        land(Path(one), works(events, [len(events)]))
        land(Path(other), works(shuffled[: len(events)], [3]))
        land(Path(other), works(shuffled[len(events) :], [4], start=len(events)))  # another process goes on

        assert tables(Path(one)) == tables(Path(other))


def event(number: int, **fields: Any) -> Event:
    return {"event_id": f"e{number}", "kind": "sent", "occurred_at": "2026-01-05T10:00:00.000Z", **fields}


def test_of_differing_copies_the_first_in_log_order_stays(home: Path) -> None:
    land(home, works([event(1, reason="first"), event(1, reason="second")], [1]))

    assert rows(home, "SELECT reason FROM events") == [("first",)]


def test_a_copy_on_another_day_is_another_fact(home: Path) -> None:
    land(home, works([event(1), event(1, occurred_at="2026-01-06T00:00:00.000Z")], [1]))

    assert rows(home, "SELECT count(*) FROM events") == [(2,)]


def test_a_late_link_moves_earlier_events_to_their_campaign(home: Path) -> None:
    opened = event(1, kind="opened", provider="p", message_id="m", recipient="a@b.example")
    sent = event(2, provider="p", message_id="m", recipient="a@b.example", delivery_id="d", campaign_id="c")
    land(home, works([opened], [1]))

    assert rows(home, "SELECT campaign_id, events FROM metrics_minute") == [(None, 1)]

    land(home, works([sent], [1], start=1))

    assert rows(home, "SELECT campaign_id, sum(events)::INT FROM metrics_minute GROUP BY ALL") == [("c", 2)]
    assert rows(home, "SELECT delivery_id, delivery_status, events FROM message_deliveries") == [("d", "opened", 2)]
    assert rows(home, "SELECT campaign_id, sum(events)::INT FROM metrics_campaign_minute GROUP BY ALL") == [("c", 2)]


def test_a_rate_without_a_denominator_is_null(home: Path) -> None:
    land(home, works([event(1, kind="queued", delivery_id="d", campaign_id="c")], [1]))

    assert rows(
        home, "SELECT messages_sent, delivery_rate, open_rate, response_rate FROM campaign_performance_metrics"
    ) == [(0, None, None, None)]


@pytest.mark.parametrize(
    ("view", "inside", "outside"),
    [
        ("metrics_1m", "2026-01-05T09:59:00.001Z", "2026-01-05T09:59:00.000Z"),
        ("metrics_5m", "2026-01-05T09:55:00.001Z", "2026-01-05T09:55:00.000Z"),
        ("metrics_1h", "2026-01-05T09:00:00.001Z", "2026-01-05T09:00:00.000Z"),
        ("metrics_24h", "2026-01-04T10:00:00.001Z", "2026-01-04T10:00:00.000Z"),
    ],
)
def test_a_rolling_window_is_open_at_its_old_end(home: Path, view: str, inside: str, outside: str) -> None:
    land(home, works([event(1), event(2, occurred_at=inside), event(3, occurred_at=outside)], [3]))

    assert rows(home, f"SELECT sum(events)::INT FROM {view}") == [(2,)]
    assert rows(home, f"SELECT DISTINCT as_of::VARCHAR FROM {view}") == [("2026-01-05 10:00:00+00",)]


def test_a_bad_line_is_a_dead_letter_and_its_neighbours_land(home: Path) -> None:
    good = [event(number) for number in range(999)]
    batch = works([*good[:500], {"kind": "sent"}, *good[500:]], [1000])
    land(home, batch)

    assert rows(home, "SELECT count(*) FROM events") == [(999,)]
    assert rows(home, "SELECT reason, raw FROM dead_letters") == [("event_id missing", b'{"kind":"sent"}')]
