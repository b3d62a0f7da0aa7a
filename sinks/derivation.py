"""Figures per delivery, kept up by the writer: what changed since the last time, as signed rows.

A chunk of new facts touches some deliveries. All facts of those are read again (one pass over a hash column), folded as
they were before and as they are now, and the difference is written: cohort counts, and corrections where an event takes
a dimension from its delivery. No state is kept beside the facts, so there is none to lose, to recover or to outgrow.

An event without `delivery_id` belongs to the delivery that it is known to mean (`sinks.links`); until then it makes a
delivery of its own.
"""

from typing import Final

import duckdb

from features.deliveries import (
    COHORT_KEYS,
    cohort_changes,
    flags_of_event,
    flags_of_reading,
    hour_changes,
    mask,
    sent_time,
)
from features.suspicion import event_marks, folds, marks
from sinks.links import update_links
from sinks.networks import scanner_networks
from sinks.store import LATEST_READING, LINKED, METRIC_DIMENSIONS, RECIPIENT_DOMAIN

_PART_DELIVERIES: Final = 400_000
"""Deliveries folded at once: some 150 MB with their dimensions."""
MINUTE_US: Final = 60_000_000
_GIVEN: Final = ("campaign_id", "sequence_step", "variant", "persona", "account_tier", "sender")
"""Metric dimensions that an event may take from its delivery."""
_OWN: Final = ("occurred_at", "kind", "bounce_class", "is_machine", "channel", "recipient_domain", *_GIVEN)
_MISSING: Final = " + ".join(f"({name} IS NULL)::INTEGER * {1 << i}" for i, name in enumerate(_GIVEN))
_ALL_MISSING: Final = (1 << len(_GIVEN)) - 1
_KNOWN: Final = {"persona": "known_persona", "account_tier": "known_tier"}
"""What an import of contacts tells where no event of a delivery does."""
_GIVEN_BY_IMPORT: Final = " | ".join(
    f"(({column} IS NOT NULL)::INTEGER * {1 << _GIVEN.index(name)})" for name, column in _KNOWN.items()
)


def minute_of(instant: str) -> str:
    """SQL: the minute of an instant; integer arithmetic, since time zone functions cost ten times as much."""
    return f"make_timestamptz(epoch_us({instant}) // {MINUTE_US} * {MINUTE_US})"


