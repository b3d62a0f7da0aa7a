"""Schemas: derivations agree and do not drift, records round-trip, old messages decode, boundaries hold."""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import derive, identifiers, records, tables
from schemas.decode import check_instants, decode_record
from schemas.events import EVENT_FIELDS, BounceClass, Channel, Event, Kind, Origin, RawRequest, Reply
from schemas.failures import BadEvent
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS, from_datetime, from_epoch_ms, parse_ms

MESSAGES: Final = Path(__file__).parent / "golden" / "messages"

# Copied by hand from the product's data model, not from the code: table: column column(value value) ...
DATA_MODEL: Final = """
campaign_executions: id campaign_strategy_id execution_status(scheduled running paused completed failed) launch_date
  pause_date completion_date total_targets messages_sent responses_received meetings_booked execution_settings
  performance_summary optimization_history created_at
message_deliveries: id campaign_execution_id contact_id message_id
  channel(email linkedin_connect linkedin_message phone video) sequence_step scheduled_send_time actual_send_time
  delivery_status(scheduled sent delivered opened clicked replied bounced failed) delivery_metadata
  personalization_used created_at delivery_id campaign_id provider recipient sender event_id
response_intelligence: id message_delivery_id response_text response_timestamp
  response_channel(email linkedin phone other) sentiment_score intent_classification(interested not_interested not_now
  referral question objection meeting_request unsubscribe out_of_office) urgency_level(low medium high urgent)
  next_action_required(auto_respond human_review schedule_meeting add_to_nurture mark_closed) auto_response_sent
  human_takeover_requested resolution_status(pending handled escalated closed) ai_confidence_score created_at language
  interest_level(high medium low none) objection_type(budget timing authority need competitor trust) extracted
  model_version delivery_id campaign_id provider recipient sender event_id
campaign_performance_metrics: id campaign_execution_id metric_date channel contact_persona account_tier messages_sent
  delivery_rate open_rate response_rate positive_response_rate meeting_booking_rate cost_per_response engagement_score
  conversion_funnel_data created_at campaign_id
campaign_experiments: id campaign_execution_id experiment_type(subject_line message_content send_time channel_sequence
  personalization) experiment_name hypothesis test_variants traffic_allocation success_metric statistical_significance
  winning_variant experiment_status(planning running completed inconclusive) start_date end_date results_summary
  created_at campaign_id
ai_learning_events: id event_type(user_edit performance_feedback success_pattern failure_analysis optimization_result)
  event_context learning_insight confidence_level application_scope(global industry persona user_specific)
  implementation_status(pending applied tested validated) impact_measurement created_at
meeting_bookings: id response_intelligence_id contact_id meeting_type(discovery demo technical business_review closing)
  scheduled_datetime meeting_duration meeting_status(scheduled confirmed completed cancelled no_show)
  calendar_integration_id meeting_prep_data meeting_outcome opportunity_created created_at
sequence_execution: id campaign_execution_id contact_id sequence_template_id current_step total_steps
  sequence_status(active paused completed stopped responded) next_action_date sequence_personalization
  step_completion_history response_handling_history exit_reason created_at campaign_id
optimization_actions: id campaign_execution_id optimization_trigger(low_performance high_bounce poor_engagement
  opportunity_detected) current_performance recommended_actions actions_taken impact_prediction actual_impact
  optimization_status(recommended approved implemented measured) created_at campaign_id
events: event_id kind(queued sent deferred delivered opened clicked replied bounced rejected complained unsubscribed
  failed connected called meeting_booked meeting_confirmed meeting_cancelled meeting_held meeting_no_show
  opportunity_created) occurred_at received_at channel(email linkedin_connect linkedin_message phone video) provider
  campaign_id delivery_id message_id contact_id recipient sender sequence_step variant persona account_tier
  bounce_class(hard soft block) is_machine url reason attributes recipient_domain origin(raw api mailbox replay)
metrics_minute: minute campaign_id channel sequence_step variant persona account_tier sender recipient_domain kind
  bounce_class is_machine events
dead_letters: id received_at stream provider stage reason detail raw
pauses: id action(warn slow pause resume) send_share scope_kind scope_value rule metric observed_rate tolerance
  evidence trials hits caused_by occurred_at decided_at decided_by why
alerts: id pause_id severity(info warning critical) title body target status(pending sent failed) attempts created_at
  sent_at
feedback: id event_id field old_value new_value given_by given_at
models: name version trained_on metrics active created_at
suppressions: contact_id recipient scope reason source event_id since
"""
PROMISED: Final[Mapping[str, list[tuple[str, list[str]]]]] = {
    table: [(name, sorted(values.split())) for name, values in re.findall(r"(\w+)(?:\(([^)]+)\))?", listed)]
    for table, listed in re.findall(r"^(\w+): ((?:.+\n  )*.+)$", DATA_MODEL, re.MULTILINE)
}
ALL_TABLES: Final = sorted(tables.TABLES)


