"""The campaign page: what it shows equals the SQL that it shows, and what it says of young campaigns and other channels."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import campaign
from dashboards.filters import Filters, Range
from dashboards.funnel import funnel_rows
from dashboards.reader import LakeReader
from features.forecast import forecast
from tests.dashboard_lakes import Event, asked, event, furnish, land_world, values
from tests.lakes import land, works
from tests.test_import_lists import bring, written

ABSENT = """SELECT min(message_deliveries.campaign_id) AS name FROM message_deliveries JOIN response_intelligence r
    ON r.message_delivery_id = message_deliveries.id
    WHERE intent_classification = 'out_of_office' AND message_deliveries.channel = 'email'"""
"""A campaign with an absence notice among its replies."""
ALL = Filters(Range.ALL, channel="email")
EVER = Filters(Range.ALL)
CHOSEN = [
    pytest.param(ALL, id="all mail"),
    pytest.param(Filters(Range.DAY), id="a day"),
    pytest.param(Filters(Range.WEEK), id="a week"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LakeReader:
    return LakeReader(furnish(land_world(tmp_path_factory.mktemp("world") / "home")))


def rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their shares to twelve digits."""
    return [{k: round(v, 12) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("dimension", list(campaign.DIMENSIONS))
def test_segments_of_a_campaign_equal_its_deliveries(reader: LakeReader, dimension: str) -> None:
    ((name,),) = values(asked(reader, ABSENT), "name")
    with reader.reading() as reading:
        found = campaign.load(reading, name, ALL)

    expected = asked(
        reader,
        f"""WITH answers AS (
            SELECT message_delivery_id AS id, bool_or(intent_classification IS DISTINCT FROM 'out_of_office') AS answered,
                bool_or(intent_classification IN ('interested', 'question', 'meeting_request')) AS positive
            FROM response_intelligence GROUP BY ALL),
        met AS (SELECT DISTINCT delivery_id, true AS is_met FROM events WHERE kind = 'meeting_booked')
        SELECT {campaign.DIMENSIONS[dimension]} AS segment, count(*) AS sent, count(delivered_at) AS delivered,
            count(opened_at) AS opened, count(clicked_at) AS clicked, count(replied_at) AS replied,
            count(*) FILTER (answered) AS answered,
            count(*) FILTER (positive) AS positive, count(is_met) AS meetings, count(bounced_at) AS bounced,
            count(complained_at) AS complained
        FROM message_deliveries LEFT JOIN answers USING (id) LEFT JOIN met USING (delivery_id)
        WHERE actual_send_time IS NOT NULL AND campaign_id = '{name}' AND channel = 'email' GROUP BY ALL""",
    )
    names = (
        "segment",
        "sent",
        "delivered",
        "opened",
        "clicked",
        "answered",
        "positive",
        "meetings",
        "bounced",
        "complained",
    )
    assert values(expected, *names) == values(found.segments[dimension], *names)
    assert sum(row["replied"] for row in expected) > sum(row["answered"] for row in expected) > 0


@pytest.mark.parametrize("rate", list(campaign.RATES))
@pytest.mark.parametrize("dimension", list(campaign.DIMENSIONS))
def test_segments_of_a_campaign_equal_the_sql_that_it_shows(reader: LakeReader, dimension: str, rate: str) -> None:
    with reader.reading() as reading:
        found = campaign.load(reading, "cmp-faster-ledger-close", ALL)

    shown = campaign.segment_rates(found.segments[dimension], rate)
    assert rounded(asked(reader, campaign.segments_told(found.sql["segments"], dimension, rate))) == rounded(shown)
    assert shown


@pytest.mark.parametrize("rate", list(campaign.RATES))
def test_variants_of_an_experiment_equal_the_sql_that_it_shows(reader: LakeReader, rate: str) -> None:
    with reader.reading() as reading:
        shown = campaign.segment_rates(campaign.variants(reading, "cmp-faster-ledger-close"), rate)

    query = campaign.segments_sql("Variant", "cmp-faster-ledger-close", rate)
    assert rounded(asked(reader, query)) == rounded(shown)
    assert shown


@pytest.mark.parametrize("chosen", CHOSEN)
def test_a_campaigns_funnel_equals_the_sql_that_it_shows(reader: LakeReader, chosen: Filters) -> None:
    with reader.reading() as reading:
        found = campaign.load(reading, "cmp-faster-ledger-close", chosen)

    shown = funnel_rows(found.funnel)
    assert rounded(asked(reader, found.sql["funnel"])) == rounded(shown)
    assert shown[0]["messages"] > 0


@pytest.mark.parametrize("chosen", CHOSEN)
def test_a_campaigns_timeline_equals_the_sql_that_it_shows(reader: LakeReader, chosen: Filters) -> None:
    with reader.reading() as reading:
        found = campaign.load(reading, "cmp-faster-ledger-close", chosen)

    assert asked(reader, found.sql["timeline"]) == found.timeline
    assert found.timeline


def of_day(day: int, number: int, kind: str, **fields: Any) -> Event:
    """An event of January 2026."""
    return event(number, kind, occurred_at=f"2026-01-{day:02}T12:00:00.000Z", **fields)


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LinkedIn messages and calls of which no delivery is reported, mail that is, and a plan of 50 targets."""
    home = tmp_path_factory.mktemp("small") / "home"
    quiet = {"campaign_id": "quiet", "channel": "linkedin_message"}
    called = {"campaign_id": "quiet", "channel": "phone"}
    told = [
        *(of_day(1 + n // 2, n, "sent", **quiet) for n in range(40)),
        *(of_day(2, n, "replied", **quiet) for n in range(4)),
        *(of_day(20, 100 + n, "called", **called) for n in range(3)),
        *(of_day(1, 200 + n, kind) for n in range(30) for kind in ("sent", "delivered")),
        *(of_day(30, 300 + n, kind, campaign_id="new") for n in range(30) for kind in ("sent", "delivered")),
        *(of_day(1, 400 + n, kind, campaign_id="old") for n in range(400) for kind in ("sent", "delivered")),
        *(of_day(2, 400 + n, "replied", campaign_id="old") for n in range(200)),
    ]
    land(home, works(told, [len(told)]))
    plan = written(home.parent / "plans.csv", "campaign,targets\nquiet,50\nold,50\n")
    assert bring(home, "campaigns", plan).exit_code == 0
    return home


@pytest.fixture(scope="module")
def small(small_home: Path) -> LakeReader:
    return LakeReader(small_home)


def of_campaign(reader: LakeReader, name: str, chosen: Filters = EVER) -> campaign.Campaign:
    with reader.reading() as reading:
        return campaign.load(reading, name, chosen)


def drawn(found: campaign.Campaign) -> dict[str, int]:
    """What each kind on the timeline adds up to."""
    return {
        kind: sum(r["events"] for r in found.timeline if r["kind"] == kind)
        for kind in {r["kind"] for r in found.timeline}
    }


def test_where_no_delivery_is_reported_the_timelines_bars_are_sends_and_calls(small: LakeReader) -> None:
    found = of_campaign(small, "quiet")

    assert drawn(found) == {"sent": 40, "called": 3, "replied": 4}
    assert campaign.bars(found) == ["called", "sent"]
    names = [trace.name for trace in campaign.timeline(found).data if trace.type == "bar"]
    assert names == ["Called", "Sent, where no delivery is reported"]
    assert asked(small, found.sql["timeline"]) == found.timeline


def test_where_deliveries_are_reported_sends_are_not_drawn_beside_them(small: LakeReader) -> None:
    found = of_campaign(small, "spring")

    assert drawn(found) == {"delivered": 30}
    assert campaign.bars(found) == ["delivered"]


def test_a_campaign_without_reported_deliveries_is_forecast_from_what_it_sent(small: LakeReader) -> None:
    found = of_campaign(small, "quiet")

    assert sum(day.sent for day in found.ages["answered"]) == 43
    told = forecast(found.ages["answered"], found.curves["answered"], 40)
    assert told.have == 4
    assert 5 < told.expected < 12  # as many again bring about as much again


def test_messages_still_to_be_sent_are_the_plans_targets_less_those_sent(small: LakeReader) -> None:
    assert of_campaign(small, "quiet").to_send == 50 - 43
    assert of_campaign(small, "old").to_send == 0
    assert of_campaign(small, "spring").to_send is None


def test_a_campaign_launched_yesterday_is_not_called_worse_but_too_young(small: LakeReader) -> None:
    found = of_campaign(small, "new")

    assert found.now.delivered == 30
    assert {row["verdict"] for row in campaign.compared(found)} == {"too young"}


def test_old_messages_are_compared_with_old_ones_only(small: LakeReader) -> None:
    found = of_campaign(small, "old", Filters(Range.DAY))

    assert found.now.sent == 0
    (replies,) = (row for row in campaign.compared(found) if row["rate"] == "Replies")
    assert (replies["of"], replies["verdict"]) == (400, "better")
    assert found.others_ripe.delivered == 30 + 4  # of the mail of the first days, and the answered messages


def _page() -> None:
    """The campaign page alone."""
    from dashboards.people import Viewer
    from dashboards.process import source
    from dashboards.screens.campaign import draw

    draw(source(), Viewer("ida", may_act=False))


def test_the_page_fills_in_what_the_plan_has_left_until_somebody_types_a_number(
    small: LakeReader, small_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del small
    monkeypatch.setenv("OUTPULSE_HOME", str(small_home))
    page = AppTest.from_function(_page, default_timeout=60)
    page.query_params["campaign"] = "quiet"
    page.query_params["range"] = "all"
    page.run()

    def shown() -> str:
        return "".join(element.body for element in page.html)

    assert list(page.exception) == []
    assert "and 7 still to be sent" in shown()
    page.selectbox(key="channel").set_value("").run()
    assert "Calls and sends (where the channel reports no delivery) as bars" in shown()
    page.number_input(key="to_send_quiet").set_value(500).run()
    assert "and 500 still to be sent" in shown()
    page.selectbox(key="campaign").set_value("spring").run()
    assert list(page.exception) == []
    assert "still to be sent" not in shown()
