"""`outpulse import events`: exports of every provider, known by columns or keys, and the same facts as the webhooks'.

The samples in `data/histories` are invented after the providers' documentation; what each must give is written by hand.
"""

import gzip
import json
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import REGISTRY
from adapters.histories import FORMATS
from adapters.histories.formats import CsvFormat
from outpulse import documents
from outpulse.home import Home
from outpulse.importing import Options, reader_of, run_import
from outpulse.rows import RowFile
from outpulse.settings import Settings
from schemas.events import Event, RawRequest
from schemas.failures import OutpulseError, SettingsError
from tests.lakes import land, rows, tables, works
from tests.processes import run, start, stop, wait_until

HISTORIES = Path(__file__).parents[1] / "data" / "histories"
HOOKS = Path(__file__).parents[1] / "data" / "hooks"
ADA, BOB, CLEO = "ada@firm.example", "bob@firm.example", "cleo@firm.example"


def imported(home: Path, path: Path, **options: Any) -> None:
    assert run_import(Home(home, Settings()), "events", [path], Options(**options)) == 0


def told(path: Path, **options: Any) -> tuple[list[Event], list[str]]:
    """The events of a file and the reasons of its dead letters, without a lake."""
    events: list[Event] = []
    reasons: list[str] = []
    with closing(RowFile(path)) as file:
        reader = reader_of(file, Options(**options))
        for row in file.rows():
            if row.bad is not None:
                reasons.append(row.bad[0])
                continue
            for item in reader.items(row):
                parsed = reader.read(item)
                events += parsed.events
                reasons += [one.reason for one in parsed.rejected]
    return events, reasons


def as_facts(events: list[Event]) -> list[tuple[Any, ...]]:
    found = [(e.kind, e.occurred_at[11:19], e.message_id, e.recipient, e.campaign_id, e.bounce_class) for e in events]
    return sorted(found, key=lambda fact: (fact[1], fact[0], str(fact[3])))


def facts(home: Path) -> list[tuple[Any, ...]]:
    return rows(
        home,
        "SELECT kind, strftime(occurred_at, '%H:%M:%S'), message_id, recipient, campaign_id, bounce_class FROM events"
        " ORDER BY occurred_at, kind, recipient",
    )


def dead(home: Path) -> list[tuple[Any, ...]]:
    return rows(home, "SELECT reason, detail FROM dead_letters ORDER BY detail")


