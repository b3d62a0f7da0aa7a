"""`outpulse demo`: the real parts on a simulated world, and at the end what the world knows beside what the lake says."""

import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from outpulse.home import Home, open_home
from outpulse.printing import print_table
from outpulse.supervise import Supervisor, UpLock, parts_of, say
from schemas.failures import HomeError, OutpulseError

DEMO_HOME: Final = Path(".outpulse-demo")
_MARK: Final = "demo.json"
_KEPT: Final = frozenset({_MARK, "up.lock", "outpulse.toml"})
_SETTLE_SECONDS: Final = 90.0
_READ_SECONDS: Final = 120.0

LAKE_COUNTS: Final = {
    "sent": "messages_sent",
    "delivered": "messages_delivered",
    "opened": "messages_opened",
    "clicked": "messages_clicked",
    "bounced_hard": "bounced_hard",
    "bounced_soft": "bounced_soft",
    "bounced_block": "bounced_block",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "replied": "replies_received",
}
"""What the world knows of a campaign, and the column of campaign_performance_metrics that must say the same."""


def run_demo(home: Home, *, days: int, seed: int, headless: bool, as_json: bool) -> int:
    """Runs the demo; 1 when world and lake disagree."""
    place = home.path if _is_chosen(home) else DEMO_HOME
    _refuse_other_data(place)
    key, environment = _environment()
    os.environ.update(environment)
    home = open_home(str(place), str(home.config) if home.config else None)
    lock = UpLock(home)
    _start_anew(place, days, seed)
    supervisor = Supervisor(parts_of(home, dashboard=not headless, demo=True))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    running = threading.Thread(target=supervisor.run)
    running.start()
    try:
        result = _play(home, supervisor, key, days=days, seed=seed, headless=headless)
        if result is None:
            return 1
        _show(result, as_json=as_json)
        if not headless:
            say("the demo goes on until Ctrl-C; look around, or query: outpulse sql --home " + str(place))
            while not supervisor.stopping.wait(0.5):
                pass
        return 0 if result["agree"] else 1
    finally:
        supervisor.stopping.set()
        running.join()
        del lock


def _is_chosen(home: Home) -> bool:
    """Whether the user named a home."""
    return "--home" in " ".join(sys.argv) or bool(os.environ.get("OUTPULSE_HOME")) or home.path.name != ".outpulse"


def _refuse_other_data(place: Path) -> None:
    if place.exists() and any(place.iterdir()) and not (place / _MARK).exists():
        raise HomeError(f"{place} holds data that is not a demo's; choose an empty folder with --home")


def _start_anew(place: Path, days: int, seed: int) -> None:
    """Empties an earlier demo's home: the world's days end now, so its events are others."""
    (place / _MARK).write_bytes(msgspec.json.encode({"days": days, "seed": seed}))
    for entry in place.iterdir():
        if entry.name not in _KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _environment() -> tuple[Any, dict[str, str]]:
    """The ESP's private key, and settings of the demo: its public key, a token, and free ports if the usual are taken."""
    from data.esp import new_key

    private_key, public_text = new_key()
    environment = {
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": msgspec.json.encode([public_text]).decode(),
        "OUTPULSE_GATEWAY__TOKEN": secrets.token_urlsafe(24),
    }
    for name, usual in (("GATEWAY", 8080), ("DASHBOARD", 8501)):
        setting = f"OUTPULSE_{name}__PORT"
        environment[setting] = os.environ.get(setting) or str(_free_port(usual))
    return private_key, environment


def _free_port(usual: int) -> int:
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OutpulseError("no free port on 127.0.0.1")


