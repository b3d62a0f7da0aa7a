"""Replies and the meetings that come of them: canonical events, since no email provider reports them."""

from datetime import UTC, datetime
from typing import Final

from msgspec import structs

from data.clock import DAY_MS, HOUR_MS, MINUTE_MS, SATURDAY, SECOND_MS, local_midnight_ms, local_weekday
from data.draws import Rng, between, chance, pick, token, weighted
from data.facts import Delivery, Fact, Words, mail_id
from data.people import Contact
from data.reply_texts import (
    AUTOMATIC_SUBJECTS,
    CALL_NOTES,
    CLOSINGS,
    INTENT_WEIGHTS,
    MONTHS,
    OPENINGS,
    TEXTS,
    WEEKDAYS,
)
from schemas.events import Channel, Kind
from schemas.instants import from_epoch_ms

MAILBOX: Final = "mailbox"
CALENDAR: Final = "calendar"
"""Providers of replies by mail and of meetings; LinkedIn and phone replies come from their own channel's."""

QUOTE_SHARE: Final = 0.45
"""Replies by mail with the original message quoted below."""
BOOKED_SHARE: Final = {"meeting_request": 0.75, "interested": 0.2, "question": 0.1}
"""Replies that lead to a meeting, by what the writer meant."""
CONFIRMED_SHARE: Final = 0.6
CANCELLED_SHARE: Final = 0.1
NO_SHOW_SHARE: Final = 0.12
OPPORTUNITY_SHARE: Final = 0.35
"""Of meetings that are held."""


def answer(delivery: Delivery, after_ms: int, rng: Rng) -> None:
    """A person's reply, minutes to hours after they read the message, and what comes of it."""
    replied_ms = after_ms + 2 * MINUTE_MS + int(rng.lognormal(3.4, 1.3) * MINUTE_MS)
    if delivery.channel is Channel.PHONE:
        intent, text = pick(rng, CALL_NOTES)
        body = _filled(text, "en", delivery, replied_ms, rng)
    else:
        intent = weighted(rng, tuple(INTENT_WEIGHTS), tuple(INTENT_WEIGHTS.values()))
        body = _letter(intent, delivery, replied_ms, rng)
    subject = f"Re: {delivery.subject}" if delivery.channel is Channel.EMAIL else None
    _reply(delivery, replied_ms, Words(intent, body, subject), rng)
    if chance(rng, BOOKED_SHARE.get(intent, 0.0)):
        _meeting(delivery, replied_ms + int(between(rng, 0.2, 6) * HOUR_MS), rng)


def answer_by_itself(delivery: Delivery, delivered_ms: int, rng: Rng) -> None:
    """The mailbox answers within a minute or two that the person is away."""
    replied_ms = delivered_ms + int(between(rng, 2, 90) * SECOND_MS)
    language, text = _text_in("out_of_office", delivery.contact.language, rng)
    body = _filled(text, language, delivery, replied_ms, rng)
    subject = AUTOMATIC_SUBJECTS[language] + delivery.subject
    words = Words("out_of_office", body, subject)
    _reply(delivery, replied_ms, words, rng, {"auto-submitted": "auto-replied"})


def _letter(intent: str, delivery: Delivery, at_ms: int, rng: Rng) -> str:
    """Opening, message and closing in one language, with the original quoted below at times."""
    language, text = _text_in(intent, delivery.contact.language, rng)
    whole = pick(rng, OPENINGS[language]) + text + pick(rng, CLOSINGS[language])
    body = _filled(whole, language, delivery, at_ms, rng)
    if delivery.channel is not Channel.EMAIL or not chance(rng, QUOTE_SHARE):
        return body
    sent = from_epoch_ms(at_ms - DAY_MS)[:10]
    sender = delivery.sender
    return (
        f"{body}\n\nOn {sent}, {sender.name} <{sender.address}> wrote:\n> {delivery.subject}\n> \n> Best, {sender.name}"
    )


def _text_in(intent: str, language: str, rng: Rng) -> tuple[str, str]:
    """A text of this intent in the language, in English where there is none."""
    known = [text for text in TEXTS[intent] if text[0] == language]
    return pick(rng, known or [text for text in TEXTS[intent] if text[0] == "en"])


