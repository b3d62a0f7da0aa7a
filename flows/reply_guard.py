"""The guard's rule about replies: too many that are hostile slow down and stop what provokes them.

Hostile is a reply of a person whose sentiment is -0.5 or less: anger, threats, insults. Plain declines, which are a good part
of any campaign's replies, are not. Hits and trials count once per delivery, in all kinds of scopes, by `features/guard.py`.
It runs beside the models, so that the guard of deliveries never waits for an embedding; of one reply the first reading counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from features.columns import Decoder
from features.guard import Guard
from features.guard_admission import Admission
from features.guard_counts import NEEDED
from flows.guard_commands import Outcome, decided
from flows.guard_heeding import command_of, heed
from flows.guard_rules import rules_of, specials_of
from outpulse.settings import GuardSettings
from schemas.events import Channel, Event, Kind
from schemas.tables import Intent, ResponseIntelligence

RULE: Final = "negative_replies"
HOSTILE: Final = -0.5
_BATCH: Final = 4_096


def is_judged(row: ResponseIntelligence) -> bool:
    """Whether a reply counts at all: machines have no attitude."""
    return row.intent_classification is not Intent.OUT_OF_OFFICE


def is_hostile(row: ResponseIntelligence) -> bool:
    """Whether a reply counts as a hit."""
    return row.sentiment_score is not None and row.sentiment_score <= HOSTILE


class ReplyGuard:
    """The rule over all scopes; replies are given in the order in which they were first read."""

    def __init__(self, settings: GuardSettings, slow_share: float) -> None:
        rules = [replace(rule, is_on=True) for rule in rules_of(settings) if rule.name == RULE]
        self._guard = Guard(rules, settings.alpha, admission=Admission({}, specials_of(settings))) if rules else None
        self._slow_share = slow_share
        self._decoder = Decoder(logged=True)

    def remember(self, judged: Iterator[tuple[Event, bool] | bytes]) -> None:
        """Takes in what was judged before, and people's commands between; its decisions were made then."""
        waiting: list[tuple[Event, bool]] = []
        for one in judged:
            if not isinstance(one, bytes):
                waiting.append(one)
            if len(waiting) == _BATCH or isinstance(one, bytes):
                self.judge(waiting)
                waiting = []
            if isinstance(one, bytes):
                self.heed(one)
        self.judge(waiting)

    def heed(self, command: bytes) -> None:
        """Heeds a person's command about a scope."""
        said = command_of(command)
        if said is not None and self._guard is not None:
            heed(self._guard, said)

    def judge(self, replies: Sequence[tuple[Event, bool]]) -> list[Outcome]:
        """What follows from replies, each an event and whether it is hostile."""
        if self._guard is None or not replies:
            return []
        lines = [msgspec.json.encode(one) for event, hostile in replies for one in _counted(event, hostile=hostile)]
        facts = self._decoder.decode(
            pa.array(lines, pa.binary()), np.arange(len(lines), dtype=np.int64), "replies"
        ).facts
        decisions = self._guard.take(facts.select(list(NEEDED)))
        self._guard.measured()
        return [decided(decision, facts, self._slow_share, "guard") for decision in decisions]


def _counted(event: Event, *, hostile: bool) -> Iterator[Event]:
    """A reply as attempt, and as failure where it is hostile: the guard counts those (`guard_watch.OUTCOMES_OF`)."""
    mail = msgspec.structs.replace(event, channel=Channel.EMAIL, bounce_class=None)
    yield msgspec.structs.replace(mail, kind=Kind.SENT)
    if hostile:
        yield msgspec.structs.replace(mail, kind=Kind.FAILED)
