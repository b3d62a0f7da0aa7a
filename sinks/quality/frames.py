"""The measures: SELECTs over one snapshot of the lake, each of some rows at most, whatever the lake's size.

Columns named for a fault count the rows that have it; differences are 0, or at least 0, where all is well. What cannot be
measured is null, and null is no fault.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from features.columns import IDENTITY_VERSION, identities
from features.deliveries import COUNTS
from sinks.quality.gaps import GAPS
from sinks.quality.recounts import RECOUNTS
from sinks.store import CELL_KEYS, LINKED

_AHEAD: Final = "INTERVAL 25 HOUR"
"""What comes in may be 24 h ahead at most (`schemas.instants.AHEAD_MS`); an hour more for clocks that differ."""
_FIRST_DAY: Final = "TIMESTAMPTZ '2000-01-01'"
_RATES: Final = ("delivery", "open", "response", "positive_response", "meeting_booking", "click", "bounce", "complaint",
                 "unsubscribe")  # fmt: skip
_STAGES: Final = ("touched", "aware", "interested", "engaged", "met", "opportunities")
_FUNNEL: Final = ", ".join(f"min({more} - {less}) AS {more}_less_{less}" for more, less in pairwise(_STAGES))
_IS_DERIVED: Final = """(SELECT coalesce(max(seq), 0) FROM store.derived) >= (
    SELECT coalesce(max(seq), 0) FROM store.commits WHERE events > 0)"""

_IS_HASHED: Final = f"""(SELECT coalesce(max(value), '') FROM store.meta WHERE name = 'hash') =
    hash('outpulse', NULL::VARCHAR, 'x', 20000::BIGINT)::VARCHAR || ':{IDENTITY_VERSION}'"""
"""Whether hashes are of today's DuckDB and release; the writer makes others anew when it starts (`sinks.lake`)."""

