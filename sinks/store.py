"""The lake's own tables, in schema `store`: what the writer writes. Analysts read the views of `sinks.views`."""

from typing import Final

from features.columns import FACT_SCHEMA
from features.deliveries import COHORT_KEYS, COUNTS, HOUR_COUNTS, HOUR_KEYS
from schemas.derive import columns, ddl
from schemas.imported import IMPORTED
from schemas.tables import TABLES

LAKE_FORMAT: Final = 6
"""Raised when the store's tables change shape; a lake of a higher format is refused."""

FACT_COLUMNS: Final = tuple(name for name in FACT_SCHEMA.names if name != "day")
METRIC_DIMENSIONS: Final = (
    "campaign_id",
    "channel",
    "sequence_step",
    "variant",
    "persona",
    "account_tier",
    "sender",
    "recipient_domain",
)
CELL_KEYS: Final = ("campaign_id", "channel", "kind", "bounce_class", "is_machine")
"""Grain of the stored minute cells: all nine dimensions would make one cell an event (docs/decisions/0003)."""

RECIPIENT_DOMAIN: Final = "CASE WHEN contains(recipient, '@') THEN lower(split_part(recipient, '@', -1)) END"
"""SQL: what follows the last `@`, in lower case; worked out when read, which costs less than storing it."""

LINKED: Final = "lake.store.facts LEFT JOIN lake.store.links ON delivery = links.alias"
"""SQL: facts with the delivery that theirs names, if it names one; their delivery is `coalesce(linked, delivery)`."""

READ_COLUMNS: Final = frozenset({
    "id", "event_id", "provider", "recipient", "created_at", "sentiment_score", "intent_classification", "urgency_level",
    "next_action_required", "auto_response_sent", "human_takeover_requested", "resolution_status", "ai_confidence_score",
    "language", "interest_level", "objection_type", "extracted", "model_version", "feedback_offset", "contact_id",
    "priority", "review_reasons",
})  # fmt: skip
"""Columns of response_intelligence that the replies flow works out; the others come from facts."""
LATEST_READING: Final = "{'offset': coalesce(feedback_offset, 0), 'seq': seq, 'place': place}"
"""SQL: what is greatest in the reading of a reply that counts."""

_SQL_TYPES: Final = {
    "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint64": "UBIGINT",
}
_FACTS: Final = ", ".join(f"{name} {_SQL_TYPES[str(FACT_SCHEMA.field(name).type)]}" for name in FACT_COLUMNS)
_DIMENSIONS: Final = ", ".join(f"{name} VARCHAR" for name in METRIC_DIMENSIONS)

_READ: Final = tuple(c for c in columns(TABLES["response_intelligence"]) if c.name in READ_COLUMNS)
READINGS: Final = f"""CREATE TABLE IF NOT EXISTS store.readings (seq BIGINT, place BIGINT,
    {", ".join(f"{c.name} {c.sql_type}" for c in _READ)})"""

