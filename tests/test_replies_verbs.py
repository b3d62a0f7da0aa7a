"""`outpulse replies` and `outpulse models` as a user runs them; the feedback door; routing by the conventions."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.replies.routing import Account, priority, route
from features.replies.understanding import ReplyInput, ReplyModel, Understood
from gateway.feedback import read
from tests.lakes import rows
from tests.processes import run
from tests.test_gateway import TOKEN, WatchedLog, ask

FIELDS = [
    "id", "language", "intent", "confidence", "sentiment_score", "urgency_level", "next_action", "needs_human",
    "extracted", "model_version",
]  # fmt: skip
EXTRACTED = ["resume_date", "referred_name", "referred_email", "proposed_times", "competitor", "objection_type"]
LINES: list[dict[str, Any]] = [
    {"id": "a", "channel": "email", "subject": None, "headers": {}, "received_at": "2026-03-10T09:30:00.000Z",
     "text": "Thursday 2pm works for me, please send an invite."},
    {"id": 7, "text": "Please remove me from your mailing list.", "received_at": "2026-03-10T09:30:00Z"},
    {"id": "c", "channel": "email", "subject": "Automatic reply", "headers": {"Auto-Submitted": "auto-replied"},
     "received_at": "2026-03-10T09:30:00+01:00", "text": "I am away until 20 March 2026."},
    {"id": "d", "channel": "linkedin", "text": "", "received_at": "2026-03-10T09:30:00Z"},
]  # fmt: skip
BAD = [b"not json", b"[1]", b'{"text": "no id"}', b'{"id": "x", "text": 5}', b'{"id": "y", "received_at": "yesterday"}']


def file_of(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines) + b"\n")
    return path


def test_classify_answers_each_usable_line_in_order_and_names_the_others(tmp_path: Path) -> None:
    mixed = [part for pair in zip(LINES, BAD, strict=False) for part in pair]
    done = run("replies", "classify", str(file_of(tmp_path, *mixed, BAD[4])), "--home", str(tmp_path / "fresh"))
    found = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0
    assert [one["id"] for one in found] == ["a", 7, "c", "d"]
    assert all(list(one) == FIELDS and list(one["extracted"]) == EXTRACTED for one in found)
    assert [one["intent"] for one in found[:3]] == ["meeting_request", "unsubscribe", "out_of_office"]
    assert found[2]["extracted"]["resume_date"] == "2026-03-21"
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [f"line {n}" for n in (2, 4, 6, 8, 9)]
    assert not (tmp_path / "fresh" / "models").exists()


def test_classify_writes_a_file_and_reads_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    text = json.dumps(LINES[0])
    done = run("replies", "classify", "-", "-o", str(out), "--home", str(tmp_path / "h"), input=text)

    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(out.read_text())["intent"] == "meeting_request"


def test_a_file_without_any_usable_line_is_a_failure(tmp_path: Path) -> None:
    assert run("replies", "classify", str(file_of(tmp_path, BAD[0])), "--home", str(tmp_path / "h")).returncode == 1
    missing = run("replies", "classify", str(tmp_path / "nothing"), "--home", str(tmp_path / "h"))

    assert missing.returncode == 1
    assert "cannot be read" in missing.stderr


def test_what_is_learnt_from_a_file_is_used_at_once_and_counts_once(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    jargon = [{"id": f"j{n}", "text": f"Please wombat the crew, item {n}", "intent": "referral", "next_action": "human_review",
               "extracted": {"referred_name": "Ana Ruiz"}, "received_at": "2026-03-10T09:30:00Z"} for n in range(6)]  # fmt: skip
    taught = file_of(tmp_path, *jargon, {"id": "z", "text": "no label"})
    first = run("replies", "learn", str(taught), "--home", home, "--by", "ida")

    assert first.returncode == 0, first.stderr
    assert "learnt 6 labelled replies" in first.stdout
    assert first.stderr.startswith("line 7: no label")
    assert rows(Path(home), "SELECT field, count(*), any_value(given_by) FROM feedback GROUP BY 1 ORDER BY 1") == [
        ("intent", 6, "ida"), ("next_action", 6, "ida"), ("referred_name", 6, "ida"),
    ]  # fmt: skip
    again = run("replies", "learn", str(taught), "--home", home)
    versions = json.loads(run("models", "--json", "--home", home).stdout)

    assert again.stdout == first.stdout
    assert [row["active"] for row in versions] == [False, True]
    asked = file_of(
        tmp_path, {"id": "q", "text": "Please wombat the crew, item 77", "received_at": "2026-03-10T09:30:00Z"}
    )
    answer = json.loads(run("replies", "classify", str(asked), "--home", home).stdout)

    assert (answer["intent"], answer["model_version"]) == ("referral", versions[1]["version"])


def test_a_lesson_is_learnt_with_the_thread_that_it_answers(tmp_path: Path) -> None:
    home, asked = str(tmp_path / "home"), "Shall I take you off our list?"
    taught = [{"id": f"c{n}", "text": "Yes please.", "context": [asked], "intent": "unsubscribe"} for n in range(3)]
    assert run("replies", "learn", str(file_of(tmp_path, *taught)), "--home", home).returncode == 0
    lines = [
        {"id": "q", "text": "Yes please.", "context": [words]} for words in (asked, "Shall I send the price list?")
    ]
    found = run("replies", "classify", str(file_of(tmp_path, *lines)), "--home", home).stdout

    assert [json.loads(line)["intent"] for line in found.splitlines()] == ["unsubscribe", "interested"]


def test_evaluate_scores_labelled_replies(tmp_path: Path) -> None:
    labelled = [LINES[0] | {"intent": "meeting_request", "language": "en"}, LINES[1] | {"intent": "question"}]
    done = run("replies", "evaluate", str(file_of(tmp_path, *labelled)), "--json", "--home", str(tmp_path / "h"))
    figures = {row["what"]: row["figure"] for row in json.loads(done.stdout)}

    assert (figures["replies"], figures["intent"], figures["language"]) == (2, 0.5, 1.0)
    unlabelled = run("replies", "evaluate", str(file_of(tmp_path, LINES[0])), "--home", str(tmp_path / "h"))

    assert unlabelled.returncode == 1
    assert "no labelled reply" in unlabelled.stderr


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        pytest.param({"field": "intent", "new_value": "question"}, "event_id missing", id="no event"),
        pytest.param({"event_id": "r", "field": "mood", "new_value": "x"}, "field unknown", id="no such label"),
        pytest.param({"event_id": "r", "field": "model", "new_value": "x"}, "field unknown", id="not by this door"),
        pytest.param({"event_id": "r", "field": "intent", "new_value": "x"}, "intent is 'x'", id="no such intent"),
        pytest.param({"event_id": "r", "field": "sentiment_score", "new_value": 2}, "sentiment_score is 2", id="range"),
        pytest.param(
            {"event_id": "r", "field": "intent", "new_value": "question", "given_at": "now"}, "given_at", id="time"
        ),
        pytest.param([1], "not an object", id="a list in the list"),
    ],
)
def test_a_bad_correction_is_refused_and_its_neighbours_are_taken(item: Any, reason: str) -> None:
    good = {"event_id": "r1", "field": "intent_classification", "new_value": "question", "given_by": "ida"}
    records, refused = read(json.dumps([item, good]).encode(), "2026-01-05T12:00:00.000Z")

    assert [(one.index, one.reason.startswith(reason)) for one in refused] == [(0, True)]
    assert len(records) == 1
    assert json.loads(records[0].value) | {"id": ""} == {
        "id": "", "event_id": "r1", "field": "intent", "new_value": "question", "given_by": "ida",
        "given_at": "2026-01-05T12:00:00.000Z",
    }  # fmt: skip


def test_the_same_correction_posted_twice_is_one_record() -> None:
    body = b'{"event_id":"r1","field":"intent","new_value":"question","given_at":"2026-01-05T12:00:00Z"}'
    first, second = (read(body, moment)[0] for moment in ("2026-01-05T12:00:01.000Z", "2026-01-06T12:00:01.000Z"))

    assert first == second


def test_the_door_for_feedback_needs_the_token_and_answers_as_the_one_for_events(tmp_path: Path) -> None:
    log = WatchedLog(tmp_path / "log")
    body = [{"event_id": "r1", "field": "intent", "new_value": "question"}, {"event_id": "r2"}]

    assert ask(log, "POST", "/feedback", json=body).status_code == 401
    assert ask(log, "GET", "/feedback", headers=TOKEN).status_code == 405
    answer = ask(log, "POST", "/feedback", json=body, headers=TOKEN)

    assert (answer.status_code, answer.json()["accepted"], answer.json()["rejected"][0]["index"]) == (202, 1, 1)
    assert ask(log, "POST", "/feedback", json=body[1], headers=TOKEN).status_code == 422
    assert ask(log, "POST", "/feedback", content=b"x" * (5 * 2**20), headers=TOKEN).status_code == 413
    assert len(log.read("feedback", 0, 1, 10)) == 1
    log.close()


def understood(text: str, **more: Any) -> Understood:
    """A reading as the model might give it; what it is tested for is put in."""
    reply = ReplyInput("r", "email", None, {}, datetime(2026, 1, 5, tzinfo=UTC), text)
    (found,) = ReplyModel.shipped().understand([reply])
    return replace(found, **{"is_unsure": False, "machine": None, "sentiment_score": 0.0} | more)


@pytest.mark.parametrize(
    ("text", "found", "account", "action", "reason"),
    [
        ("Send me the deck", {"intent": "interested", "next_action": "auto_respond"}, Account(), "auto_respond", None),
        ("Send me the deck", {"intent": "interested", "next_action": "auto_respond"}, Account("Enterprise"),
         "human_review", "high-value account"),
        ("Send me the deck", {"intent": "interested", "next_action": "auto_respond"}, Account(persona="CFO"),
         "human_review", "executive"),
        ("Send it.\n\n--\nAda Ott\nChief Financial Officer", {"intent": "interested", "next_action": "auto_respond"},
         Account(), "human_review", "executive"),
        ("Our lawyers will hear of this", {"intent": "unsubscribe", "next_action": "mark_closed"}, Account(),
         "mark_closed", "legal"),
        ("Ask Ana", {"intent": "referral", "next_action": "human_review"}, Account(), "human_review", "referral"),
        ("Too dear", {"intent": "objection", "next_action": "human_review"}, Account(), "human_review", "objection"),
        ("We'll pass", {"intent": "not_interested", "next_action": "mark_closed"}, Account("Enterprise"), "mark_closed", None),
        ("Thursday?", {"intent": "meeting_request", "next_action": "schedule_meeting", "is_unsure": True}, Account(),
         "schedule_meeting", "unsure"),
        ("You idiots", {"intent": "not_interested", "next_action": "mark_closed", "sentiment_score": -0.9}, Account(),
         "mark_closed", "angry"),
    ],
)  # fmt: skip
def test_a_reply_goes_where_the_conventions_say(
    text: str, found: dict[str, Any], account: Account, action: str, reason: str | None
) -> None:
    routed = route(understood(text, **found), account)

    assert routed.next_action == action
    assert routed.needs_human == bool(reason)
    assert reason is None or reason in routed.reasons


def test_priority_rises_with_value_urgency_and_what_is_lost_by_waiting() -> None:
    assert priority("meeting_request", "urgent", Account("enterprise")) == 1.0
    assert priority("meeting_request", "high") < priority("meeting_request", "high", Account("Tier 1"))
    assert priority("question", "low") < priority("question", "high")
    assert priority("out_of_office", "low") < priority("not_interested", "low") < priority("interested", "low")
