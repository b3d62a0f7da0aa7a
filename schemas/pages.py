"""What the pages for analysts say of tables and queries, from the schemas and `schemas/queries`; `python -m schemas.pages`.

`docs/sql.md` has three generated parts between marks; the words around them are written by hand. In `docs/tables.md` the
rows of columns are kept equal to the schemas.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from schemas.analyses import ANALYSES, call_of
from schemas.derive import columns
from schemas.tables import TABLES

DOCS: Final = Path(__file__).parents[1] / "docs"
QUERIES: Final = Path(__file__).parent / "queries"
"""They stand here, not in `docs`, so that an installed package has them: the dashboard offers them."""
SQL_PAGE: Final = DOCS / "sql.md"
TABLES_PAGE: Final = DOCS / "tables.md"
_HEAD: Final = re.compile(r"-- Question: (?P<question>[^\n]+)\n-- Read: (?P<read>[^\n]+)\n(?P<sql>.+)\Z", re.DOTALL)


class Query(msgspec.Struct, frozen=True):
    """A worked query: the question in an analyst's words, the statement, and how to read its answer."""

    name: str
    question: str
    sql: str
    read: str


def worked_queries() -> list[Query]:
    """Every query of `schemas/queries`, in the order of their numbers.

    Raises:
        ValueError: a file without its two lines of words.
    """
    return [_query(path) for path in sorted(QUERIES.glob("[0-9]*.sql"))]


def _query(path: Path) -> Query:
    found = _HEAD.match(path.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{path.name} must begin with the lines '-- Question: ...' and '-- Read: ...'")
    return Query(path.stem, found["question"], found["sql"].strip(), found["read"])


def sql_page(text: str) -> str:
    """`docs/sql.md` with its generated parts made anew."""
    for name, lines in (("queries", _queries()), ("analyses", _analyses()), ("tables", _tables())):
        begin, end = f"<!-- begin {name}: generated -->", f"<!-- end {name} -->"
        before, rest = text.split(begin)
        text = before + "\n".join([begin, "", *lines, end]) + rest.split(end)[1]
    return text


def tables_page(text: str) -> str:
    """`docs/tables.md` with the rows of columns made anew, below each heading that names a table."""
    parts = re.split(r"^(## .*)$", text, flags=re.MULTILINE)
    for place in range(1, len(parts), 2):
        name = parts[place].removeprefix("## ").split(", ")[0]
        if name in TABLES:
            rows = "\n".join(_rows(TABLES[name]))
            parts[place + 1] = re.sub(
                r"(\| --- \| --- \| --- \|\n|\|---\|---\|---\|\n)(\| `.*\n?)+",
                lambda match, rows=rows: match[1] + rows + "\n",
                parts[place + 1],
                count=1,
            )
    return "".join(parts)


def _rows(struct: type[msgspec.Struct]) -> list[str]:
    return [
        f"| `{c.name}` | {c.sql_type}{'' if c.nullable else ', never null'} | {c.comment} |" for c in columns(struct)
    ]


def _described(struct: type[msgspec.Struct]) -> Iterator[str]:
    """The docstring and the table of columns."""
    yield from (" ".join(part.split()) + "\n" for part in (struct.__doc__ or "").split("\n\n"))
    yield from ("| column | type | meaning |", "| --- | --- | --- |", *_rows(struct), "")


def _queries() -> Iterator[str]:
    for query in worked_queries():
        number, _, _ = query.name.partition("-")
        yield from (f"### {int(number)}. {query.question}", "", "```sql", query.sql, "```", "", query.read, "")


def _analyses() -> Iterator[str]:
    for name, found in ANALYSES.items():
        kind = ("macro" if found.struct else "function") if found.is_macro else "view"
        yield from (f"### {name}", "", f"{kind.capitalize()}" + (f": `{call_of(name)}`" if found.is_macro else "."), "")
        if found.struct:
            yield from _described(found.struct)
        else:
            yield from (found.meaning[:1].upper() + found.meaning[1:] + ".", "")
        if found.parameters:
            shown = (f"| `{p.name}` | {p.default or 'must be given'} | {p.meaning} |" for p in found.parameters)
            yield from ("| parameter | default | meaning |", "| --- | --- | --- |", *shown, "")
        if found.source:
            yield from (f"Source: {found.source}.", "")


def _tables() -> Iterator[str]:
    for name, struct in TABLES.items():
        yield from (f"### {name}", "")
        yield from _described(struct)


def main() -> None:
    """Writes the generated parts of the pages."""
    for path, made in ((SQL_PAGE, sql_page), (TABLES_PAGE, tables_page)):
        path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
