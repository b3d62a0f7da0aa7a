"""What people say of readings, at its place in the feedback stream: rows corrected, models taught, versions changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from eventlog import Record, Stored
from features.replies.drift import AgreementWatch
from features.replies.understanding import Correction, ReplyInput
from flows.reply_models import NAME, ModelShelf
from flows.reply_rows import commands_of, corrected, input_of
from flows.reply_second_opinion import Opinion
from flows.reply_state import Pair, ReplyState
from schemas.events import Command, Feedback, Lesson, ResultRow, Stream
from schemas.failures import DeadLetter
from schemas.identifiers import external_id, uuid7_of
from schemas.instants import to_epoch_ms
from schemas.labels import FORGET, LESSONS, MODEL, label_of, value_of
from schemas.records import FeedbackRow, ModelRow
from schemas.tables import (
    AiLearningEvent,
    ApplicationScope,
    ImplementationStatus,
    LearningEventType,
    ResponseIntelligence,
)

UNUSABLE: Final = "feedback unusable"
"""The reason of a dead letter."""
_DECODE: Final = msgspec.json.Decoder(Feedback).decode


@dataclass
class Made:
    """What a batch has made for the log: rows of `results` under their keys, commands, dead letters; and who to ask again."""

    rows: list[tuple[bytes, bytes]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    dead: list[Record] = field(default_factory=list)
    unsure: list[tuple[Pair, ResponseIntelligence]] = field(default_factory=list)

    def read(self, row: ResponseIntelligence, key: bytes) -> None:
        """Adds a reading; of one reply and key only the first is ever kept."""
        self.row("response_intelligence", row, row.id.bytes + key)

    def row(self, table: str, row: msgspec.Struct, key: bytes) -> None:
        """Adds a row of a table."""
        told = {name: value for name, value in msgspec.to_builtins(row).items() if value is not None}
        self.rows.append((key, msgspec.json.encode(ResultRow(table=table, row=told))))


class Heeding:
    """Takes feedback records in their order."""

    def __init__(self, state: ReplyState, shelf: ModelShelf) -> None:
        self._state = state
        self._shelf = shelf

    @cached_property
    def _watch(self) -> AgreementWatch:
        return AgreementWatch(self._state.agreements())

    def heed(self, record: Stored, made: Made) -> None:
        """Takes one record; what is no usable feedback becomes a dead letter."""
        try:
            said = _DECODE(record.value)
            moment = datetime.fromisoformat(said.given_at).astimezone(UTC)
            if said.field == LESSONS:
                self._learn_lessons(said, record.offset, moment, made)
            elif said.field == MODEL:
                self._roll_back(said, record.offset, moment, made)
            elif said.field == FORGET:
                self._forget(said, record.offset, moment, made)
            else:
                self._correct(said, record.offset, moment, made)
        except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
            made.dead.append(_dead_letter(record, str(error)))

    def take_opinion(self, opinion: Opinion, made: Made) -> None:
        """Puts in what a larger model says of a reply, unless a person has said something about it since."""
        self._state.answered([opinion.key])
        for pair, row in self._state.readings_of(opinion.event_id):
            if pair.key != opinion.key or row.model_version != opinion.asked_version or opinion.labels is None:
                continue
            fresh = msgspec.structs.replace(
                corrected(row, opinion.labels, row.feedback_offset or 0),
                ai_confidence_score=row.ai_confidence_score,
                model_version=f"{row.model_version}+{opinion.model}",
                human_takeover_requested=True,
                review_reasons=row.review_reasons,
                resolution_status=row.resolution_status,
            )
            self._state.note_reading(pair.key, fresh)
            made.read(fresh, b"asked")
            made.commands += commands_of(pair.event, fresh, before=row)

    def tell_shipped(self, moment: datetime, made: Made) -> None:
        """Adds the row of the shipped model once, when it is first used."""
        if self._state.get("told"):
            return
        self._state.put("told", "yes")
        version = self._shelf.version
        self._tell(version, "the replies that come with the project", moment, 0, made)

    def _correct(self, said: Feedback, place: int, moment: datetime, made: Made) -> None:
        label = label_of(said.field)
        if label is None:
            raise ValueError(f"field is {said.field[:40]!r}, which is no label of a reply")
        value = value_of(label, said.new_value)
        _add_feedback(said, made)
        found = self._state.readings_of(said.event_id)
        for pair, row in found:
            if label == "intent":
                agreed = row.intent_classification == value
                if not self._state.get(f"checked {pair.key}"):
                    self._state.put(f"checked {pair.key}", str(place))
                    self._note_agreement(agreed=agreed, place=place, moment=moment, made=made)
            fresh = corrected(row, {label: value}, place)
            self._state.note_reading(pair.key, fresh)
            self._state.answered([pair.key])
            made.read(fresh, b"said" + place.to_bytes(8, "big"))
            made.commands += commands_of(pair.event, fresh, before=row)
        if found:
            pair = found[0][0]
            context = self._state.earlier(pair.event)
            self._shelf.learn([Correction(input_of(pair, context), {label: value})], place)
            self._tell_learnt(f"a correction of {label} by {said.given_by}", moment, place, made)
        _add_learning(said, label, moment, bool(found), made)

    def _learn_lessons(self, said: Feedback, place: int, moment: datetime, made: Made) -> None:
        corrections = []
        for lesson in said.lessons or []:
            labels = _labels_of(lesson)
            if not labels:
                continue
            corrections.append(Correction(_input_of(lesson, moment), labels))
            for label, value in labels.items():
                one = msgspec.structs.replace(
                    said,
                    id=f"{said.id}\x1f{lesson.reply.event_id}\x1f{label}",
                    event_id=lesson.reply.event_id,
                    field=label,
                    new_value=value if isinstance(value, str) else msgspec.json.encode(value).decode(),
                    lessons=None,
                )
                _add_feedback(one, made)
                _add_learning(one, label, moment, True, made)  # noqa: FBT003 - it is applied
        if corrections:
            self._shelf.learn(corrections, place)
            self._tell_learnt(f"{len(corrections)} labelled replies by {said.given_by}", moment, place, made)

    def _roll_back(self, said: Feedback, place: int, moment: datetime, made: Made) -> None:
        if not self._shelf.roll_back(said.new_value, place):
            raise ValueError(f"model version {said.new_value[:80]!r} is not kept")
        version = self._shelf.version
        known = self._state.get(f"model {version}")
        row = msgspec.json.decode(known, type=ModelRow) if known else None
        trained_on = (row.trained_on if row else None) or "the replies that come with the project"
        self._tell(version, trained_on, row.created_at if row else moment, place, made)

    def _forget(self, said: Feedback, place: int, moment: datetime, made: Made) -> None:
        marks = msgspec.json.decode(said.old_value, type=list[str]) if said.old_value is not None else None
        self._shelf.forget([said.event_id], place)
        self._state.forget(said.event_id, said.new_value, marks)
        self._tell_learnt("what was learnt before, without somebody who is forgotten", moment, place, made)

    def _note_agreement(self, *, agreed: bool, place: int, moment: datetime, made: Made) -> None:
        before = self._watch.recent()
        is_drift = self._watch.add(agreed=agreed)
        self._state.add_agreement(place, agreed=agreed)
        if is_drift:
            row = _drift_event(before, self._watch, self._shelf.version, moment, place)
            made.row("ai_learning_events", row, row.id.bytes)

    def _tell_learnt(self, what: str, moment: datetime, place: int, made: Made) -> None:
        self._tell(self._shelf.version, what, moment, place, made)

    def _tell(self, version: str, trained_on: str, moment: datetime, place: int, made: Made) -> None:
        """Adds the row of a version that is in use from now on."""
        metrics: dict[str, Any] = {"feedback_offset": place, **(self._watch.metrics() if place else {})}
        row = ModelRow(
            name=NAME,
            version=version,
            trained_on=trained_on,
            metrics=msgspec.json.encode(metrics).decode(),
            active=True,
            created_at=moment,
        )
        self._state.put(f"model {version}", msgspec.json.encode(row).decode())
        made.row("models", row, f"model {version} {place}".encode())


def _labels_of(lesson: Lesson) -> dict[str, Any]:
    """The usable labels of a lesson."""
    labels: dict[str, Any] = {}
    given: Mapping[str, Any] = lesson.labels
    inner = given.get("extracted")
    for name, told in {**(inner if isinstance(inner, dict) else {}), **given}.items():
        label = label_of(name)
        if label is None or told is None:
            continue
        labels[label] = value_of(label, told)
    return labels


def _input_of(lesson: Lesson, moment: datetime) -> ReplyInput:
    reply = lesson.reply
    received_at = datetime.fromisoformat(reply.received_at) if reply.received_at else moment
    context = tuple(lesson.context)
    return ReplyInput(
        reply.event_id, reply.channel, reply.subject, reply.headers or {}, received_at, reply.text, context
    )


def _add_feedback(said: Feedback, made: Made) -> None:
    row = FeedbackRow(
        id=external_id("feedback", said.id),
        event_id=said.event_id,
        field=said.field,
        old_value=said.old_value,
        new_value=said.new_value,
        given_by=said.given_by,
        given_at=datetime.fromisoformat(said.given_at),
    )
    made.row("feedback", row, b"feedback" + row.id.bytes)


def _add_learning(said: Feedback, label: str, moment: datetime, is_applied: bool, made: Made) -> None:  # noqa: FBT001
    """The row of ai_learning_events of a correction."""
    status = ImplementationStatus.APPLIED if is_applied else ImplementationStatus.PENDING
    was = f", not {said.old_value}" if said.old_value and said.old_value != said.new_value else ""
    row = AiLearningEvent(
        id=uuid7_of(to_epoch_ms(moment), f"user_edit\x1f{said.id}"),
        event_type=LearningEventType.USER_EDIT,
        event_context=msgspec.json.encode(
            {"event_id": said.event_id, "field": label, "old_value": said.old_value, "new_value": said.new_value}
        ).decode(),
        learning_insight=f"{label} is {said.new_value[:200]}{was}, says {said.given_by}"
        + ("" if is_applied else "; no reply of that id is known"),
        confidence_level=1.0,
        application_scope=ApplicationScope.GLOBAL,
        implementation_status=status,
        created_at=moment,
    )
    made.row("ai_learning_events", row, b"learnt" + row.id.bytes)


def _drift_event(
    before: float | None, watch: AgreementWatch, version: str, moment: datetime, place: int
) -> AiLearningEvent:
    now = watch.recent() or 0.0
    return AiLearningEvent(
        id=uuid7_of(to_epoch_ms(moment), f"drift\x1f{version}\x1f{place}"),
        event_type=LearningEventType.FAILURE_ANALYSIS,
        event_context=msgspec.json.encode({"model": NAME, "version": version, "feedback_offset": place}).decode(),
        learning_insight=f"people agree with the reading of replies in another share than before: now {now:.0%} of the last 100",
        confidence_level=0.998,
        application_scope=ApplicationScope.GLOBAL,
        implementation_status=ImplementationStatus.PENDING,
        impact_measurement=msgspec.json.encode({"before": before, **watch.metrics()}).decode(),
        created_at=moment,
    )


def _dead_letter(record: Stored, detail: str) -> Record:
    name = hashlib.sha256(b"feedback\x1f" + str(record.offset).encode()).hexdigest()[:32]
    letter = DeadLetter(
        id=name, stage="replies", stream=Stream.FEEDBACK, reason=UNUSABLE, detail=detail[:500], raw=record.value
    )
    return Record(bytes.fromhex(name), msgspec.msgpack.encode(letter))
