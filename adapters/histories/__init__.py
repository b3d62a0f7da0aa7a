"""What providers export as history, one module a provider; told in the words of the webhook, read by its adapter.

`recognized` finds the format by its columns or keys, `read` gives the events of one item.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from adapters import REGISTRY
from adapters.contract import Parsed, Rejected
from adapters.histories import brevo, mailersend, mailgun, mailjet, mandrill, postmark, resend, sendgrid, ses, sparkpost
from adapters.histories.formats import CsvFormat, Item, JsonFormat, fits_columns
from schemas.events import Event, RawRequest
from schemas.failures import BadEvent

FORMATS: Final[Sequence[JsonFormat | CsvFormat]] = [
    *sendgrid.FORMATS,
    *mailgun.FORMATS,
    *postmark.FORMATS,
    *ses.FORMATS,
    *sparkpost.FORMATS,
    *brevo.FORMATS,
    *mailjet.FORMATS,
    *mandrill.FORMATS,
    *mailersend.FORMATS,
    *resend.FORMATS,
]
_JSON: Final[Mapping[str | None, Sequence[JsonFormat]]] = {
    provider: sorted(
        (one for one in FORMATS if isinstance(one, JsonFormat) and one.provider == (provider or one.provider)),
        key=lambda one: -len(one.keys),
    )
    for provider in (None, *REGISTRY)
}
LISTS: Final = frozenset(
    {"messages", "items", "results", "events", "data", "Data", "Messages", "Bounces", "Opens", "Clicks"}
)
"""Where the APIs' pages keep their items."""
_HEADERS: Final = {"content-type": "application/json"}
_ENCODE: Final = msgspec.json.Encoder().encode


def formats_of_columns(columns: Sequence[str], provider: str | None = None) -> list[CsvFormat]:
    """The CSV formats that a header fits, by `formats.column`; of those, the ones that need most."""
    fitting = [
        one
        for one in FORMATS
        if isinstance(one, CsvFormat) and one.provider == (provider or one.provider) and fits_columns(columns, one)
    ]
    most = max((len(one.needs) for one in fitting), default=0)
    return [one for one in fitting if len(one.needs) == most]


def format_of_item(item: Item, provider: str | None = None) -> JsonFormat | None:
    """The JSON format of an object: of those whose keys it has, the one with most."""
    keys = item.keys()
    for one in _JSON[provider]:
        if one.keys <= keys and (not one.type_prefix or str(item.get("type")).startswith(one.type_prefix)):
            return one
    return None


def read(wanted: JsonFormat | CsvFormat, item: Item, zone: ZoneInfo) -> Parsed:
    """The events of one item and what could not be used of it; `zone` is that of times that name none. Never raises."""
    parsed = Parsed(events=[], replies=[], rejected=[])
    try:
        for told in wanted.tell(item, zone):
            if isinstance(told, Event):
                parsed.events.append(told)
            else:
                _add(parsed, _posted(wanted.provider, told))
    except BadEvent as bad:
        parsed.rejected.append(Rejected(bad.reason, str(bad), b""))
    except Exception as error:  # noqa: BLE001 - whatever is odd about an item must not lose its neighbours
        parsed.rejected.append(Rejected("not usable", f"{type(error).__name__}: {error}"[:200], b""))
    return parsed


def _posted(provider: str, body: Any) -> Parsed:  # noqa: ANN401 - JSON is anything
    """What the adapter makes of a body that the provider could have posted; when it was received is not known."""
    request = RawRequest(
        provider=provider,
        method="POST",
        url=f"/webhooks/{provider}",
        received_at="",
        headers=_HEADERS,
        body=_ENCODE(body),
    )
    return REGISTRY[provider].parse(request)


def _add(parsed: Parsed, more: Parsed) -> None:
    parsed.events.extend(more.events)
    parsed.replies.extend(more.replies)
    parsed.rejected.extend(more.rejected)


def described(kind: type[JsonFormat | CsvFormat], providers: Iterable[str] | None = None) -> str:
    """The known formats of a kind, for an error."""
    wanted = set(providers or REGISTRY)
    return ", ".join(
        f"{one.provider} ({one.what})" for one in FORMATS if isinstance(one, kind) and one.provider in wanted
    )