@pytest.fixture(scope="module")
def db() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    connection.execute(identifiers.SQL_MACROS)
    return connection


def land(db: duckdb.DuckDBPyConnection, name: str, struct: type[msgspec.Struct], rows: list[Any]) -> None:
    db.execute(derive.ddl(name, struct, "main").replace("CREATE TABLE", "CREATE OR REPLACE TABLE"))
    db.register("new_rows", derive.arrow_table(struct, rows))
    db.execute(f'INSERT INTO main."{name}" SELECT * FROM new_rows')


def names(table: str) -> list[str]:
    return [column.name for column in derive.columns(tables.TABLES[table])]


@pytest.mark.parametrize("table", sorted(PROMISED))
def test_every_table_begins_with_the_columns_and_values_of_the_data_model(table: str) -> None:
    promised = PROMISED[table]
    values = {column.name: sorted(column.values) for column in derive.columns(tables.TABLES[table])}

    assert names(table)[: len(promised)] == [name for name, _ in promised]
    assert {name: values[name] for name, listed in promised if listed} == dict(p for p in promised if p[1])


def test_the_data_model_above_was_read_whole() -> None:
    windows = {f"metrics_{width}" for width in ("1m", "5m", "1h", "24h")}
    ours = {"active_pauses", "data_quality", "contacts", "campaign_plans", "campaign_messaging"}
    assert set(tables.TABLES) - set(PROMISED) == {*ours, *windows}


def test_tables_of_one_kind_have_the_same_columns() -> None:
    assert names("active_pauses") == names("pauses")
    for width in ("1m", "5m", "1h", "24h"):
        assert names(f"metrics_{width}") == ["as_of", *names("metrics_minute")[1:]]


def test_every_table_with_a_campaign_execution_also_shows_the_campaign() -> None:
    assert [t for t in ALL_TABLES if "campaign_execution_id" in names(t) and "campaign_id" not in names(t)] == []


def test_every_column_of_events_says_what_it_holds() -> None:
    assert [c.name for c in derive.columns(records.EventRow) if not c.description] == []


def test_every_table_says_what_a_row_is() -> None:
    assert [table for table, struct in tables.TABLES.items() if not (struct.__doc__ or "").rstrip().endswith(".")] == []


def test_only_what_identifies_an_event_is_required_of_it() -> None:
    required = [c.name for c in derive.columns(records.EventRow) if not c.nullable]

    assert required == ["event_id", "kind", "occurred_at", "origin"]


def test_generated_files_are_those_the_code_would_write_now() -> None:
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in sorted(derive.GENERATED.iterdir())}

    assert on_disk == derive.generated(), "run `python -m schemas.derive`"


def test_generated_sql_runs_as_it_stands() -> None:
    with duckdb.connect() as connection:
        connection.execute((derive.GENERATED / "tables.sql").read_text(encoding="utf-8"))

        assert sorted(row[0] for row in connection.execute("SHOW TABLES").fetchall()) == ALL_TABLES


