"""Runs flows with Bytewax: all in one dataflow in one process by default, each alone on request."""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from adapters import REGISTRY, Adapter, mailbox
from adapters.mapped import mapped_adapters
from eventlog import Log
from flows import delivery, guard, normalize, replies
from flows.connectors import CallSink, Ending, RawSource, WorkSource
from flows.guard_feed import GuardBatch, GuardFeed
from flows.guard_rules import guard_of
from flows.reply_feed import ReplyBatch, ReplyFeed
from flows.reply_lock import RepliesLock
from flows.writer import Writer
from outpulse.settings import Settings
from schemas.failures import OutpulseError, SettingsError
from sinks.lake import Lake

NAMES: Final = ("normalize", "guard", "delivery", "replies")
TOGETHER: Final = ("normalize", "guard", "delivery")
"""Flows that share one dataflow; `replies` runs beside it in a process of its own, so that it delays none of them."""
_HISTORY_SECONDS: Final = 5.0
"""Pause between looks for replies that came by files."""
_EPOCH: Final = timedelta(seconds=2)
"""Epochs of 1 to 5 s cost under 5%; what the last one repeats is appended under the same keys."""
_STATE_VERSION: Final = 1
"""Part of the recovery folder's name: another version starts from the log, which gives the same rows."""


def open_lake(home: Path, settings: Settings) -> Lake:
    """The writer of a home's lake, as the settings say."""
    lake = settings.lake
    return Lake(home, memory_limit=lake.memory_limit, threads=lake.threads, derive_share=lake.derive_share)


def adapters_of(home: Path, settings: Settings) -> Mapping[str, Adapter]:
    """All providers' adapters, the mailbox's, and those that a home's mapping files make.

    Raises:
        SettingsError: a mapping file cannot be used.
    """
    return {
        **REGISTRY,
        mailbox.name: mailbox,
        **mapped_adapters(home, {name: hook.mapping for name, hook in settings.hooks.items()}),
    }


def run_flows(
    home: Path,
    settings: Settings,
    log: Log,
    *,
    names: Sequence[str] = TOGETHER,
    stopping: threading.Event,
    follow: bool = True,
) -> None:
    """Runs the named flows until `stopping` is set or, with `follow` off, until nothing waits.

    Raises:
        SettingsError: an unknown name, or `replies` together with others that go on.
        LakeLocked: another process writes to the lake (flow `delivery` only).
        HomeError: another process reads this home's replies (flow `replies` only).
    """
    _check(names, follow=follow)
    if not follow and len(names) > 1:  # one after the other, so that the second finds all that the first made
        again = ["delivery"] if {"replies", "delivery"} <= set(names) else []  # what was read has to land, too
        for name in (*(name for name in NAMES if name in names), *again):
            if stopping.is_set():
                return
            run_flows(home, settings, log, names=[name], stopping=stopping, follow=False)
        return
    if "replies" in names:
        _run_replies(home, settings, log, Ending(stopping), follow=follow)
        return
    flow = Dataflow("-".join(["outpulse", *sorted(names)]))
    ending = Ending(stopping)
    step = writer = None
    if "normalize" in names:
        source = RawSource(log, ending, follow=follow)
        append = CallSink(ending.guarded(normalize.AppendNormalized(log)))
        normalize.build(flow, source, append, adapters_of(home, settings))
    if "guard" in names:
        step = _add_guard(flow, home, settings, log, ending, follow=follow)
    try:
        if "delivery" in names:
            lake, adapters = open_lake(home, settings), adapters_of(home, settings)
            writer = Writer(home, settings, lake, log, stopping=stopping, follow=follow, adapters=adapters)
            _add_delivery(flow, writer)
        # Bytewax 0.21.1 ends a flow with recovery after its first epoch when no source in it keeps state.
        _run(flow, _recovery(home, flow) if "normalize" in names else None, writer)
        _raise(ending.fault)
    finally:
        if step:
            step.save()
        if writer:
            writer.close()


def _check(names: Sequence[str], *, follow: bool) -> None:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SettingsError(f"unknown flows {', '.join(unknown)}; valid are {', '.join(NAMES)}")
    if follow and "replies" in names and len(names) > 1:
        raise SettingsError("the flow replies runs alone; start the others in another process")


def _raise(fault: OutpulseError | None) -> None:
    if fault is not None:
        raise fault


def _add_guard(
    flow: Dataflow, home: Path, settings: Settings, log: Log, ending: Ending, *, follow: bool
) -> guard.GuardStep:
    """Adds the guard, from its snapshot on."""
    chosen = settings.guard
    watch = guard.WatchEvents(guard_of(chosen), slow_share=chosen.slow_share)
    step = guard.GuardStep(log, watch, home)
    feed = GuardFeed(log, step.positions, ending.stopping.is_set, step.heedings, follow=follow)

    def take() -> GuardBatch | None:
        try:
            return feed.take()
        except OutpulseError as error:  # ends the flow cleanly: what Bytewax raises it also prints at length
            ending.fail(error)
            raise StopIteration from None

    guard.build(flow, WorkSource(take), CallSink(ending.guarded(step)))
    return step


def _run_replies(home: Path, settings: Settings, log: Log, ending: Ending, *, follow: bool) -> None:
    """Runs the replies flow; with `follow` off until nothing waits and a larger model, if one is asked, has answered."""
    lock = RepliesLock(home)
    flow = Dataflow("outpulse-replies")
    step = replies.ReplyStep(log, home, settings.replies, settings.guard)
    feed = ReplyFeed(log, step.positions, ending.stopping.is_set, follow=follow)

    looked_at = float("-inf")

    def catch_up() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at > _HISTORY_SECONDS and not step.catch_up():
            looked_at = time.monotonic()

    def take() -> ReplyBatch | None:
        try:
            step.collect()
            batch = feed.take()
            if batch is None:
                catch_up()
        except OutpulseError as error:  # ends the flow cleanly: what Bytewax raises it also prints at length
            ending.fail(error)
            raise StopIteration from None
        return batch

    try:
        replies.build(flow, WorkSource(take), CallSink(ending.guarded(step)))
        _run(flow, None, None)
        _raise(ending.fault)
        while not follow and not ending.stopping.is_set() and step.catch_up():
            pass
        if not follow:
            step.finish()
    finally:
        step.close()
        lock.release()


def run_replay(writer: Writer) -> None:
    """Lands the writer's files through the delivery flow; returns when all of them are in the lake."""
    flow = Dataflow("outpulse-replay")
    _add_delivery(flow, writer)
    _run(flow, None, writer)


def _add_delivery(flow: Dataflow, writer: Writer) -> None:
    delivery.build(flow, WorkSource(writer.take), CallSink(writer.land), writer.seen, writer.decode)


def _run(flow: Dataflow, recovery: RecoveryConfig | None, writer: Writer | None) -> None:
    """Runs a flow to its end, and raises what ended its writer."""
    run_main(flow, epoch_interval=_EPOCH, recovery_config=recovery)
    if writer is not None and writer.fault is not None:
        raise writer.fault


def _recovery(home: Path, flow: Dataflow) -> RecoveryConfig:
    folder = home / "recovery" / f"{flow.flow_id}-v{_STATE_VERSION}"
    if not folder.exists():  # made aside and moved: a crash in between must not leave half a store
        making = folder.with_name(f"{folder.name}.making-{os.getpid()}")
        making.mkdir(parents=True)
        init_db_dir(making, 1)
        with suppress(OSError):  # another process was faster
            making.rename(folder)
    return RecoveryConfig(folder)
