"""One line of JSON to an event: times strictly by RFC 3339, JSON repaired as far as it harms no neighbour, columns too."""

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import sendgrid
from features.columns import Decoder
from schemas.decode import decode_record, load_json
from schemas.events import EVENT_FIELDS, Kind, RawRequest
from schemas.failures import BadEvent
from schemas.instants import from_epoch_ms, parse_ms

TEXTS: Final = tuple(
    f for f in EVENT_FIELDS if f not in {"kind", "occurred_at", "received_at", "is_machine", "attributes"}
)

# Times


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05t10:00:00z", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05 10:00:00.5z", "2026-01-05T10:00:00.500Z"),
        ("2026-01-05T10:00:00.1239z", "2026-01-05T10:00:00.123Z"),
        ("2026-01-05T10:00:00." + "9" * 40 + "Z", "2026-01-05T10:00:00.999Z"),
        ("2026-01-05T10:00:00+23:59", "2026-01-04T10:01:00.000Z"),
        ("2026-01-05T10:00:00-00:00", "2026-01-05T10:00:00.000Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000Z"),
    ],
)
def test_a_time_by_rfc_3339_is_read_in_any_case_and_zone(text: str, canonical: str) -> None:
    assert from_epoch_ms(parse_ms(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-05",
        "2026-01-05T10:00:00",
        "2026-01-05T10:00Z",
        "2026-01-05T10:00:00,123Z",
        "2026-01-05T10:00:00.Z",
        "2026-01-05T10:00:00 Z",
        " 2026-01-05T10:00:00Z",
        "2026-01-05T10:00:00Z\n",
        "2026-01-05_10:00:00Z",
        "2026-W02-1T10:00:00Z",
        "2026-005T10:00:00.00Z",
        "20260105T100000.000Z",
        "2026-1-5T10:00:00.000Z",
        "2026-01-05T100000.000Z",
        "2026-01-05T10:00:00+01",
        "2026-01-05T10:00:00+0100",
        "2026-01-05T10:00:00+24:00",
        "2026-01-05T10:00:00+01:60",
        "2026-01-05T10:00:00+01:00:30",
        "2026-01-05T24:00:00Z",
        "2026-01-05T10:00:60Z",
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "0000-01-05T10:00:00Z",
        "٢٠٢٦-01-05T10:00:00Z",
        "2026-01-05T10:00:00.12٣Z",
        "1767607200",
        "today",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ms(text)


# JSON


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', '{"a": {"b": [NaN]}}'])
def test_what_only_python_takes_for_a_number_is_no_json(text: str) -> None:
    with pytest.raises(BadEvent) as refused:
        load_json(text.encode())

    assert refused.value.reason == "not JSON"
    assert "is no JSON value" in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'["a\nb\tc\x00"]', ["a\nb\tc\0"]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'["\xff"]', ["\N{REPLACEMENT CHARACTER}"]),
        (rb'{"\udfff": "\ud83d\ude00"}', {"\N{REPLACEMENT CHARACTER}": "\N{GRINNING FACE}"}),
        (b"[1e999, -1e999, 1e-999]", ["1e999", "-1e999", 0.0]),
        (b"[" + b"7" * 4000 + b"]", [int("7" * 4000)]),
        (b"[" + b"7" * 5000 + b", -" + b"7" * 5000 + b"]", ["7" * 5000, "-" + "7" * 5000]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[" * 300 + b'"\t"' + b"]" * 300, None),
    ],
    ids=["raw control characters", "a mark of byte order", "bad bytes", "surrogates", "reals", "digits", "more digits",
         "a key twice", "nesting"],
)  # fmt: skip
def test_what_can_be_read_is_read(raw: bytes, expected: Any) -> None:
    found = load_json(raw)

    assert expected is None or found == expected


def test_nesting_without_end_is_told_as_such() -> None:
    for raw in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(BadEvent, match="nested too deeply"):
            load_json(raw)