@pytest.mark.parametrize("table", ALL_TABLES)
def test_arrow_and_sql_agree_on_every_column(db: duckdb.DuckDBPyConnection, table: str) -> None:
    land(db, table, tables.TABLES[table], [])
    described = db.execute(f'DESCRIBE main."{table}"').fetchall()
    from_arrow = db.execute("DESCRIBE FROM new_rows").fetchall()
    schema = derive.arrow_schema(tables.TABLES[table])

    assert [row[:2] for row in described] == [row[:2] for row in from_arrow]
    assert [row[2] == "YES" for row in described] == [field.nullable for field in schema]


@pytest.mark.parametrize("table", ALL_TABLES)
def test_comments_reach_the_database_whole(db: duckdb.DuckDBPyConnection, table: str) -> None:
    struct = tables.TABLES[table]
    land(db, table, struct, [])
    for statement in derive.comments(table, struct, "main"):
        db.execute(statement)
    stored = dict(
        db.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = $1", [table]).fetchall()
    )

    assert stored == {c.name: c.comment or None for c in derive.columns(struct)}


def test_a_type_without_a_column_type_is_refused_by_name() -> None:
    class Odd(msgspec.Struct):
        when: Annotated[datetime, msgspec.Meta(tz=False)]

    with pytest.raises(TypeError, match="when is "):
        derive.columns(Odd)


def test_rows_of_every_type_reach_the_database_unchanged(db: duckdb.DuckDBPyConnection) -> None:
    class Everything(msgspec.Struct, frozen=True, kw_only=True):
        id: uuid.UUID
        at: records.Instant
        day: date
        count: int
        rate: float
        yes: bool
        raw: bytes
        extra: records.Json
        pairs: dict[str, str]
        kind: Kind
        nothing: str | None = None

    at = datetime(2026, 1, 5, 10, 0, 0, 123000, tzinfo=UTC)
    row = Everything(
        id=uuid.UUID(int=7), at=at, day=at.date(), count=2**62, rate=0.1, yes=True, raw=b"\x00\xff", extra='{"a": [1]}',
        pairs={"b": "1", "a": ""}, kind=Kind.SENT,
    )  # fmt: skip
    land(db, "everything", Everything, [row])

    assert db.execute("SELECT * FROM everything").fetchone() == msgspec.structs.astuple(row)


def test_json_schema_describes_every_record_with_its_fields() -> None:
    definitions = derive.json_schema()["$defs"]

    for record in derive.LOG_RECORDS:
        assert list(definitions[record.__name__]["properties"]) == list(record.__struct_fields__)
    assert definitions["Event"]["required"] == ["event_id", "kind", "occurred_at"]
    assert definitions["Command"]["additionalProperties"] is False
    assert "additionalProperties" not in definitions["Event"]


TEXTS: Final = st.text(max_size=30)
PLAIN: Final = [f.name for f in msgspec.structs.fields(Event) if f.type == str | None and f.name != "received_at"]
EVENTS: Final = st.builds(
    Event,
    event_id=st.text(min_size=1, max_size=30),
    kind=st.sampled_from(Kind),
    occurred_at=st.integers(EARLIEST_MS, LATEST_MS - 1).map(from_epoch_ms),
    # 2080 is after any occurred_at, so none lies too far ahead.
    received_at=st.none() | st.just(from_epoch_ms(LATEST_MS)),
    channel=st.none() | st.sampled_from(Channel),
    bounce_class=st.none() | st.sampled_from(BounceClass),
    is_machine=st.none() | st.booleans(),
    attributes=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
    **dict.fromkeys(PLAIN, st.none() | TEXTS),
)
QUICK: Final = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_row(event: Event) -> msgspec.Struct:
    fields = msgspec.structs.asdict(event)
    for name in ("occurred_at", "received_at"):
        fields[name] = fields[name] and datetime.fromisoformat(fields[name])
    return records.EventRow(**fields, recipient_domain=None, origin=Origin.API)


def as_event(row: Mapping[str, Any]) -> Event:
    fields = {name: row[name] for name in EVENT_FIELDS}
    for name in ("occurred_at", "received_at"):
        fields[name] = fields[name] and from_datetime(fields[name])
    return msgspec.convert(fields, Event)


@QUICK
@given(event=EVENTS)
def test_any_event_survives_json(event: Event) -> None:
    line = msgspec.json.encode(event)

    assert msgspec.json.decode(line, type=Event) == event
    assert decode_record(line) == (event, None)


