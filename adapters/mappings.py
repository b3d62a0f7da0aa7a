"""Mapping files: TOML that says where a tool's JSON has each canonical field; read and checked here, used by `adapters.mapped`.

Paths are JMESPath (https://jmespath.org/specification.html). `docs/channels.md` explains a mapping by examples.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError

from adapters.localtimes import zone_of
from schemas.events import EVENT_FIELDS, Channel, Kind
from schemas.failures import SettingsError

_NOT_MAPPED: Final = frozenset(
    {"kind", "channel", "provider", "received_at", "attributes", "bounce_class", "is_machine"}
)
FIELDS: Final = tuple(field for field in EVENT_FIELDS if field not in _NOT_MAPPED)
"""Canonical fields that a mapping may fill, beside kind and channel."""
_CONSTANTS: Final = tuple(field for field in FIELDS if field not in {"event_id", "occurred_at"})
_REPLY: Final = ("text", "subject")
_REQUIRED: Final = ("kind", "kinds", "channel", "fields")


class MappingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as its file has it.

    `items` is the path of the list of items (the body itself, or its items, where it is empty); `kind` the path of an
    item's kind, `kinds` what its values mean; `fields` and `attributes` name → path; `constants` name → text for what no
    path gives; `id_from` the paths that make up the id where `fields` has no `event_id`; `channels` the channel of single
    kinds of the tool. `time_format` is a strptime format for times that are neither RFC 3339 nor unix; times that name no
    zone are in `time_zone`.
    """

    kind: str
    kinds: dict[str, Kind]
    channel: Channel
    fields: dict[str, str]
    items: str = ""
    constants: dict[str, str] = {}
    attributes: dict[str, str] = {}
    channels: dict[str, Channel] = {}
    reply: dict[str, str] = {}
    id_from: list[str] = []
    time_format: str = ""
    time_zone: str = "UTC"


KEYS: Final = MappingFile.__struct_fields__


def read_mapping(path: Path) -> MappingFile:
    """A mapping file, with all that is in it checked.

    Raises:
        SettingsError: it cannot be read, or something in it is wrong; names file and key, and says what is valid.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"mapping {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"mapping {path} is not valid TOML: {error}") from None
    fault = next(_faults(tree), None)
    if fault is not None:
        raise SettingsError(f"mapping {path}: {fault}")
    return msgspec.convert(tree, MappingFile)


def _faults(tree: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong, the first first."""
    for key in tree:
        if key not in KEYS:
            yield f"{key} is unknown; valid are {', '.join(KEYS)}"
    for key in _REQUIRED:
        if not tree.get(key):
            yield f"{key} is missing; a mapping needs {', '.join(_REQUIRED)}"
    try:
        mapping = msgspec.convert(tree, MappingFile)
    except msgspec.ValidationError as error:
        yield _told(tree, str(error))
        return
    yield from _faults_of_names(mapping)
    yield from _faults_of_paths(mapping)
    yield from _faults_of_times(mapping)


def _faults_of_names(mapping: MappingFile) -> Iterator[str]:
    for table, valid in (("fields", FIELDS), ("constants", _CONSTANTS), ("reply", _REPLY)):
        for name in getattr(mapping, table):
            if name not in valid:
                yield f"[{table}] {name} is unknown; valid are {', '.join(valid)}"
    if "occurred_at" not in mapping.fields or not ("event_id" in mapping.fields or mapping.id_from):
        yield "[fields] needs occurred_at, and event_id or a list id_from"
    for name in mapping.channels:
        if name not in mapping.kinds:
            yield f"[channels] {name} is none of the kinds; valid are {', '.join(mapping.kinds)}"


_ENUM: Final = re.compile(r"Invalid enum value (?P<value>'.*') - at `\$(?P<place>.*)`$", re.DOTALL)
_PLACE: Final = re.compile(r"^(?P<what>.*) - at `\$\.(?P<place>.*)`$", re.DOTALL)


def _told(tree: Mapping[str, Any], fault: str) -> str:
    """A fault of a type or of a name, by its key, with what is valid."""
    found = _ENUM.search(fault)
    if found is not None:
        valid = Channel if found["place"].startswith(".channel") else Kind
        table = found["place"].partition("[")[0].lstrip(".")
        value = found["value"].strip("'")
        told = tree.get(table)
        name = next((f" {name}" for name, one in told.items() if one == value), "") if isinstance(told, dict) else ""
        key = f"[{table}]{name}" if name else table
        return f"{key} is {value!r}; valid are {', '.join(valid)}"
    place = _PLACE.search(fault)
    return f"{place['place']}: {place['what']}" if place is not None else fault


def _faults_of_paths(mapping: MappingFile) -> Iterator[str]:
    paths = [("items", mapping.items), ("kind", mapping.kind), *(("id_from", one) for one in mapping.id_from)]
    for table in ("fields", "attributes", "reply"):
        paths += [(f"[{table}] {name}", path) for name, path in getattr(mapping, table).items()]
    for key, path in paths:
        if not path and key == "items":
            continue
        try:
            jmespath.compile(path)
        except JMESPathError:
            yield (
                f"{key} is {path!r}, which is no JMESPath; valid is lead.id, calls[0].at and the like; "
                "a name with blanks or signs stands in double quotes, as in '\"lead id\"'"
            )


def _faults_of_times(mapping: MappingFile) -> Iterator[str]:
    try:
        zone_of(mapping.time_zone)
    except ValueError as error:
        yield f"time_zone: {error}"
    if mapping.time_format:
        try:
            datetime.strptime("", mapping.time_format)  # noqa: DTZ007 - only the format is tried
        except ValueError as error:
            if "directive" in str(error) or "stray" in str(error):
                yield f"time_format: {error}; valid is '%d.%m.%Y %H:%M:%S' and the like"
        if "%" not in mapping.time_format:
            yield f"time_format is {mapping.time_format!r}; valid is '%d.%m.%Y %H:%M:%S' and the like"
