"""`outpulse serve-sql`: the lake for BI tools by PostgreSQL's protocol, on this machine, read-only, with a password.

The protocol is pg-mimic's; each statement runs in a process of its own (`sinks.console`) and is stopped when it takes too
long or grows too large. Questions about tables and columns (information_schema, pg_catalog) are answered from the schemas.
"""

import asyncio
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from pg_mimic import (
    PgServer,
    Portal,
    ResultColumn,
    ScramSha256AuthPlugin,
    Session,
    Statement,
    StaticStatement,
    connection,
)
from pg_mimic import types as pg
from pg_mimic.auth import IdentityProvider
from pg_mimic.errors import PgError
from pg_mimic.middleware import asyncpg_typeinfo, resolve, set_show, transaction_control

from outpulse.home import Home
from outpulse.querying import ensure_lake
from outpulse.settings import SqlSettings
from outpulse.sql_catalog import LONGEST, Connected, Question, may_ask, question_in
from outpulse.sql_wire import CATALOG_TYPES, oid_of, parameters_in, rows_of, statements_in, with_values
from schemas.analyses import ANALYSES
from schemas.derive import columns
from schemas.failures import HomeError, LakeError, OutpulseError, QueryRefused, QueryStopped, QueryWrong
from schemas.tables import TABLES
from sinks.console import Console, Limits, Running

HOST: Final = "127.0.0.1"
PASSWORD_FILE: Final = "serve-sql.password"  # noqa: S105 - a name
_MOST_BYTES: Final = 512 * 2**20
"""Of one answer, as Arrow; texts of a million replies can be more than a tool or this process can hold."""
_STATES: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "SET", "SHOW"})
_LONGEST_STATE: Final = 2000
"""Characters of a statement about the connection's state; pg-mimic's patterns take long for many blanks."""
_PARSING_SECONDS: Final = 2.0
_MOST_TOLD: Final = 50_000
"""Rows of an answer about the catalogue."""
_WRONG, _NO_LAKE = "42000", "58000"
_VERSION: Final = "16.0 (Outpulse, DuckDB's dialect)"
"""Tools read the leading number to know what they may ask."""


class Result:
    """What a statement gave, all of it: what runs holds a process, and tools leave portals open."""

    def __init__(self, console: Console, query: str, most_rows: int, values: Sequence[Any] = ()) -> None:
        self._console = console
        self._query = query
        self._values = values
        self._most_rows = most_rows
        self._running: Running | None = None
        self._cancelled = False
        self.columns: list[ResultColumn] = []
        self.parts: list[Any] = []

    async def fetch(self) -> None:
        """Runs the statement; a cancelled task ends it.

        Raises:
            PgError: it is refused, fails, or takes too much.
        """
        try:
            await asyncio.to_thread(self._fetch)
        except asyncio.CancelledError:
            self._cancelled = True
            if self._running is not None:
                self._running.cancel()
            raise
        except LakeError as error:
            raise _told(error) from None

    def _fetch(self) -> None:
        rows = size = 0
        with self._console.start(self._query, self._values) as running:
            self._running = running
            if self._cancelled:
                return
            self.columns = [ResultColumn(name, oid_of(kind)) for name, kind in running.columns]
            for part in running.parts():
                rows, size = rows + part.num_rows, size + part.nbytes
                if rows > self._most_rows or size > _MOST_BYTES:
                    raise QueryStopped(f"the answer has more than {self._most_rows} rows or 512 MiB; ask for less")
                self.parts.append(part)


def _told(error: LakeError) -> PgError:
    """The error with PostgreSQL's code: insufficient privilege, cancelled, a mistake in the statement, or a system error."""
    code = {QueryRefused: "42501", QueryStopped: "57014", QueryWrong: _WRONG}.get(type(error), _NO_LAKE)
    return PgError(code, str(error))


