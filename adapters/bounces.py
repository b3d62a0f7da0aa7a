"""What a receiver's refusal means: status codes and words to a bounce class and the family of its reason.

One table, from RFC 3463 and RFC 5248 (enhanced codes), RFC 5321 (basic codes), RFC 7504 (521, 556), RFC 7505 (null MX),
RFC 7372 (authentication) and the receivers' own pages on their 5.7.x codes (Google "SMTP error reference", Microsoft
"Email non-delivery reports in Exchange Online"). Order of trust: the provider's class, the enhanced code, the basic
code, the words. What each provider's own classes mean for the family stands in its adapter, beside its vocabulary.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.events import BounceClass, Kind

FAMILY: Final = "bounce_family"
"""The attribute that holds the family."""
FAMILIES: Final = ("mailbox", "domain", "content", "policy", "reputation", "throttle")

_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK


class Bounce(NamedTuple):
    """`kind` is bounced, deferred or failed (our own login); `bounce_class` only of a bounce; `family` of the reason.

    `family` is one of `FAMILIES`, None where nothing tells.
    """

    kind: Kind
    bounce_class: BounceClass | None
    family: str | None


PHRASES: Final[tuple[tuple[str, str, BounceClass, str], ...]] = (
    # Pattern of `subject.detail`, words beside it, class, family: where a receiver gives a code a meaning of its own.
    (r"4\.1", r"recipient address rejected", _HARD, "mailbox"),  # Microsoft: no such recipient
    (r"5\.0", r"mailbox unavailable", _HARD, "mailbox"),  # Microsoft, the same
    (r"1\.10", r"recipient ?not ?found", _HARD, "mailbox"),  # Microsoft, the same
    (r"2\.1", r"receiving mail (?:too quickly|at a rate)", _HARD, "throttle"),  # Gmail: too much mail to one person
)
ENHANCED: Final[tuple[tuple[str, BounceClass, str | None], ...]] = (
    # Pattern of `subject.detail`, class of a final refusal (5.x.x), family. The first that fits counts.
    (r"1\.(?:0|1|3|4|6)", _HARD, "mailbox"),  # no such mailbox, bad syntax, ambiguous, moved
    (r"1\.(?:2|10)", _HARD, "domain"),  # no such host; null MX
    (r"1\.[78]", _BLOCK, "policy"),  # the sender's address or domain is bad: our fault, the contact stays
    (r"2\.1", _HARD, "mailbox"),  # disabled
    (r"2\.2|3\.1", _SOFT, "mailbox"),  # full
    (r"2\.3|3\.4", _SOFT, "content"),  # too large
    (r"2\.\d+", _SOFT, "mailbox"),  # mailbox trouble, list expansion
    (r"3\.\d+", _SOFT, "domain"),  # trouble of the receiver's mail system
    (r"4\.4", _HARD, "domain"),  # cannot be routed: no mail host
    (r"4\.(?:5|7)|5\.3", _SOFT, "throttle"),  # congestion, time ran out, too many recipients
    (r"4\.\d+", _SOFT, "domain"),  # no answer, routing, loop
    (r"5\.\d+", _SOFT, None),  # protocol
    (r"6\.\d+", _BLOCK, "content"),  # content or encoding not accepted
    (r"7\.(?:2[0-7]|29)", _BLOCK, "policy"),  # DKIM, SPF, reverse DNS, DMARC, ARC
    (r"7\.(?:28|[567]\d\d)", _BLOCK, "reputation"),  # flood; Microsoft's banned and throttled senders
    (r"7\.\d+", _BLOCK, "words"),  # policy, not authorised, spam suspected: the words tell which
)
BASIC: Final[dict[str, tuple[BounceClass, str | None]]] = {
    "421": (_SOFT, "throttle"),
    "450": (_SOFT, "throttle"),
    "451": (_SOFT, "throttle"),
    "454": (_SOFT, "policy"),
    "452": (_SOFT, "mailbox"),
    "552": (_SOFT, "mailbox"),
    "550": (_HARD, "mailbox"),  # unless the words speak of policy
    "551": (_HARD, "mailbox"),
    "553": (_HARD, "mailbox"),
    "521": (_HARD, "domain"),  # the host takes no mail
    "556": (_HARD, "domain"),
    "554": (_BLOCK, "policy"),  # unless the words speak of an unknown user
    "500": (_SOFT, None),
    "501": (_SOFT, None),
    "502": (_SOFT, None),
    "503": (_SOFT, None),
    "504": (_SOFT, None),
    "555": (_SOFT, None),
}
_NOBODY: Final = (
    r"(?:user|mailbox|recipient|address|account)s? (?:is )?(?:unknown|not found|does(?:n't| not) exist|unavailable"
    r"|disabled|inactive|rejected)|no such (?:user|mailbox|recipient|address|person)|unknown (?:user|recipient|mailbox)"
    r"|invalid (?:recipient|mailbox|address)|not listed in|recipientnotfound"
)
WORDS: Final[tuple[tuple[str, BounceClass, str], ...]] = (
    (r"sender (?:address|domain|verif)|(?:verify|validate) (?:the )?sender", _BLOCK, "policy"),  # our own address
    (
        r"black ?list|block ?list|\brbl\b|dnsbl|spamhaus|barracuda|reputation|banned|(?<!not )\blisted\b",
        _BLOCK,
        "reputation",
    ),
    (
        r"rate[- ]limit|too many|throttl|flood|unusual rate|exceed\w* .{0,20}(?:rate|connections)|too quickly",
        _BLOCK,
        "throttle",
    ),
    (r"\bspf\b|\bdkim\b|\bdmarc\b|reverse dns|\bptr\b|policy|not authori[sz]ed|authenticat|relay", _BLOCK, "policy"),
    (r"spam|unsolicited|\bcontent|virus|malware|attachment|url in", _BLOCK, "content"),
    (r"block(?:ed)?\b|denied|refused by recipient", _BLOCK, "policy"),
    (r"over ?quota|quota|mailbox (?:is )?full|insufficient (?:system )?storage", _SOFT, "mailbox"),
    (r"(?:message|size|mail) (?:is )?too (?:large|big)|exceeds .{0,30}size|size exceeds", _SOFT, "content"),
    (r"gr[ea]y ?list|try again|try later|temporar", _SOFT, "throttle"),
    (_NOBODY, _HARD, "mailbox"),
    (
        r"(?:host|domain)(?: name)? (?:unknown|not found)|no such (?:host|domain)|nxdomain|no mx|null mx|unroute?able",
        _HARD,
        "domain",
    ),
    (r"unable to connect|connection (?:refused|timed out|reset|failed)|no route to host", _SOFT, "domain"),
)

_CODE: Final = re.compile(r"(?<![\d.])([45])\.([0-7]\.\d{1,3})(?![\d.]*\d)")
_BASIC_CODE: Final = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.]*\d)")
_PHRASES: Final = tuple((re.compile(code), re.compile(words), found, family) for code, words, found, family in PHRASES)
_ENHANCED: Final = tuple((re.compile(pattern), found, family) for pattern, found, family in ENHANCED)
_WORDS: Final = tuple((re.compile(pattern), found, family) for pattern, found, family in WORDS)
_UNKNOWN_USER: Final = re.compile(_NOBODY)
_OUR_LOGIN: Final = frozenset({"530", "535"})
_KNOWN_BASIC: Final = frozenset(BASIC) | _OUR_LOGIN
_MOST_TEXT: Final = 2_000
"""Characters that are read: a receiver's answer is a line or a few; the cache keeps what it has read."""


