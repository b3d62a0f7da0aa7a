"""When alerts are told: quiet hours over midnight and changes of clocks, repeats, floods, what a target takes."""

from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpulse.settings import AlertKind, AlertsSettings, AlertTarget, load
from schemas.failures import SettingsError
from schemas.records import AlertSeverity
from sinks.alerts.notices import SEVERITIES, Notice
from sinks.alerts.pacing import Memory, Waiting, release
from sinks.alerts.targets import is_quiet, takes

ANY = AlertTarget(url="json://127.0.0.1")
LIMITS = AlertsSettings(repeat_minutes=60, flood_alerts=3, flood_minutes=5)
NIGHT = AlertTarget(url="json://127.0.0.1", quiet="22:00-07:00", time_zone="Europe/Berlin")
NUMBERS = count(1)


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def one(kind: str, scope: str = "campaign:a", rule: str = "bounces") -> Waiting:
    return Waiting(next(NUMBERS), kind, scope, rule, SEVERITIES[kind])


class Desk:
    """Notices that wait, and a memory of what was told: the plain loop around `release`."""

    def __init__(self, target: AlertTarget = ANY, limits: AlertsSettings = LIMITS) -> None:
        self.target, self.limits = target, limits
        self.memory = Memory()
        self.waiting: list[Waiting] = []

    def tell(self, now: float, *new: Waiting) -> list[list[str]]:
        """Messages at an instant, each as `kind scope` in order."""
        self.waiting += new
        found = release(self.waiting, self.memory, self.target, self.limits, now)
        names = {waiting.number: f"{waiting.kind} {waiting.scope[-1]}" for waiting in self.waiting}
        gone = {number for bundle in found for number in bundle.numbers}
        self.waiting = [waiting for waiting in self.waiting if waiting.number not in gone]
        return [[names[number] for number in bundle.numbers] for bundle in found]


@pytest.mark.parametrize(
    ("clock", "found"),
    [
        ("2026-01-05T21:59:59", "loud"),
        ("2026-01-05T22:00:00", "quiet"),
        ("2026-01-05T23:59:59", "quiet"),
        ("2026-01-06T00:00:00", "quiet"),
        ("2026-01-06T06:59:59", "quiet"),
        ("2026-01-06T07:00:00", "loud"),
        ("2026-07-06T06:59:59", "quiet"),
        ("2026-07-06T07:00:00", "loud"),
    ],
)
def test_quiet_hours_over_midnight_follow_the_clocks_of_their_zone(clock: str, found: str) -> None:
    assert is_quiet(NIGHT, at(clock)) is (found == "quiet")


def test_quiet_hours_within_a_day_and_none() -> None:
    noon = AlertTarget(url="json://h", quiet="12:00-13:00")
    assert [is_quiet(noon, at(f"2026-01-05T{clock}", "UTC")) for clock in ("11:59", "12:00", "12:59", "13:00")] == [
        False,
        True,
        True,
        False,
    ]
    assert not is_quiet(ANY, at("2026-01-05T03:00"))


def test_quiet_hours_last_an_hour_less_when_clocks_go_ahead_and_an_hour_more_when_they_go_back() -> None:
    # In Berlin on 2026-03-29 the clocks jump from 2 to 3, on 2026-10-25 from 3 back to 2.
    def minutes(day_before: str) -> int:
        begin = int(at(f"{day_before}T12:00"))
        return sum(is_quiet(NIGHT, begin + minute * 60) for minute in range(24 * 60))

    assert minutes("2026-01-05") == 9 * 60
    assert minutes("2026-03-28") == 8 * 60
    assert minutes("2026-10-24") == 10 * 60


def test_quiet_hours_that_end_in_a_skipped_hour_end_at_the_jump() -> None:
    early = AlertTarget(url="json://h", quiet="22:00-02:30", time_zone="Europe/Berlin")
    jump = at("2026-03-29T03:00")
    assert is_quiet(early, jump - 1)
    assert not is_quiet(early, jump)


