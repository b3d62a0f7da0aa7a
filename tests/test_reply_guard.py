"""Hostile replies stop what provokes them, and plain declines do not."""

import random
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from control.commands import decide
from control.scopes import parse_scope
from flows.guard_heeding import command_of
from flows.reply_guard import ReplyGuard, is_hostile, is_judged
from flows.reply_state import ReplyState
from outpulse.settings import GuardSettings
from schemas.events import Channel, CommandAction, Event, Kind
from schemas.tables import Intent, ResponseIntelligence

NOBODY = UUID(int=7)


def reply(number: int, **fields: str) -> Event:
    return Event(
        event_id=f"r{number}",
        kind=Kind.REPLIED,
        occurred_at=f"2026-01-05T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
        channel=Channel.EMAIL,
        delivery_id=f"d{number}",
        campaign_id=fields.get("campaign_id", "autumn"),
        sender="ida@out.example",
        recipient=f"p{number}@firm{number}.example",
    )


def reading(sentiment: float | None, intent: Intent = Intent.NOT_INTERESTED) -> ResponseIntelligence:
    return ResponseIntelligence(
        id=NOBODY,
        created_at=datetime(2026, 1, 5, tzinfo=UTC),
        sentiment_score=sentiment,
        intent_classification=intent,
    )


def replies(count: int, rate: float) -> list[tuple[Event, bool]]:
    draw = random.Random(1)
    return [(reply(number), draw.random() < rate) for number in range(count)]


def commands(judged: list[tuple[Event, bool]], size: int = 10_000, settings: GuardSettings | None = None) -> list[str]:
    guard = ReplyGuard(settings or GuardSettings(), 0.25)
    parts = [judged[start : start + size] for start in range(0, len(judged), size)]
    return [outcome.command.id for part in parts for outcome in guard.judge(part)]


def command(action: CommandAction, scope: str) -> bytes:
    made = decide(action, parse_scope(scope), by="ida", why="talked to them", at="2026-01-05T12:00:00.000Z")
    return msgspec.json.encode(made)


def test_anger_counts_and_plain_declines_and_machines_do_not() -> None:
    assert is_hostile(reading(-0.8))
    assert not is_hostile(reading(-0.3))
    assert not is_hostile(reading(None))
    assert not is_judged(reading(-0.8, Intent.OUT_OF_OFFICE))


def test_hostile_replies_pause_and_usual_ones_do_not() -> None:
    guard = ReplyGuard(GuardSettings(), 0.25)
    found = [outcome.command for outcome in guard.judge(replies(200, 0.5))]
    assert found[-1].action == "pause"
    assert {(one.rule, one.decided_by) for one in found} == {("negative_replies", "guard")}
    assert not commands(replies(2_000, 0.05))


def test_any_batches_and_a_restart_decide_the_same(tmp_path: Path) -> None:
    judged = replies(200, 0.4)
    expected = commands(judged)
    assert expected
    assert commands(judged, 7) == expected
    state = ReplyState(tmp_path)
    with state.transaction():
        for event, hostile in judged[:15]:
            state.add_event(event)
            name = "\x1f".join(("\x1e", event.event_id, event.recipient or ""))
            state.note_judged(name, hostile=hostile)
    assert list(state.judged()) == judged[:15]
    again = ReplyGuard(GuardSettings(), 0.25)
    again.remember(state.judged())
    before = commands(judged[:15])
    assert before + [outcome.command.id for outcome in again.judge(judged[15:])] == expected


def test_the_rule_may_be_off() -> None:
    assert not commands(replies(200, 0.9), settings=GuardSettings(off=["negative_replies"]))


def test_who_lets_a_campaign_go_on_has_it_judged_anew(tmp_path: Path) -> None:
    first, later = replies(100, 0.6), [(reply(number), number % 5 != 0) for number in range(1_000, 1_100)]
    resume = command(CommandAction.RESUME, "campaign:autumn")
    guard = ReplyGuard(GuardSettings(), 0.25)
    assert [one.command.action for one in guard.judge(first)][-1] == "pause"
    assert not guard.judge(later)
    guard = ReplyGuard(GuardSettings(), 0.25)
    guard.judge(first)
    guard.heed(resume)
    again = [outcome.command.id for outcome in guard.judge(later)]
    assert again

    state = ReplyState(tmp_path)
    with state.transaction():
        for event, hostile in first:
            state.add_event(event)
            state.note_judged("\x1f".join(("\x1e", event.event_id, event.recipient or "")), hostile=hostile)
        state.note_heeded(resume)
    restarted = ReplyGuard(GuardSettings(), 0.25)
    restarted.remember(state.judged())
    assert [outcome.command.id for outcome in restarted.judge(later)] == again


def test_commands_about_persons_are_none_of_scopes() -> None:
    assert command_of(command(CommandAction.PAUSE, "recipient:ada@firm.example")) is None
    assert command_of(command(CommandAction.PAUSE, "campaign:autumn")) is not None
    assert command_of(b"{") is None
