"""The pages say what the code does: names, settings, columns, commands, links and SQL."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import click
import duckdb
import msgspec
import pytest

from adapters import REGISTRY
from gateway.metrics import Metrics
from gateway.pages import hot_paths
from outpulse.cli import cli
from outpulse.settings import (
    AlertsSettings,
    AlertTarget,
    LlmSettings,
    MailboxSettings,
    ProviderSettings,
    Settings,
    load,
)
from schemas.decode import decode_record
from schemas.derive import columns
from schemas.events import Event
from schemas.tables import TABLES
from sinks.attach import connect, extension_path
from sinks.store import STORED_TABLES
from tests.dashboard_browser import PAGES as SCREENS
from tests.lakes import land, works

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
TABLES_PAGE: Final = ROOT / "docs" / "tables.md"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
DECISIONS: Final = ROOT / "docs" / "decisions"
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MACHINE: Final = re.compile(
    r"/(?:work|home|root|Users|tmp|opt|mnt)/|\bindex-url\b|\bfind-links\b|pypi\.org|files\.pythonhosted"
)
EVENTS: Final[list[dict[str, Any]]] = [
    {
        "event_id": f"e{number}-{kind}",
        "kind": kind,
        "occurred_at": f"2026-01-05T10:00:0{second}Z",
        "channel": "email",
        "provider": "sendgrid",
        "campaign_id": "autumn",
        "delivery_id": f"d{number}",
        "recipient": f"p{number}@firm.example",
        "sender": "ida@out.example",
        "variant": "AB"[number % 2],
        **({"bounce_class": "hard"} if kind == "bounced" else {}),
        **({"text": "Tell me more"} if kind == "replied" else {}),
    }
    for number in range(60)
    for second, kind in enumerate(
        ["queued", *(["bounced"] if number % 10 == 0 else ["delivered", "opened", "replied"])]
    )
]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Lines that begin with `outpulse`, in blocks of sh and in tables of verbs."""
    text = page.read_text()
    for block in blocks(page, "sh"):
        yield from (line for line in block.splitlines() if line.startswith("outpulse "))
    yield from (found.replace(r"\|", "|") for found in re.findall(r"^\| `(outpulse [^`]*)`", text, re.MULTILINE))


def sections(page: Path) -> dict[str, str]:
    """Text below each heading of the second level, by every name in the heading."""
    parts = re.split(r"^## (.*)$", page.read_text(), flags=re.MULTILINE)
    return {name: body for heading, body in zip(parts[1::2], parts[2::2], strict=True) for name in heading.split(", ")}


def leaves(struct: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, Any]]:
    """(`[section] name`, default) of every setting but those of providers."""
    for field in msgspec.structs.fields(struct):
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        yield f"[{prefix}] {field.name}", default


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("docs") / ".outpulse"
    land(home, works([*EVENTS, {"event_id": "odd", "kind": "odd", "occurred_at": "2026-01-05T10:00:00Z"}], [100]))
    return home


def test_every_verb_is_in_the_readme_and_no_other() -> None:
    told = {line.split()[1] for line in commands(README)}

    assert told == set(cli.commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_that_a_page_shows_exists(page: Path) -> None:
    for line in commands(page):
        verb, *words = shlex.split(line.replace("[", " ").replace("]", " "))[1:]
        command = cli.commands[verb]
        known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_option_of_every_verb_is_in_the_readme() -> None:
    text = README.read_text()
    for name, command in cli.commands.items():
        told = " ".join(line for line in commands(README) if line.split()[1] == name) + " --home --config --debug"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in told, f"{name} {option.opts[0]}"
    assert all(f"`{option}" in text for option in ("--home", "--config", "--debug"))


def test_every_make_target_that_a_page_shows_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        line.split()[1]
        for page in PAGES
        for b in blocks(page, "sh")
        for line in b.splitlines()
        if line.startswith("make ")
    }

    assert told - targets == set()


