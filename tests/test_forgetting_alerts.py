"""Forgetting a person in the file of alerts: what was told loses their names, and nothing else moves."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from features.forgetting import Forgetting, Person
from outpulse.settings import AlertsSettings, AlertTarget
from schemas.records import AlertSeverity
from sinks.alerts.erasing import forget_in_alerts
from sinks.alerts.notices import BEGINS, Notice
from sinks.alerts.outbox import FILE, Outbox
from sinks.alerts.pacing import Memory, release

CONTACT, ADDRESS = "contact-zanna-4711", "zanna.quast@firm.example"
FORGETTING = Forgetting(Person(token="t", contacts=(CONTACT,), addresses=(ADDRESS,)))


def notice(name: str, scope: str, body: str) -> Notice:
    return Notice(
        source=f"command\x1f{name}", kind="pause", severity=AlertSeverity.CRITICAL, scope=scope, title=f"Paused: {scope}",
        body=body, created_at="2026-01-05T09:00:00.000Z", state=BEGINS,
    )  # fmt: skip


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A home where three pauses were taken in, one of them sent."""
    outbox = Outbox(tmp_path / FILE)
    notices = [
        notice("a", f"contact:{CONTACT}", f"Why: {ADDRESS} called"),
        notice("b", f"recipient:{ADDRESS}", "Why: no"),
        notice("c", f"sender:{ADDRESS}", "Why: her mailbox sends, too"),
    ]
    outbox.take("control", 9, [(one, ["web"]) for one in notices], 1.0)
    memory, waiting = Memory(), outbox.waiting("web")
    made = release(waiting[:2], memory, AlertTarget(url="json://x.example"), AlertsSettings(), 2.0)
    outbox.bundle("web", made, memory, 2.0)
    message = outbox.next("web", 3.0)
    assert message is not None
    outbox.note_sent(message, 3.0)
    outbox.close()
    return tmp_path


def test_the_file_of_alerts_loses_the_person_and_keeps_how_far_each_message_got(told: Path) -> None:
    with sqlite3.connect(told / FILE) as db:
        columns = "number, id, target, rule, source, taken_at, message, status, attempts, sent_at, changes"
        before = db.execute(f"SELECT {columns} FROM sendings").fetchall()
        positions = db.execute("SELECT * FROM positions").fetchall()

    assert forget_in_alerts(told, FORGETTING) > 0
    with sqlite3.connect(told / FILE) as db:
        assert db.execute(f"SELECT {columns} FROM sendings").fetchall() == before
        assert db.execute("SELECT * FROM positions").fetchall() == positions
        scopes = [row[0] for row in db.execute("SELECT scope FROM sendings ORDER BY number")]
        stopped = {row[0] for row in db.execute("SELECT scope FROM stopped")}
        (memory,) = db.execute("SELECT memory FROM memories").fetchone()
    assert scopes[0].startswith("contact:forgotten-t")
    assert scopes[1].startswith("recipient:forgotten-t")
    assert scopes[2] == f"sender:{ADDRESS}"  # a sender stays paused, and who was told of it is told of its end
    assert stopped == set(scopes)
    assert not {f"contact:{CONTACT}", f"recipient:{ADDRESS}"} & set(msgspec.json.decode(memory)["told"])
    for path in told.glob(f"{FILE}*"):
        assert CONTACT.encode() not in path.read_bytes()
    assert forget_in_alerts(told, FORGETTING) == 0


def test_what_a_courier_notes_meanwhile_is_not_undone(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(told / FILE)
    message = outbox.next("web", 3.0)
    assert message is not None
    change = Forgetting.scope_text
    done: list[bool] = []

    def meanwhile(self: Forgetting, scope: str) -> str:
        if not done:
            done.append(True)
            with (
                sqlite3.connect(told / FILE, timeout=0) as other,
                pytest.raises(sqlite3.OperationalError, match="locked"),
            ):
                other.execute("UPDATE sendings SET status = 'sent'")
        return change(self, scope)

    monkeypatch.setattr(Forgetting, "scope_text", meanwhile)
    forget_in_alerts(told, FORGETTING)
    outbox.note_sent(message, 4.0)
    outbox.close()

    assert done
    with sqlite3.connect(told / FILE) as db:
        assert db.execute("SELECT count(*) FROM sendings WHERE status = 'sent'").fetchone() == (2,)


def test_a_home_without_alerts_has_nothing_to_forget(tmp_path: Path) -> None:
    assert forget_in_alerts(tmp_path, FORGETTING) == 0
    assert not (tmp_path / FILE).exists()


def test_alerts_that_expired_before_are_gone_from_the_file_too(told: Path) -> None:
    with sqlite3.connect(told / FILE, isolation_level=None) as careless:
        careless.execute("PRAGMA secure_delete=OFF")
        careless.execute("DELETE FROM sendings WHERE number <= 2")
        careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    careless.close()
    assert CONTACT.encode() in (told / FILE).read_bytes()
    forget_in_alerts(told, FORGETTING)
    assert CONTACT.encode() not in b"".join(path.read_bytes() for path in told.glob(f"{FILE}*"))
