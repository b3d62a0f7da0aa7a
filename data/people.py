"""Accounts and contacts: who is written to. Their habits are hidden, everything else appears in events."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from data.draws import Rng, chance, pick, weighted
from data.habits import PEAK_HOURS, Habit, make_habit
from data.places import (
    COMPANY_FIRST,
    COMPANY_SECOND,
    HOME_LANGUAGE_SHARE,
    INDUSTRIES,
    MAILBOX_DOMAINS,
    MAILBOX_WEIGHTS,
    PLACES,
    TIER_WEIGHTS,
    TIERS,
    Place,
)

PERSONAS: Final = tuple(sorted(PEAK_HOURS))

CONTACTS_PER_ACCOUNT: Final = 9
"""A B2B list holds a handful of people a company; enough that a company's scanner shows on several of them."""

SCANNERS: Final = (
    "Mozilla/5.0 (compatible; Barracuda Sentinel; link check)",
    "Mozilla/5.0 (Windows NT 10.0) Proofpoint-URL-Defense/3.2",
    "Mimecast-URL-Protect/2.1",
    "python-requests/2.32.3",
)
"""User agents of security scanners that open and click. Real ones may also pose as browsers; these name themselves."""
SCANNER_SHARE: Final = {"enterprise": 0.06, "mid_market": 0.02, "small_business": 0.005}
"""Companies behind a scanner that clicks: 40 % of all clicks here, more than the 10 to 30 % that vendors report."""

APPLE_SHARE: Final = {"enterprise": 0.2, "mid_market": 0.35, "small_business": 0.45}
"""Readers with Apple mail privacy: half of all mail by Litmus' count, less where companies run Outlook."""

MAILBOX_SHARE: Final = {"enterprise": 0.02, "mid_market": 0.08, "small_business": 0.55}
"""Contacts who are written to at a free mailbox instead of at the company's domain."""

AWAY_SHARE: Final = 0.008
"""Readers whose mailbox answers by itself that they are out of the office."""


class Account(msgspec.Struct, frozen=True):
    """A company; `scanner` is the user agent of its security scanner, or None."""

    account_id: str
    name: str
    domain: str
    industry: str
    tier: str
    place: Place
    scanner: str | None


class Contact(msgspec.Struct, frozen=True):
    """A person: address, persona (job family), time zone and language, and the hidden `habit`."""

    contact_id: str
    account: Account
    first_name: str
    last_name: str
    address: str
    persona: str
    language: str
    habit: Habit
    away: bool

    @property
    def timezone(self) -> str:
        """The IANA name of the zone the person works in."""
        return self.account.place.timezone

    @property
    def scanner(self) -> str | None:
        """The scanner in front of the person's mailbox: the company's, unless they use a free mailbox."""
        return self.account.scanner if self.address.endswith("@" + self.account.domain) else None


def make_accounts(count: int, rng: Rng) -> list[Account]:
    """Companies with names and domains that differ."""
    return [_make_account(number, rng) for number in range(count)]


def _make_account(number: int, rng: Rng) -> Account:
    first = COMPANY_FIRST[number % len(COMPANY_FIRST)]
    second = COMPANY_SECOND[number // len(COMPANY_FIRST) % len(COMPANY_SECOND)]
    turn = number // (len(COMPANY_FIRST) * len(COMPANY_SECOND))
    name = f"{first}{second}{turn + 1 if turn else ''}"
    tier = weighted(rng, TIERS, TIER_WEIGHTS)
    return Account(
        account_id=f"acc-{number:05d}",
        name=name,
        domain=f"{name.lower()}.example",
        industry=pick(rng, INDUSTRIES),
        tier=tier,
        place=weighted(rng, PLACES, [place.weight for place in PLACES]),
        scanner=pick(rng, SCANNERS) if chance(rng, SCANNER_SHARE[tier]) else None,
    )


def make_contacts(count: int, accounts: list[Account], rng: Rng, *, prefix: str = "con") -> list[Contact]:
    """People of these companies, no two with the same address."""
    taken: set[str] = set()
    return [_make_contact(f"{prefix}-{number:06d}", pick(rng, accounts), taken, rng) for number in range(count)]


def _make_contact(contact_id: str, account: Account, taken: set[str], rng: Rng) -> Contact:
    place = account.place
    first, last = pick(rng, place.first_names), pick(rng, place.last_names)
    persona = pick(rng, PERSONAS)
    at_mailbox = chance(rng, MAILBOX_SHARE[account.tier])
    domain = weighted(rng, MAILBOX_DOMAINS, MAILBOX_WEIGHTS) if at_mailbox else account.domain
    speaks_home = chance(rng, HOME_LANGUAGE_SHARE)
    return Contact(
        contact_id=contact_id,
        account=account,
        first_name=first,
        last_name=last,
        address=_free_address(f"{first}.{last}".lower(), domain, taken),
        persona=persona,
        language=place.languages[0 if speaks_home else -1],
        habit=make_habit(persona, rng, apple_share=APPLE_SHARE[account.tier]),
        away=chance(rng, AWAY_SHARE),
    )


def _free_address(local: str, domain: str, taken: set[str]) -> str:
    """The address, with the first free number behind the name where it is taken."""
    address, number = f"{local}@{domain}", 2
    while address in taken:
        address, number = f"{local}{number}@{domain}", number + 1
    taken.add(address)
    return address


def write_contacts(contacts: Iterable[Contact], path: Path | str) -> None:
    """Writes what a vendor knows of its contacts as CSV, as `timing advise` and `replay --contacts` read it."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["contact_id", "recipient", "first_name", "last_name", "timezone", "persona", "account_tier"])
        writer.writerows(
            [one.contact_id, one.address, one.first_name, one.last_name, one.timezone, one.persona, one.account.tier]
            for one in contacts
        )
