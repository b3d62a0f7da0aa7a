"""Messages by the UTC day of sending and campaign: one query for all that a page says of them, added up in memory.

What `campaign_performance_metrics` says, from the sums it is made of: the view joins the costs and makes a row of JSON for
every cohort, and a query takes 40 to 80 ms of a large lake's catalog whatever it counts (`benchmarks/page_queries.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from dashboards.filters import Days, Filters, where_of
from dashboards.funnel import STAGES
from dashboards.reader import Reading

_NAMES: Final[Mapping[str, str]] = {
    "sent": "sent",
    "delivered": "delivered",
    "opened": "opened",
    "machine_opened": "machine_opened",
    "clicked": "clicked",
    "replied": "replied",
    "answered": "answered",
    "positive": "positive",
    "read": "(delivered > 0 AND replied > 0 AND read > 0)::INTEGER",  # the view knows a rate of positive answers
    "meetings": "meetings",
    "bounced": "CASE WHEN sent <> 0 THEN bounced ELSE 0 END",
    "bounced_hard": "bounced_hard",
    "bounced_soft": "bounced_soft",
    "bounced_block": "bounced_block",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
}
"""Columns of `queries.COUNTS`, over a row of the view's grain."""
COUNTED: Final = tuple(_NAMES)
_STAGES: Final = tuple(part for _, part, _ in STAGES)
_GRAIN: Final = ("metric_date", "campaign_id", "channel", "persona", "account_tier")
_STORED: Final = tuple(dict.fromkeys([*COUNTED, *_STAGES]))
_QUERY: Final = (
    "SELECT metric_date, campaign_id, "
    + ", ".join(f"sum({sql})::BIGINT AS {name}" for name, sql in _NAMES.items())
    + "".join(f", sum({part})::BIGINT AS {part}" for part in _STAGES)
    + f" FROM (SELECT {', '.join(_GRAIN)}, {', '.join(f'sum({name})::BIGINT AS {name}' for name in _STORED)}"
    + " FROM store.cohorts WHERE {where} GROUP BY ALL HAVING sum(deliveries) > 0) GROUP BY ALL"
)


def cohorts(reading: Reading, chosen: Filters, days: Days) -> pa.Table:
    """One row a UTC send day and campaign: the counts of `COUNTED` and of the funnel's stages, each delivery once."""
    where, values = cohorts_of(chosen, days)
    return reading.arrow(_QUERY.format(where=where), values)


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
    return summed.select([*keys, *(f"{name}_sum" for name in counts)]).rename_columns([*keys, *counts])


def cohorts_of(chosen: Filters, days: Days) -> tuple[str, Sequence[Any]]:
    """SQL of the chosen messages that were sent on the days, and its values."""
    where, values = where_of(chosen)
    if days.first is not None:
        return f"metric_date BETWEEN ? AND ? AND {where}", [days.first, days.last, *values]
    return f"metric_date <= ? AND {where}", [days.last, *values]
