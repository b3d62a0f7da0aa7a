import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dashboards import charts, process, queries, state
from dashboards.cohorts import cohorts, totals
from dashboards.figures import sum_of
from dashboards.filters import MOST_BUCKETS, Days, Filters, Range, buckets, charted_days, send_days
from dashboards.invariants import INVARIANTS
from dashboards.reader import LakeReader, NoLake
from dashboards.screens import overview
from schemas.failures import LakeError
from sinks.lake import Lake
from tests.dashboard_lakes import event, land_world
from tests.lakes import land, rows, works

AS_OF = datetime(2026, 1, 30, 18, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def world_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return land_world(tmp_path_factory.mktemp("world") / "home")


@pytest.fixture(scope="module")
def reader(world_home: Path) -> LakeReader:
    """One reader for all, as in the page's process."""
    return LakeReader(world_home)


def page_of(reader: LakeReader, chosen: Filters) -> queries.Page:
    """The overview's figures, read as the page does."""
    with reader.reading() as reading:
        return queries.load(reading, chosen)


def asked(reader: LakeReader, query: str) -> list[tuple[Any, ...]]:
    """What plain SQL over the analysts' tables answers."""
    with reader.reading() as reading:
        return reading.rows(query)


# What DuckDB does, on which the reader relies.


def test_a_cursor_forgets_the_time_zone_and_the_database_of_its_connection(world_home: Path) -> None:
    from sinks.attach import connect

    connection = connect(world_home, read_only=True)
    connection.execute("SET TimeZone = 'Asia/Tokyo'")

    cursor = connection.cursor()

    assert cursor.execute("SELECT current_database()").fetchall() == [("memory",)]
    assert cursor.execute("SELECT current_setting('TimeZone')").fetchall() != [("Asia/Tokyo",)]
    connection.close()


def test_a_reading_sees_one_snapshot_while_the_writer_goes_on(home: Path) -> None:
    land(home, works([event(1, "delivered")], [1]))
    reader = LakeReader(home)
    with reader.reading() as reading:
        before = cohorts(reading, Filters(), Days(None, AS_OF.date()))
        land(home, works([event(2, "delivered")], [1], start=1))
        after = cohorts(reading, Filters(), Days(None, AS_OF.date()))

    assert before == after

    with reader.reading() as reading:
        assert cohorts(reading, Filters(), Days(None, AS_OF.date())) != before


# The reader.


def test_a_reading_is_in_utc_and_in_the_lake(reader: LakeReader) -> None:
    with reader.reading() as reading:
        assert reading.rows("SELECT current_setting('TimeZone'), current_database()") == [("UTC", "lake")]
        assert reading.rows("SELECT max(newest) FROM store.commits")[0][0].utcoffset() == timedelta(0)


def test_a_reader_waits_for_a_lake_and_finds_it(home: Path) -> None:
    reader = LakeReader(home)
    with pytest.raises(NoLake):
        reader.snapshot()
    Lake(home).close()
    with pytest.raises(NoLake):
        page_of(reader, Filters())

    land(home, works([event(1, "delivered")], [1]))

    assert page_of(reader, Filters()).totals.num_rows == 1


def test_a_reader_never_makes_a_lake(home: Path) -> None:
    with pytest.raises(NoLake):
        LakeReader(home).snapshot()

    assert not home.exists()


def test_a_lake_that_takes_the_place_of_another_is_read(home: Path) -> None:
    land(home, works([event(1, "delivered")], [1]))
    reader = LakeReader(home)
    seen = reader.snapshot()
    home.rename(home.with_name("old"))
    with pytest.raises(NoLake):
        reader.snapshot()
    land(home, works([event(1, "delivered", campaign_id="autumn")], [1]))

    assert reader.snapshot() != seen
    assert page_of(reader, Filters()).totals["campaign_id"].to_pylist() == ["autumn"]


def test_a_reader_connects_again_after_a_failure(reader: LakeReader) -> None:
    with pytest.raises(LakeError, match="cannot be read: Conversion Error"), reader.reading() as reading:
        reading.rows("SELECT 'x'::INTEGER")

    assert page_of(reader, Filters()).totals.num_rows > 0


def test_a_lake_that_is_no_lake_is_one_clear_line(home: Path) -> None:
    (home / "lake").mkdir(parents=True)
    (home / "lake" / "catalog.sqlite").write_bytes(b"not a database" * 100)

    with pytest.raises(LakeError, match=r"^the lake in .* cannot be opened"):
        LakeReader(home).snapshot()


def test_threads_can_read_at_once(reader: LakeReader) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: page_of(reader, Filters()), range(8)))

    assert all(page.totals == pages[0].totals for page in pages)


