"""Commands in the lake: `pauses`, `active_pauses` and `suppressions` show what the control stream says, once."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from control.commands import append, decide, record_of
from control.scopes import parse_scope
from control.state import fold
from eventlog import Record
from eventlog.sqlite import SqliteLog
from flows.inbox import LogInbox
from flows.writer import expire_log
from schemas.events import Command, CommandAction, ResultRow, Stream
from schemas.instants import parse_ms
from sinks.commands import pause_row
from sinks.lake import Chunk, Lake
from tests.lakes import differences, land, rows, tables
from tests.processes import copy_of_log, kill, run, start, wait_until
from tests.test_control import COMMANDS, pause, resume, slow, suppress

NAMES = ("pauses", "active_pauses", "suppressions", "dead_letters")


def land_log(home: Path, *, limit: int = 131_072) -> None:
    """Lands what waits in a home's log, `limit` records of a stream a time."""
    log = SqliteLog(home / "log")
    lake = Lake(home)
    positions = lake.positions()
    lake.close()
    inbox = LogInbox(log, positions, limit=limit)
    land(home, list(iter(lambda: inbox.take(at_once=True), None)))
    log.close()


def send(home: Path, *commands: Command) -> None:
    log = SqliteLog(home / "log")
    append(log, *commands)
    log.close()


def active(home: Path) -> list[tuple[Any, ...]]:
    return rows(home, "SELECT scope_kind, scope_value, action, send_share FROM active_pauses ORDER BY control_offset")


def test_a_command_lands_with_all_that_it_says(home: Path) -> None:
    raw = (Path(__file__).parent / "golden" / "messages" / "command.json").read_bytes()
    log = SqliteLog(home / "log")
    log.append(Stream.CONTROL, [Record(None, raw)])
    log.close()
    land_log(home)

    said = msgspec.json.decode(raw)
    (row,) = rows(
        home, "SELECT * REPLACE (id::VARCHAR AS id, epoch_ms(occurred_at) AS occurred_at, "
        "epoch_ms(decided_at) AS decided_at) FROM pauses",
    )  # fmt: skip
    at = 1_767_607_200_123
    assert row == (
        said["id"], "slow", 0.25, "sender,domain", "sales@example.org,example.com", "hard_bounce", "hard_bounce", 0.125, 0.03,
        118.5, 64, 8, "sg-0001", at, at + 333, "guard", said["why"], 1, "limit", None,
    )  # fmt: skip


def test_the_last_decision_of_a_scope_holds_by_the_order_of_the_log(home: Path) -> None:
    late, early = "2026-01-06T10:00:00.000Z", "2026-01-05T10:00:00.000Z"
    send(home, pause("campaign:a", at=late), slow("domain:x.example", 0.5), pause("all"), resume("all"))
    land_log(home)
    assert active(home) == [("campaign", "a", "pause", 0.0), ("domain", "x.example", "slow", 0.5)]

    warning = decide(CommandAction.WARN, parse_scope("domain:x.example"), by="guard", why="w")
    ended = decide(CommandAction.RESUME, parse_scope("campaign:a"), by="ida", why="earlier, and said later", at=early)
    send(home, ended, warning)
    land_log(home)

    assert active(home) == [("domain", "x.example", "slow", 0.5)]
    assert rows(home, "SELECT count(*), count(DISTINCT id), max(control_offset) FROM pauses") == [(6, 6, 6)]


def result(command: Command) -> bytes:
    row = msgspec.to_builtins(pause_row(0, command)) | {"control_offset": None, "decided_by": "replay"}
    return msgspec.json.encode(ResultRow(table="pauses", row=row))


def test_what_a_replay_decided_does_not_hold_and_does_not_push_out_what_does(home: Path) -> None:
    decided, only_replayed = pause("campaign:a"), pause("campaign:b")
    log = SqliteLog(home / "log")
    log.append(Stream.RESULTS, [Record(None, result(decided)), Record(None, result(only_replayed))])
    log.close()
    land_log(home)
    assert (active(home), rows(home, "SELECT count(*) FROM pauses")) == ([], [(2,)])

    send(home, decided)
    land_log(home)
    assert active(home) == [("campaign", "a", "pause", 0.0)]

    log = SqliteLog(home / "log")
    log.append(Stream.RESULTS, [Record(None, result(decided))])
    log.close()
    land_log(home)
    assert active(home) == [("campaign", "a", "pause", 0.0)]
    assert rows(home, "SELECT decided_by, count(*) FROM pauses GROUP BY 1 ORDER BY 1") == [("ida", 1), ("replay", 1)]


