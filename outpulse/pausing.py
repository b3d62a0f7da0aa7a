"""`outpulse pauses`, `pause`, `resume` and `allowed`; and how any verb's commands reach the log, and then the lake."""

import getpass
import os
import sys
import time
from contextlib import closing, suppress
from typing import Any, Final

import msgspec

from control.client import ControlClient
from control.commands import BY_REPLIES, PARTITION, PROBATION, append, decide
from control.scopes import Scope, parse_scope, scope_of
from eventlog import Log
from outpulse.home import Home
from outpulse.printing import print_json, print_table
from schemas.events import Channel, Command, CommandAction, Stream
from schemas.failures import LakeError, LakeLocked, OutpulseError, SettingsError

FORBIDDEN: Final = 4
"""The exit status of `outpulse allowed` when the answer is no."""
_SHOWN: Final = ("scope", "action", "send_share", "why", "decided_by", "occurred_at")
_TELL_AFTER_SECONDS: Final = 5.0
_NAMED: Final = 5
_PERSONS_RULE: Final = "bounces"
"""Judges the probation of what a person paused, or a rule that cannot judge one: it tells soonest, the others watch on."""


def run_pauses(home: Home, *, every: bool, as_json: bool) -> int:
    """What holds by the log, or every decision that the lake knows."""
    rows = _every_decision(home) if every else _holding(home)
    if as_json:
        print_json(rows)
        return 0
    # Everybody who replied is stopped or put off: hundreds of lines would hide the few that concern whole campaigns.
    shown = rows if every else [row for row in rows if row["decided_by"] != BY_REPLIES]
    if shown:
        print_table(_SHOWN, ([row[name] for name in _SHOWN] for row in shown))
    elif not rows:
        print("nothing has been decided" if every else "nothing is paused")  # noqa: T201 - the verb's answer
    if len(shown) < len(rows):
        print(f"and {len(rows) - len(shown)} contacts who replied (--json shows them)")  # noqa: T201 - the verb's answer
    return 0


def run_pause(home: Home, text: str, *, why: str, share: float, by: str | None) -> int:
    """Pauses a scope, or slows it down to a share."""
    scope = parse_scope(text)
    if not 0 <= share < 1:
        raise SettingsError(f"--share is {share:g}, valid are 0 (nothing is sent) to below 1")
    action = CommandAction.SLOW if share else CommandAction.PAUSE
    command = decide(action, scope, by=by or user_name(), why=_told(why), send_share=share)
    send(home, command)
    done = f"slowed to {share:g}" if share else "paused"
    print(f"{done}: {scope.text} ({command.id})")  # noqa: T201 - the verb's answer
    return 0


def run_resume(home: Home, text: str, *, why: str, by: str | None, is_probation: bool = False) -> int:
    """Ends the pause or slow-down of exactly this scope, or lets a small share of it go on probation.

    The probation is judged by the rule that paused the scope; where a person, a collapse or replies did, by bounces.

    Raises:
        OutpulseError: there is none.
    """
    scope = parse_scope(text)
    log = home.log()
    with closing(log):
        held = ControlClient(log).holding().pauses
    found = next((one for one in held if one.scope == scope), None)
    if found is None:
        names = [one.scope.text for one in held]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = f"what is: {' '.join(names[:_NAMED])}{more}" if names else "nothing is"
        raise OutpulseError(f"{scope.text} is not paused; {what}")
    who = by or user_name()
    if is_probation:
        return _begin_probation(home, scope, found.command.rule, by=who, why=_told(why))
    command = decide(CommandAction.RESUME, scope, by=who, why=_told(why))
    send(home, command)
    print(f"resumed: {scope.text} ({command.id})")  # noqa: T201 - the verb's answer
    return 0


def _begin_probation(home: Home, scope: Scope, rule: str | None, *, by: str, why: str) -> int:
    from features.guard_counts import SCOPE_KINDS
    from features.guard_probation import MATURE_HOURS, SHARE

    if scope.kind not in SCOPE_KINDS:
        raise SettingsError(
            f"{scope.text} cannot be on probation, the guard does not watch single contacts; leave it out"
        )
    judged = rule if rule in MATURE_HOURS else _PERSONS_RULE
    if judged in home.settings.guard.off:
        raise SettingsError(f"nothing would judge the probation: rule {judged} is switched off in [guard] off")
    command = msgspec.structs.replace(
        decide(CommandAction.SLOW, scope, by=by, why=why, send_share=SHARE), rule=judged, metric=PROBATION
    )
    send(home, command)
    print(f"on probation with {SHARE:g}, judged by {judged}: {scope.text} ({command.id})")  # noqa: T201 - the verb's answer
    return 0


