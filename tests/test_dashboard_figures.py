"""What the pages show equals the SQL that they show with it, over the tables that analysts read."""

import re
import threading
from pathlib import Path

import pytest

from dashboards import attention, campaign, deliverability, inbox, queries, state, times
from dashboards.deliverability import Tolerated
from dashboards.filters import Filters, Range
from dashboards.funnel import STAGES, funnel_rows
from dashboards.inbox import Show, Wanted
from dashboards.kept import Kept
from dashboards.listing import Column, csv_bytes, listing_html
from dashboards.reader import LakeReader
from dashboards.saved import OWN, Described, described, saved_queries
from outpulse.settings import GuardSettings
from sinks.store import STORED_TABLES
from tests.dashboard_lakes import asked, furnish, land_world, values

ALL = Filters(Range.ALL, channel="email")
CHOSEN = [
    pytest.param(ALL, id="all mail"),
    pytest.param(Filters(Range.DAY), id="a day"),
    pytest.param(Filters(Range.WEEK, ("cmp-faster-ledger-close",)), id="a campaign"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LakeReader:
    return LakeReader(furnish(land_world(tmp_path_factory.mktemp("world") / "home")))


@pytest.mark.parametrize("chosen", CHOSEN)
def test_the_overviews_figures_equal_the_sql_that_it_shows(reader: LakeReader, chosen: Filters) -> None:
    with reader.reading() as reading:
        page = queries.load(reading, chosen)

    assert asked(reader, page.sql["totals"]) == page.totals.to_pylist()
    assert asked(reader, page.sql["by_send_day"]) == page.by_send_day.to_pylist()
    names = ("bucket", "kind", "is_machine", "events")
    assert values(asked(reader, page.sql["over_time"]), *names) == values(page.over_time.to_pylist(), *names)


@pytest.mark.parametrize("chosen", CHOSEN)
def test_senders_and_domains_equal_the_metrics_that_analysts_read(reader: LakeReader, chosen: Filters) -> None:
    with reader.reading() as reading:
        found = deliverability.load(reading, chosen, Tolerated.of(GuardSettings()))

    names = ("sender", "recipient_domain", "delivered", "bounced", "complained")
    expected = [{k: v or 0 if k in names[2:] else v for k, v in row.items()} for row in asked(reader, found.sql)]
    assert values(expected, *names) == values(found.pairs, *names)
    assert found.pairs


def test_pairs_are_judged_by_the_tolerances_of_the_guard() -> None:
    scopes = {
        "sender:new@us.example": {"bounces": 0.08},
        "domain:strict.example": {"bounces": 0.02, "complaints": 0.001},
    }
    tolerated = Tolerated.of(GuardSettings(tolerances={"bounces": 0.06}, scopes=scopes))

    assert tolerated.at("old@us.example", "any.example") == (0.06, 0.003)
    assert tolerated.at("new@us.example", "any.example") == (0.08, 0.003)
    assert tolerated.at("new@us.example", "strict.example") == (0.02, 0.001)
    assert Tolerated.of(GuardSettings()).at(None, None) == (0.05, 0.003)


def test_a_pair_is_over_its_tolerance_when_the_lower_limit_is() -> None:
    def verdict(low: float, share: float) -> str:
        row = {"bounce_low": low, "bounce_share": share, "complaint_low": 0.0, "complaint_share": 0.0}
        return deliverability.verdict(row | {"bounces_tolerated": 0.05, "complaints_tolerated": 0.003})

    assert verdict(0.049, 0.049) == "fine"
    assert verdict(0.05, 0.051) == "watch"
    assert verdict(0.0501, 0.08) == "over"


def test_a_campaigns_figures_and_those_of_all_others_add_up_to_the_total(reader: LakeReader) -> None:
    with reader.reading() as reading:
        found = campaign.load(reading, "cmp-faster-ledger-close", ALL)
        page = queries.load(reading, ALL)

    assert found.now.sent + found.others.sent == sum(page.totals["sent"].to_pylist())


def test_the_funnel_never_widens_and_counts_deliveries(reader: LakeReader) -> None:
    with reader.reading() as reading:
        counts = queries.load(reading, Filters(Range.ALL)).funnel

    stages = [counts[part] for _, part, _ in STAGES]
    assert stages == sorted(stages, reverse=True)
    (deals,) = asked(
        reader,
        """SELECT count(DISTINCT coalesce(linked, delivery)) AS n FROM store.facts LEFT JOIN store.links ON delivery = alias
        WHERE kind = 'opportunity_created'""",
    )
    assert counts["opportunities"] == deals["n"]
    assert [row["messages"] for row in funnel_rows(counts)] == stages


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(Wanted(), id="waiting"),
        pytest.param(Wanted(Show.ALL), id="all"),
        pytest.param(Wanted(Show.ALL, ("question", "referral")), id="two intents"),
        pytest.param(Wanted(Show.ALL, (), "ledger"), id="words"),
        pytest.param(Wanted(Show.UNREAD), id="not read"),
    ],
)
def test_the_inbox_equals_response_intelligence(reader: LakeReader, wanted: Wanted) -> None:
    with reader.reading() as reading:
        found = inbox.load(reading, wanted)

    expected = asked(reader, found.sql)
    names = {"response_timestamp": "occurred_at", "response_text": "text", "priority": "priority",
             "intent_classification": "intent_classification", "review_reasons": "review_reasons"}  # fmt: skip
    assert [[row[name] for name in names] for row in expected] == [
        [row[name] for name in names.values()] for row in found.replies
    ]
    where = found.sql.split("WHERE", 1)[1].split("ORDER BY", 1)[0]
    assert found.found == asked(reader, f"SELECT count(*) AS n FROM response_intelligence WHERE {where}")[0]["n"]


