"""`outpulse maintain --forget`: no byte of a person is left but the suppression, and no figure changes."""

import io
import json
import re
import shutil
import sqlite3
import time
import zlib
from contextlib import closing, redirect_stderr, redirect_stdout
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest

from eventlog import Record
from eventlog.sqlite import SqliteLog
from flows.run import open_lake
from outpulse.forgetting import run_forget
from outpulse.home import open_home
from schemas.events import RawRequest, Stream
from schemas.failures import SettingsError
from schemas.rawrecords import pack, unpack
from sinks.attach import connect, writer_pid
from tests.lakes import differences, rows, tables
from tests.processes import kill, run, start, wait_until
from tests.test_replies_flow import post, replied, said, work

CONTACT, ADDRESS = "contact-zanna-4711", "zanna.quast@firm.example"
WORDS = "Zanzibar quartz, says my notebook; remove me from your list, Zoe Pfiffig"
FIGURES = ("metrics_minute", "metrics_1h", "metrics_24h", "metrics_campaign_minute", "campaign_performance_metrics",
           "campaign_executions")  # fmt: skip
SECRETS = (CONTACT, ADDRESS, "Zanzibar", "Pfiffig", "203.0.113.77", "Firefox/99")


def event(number: int, kind: str, contact: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"{kind}-{contact}-{number}".replace(CONTACT, "x"),
        "kind": kind,
        "occurred_at": f"2026-01-05T09:{number:02d}:00.000Z",
        "provider": "crm",
        "channel": "email",
        "campaign_id": "autumn",
        "delivery_id": f"d-{number}",
        "contact_id": contact,
        "recipient": address,
        "sender": "ida@out.example",
        "sequence_step": "1",
    } | more


def history() -> list[dict[str, Any]]:
    """Eight people in one campaign, one of whom will ask to be forgotten."""
    people = [(f"contact-other-{n}", f"other{n}@firm.example") for n in range(7)]
    people.insert(3, (CONTACT, ADDRESS))
    found = []
    for number, (contact, address) in enumerate(people):
        found += [event(number, kind, contact, address) for kind in ("sent", "delivered")]
        ip, agent = ("203.0.113.77", "Firefox/99") if contact == CONTACT else ("203.0.113.9", "Firefox/98")
        client = {"ip": ip, "user_agent": agent, "plan": f"of {address}"}
        found.append(event(number, "opened", contact, address, attributes=client))
        found.append(
            event(number, "clicked", contact, address, url=f"https://out.example/?to={address.replace('@', '%40')}")
        )
        found.append(
            event(number, "sent", contact, address, delivery_id=None, message_id=f"m{number}", event_id=f"s{number}")
        )
    found.append(event(50, "bounced", CONTACT, ADDRESS, bounce_class="soft", reason=f"550 <{ADDRESS}>: over quota"))
    return found


