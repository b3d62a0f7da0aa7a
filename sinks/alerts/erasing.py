"""Takes a person who is forgotten out of what was told to people, and nothing else: how far each message got stays."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from eventlog.erasing import erase_unused, truncate_wal
from features.forgetting import Forgetting
from schemas.failures import HomeError
from sinks.alerts.notices import Notice
from sinks.alerts.outbox import FILE
from sinks.alerts.pacing import Memory

_PLACES: Final = (
    ("sendings", "notice", ("number",)),
    ("sendings", "scope", ("number",)),
    ("messages", "fault", ("number",)),
    ("memories", "memory", ("target",)),
    ("stopped", "scope", ("scope", "target")),
)
"""Table, column that may name a person, and the columns that tell its rows apart."""


def forget_in_alerts(home: Path, forgetting: Forgetting) -> int:
    """Takes a person out of the file of alerts, if there is one; how many cells were changed.

    Raises:
        HomeError: the file cannot be changed; doing it again goes on.
    """
    path = home / FILE
    if not path.exists():
        return 0
    changes: dict[str, Callable[[str], str]] = {
        "notice": lambda told: _notice(forgetting, told),
        "memory": lambda told: _memory(forgetting, told),
        "scope": forgetting.scope_text,
        "fault": forgetting.text,
    }
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("BEGIN IMMEDIATE")
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            count = sum(
                _cells(connection, table, column, key, changes[column])
                for table, column, key in _PLACES
                if table in tables
            )
            connection.execute("COMMIT")
            erase_unused(connection)
            is_cut = truncate_wal(connection)
    except sqlite3.Error as error:
        raise HomeError(f"{path} cannot be changed: {error}; call again") from None
    if not is_cut:
        raise HomeError(f"{path}-wal could not be cut, somebody reads it all the time; call again")
    return count


def _cells(
    connection: sqlite3.Connection, table: str, column: str, key: tuple[str, ...], change: Callable[[str], str]
) -> int:
    """Changes what a column says, and no other column."""
    rows = connection.execute(f"SELECT {column}, {', '.join(key)} FROM {table} WHERE {column} IS NOT NULL").fetchall()
    changed = 0
    for told, *names in rows:
        text = told.decode("utf-8", "surrogateescape") if isinstance(told, bytes) else str(told)
        made = change(text)
        if made == text:
            continue
        changed += 1
        value = made.encode("utf-8", "surrogateescape") if isinstance(told, bytes) else made
        where = " AND ".join(f"{name} = ?" for name in key)
        connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", (value, *names))
    return changed


def _notice(forgetting: Forgetting, told: str) -> str:
    try:
        notice = msgspec.json.decode(told, type=Notice)
    except msgspec.DecodeError:
        return forgetting.text(told)
    title, body, scope = (
        forgetting.text(notice.title),
        forgetting.text(notice.body),
        forgetting.scope_text(notice.scope),
    )
    made = msgspec.structs.replace(notice, title=title, body=body, scope=scope)
    return told if made == notice else msgspec.json.encode(made).decode()


def _memory(forgetting: Forgetting, told: str) -> str:
    try:
        memory = msgspec.json.decode(told, type=Memory)
    except msgspec.DecodeError:
        return forgetting.text(told)
    made = {forgetting.scope_text(scope): kinds for scope, kinds in memory.told.items()}
    return told if made == memory.told else msgspec.json.encode(msgspec.structs.replace(memory, told=made)).decode()
