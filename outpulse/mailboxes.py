"""`outpulse mailbox`: every mailbox of the settings in a thread of its own, once or until asked to stop."""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.arrivals import FILE as ARRIVALS
from gateway.arrivals import Arrivals
from gateway.imap import TROUBLE, Place, check
from gateway.mailbox import Mailbox, told
from gateway.positions import FILE, Positions
from outpulse.home import Home
from outpulse.parts import PARENT, stop_event
from outpulse.replaying import Progress
from schemas.failures import OutpulseError, SettingsError

_END_SECONDS: Final = 5.0
"""How long a mailbox may take to end; what it was doing is done again at the next start."""


@dataclass
class _Runs:
    """Threads, one a mailbox, and what ended them."""

    stopping: threading.Event
    threads: list[threading.Thread] = field(default_factory=list)
    faults: list[OutpulseError] = field(default_factory=list)

    def start(self, box: Mailbox, run: Callable[[], object], *, alone: bool) -> None:
        """Runs one mailbox; with `alone` its fault does not end the others."""

        def guarded() -> None:
            try:
                run()
            except OutpulseError as error:
                self.faults.append(error)
            except TROUBLE as error:
                place = box.place
                where = f"{place.settings.host}:{place.settings.port}"
                self.faults.append(
                    OutpulseError(f"{where} cannot be read: {told(error)}; see [{place.section}] host and port")
                )
            except Exception as error:  # noqa: BLE001 - a thread's fault would end in silence
                self.faults.append(OutpulseError(f"[{box.place.section}] {type(error).__name__}: {told(error)}"))
            if self.faults and not alone:
                self.stopping.set()

        thread = threading.Thread(target=guarded, name=box.place.section, daemon=True)
        self.threads.append(thread)
        thread.start()

    def are_alive(self) -> bool:
        """Whether any mailbox is still being read."""
        return any(thread.is_alive() for thread in self.threads)


def run_mailbox(home: Home, *, once: bool) -> int:
    """Fetches mails of all mailboxes; the first fault is raised when all have ended.

    Raises:
        OutpulseError: no mailbox is set, a setting is wrong, or (once) a server cannot be read.
    """
    places = [Place(section, box, home.path) for section, box in home.settings.all_mailboxes().items()]
    if not places:
        raise SettingsError("no mailbox is set: write [mailbox] host, user and password")
    for place in places:
        check(place)
    log, stopping = home.log(), stop_event()
    positions, arrivals = Positions(home.path / FILE), Arrivals(home.path / ARRIVALS)
    most = home.settings.gateway.max_inbound_bytes
    boxes = [Mailbox(place, log, positions, stopping, max_bytes=most, arrivals=arrivals) for place in places]
    patient = bool(os.environ.get(PARENT))  # started again and again it would try a refused login as often
    runs = _Runs(stopping)
    for box in boxes:
        runs.start(box, box.fetch_once if once else partial(box.follow, patient=patient), alone=once)
    _wait(runs, boxes, once=once)
    arrivals.close()
    if once:
        for box in boxes:
            print(f"{box.place.section}: {box.stored} mails read")  # noqa: T201 - the verb's answer
    if runs.faults:
        raise runs.faults[0]
    with suppress(OutpulseError):
        log.close()
    return 0


def _wait(runs: _Runs, boxes: Sequence[Mailbox], *, once: bool) -> None:
    """Until all mailboxes have ended, or it is time to stop."""
    while once and runs.are_alive() and any(box.found is None for box in boxes) and not runs.stopping.wait(0.05):
        pass
    with Progress("mails", sum(box.found or 0 for box in boxes)) if once else nullcontext() as bar:
        while runs.are_alive() and not runs.stopping.wait(0.1):
            if bar:
                bar.at(sum(box.stored for box in boxes))
    for thread in runs.threads:
        thread.join(_END_SECONDS)
