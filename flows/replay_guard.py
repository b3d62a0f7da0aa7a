"""The guard over a file that is replayed: it decides as it would have decided live, from the file's first event on.

Its decisions are rows of the lake, by `replay`; only where it is asked to it also sends them as commands.
"""

from collections.abc import Sequence

import pyarrow as pa

from control.commands import record_of
from eventlog import Log
from flows.guard import WatchEvents
from flows.guard_rules import guard_of
from outpulse.settings import GuardSettings
from schemas.events import Stream
from sinks.commands import pause_row
from sinks.rows import Result, read_result

BY = "replay"


class ReplayGuard:
    """The guard of one file; `live` is the log that takes its commands, if any."""

    def __init__(self, settings: GuardSettings, live: Log | None = None) -> None:
        self._watch = WatchEvents(
            guard_of(settings),
            slow_share=settings.slow_share,
            by=BY,
            suppresses=live is not None,
        )
        self._live = live

    def watch(self, facts: pa.Table) -> Sequence[Result]:
        """Watches facts as they stand in the file, and gives rows of `pauses` and `optimization_actions`."""
        verdicts = self._watch.watch(facts, {})
        if self._live is not None and verdicts.commands:
            self._live.append(Stream.CONTROL, [record_of(command) for command in verdicts.commands])
        decisions: list[Result] = [("pauses", pause_row(None, outcome.command)) for outcome in verdicts.outcomes]
        return [*decisions, *(read_result(record) for _, record in verdicts.rows)]
