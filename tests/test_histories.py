"""Providers' exports: known by columns or keys, what each tells, the same facts as the webhooks'.

The samples in `data/histories` are invented after the providers' documentation; what each must give is written by hand in
`tests/golden/histories`: kind, time of 2026-01-05, message, recipient, campaign, bounce class.
"""

import gzip
import json
import zipfile
from contextlib import closing, suppress
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
from outpulse.importing import Options, reader_of
from outpulse.known_facts import KnownFacts
from outpulse.rows import RowFile
from schemas.events import Event, RawRequest
from schemas.failures import OutpulseError
from schemas.identity import event_key
from tests.lakes import land, works

HISTORIES = Path(__file__).parents[1] / "data" / "histories"
GOLDEN = Path(__file__).parent / "golden" / "histories"
EXPECTED = json.loads((GOLDEN / "samples.json").read_text())
WEBHOOKS = json.loads((GOLDEN / "webhooks.json").read_text())


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


def as_facts(events: list[Event]) -> list[list[Any]]:
    found = [[e.kind, e.occurred_at[11:19], e.message_id, e.recipient, e.campaign_id, e.bounce_class] for e in events]
    return sorted(found, key=lambda fact: (fact[1], fact[0], str(fact[3])))


def test_every_sample_is_expected_and_every_provider_has_one() -> None:
    assert {path.name for path in HISTORIES.iterdir()} == {*EXPECTED, "dialtone_calls.csv"}
    assert {name.split("_")[0] for name in EXPECTED} == {one.provider for one in FORMATS} == set(REGISTRY)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_export_gives_what_it_tells(name: str) -> None:
    events, reasons = told(HISTORIES / name, time_zone="Europe/Berlin" if name == "brevo_log.csv" else "UTC")

    assert {"events": as_facts(events), "dead_letters": reasons} == EXPECTED[name]
    assert {(event.provider, event.channel, event.received_at) for event in events} == {
        (name.split("_", maxsplit=1)[0], "email", None)
    }


def by_webhook(provider: str) -> Event:
    """The event of the provider's webhook."""
    case = WEBHOOKS[provider]
    request = RawRequest(
        provider=provider,
        method="POST",
        url=f"/webhooks/{provider}",
        received_at="2026-01-09T00:00:00.000Z",
        headers={"content-type": "application/json", **case["headers"]},
        body=json.dumps(case["body"]).encode(),
    )
    (event,) = REGISTRY[provider].parse(request).events
    return event


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the event of each provider's webhook."""
    home = tmp_path_factory.mktemp("webhooks")
    land(
        home, works([msgspec.to_builtins(by_webhook(provider)) for provider in WEBHOOKS], [100], source="log/events/0")
    )
    return home


@pytest.mark.parametrize("provider", WEBHOOKS)
def test_an_event_that_came_by_webhook_is_the_same_fact_in_its_history(home: Path, provider: str) -> None:
    path = HISTORIES / WEBHOOKS[provider]["sample"]
    with closing(RowFile(path)) as file:
        known = KnownFacts(home, provider, states_only=reader_of(file, Options()).states_only)
    events, _ = told(path)
    named = known.named(events)
    known.close()
    webhook = by_webhook(provider)

    alike = [event for event in named if event.kind is webhook.kind and event.recipient == webhook.recipient]
    assert [event_key(event) for event in alike] == [event_key(webhook)]
    others = [(old, new) for old, new in zip(events, named, strict=True) if new not in alike]
    assert [old for old, new in others if old != new] == []


@pytest.mark.parametrize("provider", ["mailgun", "sparkpost", "mailersend", "mandrill"])
def test_the_fact_is_the_same_without_a_look_into_the_lake_where_there_are_ids_or_exact_times(provider: str) -> None:
    events, _ = told(HISTORIES / WEBHOOKS[provider]["sample"])

    assert event_key(by_webhook(provider)) in {event_key(event) for event in events}


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
        told(tmp_path / "a.csv")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200) | st.text(alphabet='{}[]",:;\n eitmsvn01', max_size=200).map(str.encode),
    provider=st.sampled_from(sorted(REGISTRY)),
)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, content: bytes, provider: str) -> None:
    (tmp_path / "any").write_bytes(content)
    with suppress(OutpulseError):
        told(tmp_path / "any", provider=provider)


def test_an_unknown_format_says_what_was_found_and_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Lead,When,What\n1,2,3\n")
    (tmp_path / "a.json").write_text('[{"lead": 1, "when": 2}]')

    with pytest.raises(OutpulseError, match=r"found columns Lead, When, What; known are sendgrid \(.*--mapping"):
        told(tmp_path / "a.csv")
    with pytest.raises(OutpulseError, match=r"an object with the keys lead, when; known are sendgrid \(.*--mapping"):
        told(tmp_path / "a.json")
    with pytest.raises(
        OutpulseError, match=r"known are brevo \(transactional log CSV\), brevo \(weekly event export\);"
    ):
        told(tmp_path / "a.csv", provider="brevo")


def test_columns_of_two_providers_ask_for_the_provider(tmp_path: Path) -> None:
    header = "Event,Date,Recipient,Sender,Message ID,Message Stream,Type,From\n"
    (tmp_path / "a.csv").write_text(header + "Delivered,2026-01-05 10:00:00,a@firm.example,,m1,outbound,,\n")

    with pytest.raises(OutpulseError, match="its columns could be postmark or mailersend's; say which with --provider"):
        told(tmp_path / "a.csv")
    assert [event.provider for event in told(tmp_path / "a.csv", provider="postmark")[0]] == ["postmark"]


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

    assert as_facts(told(path)[0]) == EXPECTED["mailersend_activity.csv"]["events"]


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
