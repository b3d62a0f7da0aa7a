"""`outpulse import events`: exports land as replays do, once, with their bad rows as dead letters."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.mapped import Mapped
from adapters.mappings import read_mapping
from outpulse.home import Home
from outpulse.importing import Options, run_import
from outpulse.settings import Settings
from schemas.events import RawRequest
from schemas.failures import OutpulseError, SettingsError
from tests.lakes import land, rows, tables, works
from tests.processes import run, start, stop, wait_until

HISTORIES = Path(__file__).parents[1] / "data" / "histories"
HOOKS = Path(__file__).parents[1] / "data" / "hooks"


def imported(home: Path, path: Path, **options: Any) -> None:
    assert run_import(Home(home, Settings()), "events", [path], Options(**options)) == 0


def facts(home: Path) -> list[tuple[Any, ...]]:
    return rows(
        home,
        "SELECT kind, strftime(occurred_at, '%H:%M:%S'), message_id, recipient, campaign_id, bounce_class FROM events"
        " ORDER BY occurred_at, kind, recipient",
    )


def dead(home: Path) -> list[tuple[Any, ...]]:
    return rows(home, "SELECT reason, detail FROM dead_letters ORDER BY detail")


def test_what_came_by_webhook_is_not_counted_again(tmp_path: Path) -> None:
    click = {
        "event_id": "sg-1",
        "kind": "clicked",
        "occurred_at": "2026-01-05T10:06:00Z",
        "provider": "sendgrid",
        "channel": "email",
        "message_id": "sgm1",
        "recipient": "ada@firm.example",
        "url": "https://out.example/a?b=1,2",
    }
    delivered = click | {"event_id": "sg-2", "kind": "delivered", "occurred_at": "2026-01-05T10:00:01.7Z", "url": None}
    land(tmp_path, works([click, delivered], [10], source="log/events/0"))
    imported(tmp_path, HISTORIES / "sendgrid_activity.csv")

    query = "SELECT kind, event_id FROM events WHERE kind IN ('clicked', 'delivered') ORDER BY 1"
    assert rows(tmp_path, query) == [("clicked", "sg-1"), ("delivered", "sg-2")]
    counted = "SELECT sum(events)::INT, sum(duplicates)::INT FROM store.commits WHERE source LIKE 'replay/%'"
    assert rows(tmp_path, counted) == [(4, 2)]


def test_two_exports_of_the_same_history_give_its_facts_once(tmp_path: Path) -> None:
    for name in ("sendgrid_messages.ndjson", "sendgrid_activity.csv"):
        imported(tmp_path, HISTORIES / name)

    assert rows(tmp_path, "SELECT kind, count(*) FROM events WHERE message_id = 'sgm1' GROUP BY 1 ORDER BY 1") == [
        ("clicked", 1),
        ("delivered", 1),
        ("opened", 1),
        ("queued", 1),
    ]


def test_a_second_import_of_the_same_file_changes_nothing(tmp_path: Path) -> None:
    imported(tmp_path, HISTORIES / "sendgrid_activity.csv")
    before = tables(tmp_path)
    imported(tmp_path, HISTORIES / "sendgrid_activity.csv")

    assert tables(tmp_path) == before
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_live_writer_lands_the_import(tmp_path: Path) -> None:
    from sinks.attach import writer_pid

    flows = start("flows", "delivery", "--home", str(tmp_path))
    try:
        wait_until(lambda: writer_pid(tmp_path) is not None, what="the writer's start")
        outcome = run("import", "events", str(HISTORIES / "sendgrid_activity.csv"), "--home", str(tmp_path))
        assert outcome.returncode == 0, outcome.stderr
        assert outcome.stderr == (
            "sendgrid_activity.csv (sendgrid, Email Activity CSV): 6 events landed, 0 duplicates dropped, 1 dead letters\n"
        )
        assert len(facts(tmp_path)) == 6
    finally:
        assert stop(flows) == 0


def test_bad_rows_are_dead_letters_with_their_row_and_cost_no_neighbour(tmp_path: Path) -> None:
    header = "processed,message_id,event,email\n"
    text = header + (
        "2026-01-05 10:00:00,m1,delivered,a@firm.example\n"
        "yesterday,m2,delivered,b@firm.example\n"
        "2026-01-05 10:00:00,m3\n"
        ',"m4,delivered,c@firm.example\n'  # a quote that is never closed
        "2026-01-05 10:00:00,m5,delivered,d@firm.example\n"
        "\n"
        "2060-01-05 10:00:00,m6,delivered,e@firm.example\n"
        "1999-01-05 10:00:00,m7,delivered,f@firm.example\n"
        "2026-01-05 10:00:00,m8,delivered,g@firm.example\n"
    )
    (tmp_path / "a.csv").write_text(text)
    imported(tmp_path / "home", tmp_path / "a.csv")

    assert rows(tmp_path / "home", "SELECT message_id FROM events ORDER BY 1") == [("m1",), ("m5",), ("m8",)]
    assert [(reason, detail.partition(":")[0]) for reason, detail in dead(tmp_path / "home")] == [
        ("occurred_at is not a time", "row 3"),
        ("not a CSV row", "row 4"),
        ("not a CSV row", "row 5"),
        ("occurred_at in the future", "row 8"),
        ("occurred_at out of range", "row 9"),
    ]
    raw = rows(tmp_path / "home", "SELECT raw FROM dead_letters WHERE detail LIKE 'row 5%'")
    assert raw == [(b',"m4,delivered,c@firm.example\n',)]


def test_a_bad_item_of_a_page_is_told_with_its_place_and_its_own_bytes(tmp_path: Path) -> None:
    imported(tmp_path, HISTORIES / "mailgun_events.json")

    ((detail, raw),) = rows(tmp_path, "SELECT detail, raw FROM dead_letters")
    assert detail == "row 1, item 4: mailgun's 'stored' has no kind here"
    assert json.loads(raw)["id"] == "mg-4"


def test_what_cannot_be_imported_is_named_with_what_can(tmp_path: Path) -> None:
    home = Home(tmp_path, Settings())
    with pytest.raises(SettingsError, match=r"'rows'; valid are events, contacts, campaigns, messages$"):
        run_import(home, "rows", [], Options())
    with pytest.raises(SettingsError, match="--provider 'nobody'; valid are brevo"):
        run_import(home, "events", [], Options(provider="nobody"))
    with pytest.raises(SettingsError, match="--time-zone: time zone 'Mars' is unknown"):
        run_import(home, "events", [], Options(time_zone="Mars"))


def test_a_damaged_file_lands_what_can_be_read_and_then_says_so(tmp_path: Path) -> None:
    lines = b"".join(
        b'{"event":"delivered","email":"p%d@x.example","message-id":"<%d>","ts_epoch":1767607200000}\n' % (n, n)
        for n in range(5000)
    )
    packed = gzip.compress(lines)
    (tmp_path / "a.json.gz").write_bytes(packed[: len(packed) // 2])

    with pytest.raises(OutpulseError, match="is damaged"):
        imported(tmp_path / "home", tmp_path / "a.json.gz")
    assert 1000 < len(facts(tmp_path / "home")) < 5000


def test_a_campaign_is_given_to_events_that_name_none(tmp_path: Path) -> None:
    imported(tmp_path, HISTORIES / "sparkpost_events.json", campaign_id="past")
    imported(tmp_path, HISTORIES / "brevo_events.json", campaign_id="past")

    query = "SELECT provider, campaign_id, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    assert rows(tmp_path, query) == [("brevo", "past", 3), ("sparkpost", "autumn", 1), ("sparkpost", "fallback", 1)]


def test_rows_by_a_mapping_file_are_the_same_facts_as_the_hooks(tmp_path: Path) -> None:
    body = (HOOKS / "dialtone.json").read_bytes()
    request = RawRequest(
        provider="dialtone", method="POST", url="/", received_at="2026-01-09T00:00:00.000Z", headers={}, body=body
    )
    hook = Mapped("dialtone", read_mapping(HOOKS / "dialtone.toml")).parse(request)
    land(tmp_path, works([msgspec.to_builtins(event) for event in hook.events], [10], source="log/events/0"))
    imported(tmp_path, HISTORIES / "dialtone_calls.csv", mapping=HOOKS / "dialtone.toml")

    assert rows(tmp_path, "SELECT count(*) FROM events") == [(3,)]
    assert dead(tmp_path) == [("unmapped: shouted", "row 5: dialtone's 'shouted' has no kind here")]


def test_replies_of_a_mapped_file_carry_their_words(tmp_path: Path) -> None:
    imported(tmp_path, HOOKS / "linkline.json", mapping=HOOKS / "linkline.toml")

    assert rows(tmp_path, "SELECT response_text FROM response_intelligence") == [("Happy to talk next week.",)]
    assert rows(tmp_path, "SELECT DISTINCT provider FROM events") == [("linkline",)]