@QUICK
@given(events=st.lists(EVENTS, min_size=1, max_size=4))
def test_any_event_survives_arrow_and_duckdb(db: duckdb.DuckDBPyConnection, events: list[Event]) -> None:
    land(db, "facts", records.EventRow, [as_row(event) for event in events])
    stored = db.execute("FROM facts")
    head = [column[0] for column in stored.description or []]

    assert [as_event(dict(zip(head, row, strict=True))) for row in stored.fetchall()] == events


CANONICAL: Final = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NEARLY: Final = {
    "braces": f"{{{CANONICAL}}}",
    "urn": f"urn:uuid:{CANONICAL}",
    "no dashes": CANONICAL.replace("-", ""),
    "a newline after it": f"{CANONICAL}\n",
    "a space before it": f" {CANONICAL}",
    "dashes elsewhere": "6ba7b8109-dad-11d1-80b4-00c04fd430c8",
    "a digit that is not hexadecimal": CANONICAL.replace("6", "g", 1),
    "digits of another script": CANONICAL.replace("6", "٦", 1),
}


@QUICK
@given(
    ms=st.integers(0, 2**48 - 1) | st.integers(-(2**62), 2**62),
    key=st.text(),
    kind=st.from_regex("[a-z' ]{0,9}", fullmatch=True),
)
def test_python_and_sql_derive_the_same_identifiers(
    db: duckdb.DuckDBPyConnection, ms: int, key: str, kind: str
) -> None:
    expressions = f"{identifiers.sql_uuid7('$ms', '$key')}, {identifiers.sql_external_id(kind, '$key')}"
    macros = "outpulse_uuid7($ms, $key), outpulse_external_id($kind, $key)"
    wanted = (identifiers.uuid7_of(ms, key), identifiers.external_id(kind, key))

    assert db.execute(f"SELECT {expressions}", {"ms": ms, "key": key}).fetchone() == wanted
    assert db.execute(f"SELECT {macros}", {"ms": ms, "key": key, "kind": kind}).fetchone() == wanted


@pytest.mark.parametrize("text", [CANONICAL, CANONICAL.upper(), CANONICAL.title()], ids=["lower", "upper", "mixed"])
def test_a_canonical_uuid_of_any_case_is_itself(db: duckdb.DuckDBPyConnection, text: str) -> None:
    in_sql = db.execute(f"SELECT {identifiers.sql_external_id('campaign', '$1')}", [text]).fetchone()

    assert identifiers.external_id("campaign", text) == uuid.UUID(CANONICAL)
    assert in_sql == (uuid.UUID(CANONICAL),)


@pytest.mark.parametrize("text", NEARLY.values(), ids=NEARLY.keys())
def test_what_merely_looks_like_a_uuid_is_text(db: duckdb.DuckDBPyConnection, text: str) -> None:
    in_sql = db.execute("SELECT outpulse_external_id('campaign', $1)", [text]).fetchone()

    assert identifiers.external_id("campaign", text) == uuid.uuid5(identifiers.NAMESPACE, f"campaign:{text}")
    assert in_sql == (identifiers.external_id("campaign", text),)


def test_identifiers_have_their_form_and_those_of_the_past_have_not_changed() -> None:
    derived = identifiers.uuid7_of(1767607200123, "sendgrid|abc")

    assert (derived.version, derived.variant, derived.int >> 80) == (7, uuid.RFC_4122, 1767607200123)
    assert derived.hex == "019b8d99697b73869ebb3f5b26efa0e6"
    assert str(identifiers.external_id("campaign", "spring")) == "7256f658-dca3-5fcf-8a52-013410f3eb76"


