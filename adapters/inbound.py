"""Mail that came in, however a provider hands it over: replies, bounces that arrive as mail, complaints of feedback loops.

A reply finds its delivery by the plus part of the address it was sent to (`reply+DELIVERY_ID@…`), then by the message it
answers (In-Reply-To, else the last of References). Reports (`adapters.reports`) make events of the messages that they are
about, and never a reply.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from email.parser import HeaderParser
from typing import Any, Final

import msgspec

from adapters.contract import Parsed
from adapters.facts import bare_address, rejected_item
from adapters.mime import Mail, addresses_in, date_ms, headers_of, ids_in, read_mail, text_of_html
from adapters.reading import Receipt, event_of, occurred_ms
from adapters.reports import Finding, Report, read_report
from schemas.events import Event, Kind, Reply
from schemas.failures import BadEvent

_TOKEN: Final = re.compile(r"^reply\+([^@]+)@", re.IGNORECASE)
# Providers whose RFC 5322 Message-ID is their own id and a host.
_LOCAL_PART_IS_ID: Final = frozenset({"ses", "postmark"})
_ENVELOPE: Final = (
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-delivered-to",
    "x-forwarded-to",
)
"""Headers in which servers note the envelope's recipient."""
_OURS: Final = ("reply-to", "return-path", "from", "sender")
"""Headers of a message of ours that hold its token."""


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as a provider gives it: whole (`mime`), or in parts.

    `recipient` is the envelope's; `at_ms` the provider's time of it, else the Date header counts, and `came_ms` where that
    is absent or cannot be; `event_id` the provider's id of the post, else one is made, of a reply without a Message-ID it
    is `fallback_id`; `delivery_hint` what it has read out of the address already.
    """

    provider: str
    mime: bytes | None = None
    sender: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    recipient: str | None = None
    at_ms: int | None = None
    came_ms: int | None = None
    event_id: str | None = None
    fallback_id: str | None = None
    attributes: dict[str, str] = {}
    delivery_hint: str | None = None


def read_mails(
    items: Iterable[Any],
    receipt: Receipt,
    make: Callable[[Any], Inbound],
) -> Parsed:
    """What every item's mail makes, and a dead letter for each item that makes none."""
    parsed = Parsed(events=[], replies=[], rejected=[])
    for item in items:
        try:
            found = read_inbound(make(item), receipt)
        except BadEvent as bad:
            parsed.rejected.append(rejected_item(item, bad.reason, str(bad), len(parsed.events)))
        except Exception as error:  # noqa: BLE001 - whatever is odd about a mail must not lose its neighbours
            parsed.rejected.append(rejected_item(item, "not usable", str(error)[:200], len(parsed.events)))
        else:
            before = len(parsed.events)
            parsed.rejected.extend(msgspec.structs.replace(one, after=before + one.after) for one in found.rejected)
            parsed.events.extend(found.events)
            parsed.replies.extend(found.replies)
    return parsed


def pairs_of(told: object) -> list[tuple[str, str]]:
    """Headers as providers list them: an object, pairs, or objects with a name and a value in any case."""
    if isinstance(told, dict):
        many = [(key, one if isinstance(one, list) else [one]) for key, one in told.items()]
        return [(str(key), str(value)) for key, values in many for value in values]
    found: list[tuple[str, str]] = []
    for one in told if isinstance(told, list) else []:
        if isinstance(one, list) and len(one) == 2:
            found.append((str(one[0]), str(one[1])))
        elif isinstance(one, dict):
            low = {str(key).lower(): value for key, value in one.items()}
            found.append((str(low.get("name", "")), str(low.get("value", ""))))
    return found


def lines_of(text: str) -> list[tuple[str, str]]:
    """Headers as they stand in a mail, folded or not."""
    return [(key, str(value)) for key, value in HeaderParser().parsestr(text + "\n\n").items()]


def read_inbound(inbound: Inbound, receipt: Receipt) -> Parsed:
    """The events and the reply that a mail makes.

    Raises:
        BadEvent: its time cannot be, or it is a report of something that has no kind here.
    """
    mail = _mail_of(inbound)
    at_ms = _at_ms(inbound, mail, receipt)
    sender = next(iter(addresses_in(inbound.sender, mail.headers.get("from"))), None)
    report = read_report(mail, sender)
    if report is not None:
        events = [_report_event(inbound, mail, receipt, at_ms, report, finding) for finding in report.findings]
        return Parsed(events=events, rejected=report.rejected)
    return _reply(inbound, mail, receipt, at_ms, sender)