# The queries, against plain SQL over what analysts read.

CHOSEN = [
    pytest.param(Filters(Range.ALL), id="everything"),
    pytest.param(Filters(Range.WEEK, channel="email"), id="a week of mail"),
    pytest.param(Filters(Range.DAY), id="a day"),
    pytest.param(Filters(Range.HOUR, ("cmp-warehouse-restock-pilot",)), id="an hour of a campaign"),
    pytest.param(
        Filters(Range.ALL, ("cmp-faster-ledger-close", "cmp-first-hundred-days"), "email"), id="two campaigns"
    ),
    pytest.param(Filters(Range.ALL, ("nobody's",)), id="nothing"),
]


def condition(chosen: Filters) -> str:
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in chosen.campaigns)
    return " AND ".join(
        ["true"]
        + ([f"campaign_id IN ({names})"] if names else [])
        + ([f"channel = '{chosen.channel}'"] if chosen.channel else [])
    )


@pytest.mark.parametrize("chosen", CHOSEN)
def test_totals_count_each_delivery_once_by_its_send_day(reader: LakeReader, chosen: Filters) -> None:
    page = page_of(reader, chosen)
    first = page.days.first or date(2000, 1, 1)

    expected = asked(
        reader,
        f"""SELECT campaign_id, count(*), count(delivered_at), count(opened_at), count(clicked_at), count(replied_at),
            count(bounced_at), count(*) FILTER (bounced_at IS NOT NULL AND bounce_class = 'hard'),
            count(complained_at), count(unsubscribed_at)
        FROM message_deliveries WHERE actual_send_time IS NOT NULL AND actual_send_time::DATE >= '{first}'
            AND {condition(chosen)} GROUP BY campaign_id ORDER BY campaign_id""",
    )

    names = [
        "sent",
        "delivered",
        "opened",
        "clicked",
        "replied",
        "bounced",
        "bounced_hard",
        "complained",
        "unsubscribed",
    ]
    found = sorted(
        (row["campaign_id"], *(row[name] for name in names)) for row in page.totals.to_pylist() if row["sent"]
    )
    assert expected == found


@pytest.mark.parametrize("chosen", CHOSEN)
def test_events_over_time_add_up_to_the_minutes_that_analysts_read(reader: LakeReader, chosen: Filters) -> None:
    page = page_of(reader, chosen)

    expected = asked(
        reader,
        f"""SELECT kind, coalesce(is_machine, false), sum(events)::BIGINT FROM metrics_campaign_minute
        WHERE minute >= '{page.buckets.start.isoformat()}' AND {condition(chosen)} GROUP BY ALL ORDER BY ALL""",
    )

    events: dict[tuple[str, bool], int] = {}
    for row in page.over_time.to_pylist():
        events[row["kind"], row["is_machine"]] = events.get((row["kind"], row["is_machine"]), 0) + row["events"]
    assert expected == sorted((*key, number) for key, number in events.items())
    assert all(bucket >= page.buckets.start for bucket in page.over_time["bucket"].to_pylist())


