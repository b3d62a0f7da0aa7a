"""`outpulse maintain --forget CONTACT`: a person asks to be forgotten (GDPR, article 17).

First it is noted who is meant, so that a crash does not lose it; then their addresses are suppressed, so that nobody writes
to them again; then a job of the lake's writer and the replies flow take them out of log, lake and models. A call first does
what one before has begun.
"""

import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import msgspec

from control.commands import ALL_CHANNELS, append, decide_on_person
from control.scopes import address
from control.state import Suppressed
from features.forgetting import Forgetting, Person, ReplyName
from outpulse.home import Home
from outpulse.parts import ask_writer
from outpulse.pausing import user_name
from schemas.events import CommandAction, Stream
from schemas.failures import LakeError, SettingsError
from sinks.alerts.erasing import forget_in_alerts
from sinks.attach import connect, writer_pid

_Name = TypeVar("_Name")
REASON: Final = "forgotten"
"""The reason of the suppression that stays."""
_PASSES: Final = 5
_PATIENCE_SECONDS: Final = 60.0
_OWN: Final = ("lake/data/", "lake/catalog.sqlite", "lake/spill/", "log/", "models/", "jobs.sqlite", "alerts.sqlite")
"""Places in the home that are taken care of; what else names the person is told."""
_OF_MAIL: Final = "(kind = 'replied' AND delivery_id IS NULL)"
"""SQL: facts whose recipient is our own mailbox."""
_FROM: Final = "json_extract_string(attributes, '$.from')"
_NAMED: Final = "contact_id = $name OR lower(trim(recipient)) = $address"
_KNOWN: Final = (
    f"store.facts WHERE contact_id = $name OR (lower(trim(recipient)) = $address AND NOT {_OF_MAIL})",
    f"store.facts WHERE kind = 'replied' AND lower(trim(coalesce({_FROM}, recipient))) = $address",
    f"contacts WHERE {_NAMED}",
    f"suppressions WHERE {_NAMED}",
    "pauses WHERE (scope_kind = 'contact' AND scope_value = $name) OR (scope_kind = 'recipient' AND scope_value = $address)",
)
"""SQL: rows by which a name is known."""
_MAIL_REPLY: Final = f"coalesce({_FROM}, '')"


def run_forget(home: Home, told: str, *, by: str | None) -> int:
    """Forgets a person, by contact id or address; 1 where files that Outpulse does not rewrite still name them.

    Raises:
        OutpulseError: nobody is named, or something could not be erased; calling again goes on.
    """
    name = told.strip()
    if not name:
        raise SettingsError("--forget names nobody; valid is a contact id or an address")
    from flows.jobs import Jobs

    home.ensure()
    counts: Counter[str] = Counter()
    with closing(Jobs(home.path)) as jobs:
        try:
            person = None
            for begun in jobs.held("forget"):
                meant = _person_of(begun.args)
                _suppress_and_forget(home, meant, by, counts)
                jobs.mark(begun, "done")
                if name in meant.contacts or address(name) in meant.addresses:
                    person = meant
            for _ in range(_PASSES):
                _let_land(home)
                if person is None:
                    _refuse_unknown(home, name)
                person = _person(home, name, person)
                job = jobs.hold("forget", **msgspec.to_builtins(person))
                is_done = not _suppress_and_forget(home, person, by, counts) or writer_pid(home.path) is None
                jobs.mark(job, "done")
                if is_done:  # else what was on its way meanwhile may have come in
                    break
        finally:
            jobs.erase()  # also of a call that was cut off when all was done
    _print(counts)
    assert person is not None  # noqa: S101 - there is at least one pass
    left = list(_left(home.path, Forgetting(person)))
    for path in left:
        print(f"{path} still names them, or may; remove it yourself", file=sys.stderr)  # noqa: T201 - for people
    return 1 if left else 0


def _person_of(args: dict[str, Any]) -> Person:
    """Whom a call meant that was cut off; replies by their bare ids, as an older release noted them, may be others'."""
    replies = [one for one in args.get("replies", ()) if not isinstance(one, str)]
    return msgspec.convert(args | {"replies": replies}, Person)


