"""`outpulse status` and `outpulse doctor`: what runs and what lags; what is wrong, and its mend."""

import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from outpulse.home import Home
from outpulse.printing import print_json, print_table
from schemas.failures import OutpulseError

Row = dict[str, Any]

_LITTLE_DISK: Final = 2 * 2**30
"""Bytes: compaction writes a file anew before it lets the old ones go."""
_SLOW_SYNC_SECONDS: Final = 0.05


def run_status(home: Home, *, as_json: bool) -> int:
    """`outpulse status`."""
    _print([*_parts(home), *_providers(home), *_alerts(home), *_streams(home), *_lake(home)], as_json=as_json)
    return 0


def run_doctor(home: Home, *, as_json: bool) -> int:
    """`outpulse doctor`: 1 when something must be mended."""
    rows = [_checked(name, check, home) for name, check in _CHECKS.items()]
    _print(rows, as_json=as_json)
    return 1 if any(row["state"] == "fault" for row in rows) else 0


def _print(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        names = list(rows[0])
        print_table(names, [[row.get(name) for name in names] for row in rows])


def _row(what: str, state: str, detail: str = "", **figures: Any) -> Row:  # noqa: ANN401 - figures of any kind
    return {"what": what, "state": state, "lag": figures.pop("lag", None), "detail": detail, **figures}


def _parts(home: Home) -> Iterator[Row]:
    """The processes of this home."""
    from flows.reply_lock import is_running
    from sinks.attach import writer_pid

    gateway, dashboard = home.settings.gateway, home.settings.dashboard
    is_read = home.path.exists() and is_running(home.path)
    writer = writer_pid(home.path)
    yield _row("flows", "running" if writer else "stopped", f"pid {writer}" if writer else "no process writes the lake")
    yield _row("replies", "running" if is_read else "stopped", "" if is_read else "no process understands replies")
    for name, host, port in (("gateway", gateway.host, gateway.port), ("dashboard", dashboard.host, dashboard.port)):
        yield _row(name, "listening" if _listens(host, port) else "stopped", f"{host}:{port}")


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _providers(home: Home) -> Iterator[Row]:
    """What each provider sent in the last hour, what was refused and why, and who is silent for longer than usual."""
    from gateway.arrivals import FILE, STORED, arrived, silent_minutes

    silent = silent_minutes(home.path / FILE)
    for provider, (minutes, usual) in silent.items():
        yield _row(f"provider {provider}", "silent", f"nothing for {minutes} min, unusual from {usual} min on")
    for found in arrived(home.path / FILE, 60):
        state = "arrives" if found.outcome == STORED else "refused"
        what = "requests stored in the last hour" if found.outcome == STORED else found.outcome
        yield _row(f"provider {found.provider}", state, what, lag=found.requests)


def _alerts(home: Home) -> Iterator[Row]:
    """The part that tells people, and what waits or failed for each target."""
    from outpulse.alerting import alert_states

    for what, state, detail, waiting in alert_states(home):
        yield _row(what, state, detail, lag=waiting)


def _streams(home: Home) -> Iterator[Row]:
    """Each log stream with what waits of it: raw for normalize, the others for the lake."""
    from schemas.events import Stream

    if not (home.path / "log").exists():
        yield _row("log", "empty", "nothing was received yet")
        return
    log = home.log()
    landed = _positions(home)
    for stream in (Stream.RAW, Stream.EVENTS, Stream.REPLIES, Stream.RESULTS, Stream.DEADLETTER):
        for partition in range(log.partitions(stream)):
            end = log.end(stream, partition)
            if stream is Stream.RAW:
                position = log.marked("normalize", stream, partition)
            else:
                position = landed.get(f"log/{stream}/{partition}", 1)
            lag = max(0, end - position)
            yield _row(f"log {stream}/{partition}", "behind" if lag else "even", f"{end - 1} records", lag=lag)
            if stream is Stream.REPLIES:
                unread = max(0, end - log.marked("replies", stream, partition))
                yield _row("replies to read", "behind" if unread else "even", "for the flow replies", lag=unread)
    log.close()


def _positions(home: Home) -> dict[str, int]:
    from sinks.attach import connect

    try:
        connection = connect(home.path, read_only=True)
    except OutpulseError:
        return {}
    rows = connection.execute("SELECT source, max(position) FROM store.commits GROUP BY source").fetchall()
    connection.close()
    return {str(source): int(position) for source, position in rows}


def _lake(home: Home) -> Iterator[Row]:
    """How much there is, how fresh it is, and the dead letters by reason."""
    from sinks.attach import connect

    try:
        connection = connect(home.path, read_only=True)
    except OutpulseError as error:
        yield _row("lake", "empty", str(error))
        return
    events, duplicates, as_of, landed_at = connection.execute(
        "SELECT sum(events)::BIGINT, sum(duplicates)::BIGINT, max(newest), max(landed_at) FROM store.commits"
    ).fetchone() or (0, 0, None, None)
    seconds = None if landed_at is None else round(time.time() - landed_at.timestamp())
    newest = "none" if as_of is None else f"{as_of:%F %T} UTC"
    fresh = "nothing landed yet" if seconds is None else f"last commit {seconds} s ago, newest event {newest}"
    yield _row("lake", "there", f"{events or 0} events, {duplicates or 0} duplicates dropped, {fresh}")
    reasons = connection.execute(
        "SELECT coalesce(provider, '-'), reason, count(*) FROM dead_letters GROUP BY ALL ORDER BY 3 DESC, 2 LIMIT 10"
    ).fetchall()
    run_at, checks, failing = connection.execute(
        """SELECT max(run_at), count(*), count(*) FILTER (NOT success) FROM data_quality
        WHERE run_at = (SELECT max(run_at) FROM data_quality)"""
    ).fetchone() or (None, 0, 0)
    connection.close()
    if run_at is not None:
        state, held = "look" if failing else "even", f"{checks - failing} of {checks} checks hold"
        yield _row("data quality", state, f"{held}, {run_at:%F %T} UTC", lag=failing)
    for provider, reason, count in reasons:
        yield _row(f"dead letters {provider}", "look", reason, lag=count)


def _checked(name: str, check: Callable[[Home], tuple[str, str, str]], home: Home) -> Row:
    try:
        state, found, mend = check(home)
    except (OutpulseError, OSError) as error:
        state, found, mend = "fault", str(error), "see the message"
    return {"check": name, "state": state, "found": found, "mend": mend}


def _python(home: Home) -> tuple[str, str, str]:
    del home
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] in {(3, 11), (3, 12)}
    return ("good" if good else "fault", version, "" if good else "install Python 3.11 or 3.12 and run make install")


