"""What tools ask about a connection and about its tables, as statements for the lake's own process.

pg-mimic would answer them itself, by sqlglot's executor: that turns SQL into Python and evaluates it, so whoever may ask could
run anything. Here they are rewritten, and DuckDB runs them locked down and limited like every other statement.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlglot
from pg_mimic import types as pg
from pg_mimic.catalog import pg_type_by_oid
from pg_mimic.catalog_data import DECLARED_TYPE_OIDS, PG_CATALOG_SCHEMA
from pg_mimic.catalog_rewrite import rewrite_for_executor
from sqlglot import exp

LONGEST: Final = 20_000
"""Characters of a question: tools write some thousand."""
_DEEPEST: Final = 5
"""Square brackets in each other: sqlglot takes three times as long for each more."""
_MAY_ASK: Final = re.compile(r"information_schema|\bpg_|current_|session_user|version\s*\(|set_config", re.IGNORECASE)
_PUBLIC, _CATALOG, _OWNER, _HEAP, _FIRST = 2200, 11, 10, 2, 16384
"""Numbers of the schemas, the owner, the way of storing, and the first table, as PostgreSQL has them."""
_TYPES: Final = {"INT": "BIGINT", "TEXT": "VARCHAR", "BOOLEAN": "BOOLEAN"}
_INFORMATION: Final = {
    "schemata": {"catalog_name": "TEXT", "schema_name": "TEXT", "schema_owner": "TEXT"},
    "tables": {"table_catalog": "TEXT", "table_schema": "TEXT", "table_name": "TEXT", "table_type": "TEXT"},
    "columns": {
        "table_catalog": "TEXT",
        "table_schema": "TEXT",
        "table_name": "TEXT",
        "column_name": "TEXT",
        "ordinal_position": "INT",
        "data_type": "TEXT",
        "is_nullable": "TEXT",
    },
}
_OTHERS: Final = {
    "pg_database": {"oid": "INT", "datname": "TEXT", "datallowconn": "BOOLEAN", "datistemplate": "BOOLEAN"}
}
_COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {**PG_CATALOG_SCHEMA["pg_catalog"], **_OTHERS, **_INFORMATION}

Schema = Mapping[str, Mapping[str, str]]
"""Tables, and of each its columns with their types by PostgreSQL's names."""


@dataclass(frozen=True)
class Connected:
    """What a connection knows of itself."""

    user: str
    database: str
    version: str
    pid: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """A statement for DuckDB, "" where there is nothing to tell; `columns` are then those of the empty answer."""

    query: str
    values: list[str] = field(default_factory=list)
    columns: list[str] | None = None
    sets: dict[str, str | None] = field(default_factory=dict)


def may_ask(sql: str) -> bool:
    """Whether a statement may hold a question, by its words alone; most hold none, and need not be parsed."""
    return len(sql) <= LONGEST and _MAY_ASK.search(sql) is not None and _depth(sql) <= _DEEPEST


def question_in(sql: str, me: Connected, schema: Schema) -> Question | None:
    """The question of a statement that `may_ask`; None where it asks neither about the connection nor about tables."""
    try:
        tree = sqlglot.parse_one(sql, dialect="postgres")
        if not isinstance(tree, exp.Query):
            return None
        named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        tables = [table for table in tree.find_all(exp.Table) if table.db or table.name.lower() not in named]
        if tables:
            return _about_tables(tree, named, me, schema) if all(map(_is_catalog, tables)) else None
        return _about_connection(tree, me)
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError):
        return None


def _depth(sql: str) -> int:
    """How deep square brackets are in each other."""
    depth = deepest = 0
    for sign in sql:
        depth += (sign == "[") - (sign == "]")
        deepest = max(deepest, depth)
    return deepest


def _is_catalog(table: exp.Table) -> bool:
    schema = table.db.lower()
    return schema in {"information_schema", "pg_catalog"} or (not schema and table.name.lower().startswith("pg_"))


def _about_connection(tree: exp.Query, me: Connected) -> Question | None:
    tree = tree.copy()
    found, sets = _with_facts(tree, me)
    return Question(tree.sql(dialect="duckdb"), sets=sets) if found else None


def _with_facts(tree: exp.Query, me: Connected) -> tuple[int, dict[str, str | None]]:
    """Puts what is known of the connection in the place of the functions that ask for it; how many, and what they set."""
    facts: dict[type[exp.Expression], str] = {
        exp.CurrentDatabase: me.database,
        exp.CurrentSchema: "public",
        exp.CurrentUser: me.user,
        exp.SessionUser: me.user,
        exp.CurrentVersion: me.version,
    }
    found, sets = 0, dict[str, str | None]()
    for kind, value in facts.items():
        for node in list(tree.find_all(kind)):
            node.replace(exp.Literal.string(value))
            found += 1
    for node in list(tree.find_all(exp.Anonymous)):
        name, given = str(node.this).lower(), [_text(one) for one in node.expressions]
        place = node.parent if isinstance(node.parent, exp.Dot) else node  # pg_catalog.set_config(...)
        if name == "pg_backend_pid":
            place.replace(exp.Literal.number(me.pid))
        elif name == "current_setting" and given and given[0] is not None:
            place.replace(exp.Literal.string(me.settings.get(given[0].lower(), "")))
        elif name == "set_config" and len(given) > 1 and given[0] is not None:
            sets[given[0].lower()] = given[1]
            place.replace(exp.Literal.string(given[1] or ""))
        else:
            continue
        found += 1
    return found, sets


