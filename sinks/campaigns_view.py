"""campaign_executions as a view: every campaign that events or an import name, with the plan beside what happened.

An imported cost is spread over the messages that were sent, so that the costs of all cohorts of a campaign add up to it.
"""

from typing import Final

from features.deliveries import COUNTS
from schemas.identifiers import sql_external_id
from sinks.shapes import shaped

_TOTALS: Final = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
_FIRST: Final = "c.first_day::TIMESTAMP AT TIME ZONE 'UTC'"
_STATUS: Final = """CASE WHEN p.completion_date <= now() THEN 'completed' WHEN h.pause_date IS NOT NULL THEN 'paused'
    WHEN coalesce(c.sent, 0) = 0 THEN 'scheduled' ELSE 'running' END"""

CAMPAIGN_EXECUTIONS: Final = shaped(
    "campaign_executions",
    {
        "id": sql_external_id("campaign", "coalesce(c.campaign_id, p.campaign_id)"),
        "campaign_strategy_id": "p.campaign_strategy_id",
        "execution_status": _STATUS,
        "launch_date": f"coalesce(p.launch_date, {_FIRST})",
        "pause_date": "h.pause_date",
        "completion_date": "p.completion_date",
        "total_targets": "coalesce(p.total_targets, c.deliveries)",
        "messages_sent": "coalesce(c.sent, 0)",
        "responses_received": "coalesce(c.answered, 0)",
        "meetings_booked": "coalesce(c.meetings, 0)",
        "execution_settings": "p.execution_settings",
        "performance_summary": """CASE WHEN c.campaign_id IS NOT NULL THEN json_object('sent', sent, 'delivered', delivered,
            'opened', opened, 'replied', replied, 'answered', answered, 'positive', positive, 'cost', p.cost,
            'cost_per_response', p.cost / nullif(answered, 0)) END""",
        "optimization_history": "o.actions",
        "created_at": f"coalesce({_FIRST}, p.launch_date, p.imported_at)",
        "campaign_id": "coalesce(c.campaign_id, p.campaign_id)",
    },
    f"""(SELECT campaign_id, min(metric_date) AS first_day, {_TOTALS} FROM (
            SELECT metric_date, campaign_id, {_TOTALS} FROM store.cohorts WHERE campaign_id IS NOT NULL
            GROUP BY ALL HAVING sum(deliveries) > 0)
        GROUP BY campaign_id) c
    FULL JOIN campaign_plans p ON c.campaign_id = p.campaign_id
    LEFT JOIN (SELECT scope_value AS campaign_id, max(occurred_at) AS pause_date FROM active_pauses
        WHERE scope_kind = 'campaign' AND action = 'pause' GROUP BY 1) h
        ON h.campaign_id = coalesce(c.campaign_id, p.campaign_id)
    LEFT JOIN (SELECT campaign_id, to_json(list({{'at': created_at, 'trigger': optimization_trigger,
                'status': optimization_status}} ORDER BY created_at, id)) AS actions
            FROM optimization_actions GROUP BY 1) o ON o.campaign_id = coalesce(c.campaign_id, p.campaign_id)""",
)

UNIT_COSTS: Final = """
    SELECT campaign_id, any_value(cost) / nullif(sum(sent), 0) AS unit_cost
    FROM store.cohorts JOIN (SELECT campaign_id, cost FROM campaign_plans WHERE cost IS NOT NULL) USING (campaign_id)
    GROUP BY campaign_id"""
"""SQL: what one sent message cost, of campaigns whose cost was imported."""
