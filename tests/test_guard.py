"""What the guard decides: storms are stopped, narrowly; the healthy stay quiet; batches do not matter."""

import random
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Decoder
from features.guard import Decision, Guard
from features.guard_admission import Admission
from features.guard_state import dump, load
from features.tolerances import DEFAULT_RULES
from flows.guard_rules import guard_of, receivers, rules_of, specials_of
from outpulse.settings import GuardSettings
from schemas.instants import from_epoch_ms

Event = dict[str, Any]


def message(number: int, outcome: str = "delivered", **fields: Any) -> list[Event]:
    """A message that was sent, and what became of it."""
    about = {
        "delivery_id": f"d{number}",
        "provider": "ses",
        "occurred_at": "2026-01-05T10:00:00.000Z",
        "campaign_id": "autumn",
        "sender": "ida@out.example",
        "recipient": f"p{number}@gmail.example",
        "sequence_step": "1",
        "variant": "A",
        **fields,
    }
    kinds = ["sent", *(["delivered"] if outcome in {"complained", "unsubscribed"} else []), outcome]
    events = [{**about, "event_id": f"{number}-{kind}", "kind": kind} for kind in kinds]
    return [event | ({"bounce_class": "hard"} if event["kind"] == "bounced" else {}) for event in events]


DECODER = Decoder()


def columns(events: list[Event]) -> pa.Table:
    lines = pa.array([msgspec.json.encode(event) for event in events], pa.binary())
    return DECODER.decode(lines, np.arange(len(events)), "test").facts


def decided(events: list[Event], sizes: list[int] | None = None, guard: Guard | None = None) -> list[Decision]:
    guard = guard or Guard(DEFAULT_RULES)
    found: list[Decision] = []
    start = turn = 0
    sizes = sizes or [len(events) or 1]
    while start < len(events):
        part = events[start : start + sizes[turn % len(sizes)]]
        found += [one._replace(place=one.place + start) for one in guard.take(columns(part))]
        start, turn = start + len(part), turn + 1
    return found


def pauses(decisions: list[Decision]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.rule.name, one.kind, one.values) for one in decisions if one.severity == "pause"]


def campaign(rate: float, count: int, seed: int, start: int = 0, **fields: Any) -> list[Event]:
    draw = random.Random(seed)
    return [
        event
        for number in range(start, start + count)
        for event in message(number, "bounced" if draw.random() < rate else "delivered", **fields)
    ]


def test_ten_hard_bounces_at_the_start_of_a_campaign_pause_it() -> None:
    found = decided([event for number in range(10) for event in message(number, "bounced")])

    assert pauses(found) == [("bounces", "campaign", ("autumn",))]
    assert [one.severity for one in found] == ["warn", "pause"]  # with so few the ladder has no time for more
    assert found[-1].hits == found[-1].trials <= 10


def test_a_healthy_campaign_is_left_alone() -> None:
    assert pauses(decided(campaign(0.02, 3000, seed=1))) == []


def test_soft_bounces_and_deferrals_never_pause() -> None:
    events = [event | {"bounce_class": "soft"} for n in range(200) for event in message(n, "bounced")]
    events += [event for number in range(200, 400) for event in message(number, "deferred")]

    assert decided(events) == []


def test_one_mailbox_provider_that_blocks_one_sender_is_all_that_is_paused() -> None:
    draw = random.Random(5)
    events = []
    for number in range(1500):
        domain = draw.choice(["gmail.example", "outlook.example", "firm.example"])
        sender = draw.choice(["ida@out.example", "bo@out.example"])
        blocked = number > 600 and domain == "gmail.example" and sender == "ida@out.example" and draw.random() < 0.6
        outcome = "bounced" if blocked or draw.random() < 0.01 else "delivered"
        events += message(number, outcome, sender=sender, recipient=f"p{number}@{domain}")

    assert pauses(decided(events)) == [("bounces", "sender,domain", ("ida@out.example", "gmail.example"))]


def test_a_bad_list_pauses_its_campaign_and_not_the_sender_or_others() -> None:
    bad = campaign(0.3, 300, seed=2, campaign_id="bad")
    good = campaign(0.01, 3000, seed=3, start=10_000, campaign_id="good")
    mixed = [event for pair in zip(good[:600], bad, strict=False) for event in pair] + good[600:]

    assert pauses(decided(mixed)) == [("bounces", "campaign", ("bad",))]


def test_a_jump_after_a_quiet_past_is_found_by_the_shift() -> None:
    events = campaign(0.01, 2000, seed=4) + campaign(0.12, 600, seed=5, start=2000)
    found = [one for one in decided(events) if one.severity == "pause"]

    assert [(one.kind, one.values) for one in found] == [("campaign", ("autumn",))]
    assert found[0].detector == "shift"
    assert found[0].place < 2 * 2400


