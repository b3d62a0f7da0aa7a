"""Contacts, plans of campaigns and messages come from people's own lists; figures correct themselves."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from outpulse.cli import cli
from tests.lakes import land, rows, works

T = "2026-01-05T10:00:0{}.000Z"


def event(kind: str, number: int = 1, second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"{kind}-{number}-{second}",
        "kind": kind,
        "occurred_at": T.format(second),
        "channel": "email",
        "provider": "sendgrid",
        "campaign_id": "autumn",
        "contact_id": f"c{number}",
        "delivery_id": f"d{number}",
        "recipient": f"p{number}@firm.example",
        **more,
    }


def bring(home: Path, kind: str, path: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["import", kind, str(path), "--home", str(home), *options])


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_good_rows_land_and_each_bad_cell_is_told_with_row_column_received_and_valid(home: Path) -> None:
    path = written(
        home.parent / "contacts.csv",
        "Contact ID,Email,Persona,Account Tier,Time zone,Account value,Favourite\n"
        "c1,ada@firm.example,CFO,gold,Europe/Berlin,1200.50,tea\n"
        "c2,bob@firm.example,CTO,silver,Mars/Olympus,10,\n"
        "c3,eve@firm.example,CTO,silver,UTC,minus one,\n"
        ",nobody@firm.example,CTO,silver,UTC,1,\n"
        "c5,too,many,cells,UTC,1,2,3\n"
        "c6,ida@firm.example,,,,,\n",
    )

    result = bring(home, "contacts", path)

    assert result.exit_code == 3
    assert "2 new, 0 changed, 0 unchanged, 4 rows not usable" in result.stderr
    assert (
        "row 3, column timezone: received 'Mars/Olympus', valid is a time zone such as Europe/Berlin" in result.stderr
    )
    assert "row 4, column account_value: received 'minus one', valid is a number of 0 or more" in result.stderr
    assert "row 5, column contact_id: received nothing, valid is an id" in result.stderr
    assert "row 6, column -: received 8 cells, the header has 7" in result.stderr
    assert rows(home, "SELECT * EXCLUDE (imported_at, attributes) FROM contacts ORDER BY contact_id") == [
        ("c1", "ada@firm.example", "CFO", "gold", "Europe/Berlin", None, 1200.5),
        ("c6", "ida@firm.example", None, None, None, None, None),
    ]
    assert rows(home, "SELECT attributes->>'favourite' FROM contacts WHERE contact_id = 'c1'") == [("tea",)]


def test_a_second_import_changes_nothing_and_a_later_file_corrects_only_its_columns(home: Path) -> None:
    first = written(home.parent / "a.csv", "contact_id,persona,timezone\nc1,CFO,UTC\nc2,CTO,UTC\n")
    second = written(home.parent / "b.csv", "contact_id;persona\nc1;CEO\nc1;CIO\n")

    assert "2 new, 0 changed, 0 unchanged" in bring(home, "contacts", first).stderr
    before = rows(home, "SELECT * FROM contacts ORDER BY ALL")
    again = bring(home, "contacts", first)
    assert again.exit_code == 0
    assert "0 new, 0 changed, 2 unchanged" in again.stderr
    assert rows(home, "SELECT * FROM contacts ORDER BY ALL") == before

    later = bring(home, "contacts", second)
    assert "0 new, 1 changed, 0 unchanged, 0 rows not usable, 1 rows with an id that a later row has" in later.stderr
    assert rows(home, "SELECT contact_id, persona, timezone FROM contacts ORDER BY 1") == [
        ("c1", "CIO", "UTC"),
        ("c2", "CTO", "UTC"),
    ]


def test_a_list_without_ids_lands_nothing_and_says_which_columns_it_knows(home: Path) -> None:
    result = bring(home, "campaigns", written(home.parent / "x.csv", "name,cost\nautumn,3\n"))

    assert result.exit_code == 1
    assert "columns name, cost; needed is campaign_id, known are campaign_id, campaign_strategy_id" in result.stderr


def test_a_list_of_only_bad_rows_ends_with_1(home: Path) -> None:
    result = bring(home, "contacts", written(home.parent / "x.csv", "contact_id,account_value\nc1,x\n"))

    assert result.exit_code == 1


def test_plans_fill_campaign_executions_and_the_cost_is_spread_over_what_was_sent(home: Path) -> None:
    events = [event("delivered", n) for n in range(4)] + [event("replied", n, 5, text="Yes") for n in range(2)]
    land(home, works(events, [10]))
    assert rows(
        home, "SELECT cost_per_response, total_targets FROM campaign_performance_metrics, campaign_executions"
    ) == [(None, 4)]
    path = home.parent / "plans.parquet"
    pq.write_table(
        pa.table(
            {
                "campaign_id": ["autumn", "spring"],
                "launch_date": [None, "2026-03-01"],
                "total_targets": [120, 7],
                "cost": [30.0, None],
                "throttling": ['{"per_hour": 50}', None],
                "strategy_id": ["s-1", None],
            }
        ),
        path,
    )

    assert "2 new" in bring(home, "campaigns", path).stderr

    assert rows(home, "SELECT cost_per_response FROM campaign_performance_metrics") == [(15.0,)]
    found = rows(home, """SELECT campaign_id, execution_status, launch_date::VARCHAR, total_targets, messages_sent,
        campaign_strategy_id, execution_settings FROM campaign_executions ORDER BY 1""")  # fmt: skip
    assert [row[:6] for row in found] == [
        ("autumn", "running", "2026-01-05 00:00:00+00", 120, 4, "s-1"),
        ("spring", "scheduled", "2026-03-01 00:00:00+00", 7, 0, None),
    ]
    assert json.loads(found[0][6]) == {"throttling": {"per_hour": 50}}


def test_a_late_import_of_contacts_corrects_figures_by_persona_as_if_it_had_come_first(
    home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    events = [event("delivered", n) for n in range(3)] + [event("opened", 1, 5, persona="CEO"), event("opened", 2, 5)]
    path = written(home.parent / "contacts.csv", "contact_id,persona,account_tier\nc0,CFO,gold\nc1,CFO,gold\n")
    land(home, works(events[:2], [1]))
    bring(home, "contacts", path)
    land(home, works(events, [1]))
    land(other, works(events, [2]))
    bring(other, "contacts", path)

    for one in (home, other):
        assert rows(one, """SELECT contact_persona, account_tier, messages_sent FROM campaign_performance_metrics
            ORDER BY ALL""") == [("CEO", "gold", 1), ("CFO", "gold", 1), (None, None, 1)]  # fmt: skip
        assert rows(one, "SELECT delivery_id, persona, account_tier FROM message_deliveries ORDER BY 1") == [
            ("d0", "CFO", "gold"),
            ("d1", "CEO", "gold"),
            ("d2", None, None),
        ]
        assert rows(one, "SELECT persona, sum(events) FROM metrics_minute GROUP BY 1 ORDER BY 1") == [
            ("CEO", 2),
            ("CFO", 1),
            (None, 2),
        ]


def test_messages_keep_their_ids_and_get_one_where_none_is_given(home: Path) -> None:
    path = written(
        home.parent / "m.csv", 'campaign,step,variant,subject,text\nautumn,1,A,Hello,"two\nlines"\nautumn,2,,Again,x\n'
    )

    assert "2 new" in bring(home, "messages", path).stderr
    assert rows(home, "SELECT id, sequence_step, variant, subject, body FROM campaign_messaging ORDER BY 1") == [
        ("autumn/1/A", "1", "A", "Hello", "two\nlines"),
        ("autumn/2/", "2", None, "Again", "x"),
    ]

    given = written(home.parent / "g.csv", "id,campaign_id,channel\n17,autumn,email\n18,autumn,pigeon\n")
    result = bring(home, "messages", given)
    assert "row 3, column channel: received 'pigeon', valid is one of email, linkedin_connect" in result.stderr
    assert rows(home, "SELECT channel FROM campaign_messaging WHERE id = '17'") == [("email",)]


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_meetings_are_told_by_their_events_in_any_order(home: Path, order: int) -> None:
    told = {"meeting_id": "m1", "meeting_type": "demo", "meeting_duration": "30"}
    events = [
        event("delivered"),
        event("replied", 1, 1, text="Let us talk"),
        event("meeting_booked", 1, 2, attributes={**told, "scheduled_datetime": "2026-01-07T09:00:00Z"}),
        event("meeting_confirmed", 1, 3, attributes={**told, "scheduled_for": "1767949200"}),
        event("meeting_held", 1, 4, attributes=told),
        event("opportunity_created", 1, 5, attributes=told),
        event("meeting_booked", 2, 2, attributes={"meeting_id": "m2"}),
        event("meeting_no_show", 2, 6, attributes={"meeting_id": "m2"}),
        event("meeting_booked", 3, 2),
    ]
    land(home, works(events[::order], [2]))

    assert rows(home, """SELECT calendar_integration_id, contact_id, meeting_type, scheduled_datetime::VARCHAR,
        meeting_duration, meeting_status, opportunity_created FROM meeting_bookings ORDER BY contact_id""") == [
        ("m1", "c1", "demo", "2026-01-09 09:00:00+00", 30, "completed", True),
        ("m2", "c2", None, None, None, "no_show", False),
        (None, "c3", None, None, None, "scheduled", False),
    ]  # fmt: skip
    assert rows(home, """SELECT r.event_id FROM meeting_bookings m JOIN response_intelligence r
        ON m.response_intelligence_id = r.id""") == [("replied-1-1",)]  # fmt: skip


def test_sequences_are_told_by_what_was_sent_and_answered(home: Path) -> None:
    steps = [event("delivered", 1, s, delivery_id=f"d1-{s}", sequence_step=str(s)) for s in (1, 2)]
    events = [
        *steps,
        event("replied", 1, 5, delivery_id="d1-2", text="Yes"),
        event("delivered", 2, 1, sequence_step="1"),
        event("bounced", 3, 1, sequence_step="1", bounce_class="hard"),
        event("delivered", 4, 1, sequence_step="2"),
    ]
    land(home, works(events, [3]))
    bring(home, "campaigns", written(home.parent / "p.csv", "campaign_id,total_steps\nautumn,2\n"))

    found = rows(home, """SELECT contact_id, current_step, total_steps, sequence_status, exit_reason,
        json_array_length(step_completion_history), json_array_length(response_handling_history)
        FROM sequence_execution ORDER BY 1""")  # fmt: skip
    assert found == [
        ("c1", 2, 2, "responded", "replied", 2, 1),
        ("c2", 1, 2, "active", None, 1, None),
        ("c3", 1, 2, "stopped", "hard bounce", 1, None),
        ("c4", 2, 2, "completed", None, 1, None),
    ]
