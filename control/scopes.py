"""Scopes: which messages a pause is about. The only place that reads, writes and matches them.

As text (command line, messages to people): `campaign:autumn`, `sender:ida@out.example,domain:firm.example`, `all`. A
value that holds a comma or a double quote is written as in CSV: `campaign:"Spring, part 1",step:2`.

As two columns (commands, table `pauses`): `scope_kind` joins the kinds by a comma, `scope_value` the values. The value
of a single kind is written as it is; those of joined kinds as a row of CSV. Senders and domains are in lower case.
"""

import re
from typing import Final

import msgspec

from schemas.failures import SettingsError

KINDS: Final[tuple[tuple[str, ...], ...]] = (
    ("campaign",),
    ("campaign", "step"),
    ("campaign", "variant"),
    ("sender",),
    ("sender", "domain"),
    ("domain",),
    ("contact",),
    ("recipient",),
    ("all",),
)
"""The kinds of every scope; joined ones name both."""
FORMS: Final = (
    "campaign:ID",
    "campaign:ID,step:N",
    "campaign:ID,variant:V",
    "sender:ADDRESS",
    "sender:ADDRESS,domain:NAME",
    "domain:NAME",
    "contact:ID",
    "recipient:ADDRESS",
    "all",
)
_VALID: Final = "valid are " + " | ".join(FORMS)
_LOWER: Final = frozenset({"sender", "domain", "recipient"})
_ORDER: Final = {kind: place for place, kind in enumerate(("campaign", "step", "variant", "sender", "domain"))}
_VALUE: Final = r'(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^",]*))'
_PART: Final = re.compile(rf"(?P<kind>[a-z]+):{_VALUE}(?P<end>,|\Z)")
_JOINED: Final = re.compile(rf"{_VALUE}(?P<end>,|\Z)")

Key = tuple[str, ...]
"""A scope as a key of dictionaries: `scope_kind`, then its values."""


class Scope(msgspec.Struct, frozen=True):
    """One scope: `kinds` is one of `KINDS`; `values` has one value a kind, none for `all`."""

    kinds: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def kind(self) -> str:
        """`scope_kind`, such as `sender,domain`."""
        return ",".join(self.kinds)

    @property
    def value(self) -> str:
        """`scope_value`."""
        return self.values[0] if len(self.values) == 1 else ",".join(map(_quoted, self.values))

    @property
    def key(self) -> Key:
        """The scope as `keys_of` names it."""
        return (self.kind, *self.values)

    @property
    def text(self) -> str:
        """The scope as people write it.

        >>> parse_scope("domain:Firm.example,sender:Ida@out.example").text
        'sender:ida@out.example,domain:firm.example'
        """
        if not self.values:
            return "all"
        return ",".join(f"{kind}:{_quoted(value)}" for kind, value in zip(self.kinds, self.values, strict=True))


def parse_scope(text: str) -> Scope:
    """The scope of a text; joined kinds may come in any order.

    Raises:
        SettingsError: none of the forms.
    """
    if text.strip() == "all":
        return Scope(("all",), ())
    pairs: list[tuple[str, str]] = []
    at, open_end = 0, True
    while at < len(text) or (open_end and pairs):
        found = _PART.match(text, at)
        if found is None:
            raise SettingsError(_told(text))
        pairs.append((found["kind"], _value_of(found)))
        at, open_end = found.end(), found["end"] == ","
    return _made(tuple(kind for kind, _ in pairs), tuple(value for _, value in pairs), text)


def scope_of(kind: str, value: str) -> Scope:
    """The scope of `scope_kind` and `scope_value`.

    Raises:
        SettingsError: none of the forms.
    """
    kinds = tuple(kind.split(","))
    if kinds == ("all",):
        if value:
            raise SettingsError(_told(f"all:{value}"))
        return Scope(kinds, ())
    return _made(kinds, (value,) if len(kinds) == 1 else _split(value), f"{kind}:{value}")


def keys_of(
    campaign_id: str | None,
    sender: str | None,
    recipient: str | None,
    contact_id: str | None = None,
    step: str | None = None,
    variant: str | None = None,
) -> list[Key]:
    """The keys of every scope that covers a message, the widest first; what is None is in no scope of its kind.

    `sender` and `recipient` are in lower case.
    """
    keys: list[Key] = [("all",)]
    if campaign_id is not None:
        keys.append(("campaign", campaign_id))
        if step is not None:
            keys.append(("campaign,step", campaign_id, step))
        if variant is not None:
            keys.append(("campaign,variant", campaign_id, variant))
    domain = recipient.rpartition("@")[2] if recipient is not None and "@" in recipient else None
    if sender is not None:
        keys.append(("sender", sender))
        if domain:
            keys.append(("sender,domain", sender, domain))
    if domain:
        keys.append(("domain", domain))
    if contact_id is not None:
        keys.append(("contact", contact_id))
    if recipient is not None:
        keys.append(("recipient", recipient))
    return keys


def address(text: str) -> str:
    """An address, profile or domain as it is compared: without blanks around it, in lower case."""
    return text.strip().lower()


def _made(kinds: tuple[str, ...], values: tuple[str, ...], told: str) -> Scope:
    """A scope with its kinds in the order of `KINDS`."""
    pairs = sorted(zip(kinds, values, strict=False), key=lambda pair: _ORDER.get(pair[0], 0))
    ordered = tuple(kind for kind, _ in pairs)
    if len(kinds) != len(values) or ordered not in KINDS or ordered == ("all",):
        raise SettingsError(_told(told))
    cleaned = tuple(address(value) if kind in _LOWER else value for kind, value in pairs)
    if not all(cleaned) or any(kind == "domain" and "@" in value for kind, value in zip(ordered, cleaned, strict=True)):
        raise SettingsError(_told(told))
    return Scope(ordered, cleaned)


def _split(value: str) -> tuple[str, ...]:
    """The values of joined kinds; none where they cannot be read."""
    values: list[str] = []
    at, open_end = 0, True
    while open_end:
        found = _JOINED.match(value, at)
        if found is None:
            return ()
        values.append(_value_of(found))
        at, open_end = found.end(), found["end"] == ","
    return tuple(values)


def _value_of(found: re.Match[str]) -> str:
    quoted = found["quoted"]
    return found["plain"] if quoted is None else quoted.replace('""', '"')


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if "," in value or '"' in value else value


def _told(text: str) -> str:
    shown = " ".join(text.split())[:200]
    return f"scope {shown!r}; {_VALID}; a value that holds a comma or a quote is written in double quotes"
