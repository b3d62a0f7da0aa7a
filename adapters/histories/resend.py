"""Resend's history: the list of sent emails as JSON or CSV, which tells the last event of each and no time of it.

Facts are from Resend's pages "List Emails" and "Export", at https://resend.com/docs/api-reference/emails/list-emails.
"""

import re
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

from adapters.facts import optional_text
from adapters.histories.formats import CsvFormat, Item, JsonFormat, cell, ours, plain
from adapters.histories.states import STATES, events_of_state
from adapters.localtimes import time_ms
from adapters.reading import unmapped, with_sender
from schemas.events import Event

_BETWEEN: Final = re.compile(r"\s*[,;]\s*")


def _email(item: Item, zone: ZoneInfo) -> Iterator[Event]:
    to = item.get("to")
    yield from _events(
        item.get("last_event"),
        time_ms(item.get("created_at"), zone),
        message_id=optional_text(item.get("id")),
        recipients=list(to) if isinstance(to, list) else [to],
        keys=with_sender({}, item.get("from")),
        subject=item.get("subject"),
    )


def _row(row: Item, zone: ZoneInfo) -> Iterator[Event]:
    yield from _events(
        cell(row, "lastevent", "status"),
        time_ms(cell(row, "createdat", "sentat"), zone),
        message_id=cell(row, "id", "emailid"),
        recipients=[one.strip("[]\"' ") for one in _BETWEEN.split(row.get("to") or "")],
        keys=with_sender(ours(row), row.get("from")),
        subject=row.get("subject"),
    )


def _events(
    told: object,
    at_ms: int,
    *,
    message_id: str | None,
    recipients: list[object] | list[str],
    keys: Item,
    subject: object,
) -> Iterator[Event]:
    state = STATES.get(plain(str(told)))
    if state is None:
        raise unmapped("resend", str(told))
    for recipient in recipients:
        yield from events_of_state(
            "resend",
            state,
            at_ms,
            "created_at",
            message_id=message_id,
            recipient=recipient,
            ours=keys,
            attributes={"subject": subject},
        )


FORMATS: Final = (
    JsonFormat(
        provider="resend",
        what="list of emails",
        keys=frozenset({"id", "to", "created_at", "last_event"}),
        tell=_email,
        states_only=True,
    ),
    JsonFormat(
        provider="resend",
        what="webhook events",
        keys=frozenset({"type", "created_at", "data"}),
        type_prefix="email.",
        tell=lambda item, _: [item],
    ),
    CsvFormat(
        provider="resend",
        what="emails CSV",
        needs=(("id", "emailid"), ("to",), ("createdat", "sentat"), ("lastevent", "status")),
        tell=_row,
        states_only=True,
    ),
)
