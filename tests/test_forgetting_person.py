"""What is the person's and what is not: names in events, rows, words, commands and dead letters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import REGISTRY
from control.commands import decide, decide_on_person
from control.scopes import parse_scope
from eventlog import Record
from eventlog.sqlite import SqliteLog
from features.forgetting import Forgetting, Person, reply_mark
from flows import forgetting as flow
from flows.normalize import CONSUMER
from flows.reply_models import FOLDER
from flows.reply_state import ReplyState
from outpulse.forgetting import _content, _with_new
from schemas.events import CommandAction, Event, Feedback, Kind, Lesson, RawRequest, Reply, Stream
from schemas.failures import DeadLetter, HomeError
from schemas.labels import FORGET
from schemas.rawrecords import pack

ADDRESS, OTHER = "zanna.quast@firm.example", "otto@firm.example"
AT = "2026-01-05T09:00:00.000Z"


def of(**more: Any) -> Forgetting:
    return Forgetting(Person(**({"token": "t", "addresses": (ADDRESS,)} | more)))


def replied(recipient: str, provider: str = "crm", **more: Any) -> Event:
    return Event(event_id="1", kind=Kind.REPLIED, occurred_at=AT, provider=provider, recipient=recipient, **more)


@pytest.mark.parametrize(
    "scope",
    [
        "campaign:autumn-2026",
        f"sender:{ADDRESS}",
        f"sender:{ADDRESS},domain:firm.example",
        "campaign:autumn-2026,step:2",
    ],
)
def test_a_pause_of_a_campaign_or_sender_holds_though_a_person_has_the_same_name(scope: str) -> None:
    forgetting = of(contacts=("autumn-2026",))
    command = decide(CommandAction.PAUSE, parse_scope(scope), by="ida", why=f"{ADDRESS} called")
    change = flow.change_of_commands(forgetting)
    made = msgspec.json.decode(change(msgspec.json.encode(command)) or b"{}")
    row = {
        "scope_kind": command.scope_kind,
        "scope_value": command.scope_value,
        "why": command.why,
        "metric": "autumn-2026",
    }

    assert (made["scope_kind"], made["scope_value"]) == (command.scope_kind, command.scope_value)
    assert ADDRESS not in made["why"]
    cleared = forgetting.row("pauses", row)
    assert cleared == row | {"why": made["why"]}


@pytest.mark.parametrize("scope", ["contact:4711", f"recipient:{ADDRESS}"])
def test_a_pause_of_the_person_gets_another_name(scope: str) -> None:
    forgetting = of(contacts=("4711",))
    command = decide(CommandAction.PAUSE, parse_scope(scope), by="ida", why="no")
    row = forgetting.row("pauses", {"scope_kind": command.scope_kind, "scope_value": command.scope_value})
    assert row is not None
    assert row["scope_value"].startswith("forgotten-t")


@pytest.mark.parametrize("name", ["4711", "471147114711", "ab"])
def test_a_short_or_plain_number_as_contact_id_changes_nothing_of_others(name: str) -> None:
    forgetting = of(contacts=(name,), addresses=())
    told = f'{{"employees":"{name}","city":"{name}"}}'
    for row in (
        {"contact_id": "c", "attributes": told},
        {"contact_id": "c", "why": f'call {name} or "{name}"', "event_id": name},
    ):
        assert forgetting.row("contacts", row) == row
    event = Event(
        event_id=name, kind=Kind.SENT, occurred_at=AT, contact_id="c", attributes={"employees": name, "in": told}
    )
    assert forgetting.event(event) == event


def test_a_short_contact_id_is_found_where_it_means_a_contact() -> None:
    forgetting = of(contacts=("4711",), addresses=())
    row = forgetting.row("ai_learning_events", {"event_context": '{"contact_id":"4711","n":"4711"}'})
    assert row == {"event_context": '{"contact_id":"forgotten-t-0","n":"4711"}'}
    assert forgetting.text("Paused: contact:4711, contact:47110") == "Paused: contact:forgotten-t-0, contact:47110"
    event = Event(event_id="1", kind=Kind.SENT, occurred_at=AT, contact_id="4711", attributes={"plan": "x"})
    assert forgetting.event(event).contact_id == "forgotten-t-0"


def test_a_telling_contact_id_stays_in_names_of_other_things() -> None:
    forgetting = of(contacts=("zanna-4711",), addresses=())
    row = {"campaign_id": "zanna-4711", "sender": "zanna-4711", "event_id": "zanna-4711", "why": "zanna-4711 called"}
    assert forgetting.row("pauses", row) == row | {"why": "forgotten-t-0 called"}


def test_a_reply_that_has_the_id_of_the_persons_reply_is_not_theirs() -> None:
    forgetting = of(replies=(("crm", "1", ADDRESS),), shared=("1",))
    for event in (replied(OTHER), replied(OTHER, "sendgrid")):
        assert forgetting.event(event) == event
    for reply in (
        Reply(event_id="1", text="Mine", provider="crm", recipient=OTHER),
        Reply(event_id="1", text="Whose?"),
    ):
        assert forgetting.reply(reply) == reply
    assert forgetting.reply(Reply(event_id="1", text="Hers", provider="crm", recipient=ADDRESS)).text == ""
    row = {"event_id": "1", "field": "referred_name", "new_value": "Bob", "old_value": None}
    assert forgetting.row("feedback", row) == row
    assert of(replies=(("crm", "1", ADDRESS),)).reply(Reply(event_id="1", text="Hers")).text == ""


def test_mails_to_a_mailbox_of_ours_are_not_hers_because_it_is_her_address_too() -> None:
    forgetting = of(mailboxes=(ADDRESS,))
    event = replied(ADDRESS, "mailbox", attributes={"from": OTHER, "user_agent": "x"})
    assert forgetting.event(event) == event
    reply = Reply(event_id="1", text="Mine", provider="mailbox", recipient=ADDRESS, headers={"from": f"Otto <{OTHER}>"})
    assert forgetting.reply(reply) == reply
    row = {"event_id": "1", "provider": "mailbox", "recipient": ADDRESS, "extracted": "{}", "created_at": AT}
    assert forgetting.row("readings", row) == row


def test_requests_that_only_name_her_as_a_sender_of_ours_stay(log: SqliteLog) -> None:
    requests = [
        RawRequest(
            provider="sendgrid", method="POST", url="/w", received_at=AT, headers={},
            body=msgspec.json.encode([{"email": whom, "event": "delivered", "sg_event_id": "k", "timestamp": 1767607200,
                                       "sender": ADDRESS}]),
        )
        for whom in (OTHER, ADDRESS)
    ]  # fmt: skip
    log.append(Stream.RAW, [Record(None, pack(one)) for one in requests])
    log.mark(CONSUMER, Stream.RAW, 0, 3)
    erased: set[tuple[int, int]] = set()
    flow._forget_in_log(log, of(mailboxes=(ADDRESS,)), REGISTRY, erased)
    assert erased == {(0, 2)}


def feedback(log: SqliteLog) -> list[Feedback]:
    return [msgspec.json.decode(one.value, type=Feedback) for one in log.read(Stream.FEEDBACK, 0, 1, 100)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    made = SqliteLog(tmp_path / "log")
    yield made
    made.close()


def test_lessons_of_others_that_mention_her_keep_their_words(log: SqliteLog) -> None:
    theirs = Lesson(
        reply=Reply(event_id="a", text=f"Ask {ADDRESS}", headers={"from": OTHER}), labels={"intent": "referral"}
    )
    hers = Lesson(
        reply=Reply(event_id="b", text="No", headers={"from": f"Z <{ADDRESS}>"}), labels={"intent": "referral"}
    )
    said = Feedback(
        id="x", event_id="", field="lessons", new_value="2", given_by="ida", given_at=AT, lessons=[theirs, hers]
    )
    log.append(Stream.FEEDBACK, [Record(b"x", msgspec.json.encode(said))])

    assert flow.lessons_about(log, of()) == {"b"}
    flow._forget_in_log(log, of(lessons=("b",)), {}, set())
    (made,) = feedback(log)
    assert [one.reply.event_id for one in made.lessons or []] == ["a"]
    assert (made.lessons or [])[0].reply.text.startswith("Ask forgotten-t-0@")


def test_each_call_asks_the_models_anew_and_only_for_her_replies(log: SqliteLog) -> None:
    for token in ("t", "u", "u"):
        flow._ask_models(log, of(token=token, replies=(("crm", "1", ADDRESS),), lessons=("b",)))
    found = feedback(log)

    assert [(one.event_id, one.new_value) for one in found] == [("1", "t"), ("b", "t"), ("1", "u"), ("b", "u")]
    assert {one.field for one in found} == {FORGET}
    assert [len(msgspec.json.decode(one.old_value or "")) for one in found] == [2, 0, 2, 0]
    assert ADDRESS not in repr(found)


def letter(raw: bytes, provider: str = "sendgrid") -> DeadLetter:
    return DeadLetter(id="0" * 32, stage="normalize", reason="x", raw=raw, detail="y", provider=provider, raw_offset=1)


def test_dead_letters_of_neighbours_in_her_request_stay(log: SqliteLog) -> None:
    letters = [letter(b"other"), letter(ADDRESS.encode()), letter(b"b64", "mailbox")]
    log.append(Stream.DEADLETTER, [Record(None, msgspec.msgpack.encode(one)) for one in letters])
    flow._forget_in_log(log, of(), {}, {(0, 1)})
    found = [msgspec.msgpack.decode(one.value, type=DeadLetter).raw for one in log.read(Stream.DEADLETTER, 0, 1, 9)]
    assert found == [b"other", b"", b""]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[ReplyState]:
    made = ReplyState(tmp_path / FOLDER)
    yield made
    made.close()


def hold(state: ReplyState, *events: Event) -> None:
    with state.transaction():
        for event in events:
            state.add_event(event)
            state.add_reply(
                Reply(event_id=event.event_id, text="Words", provider=event.provider, recipient=event.recipient)
            )


def test_only_the_reply_that_is_meant_loses_its_words_in_the_memory(state: ReplyState) -> None:
    hold(state, replied(ADDRESS), replied(OTHER))
    with state.transaction():
        state.forget("1", "t", [])
    assert state.words_of(replied(ADDRESS)) is not None
    with state.transaction():
        state.forget("1", "t", [reply_mark("t", ("crm", "1", ADDRESS))])

    assert state.words_of(replied(ADDRESS)) is None
    assert state.words_of(replied(OTHER)) is not None
    assert state.events_of(None, ADDRESS) == []
    assert state.events_of(None, OTHER) == [("crm", "1", OTHER)]


def test_what_the_memory_holds_of_her_is_taken_out_of_keys_columns_and_commands(
    state: ReplyState, tmp_path: Path
) -> None:
    hold(
        state,
        *(replied(f"p{n}@firm.example", contact_id=f"c{n}") for n in range(1200)),
        replied(ADDRESS, contact_id="contact-zanna"),
    )
    with state.transaction():
        state.note_judged("crm\x1f1\x1f" + ADDRESS, hostile=True)
        state.ask("crm\x1f1\x1f" + ADDRESS)
        state.put("checked crm\x1f1\x1f" + ADDRESS, "1")
        command = decide_on_person(
            CommandAction.SUPPRESS, contact_id="contact-zanna", recipient=OTHER, channel="all", by="i", why="x"
        )
        state.note_heeded(msgspec.json.encode(command))
        state.note_heeded(
            msgspec.json.encode(decide(CommandAction.PAUSE, parse_scope("contact:contact-zanna"), by="i", why="x"))
        )
    forgetting = of(contacts=("contact-zanna",))

    assert state.take_out(forgetting, flow.change_of_commands(forgetting)) == 4
    content = b"".join(path.read_bytes() for path in (tmp_path / FOLDER).iterdir())
    assert ADDRESS.encode() not in content
    assert b"contact-zanna" not in content
    assert len(list(state.judged())) == 3
    assert state.take_out(forgetting, flow.change_of_commands(forgetting)) == 0
    assert state.words_of(replied("p7@firm.example")) is not None


def test_a_memory_that_stays_locked_is_told_in_one_line(state: ReplyState, tmp_path: Path) -> None:
    other = ReplyState(tmp_path / FOLDER)
    other._db.execute("PRAGMA busy_timeout = 10")
    with state.transaction(), pytest.raises(HomeError, match="locked; call again"):
        other.take_out(of(), lambda _: None)
    assert other.take_out(of(), lambda _: None) == 0
    other.close()


def test_who_is_found_in_a_later_pass_gets_a_name_after_the_others() -> None:
    addresses = _with_new(("zoe@firm.example",), {"ada@firm.example", "zoe@firm.example"})
    assert addresses == ("zoe@firm.example", "ada@firm.example")
    assert of(addresses=addresses).address("zoe@firm.example") == of(addresses=addresses[:1]).address(
        "zoe@firm.example"
    )


def test_a_file_that_vanishes_while_it_is_looked_at_names_nobody(tmp_path: Path) -> None:
    assert _content(tmp_path / "gone") == b""
    assert _content(tmp_path) == b""