def derive(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Brings links, cohorts, suspects and corrections up to all facts, from facts up to commit `since`.

    Inside the open transaction. Works through the touched deliveries in parts of a bounded number, so that memory does
    not grow with history.
    """
    row = connection.execute(f"""
        SELECT (SELECT count(*) FROM store.orphans) > 0,
            (SELECT approx_count_distinct(delivery) FROM store.facts WHERE seq > {since})""").fetchone()
    has_orphans, fresh = bool(row and row[0]), int(row[1]) if row else 0
    _say(connection, since)
    _know(connection)
    linked = has_orphans and update_links(connection, since)
    if since and linked:
        _touch_with_links(connection, since)
    # Where links move facts, a delivery's old and new facts may lie in two parts: then all is one.
    parts = 1 if since and linked else 1 + fresh // _PART_DELIVERIES
    for part in range(parts):
        mine = f"% {parts} = {part}" if parts > 1 else ""
        if not since:
            _scope_of_all(connection, mine, linked=linked)
        elif linked:
            _scope_with_links(connection, since, mine)
        else:
            _scope_of_touched(connection, since, mine)
        _derive_scope(connection, since)
    for name in ("touched", "named", "named_before", "links_gone", "links_come", "said", "reread", "known"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _derive_scope(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Writes what the facts in `scope` change."""
    _fold(connection, "deliveries_new", "key_new", "true", "flags")
    _fold(connection, "deliveries_old", "key_old", "before" if since else "false", "flags_before")
    connection.execute(f"INSERT INTO store.cohorts BY NAME {cohort_changes('deliveries_old', 'deliveries_new')}")
    connection.execute(f"INSERT INTO store.send_hours BY NAME {hour_changes('deliveries_old', 'deliveries_new')}")
    _note_suspects(connection)
    if connection.execute("SELECT count(*) > 0 FROM deliveries_new WHERE missing & given <> 0").fetchone() == (True,):
        _correct(connection)
    connection.execute("DROP TABLE temp.scope" if since else "DROP VIEW temp.scope")
    for name in ("deliveries_new", "deliveries_old", "changed"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _scope_of_touched(connection: duckdb.DuckDBPyConnection, since: int, mine: str) -> None:
    """The facts of deliveries that new facts touch; `mine` chooses a part of them."""
    chosen = f"AND delivery {mine}" if mine else ""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE scope AS
        SELECT seq <= {since} AS before, delivery AS key_old, delivery AS key_new, {_event_columns()}
        FROM store.facts {_SAID} WHERE delivery IN (
            SELECT delivery FROM store.facts WHERE seq > {since} {chosen} UNION FROM reread) {chosen}""")


_SAID: Final = """LEFT JOIN said ON kind = said_kind AND event_id = said_event
    AND provider IS NOT DISTINCT FROM said_provider AND recipient IS NOT DISTINCT FROM said_recipient
    LEFT JOIN known ON contact_id = known_contact"""
"""SQL: facts with what the replies among them are read as, now and before, and what an import knows of their contacts."""


def _say(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """`said`: how each reply is read now and was by commit `since`; `reread`: the deliveries that this changes."""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE said AS
        SELECT 'replied' AS said_kind, event_id AS said_event, provider AS said_provider, recipient AS said_recipient,
            arg_max(intent_classification, {LATEST_READING}) AS intent,
            arg_max(intent_classification, {LATEST_READING}) FILTER (seq <= {since}) AS intent_before
        FROM store.readings GROUP BY ALL""")
    fresh = f"SELECT event_id FROM store.readings WHERE seq > {since}"
    any_fresh = connection.execute(f"SELECT count(*) > 0 FROM ({fresh})").fetchone() == (True,)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE reread AS
        SELECT DISTINCT delivery FROM store.facts WHERE {any_fresh} AND kind = 'replied' AND delivery IS NOT NULL
            AND event_id IN ({fresh})""")


def _know(connection: duckdb.DuckDBPyConnection) -> None:
    """`known`: the contacts of imports that have a persona or a tier. A change of those derives everything anew."""
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT contact_id AS known_contact, persona AS known_persona, account_tier AS known_tier
        FROM contacts WHERE persona IS NOT NULL OR account_tier IS NOT NULL""")


def _event_columns() -> str:
    own = ", ".join(f"{RECIPIENT_DOMAIN} AS {n}" if n == "recipient_domain" else n for n in _OWN)
    now, before = (f"{flags_of_event()} | {flags_of_reading(name)}" for name in ("intent", "intent_before"))
    marked = f"{event_marks(scanner_networks())} AS marks, {_MISSING} AS missing, known_persona, known_tier"
    return f"{own}, url, {now} AS flags, {before} AS flags_before, {marked}"


def _scope_of_all(connection: duckdb.DuckDBPyConnection, mine: str, *, linked: bool) -> None:
    """Every fact that has a delivery, with the delivery it belongs to; a view, as it is read once."""
    key, join = ("coalesce(linked, delivery)", LINKED) if linked else ("delivery", "lake.store.facts")
    connection.execute(f"""
        CREATE OR REPLACE TEMP VIEW scope AS
        SELECT false AS before, {key} AS key_old, {key} AS key_new, {_event_columns()}
        FROM {join} {_SAID} WHERE delivery IS NOT NULL {f"AND {key} {mine}" if mine else ""}""")


