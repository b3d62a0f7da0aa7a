"""The page's SQL, by name, and what a page needs, read on one snapshot.

Values of filters are parameters, and times are compared with plain columns, so that DuckLake opens only the files that
can hold them. Figures per message are cohorts: by the UTC day a message was sent, each delivery counted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from textwrap import dedent
from typing import Any, Final

import pyarrow as pa

from dashboards.cohorts import by_send_day, cohorts, cohorts_of, funnel, on, totals
from dashboards.figures import ripe_days
from dashboards.filters import Buckets, Days, Filters, buckets, charted_days, send_days, where_of
from dashboards.invariants import INVARIANTS
from dashboards.reader import NoLake, Reading

_MINUTE: Final = timedelta(minutes=1)

STATUS: Final = """
    SELECT max(newest) AS as_of, max(landed_at) AS landed_at,
        coalesce(sum(events) FILTER (seq > (SELECT coalesce(max(seq), 0) FROM store.derived)), 0)::BIGINT AS waiting,
        (SELECT minute FROM store.cells ORDER BY minute LIMIT 1) AS oldest
    FROM store.commits"""

CHOICES: Final = "SELECT campaign_id, channel FROM store.cohorts GROUP BY ALL HAVING sum(deliveries) > 0 ORDER BY ALL"

# The view has the bounces of each class but not the deliveries with any bounce, and machine opens in the funnel only.
COUNTS: Final = """
    sum(messages_sent)::BIGINT AS sent, sum(messages_delivered)::BIGINT AS delivered,
    sum(messages_opened)::BIGINT AS opened,
    sum((conversion_funnel_data->>'machine_opened')::BIGINT)::BIGINT AS machine_opened,
    sum(messages_clicked)::BIGINT AS clicked, sum(replies_received)::BIGINT AS replied,
    sum(responses_received)::BIGINT AS answered, sum(positive_responses)::BIGINT AS positive,
    max(CASE WHEN positive_response_rate IS NOT NULL AND replies_received > 0 THEN 1 ELSE 0 END)::BIGINT AS read,
    sum(meetings_booked)::BIGINT AS meetings,
    coalesce(sum(round(bounce_rate * messages_sent)), 0)::BIGINT AS bounced, sum(bounced_hard)::BIGINT AS bounced_hard,
    sum(bounced_soft)::BIGINT AS bounced_soft, sum(bounced_block)::BIGINT AS bounced_block,
    sum(complained)::BIGINT AS complained, sum(unsubscribed)::BIGINT AS unsubscribed"""

TOTALS: Final = """
    SELECT campaign_id, {counts} FROM campaign_performance_metrics
    WHERE {where} GROUP BY campaign_id ORDER BY sent DESC, campaign_id"""

BY_SEND_DAY: Final = """
    SELECT metric_date, campaign_id, {counts} FROM campaign_performance_metrics
    WHERE {where} GROUP BY ALL ORDER BY ALL"""

# From store.cells: the view metrics_campaign_minute first adds up every minute, 990 ms for a month of 3M events
# against 90. Grouped by a plain integer, for an instant as the key costs twice as much.
OVER_TIME: Final = """
    SELECT make_timestamptz(bucket * {step_us}) AS bucket, kind, is_machine, events FROM (
        SELECT epoch_us(minute) // {step_us} AS bucket, kind, coalesce(is_machine, false) AS is_machine,
            sum(events)::BIGINT AS events
        FROM store.cells WHERE minute >= ? AND {where} GROUP BY ALL HAVING sum(events) <> 0)
    ORDER BY ALL"""

# What metrics_1h and metrics_24h say, from whole minutes and the facts of the one minute that the window cuts.
WINDOW: Final = """
    SELECT campaign_id, kind, coalesce(is_machine, false) AS is_machine, sum(events)::BIGINT AS events FROM (
        SELECT campaign_id, kind, is_machine, events FROM store.cells WHERE minute >= ? AND {where}
        UNION ALL
        SELECT campaign_id, kind, is_machine, 1 FROM store.facts
        WHERE occurred_at > ? AND occurred_at < ? AND {where}
        UNION ALL
        SELECT campaign_id, kind, is_machine, events FROM store.corrections
        WHERE occurred_at > ? AND occurred_at < ? AND {where}
    ) GROUP BY ALL HAVING sum(events) <> 0 ORDER BY ALL"""


@dataclass(frozen=True)
class Status:
    """How fresh the lake is, in UTC: newest event, newest commit, oldest event, and events not yet in the cohorts."""

    as_of: datetime
    landed_at: datetime
    oldest: datetime
    waiting: int


@dataclass(frozen=True)
class Page:
    """Everything that one page shows; `days_before` is what to compare with, if the lake holds all of it.

    `totals_ripe` are those of the messages that are old enough to compare rates that rise.
    """

    status: Status
    filters: Filters
    days: Days
    days_before: Days | None
    buckets: Buckets
    totals: pa.Table
    totals_ripe: pa.Table | None
    totals_before: pa.Table | None
    by_send_day: pa.Table
    over_time: pa.Table
    last_hour: pa.Table
    funnel: dict[str, int]
    sql: dict[str, str]


def status(reading: Reading) -> Status:
    """How fresh the lake is.

    Raises:
        NoLake: no event has landed yet.
    """
    as_of, landed_at, waiting, oldest = reading.rows(STATUS)[0]
    if as_of is None or oldest is None:
        raise NoLake("the lake has no events yet")
    return Status(as_of, landed_at, oldest, waiting)


def choices(reading: Reading) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Campaigns and channels that have deliveries; a delivery of no known channel adds None."""
    rows = reading.rows(CHOICES)
    channels = {row[1] for row in rows}
    return (
        tuple(sorted({row[0] for row in rows if row[0] is not None})),
        (*sorted(name for name in channels if name is not None), *([None] if None in channels else [])),
    )


