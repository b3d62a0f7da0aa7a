"""The guard flow on a real log: commands, snapshots, what people say, kill -9; live and replay decide the same."""

import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control.commands import append, decide, read_command
from control.scopes import parse_scope
from eventlog import Record
from eventlog.sqlite import SqliteLog
from flows.guard import FOLDER
from flows.guard_feed import GuardBatch, GuardFeed
from flows.guard_heeding import Heeded, Heedings
from flows.run import run_flows
from outpulse.settings import GuardSettings, Settings
from schemas.events import Command, CommandAction, Event, LoggedEvent, Origin, Stream
from schemas.failures import LogError
from schemas.identity import event_key
from tests.lakes import rows
from tests.processes import kill, run, start
from tests.test_guard import campaign, message
from tests.test_guard_followup import hourly

Row = dict[str, Any]
DECISIONS = """SELECT action::VARCHAR, scope_kind, scope_value, rule, caused_by, hits, trials FROM pauses
    ORDER BY occurred_at, id"""


def storm(seed: int = 1) -> list[Row]:
    """A healthy campaign, and one whose list is bad."""
    good = campaign(0.01, 400, seed=seed, campaign_id="good")
    bad = campaign(0.4, 120, seed=seed + 1, start=5_000, campaign_id="bad")
    mixed = [event for pair in zip(good, bad, strict=False) for event in pair] + good[len(bad) :]
    random.Random(seed).shuffle(mixed[:200])
    return mixed


def log_events(home: Path, events: list[Row]) -> None:
    log = SqliteLog(home / "log")
    made = [msgspec.convert(event, Event) for event in events]
    logged = [
        LoggedEvent(origin=Origin.API, **{name: getattr(event, name) for name in Event.__struct_fields__})
        for event in made
    ]
    log.append(Stream.EVENTS, [Record(event_key(event), msgspec.json.encode(event)) for event in logged])
    log.close()


def watch(home: Path, settings: Settings | None = None) -> None:
    log = SqliteLog(home / "log")
    run_flows(home, settings or Settings(), log, names=["guard"], stopping=threading.Event(), follow=False)
    log.close()


def commands(home: Path) -> list[Command]:
    log = SqliteLog(home / "log")
    found = [read_command(record.value) for record in log.read(Stream.CONTROL, 0, 1, 100_000)]
    log.close()
    return found


def told(found: list[Command]) -> list[tuple[Any, ...]]:
    return [
        (str(c.action), c.scope_kind, c.scope_value, c.rule, c.caused_by, c.hits, c.trials)
        for c in found
        if c.action not in {CommandAction.SUPPRESS, CommandAction.UNSUPPRESS}
    ]


def test_a_storm_pauses_its_campaign_once_and_its_dead_addresses_are_suppressed(home: Path) -> None:
    log_events(home, storm())
    watch(home)
    first = commands(home)
    watch(home)

    assert commands(home) == first
    assert [c.scope_value for c in first if c.action is CommandAction.PAUSE] == ["bad"]
    suppressed = [c for c in first if c.action is CommandAction.SUPPRESS]
    assert len(suppressed) == len({e["recipient"] for e in storm() if e["kind"] == "bounced"})
    assert {c.why for c in suppressed} == {"hard bounce"}


def test_parts_of_the_log_with_restarts_between_decide_as_the_whole(home: Path) -> None:
    events = storm(2)
    log_events(home / "whole", events)
    watch(home / "whole")
    for start_at in range(0, len(events), 97):
        log_events(home / "parts", events[start_at : start_at + 97])
        watch(home / "parts")

    assert told(commands(home / "parts")) == told(commands(home / "whole"))


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_snapshot_that_cannot_be_used_is_made_anew_from_the_log(home: Path, damage: str) -> None:
    log_events(home, storm(3))
    watch(home)
    before = commands(home)
    path = home / FOLDER / "state.npz"
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    settings = Settings(guard=GuardSettings(tolerances={"unsubscribes": 0.5})) if damage == "other" else None
    watch(home, settings)

    assert commands(home) == before


def test_a_stricter_tolerance_pauses_nothing_for_what_is_long_past(home: Path) -> None:
    log_events(home, campaign(0.04, 800, seed=5))
    watch(home)
    before = commands(home)
    assert "pause" not in {action for action, *_ in told(before)}
    watch(home, Settings(guard=GuardSettings(tolerances={"bounces": 0.02})))

    assert commands(home) == before


