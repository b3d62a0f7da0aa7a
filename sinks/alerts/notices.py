"""What an alert says, on one screen: what happened, why, how sure, what was stopped, what to do."""

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from control.commands import is_probation
from control.scopes import Scope, scope_of
from schemas.events import Command, CommandAction, Detector
from schemas.identifiers import external_id
from schemas.instants import parse_ms
from schemas.records import AlertSeverity

NOTICE: Final = "notice"
"""The kind of what other parts tell; the other kinds are the actions of commands."""
BEGINS: Final = "begins"
ENDS: Final = "ends"
HOLDING: Final = frozenset({CommandAction.SLOW.value, CommandAction.PAUSE.value, CommandAction.RESUME.value})
"""Kinds that change what may be sent."""
SEVERITIES: Final[Mapping[str, AlertSeverity]] = {
    CommandAction.WARN: AlertSeverity.WARNING,
    CommandAction.SLOW: AlertSeverity.WARNING,
    CommandAction.PAUSE: AlertSeverity.CRITICAL,
    CommandAction.RESUME: AlertSeverity.INFO,
}
_STATES: Final[Mapping[str, str]] = {
    CommandAction.SLOW: BEGINS,
    CommandAction.PAUSE: BEGINS,
    CommandAction.RESUME: ENDS,
}
RANK: Final[Mapping[str, int]] = {severity.value: rank for rank, severity in enumerate(AlertSeverity)}
"""The ladder of severities, the mildest first."""

