"""An IMAP server that cannot hand over one of its mails: the others come at once, that one later, or as a dead letter."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.mailbox import AGAIN_SECONDS, GIVE_UP_SECONDS
from tests.dovecot import PROGRAM, USER, Dovecot
from tests.lakes import rows
from tests.processes import start, stop, wait_until
from tests.test_mailbox import TEXTS, drain, fetch, mail, stored

pytestmark = [
    pytest.mark.dovecot,
    pytest.mark.skipif(PROGRAM is None, reason="no dovecot; Debian has it in the package dovecot-imapd"),
]


@pytest.fixture
def server() -> Iterator[Dovecot]:
    made = Dovecot()
    try:
        made.start()
        yield made
    finally:
        made.close()


def broken(server: Dovecot) -> Path:
    """Five mails, of which the server cannot read the third: Dovecot says NO and hangs up."""
    paths = [server.deliver(mail(number)) for number in range(5)]
    paths[2].chmod(0)
    return paths[2]


def let_pass(home: Path, seconds: float) -> None:
    """Makes the notes older."""
    with closing(sqlite3.connect(home / "mailbox.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE waiting SET first_at = first_at - ?, tried_at = tried_at - ?", (seconds, seconds))


def test_a_mail_that_the_server_cannot_read_stops_no_other_and_is_tried_again(home: Path, server: Dovecot) -> None:
    path = broken(server)
    first = fetch(home, server)
    assert (first.returncode, first.stdout) == (0, "mailbox: 4 mails read\n")
    assert "did not hand over a mail" in first.stderr
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"

    path = next(one for one in server.mails() if one.name.startswith(path.name))
    path.chmod(0o600)
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"  # not yet
    let_pass(home, AGAIN_SECONDS)
    assert fetch(home, server).stdout == "mailbox: 1 mails read\n"
    assert sorted(r.body for r in stored(home)) == [mail(number) for number in range(5)]
    let_pass(home, AGAIN_SECONDS)
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"


def test_a_mail_that_cannot_be_read_for_a_day_is_a_dead_letter_that_says_where_it_lies(
    home: Path, server: Dovecot
) -> None:
    broken(server)
    fetch(home, server)
    let_pass(home, GIVE_UP_SECONDS - 5)
    assert "did not hand over" in fetch(home, server).stderr
    let_pass(home, AGAIN_SECONDS)
    assert fetch(home, server).stdout == "mailbox: 1 mails read\n"
    drain(home)

    (letter,) = rows(home, "SELECT reason, detail FROM dead_letters")
    assert letter[0] == "mail not fetched"
    assert letter[1].split(": ")[0].endswith("/3")
    assert len(rows(home, TEXTS)) == 4
    assert fetch(home, server).stdout == "mailbox: 0 mails read\n"


def test_while_following_the_others_come_within_seconds(home: Path, server: Dovecot) -> None:
    broken(server)
    process = start("mailbox", "--home", str(home), env=server.environment())
    try:
        wait_until(lambda: len(stored(home)) == 4, 30, "the four")
        server.deliver(mail(9))
        wait_until(lambda: len(stored(home)) == 5, 30, "the next")
    finally:
        assert stop(process) == 0


class Tokens(BaseHTTPRequestHandler):
    """Says whose an access token is (RFC 7662)."""

    def do_GET(self) -> None:
        known = self.path.startswith("/good&")
        body = json.dumps({"active": True, "email": USER} if known else {"active": False}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


def test_an_access_token_of_oauth_2_is_a_password_too(home: Path, server: Dovecot) -> None:
    tokens = HTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    server.stop()
    server.tokens_at = f"http://127.0.0.1:{tokens.server_address[1]}/"
    server.start()
    server.deliver(mail(1))
    try:
        refused = fetch(home, server, auth="xoauth2", password="stale")
        assert refused.stderr.endswith("check [mailbox] user and password (auth is 'xoauth2')\n")
        good = fetch(home, server, auth="xoauth2", password="good")
        assert good.stderr == "", server.log()
        assert good.stdout == "mailbox: 1 mails read\n"
    finally:
        tokens.shutdown()
        tokens.server_close()
