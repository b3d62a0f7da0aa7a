"""The command line as its users see it: what verbs print, what they refuse, and how they end."""

import base64
import csv
import io
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import psutil
import pytest

from adapters import REGISTRY, Parsed
from data.bulk import write_ndjson
from outpulse.cli import cli
from outpulse.normalizing import run_normalize
from schemas.events import EVENT_FIELDS, Event, Kind, Reply
from tests.lakes import differences, tables
from tests.processes import answers, free_port, parts, run, start, stop, wait_until
from tests.signing import sendgrid_keypair, sign_sendgrid
from tests.test_bad_input import count, line, lines, replay, told

RECEIVED: Final = "2026-01-05T10:00:30.000Z"


def sql(home: Path, query: str, *options: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return run("sql", "--home", str(home), *options, query, **more)


def as_json(home: Path, query: str) -> Any:
    outcome = sql(home, query, "--format", "json")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return json.loads(outcome.stdout)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a few events."""
    home = tmp_path_factory.mktemp("landed") / "home"
    odd = line(
        "odd", reason='a,"b"\nc', is_machine=False, attributes={"k": "v", "é": "1"}, received_at="2026-01-05T10:00:01Z"
    )
    assert replay(home, "-", input=(lines(3) + odd).decode()).returncode == 0
    return home


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """A home on which `up` runs."""
    port, home = free_port(), tmp_path / "live"
    up = start("up", "--no-dashboard", "--home", str(home), env={"OUTPULSE_GATEWAY__PORT": str(port)})
    try:
        wait_until(lambda: answers(port), what="the gateway's start")
        yield home, up
    finally:
        assert stop(up) == 0


# sql


VALUES: Final = {
    "TIMESTAMPTZ '2026-01-05 10:00:00.123456+01'": "2026-01-05T09:00:00.123Z",
    "TIMESTAMP '2026-01-05 10:00:00'": "2026-01-05T10:00:00.000Z",
    "DATE '2026-01-05'": "2026-01-05",
    "1": 1,
    "1.50::DECIMAL(9,2)": 1.5,
    "2.00::DECIMAL(9,2)": 2,
    "0.1::DOUBLE": 0.1,
    "sum(9000000000000000000) FROM range(3)": 27 * 10**18,
    "2::HUGEINT * 100000000000000000000": 2 * 10**20,
    "'nan'::DOUBLE": None,
    "'-inf'::FLOAT": None,
    "NULL": None,
    "true": True,
    "'é\\0\"'": 'é\\0"',
    "MAP {'a': 'b', 'c': NULL}": {"a": "b", "c": None},
    "MAP {1: DATE '2026-01-05'}": {"1": "2026-01-05"},
    """'{"a": [1, null, NaN], "b": {"c": 1e400}}'::JSON""": {"a": [1, None, None], "b": {"c": None}},
    """['{"a": 1}'::JSON, NULL]""": [{"a": 1}, None],
    """{'x': '[1]'::JSON, 'y': 'z'}""": {"x": [1], "y": "z"},
    """MAP {'k': '{"a": 1}'::JSON}""": {"k": {"a": 1}},
    "NULL::JSON": None,
    "[1, NULL, 'nan'::DOUBLE]": [1, None, None],
    "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "'text'::BLOB": "text",
    "'\\xFF'::BLOB": "base64:/w==",
    "TIME '10:00:00'": "10:00:00",
    "INTERVAL 1 DAY": "1 day, 0:00:00",
}


def test_json_is_one_array_of_objects_with_values_of_their_kind(landed: Path) -> None:
    query = " UNION ALL BY NAME ".join(f"(SELECT {n} AS n, v{n}: {expression})" for n, expression in enumerate(VALUES))
    found = {row["n"]: row[f"v{row['n']}"] for row in as_json(landed, query)}

    assert found == dict(enumerate(VALUES.values()))
    assert all(type(found[n]) is type(value) for n, value in enumerate(VALUES.values()))


def test_json_of_the_tables_has_times_maps_and_all_columns(landed: Path) -> None:
    (event,) = as_json(landed, "SELECT * FROM events WHERE event_id = 'odd'")

    assert (event["occurred_at"], event["is_machine"]) == ("2026-01-05T10:00:00.000Z", False)
    assert event["received_at"] == "2026-01-05T10:00:01.000Z"
    assert event["attributes"] == {"k": "v", "é": "1"}
    assert list(event)[: len(EVENT_FIELDS)] == list(EVENT_FIELDS)
    assert as_json(landed, "SELECT * FROM events WHERE false") == []
    assert as_json(landed, "SELECT 1 AS a, 2 AS a, 3 AS a_1") == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_csv_has_a_header_and_quotes_what_must_be_quoted(landed: Path) -> None:
    query = """SELECT event_id, reason, is_machine, attributes, NULL AS nothing, '' AS empty, chr(13) AS cr, occurred_at
        FROM events WHERE event_id = 'odd'"""
    piped = start("sql", "--home", str(landed), query, stdout=subprocess.PIPE)
    printed = piped.communicate()[0].decode()
    (row,) = csv.DictReader(io.StringIO(printed, newline=""))

    assert piped.returncode == 0
    assert row == {
        "event_id": "odd",
        "reason": 'a,"b"\nc',
        "is_machine": "false",
        "attributes": '{"k":"v","é":"1"}',
        "nothing": "",
        "empty": "",
        "cr": "\r",
        "occurred_at": "2026-01-05T10:00:00.000Z",
    }
    assert sql(landed, query, "--format", "csv").stdout == printed.replace("\r", "\n")
    assert sql(landed, "SELECT 'a,b' AS \"x,y\", NULL AS n").stdout == '"x,y",n\n"a,b",\n'
    assert len(list(csv.DictReader(io.StringIO(sql(landed, "SELECT NULL AS n FROM range(3)").stdout)))) == 3
    assert sql(landed, "SELECT 1 AS a WHERE false").stdout == "a\n"


def test_on_a_terminal_a_table_is_printed(landed: Path) -> None:
    ours, theirs = pty.openpty()
    query = "SELECT event_id, '[bold]x[/bold]' AS tags FROM events ORDER BY 1"
    done = run("sql", "--home", str(landed), query, "--format", "table")
    process = start("sql", "--home", str(landed), query, stdout=theirs, env={"COLUMNS": "100"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)

    assert process.wait(60) == 0
    assert "good-0" in shown.decode()
    assert "[bold]x[/bold]" in shown.decode()
    assert "│ good-0" in done.stdout


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT nothing FROM events", 'Binder Error: Referenced column "nothing" not found'),
        ("SELECT * FROM event", "Catalog Error: Table with name event does not exist!"),
        ("SELEC 1", "Parser Error: syntax error"),
        ("SELECT error('no')", "no"),
        ("SELECT 'x'::INTEGER", "Conversion Error"),
    ],
)
def test_a_failed_query_is_one_line_and_status_1(landed: Path, query: str, expected: str) -> None:
    for form in ("json", "csv", "table"):
        sentence = told(sql(landed, query, "--format", form))

    assert expected in sentence
    assert "^" not in sentence


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM dead_letters",
        "INSERT INTO dead_letters FROM dead_letters",
        "DROP VIEW events",
        "CREATE TABLE x (a INT)",
    ],
)
def test_without_write_nothing_can_be_changed(landed: Path, statement: str) -> None:
    before = tables(landed)
    sentence = told(sql(landed, statement))

    assert "read-only mode" in sentence
    assert sentence.endswith("Add --write to change the lake.")
    assert differences(before, tables(landed)) == []


def test_with_write_the_lake_is_changed_also_beside_a_live_writer(live: tuple[Path, Any]) -> None:
    home, _ = live
    for place in (home, home.parent / "idle"):
        assert sql(place, "CREATE TABLE notes (a INTEGER)", "--write").returncode == 0
        assert sql(place, "INSERT INTO notes VALUES (1), (2)", "--write").returncode == 0
        assert sql(place, "SELECT sum(a) AS a FROM notes").stdout == "a\n3\n"
        assert "notes_ does not exist" in told(sql(place, "INSERT INTO notes_ VALUES (3)", "--write"))
        assert "--write needs the query" in told(run("sql", "--write", "--home", str(place), input=""))
        assert sql(place, "SELECT sum(a) AS a FROM notes").stdout == "a\n3\n"


def test_a_fresh_home_has_empty_tables(tmp_path: Path) -> None:
    home = tmp_path / "it's a home, née ünïcode"

    assert as_json(home, "SELECT count(*) AS n FROM events") == [{"n": 0}]
    assert as_json(home, "SELECT * FROM campaign_performance_metrics") == []


def test_statements_are_read_from_standard_input_when_none_is_given(landed: Path) -> None:
    outcome = run(
        "sql", "--home", str(landed), input="SELECT count(*) AS n\nFROM events;\nSELECT 1 AS a;\nSELECT 2 AS b"
    )

    assert (outcome.returncode, outcome.stdout) == (0, "n\n4\na\n1\nb\n2\n")
    assert "Parser Error" in told(run("sql", "--home", str(landed), input="SELEC;"))


def test_who_reads_may_stop_reading(landed: Path) -> None:
    query = start(
        "sql", "--home", str(landed), "SELECT * FROM range(3000000)", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert query.stdout is not None
    assert query.stdout.readline() == b"range\n"
    query.stdout.close()

    assert query.wait(60) == 0
    assert query.stderr is not None
    assert query.stderr.read() == b""
    query.stderr.close()


# normalize


def recorded(path: Path, body: Any, **fields: Any) -> Path:
    """A recorded request."""
    base = {"method": "POST", "url": "/webhooks/sendgrid", "received_at": RECEIVED, "headers": {}}
    path.write_text(json.dumps({**base, "body": body, **fields}))
    return path


def normalized(*arguments: Path | str, status: int = 0) -> list[dict[str, Any]]:
    outcome = run("normalize", "sendgrid", *map(str, arguments))
    assert (outcome.returncode, outcome.stderr) == (status, "")
    return [json.loads(one) for one in outcome.stdout.splitlines()]


ITEM: Final = {"event": "open", "timestamp": 1767607200.123, "email": "Ada <ada@example.com>", "sg_event_id": "e1"}
LINE: Final = {
    **dict.fromkeys(EVENT_FIELDS),
    "event_id": "e1",
    "kind": "opened",
    "occurred_at": "2026-01-05T10:00:00.123Z",
    "received_at": RECEIVED,
    "channel": "email",
    "provider": "sendgrid",
    "recipient": "ada@example.com",
}


def test_normalize_prints_each_event_with_all_fields_and_its_request_in_order(tmp_path: Path) -> None:
    second = recorded(tmp_path / "2.json", json.dumps([ITEM, {"event": "odd"}, {**ITEM, "sg_event_id": "e2"}]))
    first = recorded(tmp_path / "1.json", [ITEM])
    found = normalized(second, first)

    assert found[0] == LINE | {"request": "2.json"}
    assert list(found[0]) == [*EVENT_FIELDS, "request"]
    assert [one.get("event_id") for one in found] == ["e1", None, "e2", "e1"]
    assert set(found[1]) == {"request", "dead_letter", "detail"}
    assert (found[1]["request"], found[1]["dead_letter"]) == ("2.json", "unmapped: odd")
    assert found[3] == LINE | {"request": "1.json"}


def test_normalize_takes_base64_bodies_bytes_and_bare_bodies(tmp_path: Path) -> None:
    body = json.dumps([ITEM | {"note": "ü"}], ensure_ascii=False).encode("latin-1")
    coded = recorded(tmp_path / "a.json", base64.b64encode(body).decode(), body_encoding="base64")
    (tmp_path / "bare.bin").write_bytes(json.dumps([ITEM]).encode())
    (tmp_path / "xml.txt").write_bytes(b"<xml>\xff")
    os.utime(tmp_path / "bare.bin", (1767607230, 1767607230))
    found = normalized(coded, tmp_path / "bare.bin", tmp_path / "xml.txt")

    assert found[0]["attributes"] == {"note": "\N{REPLACEMENT CHARACTER}"}
    assert found[1] == LINE | {"request": "bare.bin"}
    assert (found[2]["request"], found[2]["dead_letter"]) == ("xml.txt", "not JSON")


def test_normalize_checks_the_proof_by_the_clock_of_the_recording(tmp_path: Path) -> None:
    key, public = sendgrid_keypair()
    (tmp_path / "secrets.json").write_text(json.dumps({"public_keys": [public]}))
    body = json.dumps([ITEM])
    headers = {name.title(): value for name, value in sign_sendgrid(key, body.encode(), 1767607225).items()}
    good = recorded(tmp_path / "good.json", body, headers=headers)
    forged = recorded(tmp_path / "forged.json", body + " ", headers=headers)
    stale = recorded(tmp_path / "stale.json", body, headers=headers, received_at="2026-01-07T10:00:00Z")
    found = normalized("--secrets", tmp_path / "secrets.json", forged, good, stale, status=3)

    assert [one["request"] for one in found] == ["forged.json", "good.json", "stale.json"]
    assert [set(one) == {"request", "refused"} for one in found] == [True, False, True]
    assert "signature" in found[0]["refused"]
    assert "stale" in found[2]["refused"]
    assert normalized("--secrets", tmp_path / "secrets.json", good) == [found[1]]


def test_normalize_prints_a_reply_as_one_line_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    at: dict[str, Any] = {"occurred_at": RECEIVED, "provider": "sendgrid"}
    people = ("ada@example.com", "bob@example.com", "eve@example.com")
    events = [Event(event_id="r", kind=Kind.REPLIED, recipient=one, **at) for one in people]
    words: dict[str, Any] = {"subject": "Re: hi", "headers": {"from": "x"}}
    replies = [Reply(event_id="r", recipient=one, text=f"I am {one}", **words, **at) for one in reversed(people[:2])]
    adapter = SimpleNamespace(parse=lambda _: Parsed([*events, Event(event_id="o", kind=Kind.OPENED, **at)], replies))
    monkeypatch.setitem(REGISTRY, "sendgrid", adapter)

    assert run_normalize("sendgrid", [recorded(tmp_path / "a.json", "")], None) == 0
    found = [json.loads(one) for one in capfdbinary.readouterr().out.splitlines()]
    assert [list(one) for one in found] == [[*EVENT_FIELDS, "subject", "text", "headers", "request"]] * 3 + [
        [*EVENT_FIELDS, "request"]
    ]
    assert [one.get("text") for one in found] == ["I am ada@example.com", "I am bob@example.com", None, None]
    assert (found[0]["subject"], found[0]["headers"]) == ("Re: hi", {"from": "x"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"body": "%", "body_encoding": "base64"}, "body is not base64"),
        ({"body": "é", "body_encoding": "base64"}, "body is not base64"),
        ({"body_encoding": "hex"}, "body_encoding is 'hex', valid is base64"),
        ({"received_at": "yesterday"}, "received_at: not an RFC 3339 time: 'yesterday'"),
        ({"headers": [["a", "b"]]}, "headers is a JSON list, valid is an object"),
    ],
)
def test_a_recording_that_makes_no_sense_is_one_clear_line(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    sentence = told(run("normalize", "sendgrid", str(recorded(tmp_path / "a.json", **({"body": "[]"} | change)))))

    assert "a.json" in sentence
    assert expected in sentence


def test_what_normalize_cannot_work_with_is_one_clear_line(tmp_path: Path) -> None:
    good = str(recorded(tmp_path / "a.json", "[]"))
    for name, content in (
        ("list.json", "[]"),
        ("unknown.json", '{"public_key": []}'),
        ("type.json", '{"public_keys": "x"}'),
    ):
        (tmp_path / name).write_text(content)
        assert "settings" in told(run("normalize", "sendgrid", "--secrets", str(tmp_path / name), good))

    assert "unknown provider 'sendgird'; valid are " in told(run("normalize", "sendgird", good))
    assert "missing.json" in told(run("normalize", "sendgrid", str(tmp_path / "missing.json")))
    assert "missing.json" in told(run("normalize", "sendgrid", good, "--secrets", str(tmp_path / "missing.json")))


# replay and maintain


def test_replay_lands_several_files_at_once_also_beside_a_live_writer(live: tuple[Path, Any], tmp_path: Path) -> None:
    home, _ = live
    write_ndjson(tmp_path / "a.ndjson", 3000, 3)
    (tmp_path / "b.jsonl").write_bytes(lines(20) + b"bad\n")
    files = (tmp_path / "a.ndjson", tmp_path / "b.jsonl")
    for place in (home, tmp_path / "idle"):
        outcome = replay(place, *files)
        told_of = [one.split(":")[0] for one in outcome.stderr.splitlines()]

        assert (outcome.returncode, outcome.stdout) == (0, "")
        assert told_of == ["a.ndjson", "b.jsonl"]
        assert "b.jsonl: 20 events landed, 0 duplicates dropped, 1 dead letters" in outcome.stderr
        assert count(place) == 2970 + 20
        assert replay(place, "-", input=line("stdin").decode()).returncode == 0
        assert count(place) == 2970 + 21
    assert differences(tables(tmp_path / "idle"), tables(home)) == []


def test_a_file_that_fails_beside_a_live_writer_is_one_line_and_the_writer_goes_on(
    live: tuple[Path, "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    home, up = live
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    wait_until(lambda: "flows" in parts(up), what="the flows' start")
    assert replay(home, "-", input=lines(1).decode()).returncode == 0
    flows = parts(up)["flows"]

    assert "bad.parquet" in told(replay(home, tmp_path / "bad.parquet"))
    assert replay(home, "-", input=lines(3).decode()).returncode == 0
    assert count(home) == 3
    assert parts(up)["flows"] == flows


def test_maintain_keeps_every_row_also_beside_a_live_writer(live: tuple[Path, Any], tmp_path: Path) -> None:
    home, _ = live
    for place in (home, tmp_path / "idle"):
        for n in range(3):
            assert replay(place, "-", input=lines(5, 5 * n).decode()).returncode == 0
        before = tables(place)
        outcome = run("maintain", "--home", str(place))

        assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "maintained\n", "")
        assert differences(before, tables(place)) == []
        assert len(before["events"]) == 15


@pytest.mark.parametrize("speed", ["60x", "1e3x", "120"])
def test_a_paced_replay_lands_the_same(tmp_path: Path, speed: str) -> None:
    at = [f"2026-01-05T10:{n // 60:02d}:{n % 60:02d}.000Z" for n in range(100)]
    (tmp_path / "a.ndjson").write_bytes(b"".join(line(f"e{n}", occurred_at=one) + b"\n" for n, one in enumerate(at)))
    outcome = run("replay", "--home", str(tmp_path / "home"), "--speed", speed, str(tmp_path / "a.ndjson"))

    assert outcome.returncode == 0, outcome.stderr
    assert count(tmp_path / "home") == 100


@pytest.mark.parametrize("speed", ["fast", "0x", "-1x", "x", "nan", "infx"])
def test_a_speed_that_is_none_is_one_clear_line(tmp_path: Path, speed: str) -> None:
    sentence = told(run("replay", "--home", str(tmp_path), f"--speed={speed}", "-", input=""))

    assert f"--speed is {speed!r}, valid are max, 1x, 60x" in sentence


# up


def test_up_stops_its_parts_when_asked_and_its_parts_stop_when_it_is_killed(tmp_path: Path) -> None:
    port = free_port()
    for way in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        up = start("up", "--no-dashboard", "--home", str(tmp_path), env={"OUTPULSE_GATEWAY__PORT": str(port)})
        wait_until(lambda: answers(port) and {"gateway", "flows", "replies"} <= parts(up).keys(), what="all parts")  # noqa: B023 - polled at once
        children = list(parts(up).values())
        up.send_signal(way)
        assert up.wait(60) == (-9 if way == signal.SIGKILL else 0)
        _, alive = psutil.wait_procs(children, 30)
        assert alive == []


@pytest.mark.parametrize(
    ("host", "port"), [("203.0.113.1", "8080"), ("no host", "8080"), ("127.0.0.1", "70000"), ("::1::", "8080")]
)
def test_an_address_that_cannot_be_listened_on_is_one_clear_line(tmp_path: Path, host: str, port: str) -> None:
    env = {"OUTPULSE_GATEWAY__HOST": host, "OUTPULSE_GATEWAY__PORT": port}
    for verb in (["gateway"], ["up", "--no-dashboard"]):
        sentence = told(run(*verb, "--home", str(tmp_path), env=env))

        assert f"cannot listen on {host}:{port}: " in sentence
        assert "[gateway]" in sentence


# Everything


def test_help_lists_every_verb_with_a_sentence() -> None:
    listed = run("--help").stdout

    for name, command in cli.commands.items():
        assert name in listed
        assert (command.help or "").strip(), name
        shown = run(name, "-h").stdout
        assert "--home" in shown
        assert "--debug" in shown
    assert {"demo", "up", "gateway", "flows", "replay", "normalize", "sql", "maintain", "bench"} <= set(cli.commands)


def test_errors_are_one_line_and_with_debug_the_traceback_too(tmp_path: Path) -> None:
    arguments = ("replay", "--home", str(tmp_path), str(tmp_path / "missing.ndjson"))

    assert "missing.ndjson cannot be read" in told(run(*arguments))
    shown = run(*arguments, "--debug")
    assert shown.returncode == 1
    assert shown.stderr.startswith("Traceback")
    assert "missing.ndjson cannot be read" in shown.stderr
    for wrong in (("nothing",), ("sql", "--format", "xml", "SELECT 1"), ("replay",), ("sql", "--nothing")):
        assert run(*wrong).returncode == 2
