"""Replies by priority, how they are read, and how well people agree with that: the SQL and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import plotly.graph_objects as go

from dashboards.attention import IS_WAITING, READ_NOW, WAITING
from dashboards.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, dress
from dashboards.queries import spelled
from dashboards.reader import Reading
from features.intervals import wilson
from schemas.tables import Intent

PAGE_ROWS: Final = 10


class Show(StrEnum):
    """Which replies to show."""

    WAITING = "Waiting for a person"
    ALL = "All"
    UNREAD = "Not read yet"


@dataclass(frozen=True)
class Wanted:
    """What the inbox looks for; no intents means all, `words` occur in the text."""

    show: Show = Show.WAITING
    intents: tuple[str, ...] = ()
    words: str = ""
    page: int = 1


# A reply has one text, as in response_intelligence: the one of its own provider and recipient before those of any.
_FROM: Final = f"""
    FROM (SELECT f.*, w.subject, w.text FROM store.facts f LEFT JOIN (
            SELECT event_id, provider, recipient, min(subject) AS subject, min(text) AS text FROM store.replies GROUP BY ALL) w
            ON w.event_id = f.event_id AND (w.provider = f.provider OR w.provider IS NULL)
            AND (w.recipient = f.recipient OR w.recipient IS NULL)
        WHERE f.kind = 'replied' QUALIFY row_number() OVER (PARTITION BY f.event_id, f.provider, f.recipient, f.occurred_at
            ORDER BY w.provider IS NULL, w.recipient IS NULL) = 1) e
    LEFT JOIN {READ_NOW} said ON said.event_id = e.event_id AND said.provider IS NOT DISTINCT FROM e.provider
        AND said.recipient IS NOT DISTINCT FROM e.recipient"""
# response_intelligence has the same rows; without its deliveries this takes a tenth of the time.
REPLIES: Final = (
    """
    SELECT e.event_id, e.provider, e.occurred_at, e.campaign_id, e.contact_id, e.recipient, e.sender, e.channel, e.subject,
        coalesce(e.text, e.reason) AS text, said.intent_classification, said.ai_confidence_score, said.sentiment_score,
        said.urgency_level, said.next_action_required, said.human_takeover_requested,
        coalesce(said.resolution_status, 'pending') AS resolution_status, said.priority, said.review_reasons,
        said.language, said.interest_level, said.objection_type, said.extracted, said.model_version,
        count(*) OVER () AS found"""
    + _FROM
    + """
    WHERE {where} ORDER BY said.priority DESC NULLS LAST, e.occurred_at DESC, e.event_id LIMIT ? OFFSET ?"""
)
_AS_DOCUMENTED: Final = """
    SELECT response_timestamp, campaign_id, recipient, intent_classification, ai_confidence_score, urgency_level,
        next_action_required, priority, review_reasons, response_text
    FROM response_intelligence WHERE {where}
    ORDER BY priority DESC NULLS LAST, response_timestamp DESC, event_id LIMIT ? OFFSET ?"""

BY_DAY: Final = f"""
    SELECT created_at::DATE AS day, intent_classification AS intent, count(*) AS replies,
        avg(ai_confidence_score) AS confidence
    FROM {READ_NOW} WHERE intent_classification IS NOT NULL GROUP BY ALL ORDER BY ALL"""
AGREEMENT: Final = """
    SELECT given_at::DATE AS day, count(*) AS checked, count(*) FILTER (new_value = old_value) AS agreed
    FROM feedback WHERE field = 'intent' AND old_value IS NOT NULL GROUP BY ALL ORDER BY day"""
CONFUSED: Final = """
    SELECT old_value AS read_as, new_value AS should_be, count(*) AS times FROM feedback
    WHERE field = 'intent' AND old_value <> new_value GROUP BY ALL ORDER BY times DESC, read_as, should_be LIMIT 12"""
DRIFT: Final = """
    SELECT created_at, learning_insight, confidence_level FROM ai_learning_events
    WHERE event_type IN ('failure_analysis', 'performance_feedback') ORDER BY created_at DESC LIMIT 20"""

INTENT_WORDS: Final = {
    Intent.MEETING_REQUEST: "Meeting",
    Intent.INTERESTED: "Interested",
    Intent.QUESTION: "Question",
    Intent.OBJECTION: "Objection",
    Intent.NOT_NOW: "Not now",
    Intent.REFERRAL: "Referral",
    Intent.NOT_INTERESTED: "Not interested",
    Intent.UNSUBSCRIBE: "Unsubscribe",
    Intent.OUT_OF_OFFICE: "Out of office",
}
_LOOKS: Final = {
    Intent.MEETING_REQUEST: GREEN,
    Intent.INTERESTED: BLUE,
    Intent.QUESTION: SKY,
    Intent.OBJECTION: ORANGE,
    Intent.NOT_NOW: PURPLE,
    Intent.REFERRAL: "#8E6BBF",
    Intent.NOT_INTERESTED: VERMILLION,
    Intent.UNSUBSCRIBE: "#BA4B4B",
    Intent.OUT_OF_OFFICE: GREY,
}


@dataclass(frozen=True)
class Inbox:
    """One page of replies (the last where fewer are left), how many there are in all, and how many wait."""

    replies: list[dict[str, Any]]
    page: int
    found: int
    waiting: dict[str, Any]
    sql: str


@dataclass(frozen=True)
class HowRead:
    """How replies are read over time, and how people agree."""

    by_day: list[dict[str, Any]]
    agreement: list[dict[str, Any]]
    confused: list[dict[str, Any]]
    drift: list[dict[str, Any]]


def load(reading: Reading, wanted: Wanted) -> Inbox:
    """One page of the inbox."""
    where, values = _where(wanted)
    page = max(wanted.page, 1)
    rows = _rows(reading, where, values, page)
    if not rows and page > 1:  # corrections and other filters leave fewer pages
        first = _rows(reading, where, values, 1)
        page = -(-first[0]["found"] // PAGE_ROWS) if first else 1
        rows = first if page == 1 else _rows(reading, where, values, page)
    documented = (
        where.replace("e.event_id", "event_id")
        .replace("said.", "")
        .replace("coalesce(e.text, e.reason)", "response_text")
    )
    return Inbox(
        replies=rows,
        page=page,
        found=rows[0]["found"] if rows else 0,
        waiting=reading.arrow(WAITING).to_pylist()[0],
        sql=spelled(_AS_DOCUMENTED.format(where=documented), [*values, *_place(page)]),
    )


def _rows(reading: Reading, where: str, values: Sequence[Any], page: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = reading.arrow(REPLIES.replace("{where}", where), [*values, *_place(page)]).to_pylist()
    return found


def _place(page: int) -> tuple[int, int]:
    """How many rows, and how many come before them."""
    return PAGE_ROWS, PAGE_ROWS * (page - 1)


def load_reading(reading: Reading) -> HowRead:
    """How replies are read over time."""
    by_day, agreement, confused, drift = (
        reading.arrow(query).to_pylist() for query in (BY_DAY, AGREEMENT, CONFUSED, DRIFT)
    )
    return HowRead(by_day, agreement, confused, drift)


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    terms: list[str] = ["true"]
    values: list[Any] = []
    if wanted.show is Show.WAITING:
        terms.append(IS_WAITING)
    elif wanted.show is Show.UNREAD:
        terms.append("said.intent_classification IS NULL")
    if wanted.intents:
        terms.append(f"said.intent_classification IN ({', '.join('?' * len(wanted.intents))})")
        values += wanted.intents
    if wanted.words.strip():
        terms.append("contains(lower(coalesce(e.text, e.reason)), lower(?))")
        values.append(wanted.words.strip())
    return " AND ".join(terms), values


def intents_by_day(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Replies by day, stacked by intent."""
    figure = go.Figure()
    days = sorted({row["day"] for row in rows})
    for intent, color in _LOOKS.items():
        by_day = {row["day"]: row["replies"] for row in rows if row["intent"] == intent}
        if by_day:
            figure.add_bar(
                x=days, y=[by_day.get(day, 0) for day in days], name=INTENT_WORDS[intent], marker_color=color
            )
    dress(figure, height=320)
    figure.update_layout(barmode="stack", legend={"orientation": "h", "y": -0.15, "yanchor": "top"})
    figure.update_xaxes(tickformat="%-d %b")
    return figure


def agreement_by_day(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """The share of checked replies that people read as the model did, with its interval."""
    limits = [wilson(row["agreed"], row["checked"]) for row in rows]
    shares = [row["agreed"] / row["checked"] for row in rows]
    figure = go.Figure(
        go.Scatter(
            x=[row["day"] for row in rows],
            y=shares,
            mode="lines+markers",
            line={"color": BLUE},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [limit.high - share if limit else 0 for limit, share in zip(limits, shares, strict=True)],
                "arrayminus": [share - limit.low if limit else 0 for limit, share in zip(limits, shares, strict=True)],
            },
            customdata=[f"{row['agreed']} of {row['checked']}" for row in rows],
            hovertemplate="%{y:.0%}, %{customdata}<extra></extra>",
        )
    )
    dress(figure, height=320)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_xaxes(tickformat="%-d %b")
    return figure
