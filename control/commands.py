"""Commands as they are written to the `control` stream and read from it, in one canonical form."""

import os
import time
from typing import Any, Final

import msgspec

from control.scopes import Scope, address, scope_of
from eventlog import Log, Record
from schemas.events import Channel, Command, CommandAction, Stream
from schemas.failures import BadEvent
from schemas.identifiers import uuid7_of
from schemas.instants import EARLIEST_MS, LATEST_MS, from_epoch_ms, parse_ms

ABOUT_PEOPLE: Final = frozenset({CommandAction.SUPPRESS, CommandAction.UNSUPPRESS})
"""Actions that concern a contact or an address; the others concern a scope."""
ALL_CHANNELS: Final = "all"
CHANNELS: Final = (ALL_CHANNELS, *Channel)
"""What a suppression may be limited to."""
PROBATION: Final = "probation"
"""The metric of a `slow` command by which a scope goes on with a small share, judged anew."""
BY_REPLIES: Final = "replies"
"""Who decides what follows from a person's reply: single contacts are stopped, put off or never written to again."""
PARTITION: Final = 0
"""The control stream is never split: its order decides what holds."""

_DECODE: Final = msgspec.json.Decoder(Command).decode
_ENCODE: Final = msgspec.json.Encoder().encode
_SHARES: Final = {CommandAction.WARN: 1.0, CommandAction.RESUME: 1.0, CommandAction.PAUSE: 0.0}


def read_command(raw: bytes) -> Command:
    """The command of a record: scope and addresses as they are compared, `send_share` as the action means it.

    Raises:
        BadEvent: not a usable command.
    """
    try:
        return canonical(_DECODE(raw))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise BadEvent("command unusable", str(error)) from None


def canonical(command: Command) -> Command:
    """A command in the form in which commands are compared.

    Raises:
        ValueError: a scope, a person, a channel, a share or a time that is none.
    """
    if not command.id:
        raise ValueError("a command without id")
    occurred_at = _instant(command.occurred_at)
    decided_at: str | None = occurred_at
    if command.decided_at != command.occurred_at:
        decided_at = _instant(command.decided_at) if command.decided_at else None
    changes = _of_a_person(command) if command.action in ABOUT_PEOPLE else _of_a_scope(command)
    if not changes and (occurred_at, decided_at) == (command.occurred_at, command.decided_at):
        return command
    return msgspec.structs.replace(command, occurred_at=occurred_at, decided_at=decided_at, **changes)


def _instant(text: str) -> str:
    """An instant in canonical text.

    Raises:
        ValueError: not RFC 3339, or not believable.
    """
    moment = parse_ms(text)
    if not EARLIEST_MS <= moment < LATEST_MS:
        raise ValueError(f"time {text[:40]!r}, valid are the years 2000 to 2079")
    is_canonical = len(text) == 24 and text[10] == "T" and text[19] == "." and text[23] == "Z"
    return text if is_canonical else from_epoch_ms(moment)


def _of_a_person(command: Command) -> dict[str, Any]:
    """What has to change of a suppression."""
    contact_id = command.contact_id or None
    recipient = address(command.recipient or "") or None
    channel = command.channel or ALL_CHANNELS
    if contact_id is None and recipient is None:
        raise ValueError(f"{command.action} without contact_id and recipient; valid is either or both")
    if channel not in CHANNELS:
        raise ValueError(f"channel {channel[:40]!r}, valid are {', '.join(CHANNELS)}")
    if (contact_id, recipient, channel) == (command.contact_id, command.recipient, command.channel):
        return {}
    return {"contact_id": contact_id, "recipient": recipient, "channel": channel}


def _of_a_scope(command: Command) -> dict[str, Any]:
    """What has to change of a decision about a scope."""
    scope = scope_of(command.scope_kind, command.scope_value)
    share = _SHARES.get(command.action, command.send_share)
    if not 0 <= share <= 1:
        raise ValueError(f"send_share {share}, valid is 0 to 1")
    changes: dict[str, Any] = {"scope_kind": scope.kind, "scope_value": scope.value, "send_share": float(share)}
    changes["until"] = _instant(command.until) if command.until else None
    return {name: value for name, value in changes.items() if getattr(command, name) != value}


def is_probation(command: Command) -> bool:
    """Whether a command begins a probation."""
    return command.action is CommandAction.SLOW and command.metric == PROBATION


def record_of(command: Command) -> Record:
    """A command as a record: appended twice, it lies in the log once."""
    return Record(command.id.encode(), _ENCODE(command))


def append(log: Log, *commands: Command) -> int:
    """Appends commands in their order; returns the offset of the last once all are on disk.

    Raises:
        LogError: none was appended.
    """
    return max(log.append(Stream.CONTROL, [record_of(command) for command in commands]))


def decide(
    action: CommandAction, scope: Scope, *, by: str, why: str, send_share: float = 0.0, at: str | None = None
) -> Command:
    """A person's decision about a scope, made now, or at an instant (canonical text).

    The same at the same instant is the same command; two made now are two.
    """
    moment, made = _made_at(at)
    command = Command(
        id=_id_of(moment, made, by, action, scope.kind, scope.value, str(send_share), why),
        action=action,
        scope_kind=scope.kind,
        scope_value=scope.value,
        send_share=send_share,
        occurred_at=moment,
        decided_at=moment,
        decided_by=by,
        why=why,
    )
    return canonical(command)


def decide_on_person(
    action: CommandAction,
    *,
    contact_id: str | None,
    recipient: str | None,
    channel: str,
    by: str,
    why: str,
    at: str | None = None,
) -> Command:
    """A person's decision that somebody may not be written to, or may be again; `at` is as for `decide`.

    Raises:
        ValueError: nobody is named, or an unknown channel.
    """
    moment, made = _made_at(at)
    command = Command(
        id=_id_of(moment, made, by, action, contact_id or "", address(recipient or ""), channel, why),
        action=action,
        contact_id=contact_id,
        recipient=recipient,
        channel=channel,
        occurred_at=moment,
        decided_at=moment,
        decided_by=by,
        why=why,
    )
    return canonical(command)


def _made_at(at: str | None) -> tuple[str, str]:
    """The instant of a decision, and what tells decisions of one millisecond apart."""
    if at is not None:
        return at, ""
    moment_ns = time.time_ns()
    return from_epoch_ms(moment_ns // 1_000_000), f"{moment_ns}-{os.getpid()}"


def _id_of(moment: str, *parts: str) -> str:
    return str(uuid7_of(parse_ms(moment), "\x1f".join(("command", *parts))))
