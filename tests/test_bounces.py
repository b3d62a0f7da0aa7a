"""What refusals mean, in the words that receivers really use."""

import pytest

from adapters.bounces import family_of, read_bounce
from schemas.events import BounceClass, Kind

HARD, SOFT, BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
CASES: list[tuple[str, BounceClass | None, str | None]] = [
    ("550 5.1.1 The email account that you tried to reach does not exist", HARD, "mailbox"),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD, "domain"),
    ("smtp; 550 5.1.0 Address rejected", HARD, "mailbox"),
    ("553 5.1.3 bad destination address syntax", HARD, "mailbox"),
    ("550 5.1.4 ambiguous address", HARD, "mailbox"),
    ("551 5.1.6 recipient has moved", HARD, "mailbox"),
    ("550 5.1.2 bad destination system", HARD, "domain"),
    ("556 5.1.10 null MX", HARD, "domain"),
    ("550 5.4.4 unable to route: host not found", HARD, "domain"),
    ("550 5.2.1 The email account that you tried to reach is disabled", HARD, "mailbox"),
    ("552 5.2.2 mailbox over quota", SOFT, "mailbox"),
    ("552 5.3.4 message too big for system", SOFT, "content"),
    ("552 5.2.3 message length exceeds administrative limit", SOFT, "content"),
    ("554 5.3.0 mail system problem", SOFT, "mailbox"),
    ("554 5.4.0 network error", SOFT, "domain"),
    ("554 5.4.6 routing loop", SOFT, "domain"),
    ("550 5.4.7 delivery expired", SOFT, "throttle"),
    ("550 5.4.1 no answer from host", SOFT, "domain"),
    ("503 5.5.1 bad sequence of commands", SOFT, "policy"),
    ("554 5.6.0 content rejected", BLOCK, "content"),
    ("550 5.1.8 sender's domain does not exist", BLOCK, "policy"),
    ("550 5.1.7 bad sender's mailbox address syntax", BLOCK, "policy"),
    ("550 5.7.1 message rejected as spam", BLOCK, "policy"),
    ("550 5.7.0 policy", BLOCK, "policy"),
    ("550-5.7.26 This mail is unauthenticated", BLOCK, "policy"),
    ("550 5.7.23 SPF validation failed", BLOCK, "policy"),
    ("550 5.7.25 no reverse DNS", BLOCK, "policy"),
    ("550 5.7.29 ARC failed", BLOCK, "policy"),
    ("550 5.7.28 flood of mail from your address", BLOCK, "reputation"),
    ("550 5.7.606 Access denied, banned sending IP", BLOCK, "reputation"),
    ("550 5.7.750 sending from unregistered domains", BLOCK, "reputation"),
    ("550 No such user here", HARD, "mailbox"),
    ("550 Requested action not taken", HARD, "mailbox"),
    ("550 message looks like spam", BLOCK, "content"),
    ("550 blocked using zen.spamhaus.org", BLOCK, "reputation"),
    ("550 DKIM check failed", BLOCK, "policy"),
    ("551 user not local", HARD, "mailbox"),
    ("553 mailbox name not allowed", HARD, "mailbox"),
    ("521 host does not accept mail", HARD, "domain"),
    ("552 mailbox full", SOFT, "mailbox"),
    ("554 transaction failed", BLOCK, "policy"),
    ("554 delivery error: this user doesn't have an account: no such user", HARD, "mailbox"),
    ("554 your address is listed on our blacklist", BLOCK, "reputation"),
    ("501 syntax error", SOFT, "policy"),
    ("unknown user", HARD, "mailbox"),
    ("host not found", HARD, "domain"),
    ("mailbox is full", SOFT, "mailbox"),
    ("something else entirely", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("text", "found", "family"), CASES)
def test_a_final_refusal_has_a_class_and_a_family(text: str, found: BounceClass | None, family: str | None) -> None:
    assert read_bounce(text) == (Kind.BOUNCED, found, family)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("421 4.7.0 try again later", "policy"),
        ("450 4.2.0 greylisted", "mailbox"),
        ("451 temporary local problem", "throttle"),
        ("452 4.2.2 over quota", "mailbox"),
        ("454 TLS not available", "policy"),
        ("4.4.7 still trying", "throttle"),
        ("4.7.28 rate limited", "reputation"),
    ],
)
def test_a_first_digit_of_four_asks_for_another_try(text: str, family: str) -> None:
    assert read_bounce(text) == (Kind.DEFERRED, None, family)


@pytest.mark.parametrize(
    "text", ["530 5.7.0 authentication required", "535 bad login", "550 5.7.8 credentials invalid"]
)
def test_our_own_login_that_failed_is_no_bounce(text: str) -> None:
    assert read_bounce(text).kind is Kind.FAILED


@pytest.mark.parametrize(
    ("text", "told", "family"),
    [
        ("550 5.7.1 spam", HARD, "policy"),
        ("552 5.2.2 full", BLOCK, "mailbox"),
        ("421 4.4.2 gone", SOFT, "domain"),
        ("no words that tell", HARD, None),
    ],
)
def test_the_providers_class_wins_and_the_words_give_the_family(
    text: str, told: BounceClass, family: str | None
) -> None:
    assert read_bounce(text, told) == (Kind.BOUNCED, told, family)


def test_the_enhanced_code_wins_over_the_basic_one_and_the_words() -> None:
    assert read_bounce("550 5.2.2 user unknown, spam").bounce_class is SOFT
    assert read_bounce("552 5.7.1 mailbox full").bounce_class is BLOCK


def test_microsoft_uses_two_codes_otherwise() -> None:
    rejected = "550 5.4.1 Recipient address rejected: Access denied"
    unavailable = "550 5.5.0 Requested action not taken: mailbox unavailable"

    assert (read_bounce(rejected).bounce_class, read_bounce(rejected, microsoft=True).bounce_class) == (SOFT, HARD)
    assert (read_bounce(unavailable).bounce_class, read_bounce(unavailable, microsoft=True).bounce_class) == (
        SOFT,
        HARD,
    )


def test_addresses_and_versions_are_no_codes() -> None:
    assert read_bounce("host 192.5.7.1 said: 550 no such user").bounce_class is HARD
    assert family_of("Exchange 15.5.7.1 said unknown user") == "mailbox"
