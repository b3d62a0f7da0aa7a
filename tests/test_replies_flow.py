"""The replies flow on a real log: readings, commands, corrections, versions, history, a larger model; and kill -9."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from control.client import ControlClient
from control.commands import read_command
from eventlog import Record
from eventlog.sqlite import SqliteLog
from features.replies.understanding import ReplyInput, ReplyModel
from flows.reply_lock import RepliesLock
from flows.reply_models import active_model
from flows.run import run_flows
from gateway.feedback import read as read_feedback
from gateway.posted import read as read_posted
from outpulse.settings import LlmSettings, RepliesSettings, Settings
from schemas.events import Command, CommandAction, Feedback, Stream
from schemas.failures import HomeError
from tests.lakes import differences, rows, tables
from tests.processes import copy_of_log, kill, run, start, wait_until

Row = dict[str, Any]
TOLD = "2026-01-05T12:00:00.000Z"
READ_TABLES = ("response_intelligence", "campaign_performance_metrics", "feedback", "models", "ai_learning_events")
TEXTS = {
    "unsubscribe": "Please remove me from your mailing list and do not write to me again.",
    "meeting_request": "Thursday 2pm works for me, please send an invite.",
    "question": "What does it cost for a team of forty?",
    "not_now": "Budget is frozen, please try me again in March 2026.",
}


def replied(number: int, text: str, **more: Any) -> Row:
    return {
        "event_id": f"r{number}",
        "kind": "replied",
        "occurred_at": f"2026-01-05T10:{number // 60:02d}:{number % 60:02d}.000Z",
        "provider": "crm",
        "channel": "email",
        "campaign_id": "autumn",
        "delivery_id": f"d{number}",
        "contact_id": f"c{number}",
        "recipient": f"p{number}@firm.example",
        "sender": "ida@out.example",
        "text": text,
    } | more


def post(home: Path, events: Sequence[Row], feedback: Sequence[Row] = ()) -> None:
    """As the gateway would append them."""
    log = SqliteLog(home / "log")
    posted = read_posted(msgspec.json.encode(events), TOLD)
    assert posted.rejected == []
    if posted.replies:
        log.append(Stream.REPLIES, posted.replies)
    if posted.events:
        log.append(Stream.EVENTS, posted.events)
    if feedback:
        records, refused = read_feedback(msgspec.json.encode(feedback), TOLD)
        assert refused == []
        log.append(Stream.FEEDBACK, records)
    log.close()


def said(number: int, value: str, field: str = "intent", at: str = TOLD) -> Row:
    return {"event_id": f"r{number}", "field": field, "new_value": value, "given_by": "ida", "given_at": at}


def work(home: Path, settings: Settings | None = None, names: Sequence[str] = ("delivery", "replies")) -> None:
    log = SqliteLog(home / "log")
    run_flows(home, settings or Settings(), log, names=names, stopping=threading.Event(), follow=False)
    log.close()


def commands(home: Path) -> list[Command]:
    log = SqliteLog(home / "log")
    found = [read_command(record.value) for record in log.read(Stream.CONTROL, 0, 1, 100_000)]
    log.close()
    return found


def intents(home: Path) -> dict[str, str]:
    return dict(rows(home, "SELECT event_id, intent_classification::VARCHAR FROM response_intelligence"))


def test_plain_replies_become_rows_with_every_column_that_the_model_knows(home: Path) -> None:
    post(home, [replied(number, text) for number, text in enumerate(TEXTS.values())])
    work(home)

    assert intents(home) == {f"r{number}": intent for number, intent in enumerate(TEXTS)}
    known = (
        "sentiment_score, urgency_level, next_action_required, ai_confidence_score, language, interest_level, extracted, \
        model_version, feedback_offset, priority, human_takeover_requested, resolution_status"
    )
    assert not [row for row in rows(home, f"SELECT {known} FROM response_intelligence") if None in row]
    assert rows(home, "SELECT DISTINCT language FROM response_intelligence") == [("en",)]
    assert rows(home, "SELECT name, active FROM models") == [("replies", True)]


def test_a_demand_to_be_removed_suppresses_and_other_replies_stop_or_put_off_the_contact(home: Path) -> None:
    post(home, [replied(number, text) for number, text in enumerate(TEXTS.values())])
    work(home)
    found = {c.caused_by: c for c in commands(home)}

    assert (found["r0"].action, found["r0"].contact_id, found["r0"].recipient) == ("suppress", "c0", "p0@firm.example")
    assert [(found[r].action, found[r].scope_kind, found[r].scope_value) for r in ("r1", "r2", "r3")] == [
        ("pause", "contact", f"c{number}") for number in (1, 2, 3)
    ]
    assert [found[r].until for r in ("r1", "r2", "r3")] == [None, None, "2026-03-01T00:00:00.000Z"]
    client = ControlClient(
        SqliteLog(home / "log"), wall_clock=lambda: 1_772_323_199_999
    )  # the millisecond before March

    assert not client.allowed("spring", "ida@out.example", "p0@firm.example").allowed
    assert not client.allowed("autumn", "ida@out.example", "p3@firm.example", "c3").allowed

    later = ControlClient(SqliteLog(home / "log"), wall_clock=lambda: 1_772_323_200_000)

    assert later.allowed("autumn", "ida@out.example", "p3@firm.example", "c3").allowed
    assert not later.allowed("autumn", "ida@out.example", "p1@firm.example", "c1").allowed
    assert len(later.holding().pauses) == 2


def test_who_removes_himself_by_another_address_is_suppressed_by_the_one_we_wrote_to(home: Path) -> None:
    sent = {"event_id": "s1", "kind": "sent", "occurred_at": "2026-01-05T09:00:00Z", "provider": "sendgrid",
            "message_id": "m1@out.example", "delivery_id": "d1", "contact_id": "c1", "campaign_id": "autumn",
            "recipient": "ada@firm.example", "account_tier": "enterprise"}  # fmt: skip
    post(home, [sent])
    work(home)
    mail = replied(1, TEXTS["unsubscribe"], delivery_id=None, contact_id=None, campaign_id=None,
                   recipient="ida@out.example", message_id="own@home.example",
                   attributes={"from": "ada@home.example", "in_reply_to": "<m1@out.example>"})  # fmt: skip
    post(home, [mail])
    work(home)

    suppressed = [(c.contact_id, c.recipient) for c in commands(home) if c.action is CommandAction.SUPPRESS]
    assert suppressed == [("c1", "ada@home.example"), (None, "ada@firm.example")]
    assert rows(home, "SELECT contact_id, campaign_id FROM response_intelligence") == [("c1", "autumn")]


def test_our_own_mailbox_is_never_suppressed_nor_stopped(home: Path) -> None:
    strays = [
        replied(n, text, delivery_id=None, contact_id=None, recipient="ida@out.example", message_id=f"x{n}@home.example",
                attributes={"from": f"ada{n}@home.example"})
        for n, text in enumerate(TEXTS.values())
    ]  # fmt: skip
    post(home, strays)
    work(home)

    found = commands(home)
    assert {c.recipient for c in found if c.action is CommandAction.SUPPRESS} == {"ada0@home.example"}
    assert {c.scope_value for c in found if c.action is CommandAction.PAUSE} == {
        f"ada{n}@home.example" for n in (1, 2, 3)
    }


def test_rates_follow_what_replies_mean_and_absences_are_no_response(home: Path) -> None:
    away = {"headers": {"auto-submitted": "auto-replied"}}
    post(home, [replied(0, TEXTS["question"]), replied(1, TEXTS["unsubscribe"]), replied(2, "I am away.", **away)])
    work(home)
    query = """SELECT messages_delivered, replies_received, responses_received, positive_responses, response_rate,
        positive_response_rate FROM campaign_performance_metrics"""

    assert rows(home, query) == [(3, 3, 2, 1, pytest.approx(2 / 3), pytest.approx(1 / 3))]

    post(home, [], [said(1, "interested")])
    work(home)

    assert rows(home, query) == [(3, 3, 2, 2, pytest.approx(2 / 3), pytest.approx(2 / 3))]

    post(home, [], [said(0, "out_of_office", at="2026-01-05T13:00:00.000Z")])
    work(home)

    assert rows(home, query) == [(3, 3, 1, 1, pytest.approx(1 / 3), pytest.approx(1 / 3))]


def test_a_correction_is_shown_learnt_and_told_to_the_dispatcher(home: Path) -> None:
    post(home, [replied(0, TEXTS["unsubscribe"])])
    work(home)
    post(home, [], [said(0, "not_interested"), said(0, "-0.5", "sentiment_score")])
    work(home)

    assert intents(home) == {"r0": "not_interested"}
    assert rows(home, "SELECT sentiment_score, feedback_offset FROM response_intelligence") == [(-0.5, 2)]
    assert [c.action for c in commands(home)] == ["suppress", "unsuppress", "pause"]
    assert rows(home, "SELECT count(*) FROM suppressions") == [(0,)]
    assert rows(home, "SELECT field, new_value, given_by FROM feedback ORDER BY field") == [
        ("intent", "not_interested", "ida"),
        ("sentiment_score", "-0.5", "ida"),
    ]
    assert rows(home, "SELECT event_type, implementation_status, count(*) FROM ai_learning_events GROUP BY ALL") == [
        ("user_edit", "applied", 2)
    ]
    assert rows(home, "SELECT count(*), count(*) FILTER (active) FROM models") == [(3, 1)]
    assert rows(home, "SELECT version FROM models WHERE active") == [(active_model(home)[1],)]
    before = tables(home, READ_TABLES)
    post(home, [], [said(0, "not_interested")])
    work(home)

    assert differences(before, tables(home, READ_TABLES)) == []


def test_feedback_on_what_nobody_knows_is_kept_and_unusable_feedback_is_a_dead_letter(home: Path) -> None:
    post(home, [], [said(99, "question")])
    log = SqliteLog(home / "log")
    odd = Feedback(id="odd", event_id="r1", field="mood", new_value="x", given_by="ida", given_at=TOLD)
    log.append(Stream.FEEDBACK, [Record(b"odd", msgspec.json.encode(odd)), Record(b"bad", b"not json")])
    log.close()
    work(home)

    assert rows(home, "SELECT implementation_status FROM ai_learning_events") == [("pending",)]
    assert rows(home, "SELECT stage, reason FROM dead_letters") == [("replies", "feedback unusable")] * 2


def test_versions_are_restored_bit_for_bit_and_can_be_rolled_back(home: Path) -> None:
    post(home, [replied(0, "We run on Zeppelin mode for now, ping the crew.")])
    work(home)
    post(home, [], [said(0, "referral")])
    work(home)
    model, version = active_model(home)
    arrays = model.dump()
    again, _ = active_model(home)

    assert all(arrays[name].tobytes() == array.tobytes() for name, array in again.dump().items())

    assert run("models", "rollback", "shipped", "--home", str(home)).returncode == 0
    assert active_model(home)[1] != version
    assert run("models", "rollback", version, "--home", str(home)).returncode == 0
    assert active_model(home)[1] == version
    assert rows(home, "SELECT version FROM models WHERE active") == [(version,)]
    refused = run("models", "rollback", "nonsense", "--home", str(home))

    assert refused.returncode == 1
    assert "'nonsense' is not kept" in refused.stderr


def test_a_person_who_is_forgotten_is_erased_from_what_the_model_learnt(home: Path) -> None:
    post(home, [replied(0, "Zanzibar quartz, says my notebook."), replied(1, TEXTS["question"])])
    work(home)
    post(home, [], [said(0, "referral")])
    work(home)
    assert run("maintain", "--forget", "c0", "--home", str(home)).returncode == 0

    files = [path.read_bytes() for path in (home / "models").iterdir() if path.is_file()]
    assert not any(b"Zanzibar" in content for content in files)
    assert len(list((home / "models").glob("*.npz"))) == 1
    post(home, [], [said(0, "question")])
    work(home)  # what is said of a forgotten reply teaches nothing

    assert len(list((home / "models").glob("*.npz"))) == 1


def test_earlier_words_of_the_same_person_are_context_whatever_the_batches(home: Path) -> None:
    first = replied(0, "Do you integrate with Salesforce?")
    second = replied(1, "And?", recipient="p0@firm.example", contact_id="c0", delivery_id="d0")
    post(home / "whole", [first, second])
    work(home / "whole")
    for event in (first, second):
        post(home / "parts", [event])
        work(home / "parts")

    assert (
        differences(
            tables(home / "whole", ["response_intelligence"]), tables(home / "parts", ["response_intelligence"])
        )
        == []
    )


def test_what_we_asked_earlier_in_the_thread_gives_a_short_answer_its_meaning(home: Path) -> None:
    def mail(asked: str) -> str:
        return f"Yes please.\n\nOn Mon, 5 Jan 2026 at 9:58, Ida <ida@out.example> wrote:\n> {asked}"

    told = {"answered_text": "Should I get back to you in March?"}
    theirs = replied(3, TEXTS["unsubscribe"], recipient="p4@firm.example", contact_id="c4")
    post(
        home,
        [
            replied(0, mail("Shall I take you off our list?")),
            replied(1, mail("Shall I send the price list?")),
            replied(2, "Yes please.", channel="linkedin_message", attributes=told),
            theirs,
            replied(4, "Yes please."),
        ],
    )
    work(home)

    assert intents(home) == {
        "r0": "unsubscribe",
        "r1": "interested",
        "r2": "not_now",
        "r3": "unsubscribe",
        "r4": "interested",
    }
    found = {command.caused_by: command for command in commands(home)}
    assert (found["r0"].action, found["r0"].recipient) == ("suppress", "p0@firm.example")
    assert (found["r2"].action, found["r2"].until) == ("pause", "2026-03-01T00:00:00.000Z")


def test_words_and_event_meet_in_either_order(home: Path) -> None:
    event = {name: value for name, value in replied(0, "").items() if name != "text"}
    words = {"event_id": "r0", "provider": "crm", "recipient": "p0@firm.example", "text": TEXTS["question"]}
    for name, order in (("one", (event, words)), ("other", (words, event))):
        for part in order:
            post(home / name, [part])
            work(home / name)

    assert intents(home / "one") == intents(home / "other") == {"r0": "question"}


def test_replies_of_a_replayed_file_are_read_and_stop_nobody(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "past.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode(replied(n, text)) for n, text in enumerate(TEXTS.values())))
    assert run("replay", str(file), "--home", str(home)).returncode == 0
    assert run("flows", "--drain", "--home", str(home)).returncode == 0

    assert intents(home) == {f"r{number}": intent for number, intent in enumerate(TEXTS)}
    assert commands(home) == []
    before = tables(home, READ_TABLES)
    assert run("flows", "--drain", "--home", str(home)).returncode == 0
    assert differences(before, tables(home, READ_TABLES)) == []


def test_two_processes_never_read_the_replies_of_one_home(home: Path) -> None:
    lock = RepliesLock(home)

    with pytest.raises(HomeError, match="another process understands the replies"):
        work(home, names=["replies"])
    lock.release()
    work(home, names=["replies"])


ODD = ("Hm.", "k", "ok?", "we'll see about that I guess", "Sure, whatever, as long as Bob is fine with it")


def in_doubt() -> str:
    """A reply that the shipped model is unsure of."""
    inputs = [ReplyInput(text, "email", None, {}, datetime(2026, 1, 5, 10, tzinfo=UTC), text) for text in ODD]
    return next(found.cleaned.written for found in ReplyModel.shipped().understand(inputs) if found.is_unsure)


class Llm(BaseHTTPRequestHandler):
    """A server of chat completions; what it answers and what it got hang on the class."""

    answer: bytes = b""
    status = 200
    pause_seconds = 0.0
    got: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, self.headers["authorization"], json.loads(body)))
        time.sleep(self.pause_seconds)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def larger_model(answer: bytes, status: int = 200, pause_seconds: float = 0.0) -> Iterator[tuple[Settings, list[Any]]]:
    handler = type("Handler", (Llm,), {"answer": answer, "status": status, "pause_seconds": pause_seconds, "got": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    llm = LlmSettings(f"http://127.0.0.1:{server.server_port}/v1", "large", "secret-key", timeout=0.5)
    try:
        yield Settings(replies=RepliesSettings(llm)), handler.got  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def completion(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


def test_only_replies_in_doubt_are_sent_to_a_larger_model_as_data(home: Path) -> None:
    labels = {"intent": "referral", "sentiment_score": 0.1, "urgency_level": "low", "next_action": "human_review"}
    with larger_model(completion("```json\n" + json.dumps(labels) + "\n```")) as (settings, got):
        post(home, [replied(0, in_doubt()), replied(1, TEXTS["unsubscribe"])])
        work(home, settings)

    assert len(got) == 1
    path, key, body = got[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret-key", "large")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert in_doubt() == json.loads(body["messages"][1]["content"])["reply"]
    assert intents(home) == {"r0": "referral", "r1": "unsubscribe"}
    assert rows(home, "SELECT model_version LIKE '%+large' FROM response_intelligence ORDER BY event_id") == [
        (True,),
        (False,),
    ]


@pytest.mark.parametrize(
    ("answer", "status", "pause_seconds"),
    [
        pytest.param(completion('{"intent": "referral"}'), 500, 0.0, id="it fails"),
        pytest.param(completion('{"intent": "referral"}'), 200, 2.0, id="it is silent"),
        pytest.param(completion("I would rather not"), 200, 0.0, id="no JSON"),
        pytest.param(completion('{"intent": "give_money"}'), 200, 0.0, id="no label"),
        pytest.param(b"<html>", 200, 0.0, id="no completion"),
    ],
)
def test_a_larger_model_that_is_no_help_changes_nothing(
    home: Path, tmp_path: Path, answer: bytes, status: int, pause_seconds: float
) -> None:
    alone = tmp_path / "alone"
    post(alone, [replied(0, in_doubt())])
    work(alone)
    with larger_model(answer, status, pause_seconds) as (settings, got):
        post(home, [replied(0, in_doubt())])
        work(home, settings)

    assert len(got) == 1
    assert differences(tables(alone, READ_TABLES), tables(home, READ_TABLES)) == []


@pytest.mark.crash
def test_kill_9_at_random_instants_leaves_the_rows_of_an_undisturbed_run(tmp_path: Path) -> None:
    home, clean = tmp_path / "home", tmp_path / "clean"
    texts = list(TEXTS.values())
    events = [replied(number, f"{texts[number % 4]} ({number})") for number in range(60)]
    for at in range(0, 60, 10):
        post(home, events[at : at + 10], [said(at, "referral"), said(at + 1, "question")] if at else [])
        time.sleep(0.01)
    copy_of_log(home, clean)
    seen = 0
    for turn in range(8):
        process = start("flows", "replies", "--home", str(home))
        time.sleep(2.0 + 0.4 * turn)
        kill(process)
        process.wait()
        seen += 1
    assert run("flows", "--drain", "--home", str(home)).returncode == 0
    assert run("flows", "--drain", "--home", str(clean)).returncode == 0

    assert seen == 8
    assert rows(home, "SELECT count(*) FROM response_intelligence WHERE intent_classification IS NOT NULL") == [(60,)]
    assert differences(tables(clean, READ_TABLES), tables(home, READ_TABLES)) == []
    assert [c.id for c in commands(clean)] == [c.id for c in commands(home)]
    one, other = active_model(home), active_model(clean)
    assert one[1] == other[1]
    assert all(array.tobytes() == other[0].dump()[name].tobytes() for name, array in one[0].dump().items())


@pytest.mark.crash
def test_corrections_are_learnt_while_the_flow_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    post(home, [replied(0, TEXTS["question"])])
    process = start("flows", "--home", str(home))
    try:
        wait_until(lambda: (home / "lake").exists() and bool(_read(home)), what="the first reading")
        post(home, [], [said(0, "objection")])
        wait_until(lambda: _read(home) == {"r0": "objection"}, what="the correction")
    finally:
        kill(process)
        process.wait()


def _read(home: Path) -> dict[str, str]:
    try:
        return {name: intent for name, intent in intents(home).items() if intent}
    except Exception:  # noqa: BLE001 - the lake is being set up
        return {}