class LakePortal(Portal):
    """A statement with its values, run when its columns or its rows are first asked for."""

    def __init__(self, session: "LakeSession", query: str) -> None:
        self._session = session
        self._query = query
        self._result: Result | None = None
        self._custom: Statement | None = None
        self._rows: Portal | None = None
        self._left: list[tuple[Any, ...]] = []
        self._part = 0

    async def columns(self) -> list[ResultColumn] | None:
        """Its columns; it runs for them."""
        if self._result is None and self._custom is None:
            # Only now: what answers questions about tables does not know parameters.
            self._custom = await self._session.customs(self._query, [])
            if self._custom is None:
                self._result = await self._session.fetch(self._query)
        if self._custom is not None:
            found: list[ResultColumn] | None = await self._custom.describe()
            return found
        return self._result.columns if self._result else None

    async def execute(self, max_rows: int) -> tuple[list[tuple[Any, ...]], bool]:
        """The next rows, at most `max_rows` where that is above 0, and whether there are more."""
        await self.columns()
        if self._custom is not None:
            self._rows = self._rows or self._custom.bind([])
            answered: tuple[list[tuple[Any, ...]], bool] = await self._rows.execute(max_rows)
            return answered
        found = self._result or Result(self._session.console, "", 0)
        oids = [column.oid for column in found.columns]
        while self._part < len(found.parts) and (max_rows <= 0 or len(self._left) <= max_rows):
            self._left += rows_of(found.parts[self._part], oids)
            self._part += 1
            await asyncio.sleep(0)  # other connections too
        cut = max_rows if max_rows > 0 else len(self._left)
        rows, self._left = self._left[:cut], self._left[cut:]
        return rows, bool(self._left)


class LakeStatement(Statement):
    """A statement for the lake. Its columns are those of its last use, else those it would have with nulls for values."""

    def __init__(self, session: "LakeSession", sql: str, param_oids: Sequence[int | None]) -> None:
        self.sql = sql
        self._session = session
        self._oids = [*param_oids, *[None] * (parameters_in(sql) - len(param_oids))]
        self.param_oids = [oid or pg.TEXT for oid in self._oids]
        self._portal: LakePortal | None = None
        self._is_fresh = False

    async def describe(self) -> list[ResultColumn] | None:
        """Its columns."""
        if self._portal is not None:
            return await self._portal.columns()
        text = with_values(self.sql, [None] * len(self._oids), self._oids)
        if not self._oids or await self._session.customs(text, []):
            self._portal, self._is_fresh = LakePortal(self._session, text), not self._oids
            return await self._portal.columns()
        described = await self._session.fetch(f"DESCRIBE {text}")
        rows = [row for part in described.parts for row in part.to_pylist()]
        return [ResultColumn(row["column_name"], oid_of(row["column_type"])) for row in rows]

    def bind(self, params: Sequence[Any]) -> Portal:
        """The statement with values."""
        if not (self._is_fresh and self._portal and not params):
            try:
                self._portal = LakePortal(self._session, with_values(self.sql, params, self._oids))
            except ValueError as error:
                raise PgError("22023", str(error)) from None
        self._is_fresh = False
        portal: Portal = self._portal
        return portal


class LakeSession(Session):
    """One connection."""

    def __init__(self, console: Console) -> None:
        self.console = console

    async def schema(self) -> dict[str, dict[str, str]]:
        """Tables and views with their columns, for questions about them."""
        views = {name: found.struct for name, found in ANALYSES.items() if found.struct and not found.is_macro}
        return {
            name: {c.name: CATALOG_TYPES.get(c.sql_type, "text") for c in columns(struct)}
            for name, struct in {**TABLES, **views}.items()
        }

    async def prepare(self, sql: str, param_oids: list[int | None]) -> Statement:
        """What answers a statement: the protocol's own customs, else the lake."""
        answered = None if parameters_in(sql) else await self.customs(sql, param_oids)
        return answered or LakeStatement(self, sql.strip().rstrip(";"), param_oids)

    async def customs(self, sql: str, param_oids: list[int | None]) -> Statement | None:
        """What is answered without the lake: transactions, SET and SHOW, questions about the connection and about tables."""
        # Of pg-mimic's answers these three alone: the others evaluate SQL as Python, see `outpulse.sql_catalog`.
        head = sql.lstrip()[:10].upper().split(None, 1)
        found: Statement | None = None
        if head and head[0].rstrip(";") in _STATES and len(sql) <= _LONGEST_STATE:
            told = " ".join(sql.split())
            found = await resolve(self._connection, told, param_oids, (transaction_control, set_show))
        elif len(sql) <= LONGEST:
            found = await resolve(self._connection, sql, param_oids, (asyncpg_typeinfo,))
        if found is not None or not may_ask(sql):
            return found
        me, schema = self._connected(), await self.schema()
        question = await _apart(lambda: question_in(sql, me, schema))
        return None if question is None else await self._answer(sql, question)

    def _connected(self) -> Connected:
        found = self._connection
        settings = {"timezone": "UTC", "search_path": '"$user", public', "standard_conforming_strings": "on"}
        settings |= found.server.parameter_status | found.session_vars
        return Connected(
            user=found.username,
            database=found.database,
            version=_VERSION,
            pid=found.pid,
            settings={name.lower(): value for name, value in settings.items()},
        )

    async def _answer(self, sql: str, question: Question) -> Statement | None:
        """The answer; no rows to a question about tables that DuckDB does not understand, as there is nothing to tell."""
        empty = [ResultColumn(name, pg.TEXT) for name in question.columns or []]
        try:
            found = await self.fetch(question.query, question.values, _MOST_TOLD) if question.query else None
        except PgError as error:
            if error.sqlstate != _WRONG:
                raise
            found = None
        if found is None:
            return StaticStatement(sql, empty, []) if empty else None
        columns = found.columns
        oids = [column.oid for column in columns]
        rows = await asyncio.to_thread(lambda: [row for part in found.parts for row in rows_of(part, oids)])
        return StaticStatement(sql, columns, rows, lambda: self._set(question.sets))

    def _set(self, settings: Mapping[str, str | None]) -> None:
        for name, value in settings.items():
            if value is None:
                self._connection.session_vars.pop(name, None)
            else:
                self._connection.session_vars[name] = value

    async def fetch(self, query: str, values: Sequence[Any] = (), most_rows: int | None = None) -> Result:
        """What a statement gives.

        Raises:
            PgError: it is refused, fails, or takes too much.
        """
        found = Result(self.console, query, most_rows or self.console.limits.rows, values)
        await found.fetch()
        return found


