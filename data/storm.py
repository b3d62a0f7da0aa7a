"""The bounce storm: one campaign's sender gets a bad list in the last part of the world."""

from typing import Final

import msgspec

from data.campaigns import STORM_CAMPAIGN, STORM_SENDER
from data.clock import HOUR_MS, whole_second
from data.draws import Rng, between, pick, token
from data.facts import Delivery
from data.mail import BAD, send_email
from data.people import Account, make_contacts

RECIPIENTS: Final = 900
FEWEST: Final = 60
"""Size of the bad list at scale 1, and what is needed to be seen as a storm in the smallest world."""
BEGINS: Final = 0.86
"""Where in the world's time the storm begins: after six of seven days."""
LASTS_HOURS: Final = 2.0
"""A list of 900 at the usual pace of sending; in very short worlds it takes what is left before the last tenth."""


def send_storm(accounts: list[Account], start_ms: int, end_ms: int, scale: float, rng: Rng) -> list[Delivery]:
    """The storm's deliveries: people who are in no other campaign, first step only."""
    count = max(FEWEST, round(RECIPIENTS * scale))
    people = make_contacts(count, accounts, rng, prefix="con-list")
    begin_ms = start_ms + BEGINS * (end_ms - start_ms)
    length_ms = min(LASTS_HOURS * HOUR_MS, 0.04 * (end_ms - start_ms))
    deliveries = []
    for contact in people:
        delivery = Delivery(
            delivery_id=f"dlv-{contact.contact_id.removeprefix('con-')}-1",
            message_id=token(rng),
            contact=msgspec.structs.replace(contact, persona=STORM_CAMPAIGN.personas[0]),
            campaign=STORM_CAMPAIGN,
            step=STORM_CAMPAIGN.steps[0],
            variant=pick(rng, STORM_CAMPAIGN.variants),
            sender=STORM_SENDER,
            facts=[],
        )
        send_email(delivery, whole_second(begin_ms + between(rng, 0, length_ms)), BAD, rng)
        deliveries.append(delivery)
    return deliveries
