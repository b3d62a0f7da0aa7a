"""Tools that post JSON of their own: a mapping file says where each canonical field lies. No code is needed.

A mapping is TOML; its paths are JMESPath (https://jmespath.org/specification.html), read by the library of that name.
`docs/channels.md` explains it with an example.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError

from adapters.contract import Parsed, ProofSettings
from adapters.facts import optional_text, rejected_item, text_of
from adapters.forms import form_of
from adapters.proofs import check_credentials
from adapters.reading import Receipt, body_of, kind_of, object_of, occurred_ms, receipt_of, whole_rejected
from schemas.events import EVENT_FIELDS, Channel, Event, Kind, RawRequest, Reply
from schemas.failures import BadEvent, RequestRefused, SettingsError
from schemas.instants import from_epoch_ms

_NOT_MAPPED: Final = frozenset(
    {"kind", "channel", "provider", "received_at", "attributes", "bounce_class", "is_machine"}
)
HOOK: Final = "hook:"
"""What stands before a hook's name in `raw`, so that it cannot be taken for a provider."""
FIELDS: Final = tuple(field for field in EVENT_FIELDS if field not in _NOT_MAPPED)
"""Canonical fields that a mapping may fill, beside kind and channel."""
_CONSTANTS: Final = tuple(field for field in FIELDS if field not in {"event_id", "occurred_at"})


class MappingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping as its file has it.

    `items` is the path of the list of items (the body itself, or its items, where it is empty); `kind` the path of an
    item's kind, `kinds` what its values mean; `fields` and `attributes` name → path; `constants` name → text for what no
    path gives; `id_from` the paths that make up the id where `fields` has no `event_id`; `channels` the channel of single
    kinds of the tool. `time_format` is a strptime format for times that are neither RFC 3339 nor unix, in `time_zone`.
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