EXPECTED: dict[str, tuple[list[tuple[Any, ...]], list[str]]] = {
    "sendgrid_activity.csv": (
        [
            ("queued", "10:00:00", "sgm1", ADA, "autumn", None),
            ("delivered", "10:00:02", "sgm1", ADA, "autumn", None),
            ("bounced", "10:00:04", "sgm2", BOB, "autumn", "hard"),
            ("bounced", "10:00:05", "sgm3", CLEO, "autumn", "block"),
            ("opened", "10:05:00", "sgm1", ADA, "autumn", None),
            ("clicked", "10:06:00", "sgm1", ADA, "autumn", None),
        ],
        ["unmapped: group_resubscribe"],
    ),
    "sendgrid_messages.ndjson": (
        [
            ("queued", "10:00:00", "sgm1", ADA, "autumn", None),
            ("delivered", "10:00:02", "sgm1", ADA, "autumn", None),
            ("bounced", "10:00:04", "sgm2", BOB, None, "hard"),
            ("bounced", "10:00:05", "sgm2", BOB, None, "block"),
            ("opened", "10:05:00", "sgm1", ADA, "autumn", None),
        ],
        [],
    ),
    "mailgun_events.json": (
        [
            ("queued", "10:00:00", "mgm1@out.example", ADA, "autumn", None),
            ("bounced", "10:00:04", "mgm2@out.example", BOB, None, "hard"),
            ("opened", "10:05:00", "mgm1@out.example", ADA, "autumn", None),
        ],
        ["unmapped: stored"],
    ),
    "mailgun_log.csv": (
        [
            ("queued", "10:00:00", "mgm1@out.example", ADA, "autumn", None),
            ("bounced", "10:00:04", "mgm2@out.example", BOB, None, "hard"),
            ("clicked", "10:06:00", "mgm1@out.example", ADA, "autumn", None),
        ],
        [],
    ),
    "postmark_lists.ndjson": (
        [
            ("queued", "10:00:00", "pm-1", ADA, "autumn", None),
            ("bounced", "10:00:04", "pm-2", BOB, None, "hard"),
            ("opened", "10:05:00", "pm-1", ADA, None, None),
            ("clicked", "10:06:00", "pm-1", ADA, None, None),
        ],
        ["unmapped: AutoResponder"],
    ),
    "postmark_details.json": (
        [
            ("queued", "10:00:00", "pm-1", ADA, "autumn", None),
            ("deferred", "10:00:01", "pm-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "pm-1", ADA, "autumn", None),
            ("opened", "10:05:00", "pm-1", ADA, "autumn", None),
            ("clicked", "10:06:00", "pm-1", ADA, "autumn", None),
            ("bounced", "10:07:00", "pm-1", ADA, "autumn", None),
        ],
        [],
    ),
    "postmark_activity.csv": (
        [
            ("queued", "10:00:00", "pm-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "pm-1", ADA, "autumn", None),
            ("bounced", "10:00:04", "pm-2", BOB, "autumn", "hard"),
            ("opened", "10:05:00", "pm-1", ADA, "autumn", None),
            ("clicked", "10:06:00", "pm-1", ADA, "autumn", None),
        ],
        [],
    ),
    "ses_firehose.json": (
        [
            ("sent", "10:00:00", "ses-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "ses-1", ADA, "autumn", None),
            ("bounced", "10:00:04", "ses-2", BOB, "autumn", "hard"),
        ],
        [],
    ),
    "ses_events.csv": (
        [
            ("delivered", "10:00:02", "ses-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "ses-1", "eva@firm.example", "autumn", None),
            ("bounced", "10:00:04", "ses-2", BOB, "autumn", "hard"),
            ("clicked", "10:06:00", "ses-1", ADA, "autumn", None),
        ],
        [],
    ),
    "sparkpost_events.json": (
        [
            ("delivered", "10:00:02", "sp-1", "Ada@firm.example", "autumn", None),
            ("bounced", "10:00:04", "sp-2", BOB, "fallback", "hard"),
        ],
        [],
    ),
    "sparkpost_events.csv": (
        [
            ("delivered", "10:00:02", "sp-1", "Ada@firm.example", "autumn", None),
            ("bounced", "10:00:04", "sp-2", BOB, "fallback", "hard"),
        ],
        [],
    ),
    "brevo_log.csv": (
        [
            ("queued", "10:00:00", "bv-1@out.example", ADA, None, None),
            ("delivered", "10:00:02", "bv-1@out.example", ADA, None, None),
            ("bounced", "10:00:04", "bv-2@out.example", BOB, None, "hard"),
            ("opened", "10:05:00", "bv-1@out.example", ADA, None, None),
            ("opened", "10:05:01", "bv-1@out.example", ADA, None, None),
            ("clicked", "10:06:00", "bv-1@out.example", ADA, None, None),
        ],
        ["unmapped: Inviata"],
    ),
    "brevo_export.csv": (
        [
            ("delivered", "10:00:02", "bv-1@out.example", ADA, "autumn", None),
            ("bounced", "10:00:04", "bv-2@out.example", BOB, None, "hard"),
        ],
        [],
    ),
    "brevo_events.json": (
        [
            ("delivered", "10:00:02", "bv-1@out.example", ADA, None, None),
            ("bounced", "10:00:04", "bv-2@out.example", BOB, None, "soft"),
            ("opened", "10:05:01", "bv-1@out.example", ADA, None, None),
        ],
        [],
    ),
    "mailjet_messages.json": (
        [
            ("delivered", "10:00:02", "1152921504606846977", ADA, None, None),
            ("opened", "10:00:02", "1152921504606846977", ADA, None, None),
            ("bounced", "10:00:04", "1152921504606846978", BOB, None, "hard"),
        ],
        ["unmapped: unknown"],
    ),
    "mailjet_events.ndjson": (
        [
            ("delivered", "10:00:02", "1152921504606846977", ADA, "autumn", None),
            ("opened", "10:05:00", "1152921504606846977", ADA, None, None),
            ("clicked", "10:06:00", "1152921504606846977", ADA, None, None),
        ],
        ["message_id missing"],
    ),
    "mandrill_activity.csv": (
        [
            ("clicked", "10:00:00", None, ADA, "autumn", None),
            ("delivered", "10:00:00", None, ADA, "autumn", None),
            ("opened", "10:00:00", None, ADA, "autumn", None),
            ("sent", "10:00:00", None, ADA, "autumn", None),
            ("bounced", "10:00:03", None, BOB, "autumn", "hard"),
            ("bounced", "10:00:04", None, CLEO, "autumn", "soft"),
        ],
        [],
    ),
    "mandrill_messages.json": (
        [
            ("sent", "10:00:00", "mm-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "mm-1", ADA, "autumn", None),
            ("sent", "10:00:03", "mm-2", BOB, None, None),
            ("bounced", "10:00:04", "mm-2", BOB, None, "hard"),
            ("rejected", "10:00:05", "mm-3", CLEO, None, None),
            ("opened", "10:05:00", "mm-1", ADA, "autumn", None),
            ("clicked", "10:06:00", "mm-1", ADA, "autumn", None),
        ],
        [],
    ),
    "mailersend_activity.json": (
        [
            ("queued", "10:00:00", "msm-1", ADA, "autumn", None),
            ("delivered", "10:00:02", "msm-1", ADA, "autumn", None),
            ("bounced", "10:00:04", "msm-2", BOB, None, "hard"),
        ],
        [],
    ),
    "mailersend_activity.csv": (
        [
            ("delivered", "10:00:02", "msm-1", ADA, "autumn", None),
            ("bounced", "10:00:04", "msm-2", BOB, None, "hard"),
            ("clicked", "10:06:00", "msm-1", ADA, "autumn", None),
        ],
        [],
    ),
    "resend_emails.json": (
        [
            ("delivered", "10:00:00", "re-1", ADA, None, None),
            ("opened", "10:00:00", "re-1", ADA, None, None),
            ("bounced", "10:00:03", "re-2", BOB, None, None),
        ],
        [],
    ),
    "resend_emails.csv": (
        [
            ("delivered", "10:00:00", "re-1", ADA, None, None),
            ("deferred", "10:00:03", "re-2", BOB, None, None),
            ("deferred", "10:00:03", "re-2", CLEO, None, None),
        ],
        [],
    ),
}


def test_every_sample_is_expected_and_every_provider_has_one() -> None:
    assert {path.name for path in HISTORIES.iterdir()} == {*EXPECTED, "dialtone_calls.csv"}
    assert {name.split("_")[0] for name in EXPECTED} == {one.provider for one in FORMATS} == set(REGISTRY)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_export_gives_what_it_tells(name: str) -> None:
    events, reasons = told(HISTORIES / name, time_zone="Europe/Berlin" if name == "brevo_log.csv" else "UTC")

    assert (as_facts(events), reasons) == EXPECTED[name]
    assert {(event.provider, event.channel, event.received_at) for event in events} == {
        (name.split("_", maxsplit=1)[0], "email", None)
    }


WEBHOOKS: dict[str, tuple[str, Any, dict[str, str]]] = {
    "sendgrid": (
        "sendgrid_activity.csv",
        [
            {
                "event": "delivered",
                "email": ADA,
                "timestamp": 1767607202,
                "sg_event_id": "own-1",
                "sg_message_id": "sgm1.recvd-canary-7",
            }
        ],
        {},
    ),
    "mailgun": (
        "mailgun_events.json",
        {
            "signature": {},
            "event-data": {
                "event": "opened",
                "id": "mg-2",
                "timestamp": 1767607500.5,
                "recipient": ADA,
                "message": {"headers": {"message-id": "mgm1@out.example"}},
            },
        },
        {},
    ),
    "postmark": (
        "postmark_lists.ndjson",
        {
            "RecordType": "Open",
            "MessageID": "pm-1",
            "Recipient": ADA,
            "ReceivedAt": "2026-01-05T10:05:00.7654321Z",
            "UserAgent": "Mozilla/5.0",
        },
        {"x-pm-webhook-trace-id": "trace-1"},
    ),
    "ses": (
        "ses_firehose.json",
        {
            "Type": "Notification",
            "MessageId": "sns-1",
            "TopicArn": "arn:aws:sns:eu-west-1:111111111111:mail",
            "Message": json.dumps(
                {
                    "eventType": "Delivery",
                    "mail": {
                        "timestamp": "2026-01-05T10:00:00.000Z",
                        "messageId": "ses-1",
                        "source": "ida@out.example",
                        "destination": [ADA],
                    },
                    "delivery": {"timestamp": "2026-01-05T10:00:02.000Z", "recipients": [ADA]},
                }
            ),
        },
        {},
    ),
    "sparkpost": (
        "sparkpost_events.json",
        [
            {
                "msys": {
                    "message_event": {
                        "type": "delivery",
                        "event_id": "9200000000000000001",
                        "timestamp": "1767607202",
                        "transmission_id": "sp-1",
                        "raw_rcpt_to": "Ada@firm.example",
                    }
                }
            }
        ],
        {},
    ),
    "resend": (
        "resend_emails.json",
        {
            "type": "email.opened",
            "created_at": "2026-01-07T12:00:00.000Z",
            "data": {"email_id": "re-1", "to": [ADA], "from": "ida@out.example"},
        },
        {"svix-id": "msg_1"},
    ),
    "brevo": (
        "brevo_events.json",
        {"event": "proxy_open", "email": ADA, "message-id": "<bv-1@out.example>", "ts_epoch": 1767607501987},
        {},
    ),
    "mailjet": (
        "mailjet_messages.json",
        [
            {
                "event": "open",
                "time": 1767870000,
                "MessageID": 1152921504606846977,
                "email": ADA,
                "agent": "Mozilla/5.0 (X)",
            }
        ],
        {},
    ),
    "mandrill": (
        "mandrill_messages.json",
        [{"event": "open", "ts": 1767607500, "_id": "mm-1", "msg": {"_id": "mm-1", "email": ADA, "ts": 1767607200}}],
        {},
    ),
    "mailersend": (
        "mailersend_activity.json",
        {
            "type": "activity.delivered",
            "created_at": "2026-01-05T10:00:02.000000Z",
            "data": {
                "id": "ms-2",
                "created_at": "2026-01-05T10:00:02.000000Z",
                "email": {"message": {"id": "msm-1"}, "recipient": {"email": ADA}},
            },
        },
        {},
    ),
}


def by_webhook(provider: str) -> list[dict[str, Any]]:
    """The events of the provider's webhook, as the log has them."""
    _, body, headers = WEBHOOKS[provider]
    request = RawRequest(
        provider=provider,
        method="POST",
        url=f"/webhooks/{provider}",
        received_at="2026-01-09T00:00:00.000Z",
        headers={"content-type": "application/json", **headers},
        body=json.dumps(body).encode(),
    )
    parsed = REGISTRY[provider].parse(request)
    assert len(parsed.events) == 1, parsed
    return [msgspec.to_builtins(event) for event in parsed.events]


@pytest.mark.parametrize("provider", WEBHOOKS)
def test_an_event_that_came_by_webhook_is_the_same_fact_when_its_history_is_imported(
    tmp_path: Path, provider: str
) -> None:
    (event,) = by_webhook(provider)
    land(tmp_path, works([event], [10], source="log/events/0"))
    imported(tmp_path, HISTORIES / WEBHOOKS[provider][0])

    # Opens of Ada's message: one by a person or machine, by webhook and by export.
    found = rows(tmp_path, f"SELECT event_id FROM events WHERE kind = '{event['kind']}' AND recipient ILIKE '{ADA}'")
    assert found == [(event["event_id"],)]
    counted = rows(tmp_path, "SELECT sum(duplicates)::INT FROM store.commits WHERE source LIKE 'replay/%'")
    assert counted == [(1,)]


@pytest.mark.parametrize("provider", ["mailgun", "sparkpost", "mailersend", "mandrill"])
def test_a_webhook_after_the_import_is_a_duplicate_where_the_export_has_ids_or_exact_times(
    tmp_path: Path, provider: str
) -> None:
    imported(tmp_path, HISTORIES / WEBHOOKS[provider][0])
    before = tables(tmp_path, ["events", "metrics_minute", "message_deliveries"])
    land(tmp_path, works(by_webhook(provider), [10], source="log/events/0"))

    assert tables(tmp_path, ["events", "metrics_minute", "message_deliveries"]) == before


def test_two_exports_of_the_same_history_give_its_facts_once(tmp_path: Path) -> None:
    for name in ("sendgrid_messages.ndjson", "sendgrid_activity.csv"):
        imported(tmp_path, HISTORIES / name)

    assert rows(tmp_path, "SELECT kind, count(*) FROM events WHERE message_id = 'sgm1' GROUP BY 1 ORDER BY 1") == [
        ("clicked", 1),
        ("delivered", 1),
        ("opened", 1),
        ("queued", 1),
    ]


@pytest.mark.parametrize(
    "name", ["sendgrid_activity.csv", "brevo_log.csv", "resend_emails.json", "mandrill_activity.csv"]
)
def test_a_second_import_of_the_same_file_changes_nothing(tmp_path: Path, name: str) -> None:
    imported(tmp_path, HISTORIES / name)
    before = tables(tmp_path)
    imported(tmp_path, HISTORIES / name)

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


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('{broken\n{"event-data": {}}', ["not JSON", "kind missing"]),
        ('{"event-data": {}}\n{broken', ["kind missing", "not JSON"]),
        ('{"event": "delivered"', ["not JSON"]),
        ('[{"event-data": {}}, null, 7, {"event": "x"}]', ["kind missing", *["not an object"] * 2, "unknown object"]),
        ('{"event-data": {"event": "opened", "timestamp": {}}}', ["occurred_at is not a time"]),
    ],
)
def test_what_is_odd_in_a_file_becomes_dead_letters(tmp_path: Path, text: str, reasons: list[str]) -> None:
    (tmp_path / "a.json").write_text(text)
    assert told(tmp_path / "a.json", provider="mailgun") == ([], reasons)


@pytest.mark.parametrize("content", [b"", b" \n", b"\x00\x01", b"a,b\n1,2\n", b"\x1f\x8bno", b"PK\x03\x04no"])
def test_what_is_no_export_at_all_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)

    with pytest.raises(OutpulseError, match=r"a\.csv"):
        imported(tmp_path / "home", tmp_path / "a.csv")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text(alphabet='{}[]",:;\n eitmsvn01', max_size=200).map(str.encode),
    provider=st.sampled_from(sorted(REGISTRY)),
)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(tmp_path: Path, content: bytes, provider: str) -> None:
    (tmp_path / "any").write_bytes(content)
    try:
        told(tmp_path / "any", provider=provider)
    except OutpulseError as error:
        assert "\n" not in str(error)


def test_a_bad_item_of_a_page_is_told_with_its_place_and_its_own_bytes(tmp_path: Path) -> None:
    imported(tmp_path, HISTORIES / "mailgun_events.json")

    ((detail, raw),) = rows(tmp_path, "SELECT detail, raw FROM dead_letters")
    assert detail == "row 1, item 4: mailgun's 'stored' has no kind here"
    assert json.loads(raw)["id"] == "mg-4"


def test_an_unknown_format_says_what_was_found_and_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Lead,When,What\n1,2,3\n")
    (tmp_path / "a.json").write_text('[{"lead": 1, "when": 2}]')

    with pytest.raises(OutpulseError, match=r"found columns Lead, When, What; known are sendgrid \(.*--mapping"):
        imported(tmp_path / "home", tmp_path / "a.csv")
    with pytest.raises(OutpulseError, match=r"an object with the keys lead, when; known are sendgrid \(.*--mapping"):
        imported(tmp_path / "home", tmp_path / "a.json")
    with pytest.raises(
        OutpulseError, match=r"known are brevo \(transactional log CSV\), brevo \(weekly event export\);"
    ):
        imported(tmp_path / "home", tmp_path / "a.csv", provider="brevo")


def test_columns_of_two_providers_ask_for_the_provider(tmp_path: Path) -> None:
    header = "Event,Date,Recipient,Sender,Message ID,Message Stream,Type,From\n"
    (tmp_path / "a.csv").write_text(header + "Delivered,2026-01-05 10:00:00,a@firm.example,,m1,outbound,,\n")

    with pytest.raises(OutpulseError, match="its columns could be postmark or mailersend's; say which with --provider"):
        imported(tmp_path / "home", tmp_path / "a.csv")
    assert [event.provider for event in told(tmp_path / "a.csv", provider="postmark")[0]] == ["postmark"]


def test_only_events_can_be_imported_and_the_error_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path, Settings())
    with pytest.raises(
        SettingsError, match=r"'contacts'; valid is events \(contacts, campaigns, messages are not there"
    ):
        run_import(home, "contacts", [], Options())
    with pytest.raises(SettingsError, match=r"'rows'; valid is events$"):
        run_import(home, "rows", [], Options())
    with pytest.raises(SettingsError, match="--provider 'nobody'; valid are brevo"):
        run_import(home, "events", [], Options(provider="nobody"))
    with pytest.raises(SettingsError, match="--time-zone: time zone 'Mars' is unknown"):
        run_import(home, "events", [], Options(time_zone="Mars"))