def test_a_replay_decides_the_same_as_live_and_says_nothing_to_the_dispatcher(home: Path, tmp_path: Path) -> None:
    events = storm(4)
    log_events(home, events)
    watch(home)
    file = tmp_path / "storm.ndjson"
    file.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    other = tmp_path / "replayed"

    assert run("replay", str(file), "--home", str(other), env={"OUTPULSE_GUARD__REPLAY": "true"}).returncode == 0
    assert rows(other, DECISIONS) == sorted(told(commands(home)), key=lambda row: rows(other, DECISIONS).index(row))
    assert rows(other, "SELECT DISTINCT decided_by FROM pauses") == [("replay",)]
    assert commands(other) == []
    assert rows(other, "SELECT count(*) FROM active_pauses") == [(0,)]
    assert rows(other, "SELECT DISTINCT optimization_trigger FROM optimization_actions") == [("high_bounce",)]

    live = tmp_path / "live"

    assert run("replay", "--live", str(file), "--home", str(live)).returncode == 0
    assert told(commands(live)) == told(commands(home))


def test_a_resumed_campaign_is_watched_anew_also_after_a_restart(home: Path) -> None:
    log_events(home, [event for number in range(10) for event in message(number, "bounced")])
    watch(home)
    log = SqliteLog(home / "log")
    append(log, decide(CommandAction.RESUME, parse_scope("campaign:autumn"), by="kim", why="list mended"))
    log.close()
    watch(home)
    log_events(home, campaign(0.02, 300, seed=5, start=100))
    watch(home)

    assert [c.action for c in commands(home) if c.scope_value == "autumn"][-1] is CommandAction.RESUME

    log_events(home, campaign(0.9, 30, seed=6, start=1000))
    watch(home)

    assert [c.action for c in commands(home) if c.scope_value == "autumn"][-1] is CommandAction.PAUSE


@pytest.mark.crash
def test_a_guard_that_is_killed_again_and_again_misses_nothing_and_says_nothing_twice(home: Path) -> None:
    events = storm(7) + storm(8)
    log_events(home / "whole", events)
    watch(home / "whole")
    rng = random.Random(7)
    place = home / "killed"
    for start_at in range(0, len(events), 160):
        log_events(place, events[start_at : start_at + 160])
        process = start("flows", "guard", "--home", str(place))
        time.sleep(rng.uniform(1.0, 3.5))  # before, within and after its work
        kill(process)
    watch(place)

    assert told(commands(place)) == told(commands(home / "whole"))
    assert len(commands(place)) == len(commands(home / "whole"))


@pytest.mark.parametrize(
    "odd", [{"recipient": " "}, {"recipient": "bob@"}, {"campaign_id": ""}, {"sender": " ", "variant": ""}]
)
def test_odd_values_stop_neither_the_flow_nor_the_guard(home: Path, odd: dict[str, str]) -> None:
    strange = [
        event | odd | {"event_id": f"odd-{n}-{event['kind']}", "delivery_id": f"odd-{n}"}
        for n in range(12)
        for event in message(n, "bounced")
    ]
    log_events(home, strange + storm())
    watch(home)

    assert any(c.action is CommandAction.PAUSE for c in commands(home))


def test_a_decision_that_could_not_be_appended_is_made_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_events(home, storm(9)[:5])
    watch(home)
    log_events(home, storm(9)[5:])
    real = SqliteLog.append

    def fails(self: SqliteLog, stream: str, records: list[Record]) -> list[int]:
        if stream == Stream.CONTROL:
            raise LogError("the disk is full")
        return real(self, stream, records)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteLog, "append", fails)
        with pytest.raises(LogError):
            watch(home)
    watch(home)

    assert any(c.action is CommandAction.PAUSE for c in commands(home))


def say(home: Path, action: CommandAction, scope: str) -> None:
    log = SqliteLog(home / "log")
    append(log, decide(action, parse_scope(scope), by="kim", why="list mended"))
    log.close()


def two_storms_with_a_word_between(home: Path) -> None:
    """A campaign that is paused, resumed by a person, behaves, and is paused again."""
    log_events(home, campaign(0.5, 60, seed=1))
    watch(home)
    say(home, CommandAction.RESUME, "campaign:autumn")
    watch(home)
    log_events(home, campaign(0.02, 200, seed=2, start=1000))
    watch(home)
    log_events(home, campaign(0.5, 60, seed=3, start=2000))
    watch(home)


@pytest.mark.parametrize("lost", ["state.npz", "state.npz heeded.jsonl"])
def test_what_a_person_said_stays_where_it_was_said_when_the_snapshot_is_lost(home: Path, lost: str) -> None:
    two_storms_with_a_word_between(home)
    before = commands(home)
    for name in lost.split():
        (home / FOLDER / name).unlink()
    watch(home)

    assert commands(home) == before
    assert [c.action for c in before if c.scope_value == "autumn"].count(CommandAction.PAUSE) == 2


