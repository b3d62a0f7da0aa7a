"""A decision of the guard in words: what happened, how sure, against which tolerance. No people, no addresses but scopes."""

from collections.abc import Mapping
from typing import Final

from features.guard import Decision

_OUTCOMES: Final[Mapping[str, str]] = {
    "bounces": "hard bounces and blocks among messages sent",
    "complaints": "complaints among messages delivered",
    "complaints_early": "complaints among messages delivered",
    "failures": "rejected or failed messages among attempts",
    "unsubscribes": "unsubscribes among messages delivered",
}
_DEEDS: Final = {"warn": "nothing is stopped yet", "slow": "slowed down", "pause": "stopped"}


def percent(rate: float) -> str:
    """A rate with two digits that count: 12%, 1.2%, 0.12%."""
    return f"{100 * rate:.2g}%" if rate < 0.995 else "100%"


def why(decision: Decision) -> str:
    """One sentence for tables, alerts and people."""
    rate = decision.hits / max(decision.trials, 1)
    text = (
        f"{decision.hits} of {decision.trials} ({percent(rate)}) {_OUTCOMES[decision.rule.name]}, tolerated are "
        f"{percent(decision.rule.tolerance)}; the true rate is between {percent(decision.low)} and {percent(decision.high)} "
        f"with 95% confidence"
    )
    if decision.detector == "shift":
        text += f"; it changed: {decision.since_hits} of the last {decision.since_trials}"
    return f"{text}; {_DEEDS[decision.severity]}"
