"""`outpulse replies learn` and `outpulse models`: what people teach the reply model, by the log, landed when the verb returns."""

import hashlib
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

import msgspec

from eventlog import Log, Record
from outpulse.home import Home
from outpulse.pausing import user_name
from outpulse.printing import print_json, print_table
from outpulse.replaying import Progress
from outpulse.replying import Lines, reply_input, size_of
from schemas.events import Feedback, Lesson, Reply, Stream
from schemas.failures import LakeError, LakeLocked, SettingsError
from schemas.instants import from_datetime, now
from schemas.labels import EXTRACTED, LABELS, LESSONS, MODEL, label_of, value_of

_LESSONS: Final = 100
"""Labelled replies a record: one version of the model each."""
_TELL_AFTER_SECONDS: Final = 5.0
_SHOWN: Final = ("version", "active", "kept", "trained_on", "created_at", "metrics")


def run_learn(home: Home, path: str, *, by: str | None) -> int:
    """`outpulse replies learn`: labelled replies of a file; the same ones twice count once. 1 where none was usable."""
    lines = Lines(path)
    lessons: list[Lesson] = []
    with Progress("reading", size_of(path)) as progress:
        for line in lines.read():
            try:
                lessons.append(_lesson(line.told))
            except ValueError as error:
                lines.complain(line.number, str(error))
            progress.at(lines.taken)
    if lessons:
        who, moment = by or user_name(), now()
        said = [_said(lessons[at : at + _LESSONS], who, moment) for at in range(0, len(lessons), _LESSONS)]
        version = teach(home, said)
        print(f"learnt {len(lessons)} labelled replies; the model is {version}")  # noqa: T201 - the verb's answer
    return 1 if lines.bad and not lessons else 0


def _lesson(told: dict[str, Any]) -> Lesson:
    """A lesson of a line.

    Raises:
        ValueError: no usable reply, no label, or a label with a value that is none.
    """
    reply = reply_input(told)
    inner = told.get("extracted")
    given = {**(inner if isinstance(inner, dict) else {}), **told}
    labels = {}
    for name in (*LABELS, *LABELS.values(), *EXTRACTED):
        label = label_of(name)
        if label is not None and given.get(name) is not None:
            labels[label] = value_of(label, given[name])
    if not labels:
        raise ValueError(f"no label, valid are {', '.join(LABELS)}, extracted")
    words = Reply(
        event_id=reply.id,
        text=reply.text,
        subject=reply.subject,
        headers=dict(reply.headers) or None,
        channel=reply.channel,
        received_at=from_datetime(reply.received_at) if told.get("received_at") else None,
    )
    return Lesson(reply=words, labels=labels, context=list(reply.context))


def _said(lessons: Sequence[Lesson], by: str, moment: str) -> Feedback:
    name = hashlib.sha256(msgspec.json.encode([msgspec.to_builtins(one) for one in lessons])).hexdigest()[:32]
    return Feedback(
        id=f"lessons {name}",
        event_id="",
        field=LESSONS,
        new_value=f"{len(lessons)} labelled replies",
        given_by=by,
        given_at=moment,
        lessons=list(lessons),
    )


def teach(home: Home, said: Sequence[Feedback]) -> str:
    """Appends feedback and returns the version of the model once it was heeded and SQL shows it.

    By the replies flow and the lake's writer where they are running, else by this process.
    """
    log = home.log()
    with closing(log):
        records = [Record(one.id.encode(), msgspec.json.encode(one)) for one in said]
        offsets = [log.append(Stream.FEEDBACK, [record])[0] for record in records]  # a record may hold megabytes
        await_heeding(home, log, max(offsets))
        await_landing(home, log)
    from flows.reply_models import active_model

    return active_model(home.path)[1]


def await_heeding(home: Home, log: Log, offset: int) -> None:
    """Returns when the replies flow has read feedback up to an offset."""
    from flows.reply_lock import is_running
    from flows.run import run_flows

    began, told = time.monotonic(), False
    while log.marked("replies", Stream.FEEDBACK, 0) <= offset:
        if not is_running(home.path):
            run_flows(home.path, home.settings, log, names=["replies"], stopping=threading.Event(), follow=False)
            return
        if not told and time.monotonic() - began > _TELL_AFTER_SECONDS:
            told = True
            print("waiting for the replies flow, which is busy", file=sys.stderr)  # noqa: T201 - for who waits
        time.sleep(0.1)


def await_landing(home: Home, log: Log) -> None:
    """Returns when the lake holds the results that there are now."""
    from flows.delivery import run_plainly
    from flows.inbox import LogInbox, source_name
    from flows.run import open_lake
    from sinks.attach import connect, writer_pid

    streams = (Stream.RESULTS, Stream.CONTROL, Stream.DEADLETTER)
    ends = {source_name(s, p): log.end(s, p) for s in streams for p in range(log.partitions(s))}
    while True:
        try:
            with closing(connect(home.path, read_only=True)) as connection:
                query = "SELECT source, max(position) FROM store.commits GROUP BY source"
                landed = dict(connection.execute(query).fetchall())
        except LakeError:
            landed = {}
        if all(landed.get(name, 1) >= end for name, end in ends.items()):
            return
        if writer_pid(home.path) is not None:
            time.sleep(0.1)
            continue
        try:
            lake = open_lake(home.path, home.settings)
        except LakeLocked:
            time.sleep(0.1)
            continue
        with closing(lake):
            inbox = LogInbox(log, lake.positions(), streams=streams)
            run_plainly(iter(partial(inbox.take, at_once=True), None), lake)


def run_models(home: Home, action: str, version: str | None, *, by: str | None, as_json: bool) -> int:
    """`outpulse models`: lists versions, or goes back to one.

    Raises:
        SettingsError: no such version is kept, or none is named.
    """
    rows = _versions(home)
    if action == "list":
        if as_json:
            print_json(rows)
        else:
            print_table(_SHOWN, ([row[name] for name in _SHOWN] for row in rows))
        return 0
    kept = [str(row["version"]) for row in rows if row["kept"]]
    if version not in {*kept, "shipped"}:
        raise SettingsError(f"version {version or 'none'!r} is not kept; valid are shipped, {', '.join(kept)}")
    moment = now()
    said = Feedback(
        id=f"model {version} {time.time_ns()}",
        event_id="",
        field=MODEL,
        new_value=version or "",
        old_value=next((str(row["version"]) for row in rows if row["active"]), None),
        given_by=by or user_name(),
        given_at=moment,
    )
    print(f"the model is {teach(home, [said])}")  # noqa: T201 - the verb's answer
    return 0


def _versions(home: Home) -> list[dict[str, Any]]:
    """Every version that a home has had, oldest first; of a fresh one the shipped version."""
    from features.replies.understanding import ReplyModel
    from flows.reply_models import FOLDER, NAME
    from flows.reply_state import NAME as STATE
    from flows.reply_state import ReplyState

    shipped = ReplyModel.shipped().version
    rows: list[dict[str, Any]] = []
    active = shipped
    if (home.path / FOLDER / STATE).exists():
        with closing(ReplyState(home.path / FOLDER)) as state:
            kept = {version for version, _ in state.versions()} | {shipped}
            active = state.get("version") or shipped
            rows = [row | {"kept": row["version"] in kept} for row in state.told_models()]
    if not any(row["version"] == shipped for row in rows):
        told = {"name": NAME, "version": shipped, "trained_on": "the replies that come with the project"}
        rows.insert(0, {**told, "metrics": "{}", "created_at": None, "kept": True})
    return [{**row, "active": row["version"] == active} for row in rows]
