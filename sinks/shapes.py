"""A SELECT that has exactly the columns and types of a table of the data model."""

from collections.abc import Mapping

from schemas.derive import columns
from schemas.tables import TABLES


def shaped(table: str, expressions: Mapping[str, str], source: str) -> str:
    """SELECT from `source` with the table's columns in order, each cast to its type; absent ones are NULL.

    Raises:
        KeyError: an expression for a column that the table does not have.
    """
    wanted = columns(TABLES[table])
    unknown = set(expressions) - {column.name for column in wanted}
    if unknown:
        raise KeyError(f"{table} has no columns {sorted(unknown)}")
    listed = ", ".join(f'CAST({expressions.get(c.name, "NULL")} AS {c.sql_type}) AS "{c.name}"' for c in wanted)
    return f"SELECT {listed} FROM {source}"
