"""Queries that come with the dashboard, and the tables and columns that a query may name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.derive import columns
from schemas.tables import TABLES

_DOCUMENTED: Final = Path(__file__).parents[1] / "docs" / "queries"
"""The worked queries of docs/sql.md, where the source is at hand."""
_TITLE: Final = re.compile(r"^--\s*(.+)$", re.MULTILINE)

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
    """A table with what it says and its columns: (name, type, meaning)."""

    name: str
    about: str
    columns: tuple[tuple[str, str, str], ...]


def saved_queries() -> dict[str, str]:
    """Title to SQL: our own, then the worked queries of the documentation."""
    found = dict(OWN)
    for path in sorted(_DOCUMENTED.glob("*.sql")):
        text = path.read_text(encoding="utf-8").strip()
        title = _TITLE.search(text)
        found[title[1].strip() if title else path.stem] = text
    return found


def described() -> list[Described]:
    """All tables of the lake, from the schemas they are made of."""
    return [
        Described(
            name,
            (table.__doc__ or "").strip().splitlines()[0] if table.__doc__ else "",
            tuple((c.name, c.sql_type, c.comment or "") for c in columns(table)),
        )
        for name, table in sorted(TABLES.items())
    ]