def test_quiet_hours_hold_warnings_until_they_end_and_never_a_pause() -> None:
    desk = Desk(NIGHT)
    assert desk.tell(at("2026-01-05T23:00"), one("warn"), one("slow", "campaign:b"), one("resume", "campaign:c")) == []
    assert desk.tell(at("2026-01-05T23:01"), one("pause", "campaign:d")) == [["pause d"]]
    assert desk.tell(at("2026-01-06T06:59")) == []
    assert desk.tell(at("2026-01-06T07:00")) == [["warn a"], ["slow b"], ["resume c"]]


def test_a_pause_at_night_tells_the_held_warning_about_its_scope_along_with_it() -> None:
    desk = Desk(NIGHT)
    assert desk.tell(at("2026-01-05T23:00"), one("warn")) == []
    assert desk.tell(at("2026-01-05T23:05"), one("pause")) == [["warn a", "pause a"]]
    assert desk.tell(at("2026-01-06T07:00")) == []


def test_a_night_of_many_warnings_is_one_summary_in_the_morning() -> None:
    desk = Desk(NIGHT)
    assert desk.tell(at("2026-01-05T23:00"), *(one("warn", f"campaign:{name}") for name in "abcdef")) == []
    assert desk.tell(at("2026-01-06T07:00")) == [[f"warn {name}" for name in "abcdef"]]


def test_the_same_again_within_the_set_time_is_told_once_when_it_is_over() -> None:
    desk = Desk()
    assert desk.tell(0, one("warn")) == [["warn a"]]
    assert desk.tell(60, one("warn")) == []
    assert desk.tell(120, one("warn"), one("warn", rule="complaints")) == [["warn a"]]  # another rule is another thing
    assert desk.tell(3599) == []
    assert desk.tell(3600) == [["warn a", "warn a"]]
    assert desk.tell(3601, one("warn")) == []
    assert desk.tell(7200) == [["warn a"]]


def test_the_same_twice_at_once_is_one_message() -> None:
    assert Desk().tell(0, one("pause"), one("pause")) == [["pause a", "pause a"]]


def test_what_gets_worse_is_no_repeat() -> None:
    desk = Desk()
    assert desk.tell(0, one("warn")) == [["warn a"]]
    assert desk.tell(1, one("slow")) == [["slow a"]]
    assert desk.tell(2, one("pause")) == [["pause a"]]


def test_a_pause_after_a_resumption_is_no_repeat() -> None:
    desk = Desk()
    assert desk.tell(0, one("pause")) == [["pause a"]]
    assert desk.tell(10, one("resume")) == [["resume a"]]
    assert desk.tell(20, one("pause")) == [["pause a"]]
    assert desk.tell(30, one("pause")) == []
    assert desk.tell(40, one("resume"), one("pause"), one("resume")) == [
        ["pause a", "resume a"],
        ["pause a"],
        ["resume a"],
    ]


def test_the_last_message_about_a_scope_tells_what_holds() -> None:
    """Whatever comes, and whatever is folded into what: a resumption is never told before the pause that it ends."""

    @given(
        st.lists(st.tuples(st.sampled_from(["warn", "slow", "pause", "resume"]), st.sampled_from("ab")), max_size=40)
    )
    def check(coming: list[tuple[str, str]]) -> None:
        desk = Desk(NIGHT)
        told: list[str] = []
        now = at("2026-01-05T21:59:30")
        for kind, scope in coming:
            told += [name for message in desk.tell(now, one(kind, f"campaign:{scope}")) for name in message]
            now += 7
        for minute in range(0, 24 * 60, 1):
            told += [name for message in desk.tell(now + minute * 60) for name in message]
        for scope in "ab":
            sent = [kind for kind, which in coming if which == scope]
            heard = [name.split()[0] for name in told if name.endswith(scope)]
            assert sorted(heard) == sorted(sent)  # nothing is lost, nothing is told twice
            holding = [kind for kind in sent if kind != "warn"]
            assert [kind for kind in heard if kind != "warn"][-1:] == holding[-1:]

    check()


def test_more_than_so_many_become_one_summary() -> None:
    desk = Desk()
    assert desk.tell(0, *(one("warn", f"campaign:{name}") for name in "abc")) == [["warn a"], ["warn b"], ["warn c"]]
    assert desk.tell(10, one("warn", "campaign:d")) == []
    assert desk.tell(20, one("warn", "campaign:e")) == []
    assert desk.tell(309) == []
    assert desk.tell(310) == [["warn d", "warn e"]]
    assert desk.tell(700, one("warn", "campaign:f")) == [["warn f"]]


