"""What refusals mean, in the words that receivers really use."""

import pytest

from adapters import REGISTRY
from adapters.bounces import BASIC, ENHANCED, FAMILIES, PHRASES, WORDS, add_family, family_of, read_bounce
from schemas.events import BounceClass, Kind

HARD, SOFT, BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK
CASES: list[tuple[str, BounceClass | None, str | None]] = [
    ("550 5.1.1 The email account that you tried to reach does not exist", HARD, "mailbox"),
    ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", HARD, "mailbox"),
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
    ("554 5.3.0 mail system problem", SOFT, "domain"),
    ("554 5.4.0 network error", SOFT, "domain"),
    ("554 5.4.6 routing loop", SOFT, "domain"),
    ("550 5.4.7 delivery expired", SOFT, "throttle"),
    ("550 5.4.1 no answer from host", SOFT, "domain"),
    ("503 5.5.1 bad sequence of commands", SOFT, None),
    ("554 5.6.0 content rejected", BLOCK, "content"),
    ("550 5.1.8 sender's domain does not exist", BLOCK, "policy"),
    ("550 5.1.7 bad sender's mailbox address syntax", BLOCK, "policy"),
    ("550 5.7.1 message rejected as spam", BLOCK, "content"),
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
    ("501 syntax error", SOFT, None),
    ("unknown user", HARD, "mailbox"),
    ("host not found", HARD, "domain"),
    ("Host or domain name not found. Name service error for name=firm.example", HARD, "domain"),
    ("connection timed out", SOFT, "domain"),
    ("mailbox is full", SOFT, "mailbox"),
    ("550 5.1.10 null MX", HARD, "domain"),
    ("550 5.2.0 mailbox trouble", SOFT, "mailbox"),
    ("550 5.2.4 mailing list expansion problem", SOFT, "mailbox"),
    ("554 5.3.1 mail system full", SOFT, "mailbox"),
    ("554 5.3.2 system not accepting messages", SOFT, "domain"),
    ("554 5.3.5 system incorrectly configured", SOFT, "domain"),
    ("554 5.4.2 bad connection", SOFT, "domain"),
    ("554 5.4.3 directory server failure", SOFT, "domain"),
    ("554 5.4.5 congestion", SOFT, "throttle"),
    ("555 5.5.4 parameters not recognized", SOFT, None),
    ("550 5.5.3 too many recipients", SOFT, "throttle"),
    ("500 command not recognized", SOFT, None),
    ("502 not implemented", SOFT, None),
    ("503 bad sequence", SOFT, None),
    ("504 parameter not implemented", SOFT, None),
    ("555 unsupported parameters", SOFT, None),
    ("554 5.6.1 media not supported", BLOCK, "content"),
    ("550 5.7.1 relay not permitted", BLOCK, "policy"),
    ("554 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.example", BLOCK, "reputation"),
    ("550 5.7.20 no passing DKIM signature", BLOCK, "policy"),
    ("550 5.7.27 sender address has null MX", BLOCK, "policy"),
    ("550 5.7.509 access denied, sending domain does not pass DMARC", BLOCK, "reputation"),
    ("550 5.0.0 see 5.1.1 no such user", HARD, "mailbox"),
    ("550 5.0.0 user unknown", HARD, "mailbox"),
    ("550 our policy forbids it", BLOCK, "policy"),
    ("550 your SPF record is wrong", BLOCK, "policy"),
    ("550 DMARC", BLOCK, "policy"),
    ("550 poor reputation", BLOCK, "reputation"),
    ("550 sender verify failed", BLOCK, "policy"),
    ("550 user ada not listed in the directory", HARD, "mailbox"),
    ("550 5.4.1 Recipient address rejected: Access denied. [mx.outlook.example]", HARD, "mailbox"),
    ("550 5.5.0 Requested action not taken: mailbox unavailable", HARD, "mailbox"),
    ("550 5.2.1 The user you are trying to contact is receiving mail at a rate that is too high", HARD, "throttle"),
    ("something else entirely", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("text", "found", "family"), CASES)
def test_a_final_refusal_has_a_class_and_a_family(text: str, found: BounceClass | None, family: str | None) -> None:
    assert read_bounce(text) == (Kind.BOUNCED, found, family)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("421 4.7.0 try again later", "throttle"),
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
        ("550 5.7.1 spam", HARD, "content"),
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


@pytest.mark.parametrize(
    ("text", "found", "family"),
    [
        ("4.2.2 mailbox full", SOFT, "mailbox"),
        ("4.1.1 no such user, tried for days", SOFT, "mailbox"),
        ("4.4.7 delivery time expired", SOFT, "throttle"),
        ("450 4.7.1 greylisted", BLOCK, "throttle"),
        ("421 4.7.26 unauthenticated", BLOCK, "policy"),
        ("421 closing", SOFT, "throttle"),
        ("4.0.0", SOFT, None),
        ("550 5.1.1 no such user", HARD, "mailbox"),
        ("", None, None),
    ],
)
def test_once_the_sender_gave_up_a_temporary_refusal_is_soft_and_of_policy_a_block(
    text: str, found: BounceClass | None, family: str | None
) -> None:
    assert read_bounce(text, final=True) == (Kind.BOUNCED, found, family)


@pytest.mark.parametrize(
    ("text", "told", "family"),
    [
        pytest.param("550 requested action not taken", BLOCK, "policy", id="a bare 550 names no mailbox in a block"),
        pytest.param("550 no such user", BLOCK, "mailbox", id="words that name a mailbox do"),
        pytest.param("550 5.1.1", BLOCK, "mailbox", id="so does an enhanced code"),
        pytest.param("550 looks like spam", HARD, "content", id="words of spam in a hard bounce"),
        pytest.param("550 5.2.2 spam", HARD, "mailbox", id="the enhanced code before the words"),
        pytest.param("5.7.1", HARD, "policy", id="a policy code in a hard bounce"),
        pytest.param("250 2.0.0 queued", SOFT, None, id="a success tells nothing"),
    ],
)
def test_conflicting_signals_leave_the_class_and_settle_the_family(
    text: str, told: BounceClass, family: str | None
) -> None:
    assert read_bounce(text, told) == (Kind.BOUNCED, told, family)


@pytest.mark.parametrize(
    ("kind", "told", "texts", "family"),
    [
        pytest.param(Kind.BOUNCED, "reputation", ("550 5.1.1",), "reputation", id="the provider's class wins"),
        pytest.param(Kind.DEFERRED, None, ("4.2.2", None), "mailbox", id="else the code"),
        pytest.param(Kind.BOUNCED, None, ("5.0.0", "550 no such user"), "mailbox", id="else the words of any text"),
        pytest.param(Kind.BOUNCED, None, (None, ""), None, id="nothing tells nothing"),
        pytest.param(Kind.REJECTED, "mailbox", (), "mailbox", id="rejected by the provider's class"),
        pytest.param(Kind.REJECTED, None, ("550 5.1.1",), None, id="no receiver has spoken"),
        pytest.param(Kind.DELIVERED, "mailbox", ("550 5.1.1",), None, id="a delivery has no family"),
    ],
)
def test_an_event_gets_the_family_of_its_refusal(
    kind: Kind, told: str | None, texts: tuple[str | None, ...], family: str | None
) -> None:
    attributes: dict[str, str] = {}
    add_family(attributes, kind, told, None, *texts)

    assert attributes == ({} if family is None else {"bounce_family": family})


def test_every_family_of_the_tables_is_one_of_the_six() -> None:
    rows = [row[-1] for row in (*ENHANCED, *WORDS, *PHRASES)] + [family for _, family in BASIC.values()]
    own = [family for adapter in REGISTRY.values() for family in getattr(adapter, "FAMILIES", {}).values()]

    assert {*rows, *own} - {None, "words"} == set(FAMILIES)


def test_a_long_text_is_read_at_its_beginning() -> None:
    assert family_of("550 5.1.1 " + "x" * 10_000_000) == "mailbox"


def test_addresses_and_versions_are_no_codes() -> None:
    assert read_bounce("host 192.5.7.1 said: 550 no such user").bounce_class is HARD
    assert family_of("Exchange 15.5.7.1 said unknown user") == "mailbox"
    assert read_bounce("Exim 4.94.2 said: 550 5.1.1 gone").bounce_class is HARD
    assert read_bounce("message 512 of 550 bytes: 552 quota").bounce_class is SOFT