def test_a_raw_line_break_in_one_item_of_a_webhook_costs_its_neighbours_nothing() -> None:
    items = [{"event": "open", "timestamp": 1767607200, "sg_event_id": f"e{n}", "note": "BREAK"} for n in range(50)]
    body = json.dumps(items).encode().replace(b"BREAK", b"a\r\n\x07b", 1)
    request = RawRequest(
        provider="sendgrid", method="POST", url="/", received_at="2026-01-05T10:00:30.000Z", headers={}, body=body
    )
    parsed = sendgrid.parse(request)

    assert [event.event_id for event in parsed.events] == [f"e{n}" for n in range(50)]
    assert [(event.attributes or {})["note"] for event in parsed.events[:2]] == ["a\r\n\ab", "BREAK"]
    assert parsed.rejected == []


def test_a_reply_of_10_mb_keeps_all_its_words() -> None:
    words = "yes, gladly\n" * 900_000
    written = {"event_id": "r", "kind": "replied", "occurred_at": "2026-01-05T10:00:00Z", "text": words}
    event, reply = decode_record(json.dumps(written).encode())

    assert event is not None
    assert reply is not None
    assert (event.event_id, reply.text) == ("r", words)


def test_values_that_are_no_text_become_compact_json() -> None:
    attributes = {"a": [1, {"b": "é"}], "c": 1.5, "d": False, "e": None, "f": "[ 1 ]"}
    written = {"event_id": 7, "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "attributes": attributes}
    event, _ = decode_record(json.dumps(written).encode())

    assert event is not None
    assert event.event_id == "7"
    assert event.attributes == {"a": '[1,{"b":"é"}]', "c": "1.5", "d": "false", "f": "[ 1 ]"}


# Columns


SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["[x", "{", "{}", "true", "null", '{"a":"b"}', "", "\x00", "\ud800", "NaN"])
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def damaged(text: str) -> st.SearchStrategy[str]:
    """The text with one character replaced, added or taken away."""
    places, signs = st.integers(0, len(text) - 1), st.sampled_from(["", *"0123456789TtZz:-+., W"])
    return st.tuples(places, signs, st.integers(0, 1)).map(lambda p: text[: p[0]] + p[1] + text[p[0] + p[2] :])


TIMES: Final = st.sampled_from(["2026-01-05T10:00:00.123Z", "2024-02-29T23:59:59Z", "2300-01-01T00:00:00Z"]).flatmap(
    lambda text: st.just(text) | damaged(text) | damaged(text).flatmap(damaged)
)
RECORDS: Final = st.builds(
    lambda base, more: json.dumps({**base, **more}).encode(),
    st.fixed_dictionaries(
        {
            "event_id": st.sampled_from(["e", "", 5, None, ["a"]]) | st.text(max_size=3),
            "kind": st.sampled_from([*Kind, "x", 7, None]),
            "occurred_at": TIMES,
        },
        optional={
            "received_at": TIMES | st.none(),
            "is_machine": VALUES,
            "attributes": VALUES | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3),
        },
    ),
    st.dictionaries(st.sampled_from([*TEXTS, "text", "subject", "headers", "zzz"]), VALUES, max_size=2),
)


def by_the_rules(written: bytes) -> tuple[list[Any], list[str], int]:
    """Identity and texts of the event, reasons of dead letters, number of replies."""
    try:
        found, reply = decode_record(written)
    except BadEvent as bad:
        return [], [bad.reason], 0
    values = [] if found is None else [[getattr(found, f) for f in ("kind", "is_machine", *TEXTS)]]
    return values, [], int(reply is not None)


@settings(max_examples=150)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_columns_say_of_each_line_what_the_rules_say_of_it_alone(written: list[bytes]) -> None:
    found = Decoder().decode(pa.array(written, pa.binary()), np.arange(len(written)), "test")
    expected = [by_the_rules(one) for one in written]

    values = [[row[f] for f in ("kind", "is_machine", *TEXTS)] for row in found.facts.to_pylist()]
    assert values == [value for values, _, _ in expected for value in values]
    assert [letter.reason for letter in found.dead] == [reason for _, reasons, _ in expected for reason in reasons]
    assert len(found.replies) == sum(replies for _, _, replies in expected)
