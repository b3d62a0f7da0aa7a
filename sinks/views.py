"""What analysts read: views over the store, with the columns and types of `schemas.tables`.

Views are plain SQL stored in the lake, so any DuckDB that attaches it has them.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from features.deliveries import COUNTS
from schemas.derive import columns
from schemas.events import EVENT_FIELDS
from schemas.identifiers import sql_external_id, sql_uuid7
from schemas.tables import TABLES
from sinks.analyses import analysis_statements
from sinks.campaigns_view import CAMPAIGN_EXECUTIONS, UNIT_COSTS
from sinks.deliveries_view import MESSAGE_DELIVERIES, RESPONSE_INTELLIGENCE
from sinks.derivation import minute_of
from sinks.meetings_view import MEETING_BOOKINGS
from sinks.sequences_view import SEQUENCE_EXECUTION
from sinks.shapes import shaped
from sinks.store import METRIC_DIMENSIONS, RECIPIENT_DOMAIN

_KEYS: Final = (*METRIC_DIMENSIONS, "kind", "bounce_class", "is_machine")
_OWN_KEYS: Final = ", ".join(f"{RECIPIENT_DOMAIN} AS {k}" if k == "recipient_domain" else k for k in _KEYS)
_COUNTED: Final = f"""
    SELECT occurred_at, {_OWN_KEYS}, 1 AS events FROM store.facts
    UNION ALL SELECT occurred_at, {", ".join(_KEYS)}, events FROM store.corrections"""
_WINDOWS: Final = {"1m": 1, "5m": 5, "1h": 60, "24h": 24 * 60}


def _events() -> str:
    taken = {f: f for f in (*EVENT_FIELDS, "origin")} | {"recipient_domain": RECIPIENT_DOMAIN}
    taken["attributes"] = "TRY_CAST(TRY_CAST(attributes AS JSON) AS MAP(VARCHAR, VARCHAR))"
    return shaped("events", taken, "store.facts")


def _metrics_minute() -> str:
    inner = f"""(SELECT {minute_of("occurred_at")} AS minute, * EXCLUDE (occurred_at) FROM ({_COUNTED}))"""
    keys = ", ".join(["minute", *_KEYS])
    grouped = f"(SELECT {keys}, sum(events)::BIGINT AS events FROM {inner} GROUP BY ALL HAVING sum(events) <> 0)"
    return shaped("metrics_minute", {c.name: c.name for c in columns(TABLES["metrics_minute"])}, grouped)


def _metrics_window(name: str, minutes: int) -> str:
    keys = ", ".join(_KEYS)
    newest = "(SELECT max(newest) FROM store.commits)"
    grouped = f"""(
        SELECT {keys}, sum(events)::BIGINT AS events, {newest} AS as_of FROM ({_COUNTED})
        WHERE occurred_at > {newest} - INTERVAL {minutes} MINUTE GROUP BY ALL HAVING sum(events) <> 0)"""
    return shaped(name, {c.name: c.name for c in columns(TABLES[name])}, grouped)


_RATE: Final = "{0} / nullif({1}, 0)::DOUBLE"


def _cohort_row() -> Mapping[str, str]:
    """campaign_performance_metrics over sums of `store.cohorts`."""
    key = (
        "concat_ws(chr(31), 'cohort', metric_date, "
        + ", ".join(f"coalesce({k}, chr(30))" for k in ("campaign_id", "channel", "persona", "account_tier"))
        + ")"
    )
    stages = ("sent", "delivered", "opened", "machine_opened", "clicked", "replied", "positive", "meetings")
    funnel = ", ".join(f"'{stage}', {stage}" for stage in stages)
    return {
        "id": sql_uuid7("epoch_ms(metric_date)", key),
        "campaign_execution_id": sql_external_id("campaign", "campaign_id"),
        "metric_date": "metric_date",
        "channel": "channel",
        "contact_persona": "persona",
        "account_tier": "account_tier",
        "messages_sent": "sent",
        "delivery_rate": _RATE.format("delivered", "sent"),
        "open_rate": _RATE.format("opened", "delivered"),
        "response_rate": _RATE.format("answered", "delivered"),
        # Unknown until replies are classified, unless there are none to classify.
        "positive_response_rate": f"CASE WHEN replied = 0 OR read > 0 THEN {_RATE.format('positive', 'delivered')} END",
        "meeting_booking_rate": _RATE.format("meetings", "delivered"),
        "cost_per_response": "sent * unit_cost / nullif(answered, 0)",
        # Weights: a click tells twice, a reply five times as much as an open; 0..1.
        "engagement_score": _RATE.format("(opened + 2 * clicked + 5 * answered)", "(8 * delivered)"),
        "conversion_funnel_data": f"json_object({funnel})",
        "created_at": "metric_date::TIMESTAMP AT TIME ZONE 'UTC'",
        "campaign_id": "campaign_id",
        "deliveries": "deliveries",
        "messages_delivered": "delivered",
        "messages_opened": "opened",
        "messages_clicked": "clicked",
        "replies_received": "replied",
        "responses_received": "answered",
        "positive_responses": "positive",
        "meetings_booked": "meetings",
        "bounced_hard": "bounced_hard",
        "bounced_soft": "bounced_soft",
        "bounced_block": "bounced_block",
        "complained": "complained",
        "unsubscribed": "unsubscribed",
        "rejected": "rejected",
        "failed": "failed",
        "click_rate": _RATE.format("clicked", "delivered"),
        "bounce_rate": _RATE.format("bounced", "sent"),
        "complaint_rate": _RATE.format("complained", "delivered"),
        "unsubscribe_rate": _RATE.format("unsubscribed", "delivered"),
        "messages_opened_strict": "opened_strict",
        "messages_clicked_strict": "clicked_strict",
        "open_rate_strict": _RATE.format("opened_strict", "delivered"),
        "click_rate_strict": _RATE.format("clicked_strict", "delivered"),
    }


def _cohorts() -> str:
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)
    source = f"""(
        SELECT metric_date, campaign_id, channel, persona, account_tier, {sums} FROM store.cohorts
        GROUP BY ALL HAVING sum(deliveries) > 0) LEFT JOIN ({UNIT_COSTS}) USING (campaign_id)"""
    return shaped("campaign_performance_metrics", _cohort_row(), source)


_ACTIVE_PAUSES: Final = """
    SELECT * FROM (
        SELECT * FROM pauses WHERE control_offset IS NOT NULL AND action <> 'warn'
        QUALIFY row_number() OVER (PARTITION BY scope_kind, scope_value ORDER BY control_offset DESC) = 1
    ) WHERE action IN ('slow', 'pause') AND (until IS NULL OR until > now())"""


def view_statements() -> dict[str, str]:
    """Name to SELECT of every view, in an order in which each can be made."""
    return {
        "events": _events(),
        "metrics_minute": _metrics_minute(),
        **{f"metrics_{name}": _metrics_window(f"metrics_{name}", minutes) for name, minutes in _WINDOWS.items()},
        "metrics_campaign_minute": """
            SELECT minute, campaign_id, channel, kind, bounce_class, is_machine, sum(events)::BIGINT AS events
            FROM store.cells GROUP BY ALL HAVING sum(events) <> 0""",
        "message_deliveries": MESSAGE_DELIVERIES,
        "response_intelligence": RESPONSE_INTELLIGENCE,
        "campaign_performance_metrics": _cohorts(),
        "active_pauses": _ACTIVE_PAUSES,
        "campaign_executions": CAMPAIGN_EXECUTIONS,
        "meeting_bookings": MEETING_BOOKINGS,
        "sequence_execution": SEQUENCE_EXECUTION,
    }


def definitions() -> list[str]:
    """Statements that make every view and macro anew, in an order in which each can be made."""
    views = (f"CREATE OR REPLACE VIEW {name} AS {select}" for name, select in view_statements().items())
    return [*views, *analysis_statements()]


def views_digest() -> str:
    """Changes when any view or macro does; a lake made with another digest gets them anew."""
    return hashlib.sha256(";".join(definitions()).encode()).hexdigest()[:16]
