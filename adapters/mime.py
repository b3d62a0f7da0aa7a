"""Reading a mail as it came over the wire: text, headers, addresses, attachments' names, parts of a report. Never raises.

The standard library's `email` does the parsing, with its lenient policy: the strict one refuses odd headers.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

import msgspec

from adapters.charsets import in_charset
from adapters.plaintext import text_of_html, tidy, unflowed
from adapters.smime import signed_content

__all__ = ["Mail", "addresses_in", "date_ms", "headers_of", "ids_in", "in_charset", "read_mail", "text_of_html"]

_MOST_PARTS: Final = 200
_MOST_NESTED: Final = 100
"""The standard library's parser calls itself for each multipart in another; at some 300 it ends with a RecursionError."""
_MOST_STEPS: Final = 20_000_000
"""It also looks at every line once for each multipart around it: 20 million looks take 1.5 s, so beyond them a mail is cut."""
_MOST_DELIMITERS: Final = 10_000
"""A part costs it 20 µs, however small."""
_LONGEST_PART: Final = 2**20
"""Bytes of headers, and of a report's machine-readable part, that are read: 10,000 recipients and more."""
_MOST_HEADERS: Final = 1_000
_LONGEST_HEADER: Final = 2**16
_MOST_BLOCKS: Final = 10_000
_NESTING: Final = re.compile(rb"boundary\s*=|message/(?:rfc822|global|news|external)", re.IGNORECASE)
_DELIMITER: Final = re.compile(rb"[\r\n]--")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_OPAQUE: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_RETURNED: Final = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})
_ENCODED: Final = frozenset({"base64", "quoted-printable"})
_ADDRESS: Final = re.compile(r"""[^\s<>@,;:'"()]{1,64}@[^\s<>@,;:'"()]{1,255}""")
_MARKUP: Final = re.compile(r"<[^<>]*>")


class Mail(msgspec.Struct, frozen=True):
    """A mail. `headers` has lower-case names, repeated ones joined by a line break; `at_ms` is the Date header's time.

    `report` is the type of a report (RFC 6522), `status` and `feedback` the blocks of fields of its machine-readable part
    (RFC 3464, RFC 5965); `returned` are the headers of the mail that it is about.
    """

    headers: dict[str, str]
    text: str
    attachments: list[str]
    at_ms: int | None
    report: str | None = None
    status: list[dict[str, str]] = []
    feedback: list[dict[str, str]] = []
    returned: dict[str, str] = {}


def read_mail(raw: bytes) -> Mail:
    """The mail that some bytes hold."""
    message = _parsed(raw)
    attachments: list[str] = []
    status: list[dict[str, str]] = []
    feedback: list[dict[str, str]] = []
    returned: dict[str, str] = {}
    told = _parameter(message, "report-type")
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind in _STATUS:
            status += _blocks(part)
        elif kind == "message/feedback-report":
            feedback += _blocks(part)
        elif kind in _RETURNED:
            returned = returned or _returned(part)
            if told is None:
                attachments.append(_filename(part) or kind)
        elif not _is_shown(part):
            attachments.append(_filename(part) or kind)
    report = "delivery-status" if status else "feedback-report" if feedback else told
    headers = headers_of(_pairs(message))
    return Mail(
        headers, _text_of(message, 0), attachments, date_ms(headers.get("date")), report, status, feedback, returned
    )


class _Readable(Compat32):
    """The lenient policy, with bytes beyond ASCII in headers read as the UTF-8 that RFC 6532 allows."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        del name
        raw = str(value)[:_LONGEST_HEADER]
        return raw if raw.isascii() else in_charset(raw.encode("utf-8", "surrogateescape"), None)


_POLICY: Final = _Readable()


def _parsed(raw: bytes) -> Message:
    """The standard library's tree of a mail."""
    try:
        return _opened(message_from_bytes(_tamed(raw), policy=_POLICY))
    except Exception:  # noqa: BLE001 - its bugs with hostile mails are many; the headers are read line by line
        return BytesHeaderParser(policy=_POLICY).parsebytes(raw[: 2**20])


def _opened(message: Message) -> Message:
    """The tree with the mails inside of opaque signatures as parts of it."""
    for part in _leaves(message):
        if part.get_content_type() in _OPAQUE and (content := signed_content(_bytes_of(part))) is not None:
            del part["content-transfer-encoding"]
            del part["content-disposition"]
            part.replace_header("content-type", "multipart/signed")
            part.set_payload([message_from_bytes(_tamed(content), policy=_POLICY)])
    return message


