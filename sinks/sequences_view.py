"""sequence_execution as a view: how far each contact is in each campaign, as far as events and imports tell.

A contact is `contact_id`, else the address. Its steps are the messages that were sent, in the order of sending;
`current_step` is the furthest one that is a number. How many there are is told by an import alone. A contact that answered
(not by an automatic reply) has responded; one that unsubscribed, complained or bounced hard was stopped; one in a campaign
that is paused as a whole is paused; one whose last step was sent has completed; all others are active.
"""

from typing import Final

from features.deliveries import IS_SENT, flags_of_event, has, sent_time
from schemas.identifiers import sql_external_id, sql_uuid7
from sinks.shapes import shaped
from sinks.store import LATEST_READING, LINKED

_KEY: Final = "concat_ws(chr(31), 'sequence', s.campaign_id, s.person)"
_ENDED: Final = {"unsubscribed": "unsubscribed", "complained": "complained", "hard bounce": "bounced_hard"}
_EXIT: Final = " ".join(f"WHEN {has(flag, flags='s.flags')} THEN '{name}'" for name, flag in _ENDED.items())
_STOPPED: Final = has(*_ENDED.values(), flags="s.flags")
_PAUSED: Final = """s.campaign_id IN (SELECT scope_value FROM active_pauses WHERE scope_kind = 'campaign' AND action = 'pause')
    OR EXISTS (SELECT 1 FROM active_pauses WHERE scope_kind = 'all' AND action = 'pause')"""
_STEPS: Final = "coalesce(p.total_steps, w.total_steps)"
_MAX_STEP: Final = "max(TRY_CAST(sequence_step AS BIGINT))"

SEQUENCE_EXECUTION: Final = shaped(
    "sequence_execution",
    {
        "id": sql_uuid7("epoch_ms(s.first_at)", _KEY),
        "campaign_execution_id": sql_external_id("campaign", "s.campaign_id"),
        "contact_id": "s.contact_id",
        "sequence_template_id": "p.sequence_template_id",
        "current_step": "s.current_step",
        "total_steps": _STEPS,
        "sequence_status": f"""CASE WHEN s.has_answered THEN 'responded' WHEN {_STOPPED} THEN 'stopped'
            WHEN {_PAUSED} THEN 'paused' WHEN s.current_step >= {_STEPS} THEN 'completed' ELSE 'active' END""",
        "next_action_date": f"CASE WHEN NOT s.has_answered AND NOT {_STOPPED} THEN s.queued_at END",
        "step_completion_history": "to_json(s.steps)",
        "response_handling_history": "to_json(s.replies)",
        "exit_reason": f"CASE WHEN s.has_answered THEN 'replied' {_EXIT} END",
        "created_at": "s.first_at",
        "campaign_id": "s.campaign_id",
    },
    f"""(
        SELECT campaign_id, coalesce(contact_id, recipient) AS person, min(contact_id) AS contact_id,
            bit_or(flags) AS flags, min(first_at) AS first_at,
            max(TRY_CAST(sequence_step AS BIGINT)) FILTER ({has(*IS_SENT)}) AS current_step,
            min(sent_at) FILTER (NOT {has(*IS_SENT)} AND {has("queued")}) AS queued_at,
            list({{'step': sequence_step, 'sent_at': sent_at, 'delivery_id': delivery_id}}
                ORDER BY sent_at, delivery_id) FILTER ({has(*IS_SENT)}) AS steps,
            flatten(list(replies ORDER BY first_at, delivery_id) FILTER (replies IS NOT NULL)) AS replies,
            coalesce(bool_or(has_answered), false) AS has_answered
        FROM (
            SELECT coalesce(linked, delivery) AS key, min(campaign_id) AS campaign_id, min(contact_id) AS contact_id,
                coalesce(min(CASE WHEN kind <> 'replied' THEN recipient END), min(recipient)) AS recipient,
                min(sequence_step) AS sequence_step, min(delivery_id) AS delivery_id,
                bit_or({flags_of_event()}) AS flags, {sent_time()} AS sent_at, min(occurred_at) AS first_at
            FROM {LINKED} WHERE delivery IS NOT NULL GROUP BY 1) d
        LEFT JOIN (
            SELECT coalesce(linked, delivery) AS key, bool_or(intent IS DISTINCT FROM 'out_of_office') AS has_answered,
                list({{'at': occurred_at, 'intent': intent, 'next_action': next_action}} ORDER BY occurred_at) AS replies
            FROM {LINKED} LEFT JOIN (
                SELECT event_id AS said_event, provider AS said_provider, recipient AS said_recipient,
                    arg_max(intent_classification, {LATEST_READING}) AS intent,
                    arg_max(next_action_required, {LATEST_READING}) AS next_action
                FROM store.readings GROUP BY ALL)
                ON event_id = said_event AND provider IS NOT DISTINCT FROM said_provider
                    AND recipient IS NOT DISTINCT FROM said_recipient
            WHERE kind = 'replied' AND delivery IS NOT NULL GROUP BY 1) r USING (key)
        WHERE campaign_id IS NOT NULL AND coalesce(contact_id, recipient) IS NOT NULL
        GROUP BY 1, 2) s
    LEFT JOIN campaign_plans p ON p.campaign_id = s.campaign_id
    LEFT JOIN (SELECT campaign_id, {_MAX_STEP} AS total_steps FROM campaign_messaging GROUP BY 1) w
        ON w.campaign_id = s.campaign_id""",
)