@pytest.mark.parametrize("section", ["gateway", "dashboard", "log", "lake", "guard", "quality", "sql"])
def test_every_setting_stands_in_the_readme_with_its_default(section: str) -> None:
    others = {
        "providers",
        "hooks",
        "mailbox",
        "mailboxes",
        "alerts",
        "replies",
    }  # what may stand there has tests of its own
    assert {f.name for f in msgspec.structs.fields(Settings)} == {
        "gateway",
        "dashboard",
        "log",
        "lake",
        "guard",
        "quality",
        "sql",
    } | others
    rows = README.read_text().splitlines()
    for name, default in leaves(type(getattr(Settings(), section)), section):
        row = next((row for row in rows if row.startswith(f"| `{name}` |")), None)
        assert row is not None, name
        shown = f"`{default}`" if default and not isinstance(default, dict) else ""
        assert shown in row, row
        if isinstance(default, dict):
            assert all(f"{key} = {value:g}" in row for key, value in default.items()), row


def test_every_setting_of_the_larger_model_stands_in_the_readme_with_its_default() -> None:
    rows = README.read_text().splitlines()
    for name, default in leaves(LlmSettings, "replies.llm"):
        row = next((row for row in rows if row.startswith(f"| `{name}` |")), "")
        assert f"`{default}`" in row if default else row, name


def test_every_setting_of_providers_is_told() -> None:
    text = README.read_text() + OPERATIONS.read_text()

    assert [f for f in ProviderSettings.__struct_fields__ if f"`{f}`" not in text and f" {f}`" not in text] == []


def test_every_setting_of_mailboxes_is_told() -> None:
    text = (ROOT / "docs" / "channels.md").read_text()

    assert [f for f in MailboxSettings.__struct_fields__ if f"`{f}`" not in text] == []


def test_every_setting_of_alerts_is_told() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    told = {name for kind in (AlertsSettings, AlertTarget) for name in kind.__struct_fields__}

    assert [f for f in sorted(told - {"targets"}) if f"| `{f}` |" not in text] == []


@pytest.mark.parametrize("page", [README, OPERATIONS, ROOT / "docs" / "alerts.md"], ids=lambda page: page.name)
def test_examples_of_settings_are_valid(page: Path, tmp_path: Path) -> None:
    found = blocks(page, "toml")

    assert found
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        assert set(load(tmp_path, path, environ={}).providers) <= set(REGISTRY)


def test_examples_of_events_are_valid() -> None:
    found = [line for block in blocks(README, "json") for line in block.splitlines()]

    assert found
    assert all(isinstance(decode_record(line.encode())[0], Event) for line in found)


def test_every_answer_of_the_doors_is_in_the_readme() -> None:
    table = README.read_text().split("## HTTP answers")[1].split("\n## ")[0]
    told = {
        status
        for row in table.splitlines()
        for status in re.findall(r"\b[2-5]\d\d\b", row.split("|")[2] if row else "")
    }
    given = {status for path in hot_paths(REGISTRY).values() for verb in path.values() for status in verb["responses"]}

    assert given - told - {"429"} == set()
    assert "429" in table


def test_every_figure_of_the_gateway_is_told() -> None:
    names = re.findall(r"^# HELP (\S+) ", Metrics().page().decode(), re.MULTILINE)
    told = OPERATIONS.read_text()

    assert [n for n in names if f"`{n.removesuffix('_total').removesuffix('_created')}`" not in told] == []


def test_every_reason_of_a_dead_letter_is_told() -> None:
    sources = [path for room in ("schemas", "adapters", "features", "flows") for path in (ROOT / room).glob("*.py")]
    found = {r for path in sources for r in re.findall(r'(?:BadEvent|Rejected)\(f?"([^"]+)"', path.read_text())}
    shown = {"{field}": "FIELD", "occurred_at is": "FIELD is", "{told[:200]}": "NAME"}
    pattern = re.compile("|".join(map(re.escape, shown)))
    reasons = {pattern.sub(lambda match: shown[match[0]], reason) for reason in found}

    assert len(reasons) > 10
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in OPERATIONS.read_text()] == []


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_told_with_its_columns(table: str) -> None:
    text = sections(TABLES_PAGE)[table]
    wanted = [
        f"| `{c.name}` | {c.sql_type}{'' if c.nullable else ', never null'} | {c.comment} |"
        for c in columns(TABLES[table])
    ]

    assert [row for row in text.splitlines() if row.startswith("| `")] == wanted
    is_stored = table in STORED_TABLES or table == "active_pauses"
    assert text.strip().startswith("Table." if is_stored else "View.")


