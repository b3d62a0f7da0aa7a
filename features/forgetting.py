"""Who is forgotten, and what is left of what was known about them: events, words and rows without the person.

A person is known by contact ids and addresses. Each gets another name, drawn at random once and kept nowhere, so that nobody
finds the way back; what is counted (kinds, times, campaigns, the domain written to, readings) stays as it is.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parseaddr
from functools import cached_property
from typing import Any, Final

import msgspec

from schemas.events import Event, Kind, Reply
from schemas.identifiers import uuid7_of
from schemas.instants import to_epoch_ms
from schemas.labels import LABELS

_KEPT: Final = frozenset({
    "bounce_family", "duration", "duration_minutes", "experiment_id", "in_reply_to", "meeting_duration", "meeting_id",
    "meeting_type", "minutes", "original_message_id", "references", "report", "scheduled_at", "scheduled_datetime",
    "scheduled_for", "start_time", "starts_at", "type",
})  # fmt: skip
"""Attributes of a person's events that stay: figures and links between messages hang on them."""
_WHO: Final = ("from", "sent_to")
_OTHER_SCOPES: Final = frozenset({"campaign", "sender", "domain"})
_IPV4: Final = re.compile(r"(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}")
_TELLING: Final = 8
"""Characters from which a contact id is looked for in running text, unless it is a number; others only after these:"""
_BEFORE_CONTACT: Final = ('"contact_id":"', '"contact_id": "', "contact_id=", "contact:")
_BEFORE: Final = r"(?:(?<![\w.%+\-])|(?<=%[0-9A-Fa-f]{2})|(?<==[0-9A-F]{2})|(?<=\\[nrt])|(?<=\\u[0-9A-Fa-f]{4}))"
"""Where an address begins, in plain text, URLs, quoted-printable and JSON."""
_AFTER: Final = r"(?![\w\-]|\.\w)"
_BLANK: Final[Mapping[str, Mapping[str, Any]]] = {
    "replies": {"text": "", "subject": None, "headers": None},
    "readings": {"extracted": None},
    "response_intelligence": {"extracted": None, "response_text": None},
    "contacts": {
        "recipient": None, "timezone": None, "account_id": None, "account_value": None, "attributes": None,
    },
}  # fmt: skip
"""What goes of a row that is about the person."""

_TEXTS: Final = frozenset({
    "actual_impact", "attributes", "body", "current_performance", "detail", "event_context", "extracted", "headers",
    "impact_measurement", "impact_prediction", "learning_insight", "new_value", "observed", "old_value", "reason",
    "recommended_actions", "actions_taken", "subject", "text", "title", "url", "why",
})  # fmt: skip
"""Columns of running text and JSON. In the others a name stands for something else, such as a sender or a campaign."""
_OF_REPLIES: Final = frozenset({"replies", "readings", "response_intelligence"})
"""Tables whose recipient is our own mailbox, where the reply came as mail."""

Row = dict[str, Any]
ReplyName = tuple[str | None, str, str | None]
"""What names a reply: (provider, event_id, recipient)."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is to be forgotten: all names, addresses in lower case.

    `replies` are those that they wrote, `lessons` the ids of those that were taught from files; `shared` are ids of their
    replies that replies of others have, too. `deliveries` are the delivery ids that are theirs alone, `mailboxes` those of
    the addresses that are our own senders', too. `token` is random.
    """

    token: str
    contacts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    replies: tuple[ReplyName, ...] = ()
    shared: tuple[str, ...] = ()
    lessons: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()


