"""What becomes of touches by LinkedIn and phone: canonical events, told by the tools that made them."""

from typing import Final

from data.answers import answer, provider_of
from data.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from data.draws import Rng, between, chance, token, weighted
from data.facts import Delivery, Fact
from data.habits import freshness, next_look_ms
from schemas.events import Channel, Kind

ACCEPTED_SHARE: Final = 0.3
"""Connection requests that are accepted; usual figures for outreach lie between 20 and 40 %."""
LINKEDIN_REPLY_FACTOR: Final = 1.5
PHONE_REPLY_SHARE: Final = 0.5
"""Of calls that reach the person, those worth a note."""
CALL_OUTCOMES: Final = ("no_answer", "voicemail", "reached", "wrong_number")
CALL_WEIGHTS: Final = (0.5, 0.31, 0.15, 0.04)


def send_touch(delivery: Delivery, at_ms: int, rng: Rng) -> None:
    """All facts of a LinkedIn or phone touch at `at_ms` (milliseconds UTC)."""
    if delivery.channel is Channel.PHONE:
        _call(delivery, at_ms, rng)
    else:
        _linkedin(delivery, at_ms, rng)


def _call(delivery: Delivery, at_ms: int, rng: Rng) -> None:
    outcome = weighted(rng, CALL_OUTCOMES, CALL_WEIGHTS)
    seconds = int(between(rng, 40, 420)) if outcome == "reached" else int(between(rng, 5, 45))
    _add(delivery, Kind.CALLED, at_ms, rng, attributes={"outcome": outcome, "duration_seconds": str(seconds)})
    if outcome == "reached" and chance(rng, PHONE_REPLY_SHARE):
        answer(delivery, at_ms + seconds * SECOND_MS, rng)


def _linkedin(delivery: Delivery, at_ms: int, rng: Rng) -> None:
    contact = delivery.contact
    _add(delivery, Kind.SENT, at_ms, rng)
    if chance(rng, 0.01):  # the tool's session ran out: LinkedIn never saw it
        _add(delivery, Kind.FAILED, at_ms + 30 * SECOND_MS, rng, reason="session expired")
        return
    look_ms = next_look_ms(contact.habit, contact.timezone, at_ms, rng)
    if look_ms is None:
        return
    if delivery.channel is Channel.LINKEDIN_CONNECT:
        if not chance(rng, ACCEPTED_SHARE):
            return
        _add(delivery, Kind.CONNECTED, look_ms + int(between(rng, 1, 40) * MINUTE_MS), rng)
        look_ms += HOUR_MS
    else:
        _add(delivery, Kind.DELIVERED, at_ms + int(between(rng, 1, 9) * SECOND_MS), rng)
    if chance(rng, LINKEDIN_REPLY_FACTOR * contact.habit.reply_prob * freshness(at_ms, look_ms)):
        answer(delivery, look_ms, rng)


def _add(
    delivery: Delivery,
    kind: Kind,
    at_ms: int,
    rng: Rng,
    *,
    attributes: dict[str, str] | None = None,
    reason: str | None = None,
) -> None:
    delivery.facts.append(
        Fact(
            kind=kind,
            at_ms=at_ms,
            event_id=f"{provider_of(delivery.channel)[:3]}-{token(rng, 12)}",
            provider=provider_of(delivery.channel),
            message_id=delivery.message_id,
            reason=reason,
            attributes=attributes,
        )
    )
