"""Forgetting somebody with a short contact id and no address: all of theirs, and nothing of their neighbours'."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from outpulse.forgetting import _person, run_forget
from outpulse.home import open_home
from schemas.events import RawRequest, Stream
from schemas.failures import SettingsError
from schemas.rawrecords import pack
from sinks.alerts.outbox import FILE, Outbox
from tests.lakes import rows
from tests.processes import run
from tests.test_replies_flow import post, replied, work

Row = dict[str, Any]


def called(number: int, contact: str, **more: Any) -> Row:
    return {
        "event_id": f"e{number}", "kind": "called", "occurred_at": f"2026-01-05T09:{number:02d}:00.000Z", "provider": "crm",
        "channel": "phone", "campaign_id": "4711", "sender": "4711",
    } | {"contact_id": contact} | more  # fmt: skip


@pytest.fixture
def known(home: Path) -> Path:
    post(
        home,
        [
            called(1, "4711"),
            called(2, "42", attributes={"employees": "4711"}),
            called(3, "42", url="https://x.example/4711"),
        ],
    )
    (home / "people.csv").write_text("contact_id,recipient,employees\n4711,,12\n42,,4711\n")
    assert run("import", "contacts", str(home / "people.csv"), "--home", str(home)).returncode == 0
    (home / "people.csv").unlink()
    for scope in ("contact:4711", "contact:42", "campaign:4711", "sender:4711"):
        assert run("pause", scope, "--why", "4711 reasons", "--home", str(home)).returncode == 0
    Outbox(home / FILE).close()
    work(home, names=("normalize", "delivery"))
    return home


def test_all_of_a_short_contact_id_goes_and_nothing_of_others(known: Path) -> None:
    others = "SELECT * FROM events WHERE contact_id = '42' ORDER BY ALL"
    pauses = "SELECT * FROM pauses WHERE scope_kind <> 'contact' OR scope_value = '42' ORDER BY ALL"
    contact = "SELECT * FROM contacts WHERE contact_id = '42'"
    before = [rows(known, query) for query in (others, pauses, contact)]
    figures = rows(known, "SELECT campaign_id, kind, sum(events) FROM metrics_minute GROUP BY ALL ORDER BY ALL")

    assert run_forget(open_home(str(known)), "4711", by="ida") == 0
    assert [rows(known, query) for query in (others, pauses, contact)] == before
    assert rows(known, "SELECT campaign_id, kind, sum(events) FROM metrics_minute GROUP BY ALL ORDER BY ALL") == figures
    assert rows(known, "SELECT count(*) FROM events WHERE contact_id = '4711'") == [(0,)]
    assert rows(known, "SELECT count(*) FROM contacts WHERE contact_id = '4711'") == [(0,)]
    assert rows(known, "SELECT count(*) FROM pauses WHERE scope_kind = 'contact' AND scope_value = '4711'") == [(0,)]
    assert rows(known, "SELECT contact_id, recipient FROM suppressions") == [("4711", None)]


def test_a_name_that_is_only_a_campaign_and_a_sender_is_refused_and_nothing_changes(home: Path) -> None:
    post(home, [called(1, "contact-1", campaign_id="autumn-2026", sender="ida@out.example")])
    work(home, names=("normalize", "delivery"))
    assert run("pause", "campaign:autumn-2026", "--why", "x", "--home", str(home)).returncode == 0
    before = [rows(home, f"SELECT * FROM {table} ORDER BY ALL") for table in ("events", "pauses", "suppressions")]

    for name in ("autumn-2026", "ida@out.example"):
        with pytest.raises(SettingsError, match="nothing was changed"):
            run_forget(open_home(str(home)), name, by="ida")
    done = run("maintain", "--forget", "autumn-2026", "--home", str(home))
    assert (done.returncode, "is no contact id" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert before == [
        rows(home, f"SELECT * FROM {table} ORDER BY ALL") for table in ("events", "pauses", "suppressions")
    ]


def test_dead_letters_of_others_in_the_same_request_keep_their_bytes(home: Path) -> None:
    posted = [
        {"email": "zanna@firm.example", "event": "delivered", "sg_event_id": "k1", "timestamp": 1767607200},
        {"email": "zanna@firm.example", "event": "vanished", "sg_event_id": "k2", "timestamp": 1767607200},
        {"email": "otto@firm.example", "event": "vanished", "sg_event_id": "k3", "timestamp": 1767607200},
    ]
    log = SqliteLog(home / "log")
    request = RawRequest(
        provider="sendgrid", method="POST", url="/webhooks/sendgrid", received_at="2026-01-05T10:00:30.000Z", headers={},
        body=json.dumps(posted).encode(),
    )  # fmt: skip
    log.append(Stream.RAW, [Record(None, pack(request))])
    log.close()
    work(home, names=("normalize", "delivery"))
    query = "SELECT raw, detail FROM dead_letters WHERE contains(raw::VARCHAR, 'otto')"
    before = rows(home, query)
    assert len(before) == 1

    run_forget(open_home(str(home)), "zanna@firm.example", by="ida")
    assert rows(home, query) == before
    assert rows(home, "SELECT count(*), count(*) FILTER (raw = ''::BLOB) FROM dead_letters") == [(2, 1)]


def test_of_a_message_to_several_only_her_own_reply_is_hers_whatever_its_id(home: Path) -> None:
    hers: Row = {
        "contact_id": "contact-zanna",
        "recipient": "zanna@firm.example",
        "delivery_id": "d-1",
        "channel": "email",
    }
    his = hers | {"contact_id": "contact-otto", "recipient": "otto@firm.example"}
    posted = [
        replied(1, "Mine", **hers),
        replied(1, "Not hers", **his),
        replied(2, "Nobody knows whose", delivery_id="d-1"),
    ]
    post(home, [*(called(n, "x", **(who | {"kind": "sent"})) for n, who in enumerate((hers, his))), *posted])
    work(home, names=("normalize", "delivery"))

    found = _person(open_home(str(home)), "contact-zanna", None)
    assert found.replies == (("crm", "r1", "zanna@firm.example"),)
    assert (found.shared, found.deliveries) == (("r1",), ())