def test_many_at_once_are_one_summary_at_once() -> None:
    desk = Desk()
    assert desk.tell(0, *(one("pause", f"campaign:{name}") for name in "abcd")) == [
        ["pause a", "pause b", "pause c", "pause d"]
    ]
    assert desk.tell(299, one("pause", "campaign:e")) == []
    assert desk.tell(300, one("pause", "campaign:f")) == [["pause e", "pause f"]]


def test_an_endless_flood_is_one_message_in_so_many_minutes() -> None:
    desk = Desk()
    told: list[list[str]] = []
    for second in range(3600):
        told += desk.tell(second, one("pause", f"campaign:{second}"))
    told += desk.tell(3900)
    assert len(told) <= 3 + 3900 / 300
    assert sum(map(len, told)) == 3600


def test_a_flood_of_warnings_does_not_delay_a_pause() -> None:
    desk = Desk()
    desk.tell(0, *(one("warn", f"campaign:{name}") for name in "abcd"))
    assert desk.tell(1, one("warn", "campaign:e"), one("pause", "campaign:f")) == [["pause f"]]


def test_a_resumption_takes_along_the_pause_that_waits_in_a_flood() -> None:
    desk = Desk()
    desk.tell(0, *(one("pause", f"campaign:{name}") for name in "bcde"))
    assert desk.tell(1, one("pause")) == []
    assert desk.tell(2, one("resume")) == [["pause a", "resume a"]]


def test_what_a_target_remembers_does_not_grow() -> None:
    desk = Desk(limits=AlertsSettings(repeat_minutes=1, flood_alerts=100, flood_minutes=1))
    for minute in range(100):
        desk.tell(minute * 60, *(one("warn", f"campaign:{minute}-{number}") for number in range(10)))
    assert len(desk.memory.told) <= 20
    assert len(desk.memory.counted) <= 20


@pytest.mark.parametrize(
    ("severity", "kinds", "taken"),
    [
        ("info", [], {"warn", "slow", "pause", "resume"}),
        ("warning", [], {"warn", "slow", "pause"}),
        ("critical", [], {"pause"}),
        ("info", ["pause", "resume"], {"pause", "resume"}),
        ("warning", ["resume"], set()),
    ],
)
def test_a_target_takes_its_kinds_from_its_severity_on(severity: str, kinds: list[AlertKind], taken: set[str]) -> None:
    target = AlertTarget(url="json://h", severity=severity, kinds=kinds)  # type: ignore[arg-type]
    found = {
        kind
        for kind, level in SEVERITIES.items()
        if takes(target, Notice("s", kind, AlertSeverity(level), "all", "t", "b", "2026-01-05T10:00:00.000Z"))
    }
    assert {str(kind) for kind in found} == taken


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        pytest.param("QUIET", "22-7", "valid are two times of day", id="no times of day"),
        pytest.param("QUIET", "07:00-07:00", "valid are two times of day", id="a day or nothing"),
        pytest.param("QUIET", "22:00-24:00", "valid are two times of day", id="no such hour"),
        pytest.param("TIME_ZONE", "Mars/Base", "valid are names such as", id="no such zone"),
        pytest.param("TIME_ZONE", "../etc", "valid are names such as", id="a path"),
        pytest.param("SEVERITY", "loud", "Invalid enum value", id="no such severity"),
        pytest.param("KINDS", '["shout"]', "Invalid enum value", id="no such kind"),
        pytest.param("URL", "", "is empty", id="no URL"),
        pytest.param("COLOUR", "red", "valid are url, severity", id="no such setting"),
    ],
)
def test_a_wrong_setting_is_named_without_the_url(setting: str, value: str, said: str, home: object) -> None:
    environ = {"OUTPULSE_ALERTS__TARGETS__OPS__URL": "json://ida:hush@firm.example/hush"}
    with pytest.raises(SettingsError) as caught:
        load(home, environ=environ | {f"OUTPULSE_ALERTS__TARGETS__OPS__{setting}": value})  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "alerts.targets" in str(caught.value)
    assert "hush" not in str(caught.value)