def _refuse_unknown(home: Home, name: str) -> None:
    """Makes sure that a name stands for somebody: what is erased does not come back.

    Raises:
        SettingsError: no contact id and no address of the home.
    """
    if not (_is_in_lake(home.path, name) or _remembered(home.path, {name}, {address(name)})):
        raise SettingsError(
            f"{name!r} is no contact id and no address that this home knows, so nothing was changed;"
            " valid is a contact id or an address as events, imports or suppressions have it;"
            " who was forgotten before is known by the suppressed address alone"
        )


def _is_in_lake(home: Path, name: str) -> bool:
    try:
        connection = connect(home, read_only=True)
    except LakeError:
        return False
    values = {"name": name, "address": address(name)}
    with closing(connection):
        found = any(
            connection.execute(f"SELECT 1 FROM {place} LIMIT 1", _used(place, values)).fetchone() for place in _KNOWN
        )
        if not found and "@" in name:
            place = "dead_letters WHERE contains(lower(raw::VARCHAR), $address)"
            found = bool(connection.execute(f"SELECT 1 FROM {place} LIMIT 1", _used(place, values)).fetchone())
    return found


def _used(query: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f"${name}" in query}


def _suppress_and_forget(home: Home, person: Person, by: str | None, counts: Counter[str]) -> bool:
    """One pass; whether it changed anything. Adds how many rows and records."""
    _suppress(home, person, by or user_name())
    done = msgspec.json.decode(
        ask_writer(home, "forget", person=msgspec.json.encode(person).decode()), type=dict[str, int]
    )
    done |= _forget_in_models(home, person)
    done["alerts"] = forget_in_alerts(home.path, Forgetting(person))
    counts.update({name: count for name, count in done.items() if count})
    return any(done.values())


def _print(counts: Counter[str]) -> None:
    told = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
    print(f"forgotten: {told}" if told else "nothing names them any more")  # noqa: T201 - the verb's answer


def _let_land(home: Home) -> None:
    """Returns when what the log holds now has landed; where nobody does that, this process does."""
    from flows.inbox import LANDED_STREAMS
    from flows.normalize import CONSUMER
    from flows.run import run_flows

    log = home.log()
    with closing(log):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        raw = {partition: log.end(Stream.RAW, partition) for partition in range(log.partitions(Stream.RAW))}
        while writer_pid(home.path) is not None:
            is_parsed = all(log.marked(CONSUMER, Stream.RAW, partition) >= end for partition, end in raw.items())
            if is_parsed or time.monotonic() > deadline:
                return  # what the writer has not landed yet, it finds without the person
            time.sleep(0.1)
        if any(
            log.end(stream, p) > 1 for stream in (Stream.RAW, *LANDED_STREAMS) for p in range(log.partitions(stream))
        ):
            names = ["normalize", "delivery"]
            run_flows(home.path, home.settings, log, names=names, stopping=threading.Event(), follow=False)


def _person(home: Home, name: str, before: Person | None) -> Person:
    """Who a contact id or address is, by the lake; with what an earlier pass knew."""
    token = before.token if before else secrets.token_hex(8)
    contacts, addresses = {name}, {address(name)} if "@" in name else set[str]()
    found = Person(token=token)
    try:
        connection = connect(home.path, read_only=True)
    except LakeError:
        connection = None
    if connection is not None:
        with closing(connection):
            contacts, addresses = _names(connection, name)
            if before:
                contacts, addresses = contacts | set(before.contacts), addresses | set(before.addresses)
            found = _things_of(connection, contacts, addresses)
    lessons = _lessons(home, Person(token=token, addresses=tuple(addresses), mailboxes=found.mailboxes))
    earlier = before or found
    return Person(
        token=token,
        contacts=_with_new(earlier.contacts, contacts),
        addresses=_with_new(earlier.addresses, addresses),
        replies=_with_new(earlier.replies, {*found.replies, *_remembered(home.path, contacts, addresses)}),
        shared=_with_new(earlier.shared, found.shared),
        lessons=_with_new(earlier.lessons, lessons),
        deliveries=_with_new(earlier.deliveries, found.deliveries),
        mailboxes=_with_new(earlier.mailboxes, found.mailboxes),
    )