STORE_DDL: Final = (
    "CREATE SCHEMA IF NOT EXISTS store",
    "CREATE TABLE IF NOT EXISTS store.meta (name VARCHAR, value VARCHAR)",
    # One row a landed chunk and source: `position` is where the source goes on. The newest of each source counts.
    """CREATE TABLE IF NOT EXISTS store.commits (seq BIGINT, source VARCHAR, position BIGINT, events BIGINT,
        duplicates BIGINT, dead_letters BIGINT, newest TIMESTAMPTZ, landed_at TIMESTAMPTZ)""",
    # Up to which commit figures per delivery are derived; the highest counts.
    "CREATE TABLE IF NOT EXISTS store.derived (seq BIGINT)",
    f"CREATE TABLE IF NOT EXISTS store.facts (seq BIGINT, {_FACTS})",
    # One row once any fact came without delivery_id: until then there is nothing to link.
    "CREATE TABLE IF NOT EXISTS store.orphans (seq BIGINT)",
    # What a fact that came as mail knows of the message it is about: ids by rank, and the address (a row without id).
    """CREATE TABLE IF NOT EXISTS store.answers (seq BIGINT, delivery UBIGINT, occurred_at TIMESTAMPTZ, address UBIGINT,
        rank INTEGER, mail UBIGINT)""",
    # The delivery that another delivery key is known to name; kept up with the figures per delivery.
    "CREATE TABLE IF NOT EXISTS store.links (alias UBIGINT, linked UBIGINT)",
    # Deliveries whose opens or clicks look like a machine's, and why, as bits of features.suspicion.REASONS.
    "CREATE TABLE IF NOT EXISTS store.suspects (delivery UBIGINT, marks INTEGER)",
    """CREATE TABLE IF NOT EXISTS store.cells (minute TIMESTAMPTZ, campaign_id VARCHAR, channel VARCHAR, kind VARCHAR,
        bounce_class VARCHAR, is_machine BOOLEAN, events BIGINT)""",
    # Signed corrections of the dimensions that an event takes from its delivery: -1 as counted, +1 as it should be.
    f"""CREATE TABLE IF NOT EXISTS store.corrections (occurred_at TIMESTAMPTZ, {_DIMENSIONS}, kind VARCHAR,
        bounce_class VARCHAR, is_machine BOOLEAN, events BIGINT)""",
    f"""CREATE TABLE IF NOT EXISTS store.cohorts (metric_date DATE, {", ".join(f"{k} VARCHAR" for k in COHORT_KEYS)},
        {", ".join(f"{name} BIGINT" for name in COUNTS)})""",
    f"""CREATE TABLE IF NOT EXISTS store.send_hours (sent_hour TIMESTAMPTZ, {", ".join(f"{k} VARCHAR" for k in HOUR_KEYS)},
        {", ".join(f"{name} BIGINT" for name in HOUR_COUNTS)})""",
    """CREATE TABLE IF NOT EXISTS store.replies (seq BIGINT, event_id VARCHAR, provider VARCHAR, recipient VARCHAR,
        channel VARCHAR, occurred_at TIMESTAMPTZ, received_at TIMESTAMPTZ, subject VARCHAR, text VARCHAR,
        headers VARCHAR, origin VARCHAR, raw_partition INTEGER, raw_offset BIGINT)""",
    # How replies are read: one row a reading; of one reply that of the most feedback counts, then the last that landed.
    READINGS,
    # The commands of the control stream that have landed: a log that knows no keys may hold one twice.
    "CREATE TABLE IF NOT EXISTS store.commands (id UUID, control_offset BIGINT)",
)

STORED_TABLES: Final = (
    "dead_letters",
    "pauses",
    "alerts",
    "feedback",
    "models",
    "suppressions",
    "campaign_experiments",
    "ai_learning_events",
    "optimization_actions",
    "data_quality",
    *IMPORTED,
)
"""Tables of the data model that are stored as they are; the others are views."""


def table_ddl() -> list[str]:
    """Statements that make what is missing of the store and of the stored tables."""
    made = [ddl(name, TABLES[name]).replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ") for name in STORED_TABLES]
    return [*STORE_DDL, *made]


_UPGRADES: Final = {
    1: (
        "ALTER TABLE store.facts DROP COLUMN alias",
        "ALTER TABLE store.facts ADD COLUMN mail UBIGINT",
        "ALTER TABLE store.facts ADD COLUMN address UBIGINT",
        "ALTER TABLE store.cohorts ADD COLUMN opened_strict BIGINT",
        "ALTER TABLE store.cohorts ADD COLUMN clicked_strict BIGINT",
        "DROP TABLE store.orphans",
    ),
    2: ("ALTER TABLE pauses ADD COLUMN IF NOT EXISTS control_offset BIGINT",),
    3: ("ALTER TABLE pauses ADD COLUMN IF NOT EXISTS detector VARCHAR",),
    4: (
        "ALTER TABLE pauses ADD COLUMN IF NOT EXISTS until TIMESTAMPTZ",
        *(
            f"ALTER TABLE store.cohorts ADD COLUMN IF NOT EXISTS {name} BIGINT"
            for name in ("answered", "positive", "read")
        ),
        READINGS,
    ),
    5: tuple(
        f"ALTER TABLE store.cohorts ADD COLUMN IF NOT EXISTS {name} BIGINT"
        for name in ("touched", "aware", "interested", "engaged", "met", "opportunities")
    ),
}
"""What brings a lake of a format to the next one; hashes and derived figures are then made anew."""


def upgrades(found: int) -> list[str]:
    """Statements that bring the store's tables from an older format to today's."""
    return [statement for version in range(found, LAKE_FORMAT) for statement in _UPGRADES[version]]
