"""What holds: a fold of the control stream's commands in the order of the log.

Of a scope, the last decision that is no warning holds: `pause` lets nothing through, `slow` a share, `resume` ends both.
It ends those of exactly this scope; wider and narrower ones go on. A suppression stands until an `unsuppress` names its
contact or its address, and its channel or all. Of equal suppressions the first stays. A command seen before (by its id)
changes nothing.
"""

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any, Final

import msgspec
import xxhash

from control.commands import ABOUT_PEOPLE, ALL_CHANNELS
from control.scopes import Key, Scope, scope_of
from schemas.events import Command, CommandAction
from schemas.instants import parse_ms

_OF_PEOPLE: Final = frozenset({"channel", "contact_id", "recipient"})
_SHOWN: Final = tuple(name for name in Command.__struct_fields__ if name not in _OF_PEOPLE)


class Held(msgspec.Struct, frozen=True):
    """A pause (`share` 0) or a slow-down that holds; `offset` is its command's place in the log.

    `until_ms` is when it ends by itself, in milliseconds since 1970.
    """

    offset: int
    scope: Scope
    share: float
    command: Command
    until_ms: int | None = None

    def holds_at(self, now_ms: int) -> bool:
        """Whether it has not ended by itself."""
        return self.until_ms is None or now_ms < self.until_ms

    def row(self) -> dict[str, Any]:
        """It as JSON has it: the columns of table `pauses`, and `scope` as people write it."""
        shown = {name: getattr(self.command, name) for name in _SHOWN}
        return {"scope": self.scope.text, **shown, "control_offset": self.offset}


class Suppressed(msgspec.Struct, frozen=True):
    """Somebody who must not be written to, in the columns of table `suppressions`."""

    contact_id: str | None
    recipient: str | None
    scope: str
    reason: str
    source: str
    event_id: str | None
    since: str

    @property
    def person(self) -> tuple[str | None, str | None, str]:
        """What makes two of them equal: contact, address and channel."""
        return (self.contact_id, self.recipient, self.scope)


class State:
    """What the commands up to `offset` have left in force; `unusable` counts records that were no commands."""

    def __init__(self) -> None:
        self.offset = 0
        self.unusable = 0
        self.held: dict[Key, Held] = {}
        self._contacts: dict[str, tuple[Suppressed, ...]] = {}
        self._recipients: dict[str, tuple[Suppressed, ...]] = {}
        self._seen: set[int] = set()

    def apply(self, offset: int, command: Command) -> bool:
        """Takes in the next command (`control.commands.canonical`); False where it was seen before."""
        self.offset = offset
        name = xxhash.xxh3_64_intdigest(command.id.encode())
        if name in self._seen:
            return False
        self._seen.add(name)
        if command.action in ABOUT_PEOPLE:
            if command.action is CommandAction.SUPPRESS:
                self._suppress(command)
            else:
                self._unsuppress(command)
        elif command.action is not CommandAction.WARN:
            self._hold(offset, command)
        return True

    def skip(self, offset: int) -> None:
        """Goes past a record that is no command."""
        self.offset = offset
        self.unusable += 1

    def suppression(self, contact_id: str | None, recipient: str | None, channel: str) -> Suppressed | None:
        """Why somebody (`recipient` in lower case) may not be written to by a channel, or None."""
        of_contact = self._contacts.get(contact_id, ()) if contact_id is not None else ()
        of_recipient = self._recipients.get(recipient, ()) if recipient is not None else ()
        for one in (*of_contact, *of_recipient):
            if one.scope in {ALL_CHANNELS, channel}:
                return one
        return None

    def pauses(self) -> list[Held]:
        """What holds, in the order of the log."""
        return sorted(self.held.values(), key=lambda held: held.offset)

    def suppressions(self) -> Iterator[Suppressed]:
        """Every suppression once."""
        for ones in self._contacts.values():
            yield from ones
        for ones in self._recipients.values():
            yield from (one for one in ones if one.contact_id is None)

    def is_suppressed(self, one: Suppressed) -> bool:
        """Whether an equal suppression stands."""
        found = self._contacts.get(one.contact_id, ()) if one.contact_id is not None else ()
        if one.contact_id is None and one.recipient is not None:
            found = self._recipients.get(one.recipient, ())
        return bool(found) and any(other.person == one.person for other in found)

    def _hold(self, offset: int, command: Command) -> None:
        scope = scope_of(command.scope_kind, command.scope_value)
        self.held.pop(scope.key, None)
        if command.action is not CommandAction.RESUME:
            share = command.send_share if command.action is CommandAction.SLOW else 0.0
            until_ms = parse_ms(command.until) if command.until else None
            self.held[scope.key] = Held(offset, scope, share, command, until_ms)

    def _suppress(self, command: Command) -> None:
        one = suppressed(command)
        if self.is_suppressed(one):
            return
        if one.contact_id is not None:
            self._contacts[one.contact_id] = (*self._contacts.get(one.contact_id, ()), one)
        if one.recipient is not None:
            self._recipients[one.recipient] = (*self._recipients.get(one.recipient, ()), one)

    def _unsuppress(self, command: Command) -> None:
        of_contact = self._contacts.get(command.contact_id or "", ())
        of_recipient = self._recipients.get(command.recipient or "", ())
        for one in (*of_contact, *of_recipient):
            if command.channel in {ALL_CHANNELS, one.scope}:
                _drop(self._contacts, one.contact_id, one)
                _drop(self._recipients, one.recipient, one)


def suppressed(command: Command) -> Suppressed:
    """The suppression that a command asks for."""
    return Suppressed(
        contact_id=command.contact_id,
        recipient=command.recipient,
        scope=intern(command.channel or ALL_CHANNELS),
        reason=intern(command.why),
        source=intern(command.decided_by),
        event_id=command.caused_by,
        since=command.occurred_at,
    )


def fold(commands: Iterable[tuple[int, Command]]) -> State:
    """What holds after commands with their offsets."""
    state = State()
    for offset, command in commands:
        state.apply(offset, command)
    return state


def _drop(index: dict[str, tuple[Suppressed, ...]], name: str | None, one: Suppressed) -> None:
    if name is None or name not in index:
        return
    left = tuple(other for other in index[name] if other.person != one.person)
    if left:
        index[name] = left
    else:
        del index[name]
