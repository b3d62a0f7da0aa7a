"""A seeded world of outbound campaigns: people, what was sent to them, what came of it, and when we heard of it.

Same seed, days, end and scale: the same world, bit for bit. Nothing here reads the clock.

    python -m data.world --seed 1 --days 7 --out events.ndjson --truth truth.json
"""

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from data.arrivals import arrival_ms, arrival_order
from data.campaigns import CAMPAIGNS, Step, experiments
from data.clock import DAY_MS, HOUR_MS, SATURDAY, local_midnight_ms, local_weekday, whole_second
from data.draws import Rng, between, chance, child, pick, token
from data.facts import Delivery, Fact, Told, tell
from data.mail import HEALTHY, send_email
from data.people import CONTACTS_PER_ACCOUNT, Contact, make_accounts, make_contacts, write_contacts
from data.storm import send_storm
from data.touches import send_touch
from data.truth import truth
from schemas.events import BounceClass, Channel, Kind
from schemas.instants import parse_ms, to_epoch_ms

DEFAULT_END_MS: Final = 1_769_796_000_000
"""2026-01-30T18:00:00Z, a Friday: where the world ends unless told otherwise, so that a file is always the same."""
CONTACTS: Final = 13_000
"""People at scale 1: seven days then hold some 80,000 events, which the whole system digests while one watches."""
ENROLL_SHARE: Final = 0.72
"""People enter their sequence during this first part of the world, so that later steps are seen too."""
LONGEST_PAUSE_DAYS: Final = 3.0
"""Between two steps; short worlds have shorter pauses, a fifth of their length."""
WEEKEND_SHARE: Final = 0.12
"""Sends that are not put off from a weekend to Monday."""
FIRST_HOUR: Final = 6
LAST_HOUR: Final = 20
"""Local hours between which mail is sent, evenly: without spread nobody could learn which hour is best."""

STOPPING: Final = frozenset({Kind.UNSUBSCRIBED, Kind.COMPLAINED, Kind.REJECTED})
"""Facts, beside a person's reply and a hard bounce, after which a person is not written to again."""


