"""Reading a mail as it came over the wire: text, headers, addresses, attachments' names, reports. Never raises.

The standard library's `email` does the parsing, with its lenient policy: the strict one refuses odd headers. HTML becomes
text by inscriptis.
"""

import codecs
import re
from collections.abc import Iterable
from datetime import UTC
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

import msgspec

MOST_HTML: Final = 2**20
"""Bytes of HTML that are read; what comes behind them is quoted history or an attack."""
_MOST_PARTS: Final = 200
# No pattern here may look ahead without end: a megabyte of `<` would keep it busy for hours.
_TAGS: Final = re.compile(r"<[^<>]*>")
_HIDING: Final = re.compile(r"<(/?)(style|script|head)\b[^<>]*>", re.IGNORECASE)
_DEEP: Final = 300
# No mail has these. Punycode takes time by the square of the length: a second for 300 kB.
_PYTHONS_OWN: Final = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})


class Mail(msgspec.Struct, frozen=True):
    """A mail. `headers` has lower-case names, repeated ones joined by a line break; `at_ms` is the Date header's time.

    `reports` are the parts of a report (RFC 3462): its type, and the blocks of fields of its machine-readable part;
    `returned` are the headers of the mail that a report is about.
    """

    headers: dict[str, str]
    text: str
    attachments: list[str]
    at_ms: int | None
    report: str | None = None
    blocks: list[dict[str, str]] = []
    returned: dict[str, str] = {}


def read_mail(raw: bytes) -> Mail:
    """The mail that some bytes hold."""
    message = message_from_bytes(raw)
    plain: list[str] = []
    rich: list[str] = []
    attachments: list[str] = []
    blocks: list[dict[str, str]] = []
    returned: dict[str, str] = {}
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind in {"message/delivery-status", "message/feedback-report"}:
            blocks += _blocks(part)
        elif kind in {"message/rfc822", "text/rfc822-headers"}:
            returned = returned or _returned(part)
        elif (name := _filename(part)) is not None or not kind.startswith("text/"):
            attachments.append(name or kind)
        else:
            (rich if kind == "text/html" else plain).append(_text_of(part))
    text = "\n".join(plain) if any(one.strip() for one in plain) else "\n".join(map(text_of_html, rich))
    headers = headers_of(_pairs(message))
    report = str(message.get_param("report-type") or "").lower() or None
    return Mail(headers, text, attachments, date_ms(headers.get("date")), report, blocks, returned)


def _pairs(message: Message) -> list[tuple[str, str]]:
    """A mail's headers in order; bytes that are no ASCII as the UTF-8 that RFC 6532 allows."""
    raw = [(key, str(value)) for key, value in message.raw_items()]
    return [(key, in_charset(value.encode("utf-8", "surrogateescape"), None)) for key, value in raw]


def _leaves(message: Message) -> list[Message]:
    """Parts that hold something, in order; inside of returned mails nothing is looked for."""
    found: list[Message] = []
    waiting = [message]
    while waiting and len(found) < _MOST_PARTS:
        part = waiting.pop(0)
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting = _inside(part) + waiting
        else:
            found.append(part)
    return found


def _inside(part: Message) -> list[Message]:
    """The messages in a part; none where it holds text, whose `get_payload` can fail on odd charsets."""
    inner = part.get_payload() if part.is_multipart() else []
    return [one for one in inner if isinstance(one, Message)]


def _filename(part: Message) -> str | None:
    """The name of an attachment; None for a part that is shown."""
    try:
        name = part.get_filename()
        shown = part.get_content_disposition() != "attachment"
    except (ValueError, TypeError, LookupError):
        return "attachment"
    return None if shown and not name else decoded(name or "attachment")


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return in_charset(payload if isinstance(payload, bytes) else b"", part.get_content_charset())


def in_charset(raw: bytes, charset: str | None) -> str:
    """Bytes as text: in the charset told where it fits, else UTF-8, else Windows-1252."""
    for name in (charset, "utf-8", "cp1252"):
        if name:
            try:
                text = raw.decode(name) if _is_charset(name) else ""
                text.encode()  # UTF-7 can hold lone surrogates
            except (LookupError, ValueError):
                continue
            if text or not raw:
                return text
    return raw.decode("utf-8", "replace")


def _is_charset(name: str) -> bool:
    """Whether it is a charset of mails, and none of Python's own encodings."""
    return codecs.lookup(name).name not in _PYTHONS_OWN


def text_of_html(html: str) -> str:
    """What a reader of the HTML sees, as text."""
    html = _shown(html[:MOST_HTML])
    if html.count("<") - html.count("</") > MOST_HTML // 50 or _is_deep(html):
        return _TAGS.sub(" ", html)  # a parser would walk it for minutes, or not come back
    from inscriptis import get_text  # noqa: PLC0415 - only HTML-only mails need it, and it is slow to import

    try:
        return str(get_text(html)).strip()
    except Exception:  # noqa: BLE001 - whatever is wrong with the HTML, its words are wanted
        return _TAGS.sub(" ", html)


def _shown(html: str) -> str:
    """The HTML without comments, styles, scripts and head; what is not closed hides all that follows."""
    kept: list[str] = []
    at = 0
    while (start := html.find("<!--", at)) >= 0:
        kept.append(html[at:start])
        end = html.find("-->", start)
        at = end + 3 if end >= 0 else len(html)
    html, kept = "".join([*kept, html[at:]]), []
    at, hidden = 0, ""
    for tag in _HIDING.finditer(html):
        name = tag[2].lower()
        if not hidden and not tag[1]:
            kept.append(html[at : tag.start()])
            hidden = name
        elif hidden == name and tag[1]:
            hidden, at = "", tag.end()
    return " ".join(kept if hidden else [*kept, html[at:]])


def _is_deep(html: str) -> bool:
    """Whether elements lie in one another absurdly deep."""
    depth = 0
    for found in re.finditer(r"<(/?)(?:div|table|td|tr|span|b|i|font|blockquote|ul|li|p)\b", html, re.IGNORECASE):
        depth += -1 if found[1] else 1
        if depth > _DEEP:
            return True
    return False


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
    found: dict[str, str] = {}
    for key, value in pairs:
        name = key.strip().lower()
        text = " ".join(decoded(value.encode("utf-8", "replace").decode("utf-8", "replace")).split())
        found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


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
    return [address for _, address in getaddresses([text for text in texts if text]) if "@" in address]


def ids_in(text: str | None) -> list[str]:
    """Message ids without their brackets, in order."""
    found = re.findall(r"<([^<>\s]+)>", text or "")
    return found or [one.strip("<>") for one in (text or "").split() if "@" in one]


def _blocks(part: Message) -> list[dict[str, str]]:
    """The groups of fields in a report's machine-readable part."""
    if part.is_multipart():
        return [headers_of((key, str(value)) for key, value in one.items()) for one in _inside(part)]
    parsed = [
        message_from_bytes(one.encode("utf-8", "replace")) for one in re.split(r"\r?\n\r?\n", _text_of(part)) if one
    ]
    return [headers_of(_pairs(one)) for one in parsed]


def _returned(part: Message) -> dict[str, str]:
    if part.is_multipart():
        return next((headers_of(_pairs(one)) for one in _inside(part)), {})
    return headers_of(_pairs(message_from_bytes(_text_of(part).encode("utf-8", "replace"))))
