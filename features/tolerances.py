"""The default rules of the guard: what counts as a hit and as a trial, how much is tolerated, and who says so.

Every number can be set per scope; `docs/guard.md` says how to choose. Soft bounces and deferrals are in no rule: they are
the receiver's way to say "later" and never pause.
"""

from dataclasses import dataclass
from typing import Final, Literal

Detector = Literal["limit", "shift"]
Severity = Literal["warn", "slow", "pause"]

BOTH: Final[tuple[Detector, ...]] = ("limit", "shift")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: hits among trials, each counted once per delivery.

    `tolerance` is the highest rate that is no harm. `most` is the highest severity the rule may reach. `receiver` and
    `provider` narrow it to recipients at one mailbox provider or to mail sent through one provider. `mature_hours` above 0
    says that hits are outcomes that did not come, so that trials count only when they are so old. `scope` (kind and values)
    says that the tolerance is one that somebody has set for that scope.
    """

    name: str
    hits: str
    trials: str
    tolerance: float
    source: str
    detectors: tuple[Detector, ...] = BOTH
    most: Severity = "pause"
    is_on: bool = True
    receiver: str | None = None
    provider: str | None = None
    mature_hours: int = 0
    scope: tuple[str, tuple[str, ...]] | None = None


_SES: Final = (
    "Amazon SES Developer Guide, Reputation metrics messages: under review from {review} on, sending may be paused from "
    "{paused} on"
)
_SES_BOUNCES: Final = _SES.format(review="5% hard bounces", paused="10%")
_SES_COMPLAINTS: Final = _SES.format(review="0.1% complaints", paused="0.5%")
_GMAIL: Final = "Google, Email sender guidelines: keep spam rates below 0.1% and never reach 0.3%"
_YAHOO: Final = "Yahoo Sender Hub, Sender best practices: keep the spam rate below 0.3%; 0.1% as Gmail's"

DEFAULT_RULES: Final[tuple[Rule, ...]] = (
    Rule("bounces", "bounced, hard or block", "sent", 0.05, f"{_SES_BOUNCES}; blocks counted too, on the safe side"),
    Rule("complaints", "complained", "delivered", 0.003, f"{_GMAIL}; {_YAHOO}"),
    Rule("complaints_early", "complained", "delivered", 0.001, f"{_GMAIL}; {_SES_COMPLAINTS}", ("limit",), "warn"),
    Rule("failures", "rejected or failed", "attempts", 0.10, "our choice: one attempt in ten is a fault of the set-up"),
    Rule("unsubscribes", "unsubscribed", "delivered", 0.02, "our choice: ten times what broadcasts usually see, 0.2%"),
    Rule(
        "negative_replies",
        "replied, hostile",
        "replied by people",
        0.10,
        "our choice; watched where replies are classified (`flows/reply_guard.py`), not among deliveries",
        is_on=False,
    ),
    Rule(
        "delivery_collapse",
        "sent and not delivered in time",
        "sent",
        0.20,
        "our choice: four in five arrive, or something is broken",
        ("shift",),
        mature_hours=4,
    ),
    Rule(
        "opens_collapse",
        "delivered and not opened by a person in time",
        "delivered",
        0.90,
        "our choice: fewer than one in ten opens, and fewer than before, looks like the spam folder",
        ("shift",),
        "slow",
        mature_hours=48,
    ),
)
"""The rules of every scope."""

PROVIDER_LIMITS: Final[tuple[Rule, ...]] = (
    Rule("ses_bounces_review", "bounced, hard", "sent", 0.05, _SES_BOUNCES, ("limit",), "warn", provider="ses"),
    Rule("ses_bounces_pause", "bounced, hard", "sent", 0.10, _SES_BOUNCES, ("limit",), provider="ses"),
    Rule(
        "ses_complaints_review", "complained", "delivered", 0.001, _SES_COMPLAINTS, ("limit",), "warn", provider="ses"
    ),
    Rule("ses_complaints_pause", "complained", "delivered", 0.005, _SES_COMPLAINTS, ("limit",), provider="ses"),
    Rule("gmail_complaints_advice", "complained", "delivered", 0.001, _GMAIL, ("limit",), "warn", receiver="gmail"),
    Rule("gmail_complaints_limit", "complained", "delivered", 0.003, _GMAIL, ("limit",), receiver="gmail"),
    Rule("yahoo_complaints_advice", "complained", "delivered", 0.001, _YAHOO, ("limit",), "warn", receiver="yahoo"),
    Rule("yahoo_complaints_limit", "complained", "delivered", 0.003, _YAHOO, ("limit",), receiver="yahoo"),
)
"""What providers publish as their own limits: a backstop that stays when the rules above are set to something laxer. Each is
an e-process of its own, so one complaint in a hundred deliveries, a rate of 1%, does not fire it."""
