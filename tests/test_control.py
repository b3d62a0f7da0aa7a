"""The control stream: what holds, and the client that must say no when it does not know."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.client import STALE_SECONDS, ControlClient, Unknown
from control.commands import append, decide, decide_on_person, record_of
from control.scopes import parse_scope, scope_of
from control.state import State, fold
from eventlog import MAX_READ_BYTES, Record, Stored
from eventlog.sqlite import SqliteLog
from schemas.events import Command, CommandAction, Stream
from schemas.failures import LogError

ROOT = Path(__file__).parents[1]
AT = "2026-01-05T10:00:00.000Z"
MESSAGE = {"campaign_id": "autumn", "sender": "ida@out.example", "recipient": "Ada@Firm.example"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log")
    yield opened
    opened.close()


class Clock:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FailingLog(SqliteLog):
    """The embedded log; its reads can be told to fail."""

    failure: Exception | None = None

    def read(
        self, stream: str, partition: int, from_offset: int, limit: int, max_bytes: int = MAX_READ_BYTES
    ) -> list[Stored]:
        if self.failure is not None:
            raise self.failure
        return super().read(stream, partition, from_offset, limit, max_bytes)


def pause(scope: str, **more: Any) -> Command:
    return decide(CommandAction.PAUSE, parse_scope(scope), **{"by": "ida", "why": "a storm"} | more)


def slow(scope: str, share: float) -> Command:
    return decide(CommandAction.SLOW, parse_scope(scope), by="ida", why="a storm", send_share=share)


def resume(scope: str) -> Command:
    return decide(CommandAction.RESUME, parse_scope(scope), by="ida", why="over")


def suppress(
    contact_id: str | None = None, recipient: str | None = None, channel: str = "all", *, undo: bool = False
) -> Command:
    action = CommandAction.UNSUPPRESS if undo else CommandAction.SUPPRESS
    return decide_on_person(action, contact_id=contact_id, recipient=recipient, channel=channel, by="ida", why="asked")


# What holds


SCOPES = ["campaign:a", "campaign:a,step:2", "sender:s@x.example", "domain:d.example", "contact:c", "all"]
PLAIN = st.builds(
    lambda action, scope, share: decide(
        CommandAction(action), parse_scope(scope), by="g", why="w", at=AT, send_share=share
    ),
    st.sampled_from(["warn", "slow", "pause", "resume"]), st.sampled_from(SCOPES), st.sampled_from([0.1, 0.5]),
)  # fmt: skip
PEOPLE = st.builds(
    lambda undo, contact, recipient, channel: suppress(
        contact, recipient or (None if contact else "c@x.example"), channel, undo=undo
    ),
    st.booleans(), st.sampled_from([None, "c1", "c2"]), st.sampled_from([None, "a@x.example", "b@x.example"]),
    st.sampled_from(["all", "email", "phone"]),
)  # fmt: skip
COMMANDS = st.lists(PLAIN | PEOPLE, max_size=25).map(
    lambda found: [(n, msgspec.structs.replace(c, id=f"id-{n}")) for n, c in enumerate(found, 1)]
)


def seen(state: State) -> tuple[Any, ...]:
    """All that a state says, in comparable form."""
    suppressions = sorted((one.person for one in state.suppressions()), key=repr)
    return {key: (held.offset, held.share) for key, held in state.held.items()}, suppressions


def recount(commands: Sequence[tuple[int, Command]]) -> tuple[Any, ...]:
    """The same by the words of the contract: the last decision of each scope; what no later command has ended."""
    held = {}
    for scope in {(c.scope_kind, c.scope_value) for _, c in commands if c.scope_kind}:
        mine = [(n, c) for n, c in commands if (c.scope_kind, c.scope_value) == scope and c.action != "warn"]
        if mine and mine[-1][1].action in {"pause", "slow"}:
            held[scope_of(*scope).key] = (mine[-1][0], 0.0 if mine[-1][1].action == "pause" else mine[-1][1].send_share)
    standing = set()
    for n, c in commands:
        ends = [
            u
            for m, u in commands
            if m > n
            and u.action == "unsuppress"
            and ((u.contact_id and u.contact_id == c.contact_id) or (u.recipient and u.recipient == c.recipient))
            and u.channel in {"all", c.channel}
        ]
        if c.action == "suppress" and not ends:
            standing.add((c.contact_id, c.recipient, c.channel))
    return held, sorted(standing, key=repr)


@given(COMMANDS)
def test_the_last_decision_of_each_scope_holds_and_suppressions_stand_until_ended(
    commands: list[tuple[int, Command]],
) -> None:
    assert seen(fold(commands)) == recount(commands)


@given(COMMANDS, st.data())
def test_a_fold_goes_on_from_any_prefix(commands: list[tuple[int, Command]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(commands)))
    state = fold(commands[:cut])
    assert seen(state) == recount(commands[:cut])

    for placed in commands[cut:]:
        state.apply(*placed)

    assert seen(state) == seen(fold(commands))


@given(COMMANDS, st.data())
def test_commands_that_come_again_change_nothing(commands: list[tuple[int, Command]], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(commands), max_size=8)) if commands else []
    repeated = [*commands, *((len(commands) + n, c) for n, (_, c) in enumerate(again, 1))]

    assert seen(fold(repeated)) == seen(fold(commands))


@given(COMMANDS)
def test_decisions_of_different_scopes_do_not_depend_on_each_others_order(commands: list[tuple[int, Command]]) -> None:
    by_scope = sorted(commands, key=lambda placed: (placed[1].scope_kind, placed[1].scope_value))

    assert seen(fold(by_scope))[0] == seen(fold(commands))[0]


# The client


def test_nothing_said_is_allowed(log: SqliteLog) -> None:
    decision = ControlClient(log).allowed(**MESSAGE)

    assert msgspec.to_builtins(decision) == {"allowed": True, "reason": None, "pause_id": None, "share": 1.0}


@pytest.mark.parametrize(
    "scope",
    ["all", "campaign:autumn", "campaign:autumn,step:2", "campaign:autumn,variant:B", "sender:IDA@out.example",
     "sender:ida@out.example,domain:firm.example", "domain:FIRM.example", "contact:c1"],
)  # fmt: skip
def test_any_pause_that_covers_a_message_forbids_it_until_it_is_resumed(log: SqliteLog, scope: str) -> None:
    clock = Clock()
    client = ControlClient(log, clock=clock)
    message = MESSAGE | {"contact_id": "c1", "step": "2", "variant": "B"}
    assert client.allowed(**message).allowed

    command = pause(scope)
    append(log, command)
    clock.now += 0.11
    decision = client.allowed(**message)

    assert (decision.allowed, decision.pause_id, decision.share) == (False, command.id, 0.0)
    assert decision.reason == f"paused: {parse_scope(scope).text}: a storm"
    other = {"campaign_id": "spring", "sender": "max@out.example", "recipient": "x@other.example", "contact_id": "c2"}
    assert client.allowed(**other).allowed is (scope != "all")

    append(log, resume(scope))
    clock.now += 0.11
    assert client.allowed(**message).allowed


def test_a_step_given_as_a_number_is_the_same_step(log: SqliteLog) -> None:
    append(log, pause("campaign:autumn,step:2"))

    assert not ControlClient(log).allowed(**MESSAGE, step=2).allowed
    assert ControlClient(log).allowed(**MESSAGE, step=1).allowed


def test_a_warning_changes_nothing_and_does_not_end_a_pause(log: SqliteLog) -> None:
    warning = decide(CommandAction.WARN, parse_scope("campaign:autumn"), by="guard", why="0.2% complaints")
    append(log, warning)
    assert ControlClient(log).allowed(**MESSAGE).reason is None

    append(log, pause("campaign:autumn"), msgspec.structs.replace(warning, id="another"))
    assert not ControlClient(log).allowed(**MESSAGE).allowed


def test_a_share_lets_about_that_share_through_and_each_message_always_or_never(log: SqliteLog) -> None:
    append(log, slow("campaign:autumn", 0.25))
    client, other = ControlClient(log), ControlClient(log)
    people = [f"p{n}@firm.example" for n in range(4000)]

    passed = {p for p in people if client.allowed("autumn", "ida@out.example", p, step="1").allowed}

    # 4,000 draws at 0.25: a standard deviation of 27; five of them on both sides.
    assert 1000 - 137 < len(passed) < 1000 + 137
    assert passed == {p for p in people if other.allowed("autumn", "max@out.example", p.upper(), step=1).allowed}
    assert client.allowed("autumn", "ida@out.example", people[0]).share == 0.25

    append(log, slow("campaign:autumn", 0.5))
    wider = ControlClient(log)
    assert passed < {p for p in people if wider.allowed("autumn", "ida@out.example", p, step="1").allowed}


def test_the_least_of_several_shares_counts_and_a_pause_beats_them(log: SqliteLog) -> None:
    append(log, slow("campaign:autumn", 0.5), slow("domain:firm.example", 0.1), slow("all", 0.9))
    assert ControlClient(log).allowed(**MESSAGE).share == 0.1

    append(log, pause("sender:ida@out.example"))
    assert ControlClient(log).allowed(**MESSAGE).share == 0.0


def test_a_suppressed_contact_or_address_is_not_written_to(log: SqliteLog) -> None:
    append(log, suppress("c1", "ada@firm.example"))
    client = ControlClient(log)

    for message in (MESSAGE, MESSAGE | {"recipient": "other@firm.example", "contact_id": "c1"}):
        decision = client.allowed(**message)
        assert (decision.allowed, decision.reason, decision.pause_id) == (False, "suppressed: asked", None)
    assert client.allowed(**MESSAGE | {"recipient": "other@firm.example", "contact_id": "c2"}).allowed


def test_a_suppression_of_a_channel_leaves_the_others_free(log: SqliteLog) -> None:
    append(log, suppress(recipient="ada@firm.example", channel="phone"))
    client = ControlClient(log)

    assert client.allowed(**MESSAGE).allowed
    assert not client.allowed(**MESSAGE, channel="phone").allowed


def test_a_look_is_taken_when_the_last_is_older_than_100_ms(log: SqliteLog) -> None:
    clock = Clock()
    client = ControlClient(log, clock=clock)
    client.look()
    append(log, pause("all"))

    clock.now += 0.1
    assert client.allowed(**MESSAGE).allowed
    clock.now += 0.001
    assert not client.allowed(**MESSAGE).allowed


# When the log cannot be read


def test_beyond_250_ms_without_the_log_the_answer_is_no(tmp_path: Path) -> None:
    log, clock = FailingLog(tmp_path / "log"), Clock()
    client = ControlClient(log, clock=clock)
    assert client.allowed(**MESSAGE).allowed

    log.failure = LogError("the disk is gone")
    clock.now += STALE_SECONDS
    assert client.allowed(**MESSAGE).allowed
    clock.now += 0.001
    decision = client.allowed(**MESSAGE)
    assert isinstance(decision, Unknown)
    assert msgspec.to_builtins(decision) == {
        "allowed": False, "reason": "unknown: the disk is gone", "pause_id": None, "share": 0.0,
    }  # fmt: skip
    with pytest.raises(LogError, match="the disk is gone"):
        client.holding()

    log.failure = None
    assert client.allowed(**MESSAGE).allowed
    log.close()


def test_a_failure_of_any_kind_is_a_no(tmp_path: Path) -> None:
    log = FailingLog(tmp_path / "log")
    log.failure = RuntimeError("odd")

    assert ControlClient(log).allowed(**MESSAGE).reason == "unknown: RuntimeError: odd"
    log.close()


def test_a_damaged_log_file_is_a_no(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "control-0.sqlite").write_bytes(b"this is no database" * 1000)
    damaged = SqliteLog(tmp_path / "other")

    decision = ControlClient(damaged).allowed(**MESSAGE)

    assert not decision.allowed
    assert decision.reason is not None
    assert "cannot read the control log" in decision.reason
    damaged.close()


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_log_file_that_was_taken_away_is_a_no(tmp_path: Path, log: SqliteLog, *, replaced: bool) -> None:
    clock = Clock()
    client = ControlClient(log, clock=clock)
    assert client.allowed(**MESSAGE).allowed
    (tmp_path / "log").rename(tmp_path / "away")
    if replaced:
        other = SqliteLog(tmp_path / "log")
        append(other, pause("all"))
        other.close()

    clock.now += 1
    decision = client.allowed(**MESSAGE)

    assert isinstance(decision, Unknown)
    assert "removed or replaced" in (decision.reason or "")


def test_while_one_thread_waits_for_the_log_the_others_are_told_no_in_time(tmp_path: Path) -> None:
    class SlowLog(SqliteLog):
        def read(self, *_: Any, **__: Any) -> list[Stored]:
            entered.set()
            assert go.wait(20)
            return []

    entered, go = threading.Event(), threading.Event()
    log = SlowLog(tmp_path / "log")
    client = ControlClient(log)
    waiting = threading.Thread(target=client.allowed, kwargs=MESSAGE)
    waiting.start()
    assert entered.wait(20)

    began = time.monotonic()
    decision = client.allowed(**MESSAGE)

    assert not decision.allowed
    assert time.monotonic() - began < 5
    go.set()
    waiting.join()
    log.close()


def test_what_is_no_command_is_skipped_and_counted(log: SqliteLog) -> None:
    log.append(Stream.CONTROL, [Record(None, b"{"), record_of(pause("all")), Record(None, b"\xff")])
    client = ControlClient(log)

    assert not client.allowed(**MESSAGE).allowed
    assert (client.holding().unusable, client.holding().offset) == (2, 3)


def test_many_threads_get_the_same_answers(log: SqliteLog) -> None:
    append(log, slow("campaign:autumn", 0.5))
    client, single = ControlClient(log), ControlClient(log)
    people = [f"p{n}@firm.example" for n in range(300)]
    found: list[list[bool]] = []
    client.look()

    def work() -> None:
        found.append([client.allowed("autumn", None, person).allowed for person in people])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [[single.allowed("autumn", None, person).allowed for person in people]] * 8


def test_a_command_appended_in_another_process_is_obeyed_within_250_ms(tmp_path: Path, log: SqliteLog) -> None:
    append(log, resume("all"))  # the stream is there
    script = """
import sys, time
from pathlib import Path
from control.commands import append, decide
from control.scopes import parse_scope
from eventlog.sqlite import SqliteLog
from schemas.events import CommandAction
log = SqliteLog(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
append(log, decide(CommandAction.PAUSE, parse_scope("all"), by="other", why="w"))
print("appended", flush=True)
"""
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    client = ControlClient(log)
    assert client.allowed(**MESSAGE).allowed
    other.stdin.write("\n")
    other.stdin.flush()
    assert other.stdout.readline() == "appended\n"

    time.sleep(STALE_SECONDS)
    assert not client.allowed(**MESSAGE).allowed
    other.communicate()


def test_a_command_appended_twice_lies_in_the_log_once(log: SqliteLog) -> None:
    command = pause("all", at=AT)

    assert append(log, command) == append(log, pause("all", at=AT)) == 1
    assert append(log, pause("all"), pause("all")) == 3


def test_the_control_stream_is_never_split(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log", partitions=4)

    assert log.partitions("control") == 1
    assert log.partitions("events") == 4
    log.close()