class _Reading(NamedTuple):
    """`first` digit of the code; `told`: whether more than a bare basic code gave class and family."""

    first: str
    bounce_class: BounceClass | None
    family: str | None
    told: bool
    our_login: bool


def read_bounce(text: str, provider_class: BounceClass | None = None, *, final: bool = False) -> Bounce:
    """What a refusal says; `provider_class` wins where the provider told one, and the family comes from the text.

    A first digit of 4 means that the receiver expects another try: deferred, or, when the sending server has given up
    (`final`), a soft bounce, of 4.7.x a block.
    """
    read = _read(text[:_MOST_TEXT])
    if provider_class is not None:
        return Bounce(Kind.BOUNCED, provider_class, _agreed(read, provider_class))
    if read.our_login and not final:
        return Bounce(Kind.FAILED, None, "policy")
    if read.first != "4":
        return Bounce(Kind.BOUNCED, read.bounce_class, read.family)
    if final:
        return Bounce(Kind.BOUNCED, read.bounce_class or _SOFT, read.family)
    return Bounce(Kind.DEFERRED, None, read.family)


def _agreed(read: _Reading, provider_class: BounceClass) -> str | None:
    """A bare code such as 550 names a mailbox only where the provider does not say that it was a block."""
    if read.told or read.bounce_class is provider_class or provider_class is not _BLOCK:
        return read.family
    return "policy" if read.bounce_class is not None else None