_WORDS: Final = 500
"""Longest reason in characters; a screen has some 25 lines."""
_MANY: Final = 1_000_000
_GUARDS: Final = frozenset({"guard", "replay"})
_MENDS: Final[Mapping[str, str]] = {
    "complaint": "do not write to these people again; look at the consent, the text and how easy it is to opt out",
    "bounce": "look where these addresses come from and when they were last checked; take the dead ones out",
    "fail": "look at the provider's console: account, quota, and the domain's SPF, DKIM and DMARC",
    "unsubscribe": "look whether the list and the text belong together, and how often these people are written to",
    "repl": "read some of the replies; look whether the list and the text belong together",
    "delivery": "look at the provider's console and at the receivers' answers (`outpulse sql`, table events)",
    "open": "send one to a mailbox of your own at the same receivers: is it in the spam folder?",
}
"""What to look at, by a word in the rule's name; the first that fits."""


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to tell. `source` is its identity: the same for every pass over the log.

    `scope` is as people write it, of other parts' notices their title or what they name; `created_at` is the event time,
    canonical text. `state` is `begins` or `ends` of what lasts: who was told of its begin is told of its end.
    """

    source: str
    kind: str
    severity: AlertSeverity
    scope: str
    title: str
    body: str
    created_at: str
    rule: str = ""
    pause_id: str | None = None
    state: str = ""


def notice_of(command: Command) -> Notice:
    """The notice of a command about a scope, in its canonical form."""
    scope = scope_of(command.scope_kind, command.scope_value)
    return Notice(
        source=f"command\x1f{command.id}",
        kind=command.action.value,
        severity=SEVERITIES[command.action],
        scope=scope.text,
        rule=command.rule or "",
        title=_title(command, scope),
        body="\n".join((*_lines(command, scope), "", _signed(command))),
        created_at=command.occurred_at,
        pause_id=str(external_id("command", command.id)),
        state=_STATES.get(command.action, ""),
    )


def notice_of_row(row: Mapping[str, Any]) -> Notice:
    """The notice of a row of table `alerts`, as JSON has it, that another part made.

    Raises:
        ValueError: the row lacks something, or has it in another form.
    """
    try:
        found = msgspec.convert(row, _Row)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    parse_ms(found.created_at)
    return Notice(
        source=f"alert\x1f{UUID(found.id)}",
        kind=NOTICE,
        severity=found.severity,
        scope=found.scope or found.title,
        rule=found.rule,
        title=found.title,
        body=found.body,
        created_at=found.created_at,
        pause_id=found.pause_id,
        state=found.state,
    )


class _Row(msgspec.Struct):
    """A row of table `alerts`; `scope`, `rule` and `state` of a notice may stand beside it and are not stored."""

    id: str
    severity: AlertSeverity
    title: str
    body: str
    created_at: str
    pause_id: str | None = None
    scope: str = ""
    rule: str = ""
    state: str = ""


def _title(command: Command, scope: Scope) -> str:
    what = {
        CommandAction.WARN: "Warning",
        CommandAction.SLOW: f"Slowed to {_percent(command.send_share)}",
        CommandAction.PAUSE: "Paused",
        CommandAction.RESUME: "Resumed",
    }[command.action]
    if is_probation(command):
        what = f"On probation with {_percent(command.send_share)}"
    rule = f" ({command.rule})" if command.rule else ""
    return f"{what}: {scope.text}{rule}"


def _lines(command: Command, scope: Scope) -> Iterator[str]:
    yield f"What happened: {_happened(command)}"
    yield f"Why: {_short(command.why) or 'no reason was given'}"
    if sure := _sure(command, scope):
        yield f"How sure: {sure}"
    yield f"What was stopped: {_stopped(command, scope)}"
    yield f"What to do: {_mend(command, scope)}"


def _happened(command: Command) -> str:
    if command.trials is None or command.hits is None:
        return f"{_short(command.decided_by)} decided it"
    rate = command.observed_rate
    if rate is None:
        rate = command.hits / command.trials if command.trials else 0.0
    watched = (command.metric or command.rule or "what is watched").replace("_", " ")
    tolerated = "" if command.tolerance is None else f", {_percent(command.tolerance)} is tolerated"
    return f"{watched}: {command.hits:,} of {command.trials:,} ({_percent(rate)}){tolerated}"


def _sure(command: Command, scope: Scope) -> str | None:
    if command.evidence is None:
        return None if command.decided_by in _GUARDS else "it was a person's decision"
    which = {"campaign": "campaigns", "sender": "senders", "domain": "domains"}.get(scope.kinds[0], "campaigns")
    chance = f"less than 1 in {odds(command.evidence)}"
    tolerated = "what is tolerated" if command.tolerance is None else _percent(command.tolerance)
    if command.detector is Detector.SHIFT:
        return (
            f"that it got worse: {chance} {which} with a steady healthy rate would look so in their first million "
            f"messages; that it is above {tolerated} now is likely, not proven"
        )
    if command.detector is Detector.PROBATION and command.action is CommandAction.RESUME:
        return f"{chance} {which} still above {tolerated} would look so clean on probation"
    if command.detector is Detector.PROBATION:
        return f"{chance} {which} that are healthy again would fail their probation so"
    return f"{chance} healthy {which} would ever show this"


def odds(evidence: float) -> str:
    """An e-value as people say it, rounded down to two figures: 123.4 is "120".

    That a healthy scope ever reaches the e-value E has a probability of at most 1/E.

    Source: J. Ville, Étude critique de la notion de collectif, 1939 (Ville's inequality).
    """
    if not evidence < _MANY:  # also infinity, and what is no number
        return "a million"
    number = max(1, math.floor(evidence))
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{number // step * step:,}"


def _stopped(command: Command, scope: Scope) -> str:
    if command.action is CommandAction.WARN:
        return "nothing yet"
    if command.action is CommandAction.RESUME:
        return f"nothing any more; {_covered(scope)} goes out again"
    if command.action is CommandAction.SLOW:
        return f"all but {_percent(command.send_share)} of {_covered(scope)}"
    return f"{_covered(scope)}; everything else goes on" if scope.values else "everything"


def _covered(scope: Scope) -> str:
    """What a scope covers, in words."""
    value = dict(zip(scope.kinds, scope.values, strict=False))
    words = {
        "campaign": "campaign {campaign}",
        "campaign,step": "step {step} of campaign {campaign}",
        "campaign,variant": "variant {variant} of campaign {campaign}",
        "sender": "what {sender} sends",
        "sender,domain": "what {sender} sends to {domain}",
        "domain": "what goes to {domain}",
        "contact": "what goes to contact {contact}",
    }.get(scope.kind, "everything")
    return words.format(**value)


def _mend(command: Command, scope: Scope) -> str:
    if command.action is CommandAction.RESUME:
        return "nothing; the guard goes on watching"
    if is_probation(command):
        return (
            f"nothing; the guard lets it go or stops it again by what these messages do. To end it yourself: "
            f'outpulse resume {shlex.quote(scope.text)} --why "..."'
        )
    rule = f"{command.rule or ''} {command.metric or ''}".lower()
    mend = next((mend for word, mend in _MENDS.items() if word in rule), "look at `outpulse pauses`")
    if command.action is CommandAction.WARN:
        return mend
    return f'{mend}; when it is mended: outpulse resume {shlex.quote(scope.text)} --why "..."'


def _signed(command: Command) -> str:
    moment = command.occurred_at[:19].replace("T", " ")
    rule = f", rule {command.rule}" if command.rule else ""
    return f"{_short(command.decided_by)}, {moment} UTC{rule}, command {_short(command.id)}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS else line[: _WORDS - 1] + "…"
