"""What becomes of one email: the way to the mailbox, the machines that look at it, and the person who may.

Each function adds facts to a delivery. Instants are milliseconds UTC on whole seconds, as SendGrid tells them.
"""

from typing import Final

import msgspec

from data import smtp
from data.answers import answer, answer_by_itself
from data.campaigns import LINK_HOST
from data.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, whole_second
from data.draws import Rng, between, chance, pick, token
from data.facts import SENDGRID, Delivery, Fact
from data.habits import freshness, next_look_ms
from schemas.events import BounceClass, Kind


class ListQuality(msgspec.Struct, frozen=True):
    """Probabilities per message of what can go wrong on the way; the rest is delivered."""

    dropped: float = 0.004
    hard: float = 0.006
    soft: float = 0.004
    block: float = 0.0015
    deferred: float = 0.035
    late_bounce: float = 0.001
    complained: float = 0.0005


HEALTHY: Final = ListQuality()
"""Bounces of about 1.3 % in all, below the usual mark of 2 % for a warning; complaints below Gmail's 0.1 %."""
BAD: Final = ListQuality(dropped=0.01, hard=0.34, soft=0.03, block=0.13, deferred=0.1, complained=0.004)
"""A bought list: a third of the addresses dead, and receivers that begin to block."""

SOFT_DELIVERED_SHARE: Final = 0.6
"""Soft bounces after which a later attempt succeeds."""
DEFERRED_DELIVERED_SHARE: Final = 0.94
"""Deferrals that end well; the others end as a soft bounce when the provider gives up."""
APPLE_PREFETCH_SHARE: Final = 0.96
APPLE_SEEN_SHARE: Final = 0.12
"""Readers with mail privacy whose own look is seen too (a second device without it); the others' is hidden."""
OPEN_AGAIN_SHARE: Final = 0.28
"""Each look is followed by another with this probability."""
UNSUBSCRIBE_SHARE: Final = 0.007
"""Readers who take the link at the bottom."""


def send_email(delivery: Delivery, at_ms: int, quality: ListQuality, rng: Rng) -> None:
    """All facts of an email that is handed to the provider at `at_ms`, however late they happen."""
    if chance(rng, quality.dropped):
        _add(delivery, Kind.REJECTED, at_ms, rng, reason=pick(rng, smtp.DROPS))
        return
    _add(delivery, Kind.QUEUED, at_ms, rng)
    delivered_ms = _transport(delivery, at_ms + int(between(rng, 1, 15)) * SECOND_MS, quality, rng)
    if delivered_ms is None:
        return
    _add(
        delivery, Kind.DELIVERED, delivered_ms, rng, response=_filled(pick(rng, smtp.ACCEPTED), delivery, token(rng, 9))
    )
    if chance(rng, quality.late_bounce):
        _bounce(delivery, delivered_ms + int(between(rng, 0.1, 30) * HOUR_MS), BounceClass.HARD, rng, late=True)
        return
    _machines(delivery, delivered_ms, rng)
    if delivery.contact.away:
        answer_by_itself(delivery, delivered_ms, rng)
    else:
        _person(delivery, delivered_ms, quality, rng)


def _transport(delivery: Delivery, at_ms: int, quality: ListQuality, rng: Rng) -> int | None:
    """When the receiver accepts the message, or None if it never does."""
    drawn = rng.random()
    if drawn < quality.hard:
        _bounce(delivery, at_ms, BounceClass.HARD, rng)
        return None
    if drawn < quality.hard + quality.block:
        _bounce(delivery, at_ms, BounceClass.BLOCK, rng)
        return None
    if drawn < quality.hard + quality.block + quality.soft:
        _bounce(delivery, at_ms, BounceClass.SOFT, rng)
        return at_ms + int(between(rng, 0.3, 8) * HOUR_MS) if chance(rng, SOFT_DELIVERED_SHARE) else None
    if drawn < quality.hard + quality.block + quality.soft + quality.deferred:
        return _defer(delivery, at_ms, rng)
    return at_ms


def _defer(delivery: Delivery, at_ms: int, rng: Rng) -> int | None:
    """One to four deferrals with growing pauses, then acceptance or a soft bounce."""
    cause = _filled(pick(rng, smtp.DEFERRALS), delivery)
    pause_ms = between(rng, 4, 12) * MINUTE_MS
    for attempt in range(1, 2 + int(rng.integers(0, 4))):
        _add(delivery, Kind.DEFERRED, at_ms, rng, reason=cause, attempt=str(attempt))
        at_ms += int(pause_ms)
        pause_ms *= 2.5
    if chance(rng, DEFERRED_DELIVERED_SHARE):
        return at_ms
    _bounce(delivery, at_ms + DAY_MS, BounceClass.SOFT, rng)
    return None


def _bounce(delivery: Delivery, at_ms: int, bounce_class: BounceClass, rng: Rng, *, late: bool = False) -> None:
    """A refusal; a late one comes as a mail of its own, which SendGrid reports without a message id."""
    refusal = pick(rng, smtp.LATE if late else smtp.REFUSALS[bounce_class])
    _add(
        delivery,
        Kind.BOUNCED,
        at_ms,
        rng,
        reason=_filled(refusal.text, delivery),
        bounce_class=bounce_class,
        has_message_id=not late,
        type=refusal.type,
        status=refusal.status,
        bounce_classification=refusal.classification,
    )


