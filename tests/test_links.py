"""Replies and reports that came as mail find the delivery they are about, whichever comes first."""

from pathlib import Path
from typing import Any

import pytest

from tests.lakes import land, rows, works

Event = dict[str, Any]
FOUND = "SELECT delivery_id, delivery_status FROM message_deliveries ORDER BY 1 NULLS LAST"


def sent(delivery: str, message_id: str, at: str = "2026-01-05T10:00:00.000Z", **fields: Any) -> Event:
    return {
        "event_id": f"s-{delivery}",
        "kind": "delivered",
        "occurred_at": at,
        "provider": "ses",
        "delivery_id": delivery,
        "message_id": message_id,
        "recipient": "ada@firm.example",
        "campaign_id": "autumn",
        **fields,
    }


def reply(**attributes: str) -> Event:
    return {
        "event_id": "r",
        "kind": "replied",
        "occurred_at": "2026-01-06T09:00:00.000Z",
        "provider": "mailbox",
        "message_id": "own@firm.example",
        "recipient": "team@out.example",
        "attributes": attributes,
    }


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param(
            {"from": "ada@firm.example", "in_reply_to": "m1@eu.example"}, "d1", id="by the id before the host"
        ),
        pytest.param({"from": "boss@firm.example", "in_reply_to": "m2@eu.example"}, "d2", id="an assistant answers"),
        pytest.param(
            {"from": "ada@firm.example", "in_reply_to": "x@y.example", "references": "m1@eu.example z@y.example"},
            "d1",
            id="by references when nobody knows what is answered",
        ),
        pytest.param({"from": "Ada@Firm.example"}, "d2", id="by the address, the newest before it"),
        pytest.param({"from": "bob@firm.example", "in_reply_to": "x@y.example"}, None, id="a stranger"),
    ],
)
def test_a_reply_from_a_mailbox_belongs_to_the_delivery_it_answers(
    home: Path, told: dict[str, str], found: str | None
) -> None:
    later = sent("d3", "m3", "2026-01-07T10:00:00.000Z")
    events = [sent("d1", "m1"), sent("d2", "m2", "2026-01-05T11:00:00.000Z"), later, reply(**told)]
    for number, order in enumerate((events, events[::-1], [*events[2:], *events[:2]])):
        place = home / str(number)
        land(place, works(order, [1]))

        answered = dict.fromkeys(("d1", "d2", "d3"), "delivered") | ({found: "replied"} if found else {})
        assert [row for row in rows(place, FOUND) if row[0]] == sorted(answered.items())
        assert len(rows(place, FOUND)) == 3 + (found is None)
        assert rows(place, "SELECT delivery_id, campaign_id FROM response_intelligence") == [
            (found, "autumn" if found else None)
        ]
        assert rows(place, "SELECT sum(responses_received)::INT FROM campaign_performance_metrics") == [(1,)]


def test_one_message_to_several_people_is_answered_by_the_one_who_writes(home: Path) -> None:
    to_bob = sent("d2", "m1", recipient="bob@firm.example")
    land(
        home,
        works([reply(**{"from": "bob@firm.example", "in_reply_to": "m1@x.example"}), sent("d1", "m1"), to_bob], [2]),
    )

    assert rows(home, FOUND) == [("d1", "delivered"), ("d2", "replied")]


def test_a_bounce_that_came_as_mail_counts_for_its_message(home: Path) -> None:
    bounce = {
        **sent("", "m1@eu.example"),
        "event_id": "b",
        "kind": "bounced",
        "bounce_class": "hard",
        "provider": "mailbox",
        "delivery_id": None,
        "attributes": {"report": "delivery-status"},
    }
    land(home, works([bounce, sent("d1", "m1")], [1]))

    assert rows(home, FOUND) == [("d1", "bounced")]
    assert rows(home, "SELECT sum(bounced_hard)::INT, sum(messages_sent)::INT FROM campaign_performance_metrics") == [
        (1, 1)
    ]


def test_a_reply_moves_when_a_newer_message_to_the_same_person_turns_up(home: Path) -> None:
    land(home, works([sent("d1", "m1"), reply(**{"from": "ada@firm.example"})], [2]))

    assert rows(home, FOUND) == [("d1", "replied")]

    land(home, works([sent("d2", "m2", "2026-01-05T12:00:00.000Z", campaign_id="winter")], [1], start=2))

    assert rows(home, FOUND) == [("d1", "delivered"), ("d2", "replied")]
    assert rows(home, "SELECT campaign_id, responses_received::INT FROM campaign_performance_metrics ORDER BY 1") == [
        ("autumn", 0),
        ("winter", 1),
    ]


def test_a_message_known_by_its_id_only_takes_replies_and_then_its_name(home: Path) -> None:
    unnamed = {**sent("", "m1"), "event_id": "o", "kind": "opened", "delivery_id": None}
    land(home, works([reply(**{"from": "ada@firm.example", "in_reply_to": "m1@x.example"}), unnamed], [1]))

    assert rows(home, FOUND) == [(None, "replied")]

    land(home, works([sent("d1", "m1")], [1], start=2))

    assert rows(home, FOUND) == [("d1", "replied")]


def test_a_reply_that_names_our_own_message_as_its_own_belongs_to_it(home: Path) -> None:
    told = {
        **reply(**{"from": "ada@firm.example"}),
        "provider": "ses",
        "message_id": "m1",
        "recipient": "ada@firm.example",
    }
    newer = sent("d2", "m2", "2026-01-05T12:00:00.000Z")
    land(home, works([told, sent("d1", "m1"), newer], [1]))

    assert rows(home, FOUND) == [("d1", "replied"), ("d2", "delivered")]


def test_a_reply_with_the_ids_of_one_delivery_and_the_author_of_another_is_counted_once(home: Path) -> None:
    opened = {**sent("", "m1@h"), "event_id": "o", "kind": "opened", "delivery_id": None}
    told = {**reply(**{"from": "zoe@firm.example", "in_reply_to": "m1@h"}), "provider": "ses", "message_id": "m1@h"}
    told |= {"recipient": "ada@firm.example"}
    events = [sent("d1", "m1@h"), sent("d2", "m1@h", recipient="zoe@firm.example"), opened, told]
    found = []
    for number, (order, size) in enumerate([(events, 4), (events, 1), (events[::-1], 4), (events[::-1], 1)]):
        land(home / str(number), works(order, [size]))
        place = home / str(number)
        found.append(
            (
                rows(place, "SELECT delivery_id, events FROM message_deliveries ORDER BY 1"),
                rows(
                    place, "SELECT sum(deliveries)::INT, sum(responses_received)::INT FROM campaign_performance_metrics"
                ),
                rows(place, "SELECT count(*) FROM response_intelligence"),
            )
        )

    assert found == [found[0]] * 4
    assert sum(events for _, events in found[0][0]) == 4
    assert found[0][1:] == ([(2, 1)], [(1,)])
