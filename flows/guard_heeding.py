"""When the guard heeded what people said: a small file beside its snapshot, so that a rebuild heeds it at the same place.

Each line says that the commands of the `control` stream up to an offset were heeded when the guard had read the `events`
stream up to some positions. It is on disk before the commands take effect. A snapshot may be lost, or be of another version;
this file stays, and the log read again gives the same decisions.
"""

import os
from bisect import bisect_left
from pathlib import Path
from typing import Final

import msgspec

from control.commands import is_probation, read_command
from control.scopes import scope_of
from features.guard import Guard
from features.guard_counts import SCOPE_KINDS
from schemas.events import Command, CommandAction
from schemas.failures import BadEvent

NAME: Final = "heeded.jsonl"


class Heeded(msgspec.Struct, frozen=True):
    """Commands up to the offset `control` were heeded; `events` has the next position of each partition."""

    control: int
    events: list[int]


_DECODE: Final = msgspec.json.Decoder(Heeded).decode


def command_of(raw: bytes) -> Command | None:
    """A person's command about a scope that guards watch; None for any other record."""
    try:
        command = read_command(raw)
    except BadEvent:
        return None
    return command if command.scope_kind in SCOPE_KINDS else None


def heed(guard: Guard, command: Command) -> None:
    """Has a guard heed a person's command about a scope."""
    values = scope_of(command.scope_kind, command.scope_value).values
    if command.action is CommandAction.PAUSE:
        guard.stop(command.scope_kind, values)
    elif is_probation(command):
        guard.probation(command.rule or "", command.scope_kind, values)
    elif command.action is CommandAction.SLOW:
        guard.leave(command.scope_kind, values)
    elif command.action is CommandAction.RESUME:
        guard.resume(command.scope_kind, values)


class Heedings:
    """All of them in the order of the log; `note` is durable when it returns."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._known = _read(self._path)

    def of(self, offset: int) -> Heeded | None:
        """When the command at an offset of the control stream was heeded; None where it has not been."""
        place = bisect_left(self._known, offset, key=lambda one: one.control)
        return self._known[place] if place < len(self._known) else None

    def note(self, heeded: Heeded) -> None:
        """Writes one down, unless it is known."""
        if self.of(heeded.control) is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(heeded) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._known.append(heeded)


def _read(path: Path) -> list[Heeded]:
    """What a file says; a line that a crash has cut was never heeded, and is taken off."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    found: list[Heeded] = []
    for line in whole.splitlines():
        try:
            one = _DECODE(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if not found or one.control > found[-1].control:
            found.append(one)
    return found
