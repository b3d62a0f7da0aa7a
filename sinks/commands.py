"""Lands commands of the control stream: decisions about scopes in `pauses`, people in `suppressions`.

Each command once, by its id, in the order of the log; what `control.state` folds from the stream, the tables show.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import duckdb
import msgspec
import pyarrow as pa

from control.commands import ABOUT_PEOPLE
from control.state import fold
from schemas.derive import arrow_table
from schemas.events import Command, CommandAction
from schemas.identifiers import external_id
from schemas.records import Pause, PauseAction, Suppression

PlacedCommand = tuple[int, Command]
"""A canonical command with its offset."""

_IDS: Final = pa.schema([("id", pa.uuid()), ("control_offset", pa.int64())])
_REMOVAL: Final = """
    DELETE FROM suppressions WHERE
        contact_id IN (SELECT contact_id FROM removing WHERE contact_id IS NOT NULL AND channel = 'all')
        OR recipient IN (SELECT recipient FROM removing WHERE recipient IS NOT NULL AND channel = 'all')
        OR (contact_id, scope) IN (SELECT (contact_id, channel) FROM removing WHERE contact_id IS NOT NULL)
        OR (recipient, scope) IN (SELECT (recipient, channel) FROM removing WHERE recipient IS NOT NULL)"""
_ADDITION: Final = """
    INSERT INTO suppressions BY NAME SELECT * FROM adding n WHERE NOT EXISTS (
        SELECT 1 FROM suppressions s WHERE s.scope = n.scope
            AND s.contact_id IS NOT DISTINCT FROM n.contact_id AND s.recipient IS NOT DISTINCT FROM n.recipient)"""


def land_commands(connection: duckdb.DuckDBPyConnection, commands: Sequence[PlacedCommand]) -> None:
    """Writes what a chunk's commands change, inside an open transaction; those that have landed before change nothing."""
    fresh = _unseen(connection, commands)
    if not fresh:
        return
    decisions = [pause_row(offset, c) for offset, c in fresh.values() if c.action not in ABOUT_PEOPLE]
    if decisions:
        with_rows(
            connection,
            "landing",
            arrow_table(Pause, decisions),
            "DELETE FROM pauses WHERE id IN (SELECT id FROM landing)",  # a replay came to the same decision before
            "INSERT INTO pauses BY NAME SELECT * FROM landing",
        )
    _change_suppressions(connection, [placed for placed in fresh.values() if placed[1].action in ABOUT_PEOPLE])


def pause_row(offset: int | None, command: Command) -> Pause:
    """The row of table `pauses` of a decision about a scope."""
    return Pause(
        id=external_id("command", command.id),
        action=PauseAction(command.action),
        send_share=command.send_share,
        scope_kind=command.scope_kind,
        scope_value=command.scope_value,
        rule=command.rule,
        metric=command.metric,
        observed_rate=command.observed_rate,
        tolerance=command.tolerance,
        evidence=command.evidence,
        trials=command.trials,
        hits=command.hits,
        caused_by=command.caused_by,
        occurred_at=datetime.fromisoformat(command.occurred_at),
        decided_at=datetime.fromisoformat(command.decided_at or command.occurred_at),
        decided_by=command.decided_by,
        why=command.why,
        control_offset=offset,
        detector=command.detector,
        until=datetime.fromisoformat(command.until) if command.until else None,
    )


def with_rows(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    rows: Any,  # noqa: ANN401 - pyarrow has no types
    *statements: str,
) -> list[tuple[Any, ...]]:
    """Runs statements that may read an Arrow table by a name; returns the last one's rows."""
    connection.register(name, rows)
    try:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall()
    finally:
        connection.unregister(name)


def _unseen(connection: duckdb.DuckDBPyConnection, commands: Sequence[PlacedCommand]) -> dict[UUID, PlacedCommand]:
    """The commands that have not landed, by their ids; of two with one id the first. Notes that they have now."""
    fresh: dict[UUID, PlacedCommand] = {}
    for offset, command in commands:
        fresh.setdefault(external_id("command", command.id), (offset, command))
    if not fresh:
        return {}
    known = with_rows(
        connection,
        "landing",
        _ids_of(fresh),
        "SELECT id FROM store.commands WHERE id IN (SELECT id FROM landing)",
    )
    for (name,) in known:
        del fresh[name]
    with_rows(connection, "landing", _ids_of(fresh), "INSERT INTO store.commands SELECT * FROM landing")
    return fresh


def _ids_of(commands: dict[UUID, PlacedCommand]) -> Any:  # noqa: ANN401 - pyarrow has no types
    rows = [{"id": name.bytes, "control_offset": offset} for name, (offset, _) in commands.items()]
    return pa.Table.from_pylist(rows, schema=_IDS)


def _change_suppressions(connection: duckdb.DuckDBPyConnection, commands: Sequence[PlacedCommand]) -> None:
    """Takes away what the commands end of what stood before them, and adds what stands after the last of them."""
    ended = [c for _, c in commands if c.action is CommandAction.UNSUPPRESS]
    if ended:
        named = ("contact_id", "recipient", "channel")
        columns = {name: pa.array([getattr(c, name) or None for c in ended], pa.string()) for name in named}
        with_rows(connection, "removing", pa.table(columns), _REMOVAL)
    added = [
        Suppression(**(msgspec.structs.asdict(one) | {"since": datetime.fromisoformat(one.since)}))
        for one in fold(commands).suppressions()
    ]
    if added:
        with_rows(connection, "adding", arrow_table(Suppression, added), _ADDITION)
