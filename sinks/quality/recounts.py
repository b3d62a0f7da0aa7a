"""Figures counted anew from facts, for some days: what is stored of them must be the same to the delivery and the minute.

Counted without the derivation's code (`features.deliveries`), by the words of the data model, so that a fault there shows
too. A row says what differs, of which campaign and when; there is none where all is well.

The days are the two newest and another, which changes with the UTC day and walks through all history: every day of a
history of N days has its turn within N days, and the runs of one UTC day look at the same ones.
"""

from collections.abc import Iterable
from typing import Final

from features.deliveries import COHORT_KEYS, COUNTS, HOUR_COUNTS, HOUR_KEYS
from sinks.store import CELL_KEYS, LATEST_READING

_DAY_US: Final = 86_400_000_000
_MOST: Final = 1000
"""Rows told at most."""
IS_DERIVED: Final = """(SELECT coalesce(max(seq), 0) FROM store.derived) >= greatest(
    (SELECT coalesce(max(seq), 0) FROM store.commits WHERE events > 0), (SELECT coalesce(max(seq), 0) FROM store.readings))"""
"""SQL: whether figures per delivery have caught up with facts and readings; else they cannot be compared."""

_SPAN: Final = f"""ends AS (
    SELECT epoch_us(min(minute)) // {_DAY_US} AS oldest, epoch_us(max(minute)) // {_DAY_US} AS newest FROM store.cells
    WHERE {IS_DERIVED})"""
_OTHER: Final = f"""SELECT newest - 2 - (epoch_us(now()) // {_DAY_US}) % (newest - oldest - 1)
    FROM ends WHERE newest - oldest > 1"""
_DAYS: Final = f"""{_SPAN}, days AS MATERIALIZED (
    SELECT day, make_timestamptz(day * {_DAY_US}) AS since, make_timestamptz((day + 1) * {_DAY_US}) AS until FROM (
        SELECT newest AS day FROM ends UNION SELECT newest - 1 FROM ends WHERE newest > oldest UNION {_OTHER})
    WHERE day IS NOT NULL)"""


def _within_days(instant: str) -> str:
    """SQL: whether an instant is of the chosen days; its ends are subqueries, so that files outside stay closed."""
    return f"""{instant} >= (SELECT min(since) FROM days) AND {instant} < (SELECT max(until) FROM days)
        AND epoch_us({instant}) // {_DAY_US} IN (SELECT day FROM days)"""


_ENGAGED: Final = "'opened', 'clicked', 'replied', 'complained', 'unsubscribed'"
_ARRIVED: Final = f"'delivered', {_ENGAGED}"
_SENT: Final = f"'sent', 'deferred', 'bounced', {_ARRIVED}"
_MET: Final = """'meeting_booked', 'meeting_confirmed', 'meeting_cancelled', 'meeting_held', 'meeting_no_show',
    'opportunity_created'"""
_OPENED: Final = "kind = 'opened' AND is_machine IS NOT TRUE"
_CLICKED: Final = "kind = 'clicked' AND is_machine IS NOT TRUE"
_ANSWERED: Final = "kind = 'replied' AND intent IS DISTINCT FROM 'out_of_office'"
_IS_ENGAGED: Final = f"kind IN ({_MET}) OR ({_ANSWERED})"
_IS_INTERESTED: Final = f"kind = 'connected' OR ({_OPENED}) OR ({_CLICKED}) OR {_IS_ENGAGED}"
_PROOFS: Final = {
    "deliveries": "true",
    "sent": f"kind IN ({_SENT})",
    "delivered": f"kind IN ({_ARRIVED})",
    "opened": _OPENED,
    "machine_opened": "kind = 'opened' AND is_machine",
    "clicked": _CLICKED,
    "replied": "kind = 'replied'",
    "answered": _ANSWERED,
    "positive": "kind = 'replied' AND intent IN ('interested', 'question', 'meeting_request')",
    "read": "kind = 'replied' AND intent IS NOT NULL",
    "meetings": "kind = 'meeting_booked'",
    "bounced": "kind = 'bounced'",
    **{f"bounced_{name}": f"kind = 'bounced' AND bounce_class = '{name}'" for name in ("hard", "soft", "block")},
    **{name: f"kind = '{name}'" for name in ("complained", "unsubscribed", "rejected", "failed")},
    "touched": f"kind IN ({_SENT}, 'called') OR {_IS_INTERESTED}",
    "aware": f"kind IN ({_ARRIVED}, 'called') OR {_IS_INTERESTED}",
    "interested": _IS_INTERESTED,
    "engaged": _IS_ENGAGED,
    "met": f"kind IN ({_MET})",
    "opportunities": "kind = 'opportunity_created'",
}
"""What an event proves of its delivery, by docs/tables.md. Strict counts are those of deliveries that are no suspects."""

