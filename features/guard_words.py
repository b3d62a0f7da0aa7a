"""A decision of the guard in words: what happened, how sure, against which tolerance. No people, no addresses but scopes."""

from collections.abc import Mapping
from typing import Final

from features.guard import PROBATION, Decision
from features.guard_followup import Followed
from features.guard_probation import SHARE

_OUTCOMES: Final[Mapping[str, str]] = {
    "bounces": "hard bounces and blocks among messages sent",
    "complaints": "complaints among messages delivered",
    "complaints_early": "complaints among messages delivered",
    "failures": "rejected or failed messages among attempts",
    "unsubscribes": "unsubscribes among messages delivered",
    "negative_replies": "hostile replies among replies of people",
    "delivery_collapse": "messages sent that did not arrive in four hours",
    "opens_collapse": "messages delivered that nobody opened in two days",
    "ses_bounces_review": "hard bounces among messages sent through Amazon SES",
    "ses_bounces_pause": "hard bounces among messages sent through Amazon SES",
    "ses_complaints_review": "complaints among messages delivered through Amazon SES",
    "ses_complaints_pause": "complaints among messages delivered through Amazon SES",
    "gmail_complaints_advice": "complaints among messages delivered at Gmail",
    "gmail_complaints_limit": "complaints among messages delivered at Gmail",
    "yahoo_complaints_advice": "complaints among messages delivered at Yahoo",
    "yahoo_complaints_limit": "complaints among messages delivered at Yahoo",
}
_DEEDS: Final = {"warn": "nothing is stopped yet", "slow": "slowed down", "pause": "stopped"}


def percent(rate: float) -> str:
    """A rate with two digits that count: 12%, 1.2%, 0.12%."""
    return f"{100 * rate:.2g}%" if rate < 0.995 else "100%"


def why(decision: Decision) -> str:
    """One sentence for tables, alerts and people."""
    if decision.detector == PROBATION and decision.severity == "slow":
        return f"on probation: {percent(SHARE)} of the messages go out again, judged by their {decision.rule.name}"
    if decision.detector == PROBATION:
        how = "let go" if decision.severity == "resume" else "stopped again"
        rate = decision.hits / max(decision.trials, 1)
        return (
            f"on probation {decision.hits} of {decision.trials} ({percent(rate)}) {_OUTCOMES[decision.rule.name]}, tolerated "
            f"are {percent(decision.rule.tolerance)}; {how}"
        )
    return _why(decision)


def impact_words(decision: Decision, since: Followed) -> str:
    """What came after a decision."""
    what = _OUTCOMES[decision.rule.name].split(" among ")[0]
    late = f"{since.late} {what} still came of what had been sent before" if since.late else "nothing came after"
    if decision.severity == "pause" and not since.trials:
        return f"{late}; nothing more was sent"
    before = f"{percent(decision.hits / decision.trials)} before, " if decision.trials else ""
    after = f"{percent(since.hits / since.trials)} after" if since.trials else "nothing was sent after"
    counts = f" ({since.hits} of {since.trials})" if since.trials else ""
    return f"{before}{after}{counts}" + (f"; {late}" if since.late else "")


def _why(decision: Decision) -> str:
    rate = decision.hits / max(decision.trials, 1)
    text = (
        f"{decision.hits} of {decision.trials} ({percent(rate)}) {_OUTCOMES[decision.rule.name]}, tolerated are "
        f"{percent(decision.rule.tolerance)}; the true rate is between {percent(decision.low)} and {percent(decision.high)} "
        f"with 95% confidence"
    )
    if decision.detector == "shift":
        text += f"; it changed: {decision.since_hits} of the last {decision.since_trials}"
    return f"{text}; {_DEEDS[decision.severity]}"
