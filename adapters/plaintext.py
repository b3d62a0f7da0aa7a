"""The words of a mail's text parts: line ends, format=flowed (RFC 3676), the frame of an OpenPGP signature, HTML.

HTML becomes text by inscriptis. No pattern here may look ahead without end: a megabyte of `<` would keep it busy for hours.
"""

import re
from typing import Final

MOST_HTML: Final = 2**20
"""Characters of HTML that are read; what comes behind them is quoted history or an attack."""
_TAGS: Final = re.compile(r"<[^<>]*>")
_HIDING: Final = re.compile(r"<(/?)(style|script|head)\b[^<>]*>", re.IGNORECASE)
_DEEP: Final = 300
_SIGNED: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = "-----BEGIN PGP SIGNATURE-----"
_SIGNATURE_END: Final = "-----END PGP SIGNATURE-----"


def tidy(text: str) -> str:
    """Text with plain line ends and without the frame of an inline OpenPGP signature."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _unsigned(text) if _SIGNED in text else text


def unflowed(text: str, *, delete_space: bool) -> str:
    """Paragraphs of format=flowed as one line each; `delete_space` is the parameter DelSp.

    Source: RFC 3676 section 4: a line that ends in a space goes on in the next of the same quote depth, but `-- ` ends
    a text; one space before a line's words is stuffing.
    """
    kept: list[str] = []
    pending: list[str] = []
    depth_before = 0
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        words = line[depth:].removeprefix(" ")
        ends = words == "-- "
        if pending and (depth != depth_before or ends):
            kept.append(_quoted(depth_before, pending))
            pending = []
        if words.endswith(" ") and not ends:
            pending.append(words[:-1] if delete_space else words)
        else:
            kept.append(_quoted(depth, [*pending, words]))
            pending = []
        depth_before = depth
    if pending:
        kept.append(_quoted(depth_before, pending))
    return "\n".join(kept)


def _quoted(depth: int, pieces: list[str]) -> str:
    words = "".join(pieces)
    return f"{'>' * depth} {words}" if depth and words else ">" * depth + words


def _unsigned(text: str) -> str:
    """What was signed, of a text in OpenPGP's cleartext framework (RFC 9580 section 7)."""
    before, _, rest = text.partition(_SIGNED)
    _, blank, body = rest.partition("\n\n")  # the armour headers end at an empty line
    words, marker, signature = body.partition(_SIGNATURE)
    if not blank or not marker:
        return text
    after = signature.partition(_SIGNATURE_END)[2]
    lines = [line.removeprefix("- ") for line in words.split("\n")]
    return before + "\n".join(lines).rstrip("\n") + "\n" + after.lstrip("\n")


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