_MINUTE: Final = "make_timestamptz(epoch_us(occurred_at) // 60000000 * 60000000)"
_FIRST: Final = "min(CASE WHEN kind = '{}' THEN occurred_at END)"
_NAMED: Final = {name: f"coalesce(min(f.{name}), min(c.{name}))" for name in ("persona", "account_tier")}
_DELIVERIES: Final = f"""{_DAYS},
    keys AS MATERIALIZED (SELECT DISTINCT coalesce(linked, delivery) AS key
        FROM store.facts LEFT JOIN store.links ON delivery = alias
        WHERE delivery IS NOT NULL AND {_within_days("occurred_at")}),
    wanted AS MATERIALIZED (FROM keys UNION SELECT alias FROM store.links WHERE linked IN (FROM keys)),
    said AS MATERIALIZED (SELECT event_id, provider, recipient, arg_max(intent_classification, {LATEST_READING}) AS intent
        FROM store.readings GROUP BY ALL),
    proven AS (
        SELECT coalesce(linked, f.delivery) AS key,
            coalesce({_FIRST.format("sent")}, {_FIRST.format("queued")}, min(occurred_at)) AS sent_at,
            {", ".join(f"{_NAMED.get(name, f'min(f.{name})')} AS {name}" for name in COHORT_KEYS)},
            {", ".join(f"bool_or({proof}) AS {name}" for name, proof in _PROOFS.items())}
        FROM store.facts f LEFT JOIN store.links ON f.delivery = alias
        LEFT JOIN said s ON f.kind = 'replied' AND s.event_id = f.event_id
            AND s.provider IS NOT DISTINCT FROM f.provider AND s.recipient IS NOT DISTINCT FROM f.recipient
        LEFT JOIN contacts c ON c.contact_id = f.contact_id
        WHERE f.delivery IN (FROM wanted) GROUP BY 1),
    deliveries AS MATERIALIZED (
        SELECT * EXCLUDE (key), opened AND NOT is_suspect AS opened_strict, clicked AND NOT is_suspect AS clicked_strict
        FROM (SELECT *, key IN (SELECT delivery FROM store.suspects) AS is_suspect FROM proven)
        WHERE {_within_days("sent_at")})"""
"""SQL: the deliveries that were sent on the chosen days, and what all facts prove of each."""


def _differing(keys: str, names: tuple[str, ...], counted: str, stored: str, when: str) -> str:
    """SQL: of a campaign and an instant the names of the counts that differ, where any do."""
    differs = ", ".join(f"CASE WHEN bool_or({name} <> 0) THEN '{name}' END" for name in names)
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in names)
    return f"""
        SELECT concat_ws(', ', {differs}) || ' of ' || coalesce(campaign_id, 'no campaign') || ' in ' || {when} AS wrong
        FROM (SELECT {keys}, {sums} FROM ({counted} UNION ALL {stored}) GROUP BY ALL
            HAVING {" OR ".join(f"sum({name}) <> 0" for name in names)})
        GROUP BY campaign_id, {when} ORDER BY ALL LIMIT {_MOST}"""


def _less(counts: Iterable[str]) -> str:
    return ", ".join(f"-{name} AS {name}" for name in counts)


def _of_deliveries(table: str, keys: tuple[str, ...], counts: tuple[str, ...], when: str, told: str) -> str:
    """SQL: where `table`, which counts deliveries by an instant of sending and `keys`, differs from facts."""
    chosen, at = ", ".join(keys), told.split("::", maxsplit=1)[0]
    ones = ", ".join(f"{name}::BIGINT AS {name}" for name in counts)
    of_days = f"epoch_us({at}::TIMESTAMPTZ) // {_DAY_US} IN (SELECT day FROM days)"
    return _differing(
        f"{at}, {chosen}",
        counts,
        f"SELECT {when} AS {at}, {chosen}, {ones} FROM deliveries",
        f"SELECT {at}, {chosen}, {_less(counts)} FROM store.{table} WHERE {of_days}",
        told,
    )


