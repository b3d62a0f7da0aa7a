"""Files of events: cut into lines and read on from any place, whole or damaged, in every form."""

import gzip
import json
import re
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.bulk import write_ndjson
from features.columns import Decoded
from flows.delivery import DecodeWork
from flows.files import EventFile, split_lines
from flows.work import Work
from schemas.events import EVENT_FIELDS
from schemas.failures import OutpulseError
from tests.lakes import differences, rows, tables
from tests.test_bad_input import count, heed_modes, line, lines, replay, told, without_privilege

CONTENTS: Final = st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"\r\n", b"", b"{}", b"\x00", "ü".encode()])).map(
    b"".join
)
BLOCKS: Final = st.integers(1, 12)
FORMS: Final = (".ndjson", ".JSONL", ".ndjson.gz")


def written(folder: Path, form: str, content: bytes) -> Path:
    """The content as a file of a form."""
    path = folder / f"a{form}"
    path.write_bytes(gzip.compress(content) if form.endswith(".gz") else content)
    return path


def plainly(content: bytes) -> list[tuple[bytes, int]]:
    """Lines without their line break, and the byte at which each starts."""
    found, at = [], 0
    for one in content.splitlines(keepends=True) if b"\r" not in content else re.findall(rb"[^\n]*\n|[^\n]+", content):
        found.append((one.removesuffix(b"\n"), at))
        at += len(one)
    return found


def read(file: EventFile, position: int, block_bytes: int) -> list[tuple[bytes, int]]:
    """What a file gives from a position on; each micro-batch goes on where the one before ended."""
    found = []
    for work in file.works(position, block_bytes):
        found += [(one.removesuffix(b"\n"), int(at)) for one, at in zip(work.lines.to_pylist(), work.at, strict=True)]
    return found


@given(CONTENTS.filter(len), st.data())
def test_lines_and_their_places_are_those_of_a_plain_split(content: bytes, data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([i + 1 for i, byte in enumerate(content) if byte == 10] or [len(content)]))
    found, starts = split_lines(content, end)

    assert [(one.removesuffix(b"\n"), at) for one, at in zip(found.to_pylist(), starts, strict=True)] == plainly(
        content[:end]
    )
    assert starts.dtype == np.int64


@given(CONTENTS, BLOCKS, st.sampled_from(FORMS))
def test_a_file_gives_the_same_lines_and_places_whatever_the_size_of_its_blocks(
    content: bytes, block_bytes: int, form: str
) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), form, content)

        assert read(EventFile(path), 0, block_bytes) == plainly(content)


@given(CONTENTS, BLOCKS, BLOCKS, st.sampled_from(FORMS))
def test_a_file_is_read_on_from_any_place_where_a_batch_ended(
    content: bytes, block_bytes: int, other_bytes: int, form: str
) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), form, content)
        file = EventFile(path)
        cursors = [work.cursors[file.source] for work in file.works(0, block_bytes)]

        assert cursors == sorted(set(cursors))
        assert cursors[-1:] in ([], [len(content)])
        for position in cursors:
            assert read(file, position, other_bytes) == [one for one in plainly(content) if one[1] >= position]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n"], ids=repr)
@pytest.mark.parametrize("form", FORMS)
def test_only_the_last_batch_says_that_nothing_more_waits(tmp_path: Path, ending: bytes, form: str) -> None:
    path = written(tmp_path, form, lines(50).rstrip(b"\n") + ending)
    waits = [work.more_waits for work in EventFile(path).works(0, 500)]

    assert len(waits) > 5
    assert all(waits[:-1])
    assert not waits[-1]


def _counted(work: Work) -> tuple[int, int]:
    """The facts of a batch, and of how many facts its results tell."""
    assert work.decoded is not None
    return len(work.decoded.facts), sum(many for _, many in work.decoded.results)


@pytest.mark.parametrize("block_bytes", [300, 2_000, 100_000])
@pytest.mark.parametrize("ending", [b"", b"\n"], ids=repr)
def test_what_is_made_of_facts_comes_with_them_or_later_and_all_of_it_comes(
    tmp_path: Path, ending: bytes, block_bytes: int
) -> None:
    path = written(tmp_path, ".ndjson", lines(50).rstrip(b"\n") + ending)
    works = EventFile(path).works(0, block_bytes, DecodeWork().ahead, lambda facts: [("seen", facts.num_rows)])
    counted = np.cumsum([_counted(work) for work in works], axis=0)

    assert (counted[:, 0] >= counted[:, 1]).all()
    assert counted[-1].tolist() == [50, 50]


def test_what_is_made_of_the_facts_of_a_damaged_file_comes_with_the_last_of_them(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "whole.ndjson", 3000, 3)
    whole = gzip.compress((tmp_path / "whole.ndjson").read_bytes())
    (tmp_path / "cut.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    works = EventFile(tmp_path / "cut.ndjson.gz").works(
        0,
        50_000,
        DecodeWork().ahead,
        lambda facts: [("seen", facts.num_rows)],
    )
    counted: list[tuple[int, int]] = []
    with pytest.raises(OutpulseError, match="is damaged"):
        counted.extend(map(_counted, works))
    told_of, seen = map(sum, zip(*counted, strict=True))

    assert seen == told_of > 500


def test_a_file_is_known_again_by_its_content_under_any_name(tmp_path: Path) -> None:
    for name, content in (("a.ndjson", b"{}"), ("b.jsonl", b"{}"), ("c.ndjson", b"{} ")):
        (tmp_path / name).write_bytes(content)
    one, same, other = (EventFile(path).source for path in sorted(tmp_path.iterdir()))

    assert one == same != other