async def _apart(work: Callable[[], Question | None]) -> Question | None:
    """What a function gives in a thread of its own; None where that takes too long, as parsing what was made to may."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Question | None] = loop.create_future()

    def run() -> None:
        found = work()

        def tell() -> None:
            if not answer.done():
                answer.set_result(found)

        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, daemon=True).start()
    try:
        return await asyncio.wait_for(answer, _PARSING_SECONDS)
    except TimeoutError:
        return None


class OnePassword(IdentityProvider):
    """The same password for every name; pg-mimic lets unknown names in by an empty one."""

    def __init__(self, password: str) -> None:
        self._password = password

    async def get_password(self, username: str) -> str:  # noqa: ARG002 - pg-mimic's signature
        """The password."""
        return self._password


def password_of(home: Path, settings: SqlSettings) -> tuple[str, str]:
    """The password, and where it stands: the settings, or a file in the home that only its owner reads.

    Raises:
        HomeError: the file cannot be made or read.
    """
    if settings.password:
        return settings.password, "the setting [sql] password"
    path = home / PASSWORD_FILE
    try:
        with suppress(FileExistsError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(file, secrets.token_urlsafe(24).encode() + b"\n")
            os.close(file)
        found = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise HomeError(f"the password of serve-sql cannot be kept in {path}: {error.strerror}") from None
    if not found:
        raise HomeError(f"{path} is empty; remove it, and the next start makes a password")
    return found, str(path)


def run_sql_server(home: Home, *, port: int | None) -> int:
    """Serves until SIGINT or SIGTERM."""
    settings = home.settings.sql
    home.ensure()
    ensure_lake(home)
    for name in ("pg_mimic", "sqlglot"):  # they write wrong passwords' names, and statements, into the log
        logging.getLogger(name).setLevel(logging.CRITICAL)
    limits = Limits(seconds=settings.seconds, memory_mib=settings.memory_mib, rows=settings.rows)
    with Console(home.path, limits, most=settings.statements) as console:
        asyncio.run(_serve(console, settings.port if port is None else port, *password_of(home.path, settings)))
    return 0


# pg-mimic takes a text apart by parsing it with sqlglot on the event loop, which a few nested brackets make take hours.
connection.split_statements = statements_in


async def _serve(console: Console, port: int, password: str, where: str) -> None:
    server = PgServer(
        session_factory=lambda: LakeSession(console),
        auth_plugin_factory=lambda _: ScramSha256AuthPlugin(),
        identity_provider=OnePassword(password),
        server_version=_VERSION,
    )
    try:
        await server.start_server(host=HOST, port=port)
    except OSError as error:
        raise OutpulseError(
            f"port {port} of {HOST} cannot be used: {error.strerror}; choose another with --port"
        ) from None
    taken = server.sockets()[0].getsockname()[1]
    click.echo(f"serving the lake: host={HOST} port={taken} user=analyst dbname=lake, the password is in {where}")
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await stopped.wait()
    server.close()
