"""Whatever comes in, of files, lines, settings and disks: a clear answer, and nothing good is lost."""

import ctypes
import json
import random
import resource
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pytest

from flows.work import Work
from schemas.decode import decode_record
from schemas.events import EVENT_FIELDS
from schemas.instants import AHEAD_MS, EARLIEST_MS, LATEST_MS, from_epoch_ms
from sinks.lake import Lake
from tests.lakes import differences, land, rows, tables
from tests.processes import answers, free_port, run, start, stop, wait_until

AT: Final = "2026-01-05T10:00:00.000Z"


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"event_id": name, "kind": "sent", "occurred_at": AT, **fields}


def line(name: str, **fields: Any) -> bytes:
    return json.dumps(event(name, **fields)).encode()


def with_raw(name: str, text: str) -> bytes:
    """An event with more fields, written as they are."""
    return line(name)[:-1] + b", " + text.encode("utf-8", "surrogateescape") + b"}"


def lines(count: int, first: int = 0) -> bytes:
    return b"".join(line(f"good-{n}") + b"\n" for n in range(first, first + count))


def told(outcome: "subprocess.CompletedProcess[str]") -> str:
    """The one line of an answer that is no success."""
    assert outcome.returncode == 1, outcome
    assert outcome.stdout == ""
    (sentence,) = outcome.stderr.splitlines()
    assert sentence.startswith("outpulse ")
    return sentence