def read_mapping(path: Path) -> MappingFile:
    """A mapping file.

    Raises:
        SettingsError: it cannot be read, or something in it is wrong; says what is valid.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), MappingFile)
    except OSError as error:
        raise SettingsError(f"mapping {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"mapping {path}: {error}") from None
    for table, valid in (("fields", FIELDS), ("constants", _CONSTANTS), ("reply", ("text", "subject"))):
        unknown = sorted(set(getattr(found, table)) - set(valid))
        if unknown:
            raise SettingsError(f"mapping {path}: [{table}] {unknown[0]}; valid are {', '.join(valid)}")
    if "occurred_at" not in found.fields or not ("event_id" in found.fields or found.id_from):
        raise SettingsError(f"mapping {path}: [fields] needs occurred_at, and event_id or a list id_from")
    return found


class Mapped:
    """An adapter made of a mapping; `name` is the hook's and its events' provider."""

    def __init__(self, name: str, mapping: MappingFile, where: str = "mapping") -> None:
        self.name = name
        self._mapping = mapping
        try:
            self._zone = ZoneInfo(mapping.time_zone)
            self._items = jmespath.compile(mapping.items) if mapping.items else None
            self._kind = jmespath.compile(mapping.kind)
            self._fields = _compiled(mapping.fields)
            self._attributes = _compiled(mapping.attributes)
            self._reply = _compiled(mapping.reply)
            self._id_from = [jmespath.compile(path) for path in mapping.id_from]
        except JMESPathError as error:
            raise SettingsError(f"{where} {name}: a path is no JMESPath: {' '.join(str(error).split())}") from None
        except (ZoneInfoNotFoundError, ValueError):
            raise SettingsError(
                f"{where} {name}: time_zone {mapping.time_zone!r} is unknown, valid is Europe/Berlin"
            ) from None

    @property
    def VOCABULARY(self) -> Mapping[str, Kind]:  # noqa: N802 - as adapters' modules have it
        """What the tool's names mean."""
        return self._mapping.kinds

    def verify(self, request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
        """Checks bearer token, basic auth or headers.

        Raises:
            RequestRefused: 401 for bad or missing credentials, 403 where none are set.
        """
        del now_ms
        if not (settings.bearer_tokens or settings.basic_auth or settings.headers or settings.insecure):
            where = f"[hooks.{self.name}] bearer_tokens, or [gateway] token"
            raise RequestRefused(f"no secret is set for the hook {self.name}: set {where}", status=403)
        check_credentials(request, settings)

    def parse(self, request: RawRequest) -> Parsed:
        """One event or one dead letter per item; never raises."""
        try:
            items = self._items_of(_body(request))
        except BadEvent as bad:
            return whole_rejected(request, bad)
        return self.read(items, receipt_of(request))

    def items_in(self, value: Any) -> list[Any]:  # noqa: ANN401 - JSON is anything
        """The items of a value of a file: what stands at the mapping's path, else the value itself or its items."""
        found = self._items.search(value) if self._items is not None else None
        found = value if found is None else found
        return found if isinstance(found, list) else [found]

    def read(self, items: Sequence[Any], receipt: Receipt) -> Parsed:
        """Events, replies and dead letters of single items, such as the rows of a file."""
        parsed = Parsed(events=[], replies=[], rejected=[])
        for item in items:
            try:
                event = self._event(item, receipt)
            except BadEvent as bad:
                parsed.rejected.append(rejected_item(item, bad.reason, str(bad), len(parsed.events)))
            except Exception as error:  # noqa: BLE001 - whatever is odd about an item must not lose its neighbours
                parsed.rejected.append(rejected_item(item, "not usable", str(error)[:200], len(parsed.events)))
            else:
                parsed.events.append(event)
                text = self._text(item, "text")
                if event.kind is Kind.REPLIED and text is not None:
                    parsed.replies.append(self._words(event, text, self._text(item, "subject")))
        return parsed

    def _items_of(self, body: Any) -> list[Any]:  # noqa: ANN401 - JSON is anything
        found = body if self._items is None else self._items.search(body)
        if found is None:
            raise BadEvent("no items", f"nothing stands at {self._mapping.items!r}")
        return found if isinstance(found, list) else [found]

    def _event(self, told: Any, receipt: Receipt) -> Event:  # noqa: ANN401 - JSON is anything
        item = object_of(told)
        name = self._kind.search(item)
        kind = kind_of(self.name, text_of(name) if name is not None else None, self._mapping.kinds)
        values = {
            field: optional_text(path.search(item)) for field, path in self._fields.items() if field != "occurred_at"
        }
        at_ms = self._at_ms(self._fields["occurred_at"].search(item), receipt)
        attributes = {key: text for key, path in self._attributes.items() if (text := optional_text(path.search(item)))}
        event_id = values.pop("event_id", None) or self._made_id(item, kind)
        known = self._mapping.constants | {field: value for field, value in values.items() if value is not None}
        return Event(
            event_id=event_id,
            kind=kind,
            occurred_at=from_epoch_ms(at_ms),
            received_at=receipt.at,
            channel=self._mapping.channels.get(text_of(name), self._mapping.channel),
            provider=self.name,
            attributes=attributes or None,
            **known,  # type: ignore[arg-type] # only text fields, see FIELDS
        )

    def _at_ms(self, told: object, receipt: Receipt) -> int:
        if self._mapping.time_format and isinstance(told, str):
            try:
                at = datetime.strptime(told, self._mapping.time_format)  # noqa: DTZ007 - the zone is the mapping's
            except ValueError:
                detail = f"{told[:80]!r}, valid is {self._mapping.time_format}"
                raise BadEvent("occurred_at is not a time", detail) from None
            told = round((at if at.tzinfo else at.replace(tzinfo=self._zone)).timestamp() * 1000)
        return occurred_ms(told, receipt)

    def _made_id(self, item: dict[str, Any], kind: Kind) -> str:
        parts = [text_of(path.search(item)) for path in self._id_from]
        if not parts:
            raise BadEvent("event_id missing", "the mapping's event_id gives nothing, and it has no id_from")
        return hashlib.sha256("\x1f".join([self.name, kind, *parts]).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _text(self, item: Any, field: str) -> str | None:  # noqa: ANN401 - JSON is anything
        path = self._reply.get(field)
        return optional_text(path.search(item)) if path is not None else None

    @staticmethod
    def _words(event: Event, text: str, subject: str | None) -> Reply:
        return Reply(
            event_id=event.event_id,
            text=text,
            subject=subject,
            provider=event.provider,
            recipient=event.recipient,
            occurred_at=event.occurred_at,
            received_at=event.received_at,
            channel=event.channel,
        )


def mapped_adapters(folder: Path, mappings: Mapping[str, str]) -> dict[str, Mapped]:
    """The adapters of a home's hooks by the name that their raw requests carry; mappings are names → paths of files.

    Raises:
        SettingsError: a mapping cannot be used.
    """
    return {f"{HOOK}{name}": Mapped(name, read_mapping(folder / path)) for name, path in mappings.items()}


def _compiled(paths: Mapping[str, str]) -> dict[str, Any]:
    return {name: jmespath.compile(path) for name, path in paths.items()}


def _body(request: RawRequest) -> Any:  # noqa: ANN401 - JSON is anything
    """The body as JSON; a form as an object of its fields."""
    try:
        return body_of(request)
    except BadEvent:
        fields = dict(form_of(request))
        if "urlencoded" in request.headers.get("content-type", "") and fields:
            return fields
        raise