@pytest.mark.parametrize(
    "signature", [one for one in FORMATS if isinstance(one, CsvFormat)], ids=lambda one: f"{one.provider} {one.what}"
)
def test_columns_are_known_in_any_case_and_spelling(tmp_path: Path, signature: CsvFormat) -> None:
    header = ",".join(names[0].upper() for names in signature.needs)
    (tmp_path / "a.csv").write_text(f"{header}\n")
    with closing(RowFile(tmp_path / "a.csv")) as file:
        assert reader_of(file, Options(provider=signature.provider)).what == f"{signature.provider}, {signature.what}"


@pytest.mark.parametrize("how", ["gzip", "zip", "bom", "utf-16", "crlf", "semicolons", "tabs"])
def test_files_come_packed_and_in_any_dress(tmp_path: Path, how: str) -> None:
    plain = (HISTORIES / "mailersend_activity.csv").read_bytes()
    path = tmp_path / "a.csv"
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("activity.csv", plain)
    else:
        dressed = {
            "gzip": gzip.compress(plain),
            "bom": b"\xef\xbb\xbf" + plain,
            "utf-16": plain.decode().encode("utf-16"),
            "crlf": plain.replace(b"\n", b"\r\n"),
            "semicolons": plain.replace(b",", b";"),
            "tabs": plain.replace(b",", b"\t"),
        }
        path.write_bytes(dressed[how])

    assert as_facts(told(path)[0]) == EXPECTED["mailersend_activity.csv"][0]


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


