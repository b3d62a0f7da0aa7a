"""Which delivery a fact without `delivery_id` belongs to; kept in `store.links`, a function of all facts in any order.

Two ways lead there. A (provider, message_id, recipient) that any event ties to a delivery names it. What came as mail (a
reply, a report) names the message it is about by ids, best first, and by an address: the delivery whose message has the
id and whose recipient is the address, or the only one with the id; else the newest earlier one to that address. A change
is worked out for what new facts touch: their aliases, and the mails that wait for their ids or addresses.
"""

from typing import Final

import duckdb

from features.columns import ADDRESS_HASH, ALIAS, CAME_AS_MAIL, MAIL_HASH

_BY_ADDRESS: Final = 1_000_000
"""The rank of an address behind those of all ids."""
_MOST_IDS: Final = 50
"""Ids of a mail that are looked up: References grow with a thread, and hostile ones without end."""
_TOLD: Final = "json_extract_string(attributes, '$.{}')"


def answers_of(source: str, seq: int) -> str:
    """SQL: the rows of `store.answers` for the facts of a relation that came as mail.

    A reply answers In-Reply-To, else what References names, the last first; a report is about its event's message id. The
    own message id of a reply comes first: where events of other origin tell replies, it is that of the answered message.
    """
    ids = f"""list_filter(list_transform(CASE WHEN kind = 'replied' THEN list_concat(
            [message_id, {_TOLD.format("original_message_id")}, string_split({_TOLD.format("in_reply_to")}, ' ')[1]],
            list_reverse(string_split({_TOLD.format("references")}, ' ')))
        ELSE [message_id] END, lambda x: trim(x, '<>, ')), lambda x: x <> '')[1:{_MOST_IDS}]"""
    author = f"CASE WHEN kind = 'replied' THEN {_TOLD.format('from')} ELSE recipient END"
    return f"""
        WITH mails AS (SELECT DISTINCT delivery, occurred_at, {ids} AS ids, {author} AS author
            FROM {source} WHERE delivery IS NOT NULL AND {CAME_AS_MAIL})
        SELECT {seq} AS seq, delivery, occurred_at, CASE WHEN author <> '' THEN {ADDRESS_HASH.format("author")} END AS address,
            rank, {MAIL_HASH.format("id")} AS mail
        FROM (SELECT *, unnest(ids) AS id, unnest(range(len(ids))) AS rank FROM mails)
        UNION ALL SELECT {seq}, delivery, occurred_at, {ADDRESS_HASH.format("author")}, {_BY_ADDRESS}, NULL
        FROM mails WHERE author <> ''"""


def note_orphans(connection: duckdb.DuckDBPyConnection, source: str, seq: int) -> None:
    """Notes that facts without delivery_id have come, and what those that came as mail are about; inside a transaction."""
    connection.execute(f"INSERT INTO store.orphans SELECT {seq} WHERE NOT EXISTS (SELECT 1 FROM store.orphans)")
    connection.execute(f"INSERT INTO store.answers {answers_of(source, seq)}")


