"""A lake that an older release wrote is brought up when the writer opens it; its tables stay what they were."""

from pathlib import Path

from control.commands import read_command
from sinks.attach import connect
from sinks.commands import land_commands
from sinks.lake import Lake
from sinks.store import LAKE_FORMAT
from tests.lakes import differences, land, rows, tables, works
from tests.test_links import reply, sent

EVENTS = [sent("d1", "m1"), reply(**{"from": "ada@firm.example", "in_reply_to": "m1@x.example"}), sent("d2", "m2")]
TO_FORMAT_1 = (
    "ALTER TABLE store.facts DROP COLUMN mail",
    "ALTER TABLE store.facts DROP COLUMN address",
    "ALTER TABLE store.facts ADD COLUMN alias UBIGINT",
    "ALTER TABLE store.cohorts DROP COLUMN opened_strict",
    "ALTER TABLE store.cohorts DROP COLUMN clicked_strict",
    "DROP TABLE store.orphans",
    "CREATE TABLE store.orphans (seq BIGINT, alias UBIGINT)",
    "DROP TABLE store.answers",
    "DROP TABLE store.links",
    "DROP TABLE store.suspects",
    "DROP TABLE store.commands",
    "ALTER TABLE pauses DROP COLUMN control_offset",
    "ALTER TABLE pauses DROP COLUMN detector",
    "UPDATE store.facts SET delivery = 1 WHERE kind = 'replied'",
    "UPDATE store.meta SET value = '1' WHERE name = 'format'",
    "UPDATE store.meta SET value = 'of an older release' WHERE name IN ('hash', 'views')",
)


def test_a_lake_of_format_1_gets_links_suspects_and_strict_figures(home: Path) -> None:
    land(home, works(EVENTS, [3]))
    before = tables(home)
    connection = connect(home, read_only=False)
    for statement in TO_FORMAT_1:
        connection.execute(statement)
    connection.close()

    Lake(home).close()

    assert differences(before, tables(home)) == []
    assert rows(home, "SELECT value FROM store.meta WHERE name = 'format'") == [(str(LAKE_FORMAT),)]

    land(home, works([sent("d3", "m3")], [1], start=3))

    assert rows(home, "SELECT count(*) FROM message_deliveries") == [(3,)]


def test_a_lake_of_format_3_keeps_its_decisions_and_gets_the_detector(home: Path) -> None:
    raw = (Path(__file__).parent / "golden" / "messages" / "command.json").read_bytes()
    command = read_command(raw)
    lake = Lake(home)
    with lake.transaction():
        land_commands(lake.connection, [(1, command)])
    lake.close()
    before = rows(home, "SELECT * EXCLUDE (detector) FROM pauses")
    connection = connect(home, read_only=False)
    connection.execute("ALTER TABLE pauses DROP COLUMN detector")
    connection.execute("UPDATE store.meta SET value = '3' WHERE name = 'format'")
    connection.execute("UPDATE store.meta SET value = 'of an older release' WHERE name = 'views'")
    connection.close()

    Lake(home).close()

    assert rows(home, "SELECT * EXCLUDE (detector) FROM pauses") == before
    assert rows(home, "SELECT detector FROM active_pauses") == [(None,)]