def _at_ms(inbound: Inbound, mail: Mail, receipt: Receipt) -> int:
    times = [time for time in (inbound.at_ms, mail.at_ms, inbound.came_ms) if time is not None]
    if inbound.at_ms is None and inbound.came_ms is not None and len(times) > 1:
        with suppress(BadEvent):
            return occurred_ms(times[0], receipt)
        return occurred_ms(inbound.came_ms, receipt)
    return occurred_ms(times[0] if times else receipt.ms, receipt)


def _mail_of(inbound: Inbound) -> Mail:
    if inbound.mime is not None:
        return read_mail(inbound.mime)
    headers = headers_of(inbound.headers)
    for name, value in (("from", inbound.sender), ("subject", inbound.subject)):
        if value and name not in headers:
            headers[name] = value
    text = inbound.text if inbound.text and inbound.text.strip() else text_of_html(inbound.html or "")
    return Mail(headers, text, [], date_ms(headers.get("date")))


def _reply(inbound: Inbound, mail: Mail, receipt: Receipt, at_ms: int, sender: str | None) -> Parsed:
    headers = mail.headers
    answered, referred = ids_in(headers.get("in-reply-to")), ids_in(headers.get("references"))
    message_id = next(iter(ids_in(headers.get("message-id"))), None)
    attributes = dict(inbound.attributes)
    found = {
        "from": sender,
        "in_reply_to": answered[0] if answered else None,
        "references": " ".join(referred),
        "original_message_id": _original(inbound.provider, answered, referred),
        "auto_submitted": headers.get("auto-submitted"),
        "attachments": ", ".join(mail.attachments),
    }
    attributes |= {name: value for name, value in found.items() if value}
    recipient = _recipient(inbound, mail)
    delivery = inbound.delivery_hint or _delivery_id(recipient, mail)
    event = event_of(
        inbound.provider,
        receipt,
        kind=Kind.REPLIED,
        at_ms=at_ms,
        event_id=inbound.event_id or (None if message_id else inbound.fallback_id),
        message_id=message_id,
        recipient=recipient,
        attributes=attributes,
        ours={"delivery_id": delivery} if delivery else {},
    )
    reply = Reply(
        event_id=event.event_id,
        text=mail.text,
        subject=inbound.subject or headers.get("subject"),
        headers=headers,
        provider=inbound.provider,
        recipient=recipient,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        channel=event.channel,
    )
    return Parsed(events=[event], replies=[reply])


def _recipient(inbound: Inbound, mail: Mail) -> str | None:
    """The envelope's recipient, else whom the mail's headers name."""
    if inbound.recipient:
        return bare_address(inbound.recipient)
    names = (*_ENVELOPE, "to")
    return next(iter(addresses_in(*(mail.headers.get(name) for name in names))), None)


def _delivery_id(recipient: str | None, mail: Mail) -> str | None:
    names = (*_ENVELOPE, "to", "cc")
    return _token([recipient or "", *addresses_in(*(mail.headers.get(name) for name in names))])


def _token(addresses: Iterable[str]) -> str | None:
    """The delivery that the first `reply+DELIVERY_ID@` names."""
    return next((found[1] for address in addresses if (found := _TOKEN.match(address))), None)


def _original(provider: str, answered: Sequence[str], referred: Sequence[str]) -> str | None:
    """The answered message as its provider calls it."""
    found = answered[0] if answered else referred[-1] if referred else None
    return found.partition("@")[0] if found and provider in _LOCAL_PART_IS_ID else found


def _report_event(
    inbound: Inbound, mail: Mail, receipt: Receipt, at_ms: int, report: Report, finding: Finding
) -> Event:
    original = [report.message_id] if report.message_id else []
    tokens = (report.returned.get(name) for name in _OURS)
    delivery = inbound.delivery_hint or _delivery_id(inbound.recipient, mail) or _token(addresses_in(*tokens))
    return event_of(
        inbound.provider,
        receipt,
        kind=finding.kind,
        at_ms=at_ms,
        event_id=inbound.event_id,
        message_id=_original(inbound.provider, original, ()),
        recipient=finding.recipient or next(iter(addresses_in(report.returned.get("to"))), None),
        attributes=inbound.attributes | finding.attributes,
        ours={"delivery_id": delivery} if delivery else {},
        bounce_class=finding.bounce_class,
        reason=finding.reason,
    )
