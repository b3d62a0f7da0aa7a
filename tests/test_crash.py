import json
import random
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from data.bulk import write_ndjson
from schemas.failures import LakeError
from tests.lakes import differences, rows, tables
from tests.processes import answers, copy_of_log, free_port, kill, parts, run, start, stop, wait_until
from tests.signing import sendgrid_keypair, sign_sendgrid

pytestmark = pytest.mark.crash

KILLS = 20
SMALL_CHUNKS = {"OUTPULSE_LAKE__CHUNK_EVENTS": "1500", "OUTPULSE_LAKE__MAINTAIN_SECONDS": "1"}


def test_a_replay_killed_at_twenty_random_instants_leaves_the_tables_of_an_undisturbed_one(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    write_ndjson(file, 40_000, 7, duplicate_share=0.05)
    with file.open("ab") as stream:
        stream.write(b'{"kind":"sent"}\nnot json\n')
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run("replay", "--home", str(undisturbed), str(file)).returncode == 0

    rng = random.Random(11)
    progress = set()
    for turn in range(KILLS):
        process = start("replay", "--home", str(killed), str(file), env=SMALL_CHUNKS)
        time.sleep(rng.uniform(0.3, 1.2 + turn * 0.15))  # longer towards the end: also on a busy machine some land
        kill(process)
        process.wait()
        with suppress(LakeError):  # killed before there was a lake
            progress.add(rows(killed, "SELECT count(*) FROM events")[0][0])
    final = run("replay", "--home", str(killed), str(file), env=SMALL_CHUNKS)

    assert final.returncode == 0, final.stderr
    assert len(progress) > 1, "no kill hit the replay in the middle"
    assert differences(tables(undisturbed), tables(killed)) == []


def test_a_second_replay_of_the_same_file_changes_nothing(tmp_path: Path) -> None:
    file, renamed, home = tmp_path / "events.ndjson", tmp_path / "other-name.jsonl", tmp_path / "home"
    write_ndjson(file, 5_000, 3)
    renamed.write_bytes(file.read_bytes())
    assert run("replay", "--home", str(home), str(file)).returncode == 0
    before = tables(home)

    assert run("replay", "--home", str(home), str(renamed)).returncode == 0
    assert before == tables(home)


class Load(threading.Thread):
    """Posts signed webhooks and canonical events, each until it is answered well, and counts what was acknowledged."""

    def __init__(self, port: int, token: str, key: Any) -> None:
        super().__init__()
        self.port, self.token, self.key = port, token, key
        self.ending = threading.Event()
        self.acknowledged: set[str] = set()
        self.failures = 0

    def run(self) -> None:
        number = 0
        while not self.ending.is_set():
            number += 1
            self.post_webhook(number)
            self.post_events(number)

    def post_webhook(self, number: int) -> None:
        now = int(time.time())
        events = [
            {
                "email": f"p{number % 50}@firm.example",
                "timestamp": now - i % 600,
                "event": ("processed", "delivered", "open", "bounce")[i % 4],
                "sg_event_id": f"w{number}-{i}",
                "sg_message_id": f"m{number}-{i // 4}.filter01",
                "delivery_id": f"d{number}-{i // 4}",
                "campaign_id": f"c{number % 3}",
                "type": "bounce",
                "useragent": "Mail/1",
            }
            for i in range(40)
        ]
        body = json.dumps([*events, {"event": "odd", "timestamp": now, "email": "x@firm.example"}]).encode()
        self.insist("/webhooks/sendgrid", body, lambda: sign_sendgrid(self.key, body, str(int(time.time()))))
        self.acknowledged |= {str(event["sg_event_id"]) for event in events}

    def post_events(self, number: int) -> None:
        event = {"event_id": f"a{number}", "kind": "replied", "occurred_at": "2026-01-05T10:00:00Z", "text": "hello"}
        self.insist("/events", json.dumps(event).encode(), lambda: {"authorization": f"Bearer {self.token}"})
        self.acknowledged.add(f"a{number}")

    def insist(self, path: str, body: bytes, headers: Any) -> None:
        while True:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers())
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    assert answer.status in {202, 204}
                    return
            except (urllib.error.URLError, OSError):
                self.failures += 1
                time.sleep(0.05)


def landed(home: Path) -> int:
    """Events in the lake, 0 while it is being set up."""
    with suppress(LakeError):
        return int(rows(home, "SELECT count(*) FROM events")[0][0])
    return 0


def test_parts_killed_at_random_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    key, public = sendgrid_keypair()
    port, token = free_port(), "test-token"
    home, clean = tmp_path / "home", tmp_path / "clean"
    env = {
        "OUTPULSE_GATEWAY__PORT": str(port),
        "OUTPULSE_GATEWAY__TOKEN": token,
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([public]),
        "OUTPULSE_LAKE__MAINTAIN_SECONDS": "2",
        "OUTPULSE_ALERTS__TARGETS__OPS__URL": f"json://127.0.0.1:{free_port()}/nobody-listens",
        "OUTPULSE_MAILBOX__HOST": "127.0.0.1",
        "OUTPULSE_MAILBOX__PORT": str(free_port()),
        "OUTPULSE_MAILBOX__USER": "replies",
        "OUTPULSE_MAILBOX__PASSWORD": "test-password",
    }
    up = start("up", "--no-dashboard", "--home", str(home), env=env)
    wait_until(lambda: answers(port), what="the gateway's start")
    load = Load(port, token, key)
    load.start()
    rng = random.Random(5)
    killed: dict[str, int] = dict.fromkeys(("gateway", "flows", "alerts", "mailbox", "up"), 0)
    for turn in range(KILLS):
        time.sleep(rng.uniform(0.3, 2.0))
        if turn % 7 == 6:
            kill(up)
            up.wait()
            killed["up"] += 1
            up = start("up", "--no-dashboard", "--home", str(home), env=env)
            continue
        running = parts(up)
        name = rng.choice(["gateway", "flows", "flows", "alerts", "mailbox"])
        if name in running:
            kill(running[name])
            killed[name] += 1
    load.ending.set()
    load.join()
    expected = len(load.acknowledged)
    wait_until(lambda: landed(home) >= expected, 90, f"landing of {expected} events")
    assert stop(up) == 0

    assert min(killed.values()) >= 1, killed
    assert {row[0] for row in rows(home, "SELECT event_id FROM events")} == load.acknowledged
    assert landed(home) == expected

    copy_of_log(home, clean)
    assert run("flows", "--drain", "--home", str(clean)).returncode == 0
    assert run("flows", "--drain", "--home", str(home)).returncode == 0
    assert differences(tables(clean), tables(home)) == []