def _play(
    home: Home,
    supervisor: Supervisor,
    key: Any,  # noqa: ANN401 - an EC key
    *,
    days: int,
    seed: int,
    headless: bool,
) -> dict[str, Any] | None:
    """Lets the world happen; None when stopped before its end."""
    from data.esp import Esp
    from data.truth import truth
    from data.world import World

    gateway = home.settings.gateway
    base = f"http://{gateway.host}:{gateway.port}"
    say(f"a world of {days} days, seed {seed}, is being made")
    world = World(seed, days=days, end=time.time_ns() // 1_000_000)
    _await_gateway(gateway.host, gateway.port, supervisor)
    if not headless:
        page = f"http://{home.settings.dashboard.host}:{home.settings.dashboard.port}"
        say(f"dashboard at {page}")
        threading.Timer(4.0, webbrowser.open, [page]).start()
    say(f"its provider posts {world.event_count} signed events to {base}")
    summary = Esp(world, base, key, gateway.token).run(_progress())
    say(f"posted: {msgspec.json.encode(msgspec.to_builtins(summary)).decode()}")
    return _settled(home, truth(world), supervisor)


def _await_gateway(host: str, port: int, supervisor: Supervisor) -> None:
    for _ in range(300):
        if supervisor.stopping.is_set():
            return
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    raise OutpulseError(f"the gateway does not answer on {host}:{port}; see its messages above")


def _progress() -> Any:  # noqa: ANN401 - a callback or None
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("posting", total=None)
    bar.start()

    def step(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return step


def _settled(home: Home, truth: Sequence[Mapping[str, Any]], supervisor: Supervisor) -> dict[str, Any] | None:
    """World beside lake, once they agree, or once the lake has stopped moving."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    result: dict[str, Any] | None = None
    while time.monotonic() < deadline and not supervisor.stopping.is_set():
        time.sleep(0.5)
        result = compare(home.path, truth)
        if result["agree"]:
            break
    deadline = time.monotonic() + _READ_SECONDS
    while _unread(home.path) and time.monotonic() < deadline and not supervisor.stopping.is_set():
        time.sleep(0.5)
    return result


def _unread(home: Path) -> int:
    """How many replies are not understood yet; some hundred take half a minute."""
    from sinks.attach import connect, lake_folder

    if not (lake_folder(home) / "catalog.sqlite").exists():
        return 0
    connection = connect(home, read_only=True)
    query = (
        "SELECT count(*) FROM response_intelligence WHERE response_text IS NOT NULL AND intent_classification IS NULL"
    )
    row = connection.execute(query).fetchone()
    connection.close()
    return int(row[0]) if row else 0


def compare(home: Path, truth: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`{agree, campaigns: [{campaign_id, metric, world, lake}]}`."""
    from sinks.attach import connect, lake_folder

    found: dict[tuple[str, str], int] = {}
    if (lake_folder(home) / "catalog.sqlite").exists():
        connection = connect(home, read_only=True)
        sums = ", ".join(f"sum({column})::BIGINT" for column in LAKE_COUNTS.values())
        rows = connection.execute(
            f"SELECT campaign_id, {sums} FROM campaign_performance_metrics GROUP BY campaign_id"
        ).fetchall()
        connection.close()
        found = {(row[0], metric): row[i + 1] for row in rows for i, metric in enumerate(LAKE_COUNTS)}
    keys = {(str(row["campaign_id"]), str(row["metric"])): int(row["world"]) for row in truth}
    campaigns = [
        {"campaign_id": c, "metric": m, "world": keys.get((c, m), 0), "lake": found.get((c, m), 0)}
        for c, m in sorted({*keys, *(key for key in found if key[0] is not None)})
    ]
    return {"agree": bool(keys) and all(row["world"] == row["lake"] for row in campaigns), "campaigns": campaigns}


def _show(result: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
        return
    names = ["campaign_id", "metric", "world", "lake", ""]
    rows = [[*row.values(), "" if row["world"] == row["lake"] else "differs"] for row in result["campaigns"]]
    print_table(names, rows, title="What the simulated world knows, and what the lake says")
    print("they agree" if result["agree"] else "THEY DIFFER")  # noqa: T201 - the demo's answer