def _machines(delivery: Delivery, delivered_ms: int, rng: Rng) -> None:
    """Apple's prefetch and the company's scanner: within seconds, whoever reads or does not."""
    scanner = delivery.contact.scanner
    if scanner is not None:
        look_ms = delivered_ms + int(rng.integers(1, 6)) * SECOND_MS
        _add(delivery, Kind.OPENED, look_ms, rng, is_machine=True, useragent=scanner)
        for page in ("", "#terms"):
            url = _link(delivery) + page
            _add(delivery, Kind.CLICKED, look_ms + SECOND_MS, rng, is_machine=True, url=url, useragent=scanner)
    if delivery.contact.habit.apple and chance(rng, APPLE_PREFETCH_SHARE):
        fetch_ms = delivered_ms + int(rng.integers(1, 21)) * SECOND_MS
        _open(delivery, fetch_ms, smtp.APPLE_AGENT, rng, is_machine=True)


def _person(delivery: Delivery, delivered_ms: int, quality: ListQuality, rng: Rng) -> None:
    """What the person does who finds the message at their next look into the mailbox."""
    contact = delivery.contact
    look_ms = next_look_ms(contact.habit, contact.timezone, delivered_ms, rng)
    if look_ms is None:
        return
    if chance(rng, quality.complained):
        _add(delivery, Kind.COMPLAINED, look_ms + 5 * SECOND_MS, rng)
        return
    if not chance(rng, contact.habit.read_prob * freshness(delivered_ms, look_ms) * delivery.appeal()):
        return
    _looks(delivery, look_ms, rng)
    if chance(rng, contact.habit.click_prob):
        agent = pick(rng, smtp.PERSON_AGENTS)
        _add(
            delivery,
            Kind.CLICKED,
            look_ms + int(between(rng, 8, 90)) * SECOND_MS,
            rng,
            is_machine=False,
            url=_link(delivery),
            useragent=agent,
        )
    if chance(rng, UNSUBSCRIBE_SHARE):
        _add(delivery, Kind.UNSUBSCRIBED, look_ms + int(between(rng, 10, 60)) * SECOND_MS, rng)
    elif chance(rng, contact.habit.reply_prob):
        answer(delivery, look_ms, rng)


def _looks(delivery: Delivery, look_ms: int, rng: Rng) -> None:
    """The person's opens as far as they can be seen: mail privacy hides most of its readers."""
    if delivery.contact.habit.apple and not chance(rng, APPLE_SEEN_SHARE):
        return
    domain = delivery.contact.address.rpartition("@")[2]
    agent = smtp.agent_of_open(domain, pick(rng, smtp.PERSON_AGENTS))
    _open(delivery, look_ms, agent, rng, is_machine=False)
    while chance(rng, OPEN_AGAIN_SHARE):
        look_ms += int(rng.exponential(5 * HOUR_MS))
        _open(delivery, look_ms, agent, rng, is_machine=False)


def _open(delivery: Delivery, at_ms: int, agent: str, rng: Rng, *, is_machine: bool) -> None:
    """An open with SendGrid's own word on whether Apple prefetched it."""
    flag = "true" if is_machine else "false"
    _add(delivery, Kind.OPENED, at_ms, rng, is_machine=is_machine, useragent=agent, sg_machine_open=flag)


def _link(delivery: Delivery) -> str:
    return f"{LINK_HOST}{delivery.step.path}?r={delivery.delivery_id}"


def _filled(text: str, delivery: Delivery, mark: str = "") -> str:
    """The server's words with the address, its domain, the sending address and a mark put in."""
    address = delivery.contact.address
    return text.format(
        address=address, domain=address.rpartition("@")[2], ip=sending_ip(delivery.message_id), mark=mark
    )


def sending_ip(message_id: str) -> str:
    """One of eight addresses of the documentation range 198.51.100.0/24 from which the provider sends."""
    return f"198.51.100.{ord(message_id[0]) % 8 + 10}"


def _add(
    delivery: Delivery,
    kind: Kind,
    at_ms: int,
    rng: Rng,
    *,
    reason: str | None = None,
    url: str | None = None,
    bounce_class: BounceClass | None = None,
    is_machine: bool | None = None,
    has_message_id: bool = True,
    **attributes: str,
) -> None:
    """Adds a fact as SendGrid knows it; `attributes` are SendGrid's own fields."""
    if kind in {Kind.OPENED, Kind.CLICKED}:
        attributes["ip"] = f"192.0.2.{int(rng.integers(1, 255))}"
    elif kind in {Kind.DELIVERED, Kind.BOUNCED, Kind.DEFERRED}:
        attributes["ip"] = sending_ip(delivery.message_id)
    fact = Fact(
        kind=kind,
        at_ms=whole_second(at_ms),
        event_id=token(rng),
        provider=SENDGRID,
        message_id=delivery.message_id if has_message_id else None,
        reason=reason,
        url=url,
        bounce_class=bounce_class,
        is_machine=is_machine,
        attributes=attributes or None,
    )
    delivery.facts.append(fact)
