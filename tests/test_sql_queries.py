"""The worked queries of docs/sql.md on the demo's world, beside a recount of what truly happened there."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pytest

from data.world import World
from schemas.analyses import ANALYSES
from schemas.derive import columns
from schemas.pages import SQL_PAGE, TABLES_PAGE, sql_page, tables_page, worked_queries
from sinks.attach import connect, extension_path
from tests.lakes import land, works
from tests.oracle import DELIVERED, SENT, deliveries, human, sent_time, smallest

QUERIES: Final = {query.name.partition("-")[0]: query for query in worked_queries()}
MET: Final = {"meeting_booked", "meeting_confirmed", "meeting_cancelled", "meeting_held", "meeting_no_show"}
Row = dict[str, Any]


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Told:
    """One delivery of the world, folded in plain Python; all replies count as answers, since none are classified."""

    facts: list[dict[str, Any]]

    def __getattr__(self, name: str) -> Any:
        return smallest(self.facts, name)

    @property
    def kinds(self) -> set[str]:
        return {fact["kind"] for fact in self.facts}

    @property
    def sent_at(self) -> datetime:
        return when(sent_time(self.facts))

    @property
    def day(self) -> date:
        return self.sent_at.astimezone(UTC).date()

    @property
    def sent(self) -> bool:
        return bool(self.kinds & SENT)

    @property
    def delivered(self) -> bool:
        return bool(self.kinds & DELIVERED)

    @property
    def opened(self) -> bool:
        return any(human(fact, "opened") for fact in self.facts)

    @property
    def replied(self) -> bool:
        return "replied" in self.kinds

    @property
    def touched(self) -> bool:
        return self.sent or bool(self.kinds & {"called", "connected"})

    @property
    def stage(self) -> int:
        """0 nothing .. 6 opportunity."""
        if "opportunity_created" in self.kinds:
            return 6
        if self.kinds & MET:
            return 5
        if self.replied:
            return 4
        if self.opened or any(human(f, "clicked") for f in self.facts) or "connected" in self.kinds:
            return 3
        if self.delivered or "called" in self.kinds:
            return 2
        return 1 if self.sent else 0

    def bounced(self, bounce_class: str | None = None) -> bool:
        return any(f["kind"] == "bounced" and bounce_class in {None, f.get("bounce_class")} for f in self.facts)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return [msgspec.to_builtins(fact) for fact in World(3, 16, scale=0.12).events()]


@pytest.fixture(scope="module")
def told(events: list[dict[str, Any]]) -> list[Told]:
    return [Told(facts) for facts in deliveries(events).values()]


@pytest.fixture(scope="module")
def lake_home(events: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("queries") / "home"
    land(home, works(events, [4000]))
    return home


@pytest.fixture(scope="module")
def lake(lake_home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connect(lake_home, read_only=True)
    yield connection
    connection.close()


@pytest.fixture
def answer(lake: duckdb.DuckDBPyConnection) -> Callable[[str], list[Row]]:
    def ask(number: str) -> list[Row]:
        found: list[Row] = lake.execute(QUERIES[number].sql).to_arrow_table().to_pylist()
        return found

    return ask


def rate(hits: float, trials: float, digits: int = 4) -> float | None:
    return round(hits / trials, digits) if trials else None


def grouped(told: list[Told], *names: str, channel: str | None = None) -> dict[tuple[Any, ...], list[Told]]:
    found: dict[tuple[Any, ...], list[Told]] = defaultdict(list)
    for one in told:
        if channel is None or one.channel == channel:
            found[tuple(getattr(one, name) for name in names)].append(one)
    return found


def count(group: list[Told], what: Callable[[Told], Any]) -> int:
    return sum(bool(what(one)) for one in group)


def test_there_are_25_queries_and_each_has_its_words() -> None:
    assert list(QUERIES) == [f"{number:02}" for number in range(1, 26)]
    assert all(query.question.endswith("?") and query.read.endswith(".") for query in QUERIES.values())


@pytest.mark.parametrize("number", list(QUERIES))
def test_every_query_finds_something(number: str, answer: Callable[[str], list[Row]]) -> None:
    assert number == "10" or answer(number)


def test_the_pages_are_as_the_schemas_and_queries_make_them() -> None:
    assert SQL_PAGE.read_text() == sql_page(SQL_PAGE.read_text()), "run make generate"
    assert TABLES_PAGE.read_text() == tables_page(TABLES_PAGE.read_text()), "run make generate"


@pytest.mark.parametrize("name", [name for name, found in ANALYSES.items() if found.struct])
def test_views_and_macros_have_the_columns_that_are_told(name: str, lake: duckdb.DuckDBPyConnection) -> None:
    found = ANALYSES[name]
    assert found.struct is not None
    described = lake.execute(f"DESCRIBE FROM {name}{'()' if found.is_macro else ''}").fetchall()

    named = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    assert [(row[0], named.get(row[1], row[1])) for row in described] == [
        (column.name, column.sql_type) for column in columns(found.struct)
    ]


def test_macros_work_wherever_the_lake_is_attached(lake: duckdb.DuckDBPyConnection) -> None:
    cursor = lake.cursor()
    cursor.execute("USE memory")
    for name, found in ANALYSES.items():
        if found.struct:
            cursor.execute(f"FROM lake.{name}{'()' if found.is_macro else ''} LIMIT 1").fetchall()
    cursor.close()


def test_ones_own_duckdb_attaches_the_lake_as_the_page_says(lake_home: Path) -> None:
    (script,) = (
        block for block in re.findall(r"```sql\n(.*?)```", SQL_PAGE.read_text(), re.DOTALL) if "ATTACH" in block
    )
    script = re.sub(r"INSTALL \w+;", "", script.replace("/srv/outpulse/.outpulse", str(lake_home)))
    for name, wheel in (("ducklake", "ducklake"), ("sqlite", "sqlite_scanner")):
        script = script.replace(f"LOAD {name};", f"LOAD '{extension_path(wheel)}';")

    with duckdb.connect() as connection:
        assert connection.execute(script).fetchall()


def test_campaigns_are_counted_as_they_were(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    wanted = {
        campaign: (
            count(group, lambda d: d.sent),
            rate(count(group, lambda d: d.delivered), count(group, lambda d: d.sent)),
            rate(count(group, lambda d: d.opened), count(group, lambda d: d.delivered)),
            rate(count(group, lambda d: d.replied), count(group, lambda d: d.delivered)),
        )
        for (campaign,), group in grouped(told, "campaign_id", channel="email").items()
    }

    assert {row["campaign_id"]: tuple(row.values())[1:] for row in answer("01")} == wanted


def test_weeks_are_compared_as_they_were(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    newest = max(one.day for one in told)

    def of(group: list[Told], first: int, last: int) -> float | None:
        mine = [d for d in group if newest - timedelta(first) < d.day <= newest - timedelta(last)]
        return rate(count(mine, lambda d: d.replied), count(mine, lambda d: d.delivered))

    wanted = {
        campaign: (of(group, 7, 0), of(group, 14, 7)) for (campaign,), group in grouped(told, "campaign_id").items()
    }
    assert {row["campaign_id"]: (row["last_week"], row["week_before"]) for row in answer("02")} == wanted


def test_the_funnel_holds_whom_each_stage_reached(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    for number, name, names in (
        ("03", "campaign_id", ("aware", "interested", "engaged", "met", "opportunities")),
        ("04", "channel", ("engaged", "met", "opportunities")),
    ):
        stages = {"aware": 2, "interested": 3, "engaged": 4, "met": 5, "opportunities": 6}
        wanted = {
            key: tuple(sum(d.stage >= stages[stage] for d in group) for stage in names)
            for (key,), group in grouped(told, name).items()
        }
        found = answer(number)
        assert {row[name]: tuple(row[stage] for stage in names) for row in found} == wanted
        if number == "03":
            assert all(row["aware"] >= row["interested"] >= row["engaged"] >= row["met"] for row in found)
            assert sum(row["opportunities"] for row in found) > 0


def test_steps_and_variants_are_counted_as_they_were(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    wanted = {
        key: (
            count(g, lambda d: d.delivered),
            count(g, lambda d: d.replied),
            count(g, lambda d: "unsubscribed" in d.kinds),
        )
        for key, g in grouped(told, "campaign_id", "sequence_step").items()
    }
    assert {
        (r["campaign_id"], r["sequence_step"]): (r["delivered"], r["responses"], r["unsubscribes"])
        for r in answer("05")
    } == wanted

    wanted_variants = {
        key: (count(g, lambda d: d.delivered), count(g, lambda d: d.opened))
        for key, g in grouped(told, "campaign_id", "variant", channel="email").items()
    }
    found = answer("06")
    assert {(r["campaign_id"], r["variant"]): (r["delivered"], r["opened"]) for r in found} == wanted_variants
    assert all(r["at_least"] <= r["open_rate"] <= r["at_most"] for r in found if r["delivered"])


def test_answers_come_as_fast_as_they_came(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    mail = [one for one in told if one.channel == "email"]
    lags = [
        (min(when(f["occurred_at"]) for f in d.facts if f["kind"] == "replied") - d.sent_at).total_seconds() / 86400
        for d in mail
        if d.replied
    ]

    found = answer("07")

    assert [r["responses"] for r in found] == [sum(lag <= day for lag in lags) for day in range(1, 11)]
    assert found[0]["response_rate"] == rate(found[0]["responses"], count(mail, lambda d: d.delivered), 5)


def test_weekly_cohorts_are_of_the_week_of_sending(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    weeks: dict[date, list[Told]] = defaultdict(list)
    for one in told:
        if one.sent:
            weeks[one.day - timedelta(one.day.weekday())].append(one)

    assert {r["sent_week"]: (r["sent"], r["delivered"], r["responses"], r["meetings"]) for r in answer("08")} == {
        week: (
            len(g),
            count(g, lambda d: d.delivered),
            count(g, lambda d: d.replied),
            count(g, lambda d: "meeting_booked" in d.kinds),
        )
        for week, g in weeks.items()
    }


def test_segments_are_counted_as_they_were(answer: Callable[[str], list[Row]], told: list[Told]) -> None:
    groups = grouped([d for d in told if d.sent], "persona", "account_tier", channel="email")

    found = answer("09")

    assert {(r["persona"], r["account_tier"]): (r["messages_delivered"], r["responses_received"]) for r in found} == {
        key: (count(g, lambda d: d.delivered), count(g, lambda d: d.replied)) for key, g in groups.items()
    }
    assert all(r["response_low"] <= r["response_rate"] <= r["response_high"] for r in found if r["response_rate"])


def test_hours_of_sending_are_of_the_zone_that_is_asked_for(
    answer: Callable[[str], list[Row]], lake: duckdb.DuckDBPyConnection, told: list[Told]
) -> None:
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        wanted: Counter[tuple[int, int]] = Counter()
        for one in told:
            if one.channel == "email" and one.sent:
                local = one.sent_at.astimezone(ZoneInfo(zone))
                wanted[local.isoweekday(), local.hour] += 1
        query = f"SELECT weekday, hour, messages_sent FROM send_times(zone := '{zone}') WHERE channel = 'email'"
        assert {(day, hour): sent for day, hour, sent in lake.execute(query).fetchall()} == dict(wanted)
    assert {row["part"] for row in answer("12")} <= {"night", "morning", "afternoon", "evening"}


def test_hours_of_activity_leave_machines_out(answer: Callable[[str], list[Row]], events: list[dict[str, Any]]) -> None:
    wanted: Counter[tuple[str, int]] = Counter()
    for event in events:
        at = when(event["occurred_at"]).astimezone(UTC)
        if event["channel"] == "email" and at.isoweekday() <= 5 and event.get("is_machine") is not True:
            wanted[event["kind"], at.hour] += 1

    for row in answer("13"):
        hour = row["hour"]
        assert (row["opens"], row["clicks"], row["replies"]) == tuple(
            wanted[kind, hour] for kind in ("opened", "clicked", "replied")
        )


def credit(
    told: list[Told], outcome: str, half_life: float
) -> tuple[dict[tuple[Any, ...], list[float]], list[list[Any]]]:
    """(channel, campaign, step) -> first, last, linear, time decay; and the touches of every outcome."""
    people: dict[Any, list[Told]] = defaultdict(list)
    for one in told:
        if one.touched:
            people[one.contact_id].append(one)
    found: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0] * 4)
    paths = []
    for one in told:
        times = [when(f["occurred_at"]) for f in one.facts if f["kind"] == outcome]
        if not times:
            continue
        before = sorted((d for d in people[one.contact_id] if d.sent_at <= min(times)), key=lambda d: d.sent_at)
        ages = [(before[-1].sent_at - d.sent_at).total_seconds() / 86400 for d in before]
        weights = [0.5 ** (age / half_life) for age in ages]
        for place, touch in enumerate(before):
            row = found[touch.channel, touch.campaign_id, touch.sequence_step]
            row[0] += place == 0
            row[1] += place == len(before) - 1
            row[2] += 1 / len(before)
            row[3] += weights[place] / sum(weights)
        paths.append([len(before), (min(times) - before[0].sent_at).total_seconds() / 86400])
    return found, paths


@pytest.mark.parametrize(
    ("relation", "outcome", "half_life"),
    [
        ("meeting_attribution", "meeting_booked", 7),
        ("opportunity_attribution", "opportunity_created", 7),
        ("attribution(half_life_days := 2)", "meeting_booked", 2),
        ("attribution(outcome := 'replied', half_life_days := 0.5)", "replied", 0.5),
    ],
)
def test_outcomes_are_shared_out_among_touches_of_all_channels(
    relation: str, outcome: str, half_life: float, lake: duckdb.DuckDBPyConnection, told: list[Told]
) -> None:
    wanted, paths = credit(told, outcome, half_life)

    rows = lake.execute(
        f"SELECT (channel, campaign_id, sequence_step), first_touch, last_touch, linear, time_decay FROM {relation}"
    ).fetchall()

    assert len(paths) > 5
    assert {row[0] for row in rows} == set(wanted)
    for key, *credits_ in rows:
        assert credits_ == pytest.approx(wanted[key], abs=1e-9)
    assert [sum(row[model] for row in rows) for model in (1, 2, 3, 4)] == pytest.approx([len(paths)] * 4)
    assert len({row[0][0] for row in rows}) > (outcome != "opportunity_created")


def test_touches_before_a_meeting_are_as_many_as_there_were(
    answer: Callable[[str], list[Row]], told: list[Told]
) -> None:
    _, paths = credit(told, "meeting_booked", 7)
    by_touches: dict[int, list[float]] = defaultdict(list)
    for touches, days in paths:
        by_touches[touches].append(days)

    found = answer("17")
    assert {r["touches"]: r["meetings"] for r in found} == {touches: len(days) for touches, days in by_touches.items()}
    assert [r["days"] for r in found] == pytest.approx([median(by_touches[r["touches"]]) for r in found], abs=0.051)


def test_bounces_senders_and_complaints_are_counted_as_they_were(
    answer: Callable[[str], list[Row]], told: list[Told]
) -> None:
    campaigns = grouped(told, "campaign_id", channel="email")
    assert {r["campaign_id"]: (r["sent"], r["hard"]) for r in answer("18")} == {
        key: (count(g, lambda d: d.sent), count(g, lambda d: d.bounced("hard"))) for (key,), g in campaigns.items()
    }
    assert {r["sender"]: (r["sent"], r["bounces"], r["complaints"]) for r in answer("19")} == {
        key: (count(g, lambda d: d.sent), count(g, lambda d: d.bounced()), count(g, lambda d: "complained" in d.kinds))
        for (key,), g in grouped(told, "sender", channel="email").items()
    }
    assert {r["campaign_id"]: (r["complaints"], r["unsubscribes"]) for r in answer("21")} == {
        key: (count(g, lambda d: "complained" in d.kinds), count(g, lambda d: "unsubscribed" in d.kinds))
        for (key,), g in campaigns.items()
    }


def test_volume_and_one_contact_are_the_events_that_happened(
    answer: Callable[[str], list[Row]], events: list[dict[str, Any]]
) -> None:
    wanted = Counter((when(e["occurred_at"]).astimezone(UTC).date(), e["kind"]) for e in events)
    assert {(r["day"], r["kind"]): r["happened"] for r in answer("23")} == dict(wanted)

    who = min(e["contact_id"] for e in events if e["kind"] == "complained")
    assert [(r["occurred_at"], r["kind"]) for r in answer("24")] == sorted(
        (when(e["occurred_at"]), e["kind"]) for e in events if e.get("contact_id") == who
    )


def test_wilsons_interval_is_as_in_the_books(lake: duckdb.DuckDBPyConnection) -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    books = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, trials), (low, high) in books.items():
        found = lake.execute(
            f"SELECT wilson_low({hits}, {trials}, z := 1.959964), wilson_high({hits}, {trials}, z := 1.959964)"
        )
        assert found.fetchone() == pytest.approx((low, high), abs=6e-5)
    assert lake.execute("SELECT wilson_low(0, 0), wilson_high(0, 0)").fetchone() == (None, None)


def test_persons_without_contact_id_are_known_by_their_address_and_outcomes_without_touch_stay(home: Path) -> None:
    def event(number: int, kind: str, hour: int, **more: Any) -> dict[str, Any]:
        return {
            "event_id": f"e{number}",
            "kind": kind,
            "occurred_at": f"2026-01-05T{hour:02}:00:00Z",
            "provider": "p",
            **more,
        }

    ada = {"recipient": "Ada@firm.example", "channel": "email"}
    land(
        home,
        works(
            [
                event(1, "sent", 8, delivery_id="d1", campaign_id="a", **ada),
                event(2, "sent", 9, delivery_id="d2", campaign_id="b", **ada | {"recipient": "ada@firm.example"}),
                event(3, "meeting_booked", 10, delivery_id="d2"),
                event(4, "sent", 11, delivery_id="d3", campaign_id="c", **ada),
                event(5, "meeting_booked", 10, contact_id="nobody-wrote-to"),
                event(6, "queued", 9, delivery_id="d4", campaign_id="d", **ada),
            ],
            [10],
        ),
    )
    connection = connect(home, read_only=True)
    rows = connection.execute(
        "SELECT person, campaign_id, position, touches, linear FROM credited_touches() ORDER BY person, position"
    ).fetchall()
    connection.close()

    assert rows == [
        ("ada@firm.example", "a", 1, 2, 0.5),
        ("ada@firm.example", "b", 2, 2, 0.5),
        ("nobody-wrote-to", None, 1, 0, 1.0),
    ]