def _with_new(known: Sequence[_Name], found: Collection[_Name]) -> tuple[_Name, ...]:
    """What was known, in its order, since other names are numbered by it; then what is new."""
    return (*known, *sorted(set(found) - set(known), key=repr))


def _texts(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> set[str]:  # noqa: ANN401 - of a query
    return {str(row[0]) for row in connection.execute(query, list(values)).fetchall() if row[0]}


def _names(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[set[str], set[str]]:
    """(contact ids, addresses) of who is meant: an address's one contact, and the addresses that are theirs alone."""
    pairs = f"""(SELECT contact_id, lower(trim(recipient)) AS address FROM store.facts
            WHERE contact_id IS NOT NULL AND recipient IS NOT NULL AND NOT {_OF_MAIL}
        UNION SELECT contact_id, lower(trim(recipient)) FROM contacts WHERE recipient IS NOT NULL)"""
    contacts, addresses = {name}, set[str]()
    found = _texts(connection, f"SELECT DISTINCT contact_id FROM {pairs} WHERE address = ?", address(name))
    is_address = "SELECT count(*) > 0 FROM store.facts WHERE lower(trim(recipient)) = ?"
    if found or "@" in name or connection.execute(is_address, [address(name)]).fetchone() == (True,):
        addresses, contacts = {address(name)}, set[str]()
        if len(found) == 1:
            contacts = found
        elif found:
            listed = ", ".join(sorted(found)[:5])
            _tell(f"several contacts have this address, {listed} among them; name each by its id to forget them whole")
    for one in list(contacts):
        for theirs in _texts(connection, f"SELECT DISTINCT address FROM {pairs} WHERE contact_id = ?", one):
            others = _texts(connection, f"SELECT DISTINCT contact_id FROM {pairs} WHERE address = ? AND contact_id <> ?",
                            theirs, one)  # fmt: skip
            if others and theirs not in addresses:
                _tell(f"{theirs} stays: it is an address of other contacts, too")
            else:
                addresses.add(theirs)
    return contacts, addresses


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - for people


def _things_of(connection: duckdb.DuckDBPyConnection, contacts: set[str], addresses: set[str]) -> Person:
    """The names of their replies, the delivery ids of messages to them alone, and which addresses are our senders'."""
    senders = _texts(connection, "SELECT DISTINCT lower(trim(sender)) FROM store.facts WHERE sender IS NOT NULL")
    mailboxes = addresses & senders
    values = {"c": sorted(contacts), "a": sorted(addresses), "r": sorted(addresses - mailboxes)}
    to_them = (
        f"(contact_id IN (SELECT unnest($c)) OR (lower(trim(recipient)) IN (SELECT unnest($a)) AND NOT {_OF_MAIL}))"
    )
    to_nobody_else = f"({to_them} OR (contact_id IS NULL AND (recipient IS NULL OR kind = 'replied')))"

    def asked(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, _used(query, values)).fetchall()

    deliveries = asked(f"""SELECT delivery_id FROM store.facts WHERE delivery_id IN (
            SELECT delivery_id FROM store.facts WHERE delivery_id IS NOT NULL AND {to_them})
        GROUP BY 1 HAVING bool_and(coalesce({to_nobody_else}, false))""")
    named = "SELECT coalesce(linked, delivery) AS message, * FROM store.facts LEFT JOIN store.links ON delivery = alias"
    alone = f"""(SELECT message FROM ({named}) WHERE message IN (SELECT message FROM ({named}) WHERE {to_them})
        GROUP BY 1 HAVING bool_and(coalesce({to_nobody_else}, false)))"""
    author = f"lower(trim({_MAIL_REPLY}))"
    of_rows = "contact_id IN (SELECT unnest($c)) OR lower(trim(recipient)) IN (SELECT unnest($r))"
    replies = asked(f"""
        SELECT provider, event_id, recipient FROM ({named}) WHERE kind = 'replied' AND (
            contact_id IN (SELECT unnest($c)) OR {author} IN (SELECT unnest($a))
            OR ({author} = '' AND lower(trim(recipient)) IN (SELECT unnest($r))) OR message IN {alone})
        UNION SELECT provider, event_id, recipient FROM store.readings WHERE {of_rows}
        UNION SELECT provider, event_id, recipient FROM store.replies WHERE lower(trim(recipient)) IN (SELECT unnest($r))""")
    ids = {row[1] for row in replies}
    same = connection.execute(
        """SELECT provider, event_id, recipient FROM store.facts
        WHERE kind = 'replied' AND event_id IN (SELECT unnest($ids))""", {"ids": sorted(ids)}
    ).fetchall()  # fmt: skip
    return Person(
        token="",
        replies=tuple(replies),
        shared=tuple({row[1] for row in same if row not in set(replies)}),
        deliveries=tuple(str(row[0]) for row in deliveries),
        mailboxes=tuple(mailboxes),
    )


def _remembered(home: Path, contacts: set[str], addresses: set[str]) -> set[ReplyName]:
    """Names of their replies that the replies flow remembers."""
    from flows.reply_models import FOLDER
    from flows.reply_state import NAME, ReplyState

    if not (home / FOLDER / NAME).exists():
        return set()
    with closing(ReplyState(home / FOLDER)) as state:
        pairs = [(contact, None) for contact in contacts] + [(None, one) for one in addresses]
        return {name for contact, one in pairs for name in state.events_of(contact, one)}


def _lessons(home: Home, person: Person) -> set[str]:
    """Ids of labelled replies, taught from files, that name the person."""
    from flows.forgetting import lessons_about

    log = home.log()
    with closing(log):
        return lessons_about(log, Forgetting(person))


def _suppress(home: Home, person: Person, by: str) -> None:
    """Sees to it that each address, else each contact, stands among those who must not be written to."""
    from control.client import ControlClient

    log = home.log()
    with closing(log):
        standing = [one for one in ControlClient(log).holding().suppressions if one.scope == ALL_CHANNELS]
        people: Sequence[tuple[str | None, str | None]] = [(None, one) for one in person.addresses]
        if not people:
            people = [(one, None) for one in person.contacts]
        wanted = [pair for pair in people if not _stands(standing, *pair)]
        commands = [
            decide_on_person(
                CommandAction.SUPPRESS, contact_id=contact, recipient=one, channel=ALL_CHANNELS, by=by, why=REASON
            )
            for contact, one in wanted
        ]
        if commands:
            append(log, *commands)
    if commands:
        _land_control(home)


def _stands(standing: Sequence[Suppressed], contact: str | None, recipient: str | None) -> bool:
    if recipient is not None:
        return any(one.recipient == recipient for one in standing)
    return any(one.contact_id == contact for one in standing)


def _land_control(home: Home) -> None:
    from outpulse.teaching import await_landing

    log = home.log()
    with closing(log):
        await_landing(home, log)


def _forget_in_models(home: Home, person: Person) -> dict[str, int]:
    """Returns when the replies flow has taken out what it was asked to; the rest of what it remembers is done here."""
    from flows.forgetting import change_of_commands
    from flows.reply_models import FOLDER
    from flows.reply_state import NAME, ReplyState
    from outpulse.teaching import await_heeding, await_landing

    if not (home.path / FOLDER / NAME).exists():
        return {}
    log = home.log()
    with closing(log):
        await_heeding(home, log, log.end(Stream.FEEDBACK, 0) - 1)
        await_landing(home, log)
    with closing(ReplyState(home.path / FOLDER)) as state:
        forgetting = Forgetting(person)
        return {"models": state.take_out(forgetting, change_of_commands(forgetting))}


def _left(home: Path, forgetting: Forgetting) -> Iterator[Path]:
    """Files of the home, beside its own, that name the person; and copies of the lake from before an upgrade."""
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home).as_posix()
        if inside.startswith("lake/of-format-"):
            if inside.count("/") == 1:
                yield path
        elif not inside.startswith(_OWN) and forgetting.mentions(_content(path)):
            if inside.startswith("quality/"):
                path.unlink(missing_ok=True)  # the next check makes it anew
            else:
                yield path


def _content(path: Path) -> bytes:
    """The bytes of a file; none of what is no file, or gone meanwhile."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
