"""What happened in the world, before anybody tells it: facts of deliveries, and how a fact is told as an event."""

from typing import Final

import msgspec

from data.campaigns import Campaign, Sender, Step, Variant
from data.people import Contact
from schemas.events import BounceClass, Channel, Event, Kind
from schemas.instants import from_epoch_ms

SENDGRID: Final = "sendgrid"
"""The provider of all email of this world."""


class Words(msgspec.Struct, frozen=True):
    """The words of a reply; `intent` is what the writer meant and is told to nobody."""

    intent: str
    text: str
    subject: str | None = None
    headers: dict[str, str] | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened once, at `at_ms`; `message_id` is what the provider says, which may be nothing."""

    kind: Kind
    at_ms: int
    event_id: str
    provider: str
    message_id: str | None = None
    bounce_class: BounceClass | None = None
    is_machine: bool | None = None
    url: str | None = None
    reason: str | None = None
    attributes: dict[str, str] | None = None
    words: Words | None = None


class Delivery(msgspec.Struct):
    """One message to one person by one way, with all that came of it, in no particular order.

    `message_id` is the provider's.
    """

    delivery_id: str
    message_id: str
    contact: Contact
    campaign: Campaign
    step: Step
    variant: Variant
    sender: Sender
    facts: list[Fact]

    @property
    def channel(self) -> Channel:
        """How the message travels."""
        return self.step.channel

    @property
    def subject(self) -> str:
        """The subject line that the person saw."""
        return self.variant.subject.format(company=self.contact.account.name, first=self.contact.first_name)

    def appeal(self) -> float:
        """The factor by which this writing changes the chance of being read by this person; 1 is the average."""
        return self.variant.appeal * (LIKED if self.variant.tone == self.contact.habit.likes else OTHERWISE)


def mail_id(message_id: str) -> str:
    """The Message-ID header, with its brackets, of the mail that SendGrid knows by `message_id`."""
    return f"<{message_id}@ismtpd-{ord(message_id[-1]) % 9 + 1}.example>"


LIKED: Final = 1.3
OTHERWISE: Final = 0.85
"""A tone that the reader likes, and one they do not: (1.3 + 2 * 0.85) / 3 = 1, so a tone makes no variant better."""


class Told(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event as the world tells it: a canonical event, with the reply's words where it is one."""

    subject: str | None = None
    text: str | None = None
    headers: dict[str, str] | None = None


def tell(delivery: Delivery, fact: Fact, received_ms: int) -> Told:
    """The fact as a canonical event that arrives at `received_ms`."""
    words = fact.words
    return Told(
        event_id=fact.event_id,
        kind=fact.kind,
        occurred_at=from_epoch_ms(fact.at_ms),
        received_at=from_epoch_ms(received_ms),
        channel=delivery.channel,
        provider=fact.provider,
        campaign_id=delivery.campaign.campaign_id,
        delivery_id=delivery.delivery_id,
        message_id=fact.message_id,
        contact_id=delivery.contact.contact_id,
        recipient=delivery.contact.address,
        sender=delivery.sender.address,
        sequence_step=delivery.step.number,
        variant=delivery.variant.name,
        persona=delivery.contact.persona,
        account_tier=delivery.contact.account.tier,
        bounce_class=fact.bounce_class,
        is_machine=fact.is_machine,
        url=fact.url,
        reason=fact.reason,
        attributes=fact.attributes,
        subject=words.subject if words else None,
        text=words.text if words else None,
        headers=words.headers if words else None,
    )