@pytest.mark.parametrize("chosen", CHOSEN)
@pytest.mark.parametrize(("view", "width"), [("metrics_1h", 1), ("metrics_24h", 24)])
def test_live_windows_equal_the_views(reader: LakeReader, chosen: Filters, view: str, width: int) -> None:
    page = page_of(reader, chosen)
    with reader.reading() as reading:
        window = queries.live_window(reading, chosen, page.status.as_of, timedelta(hours=width))

    expected = asked(
        reader,
        f"""SELECT campaign_id, kind, coalesce(is_machine, false), sum(events)::BIGINT FROM {view}
        WHERE {condition(chosen)} GROUP BY ALL ORDER BY ALL""",
    )
    assert expected == sorted(tuple(row.values()) for row in window.to_pylist())


@pytest.mark.parametrize("second", [59, 0, 1], ids=["a second inside", "exactly at the edge", "a second outside"])
def test_a_live_window_is_exact_within_the_minute_that_it_cuts(home: Path, second: int) -> None:
    minute = 59 if second else 0
    old = event(1, "delivered", occurred_at=f"2026-01-30T16:{minute:02d}:{second:02d}.000Z")
    land(home, works([old, event(2, "delivered", occurred_at="2026-01-30T17:59:30.000Z")], [2]))

    page = page_of(LakeReader(home), Filters())

    expected = rows(home, "SELECT sum(events)::BIGINT FROM metrics_1h")[0][0]
    assert expected == sum(page.last_hour["events"].to_pylist())


def test_send_days_of_all_campaigns_add_up_to_the_totals(reader: LakeReader) -> None:
    page = page_of(reader, Filters(Range.ALL))

    assert sum_of(page.totals) == sum_of(page.by_send_day)


def test_figures_before_are_those_of_the_days_before(reader: LakeReader) -> None:
    page = page_of(reader, Filters(Range.DAY))

    assert page.days_before == Days(date(2026, 1, 27), date(2026, 1, 28))
    with reader.reading() as reading:
        assert page.totals_before == totals(cohorts(reading, Filters(Range.DAY), page.days_before))


def test_days_before_are_left_out_when_the_lake_begins_later(reader: LakeReader) -> None:
    for chosen in (Range.WEEK, Range.MONTH, Range.ALL):  # the world has nine days
        page = page_of(reader, Filters(chosen))
        assert (page.days_before, page.totals_before) == (None, None)


def test_a_time_filter_opens_only_the_files_that_can_hold_its_time(reader: LakeReader) -> None:
    def files(chosen: Filters) -> int:
        with reader.reading() as reading:
            steps = buckets(chosen.range, AS_OF, AS_OF - timedelta(days=30))
            plan = reading.rows(
                "EXPLAIN ANALYZE " + queries.OVER_TIME.format(step_us=60_000_000, where="true"), [steps.start]
            )[0][1]
        return int(re.search(r"Total Files Read: (\d+)", plan)[1])  # type: ignore[index]

    assert files(Filters(Range.DAY)) < files(Filters(Range.ALL))


def test_dead_letters_are_counted_by_reason(home: Path) -> None:
    land(home, works([event(1, "delivered"), {"kind": "sent"}, {"kind": "sent", "x": 1}, event(2, "nonsense")], [4]))

    with LakeReader(home).reading() as reading:
        letters = state.load(reading).letters

    assert [(row["reason"], row["letters"]) for row in letters[:1]] == [("event_id missing", 2)]
    assert rows(home, "SELECT count(*) FROM dead_letters") == [(3,)]


def test_the_chart_of_events_has_a_zero_where_nothing_happened(reader: LakeReader) -> None:
    page = page_of(reader, Filters(Range.DAY))
    figure = charts.events_over_time(page.over_time, page.buckets, page.status.as_of)

    lines = {trace.name: trace for trace in figure.data}
    assert {len(trace.x) for trace in figure.data} == {97}
    assert sum(lines["Delivered"].y) == sum(
        row["events"] for row in page.over_time.to_pylist() if row["kind"] == "delivered"
    )
    assert sum(sum(trace.y) for trace in figure.data) == sum(page.over_time["events"].to_pylist())


