"""The parts that `up` supervises, each also alone; and the verbs that ask something of the lake's writer."""

import ctypes
import importlib.util
import os
import signal
import threading
import time
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from outpulse.home import Home
from schemas.failures import LakeLocked, OutpulseError, SettingsError

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of the GNU C library
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_LOGIN: Final = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
"""What the section [auth] of dashboard-login.toml has. Source: https://docs.streamlit.io/develop/api-reference/user/st.login"""
_REPLIES: Final = "replies"
_NICE: Final = 5
"""The replies flow gives way: embedding takes tens of milliseconds a reply, and nothing else may wait for it."""
PARENT: Final = "OUTPULSE_PARENT_PID"
"""Set for supervised parts: they end when this process is gone."""


def stop_event() -> threading.Event:
    """An event that SIGTERM, Ctrl-C or the end of the supervising process sets."""
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    watch_parent(stopping.set)
    return stopping


def watch_parent(gone: Any) -> None:  # noqa: ANN401 - a callable without arguments
    """Calls `gone` once when the supervisor has died."""
    parent = int(os.environ.get(PARENT) or 0)
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        gone()

    threading.Thread(target=watch, daemon=True).start()


def give_memory_back(from_mib: int = 1) -> None:
    """Has the C library return freed blocks to the system at once, from a size on.

    Micro-batches come and go by tens of megabytes. A replay of 10 million events holds 815 MiB with 1 MiB, 1,070 with 4. The
    guard's blocks are between the two: with 4 it takes a quarter more CPU than a replay without, with 1 a third.
    """
    with suppress(OSError, AttributeError):  # another C library has its own ways
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, from_mib * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, from_mib * 2**20)
        libc.mallopt(_M_ARENA_MAX, 2)


def run_gateway(home: Home, *, port: int | None, demo: bool) -> int:
    """`outpulse gateway`."""
    import msgspec

    from adapters.mapped import mapped_adapters
    from gateway.arrivals import FILE, Arrivals
    from gateway.server import serve
    from gateway.silence import watch_silence

    settings = home.settings
    if port is not None:
        settings = msgspec.structs.replace(settings, gateway=msgspec.structs.replace(settings.gateway, port=port))
    watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    hooks = mapped_adapters(home.path, {name: hook.mapping for name, hook in settings.hooks.items()})
    by_name = {adapter.name: adapter for adapter in hooks.values()}
    ending = threading.Event()
    watch_silence(home.path / FILE, home.log(), ending)
    serve(settings, home.log(), demo=demo, arrivals=Arrivals(home.path / FILE), hooks=by_name)
    ending.set()
    return 0


def run_flows_part(home: Home, names: Sequence[str], *, follow: bool) -> int:
    """`outpulse flows`."""
    from flows.run import NAMES, run_flows

    give_memory_back()
    chosen, stopping = list(names or NAMES), stop_event()
    beside = None
    if chosen == [_REPLIES]:
        with suppress(OSError):
            os.nice(_NICE)
    elif _REPLIES in chosen and follow:
        chosen.remove(_REPLIES)
        beside = _start_replies(home, stopping)
    try:
        run_flows(home.path, home.settings, home.log(), names=chosen, stopping=stopping, follow=follow)
    finally:
        if beside is not None:
            stopping.set()
            beside.join()
    return 0


def _start_replies(home: Home, stopping: threading.Event) -> threading.Thread:
    """Runs the replies flow in a process of its own as long as this one goes on."""
    from outpulse.supervise import Supervisor, replies_part

    supervisor = Supervisor([replies_part(home)])
    supervisor.stopping = stopping
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    return thread