def test_a_word_that_was_heeded_late_stays_late(home: Path) -> None:
    log_events(home, campaign(0.5, 60, seed=1))
    watch(home)
    log_events(home, campaign(0.02, 40, seed=4, start=500))
    watch(home)
    say(home, CommandAction.RESUME, "campaign:autumn")
    log = SqliteLog(home / "log")
    Heedings(home / FOLDER).note(Heeded(log.end(Stream.CONTROL, 0) - 1, [log.end(Stream.EVENTS, 0) - 30]))
    log.close()
    (home / FOLDER / "state.npz").unlink()
    taken = batches(home)

    assert [len(batch.commands) for batch in taken] == [0, 1, 0]
    assert len(taken[2].events) == 30


def batches(home: Path, positions: dict[str, int] | None = None) -> list[GuardBatch]:
    log = SqliteLog(home / "log")
    feed = GuardFeed(log, positions or {}, lambda: False, Heedings(home / FOLDER), follow=False)
    found: list[GuardBatch] = []
    with suppress(StopIteration):
        while (batch := feed.take()) is not None:
            found.append(batch)
    log.close()
    return found


def test_events_of_several_partitions_are_read_by_the_time_of_their_appending(home: Path) -> None:
    log = SqliteLog(home / "log", partitions=3)
    for number in range(60):
        log.append(Stream.EVENTS, [Record(b"%d" % number, b"%d" % number)])
        time.sleep(0.0015)
    log.close()
    whole = batches(home)
    start_at = {name: 1 + (position - 1) // 2 for name, position in whole[-1].positions.items()}

    assert [int(record.value) for batch in whole for record in batch.events] == list(range(60))
    rest = [int(record.value) for batch in batches(home, start_at) for record in batch.events]
    assert rest == sorted(rest)


def test_a_line_that_a_crash_cut_was_not_heeded(tmp_path: Path) -> None:
    Heedings(tmp_path).note(Heeded(3, [7]))
    with (tmp_path / "heeded.jsonl").open("ab") as file:
        file.write(b'{"control":5,"ev')
    heedings = Heedings(tmp_path)
    heedings.note(Heeded(6, [9]))

    assert (heedings.of(4), Heedings(tmp_path).of(2), Heedings(tmp_path).of(7)) == (
        Heeded(6, [9]),
        Heeded(3, [7]),
        None,
    )


PROBATION = Settings(guard=GuardSettings(probation_after_hours=12))
IMPACTS = """SELECT optimization_status, optimization_trigger, actual_impact->>'text', actual_impact->>'hits',
    actual_impact->>'trials', actual_impact->>'late_hits', id::VARCHAR FROM optimization_actions ORDER BY id"""


def test_a_campaign_on_probation_by_the_command_line_is_let_go_and_its_rows_say_what_came_of_it(home: Path) -> None:
    log_events(home, hourly(1.0, 10, seed=1))
    watch(home)
    said = run("resume", "campaign:autumn", "--probation", "--why", "list mended", "--by", "kim", "--home", str(home))

    assert said.returncode == 0, said.stderr
    assert "on probation with 0.05, judged by bounces" in said.stdout
    assert rows(home, "SELECT action, send_share, rule, metric, decided_by FROM active_pauses") == [
        ("slow", 0.05, "bounces", "probation", "kim")
    ]

    log_events(home, hourly(0.0, 1200, seed=2, hour=1, start=100))
    watch(home)
    run("flows", "--drain", "--home", str(home))

    assert rows(home, "SELECT count(*) FROM active_pauses") == [(0,)]
    lifted = rows(home, "SELECT rule, hits, trials >= 77, evidence >= 20, detector FROM pauses WHERE action = 'resume'")
    assert lifted == [("bounces", 0, True, True, "probation")]
    impacts = rows(home, IMPACTS)
    assert {row[0] for row in impacts} == {"measured"}
    freed = [row[3:6] for row in impacts if row[1] == "opportunity_detected"]
    assert [(hits, late) for hits, _, late in freed] == [("0", "0")]
    (seen,) = rows(home, "SELECT hits FROM pauses WHERE action = 'pause'")[0]
    stopped = next(row for row in impacts if row[1] == "high_bounce")
    assert int(stopped[3]) + int(stopped[5]) == 10 - seen  # all ten bounced, some after the pause


def test_a_contact_or_what_is_not_paused_cannot_be_on_probation(home: Path) -> None:
    assert run("pause", "contact:c7", "--why", "asked to", "--home", str(home)).returncode == 0

    for scope, words in (("contact:c7", "does not watch single contacts"), ("campaign:x", "is not paused")):
        said = run("resume", scope, "--probation", "--why", "x", "--home", str(home))
        assert said.returncode != 0
        assert words in said.stderr


@pytest.mark.parametrize(
    ("rule", "judge"),
    [
        ("complaints", "complaints"),
        ("delivery_collapse", "bounces"),
        ("negative_replies", "bounces"),
        (None, "bounces"),
    ],
)
def test_a_probation_is_judged_by_a_rule_that_can_judge_it(home: Path, rule: str | None, judge: str) -> None:
    pause = decide(CommandAction.PAUSE, parse_scope("campaign:autumn"), by="guard", why="harm")
    log = SqliteLog(home / "log")
    append(log, msgspec.structs.replace(pause, rule=rule))
    log.close()
    said = run("resume", "campaign:autumn", "--probation", "--why", "list mended", "--home", str(home))

    assert f"judged by {judge}:" in said.stdout
    log_events(home, hourly(0.0, 100, seed=2, hour=1, start=100))
    watch(home)
    log_events(home, hourly(0.0, 8000, seed=2, hour=5, an_hour=120, start=1000))  # complaints take two days
    watch(home)
    assert [str(c.action) for c in commands(home) if c.metric != "probation"][-1] == "resume"


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (
            {"campaign:autumn": {"bounce": 0.1}},
            "[guard.scopes.'campaign:autumn'] names the rule 'bounce', valid are bounces",
        ),
        ({"campain:autumn": {"bounces": 0.1}}, "[guard.scopes] names scope 'campain:autumn'; valid are campaign:ID"),
    ],
    ids=["rule", "scope"],
)
def test_a_rule_or_scope_that_is_none_is_told_before_anything_runs(
    home: Path, tmp_path: Path, scopes: dict[str, Any], words: str
) -> None:
    file = tmp_path / "one.ndjson"
    file.write_bytes(msgspec.json.encode(message(1)[0]))
    env = {"OUTPULSE_GUARD__SCOPES": msgspec.json.encode(scopes).decode()}

    for verb in (["flows", "--drain"], ["replay", str(file)], ["up", "--no-dashboard"]):
        outcome = run(*verb, "--home", str(home), env=env)
        assert (outcome.returncode, words in outcome.stderr, outcome.stderr.count("\n")) == (1, True, 1), outcome.stderr
    doctor = run("doctor", "--json", "--home", str(home), env=env)
    (line,) = [row for row in msgspec.json.decode(doctor.stdout) if row["check"] == "guard"]
    assert (line["state"], words in line["found"], doctor.returncode) == ("fault", True, 1)


