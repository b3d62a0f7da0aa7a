"""Replies of machines: by headers, by what they say, and people's words that look alike."""

import json
import time
from pathlib import Path
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.machines import Machine, machine_by_content, machine_by_headers

MAILS: Final = Path(__file__).parent / "mails"


def rows(name: str) -> list[dict[str, str]]:
    lines = (MAILS / name).read_text(encoding="utf-8").splitlines()
    return [cast("dict[str, str]", json.loads(line)) for line in lines]


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        pytest.param({"Auto-Submitted": "auto-replied"}, "auto_reply", id="RFC 3834: auto-replied"),
        pytest.param({"auto-submitted": "auto-replied (vacation)"}, "auto_reply", id="Sieve: a comment behind it"),
        pytest.param({"AUTO-SUBMITTED": " Auto-Generated; owner-email=x"}, "auto_reply", id="parameters, any case"),
        pytest.param({"Auto-Submitted": "auto-notified"}, "auto_reply", id="RFC 5436: auto-notified"),
        pytest.param({"Auto-Submitted": "no"}, None, id="RFC 3834: no is a person's"),
        pytest.param({"X-Autoreply": "yes"}, "auto_reply", id="Gmail"),
        pytest.param({"X-Autoreply": "no"}, None, id="X-Autoreply: no"),
        pytest.param({"X-Autorespond": "Re: hello"}, "auto_reply", id="cPanel"),
        pytest.param({"X-Auto-Response-Suppress": "All"}, None, id="Exchange puts it on people's mail"),
        pytest.param({"Precedence": "auto_reply"}, "auto_reply", id="auto_reply"),
        pytest.param({"Precedence": "bulk"}, "auto_reply", id="vacation by Sendmail"),
        pytest.param({"Precedence": "list"}, None, id="people write by lists"),
        pytest.param({"Return-Path": "<>"}, "auto_reply", id="RFC 5321: empty reverse path"),
        pytest.param({"Return-Path": "<tom@example.com>"}, None, id="a person's reverse path"),
        pytest.param(
            {"Content-Type": "multipart/report; report-type=delivery-status; boundary=x"}, "non_delivery", id="RFC 6522"
        ),
        pytest.param({"Content-Type": "text/plain; charset=utf-8"}, None, id="plain text"),
        pytest.param({"X-Failed-Recipients": "tom@example.com"}, "non_delivery", id="Exim"),
        pytest.param({"From": "Mail Delivery <MAILER-DAEMON@example.com>"}, "non_delivery", id="daemon"),
        pytest.param({"X-ServiceNow-Generated": "true"}, "ticket_receipt", id="ServiceNow"),
        pytest.param({"X-FC-MachineGenerated": "true"}, "auto_reply", id="FirstClass"),
        pytest.param({"X-POST-MessageClass": "9; Autoresponder"}, "auto_reply", id="Mailtraq"),
        pytest.param({"Delivered-To": "Autoresponder"}, "auto_reply", id="qmail"),
        pytest.param({}, None, id="none"),
    ],
)
def test_headers_prove_a_machine(headers: dict[str, str], kind: str | None) -> None:
    machine = machine_by_headers(headers)

    assert (machine.kind if machine else None) == kind


def test_the_evidence_names_the_header() -> None:
    assert machine_by_headers({"X-Autoreply": "yes"}) == Machine("auto_reply", "X-Autoreply: yes")


@pytest.mark.parametrize("row", [pytest.param(row, id=row["text"][:40]) for row in rows("machines.jsonl")])
def test_content_gives_a_machine_away(row: dict[str, str]) -> None:
    machine = machine_by_content(row.get("subject"), row["text"])

    assert machine is not None
    assert machine.kind == row["kind"]


@pytest.mark.parametrize("row", [pytest.param(row, id=row["text"][:40]) for row in rows("handwritten.jsonl")])
def test_what_people_write_is_no_machines(row: dict[str, str]) -> None:
    assert machine_by_content(row.get("subject"), row["text"]) is None


def test_an_answer_above_a_quoted_automatic_reply_is_a_persons() -> None:
    text = (
        "Thursday then.\n\nOn Tue, 3 Mar 2026 at 10:02, Jane <jane@example.com> wrote:\n> This is an automatic reply."
    )

    assert machine_by_content("Re: Intro", text) is None


@given(st.text(max_size=60), st.text(max_size=300))
def test_any_text_is_judged(subject: str, text: str) -> None:
    machine = machine_by_content(subject, text)

    assert machine is None or machine.evidence


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=5))
def test_any_headers_are_judged(headers: dict[str, str]) -> None:
    machine_by_headers(headers)


@pytest.mark.parametrize(
    "piece", ["a@", "a@b.", "this is an auto ", "office is ", "anfrage ", "\n", ">", "--\n", "is ", "1 ", "( ", "自動"]
)
def test_a_megabyte_of_anything_is_judged_in_half_a_second(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    machine_by_content(text[:500], text)

    assert time.process_time() - start < 0.5
