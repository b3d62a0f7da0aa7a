"""What follows a decision: probations end by their own evidence, impacts are measured, the same in any batches."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.guard import Decision, Guard
from features.guard_limit import log_below
from features.guard_probation import LIFT_ALPHA
from features.guard_state import dump, load
from features.tolerances import DEFAULT_RULES
from schemas.instants import from_epoch_ms
from tests.test_guard import Event, columns, message

START_MS = 1_767_607_200_000
HOUR_MS = 3_600_000
SCOPE = ("campaign", ("autumn",))


def hourly(rate: float, count: int, seed: int, hour: float = 0.0, an_hour: int = 60, start: int = 0) -> list[Event]:
    """Messages of a campaign in event time, with their outcomes at once."""
    draw = random.Random(seed)
    found: list[Event] = []
    for number in range(count):
        at = from_epoch_ms(START_MS + int((hour + number / an_hour) * HOUR_MS))
        outcome = "bounced" if draw.random() < rate else "delivered"
        found += message(start + number, outcome, occurred_at=at)
    return found


def guard_of(hours: float = 0.0) -> Guard:
    return Guard(DEFAULT_RULES, probation_after_hours=hours)


def taken(guard: Guard, events: list[Event], sizes: list[int] | None = None) -> list[Decision]:
    found: list[Decision] = []
    start = turn = 0
    sizes = sizes or [len(events)]
    while start < len(events):
        part = events[start : start + sizes[turn % len(sizes)]]
        found += [one._replace(place=one.place + start) for one in guard.take(columns(part))]
        start, turn = start + len(part), turn + 1
    return found


def told(found: list[Decision]) -> list[tuple[str, str]]:
    return [(one.severity, one.detector) for one in found if one.severity != "warn" and (one.kind, one.values) == SCOPE]


def paused_guard(hours: float = 0.0) -> Guard:
    guard = guard_of(hours)
    assert ("pause", "limit") in told(taken(guard, hourly(1.0, 10, seed=1)))
    return guard


def trials_to_lift() -> int:
    """Clean trials that lift, recounted."""
    bound = pytest.importorskip("math").log(1 / LIFT_ALPHA)
    return next(n for n in range(1, 1000) if float(log_below(0, n, 0.05)) >= bound)


def test_clean_mail_on_probation_is_lifted_once_enough_of_it_is_old_enough() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)
    found = taken(guard, hourly(0.0, 1000, seed=2, hour=1, start=100))
    lift = next(one for one in found if one.severity == "resume")

    assert told(found) == [("resume", "probation")]
    assert (lift.hits, lift.evidence >= 1 / LIFT_ALPHA) == (0, True)
    assert trials_to_lift() == 77 <= lift.trials <= 77 + 10  # ten minutes of sending are ten messages
    sent_before = lift.place // 2
    assert 77 + 6 * 60 <= sent_before <= 77 + 6 * 60 + 20  # six hours of sixty messages are still too young


def test_silence_before_the_outcomes_can_be_known_lifts_nothing() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)

    assert told(taken(guard, hourly(0.0, 300, seed=2, hour=1, start=100))) == []


def test_harmful_mail_on_probation_is_paused_again_and_what_was_sent_before_does_not_count() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)
    old = [
        event | {"event_id": f"late-{n}", "kind": "bounced"} for n in range(10) for event in message(n, "bounced")[1:]
    ]
    found = taken(guard, [*old, *hourly(0.5, 60, seed=3, hour=1, start=100)])
    again = next(one for one in found if one.severity == "pause")

    assert told(found) == [("pause", "probation")]
    assert again.place > len(old)
    assert again.evidence >= 20
    assert again.hits <= again.trials <= 20


def test_a_probation_is_not_slowed_down_to_more_than_its_share() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)
    found = taken(guard, hourly(0.12, 400, seed=5, hour=1, start=100))

    assert "slow" not in {one.severity for one in found}


def test_a_person_who_decides_ends_the_probation() -> None:
    for decide in (Guard.resume, Guard.stop, Guard.leave):
        guard = paused_guard()
        guard.probation("bounces", *SCOPE)
        decide(guard, *SCOPE)

        assert "probation" not in {d for _, d in told(taken(guard, hourly(0.0, 900, seed=2, hour=1, start=100)))}


def test_a_rule_that_is_not_watched_resumes_without_a_probation() -> None:
    guard = paused_guard()

    assert not guard.probation("no_such_rule", *SCOPE)
    assert told(taken(guard, hourly(0.0, 900, seed=2, hour=1, start=100))) == []


def test_by_itself_a_probation_begins_after_the_hours_and_waits_twice_as_long_after_it_failed() -> None:
    events = hourly(1.0, 24 * 9, seed=1, an_hour=1)
    found = [one for one in taken(guard_of(hours=24), events) if one.severity != "warn"]
    hours = [one.place // 2 for one in found if (one.kind, one.values) == SCOPE]
    deeds = told(found)

    assert deeds[:5] == [("pause", "limit"), ("slow", "probation"), ("pause", "probation")] * 1 + [
        ("slow", "probation"),
        ("pause", "probation"),
    ]
    assert hours[1] - hours[0] in {24, 25}
    assert hours[3] - hours[2] in {48, 49}


def test_without_the_setting_nothing_goes_on_by_itself() -> None:
    assert told(taken(guard_of(), hourly(1.0, 24 * 9, seed=1, an_hour=1)))[1:] == []


def story(seed: int) -> list[Event]:
    """Storms and calm days of two campaigns, somewhat out of order."""
    draw = random.Random(seed)
    events: list[Event] = []
    for day in range(8):
        rate = draw.choice([0.0, 0.0, 0.0, 0.01, 0.6])
        events += hourly(rate, 80, seed=seed + day, hour=24 * day, an_hour=8, start=1000 * day)
        other = hourly(0.01, 40, seed=seed - day, hour=24 * day, an_hour=8, start=1000 * day + 500)
        events += [event | {"campaign_id": "winter"} for event in other]
    for _ in range(60):
        one = draw.randrange(len(events) - 40)
        other_place = one + draw.randrange(40)
        events[one], events[other_place] = events[other_place], events[one]
    return events


def outcome(events: list[Event], sizes: list[int] | None, hours: float = 12.0) -> tuple[Any, ...]:
    guard = guard_of(hours)
    found = taken(guard, events, sizes)
    return found, sorted(map(str, guard.measured())), guard.followups.state


@settings(deadline=None)
@given(st.integers(0, 40), st.lists(st.integers(30, 900), min_size=1, max_size=4))
def test_probations_and_impacts_are_the_same_in_any_batches(seed: int, sizes: list[int]) -> None:
    events = story(seed)

    assert outcome(events, sizes) == outcome(events, None)


def test_event_by_event_a_probation_is_what_it_is_in_one_batch() -> None:
    calm = hourly(0.0, 90, seed=2, hour=30, an_hour=8, start=100)
    events = [*hourly(1.0, 10, seed=1), *calm, *hourly(0.9, 20, seed=3, hour=52, start=300)]

    assert outcome(events, [1]) == outcome(events, None)
    assert ("resume", "probation") in told(outcome(events, None)[0])


def test_the_stories_hold_what_has_to_be_compared() -> None:
    deeds = {deed for seed in range(12) for deed in told(outcome(story(seed), None)[0])}

    assert {("slow", "probation"), ("pause", "probation"), ("resume", "probation")} <= deeds


@pytest.mark.parametrize("cut", [300, 700, 1200])
def test_a_guard_that_goes_on_from_its_state_decides_the_same(cut: int) -> None:
    events = story(3)
    whole = outcome(events, None)
    first = guard_of(12.0)
    before = taken(first, events[:cut])
    measured = first.measured()
    second = guard_of(12.0)
    assert load(second, dump(first))
    after = [one._replace(place=one.place + cut) for one in taken(second, events[cut:])]

    assert before + after == whole[0]
    assert sorted(map(str, measured + second.measured())) == whole[1]


def test_a_pause_is_measured_by_what_still_came_of_what_was_in_flight() -> None:
    guard = guard_of()
    sent = [event for n in range(30) for event in message(n, "bounced")[:1]]
    bounced = [event for n in range(30) for event in message(n, "bounced")[1:]]
    later = from_epoch_ms(START_MS + 25 * HOUR_MS)
    other = message(900, campaign_id="winter", sender="bo@out.example", recipient="p@firm.example", occurred_at=later)
    found = taken(guard, sent + bounced + other)
    pause = next(one for one in found if one.severity == "pause" and (one.kind, one.values) == SCOPE)
    (measured,) = [one for decision, one in guard.measured() if decision.severity == "pause"]

    assert (measured.of.hits, measured.of.trials) == (0, 0)
    assert measured.of.late == 30 - pause.hits
    assert measured.ended_ms == START_MS + 25 * HOUR_MS


def test_a_resumption_is_measured_by_what_was_sent_after_it() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)
    taken(guard, hourly(0.0, 1200, seed=2, hour=1, start=100))
    ((decision, measured),) = [one for one in guard.measured() if one[0].severity == "resume"]

    assert (measured.of.hits, measured.of.late) == (0, 0)
    assert 200 <= measured.of.trials <= 200 + 10  # ten hits would be expected at 5%
    assert decision.hits == 0


def test_an_event_that_claims_to_be_of_tomorrow_does_not_make_mail_older() -> None:
    guard = paused_guard()
    guard.probation("bounces", *SCOPE)
    mail = hourly(0.0, 100, seed=2, hour=1, start=100)
    far = {"occurred_at": from_epoch_ms(START_MS + 23 * HOUR_MS), "received_at": from_epoch_ms(START_MS + 2 * HOUR_MS)}
    odd = [event | far for event in message(5000, campaign_id="winter")]

    assert told(taken(guard, mail + odd)) == []
