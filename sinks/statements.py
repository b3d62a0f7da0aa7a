"""What a reader's statement may be: one that only reads, and only what the lake holds.

DuckDB's own locks (no files, no attaching, settings locked) leave doors open: functions of the SQLite extension read any
SQLite file whatever the settings say, `COPY` may write where files may be read, and a statement in a string is seen by
nobody. So the parsed statement is looked through too, and a table function must be on the list.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import duckdb

from schemas.failures import QueryRefused

LONGEST: Final = 200_000
"""Characters of a statement. BI tools write some thousand; DuckDB's parser takes 0.2 s for this many."""
TABLE_FUNCTIONS: Final = frozenset({
    "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions", "duckdb_indexes", "duckdb_keywords",
    "duckdb_schemas", "duckdb_sequences", "duckdb_settings", "duckdb_tables", "duckdb_types", "duckdb_views",
    "generate_series", "generate_subscripts", "json_each", "json_tree", "pg_timezone_names", "pragma_collations",
    "pragma_show", "pragma_table_info", "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
})  # fmt: skip
"""Table functions that neither read files nor change anything; macros of the lake come on top."""
REFUSED_FUNCTIONS: Final = frozenset({"sleep_ms", "write_log", "nextval", "setseed", "getenv", "current_setting"})
"""Scalar functions that wait, write or tell about this machine."""
_EXPLAIN: Final = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?(\s*\([^()']*\))?\s+", re.IGNORECASE)
_COMMENTS: Final = re.compile(r"\s*(--[^\n]*(\n|$)|/\*.*?\*/)", re.DOTALL)


def checked(query: str, macros: Collection[str] = ()) -> str:
    """The one statement of a text, if it may run; without what stands around it.

    Raises:
        QueryRefused: not SQL, not exactly one statement, or one that does more than read the lake.
    """
    if len(query) > LONGEST:
        raise QueryRefused(f"the statement has {len(query)} characters, at most {LONGEST} are taken")
    try:
        found = duckdb.extract_statements(query)
    except (duckdb.Error, RuntimeError, ValueError, UnicodeError) as error:
        raise QueryRefused(one_line(error)) from None
    if [s.type for s in found] == [duckdb.StatementType.CREATE, duckdb.StatementType.SELECT] and not found[1].query:
        raise QueryRefused("PIVOT needs its values here: write PIVOT ... ON column IN ('a', 'b') USING ...")
    if len(found) != 1:
        raise QueryRefused(f"{len(found)} statements received, exactly one is taken")
    text, kind = found[0].query, found[0].type
    inner = _explained(text) if kind == duckdb.StatementType.EXPLAIN else text
    if kind not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
        raise QueryRefused(f"{kind.name} is refused: only statements that read (SELECT, WITH, EXPLAIN, DESCRIBE, SHOW)")
    for name, is_table in _functions(inner):
        if is_table and name not in TABLE_FUNCTIONS and name not in macros:
            raise QueryRefused(
                f"the table function {name} is refused: it is neither the lake's nor one that only computes"
            )
        if name in REFUSED_FUNCTIONS:
            raise QueryRefused(f"the function {name} is refused here")
    return text


def _explained(text: str) -> str:
    """What an EXPLAIN explains: EXPLAIN ANALYZE runs it."""
    while comment := _COMMENTS.match(text):
        text = text[comment.end() :]
    match = _EXPLAIN.match(text)
    if match is None:
        raise QueryRefused(
            "this form of EXPLAIN is refused; valid are EXPLAIN SELECT ... and EXPLAIN ANALYZE SELECT ..."
        )
    return text[match.end() :]


def _functions(text: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it makes a table) of every function in a statement, however deep."""
    with duckdb.connect() as parser:
        try:
            row = parser.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
        except duckdb.Error as error:
            raise QueryRefused(one_line(error)) from None
    tree = json.loads(row[0]) if row else {}
    if tree.get("error", True):
        raise QueryRefused(f"the statement cannot be checked: {tree.get('error_message', 'no parse tree')}")
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION":
                yield str(node["function"]["function_name"]).lower(), True
                # Its own node is a function like any other; what lies in it is looked at below.
                waiting += [v for k, v in node["function"].items() if k != "type"]
            elif node.get("class") == "FUNCTION":
                yield str(node.get("function_name")).lower(), False
            waiting += [v for k, v in node.items() if k != "function" or node.get("type") != "TABLE_FUNCTION"]
        elif isinstance(node, list):
            waiting += node


def one_line(error: Exception) -> str:
    """DuckDB's words without the line of the caret."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line.strip("^ "))[:2000]