def _tamed(raw: bytes) -> bytes:
    """A mail, without what would keep the parser busy for minutes."""
    end = _HEAD_END.search(raw)
    if end and end.start() > _LONGEST_PART:
        raw = raw[: raw.rfind(b"\n", 0, _LONGEST_PART) + 1] + raw[end.start() :]
    nested = 0
    for nested, found in enumerate(_NESTING.finditer(raw), 1):
        if nested > _MOST_NESTED:
            raw = raw[: found.start()]
            break
    if not nested:
        return raw
    for parts, found in enumerate(_DELIMITER.finditer(raw), 1):
        if parts > _MOST_DELIMITERS:
            raw = raw[: found.start()]
            break
    blocks = raw.find(b"delivery-status", end.end() if end else 0)
    if blocks >= 0 and (raw.find(b"\n--", blocks) + 1 or len(raw)) - blocks > _LONGEST_PART:
        raw = raw[: blocks + _LONGEST_PART]
    while (nested + 1) * (raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")) > _MOST_STEPS:
        raw = raw[: len(raw) // 2]
    return raw


def _parameter(message: Message, name: str) -> str | None:
    with suppress(ValueError, TypeError, LookupError, AttributeError):
        return str(message.get_param(name) or "").lower() or None
    return None


def _pairs(message: Message) -> list[tuple[str, str]]:
    """A mail's headers in order."""
    return [(key, str(value)) for key, value in message.items()[:_MOST_HEADERS]]


def _inner(part: Message) -> list[Message]:
    """The parts of a multipart."""
    return _parts(part) if part.get_content_maintype() == "multipart" else []


def _parts(part: Message) -> list[Message]:
    """The messages in a part of any kind; none where it holds text."""
    held = part.get_payload() if part.is_multipart() else []
    return [one for one in held if isinstance(one, Message)]


def _undecoded(part: Message) -> bytes:
    """What a part holds before its transfer encoding is undone; nothing for a multipart.

    `get_payload` alone would take the charset that the part names, whatever codec of Python that is.
    """
    coded = part.get_all("content-transfer-encoding", [])
    del part["content-transfer-encoding"]
    held = part.get_payload(decode=True)
    for one in coded:
        part["content-transfer-encoding"] = str(one)
    return held if isinstance(held, bytes) else b""


def _leaves(message: Message) -> list[Message]:
    """Parts that hold something, in order; inside of returned mails nothing is looked for."""
    found: list[Message] = []
    waiting = [message]
    while waiting and len(found) < _MOST_PARTS:
        part = waiting.pop()
        inner = _inner(part)
        if inner:
            waiting.extend(reversed(inner))
        else:
            found.append(part)
    return found


def _is_shown(part: Message) -> bool:
    """Whether a part is text for the reader; what has a file's name is an attachment, and so is a calendar."""
    return part.get_content_type() in _READ and _filename(part) is None


def _filename(part: Message) -> str | None:
    """The name of an attachment; None for a part that is shown."""
    try:
        name = part.get_filename()
        shown = part.get_content_disposition() != "attachment"
    except (ValueError, TypeError, LookupError, AttributeError):
        told = str(part.get("content-disposition", "")).lower()
        return "attachment" if "attachment" in told or part.get_content_maintype() != "text" else None
    if shown and not name:
        return None
    raw = str(name or "attachment").encode("utf-8", "surrogateescape")
    return " ".join(decoded(in_charset(raw, None)).split()) or "attachment"


def _text_of(part: Message, depth: int) -> str:
    """What a reader of the part sees: of alternatives the plain one, of other parts one below the other."""
    inner = _inner(part)[:_MOST_PARTS]
    if not inner:
        return _leaf_text(part) if _is_shown(part) else ""
    if depth > _MOST_NESTED:
        return ""
    if part.get_content_type() != "multipart/alternative":
        found = [_text_of(one, depth + 1) for one in inner]
        return "\n".join(text for text in found if text.strip())
    plain = [one for one in inner if not _is_rich(one)]
    for one in (*plain, *reversed(inner)):  # later ones are nearer to the original
        if (text := _text_of(one, depth + 1)).strip():
            return text
    return ""


def _is_rich(part: Message) -> bool:
    return any(one.get_content_type() == "text/html" for one in _leaves(part))


def _leaf_text(part: Message) -> str:
    return _READ[part.get_content_type()](part)


def _plain_text(part: Message) -> str:
    text = tidy(in_charset(_bytes_of(part), _charset_of(part)))
    if _parameter(part, "format") == "flowed":
        return unflowed(text, delete_space=_parameter(part, "delsp") == "yes")
    return text


def _html_text(part: Message) -> str:
    return text_of_html(in_charset(_bytes_of(part), _charset_of(part)))


def _marked_text(part: Message) -> str:
    return _MARKUP.sub("", _plain_text(part))


_READ: Final = {
    "text/plain": _plain_text,
    "text/html": _html_text,
    "text/markdown": _plain_text,
    "text/enriched": _marked_text,
}


def _charset_of(part: Message) -> str | None:
    """The charset that a part names; the standard library fails on a NUL in it, and on odd pieces of RFC 2231."""
    with suppress(ValueError, TypeError, LookupError):
        return part.get_content_charset()
    return None


def _bytes_of(part: Message) -> bytes:
    payload: object = None
    with suppress(ValueError, TypeError, LookupError, AttributeError):
        payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else _undecoded(part)


def decoded(text: str) -> str:
    """A header with its encoded words read (RFC 2047)."""
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    return "".join(piece if isinstance(piece, str) else in_charset(piece, charset) for piece, charset in pieces)


def headers_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by lower-case name, unfolded and readable; repeated ones in order, a line each."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        raw = value[:_LONGEST_HEADER].encode("utf-8", "replace").decode("utf-8", "replace")
        found.setdefault(key.strip().lower(), []).append(" ".join(decoded(raw).split()))
    return {name: "\n".join(texts) for name, texts in found.items()}


def date_ms(text: str | None) -> int | None:
    """Milliseconds since 1970 of a Date header; without a zone it counts as UTC. None where it is none."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text.split("\n", 1)[0])
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def addresses_in(*texts: str | None) -> list[str]:
    """The bare addresses in some headers, in order."""
    lines = [line for text in texts if text for line in text.split("\n")]  # repeated headers stand a line each
    try:
        found = [address for _, address in getaddresses(lines) if "@" in address]
    except (RecursionError, ValueError, IndexError, TypeError):  # comments in comments
        found = []
    return found or [one for line in lines for one in _ADDRESS.findall(line)]


def ids_in(text: str | None) -> list[str]:
    """Message ids without their brackets, in order."""
    found = re.findall(r"<([^<>\s]+)>", text or "")
    return found or [one.strip("<>") for one in (text or "").split() if "@" in one]


def _blocks(part: Message) -> list[dict[str, str]]:
    """The groups of fields in a report's machine-readable part."""
    if part.is_multipart() and str(part.get("content-transfer-encoding", "")).strip().lower() not in _ENCODED:
        groups = [group for one in _parts(part)[:_MOST_BLOCKS] for group in _groups_of(one)]
    else:
        groups = _fields_of(_hidden_bytes(part))
    return [group for group in groups if group]


def _groups_of(message: Message) -> list[dict[str, str]]:
    """A group that the parser has taken for a mail's headers, and those that it has taken for its text."""
    below = _undecoded(message)
    more = _fields_of(below) if below.strip() else []
    return [headers_of(_pairs(message)), *more]


def _fields_of(raw: bytes) -> list[dict[str, str]]:
    texts = re.split(rb"\r?\n[ \t]*\r?\n", raw)[:_MOST_BLOCKS]
    return [headers_of(_pairs(BytesHeaderParser(policy=_POLICY).parsebytes(one.lstrip()))) for one in texts]


def _hidden_bytes(part: Message) -> bytes:
    """The bytes of a part that the parser has taken for a mail before its transfer encoding was undone."""
    if not part.is_multipart():
        return _bytes_of(part)
    carrier = Message()
    carrier["content-transfer-encoding"] = str(part.get("content-transfer-encoding", ""))
    carrier.set_payload(b"\n".join(map(_undecoded, _parts(part))).decode("ascii", "surrogateescape"))
    return _bytes_of(carrier)


def _returned(part: Message) -> dict[str, str]:
    for one in _parts(part)[:1]:
        if found := headers_of(_pairs(one)):
            return found
    raw = _hidden_bytes(part).lstrip()
    return headers_of(_pairs(BytesHeaderParser(policy=_POLICY).parsebytes(raw[: 2**20])))