def test_complaints_pause_and_one_in_a_hundred_does_not() -> None:
    few = [event for n in range(100) for event in message(n, "complained" if n == 50 else "delivered")]

    assert pauses(decided(few)) == []

    many = [event for n in range(2000) for event in message(n, "complained" if n % 60 == 0 else "delivered")]

    assert [rule for rule, _, _ in pauses(decided(many))] == ["complaints"]


def test_a_resumed_scope_is_judged_by_what_it_does_then() -> None:
    guard = Guard(DEFAULT_RULES)
    assert pauses(decided([e for n in range(10) for e in message(n, "bounced")], guard=guard))
    guard.resume("campaign", ("autumn",))

    assert pauses(decided(campaign(0.02, 500, seed=6, start=100), guard=guard)) == []
    assert pauses(decided(campaign(0.5, 100, seed=7, start=1000), guard=guard)) == [
        ("bounces", "campaign", ("autumn",))
    ]


def test_a_sender_is_one_in_any_case_also_when_it_is_resumed() -> None:
    guard = Guard(DEFAULT_RULES)
    storm = [e for n in range(60) for e in message(n, "bounced" if n % 2 else "delivered", campaign_id=f"c{n}")]
    mixed = [event | {"sender": "Ida@Out.example"} if n % 3 else event for n, event in enumerate(storm)]

    assert ("bounces", "sender", ("ida@out.example",)) in pauses(decided(mixed, guard=guard))

    guard.resume("sender", ("ida@out.example",))

    assert pauses(decided(campaign(0.01, 200, seed=11, start=500), guard=guard)) == []


def test_repeated_events_change_nothing() -> None:
    events = campaign(0.3, 60, seed=8)
    twice = [event for event in events for _ in range(2)]

    assert [one._replace(place=0) for one in decided(twice)] == [one._replace(place=0) for one in decided(events)]


PROVIDERS = ("ses", "postmark", "sendgrid")


def mixture(seed: int) -> list[Event]:
    """Mail through several providers to several receivers over hours or days, with storms, machines, gaps, repeats, disorder."""
    draw = random.Random(seed)
    gap_ms, bad = draw.choice([60_000, 900_000, 3_600_000]), draw.choice([0.05, 0.3, 0.6])
    silent = draw.choice(PROVIDERS)  # it reports no sending
    stays_away = draw.random() < 0.3  # nothing arrives any more from some moment on
    count = 400 if stays_away else draw.randint(20, 120)
    events: list[tuple[int, Event]] = []
    for number in range(count):
        about = mail(number, draw)
        kinds = [("sent", 0)] if about["provider"] != silent else []
        is_lost = stays_away and number > count // 2 and draw.random() < 0.8
        kinds += [] if is_lost else fate(0.02 if stays_away else bad, draw)
        for kind, after in kinds:
            at = 1_767_607_200_000 + number * gap_ms + after
            event = {**about, "event_id": f"{number}-{kind}", "kind": kind, "occurred_at": from_epoch_ms(at)}
            if draw.random() < 0.1:
                event["campaign_id"] = draw.choice([None, "c"])
            if kind == "bounced":
                event["bounce_class"] = draw.choice(["hard", "hard", "block", "soft"])
            if kind in {"opened", "clicked"}:
                event["is_machine"] = draw.random() < 0.4
            events += [(at, event)] * draw.choice([1, 1, 1, 2])
    told = [event for _, event in sorted(events, key=lambda pair: pair[0])]
    for _ in range(draw.choice([0, 30])):  # out of order, some by far
        one, other = draw.randrange(len(told)), draw.randrange(len(told))
        told[one], told[other] = told[other], told[one]
    return told


def mail(number: int, draw: random.Random) -> Event:
    """A message, sometimes without its id or without what it belongs to."""
    about: Event = {
        "provider": draw.choice(PROVIDERS),
        "delivery_id": f"d{number}",
        "message_id": f"m{number}@h.example",
        "campaign_id": draw.choice("ab"),
        "sender": draw.choice(["s1@out.example", "S1@out.example", "s2@out.example"]),
        "recipient": f"p{number}@{draw.choice(['gmail', 'yahoo', 'firm'])}.example",
        "sequence_step": draw.choice("12"),
        "variant": draw.choice("AB"),
    }
    unknown = draw.sample(
        ["delivery_id", "message_id", "campaign_id", "sender", "variant"], draw.choice([0, 0, 0, 1, 2])
    )
    return {name: value for name, value in about.items() if name not in unknown}


def fate(bad: float, draw: random.Random) -> list[tuple[str, int]]:
    """What becomes of a message, and after how many milliseconds."""
    later = draw.choice([0, 5_000, 3_600_000, 20 * 3_600_000])
    if draw.random() < bad:
        return [(draw.choice(["bounced", "bounced", "failed"]), later)]
    more = [kind for kind in ("opened", "clicked", "complained", "unsubscribed") if draw.random() < 0.25]
    return [("delivered", later), *((kind, later + draw.choice([1_000, 50 * 3_600_000])) for kind in more)]