def over_time(reading: Reading, chosen: Filters, steps: Buckets) -> pa.Table:
    """Events by step of time, kind and is_machine, each event once; steps without events are left out."""
    where, values = where_of(chosen)
    query = OVER_TIME.format(step_us=steps.step // timedelta(microseconds=1), where=where)
    return reading.arrow(query, [steps.start, *values])


def live_window(reading: Reading, chosen: Filters, as_of: datetime, width: timedelta) -> pa.Table:
    """Events of (`as_of` - `width`, `as_of`] by campaign, kind and is_machine."""
    where, values = where_of(chosen)
    edge = as_of - width
    whole = edge.replace(second=0, microsecond=0) + _MINUTE
    return reading.arrow(WINDOW.format(where=where), [whole, *values, *[edge, whole, *values] * 2])


def broken(reading: Reading) -> tuple[str, ...]:
    """The invariants that do not hold."""
    return tuple(name for name, query in INVARIANTS.items() if reading.rows(f"SELECT 1 FROM ({query}) LIMIT 1"))


def load(reading: Reading, chosen: Filters) -> Page:
    """A page as of the reading's snapshot.

    Raises:
        NoLake: there is nothing to show yet.
    """
    now = status(reading)
    days = send_days(chosen.range, now.as_of)
    before = days.before()
    if before and before.first and before.first < now.oldest.date():
        before = None  # the lake begins in the middle of those days
    steps = buckets(chosen.range, now.as_of, now.oldest)
    charted = charted_days(chosen.range, now.as_of)
    sent = cohorts(reading, chosen, Days.spanning(days, charted, before))
    now_sent, ripe = on(sent, days), ripe_days(days)
    return Page(
        status=now,
        filters=chosen,
        days=days,
        days_before=before,
        buckets=steps,
        totals=totals(now_sent),
        totals_ripe=totals(on(sent, ripe)) if ripe else None,
        totals_before=totals(on(sent, before)) if before else None,
        by_send_day=by_send_day(on(sent, charted)),
        over_time=over_time(reading, chosen, steps),
        last_hour=live_window(reading, chosen, now.as_of, timedelta(hours=1)),
        funnel=funnel(now_sent),
        sql=_told(chosen, days, charted, steps),
    )


def _told(chosen: Filters, days: Days, charted: Days, steps: Buckets) -> dict[str, str]:
    """The queries of a page with their values in place, over what analysts read, to be looked at and copied."""
    where, values = cohorts_of(chosen, days)
    by_day, day_values = cohorts_of(chosen, charted)
    events, given = where_of(chosen)
    return {
        "totals": spelled(TOTALS.format(counts=COUNTS, where=where), values),
        "by_send_day": spelled(BY_SEND_DAY.format(counts=COUNTS, where=by_day), day_values),
        "over_time": spelled(
            f"""
    SELECT time_bucket(INTERVAL {int(steps.step.total_seconds())} SECOND, minute) AS bucket, kind,
        coalesce(is_machine, false) AS is_machine, sum(events)::BIGINT AS events
    FROM metrics_campaign_minute WHERE minute >= ? AND {events} GROUP BY ALL ORDER BY ALL""",
            [steps.start, *given],
        ),
    }


def spelled(query: str, values: Sequence[Any]) -> str:
    """A query with its values in place of `?`, for people to read and run."""
    parts = dedent(query).strip("\n").split("?")
    told = [*(_literal(value) for value in values), ""]
    return "".join(part + value for part, value in zip(parts, told, strict=True))


def _literal(value: Any) -> str:  # noqa: ANN401 - a value of a query
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.isoformat()}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"