def _extensions(home: Home) -> tuple[str, str, str]:
    del home
    from sinks.attach import connect

    with tempfile.TemporaryDirectory() as folder:
        connect(Path(folder), read_only=False).close()
    return "good", "DuckLake and SQLite extensions load", ""


def _home(home: Home) -> tuple[str, str, str]:
    home.ensure()
    return "good", str(home.path.resolve()), ""


def _disk(home: Home) -> tuple[str, str, str]:
    home.ensure()
    free = shutil.disk_usage(home.path).free
    good = free > _LITTLE_DISK
    return (
        "good" if good else "warn",
        f"{free / 2**30:.1f} GiB free",
        "" if good else "free some space, or move --home",
    )


def _sync(home: Home) -> tuple[str, str, str]:
    home.ensure()
    started = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=home.path) as file:
        for _ in range(10):
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    seconds = (time.perf_counter() - started) / 10
    good = seconds < _SLOW_SYNC_SECONDS
    mend = "" if good else "a slow disk delays every webhook's answer: put the home on a local disk"
    return "good" if good else "warn", f"{seconds * 1000:.2f} ms for a synced write", mend


def _secrets(home: Home) -> tuple[str, str, str]:
    from adapters import REGISTRY

    known = sorted(set(home.settings.providers) & set(REGISTRY))
    unknown = sorted(set(home.settings.providers) - set(REGISTRY))
    if unknown:
        return (
            "fault",
            f"settings for unknown providers {', '.join(unknown)}",
            f"valid are {', '.join(sorted(REGISTRY))}",
        )
    if not known:
        return "warn", "no provider has a secret: every webhook is refused", "set [providers.sendgrid] public_keys"
    return "good", f"secrets for {', '.join(known)}", ""


def _hooks(home: Home) -> tuple[str, str, str]:
    """Each hook's mapping file and proof; all faults at once."""
    from adapters.mapped import mapped_adapter

    faults, without_proof = [], []
    for name, hook in sorted(home.settings.hooks.items()):
        try:
            mapped_adapter(home.path, name, hook.mapping)
        except OutpulseError as error:
            faults.append(str(error))
        proofs = (hook.bearer_tokens, hook.basic_auth, hook.headers, hook.insecure, home.settings.gateway.token)
        if not any(proofs):
            without_proof.append(name)
    if faults:
        return "fault", "; ".join(faults), "mend the mapping file, then restart gateway and flows"
    if without_proof:
        found = f"no proof is set for {', '.join(without_proof)}: every post is refused"
        return "warn", found, f"set [hooks.{without_proof[0]}] bearer_tokens, or [gateway] token"
    names = ", ".join(sorted(home.settings.hooks))
    return "good", f"mapping files of {names}" if names else "no hook is set", ""