def _touch_with_links(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """`touched`: deliveries that new facts or links touch; `named`, `named_before`: which keys name them, now and then."""
    run = connection.execute
    run(f"""CREATE OR REPLACE TEMP TABLE touched AS
        SELECT coalesce(linked, delivery) AS delivery FROM (
            SELECT DISTINCT delivery FROM store.facts WHERE seq > {since} AND delivery IS NOT NULL UNION FROM reread)
        LEFT JOIN store.links ON delivery = alias
        UNION SELECT alias FROM links_gone UNION SELECT linked FROM links_gone
        UNION SELECT alias FROM links_come UNION SELECT linked FROM links_come""")
    run("""CREATE OR REPLACE TEMP TABLE named AS
        SELECT alias, linked FROM store.links WHERE linked IN (SELECT delivery FROM touched)""")
    run("""CREATE OR REPLACE TEMP TABLE named_before AS
        FROM named WHERE alias NOT IN (SELECT alias FROM links_come) UNION FROM links_gone""")


def _scope_with_links(connection: duckdb.DuckDBPyConnection, since: int, mine: str) -> None:
    """Facts of every touched delivery, with their delivery then and now; `mine` chooses a part of the deliveries."""
    chosen = f"WHERE delivery {mine}" if mine else ""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE scope AS
        WITH mine AS (SELECT delivery FROM touched {chosen})
        SELECT * FROM (
            SELECT seq <= {since} AS before, coalesce(o.linked, delivery) AS key_old,
                coalesce(n.linked, delivery) AS key_new, {_event_columns()}
            FROM store.facts LEFT JOIN named n ON delivery = n.alias LEFT JOIN named_before o ON delivery = o.alias {_SAID}
            WHERE delivery IN (SELECT delivery FROM mine
                UNION SELECT alias FROM named WHERE linked IN (FROM mine)
                UNION SELECT alias FROM named_before WHERE linked IN (FROM mine))
        ) WHERE key_old IN (FROM mine) OR key_new IN (FROM mine)""")


def _fold(connection: duckdb.DuckDBPyConnection, name: str, key: str, condition: str, flags: str) -> None:
    dimensions = ", ".join(
        f"coalesce(min({d}), min({_KNOWN[d]})) AS {d}" if d in _KNOWN else f"min({d}) AS {d}" for d in COHORT_KEYS
    )
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT * EXCLUDE (flags, event_marks, delivered_ms, opened_ms, clicks), {marks()} AS marks,
            CASE WHEN {marks()} <> 0 THEN flags | {mask("suspect")} ELSE flags END AS flags
        FROM (SELECT {key} AS key, bit_or({flags}) AS flags, {sent_time()} AS sent_at, {dimensions}, {folds()},
            bit_or(missing) AS missing, bit_or(({_ALL_MISSING} - missing) | {_GIVEN_BY_IMPORT}) AS given
        FROM scope WHERE {condition} GROUP BY {key})""")


def _note_suspects(connection: duckdb.DuckDBPyConnection) -> None:
    """Writes which deliveries have become suspect, for another reason, or no longer are."""
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE changed AS
        SELECT key, coalesce(n.marks, 0) AS marks, coalesce(o.marks, 0) AS old_marks
        FROM deliveries_new n FULL JOIN deliveries_old o USING (key)
        WHERE coalesce(n.marks, 0) <> coalesce(o.marks, 0)""")
    if connection.execute("SELECT count(*) > 0 FROM changed WHERE old_marks <> 0").fetchone() == (True,):
        connection.execute(
            "DELETE FROM store.suspects WHERE delivery IN (SELECT key FROM changed WHERE old_marks <> 0)"
        )
    if connection.execute("SELECT count(*) > 0 FROM changed WHERE marks <> 0").fetchone() == (True,):
        connection.execute("INSERT INTO store.suspects SELECT key, marks FROM changed WHERE marks <> 0")


def _correct(connection: duckdb.DuckDBPyConnection) -> None:
    """Writes what it takes to count events under the dimensions of their delivery."""
    now = ", ".join(f"coalesce(s.{d}, n.{d}) AS {d}" for d in _GIVEN)
    then = ", ".join(f"CASE WHEN before THEN coalesce(s.{d}, o.{d}) ELSE s.{d} END AS {d}" for d in _GIVEN)
    own = "s.occurred_at, s.kind, s.bounce_class, s.is_machine, s.channel, s.recipient_domain"
    scope = """scope s JOIN deliveries_new n ON s.key_new = n.key LEFT JOIN deliveries_old o ON s.key_old = o.key
        WHERE s.missing <> 0"""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE changed AS
        SELECT * EXCLUDE (events), sum(events)::BIGINT AS events FROM (
            SELECT {own}, {now}, 1 AS events FROM {scope}
            UNION ALL SELECT {own}, {then}, -1 AS events FROM {scope}
        ) GROUP BY ALL HAVING sum(events) <> 0""")
    names = ", ".join(["occurred_at", *METRIC_DIMENSIONS, "kind", "bounce_class", "is_machine", "events"])
    connection.execute(f"INSERT INTO store.corrections ({names}) SELECT {names} FROM changed")
    connection.execute(f"""
        INSERT INTO store.cells (minute, campaign_id, channel, kind, bounce_class, is_machine, events)
        SELECT {minute_of("occurred_at")} AS minute, campaign_id, channel, kind, bounce_class, is_machine,
            sum(events)::BIGINT AS events
        FROM changed GROUP BY ALL HAVING sum(events) <> 0""")