def test_the_second_page_of_the_inbox_goes_on_where_the_first_ends(reader: LakeReader) -> None:
    with reader.reading() as reading:
        first, second = (inbox.load(reading, Wanted(Show.ALL, page=n)).replies for n in (1, 2))

    assert len({row["event_id"] for row in [*first, *second]}) == len(first) + len(second)
    assert first[-1]["priority"] >= second[0]["priority"]


def test_a_page_of_the_inbox_beyond_the_last_is_the_last(reader: LakeReader) -> None:
    with reader.reading() as reading:
        everything = inbox.load(reading, Wanted(Show.ALL))
        last = inbox.load(reading, Wanted(Show.ALL, page=99))
        nothing = inbox.load(reading, Wanted(Show.ALL, words="no such words", page=3))

    assert (last.page, last.found) == (-(-everything.found // inbox.PAGE_ROWS), everything.found)
    assert len(last.replies) == everything.found - inbox.PAGE_ROWS * (last.page - 1)
    assert (nothing.page, nothing.found, nothing.replies) == (1, 0, [])


def test_replies_of_one_id_by_two_providers_are_two_with_one_text_each(reader: LakeReader) -> None:
    with reader.reading() as reading:
        found = inbox.load(reading, Wanted(Show.ALL, words="Take me off your list")).replies

    twins = [row for row in found if row["event_id"] == "hostile"]
    assert {row["recipient"] for row in twins} == {"eve@craneford.example", "adam@craneford.example"}
    assert len(twins) == 2


def test_replies_that_wait_are_counted_as_analysts_count_them(reader: LakeReader) -> None:
    with reader.reading() as reading:
        known = attention.facts(reading)

    assert [known.waiting] == asked(
        reader,
        f"""SELECT count(*) AS replies, count(*) FILTER (urgency_level = 'urgent') AS urgent,
            count(*) FILTER (intent_classification = 'meeting_request') AS meetings
        FROM response_intelligence WHERE {attention.IS_WAITING}""",
    )
    assert known.waiting["replies"] > 0
    assert [row["winning_variant"] for row in known.winners] == ["B"]


@pytest.mark.parametrize("chosen", CHOSEN)
def test_hours_of_sending_equal_the_deliveries(reader: LakeReader, chosen: Filters) -> None:
    with reader.reading() as reading:
        rows, _, sql = times.load(reading, chosen)

    names = ("weekday", "hour", "sent", "delivered", "opened", "clicked")
    assert values(asked(reader, sql), *names) == values(rows, *names)


def test_the_system_page_counts_every_event_once(reader: LakeReader) -> None:
    with reader.reading() as reading:
        found = state.load(reading)

    assert found.sums["events"] == asked(reader, "SELECT count(*) AS n FROM events")[0]["n"]
    assert (
        sum(row["letters"] for row in found.letters) == asked(reader, "SELECT count(*) AS n FROM dead_letters")[0]["n"]
    )


@pytest.mark.parametrize("title", saved_queries())
def test_every_saved_query_runs(reader: LakeReader, title: str) -> None:
    asked(reader, saved_queries()[title].rstrip().rstrip(";"))


def test_the_schema_browser_knows_every_table_view_and_macro_of_the_lake(reader: LakeReader) -> None:
    views = asked(
        reader, "SELECT view_name AS n FROM duckdb_views() WHERE database_name = 'lake' AND schema_name = 'main'"
    )
    macros = asked(reader, "SELECT function_name AS n FROM duckdb_functions() WHERE database_name = 'lake'")
    found = {one.name: one for one in described()}

    inner = {"metrics_campaign_minute"}  # of the checks of data quality; no page for analysts has it
    assert set(found) == {row["n"] for row in (*views, *macros)} - inner | set(STORED_TABLES)
    assert all(one.about for one in found.values())
    assert {name for name, one in found.items() if not one.columns} == {"wilson_low", "wilson_high"}
    assert {name for name, one in found.items() if one.parameters} == {row["n"] for row in macros}


@pytest.mark.parametrize("one", [one for one in described() if one.columns], ids=lambda one: one.name)
def test_the_schema_browser_has_the_columns_that_the_lake_gives(reader: LakeReader, one: Described) -> None:
    rows = asked(reader, f"DESCRIBE FROM {one.call}")

    given = [(row["column_name"], row["column_type"].replace(" WITH TIME ZONE", "TZ")) for row in rows]
    assert given == [(name, kind) for name, kind, _ in one.columns]


def test_the_saved_queries_have_the_25_of_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "sql.md").read_text(encoding="utf-8")

    assert re.findall(r"^### [0-9]+\. (.+)$", page, re.MULTILINE) == list(saved_queries())[-25:]
    assert not set(OWN) & set(list(saved_queries())[-25:])


# Tables.


def test_a_cell_cannot_break_the_page() -> None:
    html = listing_html("<b>", [Column("x", "<i>")], [{"x": "<script>alert(1)</script>"}])

    assert "<script>" not in html
    assert "<i>" not in html
    assert "<b>" not in html


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_download_holds_no_formula(text: str) -> None:
    assert csv_bytes(["x"], [{"x": text}]).decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")


# What is kept.


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_figure_is_read_once_a_version() -> None:
    kept, reads = Kept(), []

    for version in (1, 1, 2, 2):
        kept.get("figure", version, lambda: reads.append(1))

    assert len(reads) == 2


def test_a_slow_figure_is_shown_a_little_old_and_renewed_beside() -> None:
    clock = Clock()
    kept = Kept(clock)

    def slow(value: str) -> str:
        clock.now += 2.0
        return value

    assert kept.get("figure", 1, lambda: slow("first")) == "first"
    kept.begin()
    clock.now += 1.0
    assert kept.get("figure", 2, lambda: slow("second")) == "first"
    due = kept.due_at()
    assert due == pytest.approx(2.0 + 4 * 2.0)  # it rests four times as long as it took
    assert due is not None
    clock.now = due
    asked_twice = threading.Event()

    def second() -> str:
        assert asked_twice.wait(10)
        return slow("second")

    assert kept.get("figure", 2, second) == "first"
    asked_twice.set()
    kept._pool.shutdown(wait=True)
    assert kept.get("figure", 2, lambda: slow("third")) == "second"


def test_a_page_can_begin_to_renew_its_slow_figures_and_wait_for_them() -> None:
    clock = Clock()
    kept = Kept(clock)
    goes_on = threading.Event()

    def slow(value: str) -> str:
        clock.now += 2.0
        return value

    def second() -> str:
        assert goes_on.wait(10)
        return slow("second")

    kept.get("slow", 1, lambda: slow("first"))
    kept.get("quick", 1, lambda: "first")
    assert not kept.renew("quick", 2, lambda: "second")  # drawing reads it anew
    assert not kept.renew("slow", 1, second)  # nothing has changed
    assert not kept.renew("slow", 2, second)  # it rests
    clock.now += 10.0
    assert kept.renew("slow", 2, second)
    assert kept.renew("slow", 2, second)
    goes_on.set()
    kept._pool.shutdown(wait=True)
    assert not kept.renew("slow", 2, second)
    assert kept.get("slow", 2, lambda: slow("third")) == "second"


def test_a_figure_that_fails_is_tried_again() -> None:
    kept = Kept()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.get("figure", 1, fail)
    assert kept.get("figure", 1, lambda: 5) == 5