def _mailboxes(home: Home) -> tuple[str, str, str]:
    boxes = home.settings.all_mailboxes()
    if not boxes:
        return "good", "no mailbox is set", ""
    from gateway.imap import TROUBLE, Place, connect, open_folder

    for section, box in boxes.items():
        try:
            client = connect(Place(section, box, home.path))
        except TROUBLE as error:
            where = f"{box.host}:{box.port}"
            return "fault", f"{where} cannot be reached ({type(error).__name__})", f"check [{section}] host and port"
        try:
            open_folder(client, Place(section, box, home.path))
        finally:
            client.logout()
    return "good", f"{len(boxes)} can be read", ""


def _arrivals(home: Home) -> tuple[str, str, str]:
    from gateway.arrivals import FILE, STORED, arrived, silent_minutes

    silent = silent_minutes(home.path / FILE)
    if silent:
        told = ", ".join(f"{name} for {minutes} min" for name, (minutes, _) in sorted(silent.items()))
        return "fault", f"silent for longer than usual: {told}", "look at the webhook's page at the provider"
    refused = [found for found in arrived(home.path / FILE, 60) if found.outcome != STORED]
    if refused:
        told = "; ".join(f"{found.provider}: {found.requests} times {found.outcome}" for found in refused[:5])
        return (
            "warn",
            f"refused in the last hour: {told}",
            "compare the secret with `outpulse provider NAME`, or with [hooks.NAME]",
        )
    return "good", "no provider is silent or refused", ""


def _token(home: Home) -> tuple[str, str, str]:
    good = bool(home.settings.gateway.token)
    return (
        "good" if good else "warn",
        "set" if good else "not set",
        "" if good else "POST /events needs [gateway] token",
    )


def _ports(home: Home) -> tuple[str, str, str]:
    from sinks.attach import writer_pid

    chosen = home.settings.gateway
    taken = _listens(chosen.host, chosen.port)
    if taken and writer_pid(home.path) is None:
        return "warn", f"{chosen.host}:{chosen.port} is taken", "stop the other program, or set [gateway] port"
    return "good", f"{chosen.host}:{chosen.port} {'serves this home' if taken else 'is free'}", ""


def _lake_opens(home: Home) -> tuple[str, str, str]:
    from sinks.attach import connect, lake_folder

    if not (lake_folder(home.path) / "catalog.sqlite").exists():
        return "good", "no lake yet; the first start makes it", ""
    connection = connect(home.path, read_only=True)
    row = connection.execute("SELECT value FROM store.meta WHERE name = 'format'").fetchone()
    connection.close()
    return "good", f"lake format {row[0] if row else '?'}", ""


def _alert_targets(home: Home) -> tuple[str, str, str]:
    from outpulse.alerting import check_alerts

    return check_alerts(home)


def _guard_rules(home: Home) -> tuple[str, str, str]:
    from flows.guard_rules import check_rules

    check_rules(home.settings.guard)
    off = home.settings.guard.off
    return "good", f"rules that are off: {', '.join(off)}" if off else "all rules are on", ""


def _dashboard(home: Home) -> tuple[str, str, str]:
    from outpulse.parts import check_dashboard

    check_dashboard(home)
    chosen = home.settings.dashboard
    if not chosen.login:
        return "good", f"no login, {chosen.host} only", ""
    if not chosen.operators:
        return "warn", "a login is set, and nobody may pause or correct", "set [dashboard] operators"
    return "good", f"a login is set, {len(chosen.operators)} operators", ""


_CHECKS: Final[dict[str, Callable[[Home], tuple[str, str, str]]]] = {
    "python": _python,
    "extensions": _extensions,
    "home": _home,
    "disk": _disk,
    "sync": _sync,
    "lake": _lake_opens,
    "providers": _secrets,
    "hooks": _hooks,
    "mailboxes": _mailboxes,
    "arrivals": _arrivals,
    "guard": _guard_rules,
    "alerts": _alert_targets,
    "token": _token,
    "gateway port": _ports,
    "dashboard": _dashboard,
}
