"""Providers' own limits, tolerances of single scopes, and collapses."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from features.columns import Decoder
from features.guard import Decision, Guard
from features.guard_admission import Admission, Scope, Special, is_inside
from features.guard_state import dump, load
from features.tolerances import DEFAULT_RULES, PROVIDER_LIMITS, Rule
from flows.guard_rules import guard_of, receivers, specials_of
from outpulse.settings import GuardSettings
from schemas.failures import SettingsError

RULES = (*DEFAULT_RULES, *PROVIDER_LIMITS)
BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
DECODER = Decoder()
Event = dict[str, Any]


def event(number: int, kind: str, after: timedelta = timedelta(0), **fields: Any) -> Event:
    about = {
        "event_id": f"{number}-{kind}",
        "kind": kind,
        "delivery_id": f"d{number}",
        "provider": "postmark",
        "occurred_at": (BEGIN + after).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "campaign_id": "autumn",
        "sender": "ida@out.example",
        "recipient": f"p{number}@firm.example",
        "sequence_step": "1",
        "variant": "A",
        **fields,
    }
    return about | ({"bounce_class": fields.get("bounce_class", "hard")} if kind == "bounced" else {})


def guard(rules: Sequence[Rule] = RULES, specials: Sequence[Special] = ()) -> Guard:
    return Guard(rules, admission=Admission(receivers(), specials))


def decided(events: list[Event], sizes: Sequence[int] = (), watching: Guard | None = None) -> list[Decision]:
    watching = watching or guard()
    found: list[Decision] = []
    start = turn = 0
    while start < len(events):
        part = events[start : start + (sizes[turn % len(sizes)] if sizes else len(events))]
        lines = pa.array([msgspec.json.encode(one) for one in part], pa.binary())
        facts = DECODER.decode(lines, np.arange(len(part)), "test").facts
        found += [one._replace(place=one.place + start) for one in watching.take(facts)]
        start, turn = start + len(part), turn + 1
    return found


def rules_told(found: list[Decision]) -> set[str]:
    return {one.rule.name for one in found}


def only(*names: str) -> list[Rule]:
    return [rule for rule in RULES if rule.name in names]


def mails(count: int, outcome: str, rate: float, **fields: Any) -> list[Event]:
    draw = random.Random(7)
    return [
        one
        for number in range(count)
        for kind in ("sent", "delivered", *([outcome] if draw.random() < rate else []))
        for one in [event(number, kind, timedelta(seconds=number), **fields)]
    ]


def test_complaints_at_gmail_are_held_against_its_limit_and_others_are_not() -> None:
    names = ("gmail_complaints_limit", "yahoo_complaints_limit")
    at_gmail = [
        one | {"recipient": one["recipient"].replace("firm", "gmail")} for one in mails(600, "complained", 0.05)
    ]
    found = decided(at_gmail, watching=guard(only(*names)))
    assert rules_told(found) == {"gmail_complaints_limit"}
    assert {one.kind for one in found} <= {"domain", "sender,domain"}
    assert not decided(mails(600, "complained", 0.05), watching=guard(only(*names)))


def test_a_limit_stays_where_a_laxer_tolerance_is_set() -> None:
    lax = [replace(rule, tolerance=0.5) if rule.name == "complaints" else rule for rule in RULES]
    at_gmail = [
        one | {"recipient": one["recipient"].replace("firm", "gmail")} for one in mails(600, "complained", 0.05)
    ]
    found = decided(at_gmail, watching=guard(lax))
    assert "gmail_complaints_limit" in rules_told(found)
    assert "complaints" not in rules_told(found)


def test_one_complaint_in_a_hundred_deliveries_fires_no_providers_limit() -> None:
    events = [event(number, kind, provider="ses") for number in range(100) for kind in ("sent", "delivered")]
    events.append(event(50, "complained", provider="ses"))
    assert not decided(events, watching=guard(PROVIDER_LIMITS))


def test_amazons_limits_count_only_what_went_through_amazon() -> None:
    names = ("ses_bounces_pause", "ses_bounces_review")
    events = [one for number in range(60) for one in (event(number, "sent"), event(number, "bounced"))]
    assert not decided(events, watching=guard(only(*names)))
    through = [one | {"provider": "ses"} for one in events]
    found = decided(through, watching=guard(only(*names)))
    assert [one.severity for one in found if one.rule.name == "ses_bounces_pause"][-1] == "pause"
    blocks = [one | ({"bounce_class": "block"} if one["kind"] == "bounced" else {}) for one in through]
    assert not decided(blocks, watching=guard(only(*names)))


def bounces(count: int, every: int, **fields: Any) -> list[Event]:
    return [
        one
        for number in range(count)
        for kind in ("sent", "delivered" if number % every else "bounced")
        for one in [event(number, kind, timedelta(seconds=number), **fields)]
    ]


def test_a_tolerance_set_for_a_campaign_holds_in_it_and_nowhere_else() -> None:
    special = [Special("bounces", Scope("campaign", ("autumn",)), 0.4)]
    events = bounces(400, 5)
    names = only("bounces")
    lax = decided(events, watching=guard(names, special))
    assert not [one for one in lax if one.kind.startswith("campaign")]
    assert [one for one in lax if one.kind == "sender"]
    strict = decided(events, watching=guard(names))
    assert [one for one in strict if one.kind.startswith(("campaign", "sender"))]


def test_a_probation_and_an_impact_are_judged_by_the_tolerance_that_is_set_for_the_scope() -> None:
    special = [Special("bounces", Scope("campaign", ("autumn",)), 0.4)]
    watching = guard(only("bounces"), special)
    decided([event(0, "sent")], watching=watching)
    assert watching.probation("bounces", "campaign", ("autumn",))
    mended = [
        one | {"delivery_id": f"new{one['delivery_id']}", "event_id": f"new{one['event_id']}"}
        for one in stream(30, 60, lambda _hour: 0.0)
    ]
    some_bounce = [
        one | ({"kind": "bounced", "bounce_class": "hard"} if place % 5 == 0 and one["kind"] == "delivered" else {})
        for place, one in enumerate(mended)
    ]
    found = [one for one in decided(some_bounce, watching=watching) if one.kind == "campaign"]
    assert [(one.severity, one.detector, one.rule.tolerance) for one in found] == [("resume", "probation", 0.4)]
    assert {one.rule.tolerance for one, _ in watching.measured() if one.kind == "campaign"} == {0.4}


def test_the_same_scope_written_twice_has_the_tolerance_that_comes_first() -> None:
    scopes = {"sender:ida@out.example": {"bounces": 0.2}, "sender:Ida@out.example": {"bounces": 0.02}}
    assert specials_of(GuardSettings(scopes=scopes)) == [Special("bounces", Scope("sender", ("ida@out.example",)), 0.2)]


def test_of_several_tolerances_that_of_the_narrowest_scope_holds() -> None:
    admission = Admission(
        {},
        [
            Special("bounces", Scope("campaign", ("autumn",)), 0.2),
            Special("bounces", Scope("campaign,step", ("autumn", "2")), 0.3),
        ],
    )
    base, wide, narrow = admission.versions(only("bounces")[0])
    assert [one.tolerance for one in (base, wide, narrow)] == [0.05, 0.2, 0.3]
    for kind, values, watched in [
        ("campaign,step", ("autumn", "2"), narrow),
        ("campaign,step", ("autumn", "1"), wide),
        ("campaign", ("autumn",), wide),
        ("campaign", ("spring",), base),
        ("all", (), base),
    ]:
        assert [one for one in (base, wide, narrow) if admission.admits(one, kind, values)] == [watched]
    assert not is_inside("campaign", ("autumn",), Scope("campaign,step", ("autumn", "2")))


def test_a_rule_or_scope_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(SettingsError, match="'bounce', valid are bounces"):
        guard_of(GuardSettings(tolerances={"bounce": 0.1}))
    with pytest.raises(SettingsError, match="'opens_collapse', valid are bounces"):
        specials_of(GuardSettings(scopes={"campaign:autumn": {"opens_collapse": 0.1}}))
    with pytest.raises(SettingsError, match="valid are campaigns"):
        specials_of(GuardSettings(scopes={"contact:c1": {"bounces": 0.1}}))
    assert specials_of(GuardSettings(scopes={"sender:Ida@out.example": {"bounces": 0.1}})) == [
        Special("bounces", Scope("sender", ("ida@out.example",)), 0.1)
    ]


def stream(hours: int, an_hour: int, missing: Any, outcome: str = "delivered", wait: float = 0.2) -> list[Event]:
    """Messages spread over hours; after `wait` hours the outcome comes, unless `missing(hour)` draws that it does not."""
    draw = random.Random(3)
    events: list[tuple[timedelta, Event]] = []
    for number in range(hours * an_hour):
        sent = timedelta(hours=number / an_hour)
        kinds = [("sent", timedelta(0)), *([("delivered", timedelta(minutes=1))] if outcome != "delivered" else [])]
        if draw.random() >= missing(number / an_hour):
            kinds.append((outcome, timedelta(hours=wait)))
        events += [(sent + after, event(number, kind, sent + after)) for kind, after in kinds]
    return [one for _, one in sorted(events, key=lambda pair: pair[0])]


def test_deliveries_that_stay_away_pause_the_sender_at_one_domain() -> None:
    events = stream(60, 40, lambda hour: 0.02 if hour < 40 else 0.7)
    found = decided(events, watching=guard(only("delivery_collapse")))
    pauses = [one for one in found if one.severity == "pause"]
    assert pauses, found
    first = datetime.fromisoformat(events[pauses[0].place]["occurred_at"]) - BEGIN
    assert timedelta(hours=44) < first < timedelta(hours=52)
    assert pauses[0].detector == "shift"
    assert not [
        one for one in found if datetime.fromisoformat(events[one.place]["occurred_at"]) - BEGIN < timedelta(hours=44)
    ]


def test_deliveries_that_come_as_ever_or_were_never_told_are_no_collapse() -> None:
    collapse = only("delivery_collapse")
    assert not decided(stream(60, 40, lambda _hour: 0.1), watching=guard(collapse))
    assert not decided(stream(60, 40, lambda _hour: 1.0), watching=guard(collapse))


def test_opens_that_stay_away_slow_a_campaign_down_and_machines_open_nothing() -> None:
    rule = only("opens_collapse")
    events = stream(24 * 14, 12, lambda hour: 0.6 if hour < 240 else 1.0, "opened", wait=3.0)
    found = decided(events, watching=guard(rule))
    assert {one.severity for one in found} == {"warn", "slow"} or [one.severity for one in found] == ["slow"]
    machines = [one | ({"is_machine": True} if one["kind"] == "opened" else {}) for one in events]
    assert not decided(machines, watching=guard(rule))


def test_records_that_come_too_late_are_no_collapse() -> None:
    """A file that is sorted by message instead of time: every outcome is there, but the clock has gone on."""
    events = stream(60, 40, lambda _hour: 0.05)
    by_message = sorted(events, key=lambda one: (int(one["delivery_id"][1:]) * 7919 % 2400, one["occurred_at"]))
    assert not decided(by_message, watching=guard(only("delivery_collapse")))


@pytest.mark.parametrize("sizes", [[1, 50, 7], [500], [3, 1000]])
def test_all_rules_decide_the_same_in_any_batches(sizes: list[int]) -> None:
    events = stream(56, 30, lambda hour: 0.02 if hour < 40 else 0.7)
    events += [
        one | {"provider": "ses", "delivery_id": f"x{one['delivery_id']}", "sender": "jo@out.example"}
        for one in bounces(120, 3)
    ]
    special = [Special("bounces", Scope("sender", ("jo@out.example",)), 0.02)]
    expected = decided(events, watching=guard(RULES, special))
    assert decided(events, sizes, guard(RULES, special)) == expected
    assert {"delivery_collapse", "bounces"} <= rules_told(expected)


def test_a_restart_in_the_middle_of_a_collapse_changes_nothing() -> None:
    events = stream(56, 30, lambda hour: 0.02 if hour < 40 else 0.7)
    expected = decided(events)
    for cut in (100, len(events) * 3 // 4, len(events) * 9 // 10):
        first, second = guard(), guard()
        found = decided(events[:cut], watching=first)
        assert load(second, dump(first))
        found += [one._replace(place=one.place + cut) for one in decided(events[cut:], watching=second)]
        assert found == expected


def test_where_a_tolerance_is_changed_its_rule_begins_anew_and_the_past_is_not_judged_again() -> None:
    """4% bounces are no harm at 5%; once 2% is set they are, but only what comes from then on speaks for that."""
    past, later = bounces(3000, 25), bounces(3000, 25, provider="sendgrid")
    later = [
        one | {"event_id": f"later-{one['event_id']}", "delivery_id": f"later-{one['delivery_id']}"} for one in later
    ]
    before, strict = guard(only("bounces", "complaints")), guard(strict_rules())
    assert not [one for one in decided(past, watching=before) if one.severity == "pause"]
    assert load(strict, dump(before))
    assert not decided(past[:200], watching=strict)  # known events say nothing again
    found = [one for one in decided(later, watching=strict) if one.severity == "pause"]
    assert found[0].place < 2 * 1500


def strict_rules() -> list[Rule]:
    return [replace(one, tolerance=0.02) if one.name == "bounces" else one for one in only("bounces", "complaints")]


def test_where_a_tolerance_is_set_for_a_scope_the_other_scopes_keep_their_evidence() -> None:
    events = mails(700, "complained", 0.012) + bounces(900, 12, campaign_id="spring", sender="jo@out.example")
    special = [Special("bounces", Scope("campaign", ("no-such",)), 0.4)]
    cut = 2000
    before, after = guard(), guard(RULES, special)
    found = decided(events[:cut], watching=before)
    assert load(after, dump(before))
    found += [one._replace(place=one.place + cut) for one in decided(events[cut:], watching=after)]
    assert found == decided(events)


def test_a_rule_that_was_switched_off_is_followed_no_more_and_the_others_go_on() -> None:
    storm = [one for number in range(40) for one in (event(number, "sent"), event(number, "bounced"))]
    before = guard()
    decided(storm, watching=before)
    before.probation("bounces", "campaign", ("autumn",))
    after = guard([rule for rule in RULES if rule.name != "bounces"])
    assert load(after, dump(before))
    assert not decided(stream(30, 60, lambda _hour: 0.0), watching=after)
    assert after.followups.state.probations == []


def test_a_collapse_that_is_watched_from_now_on_asks_only_for_messages_of_from_now_on() -> None:
    events = stream(60, 40, lambda hour: 0.02 if hour < 40 else 0.7)
    cut = next(place for place, one in enumerate(events) if one["occurred_at"] > "2026-01-06T08")
    before, after = guard(only("bounces")), guard(only("bounces", "delivery_collapse"))
    decided(events[:cut], watching=before)
    assert load(after, dump(before))
    found = [one for one in decided(events[cut:], watching=after) if one.severity == "pause"]
    first = datetime.fromisoformat(events[cut + found[0].place]["occurred_at"]) - BEGIN
    assert timedelta(hours=44) < first < timedelta(hours=54)