# Invariants.


def test_every_invariant_holds_of_the_simulated_world(reader: LakeReader) -> None:
    with reader.reading() as reading:
        assert {name: [] for name in INVARIANTS} == {name: reading.rows(query) for name, query in INVARIANTS.items()}


BREAKS = {
    "Every event is counted in exactly one minute": "INSERT INTO store.cells (events) VALUES (1)",
    "No campaign has more delivered than sent on a day": "UPDATE store.cohorts SET delivered = 9",
    "Only delivered messages are opened, clicked, answered or complained of": "UPDATE store.cohorts SET opened = 9",
    "Every rate lies between 0 and 1": "UPDATE store.cohorts SET bounced = 9",
    "No message is sent after the newest event": "UPDATE store.cohorts SET metric_date = '2026-01-31'",
}


@pytest.mark.parametrize("name", INVARIANTS)
def test_each_invariant_finds_what_breaks_it(home: Path, name: str) -> None:
    land(home, works([event(1, "delivered")], [1]))
    lake = Lake(home)
    with lake.transaction() as connection:
        connection.execute(BREAKS[name])
    lake.close()

    with LakeReader(home).reading() as reading:
        assert name in queries.broken(reading)


# Filters.


@pytest.mark.parametrize(
    ("chosen", "first", "before"),
    [
        pytest.param(Range.HOUR, date(2026, 1, 30), date(2026, 1, 29), id="an hour is its day"),
        pytest.param(Range.DAY, date(2026, 1, 29), date(2026, 1, 27), id="24 hours touch two days"),
        pytest.param(Range.WEEK, date(2026, 1, 24), date(2026, 1, 17), id="a week is seven days"),
        pytest.param(Range.MONTH, date(2026, 1, 1), date(2025, 12, 2), id="a month is thirty days"),
        pytest.param(Range.ALL, None, None, id="all has no beginning"),
    ],
)
def test_a_range_takes_whole_send_days(chosen: Range, first: date | None, before: date | None) -> None:
    days = send_days(chosen, AS_OF)
    earlier = days.before()

    assert days == Days(first, date(2026, 1, 30))
    assert (earlier.first if earlier else None) == before


def test_an_hour_after_midnight_touches_yesterday() -> None:
    assert send_days(Range.HOUR, AS_OF.replace(hour=0, minute=30)) == Days(date(2026, 1, 29), date(2026, 1, 30))


def test_a_chart_by_day_shows_a_week_at_least() -> None:
    assert charted_days(Range.HOUR, AS_OF) == send_days(Range.WEEK, AS_OF)
    assert charted_days(Range.MONTH, AS_OF) == send_days(Range.MONTH, AS_OF)


@pytest.mark.parametrize("chosen", list(Range))
@pytest.mark.parametrize("days", [0.01, 3, 40, 900])
def test_buckets_start_on_a_step_cover_the_range_and_are_few(chosen: Range, days: float) -> None:
    oldest = AS_OF - timedelta(days=days)
    steps = buckets(chosen, AS_OF, oldest)

    assert (steps.start - datetime.fromtimestamp(0, UTC)) % steps.step == timedelta(0)
    assert (AS_OF - steps.start) / steps.step <= MOST_BUCKETS + 1
    assert chosen is not Range.ALL or steps.start <= oldest


def test_a_process_reads_ahead_what_the_first_page_shows(world_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_HOME", str(world_home))
    process.read_ahead(rest=0)
    read: list[Filters] = []
    monkeypatch.setattr(queries, "load", lambda _, chosen: read.append(chosen))

    overview.read_ahead(process.source())

    assert not read


def test_a_process_starts_where_there_is_nothing_to_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPULSE_HOME", str(home))

    process.read_ahead(rest=0)

    with pytest.raises(NoLake):
        overview.read_ahead(process.source())