class Forgetting:
    """Takes a person out of events, replies and rows; what is not about the person comes back as it is."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self._contacts = {name: f"{anonym(person.token)}-{place}" for place, name in enumerate(person.contacts)}
        self._addresses = {
            name: anonymous_address(name, f"{person.token}-{place}") for place, name in enumerate(person.addresses)
        }
        self._replies = frozenset(one for name in person.replies for one in (name, self.renamed_reply(name)))
        self._ids = frozenset(name[1] for name in person.replies)
        self._own_ids = self._ids - frozenset(person.shared)
        self._deliveries = frozenset(person.deliveries)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """The person's names in running text, each in a group of its own; there a mailbox of ours stands for us."""
        forms = [_form_of_address(name) for name in self._told_addresses]
        forms += [_form_of_contact(name) for name in self.person.contacts]
        return re.compile("|".join(f"({form})" for form in forms), re.IGNORECASE) if forms else None

    @property
    def _told_addresses(self) -> list[str]:
        return [name for name in self.person.addresses if name not in self.person.mailboxes]

    @cached_property
    def _maybe(self) -> re.Pattern[bytes] | None:
        """What bytes hold that may be about the person: looked for before anything is decoded."""
        told = [*self.person.contacts, *self._ids, *self.person.deliveries]
        forms = [re.escape(name.encode()) for name in told]
        forms += [form for name in self.person.addresses for form in _forms_in_bytes(name)]
        return re.compile(b"|".join(forms), re.IGNORECASE) if forms else None

    @property
    def needles(self) -> list[str]:
        """What to look for in lower-case text that may name the person."""
        forms = [
            form
            for name in self.person.addresses
            for form in (name, name.replace("@", "%40"), name.replace("@", "=40"))
        ]
        for name in self.person.contacts:
            told = name.lower()
            forms += [told] if _is_telling(name) else [before + told for before in _BEFORE_CONTACT]
        return sorted(set(forms))

    def may_concern(self, raw: bytes) -> bool:
        """Whether bytes may name the person; never False where plain, URL-coded or JSON text does."""
        return self._maybe is not None and self._maybe.search(raw) is not None

    def mentions(self, raw: bytes) -> bool:
        """Whether running text names the person."""
        return self._pattern is not None and self._pattern.search(raw.decode("utf-8", "replace")) is not None

    def text(self, text: str) -> str:
        """Running text with other names in the place of the person's."""
        return text if self._pattern is None else self._pattern.sub(self._other_name, text)

    def scope_text(self, scope: str) -> str:
        """A scope as people write it, or another title: no name of a campaign, step, sender or domain is touched."""
        kind, colon, told = scope.partition(":")
        if kind in {"contact", "recipient"} and colon:
            value = told[1:-1].replace('""', '"') if told.startswith('"') else told
            made = self.contact(value) if kind == "contact" else self.address(value)
            return scope if made == value else f"{kind}:{made}"
        return scope if kind in _OTHER_SCOPES and colon else self.text(scope)

    def _other_name(self, found: re.Match[str]) -> str:
        names = [*(self._addresses[name] for name in self._told_addresses), *self._contacts.values()]
        return names[(found.lastindex or 1) - 1]

    def contact(self, name: str | None) -> str | None:
        """A contact id, or the other name of it."""
        return self._contacts.get(name, name) if name is not None else None

    def address(self, name: str | None) -> str | None:
        """An address, or the other name of it."""
        return self._addresses.get(name.strip().lower(), name) if name is not None else None

    def renamed(self) -> Mapping[str, str]:
        """Addresses with their other names."""
        return self._addresses

    def renamed_reply(self, name: ReplyName) -> ReplyName:
        """A reply's name after its recipient got another one."""
        return (name[0], name[1], self.address(name[2]))

    def wrote(self, provider: str | None, event_id: str | None, recipient: str | None) -> bool:
        """Whether a reply is the person's, by its name; where that is not whole, its id must be theirs alone."""
        if provider is None or recipient is None:
            return event_id in self._own_ids
        return (provider, event_id, recipient) in self._replies

    def is_own_id(self, event_id: object) -> bool:
        """Whether every reply of an id is the person's."""
        return event_id in self._own_ids

    def is_about(self, event: Event) -> bool:
        """Whether an event happened to the person."""
        told = event.attributes or {}
        named = [told.get(name) for name in _WHO]
        if not _is_mail(event):
            named.append(event.recipient)
        return (
            event.contact_id in self._contacts
            or any((name or "").strip().lower() in self._addresses for name in named)
            or event.delivery_id in self._deliveries
            or (event.kind is Kind.REPLIED and self.wrote(event.provider, event.event_id, event.recipient))
        )

    def event(self, event: Event) -> Event:
        """An event that no longer tells whom it happened to."""
        if not self.is_about(event):
            return self._cleared(event)
        told = event.attributes
        return msgspec.structs.replace(
            event,
            contact_id=self.contact(event.contact_id),
            recipient=event.recipient if self._is_mailbox(event) else self.address(event.recipient),
            url=self.text(event.url) if event.url else event.url,
            reason=None if event.kind is Kind.REPLIED or not event.reason else self.text(event.reason),
            attributes=told and (self._attributes(told) or None),
        )

    def _is_mailbox(self, event: Event) -> bool:
        return _is_mail(event) and event.recipient in self.person.mailboxes

    def _cleared(self, event: Event) -> Event:
        """Somebody else's event in which the person is named."""
        attributes = event.attributes and {name: self._told(name, one) for name, one in event.attributes.items()}
        url, reason = (self.text(one) if one else one for one in (event.url, event.reason))
        if (url, reason, attributes) == (event.url, event.reason, event.attributes):
            return event
        return msgspec.structs.replace(event, url=url, reason=reason, attributes=attributes)

    def _told(self, name: str, value: str) -> str:
        return str(self.contact(value)) if name == "contact_id" else self.text(value)

    def _attributes(self, told: Mapping[str, str]) -> dict[str, str]:
        kept = {name: self._told(name, value) for name, value in told.items() if name in _KEPT}
        for name in _WHO:
            if told.get(name):
                is_known = told[name].strip().lower() in self._addresses
                kept[name] = (
                    str(self.address(told[name])) if is_known else anonymous_address(told[name], self.person.token)
                )
        network = _IPV4.fullmatch(told.get("ip", ""))
        return kept | ({"ip": f"{network[1]}.0"} if network else {})

    def reply(self, reply: Reply) -> Reply:
        """A reply's words: none, where they are the person's; else with other names in them."""
        if self.is_author(reply) or self.wrote(reply.provider, reply.event_id, reply.recipient):
            is_mailbox = (reply.headers or {}).get("from") and reply.recipient in self.person.mailboxes
            recipient = reply.recipient if is_mailbox else self.address(reply.recipient)
            return msgspec.structs.replace(reply, text="", subject=None, headers=None, recipient=recipient)
        headers = reply.headers and {name: self.text(value) for name, value in reply.headers.items()}
        subject = self.text(reply.subject) if reply.subject else reply.subject
        return msgspec.structs.replace(reply, text=self.text(reply.text), subject=subject, headers=headers)

    def is_author(self, reply: Reply) -> bool:
        """Whether a reply says itself that the person wrote it: by its author, else by whom the message went to."""
        author = (reply.headers or {}).get("from")
        if author:
            return parseaddr(author)[1].lower() in self._addresses
        return (reply.recipient or "").lower() in self._addresses.keys() - set(self.person.mailboxes)

    def row(self, table: str, row: Row) -> Row | None:
        """A row of a table of the lake, or of the `results` stream; None where nothing is left of it."""
        if table == "suppressions":
            return self._suppression(row)
        if table == "ai_learning_events":
            row = self._learning(row)
        made = {name: self._value(name, value, row) for name, value in row.items()}
        if table in _OF_REPLIES and row.get("recipient") in self.person.mailboxes:
            made["recipient"] = row["recipient"]
        if self._is_of_person(table, row):
            blank = _BLANK.get(table, {})
            made |= {name: blank[name] for name in blank if row.get(name) is not None}
            if table == "feedback" and row.get("field") not in LABELS:
                made |= {"new_value": "", "old_value": None}
        if table in {"readings", "response_intelligence"} and made.get("recipient") != row.get("recipient"):
            made["id"] = _id_of_reading(made)
        return made

    def _value(self, name: str, value: Any, row: Row) -> Any:  # noqa: ANN401 - of any column
        if isinstance(value, bytes):
            return b"" if self.mentions(value) else value
        if not isinstance(value, str):
            return value
        if name == "contact_id" or (name == "scope_value" and row.get("scope_kind") == "contact"):
            return self.contact(value)
        if name == "recipient" or (name == "scope_value" and row.get("scope_kind") == "recipient"):
            return self.address(value)
        if name == "scope":
            return self.scope_text(value)
        return self.text(value) if name in _TEXTS else value

    def _is_of_person(self, table: str, row: Row) -> bool:
        if row.get("contact_id") in self._contacts:
            return True
        recipient = str(row.get("recipient") or "").strip().lower()
        if table in _OF_REPLIES:
            wrote = self.wrote(row.get("provider"), row.get("event_id"), row.get("recipient"))
            return wrote or (recipient in self._addresses and recipient not in self.person.mailboxes)
        return recipient in self._addresses or (table == "feedback" and self.is_own_id(row.get("event_id")))

    def _suppression(self, row: Row) -> Row | None:
        """A suppression stays by its address alone, and names no event that would lead to what is left."""
        if not self._is_of_person("suppressions", row):
            return self._reasoned(row)
        if row.get("recipient") is None and self._addresses:
            return None  # the addresses are suppressed
        contact = row.get("contact_id") if row.get("recipient") is None else None
        return self._reasoned(row | {"contact_id": contact, "event_id": None})

    def _reasoned(self, row: Row) -> Row:
        return row | ({"reason": self.text(row["reason"])} if row.get("reason") else {})

    def _learning(self, row: Row) -> Row:
        """What was learnt from a person's reply, without what was said of names and addresses in it."""
        try:
            told = msgspec.json.decode(row.get("event_context") or "{}")
        except msgspec.DecodeError:
            return row
        if not isinstance(told, dict) or not self.is_own_id(told.get("event_id")) or told.get("field") in LABELS:
            return row
        context = msgspec.json.encode({name: told[name] for name in ("event_id", "field") if name in told}).decode()
        return row | {"event_context": context, "learning_insight": f"{told.get('field')} was corrected"}


