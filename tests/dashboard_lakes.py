"""Lakes for the dashboard's tests, made through the real flows."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from dashboards.reader import LakeReader
from data.world import World
from flows.work import Work
from schemas.identifiers import uuid7_of
from tests.lakes import land, rows, works

Event = dict[str, Any]


def event(number: int, kind: str, **fields: Any) -> Event:
    """One event of delivery `number`."""
    return {
        "event_id": f"{kind}-{number}",
        "kind": kind,
        "occurred_at": "2026-01-30T17:00:00.000Z",
        "delivery_id": f"d{number}",
        "campaign_id": "spring",
        "channel": "email",
        **fields,
    }


def land_world(home: Path, days: int = 9) -> Path:
    """Simulated days until 2026-01-30T18:00Z, landed in as many chunks."""
    told = [msgspec.to_builtins(fact) for fact in World(1, days, scale=0.05).events()]
    events = [{name: value for name, value in fact.items() if value is not None} for fact in told]
    land(home, works(events, [1 + len(events) // days]))
    return home


_SAYINGS = {
    "meeting_request": ("Thursday at 14:00 works for me, please send an invite.", "urgent", "schedule_meeting"),
    "interested": ("Sounds relevant to what we do. Send me the deck.", "medium", "auto_respond"),
    "question": ("Does it work with two warehouses and one ledger?", "medium", "auto_respond"),
    "objection": ("We already pay for something like it. Why switch?", "medium", "human_review"),
    "not_now": ("Not before the summer, our budget is frozen.", "low", "add_to_nurture"),
    "referral": ("Ana Ruiz runs this, ask ana.ruiz@craneford.example.", "low", "human_review"),
    "not_interested": ("Thanks, we will pass.", "low", "mark_closed"),
    "unsubscribe": ("Take me off your list <b>now</b>.", "urgent", "mark_closed"),
    "out_of_office": ("I am away until 4 May with limited access to mail.", "low", "add_to_nurture"),
}
_SHOWN_INTENTS = tuple(_SAYINGS)
_TWIN = {"provider": "sendgrid", "recipient": "adam@craneford.example"}
"""Another reply with the same id: ids are a provider's own."""


def furnish(home: Path) -> Path:
    """Adds what other parts will have found out: replies read, corrections, models, insights, experiments, send times."""
    hostile = {
        "event_id": "hostile",
        "provider": "mailbox",
        "recipient": "eve@craneford.example",
        "campaign_id": "cmp-x",
    }
    land(
        home,
        works([*({**hostile, **other, "kind": "replied", "occurred_at": "2026-01-30T17:59:00.000Z", "channel": "email"}
                 for other in ({}, _TWIN)), {"kind": "sent"}],
              [3], source="hostile"),
    )  # fmt: skip
    facts = rows(
        home,
        """SELECT event_id, provider, recipient, occurred_at, campaign_id FROM store.facts
        WHERE kind = 'replied' ORDER BY occurred_at, event_id""",
    )
    results, replies = [], []
    for number, (event_id, provider, recipient, occurred_at, _) in enumerate(facts):
        intent = "unsubscribe" if event_id == "hostile" else _SHOWN_INTENTS[number % len(_SHOWN_INTENTS)]
        text, urgency, action = _SAYINGS[intent]
        moment = occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        asked = action in {"human_review", "schedule_meeting"}
        replies.append(
            {"event_id": event_id, "provider": provider, "recipient": recipient, "channel": "email", "text": text,
             "occurred_at": moment, "received_at": moment, "subject": "Re: a question"}
        )  # fmt: skip
        results.append((
            "response_intelligence",
            {"id": str(uuid7_of(int(occurred_at.timestamp() * 1000), f"reading {event_id} {provider} {recipient}")),
             "event_id": event_id,
             "provider": provider, "recipient": recipient, "created_at": moment, "intent_classification": intent,
             "ai_confidence_score": 0.55 + 0.4 * (number % 10) / 10, "urgency_level": urgency,
             "sentiment_score": 0.1, "next_action_required": action, "human_takeover_requested": asked,
             "resolution_status": "escalated" if asked else "pending", "language": "en",
             "priority": round(0.95 - 0.05 * (number % 9), 3), "review_reasons": "unsure" if asked else None,
             "extracted": '{"resume_date":"2026-05-04"}' if intent == "out_of_office" else "{}",
             "model_version": "replies-1", "feedback_offset": 0},
        ))  # fmt: skip
    results += _insights(facts[-1][3])
    land(
        home,
        [
            Work(
                source="furniture",
                cursors={"furniture": 1},
                replies=[msgspec.json.encode(reply) for reply in replies],
                results=[msgspec.json.encode({"table": table, "row": row}) for table, row in results],
            )
        ],
    )
    return home


