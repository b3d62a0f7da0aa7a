"""Queries that come with the dashboard, and the tables and columns that a query may name."""

from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.analyses import ANALYSES, call_of
from schemas.derive import columns
from schemas.pages import worked_queries
from schemas.tables import TABLES

OWN: Final = {
    "Rates by campaign": """SELECT campaign_id, sum(messages_sent) AS sent,
    sum(messages_delivered) / sum(messages_sent) AS delivery_rate,
    sum(messages_opened) / nullif(sum(messages_delivered), 0) AS open_rate,
    sum(responses_received) / nullif(sum(messages_delivered), 0) AS response_rate,
    sum(meetings_booked) AS meetings
FROM campaign_performance_metrics
GROUP BY campaign_id ORDER BY sent DESC""",
    "What holds now": "SELECT scope_kind, scope_value, action, observed_rate, tolerance, why FROM active_pauses",
    "Replies by what they say": """SELECT intent_classification, count(*) AS replies, avg(ai_confidence_score) AS confidence
FROM response_intelligence GROUP BY ALL ORDER BY replies DESC""",
    "Events of the last hour": """SELECT kind, is_machine, sum(events) AS events FROM metrics_1h
GROUP BY ALL ORDER BY events DESC""",
    "Bounces of the last day by domain": """SELECT recipient_domain, sum(events) FILTER (kind = 'bounced') AS bounced,
    sum(events) FILTER (kind = 'delivered') AS delivered
FROM metrics_24h GROUP BY ALL HAVING bounced > 0 ORDER BY bounced DESC LIMIT 50""",
    "What could not be read": "SELECT reason, count(*) AS letters FROM dead_letters GROUP BY ALL ORDER BY letters DESC",
}


@dataclass(frozen=True)
class Described:
    """A table, view or macro; columns are (name, type, meaning), parameters (name, default, meaning).

    `call` is how a query writes it. A function has no columns.
    """

    name: str
    call: str
    about: str
    columns: tuple[tuple[str, str, str], ...]
    parameters: tuple[tuple[str, str, str], ...] = ()


def saved_queries() -> dict[str, str]:
    """Title to SQL: our own, then the worked queries of docs/sql.md by their questions."""
    return OWN | {query.question: f"-- {query.read}\n{query.sql}" for query in worked_queries()}


def described() -> list[Described]:
    """All tables of the lake, then its ready-made analyses, from the schemas they are made of."""
    tables = [Described(name, name, _about(table), _columns(table)) for name, table in sorted(TABLES.items())]
    return tables + [
        Described(
            name,
            call_of(name),
            _about(found.struct) if found.struct else f"{found.meaning[:1].upper()}{found.meaning[1:]}.",
            _columns(found.struct) if found.struct else (),
            tuple((p.name, p.default or "must be given", p.meaning) for p in found.parameters),
        )
        for name, found in sorted(ANALYSES.items())
    ]


def _about(struct: type[msgspec.Struct]) -> str:
    """The first paragraph of what it says of itself."""
    return " ".join((struct.__doc__ or "").strip().split("\n\n")[0].split())


def _columns(struct: type[msgspec.Struct]) -> tuple[tuple[str, str, str], ...]:
    return tuple((c.name, c.sql_type, c.comment or "") for c in columns(struct))
