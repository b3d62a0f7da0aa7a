"""The verbs pauses, pause, resume, allowed and suppressions, as processes: what they say, and what SQL then shows."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.client import ControlClient
from control.commands import append
from eventlog.sqlite import SqliteLog
from outpulse.home import Home
from outpulse.pausing import send
from outpulse.settings import load
from sinks.attach import WriterLock
from tests.lakes import rows
from tests.processes import kill, run, start, wait_until
from tests.test_control import pause, resume

ASKED = ["--campaign", "autumn", "--sender", "ida@out.example", "--recipient", "Ada@firm.example"]
PEOPLE = "SELECT contact_id, recipient, scope, reason, source FROM suppressions ORDER BY ALL"


def outpulse(home: Path, *arguments: str) -> tuple[int, str, str]:
    done = run(*arguments, "--home", str(home))
    return done.returncode, done.stdout, done.stderr


def log_of(home: Path) -> SqliteLog:
    return SqliteLog(home / "log")


@pytest.fixture
def writer(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = start("flows", "--home", str(home))
    wait_until((home / "lake" / "writer.lock").exists, what="the writer")
    yield process
    kill(process)
    process.wait()


def test_a_pause_by_hand_holds_for_sql_and_for_dispatchers_until_it_is_resumed(home: Path) -> None:
    status, said, _ = outpulse(
        home, "pause", "sender:Ida@out.example,domain:firm.example", "--why", "too many", "--by", "max"
    )
    assert status == 0
    assert said.startswith("paused: sender:ida@out.example,domain:firm.example (")
    name = said.split("(")[1].rstrip(")\n")
    assert rows(
        home, "SELECT id::VARCHAR, scope_kind, scope_value, action, send_share, decided_by, why FROM active_pauses"
    ) == [(name, "sender,domain", "ida@out.example,firm.example", "pause", 0.0, "max", "too many")]

    status, said, _ = outpulse(home, "allowed", *ASKED, "--json")
    assert status == 4
    assert json.loads(said) == {
        "allowed": False,
        "reason": "paused: sender:ida@out.example,domain:firm.example: too many",
        "pause_id": name,
        "share": 0.0,
    }

    assert outpulse(home, "resume", "domain:firm.example,sender:ida@out.example", "--why", "mended")[0] == 0
    assert rows(home, "SELECT count(*) FROM active_pauses") == [(0,)]
    status, said, _ = outpulse(home, "allowed", *ASKED)
    assert (status, json.loads(said)["allowed"]) == (0, True)


def test_pauses_shows_what_holds_or_every_decision(home: Path) -> None:
    assert outpulse(home, "pauses") == (0, "nothing is paused\n", "")
    log = log_of(home)
    commands = [pause("campaign:a"), resume("campaign:a"), pause("domain:x.example")]
    append(log, *commands)
    log.close()

    status, said, _ = outpulse(home, "pauses", "--json")
    (held,) = json.loads(said)
    assert (status, held["scope"], held["control_offset"]) == (0, "domain:x.example", 3)
    status, said, _ = outpulse(home, "pauses", "--all", "--json")
    assert [(row["id"], row["scope"], row["action"]) for row in json.loads(said)] == [
        (commands[0].id, "campaign:a", "pause"),
        (commands[1].id, "campaign:a", "resume"),
        (commands[2].id, "domain:x.example", "pause"),
    ]
    assert set(held) == set(json.loads(said)[0])
    assert "a storm" in outpulse(home, "pauses")[1]


def test_a_share_slows_down_and_a_resume_of_what_is_not_paused_says_what_is(home: Path) -> None:
    assert outpulse(home, "pause", "campaign:autumn", "--why", "w", "--share", "0.25")[1].startswith("slowed to 0.25: ")
    assert rows(home, "SELECT action, send_share FROM active_pauses") == [("slow", 0.25)]

    status, _, said = outpulse(home, "resume", "campaign:autumn,step:2", "--why", "w")

    assert status == 1
    assert said == "outpulse resume: campaign:autumn,step:2 is not paused; what is: campaign:autumn\n"
    assert rows(home, "SELECT count(*) FROM pauses") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["pause", "mailbox:x", "--why", "w"], "scope 'mailbox:x'; valid are campaign:ID", id="no scope"),
        pytest.param(["pause", "all", "--why", " "], "--why is empty", id="no reason"),
        pytest.param(["pause", "all", "--why", "w", "--share", "1"], "--share is 1, valid are 0", id="everything"),
        pytest.param(["resume", "all", "--why", "w"], "all is not paused; nothing is", id="nothing to resume"),
        pytest.param(["allowed", *ASKED, "--channel", "fax"], "--channel is 'fax', valid are email", id="channel"),
        pytest.param(["suppressions", "add", "--why", "w"], "valid are --contact ID", id="nobody"),
        pytest.param(["suppressions", "add", "--contact", "c"], "--why is missing", id="suppressed without a reason"),
        pytest.param(
            ["suppressions", "remove", "--contact", "c", "--why", "w"], "c is not suppressed", id="not suppressed"
        ),
        pytest.param(["suppressions", "import"], "import needs a file", id="no file"),
        pytest.param(["suppressions", "export", "x.csv"], "export takes no file", id="a file too many"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(home: Path, arguments: list[str], told: str) -> None:
    status, said, error = outpulse(home, *arguments)

    assert (status, said) == (1, "")
    assert error.startswith(f"outpulse {arguments[0]}: ")
    assert told in error
    assert error.count("\n") == 1


def test_when_the_log_cannot_be_read_the_answer_is_no(home: Path) -> None:
    (home / "log").mkdir(parents=True)
    (home / "log" / "control-0.sqlite").write_bytes(b"no database" * 1000)

    status, said, _ = outpulse(home, "allowed", *ASKED)

    assert status == 4
    assert json.loads(said)["allowed"] is False


def test_people_are_added_and_removed(home: Path) -> None:
    add = ["suppressions", "add", "--by", "max"]
    assert outpulse(home, *add, "--contact", "c1", "--recipient", "Ada@Firm.example", "--why", "asked")[0] == 0
    assert outpulse(home, *add, "--recipient", "b@firm.example", "--channel", "phone", "--why", "no calls")[0] == 0
    assert rows(home, PEOPLE) == [
        ("c1", "ada@firm.example", "all", "asked", "max"),
        (None, "b@firm.example", "phone", "no calls", "max"),
    ]
    assert outpulse(home, *add, "--contact", "c1", "--recipient", "ada@firm.example", "--why", "again")[1].startswith(
        "was"
    )
    status, said, _ = outpulse(home, "allowed", *ASKED)
    assert (status, json.loads(said)["reason"]) == (4, "suppressed: asked")
    listed = json.loads(outpulse(home, "suppressions", "--json")[1])
    assert [row["recipient"] for row in listed] == ["ada@firm.example", "b@firm.example"]

    assert outpulse(home, "suppressions", "remove", "--recipient", "ADA@firm.example", "--why", "came back")[0] == 0
    assert rows(home, PEOPLE) == [(None, "b@firm.example", "phone", "no calls", "max")]
    assert outpulse(home, "allowed", *ASKED)[0] == 0


def test_a_csv_of_people_is_taken_row_by_row_and_comes_back_the_same(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(
        b"\xef\xbb\xbfRecipient;contact_id;Scope;Reason;note\r\n"
        b"Ada@Firm.example;;;unsubscribed;x\r\n"
        b';c2;EMAIL;"asked; twice";\r\n'
        b"\r\n"
        b";;;nobody;\r\n"
        b"b@firm.example;;fax;;\r\n"
        b"c\xff@firm.example;;;;\r\n"
        b"b@firm.example;c3\r\n"
        b"ada@firm.example;;all;again;\r\n"
    )

    status, said, error = outpulse(home, "suppressions", "import", str(file), "--by", "max", "--why", "old list")

    assert (status, said) == (0, "3 suppressed, 1 were already, 3 rows not usable\n")
    assert error.splitlines()[0] == "row 5: suppress without contact_id and recipient; valid is either or both"
    wanted = [
        ("c2", None, "email", "asked; twice", "max"),
        ("c3", "b@firm.example", "all", "old list", "max"),
        (None, "ada@firm.example", "all", "unsubscribed", "max"),
    ]
    assert rows(home, PEOPLE) == wanted
    assert outpulse(home, "suppressions", "import", str(file))[1].startswith("0 suppressed, 4 were already")

    exported, other = tmp_path / "exported.csv", tmp_path / "other"
    exported.write_text(outpulse(home, "suppressions", "export")[1])
    assert exported.read_text().splitlines()[0] == "contact_id,recipient,scope,reason"
    assert outpulse(other, "suppressions", "import", str(exported), "--by", "max")[0] == 0
    assert rows(other, PEOPLE) == wanted


def test_a_file_without_a_column_for_people_is_refused(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("name,reason\nAda,asked\n")

    assert (
        "columns name, reason; needed is contact_id or recipient"
        in outpulse(home, "suppressions", "import", str(file))[2]
    )


def test_beside_a_live_writer_the_verb_returns_when_sql_shows_the_change(
    home: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    for text in ("campaign:a", "all"):
        assert outpulse(home, "pause", text, "--why", "w")[0] == 0
        assert rows(home, f"SELECT count(*) FROM active_pauses WHERE scope_kind = '{text.split(':')[0]}'") == [(1,)]
    assert outpulse(home, "resume", "all", "--why", "w")[0] == 0
    assert rows(home, "SELECT scope_value FROM active_pauses") == [("a",)]
    assert writer.poll() is None


def test_while_a_writer_does_not_land_the_pause_holds_already(home: Path) -> None:
    outpulse(home, "pauses", "--all")  # the lake is there
    with WriterLock(home):
        process = start("pause", "all", "--why", "w", "--home", str(home), stderr=subprocess.PIPE)
        log = log_of(home)
        client = ControlClient(log)
        message = {"campaign_id": "a", "sender": None, "recipient": "x@firm.example"}
        wait_until(lambda: not client.allowed(**message).allowed, what="the pause")  # type: ignore[arg-type]
        time.sleep(0.5)
        assert process.poll() is None
        log.close()
    process.communicate(timeout=60)
    assert (process.returncode, rows(home, "SELECT count(*) FROM active_pauses")) == (0, [(1,)])


def test_what_a_program_sends_lands_too(home: Path) -> None:
    send(Home(home, load(home, environ={})), pause("all"))

    assert rows(home, "SELECT scope_kind FROM active_pauses") == [("all",)]
