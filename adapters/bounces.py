"""What a receiver's refusal means: status codes and words to a bounce class and the family of its reason.

One table, from RFC 3463 and RFC 5248 (enhanced codes), RFC 5321 (basic codes), RFC 7504 (521, 556) and the receivers' own
pages on their 5.7.x codes (Google "SMTP error reference", Microsoft "Email non-delivery reports in Exchange Online").
Order of trust: the provider's class, the enhanced code, the basic code, the words.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.events import BounceClass, Kind

_HARD, _SOFT, _BLOCK = BounceClass.HARD, BounceClass.SOFT, BounceClass.BLOCK


class Bounce(NamedTuple):
    """`kind` is bounced, deferred or failed (our own login); `bounce_class` only of a bounce; `family` of the reason.

    Families: mailbox, domain, content, policy, reputation, throttle; None where nothing tells.
    """

    kind: Kind
    bounce_class: BounceClass | None
    family: str | None


ENHANCED: Final[tuple[tuple[str, BounceClass, str], ...]] = (
    # Pattern of `subject.detail`, class of a final refusal (5.x.x), family. The first that fits counts.
    (r"1\.(?:0|1|3|4|6)", _HARD, "mailbox"),  # no such mailbox, bad syntax, ambiguous, moved
    (r"1\.(?:2|10)", _HARD, "domain"),  # no such host; null MX (RFC 7505)
    (r"1\.[78]", _BLOCK, "policy"),  # the sender's address or domain is bad: our fault, the contact stays
    (r"2\.1", _HARD, "mailbox"),  # disabled
    (r"2\.2", _SOFT, "mailbox"),  # full
    (r"2\.3|3\.4", _SOFT, "content"),  # too large
    (r"[23]\.\d+", _SOFT, "mailbox"),  # mailbox or system trouble, list expansion
    (r"4\.4", _HARD, "domain"),  # cannot be routed: no mail host
    (r"4\.(?:5|7)", _SOFT, "throttle"),  # congestion, time ran out
    (r"4\.\d+", _SOFT, "domain"),  # no answer, routing, loop
    (r"5\.\d+", _SOFT, "policy"),  # protocol
    (r"6\.\d+", _BLOCK, "content"),  # content or encoding not accepted
    (r"7\.(?:2[0-7]|29)", _BLOCK, "policy"),  # DKIM, SPF, reverse DNS, DMARC, ARC (RFC 7372)
    (r"7\.(?:28|[567]\d\d)", _BLOCK, "reputation"),  # flood; Microsoft's banned and throttled senders
    (r"7\.\d+", _BLOCK, "policy"),  # not authorised, spam suspected
)
BASIC: Final[dict[str, tuple[BounceClass, str]]] = {
    "421": (_SOFT, "throttle"),
    "450": (_SOFT, "throttle"),
    "451": (_SOFT, "throttle"),
    "454": (_SOFT, "policy"),
    "452": (_SOFT, "mailbox"),
    "552": (_SOFT, "mailbox"),
    "550": (_HARD, "mailbox"),  # unless the words speak of policy
    "551": (_HARD, "mailbox"),
    "553": (_HARD, "mailbox"),
    "521": (_HARD, "domain"),  # RFC 7504: the host takes no mail
    "556": (_HARD, "domain"),
    "554": (_BLOCK, "policy"),  # unless the words speak of an unknown user
    "500": (_SOFT, "policy"),
    "501": (_SOFT, "policy"),
    "502": (_SOFT, "policy"),
    "503": (_SOFT, "policy"),
    "504": (_SOFT, "policy"),
    "555": (_SOFT, "policy"),
}
_NOBODY: Final = (
    r"(?:user|mailbox|recipient|address|account)s? (?:is )?(?:unknown|not found|does(?:n't| not) exist|unavailable"
    r"|disabled|inactive|rejected)|no such (?:user|mailbox|recipient|address|person)|unknown (?:user|recipient|mailbox)"
    r"|invalid (?:recipient|mailbox|address)"
)
WORDS: Final[tuple[tuple[str, BounceClass, str], ...]] = (
    (r"black ?list|block ?list|\brbl\b|dnsbl|spamhaus|barracuda|reputation|banned|listed", _BLOCK, "reputation"),
    (r"rate limit|too many|throttl|flood|exceed\w* .{0,20}(?:rate|connections)", _BLOCK, "throttle"),
    (r"\bspf\b|\bdkim\b|\bdmarc\b|reverse dns|\bptr\b|policy|not authori[sz]ed|authentication|relay", _BLOCK, "policy"),
    (r"spam|content|virus|malware|attachment|url in", _BLOCK, "content"),
    (r"block(?:ed)?\b|denied|refused by recipient", _BLOCK, "policy"),
    (r"over ?quota|quota|mailbox (?:is )?full|insufficient (?:system )?storage", _SOFT, "mailbox"),
    (r"grey ?list|try again|temporar", _SOFT, "throttle"),
    (_NOBODY, _HARD, "mailbox"),
    (r"(?:host|domain) (?:unknown|not found)|no such (?:host|domain)|nxdomain|no mx|null mx", _HARD, "domain"),
)

_CODE: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_BASIC_CODE: Final = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.]*\d)")
_ENHANCED: Final = tuple((re.compile(pattern), found, family) for pattern, found, family in ENHANCED)
_WORDS: Final = tuple((re.compile(pattern, re.IGNORECASE), found, family) for pattern, found, family in WORDS)
_OUR_LOGIN: Final = frozenset({"530", "535"})
_MOST_TEXT: Final = 2_000


@lru_cache(maxsize=8192)
def read_bounce(text: str, provider_class: BounceClass | None = None, *, microsoft: bool = False) -> Bounce:
    """What a refusal says; `provider_class` wins where the provider told one, and the family comes from the text.

    A first digit of 4 means that the receiver expects another try: deferred, or the class of a bounce when the provider
    has given up (then it tells a class). `microsoft`: the receiver is Exchange Online, which uses some codes otherwise.
    """
    text = text[:_MOST_TEXT]
    code = _CODE.search(text)
    basic = _BASIC_CODE.search(text)
    if provider_class is None and (
        (basic and basic[1] in _OUR_LOGIN) or (code and code[2] == "7.8" and code[1] == "5")
    ):
        return Bounce(Kind.FAILED, None, "policy")
    found, family = _by_code(code, text, microsoft=microsoft) if code else (None, None)
    if found is None:
        found, family = _by_basic(basic[1] if basic else "", text)
    if provider_class is not None:
        return Bounce(Kind.BOUNCED, provider_class, family)
    first = code[1] if code else basic[1][0] if basic else "5"
    if first == "4":
        return Bounce(Kind.DEFERRED, None, family)
    return Bounce(Kind.BOUNCED, found, family)


def family_of(text: str, bounce_class: BounceClass | None = None) -> str | None:
    """The family of a refusal's reason."""
    return read_bounce(text, bounce_class).family


def _by_code(code: re.Match[str], text: str, *, microsoft: bool) -> tuple[BounceClass | None, str | None]:
    if microsoft and code[2] == "4.1" and "recipient address rejected" in text.lower():
        return _HARD, "mailbox"
    if microsoft and code[2] == "5.0" and "mailbox unavailable" in text.lower():
        return _HARD, "mailbox"
    for pattern, found, family in _ENHANCED:
        if pattern.fullmatch(code[2]):
            return (_SOFT if code[1] == "4" and found is _HARD else found), family
    return None, None


def _by_basic(code: str, text: str) -> tuple[BounceClass | None, str | None]:
    said = next(((found, family) for pattern, found, family in _WORDS if pattern.search(text)), None)
    known = BASIC.get(code)
    if known is None:
        return said or (None, None)
    if said and (code in {"550", "554"} or said[0] is known[0]):  # these two alone leave it to the words
        return said
    return known