def test_suppressions_come_and_go(home: Path) -> None:
    asked = "SELECT contact_id, recipient, scope, reason, source FROM suppressions ORDER BY ALL"
    send(home, suppress("c1", "A@x.example"), suppress(None, "b@x.example", "phone"), suppress(None, "b@x.example"))
    land_log(home)
    assert rows(home, asked) == [
        ("c1", "a@x.example", "all", "asked", "ida"),
        (None, "b@x.example", "all", "asked", "ida"),
        (None, "b@x.example", "phone", "asked", "ida"),
    ]

    send(home, suppress(None, "b@x.example", "phone", undo=True), suppress(None, "a@x.example", undo=True))
    land_log(home)
    assert rows(home, asked) == [(None, "b@x.example", "all", "asked", "ida")]


def test_what_is_no_command_is_a_dead_letter_and_its_neighbours_land(home: Path) -> None:
    bad = b'{"id":"x","action":"stop"}'
    log = SqliteLog(home / "log")
    log.append(
        Stream.CONTROL, [record_of(pause("all")), Record(None, bad), Record(None, b"\xff"), record_of(slow("all", 0.1))]
    )
    log.close()
    land_log(home)

    assert active(home) == [("all", "", "slow", 0.1)]
    assert rows(home, "SELECT stream, stage, reason, raw FROM dead_letters ORDER BY raw") == [
        ("control", "decode", "command unusable", bad),
        ("control", "decode", "command unusable", b"\xff"),
    ]


def test_a_command_that_a_log_holds_twice_counts_where_it_came_first(home: Path) -> None:
    first = pause("all")
    log = SqliteLog(home / "log")
    for command in (first, first, resume("all"), first):
        log.append(Stream.CONTROL, [Record(None, record_of(command).value)])
    log.close()
    land_log(home, limit=1)

    assert active(home) == []
    assert rows(home, "SELECT count(*) FROM pauses") == [(2,)]


@hypothesis_settings(max_examples=8)
@given(commands=COMMANDS)
def test_the_tables_show_what_the_fold_says_however_the_stream_is_cut(
    tmp_path_factory: pytest.TempPathFactory, commands: list[tuple[int, Command]]
) -> None:
    home = tmp_path_factory.mktemp("cut")
    lake = Lake(home, memory_limit="100MB")
    for start_at in range(0, len(commands), 4):
        part = commands[start_at : start_at + 4]
        lake.land(Chunk({"log/control/0": part[-1][0] + 1}, commands=part))
    lake.close()

    state = fold(commands)
    held = [(h.scope.kind, h.scope.value, h.command.action.value, h.share) for h in state.pauses()]
    assert active(home) == held
    found = rows(home, "SELECT contact_id, recipient, scope, epoch_ms(since) FROM suppressions")
    wanted = [(s.contact_id, s.recipient, s.scope, parse_ms(s.since)) for s in state.suppressions()]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def test_the_control_stream_is_kept_for_ever(home: Path) -> None:
    send(home, pause("all"), resume("all"))
    log = SqliteLog(home / "log")
    time.sleep(0.02)

    expire_log(log, {"log/control/0": 3}, {"control": 1e-8, "raw": 35})

    assert len(log.read("control", 0, 1, 10)) == 2
    log.close()


@pytest.mark.crash
def test_a_writer_killed_between_append_and_landing_lands_each_command_once(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    commands = [pause(f"campaign:c{n % 7}") if n % 3 else resume(f"campaign:c{n % 7}") for n in range(300)]
    commands += [suppress(f"c{n}", f"p{n}@x.example", undo=n % 5 == 4) for n in range(100)]
    environment = {"OUTPULSE_LAKE__COMMIT_SECONDS": "0.05"}
    writer = start("flows", "--home", str(killed), env=environment)
    wait_until((killed / "log" / "control-0.sqlite").exists, what="the log")
    for turn, at in enumerate(range(0, len(commands), 20)):
        send(killed, *commands[at : at + 20])
        time.sleep(0.05 * (turn % 5))
        if turn % 4 == 1:
            kill(writer)
            writer.wait()
            writer = start("flows", "--home", str(killed), env=environment)
    kill(writer)
    writer.wait()
    assert run("flows", "--drain", "--home", str(killed)).returncode == 0
    copy_of_log(killed, undisturbed)
    assert run("flows", "--drain", "--home", str(undisturbed)).returncode == 0

    assert rows(killed, "SELECT count(*), count(DISTINCT control_offset) FROM pauses") == [(300, 300)]
    assert differences(tables(undisturbed, NAMES), tables(killed, NAMES)) == []