def family_of(text: str, bounce_class: BounceClass | None = None) -> str | None:
    """The family of a refusal's reason by its codes and words."""
    return read_bounce(text, bounce_class).family


REFUSALS: Final = frozenset({Kind.BOUNCED, Kind.DEFERRED, Kind.REJECTED})
"""Kinds whose reason has a family."""


def add_family(
    attributes: dict[str, str], kind: Kind, told: str | None, bounce_class: BounceClass | None, *texts: str | None
) -> None:
    """Puts the family of a refusal among an event's attributes, where something tells it.

    `told` is what the provider's own class means and wins; else the texts count, codes before words. A rejected message
    was never tried, so no receiver has spoken: there only the provider's class counts.
    """
    if kind is Kind.BOUNCED or kind is Kind.DEFERRED:
        family = told or family_of(" ".join(text for text in texts if text), bounce_class)
    else:
        family = told if kind is Kind.REJECTED else None
    if family is not None:
        attributes[FAMILY] = family


@lru_cache(maxsize=2048)
def _read(text: str) -> _Reading:
    low = text.lower()
    basic = next((code for code in _BASIC_CODE.findall(low) if code in _KNOWN_BASIC), "")
    first_code = ""
    our_login = basic in _OUR_LOGIN
    for first, code in _CODE.findall(low):
        first_code = first_code or first
        our_login = our_login or (first == "5" and code == "7.8")
        found = _by_code(first, code, low)
        if found is not None:
            return _Reading(first, *found, told=True, our_login=our_login)
    by_basic, family, told = _by_basic(basic, low)
    return _Reading(first_code or basic[:1] or "5", by_basic, family, told=told, our_login=our_login)


def _by_code(first: str, code: str, text: str) -> tuple[BounceClass, str | None] | None:
    for pattern, words, found, meant in _PHRASES:
        if pattern.fullmatch(code) and words.search(text):
            return (_SOFT if first == "4" else found), meant
    for pattern, found, told in _ENHANCED:
        if pattern.fullmatch(code):
            family = _policy_by_words(first, text) if told == "words" else told
            return (_SOFT if first == "4" and found is _HARD else found), family
    return None


def _policy_by_words(first: str, text: str) -> str:
    """What x.7.x without a detail is about; a temporary one is mostly a limit or a greylist."""
    wanted = (_BLOCK, _SOFT) if first == "4" else (_BLOCK,)
    said = next((family for pattern, found, family in _WORDS if found in wanted and pattern.search(text)), None)
    return said or ("throttle" if first == "4" else "policy")


def _by_basic(code: str, text: str) -> tuple[BounceClass | None, str | None, bool]:
    known = BASIC.get(code)
    if code == "554" and _UNKNOWN_USER.search(text):
        return _HARD, "mailbox", True
    said = next(((found, family) for pattern, found, family in _WORDS if pattern.search(text)), None)
    if known is None:
        return (*(said or (None, None)), said is not None)
    if said is None:
        return (*known, False)
    if code in {"550", "554"}:  # these two alone leave it to the words
        return (*said, True)
    return known[0], said[1], True
