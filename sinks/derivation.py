"""Figures per delivery, kept up by the writer: what changed since the last time, as signed rows.

A chunk of new facts touches some deliveries. All facts of those are read again (one pass over a hash column), folded as
they were before and as they are now, and the difference is written: cohort counts, and corrections where an event takes
a dimension from its delivery. No state is kept beside the facts, so there is none to lose, to recover or to outgrow.

An event without `delivery_id` belongs to the delivery that its (provider, message_id, recipient) is known to name, once
any event tells so; until then it makes a delivery of its own.
"""

from typing import Final

import duckdb

from features.deliveries import COHORT_KEYS, cohort_changes, flags_of_event, sent_time
from sinks.store import METRIC_DIMENSIONS, RECIPIENT_DOMAIN

_PART_DELIVERIES: Final = 400_000
"""Deliveries folded at once: some 150 MB with their dimensions."""
MINUTE_US: Final = 60_000_000
_GIVEN: Final = ("campaign_id", "sequence_step", "variant", "persona", "account_tier", "sender")
"""Metric dimensions that an event may take from its delivery."""
_OWN: Final = ("occurred_at", "kind", "bounce_class", "is_machine", "channel", "recipient_domain", *_GIVEN)
_MISSING: Final = " + ".join(f"({name} IS NULL)::INTEGER * {1 << i}" for i, name in enumerate(_GIVEN))
_ALL_MISSING: Final = (1 << len(_GIVEN)) - 1


def minute_of(instant: str) -> str:
    """SQL: the minute of an instant; integer arithmetic, since time zone functions cost ten times as much."""
    return f"make_timestamptz(epoch_us({instant}) // {MINUTE_US} * {MINUTE_US})"