def _text(node: exp.Expression) -> str | None:
    return str(node.this) if isinstance(node, exp.Literal) else None


def _about_tables(tree: exp.Query, named: Collection[str], me: Connected, schema: Schema) -> Question:
    """The question of a statement whose tables are all the catalogue's, but for those that it has `named` itself."""
    columns = [one.alias_or_name or f"column{place}" for place, one in enumerate(tree.selects, start=1)]
    tree = rewrite_for_executor(_Named(me.user), _cast(tree.copy(), schema))
    _with_facts(tree, me)
    used: dict[str, int] = {}
    for table in list(tree.find_all(exp.Table)):
        name = table.name.lower()
        if not table.db and name in named:
            continue
        if name not in _COLUMNS:
            return Question("", columns=columns)
        used.setdefault(name, len(used) + 1)
        new = exp.to_table(_made(name))
        new.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
        for key in ("joins", "laterals"):
            new.set(key, table.args.get(key))
        table.replace(new)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)
    rows = _rows(schema, me)
    given = ", ".join(f"{_made(name)} AS (SELECT {_unnested(name, place)})" for name, place in used.items())
    return Question(
        _with(given, tree.sql(dialect="duckdb")), [json.dumps(rows.get(name, [])) for name in used], columns=columns
    )


def _cast(tree: exp.Query, schema: Schema) -> exp.Query:
    """Types that only PostgreSQL knows become texts; the name of a table as `regclass` becomes its number."""
    for node in list(tree.find_all(exp.Cast)):
        target = node.to.sql(dialect="postgres").lower().removeprefix("pg_catalog.")
        name = _text(node.this)
        if target == "regclass" and name is not None:
            table = name.replace('"', "").rpartition(".")[2]
            oid = next((oid for oid, known in enumerate(schema, start=_FIRST) if known == table), 0)
            node.replace(exp.Literal.number(oid))
        elif target.startswith("reg") or "." in node.to.sql(dialect="postgres"):
            node.set("to", exp.DataType.build("text"))
    return tree


@dataclass(frozen=True)
class _Named:
    username: str


def _made(name: str) -> str:
    return f"told_{name}"


def _unnested(name: str, place: int) -> str:
    kinds = json.dumps([{column: _TYPES[kind] for column, kind in _COLUMNS[name].items()}])
    return f"unnest(from_json(${place}::VARCHAR, '{kinds}'), max_depth := 2)"


def _with(given: str, query: str) -> str:
    for head in ("WITH RECURSIVE ", "WITH "):
        if query.startswith(head):
            return f"{head}{given}, {query[len(head) :]}"
    return f"WITH {given} {query}"


def _rows(schema: Schema, me: Connected) -> dict[str, list[dict[str, Any]]]:
    """What each table of the catalogue holds; none where it is not among them."""
    spaces = ((_PUBLIC, "public"), (_CATALOG, "pg_catalog"), (13000, "information_schema"))
    return {
        "schemata": [{"catalog_name": me.database, "schema_name": "public", "schema_owner": me.user}],
        "tables": [_place(me, name) | {"table_type": "BASE TABLE"} for name in schema],
        "columns": list(_columns(schema, me)),
        "pg_database": [{"oid": 1, "datname": me.database, "datallowconn": True, "datistemplate": False}],
        "pg_namespace": [{"oid": oid, "nspname": name, "nspowner": _OWNER} for oid, name in spaces],
        "pg_class": [_class(name, oid) for oid, name in enumerate(schema, start=_FIRST)],
        "pg_am": [{"oid": _HEAP, "amname": "heap", "amhandler": "heap_tableam_handler", "amtype": "t"}],
        "pg_attribute": list(_attributes(schema)),
        "pg_type": list(pg_type_by_oid().values()),
        "pg_roles": [{"oid": _OWNER, "rolname": me.user}],
    }


def _place(me: Connected, table: str) -> dict[str, Any]:
    return {"table_catalog": me.database, "table_schema": "public", "table_name": table}


def _columns(schema: Schema, me: Connected) -> Iterator[dict[str, Any]]:
    for table, columns in schema.items():
        for place, (name, kind) in enumerate(columns.items(), start=1):
            told = {"column_name": name, "ordinal_position": place, "data_type": kind, "is_nullable": "YES"}
            yield _place(me, table) | told


def _class(name: str, oid: int) -> dict[str, Any]:
    missing = {column: False for column, kind in _COLUMNS["pg_class"].items() if kind == "BOOLEAN"}
    numbers = {column: 0 for column, kind in _COLUMNS["pg_class"].items() if kind == "INT"}
    told = {"oid": oid, "relname": name, "relnamespace": _PUBLIC, "relkind": "r", "relowner": _OWNER, "relam": _HEAP}
    return missing | numbers | told | {"reltuples": -1, "relpersistence": "p", "relreplident": "d"}


def _attributes(schema: Schema) -> Iterator[dict[str, Any]]:
    for oid, columns in enumerate(schema.values(), start=_FIRST):
        for place, (name, kind) in enumerate(columns.items(), start=1):
            yield {
                "attrelid": oid, "attname": name, "atttypid": _oid_of_name(kind), "attnum": place, "attnotnull": False,
                "atthasdef": False, "attisdropped": False, "attidentity": "", "attgenerated": "", "attcollation": 0,
                "atttypmod": -1, "attstattarget": -1, "attformattype": kind,
            }  # fmt: skip


def _oid_of_name(kind: str) -> int:
    return int(getattr(pg, DECLARED_TYPE_OIDS.get(kind, "TEXT")))
