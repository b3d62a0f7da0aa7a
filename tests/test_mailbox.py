"""Replies by IMAP against a real Dovecot: nothing is lost, nothing twice, whatever ends; faults name their setting."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eventlog.sqlite import SqliteLog
from schemas.events import RawRequest, Stream
from schemas.rawrecords import unpack
from tests.dovecot import PASSWORD, PROGRAM, USER, Dovecot
from tests.lakes import rows, tables
from tests.processes import kill, run, start, stop, wait_until

pytestmark = [
    pytest.mark.dovecot,
    pytest.mark.skipif(PROGRAM is None, reason="no dovecot; Debian has it in the package dovecot-imapd"),
]
TEXTS = "SELECT rtrim(response_text, chr(10)) FROM response_intelligence ORDER BY 1"


@pytest.fixture
def server() -> Iterator[Dovecot]:
    made = Dovecot()
    try:
        made.start()
        yield made
    finally:
        made.close()


def mail(number: int, body: str = "Sounds good", **more: str) -> bytes:
    """A reply, as it lies in a mailbox."""
    fields = {
        "Return-Path": f"<p{number}@firm.example>",
        "From": f"Person {number} <p{number}@firm.example>",
        "To": f"reply+d-{number}@in.brightloom.example",
        "Date": f"Mon, 05 Jan 2026 10:{number // 60 % 60:02d}:{number % 60:02d} +0000",
        "Message-ID": f"<r{number}@firm.example>",
        "Subject": "Re: hello",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{head}\r\n{body} {number}\r\n".encode()


def stored(home: Path) -> list[RawRequest]:
    """What lies in the `raw` stream."""
    if not (home / "log").exists():
        return []
    with closing(SqliteLog(home / "log")) as log:
        return [unpack(record.value) for record in log.read(Stream.RAW, 0, 1, 10_000)]


def fetch(home: Path, server: Dovecot, **settings: Any) -> Any:
    return run("mailbox", "--once", "--home", str(home), env=server.environment(**settings))


def drain(home: Path) -> None:
    ended = run("flows", "--drain", "--home", str(home))
    assert ended.returncode == 0, ended.stderr


def test_a_mail_in_the_mailbox_is_a_reply_in_sql(home: Path, server: Dovecot) -> None:
    server.deliver(mail(17))
    assert fetch(home, server).stdout == "mailbox: 1 mails read\n"
    drain(home)

    assert rows(home, TEXTS) == [("Sounds good 17",)]
    facts = "SELECT kind, occurred_at::VARCHAR, delivery_id, recipient, message_id, provider, origin FROM events"
    assert rows(home, facts) == [
        (
            "replied",
            "2026-01-05 10:00:17+00",
            "d-17",
            "reply+d-17@in.brightloom.example",
            "r17@firm.example",
            "mailbox",
            "mailbox",
        )
    ]


def test_what_was_fetched_is_not_fetched_again_and_stays_unread(home: Path, server: Dovecot) -> None:
    server.deliver(mail(1))
    assert fetch(home, server).stdout == "mailbox: 1 mails read\n"
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"
    server.deliver(mail(2))
    assert fetch(home, server).stdout == "mailbox: 1 mails read\n"

    assert [len(stored(home)), *("S" in path.name.rpartition(":2,")[2] for path in server.mails())] == [2, False, False]


def test_mails_are_marked_as_read_where_that_is_set(home: Path, server: Dovecot) -> None:
    server.deliver(mail(1))
    fetch(home, server, mark_seen="true")

    assert [path.name.rpartition(":2,")[2] for path in server.mails()] == ["S"]


def test_a_mail_that_comes_while_idling_is_in_the_log_within_seconds(home: Path, server: Dovecot) -> None:
    process = start("mailbox", "--home", str(home), env=server.environment())
    flows = start("flows", "normalize", "--home", str(home))
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        time.sleep(1)  # by now it waits
        delays = []
        for number in range(3):
            server.deliver(mail(number))
            began = time.monotonic()
            wait_until(lambda number=number: len(events(home)) == number + 1, 15, "the event")  # type: ignore[misc]
            delays.append(time.monotonic() - began)
        assert server.log().count("Login:") == 1
        assert min(delays) < 5
    finally:
        assert (stop(process), stop(flows)) == (0, 0)


def events(home: Path) -> list[bytes]:
    with closing(SqliteLog(home / "log")) as log:
        found = [record.value for record in log.read(Stream.EVENTS, 0, 1, 1000)]
        assert len(log.read(Stream.REPLIES, 0, 1, 1000)) in {len(found), len(found) - 1}
        return found


def test_a_server_without_idle_is_asked_again_and_again(home: Path, server: Dovecot) -> None:
    server.stop()
    server.capability = "IMAP4rev1 LITERAL+"
    server.start()
    process = start("mailbox", "--home", str(home), env=server.environment(poll_seconds="0.5"))
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        time.sleep(1)
        server.deliver(mail(1))
        wait_until(lambda: len(stored(home)) == 1, 15, "the mail")
    finally:
        assert stop(process) == 0


def test_idling_is_renewed(home: Path, server: Dovecot) -> None:
    process = start("mailbox", "--home", str(home), env=server.environment(idle_seconds="0.5"))
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        time.sleep(3)
        server.deliver(mail(1))
        wait_until(lambda: len(stored(home)) == 1, 15, "the mail")
        assert server.log().count("Login:") == 1
    finally:
        assert stop(process) == 0


def test_no_mail_waits_for_the_next_renewal_when_many_come_in_quick_succession(home: Path, server: Dovecot) -> None:
    process = start("mailbox", "--home", str(home), env=server.environment())
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        for number in range(60):  # some come between a look and the idling behind it
            server.deliver(mail(number))
            time.sleep(0.03)
        wait_until(lambda: len(stored(home)) == 60, 20, "the mails")
        assert server.log().count("Login:") == 1
    finally:
        assert stop(process) == 0


def test_a_server_that_restarts_is_found_again(home: Path, server: Dovecot) -> None:
    process = start("mailbox", "--home", str(home), env=server.environment())
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        server.deliver(mail(1))
        wait_until(lambda: len(stored(home)) == 1, 15, "the first mail")
        server.stop()
        server.deliver(mail(2))
        time.sleep(1.5)
        server.start()
        wait_until(lambda: len(stored(home)) == 2, 30, "the second mail")
    finally:
        assert stop(process) == 0


def test_a_server_that_is_down_at_the_start_is_waited_for(home: Path, server: Dovecot) -> None:
    server.stop()
    process = start("mailbox", "--home", str(home), env=server.environment())
    try:
        time.sleep(1.5)
        server.deliver(mail(1))
        server.start()
        wait_until(lambda: len(stored(home)) == 1, 30, "the mail")
    finally:
        assert stop(process) == 0


@pytest.mark.crash
def test_kill_9_in_the_middle_of_200_mails_loses_nothing_and_doubles_nothing(
    home: Path, server: Dovecot, tmp_path: Path
) -> None:
    for number in range(200):
        server.deliver(mail(number, "x" * 40_000))
    killed = 0
    for _ in range(40):
        process = start("mailbox", "--once", "--home", str(home), env=server.environment())
        before = len(stored(home))
        deadline = time.monotonic() + 20
        while process.poll() is None and len(stored(home)) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is None:
            kill(process)
            killed += 1
        process.wait()
        if len(stored(home)) == 200:
            break
    fetch(home, server)
    drain(home)
    undisturbed = tmp_path / "undisturbed"
    fetch(undisturbed, server)
    drain(undisturbed)

    assert killed >= 2
    assert sorted(r.body for r in stored(home)) == sorted(path.read_bytes() for path in server.mails())
    assert rows(home, "SELECT count(*), count(DISTINCT event_id) FROM events") == [(200, 200)]
    assert without_receipt(home) == without_receipt(undisturbed)


def without_receipt(home: Path) -> list[tuple[Any, ...]]:
    """Events and replies without the wall clock and the place in `raw`, whose order a restart keeps but not its times."""
    query = """SELECT e.* EXCLUDE (received_at), r.response_text FROM events e
        LEFT JOIN response_intelligence r ON r.recipient = e.recipient ORDER BY ALL"""
    return rows(home, query)


def test_a_renumbered_mailbox_is_not_stored_twice(home: Path, server: Dovecot) -> None:
    for number in range(5):
        server.deliver(mail(number))
    fetch(home, server)
    server.stop()
    server.renumber()
    server.start()
    server.deliver(mail(5))

    assert fetch(home, server).stdout == "mailbox: 6 mails read\n"
    assert [r.url.split("/")[-1] for r in stored(home)] == ["1", "2", "3", "4", "5", "6"]
    assert len({r.url.split("/")[-2] for r in stored(home)}) == 2  # the two UIDVALIDITYs
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"
    (home / "mailbox.sqlite").unlink()  # the noted positions; losing them costs only time
    assert fetch(home, server).stdout == "mailbox: 6 mails read\n"
    assert len(stored(home)) == 6


def test_a_deleted_mail_is_passed_over(home: Path, server: Dovecot) -> None:
    server.deliver(mail(1))
    fetch(home, server)
    gone = server.deliver(mail(2))
    server.deliver(mail(3))
    gone.unlink()
    for path in server.mails():
        if path.read_bytes() == mail(1):
            path.unlink()
    fetch(home, server)

    assert [r.body for r in stored(home)] == [mail(1), mail(3)]


def test_two_mailboxes_are_read_side_by_side_and_one_that_fails_does_not_stop_the_other(
    home: Path, server: Dovecot
) -> None:
    (server.folder / "Maildir" / ".Sales").mkdir()
    shutil.copytree(server.folder / "Maildir" / "new", server.folder / "Maildir" / ".Sales" / "new")
    server._own(server.folder / "Maildir")
    server.deliver(mail(1))
    home.mkdir()
    box = f'host = "127.0.0.1"\nport = {server.port}\ntls = "none"\nuser = "{USER}"\n'
    (home / "secret").write_text(PASSWORD + "\n")
    (home / "outpulse.toml").write_text(
        f'[mailbox]\n{box}password_file = "secret"\n'
        f'[mailboxes.sales]\n{box}password_file = "secret"\nfolder = "Sales"\n'
        f'[mailboxes.gone]\n{box}password = "wrong"\n'
    )
    ended = run("mailbox", "--once", "--home", str(home))

    assert ended.returncode == 1
    assert ended.stdout.splitlines() == [
        "mailbox: 1 mails read",
        "mailboxes.sales: 0 mails read",
        "mailboxes.gone: 0 mails read",
    ]
    assert "check [mailboxes.gone] user and password" in ended.stderr
    assert "wrong" not in ended.stderr
    assert [r.url.rsplit("/", 2)[0] for r in stored(home)] == ["/mailbox/mailbox"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"password": "wrong-pass"}, "refuses the login: check [mailbox] user and password"),
        ({"password": "pâss"}, "refuses the login: check [mailbox] user and password"),
        (
            {"password": ""},
            "[mailbox] password is missing (or password_file, or the variable OUTPULSE_MAILBOX__PASSWORD)",
        ),
        ({"password_file": "nowhere"}, "[mailbox] password_file"),
        ({"host": ""}, "[mailbox] host is missing"),
        ({"host": "imap.example"}, '[mailbox] tls = "none" is for this machine only'),
        ({"tls": "perhaps"}, "[mailbox] tls is 'perhaps', valid are true"),
        ({"folder": "Elsewhere"}, "set [mailbox] folder"),
        ({"auth": "magic"}, "[mailbox] auth is 'magic', valid are"),
        ({"ca_file": "nowhere"}, "[mailbox] ca_file"),
        ({"port": 1}, "127.0.0.1:1 cannot be read: Connection refused; see [mailbox] host and port"),
        ({"tls": "true"}, "does not speak TLS as [mailbox] tls and port say"),
        ({"port": "many"}, "[mailbox] port (or OUTPULSE_MAILBOX__PORT): Expected `int`, got `str`"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_fault_is_one_line_that_names_the_setting_and_no_secret(
    home: Path, server: Dovecot, settings: dict[str, Any], told: str
) -> None:
    for once in (["--once"], [])[: 1 if "port" in settings else 2]:
        ended = run("mailbox", *once, "--home", str(home), env=server.environment(**settings))

        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
        assert told in ended.stderr
        assert PASSWORD not in ended.stderr
        assert "wrong-pass" not in ended.stderr


def test_without_a_mailbox_the_verb_says_what_to_set(home: Path) -> None:
    ended = run("mailbox", "--home", str(home))

    assert (ended.returncode, ended.stderr) == (
        1,
        "outpulse mailbox: no mailbox is set: write [mailbox] host, user and password\n",
    )


def test_a_refused_login_is_not_tried_again_and_again_under_up(home: Path, server: Dovecot) -> None:
    import os

    env = {**server.environment(password="wrong"), "OUTPULSE_PARENT_PID": str(os.getpid())}
    process = start("mailbox", "--home", str(home), env=env)
    try:
        time.sleep(4)
        assert process.poll() is None
        assert server.log().count("auth failed, 1 attempts") <= 1
    finally:
        assert stop(process) == 0


@pytest.mark.parametrize("tls", ["true", "starttls"])
def test_a_self_signed_certificate_is_trusted_only_with_its_file(home: Path, server: Dovecot, tls: str) -> None:
    server.deliver(mail(1))
    port = server.tls_port if tls == "true" else server.port
    refused = fetch(home, server, tls=tls, port=port)
    assert refused.returncode == 1
    assert "is not trusted" in refused.stderr
    assert "set [mailbox] ca_file" in refused.stderr

    trusted = fetch(home, server, tls=tls, port=port, ca_file=str(server.folder / "cert.pem"))
    assert (trusted.returncode, trusted.stdout) == (0, "mailbox: 1 mails read\n")


def test_idling_works_over_tls_too(home: Path, server: Dovecot) -> None:
    env = server.environment(tls="true", port=server.tls_port, ca_file=str(server.folder / "cert.pem"))
    process = start("mailbox", "--home", str(home), env=env)
    try:
        wait_until(lambda: "Login:" in server.log(), what="the login")
        time.sleep(2)
        for number in (1, 2):
            server.deliver(mail(number))
            wait_until(lambda number=number: len(stored(home)) == number, 15, "the mail")  # type: ignore[misc]
        assert server.log().count("Login:") == 1
    finally:
        assert stop(process) == 0


BIG = 30 * 2**20


def big_mail() -> bytes:
    head = mail(1, Content_Type="multipart/mixed; boundary=xx", MIME_Version="1.0").partition(b"\r\n\r\n")[0]
    line = b"QUJD" * 19 + b"\r\n"
    return (
        head
        + b"\r\n\r\n--xx\r\nContent-Type: text/plain\r\n\r\nSee the file\r\n--xx\r\n"
        + b"Content-Type: application/pdf; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + line * (BIG // len(line))
        + b"--xx--\r\n"
    )


def test_a_mail_of_30_mb_is_read_whole(home: Path, server: Dovecot) -> None:
    server.deliver(big_mail())
    server.deliver(mail(2))
    assert fetch(home, server).returncode == 0
    drain(home)

    assert [len(r.body) for r in stored(home)] == [len(big_mail()), len(mail(2))]
    assert rows(home, TEXTS) == [("See the file",), ("Sounds good 2",)]
    query = "SELECT attributes['attachments'], attributes['truncated'] FROM events WHERE delivery_id = 'd-1'"
    assert rows(home, query) == [("plan.pdf", None)]


def test_of_a_mail_beyond_the_limit_headers_and_text_are_read_and_it_says_so(home: Path, server: Dovecot) -> None:
    server.deliver(big_mail())
    server.deliver(mail(2))
    limited = {**server.environment(), "OUTPULSE_GATEWAY__MAX_INBOUND_BYTES": str(BIG - 1)}
    assert run("mailbox", "--once", "--home", str(home), env=limited).returncode == 0
    drain(home)

    assert [len(r.body) for r in stored(home)] == [2**20, len(mail(2))]
    assert rows(home, TEXTS) == [("See the file",), ("Sounds good 2",)]
    query = "SELECT attributes['attachments'], attributes['truncated'] FROM events WHERE delivery_id = 'd-1'"
    assert rows(home, query) == [("plan.pdf", f"{len(big_mail())} bytes, the first 1048576 read")]


def test_hostile_mails_harm_no_neighbours(home: Path, server: Dovecot) -> None:
    odd = [
        b"\x00\xff\xfe" * 100,
        b"Subject: " + b"x" * 200_000 + b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 5000,
        b"From: " + b"(" * 5000 + b"\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n\r\nhi",
        b"Date: Mon, 05 Jan 1970 10:00:00 +0000\r\nTo: reply+old@in.example\r\n\r\nan old date",
        b"no header at all",
        b'Content-Disposition: attachment; filename="\xff\xfe\x80.pdf"\r\nContent-Type: application/pdf\r\n\r\nx',
        b"Content-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-",
    ]
    for number, raw in enumerate(odd):
        server.deliver(raw.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n"))
        server.deliver(mail(number))
    assert fetch(home, server).returncode == 0
    drain(home)

    assert len(stored(home)) == 2 * len(odd)
    texts = [row[0] for row in rows(home, TEXTS)]
    assert {f"Sounds good {number}" for number in range(len(odd))} <= set(texts)
    made = rows(home, "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM dead_letters)")
    assert made == [(2 * len(odd),)]


def test_mails_from_before_the_set_days_are_left_out_at_first_sight(home: Path, server: Dovecot) -> None:
    import os

    old = server.deliver(mail(1))
    os.utime(old, (time.time() - 10 * 86_400,) * 2)  # a Maildir's INTERNALDATE is its file's time
    server.deliver(mail(2))
    fetch(home, server, since_days="3")

    assert [r.body for r in stored(home)] == [mail(2)]


def test_a_mail_without_a_date_counts_from_when_it_came_to_the_mailbox(home: Path, server: Dovecot) -> None:
    import os

    for number, date in ((1, ""), (2, "Mon, 05 Jan 1970 10:00:00 +0000"), (3, "Mon, 05 Jan 2076 10:00:00 +0000")):
        path = server.deliver(mail(number, Date=date))
        os.utime(path, (1_767_607_200,) * 2)
    fetch(home, server)
    drain(home)

    assert rows(home, "SELECT DISTINCT occurred_at::VARCHAR FROM events") == [("2026-01-05 10:00:00+00",)]
    assert rows(home, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_a_rebuild_keeps_what_came_from_the_mailbox(home: Path, server: Dovecot) -> None:
    for number in range(3):
        server.deliver(mail(number))
    server.deliver(b"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nFrom: mailer-daemon@mx.example\r\n\r\nnothing")
    fetch(home, server)
    drain(home)
    before = tables(home)
    assert run("flows", "--rebuild", "--home", str(home)).returncode == 0

    assert tables(home) == before
    assert len(before["events"]) == 3


def test_up_reads_the_mailbox(home: Path, server: Dovecot) -> None:
    from tests.processes import free_port

    env = {**server.environment(), "OUTPULSE_GATEWAY__PORT": str(free_port())}
    up = start("up", "--no-dashboard", "--home", str(home), env=env)
    try:
        server.deliver(mail(1))
        seen = f"SELECT count(*) FROM ({TEXTS})"
        wait_until(lambda: run("sql", "--format", "csv", seen, "--home", str(home)).stdout.endswith("\n1\n"), 60)
    finally:
        assert stop(up) == 0


def test_a_saved_mail_is_normalized_like_one_from_the_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "one.eml"
    path.write_bytes(mail(1))
    ended = run("normalize", "mailbox", str(path))

    assert ended.returncode == 0
    assert '"kind":"replied"' in ended.stdout
    assert '"text":"Sounds good 1' in ended.stdout
