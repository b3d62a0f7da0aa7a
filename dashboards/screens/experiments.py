"""Experiments: what is tried, how sure the result is, and the variants side by side."""

from html import escape
from typing import Any

import streamlit as st

from dashboards import campaign, frames
from dashboards.campaign import RATES, segment_rates
from dashboards.people import Viewer
from dashboards.process import Source
from dashboards.reader import Reading
from dashboards.words import NOTHING, campaign_name, count, percent

EXPERIMENTS = """
    SELECT id::VARCHAR AS id, campaign_id, experiment_name, experiment_type, hypothesis, experiment_status,
        success_metric, statistical_significance, winning_variant, start_date, end_date, test_variants, traffic_allocation,
        results_summary
    FROM campaign_experiments
    ORDER BY CASE experiment_status WHEN 'running' THEN 0 WHEN 'completed' THEN 1 ELSE 2 END, start_date DESC, id LIMIT 60"""
VARIANTS = """
    SELECT campaign_id, variant, sum(sent)::BIGINT AS sent FROM store.cohorts
    WHERE campaign_id IS NOT NULL AND variant IS NOT NULL GROUP BY ALL HAVING sum(sent) > 0 ORDER BY ALL"""


def draw(source: Source, who: Viewer) -> None:
    """The page."""
    del who
    experiments, campaigns = source.figures("experiments", _load)
    frames.part("Experiments", "Running ones first. A winner is told when the evidence is enough, not before.")
    if not experiments:
        frames.empty(
            "No experiment yet",
            "The flow `experiments` writes here what it tries and finds. Until then, the variants that campaigns already "
            "send stand side by side below.",
        )
    for experiment in experiments:
        _card(experiment)
    if experiments:
        frames.data("experiments", experiments, list(experiments[0]), sql=EXPERIMENTS)
    _variants(source, campaigns)


def _load(reading: Reading) -> tuple[list[dict[str, Any]], list[str]]:
    sent: dict[str, int] = {}
    for row in reading.arrow(VARIANTS).to_pylist():
        sent[row["campaign_id"]] = sent.get(row["campaign_id"], 0) + 1
    return reading.arrow(EXPERIMENTS).to_pylist(), sorted(name for name, variants in sent.items() if variants > 1)


def _card(experiment: dict[str, Any]) -> None:
    status, winner = experiment["experiment_status"], experiment["winning_variant"]
    look = {"running": "warn", "completed": "good"}.get(status, "chip")
    sure = experiment["statistical_significance"]
    lines = [
        f"in {escape(campaign_name(experiment['campaign_id']))}",
        escape(str(experiment["experiment_type"] or "").replace("_", " ")),
        f"judged by {escape(str(experiment['success_metric'] or NOTHING).replace('_', ' '))}",
        f"from {_day(experiment['start_date'])} to {_day(experiment['end_date'])}",
    ]
    won = f"<br><strong>Variant {escape(winner)} wins</strong>" if winner else ""
    certainty = f", {percent(sure)} sure" if sure is not None else ""
    with st.container(border=True, key=f"experiment_{experiment['id']}"):
        st.html(
            f'<div class="item"><span class="mark {look}">{escape(status)}</span><span>'
            f"<strong>{escape(experiment['experiment_name'] or 'Experiment')}</strong> "
            f'<span class="why">{" · ".join(lines)}</span><br>{escape(experiment["hypothesis"] or "")}{won}{certainty}'
            "</span></div>"
        )


def _day(moment: Any) -> str:  # noqa: ANN401 - an instant or none
    return f"{moment:%Y-%m-%d}" if moment else "now"


def _variants(source: Source, campaigns: list[str]) -> None:
    frames.part(
        "Variants side by side", "Of any campaign that sends several; where the bars overlap, it may be chance."
    )
    if not campaigns:
        frames.empty("No campaign sends several variants", "Name them in the field `variant` of its events.")
        return
    left, right = st.columns(2, vertical_alignment="bottom")
    name = left.selectbox("Campaign", campaigns, key="tested", bind="query-params")
    rate = right.segmented_control(
        "Rate", list(RATES), default="Replies", key="rate_of", bind="query-params", required=True, wrap=True
    )
    rows = source.figures(("variants", name), lambda reading: campaign.variants(reading, name))
    told = segment_rates(rows, rate or "Replies")
    if not told:
        frames.empty("Nothing to compare yet", "No message of this campaign has arrived.")
        return
    says = f"{rate} by variant of {name}"
    frames.chart(
        campaign.dots(told),
        "variants",
        says=says,
        rows=told,
        names=list(told[0]),
        sql=campaign.segments_sql("Variant", name, rate or "Replies"),
    )
    frames.note(f"{count(sum(row['sent'] for row in told))} messages sent in all variants.")
