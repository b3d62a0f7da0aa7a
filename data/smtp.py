"""What receiving servers and SendGrid say: answers, refusals and user agents, in the words usual for each class.

Enhanced codes are chosen so that a reader of SendGrid's `type` and a reader of the code come to the same bounce class.
"""

from typing import Final

import msgspec

from schemas.events import BounceClass


class Refusal(msgspec.Struct, frozen=True):
    """A refusal: `type`, enhanced `status` and `classification` are SendGrid's fields, `text` the server's answer."""

    type: str
    status: str
    classification: str
    text: str


HARD: Final = (
    Refusal("bounce", "5.1.1", "Invalid Address", "550 5.1.1 The email account that you tried to reach does not exist"),
    Refusal("bounce", "5.1.1", "Invalid Address", "550 5.1.1 <{address}>: Recipient address rejected: User unknown"),
    Refusal("bounce", "5.1.10", "Invalid Address", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"),
    Refusal("bounce", "5.1.2", "Technical", "550 5.1.2 Host unknown: no mail exchanger for {domain}"),
    Refusal("bounce", "5.2.1", "Mailbox Unavailable", "550 5.2.1 The account or domain may not exist, or is disabled"),
)
SOFT: Final = (
    Refusal("bounce", "4.2.2", "Mailbox Unavailable", "452 4.2.2 The mailbox {address} is over quota"),
    Refusal("bounce", "4.3.2", "Technical", "421 4.3.2 Service not active, try again later"),
    Refusal("bounce", "4.4.1", "Technical", "450 4.4.1 Connection to {domain} timed out"),
)
BLOCK: Final = (
    Refusal("blocked", "5.7.1", "Reputation", "550 5.7.1 Message rejected due to the sending IP's reputation [{ip}]"),
    Refusal(
        "blocked", "5.7.1", "Content", "554 5.7.1 This message has been blocked because it contains spam-like text"
    ),
    Refusal(
        "blocked", "5.7.26", "Reputation", "550 5.7.26 Unauthenticated email from brightloom.example is not accepted"
    ),
    Refusal("blocked", "5.7.1", "Frequency or Volume Too High", "550 5.7.1 Too many messages from [{ip}] to {domain}"),
)
LATE: Final = (
    Refusal("bounce", "5.1.1", "Invalid Address", "550 5.1.1 Delivery to {address} failed permanently: no such person"),
    Refusal("bounce", "5.2.1", "Mailbox Unavailable", "550 5.2.1 Mailbox {address} disabled after delivery"),
)
"""Bounces that a receiver sends after it had accepted the message."""

REFUSALS: Final = {BounceClass.HARD: HARD, BounceClass.SOFT: SOFT, BounceClass.BLOCK: BLOCK}

DEFERRALS: Final = (
    "421 4.7.0 Try again later, closing connection",
    "450 4.2.0 <{address}>: Recipient address rejected: Greylisted",
    "451 4.3.0 Temporary server error, please try again",
    "421 4.4.2 Timeout while waiting for {domain}",
)

DROPS: Final = ("Bounced Address", "Unsubscribed Address", "Spam Reporting Address", "Invalid")
"""Why SendGrid does not even try; its own words."""

ACCEPTED: Final = (
    "250 2.0.0 OK {mark} - gsmtp",
    "250 2.6.0 <{mark}@{domain}> Queued mail for delivery",
    "250 OK dirdel",
    "250 2.0.0 Ok: queued as {mark}",
)

APPLE_AGENT: Final = "Mozilla/5.0"
"""The bare user agent of Apple's prefetching proxies."""

GMAIL_AGENT: Final = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO_AGENT: Final = "YahooMailProxy; an image fetched when the person opens"
"""Proxies that fetch when a person opens: such an open is a person's."""

PERSON_AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
)


def agent_of_open(domain: str, agent: str) -> str:
    """The user agent under which a person's open is reported: the mailbox's proxy, or the person's own."""
    return {"gmail.example": GMAIL_AGENT, "yahoo.example": YAHOO_AGENT}.get(domain, agent)
