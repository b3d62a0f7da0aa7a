"""What is sent: the campaigns of an invented vendor, Brightloom, with their steps, senders and A/B variants."""

from typing import Any, Final

import msgspec

from schemas.events import Channel


class Sender(msgspec.Struct, frozen=True):
    """A sending identity."""

    name: str
    address: str


class Variant(msgspec.Struct, frozen=True):
    """One arm of an A/B test; the hidden `appeal` multiplies the chance of being read, and so of clicks and answers."""

    name: str
    tone: str
    subject: str
    appeal: float = 1.0


class Step(msgspec.Struct, frozen=True):
    """One touch of a sequence; `path` is the page that the mail links to."""

    number: str
    channel: Channel
    path: str


class Campaign(msgspec.Struct, frozen=True):
    """A sequence of steps for some personas. `hard_share` is the share of dead addresses on its list."""

    campaign_id: str
    name: str
    personas: tuple[str, ...]
    steps: tuple[Step, ...]
    variants: tuple[Variant, ...]
    senders: tuple[Sender, ...]
    hypothesis: str
    hard_share: float = 0.006

    @property
    def has_lift(self) -> bool:
        """Whether one variant is truly better."""
        return len({variant.appeal for variant in self.variants}) > 1


IDA: Final = Sender("Ida Norberg", "ida.norberg@mail.brightloom.example")
TOMAS: Final = Sender("Tomas Reyes", "tomas.reyes@mail.brightloom.example")
PRUE: Final = Sender("Prue Whitlock", "prue.whitlock@go.brightloom.example")
KOFI: Final = Sender("Kofi Mensah", "kofi.mensah@go.brightloom.example")
LENA: Final = Sender("Lena Sommer", "lena.sommer@hello.brightloom.example")

LINK_HOST: Final = "https://go.brightloom.example"
"""Where all links of the mails lead."""

_WAYS: Final = {
    "e": Channel.EMAIL,
    "c": Channel.LINKEDIN_CONNECT,
    "m": Channel.LINKEDIN_MESSAGE,
    "p": Channel.PHONE,
}


def _steps(ways: str, page: str) -> tuple[Step, ...]:
    """Steps from one letter each: email, connect and message on LinkedIn, phone."""
    return tuple(Step(str(number), _WAYS[way], f"/{page}/{number}") for number, way in enumerate(ways, 1))


CAMPAIGNS: Final = (
    Campaign(
        "cmp-faster-ledger-close",
        "Faster Ledger Close",
        ("finance_leader",),
        _steps("eeme", "ledger-close"),
        (
            Variant("A", "plain", "Closing the books at {company}"),
            Variant("B", "numbers", "Month end in 3 days instead of 9, {first}?", 1.6),
        ),
        (IDA, LENA),
        "A number in the subject beats a plain topic",
    ),
    Campaign(
        "cmp-warehouse-restock-pilot",
        "Warehouse Restock Pilot",
        ("operations_leader",),
        _steps("eepe", "restock"),
        (
            Variant("A", "story", "How a grocer stopped running out of oat milk"),
            Variant("B", "plain", "Restock planning for {company}"),
        ),
        (TOMAS, KOFI),
        "A customer's story beats a plain topic",
    ),
    Campaign(
        "cmp-first-hundred-days",
        "First Hundred Days",
        ("sales_leader",),
        _steps("ecee", "hundred-days"),
        (
            Variant("A", "numbers", "100 days, 3 numbers your board will ask for"),
            Variant("B", "plain", "Your first hundred days, {first}"),
            Variant("C", "story", "What Marta did in her first week", 1.5),
        ),
        (PRUE, IDA),
        "A story of a peer beats numbers and a plain topic",
    ),
    Campaign(
        "cmp-platform-reliability-preview",
        "Platform Reliability Preview",
        ("engineering_leader",),
        _steps("eee", "reliability"),
        (
            Variant("A", "plain", "Preview: on-call without the noise"),
            Variant("B", "numbers", "41 % fewer pages in six weeks"),
        ),
        (KOFI, LENA),
        "A number in the subject beats a plain topic",
        hard_share=0.004,
    ),
    Campaign(
        "cmp-dormant-trials-revival",
        "Dormant Trials Revival",
        ("marketing_leader", "sales_leader"),
        _steps("eee", "come-back"),
        (
            Variant("A", "plain", "Your Brightloom workspace is still here", 0.8),
            Variant("B", "story", "{first}, you left something half built", 1.3),
        ),
        (PRUE,),
        "Naming the unfinished work beats a reminder",
        hard_share=0.009,
    ),
    Campaign(
        "cmp-hiring-season-benchmark",
        "Hiring Season Benchmark",
        ("people_leader",),
        _steps("eecm", "hiring"),
        (
            Variant("A", "numbers", "How {company} compares on time to hire"),
            Variant("B", "story", "The offer that was declined on a Friday"),
        ),
        (LENA, TOMAS),
        "A comparison with peers beats a story",
    ),
    Campaign(
        "cmp-founder-roundtable-invite",
        "Founder Roundtable Invite",
        ("founder",),
        _steps("epe", "roundtable"),
        (
            Variant("A", "story", "Eight founders, one table, no slides"),
            Variant("B", "plain", "Founder roundtable, {first}?"),
        ),
        (IDA, PRUE),
        "The scene beats the plain invitation",
    ),
)

STORM_CAMPAIGN: Final = CAMPAIGNS[1]
STORM_SENDER: Final = TOMAS
"""Who gets the bad list in the last part of the world. The sender also serves another campaign, which stays healthy."""


def experiments() -> list[dict[str, Any]]:
    """The A/B tests that the campaigns run, as `outpulse replay --experiments` reads them."""
    return [_experiment(campaign) for campaign in CAMPAIGNS]


def _experiment(campaign: Campaign) -> dict[str, Any]:
    names = [variant.name for variant in campaign.variants]
    return {
        "id": campaign.campaign_id.replace("cmp-", "exp-"),
        "campaign_id": campaign.campaign_id,
        "experiment_type": "subject_line",
        "name": f"{campaign.name}: subject line",
        "hypothesis": campaign.hypothesis,
        "variants": names,
        "allocation": {name: 1 / len(names) for name in names},
        "success_metric": "opened",
        "confidence": 0.99,
    }