def test_null_has_no_identifier(db: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT outpulse_uuid7(NULL, 'a'), outpulse_uuid7(1, NULL), outpulse_external_id('a', NULL)"

    assert db.execute(query).fetchone() == (None, None, None)


RECORDED: Final[Mapping[str, type[msgspec.Struct]]] = {
    **{re.sub(r"\B([A-Z])", r"_\1", record.__name__).lower(): record for record in derive.LOG_RECORDS},
    "event_minimal": Event,
}


def test_every_record_of_the_log_has_a_recorded_message() -> None:
    assert {path.stem for path in MESSAGES.glob("*.json")} == set(RECORDED)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_old_recorded_messages_still_decode_to_what_they_said(name: str) -> None:
    raw = (MESSAGES / f"{name}.json").read_bytes()
    said = json.loads(raw)
    decoded = msgspec.to_builtins(msgspec.json.decode(raw, type=RECORDED[name]))

    assert {field: decoded.get(field) for field in said} == said


def test_the_body_of_a_recorded_request_keeps_bytes_that_are_not_utf8() -> None:
    raw = (MESSAGES / "raw_request.json").read_bytes()

    assert msgspec.json.decode(raw, type=RawRequest).body == b'{"id":"\xff\xfe"}'


@pytest.mark.parametrize("name", ["event", "logged_event", "reply", "raw_request", "dead_letter"])
def test_an_unknown_field_on_a_recorded_message_is_ignored(name: str) -> None:
    raw = (MESSAGES / f"{name}.json").read_bytes()
    newer = b'{"of_a_newer_release":1,' + raw[1:]

    assert msgspec.json.decode(newer, type=RECORDED[name]) == msgspec.json.decode(raw, type=RECORDED[name])


@pytest.mark.parametrize("name", ["command", "feedback"])
def test_an_unknown_field_on_a_command_is_refused_by_name(name: str) -> None:
    newer = b'{"of_a_newer_release":1,' + (MESSAGES / f"{name}.json").read_bytes()[1:]

    with pytest.raises(msgspec.ValidationError, match="of_a_newer_release"):
        msgspec.json.decode(newer, type=RECORDED[name])


def decoded(received_at: str | None = None, /, **fields: object) -> Event:
    base = {"event_id": "e", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z"}
    event, _ = decode_record(json.dumps(base | fields).encode(), received_at)
    assert event is not None
    return event


@pytest.mark.parametrize(
    ("occurred_ms", "received_ms", "reason"),
    [
        pytest.param(EARLIEST_MS - 1, None, "occurred_at out of range", id="just before 2000"),
        pytest.param(parse_ms("2000-01-01T00:00:00Z"), None, None, id="as 2000 begins"),
        pytest.param(EARLIEST_MS + 1, None, None, id="just in 2000"),
        pytest.param(LATEST_MS - 1, None, None, id="just before 2080"),
        pytest.param(parse_ms("2080-01-01T00:00:00Z"), None, "occurred_at out of range", id="as 2080 begins"),
        pytest.param(LATEST_MS + 1, None, "occurred_at out of range", id="just in 2080"),
        pytest.param(AHEAD_MS - 1 + EARLIEST_MS, EARLIEST_MS, None, id="just under 24 h ahead"),
        pytest.param(AHEAD_MS + EARLIEST_MS, EARLIEST_MS, None, id="24 h ahead"),
        pytest.param(AHEAD_MS + 1 + EARLIEST_MS, EARLIEST_MS, "occurred_at in the future", id="just over 24 h ahead"),
    ],
)
def test_impossible_times_are_refused_and_nothing_is_clamped(
    occurred_ms: int, received_ms: int | None, reason: str | None
) -> None:
    text = from_epoch_ms(occurred_ms)
    received = None if received_ms is None else from_epoch_ms(received_ms)
    if reason is None:
        check_instants(occurred_ms, received_ms)
        assert decoded(received, occurred_at=text).occurred_at == text
        return
    with pytest.raises(BadEvent) as refused:
        decoded(received, occurred_at=text)

    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z", id="no fraction"),
        pytest.param("2026-01-05T10:00:00.1Z", "2026-01-05T10:00:00.100Z", id="tenths"),
        pytest.param("2026-01-05T10:00:00.123999Z", "2026-01-05T10:00:00.123Z", id="microseconds are cut"),
        pytest.param("2026-01-05T10:00:00.123999999Z", "2026-01-05T10:00:00.123Z", id="nanoseconds are cut"),
        pytest.param("2026-01-05T23:30:00.9999999-05:30", "2026-01-06T05:00:00.999Z", id="behind UTC"),
        pytest.param("2026-01-05T00:30:00+01:00", "2026-01-04T23:30:00.000Z", id="ahead of UTC"),
    ],
)
def test_any_rfc_3339_time_reads_as_utc_milliseconds(text: str, canonical: str) -> None:
    assert from_epoch_ms(parse_ms(text)) == canonical
    assert decoded(occurred_at=text).occurred_at == canonical