def derive(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Brings cohorts and corrections up to all facts, from facts up to commit `since`; inside the open transaction.

    Works through the touched deliveries in parts of a bounded number, so that memory does not grow with history.
    """
    row = connection.execute(f"""
        SELECT (SELECT count(*) FROM (SELECT 1 FROM store.orphans LIMIT 1)) > 0,
            (SELECT approx_count_distinct(delivery) FROM store.facts WHERE seq > {since})""").fetchone()
    has_orphans, touched = bool(row and row[0]), int(row[1]) if row else 0
    if since and has_orphans:
        _scope_with_links(connection, since)
        _derive_scope(connection, since)
        return
    parts = 1 + touched // _PART_DELIVERIES
    for part in range(parts):
        mine = f"% {parts} = {part}" if parts > 1 else ""
        if since:
            _scope_of_touched(connection, since, mine)
        else:
            _scope_of_all(connection, mine, has_orphans=has_orphans)
        _derive_scope(connection, since)


def _derive_scope(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Writes what the facts in `scope` change."""
    _fold(connection, "deliveries_new", "key_new", "true")
    _fold(connection, "deliveries_old", "key_old", "before" if since else "false")
    connection.execute(f"INSERT INTO store.cohorts BY NAME {cohort_changes('deliveries_old', 'deliveries_new')}")
    if connection.execute("SELECT count(*) > 0 FROM deliveries_new WHERE missing & given <> 0").fetchone() == (True,):
        _correct(connection)
    connection.execute("DROP TABLE temp.scope" if since else "DROP VIEW temp.scope")
    for name in ("deliveries_new", "deliveries_old", "changed", "links"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")


def _scope_of_touched(connection: duckdb.DuckDBPyConnection, since: int, mine: str) -> None:
    """The facts of deliveries that new facts touch; `mine` chooses a part of them."""
    chosen = f"AND delivery {mine}" if mine else ""
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE scope AS
        SELECT seq <= {since} AS before, delivery AS key_old, delivery AS key_new, {_event_columns()}
        FROM store.facts WHERE delivery IN (SELECT delivery FROM store.facts WHERE seq > {since} {chosen}) {chosen}""")


def _event_columns() -> str:
    own = ", ".join(f"{RECIPIENT_DOMAIN} AS {n}" if n == "recipient_domain" else n for n in _OWN)
    return f"{own}, {flags_of_event()} AS flags, {_MISSING} AS missing"


def _scope_of_all(connection: duckdb.DuckDBPyConnection, mine: str, *, has_orphans: bool) -> None:
    """Every fact that has a delivery, with the delivery it belongs to; a view, as it is read once."""
    key, join = "delivery", ""
    if has_orphans:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE links AS {links_sql()}")
        key, join = "coalesce(linked, delivery)", "LEFT JOIN links ON delivery_id IS NULL AND delivery = links.alias_"
    connection.execute(f"""
        CREATE OR REPLACE TEMP VIEW scope AS
        SELECT false AS before, {key} AS key_old, {key} AS key_new, {_event_columns()}
        FROM lake.store.facts {join} WHERE delivery IS NOT NULL {f"AND {key} {mine}" if mine else ""}""")


def links_sql(facts: str = "store.facts", wanted: str = "SELECT alias FROM store.orphans") -> str:
    """SQL: the delivery that a (provider, message_id, recipient) names, for aliases that orphans have."""
    return f"""
        SELECT alias AS alias_, min(delivery) AS linked FROM {facts}
        WHERE delivery_id IS NOT NULL AND alias IN ({wanted}) GROUP BY alias"""


def _scope_with_links(connection: duckdb.DuckDBPyConnection, since: int) -> None:
    """Facts of every delivery that new facts touch, directly or through an alias, with their delivery then and now."""
    run = connection.execute
    run(f"CREATE OR REPLACE TEMP TABLE fresh AS SELECT DISTINCT delivery, alias FROM store.facts WHERE seq > {since}")
    run("CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT delivery FROM fresh WHERE delivery IS NOT NULL")
    run("""CREATE OR REPLACE TEMP TABLE aliases AS
        SELECT DISTINCT alias FROM fresh WHERE alias IN (SELECT alias FROM store.orphans)""")
    for _ in range(2):  # the deliveries that an alias names, then the other aliases of those
        run(f"CREATE OR REPLACE TEMP TABLE links AS {links_sql(wanted='SELECT alias FROM aliases')}")
        old = f"(SELECT * FROM store.facts WHERE seq <= {since})"
        run(f"CREATE OR REPLACE TEMP TABLE links_old AS {links_sql(old, 'SELECT alias FROM aliases')}")
        run("""INSERT INTO touched SELECT linked FROM links UNION SELECT linked FROM links_old
            EXCEPT SELECT delivery FROM touched""")
        run("""INSERT INTO aliases SELECT DISTINCT alias FROM store.facts
            WHERE delivery IN (SELECT delivery FROM touched) AND alias IN (SELECT alias FROM store.orphans)
            EXCEPT SELECT alias FROM aliases""")
    run(f"CREATE OR REPLACE TEMP TABLE links AS {links_sql(wanted='SELECT alias FROM aliases')}")
    run(f"CREATE OR REPLACE TEMP TABLE links_old AS {links_sql(old, 'SELECT alias FROM aliases')}")
    run(f"""
        CREATE OR REPLACE TEMP TABLE scope AS SELECT * FROM (
            SELECT seq <= {since} AS before, coalesce(o.linked, delivery) AS key_old,
                coalesce(n.linked, delivery) AS key_new, {_event_columns()}
            FROM store.facts
            LEFT JOIN links n ON delivery_id IS NULL AND delivery = n.alias_
            LEFT JOIN links_old o ON delivery_id IS NULL AND delivery = o.alias_
            WHERE delivery IN (SELECT delivery FROM touched UNION SELECT alias FROM aliases)
        ) WHERE key_old IN (SELECT delivery FROM touched) OR key_new IN (SELECT delivery FROM touched)""")
    for name in ("fresh", "touched", "aliases", "links_old"):
        run(f"DROP TABLE temp.{name}")


def _fold(connection: duckdb.DuckDBPyConnection, name: str, key: str, condition: str) -> None:
    dimensions = ", ".join(f"min({d}) AS {d}" for d in COHORT_KEYS)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT {key} AS key, bit_or(flags) AS flags, {sent_time()} AS sent_at, {dimensions},
            bit_or(missing) AS missing, bit_or({_ALL_MISSING} - missing) AS given
        FROM scope WHERE {condition} GROUP BY {key}""")


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
