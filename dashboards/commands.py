"""What a person does from a page: pause, resume or keep, and correct what a reply was read as.

Everything is a record of the log, as from the command line or the gateway; the flows do the rest, now or when they run
again. A pause or resume holds for dispatchers once it is in the log.
"""

import time
from typing import Final

import msgspec

from control.commands import append, decide
from control.scopes import Scope
from control.state import Held
from dashboards.process import Source
from eventlog import Record
from schemas.events import Command, CommandAction, Feedback, Stream
from schemas.instants import from_epoch_ms
from schemas.labels import feedback_of

_ENCODE: Final = msgspec.json.Encoder().encode


def pause(source: Source, scope: Scope, *, by: str, why: str) -> Command:
    """Stops a scope.

    Raises:
        LogError: nothing was written.
    """
    return _send(source, decide(CommandAction.PAUSE, scope, by=by, why=why.strip()))


def resume(source: Source, held: Held, *, by: str, why: str) -> Command:
    """Ends exactly this pause or slow-down.

    Raises:
        LogError: nothing was written.
    """
    return _send(source, decide(CommandAction.RESUME, held.scope, by=by, why=why.strip()))


def keep(source: Source, held: Held, *, by: str, why: str) -> Command:
    """Makes the guard's pause or slow-down a person's: it then stays until a person ends it.

    Raises:
        LogError: nothing was written.
    """
    action = CommandAction.SLOW if held.share else CommandAction.PAUSE
    return _send(source, decide(action, held.scope, by=by, why=why.strip(), send_share=held.share))


def correct(
    source: Source, event_id: str, field: str, *, old: str | None, new: str, by: str, at_ms: int | None = None
) -> Feedback:
    """Tells the models what a reply means; `at_ms` is now unless given (ms since 1970).

    Raises:
        LogError: nothing was written.
        ValueError: no such label, or no value of it.
    """
    moment = from_epoch_ms(at_ms if at_ms is not None else time.time_ns() // 1_000_000)
    told = {"event_id": event_id, "field": field, "old_value": old, "new_value": new, "given_by": by}
    feedback = feedback_of(told, moment)
    source.log().append(Stream.FEEDBACK, [Record(feedback.id.encode(), _ENCODE(feedback))])
    return feedback


def _send(source: Source, command: Command) -> Command:
    append(source.log(), command)
    source.forget_holding()
    return command