def run_dashboard(home: Home, *, port: int | None) -> int:
    """`outpulse dashboard`: Streamlit on this machine, without telemetry; how it looks is in dashboards/.streamlit.

    Raises:
        SettingsError: other machines could reach it, and nobody would have to log in.
    """
    from streamlit.web.cli import main

    import dashboards
    from dashboards.process import load_screens, read_ahead

    page = Path(dashboards.__file__ or "").parent / "app.py"
    chosen = home.settings.dashboard
    check_dashboard(home)
    options = ["--server.address", chosen.host, "--server.port", str(port or chosen.port), "--server.headless", "true"]
    options += ["--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    options += ["--secrets.files", str(home.path.resolve() / "dashboard-login.toml")]
    os.environ["OUTPULSE_HOME"] = str(home.path.resolve())
    watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    load_screens()
    threading.Thread(target=read_ahead, daemon=True).start()
    # In this process, so that whoever ends it, by whatever signal, ends the pages.
    main(["run", str(page), *options], prog_name="streamlit", standalone_mode=False)
    return 0


def check_dashboard(home: Home) -> None:
    """Fails where people could not log in, or where other machines could reach pages without a login.

    Raises:
        SettingsError: which setting, file or package is missing.
    """
    chosen = home.settings.dashboard
    if chosen.login:
        _check_login(home.path / "dashboard-login.toml")
    elif chosen.host not in LOOPBACK:
        raise SettingsError(
            f"[dashboard] host is {chosen.host!r}; without [dashboard] login only {', '.join(LOOPBACK)} are valid"
        )


def _check_login(provider: Path) -> None:
    if any(importlib.util.find_spec(name) is None for name in ("authlib", "httpx")):
        raise SettingsError("[dashboard] login needs Authlib and httpx; run: pip install 'outpulse[login]'")
    try:
        found = tomllib.loads(provider.read_text(encoding="utf-8")).get("auth", {})
    except OSError as error:
        raise SettingsError(f"[dashboard] login needs {provider}: {error.strerror}; see docs/going-live.md") from None
    except ValueError as error:  # not TOML, or not UTF-8; its words hold no value
        raise SettingsError(f"{provider} is not valid TOML: {error}") from None
    missing = [name for name in _LOGIN if not isinstance(found, dict) or not found.get(name)]
    if missing:
        raise SettingsError(f"{provider} lacks {', '.join(missing)} in its section [auth]; see docs/going-live.md")


def ask_writer(home: Home, verb: str, **args: Any) -> str:  # noqa: ANN401 - arguments of any job
    """Has the lake's writer do a job: the live one, else this process; returns when it is done.

    Raises:
        OutpulseError: the job failed.
    """
    from flows.jobs import Jobs
    from flows.run import adapters_of, open_lake
    from flows.writer import do_in_lake
    from sinks.attach import writer_pid
    from sinks.upkeep import Upkeep

    home.ensure()
    jobs = Jobs(home.path)
    job = jobs.put(verb, **args)
    try:
        while True:
            now = jobs.get(job.id)
            if now.state == "failed":
                raise OutpulseError(now.result or f"{verb} failed")
            if now.state == "done":
                return now.result or ""
            if writer_pid(home.path) is None:
                try:
                    lake = open_lake(home.path, home.settings)
                except LakeLocked:
                    time.sleep(0.1)  # somebody else was faster
                    continue
                try:
                    keep_days = home.settings.quality.keep_days
                    upkeep = Upkeep(lake, home.settings.lake.keep_snapshots_minutes, keep_days)
                    retention = home.settings.log.retention_days
                    adapters = adapters_of(home.path, home.settings)
                    result = do_in_lake(verb, args, lake, home.log(), upkeep, retention, adapters)
                except OutpulseError as error:
                    jobs.mark(job, "failed", str(error))
                    raise
                else:
                    jobs.mark(job, "done", result)
                    return result
                finally:
                    lake.close()
            time.sleep(0.1)
    finally:
        jobs.close()


def run_rebuild(home: Home, since: str | None) -> int:
    """`outpulse flows --rebuild`."""
    from schemas.instants import from_epoch_ms, parse_ms

    if since is not None:
        try:
            since = from_epoch_ms(parse_ms(since))
        except ValueError as error:
            raise SettingsError(f"--since: {error}; valid is RFC 3339 such as 2026-01-05T00:00:00Z") from None
    print(ask_writer(home, "rebuild", **({"since": since} if since else {})))  # noqa: T201 - the verb's answer
    return 0


def run_maintain(home: Home) -> int:
    """`outpulse maintain`: the lake by its writer, the log here."""
    ask_writer(home, "maintain")
    print("maintained")  # noqa: T201 - the verb's answer
    return 0
