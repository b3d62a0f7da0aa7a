"""meeting_bookings as a view: what events tell of each meeting, in any order.

A meeting is named by the attribute `meeting_id` of its events and their provider; without one the delivery it came of is
its name. Of `scheduled_datetime`, duration and type the newest event that tells counts, so that a new date corrects the old
one. A meeting that was held stays completed; else its newest event tells what became of it. The reply that led to it is the
newest one of its delivery before the booking.
"""

from typing import Final

from schemas.identifiers import sql_uuid7
from schemas.tables import MeetingType
from sinks.deliveries_view import REPLY_KEY
from sinks.shapes import shaped
from sinks.store import LINKED

_KINDS: Final = ("meeting_booked", "meeting_confirmed", "meeting_no_show", "meeting_cancelled", "meeting_held")
"""Of two at one instant the later in this list counts."""
_STATUS: Final = {
    "meeting_booked": "scheduled",
    "meeting_confirmed": "confirmed",
    "meeting_no_show": "no_show",
    "meeting_cancelled": "cancelled",
    "meeting_held": "completed",
}
_STARTS: Final = ("scheduled_datetime", "scheduled_for", "scheduled_at", "start_time", "starts_at")
_MINUTES: Final = ("meeting_duration", "duration_minutes", "duration", "minutes")
_TYPES: Final = ("meeting_type", "type")


def _told(names: tuple[str, ...]) -> str:
    """SQL: the first of some attributes that an event has."""
    return "coalesce(" + ", ".join(f"json_extract_string(attributes, '$.{name}')" for name in names) + ")"


_RANK: Final = " ".join(f"WHEN '{kind}' THEN {rank}" for rank, kind in enumerate(_KINDS))
_PLACE: Final = f"{{'at': occurred_at, 'rank': CASE kind {_RANK} ELSE -1 END, 'id': event_id}}"
# Tools tell a start as RFC 3339 or as seconds since 1970, some in milliseconds.
_NUMBER: Final = "TRY_CAST(starts AS BIGINT)"
_START: Final = f"""CASE WHEN {_NUMBER} IS NULL THEN TRY_CAST(starts AS TIMESTAMPTZ)
    WHEN {_NUMBER} BETWEEN 0 AND 9999999999 THEN make_timestamptz({_NUMBER} * 1000000)
    WHEN {_NUMBER} BETWEEN 0 AND 9999999999999 THEN make_timestamptz({_NUMBER} * 1000) END"""
_CASES: Final = " ".join(f"WHEN '{kind}' THEN '{status}'" for kind, status in _STATUS.items())
_ALLOWED: Final = ", ".join(f"'{one.value}'" for one in MeetingType)
_LISTED: Final = ", ".join(f"'{kind}'" for kind in _KINDS)
_MEETING_KEY: Final = "concat_ws(chr(31), 'meeting', coalesce(m.provider, ''), m.name)"

MEETING_BOOKINGS: Final = shaped(
    "meeting_bookings",
    {
        "id": sql_uuid7("epoch_ms(m.created_at)", _MEETING_KEY),
        "response_intelligence_id": "r.id",
        "contact_id": "coalesce(m.contact_id, d.contact_id)",
        "meeting_type": f"CASE WHEN m.meeting_type IN ({_ALLOWED}) THEN m.meeting_type END",
        "scheduled_datetime": "m.starts_at",
        "meeting_duration": "m.minutes",
        "meeting_status": f"CASE WHEN m.held_at IS NOT NULL THEN 'completed' ELSE CASE m.last_kind {_CASES} END END",
        "calendar_integration_id": "m.meeting_id",
        "meeting_outcome": """CASE WHEN coalesce(m.held_at, m.no_show_at, m.cancelled_at) IS NOT NULL THEN
            json_object('held_at', m.held_at, 'no_show_at', m.no_show_at, 'cancelled_at', m.cancelled_at) END""",
        "opportunity_created": "m.has_opportunity OR coalesce(o.has_opportunity, false)",
        "created_at": "m.created_at",
    },
    f"""(
        WITH told AS (
            SELECT coalesce(linked, delivery) AS key, provider, event_id, kind, occurred_at, contact_id, recipient,
                json_extract_string(attributes, '$.meeting_id') AS meeting_id,
                {_told(_STARTS)} AS starts, TRY_CAST({_told(_MINUTES)} AS DOUBLE) AS minutes,
                replace(lower({_told(_TYPES)}), ' ', '_') AS meeting_type
            FROM {LINKED} WHERE kind IN ({_LISTED}, 'opportunity_created'))
        SELECT provider, coalesce(meeting_id, key::VARCHAR, event_id) AS name, min(meeting_id) AS meeting_id,
            min(key) AS key, min(contact_id) AS contact_id,
            min(occurred_at) FILTER (kind IN ({_LISTED})) AS created_at,
            min(occurred_at) FILTER (kind = 'meeting_booked') AS booked_at,
            min(occurred_at) FILTER (kind = 'meeting_held') AS held_at,
            min(occurred_at) FILTER (kind = 'meeting_no_show') AS no_show_at,
            min(occurred_at) FILTER (kind = 'meeting_cancelled') AS cancelled_at,
            bool_or(kind = 'opportunity_created') AS has_opportunity,
            arg_max(kind, {_PLACE}) FILTER (kind IN ({_LISTED})) AS last_kind,
            arg_max({_START}, {_PLACE}) FILTER (({_START}) IS NOT NULL) AS starts_at,
            arg_max(minutes, {_PLACE}) FILTER (minutes BETWEEN 0 AND 1e6) AS minutes,
            arg_max(meeting_type, {_PLACE}) FILTER (meeting_type IS NOT NULL) AS meeting_type
        FROM told GROUP BY 1, 2 HAVING bool_or(kind IN ({_LISTED}))) m
    LEFT JOIN (
        SELECT coalesce(linked, delivery) AS key, true AS has_opportunity FROM {LINKED}
        WHERE kind = 'opportunity_created' AND json_extract_string(attributes, '$.meeting_id') IS NULL GROUP BY 1) o
        ON o.key = m.key
    LEFT JOIN (
        SELECT coalesce(linked, delivery) AS key, min(contact_id) AS contact_id FROM {LINKED}
        WHERE contact_id IS NOT NULL AND delivery IN (SELECT delivery FROM store.facts WHERE kind IN ({_LISTED}))
        GROUP BY 1) d ON d.key = m.key
    LEFT JOIN LATERAL (
        SELECT {sql_uuid7("epoch_ms(e.occurred_at)", REPLY_KEY)} AS id FROM (
            SELECT *, coalesce(linked, delivery) AS key FROM {LINKED} WHERE kind = 'replied') e
        WHERE e.key = m.key AND e.occurred_at <= coalesce(m.booked_at, m.created_at)
        ORDER BY e.occurred_at DESC, e.event_id LIMIT 1) r ON true""",
)