def mail(author: str, answered: str, words: str) -> bytes:
    """A mail that answers a message, its text in base64."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = author, "Ida <ida@out.example>", "Re: Hello"
    made["Date"], made["Message-ID"] = "Mon, 05 Jan 2026 11:00:00 +0000", f"<answer-{answered}@mail.example>"
    made["In-Reply-To"] = f"<{answered}@out.example>"
    made.set_content(words, cte="base64")
    return made.as_bytes()


def fill(home: Path) -> None:
    """Events, replies, corrections, lessons, dead letters, decisions, imports, and raw requests about all."""
    about = {"contact_id": CONTACT, "recipient": ADDRESS}
    post(
        home,
        [
            *history(),
            replied(1, WORDS, **about),
            replied(2, "What does it cost?"),
            replied(3, f"No. Ask {ADDRESS} instead, Zoe Pfiffig".replace("Zoe Pfiffig", "she knows")),
        ],
    )
    log = SqliteLog(home / "log")
    body = json.dumps([{"email": ADDRESS, "event": "delivered", "sg_event_id": "k1", "timestamp": 1767607200,
                        "contact_id": CONTACT, "sg_message_id": "sg1"},
                       {"email": "other0@firm.example", "event": "delivered", "sg_event_id": "k2",
                        "timestamp": 1767607200}]).encode()  # fmt: skip
    for content in (body, f"no JSON about {ADDRESS}".encode(), body.replace(ADDRESS.encode(), b"other1@firm.example")
                    .replace(CONTACT.encode(), b"contact-other-1").replace(b'"k', b'"l')):  # fmt: skip
        request = RawRequest(
            provider="sendgrid", method="POST", url="/webhooks/sendgrid", received_at="2026-01-05T10:00:30.000Z", headers={},
            body=content,
        )  # fmt: skip
        log.append(Stream.RAW, [Record(None, pack(request))])
    for author, answered, words in (
        (f"Zoe Pfiffig <{ADDRESS.title()}>", "m3", WORDS),
        ("Otto <other5@firm.example>", "m6", f"Fine with me. But write to {ADDRESS} too."),
    ):
        request = RawRequest(
            provider="mailbox", method="FETCH", url="/mailbox/a/1/1", received_at="2026-01-05T11:00:30.000Z", headers={},
            body=mail(author, answered, words), inbound=True,
        )  # fmt: skip
        log.append(Stream.RAW, [Record(None, pack(request))])
    log.append(Stream.EVENTS, [Record(None, f'{{"event_id": 7, "recipient": "{ADDRESS}"}}'.encode())])
    log.close()
    (home / "people.csv").write_text(f"contact_id,recipient,persona,city\n{CONTACT},{ADDRESS},cto,Pfiffighausen\n")
    assert run("import", "contacts", str(home / "people.csv"), "--home", str(home)).returncode == 0
    (home / "people.csv").unlink()
    work(home, names=("normalize", "delivery", "replies"))
    post(home, [], [said(1, "question"), said(1, "bob@firm.example", "referred_email"), said(2, "interested")])
    lesson = {"id": "lesson-1", "text": f"{WORDS} {ADDRESS}", "channel": "email", "intent": "question",
              "headers": {"From": f"Zoe Pfiffig <{ADDRESS}>"}}  # fmt: skip
    (home / "lessons.jsonl").write_text(
        json.dumps(lesson) + "\n" + json.dumps({**lesson, "id": "l2", "text": "Call me", "headers": {}})
    )
    assert run("replies", "learn", str(home / "lessons.jsonl"), "--home", str(home)).returncode == 0
    (home / "lessons.jsonl").unlink()
    assert run("pause", f"contact:{CONTACT}", "--why", f"{ADDRESS} called", "--home", str(home)).returncode == 0
    work(home)


def forget(home: Path, name: str = CONTACT) -> str:
    """What the verb tells, done in this process."""
    told, complaints = io.StringIO(), io.StringIO()
    with redirect_stdout(told), redirect_stderr(complaints):
        assert run_forget(open_home(str(home)), name, by="ida") == 0
    assert complaints.getvalue() == ""
    return told.getvalue()


def holding(home: Path) -> dict[str, set[str]]:
    """By secret: files of a home with the bytes, and tables and streams with the text (what files hold may be compressed)."""
    found: dict[str, set[str]] = {secret: set() for secret in SECRETS}

    def look(place: str, content: bytes) -> None:
        for secret in SECRETS:
            if secret.encode().lower() in content.lower():
                found[secret].add(place)

    for path in home.rglob("*"):
        if path.is_file():
            look(path.relative_to(home).as_posix(), path.read_bytes())
    with closing(connect(home, read_only=True)) as connection:
        query = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'lake'"
        names = [name for (name,) in connection.execute(query).fetchall()]
        for name in (*names, "events", "message_deliveries", "response_intelligence", "sequence_execution"):
            look(name, repr(connection.execute(f"SELECT * FROM {name}").fetchall()).encode())
    with closing(SqliteLog(home / "log")) as log:
        for stream in Stream:
            for record in log.read(stream, 0, 1, 100_000):
                look(f"log {stream}", unpacked(record.value))
    with closing(sqlite3.connect(home / "models" / "replies.sqlite")) as state:
        for (reply,) in state.execute("SELECT reply FROM replies"):
            look("replies.sqlite", zlib.decompress(reply))
    return found


def unpacked(value: bytes) -> bytes:
    try:
        request = unpack(value)
        text = message_from_bytes(request.body).get_payload(decode=True) if request.inbound else b""
        assert isinstance(text, bytes)
        return request.body + text
    except (ValueError, msgspec.DecodeError):
        return value


IN_SUPPRESSION = re.compile(
    r"log/control-0\.sqlite|log control|main\.suppressions|lake/data/main/suppressions/.*|lake/catalog.*"
)


def assert_forgotten(home: Path) -> None:
    for secret, left in holding(home).items():
        assert {place for place in left if secret != ADDRESS or not IN_SUPPRESSION.fullmatch(place)} == set(), secret
    kept = rows(home, "SELECT contact_id, recipient, scope, event_id FROM suppressions WHERE recipient LIKE 'zanna%'")
    assert kept == [(None, ADDRESS, "all", None)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled") / "home"
    home.mkdir()
    fill(home)
    places = holding(home)
    assert all(len(places[secret]) > 5 for secret in (CONTACT, ADDRESS, "Zanzibar"))
    assert all(places.values())
    return home


@pytest.fixture
def known(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.parametrize("name", [CONTACT, ADDRESS.upper()])
def test_nothing_is_left_of_a_person_but_the_suppression_and_no_figure_changes(known: Path, name: str) -> None:
    figures = tables(known, FIGURES)
    statuses = rows(known, "SELECT delivery_status, count(*) FROM message_deliveries GROUP BY 1 ORDER BY 1")
    counts = rows(known, "SELECT count(*) FROM dead_letters UNION ALL SELECT count(*) FROM feedback")
    told = forget(known, name)

    assert "in facts" in told
    assert_forgotten(known)
    assert differences(figures, tables(known, FIGURES)) == []
    assert statuses == rows(known, "SELECT delivery_status, count(*) FROM message_deliveries GROUP BY 1 ORDER BY 1")
    assert counts == rows(known, "SELECT count(*) FROM dead_letters UNION ALL SELECT count(*) FROM feedback")
    assert run("allowed", "--home", str(known), "--campaign", "autumn", "--sender", "ida@out.example", "--recipient",
               ADDRESS).returncode == 4  # fmt: skip


def test_a_second_call_changes_nothing_and_a_name_that_nobody_has_is_refused(known: Path) -> None:
    forget(known)
    before = tables(known, (*FIGURES, "events", "response_intelligence", "suppressions", "feedback"))
    assert forget(known, ADDRESS) == "nothing names them any more\n"
    for unknown in (CONTACT, "autumn", "ida@out.example", "who@firm.example"):
        with pytest.raises(SettingsError, match="no contact id and no address that this home knows"):
            forget(known, unknown)

    assert differences(before, tables(known, tuple(before))) == []
    assert_forgotten(known)


def test_others_keep_their_words_names_and_replies(known: Path) -> None:
    query = "SELECT * FROM events WHERE contact_id LIKE 'contact-other%' ORDER BY ALL"
    before = rows(known, query)
    forget(known)

    assert rows(known, query) == before
    assert rows(known, "SELECT response_text FROM response_intelligence WHERE event_id = 'r2'") == [
        ("What does it cost?",)
    ]
    (text,) = rows(known, "SELECT response_text FROM response_intelligence WHERE event_id = 'r3'")[0]
    query = "SELECT response_text FROM response_intelligence WHERE recipient = 'other5@firm.example'"
    assert re.search(r"But write to forgotten-[0-9a-f]+-0@firm\.example too", rows(known, query)[0][0])
    assert re.fullmatch(r"No\. Ask forgotten-[0-9a-f]+-0@firm\.example instead, she knows", text)


def test_figures_derived_anew_afterwards_are_the_same(known: Path) -> None:
    figures = tables(known, FIGURES)
    forget(known)
    lake = open_lake(known, open_home(str(known)).settings)
    with lake.transaction():
        lake.derive_anew()
    lake.close()

    assert differences(figures, tables(known, FIGURES)) == []


def test_a_rebuild_from_raw_leaves_a_forgotten_person_forgotten(known: Path) -> None:
    figures = tables(known, FIGURES)
    forget(known)
    assert run("flows", "--rebuild", "--home", str(known)).returncode == 0

    assert_forgotten(known)
    assert differences(figures, tables(known, FIGURES)) == []


def test_the_log_read_again_into_a_fresh_lake_knows_no_person_and_the_same_figures(known: Path) -> None:
    figures = rows(known, "SELECT kind, sum(events) FROM metrics_minute GROUP BY 1 ORDER BY 1")
    forget(known)
    shutil.rmtree(known / "lake")
    shutil.rmtree(known / "models")
    work(known, names=("normalize", "delivery", "replies"))

    assert_forgotten(known)
    assert rows(known, "SELECT kind, sum(events) FROM metrics_minute GROUP BY 1 ORDER BY 1") == figures


@pytest.mark.crash
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.3, 3.0])
def test_killed_in_the_middle_and_called_again_it_is_complete(known: Path, seconds: float) -> None:
    figures = tables(known, FIGURES)
    process = start("maintain", "--forget", CONTACT, "--home", str(known))

    def begun() -> bool:
        try:
            with sqlite3.connect(known / "jobs.sqlite") as jobs:
                return bool(jobs.execute("SELECT count(*) FROM jobs WHERE verb = 'held forget'").fetchone()[0])
        except sqlite3.Error:
            return False

    wait_until(lambda: begun() or process.poll() is not None, what="the job")
    time.sleep(seconds)
    kill(process)
    process.wait()
    forget(known, CONTACT if seconds < 1 else ADDRESS)  # which is known also when all was done

    assert_forgotten(known)
    assert differences(figures, tables(known, FIGURES)) == []


def test_it_is_done_by_a_live_writer_while_all_parts_run(known: Path) -> None:
    figures = tables(known, FIGURES)
    up = start("up", "--no-dashboard", "--home", str(known), env={"OUTPULSE_GATEWAY__PORT": "0"})
    try:
        wait_until(lambda: writer_pid(known) is not None, what="the writer")
        assert "in facts" in forget(known)
        assert differences(figures, tables(known, FIGURES)) == []
    finally:
        up.terminate()
        up.wait(30)
    assert_forgotten(known)