def reply_mark(token: str, name: ReplyName) -> str:
    """A reply's name in a form that only who has the name recognises."""
    told = "\x1f".join("\x1e" if part is None else part for part in (token, *name))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def anonym(token: str) -> str:
    """The name of somebody who was forgotten."""
    return f"forgotten-{token}"


def anonymous_address(address: str, token: str) -> str:
    """An address that belongs to nobody, in the domain of another: figures are counted by domain."""
    name, at, domain = address.strip().lower().rpartition("@")
    return f"{anonym(token)}@{domain}" if at and name else anonym(token)


def _forms_in_bytes(address: str) -> list[bytes]:
    name, at, domain = address.rpartition("@")
    if not at:
        return [re.escape(address.encode())]
    coded = rb"(?:@|%40|=40|\\u0040)"
    return [_coded(name).encode() + coded + re.escape(domain.encode())]


def _form_of_address(address: str) -> str:
    name, at, domain = address.rpartition("@")
    if not at:
        return (
            rf"(?<!\w){re.escape(address)}(?!\w)" if len(address) >= _TELLING else rf'(?<="){re.escape(address)}(?=")'
        )
    return rf"{_BEFORE}{_coded(name)}(?:@|%40|=40|\\u0040){re.escape(domain)}{_AFTER}"


def _coded(name: str) -> str:
    return re.escape(name).replace(r"\+", r"(?:\+|%2B)")


def _form_of_contact(name: str) -> str:
    told = re.escape(name)
    if _is_telling(name):
        return rf"(?<![\w\-]){told}(?![\w\-])"
    return "|".join(rf"(?<={re.escape(before)}){told}(?![\w\-])" for before in _BEFORE_CONTACT)


def _is_telling(name: str) -> bool:
    """Whether a contact id in running text can hardly be anything else."""
    return len(name) >= _TELLING and not name.isdigit()


def _is_mail(event: Event) -> bool:
    """Whether a fact is a reply that came as mail: its recipient is our own mailbox."""
    return event.kind is Kind.REPLIED and bool((event.attributes or {}).get("from"))


def _id_of_reading(row: Row) -> Any:  # noqa: ANN401 - text or UUID, as it was
    moment = row["created_at"]
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    key = "\x1f".join(("reply", row.get("provider") or "", row["event_id"], row.get("recipient") or ""))
    return str(uuid7_of(to_epoch_ms(moment), key))