def _insights(newest: datetime) -> list[tuple[str, dict[str, Any]]]:
    """Rows of the tables that the parts in the making will fill."""

    def at(days: float) -> str:
        moment = newest - timedelta(days=days)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def named(text: str) -> str:
        return str(uuid7_of(int(newest.timestamp() * 1000), text))

    corrected = [
        ("feedback", {"id": named(f"feedback {n}"), "event_id": f"e{n}", "field": "intent", "old_value": "question",
                      "new_value": "question" if n % 4 else "objection", "given_by": "ida", "given_at": at(n / 5)})
        for n in range(20)
    ]  # fmt: skip
    return [
        *corrected,
        ("models", {"name": "replies", "version": "replies-1", "trained_on": "3,582 replies", "active": True,
                    "metrics": '{"f1":0.83}', "created_at": at(1)}),
        ("ai_learning_events", {"id": named("insight"), "event_type": "success_pattern", "event_context": "{}",
                                "learning_insight": "Replies to step 2 rise when it names the ledger",
                                "confidence_level": 0.93, "application_scope": "persona",
                                "implementation_status": "applied", "impact_measurement": '{"lift":0.12}',
                                "created_at": at(2)}),
        ("campaign_experiments", {"id": named("experiment"), "campaign_id": "cmp-faster-ledger-close",
                                  "experiment_type": "subject_line", "experiment_name": "Ledger in the subject",
                                  "hypothesis": "Naming the ledger brings replies", "test_variants": '["A","B"]',
                                  "traffic_allocation": '{"A":0.5,"B":0.5}', "success_metric": "replied",
                                  "statistical_significance": 0.994, "winning_variant": "B",
                                  "experiment_status": "completed", "start_date": at(8), "end_date": at(1),
                                  "results_summary": '{"A":{"trials":1100,"hits":31},"B":{"trials":1095,"hits":58}}',
                                  "created_at": at(8)}),
        *(("data_quality", {"id": named(f"check {n}"), "run_at": at(0), "suite": "facts", "check_name": f"check_{n}",
                            "table_name": "events", "kind": "range", "expectation": f"No {what} in the lake",
                            "success": n > 0, "severity": "warning", "failures": 0 if n else 3,
                            "observed": None if n else "3 rows", "mend": None if n else "look at them"})
          for n, what in enumerate(("negative count", "impossible rate"))),
        ("optimization_actions", {"id": named("action"), "campaign_id": "cmp-warehouse-restock-pilot",
                                  "optimization_trigger": "high_bounce", "current_performance": '{"rate":0.19}',
                                  "recommended_actions": '["pause"]', "actions_taken": '["pause"]',
                                  "impact_prediction": "{}", "actual_impact": '{"rate":0.02}',
                                  "optimization_status": "measured", "created_at": at(3)}),
    ]  # fmt: skip


def asked(reader: LakeReader, query: str) -> list[dict[str, Any]]:
    """What a query over the analysts' tables gives."""
    with reader.reading() as reading:
        found: list[dict[str, Any]] = reading.arrow(query).to_pylist()
        return found


def values(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Some columns, in an order of their own."""
    return sorted((tuple(row[name] for name in names) for row in found), key=str)
