import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest

from data.arrivals import arrival_ms, arrival_order
from data.campaigns import CAMPAIGNS, STORM_CAMPAIGN, STORM_SENDER, experiments
from data.clock import DAY_MS, HOUR_MS, MINUTE_MS, local_midnight_ms, local_weekday, offset_ms
from data.facts import Told
from data.reply_texts import AUTOMATIC_SUBJECTS, CLOSINGS, INTENT_WEIGHTS, OPENINGS, TEXTS, WEEKDAYS
from data.sendgrid import CUSTOM_ARGS
from data.traffic import plan
from data.truth import METRICS, truth
from data.world import DEFAULT_END_MS, World, write_ndjson
from schemas.decode import decode_record
from schemas.events import BounceClass, Event, Kind
from schemas.instants import parse_ms

SCALE = 0.05
"""Some 5,000 events: a second to make, enough for shares to be judged."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=11, days=7, scale=SCALE)


@pytest.fixture(scope="module")
def told(world: World) -> list[Told]:
    return list(world.events())


def _bytes(world: World) -> bytes:
    return msgspec.json.Encoder().encode_lines(list(world.events()))


def _counted(world: World) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for row in truth(world):
        rows[row["campaign_id"]][row["metric"]] = row["world"]
    return rows


# The world


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, other = World(5, 3, scale=0.02), World(5, 3, scale=0.02)

    assert _bytes(one) == _bytes(other)
    assert truth(one) == truth(other)
    assert list(plan(one)) == list(plan(other))


def test_telling_a_world_twice_tells_the_same(world: World, told: list[Told]) -> None:
    assert list(world.events()) == told


def test_another_seed_gives_another_world() -> None:
    assert _bytes(World(5, 3, scale=0.02)) != _bytes(World(6, 3, scale=0.02))


def test_an_end_may_be_a_datetime_or_milliseconds() -> None:
    moment = datetime(2026, 1, 30, 18, tzinfo=UTC)

    assert _bytes(World(5, 2, moment, 0.01)) == _bytes(World(5, 2, DEFAULT_END_MS, 0.01))


@pytest.mark.parametrize(("seed", "days", "scale"), [(-1, 7, 1.0), (1, 0, 1.0), (1, 7, 0.0)])
def test_a_world_of_impossible_size_is_refused(seed: int, days: float, scale: float) -> None:
    with pytest.raises(ValueError, match="valid are"):
        World(seed, days, scale=scale)


def test_the_default_size_is_what_a_demo_digests(world: World) -> None:
    assert 60_000 < world.event_count / SCALE < 130_000


def test_scale_multiplies_the_people(world: World) -> None:
    assert len(World(11, 1, scale=2 * SCALE).contacts) == 2 * len(world.contacts)


def test_every_fact_lies_within_the_world_and_is_received_after_it_occurred(world: World, told: list[Told]) -> None:
    for event in told:
        assert world.start_ms <= parse_ms(event.occurred_at) <= parse_ms(str(event.received_at)) <= world.end_ms


def test_events_arrive_in_order_of_reception_and_out_of_order_of_occurrence(told: list[Told]) -> None:
    received = [str(event.received_at) for event in told]
    occurred = [event.occurred_at for event in told]

    assert received == sorted(received)
    assert occurred != sorted(occurred)


def test_what_sendgrid_tells_lies_on_whole_seconds(told: list[Told]) -> None:
    fractions = {event.occurred_at[19:] for event in told if event.provider == "sendgrid"}

    assert fractions == {".000Z"}


def test_each_fact_is_told_once(told: list[Told]) -> None:
    identities = {(one.provider, one.event_id, one.kind, one.recipient, one.occurred_at[:10]) for one in told}

    assert len(identities) == len(told)


def test_every_event_is_a_usable_canonical_event(told: list[Told]) -> None:
    for event in told:
        decoded, reply = decode_record(msgspec.json.encode(event))

        assert decoded == msgspec.convert(msgspec.to_builtins(event), Event)
        assert (reply is None) == (event.kind is not Kind.REPLIED)


def test_all_kinds_and_dimensions_of_the_product_occur(told: list[Told]) -> None:
    kinds = {event.kind for event in told}
    missing = set(Kind) - kinds

    assert missing <= {Kind.MEETING_NO_SHOW, Kind.MEETING_CANCELLED, Kind.OPPORTUNITY_CREATED, Kind.COMPLAINED}
    assert all(getattr(event, name) for event in told for name in (*CUSTOM_ARGS, "recipient", "channel", "provider"))
    assert Counter(event.channel for event in told).most_common(1)[0][0] == "email"
    assert {"linkedin_connect", "linkedin_message", "phone"} < {str(event.channel) for event in told}


def test_all_addresses_and_links_are_reserved_names(world: World, told: list[Told]) -> None:
    text = _bytes(world).decode()
    hosts = re.findall(r"[\w.+-]+@([\w.-]+\w)", text) + re.findall(r"https?://([^/\"\s>]+)", text)

    assert {host.rpartition(".")[2] for host in hosts} == {"example"}
    assert {"gmail.example", "outlook.example", "yahoo.example"} < {str(one.recipient).split("@")[1] for one in told}


def test_people_live_in_real_time_zones_and_have_their_own_addresses(world: World) -> None:
    everybody = world.everybody()

    assert len({contact.timezone for contact in everybody}) >= 12
    assert all(abs(offset_ms(contact.timezone, world.end_ms)) <= 14 * HOUR_MS for contact in everybody)
    assert len({contact.address for contact in world.contacts}) == len(world.contacts)


def test_mail_is_sent_in_the_local_day_and_seldom_at_weekends(world: World) -> None:
    weekend, sends = 0, 0
    for made in world.deliveries:
        for fact in made.facts:
            if fact.kind is Kind.QUEUED and "list" not in made.contact.contact_id:
                hour = (fact.at_ms - local_midnight_ms(made.contact.timezone, fact.at_ms)) / HOUR_MS
                assert 6 <= hour < 20
                weekend += local_weekday(made.contact.timezone, fact.at_ms) >= 5
                sends += 1

    assert weekend / sends < 0.15


# Truth


RECOUNT = """
WITH facts AS (
    SELECT * FROM read_json($path, format = 'newline_delimited', sample_size = -1)
    QUALIFY row_number() OVER (PARTITION BY provider, event_id, kind, recipient, occurred_at::DATE) = 1
), per_delivery AS (
    SELECT campaign_id, delivery_id,
        bool_or(kind IN ('sent','deferred','delivered','opened','clicked','replied','bounced','complained',
                         'unsubscribed')) AS sent,
        bool_or(kind IN ('delivered','opened','clicked','replied','complained','unsubscribed')) AS delivered,
        bool_or(kind = 'opened' AND is_machine IS NOT TRUE) AS opened,
        bool_or(kind = 'clicked' AND is_machine IS NOT TRUE) AS clicked,
        bool_or(kind = 'bounced' AND bounce_class = 'hard') AS bounced_hard,
        bool_or(kind = 'bounced' AND bounce_class = 'soft') AS bounced_soft,
        bool_or(kind = 'bounced' AND bounce_class = 'block') AS bounced_block,
        bool_or(kind = 'complained') AS complained,
        bool_or(kind = 'unsubscribed') AS unsubscribed,
        bool_or(kind = 'replied') AS replied
    FROM facts GROUP BY ALL
)
SELECT campaign_id, metric, sum(value::INT)::INT AS world
FROM (UNPIVOT per_delivery ON COLUMNS(* EXCLUDE (campaign_id, delivery_id)) INTO NAME metric VALUE value)
GROUP BY ALL
"""


def test_truth_agrees_with_a_recount_of_the_written_copies_by_sql(world: World, tmp_path: Path) -> None:
    lines = write_ndjson(world, tmp_path / "e.ndjson", duplicate_share=0.05, disorder_lines=200)

    recount = duckdb.execute(RECOUNT, {"path": str(tmp_path / "e.ndjson")}).fetchall()

    assert lines > world.event_count
    assert sorted(recount) == sorted((row["campaign_id"], row["metric"], row["world"]) for row in truth(world))


def test_truth_names_every_metric_of_every_campaign(world: World) -> None:
    expected = {(campaign.campaign_id, metric) for campaign in CAMPAIGNS for metric in METRICS}

    assert {(row["campaign_id"], row["metric"]) for row in truth(world)} == expected


def test_no_figure_is_larger_than_the_one_that_contains_it(world: World) -> None:
    for row in _counted(world).values():
        assert row["clicked"] <= row["delivered"] <= row["sent"]
        assert row["opened"] <= row["delivered"]
        assert row["replied"] <= row["delivered"]


def test_written_lines_are_each_there_once_and_the_copies_follow_far_behind(world: World, tmp_path: Path) -> None:
    write_ndjson(world, tmp_path / "plain.ndjson")
    write_ndjson(world, tmp_path / "copies.ndjson", duplicate_share=0.1)
    plain = (tmp_path / "plain.ndjson").read_bytes().splitlines()
    copies = (tmp_path / "copies.ndjson").read_bytes().splitlines()

    assert len(copies) == pytest.approx(1.1 * len(plain), rel=0.02)
    assert list(dict.fromkeys(copies)) == plain


def test_disorder_moves_no_line_by_more_than_it_says() -> None:
    order = arrival_order(1000, 0.0, 30, np.random.default_rng(1))

    assert sorted(order) == list(range(1000))
    assert 5 < max(abs(place - row) for place, row in enumerate(order)) <= 30


# Proportions


def test_most_events_are_seconds_late_some_hours_and_a_few_days() -> None:
    occurred = np.zeros(200_000, np.int64)
    late = arrival_ms(occurred, 10 * DAY_MS, np.random.default_rng(3))

    assert np.median(late) < 15_000
    assert 0.02 < np.mean(late > 20 * MINUTE_MS) < 0.045
    assert 0.001 < np.mean(late > DAY_MS) < 0.004
    assert late.max() < 3 * DAY_MS + 1


def test_what_would_come_after_the_end_comes_at_the_end() -> None:
    late = arrival_ms(np.array([0, 999]), 1000, np.random.default_rng(3))

    assert late.tolist() == [1000, 1000]


def test_machines_open_about_as_often_as_persons_and_within_seconds(world: World) -> None:
    machine, human, waits = 0, 0, []
    for made in world.deliveries:
        delivered = [fact.at_ms for fact in made.facts if fact.kind is Kind.DELIVERED]
        for fact in made.facts:
            if fact.kind in {Kind.OPENED, Kind.CLICKED} and fact.is_machine:
                machine += fact.kind is Kind.OPENED
                waits.append(fact.at_ms - delivered[0])
            human += fact.kind is Kind.OPENED and not fact.is_machine

    assert 0.35 < machine / (machine + human) < 0.65
    assert max(waits) <= 20_000


def test_apple_and_scanners_both_show_and_only_apple_carries_the_flag(told: list[Told]) -> None:
    machines = [event for event in told if event.kind is Kind.OPENED and event.is_machine]
    apple = [one for one in machines if (one.attributes or {})["useragent"] == "Mozilla/5.0"]
    scanners = [one for one in machines if one not in apple]

    assert {(one.attributes or {})["sg_machine_open"] for one in apple} == {"true"}
    assert scanners
    assert not any("sg_machine_open" in (one.attributes or {}) for one in scanners)


def test_healthy_campaigns_bounce_below_the_mark_of_two_per_cent() -> None:
    counted = _counted(World(2, 7, scale=0.2))
    for campaign_id, row in counted.items():
        if campaign_id != STORM_CAMPAIGN.campaign_id:
            assert (row["bounced_hard"] + row["bounced_soft"] + row["bounced_block"]) / row["sent"] < 0.025


def test_a_storm_of_hard_bounces_and_blocks_strikes_one_campaign_and_sender_late(world: World) -> None:
    struck: Counter[tuple[str, str]] = Counter()
    storm_ms = [
        fact.at_ms
        for made in world.deliveries
        if "list" in made.delivery_id
        for fact in made.facts
        if fact.bounce_class
    ]
    for made in world.deliveries:
        struck[made.campaign.campaign_id, made.sender.address] += any(
            fact.bounce_class in {BounceClass.HARD, BounceClass.BLOCK} and fact.at_ms > world.end_ms - DAY_MS
            for fact in made.facts
        )
    (worst, most), (_, second) = struck.most_common(2)

    assert worst == (STORM_CAMPAIGN.campaign_id, STORM_SENDER.address)
    assert most > 20
    assert most > 5 * second
    assert min(storm_ms) > world.start_ms + 0.8 * (world.end_ms - world.start_ms)
    assert np.quantile(storm_ms, 0.9) - min(storm_ms) < 3 * HOUR_MS


def test_soft_bounces_are_often_delivered_later(world: World) -> None:
    later = [
        any(fact.kind is Kind.DELIVERED for fact in made.facts)
        for made in World(4, 7, scale=0.2).deliveries
        if any(fact.bounce_class is BounceClass.SOFT for fact in made.facts)
    ]

    assert 0.2 < sum(later) / len(later) < 0.9
    assert len(later) > 10
    assert world.event_count > 0


def test_nobody_is_written_to_after_a_hard_bounce_or_an_answer(world: World) -> None:
    steps: dict[str, list[Any]] = defaultdict(list)
    for made in world.deliveries:
        steps[made.contact.contact_id].append(made)
    for own in steps.values():
        for earlier, later in pairwise(own):
            sent_ms = min(fact.at_ms for fact in later.facts)
            for fact in earlier.facts:
                ends = fact.bounce_class is BounceClass.HARD or fact.kind in {Kind.COMPLAINED, Kind.UNSUBSCRIBED}
                answered = fact.words is not None and fact.words.intent != "out_of_office"
                assert not ((ends or answered) and fact.at_ms < sent_ms)


def test_a_better_variant_is_seen_in_the_opens_and_an_equal_one_is_not() -> None:
    opened: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for made in World(9, 7, scale=0.4).deliveries:
        if made.channel == "email" and any(fact.kind is Kind.DELIVERED for fact in made.facts):
            is_open = any(fact.kind is Kind.OPENED and not fact.is_machine for fact in made.facts)
            opened[made.campaign.campaign_id, made.variant.name].append(is_open)
    rate = {key: sum(opens) / len(opens) for key, opens in opened.items()}

    assert rate["cmp-faster-ledger-close", "B"] > 1.2 * rate["cmp-faster-ledger-close", "A"]
    assert rate["cmp-platform-reliability-preview", "B"] == pytest.approx(
        rate["cmp-platform-reliability-preview", "A"], rel=0.25
    )
    assert {campaign.has_lift for campaign in CAMPAIGNS} == {True, False}


def test_an_experiment_names_the_variants_of_its_campaign() -> None:
    for experiment, campaign in zip(experiments(), CAMPAIGNS, strict=True):
        assert experiment["campaign_id"] == campaign.campaign_id
        assert experiment["variants"] == [variant.name for variant in campaign.variants]
        assert sum(experiment["allocation"].values()) == pytest.approx(1.0)


# Replies and meetings


def test_there_are_many_different_replies_in_several_languages() -> None:
    texts = [text for known in TEXTS.values() for text in known]
    languages = {language for language, _ in texts}

    assert len(set(texts)) == len(texts) >= 80
    assert languages == set(OPENINGS) == set(CLOSINGS) == set(WEEKDAYS) == set(AUTOMATIC_SUBJECTS)
    assert set(TEXTS) == set(INTENT_WEIGHTS) | {"out_of_office"}
    assert all(any(language == "en" for language, _ in known) for known in TEXTS.values())


def test_a_reply_has_words_without_gaps_and_finds_its_delivery(told: list[Told]) -> None:
    replies = [event for event in told if event.kind is Kind.REPLIED]
    for reply in replies:
        assert reply.text
        assert not re.search(r"[{}]", reply.text)
        if reply.channel == "email":
            assert (reply.attributes or {})["from"] == reply.recipient
            assert (reply.attributes or {})["in_reply_to"] == (reply.headers or {})["in-reply-to"]
            assert reply.subject
    assert len({reply.text for reply in replies}) > 0.85 * len(replies)


def test_machines_answer_within_minutes_and_say_so_in_a_header(told: list[Told]) -> None:
    automatic = [one for one in told if one.kind is Kind.REPLIED and "auto-submitted" in (one.headers or {})]

    assert automatic
    assert all(str(reply.subject).startswith(tuple(AUTOMATIC_SUBJECTS.values())) for reply in automatic)


def test_a_meeting_follows_its_booking_and_keeps_the_delivery(world: World) -> None:
    meetings = 0
    for made in world.deliveries:
        held = [fact for fact in made.facts if fact.kind is Kind.MEETING_BOOKED]
        later = [
            fact for fact in made.facts if fact.kind.startswith("meeting_") and fact.kind is not Kind.MEETING_BOOKED
        ]
        meetings += len(held)
        assert not later or held
        for fact in later:
            assert fact.at_ms > held[0].at_ms
            assert (fact.attributes or {})["meeting_id"] == (held[0].attributes or {})["meeting_id"]

    assert meetings > 0
