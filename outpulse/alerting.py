"""`outpulse alerts` tells people what was decided; `outpulse alert test` tries the targets; what `status` says of both."""

import fcntl
import os
import time
from collections.abc import Iterator
from typing import Final

from outpulse.home import Home
from outpulse.parts import stop_event
from schemas.failures import HomeError, SettingsError

_LOCK: Final = "alerts.lock"
_NONE: Final = "no target is set: write [alerts.targets.NAME] url, an Apprise URL such as mailto://… or slack://…"
_LATE_SECONDS: Final = 3600.0
"""What waits longer is worth a look; quiet hours may be the reason."""


class AlertsLock:
    """One part a home: two would tell everything twice."""

    def __init__(self, home: Home) -> None:
        home.ensure()
        self._file = os.open(home.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise HomeError(f"`outpulse alerts` already runs on {home.path}; stop it, or `outpulse up`") from None

    def release(self) -> None:
        """Lets another part run."""
        os.close(self._file)


def run_alerts(home: Home) -> int:
    """`outpulse alerts`: until asked to stop.

    Raises:
        SettingsError: no target is set.
        HomeError: it already runs.
    """
    from sinks.alerts.courier import Courier
    from sinks.alerts.outbox import FILE, Outbox

    if not home.settings.alerts.targets:
        raise SettingsError(_NONE)
    lock = AlertsLock(home)
    stopping, log, outbox = stop_event(), home.log(), Outbox(home.path / FILE)
    Courier(log, outbox, home.settings.alerts).run(stopping)
    log.close()
    lock.release()
    return 0


def run_alert_test(home: Home) -> int:
    """`outpulse alert test`: one alert to each target at once, a line each; 1 if any did not arrive.

    Raises:
        SettingsError: no target is set.
    """
    from schemas.records import AlertSeverity
    from sinks.alerts.apprised import Attempt
    from sinks.alerts.messages import Text
    from sinks.alerts.targets import masked

    targets, seconds = home.settings.alerts.targets, home.settings.alerts.timeout_seconds
    if not targets:
        raise SettingsError(_NONE)
    body = "Somebody tries whether alerts arrive here (`outpulse alert test`). This one did. There is nothing to do."
    text = Text("Outpulse: a test alert", body, AlertSeverity.INFO, "notice")
    began = time.monotonic()
    attempts = {name: Attempt(target.url, text) for name, target in targets.items()}
    failed = False
    for name, attempt in attempts.items():
        ended = attempt.wait(max(0.0, began + seconds - time.monotonic()))
        fault = attempt.fault if ended else f"no answer within {seconds:g} s"
        failed = failed or fault is not None
        print(f"{name} {masked(targets[name].url)}: {'sent' if fault is None else f'failed: {fault}'}")  # noqa: T201
    return 1 if failed else 0


def is_running(home: Home) -> bool:
    """Whether the part runs on the home."""
    try:
        file = os.open(home.path / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def alert_states(home: Home) -> Iterator[tuple[str, str, str, int | None]]:
    """(what, state, detail, how much waits) for `status`: the part, and each target of the settings and of the outbox."""
    from sinks.alerts.outbox import FILE, states
    from sinks.alerts.targets import masked

    targets = home.settings.alerts.targets
    found = states(home.path / FILE)
    if not targets and not found:
        return
    runs = is_running(home)
    yield (
        "alerts",
        "running" if runs else "stopped",
        f"{len(targets)} targets" if runs else "nobody is told of pauses",
        None,
    )
    for name in sorted({*targets, *found}):
        one = found.get(name)
        shown = masked(targets[name].url) if name in targets else "no longer set"
        if one is None:
            yield f"alerts to {name}", "even", f"{shown}, nothing was told yet", 0
            continue
        state = "failed" if one.is_broken else "waits" if one.waiting else "even"
        fault = f"; the newest: {one.fault}" if one.fault else ""
        yield f"alerts to {name}", state, f"{shown}, in a week {one.sent} sent, {one.failed} failed{fault}", one.waiting


def check_alerts(home: Home) -> tuple[str, str, str]:
    """(state, what was found, its mend) for `doctor`."""
    from sinks.alerts.outbox import FILE, states

    targets = home.settings.alerts.targets
    if not targets:
        return "warn", "no target is set: nobody is told of pauses", "set [alerts.targets.NAME] url, see docs/alerts.md"
    from sinks.alerts.apprised import INVALID, is_usable

    wrong = [name for name, target in sorted(targets.items()) if not is_usable(target.url)]
    if wrong:
        return "fault", f"{INVALID}: {', '.join(wrong)}", f"write [alerts.targets.{wrong[0]}] url as Apprise has it"
    found = {name: one for name, one in states(home.path / FILE).items() if name in targets}
    broken = [f"{name} ({one.fault})" for name, one in sorted(found.items()) if one.is_broken]
    if broken:
        return "fault", f"the newest alert was given up: {', '.join(broken)}", "try `outpulse alert test`"
    tried = [f"{name} ({one.fault})" for name, one in sorted(found.items()) if one.fault]
    if tried:
        return "warn", f"alerts are tried again: {', '.join(tried)}", "try `outpulse alert test`"
    late = time.time() - _LATE_SECONDS
    waiting = [name for name, one in sorted(found.items()) if one.since is not None and one.since < late]
    if waiting:
        return (
            "warn",
            f"alerts wait for more than an hour: {', '.join(waiting)}",
            "quiet hours? else `outpulse alert test`",
        )
    return "good", f"targets {', '.join(sorted(targets))}", ""