def test_the_next_batch_is_decoded_while_the_one_before_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(20))
    ahead, decode = threading.Semaphore(0), DecodeWork()

    def watched(work: Work) -> Decoded:
        decoded = decode.ahead(work)
        ahead.release()
        return decoded

    works = EventFile(tmp_path / "a.ndjson").works(0, 800, watched)
    first = next(works)

    assert ahead.acquire(timeout=20)
    assert ahead.acquire(timeout=20), "only the batch that was asked for was decoded"
    assert first.decoded is not None
    assert len(first.decoded.facts) == len(first.lines)
    assert sum(len(work.lines) for work in works) + len(first.lines) == 20


@given(st.integers(0, 7), st.integers(0, 9))
def test_a_parquet_file_is_read_on_from_any_row(row: int, group: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        table = pa.table({"event_id": [f"e{n}" for n in range(7)], "reason": [None, "x"] * 3 + [None]})
        pq.write_table(table, path, row_group_size=group or None)
        file = EventFile(path)
        works = list(file.works(row))

    found = [json.loads(one) for work in works for one in work.lines.to_pylist()]
    assert [one["event_id"] for one in found] == [f"e{n}" for n in range(row, 7)]
    assert [int(at) for work in works for at in work.at] == list(range(row, 7))
    assert all("reason" not in one or one["reason"] == "x" for one in found)


# Through the flow


def test_a_file_of_nothing_or_of_blank_lines_is_no_fault(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("blank", b"\n \n\r\n\t\n"), ("one", b" ")):
        (tmp_path / f"{name}.ndjson").write_bytes(content)
    outcome = replay(tmp_path / "home", *sorted(tmp_path.glob("*.ndjson")))

    assert outcome.returncode == 0, outcome.stderr
    assert (count(tmp_path / "home"), count(tmp_path / "home", "dead_letters")) == (0, 0)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n\n"], ids=repr)
@pytest.mark.parametrize("form", FORMS)
def test_the_last_line_counts_however_it_ends(tmp_path: Path, ending: bytes, form: str) -> None:
    content = line("a") + b"\r\n" + line("b") + b"\n" + line("c") + ending

    assert replay(tmp_path / "home", written(tmp_path, form, content)).returncode == 0
    assert rows(tmp_path / "home", "SELECT event_id FROM events ORDER BY 1") == [("a",), ("b",), ("c",)]


def test_of_a_gz_file_cut_in_the_middle_all_whole_lines_land_and_the_whole_file_adds_the_rest(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "whole.ndjson", 3000, 3)
    whole = gzip.compress((tmp_path / "whole.ndjson").read_bytes())
    (tmp_path / "cut.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "whole.ndjson.gz").write_bytes(whole)

    sentence = told(replay(tmp_path / "home", tmp_path / "cut.ndjson.gz"))

    assert "cut.ndjson.gz is damaged: Compressed file ended before" in sentence
    assert 500 < count(tmp_path / "home") < 3000
    assert replay(tmp_path / "home", tmp_path / "whole.ndjson.gz").returncode == 0
    assert replay(tmp_path / "other", tmp_path / "whole.ndjson").returncode == 0
    assert differences(tables(tmp_path / "other"), tables(tmp_path / "home")) == []


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_one_clear_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(lines(3))

    assert name in told(replay(tmp_path / "home", tmp_path / name))


def test_parquet_says_the_same_as_ndjson_whatever_it_keeps_times_in(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "a.ndjson", 600, 5)
    records = [json.loads(one) for one in (tmp_path / "a.ndjson").read_bytes().splitlines()]
    kinds = {"attributes": pa.map_(pa.string(), pa.string()), "is_machine": pa.bool_()}
    schema = pa.schema([(f, kinds.get(f, pa.string())) for f in EVENT_FIELDS])
    table = pa.Table.from_pylist([r | {"attributes": list(r["attributes"].items())} for r in records], schema)
    assert replay(tmp_path / "lines", tmp_path / "a.ndjson").returncode == 0
    expected = tables(tmp_path / "lines")

    for kind in (pa.string(), pa.timestamp("us", "UTC"), pa.timestamp("ns", "Asia/Tokyo")):
        place = tmp_path / str(kind).partition(",")[0]
        place.mkdir()
        as_kind = table.set_column(2, "occurred_at", table["occurred_at"].cast(kind))
        pq.write_table(as_kind, place / "a.parquet", row_group_size=200)
        assert replay(place, place / "a.parquet").returncode == 0
        assert differences(expected, tables(place)) == []
    assert len(expected["events"]) > 500


def test_standard_input_is_a_file_too(tmp_path: Path) -> None:
    outcome = replay(tmp_path / "home", "-", input=(lines(20) + b"bad\n").decode())

    assert "20 events landed, 0 duplicates dropped, 1 dead letters" in outcome.stderr
    assert count(tmp_path / "home") == 20
    assert replay(tmp_path / "home", "-", input="").returncode == 0
    assert list((tmp_path / "home" / "spool").iterdir()) == []


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    (tmp_path / "folder.ndjson").mkdir()

    assert "valid are .ndjson, .jsonl, .ndjson.gz" in told(replay(tmp_path / "home", tmp_path / "a.csv"))
    assert "missing.ndjson cannot be read: No such file" in told(replay(tmp_path / "home", tmp_path / "missing.ndjson"))
    assert "folder.ndjson cannot be read: Is a directory" in told(replay(tmp_path / "home", tmp_path / "folder.ndjson"))


def test_a_file_without_permission_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").touch(mode=0o200)
    heed_modes(tmp_path / "a.ndjson")
    outcome = replay(tmp_path / "home", tmp_path / "a.ndjson", preexec_fn=without_privilege)

    assert "a.ndjson cannot be read: Permission denied" in told(outcome)