@pytest.mark.parametrize("shape", ["lines", "page", "indented", "array", "pages"])
def test_documents_larger_than_memory_are_read_item_by_item(
    tmp_path: Path, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_WHOLE", 3_000)
    items = [
        {
            "event": "delivered",
            "id": f"i{n}",
            "timestamp": 1767607200 + n,
            "recipient": f"p{n}@x.example",
            "message": {},
        }
        for n in range(300)
    ]
    page = {"paging": {"next": "x" * 50}, "items": items, "total": 300}
    text = {
        "lines": "\n".join(json.dumps(one) for one in items),
        "page": json.dumps(page),
        "indented": json.dumps(page, indent=2),
        "array": json.dumps(items),
        "pages": json.dumps({"items": items[:150]}) + json.dumps({"items": items[150:]}),
    }[shape]
    (tmp_path / "a.json").write_text(text)
    events, reasons = told(tmp_path / "a.json")

    assert [event.event_id for event in events] == [f"i{n}" for n in range(300)]
    assert reasons == []


def test_a_document_that_is_cut_off_gives_its_items_and_one_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_WHOLE", 500)
    items = [{"event": "delivered", "id": f"i{n}", "timestamp": 1767607200 + n, "message": {}} for n in range(50)]
    (tmp_path / "a.json").write_text(json.dumps({"items": items})[:-60])
    events, reasons = told(tmp_path / "a.json")

    assert len(events) == 49
    assert reasons == ["not JSON"]


def test_a_campaign_is_given_to_events_that_name_none(tmp_path: Path) -> None:
    imported(tmp_path, HISTORIES / "sparkpost_events.json", campaign_id="past")
    imported(tmp_path, HISTORIES / "brevo_events.json", campaign_id="past")

    query = "SELECT provider, campaign_id, count(*) FROM events GROUP BY ALL ORDER BY ALL"
    assert rows(tmp_path, query) == [("brevo", "past", 3), ("sparkpost", "autumn", 1), ("sparkpost", "fallback", 1)]


def test_rows_by_a_mapping_file_are_the_same_facts_as_the_hooks(tmp_path: Path) -> None:
    from adapters.mapped import Mapped
    from adapters.mappings import read_mapping

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


def test_a_file_without_objects_needs_its_provider(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"items": [], "paging": {}}')
    (tmp_path / "b.json").write_text("[]")

    for name in ("a.json", "b.json"):
        with pytest.raises(OutpulseError, match=r"no object is in it|with the keys items, paging"):
            told(tmp_path / name)
    assert told(tmp_path / "b.json", provider="mailgun") == ([], [])


def test_rows_count_as_a_spreadsheet_does(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,"two\nlines"\n\n3,4\n')
    file = RowFile(tmp_path / "a.csv")

    assert [(row.number, row.value) for row in file.rows()] == [
        (2, {"a": "1", "b": "two\nlines"}),
        (4, {"a": "3", "b": "4"}),
    ]
    file.close()
