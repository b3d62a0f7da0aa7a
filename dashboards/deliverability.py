"""Bounces and complaints by sender and recipients' domain, decisions and suppressions: the SQL and what it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go
import pyarrow as pa

from dashboards.charts import dress
from dashboards.filters import Filters, buckets, where_of
from dashboards.queries import spelled, status
from dashboards.reader import Reading
from features.intervals import wilson
from features.tolerances import DEFAULT_RULES
from outpulse.settings import GuardSettings
from sinks.store import RECIPIENT_DOMAIN

_DEFAULTS: Final = {rule.name: rule.tolerance for rule in DEFAULT_RULES}
HEAT: Final = ((0, "#5C9CC5"), (0.35, "#A5CBE0"), (0.5, "#E9D8A6"), (0.75, "#E9A23B"), (1, "#E5683F"))
"""From nothing over the tolerance (sand) to twice it (red); light enough all the way for the words on it."""
ON_HEAT: Final = "#10151A"

# Events of the three kinds, from facts and what corrects their dimensions: what metrics_minute counts, of any window.
BY_SENDER_AND_DOMAIN: Final = f"""
    SELECT sender, recipient_domain, sum(events) FILTER (kind = 'delivered')::BIGINT AS delivered,
        sum(events) FILTER (kind = 'bounced')::BIGINT AS bounced,
        sum(events) FILTER (kind = 'bounced' AND bounce_class = 'hard')::BIGINT AS hard,
        sum(events) FILTER (kind = 'bounced' AND bounce_class = 'block')::BIGINT AS block,
        sum(events) FILTER (kind = 'bounced' AND bounce_class = 'soft')::BIGINT AS soft,
        sum(events) FILTER (kind = 'complained')::BIGINT AS complained
    FROM (
        SELECT sender, {RECIPIENT_DOMAIN} AS recipient_domain, kind, bounce_class, 1 AS events
        FROM store.facts WHERE occurred_at >= ? AND kind IN ('delivered', 'bounced', 'complained') AND {{where}}
        UNION ALL
        SELECT sender, recipient_domain, kind, bounce_class, events
        FROM store.corrections WHERE occurred_at >= ? AND kind IN ('delivered', 'bounced', 'complained') AND {{where}}
    ) GROUP BY sender, recipient_domain HAVING count(*) > 0 ORDER BY delivered DESC NULLS LAST, sender, recipient_domain"""
_AS_DOCUMENTED: Final = """
    SELECT sender, recipient_domain, sum(events) FILTER (kind = 'delivered')::BIGINT AS delivered,
        sum(events) FILTER (kind = 'bounced')::BIGINT AS bounced,
        sum(events) FILTER (kind = 'complained')::BIGINT AS complained
    FROM metrics_minute WHERE minute >= ? AND kind IN ('delivered', 'bounced', 'complained') AND {where}
    GROUP BY sender, recipient_domain ORDER BY delivered DESC NULLS LAST"""
DECISIONS: Final = """
    SELECT occurred_at, action, scope_kind, scope_value, rule, hits, trials, observed_rate, tolerance, evidence,
        detector, decided_by, why, caused_by
    FROM pauses WHERE scope_kind NOT IN ('contact', 'recipient') ORDER BY occurred_at DESC, id DESC LIMIT 500"""
SUPPRESSED: Final = """
    SELECT reason, source, scope AS channel, count(*) AS people, max(since) AS newest
    FROM suppressions GROUP BY ALL ORDER BY people DESC, reason LIMIT 50"""
MOST_DOMAINS: Final = 10
FEWEST: Final = 20
"""A share of fewer messages than this is noise, and is not coloured."""


@dataclass(frozen=True)
class Tolerated:
    """The rates that the guard's rules `bounces` and `complaints` tolerate: by default, and in single scopes."""

    bounces: float
    complaints: float
    scopes: Mapping[str, Mapping[str, float]]

    @staticmethod
    def of(guard: GuardSettings) -> "Tolerated":
        """As the settings have it."""
        rates = {**_DEFAULTS, **guard.tolerances}
        return Tolerated(rates["bounces"], rates["complaints"], guard.scopes)

    def at(self, sender: str | None, domain: str | None) -> tuple[float, float]:
        """Bounces and complaints tolerated of a sender at a domain; what is set for the domain goes before the sender's."""
        found = {"bounces": self.bounces, "complaints": self.complaints}
        for scope in (f"sender:{sender}", f"domain:{domain}"):
            found |= self.scopes.get(scope, {})
        return found["bounces"], found["complaints"]


@dataclass(frozen=True)
class Deliverability:
    """What the page shows of the lake."""

    pairs: list[dict[str, Any]]
    sql: str
    decisions: list[dict[str, Any]]
    suppressed: list[dict[str, Any]]


