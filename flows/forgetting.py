"""Takes a person out of the log, the models and the lake: a job of the lake's writer, done again whole when it was cut off.

Of the log, requests as received (`raw`) that tell of the person are erased whole: they may hold mails in any coding, and
what they told lies in the other streams. Records of those keep their place and key, so that nothing is appended or read
twice. What the replies flow remembers it takes out itself, when it comes to the feedback that asks for it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from adapters import Adapter, mailbox
from control.commands import ABOUT_PEOPLE, read_command
from eventlog import Log, Record, Stored
from features.forgetting import Forgetting, Person, reply_mark
from flows.normalize import CONSUMER
from schemas.events import Command, Feedback, LoggedEvent, RawRequest, Reply, ResultRow, Stream
from schemas.failures import BadEvent, DeadLetter
from schemas.instants import now
from schemas.labels import FORGET, LABELS
from schemas.rawrecords import ERASED, unpack
from sinks.forgetting import forget_in_lake
from sinks.lake import Lake

_READ_EVENT: Final = msgspec.json.Decoder(LoggedEvent).decode
_READ_REPLY: Final = msgspec.json.Decoder(Reply).decode
_READ_FEEDBACK: Final = msgspec.json.Decoder(Feedback).decode
_READ_RESULT: Final = msgspec.json.Decoder(ResultRow).decode
_READ_DEAD: Final = msgspec.msgpack.Decoder(DeadLetter).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError)
_RECORDS: Final = 1_000
_ENCODE: Final = msgspec.json.Encoder().encode


def forget(lake: Lake, log: Log | None, told: str, adapters: Mapping[str, Adapter]) -> str:
    """Forgets a person (`Person` as JSON); returns, as JSON, how many rows and records were changed.

    Raises:
        OutpulseError: something could not be erased; doing it again goes on.
    """
    forgetting = Forgetting(msgspec.json.decode(told, type=Person))
    counts: dict[str, int] = {}
    erased: set[tuple[int, int]] = set()
    if log is not None:
        _ask_models(log, forgetting)
        counts = _forget_in_log(log, forgetting, adapters, erased)
    return _ENCODE(counts | forget_in_lake(lake, forgetting, erased)).decode()


def lessons_about(log: Log, forgetting: Forgetting) -> set[str]:
    """Ids of labelled replies of files that the person wrote, by what they say of their author."""
    found: set[str] = set()
    offset = 1
    while records := log.read(Stream.FEEDBACK, 0, offset, _RECORDS):
        offset = records[-1].offset + 1
        for record in records:
            try:
                said = _READ_FEEDBACK(record.value)
            except _UNREADABLE:
                continue
            found |= {one.reply.event_id for one in said.lessons or [] if forgetting.is_author(one.reply)}
    return found


def change_of_commands(forgetting: Forgetting) -> Callable[[bytes], bytes | None]:
    """What gives a command without the person; None where it is not about them."""
    return _Records(forgetting, _command).change


def _ask_models(log: Log, forgetting: Forgetting) -> None:
    """Appends what makes the replies flow erase the person's replies and what it learnt from them; once a call.

    A reply is told by marks of its name as it is, and as it is when the log has been rewritten: they say nothing of it.
    """
    person = forgetting.person
    asked = {
        name: [reply_mark(person.token, one) for one in (name, forgetting.renamed_reply(name))]
        for name in person.replies
    }
    for name, marks in asked.items():
        _ask(log, person.token, name[1], list(dict.fromkeys(marks)))
    for lesson in person.lessons:
        if lesson not in {name[1] for name in person.replies}:
            _ask(log, person.token, lesson, [])


def _ask(log: Log, token: str, event_id: str, marks: list[str]) -> None:
    said = Feedback(
        id=f"forget {token} {marks[0] if marks else event_id}",
        event_id=event_id,
        field=FORGET,
        old_value=_ENCODE(marks).decode(),
        new_value=token,
        given_by="forget",
        given_at=now(),
    )
    log.append(Stream.FEEDBACK, [Record(said.id.encode(), _ENCODE(said))])


def _forget_in_log(
    log: Log, forgetting: Forgetting, adapters: Mapping[str, Adapter], erased: set[tuple[int, int]]
) -> dict[str, int]:
    """Erases the person from every stream; fills `erased` with the places of raw requests that are gone."""
    counts: dict[str, int] = {}
    for partition in range(log.partitions(Stream.RAW)):
        raw = _Requests(forgetting, adapters, log.marked(CONSUMER, Stream.RAW, partition))
        counts["raw"] = counts.get("raw", 0) + log.rewrite(Stream.RAW, partition, raw.change)
        erased |= {(partition, offset) for offset in raw.erased}
    changes: dict[Stream, Callable[[bytes], bytes | None]] = {
        Stream.EVENTS: _Records(forgetting, _event).change,
        Stream.REPLIES: _Records(forgetting, _reply).change,
        Stream.FEEDBACK: _Records(forgetting, _feedback).change,
        Stream.RESULTS: _Records(forgetting, _result).change,
        Stream.CONTROL: _Records(forgetting, _command).change,
        Stream.DEADLETTER: lambda value: _dead_letter(forgetting, value, erased),
    }
    for stream, change in changes.items():
        for partition in range(log.partitions(stream)):
            done = log.rewrite(stream, partition, partial(_of_value, change))
            counts[f"log {stream}"] = counts.get(f"log {stream}", 0) + done
    counts["log raw"] = counts.pop("raw", 0)
    return {name: count for name, count in counts.items() if count}


def _of_value(change: Callable[[bytes], bytes | None], record: Stored) -> bytes | None:
    return change(record.value)


class _Requests:
    """Which raw requests go; those that were not parsed yet stay, for they hold what others told too."""

    def __init__(self, forgetting: Forgetting, adapters: Mapping[str, Adapter], parsed_below: int) -> None:
        self._forgetting = forgetting
        self._adapters = adapters
        self._parsed_below = parsed_below
        self.erased: set[int] = set()

    def change(self, record: Stored) -> bytes | None:
        """Nothing in the place of a request that tells of the person."""
        if record.value == ERASED:
            self.erased.add(record.offset)
            return None
        if record.offset >= self._parsed_below or not self._concerns(record.value):
            return None
        self.erased.add(record.offset)
        return ERASED

    def _concerns(self, value: bytes) -> bool:
        try:
            request = unpack(value)
        except _UNREADABLE:
            return self._forgetting.mentions(value)
        told = b"\n".join([request.url.encode(), *(text.encode() for text in request.headers.values()), request.body])
        if self._forgetting.mentions(told):
            return True
        is_coded = request.inbound or request.provider == mailbox.name  # mails, in which anything may be in base64
        return (is_coded or self._forgetting.may_concern(told)) and self._tells(request)

    def _tells(self, request: RawRequest) -> bool:
        """Whether what a request says is about the person, by its adapter."""
        adapter = self._adapters.get(request.provider)
        if adapter is None:
            return False
        try:
            parsed = adapter.parse(request)
        except Exception:  # noqa: BLE001 - as in `flows.normalize`
            return False
        return any(self._forgetting.event(one) != one for one in parsed.events) or any(
            self._forgetting.reply(one) != one for one in parsed.replies
        )


class _Records:
    """Changes records of one stream: `rewrite` takes what a record says and gives what is left of it."""

    def __init__(self, forgetting: Forgetting, rewrite: Callable[[Forgetting, bytes], msgspec.Struct | None]) -> None:
        self._forgetting = forgetting
        self._rewrite = rewrite

    def change(self, value: bytes) -> bytes | None:
        """The record without the person; None where it is not about them."""
        if not self._forgetting.may_concern(value):
            return None
        try:
            made = self._rewrite(self._forgetting, value)
        except _UNREADABLE:  # no flow could read it either
            text = value.decode("utf-8", "surrogateescape")
            cleared = self._forgetting.text(text).encode("utf-8", "surrogateescape")
            return None if cleared == value else cleared
        return None if made is None else _ENCODE(made)


def _event(forgetting: Forgetting, value: bytes) -> msgspec.Struct | None:
    event = _READ_EVENT(value)
    made = forgetting.event(event)
    return None if made == event else made


def _reply(forgetting: Forgetting, value: bytes) -> msgspec.Struct | None:
    reply = _READ_REPLY(value)
    made = forgetting.reply(reply)
    return None if made == reply else made


def _feedback(forgetting: Forgetting, value: bytes) -> msgspec.Struct | None:
    said = _READ_FEEDBACK(value)
    lessons = said.lessons and [
        msgspec.structs.replace(
            one, reply=forgetting.reply(one.reply), context=[forgetting.text(words) for words in one.context]
        )
        for one in said.lessons
        if not forgetting.is_author(one.reply)
    ]
    made = msgspec.structs.replace(said, lessons=lessons)
    is_theirs = forgetting.is_own_id(said.event_id) and said.field not in {FORGET, *LABELS}
    if is_theirs:  # a name or an address that stood in the reply
        made = msgspec.structs.replace(made, new_value="", old_value=None)
    elif said.field != FORGET:
        old = forgetting.text(said.old_value) if said.old_value else said.old_value
        made = msgspec.structs.replace(made, new_value=forgetting.text(said.new_value), old_value=old)
    return None if made == said else made


def _result(forgetting: Forgetting, value: bytes) -> msgspec.Struct | None:
    found = _READ_RESULT(value)
    row = forgetting.row(found.table, found.row)
    if row is None or row == found.row:
        return None
    return msgspec.structs.replace(found, row={name: one for name, one in row.items() if one is not None})


def _command(forgetting: Forgetting, value: bytes) -> msgspec.Struct | None:
    try:
        command = read_command(value)
    except BadEvent as error:
        raise ValueError(str(error)) from None
    made = _cleared_command(forgetting, command)
    return None if made == command else made


def _cleared_command(forgetting: Forgetting, command: Command) -> Command:
    """A command about somebody else, or about nobody; a suppression stays by its address alone."""
    why = forgetting.text(command.why)
    if command.action not in ABOUT_PEOPLE:
        scope = {"scope_kind": command.scope_kind, "scope_value": command.scope_value}
        value = (forgetting.row("pauses", scope) or scope)["scope_value"]
        return msgspec.structs.replace(command, why=why, scope_value=value)
    told = {name: getattr(command, name) for name in ("contact_id", "recipient")} | {"event_id": command.caused_by}
    row = forgetting.row("suppressions", told)
    if row is None:  # of the contact alone; their addresses are suppressed
        return msgspec.structs.replace(
            command, why=why, contact_id=forgetting.contact(command.contact_id), caused_by=None
        )
    return msgspec.structs.replace(command, why=why, contact_id=row["contact_id"], caused_by=row["event_id"])


def _dead_letter(forgetting: Forgetting, value: bytes, erased: set[tuple[int, int]]) -> bytes | None:
    try:
        letter = _READ_DEAD(value)
    except _UNREADABLE:
        return b"" if forgetting.mentions(value) else None
    came_from = (letter.raw_partition or 0, letter.raw_offset or 0)
    detail = forgetting.text(letter.detail) if letter.detail else letter.detail
    is_mail = letter.provider == mailbox.name and came_from in erased  # one a request, and it may be in base64
    is_theirs = is_mail or forgetting.mentions(letter.raw)
    made = msgspec.structs.replace(letter, raw=b"", detail=None) if is_theirs else letter
    if not is_theirs and detail != letter.detail:
        made = msgspec.structs.replace(letter, detail=detail)
    return None if made == letter else msgspec.msgpack.encode(made)