@pytest.mark.parametrize(
    "text",
    ["2026-01-05T10:00:00", "2026-01-05T10:00:00.123", "2026-01-05T10:00:00.123456789", "2026-01-05", "today", ""],
)
def test_a_time_without_a_zone_or_without_sense_is_refused(text: str) -> None:
    with pytest.raises(BadEvent) as refused:
        decoded(occurred_at=text)

    assert refused.value.reason == "occurred_at is not a time"


@given(ms=st.integers(EARLIEST_MS, LATEST_MS))
def test_every_instant_survives_its_text(ms: int) -> None:
    assert parse_ms(from_epoch_ms(ms)) == ms


def test_numbers_and_booleans_read_as_their_text() -> None:
    event = decoded(event_id=2**70, sequence_step=2, variant=True, attributes={"n": 1, "list": [1], "none": None})

    assert (event.event_id, event.sequence_step, event.variant) == (str(2**70), "2", "true")
    assert event.attributes == {"n": "1", "list": "[1]"}


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    event = decoded(reason="a\ud800b", attributes={"\udfff": "\ud83d\ude00"})

    assert event.reason == "a\N{REPLACEMENT CHARACTER}b"
    assert event.attributes == {"\N{REPLACEMENT CHARACTER}": "\N{GRINNING FACE}"}


def test_bytes_that_are_not_utf8_are_replaced_and_a_nul_inside_a_text_is_kept() -> None:
    event, _ = decode_record(b'{"event_id":"a\\u0000\xff","kind":"sent","occurred_at":"2026-01-05T10:00:00Z"}')

    assert event is not None
    assert event.event_id == "a\0\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"[]", "not an object", id="a list"),
        pytest.param(b"null", "not an object", id="null"),
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b'{"event_id":', "not JSON", id="half an object"),
        pytest.param(b"[" * 100_000, "not JSON", id="a hundred thousand brackets"),
        pytest.param(b"{}", "event_id missing", id="an empty object"),
        pytest.param(b'{"event_id":""}', "event_id missing", id="an empty event_id"),
        pytest.param(b'{"event_id":["a"]}', "event_id is not text", id="a list as event_id"),
        pytest.param(b'{"event_id":"e"}', "kind missing", id="no kind"),
        pytest.param(b'{"event_id":"e","kind":"sent"}', "occurred_at missing", id="no time"),
    ],
)
def test_what_is_no_event_is_refused_with_a_stable_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as refused:
        decode_record(raw)

    assert refused.value.reason == reason


@pytest.mark.parametrize(("field", "enum"), [("kind", Kind), ("channel", Channel), ("bounce_class", BounceClass)])
def test_an_unknown_value_is_refused_and_the_valid_ones_are_named(field: str, enum: type[Kind]) -> None:
    with pytest.raises(BadEvent) as refused:
        decoded(**{field: "Nonsense"})

    assert refused.value.reason == f"unknown {field}"
    assert set(re.findall(r"\w+", str(refused.value).partition("valid are")[2])) == {str(member) for member in enum}


def test_a_reply_comes_with_its_event_or_alone() -> None:
    at = "2026-01-05T10:00:00.000Z"
    together = json.dumps({"event_id": "r", "kind": "replied", "occurred_at": at, "text": "yes", "subject": "Re"})
    alone = json.dumps({"event_id": "r", "text": "yes"})
    event, reply = decode_record(together.encode())

    assert event is not None
    assert (event.kind, reply) == (Kind.REPLIED, Reply(event_id="r", text="yes", subject="Re", occurred_at=at))
    assert decode_record(alone.encode()) == (None, Reply(event_id="r", text="yes"))
