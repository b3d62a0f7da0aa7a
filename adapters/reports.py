"""Reports that come as mail: what happened to which recipient of the message that they are about.

Delivery status notifications by RFC 3464 (RFC 6533 for addresses beyond ASCII), feedback reports by RFC 5965, and
bounces in words as qmail (https://cr.yp.to/proto/qsbmf.txt), Exim (specification, "Bounce messages") and old Sendmail and
Exchange servers write them.
"""

import re
from collections.abc import Iterator
from email.parser import HeaderParser
from typing import Final

import msgspec

from adapters.bounces import add_family, read_bounce
from adapters.contract import Rejected
from adapters.facts import bare_address, rejected_item
from adapters.mime import Mail, addresses_in, headers_of, ids_in
from adapters.reading import unmapped
from schemas.events import BounceClass, Kind
from schemas.failures import BadEvent

_ACTIONS: Final = {
    "failed": Kind.BOUNCED,
    "delayed": Kind.DEFERRED,
    "delivered": Kind.DELIVERED,
    "relayed": Kind.DELIVERED,
    "expanded": Kind.DELIVERED,
}
_BY_STATUS: Final = {"5": "failed", "4": "delayed", "2": "delivered"}
"""The action of a block without one, by the first digit of its status."""
_FEEDBACK: Final = {
    "abuse": Kind.COMPLAINED,
    "fraud": Kind.COMPLAINED,
    "virus": Kind.COMPLAINED,
    "other": Kind.COMPLAINED,
    "opt-out": Kind.UNSUBSCRIBED,
    "opt-out-list": Kind.UNSUBSCRIBED,
    # not-spam, auth-failure (RFC 6591): unmapped.
}
_SMTP_TYPES: Final = frozenset({"", "rfc822", "utf-8", "smtp"})
_TYPE: Final = re.compile(r"\s*([A-Za-z0-9-]*)\s*;")
_ESCAPED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
# Exchange sends its reports as MicrosoftExchange and 32 hex digits.
_DAEMON: Final = re.compile(
    r"^(?:mailer[-_]?daemon|mail[-_]?daemon|mdaemon|postmaster|microsoftexchange[0-9a-f]{32})@", re.IGNORECASE
)
_COPY: Final = re.compile(
    r"^[ \t]*-{2,}.{0,40}\b(?:copy of|original message|returned message|undelivered message|message header)",
    re.IGNORECASE | re.MULTILINE,
)
_RECIPIENT: Final = re.compile(
    r"""^[ \t]{0,20}[<'"(]?([^\s<>@'"(),;:]{1,64}@[^\s<>@'"(),;:]{1,255})[>'")]?(?::|[ \t]|\(|$)"""
)
_DELAYED: Final = re.compile(
    r"\bdelayed\b|still (?:being )?(?:undelivered|trying)|will be retried|has not (?:yet )?been delivered"
    r"|could not send message for|not (?:need to )?resend|will continue to (?:try|be)",
    re.IGNORECASE,
)
_FINAL: Final = re.compile(r"permanent(?:ly)? (?:fatal )?(?:error|fail)|given up|giving up", re.IGNORECASE)
_EXIM: Final = ((re.compile("unrouteable address", re.IGNORECASE), "5.1.2"),)
"""What Exim says without a code -> the code that it means."""
_MOST_TEXT: Final = 2**16
_MOST_LINES: Final = 12
"""Lines below a recipient's that may tell why; what follows speaks to the reader in general."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of one recipient, None where it tells none."""

    kind: Kind
    recipient: str | None
    attributes: dict[str, str]
    bounce_class: BounceClass | None = None
    reason: str | None = None


class Report(msgspec.Struct, frozen=True):
    """A report: its findings and what of it could not be used, the Message-ID and the headers of what it is about."""

    findings: list[Finding]
    rejected: list[Rejected]
    message_id: str | None
    returned: dict[str, str]


def read_report(mail: Mail, sender: str | None) -> Report | None:
    """The report that a mail is; None where it is none.

    Raises:
        BadEvent: a report of something that has no kind here.
    """
    returned = mail.returned
    rejected: list[Rejected] = []
    if mail.report == "delivery-status":
        findings = list(_delivery_status(mail, rejected))
        if findings or rejected:
            return Report(findings, rejected, _message_id(mail, returned), returned)
    elif mail.report == "feedback-report" and mail.feedback:
        return Report(list(_feedback(mail)), [], _message_id(mail, returned), returned)
    elif mail.report == "disposition-notification":  # RFC 8098: a program says that it was shown, or thrown away
        raise unmapped("a report", "disposition-notification")
    if "x-failed-recipients" in mail.headers or (sender and _DAEMON.match(sender)):
        notice, copy = _parted(mail.text[:_MOST_TEXT])
        returned = returned or copy
        return Report(_in_words(mail, notice, returned), [], _message_id(mail, returned), returned)
    return None


def _message_id(mail: Mail, returned: dict[str, str]) -> str | None:
    """The Message-ID of what a report is about: by its headers, else by the fields that name it."""
    texts = [returned.get("message-id")]
    texts += [block.get(name) for block in mail.status for name in ("x-original-message-id", "original-message-id")]
    texts.append(mail.headers.get("in-reply-to"))
    found = next((ids[0] for text in texts if (ids := ids_in(text))), None)
    return found or next(reversed(ids_in(mail.headers.get("references"))), None)


