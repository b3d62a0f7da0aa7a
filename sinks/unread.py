"""Replies that came by files: they lie in the lake and not in the log, and are read when nothing else waits."""

from typing import Any, Final

import duckdb
import msgspec

from schemas.events import EVENT_FIELDS, Event, Origin, Reply
from schemas.instants import from_epoch_ms

Place = tuple[int, str, str, str]
"""Where the reading of history goes on: behind a commit, an event's id, provider and recipient."""
START: Final[Place] = (0, "", "", "")
_TIMES: Final = ("occurred_at", "received_at")
_QUERY: Final = f"""
    SELECT f.seq, {", ".join(f"f.{name}" for name in EVENT_FIELDS)}, r.text, r.subject, r.headers FROM (
        SELECT seq, {", ".join(f"epoch_ms({f}) AS {f}" if f in _TIMES else f for f in EVENT_FIELDS)}
        FROM store.facts WHERE kind = 'replied' AND origin = '{Origin.REPLAY}' AND seq >= ?
            AND (seq, event_id, coalesce(provider, ''), coalesce(recipient, '')) > (?, ?, ?, ?)
        ORDER BY seq, event_id, coalesce(provider, ''), coalesce(recipient, '') LIMIT ?) f
    LEFT JOIN LATERAL (
        SELECT w.text, w.subject, w.headers FROM store.replies w
        WHERE w.event_id = f.event_id AND (w.provider = f.provider OR w.provider IS NULL)
            AND (w.recipient = f.recipient OR w.recipient IS NULL)
        ORDER BY w.provider IS NULL, w.recipient IS NULL, w.seq, w.text LIMIT 1) r ON true
    ORDER BY f.seq, f.event_id, coalesce(f.provider, ''), coalesce(f.recipient, '')"""


def unread(
    connection: duckdb.DuckDBPyConnection | None, place: Place, limit: int
) -> list[tuple[Place, Event, Reply | None]]:
    """The next replies of files behind a place, with where the reading goes on after each; none without a lake."""
    if connection is None:
        return []
    try:
        rows = connection.execute(_QUERY, [place[0], *place, limit]).fetchall()
    except duckdb.Error:
        return []
    return [_found(row) for row in rows]


def _found(row: tuple[Any, ...]) -> tuple[Place, Event, Reply | None]:
    seq, *values, text, subject, headers = row
    told = dict(zip(EVENT_FIELDS, values, strict=True))
    for name in _TIMES:
        told[name] = None if told[name] is None else from_epoch_ms(told[name])
    told["attributes"] = msgspec.json.decode(told["attributes"]) if told["attributes"] else None
    event = msgspec.convert(told, Event)
    reply = None
    if text is not None or subject is not None:
        reply = Reply(
            event_id=event.event_id,
            text=text or "",
            subject=subject,
            headers=msgspec.json.decode(headers) if headers else None,
            provider=event.provider,
            recipient=event.recipient,
            origin=Origin.REPLAY,
        )
    return (seq, event.event_id, event.provider or "", event.recipient or ""), event, reply
