"""message_deliveries and response_intelligence as views over facts."""

from typing import Final

from features.columns import CAME_AS_MAIL
from features.deliveries import IS_SENT, flags_of_event, has, sent_time, status
from features.suspicion import reason
from schemas.identifiers import sql_external_id, sql_uuid7
from sinks.shapes import shaped
from sinks.store import LATEST_READING, LINKED, READ_COLUMNS, RECIPIENT_DOMAIN

_ENGAGED: Final = ("campaign_id", "contact_id", "message_id", "channel", "sequence_step", "variant", "persona")
# A reply's own message id and recipient are those of the mail that it is, unless nothing else is known of the message.
_OF_REPLY: Final = {
    "message_id": "message_id",
    "recipient": f"CASE WHEN {CAME_AS_MAIL} THEN json_extract_string(attributes, '$.from') ELSE recipient END",
}
_FIRSTS: Final = {
    "delivered_at": "kind IN ('delivered', 'opened', 'clicked', 'replied', 'complained', 'unsubscribed')",
    "opened_at": "kind = 'opened' AND is_machine IS NOT TRUE",
    "clicked_at": "kind = 'clicked' AND is_machine IS NOT TRUE",
    "replied_at": "kind = 'replied'",
    "bounced_at": "kind = 'bounced'",
    "complained_at": "kind = 'complained'",
    "unsubscribed_at": "kind = 'unsubscribed'",
    "queued_at": "kind = 'queued'",
}


def _folded(chosen: str = "true") -> str:
    smallest = (*_ENGAGED, "account_tier", "delivery_id", "provider", "recipient", "sender")
    dimensions = ", ".join(f"min({name}) AS {name}" for name in smallest if name not in _OF_REPLY)
    dimensions += "".join(
        f", coalesce(min(CASE WHEN kind <> 'replied' THEN {name} END), min({own})) AS {name}"
        for name, own in _OF_REPLY.items()
    )
    firsts = ", ".join(f"min(CASE WHEN {when} THEN occurred_at END) AS {name}" for name, when in _FIRSTS.items())
    return f"""(SELECT f.*, marks FROM (
        SELECT coalesce(linked, delivery) AS key, bit_or({flags_of_event()}) AS flags, {sent_time()} AS sent_at,
            {dimensions}, {firsts}, min(occurred_at) AS first_at, count(*) AS events,
            min({{'at': occurred_at, 'id': event_id}}).id AS event_id,
            min(CASE WHEN kind IN ('bounced', 'rejected', 'failed') THEN reason END) AS reason
        FROM {LINKED} WHERE delivery IS NOT NULL AND {chosen} GROUP BY key) f
        LEFT JOIN store.suspects s ON f.key = s.delivery)"""


_DELIVERY_KEY: Final = "concat_ws(chr(31), 'delivery', coalesce(provider, ''), message_id, coalesce(recipient, ''))"
_DELIVERY_ID: Final = (
    f"CASE WHEN delivery_id IS NOT NULL THEN {sql_external_id('delivery', 'delivery_id')} "
    f"ELSE {sql_uuid7('epoch_ms(first_at)', _DELIVERY_KEY)} END"
)
_BOUNCE: Final = " ".join(f"WHEN {has(f'bounced_{c}')} THEN '{c}'" for c in ("hard", "block", "soft"))

MESSAGE_DELIVERIES: Final = shaped(
    "message_deliveries",
    {
        **{name: name for name in (*_ENGAGED, "account_tier", "delivery_id", "provider", "recipient", "sender")},
        "contact_id": "f.contact_id",
        "recipient": "f.recipient",
        "persona": "coalesce(f.persona, c.persona)",
        "account_tier": "coalesce(f.account_tier, c.account_tier)",
        **{name: name for name in ("events", "event_id", *_FIRSTS) if name != "queued_at"},
        "recipient_domain": RECIPIENT_DOMAIN.replace("recipient", "f.recipient"),
        "id": _DELIVERY_ID.replace("recipient", "f.recipient"),
        "campaign_execution_id": sql_external_id("campaign", "campaign_id"),
        "scheduled_send_time": "queued_at",
        "actual_send_time": f"CASE WHEN {has(*IS_SENT)} THEN sent_at END",
        "delivery_status": status(),
        "delivery_metadata": """json_object('provider', provider, 'message_id', message_id, 'delivery_id', delivery_id,
            'reason', reason)""",
        "created_at": "first_at",
        "bounce_class": f"CASE {_BOUNCE} END",
        "machine_suspect": "marks IS NOT NULL",
        "machine_reason": reason("marks"),
    },
    f"{_folded()} f LEFT JOIN contacts c USING (contact_id)",
)

_REPLIED_KEYS: Final = f"SELECT coalesce(linked, delivery) FROM {LINKED} WHERE kind = 'replied'"
REPLY_KEY: Final = "concat_ws(chr(31), 'reply', coalesce(e.provider, ''), e.event_id, coalesce(e.recipient, ''))"
_OF_FACTS: Final = frozenset({"id", "event_id", "provider", "recipient", "created_at"})
RESPONSE_INTELLIGENCE: Final = shaped(
    "response_intelligence",
    {
        "id": sql_uuid7("epoch_ms(e.occurred_at)", REPLY_KEY),
        "message_delivery_id": "d.id",
        "response_text": "coalesce(r.text, e.reason)",
        "response_timestamp": "e.occurred_at",
        "response_channel": """CASE WHEN e.channel = 'email' THEN 'email' WHEN e.channel = 'phone' THEN 'phone'
            WHEN e.channel LIKE 'linkedin%' THEN 'linkedin' ELSE 'other' END""",
        **{name: f"said.{name}" for name in READ_COLUMNS - _OF_FACTS},
        "auto_response_sent": "coalesce(said.auto_response_sent, false)",
        "human_takeover_requested": "coalesce(said.human_takeover_requested, false)",
        "resolution_status": "coalesce(said.resolution_status, 'pending')",
        "contact_id": "coalesce(said.contact_id, e.contact_id, d.contact_id)",
        "created_at": "e.occurred_at",
        "delivery_id": "coalesce(e.delivery_id, d.delivery_id)",
        "campaign_id": "coalesce(e.campaign_id, d.campaign_id)",
        "provider": "e.provider",
        "recipient": "coalesce(d.recipient, e.recipient)",
        "sender": "coalesce(e.sender, d.sender)",
        "event_id": "e.event_id",
    },
    f"""(SELECT *, coalesce(linked, delivery) AS key FROM {LINKED} WHERE kind = 'replied') e
    LEFT JOIN LATERAL (
        SELECT w.text FROM store.replies w
        WHERE w.event_id = e.event_id AND (w.provider = e.provider OR w.provider IS NULL)
            AND (w.recipient = e.recipient OR w.recipient IS NULL)
        ORDER BY w.provider IS NULL, w.recipient IS NULL, w.seq, w.text LIMIT 1) r ON true
    LEFT JOIN (SELECT * FROM store.readings QUALIFY row_number() OVER (
        PARTITION BY event_id, provider, recipient ORDER BY {LATEST_READING} DESC) = 1) said
        ON said.event_id = e.event_id AND said.provider IS NOT DISTINCT FROM e.provider
        AND said.recipient IS NOT DISTINCT FROM e.recipient
    LEFT JOIN (SELECT *, {_DELIVERY_ID} AS id FROM {_folded(f"coalesce(linked, delivery) IN ({_REPLIED_KEYS})")}) d
        ON d.key = e.key""",
)
