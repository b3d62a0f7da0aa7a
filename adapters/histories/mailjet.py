"""Mailjet's history: messages of the API with their last state, a message's history, and stored webhook events.

Facts are from Mailjet's reference "Messages" (`/message`, `/messagehistory/ID`), at https://dev.mailjet.com/email/reference.
`ArrivedAt` is the only time of a message. Items of `/messagehistory` do not name their message: give them `MessageID` and
`email` before they are imported.
"""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.facts import optional_text
from adapters.histories.formats import Item, JsonFormat, plain, without_empty
from adapters.histories.states import STATES, events_of_state
from adapters.localtimes import time_ms
from adapters.reading import unmapped
from schemas.events import Event, Kind
from schemas.failures import BadEvent

_NAMES: Final = {
    "sent": "sent",
    "opened": "open",
    "open": "open",
    "clicked": "click",
    "click": "click",
    "bounced": "bounce",
    "bounce": "bounce",
    "blocked": "blocked",
    "spam": "spam",
    "unsub": "unsub",
}
_DELIVERED: Final = (Kind.DELIVERED, None)
"""Mailjet says `sent` when the receiver's server took the mail."""


def _message(item: Item, zone: ZoneInfo) -> Iterator[Event]:
    told = str(item.get("Status"))
    state = _DELIVERED if plain(told) == "sent" else STATES.get(plain(told))
    if state is None:
        raise unmapped("mailjet", told)
    custom = optional_text(item.get("CustomID"))
    yield from events_of_state(
        "mailjet",
        state,
        time_ms(item.get("ArrivedAt"), zone),
        "ArrivedAt",
        message_id=optional_text(item.get("ID")),
        recipient=item.get("ContactAlt") or item.get("Email"),
        ours={"delivery_id": custom} if custom else {},
        attributes={"Subject": item.get("Subject"), "UUID": item.get("UUID"), "status": told},
    )


def _step(item: Item, zone: ZoneInfo) -> Iterator[Item]:
    message = item.get("MessageID") or item.get("Message_ID")
    if not message:
        raise BadEvent(
            "message_id missing", "items of /messagehistory do not name their message; add MessageID and email"
        )
    told = str(item.get("EventType"))
    yield without_empty(
        {
            "event": _NAMES.get(plain(told), told),
            "time": time_ms(item.get("EventAt"), zone),
            "MessageID": message,
            "email": item.get("email") or item.get("Email"),
            "comment": item.get("Comment"),
            "agent": item.get("Useragent"),
            "error": item.get("State"),
            "CustomID": item.get("CustomID"),
        }
    )


FORMATS: Final = (
    JsonFormat(
        provider="mailjet",
        what="messages of the API",
        keys=frozenset({"ID", "ArrivedAt", "Status"}),
        tell=_message,
        states_only=True,
    ),
    JsonFormat(provider="mailjet", what="message history", keys=frozenset({"EventType", "EventAt"}), tell=_step),
    JsonFormat(
        provider="mailjet",
        what="webhook events",
        keys=frozenset({"event", "time", "MessageID"}),
        tell=lambda item, _: [item],
    ),
)
