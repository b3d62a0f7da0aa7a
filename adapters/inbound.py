"""Mail that came in, however a provider hands it over: replies, bounces that arrive as mail, complaints of feedback loops.

A reply finds its delivery by the plus part of the address it was sent to (`reply+DELIVERY_ID@…`), then by the message it
answers (In-Reply-To, else the last of References). Reports are read by RFC 3464 (delivery status notifications) and
RFC 5965 (ARF); they never make a reply.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from email import message_from_string
from typing import Any, Final

import msgspec

from adapters.bounces import add_family, read_bounce
from adapters.contract import Parsed
from adapters.facts import bare_address, rejected_item
from adapters.mime import Mail, addresses_in, date_ms, headers_of, ids_in, read_mail, text_of_html
from adapters.reading import Receipt, event_of, occurred_ms, unmapped
from schemas.events import BounceClass, Event, Kind, Reply
from schemas.failures import BadEvent

_TOKEN: Final = re.compile(r"^reply\+([^@]+)@", re.IGNORECASE)
_ACTIONS: Final = {
    "failed": Kind.BOUNCED,
    "delayed": Kind.DEFERRED,
    "delivered": Kind.DELIVERED,
    "relayed": Kind.DELIVERED,
    "expanded": Kind.DELIVERED,
}
_FEEDBACK: Final = {
    "abuse": Kind.COMPLAINED,
    "fraud": Kind.COMPLAINED,
    "virus": Kind.COMPLAINED,
    "other": Kind.COMPLAINED,
    "opt-out": Kind.UNSUBSCRIBED,
    "opt-out-list": Kind.UNSUBSCRIBED,
    # not-spam: unmapped.
}
# Providers whose RFC 5322 Message-ID is their own id and a host.
_LOCAL_PART_IS_ID: Final = frozenset({"ses", "postmark"})
_DAEMON: Final = re.compile(r"^(mailer-daemon|postmaster)@", re.IGNORECASE)


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
    return [(key, str(value)) for key, value in message_from_string(text + "\n\n").items()]


def read_inbound(inbound: Inbound, receipt: Receipt) -> Parsed:
    """The events and the reply that a mail makes.

    Raises:
        BadEvent: its time cannot be, or it is a report of something that has no kind here.
    """
    mail = _mail_of(inbound)
    at_ms = _at_ms(inbound, mail, receipt)
    if mail.report == "delivery-status" and mail.blocks:
        return Parsed(events=list(_delivery_status(inbound, mail, receipt, at_ms)))
    if mail.report == "feedback-report" and mail.blocks:
        return Parsed(events=[_feedback(inbound, mail, receipt, at_ms)])
    sender = next(iter(addresses_in(inbound.sender, mail.headers.get("from"))), None)
    if sender and _DAEMON.match(sender):
        return Parsed(events=[_plain_bounce(inbound, mail, receipt, at_ms)])
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
    names = ("delivered-to", "x-original-to", "to")
    return next(iter(addresses_in(*(mail.headers.get(name) for name in names))), None)


def _delivery_id(recipient: str | None, mail: Mail) -> str | None:
    names = ("delivered-to", "x-original-to", "to", "cc")
    for address in (recipient or "", *addresses_in(*(mail.headers.get(name) for name in names))):
        found = _TOKEN.match(address)
        if found:
            return found[1]
    return None


def _original(provider: str, answered: Sequence[str], referred: Sequence[str]) -> str | None:
    """The answered message as its provider calls it."""
    found = answered[0] if answered else referred[-1] if referred else None
    return found.partition("@")[0] if found and provider in _LOCAL_PART_IS_ID else found


def _report_event(  # what every event of a report has in common
    inbound: Inbound,
    mail: Mail,
    receipt: Receipt,
    at_ms: int,
    kind: Kind,
    recipient: str | None,
    attributes: dict[str, str],
    bounce_class: BounceClass | None = None,
    reason: str | None = None,
) -> Event:
    original = ids_in(mail.returned.get("message-id"))
    delivery = inbound.delivery_hint or _delivery_id(inbound.recipient, mail)
    return event_of(
        inbound.provider,
        receipt,
        kind=kind,
        at_ms=at_ms,
        event_id=inbound.event_id,
        message_id=_original(inbound.provider, original, ()),
        recipient=recipient or next(iter(addresses_in(mail.returned.get("to"))), None),
        attributes=inbound.attributes | attributes,
        ours={"delivery_id": delivery} if delivery else {},
        bounce_class=bounce_class,
        reason=reason,
    )


def _delivery_status(inbound: Inbound, mail: Mail, receipt: Receipt, at_ms: int) -> Iterator[Event]:
    """One event a recipient; the first block is about the whole message."""
    for block in mail.blocks:
        recipient = _typed(block.get("original-recipient")) or _typed(block.get("final-recipient"))
        if recipient is None:
            continue
        action = block.get("action", "").lower()
        kind = _ACTIONS.get(action)
        if kind is None:
            raise unmapped("a delivery status notification", action or "no action")
        status, diagnostic = block.get("status", ""), _typed(block.get("diagnostic-code"))
        bounce_class = None
        if kind is Kind.BOUNCED:
            bounce_class = read_bounce(f"{status} {diagnostic or ''}", final=True).bounce_class or BounceClass.SOFT
        attributes = {name: value for name, value in block.items() if name in {"action", "status", "remote-mta"}}
        add_family(attributes, kind, None, bounce_class, status, diagnostic)
        yield _report_event(
            inbound, mail, receipt, at_ms, kind, recipient, attributes, bounce_class, diagnostic or status or None
        )


def _typed(text: str | None) -> str | None:
    """What stands behind the type of a field such as `rfc822; ada@example.com`."""
    return (text.partition(";")[2] if ";" in text else text).strip() or None if text else None


def _feedback(inbound: Inbound, mail: Mail, receipt: Receipt, at_ms: int) -> Event:
    block: dict[str, str] = {}
    for one in mail.blocks:
        block |= one
    told = block.get("feedback-type", "").lower()
    kind = _FEEDBACK.get(told)
    if kind is None:
        raise unmapped("a feedback report", told or "no feedback-type")
    recipient = next(iter(addresses_in(block.get("original-rcpt-to"), block.get("removal-recipient"))), None)
    attributes = {name: value for name, value in block.items() if name in {"feedback-type", "user-agent", "source-ip"}}
    return _report_event(inbound, mail, receipt, at_ms, kind, recipient, attributes, reason=told)


def _plain_bounce(inbound: Inbound, mail: Mail, receipt: Receipt, at_ms: int) -> Event:
    """A bounce in words only, as old servers send it.

    Raises:
        BadEvent: the words name no refusal.
    """
    found = read_bounce(mail.text)
    if found.kind is Kind.BOUNCED and found.bounce_class is None:
        raise BadEvent("unmapped: bounce in words", "a mail of a mail server that names no refusal")
    attributes: dict[str, str] = {}
    add_family(attributes, found.kind, found.family, found.bounce_class)
    recipients = addresses_in(mail.headers.get("x-failed-recipients"))
    line = next((line.strip() for line in mail.text.splitlines() if re.search(r"\b[45]\d\d\b", line)), None)
    return _report_event(
        inbound, mail, receipt, at_ms, found.kind, next(iter(recipients), None), attributes, found.bounce_class, line
    )
