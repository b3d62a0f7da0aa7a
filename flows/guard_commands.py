"""Decisions of the guard as commands, as rows of `pauses` and `optimization_actions`; and who must not be written to again."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from control.commands import PROBATION, canonical
from control.scopes import Scope, address
from features.guard import Decision
from features.guard_followup import Measured
from features.guard_probation import SHARE
from features.guard_words import impact_words, percent, why
from features.tolerances import PROVIDER_LIMITS
from schemas.events import Command, CommandAction, Detector, ResultRow
from schemas.identifiers import external_id, uuid7_of
from schemas.instants import from_epoch_ms, parse_ms
from schemas.tables import OptimizationAction, OptimizationStatus, OptimizationTrigger

_TRIGGERS: Final[Mapping[str, OptimizationTrigger]] = {
    "bounces": OptimizationTrigger.HIGH_BOUNCE,
    "failures": OptimizationTrigger.HIGH_BOUNCE,
    "complaints": OptimizationTrigger.POOR_ENGAGEMENT,
    "complaints_early": OptimizationTrigger.POOR_ENGAGEMENT,
    "unsubscribes": OptimizationTrigger.POOR_ENGAGEMENT,
    "negative_replies": OptimizationTrigger.POOR_ENGAGEMENT,
    "delivery_collapse": OptimizationTrigger.LOW_PERFORMANCE,
    "opens_collapse": OptimizationTrigger.POOR_ENGAGEMENT,
    "ses_bounces_review": OptimizationTrigger.HIGH_BOUNCE,
    "ses_bounces_pause": OptimizationTrigger.HIGH_BOUNCE,
    **dict.fromkeys(
        (rule.name for rule in PROVIDER_LIMITS if rule.hits == "complained"), OptimizationTrigger.POOR_ENGAGEMENT
    ),
}
_SHARES: Final = {"warn": 1.0, "pause": 0.0, "resume": 1.0}
_REASONS: Final = {"unsubscribed": "unsubscribed", "complained": "complained", "bounced": "hard bounce"}
_CHANNELS: Final = {"unsubscribed": "all", "complained": "all", "bounced": "email"}
"""A dead address is no reason against a call."""


class Outcome(NamedTuple):
    """A decision as a command, and as a row for the `results` stream (key and record), where there is one."""

    command: Command
    row: tuple[bytes, bytes] | None


def decided(decision: Decision, facts: pa.Table, slow_share: float, by: str) -> Outcome:
    """A decision at a fact of a batch as a command."""
    return decided_at(
        decision, facts["event_id"][decision.place].as_py(), _instant(facts, decision.place), slow_share, by
    )


def decided_at(decision: Decision, event_id: str, occurred_at: str, slow_share: float, by: str) -> Outcome:
    """A decision at an event as a command."""
    scope = Scope(tuple(decision.kind.split(",")), decision.values)
    key = f"guard\x1f{decision.rule.name}\x1f{decision.severity}\x1f{scope.kind}\x1f{scope.value}\x1f{event_id}"
    is_begun = decision.severity == "slow" and decision.detector == Detector.PROBATION
    command = canonical(
        Command(
            id=str(uuid7_of(parse_ms(occurred_at), key)),
            action=CommandAction(decision.severity),
            scope_kind=scope.kind,
            scope_value=scope.value,
            send_share=SHARE if is_begun else _SHARES.get(decision.severity, slow_share),
            occurred_at=occurred_at,
            decided_at=from_epoch_ms(time.time_ns() // 1_000_000),
            decided_by=by,
            why=why(decision),
            rule=decision.rule.name,
            metric=PROBATION if is_begun else decision.rule.hits,
            observed_rate=None if is_begun else decision.hits / max(decision.trials, 1),
            tolerance=decision.rule.tolerance,
            evidence=None if is_begun else decision.evidence,
            trials=None if is_begun else decision.trials,
            hits=None if is_begun else decision.hits,
            caused_by=event_id,
            detector=Detector(decision.detector),
        )
    )
    return Outcome(command, None if decision.severity == "warn" else _action(decision, command))


def measured_row(decision: Decision, measured: Measured, slow_share: float, by: str) -> tuple[bytes, bytes]:
    """The row of `optimization_actions` of a decision once its impact is known: key and record of the `results` stream.

    It takes the place of the row that told of the decision. Counts are those that the guard has made anyway; a view over the
    lake's facts would have to say again, in SQL, what each rule counts, and to read all facts of the scope for each row.
    """
    occurred_at = from_epoch_ms(measured.of.occurred_ms)
    command = decided_at(decision, measured.of.event_id, occurred_at, slow_share, by).command
    made, row = _action_row(decision, command)
    impact = _json(_impact(decision, measured, occurred_at))
    row = msgspec.structs.replace(row, actual_impact=impact, optimization_status=OptimizationStatus.MEASURED)
    return made.bytes + b"measured", _result(row)


def _impact(decision: Decision, measured: Measured, occurred_at: str) -> dict[str, Any]:
    of = measured.of
    return {
        "rate_before": decision.hits / decision.trials if decision.trials else None,
        "rate_after": of.hits / of.trials if of.trials else None,
        "hits": of.hits,
        "trials": of.trials,
        "late_hits": of.late,
        "from": occurred_at,
        "until": from_epoch_ms(measured.ended_ms),
        "text": impact_words(decision, of),
    }


def _action(decision: Decision, command: Command) -> tuple[bytes, bytes]:
    made, row = _action_row(decision, command)
    return made.bytes, _result(row)


def _result(row: OptimizationAction) -> bytes:
    return msgspec.json.encode(ResultRow(table="optimization_actions", row=msgspec.to_builtins(row)))


def _action_row(decision: Decision, command: Command) -> tuple[UUID, OptimizationAction]:
    campaign = decision.values[0] if decision.kind.startswith("campaign") else None
    rate = decision.hits / max(decision.trials, 1)
    made = uuid7_of(parse_ms(command.occurred_at), f"optimization\x1f{command.id}")
    deed = {"action": str(command.action), "scope_kind": command.scope_kind, "scope_value": command.scope_value}
    is_freed = decision.severity == "resume" or command.metric == PROBATION
    predicted = (
        "the rate stays within what is tolerated"
        if is_freed
        else (f"no further {decision.rule.hits} beyond {percent(rate)} from this scope")
    )
    return made, OptimizationAction(
        id=made,
        campaign_execution_id=external_id("campaign", campaign) if campaign else None,
        optimization_trigger=OptimizationTrigger.OPPORTUNITY_DETECTED if is_freed else _TRIGGERS[decision.rule.name],
        current_performance=_json({"rate": rate, "hits": decision.hits, "trials": decision.trials, "why": command.why}),
        recommended_actions=_json([deed]),
        actions_taken=_json([deed | {"command_id": command.id, "send_share": command.send_share}]),
        impact_prediction=_json({"text": predicted}),
        optimization_status=OptimizationStatus.IMPLEMENTED,
        created_at=datetime.fromisoformat(command.occurred_at),
        campaign_id=campaign,
    )


def _json(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    return msgspec.json.encode(value).decode()


def _instant(facts: pa.Table, place: int) -> str:
    micros = pc.cast(facts["occurred_at"].slice(place, 1), pa.int64())[0].as_py()
    return from_epoch_ms(int(micros) // 1000)


def suppressions(facts: pa.Table, by: str) -> list[Command]:
    """Commands for everybody who unsubscribed, complained, or whose address is dead; the same for every copy of a fact."""
    dead = pc.and_kleene(pc.equal(facts["kind"], "bounced"), pc.equal(facts["bounce_class"], "hard"))
    left = pc.is_in(facts["kind"], pa.array(["unsubscribed", "complained"]))
    chosen = pc.fill_null(pc.or_kleene(dead, left), fill_value=False)
    if not pc.any(chosen).as_py():
        return []
    names = ("event_id", "kind", "contact_id", "recipient", "provider")
    found = facts.filter(chosen)
    commands = []
    for place, row in enumerate(found.select(names).to_pylist()):
        if not row["contact_id"] and not address(row["recipient"] or ""):
            continue
        occurred_at = _instant(found, place)
        key = "\x1f".join(("suppress", *(str(row[name]) for name in names)))
        commands.append(
            Command(
                id=str(uuid7_of(parse_ms(occurred_at), key)),
                action=CommandAction.SUPPRESS,
                contact_id=row["contact_id"],
                recipient=row["recipient"],
                channel=_CHANNELS[row["kind"]],
                occurred_at=occurred_at,
                decided_at=from_epoch_ms(time.time_ns() // 1_000_000),
                decided_by=by,
                why=_REASONS[row["kind"]],
                caused_by=row["event_id"],
            )
        )
    return [canonical(command) for command in commands]
