"""Tools that post JSON of their own: a mapping file says where each canonical field lies. No code is needed.

`adapters.mappings` reads and checks the files, `docs/channels.md` explains them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import jmespath

from adapters import REGISTRY
from adapters.contract import Parsed, ProofSettings
from adapters.facts import bare_address, optional_text, rejected_item, text_of
from adapters.forms import form_of
from adapters.localtimes import local_ms, time_ms, zone_of
from adapters.mappings import MappingFile, read_mapping
from adapters.proofs import check_credentials
from adapters.reading import Receipt, body_of, kind_of, object_of, occurred_ms, receipt_of, whole_rejected
from schemas.decode import load_json
from schemas.events import Event, Kind, RawRequest, Reply
from schemas.failures import BadEvent, RequestRefused, SettingsError
from schemas.instants import from_epoch_ms

HOOK: Final = "hook:"
"""What stands before a hook's name in `raw`, so that it cannot be taken for a provider."""
BODY: Final = "_body"
"""The name under which paths reach what stands around an item: the whole body."""
_ADDRESSES: Final = ("recipient", "sender")


class Mapped:
    """An adapter made of a mapping that was checked; `name` is the hook's and its events' provider."""

    def __init__(self, name: str, mapping: MappingFile) -> None:
        self.name = name
        self._mapping = mapping
        self._zone = zone_of(mapping.time_zone)
        self._items = jmespath.compile(mapping.items) if mapping.items else None
        self._kind = jmespath.compile(mapping.kind)
        self._fields = _compiled(mapping.fields)
        self._attributes = _compiled(mapping.attributes)
        self._reply = _compiled(mapping.reply)
        self._id_from = [jmespath.compile(path) for path in mapping.id_from]
        paths = [mapping.kind, *mapping.id_from]
        for table in (mapping.fields, mapping.attributes, mapping.reply):
            paths += table.values()
        self._looks_around = any(BODY in path for path in paths)

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
            body = _body(request)
            items = self._items_of(body)
        except BadEvent as bad:
            return whole_rejected(request, bad)
        return self.read(items, receipt_of(request), body)

    def items_in(self, value: Any) -> list[Any]:  # noqa: ANN401 - JSON is anything
        """The items of a value of a file: what stands at the mapping's path, else the value itself or its items."""
        found = self._items.search(value) if self._items is not None else None
        found = value if found is None else found
        return found if isinstance(found, list) else [found]

    def read(self, items: Sequence[Any], receipt: Receipt, body: Any = None) -> Parsed:  # noqa: ANN401 - JSON is anything
        """Events, replies and dead letters of single items, such as the rows of a file; `body` is what was around them."""
        parsed = Parsed(events=[], replies=[], rejected=[])
        for told in items:
            item = told | {BODY: body} if self._looks_around and isinstance(told, dict) else told
            try:
                event = self._event(item, receipt)
            except BadEvent as bad:
                parsed.rejected.append(rejected_item(told, bad.reason, str(bad), len(parsed.events)))
            except Exception as error:  # noqa: BLE001 - whatever is odd about an item must not lose its neighbours
                parsed.rejected.append(rejected_item(told, "not usable", str(error)[:200], len(parsed.events)))
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
        if name is None or name == "":
            raise BadEvent("kind missing", f"nothing stands at {self._mapping.kind!r}, the mapping's kind")
        kind = kind_of(self.name, text_of(name), self._mapping.kinds)
        values = {
            field: optional_text(path.search(item)) for field, path in self._fields.items() if field != "occurred_at"
        }
        at_ms = self._at_ms(self._fields["occurred_at"].search(item), receipt)
        attributes = {key: text for key, path in self._attributes.items() if (text := optional_text(path.search(item)))}
        event_id = values.pop("event_id", None) or self._made_id(item, kind)
        known = self._mapping.constants | {field: value for field, value in values.items() if value is not None}
        known |= {field: bare_address(known[field]) for field in _ADDRESSES if field in known}
        return Event(
            event_id=event_id,
            kind=kind,
            occurred_at=from_epoch_ms(at_ms),
            received_at=receipt.at,
            channel=self._mapping.channels.get(text_of(name), self._mapping.channel),
            provider=self.name,
            attributes=attributes or None,
            **known,  # type: ignore[arg-type] # only text fields, see adapters.mappings.FIELDS
        )

    def _at_ms(self, told: object, receipt: Receipt) -> int:
        """By the mapping's format, else as times are written; text that names no zone is in the mapping's."""
        if told is None or told == "":
            path = self._mapping.fields["occurred_at"]
            raise BadEvent("occurred_at missing", f"nothing stands at {path!r}, the mapping's occurred_at")
        if isinstance(told, str):
            if not self._mapping.time_format:
                told = time_ms(told, self._zone)
            else:
                try:
                    moment = datetime.strptime(told.strip(), self._mapping.time_format)  # noqa: DTZ007 - its zone is next
                except ValueError:
                    detail = f"{told[:80]!r}, valid is {self._mapping.time_format}"
                    raise BadEvent("occurred_at is not a time", detail) from None
                told = local_ms(moment, self._zone)
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
        SettingsError: a mapping cannot be used, or a hook has the name of a provider.
    """
    return {f"{HOOK}{name}": mapped_adapter(folder, name, path) for name, path in mappings.items()}


def mapped_adapter(folder: Path, name: str, path: str) -> Mapped:
    """The adapter of one hook; the path of its mapping is from the folder on.

    Raises:
        SettingsError: the mapping cannot be used, or the hook has the name of a provider.
    """
    if name in REGISTRY:
        raise SettingsError(f"[hooks.{name}] has the name of a provider; choose another, such as {name}-hook")
    if not path:
        raise SettingsError(f"[hooks.{name}] mapping is not set; valid is the path of a mapping file, from the home on")
    return Mapped(name, read_mapping(folder / path))


def _compiled(paths: Mapping[str, str]) -> dict[str, Any]:
    return {name: jmespath.compile(path) for name, path in paths.items()}


def _body(request: RawRequest) -> Any:  # noqa: ANN401 - JSON is anything
    """The body as JSON; a form as an object of its fields, of which those that hold JSON are read as such."""
    try:
        return body_of(request)
    except BadEvent:
        # Some clients call all that they post a form: what begins as JSON does is none.
        is_form = "form" in request.headers.get("content-type", "") and request.body.lstrip()[:1] not in {b"{", b"["}
        fields = form_of(request) if is_form else []
        if not fields:
            raise
        return {name: _field(text) for name, text in fields}


def _field(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    if text[:1] in {"{", "["}:
        try:
            return load_json(text.encode("utf-8", "surrogatepass"))
        except BadEvent:
            pass
    return text
