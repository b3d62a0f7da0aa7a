"""`outpulse suppressions`: who must not be written to; list, add, remove, import and export."""

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from control.client import ControlClient
from control.commands import ALL_CHANNELS, CHANNELS, append, decide_on_person
from control.state import State, Suppressed, suppressed
from outpulse.home import Home
from outpulse.pausing import send, user_name
from outpulse.printing import print_csv, print_json, print_table
from schemas.events import Command, CommandAction
from schemas.failures import OutpulseError, SettingsError

ACTIONS: Final = ("list", "add", "remove", "import", "export")
COLUMNS: Final = ("contact_id", "recipient", "scope", "reason")
"""Columns of the CSV that `import` takes and `export` gives."""
_BATCH: Final = 5_000
_TOLD: Final = 5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the action."""

    file: Path | None = None
    contact: str | None = None
    recipient: str | None = None
    channel: str = ALL_CHANNELS
    why: str | None = None
    by: str | None = None
    as_json: bool = False


def run_suppressions(home: Home, action: str, options: Options) -> int:
    """Does one of `ACTIONS`; what changes something returns when SQL shows it.

    Raises:
        OutpulseError: options are missing or wrong, or there is nothing to remove.
    """
    if options.channel not in CHANNELS:
        raise SettingsError(f"--channel is {options.channel!r}, valid are {', '.join(CHANNELS)}")
    if options.file is not None and action != "import":
        raise SettingsError(f"{action} takes no file; export writes to standard output")
    return _DO[action](home, options)


def _list(home: Home, options: Options) -> int:
    rows = [msgspec.structs.asdict(one) for one in _standing(home)]
    if options.as_json:
        print_json(rows)
    elif rows:
        names = Suppressed.__struct_fields__
        print_table(names, ([row[name] for name in names] for row in rows))
    else:
        print("nobody is suppressed")  # noqa: T201 - the verb's answer
    return 0


def _add(home: Home, options: Options) -> int:
    command = _command(CommandAction.SUPPRESS, options)
    if suppressed(command).person in {one.person for one in _standing(home)}:
        print("was suppressed already")  # noqa: T201 - the verb's answer
        return 0
    send(home, command)
    print(f"suppressed ({command.id})")  # noqa: T201 - the verb's answer
    return 0


def _remove(home: Home, options: Options) -> int:
    command = _command(CommandAction.UNSUPPRESS, options)
    if not any(_ends(command, one) for one in _standing(home)):
        by = "" if options.channel == ALL_CHANNELS else f" for {options.channel} alone"
        raise OutpulseError(f"{' '.join(filter(None, (options.contact, options.recipient)))} is not suppressed{by}")
    send(home, command)
    print(f"no longer suppressed ({command.id})")  # noqa: T201 - the verb's answer
    return 0


def _ends(command: Command, one: Suppressed) -> bool:
    """Whether a command takes a suppression away."""
    state = State()
    state.apply(1, decide_on_person(
        CommandAction.SUPPRESS, contact_id=one.contact_id, recipient=one.recipient, channel=one.scope, by="", why=""
    ))  # fmt: skip
    state.apply(2, command)
    return not any(state.suppressions())


def _import(home: Home, options: Options) -> int:
    """Adds what a CSV lists and does not stand yet, so that a second import of a file finds itself done."""
    if options.file is None:
        raise SettingsError("import needs a file: a CSV with contact_id or recipient, and if wanted scope and reason")
    known = {one.person for one in _standing(home)}
    by, faults = options.by or user_name(), list[str]()
    fresh: list[Command] = []
    there = 0
    for place, row in _rows(options.file, faults):
        try:
            command = _of_row(row, by, options.why)
        except ValueError as error:
            faults.append(f"row {place}: {error}")
            continue
        person = suppressed(command).person
        there += person in known
        if person not in known:
            known.add(person)
            fresh.append(command)
    _send_all(home, fresh)
    print(f"{len(fresh)} suppressed, {there} were already, {len(faults)} rows not usable")  # noqa: T201 - the verb's answer
    for fault in faults[:_TOLD]:
        print(fault, file=sys.stderr)  # noqa: T201 - for people
    return 1 if faults and not fresh and not there else 0


def _export(home: Home, options: Options) -> int:
    del options
    print_csv(COLUMNS, ([getattr(one, name) for name in COLUMNS] for one in _standing(home)))
    return 0


_DO: Final[dict[str, Callable[[Home, Options], int]]] = {
    "list": _list,
    "add": _add,
    "remove": _remove,
    "import": _import,
    "export": _export,
}


def _standing(home: Home) -> list[Suppressed]:
    """Every suppression, by the log."""
    log = home.log()
    with closing(log):
        return ControlClient(log).holding().suppressions


def _command(action: CommandAction, options: Options) -> Command:
    if not (options.contact or options.recipient):
        raise SettingsError("who is it? valid are --contact ID, --recipient ADDRESS, or both")
    if not (options.why or "").strip():
        raise SettingsError("--why is missing; valid is a reason in words")
    return decide_on_person(
        action,
        contact_id=options.contact,
        recipient=options.recipient,
        channel=options.channel,
        by=options.by or user_name(),
        why=(options.why or "").strip(),
    )


def _send_all(home: Home, commands: list[Command]) -> None:
    """Appends in batches, lands once."""
    if not commands:
        return
    log = home.log()
    with closing(log):
        for at in range(0, len(commands), _BATCH):
            append(log, *commands[at : at + _BATCH])
    send(home, commands[-1])  # known to the log already: only its landing is awaited


def _rows(path: Path, faults: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, value by column) of the rows of a CSV; lines that are none go to `faults`.

    Raises:
        SettingsError: no column says who.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.readline()
        delimiter = ";" if head.count(";") > head.count(",") else ","
        names = [name.strip().lower() for name in next(csv.reader([head], delimiter=delimiter), [])]
        if not {"contact_id", "recipient"} & set(names):
            found = ", ".join(names)[:200] or "nothing"
            raise SettingsError(
                f"{path.name}: columns {found}; needed is contact_id or recipient, valid are {', '.join(COLUMNS)}"
            )
        reader, number = csv.reader(file, delimiter=delimiter), 1
        while True:
            number += 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                faults.append(f"row {number}: {error}")
                continue
            if any(cell.strip() for cell in row):
                yield number, dict(zip(names, row, strict=False))


def _of_row(row: dict[str, str], by: str, why: str | None) -> Command:
    """The command of a row.

    Raises:
        ValueError: it names nobody, or a channel that is none.
    """
    cells = {name: value.strip() for name, value in row.items()}
    if any("\ufffd" in cells.get(name, "") for name in COLUMNS[:2]):
        raise ValueError("not UTF-8")
    return decide_on_person(
        CommandAction.SUPPRESS,
        contact_id=cells.get("contact_id") or None,
        recipient=cells.get("recipient") or None,
        channel=cells.get("scope", "").lower() or ALL_CHANNELS,
        by=by,
        why=cells.get("reason") or why or "imported",
    )