def update_links(connection: duckdb.DuckDBPyConnection, since: int) -> bool:
    """Brings `store.links` up to all facts, from facts up to commit `since`; whether any link stands or was changed.

    Leaves `links_gone` and `links_come` (alias, linked): what was taken away and what was put in. In the open transaction.
    """
    run = connection.execute
    run(f"""CREATE OR REPLACE TEMP TABLE fresh AS
        SELECT DISTINCT delivery, {ALIAS} AS alias, mail, address FROM store.facts WHERE seq > {since}""")
    run("""CREATE OR REPLACE TEMP TABLE asking AS SELECT * FROM store.answers WHERE delivery IN (
        SELECT delivery FROM store.answers WHERE delivery IN (SELECT delivery FROM fresh)
            OR mail IN (SELECT mail FROM fresh) OR address IN (SELECT address FROM fresh))""")
    run("""CREATE OR REPLACE TEMP TABLE affected AS
        SELECT alias, mail FROM fresh WHERE delivery = alias AND mail IS NOT NULL
        UNION SELECT delivery, mail FROM store.facts
            WHERE mail IS NOT NULL AND delivery IN (SELECT alias FROM fresh WHERE delivery <> alias)
        UNION SELECT delivery, mail FROM store.facts
            WHERE mail IS NOT NULL AND delivery IN (SELECT delivery FROM asking)
        UNION SELECT delivery, NULL FROM asking""")
    run(f"CREATE OR REPLACE TEMP TABLE links_new AS {_named('affected')}")
    if run("SELECT count(*) > 0 FROM asking").fetchone() == (True,):
        _find_messages(connection)
        run(f"INSERT INTO links_new SELECT * FROM ({_answered()}) WHERE alias NOT IN (SELECT alias FROM links_new)")
    run("""CREATE OR REPLACE TEMP TABLE links_old AS
        SELECT alias, linked FROM store.links WHERE alias IN (SELECT alias FROM affected)""")
    run("CREATE OR REPLACE TEMP TABLE links_gone AS FROM links_old EXCEPT FROM links_new")
    run("CREATE OR REPLACE TEMP TABLE links_come AS FROM links_new EXCEPT FROM links_old")
    if run("SELECT count(*) > 0 FROM links_gone").fetchone() == (True,):
        run("DELETE FROM store.links WHERE alias IN (SELECT alias FROM links_gone)")
    if run("SELECT count(*) > 0 FROM links_come").fetchone() == (True,):
        run("INSERT INTO store.links FROM links_come")
    for name in ("asking", "affected", "links_new", "links_old", "messages", "fresh"):
        run(f"DROP TABLE IF EXISTS temp.{name}")
    return run("""SELECT count(*) > 0 FROM (
        (SELECT 1 FROM store.links LIMIT 1) UNION ALL (SELECT 1 FROM links_gone LIMIT 1))""").fetchone() == (True,)


def _named(wanted: str) -> str:
    """SQL: the delivery that a (provider, message_id, recipient) names, for a relation of `alias` and `mail`."""
    return f"""SELECT alias, min(delivery) AS linked
        FROM (SELECT {ALIAS} AS alias, delivery FROM store.facts WHERE mail IN (SELECT mail FROM {wanted}))
        WHERE alias IN (SELECT alias FROM {wanted}) AND delivery <> alias GROUP BY alias"""


def _find_messages(connection: duckdb.DuckDBPyConnection) -> None:
    """`messages`: the deliveries that `asking` may mean, by what they are named now, with their first time."""
    # Two semi-joins: one with an OR would compare each with each.
    found = "SELECT delivery AS alias, mail, address, occurred_at FROM store.facts WHERE delivery IS NOT NULL AND"
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE found AS
        {found} mail IN (SELECT mail FROM asking)
        UNION ALL {found} address IN (SELECT address FROM asking WHERE mail IS NULL)
            AND (mail IS NULL OR mail NOT IN (SELECT mail FROM asking WHERE mail IS NOT NULL))""")
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE messages AS
        SELECT coalesce(linked, found.alias) AS delivery, mail, address, min(occurred_at) AS first_at
        FROM found LEFT JOIN ({_named("found")}) AS named ON found.alias = named.alias GROUP BY ALL""")
    connection.execute("DROP TABLE temp.found")


def _answered() -> str:
    """SQL: (alias, linked) of `asking`: of the best id that a message of ours has, else of the address."""
    return """
        WITH by_id AS (
            SELECT o.delivery AS alias, rank, min(m.delivery) FILTER (m.address = o.address) AS same,
                CASE WHEN count(DISTINCT m.delivery) = 1 THEN min(m.delivery) END AS lone
            FROM asking o JOIN messages m ON m.mail = o.mail GROUP BY ALL),
        sent AS (SELECT delivery, address, min(first_at) AS first_at FROM messages GROUP BY ALL),
        by_address AS (
            SELECT o.delivery AS alias, rank,
                arg_max(s.delivery, {'at': s.first_at, 'delivery': s.delivery}) AS linked
            FROM asking o JOIN sent s ON s.address = o.address AND s.first_at <= o.occurred_at
            WHERE o.mail IS NULL GROUP BY ALL)
        SELECT * FROM (
            SELECT alias, arg_min(linked, {'rank': rank, 'linked': linked}) AS linked FROM (
                SELECT alias, rank, coalesce(same, lone) AS linked FROM by_id
                UNION ALL SELECT alias, rank, linked FROM by_address)
            WHERE linked IS NOT NULL GROUP BY alias)
        WHERE linked <> alias"""
