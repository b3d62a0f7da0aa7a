"""The product's nine tables are there from the first start, before any event; names as analysts know them."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import answers, free_port, run, start, stop, wait_until

NINE: Final = {
    "campaign_executions": (
        "id campaign_strategy_id execution_status launch_date pause_date completion_date total_targets messages_sent "
        "responses_received meetings_booked execution_settings performance_summary optimization_history created_at"
    ),
    "message_deliveries": (
        "id campaign_execution_id contact_id message_id channel sequence_step scheduled_send_time actual_send_time "
        "delivery_status delivery_metadata personalization_used created_at"
    ),
    "response_intelligence": (
        "id message_delivery_id response_text response_timestamp response_channel sentiment_score intent_classification "
        "urgency_level next_action_required auto_response_sent human_takeover_requested resolution_status "
        "ai_confidence_score created_at language interest_level objection_type extracted model_version"
    ),
    "campaign_performance_metrics": (
        "id campaign_execution_id metric_date channel contact_persona account_tier messages_sent delivery_rate open_rate "
        "response_rate positive_response_rate meeting_booking_rate cost_per_response engagement_score "
        "conversion_funnel_data created_at"
    ),
    "campaign_experiments": (
        "id campaign_execution_id experiment_type experiment_name hypothesis test_variants traffic_allocation "
        "success_metric statistical_significance winning_variant experiment_status start_date end_date results_summary "
        "created_at"
    ),
    "ai_learning_events": (
        "id event_type event_context learning_insight confidence_level application_scope implementation_status "
        "impact_measurement created_at"
    ),
    "meeting_bookings": (
        "id response_intelligence_id contact_id meeting_type scheduled_datetime meeting_duration meeting_status "
        "calendar_integration_id meeting_prep_data meeting_outcome opportunity_created created_at"
    ),
    "sequence_execution": (
        "id campaign_execution_id contact_id sequence_template_id current_step total_steps sequence_status "
        "next_action_date sequence_personalization step_completion_history response_handling_history exit_reason "
        "created_at"
    ),
    "optimization_actions": (
        "id campaign_execution_id optimization_trigger current_performance recommended_actions actions_taken "
        "impact_prediction actual_impact optimization_status created_at"
    ),
}
"""The tables of the product's data model, and the columns that each has at least."""
KINDS: Final = {"id": "UUID", "created_at": "TIMESTAMP WITH TIME ZONE"}
COLUMNS: Final = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_catalog = 'lake'"
)
COUNTS: Final = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in NINE)


def asked(home: Path, query: str) -> list[dict[str, Any]]:
    done = run("sql", query, "--format", "json", "--home", str(home))
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def check(home: Path) -> None:
    assert {row["name"]: row["n"] for row in asked(home, COUNTS)} == dict.fromkeys(NINE, 0)
    found: dict[str, dict[str, str]] = {}
    for row in asked(home, COLUMNS):
        found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    assert {name: [c for c in columns.split() if c not in found[name]] for name, columns in NINE.items()} == {
        name: [] for name in NINE
    }
    assert {name: {column: found[name][column] for column in KINDS} for name in NINE} == dict.fromkeys(NINE, KINDS)


def test_all_nine_tables_are_there_when_up_starts_for_the_first_time(home: Path) -> None:
    port = free_port()
    up = start("up", "--no-dashboard", "--home", str(home), env={"OUTPULSE_GATEWAY__PORT": str(port)})
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        check(home)
    finally:
        assert stop(up) == 0


def test_all_nine_tables_are_there_when_a_fresh_home_is_asked_before_anything_started(home: Path) -> None:
    check(home)


@pytest.mark.parametrize("verb", [["flows", "--drain"], ["maintain"]], ids=" ".join)
def test_all_nine_tables_are_there_after_other_first_verbs(verb: list[str], home: Path) -> None:
    assert run(*verb, "--home", str(home)).returncode == 0
    check(home)