def _cells(at: str, of_facts: str, of_cells: str, campaign: str, days: str) -> str:
    """SQL: where cells differ from facts by an instant `at` and all keys, where `days` holds of an instant.

    An event without a campaign is of that of its delivery; `campaign` is what is compared of either.
    """
    keys = ", ".join(name for name in CELL_KEYS if name != "campaign_id")
    joined = "store.facts LEFT JOIN store.links ON delivery = alias"
    counted = f"""SELECT {of_facts} AS {at}, {campaign.format("coalesce(campaign_id, campaign)")} AS campaign_id, {keys},
            count(*) AS events
        FROM store.facts LEFT JOIN store.links ON campaign_id IS NULL AND delivery = alias
        LEFT JOIN named ON campaign_id IS NULL AND coalesce(linked, delivery) = key
        WHERE {days.format("occurred_at")} GROUP BY ALL"""
    stored = f"""SELECT {of_cells} AS {at}, {campaign.format("campaign_id")} AS campaign_id, {keys},
            -sum(events)::BIGINT AS events
        FROM store.cells WHERE {days.format("minute")} GROUP BY ALL"""
    return f"""nameless AS MATERIALIZED (SELECT DISTINCT coalesce(linked, delivery) AS key FROM {joined}
            WHERE campaign_id IS NULL AND delivery IS NOT NULL AND {days.format("occurred_at")}),
        named AS MATERIALIZED (SELECT coalesce(linked, delivery) AS key, min(campaign_id) AS campaign FROM {joined}
            WHERE delivery IN (FROM nameless UNION SELECT alias FROM store.links WHERE linked IN (FROM nameless)) GROUP BY 1),
        differing AS (SELECT {at}, campaign_id, {keys}, sum(events)::BIGINT AS events
            FROM ({counted} UNION ALL {stored}) GROUP BY ALL HAVING sum(events) <> 0)"""


_COHORTS: Final = _of_deliveries("cohorts", COHORT_KEYS, tuple(COUNTS), "sent_at::DATE", "metric_date::VARCHAR")
_HOURS: Final = _of_deliveries(
    "send_hours", HOUR_KEYS, tuple(HOUR_COUNTS), "date_trunc('hour', sent_at)", "sent_hour::VARCHAR"
)
RECOUNTS: Final = {
    "recounted": f"""WITH {_DELIVERIES}
        SELECT wrong AS wrong_cohorts, NULL::VARCHAR AS wrong_hours FROM ({_COHORTS})
        UNION ALL SELECT NULL, wrong FROM ({_HOURS})""",
    "hours": _differing(
        "metric_date, campaign_id, channel, persona",
        tuple(HOUR_COUNTS),
        f"SELECT sent_hour::DATE AS metric_date, {', '.join(HOUR_KEYS)}, {', '.join(HOUR_COUNTS)} FROM store.send_hours",
        f"SELECT metric_date, {', '.join(HOUR_KEYS)}, {_less(HOUR_COUNTS)} FROM store.cohorts",
        "metric_date::VARCHAR",
    ),
    "cells": f"""WITH {
        _cells(
            "day",
            f"epoch_us(occurred_at) // {_DAY_US}",
            f"epoch_us(minute) // {_DAY_US}",
            f"CASE WHEN {IS_DERIVED} THEN {{}} END",
            "true",
        )
    } SELECT campaign_id, day, kind, -events AS cells_less_facts FROM differing
        ORDER BY abs(events) DESC, campaign_id, day, kind LIMIT {_MOST}""",
    "minutes": f"""WITH {_DAYS}, {_cells("minute", _MINUTE, "minute", "{}", _within_days("{0}"))}
        SELECT kind || ' of ' || coalesce(campaign_id, 'no campaign') || ' at ' || minute::VARCHAR AS wrong FROM differing
        ORDER BY ALL LIMIT {_MOST}""",
}
"""Name of a measure -> its SELECT."""