def replay(home: Path, *files: Path | str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return run("replay", "--home", str(home), *map(str, files), **options)


def count(home: Path, table: str = "events") -> int:
    return int(rows(home, f"SELECT count(*) FROM {table}")[0][0])


# Lines


LATE: Final = {"received_at": from_epoch_ms(EARLIEST_MS)}
TEXTS: Final = tuple(
    f for f in EVENT_FIELDS if f not in {"event_id", "kind", "occurred_at", "received_at", "is_machine", "attributes"}
)
NO_TIMES: Final = {
    "a number": 1767607200,
    "no zone": "2026-01-05T10:00:00",
    "a comma": "2026-01-05T10:00:00,123Z",
    "a blank before the zone": "2026-01-05T10:00:00 Z",
    "a week date": "2026-W02-1T10:00:00Z",
    "a day that is not": "2026-02-30T10:00:00Z",
    "hour 24": "2026-01-05T24:00:00Z",
    "second 60": "2026-01-05T10:00:60Z",
}
BAD: Final[Mapping[str, tuple[bytes, str]]] = {
    "no JSON": (b"<xml>", "not JSON"),
    "half a line": (line("half")[:-9], "not JSON"),
    "two events in a line": (line("two") + line("events"), "not JSON"),
    "NaN": (with_raw("nan", '"variant": NaN'), "not JSON"),
    "Infinity among the attributes": (with_raw("inf", '"attributes": {"a": -Infinity}'), "not JSON"),
    "bytes of no text": (bytes(range(128, 256)), "not JSON"),
    "absurd nesting": (with_raw("deep", '"reason": ' + "[" * 100_000 + "]" * 100_000), "not JSON"),
    "a list": (b"[1]", "not an object"),
    "an empty object": (b"{}", "event_id missing"),
    "event_id of null": (line("null", event_id=None), "event_id missing"),
    "event_id of no length": (line("empty", event_id=""), "event_id missing"),
    "event_id of a list": (line("list", event_id=["a"]), "event_id is not text"),
    "no kind": (line("kindless", kind=None), "kind missing"),
    "an unknown kind": (line("unknown", kind="teleported"), "unknown kind"),
    "a kind in capitals": (line("capitals", kind="SENT"), "unknown kind"),
    "a kind of a number": (line("number", kind=7), "unknown kind"),
    "an unknown channel": (line("pigeon", channel="pigeon"), "unknown channel"),
    "an unknown bounce class": (line("squishy", bounce_class="squishy"), "unknown bounce_class"),
    "no time": (line("timeless", occurred_at=None), "occurred_at missing"),
    **{f"a time of {k}": (line(k, occurred_at=v), "occurred_at is not a time") for k, v in NO_TIMES.items()},
    "a reception of a number": (line("got", received_at=5), "received_at is not a time"),
    "just before 2000": (line("1999", occurred_at=from_epoch_ms(EARLIEST_MS - 1)), "occurred_at out of range"),
    "as 2080 begins": (line("2080", occurred_at=from_epoch_ms(LATEST_MS)), "occurred_at out of range"),
    "just in 2080": (line("2080+", occurred_at=from_epoch_ms(LATEST_MS + 1)), "occurred_at out of range"),
    "the year 2300": (line("2300", occurred_at="2300-01-01T00:00:00Z"), "occurred_at out of range"),
    "the year 9999": (line("9999", occurred_at="9999-12-31T23:59:59.999Z"), "occurred_at out of range"),
    "the year 1": (line("1", occurred_at="0001-01-01T00:00:00Z"), "occurred_at out of range"),
    "over 24 h ahead": (
        line("ahead+", occurred_at=from_epoch_ms(EARLIEST_MS + AHEAD_MS + 1), **LATE),
        "occurred_at in the future",
    ),
    **{f"{f} of an object": (line(f, **{f: {"a": 1}}), f"{f} is not text") for f in TEXTS},
    "is_machine of a text": (line("text machine", is_machine="true"), "is_machine is not a boolean"),
    "is_machine of a number": (line("number machine", is_machine=1), "is_machine is not a boolean"),
    "attributes of a list": (line("list", attributes=["a"]), "attributes is not a map"),
    "attributes of a text": (line("text", attributes='{"a": "b"}'), "attributes is not a map"),
    "a reply to nothing": (b'{"text": "yes"}', "event_id missing"),
    "a subject of a list": (line("subject", kind="replied", subject=["a"]), "subject is not text"),
}
ODD: Final[Mapping[str, tuple[bytes, str, Any]]] = {
    "z and t": (line("zt", occurred_at="2026-01-05t10:00:00z"), "strftime(occurred_at, '%H:%M')", "10:00"),
    "as 2000 begins": (line("2000", occurred_at=from_epoch_ms(EARLIEST_MS)), "year(occurred_at)", 2000),
    "just in 2000": (line("2000+", occurred_at=from_epoch_ms(EARLIEST_MS + 1)), "epoch_ms(occurred_at) % 10", 1),
    "just before 2080": (line("2079", occurred_at=from_epoch_ms(LATEST_MS - 1)), "year(occurred_at)", 2079),
    "under 24 h ahead": (
        line("ahead-", occurred_at=from_epoch_ms(EARLIEST_MS + AHEAD_MS - 1), **LATE),
        "epoch_ms(occurred_at - received_at) - 86400000",
        -1,
    ),
    "24 h ahead": (
        line("ahead", occurred_at=from_epoch_ms(EARLIEST_MS + AHEAD_MS), **LATE),
        "epoch_ms(occurred_at - received_at) - 86400000",
        0,
    ),
    "an event_id of a number": (line("", event_id=2**70), "event_id", str(2**70)),
    "numbers as text": (line("num", sequence_step=2, variant=True), "sequence_step || variant", "2true"),
    "a number of 5,000 digits": (with_raw("digits", '"variant": ' + "7" * 5000), "length(variant)", 5000),
    "a number beyond a double": (with_raw("huge", '"variant": 1e999'), "variant", "1e999"),
    "numbers among the attributes": (
        with_raw("attr", '"attributes": {"a": 1e3, "b": 12345678901234567890, "c": false}'),
        "attributes['a'] || attributes['b'] || attributes['c']",
        "1000.012345678901234567890false",
    ),
    "nested attributes": (
        line("nest", attributes={"a": {"b": [1, None, "x"]}, "c": []}),
        "attributes['a'] || attributes['c']",
        '{"b":[1,null,"x"]}[]',
    ),
    "nested and doubtful": (
        line("doubt", reason="[552] full", attributes={"a": {"b": [1, None, "é"]}}),
        "reason || attributes['a']",
        '[552] full{"b":[1,null,"é"]}',
    ),
    "an attribute twice": (
        with_raw("twice", '"attributes": {"a": "1", "a": "2", "b": "3"}'),
        "attributes['a'] || attributes['b'] || cardinality(attributes)",
        "232",
    ),
    "an attribute named twice in two ways": (
        with_raw("escaped", r'"attributes": {"a": "1", "\u0061": "2"}'),
        "cardinality(attributes)",
        1,
    ),
    "an attribute without name": (line("nameless", attributes={"": "x"}), "attributes['']", "x"),
    "a text like JSON": (line("like", reason='{"a": 1}', url="[x"), "reason || url", '{"a": 1}[x'),
    "NUL": (line("nul", reason="a\0b", attributes={"a\0": "\0"}), "length(reason)", 3),
    "a lone surrogate": (line("lone", reason="a\ud800b"), "reason", "a\N{REPLACEMENT CHARACTER}b"),
    "a lone surrogate among the attributes": (
        line("lone a", attributes={"a": "\udfff"}),
        "attributes['a']",
        "\N{REPLACEMENT CHARACTER}",
    ),
    "invalid UTF-8": (with_raw("utf8", '"reason": "\udcff\udcfe"'), "reason", "\N{REPLACEMENT CHARACTER}" * 2),
    "a raw tab": (with_raw("tab", '"reason": "a\tb"'), "reason", "a\tb"),
    "blanks around": (b"  " + line("blanks") + b" \t\r", "kind", "sent"),
    "a mark of byte order": (b"\xef\xbb\xbf" + line("bom"), "event_id", "bom"),
    "unknown fields": (line("more", origin="raw", raw_offset=7, zzz=[1]), "origin", "replay"),
    "deep attributes": (
        with_raw("deep", '"attributes": {"a": ' + "[" * 400 + "]" * 400 + "}"),
        "length(attributes['a'])",
        800,
    ),
    "an attribute of null": (line("none", attributes={"a": None, "b": "x"}), "cardinality(attributes)", 1),
    "names in other scripts": (line("δοκιμή", sender="ü@ö.example"), "event_id || sender", "δοκιμήü@ö.example"),
}


@pytest.fixture(scope="module", params=["all in one batch", "each alone"])
def bad_day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which every bad and odd line has arrived, each behind a good one."""
    folder = tmp_path_factory.mktemp("bad")
    odd = [*(one for one, _ in BAD.values()), *(one for one, _, _ in ODD.values())]
    body = [part + b"\n" for n, one in enumerate(odd) for part in (line(f"before-{n}"), one)]
    if request.param == "each alone":
        batches = [
            Work(
                source="test",
                cursors={"test": n + 2},
                lines=pa.array(body[n : n + 2], pa.binary()),
                at=np.arange(n, n + 2),
            )
            for n in range(0, len(body), 2)
        ]
        land(folder / "home", batches)
        return folder / "home"
    (folder / "bad.ndjson").write_bytes(b"".join(body))
    outcome = replay(folder / "home", folder / "bad.ndjson")
    landed = len(BAD) + 2 * len(ODD)
    assert outcome.stderr == f"bad.ndjson: {landed} events landed, 0 duplicates dropped, {len(BAD)} dead letters\n"
    return folder / "home"


def letters(home: Path, column: str) -> dict[bytes, str]:
    """A column of the dead letters by the line they keep."""
    return {raw.removesuffix(b"\n"): value for raw, value in rows(home, f"SELECT raw, {column} FROM dead_letters")}


def test_all_good_lines_land_among_bad_ones(bad_day: Path) -> None:
    assert count(bad_day) == len(BAD) + 2 * len(ODD)
    assert rows(bad_day, "SELECT count(*) FROM events WHERE event_id LIKE 'before-%'") == [(len(BAD) + len(ODD),)]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_kept_with_its_reason(bad_day: Path, name: str) -> None:
    received, reason = BAD[name]

    assert letters(bad_day, "reason")[received] == reason


def test_dead_letters_say_what_was_received_or_what_is_valid(bad_day: Path) -> None:
    details = letters(bad_day, "detail")

    assert "'teleported', valid are bounced, called" in details[BAD["an unknown kind"][0]]
    assert "valid are email, " in details[BAD["an unknown channel"][0]]
    assert "valid is RFC 3339" in details[BAD["a time of a number"][0]]
    assert (
        "2026-02-30" in details[BAD["a time of a day that is not"][0]] + BAD["a time of a day that is not"][0].decode()
    )
    assert "NaN" in details[BAD["NaN"][0]]
    assert all(details.values())


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_lands_as_it_was_meant(bad_day: Path, name: str) -> None:
    written, expression, expected = ODD[name]
    found, _ = decode_record(written)
    assert found is not None
    values = rows(bad_day, f"SELECT {expression} FROM events WHERE event_id = '{found.event_id}'")

    assert values == [(expected,)]


def test_every_column_of_events_can_be_read_whatever_landed(bad_day: Path) -> None:
    outcome = run("sql", "--home", str(bad_day), "--format", "json", "SELECT * FROM events")

    assert outcome.returncode == 0, outcome.stderr
    assert len(json.loads(outcome.stdout)) == count(bad_day)


def test_one_bad_line_among_999_good_ones_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(500) + b'{"kind": \n' + lines(499, 500))

    assert replay(tmp_path / "home", tmp_path / "a.ndjson").stderr.endswith(
        "999 events landed, 0 duplicates dropped, 1 dead letters\n"
    )
    assert count(tmp_path / "home") == 999


# Long lines


@pytest.mark.parametrize("field", ["text", "reason", "attributes", "zzz"])
def test_a_line_of_10_mb_lands_whole(tmp_path: Path, field: str) -> None:
    long = "x" * 10 * 2**20
    value = {"a": long} if field == "attributes" else long
    (tmp_path / "a.ndjson").write_bytes(lines(1) + line("long", kind="replied", **{field: value}) + b"\n" + lines(1, 1))
    read = {
        "text": "SELECT length(response_text) FROM response_intelligence",
        "reason": "SELECT length(reason) FROM events WHERE event_id = 'long'",
        "attributes": "SELECT length(attributes['a']) FROM events WHERE event_id = 'long'",
        "zzz": f"SELECT {len(long)} FROM events WHERE event_id = 'long'",
    }

    assert replay(tmp_path / "home", tmp_path / "a.ndjson").returncode == 0
    assert count(tmp_path / "home") == 3
    assert rows(tmp_path / "home", read[field]) == [(len(long),)]


def test_a_line_of_70_mb_is_a_dead_letter_and_its_neighbours_land(tmp_path: Path) -> None:
    with (tmp_path / "a.ndjson").open("wb") as file:
        file.write(lines(1) + line("long", reason="x" * 70 * 2**20) + b"\n" + lines(1, 1))

    outcome = replay(tmp_path / "home", tmp_path / "a.ndjson")

    assert outcome.stderr == "a.ndjson: 2 events landed, 0 duplicates dropped, 1 dead letters\n"
    assert rows(tmp_path / "home", "SELECT reason, raw[:12] FROM dead_letters") == [("line too long", b'{"event_id":')]
    assert rows(tmp_path / "home", "SELECT event_id FROM events ORDER BY 1") == [("good-0",), ("good-1",)]


def test_many_long_lines_at_once_do_not_exceed_the_memory(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"".join(line(f"e{n}", reason="x" * 90_000) + b"\n" for n in range(640)))

    assert (
        replay(tmp_path / "home", tmp_path / "a.ndjson", env={"OUTPULSE_LAKE__CHUNK_EVENTS": "160000"}).returncode == 0
    )
    assert count(tmp_path / "home") == 640


# Homes


@pytest.mark.parametrize(
    "verb", ["replay -", "up --no-dashboard", "gateway", "flows --drain", "sql SELECT", "maintain", "flows --rebuild"]
)
def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path: Path, verb: str) -> None:
    # Below a file no folder can be made, whoever asks: root too, whom a mode of read-only does not hinder.
    (tmp_path / "file").write_text("")
    sentence = told(run(*verb.split(), "--home", str(tmp_path / "file" / "home"), input=""))

    assert f"{tmp_path}/file/home cannot be written: Not a directory; choose another with --home" in sentence


def without_privilege() -> None:
    """Takes from a child process what lets root read and write whatever a file's mode says."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: it holds from the next exec on


def heed_modes(path: Path) -> None:
    """Skips a test where a path can be read for all that it must not."""
    if subprocess.run(["cat", path], preexec_fn=without_privilege, capture_output=True, check=False).returncode == 0:
        pytest.skip("this user may read everything, and cannot lay that down")


def test_a_home_that_is_read_only_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(mode=0o200)
    heed_modes(tmp_path / "secret")
    tmp_path.chmod(0o500)
    outcome = replay(tmp_path / "home", "-", input="", preexec_fn=without_privilege)
    tmp_path.chmod(0o700)

    assert "cannot be written: Permission denied; choose another" in told(outcome)


def test_a_lake_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert replay(home, "-", input=lines(3).decode()).returncode == 0
    lake = Lake(home)
    with lake.transaction() as connection:
        connection.execute("UPDATE store.meta SET value = '99' WHERE name = 'format'")
    lake.close()

    assert "written by a newer Outpulse (lake format 99, this release knows" in told(replay(home, "-", input="{}"))
    assert "newer Outpulse" in told(run("maintain", "--home", str(home)))
    assert rows(home, "SELECT count(*) FROM events") == [(3,)]


@pytest.mark.parametrize("verb", ["gateway", "up --no-dashboard"])
def test_a_port_that_is_taken_is_one_clear_line_that_names_the_setting(tmp_path: Path, verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sentence = told(run(*verb.split(), "--home", str(tmp_path), env={"OUTPULSE_GATEWAY__PORT": str(port)}))

    assert f"127.0.0.1:{port}" in sentence
    assert "[gateway] port" in sentence


def test_a_second_up_on_one_home_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    port = free_port()
    first = start("up", "--no-dashboard", "--home", str(tmp_path), env={"OUTPULSE_GATEWAY__PORT": str(port)})
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        second = run("up", "--home", str(tmp_path), env={"OUTPULSE_GATEWAY__PORT": str(free_port())})

        assert f"already runs on {tmp_path} (pid {first.pid}); stop it, or choose another" in told(second)
        assert answers(port)
    finally:
        assert stop(first) == 0


# Settings


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[gateway", "outpulse.toml is not valid TOML: Expected ']'"),
        (b"\xff", "outpulse.toml is not valid TOML: 'utf-8' codec"),
        (b"colour = 1", "colour; valid are gateway, dashboard, log, lake, guard, "),
        (b"[gateway]\nprt = 1", "[gateway] prt; valid are host, port, token"),
        (b"[providers.sendgrid]\npublic_key = 'x'", "[providers.sendgrid] public_key; valid are public_keys"),
        (b"[gateway]\nport = 'x'", "[gateway] port (or OUTPULSE_GATEWAY__PORT): Expected `int`, got `str`"),
        (b"gateway = 1", "gateway (or OUTPULSE_GATEWAY): Expected `object`, got `int`"),
    ],
    ids=repr,
)
def test_a_wrong_setting_is_named_with_what_is_valid(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "outpulse.toml").write_bytes(content)
    sentence = told(run("sql", "SELECT 1", "--home", str(tmp_path)))

    assert str(tmp_path / "outpulse.toml") in sentence
    assert expected in sentence


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("OUTPULSE_LOG__RETENTION_DAYS", "{bad", "OUTPULSE_LOG__RETENTION_DAYS is not valid JSON"),
        ("OUTPULSE_GATEWAY__PRT", "1", "[gateway] prt; valid are host, port"),
        ("OUTPULSE_GATEWAY__PORT", "x", "[gateway] port (or OUTPULSE_GATEWAY__PORT): Expected `int`, got `str`"),
        ("OUTPULSE_GATEWAY__PORT__X", "1", "[gateway] port (or OUTPULSE_GATEWAY__PORT): Expected `int`, got `object`"),
        ("OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS", "s3cret", "[providers.sendgrid] public_keys"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(
    tmp_path: Path, variable: str, value: str, expected: str
) -> None:
    sentence = told(run("sql", "SELECT 1", "--home", str(tmp_path), env={variable: value}))

    assert expected in sentence
    assert "s3cret" not in sentence


def test_a_settings_file_that_is_not_there_is_only_missed_when_it_was_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "other.toml")

    assert f"{missing} does not exist" in told(run("sql", "SELECT 1", "--home", str(tmp_path), "--config", missing))
    assert run("sql", "SELECT 1", "--home", str(tmp_path)).returncode == 0


# Disks


def no_file_beyond(limit_bytes: int) -> Any:
    """Has a child process fail to write files beyond a size, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of events, long ones behind short ones, and a home that it was replayed into."""
    folder = tmp_path_factory.mktemp("undisturbed")
    noise = random.Random(3)
    long = [line(f"long-{n}", reason=noise.randbytes(1000).hex()) + b"\n" for n in range(2000)]
    (folder / "a.ndjson").write_bytes(lines(3000) + b"".join(long) + lines(200))
    assert replay(folder / "home", folder / "a.ndjson").returncode == 0
    assert count(folder / "home") == 5000
    return folder


@pytest.mark.parametrize("limit_kb", [0, 40, 150, 300, 420])
def test_on_a_full_disk_a_replay_ends_with_one_line_and_goes_on_when_there_is_space(
    tmp_path: Path, undisturbed: Path, limit_kb: int
) -> None:
    small_chunks = {"OUTPULSE_LAKE__CHUNK_EVENTS": "1000"}
    limited = replay(tmp_path, undisturbed / "a.ndjson", env=small_chunks, preexec_fn=no_file_beyond(limit_kb * 1024))

    assert "File too large" in told(limited) or "disk I/O error" in told(limited)
    assert limit_kb < 400 or 0 < count(tmp_path) < 5000
    assert replay(tmp_path, undisturbed / "a.ndjson").returncode == 0
    assert differences(tables(undisturbed / "home"), tables(tmp_path)) == []


def post(port: int, name: str) -> int:
    headers = {"authorization": "Bearer sesame"}
    return httpx.post(
        f"http://127.0.0.1:{port}/events", content=line(name, reason="x" * 5000), headers=headers
    ).status_code


def test_on_a_full_disk_the_gateway_answers_503_and_takes_events_again_when_there_is_space(tmp_path: Path) -> None:
    port = free_port()
    env = {"OUTPULSE_GATEWAY__PORT": str(port), "OUTPULSE_GATEWAY__TOKEN": "sesame"}
    gateway = start("gateway", "--home", str(tmp_path), env=env, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        assert post(port, "before") == 202
        process = psutil.Process(gateway.pid)
        unlimited = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (1024, unlimited[1]))
        assert post(port, "while") == 503
        process.rlimit(psutil.RLIMIT_FSIZE, unlimited)
        assert post(port, "after") == 202
    finally:
        assert stop(gateway) == 0
    assert run("flows", "--drain", "--home", str(tmp_path)).returncode == 0
    assert rows(tmp_path, "SELECT event_id FROM events ORDER BY 1") == [("after",), ("before",)]