class World:
    """`days` of outbound campaigns until `end` (aware datetime or milliseconds since 1970); `scale` multiplies people.

    `deliveries` and `contacts` hold what really happened, hidden habits included; `events()` what we are told.
    """

    def __init__(self, seed: int, days: float = 7, end: datetime | int = DEFAULT_END_MS, scale: float = 1.0) -> None:
        if seed < 0 or days <= 0 or scale <= 0:
            raise ValueError(f"seed {seed}, days {days}, scale {scale}: valid are seed >= 0, days > 0, scale > 0")
        self.seed = seed
        self.days = days
        self.scale = scale
        self.end_ms = end if isinstance(end, int) else to_epoch_ms(end)
        self.start_ms = self.end_ms - int(days * DAY_MS)
        self.campaigns = CAMPAIGNS
        people = child(seed, "people")
        count = max(len(CAMPAIGNS), round(CONTACTS * scale))
        self.accounts = make_accounts(1 + count // CONTACTS_PER_ACCOUNT, people)
        self.contacts = make_contacts(count, self.accounts, people)
        self.deliveries = self._happen()
        self.event_count = sum(len(delivery.facts) for delivery in self.deliveries)

    def _happen(self) -> list[Delivery]:
        """Everything that happened until the end; what was not sent by then does not exist."""
        rng = child(self.seed, "sequences")
        deliveries = [made for contact in self.contacts for made in self._sequence(contact, rng)]
        deliveries += send_storm(self.accounts, self.start_ms, self.end_ms, self.scale, child(self.seed, "storm"))
        for delivery in deliveries:
            delivery.facts = [fact for fact in delivery.facts if fact.at_ms <= self.end_ms]
        return [delivery for delivery in deliveries if delivery.facts]

    def _sequence(self, contact: Contact, rng: Rng) -> Iterator[Delivery]:
        """One person's way through one campaign, until they answer, cannot be reached, or the world ends."""
        campaign = pick(rng, [one for one in CAMPAIGNS if contact.persona in one.personas])
        quality = msgspec.structs.replace(HEALTHY, hard=campaign.hard_share)
        variant, sender = pick(rng, campaign.variants), pick(rng, campaign.senders)
        at_ms = self.start_ms + int(between(rng, 0, ENROLL_SHARE) * (self.end_ms - self.start_ms))
        past: list[Fact] = []
        for step in campaign.steps:
            at_ms = _send_slot_ms(contact.timezone, at_ms, rng)
            if at_ms > self.end_ms or any(fact.at_ms < at_ms and _stops(fact) for fact in past):
                return
            delivery = Delivery(
                delivery_id=_delivery_id(contact, step),
                message_id=token(rng),
                contact=contact,
                campaign=campaign,
                step=step,
                variant=variant,
                sender=sender,
                facts=[],
            )
            if step.channel is Channel.EMAIL:
                send_email(delivery, at_ms, quality, rng)
            else:
                send_touch(delivery, at_ms, rng)
            yield delivery
            past += delivery.facts
            at_ms += int(min(self.days / 5, LONGEST_PAUSE_DAYS) * between(rng, 0.7, 1.3) * DAY_MS)

    def everybody(self) -> list[Contact]:
        """Everyone who was or would have been written to, the people of the bad list included."""
        known = {contact.contact_id: contact for contact in self.contacts}
        return list((known | {made.contact.contact_id: made.contact for made in self.deliveries}).values())

    def events(self) -> Iterator[Told]:
        """Each fact once, as a canonical event, in the order of arrival (`received_at`, then `event_id`)."""
        facts = [(delivery, fact) for delivery in self.deliveries for fact in delivery.facts]
        occurred = np.fromiter((fact.at_ms for _, fact in facts), np.int64, len(facts))
        received = arrival_ms(occurred, self.end_ms, child(self.seed, "arrivals")).tolist()
        order = sorted(range(len(facts)), key=lambda row: (received[row], facts[row][1].event_id))
        return (tell(*facts[row], received[row]) for row in order)


def _delivery_id(contact: Contact, step: Step) -> str:
    return f"dlv-{contact.contact_id.removeprefix('con-')}-{step.number}"


def _send_slot_ms(timezone: str, after_ms: int, rng: Rng) -> int:
    """A whole second in the local sending hours, on this local day or, if that is past or a weekend, on a later one."""
    day_ms = after_ms
    while True:
        slot_ms = local_midnight_ms(timezone, day_ms) + int(between(rng, FIRST_HOUR, LAST_HOUR) * HOUR_MS)
        is_weekend = local_weekday(timezone, day_ms) >= SATURDAY
        if slot_ms >= after_ms and (not is_weekend or chance(rng, WEEKEND_SHARE)):
            return whole_second(slot_ms)
        day_ms += DAY_MS


def _stops(fact: Fact) -> bool:
    """Whether the person is not written to again after it: their answer or protest, or a dead address."""
    if fact.words is not None:
        return fact.words.intent != "out_of_office"
    return fact.kind in STOPPING or fact.bounce_class is BounceClass.HARD


def write_ndjson(world: World, path: Path | str, *, duplicate_share: float = 0.0, disorder_lines: int = 0) -> int:
    """Writes the world's events as canonical NDJSON in the order of arrival; returns the number of lines.

    A `duplicate_share` of the lines comes once more, anywhere later; each line may move back by `disorder_lines`.
    """
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(event) for event in world.events()]
    order = arrival_order(len(lines), duplicate_share, disorder_lines, child(world.seed, "copies"))
    with Path(path).open("wb") as file:
        file.writelines(lines[row] + b"\n" for row in order)
    return len(order)


def main(argv: list[str] | None = None) -> None:
    """Writes a world's events, and its ground truth, to files."""
    parser = argparse.ArgumentParser(prog="python -m data.world", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of people")
    parser.add_argument("--end", type=parse_ms, default=DEFAULT_END_MS, help="RFC 3339; default 2026-01-30T18:00:00Z")
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of lines that come once more")
    parser.add_argument("--disorder", type=int, default=0, help="lines by which a line may move back")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--truth", type=Path, help="ground truth per campaign and metric, as JSON")
    parser.add_argument("--contacts", type=Path, help="contacts with time zones, as CSV")
    parser.add_argument("--experiments", type=Path, help="the campaigns' A/B tests, as JSON")
    args = parser.parse_args(argv)
    world = World(args.seed, args.days, args.end, args.scale)
    write_ndjson(world, args.out, duplicate_share=args.duplicates, disorder_lines=args.disorder)
    if args.truth:
        args.truth.write_bytes(_pretty(truth(world)))
    if args.contacts:
        write_contacts(world.everybody(), args.contacts)
    if args.experiments:
        args.experiments.write_bytes(_pretty(experiments()))


def _pretty(rows: list[dict[str, Any]]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(rows), indent=1)


if __name__ == "__main__":
    main()