def every_rule(hours: float, kept: int | None = None) -> Guard:
    """All rules and limits, with tolerances set for single scopes."""
    scopes = {
        "campaign:a": {"bounces": 0.02, "complaints_early": 0.05},
        "sender:s1@out.example": {"complaints": 0.1},
        "sender:s2@out.example,domain:firm.example": {"bounces": 0.3},
    }
    chosen = GuardSettings(scopes=scopes, probation_after_hours=hours)
    return Guard(
        rules_of(chosen), kept=kept, probation_after_hours=hours, admission=Admission(receivers(), specials_of(chosen))
    )


def watched(
    facts: pa.Table, sizes: list[int], hours: float, kept: int | None = None, *, restarts: bool = False
) -> list[Any]:
    """Decisions and impacts; with `restarts` after each batch by a guard that has taken over the state."""
    found: list[Any] = []
    start = turn = 0
    guard = every_rule(hours, kept)
    while start < len(facts):
        part = facts.slice(start, sizes[turn % len(sizes)])
        found += [one._replace(place=one.place + start) for one in guard.take(part)]
        found += [("impact", msgspec.to_builtins(one.of), one.ended_ms) for _, one in guard.measured()]
        start, turn = start + len(part), turn + 1
        if restarts:
            after = every_rule(hours, kept)
            assert load(after, dump(guard))
            guard = after
    return sorted(found, key=lambda one: isinstance(one, tuple) and one[0] == "impact")


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    hours=st.sampled_from([0.0, 0.5, 6.0]),
    kept=st.sampled_from([None, 20, 60]),
    restarts=st.booleans(),
)
def test_the_same_decisions_in_any_batches(
    seed: int, sizes: list[int], hours: float, kept: int | None, *, restarts: bool
) -> None:
    facts = columns(mixture(seed))
    whole = watched(facts, [len(facts)], hours, kept)

    assert watched(facts, sizes, hours, kept, restarts=restarts) == whole
    if len(facts) < 150:
        assert watched(facts, [1], hours, kept) == whole


def test_the_mixtures_hold_what_has_to_be_compared() -> None:
    found = [one for seed in range(25) for one in watched(columns(mixture(seed)), [10_000], 6.0)]
    decisions = [one for one in found if isinstance(one, Decision)]

    assert len(decisions) < len(found), "no impact"
    assert {one.severity for one in decisions} == {"warn", "slow", "pause"}
    assert {one.detector for one in decisions} == {"limit", "shift", "probation"}
    assert {"bounces", "complaints", "complaints_early", "unsubscribes", "delivery_collapse"} <= {
        one.rule.name for one in decisions
    }
    assert any(one.rule.provider or one.rule.receiver for one in decisions)
    assert any(one.rule.scope for one in decisions)


def test_a_state_dumped_before_any_mail_goes_on_with_the_first() -> None:
    before, after = Guard(DEFAULT_RULES), Guard(DEFAULT_RULES)
    before.stop("campaign", ("autumn",))
    assert load(after, dump(before))
    events = campaign(0.2, 200, seed=11)
    assert decided(events, guard=after) == decided(events, guard=before)


def test_a_state_that_was_dumped_goes_on_as_if_nothing_had_happened() -> None:
    events = campaign(0.04, 400, seed=9) + campaign(0.2, 200, seed=10, start=400, sender="bo@out.example")
    whole = decided(events)
    for cut in (1, 300, 700, 850):
        first, second = Guard(DEFAULT_RULES), Guard(DEFAULT_RULES)
        before = decided(events[:cut], guard=first)

        assert load(second, dump(first))

        after = decided(events[cut:], guard=second)

        assert [*before, *(one._replace(place=one.place + cut) for one in after)] == whole


def test_a_state_of_another_version_is_not_taken_over() -> None:
    arrays = dump(Guard(DEFAULT_RULES))
    texts = msgspec.json.decode(arrays["texts"].tobytes())
    arrays["texts"] = np.frombuffer(msgspec.json.encode(texts | {"version": 3}), np.uint8)

    assert not load(Guard(DEFAULT_RULES), arrays)


def test_a_thousand_campaigns_times_fifty_domains_stay_small() -> None:
    """Each campaign has a sender of its own, so that there are 50,000 pairs of sender and domain; all rules are on."""
    guard = guard_of(GuardSettings())
    events = [
        message(
            n,
            "bounced" if n % 7 == 0 else "complained" if n % 97 == 0 else "delivered",
            campaign_id=f"c{n % 1000}",
            sender=f"s{n % 1000}@out.example",
            recipient=f"p{n}@d{n // 1000}.example",
        )
        for n in range(50_000)
    ]
    for start in range(0, len(events), 10_000):
        guard.take(columns([event for one in events[start : start + 10_000] for event in one]))

    assert len(guard.counter.scopes) > 50_000
    assert guard.nbytes < 200 * 2**20


@pytest.mark.parametrize("rate", [0.03, 0.04])
def test_a_scope_below_its_tolerance_is_seldom_paused(rate: float) -> None:
    paused = sum(bool(pauses(decided(campaign(rate, 1000, seed=seed)))) for seed in range(6))

    assert paused == 0
