"""What an export is: how its items are known, and how an item is put into the words of the provider's webhook.

`tell` turns one item (an object of a JSON export, or the cells of a CSV row) into bodies as the provider would post them,
which then go through the provider's adapter: so history and webhooks give the same facts under the same ids. What has no
webhook is an `Event` at once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from adapters.facts import OUR_KEYS
from schemas.decode import load_json
from schemas.events import Event
from schemas.failures import BadEvent

Item = dict[str, Any]
Tell = Callable[[Item, ZoneInfo], Iterable[Event | Any]]
DATED_BY: Final = "dated_by"
"""Attribute of an event whose own time the export does not tell: the field that its time was taken from."""
_OTHER_SIGNS: Final = re.compile(r"[^a-z0-9]+")


class JsonFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of a JSON or NDJSON export: they have all `keys`, and their `type` begins so where `type_prefix` is set.

    `states_only`: the export tells the last state of each message, and no event's time.
    """

    provider: str
    what: str
    keys: frozenset[str]
    tell: Tell
    type_prefix: str = ""
    states_only: bool = False


class CsvFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a CSV export: of each of `needs` one name must be among the columns, by `column`."""

    provider: str
    what: str
    needs: tuple[tuple[str, ...], ...]
    tell: Tell
    states_only: bool = False


def column(header: str) -> str:
    """The name by which a column is known: lower case, letters and digits only; our own keys stay as they are.

    >>> column("Message-ID"), column("campaign_id"), column("campaign-id")
    ('messageid', 'campaign_id', 'campaignid')
    """
    lower = header.strip().lower()
    return lower if lower in OUR_KEYS else _OTHER_SIGNS.sub("", lower)


def plain(name: str) -> str:
    """A name of an event without case, blanks and signs: `Spam Report` and `spam_report` are one."""
    return _OTHER_SIGNS.sub("", name.lower())


def cell(row: Mapping[str, Any], *names: str) -> str | None:
    """The first cell that is there, by names of `column`."""
    return next((found for name in names if (found := row.get(name))), None)


def ours(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Our own keys among the columns: exactly so named, or behind a prefix such as that of `user-variables.`."""
    found = {key: text for key in OUR_KEYS if key != "sender" and (text := row.get(key))}
    if prefix:
        found |= {key: text for key in OUR_KEYS if (text := row.get(prefix + key.replace("_", "")))}
    return found


def known_columns(names: Iterable[str]) -> dict[str, str]:
    """`column` → the documented name, for columns that keep the names of a provider's fields."""
    return {column(name): name for name in names}


def nested(row: Mapping[str, Any], paths: Mapping[str, str]) -> Item:
    """The object whose dotted paths the columns are; a cell that holds a JSON list or object is read as such."""
    found: Item = {}
    for name, text in row.items():
        path = paths.get(name)
        if path is None:
            continue
        *parents, last = path.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        else:
            place[last] = as_json(text)
    return found


def as_json(text: object) -> Any:  # noqa: ANN401 - JSON is anything
    """A cell that holds a JSON list or object as what it holds; any other as it is."""
    if isinstance(text, str) and text[:1] in "[{" and text:
        try:
            return load_json(text.encode("utf-8", "surrogatepass"))
        except BadEvent:
            pass
    return text


def objects(told: object) -> list[Item]:
    """The objects in a list; none where it is no list."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def without_empty(item: Mapping[str, Any]) -> Item:
    """The fields that say something."""
    return {key: value for key, value in item.items() if value is not None and value != ""}


def fits_columns(found: Sequence[str], wanted: CsvFormat) -> bool:
    """Whether a header has all columns that a format needs."""
    names = set(found)
    return all(names & set(need) for need in wanted.needs)