def _delivery_status(mail: Mail, rejected: list[Rejected]) -> Iterator[Finding]:
    """One finding a recipient; the first block is about the whole message."""
    made = 0
    for block in mail.status:
        recipient = _address(block.get("original-recipient")) or _address(block.get("final-recipient"))
        if recipient is None:
            continue
        told, status = block.get("action", "").lower(), block.get("status", "")
        named = re.match(r"[a-z]+", told)
        action = named[0] if named else _BY_STATUS.get(status[:1], "")
        kind = _ACTIONS.get(action)
        if kind is None:
            bad = unmapped("a delivery status notification", told or "no action")
            rejected.append(rejected_item(block, bad.reason, str(bad), made))
            continue
        diagnostic = _untyped(block.get("diagnostic-code"))
        bounce_class = None
        if kind is Kind.BOUNCED:
            bounce_class = read_bounce(f"{status} {diagnostic or ''}", final=True).bounce_class or BounceClass.SOFT
        attributes = {name: value for name, value in block.items() if name in {"action", "status", "remote-mta"}}
        attributes["report"] = "delivery-status"
        add_family(attributes, kind, None, bounce_class, status, diagnostic)
        made += 1
        yield Finding(
            kind=kind,
            recipient=recipient,
            attributes=attributes,
            bounce_class=bounce_class,
            reason=diagnostic or status or None,
        )


def _untyped(text: str | None) -> str | None:
    """What stands behind the type of a field such as `smtp; 550 no such user`."""
    if not text:
        return None
    found = _TYPE.match(text)
    return text[found.end() if found else 0 :].strip() or None


def _address(text: str | None) -> str | None:
    """The address in a field such as `rfc822; ada@example.com`; None for X.400 and the like."""
    if not text:
        return None
    found = _TYPE.match(text)
    if found and found[1].lower() not in _SMTP_TYPES:
        return None
    address = bare_address(text[found.end() if found else 0 :].strip())
    address = _ESCAPED.sub(_unescaped, address.partition(" (")[0])  # RFC 6533 section 3
    return address.strip("<> ") or None


def _unescaped(found: re.Match[str]) -> str:
    point = int(found[1], 16)
    return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else found[0]


def _feedback(mail: Mail) -> Iterator[Finding]:
    """One finding a recipient; a report that keeps them to itself has one without."""
    block: dict[str, str] = {}
    for one in mail.feedback:
        block |= one
    told = block.get("feedback-type", "").lower()
    kind = _FEEDBACK.get(told)
    if kind is None:
        raise unmapped("a feedback report", told or "no feedback-type")
    attributes = {name: value for name, value in block.items() if name in {"feedback-type", "user-agent", "source-ip"}}
    attributes["report"] = "feedback-report"
    texts = [line for name in ("original-rcpt-to", "removal-recipient") for line in block.get(name, "").split("\n")]
    for recipient in dict.fromkeys(addresses_in(*(_untyped(text) for text in texts))) or [None]:
        yield Finding(kind=kind, recipient=recipient, attributes=attributes, reason=told)


def _parted(text: str) -> tuple[str, dict[str, str]]:
    """A bounce's own words, and the headers of the message that it has copied below them."""
    found = _COPY.search(text)
    if found is None:
        return text, {}
    below = text[found.end() :].partition("\n")[2].lstrip("\n \t")
    return text[: found.start()], headers_of(
        (key, str(value)) for key, value in HeaderParser().parsestr(below + "\n\n").items()
    )


def _in_words(mail: Mail, notice: str, returned: dict[str, str]) -> list[Finding]:
    """What a bounce without a machine-readable part says.

    Raises:
        BadEvent: the words name no refusal.
    """
    named = addresses_in(mail.headers.get("x-failed-recipients"))
    sections = _sections(notice)
    is_delay = _DELAYED.search(f"{mail.headers.get('subject', '')}\n{notice}") and not _FINAL.search(notice)
    if named:
        whole = {recipient: sections.get(recipient, notice) for recipient in named}
    else:
        whole = {recipient: text for recipient, text in sections.items() if is_delay or _tells(text)}
    if not whole and (is_delay or _tells(notice)):
        whole = {next(iter(addresses_in(returned.get("to"))), ""): notice}
    if not whole:
        raise BadEvent("unmapped: bounce in words", "a mail of a mail server that names no refusal")
    return [_worded(recipient or None, text, is_delay=bool(is_delay)) for recipient, text in whole.items()]


def _sections(notice: str) -> dict[str, str]:
    """The lines below each line that begins with a recipient's address."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in notice.split("\n"):
        address = _RECIPIENT.match(line)
        if address and not _DAEMON.match(address[1]):
            lines = found.setdefault(address[1], [])
            lines.append(line[address.end() :])
        elif lines is not None and len(lines) < _MOST_LINES:
            lines.append(line)
    return {recipient: "\n".join(texts) for recipient, texts in found.items()}


def _coded(text: str) -> str:
    return next((f"{code} {text}" for words, code in _EXIM if words.search(text)), text)


def _tells(text: str) -> bool:
    found = read_bounce(_coded(text))
    return found.kind is not Kind.BOUNCED or found.bounce_class is not None


def _worded(recipient: str | None, text: str, *, is_delay: bool) -> Finding:
    found = read_bounce(_coded(text), final=not is_delay)
    kind = Kind.DEFERRED if is_delay else Kind.BOUNCED
    bounce_class = None if is_delay else found.bounce_class or BounceClass.SOFT
    attributes = {"report": "bounce in words"}
    add_family(attributes, kind, found.family, bounce_class)
    lines = [line.strip() for line in text.split("\n") if line.strip(" \t:")]
    reason = next((line for line in lines if re.search(r"\b[45]\d\d\b|\b[45]\.\d{1,3}\.\d{1,3}\b", line)), None)
    return Finding(
        kind=kind,
        recipient=recipient,
        attributes=attributes,
        bounce_class=bounce_class,
        reason=reason or next(iter(lines), None),
    )