FRAMES: Final[Mapping[str, str]] = {
    **GAPS,
    **RECOUNTS,
    "landing": """
        SELECT (epoch(now()) - epoch(max(landed_at))) / 3600 AS hours_since_landed,
            (epoch(max(newest)) - epoch(max(landed_at))) / 3600 AS hours_ahead,
            (epoch(now()) - epoch(min(landed_at) FILTER (events > 0 AND seq > (
                SELECT coalesce(max(seq), 0) FROM store.derived)))) / 60 AS minutes_underived
        FROM store.commits""",
    "facts": f"""
        SELECT kind, channel, bounce_class, origin, count(*) AS facts,
            count(*) FILTER (event_id IS NULL OR event_id = '') AS without_event_id,
            count(*) FILTER (occurred_at IS NULL) AS without_time,
            count(*) FILTER (occurred_at < {_FIRST_DAY}) AS too_early,
            count(*) FILTER (occurred_at > coalesce(least(received_at, now()), now()) + {_AHEAD}) AS ahead,
            count(*) FILTER (received_at > now() + {_AHEAD}) AS received_ahead,
            count(*) FILTER (bounce_class IS NOT NULL AND kind <> 'bounced') AS class_without_bounce,
            count(*) FILTER (is_machine AND kind NOT IN ('opened', 'clicked')) AS machine_without_click,
            count(*) FILTER (is_hashed AND fact IS DISTINCT FROM ({identities()["fact"]})) AS of_another_identity,
            count(*) FILTER (is_hashed AND delivery IS DISTINCT FROM ({identities()["delivery"]})) AS of_another_delivery
        FROM store.facts, (SELECT {_IS_HASHED} AS is_hashed) GROUP BY ALL""",
    "duplicates": """
        SELECT coalesce(sum(n - 1), 0)::BIGINT AS duplicate_facts FROM (
            SELECT count(*) AS n FROM store.facts GROUP BY fact, epoch_us(occurred_at) // 86400000000 HAVING count(*) > 1)""",
    "negative_cells": f"""
        SELECT count(*) AS negative_cells FROM (
            SELECT 1 FROM store.cells WHERE (minute) IN (SELECT minute FROM store.cells WHERE events < 0)
            GROUP BY minute, {", ".join(CELL_KEYS)} HAVING sum(events) < 0)""",
    "corrections": "SELECT coalesce(sum(events), 0)::BIGINT AS corrections_sum FROM store.corrections",
    "cohorts": f"""
        SELECT campaign_id, min(least({", ".join(COUNTS)})) AS least_count, min(deliveries - sent) AS deliveries_less_sent,
            min(sent - delivered) AS sent_less_delivered, min(sent - bounced) AS sent_less_bounced,
            min(bounced - greatest(bounced_hard, bounced_soft, bounced_block)) AS bounced_less_class,
            min(delivered - opened) AS delivered_less_opened, min(opened - opened_strict) AS opened_less_strict,
            min(delivered - clicked) AS delivered_less_clicked, min(clicked - clicked_strict) AS clicked_less_strict,
            min(delivered - replied) AS delivered_less_replied, min(replied - answered) AS replied_less_answered,
            min(answered - positive) AS answered_less_positive, min(delivered - complained) AS delivered_less_complained,
            min(delivered - unsubscribed) AS delivered_less_unsubscribed,
            min(delivered - machine_opened) AS delivered_less_machine_opened, min(replied - read) AS replied_less_read,
            min(deliveries - rejected) AS deliveries_less_rejected, min(deliveries - failed) AS deliveries_less_failed,
            min(deliveries - touched) AS deliveries_less_touched, min(touched - sent) AS touched_less_sent,
            min(aware - delivered) AS aware_less_delivered, min(engaged - answered) AS engaged_less_answered,
            min(met - meetings) AS met_less_meetings,
            {_FUNNEL},
            count(*) FILTER (metric_date > (now() + {_AHEAD})::DATE) AS days_ahead
        FROM (SELECT metric_date, campaign_id, channel, persona, account_tier,
                {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)}
            FROM store.cohorts GROUP BY ALL
            HAVING {" OR ".join(f"sum({name}) <> 0" for name in COUNTS)})
        GROUP BY campaign_id""",
    "rates": f"""
        SELECT campaign_id, {", ".join(f"max({name}_rate) AS {name}_rate" for name in _RATES)},
            min(cost_per_response) AS least_cost, max(engagement_score) AS engagement_score
        FROM campaign_performance_metrics GROUP BY campaign_id""",
    "derived": f"""
        SELECT CASE WHEN {_IS_DERIVED} THEN c.deliveries - f.deliveries END AS deliveries_less_facts,
            CASE WHEN {_IS_DERIVED} THEN c.replied - f.replied END AS replied_less_facts
        FROM (SELECT coalesce(sum(deliveries), 0)::BIGINT AS deliveries, coalesce(sum(replied), 0)::BIGINT AS replied
            FROM store.cohorts) c,
        (SELECT count(*) AS deliveries, count(*) FILTER (is_replied) AS replied FROM (
            SELECT coalesce(linked, delivery) AS key, bool_or(kind = 'replied') AS is_replied
            FROM {LINKED} WHERE delivery IS NOT NULL GROUP BY 1)) f""",
    "suspects": """
        SELECT count(*) AS unknown_suspects FROM store.suspects WHERE delivery NOT IN (
            SELECT DISTINCT coalesce(linked, delivery) FROM store.facts LEFT JOIN store.links ON delivery = alias
            WHERE delivery IS NOT NULL AND kind IN ('opened', 'clicked'))""",
    "readings": """
        SELECT intent_classification, urgency_level, next_action_required, resolution_status, interest_level,
            min(sentiment_score) AS least_sentiment, max(sentiment_score) AS most_sentiment,
            min(ai_confidence_score) AS least_confidence, max(ai_confidence_score) AS most_confidence,
            min(priority) AS least_priority, max(priority) AS most_priority,
            count(*) FILTER (model_version IS NULL) AS without_version
        FROM store.readings GROUP BY ALL""",
    "orphans": """
        WITH replied AS (SELECT event_id, provider, recipient FROM store.facts WHERE kind = 'replied')
        SELECT (SELECT count(*) FROM store.readings r WHERE NOT EXISTS (SELECT 1 FROM replied f WHERE f.event_id = r.event_id
                AND f.provider IS NOT DISTINCT FROM r.provider AND f.recipient IS NOT DISTINCT FROM r.recipient))
                AS orphan_readings,
            (SELECT count(*) FROM store.replies w WHERE received_at < now() - INTERVAL 1 HOUR
                AND event_id NOT IN (SELECT event_id FROM replied WHERE event_id IS NOT NULL)) AS orphan_words,
            (SELECT count(*) - count(DISTINCT (id, feedback_offset, model_version)) FROM store.readings
                WHERE id IS NOT NULL) AS repeated_readings""",
    "decisions": """
        SELECT action, min(send_share) AS least_share, max(send_share) AS most_share, max(observed_rate) AS most_rate,
            count(*) FILTER (hits > trials) AS more_hits_than_trials, count(*) - count(DISTINCT id) AS repeated_ids,
            count(*) FILTER (scope_value = '' AND scope_kind <> 'all') AS without_scope
        FROM pauses GROUP BY ALL""",
    "tables": """
        SELECT (SELECT count(*) FROM (SELECT 1 FROM models WHERE active GROUP BY name HAVING count(*) > 1)) AS active_twice,
            (SELECT count(*) FROM suppressions WHERE contact_id IS NULL AND recipient IS NULL) AS nobody_suppressed,
            (SELECT count(*) FROM alerts WHERE pause_id IS NOT NULL AND pause_id NOT IN (SELECT id FROM pauses)
                AND status <> 'pending') AS alerts_of_no_pause,
            (SELECT count(*) FROM campaign_experiments WHERE NOT statistical_significance BETWEEN 0 AND 1)
                AS odd_significance,
            (SELECT count(*) FROM meeting_bookings WHERE scheduled_datetime < created_at - INTERVAL 1 DAY) AS met_before_booked,
            (SELECT count(*) FROM dead_letters) / nullif((SELECT sum(events) + sum(dead_letters) FROM store.commits), 0)
                AS dead_share""",
    "experiments": """
        SELECT experiment_type, experiment_status,
            (SELECT count(*) - count(DISTINCT id) FROM campaign_experiments) AS repeated_ids,
            count(*) FILTER (trim(coalesce(experiment_name, '')) = '') AS nameless,
            count(*) FILTER (end_date < start_date) AS end_before_start
        FROM campaign_experiments GROUP BY ALL""",
    "learning": """
        SELECT event_type, application_scope, implementation_status, min(confidence_level) AS least_confidence,
            max(confidence_level) AS most_confidence,
            (SELECT count(*) - count(DISTINCT id) FROM ai_learning_events) AS repeated_ids
        FROM ai_learning_events GROUP BY ALL""",
    "actions": """
        SELECT optimization_trigger, optimization_status,
            (SELECT count(*) - count(DISTINCT id) FROM optimization_actions) AS repeated_ids
        FROM optimization_actions GROUP BY ALL""",
    "alerts": """
        SELECT severity, status, min(attempts) AS least_attempts, count(*) FILTER (trim(coalesce(title, '')) = '') AS untitled,
            (SELECT count(*) - count(DISTINCT id) FROM alerts) AS repeated_ids
        FROM alerts GROUP BY ALL""",
    "feedback": """
        SELECT field, count(*) FILTER (trim(coalesce(event_id, '')) = '') AS of_nothing,
            count(*) FILTER (trim(coalesce(given_by, '')) = '') AS by_nobody,
            (SELECT count(*) - count(DISTINCT id) FROM feedback) AS repeated_ids
        FROM feedback GROUP BY ALL""",
    "contacts": """
        SELECT count(*) - count(DISTINCT contact_id) AS repeated_contacts,
            count(*) FILTER (trim(contact_id) = '') AS without_id, min(account_value) AS least_value,
            count(*) FILTER (timezone NOT IN (SELECT name FROM pg_timezone_names())) AS odd_zones
        FROM contacts""",
    "plans": """
        SELECT count(*) - count(DISTINCT campaign_id) AS repeated_plans, min(cost) AS least_cost,
            min(total_targets) AS least_targets, count(*) FILTER (completion_date < launch_date) AS end_before_start
        FROM campaign_plans""",
    "messages": """
        SELECT count(*) - count(DISTINCT id) AS repeated_messages,
            count(*) FILTER (coalesce(subject, body) IS NULL) AS without_words,
            count(*) FILTER (campaign_id NOT IN (SELECT campaign_id FROM campaign_executions)) AS unknown_campaigns
        FROM campaign_messaging""",
}
"""Name of a measure -> its SELECT."""