def probation_events() -> list[Row]:
    calm = hourly(0.0, 200, seed=2, hour=30, an_hour=8, start=100)
    return [
        *hourly(1.0, 10, seed=1),
        *calm,
        *hourly(0.9, 40, seed=3, hour=60, start=400),
        *hourly(0.0, 9, 4, 99, 1, 900),
    ]


def results(home: Path) -> list[bytes]:
    log = SqliteLog(home / "log")
    found = [record.value for record in log.read(Stream.RESULTS, 0, 1, 100_000)]
    log.close()
    return found


@pytest.mark.crash
def test_probations_and_impacts_survive_kills_restarts_and_lost_snapshots(home: Path) -> None:
    events = probation_events()
    log_events(home / "whole", events)
    watch(home / "whole", PROBATION)
    rng = random.Random(11)
    place = home / "killed"
    for start_at in range(0, len(events), 90):
        log_events(place, events[start_at : start_at + 90])
        process = start("flows", "guard", "--home", str(place), env={"OUTPULSE_GUARD__PROBATION_AFTER_HOURS": "12"})
        time.sleep(rng.uniform(1.0, 3.5))
        kill(process)
        process.wait()
        if rng.random() < 0.3:
            (place / FOLDER / "state.npz").unlink(missing_ok=True)
    watch(place, PROBATION)
    deeds = [(str(c.action), c.detector) for c in commands(place) if c.scope_value == "autumn"]

    assert told(commands(place)) == told(commands(home / "whole"))
    assert {("slow", "probation"), ("resume", "probation")} <= set(deeds)
    assert sorted(results(place)) == sorted(results(home / "whole"))


def test_a_replay_measures_and_puts_on_probation_as_live_does(home: Path, tmp_path: Path) -> None:
    log_events(home, probation_events())
    watch(home, PROBATION)
    file = tmp_path / "story.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode(event) for event in probation_events()))
    other = tmp_path / "replayed"
    env = {"OUTPULSE_GUARD__REPLAY": "true", "OUTPULSE_GUARD__PROBATION_AFTER_HOURS": "12"}
    run("replay", str(file), "--home", str(other), env=env)
    run("flows", "--drain", "--home", str(home), env=env)

    assert sorted(rows(other, DECISIONS)) == sorted(told(commands(home)))
    assert rows(other, IMPACTS) == rows(home, IMPACTS)
    assert [row[0] for row in rows(other, IMPACTS)].count("measured") >= 3
