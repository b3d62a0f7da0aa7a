import re
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import charts, kept, queries, words
from dashboards.figures import Level, Totals, bounce_level, complaint_level, health, marks, ripe_days
from dashboards.filters import Days, Filters, Range, buckets, send_days
from dashboards.header import head_html
from dashboards.reader import Reading
from dashboards.table import MOST_ROWS, ORDERS, campaigns_html, hidden_rows
from dashboards.tiles import Trend, tiles, tiles_html
from schemas.events import Kind
from sinks.lake import Lake
from tests.dashboard_lakes import event, land_world
from tests.lakes import land, rows, works

ROOT = Path(__file__).parents[1]
APP = ROOT / "dashboards" / "app.py"
AS_OF = datetime(2026, 1, 30, 18, 0, tzinfo=UTC)
NAMED = ("Sent", "Delivered", "Human opens", "Replies", "Positive replies", "Meetings", "Bounces", "Complaints")


@pytest.fixture(scope="module")
def world_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return land_world(tmp_path_factory.mktemp("world") / "home")


def show(home: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page over a home, drawn once."""
    monkeypatch.setenv("OUTPULSE_HOME", str(home))
    monkeypatch.setattr(
        kept, "SLOW_SECONDS", float("inf")
    )  # a busy machine would be shown old figures, read anew beside
    page = AppTest.from_file(APP, default_timeout=60).run()
    assert list(page.exception) == []
    return page


def shown_tiles(page: AppTest) -> dict[str, str]:
    found = re.findall(r'<dt>(.*?)</dt><dd class="value">(.*?)</dd>', shown_html(page))
    return {name.removeprefix("⚠ "): value for name, value in found}


def shown_html(page: AppTest) -> str:
    return "".join(element.body for element in page.html)


# Figures, marks and words.


@pytest.mark.parametrize(
    ("rate", "level"),
    [(None, Level.FINE), (0.0499, Level.FINE), (0.05, Level.ALARM), (0.0501, Level.ALARM)],
    ids=["unknown", "below", "exactly at", "above"],
)
def test_bounces_are_marked_from_five_percent(rate: float | None, level: Level) -> None:
    assert bounce_level(rate) is level


@pytest.mark.parametrize(
    ("rate", "level"),
    [
        pytest.param(None, Level.FINE, id="unknown"),
        pytest.param(0.00099, Level.FINE, id="below 0.1 %"),
        pytest.param(0.001, Level.WARN, id="exactly 0.1 %"),
        pytest.param(0.00299, Level.WARN, id="below 0.3 %"),
        pytest.param(0.003, Level.ALARM, id="exactly 0.3 %"),
    ],
)
def test_complaints_are_marked_from_a_tenth_and_three_tenths_of_a_percent(rate: float | None, level: Level) -> None:
    assert complaint_level(rate) is level


def test_a_rate_without_a_denominator_is_a_dash_and_has_no_change() -> None:
    made = tiles(Totals(), Totals(sent=5, delivered=5), ripe=Totals())

    assert [tile.value for tile in made[1:]] == [words.NOTHING] * 7
    assert [(tile.change, tile.sure) for tile in made[1:]] == [(None, None)] * 7


def test_tiles_compare_with_the_days_before() -> None:
    now = Totals(sent=200, delivered=190, opened=38, bounced=10, complained=1)
    made = {tile.name: tile for tile in tiles(now, Totals(sent=100, delivered=95, opened=9, bounced=5), ripe=now)}

    assert list(made) == list(NAMED)
    assert (made["Sent"].value, made["Sent"].change, made["Sent"].trend) == ("200", "+100 %", Trend.NEITHER)
    assert (made["Human opens"].value, made["Human opens"].change) == ("20.0 %", "+10.5 pts")
    # (0.2 + z2/380 -+ z sqrt(0.2 * 0.8 / 190 + z2 / 144400)) / (1 + z2/190) with z2 = 3.8415, z = 1.96.
    assert made["Human opens"].sure == f"14.9{words.NOTHING}26.3 %"
    assert (made["Bounces"].value, made["Bounces"].trend, made["Bounces"].level) == (
        "5.0 %",
        Trend.NEITHER,
        Level.FINE,  # 10 of 200 may be half of it
    )
    assert (made["Complaints"].trend, made["Complaints"].level) == (Trend.NEITHER, Level.FINE)
    storm = {tile.name: tile for tile in tiles(Totals(sent=200, delivered=190, bounced=20, complained=4), None)}
    assert (storm["Bounces"].level, storm["Complaints"].level) == (Level.ALARM, Level.ALARM)


def test_a_change_is_good_or_bad_only_when_it_is_more_than_chance() -> None:
    before = Totals(sent=10_000, delivered=9800, opened=1960, bounced=200)
    better = Totals(sent=10_000, delivered=9800, opened=2450, bounced=150)
    same = Totals(sent=10_000, delivered=9800, opened=1980, bounced=205)

    def trends(now: Totals) -> tuple[Trend, Trend]:
        made = {tile.name: tile.trend for tile in tiles(now, before, ripe=now)}
        return made["Human opens"], made["Bounces"]

    assert trends(better) == (Trend.BETTER, Trend.BETTER)
    assert trends(same) == (Trend.NEITHER, Trend.NEITHER)
    worse = {tile.name: tile.trend for tile in tiles(before, better, ripe=before)}
    assert (worse["Human opens"], worse["Bounces"]) == (Trend.WORSE, Trend.WORSE)


def test_positive_replies_are_unknown_until_replies_are_read() -> None:
    def positive(**counts: int) -> str:
        made = tiles(Totals(sent=100, delivered=100, **counts), None)
        return next(tile.value for tile in made if tile.name == "Positive replies")

    assert positive(answered=4) == words.NOTHING
    assert positive(answered=4, read=4, positive=2) == "2.0 %"
    assert positive() == "0.0 %"


def test_a_tile_escapes_nothing_away_and_says_its_change_in_words() -> None:
    now = Totals(sent=10_000, delivered=9800, bounced=900)
    html = tiles_html(tiles(now, Totals(sent=10_000, delivered=9900, bounced=90)))

    assert "⚠ Bounces" in html
    assert "+8.1 pts, worse" in html


def test_rates_that_still_rise_are_compared_by_the_ripe_messages_alone() -> None:
    now, before = (
        Totals(sent=20_000, delivered=20_000, answered=316),
        Totals(sent=10_000, delivered=10_000, answered=200),
    )
    ripe = Totals(sent=10_000, delivered=10_000, answered=201)

    def replies(ripe: Totals | None) -> tuple[str | None, Trend]:
        return next((tile.change, tile.trend) for tile in tiles(now, before, ripe=ripe) if tile.name == "Replies")

    assert replies(None) == (None, Trend.NEITHER)
    assert replies(Totals()) == (None, Trend.NEITHER)
    assert replies(ripe) == ("0.0 pts", Trend.NEITHER)


def test_few_messages_prove_no_mark() -> None:
    assert marks(Totals(sent=1, bounced=1)) is Level.FINE
    assert marks(Totals(sent=300, delivered=300, complained=1)) is Level.FINE
    assert marks(Totals(sent=20, bounced=6)) is Level.ALARM
    assert marks(Totals(sent=1000, delivered=1000, complained=4)) is Level.WARN
    assert (health(Totals(sent=1, bounced=1)), health(Totals(sent=20, bounced=6))) == (50, 0)


def test_nothing_before_gives_no_comparison() -> None:
    assert {tile.change for tile in tiles(Totals(sent=5), Totals())} == {None}


def test_messages_of_two_weeks_are_ripe() -> None:
    last = AS_OF.date() - timedelta(days=14)
    assert ripe_days(send_days(Range.MONTH, AS_OF)) == Days(AS_OF.date() - timedelta(days=29), last)
    assert ripe_days(send_days(Range.ALL, AS_OF)) == Days(None, last)
    assert ripe_days(send_days(Range.WEEK, AS_OF)) is None


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (Days(None, date(2026, 1, 30)), "until 30 Jan 2026"),
        (Days(date(2026, 1, 30), date(2026, 1, 30)), "30 Jan 2026"),
        (Days(date(2026, 1, 24), date(2026, 1, 30)), "24-30 Jan 2026"),
        (Days(date(2026, 1, 24), date(2026, 2, 3)), "24 Jan - 3 Feb 2026"),
        (Days(date(2025, 12, 24), date(2026, 1, 3)), "24 Dec 2025 - 3 Jan 2026"),
    ],
)
def test_days_are_named_without_repetition(days: Days, text: str) -> None:
    assert text == words.days(days).replace("\N{EN DASH}", "-")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0, "now"),
        (3, "3 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7200, "2 h ago"),
        (400_000, "4 days ago"),
    ],
)
def test_ages_are_told_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert text == words.ago(AS_OF - timedelta(seconds=seconds), AS_OF)


def test_the_head_says_how_fresh_the_figures_are() -> None:
    status = queries.Status(AS_OF - timedelta(seconds=3), AS_OF - timedelta(seconds=2), AS_OF, waiting=1200)

    text = re.sub("<[^>]*>", "", head_html("Overview", status, AS_OF))

    assert text.startswith("Overview")
    assert "Live · as of 17:59:57 UTC, 3 s ago · last landed 17:59:58 UTC, 2 s ago · 1,200 events not yet" in text
    assert "Waiting for events · as of 30 Jan 2026, 17:59:57 UTC, 2 days ago" in re.sub(
        "<[^>]*>", "", head_html("Overview", status, AS_OF + timedelta(days=2))
    )
    assert "Flows are stopped · as of" in re.sub("<[^>]*>", "", head_html("x", status, AS_OF, flows_run=False))


# Table and charts.


def table_of(figures: dict[str | None, Totals]) -> pa.Table:
    return pa.Table.from_pylist([{"campaign_id": name, **asdict(totals)} for name, totals in figures.items()])


def test_a_campaigns_name_cannot_break_the_page() -> None:
    html = campaigns_html(table_of({"<script>alert(1)</script>": Totals(sent=1)}), pa.table({}), next(iter(ORDERS)))

    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_table_is_ordered_and_says_what_it_leaves_out() -> None:
    figures: dict[str | None, Totals] = {f"c{n:02d}": Totals(sent=100 + n, delivered=90) for n in range(MOST_ROWS + 3)}
    figures[None] = Totals(sent=10, bounced=4)
    figures["empty"] = Totals()
    table = table_of(figures)

    names = re.findall(r"<tr><td>(.*?)</td>", campaigns_html(table, pa.table({}), "Most sent"))

    assert names == [f"c{n:02d}" for n in range(MOST_ROWS + 2, 2, -1)]
    assert hidden_rows(table, "Most sent") == (4, 1)
    assert re.findall(r"<tr><td>(.*?)</td>", campaigns_html(table, pa.table({}), "Most bounces"))[0] == "(no campaign)"


def test_the_chart_of_rates_leaves_a_gap_where_few_messages_were_sent() -> None:
    day, next_day = date(2026, 1, 29), date(2026, 1, 30)
    table = pa.concat_tables(
        [
            table_of({"c": Totals(sent=charts.FEWEST - 1, delivered=10, opened=1)}).append_column(
                "metric_date", [[day]]
            ),
            table_of({"c": Totals(sent=charts.FEWEST, delivered=10, opened=2)}).append_column(
                "metric_date", [[next_day]]
            ),
        ]
    )

    figure = charts.rates_by_send_day(table, charts.OPENS, next_day)

    assert [trace.y for trace in figure.data] == [(None, 0.2)]


def test_charts_of_nothing_are_empty() -> None:
    steps = buckets(Range.HOUR, AS_OF, AS_OF)
    assert len(charts.events_over_time(pa.table({}), steps, AS_OF).data) == 0
    assert len(charts.rates_by_send_day(pa.table({}), charts.OPENS, AS_OF.date()).data) == 0


# The page.


def test_without_a_lake_the_page_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = show(home, monkeypatch)

    assert "<strong>No data yet</strong><p>Run <code>outpulse replay FILE</code>" in shown_html(page)
    assert shown_tiles(page) == {}


def test_a_lake_without_events_is_no_data_either(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lake(home).close()

    assert "No data yet" in shown_html(show(home, monkeypatch))


def test_a_broken_lake_is_told_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "lake").mkdir(parents=True)
    (home / "lake" / "catalog.sqlite").write_bytes(b"not a database" * 100)

    (warning,) = show(home, monkeypatch).warning

    assert re.search(r"cannot be opened.*Trying again every 0.5 s", warning.value)


def test_the_tiles_equal_sql(world_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = show(world_home, monkeypatch)

    sent, delivered, opened, replied, bounced, complained = rows(
        world_home,
        """SELECT count(*), count(delivered_at), count(opened_at), count(replied_at), count(bounced_at),
            count(complained_at)
        FROM message_deliveries WHERE channel = 'email' AND actual_send_time >= '2026-01-24'""",
    )[0]
    meetings = rows(
        world_home,
        """SELECT count(DISTINCT coalesce(linked, delivery)) FROM store.facts LEFT JOIN store.links ON delivery = alias
        WHERE kind = 'meeting_booked' AND coalesce(linked, delivery) IN (
            SELECT coalesce(linked, delivery) FROM store.facts LEFT JOIN store.links ON delivery = alias
            WHERE channel = 'email' GROUP BY 1 HAVING coalesce(min(occurred_at) FILTER (kind = 'sent'),
                min(occurred_at) FILTER (kind = 'queued'), min(occurred_at)) >= '2026-01-24')""",
    )[0][0]
    assert {
        "Sent": f"{sent:,}",
        "Delivered": f"{100 * delivered / sent:.1f} %",
        "Human opens": f"{100 * opened / delivered:.1f} %",
        "Replies": f"{100 * replied / delivered:.1f} %",
        "Positive replies": words.NOTHING,  # nothing has been read
        "Meetings": f"{100 * meetings / delivered:.1f} %",
        "Bounces": f"{100 * bounced / sent:.1f} %",
        "Complaints": f"{100 * complained / delivered:.3f} %",
    } == shown_tiles(page)


def test_the_filters_change_the_figures(world_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = show(world_home, monkeypatch)

    page.button_group(key="range").set_value(Range.ALL.value)
    page.selectbox(key="channel").set_value("")
    page.multiselect(key="campaigns").set_value(["cmp-faster-ledger-close"]).run()

    sent = rows(
        world_home,
        """SELECT count(*) FROM message_deliveries
        WHERE campaign_id = 'cmp-faster-ledger-close' AND actual_send_time IS NOT NULL""",
    )[0][0]
    assert f"{sent:,}" == shown_tiles(page)["Sent"]
    (table,) = re.findall('<table class="campaigns">.*?</table>', shown_html(page), re.DOTALL)
    assert {"cmp-faster-ledger-close"} == set(re.findall(r"cmp-[a-z-]+", table))


def test_the_page_begins_with_mail_unless_some_channel_is_unknown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land(home, works([event(1, "delivered"), event(2, "delivered", channel="phone")], [2]))
    assert show(home, monkeypatch).selectbox(key="channel").value == "email"

    land(home, works([event(3, "delivered", channel=None)], [1], start=2))

    page = show(home, monkeypatch)
    assert (page.selectbox(key="channel").value, shown_tiles(page)["Sent"]) == ("", "3")


def test_machine_opens_are_told_apart_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = [event(n, "opened", is_machine=n < 3) for n in range(4)]
    land(home, works([*opens, event(9, "delivered")], [5]))

    page = show(home, monkeypatch)

    assert shown_tiles(page)["Human opens"] == "20.0 %"
    assert "Machines opened 3 of these messages" in shown_html(page)


def test_rates_over_the_marks_are_marked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(n, "delivered") for n in range(14)]
    events += [event(n, "bounced", bounce_class="hard") for n in range(14, 20)]
    land(home, works(events, [20]))

    page = show(home, monkeypatch)

    assert "<dt>⚠ Bounces</dt>" in shown_html(page)
    assert '<span class="alarm">⚠ 30.0 %</span>' in shown_html(page)


def test_the_lake_is_read_again_only_when_it_has_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Filters] = []
    load = queries.load

    def counted(reading: Reading, chosen: Filters) -> queries.Page:
        loaded.append(chosen)
        return load(reading, chosen)

    monkeypatch.setattr(queries, "load", counted)
    land(home, works([event(1, "delivered")], [1]))
    page = show(home, monkeypatch)
    page.run()
    assert len(loaded) == 1

    land(home, works([event(2, "delivered")], [1], start=1))
    page.run()

    assert (len(loaded), shown_tiles(page)["Sent"]) == (2, "2")


def test_no_module_of_the_page_hides_one_of_the_standard_library() -> None:
    # Streamlit puts the folder of app.py first on the import path.
    assert {path.stem for path in APP.parent.glob("*.py")} & set(sys.stdlib_module_names) == set()


def test_every_kind_of_event_has_a_name() -> None:
    assert [kind for kind in Kind if kind not in words.KINDS] == []