def load(reading: Reading, chosen: Filters, tolerated: Tolerated) -> Deliverability:
    """All of it on one snapshot.

    Raises:
        NoLake: nothing has landed yet.
    """
    now = status(reading)
    where, values = where_of(chosen)
    start = buckets(chosen.range, now.as_of, now.oldest).start
    found = reading.arrow(BY_SENDER_AND_DOMAIN.format(where=where), [*[start, *values] * 2])
    return Deliverability(
        pairs=_judged(found, tolerated),
        sql=spelled(_AS_DOCUMENTED.format(where=where), [start, *values]),
        decisions=reading.arrow(DECISIONS).to_pylist(),
        suppressed=reading.arrow(SUPPRESSED).to_pylist(),
    )


def _judged(found: pa.Table, tolerated: Tolerated) -> list[dict[str, Any]]:
    """Shares and Wilson's lower limits; worst first."""
    rows: list[dict[str, Any]] = []
    for row in found.to_pylist():
        counts = {name: value or 0 for name, value in row.items() if name not in {"sender", "recipient_domain"}}
        tried = counts["delivered"] + counts["bounced"]
        bounces = wilson(counts["bounced"], tried)
        complaints = wilson(min(counts["complained"], counts["delivered"]), counts["delivered"])
        most_bounces, most_complaints = tolerated.at(row["sender"], row["recipient_domain"])
        rows.append(
            {
                "sender": row["sender"],
                "recipient_domain": row["recipient_domain"],
                "tried": tried,
                **counts,
                "bounce_share": counts["bounced"] / tried if tried else None,
                "bounce_low": bounces.low if bounces else None,
                "bounce_high": bounces.high if bounces else None,
                "complaint_share": counts["complained"] / counts["delivered"] if counts["delivered"] else None,
                "complaint_low": complaints.low if complaints else None,
                "bounces_tolerated": most_bounces,
                "complaints_tolerated": most_complaints,
            }
        )
    return sorted(rows, key=lambda r: (-_use(r), -r["tried"]))


def _use(row: dict[str, Any]) -> float:
    """How much of a tolerance is surely used up."""
    bounces, complaints = row["bounces_tolerated"], row["complaints_tolerated"]
    used: float = max((row["bounce_low"] or 0) / bounces, (row["complaint_low"] or 0) / complaints)
    return used


def verdict(row: dict[str, Any]) -> str:
    """`over` where the share is surely above a tolerance (95 %), `watch` where it is by count alone, else `fine`."""
    if _use(row) > 1:
        return "over"
    over_bounces = (row["bounce_share"] or 0) > row["bounces_tolerated"]
    over_complaints = (row["complaint_share"] or 0) > row["complaints_tolerated"]
    return "watch" if over_bounces or over_complaints else "fine"


def heat_map(rows: Sequence[dict[str, Any]], what: str, tolerated: Tolerated) -> go.Figure:
    """Senders by domains with the most mail, the rest as `others`; what is above the tolerance is in the upper half."""
    part, whole, tolerance = (
        ("bounced", "tried", tolerated.bounces)
        if what == "Bounces"
        else ("complained", "delivered", tolerated.complaints)
    )
    mail: dict[str, int] = {}
    for row in rows:
        mail[_domain(row)] = mail.get(_domain(row), 0) + row["tried"]
    top = sorted(mail, key=lambda name: (-mail[name], name))[:MOST_DOMAINS]
    senders = sorted({row["sender"] or "(no sender)" for row in rows})
    counts: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        name = _domain(row) if _domain(row) in top else "others"
        cell = counts.setdefault((row["sender"] or "(no sender)", name), [0, 0])
        cell[0] += row[part]
        cell[1] += row[whole]
    names = [*top, *(["others"] if any(key[1] == "others" for key in counts) else [])]
    cells = [[counts.get((sender, name), [0, 0]) for name in names] for sender in senders]
    digits = 1 if what == "Bounces" else 2
    figure = go.Figure(
        go.Heatmap(
            z=[[a / b if b >= FEWEST else None for a, b in line] for line in cells],
            x=names,
            y=senders,
            text=[[f"{100 * a / b:.{digits}f} %" if b >= FEWEST else "" for a, b in line] for line in cells],
            texttemplate="%{text}",
            customdata=[[f"{a:,} of {b:,}" for a, b in line] for line in cells],
            hovertemplate="%{y} to %{x}: %{customdata}<extra></extra>",
            zmin=0,
            zmax=2 * tolerance,
            colorscale=HEAT,
            textfont={"color": ON_HEAT},
            colorbar={"tickformat": ".1%", "thickness": 12, "title": {"text": "share", "side": "right"}},
            xgap=2,
            ygap=2,
        )
    )
    dress(figure, height=110 + 44 * max(len(senders), 2))
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(showgrid=False, tickangle=-30)
    figure.update_yaxes(showgrid=False, autorange="reversed", ticks="")
    return figure


def _domain(row: dict[str, Any]) -> str:
    return row["recipient_domain"] or "(no address)"