def run_allowed(home: Home, **asked: str | None) -> int:
    """Prints the decision on a message as JSON; 0 for yes, `FORBIDDEN` for no."""
    channel = asked.get("channel") or Channel.EMAIL
    if channel not in set(Channel):
        raise SettingsError(f"--channel is {channel!r}, valid are {', '.join(Channel)}")
    log = home.log()
    with closing(log):
        decision = ControlClient(log).allowed(**{name: value for name, value in asked.items() if value})
    print(msgspec.json.encode(decision).decode())  # noqa: T201 - the verb's answer
    return 0 if decision.allowed else FORBIDDEN


def send(home: Home, *commands: Command) -> None:
    """Appends commands to the control stream; returns when SQL shows what they change."""
    log = home.log()
    with closing(log):
        _await_landing(home, log, append(log, *commands))


def user_name() -> str:
    """Who decides, when the command line does not say: the user's name of the system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"


def _told(why: str) -> str:
    if not why.strip():
        raise SettingsError("--why is empty; valid is a reason in words, for those who find it paused")
    return why.strip()


def _holding(home: Home) -> list[dict[str, Any]]:
    from sinks.commands import pause_row

    log = home.log()
    with closing(log):
        held = ControlClient(log).holding().pauses
    return [{"scope": one.scope.text} | msgspec.structs.asdict(pause_row(one.offset, one.command)) for one in held]


def _every_decision(home: Home) -> list[dict[str, Any]]:
    from outpulse.querying import ensure_lake
    from sinks.attach import connect, writer_pid

    ensure_lake(home)
    log = home.log()
    with closing(log):
        if writer_pid(home.path) is None and _landed(home) < log.end(Stream.CONTROL, PARTITION):
            _land_here(home, log)
    with closing(connect(home.path, read_only=True)) as connection:
        found = connection.execute("SELECT * FROM pauses ORDER BY control_offset NULLS FIRST, occurred_at, id")
        names = [column[0] for column in found.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [{"scope": scope_of(row["scope_kind"], row["scope_value"]).text} | row for row in rows]


def _await_landing(home: Home, log: Log, offset: int) -> None:
    """Returns when the lake holds the control stream up to an offset: by its live writer, else by this process."""
    from sinks.attach import writer_pid

    began, told = time.monotonic(), False
    while _landed(home) <= offset:
        writer = writer_pid(home.path)
        if writer is None:
            _land_here(home, log)
            continue
        if not told and time.monotonic() - began > _TELL_AFTER_SECONDS:
            told = True
            print(  # noqa: T201 - for who waits
                f"it holds already; SQL will show it when process {writer}, which writes to the lake, is ready",
                file=sys.stderr,
            )
        time.sleep(0.1)


def _landed(home: Home) -> int:
    """Where the lake's writer goes on in the control stream; 0 without a lake."""
    from flows.inbox import source_name
    from sinks.attach import connect

    with suppress(LakeError), closing(connect(home.path, read_only=True)) as connection:
        query = "SELECT max(position) FROM store.commits WHERE source = ?"
        row = connection.execute(query, [source_name(Stream.CONTROL, PARTITION)]).fetchone()
        return int((row[0] if row else 0) or 0)
    return 0


def _land_here(home: Home, log: Log) -> None:
    """Lands what waits of the control stream as the lake's writer, unless somebody else is that by now."""
    from flows.delivery import run_plainly
    from flows.inbox import LogInbox
    from flows.run import open_lake

    try:
        lake = open_lake(home.path, home.settings)
    except LakeLocked:
        time.sleep(0.1)
        return
    with closing(lake):
        inbox = LogInbox(log, lake.positions(), streams=[Stream.CONTROL])
        run_plainly(iter(lambda: inbox.take(at_once=True), None), lake)
