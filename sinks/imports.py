"""Lands what people import: rows of contacts, plans of campaigns and messages, by their ids, in one transaction a file.

A column that the file has counts, also where a cell is empty; what the file does not have stays as it was. So a second
import of a file changes nothing, and a later file corrects the earlier one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.derive import columns
from schemas.failures import LakeError
from schemas.imported import IMPORTED
from sinks.lake import Lake

_IMPORTED_AT: Final = "imported_at"
_TOLD_BY_CONTACTS: Final = ("persona", "account_tier")


def land_import(lake: Lake, table: str, path: Path, given: Sequence[str]) -> str:
    """Lands a Parquet file that has `given` columns of a table of `IMPORTED`; returns the counts as JSON.

    Figures that hang on contacts' personas and tiers are made anew where those of known contacts have changed.

    Raises:
        LakeError: not a table of imports, or it has no such columns.
    """
    wanted = [column.name for column in columns(IMPORTED[table])] if table in IMPORTED else []
    if not set(given) < set(wanted) or _IMPORTED_AT in given:
        raise LakeError(
            f"import into {table!r} of {', '.join(given)}; valid are {', '.join(IMPORTED)} by their columns"
        )
    key = wanted[0]
    merged = ", ".join(f"n.{name}" if name in given else f"o.{name}" for name in wanted if name != _IMPORTED_AT)
    differs = " OR ".join(f"n.{name}::VARCHAR IS DISTINCT FROM o.{name}::VARCHAR" for name in given)
    with lake.transaction() as connection:
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE merged AS
            SELECT {merged}, now() AS {_IMPORTED_AT}, o.{key} IS NOT NULL AS was_there, coalesce({differs}, false) AS differs,
                {_retold(table, given)} AS is_retold
            FROM read_parquet(?) n LEFT JOIN {table} o ON n.{key} = o.{key}""",
            [str(path)],
        )
        row = connection.execute("""
            SELECT count(*) FILTER (NOT was_there), count(*) FILTER (was_there AND differs), count(*) FILTER (NOT differs)
            FROM merged""").fetchone()
        connection.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM merged WHERE differs)")
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(wanted)} FROM merged WHERE differs")
        if table == "contacts":
            met = connection.execute("""
                SELECT count(*) > 0 FROM store.facts WHERE contact_id IN (SELECT contact_id FROM merged WHERE is_retold)""")
            if met.fetchone() == (True,):
                lake.derive_anew()
        connection.execute("DROP TABLE temp.merged")
    new, changed, same = row or (0, 0, 0)
    return json.dumps({"new": new, "changed": changed, "unchanged": same})


def _retold(table: str, given: Sequence[str]) -> str:
    """SQL: whether a row tells another persona or tier than before."""
    told = [name for name in _TOLD_BY_CONTACTS if name in given] if table == "contacts" else []
    return " OR ".join(f"n.{name} IS DISTINCT FROM o.{name}" for name in told) or "false"