def test_every_decision_is_in_the_index_and_numbered_without_gaps() -> None:
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))

    assert re.findall(r"\]\((\d{4}-[^)]*\.md)\)", (DECISIONS / "README.md").read_text()) == files
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [unquote(target) for target in targets if not re.match(r"[a-z]+:", target)]

    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_folder_of_code_is_in_the_readme() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")}

    assert [room for room in sorted(rooms) if f"| `{room}/` |" not in README.read_text()] == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    text = README.read_text()

    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in text] == []


def test_every_page_of_the_dashboard_is_told_in_the_readme_with_a_picture() -> None:
    told = README.read_text().split("### Sales lead: the dashboard")[1].split("\n### ")[0]

    assert [title for title in SCREENS.values() if not re.search(rf"\b{title}\b", told)] == []
    assert len(SCREENS) == 10
    assert "ten pages" in told
    assert "](docs/pictures/overview.png)" in told


def test_the_readme_tells_of_replies_sql_and_quality_where_one_looks_for_them() -> None:
    parts = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##)", README.read_text(), re.MULTILINE | re.DOTALL))

    assert "docs/replies.md" in parts["RevOps engineer: connect your provider"]
    assert all(word in parts["Analyst: SQL"] for word in ("docs/sql.md", "serve-sql", "docs/tables.md"))
    assert all(word in parts["On call"] for word in ("outpulse check", "data_quality", "docs/alerts.md"))


def test_contributing_says_what_make_generate_writes() -> None:
    recipe = re.search(r"^generate:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    modules = re.findall(r"-m (schemas\.\w+)", recipe[1])
    told = (ROOT / "CONTRIBUTING.md").read_text()

    assert modules == ["schemas.derive", "schemas.pages"]
    assert [
        name for name in (*modules, "schemas/generated/", "docs/sql.md", "docs/tables.md") if f"`{name}`" not in told
    ] == []


def test_the_page_of_tables_leads_to_that_of_sql_and_back() -> None:
    assert "](sql.md)" in TABLES_PAGE.read_text()
    assert "](tables.md)" in (ROOT / "docs" / "sql.md").read_text()


def test_going_live_tells_of_the_login_and_of_sql_through_a_tunnel(tmp_path: Path) -> None:
    page = ROOT / "docs" / "going-live.md"
    provider, chosen = (tomllib.loads(text) for text in blocks(page, "toml"))
    path = tmp_path / "outpulse.toml"
    path.write_text(blocks(page, "toml")[1])
    parts = sections(page)

    # https://docs.streamlit.io/develop/api-reference/user/st.login
    wanted = {"redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"}
    assert set(provider["auth"]) == wanted
    assert provider["auth"]["redirect_uri"].endswith("/oauth2callback")
    assert msgspec.to_builtins(load(tmp_path, path, environ={}).dashboard).items() >= chosen["dashboard"].items()
    login = parts["The dashboard for others: a login"]
    assert all(
        f"`{name}`" in login or f"{name} =" in login for name in ("dashboard-login.toml", "operators", "viewers")
    )
    tunnel = parts["BI tools: SQL through a tunnel only"]
    assert all(word in tunnel for word in ("outpulse serve-sql", "ssh -L 5433:127.0.0.1:5433", "no TLS"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_place_of_the_machine_it_was_written_on(page: Path) -> None:
    assert MACHINE.findall(page.read_text()) == []


QUERIES: Final = [query for query in blocks(README, "sql") if "ATTACH" not in query]


@pytest.mark.parametrize("query", QUERIES, ids=[str(number) for number in range(len(QUERIES))])
def test_queries_of_the_readme_find_something(query: str, lake_home: Path) -> None:
    connection = connect(lake_home, read_only=True)
    try:
        assert connection.execute(query).fetchall()
    finally:
        connection.close()


def test_ones_own_duckdb_attaches_the_lake_as_the_readme_says(lake_home: Path) -> None:
    (script,) = (query for query in blocks(README, "sql") if "ATTACH" in query)
    script = re.sub(r"INSTALL \w+;", "", script.replace("/srv/outpulse/.outpulse", str(lake_home)))
    for name, wheel in (("ducklake", "ducklake"), ("sqlite", "sqlite_scanner")):
        script = script.replace(f"LOAD {name};", f"LOAD '{extension_path(wheel)}';")

    with duckdb.connect() as connection:
        assert connection.execute(script).fetchone() == (len(EVENTS),)
