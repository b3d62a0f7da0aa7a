"""Finds the facts of an export that the lake has already under the id of a webhook.

Some exports have no ids of events (see `docs/channels.md`). Such an event gets the id and the time of the fact that the
lake holds of the same message, recipient and kind: so it is known as a copy, and counted once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import msgspec
import pyarrow as pa

from adapters.facts import fact_id
from schemas.events import Event, Kind
from schemas.failures import OutpulseError
from schemas.instants import from_epoch_ms, parse_ms
from sinks.attach import connect

_DAY_MS: Final = 86_400_000
ONCE: Final = frozenset(
    {
        Kind.QUEUED,
        Kind.SENT,
        Kind.DELIVERED,
        Kind.BOUNCED,
        Kind.REJECTED,
        Kind.FAILED,
        Kind.COMPLAINED,
        Kind.UNSUBSCRIBED,
    }
)
"""What happens to a message and recipient once: known by these, whatever the export has rounded its time to."""
_BATCH: Final = pa.schema(
    [
        ("place", pa.int64()),
        ("kind", pa.string()),
        ("message_id", pa.string()),
        ("recipient", pa.string()),
        ("url", pa.string()),
        ("second", pa.int64()),
        ("once", pa.bool_()),
    ]
)
_SQL: Final = """
    SELECT place, arg_min(f.event_id, f.seq), arg_min(epoch_ms(f.occurred_at), f.seq)
    FROM batch b JOIN (
        SELECT seq, event_id, kind, message_id, recipient, url, occurred_at FROM store.facts
        WHERE provider = $provider AND occurred_at BETWEEN make_timestamptz($first * 1000) AND make_timestamptz($last * 1000)
    ) f ON f.kind = b.kind AND f.recipient = b.recipient AND {same_message}
        AND ({once} (epoch_ms(f.occurred_at) // 1000 = b.second AND f.url IS NOT DISTINCT FROM b.url))
    GROUP BY place"""
_BY_MESSAGE: Final = _SQL.format(same_message="f.message_id = b.message_id", once="b.once OR")
_BY_RECIPIENT: Final = _SQL.format(same_message="b.message_id IS NULL", once="")


class KnownFacts:
    """The lake's facts of one provider; with `states_only` an event is known by message and kind alone."""

    def __init__(self, home: Path, provider: str, *, states_only: bool = False) -> None:
        self._provider = provider
        self._states_only = states_only
        self._connection: duckdb.DuckDBPyConnection | None = None
        try:
            connection = connect(home, read_only=True, memory_limit="300MB", threads=1)
        except OutpulseError:  # no lake yet: nothing is known
            return
        if connection.execute("SELECT 1 FROM store.facts WHERE provider = ? LIMIT 1", [provider]).fetchone():
            self._connection = connection
        else:
            connection.close()

    def close(self) -> None:
        """Lets the lake go."""
        if self._connection is not None:
            self._connection.close()

    def named(self, events: Sequence[Event]) -> list[Event]:
        """The events in order, those without an id of the provider's under the id and time of the fact that is known."""
        found = list(events)
        if self._connection is None:
            return found
        wanted = [place for place, event in enumerate(events) if event.recipient and _is_made(event)]
        for sql, chosen in (
            (_BY_MESSAGE, [place for place in wanted if events[place].message_id]),
            (_BY_RECIPIENT, [place for place in wanted if not events[place].message_id]),
        ):
            for place, event_id, at_ms in self._known(self._connection, sql, events, chosen):
                found[place] = msgspec.structs.replace(
                    events[place], event_id=event_id, occurred_at=from_epoch_ms(at_ms)
                )
        return found

    def _known(
        self, connection: duckdb.DuckDBPyConnection, sql: str, events: Sequence[Event], places: Sequence[int]
    ) -> list[tuple[int, str, int]]:
        if not places:
            return []
        times = [parse_ms(events[place].occurred_at) for place in places]
        columns = [
            places,
            [events[place].kind.value for place in places],
            [events[place].message_id for place in places],
            [events[place].recipient for place in places],
            [events[place].url for place in places],
            [at_ms // 1000 for at_ms in times],
            [self._states_only or events[place].kind in ONCE for place in places],
        ]
        batch = pa.Table.from_arrays(
            [pa.array(values, field.type) for values, field in zip(columns, _BATCH, strict=True)], schema=_BATCH
        )
        # What a state is dated by lies before the event itself, by weeks for an open.
        ahead = 400 if self._states_only else 1
        limits = {"first": min(times) - _DAY_MS, "last": max(times) + ahead * _DAY_MS}
        connection.register("batch", batch)
        try:
            return connection.execute(sql, {"provider": self._provider, **limits}).fetchall()
        finally:
            connection.unregister("batch")


def _is_made(event: Event) -> bool:
    """Whether the id was made of the fact's parts, since the export has none."""
    if len(event.event_id) != 32:  # as `fact_id` has it
        return False
    made = fact_id(
        event.provider or "",
        kind=event.kind,
        message_id=event.message_id,
        recipient=event.recipient,
        occurred_at=event.occurred_at,
        url=event.url,
    )
    return event.event_id == made
