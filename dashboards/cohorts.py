"""Messages by the UTC day of sending and campaign: one query for all that a page says of them, added up in memory.

What `campaign_performance_metrics` says, from the sums it is made of: the view joins the costs and makes a row of JSON for
every cohort, and a query takes 40 to 80 ms of a large lake's catalog whatever it counts (`benchmarks/page_queries.py`).
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from dashboards.figures import Totals
from dashboards.filters import Days, Filters, where_of
from dashboards.funnel import STAGES
from dashboards.reader import Reading

COUNTED: Final = tuple(field.name for field in fields(Totals))
"""Columns of `queries.COUNTS`; `read` is 1 where any reply is read, for only then the share of positive ones is known."""
_STAGES: Final = tuple(part for _, part, _ in STAGES)
_QUERY: Final = (
    "SELECT metric_date, campaign_id, "
    + ", ".join(f"sum({name})::BIGINT AS {name}" for name in dict.fromkeys([*COUNTED, *_STAGES]))
    + " FROM store.cohorts WHERE {where} GROUP BY ALL HAVING sum(deliveries) > 0"
)


def cohorts(reading: Reading, chosen: Filters, days: Days) -> pa.Table:
    """One row a UTC send day and campaign: the counts of `COUNTED` and of the funnel's stages, each delivery once."""
    where, values = cohorts_of(chosen, days)
    return _told(reading.arrow(_QUERY.format(where=where), values))


def on(found: pa.Table, days: Days) -> pa.Table:
    """The rows of some send days."""
    day = found["metric_date"]
    keep = pc.less_equal(day, pa.scalar(days.last))
    if days.first is not None:
        keep = pc.and_(keep, pc.greater_equal(day, pa.scalar(days.first)))
    return found.filter(keep)


def totals(found: pa.Table) -> pa.Table:
    """One row a campaign, those that sent most first; columns campaign_id and `COUNTED`."""
    return added(found, ["campaign_id"], COUNTED).sort_by([("sent", "descending"), ("campaign_id", "ascending")])


def by_send_day(found: pa.Table) -> pa.Table:
    """One row a send day and campaign; columns metric_date, campaign_id and `COUNTED`."""
    return found.select(["metric_date", "campaign_id", *COUNTED]).sort_by(
        [("metric_date", "ascending"), ("campaign_id", "ascending")]
    )


def funnel(found: pa.Table) -> dict[str, int]:
    """How many messages came how far, by the names of `dashboards.funnel.STAGES`."""
    return {part: pc.sum(found[part]).as_py() or 0 for part in _STAGES}


def added(found: pa.Table, keys: Sequence[str], counts: Sequence[str]) -> pa.Table:
    """Counts added up by keys, in no order."""
    summed = found.group_by(list(keys)).aggregate([(name, "sum") for name in counts])
    return _told(summed.select([*keys, *(f"{name}_sum" for name in counts)]).rename_columns([*keys, *counts]))


def _told(found: pa.Table) -> pa.Table:
    if "read" not in found.column_names:
        return found
    is_read = pc.greater(found["read"], 0).cast(pa.int64())
    return found.set_column(found.column_names.index("read"), "read", is_read)


def cohorts_of(chosen: Filters, days: Days) -> tuple[str, Sequence[Any]]:
    """SQL of the chosen messages that were sent on the days, and its values."""
    where, values = where_of(chosen)
    if days.first is not None:
        return f"metric_date BETWEEN ? AND ? AND {where}", [days.first, days.last, *values]
    return f"metric_date <= ? AND {where}", [days.last, *values]
