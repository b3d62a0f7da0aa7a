import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from bytewax.visualize import to_mermaid

from data.bulk import write_ndjson
from eventlog import Record
from eventlog.sqlite import SqliteLog
from features.dedupe import Days, Hashes, Mask, SeenFacts
from flows import delivery, normalize
from flows.connectors import CallSink
from flows.delivery import DecodeWork, LandBatch, run_plainly
from flows.files import EventFile
from flows.run import run_flows, run_replay
from flows.work import Batch
from flows.writer import Writer
from outpulse.settings import Settings, load
from schemas.events import LoggedEvent, Origin, Stream
from schemas.identity import event_key
from sinks.lake import Lake
from tests.lakes import differences, rows, tables, works
from tests.test_delivery import event

GOLDEN = Path(__file__).parent / "golden" / "graphs"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load(home, environ={"OUTPULSE_LAKE__CHUNK_EVENTS": "700", "OUTPULSE_LAKE__MAINTAIN_SECONDS": "0.2"})


def test_the_engine_and_a_plain_loop_leave_the_same_tables(tmp_path: Path, settings: Settings) -> None:
    file = tmp_path / "events.ndjson"
    write_ndjson(file, 6_000, 2, duplicate_share=0.1)
    plain, engine = tmp_path / "plain", tmp_path / "engine"
    lake = Lake(plain)
    run_plainly(EventFile(file).works(0, 200_000), lake)
    lake.close()

    writer = Writer(engine, settings, Lake(engine), files=[EventFile(file)], follow=False)
    run_replay(writer)
    writer.close()

    assert differences(tables(plain), tables(engine)) == []


def test_an_abort_in_the_middle_and_a_second_run_leave_the_tables_of_one_run(tmp_path: Path) -> None:
    batches = works([event(number, delivery_id=f"d{number // 3}") for number in range(60)], [10])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    land_with_engine(whole, batches)
    with_abort = [*batches[:3], TestingSource.ABORT(), *batches[3:]]

    land_with_engine(broken, with_abort)
    assert rows(broken, "SELECT count(*) FROM events")[0][0] < 60
    lake = Lake(broken)
    position = lake.positions().get("test", 0)
    lake.close()
    land_with_engine(broken, [work for work in batches if work.cursors["test"] > position])

    assert differences(tables(whole), tables(broken)) == []


def land_with_engine(home: Path, items: Sequence[Any]) -> None:
    lake = Lake(home)
    seen = SeenFacts(lake)
    flow = Dataflow("test")
    land: CallSink[Batch] = CallSink(LandBatch(lake, seen))
    delivery.build(flow, TestingSource(items), land, seen, DecodeWork())
    try:
        run_main(flow)
        lake.settle()
    finally:
        lake.close()


def test_steps_of_the_flows_are_named_and_joined_as_drawn() -> None:
    lake_free: list[Batch] = []
    flow = Dataflow("outpulse-delivery-normalize")
    normalize.build(flow, TestingSource([]), TestingSink([]))
    seen = SeenFacts(Nothing())
    delivery.build(flow, TestingSource([]), TestingSink(lake_free), seen, DecodeWork())
    golden = GOLDEN / "all.mermaid"

    assert golden.read_text(encoding="utf-8") == to_mermaid(flow) + "\n"


class Nothing:
    """A lake that holds no facts."""

    def sizes_of_days(self, days: list[int]) -> dict[int, int]:
        raise NotImplementedError(days)

    def facts_of_days(self, days: list[int]) -> tuple[Days, Hashes]:
        raise NotImplementedError(days)

    def known_facts(self, days: Days, hashes: Hashes) -> Mask:
        raise NotImplementedError(days, hashes)


def append_events(log: SqliteLog, numbers: range) -> None:
    encode = normalize._ENCODE
    events = [
        LoggedEvent(event_id=f"e{n}", kind="sent", occurred_at="2026-01-05T10:00:00.000Z", origin=Origin.API)  # type: ignore[arg-type]
        for n in numbers
    ]
    log.append(Stream.EVENTS, [Record(event_key(e), encode(e)) for e in events])


@pytest.fixture
def running(home: Path, settings: Settings) -> Iterator[SqliteLog]:
    """The delivery flow alone, following the log in a thread."""
    log = SqliteLog(home / "log")
    stopping = threading.Event()
    thread = threading.Thread(
        target=run_flows, args=(home, settings, log), kwargs={"names": ["delivery"], "stopping": stopping}
    )
    thread.start()
    yield log
    stopping.set()
    thread.join(30)
    log.close()
    assert not thread.is_alive()


def count(home: Path) -> int:
    try:
        return int(rows(home, "SELECT count(*) FROM events")[0][0])
    except Exception:  # noqa: BLE001 - the lake is still being made
        return 0


def await_count(home: Path, wanted: int) -> None:
    deadline = time.monotonic() + 30
    while count(home) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert count(home) == wanted


def test_a_flow_that_runs_alone_goes_on_after_its_first_epochs(home: Path, running: SqliteLog) -> None:
    append_events(running, range(10))
    await_count(home, 10)
    time.sleep(4.5)  # more than two epochs
    append_events(running, range(10, 20))

    await_count(home, 20)


def test_recovery_state_can_be_lost_without_losing_or_repeating_anything(home: Path, settings: Settings) -> None:
    import shutil

    log = SqliteLog(home / "log")
    append_events(log, range(30))
    run_flows(home, settings, log, stopping=threading.Event(), follow=False)
    shutil.rmtree(home / "recovery")
    append_events(log, range(25, 40))
    run_flows(home, settings, log, stopping=threading.Event(), follow=False)

    assert count(home) == 40
    log.close()


def test_an_unknown_flow_is_refused_with_the_valid_names(home: Path, settings: Settings) -> None:
    with pytest.raises(ValueError, match="valid are normalize, guard, delivery"):
        run_flows(home, settings, SqliteLog(home / "log"), names=["guards"], stopping=threading.Event())


def test_the_flow_runs_in_bytewax_own_cluster_runner_too(tmp_path: Path) -> None:
    batches = works([event(number) for number in range(40)], [10])
    lake = Lake(tmp_path)
    seen = SeenFacts(lake)
    flow = Dataflow("test")
    delivery.build(flow, TestingSource(batches), CallSink(LandBatch(lake, seen)), seen, DecodeWork())
    cluster_main(flow, [], 0, worker_count_per_proc=1)
    lake.close()

    assert count(tmp_path) == 40