def _filled(text: str, language: str, delivery: Delivery, at_ms: int, rng: Rng) -> str:
    """The text with names, days and dates put in."""
    contact = delivery.contact
    place = contact.account.place
    first, last = pick(rng, place.first_names), pick(rng, place.last_names)
    back = datetime.fromtimestamp((at_ms + int(rng.integers(2, 16)) * DAY_MS) // SECOND_MS, UTC)
    return text.format(
        first=contact.first_name,
        last=contact.last_name,
        company=contact.account.name,
        sender=delivery.sender.name.partition(" ")[0],
        colleague=f"{first} {last}",
        colleague_mail=f"{first}.{last}@{contact.account.domain}".lower(),
        day=pick(rng, WEEKDAYS[language]),
        month=pick(rng, MONTHS.get(language, MONTHS["en"])),
        date=back.strftime("%Y-%m-%d" if language in {"en", "sv"} else "%d.%m.%Y"),
    )


def _reply(
    delivery: Delivery,
    at_ms: int,
    words: Words,
    rng: Rng,
    more_headers: dict[str, str] | None = None,
) -> None:
    """The `replied` fact; mail gets headers and threading."""
    attributes, headers, message_id = None, None, None
    if delivery.channel is Channel.EMAIL:
        original = mail_id(delivery.message_id)
        message_id = f"{token(rng, 12)}@{delivery.contact.address.rpartition('@')[2]}"
        attributes = {"from": delivery.contact.address, "in_reply_to": original, "references": original}
        headers = _headers(delivery, at_ms, words.subject or "", message_id) | (more_headers or {})
    delivery.facts.append(
        Fact(
            kind=Kind.REPLIED,
            at_ms=at_ms,
            event_id=f"rpl-{token(rng, 12)}",
            provider=MAILBOX if delivery.channel is Channel.EMAIL else provider_of(delivery.channel),
            message_id=message_id,
            attributes=attributes,
            words=structs.replace(words, headers=headers),
        )
    )


def _headers(delivery: Delivery, at_ms: int, subject: str, message_id: str) -> dict[str, str]:
    """The reply's mail headers, names in lower case."""
    contact: Contact = delivery.contact
    original = mail_id(delivery.message_id)
    return {
        "from": f"{contact.first_name} {contact.last_name} <{contact.address}>",
        "to": delivery.sender.address,
        "subject": subject,
        "date": datetime.fromtimestamp(at_ms // SECOND_MS, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000"),
        "message-id": f"<{message_id}>",
        "in-reply-to": original,
        "references": original,
    }


def provider_of(channel: Channel) -> str:
    """Who reports what happens on a channel other than email."""
    return "dialer" if channel is Channel.PHONE else "linkedin"


def _meeting(delivery: Delivery, booked_ms: int, rng: Rng) -> None:
    """A booking, and then its confirmation, cancellation, or the meeting and at times an opportunity."""
    start_ms = _slot_ms(delivery.contact.timezone, booked_ms + int(between(rng, 0.4, 3) * DAY_MS), rng)
    attributes = {
        "meeting_id": f"mtg-{token(rng, 9)}",
        "meeting_type": pick(rng, ("discovery", "discovery", "demo", "technical")),
        "scheduled_datetime": from_epoch_ms(start_ms),
        "meeting_duration": pick(rng, ("20", "30", "30", "45")),
    }
    _add(delivery, Kind.MEETING_BOOKED, booked_ms, attributes, rng)
    if chance(rng, CONFIRMED_SHARE):
        _add(delivery, Kind.MEETING_CONFIRMED, booked_ms + int((start_ms - booked_ms) * 0.3), attributes, rng)
    ending = float(rng.random())
    if ending < CANCELLED_SHARE:
        _add(delivery, Kind.MEETING_CANCELLED, booked_ms + int((start_ms - booked_ms) * 0.6), attributes, rng)
    elif ending < CANCELLED_SHARE + NO_SHOW_SHARE:
        _add(delivery, Kind.MEETING_NO_SHOW, start_ms + 15 * MINUTE_MS, attributes, rng)
    else:
        held_ms = start_ms + int(attributes["meeting_duration"]) * MINUTE_MS
        _add(delivery, Kind.MEETING_HELD, held_ms, attributes, rng)
        if chance(rng, OPPORTUNITY_SHARE):
            _add(delivery, Kind.OPPORTUNITY_CREATED, held_ms + int(between(rng, 0.5, 20) * HOUR_MS), attributes, rng)


def _slot_ms(timezone: str, after_ms: int, rng: Rng) -> int:
    """A full or half hour between 9 and 17 local on the first working day that still has it after `after_ms`."""
    into_day_ms = int(rng.integers(18, 34)) * 30 * MINUTE_MS
    day_ms = after_ms
    while local_weekday(timezone, day_ms) >= SATURDAY or local_midnight_ms(timezone, day_ms) + into_day_ms < after_ms:
        day_ms += DAY_MS
    return local_midnight_ms(timezone, day_ms) + into_day_ms


def _add(delivery: Delivery, kind: Kind, at_ms: int, attributes: dict[str, str], rng: Rng) -> None:
    fact = Fact(kind=kind, at_ms=at_ms, event_id=f"cal-{token(rng, 12)}", provider=CALENDAR, attributes=attributes)
    delivery.facts.append(fact)
