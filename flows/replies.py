"""The replies flow: replies and their events → what they mean → rows of `results`, commands of `control`; feedback → models.

It runs in a process of its own, since embedding a text takes tens of milliseconds (docs/decisions/0012). One step takes a
micro-batch: what it makes is appended to the log under ids that derive from the replies, then its memory and positions are
committed. Killed in between it does the same again, and what is in the log already stays as it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import Sink

from control.commands import record_of
from eventlog import Log, Record, Stored
from features.replies.cleaning import clean
from flows.guard_heeding import command_of
from flows.reply_feed import ReplyBatch
from flows.reply_guard import ReplyGuard, is_hostile, is_judged
from flows.reply_heeding import Heeding, Made
from flows.reply_models import FOLDER, ModelShelf
from flows.reply_rows import SENT_TO, commands_of, input_of, reading_of
from flows.reply_second_opinion import Opinions
from flows.reply_state import Pair, ReplyState
from outpulse.settings import GuardSettings, RepliesSettings
from schemas.events import Event, Kind, Reply, Stream
from sinks.answered import Answered, AnsweredMessages
from sinks.unread import Place, unread

NAME: Final = "replies"
_EVENT: Final = msgspec.json.Decoder(Event).decode
_REPLY: Final = msgspec.json.Decoder(Reply).decode
_HISTORY: Final = 16
"""Replies of the past that are read at once: what comes meanwhile waits some 2 s at most."""
_GIVEN: Final = ("contact_id", "campaign_id", "account_tier", "persona")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MOST_CHARACTERS: Final = 200_000
"""Of a text, for the words that later replies get as context; what a person writes is far shorter."""


class ReplyStep:
    """The step of the flow: reads replies, learns from what people say, and appends what follows to the log."""

    def __init__(self, log: Log, home: Path, settings: RepliesSettings, guard: GuardSettings | None = None) -> None:
        self._log = log
        self._state = ReplyState(home / FOLDER)
        self._shelf = ModelShelf(home, self._state)
        self._shelf.sweep()
        self._heeding = Heeding(self._state, self._shelf)
        self._opinions = Opinions(settings.llm)
        self._messages = AnsweredMessages(home)
        watched = guard or GuardSettings()
        self._guard = ReplyGuard(watched, watched.slow_share)
        self._guard.remember(self._state.judged())
        for pair, row in self._state.asked():
            self._opinions.ask(pair, row)

    @property
    def positions(self) -> dict[str, int]:
        """Where each source goes on."""
        return self._state.positions()

    def __call__(self, batch: ReplyBatch) -> None:
        """Works through one batch; durable when it returns."""
        made = Made()
        with self._state.transaction():
            waiting: list[Pair] = []
            events = self._events_of(batch)
            for place, (stream, record) in enumerate(batch.records):
                if stream is Stream.FEEDBACK:
                    self._read(waiting, made)
                    waiting = []
                    self._heeding.heed(record, made)
                elif stream is Stream.CONTROL:
                    self._read(waiting, made)
                    waiting = []
                    self._heed(record.value)
                elif stream is Stream.REPLIES:
                    waiting += self._with_words(self._completed(record))
                elif place in events:
                    waiting += self._with_words(self._state.add_event(events[place]))
            self._read(waiting, made)
            self._append(made)
            self._state.move(batch.positions)
        self._mark(batch)
        for pair, row in made.unsure:
            self._opinions.ask(pair, row)

    def collect(self) -> None:
        """Puts in what the larger model has said since, if there is one."""
        found = self._opinions.collect()
        if not found:
            return
        made = Made()
        with self._state.transaction():
            for opinion in found:
                self._heeding.take_opinion(opinion, made)
            self._append(made)

    def catch_up(self) -> bool:
        """Reads some replies that came by files, in the lake's order; False when none waits.

        What is read of the past tells the dispatcher nothing.
        """
        place: Place = msgspec.json.decode(self._state.get("history", '[0, "", "", ""]'), type=Place)
        found = unread(self._messages.connection(), place, _HISTORY)
        if not found:
            return False
        made = Made()
        with self._state.transaction():
            pairs: list[Pair] = []
            for _, event, reply in found:
                fresh = [] if reply is None else [*self._state.add_reply(reply), *self._state.add_event(event)]
                pairs += self._with_words(fresh)
            self._read(pairs, made)
            made.commands.clear()
            self._append(made)
            self._state.put("history", msgspec.json.encode(found[-1][0]).decode())
        return True

    def finish(self) -> None:
        """Waits for the larger model's answers, and takes them in."""
        self._opinions.wait()
        self.collect()

    def close(self) -> None:
        """Lets go of the memory."""
        self._opinions.close()
        self._messages.close()
        self._state.close()

    def _completed(self, record: Stored) -> list[Pair]:
        """The pairs that a reply's words complete."""
        try:
            return self._state.add_reply(_REPLY(record.value))
        except _UNREADABLE:
            return []  # the lake's writer makes a dead letter of it

    def _with_words(self, pairs: list[Pair]) -> list[Pair]:
        for pair in pairs:
            self._state.note_words(pair.key, clean(pair.reply.text[:_MOST_CHARACTERS]).written)
        return pairs

    def _events_of(self, batch: ReplyBatch) -> dict[int, Event]:
        """The replied events of a batch by their place in it, with what the lake knows of the messages they answer."""
        found: dict[int, Event] = {}
        for place, (stream, record) in enumerate(batch.records):
            if stream is Stream.EVENTS:
                try:
                    event = _EVENT(record.value)
                except _UNREADABLE:
                    continue
                if event.kind is Kind.REPLIED:
                    found[place] = event
        poor = {place: event for place, event in found.items() if _lacks_something(event)}
        answered = self._messages.of(list(poor.values())) if poor else []
        return found | {p: _with_message(e, m) for (p, e), m in zip(poor.items(), answered, strict=True) if m}

    def _heed(self, raw: bytes) -> None:
        """Has the guard heed a person's command, which is kept, also while the rule is off, without the person's words."""
        command = command_of(raw)
        if command is not None:
            wordless = msgspec.json.encode(msgspec.structs.replace(command, why=""))
            self._state.note_heeded(wordless)
            self._guard.heed(wordless)

    def _read(self, pairs: Sequence[Pair], made: Made) -> None:
        """Understands replies and notes what follows."""
        if not pairs:
            return
        inputs = [input_of(pair, self._state.earlier(pair.event)) for pair in pairs]
        version, offset = self._shelf.version, int(self._state.get("place", "0"))
        judged: list[tuple[Event, bool]] = []
        for pair, found in zip(pairs, self._shelf.understand(inputs), strict=True):
            row, _ = reading_of(pair, found, version, offset)
            self._heeding.tell_shipped(row.created_at, made)
            self._state.note_reading(pair.key, row)
            made.read(row, b"read")
            made.commands += commands_of(pair.event, row)
            if is_judged(row):
                self._state.note_judged(pair.key, hostile=is_hostile(row))
                judged.append((pair.event, is_hostile(row)))
            if found.is_unsure and self._opinions.is_on:
                self._state.ask(pair.key)
                made.unsure.append((pair, row))

        for outcome in self._guard.judge(judged):
            made.commands.append(outcome.command)
            made.rows += [outcome.row] if outcome.row is not None else []

    def _append(self, made: Made) -> None:
        """Commands first: they are what cannot wait."""
        if made.commands:
            self._log.append(Stream.CONTROL, [record_of(command) for command in made.commands])
        if made.rows:
            self._log.append(Stream.RESULTS, [Record(key, value) for key, value in made.rows])
        if made.dead:
            self._log.append(Stream.DEADLETTER, made.dead)

    def _mark(self, batch: ReplyBatch) -> None:
        for name, position in batch.positions.items():
            stream, _, partition = name.partition("/")
            self._log.mark(NAME, stream, int(partition), position)


def _lacks_something(event: Event) -> bool:
    return bool((event.attributes or {}).get("from")) or any(getattr(event, name) is None for name in _GIVEN)


def _with_message(event: Event, message: Answered) -> Event:
    """An event with what is known of the message that it answers; what it says itself stays."""
    missing = {name: getattr(message, name) for name in _GIVEN if getattr(event, name) is None}
    return msgspec.structs.replace(event, **missing, attributes=(event.attributes or {}) | {SENT_TO: message.recipient})


def build(flow: Dataflow, source: Source[ReplyBatch], sink: Sink[ReplyBatch]) -> Dataflow:
    """Adds the steps of the replies flow to a dataflow."""
    batches = op.input("read_replies", flow, source)
    # ReplyBatch(records=[(Stream.REPLIES, Stored(offset=1, value=b"...")), ...], positions={"replies/0": 2})
    op.output("understand_and_learn", batches, sink)
    return flow
