"""Which of our messages a reply answers, looked up in the lake: whom it was sent to, and what is known of them.

The rules are those of `sinks.links`, for one reply at once: its delivery's id, else the ids that its headers name, else the
newest earlier message to the address that wrote.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from features.columns import ADDRESS_HASH, MAIL_HASH
from schemas.events import Event
from schemas.failures import LakeError, OutpulseError
from sinks.attach import connect

_RETRY_SECONDS: Final = 10.0
_MOST_IDS: Final = 10
"""Ids that are looked up: the first ones are those of the newest messages."""
_KNOWN: Final = "recipient, min(contact_id), min(campaign_id), min(account_tier), min(persona)"
_BY_DELIVERY: Final = f"""
    SELECT delivery_id, {_KNOWN} FROM store.facts
    WHERE kind <> 'replied' AND recipient IS NOT NULL AND delivery IN (
        SELECT hash('d', id) FROM (SELECT unnest(?::VARCHAR[]) AS id)) AND delivery_id IS NOT NULL
    GROUP BY delivery_id, recipient ORDER BY delivery_id, recipient"""
_BY_MAIL: Final = f"""
    SELECT {_KNOWN} FROM store.facts
    WHERE kind <> 'replied' AND recipient IS NOT NULL AND mail IN (
        SELECT {MAIL_HASH.format("id")} FROM (SELECT unnest(?::VARCHAR[]) AS id))
    GROUP BY recipient ORDER BY recipient"""
_BY_ADDRESS: Final = f"""
    SELECT recipient, contact_id, campaign_id, account_tier, persona, occurred_at
    FROM store.facts WHERE kind <> 'replied' AND address = {ADDRESS_HASH.format("?")} AND occurred_at <= ?::TIMESTAMPTZ
    ORDER BY occurred_at DESC, event_id LIMIT 1"""


class Answered(NamedTuple):
    """A message of ours: whom it was sent to, and what its events say of them."""

    recipient: str
    contact_id: str | None
    campaign_id: str | None
    account_tier: str | None
    persona: str | None


class AnsweredMessages:
    """Looks messages up; without a lake, or while it cannot be read, it finds nothing."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._tried_at = float("-inf")

    def of(self, events: Sequence[Event]) -> list[Answered | None]:
        """The message that each replied event answers, where exactly one fits; one look for all that name a delivery."""
        try:
            connection = self.connection()
            if connection is None:
                return [None] * len(events)
            ids = sorted({event.delivery_id for event in events if event.delivery_id})
            named: dict[str, list[tuple[object, ...]]] = {}
            for name, *row in connection.execute(_BY_DELIVERY, [ids]).fetchall() if ids else ():
                named.setdefault(name, []).append(tuple(row))
            return [
                _lone(named.get(event.delivery_id, ()), _author(event))
                if event.delivery_id
                else _find(connection, event)
                for event in events
            ]
        except (duckdb.Error, OutpulseError):
            self.close()
            return [None] * len(events)

    def close(self) -> None:
        """Lets go of the lake."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connection(self) -> duckdb.DuckDBPyConnection | None:
        """The lake, None while there is none."""
        if self._connection is None and time.monotonic() - self._tried_at > _RETRY_SECONDS:
            self._tried_at = time.monotonic()
            try:
                self._connection = connect(self._home, read_only=True, memory_limit="200MB", threads=1)
            except LakeError:
                return None
        return self._connection


def _find(connection: duckdb.DuckDBPyConnection, event: Event) -> Answered | None:
    """The message that a mail answers."""
    wrote = _author(event)
    for ids in _ids(event):
        if found := _lone(connection.execute(_BY_MAIL, [ids]).fetchall(), wrote):
            return found
    if not wrote:
        return None
    return _lone(connection.execute(_BY_ADDRESS, [wrote, event.occurred_at]).fetchall(), wrote)


def _author(event: Event) -> str:
    return (event.attributes or {}).get("from", "").strip().lower()


def _lone(rows: Sequence[tuple[object, ...]], wrote: str) -> Answered | None:
    """The message to the address that wrote, else the only one."""
    found = [Answered(*row[:5]) for row in rows]  # type: ignore[arg-type] # as the columns of facts are
    same = [one for one in found if one.recipient.lower() == wrote]
    if same:
        return same[0]
    return found[0] if len(found) == 1 else None


def _ids(event: Event) -> list[list[str]]:
    """The ids of messages that a reply names: what it answers, then the thread, the last first."""
    told = event.attributes or {}
    answered = [event.message_id or "", told.get("original_message_id", ""), *told.get("in_reply_to", "").split()[:1]]
    thread = list(reversed(told.get("references", "").split()))
    groups = [[one.strip("<>, ") for one in group][:_MOST_IDS] for group in (answered, thread)]
    return [[one for one in group if one] for group in groups if any(group)]
