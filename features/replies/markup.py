"""A reply in HTML as text, apart from what the mail clients mark as quotation and as signature.

Gmail, Yahoo, Thunderbird, Apple Mail and Proton put quotations into elements of their own; Outlook puts one empty element
above them. Above a quotation in Gmail's element a person may have answered between the lines: only its inner
quotations are left out then.
"""

import re
from typing import Final, NamedTuple

from lxml import html as lxml_html
from lxml.html import HtmlElement

_MOST_MARKUP: Final = 2**18
"""Characters of HTML, without styles and comments, that are read."""
_MOST_RAW: Final = 2**20
_MOST_DEEP: Final = 250
_WHOLE: Final = re.compile(r"<(?:!doctype html|html|body)\b", re.IGNORECASE)
_MOST_TAGS: Final = 12_000
_TAG: Final = re.compile(
    r"</?(?:html|body|div|p|br|table|tr|td|span|blockquote|font|b|i|a|ul|ol|li|pre|img|meta)\b[^<>]{0,600}>",
    re.IGNORECASE,
)
_SURE: Final = re.compile(r"<(?:!doctype html|html\b|body\b|div\b|br ?/?>|p>|p |table\b|blockquote\b)", re.IGNORECASE)
_TAGS: Final = re.compile(r"<[^<>]{0,2000}>")
_HIDING: Final = re.compile(r"<(/?)(style|script|head|title)\b[^<>]{0,500}>", re.IGNORECASE)
_BLOCKS: Final = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_SPACED: Final = frozenset({"p", "blockquote", "h1", "h2", "h3", "ul", "ol", "table", "pre"})
_QUOTES: Final = re.compile(
    r"(?:^|\s)(?:gmail_quote|gmail_quote_container|gmail_extra|yahoo_quoted|yahoo-quoted|moz-cite-prefix|gmail_attr"
    r"|protonmail_quote|zmail_extra|zm_quote|mail_quote|hey_quote|front-blockquote|tutanota_quote|ms-outlook-reply"
    r"|qt-original|OutlookMessageHeader|WordSection1_quoted|isReplyContent|ntes_quote|foxmail_quote)(?:\s|$)",
    re.IGNORECASE,
)
_BELOW: Final = re.compile(
    r"^(?:x_)*(?:appendonsend|divRplyFwdMsg|reply-intro|ms-outlook-mobile-body-separator-line|mail-editor-reference-message-container|isReplyContent|origbody)$",
    re.IGNORECASE,
)
_SIGNS: Final = re.compile(
    r"(?:^|\s)(?:gmail_signature|moz-signature|protonmail_signature_block|x?_?signature|elementToProof_sig"
    r"|ms-outlook-mobile-signature|AppleMailSignature|zmail_signature|apple-mail-signature)(?:\s|$)",
    re.IGNORECASE,
)
_HIDDEN: Final = re.compile(r"display: ?none|mso-hide: ?all|font-size: ?0(?:px)?(?:;|$)|max-height: ?0", re.IGNORECASE)


class Page(NamedTuple):
    """The text of a reply in HTML, and what of it its mail client marked as quoted and as signature."""

    text: str
    quoted: str
    signature: str


def is_markup(text: str) -> bool:
    """Whether a text is HTML rather than words that mention a tag."""
    if "<" not in text:
        return False
    head = text[:_MOST_RAW]
    sure = _SURE.search(head)
    if sure is None:
        return False
    if head.lstrip()[:1] == "<" or _WHOLE.search(head):
        return True
    count = sum(1 for _ in zip(_TAG.finditer(head), range(3), strict=False))
    return count > 2 and "</" in head


def read_markup(text: str) -> Page:
    """The parts of a reply in HTML; what no parser can read loses its tags only."""
    source = _shown(text[:_MOST_RAW])[:_MOST_MARKUP]
    if source.count("<") > _MOST_TAGS or _is_deep(source):
        return Page(_TAGS.sub(" ", source), "", "")
    try:
        tree = lxml_html.document_fromstring(source.replace("\x00", ""))
        quoted, signature = _take_quotes(tree), _take_signatures(tree)
        return Page(_text_of(tree), quoted, signature)
    except (ValueError, AssertionError, LookupError, lxml_html.etree.LxmlError, RecursionError):
        return Page(_TAGS.sub(" ", source), "", "")


def _shown(source: str) -> str:
    """The HTML without comments, styles, scripts and head; what is not closed hides all that follows."""
    kept: list[str] = []
    at = 0
    while (start := source.find("<!--", at)) >= 0:
        kept.append(source[at:start])
        end = source.find("-->", start)
        at = end + 3 if end >= 0 else len(source)
    source, kept = "".join([*kept, source[at:]]), []
    at, hidden = 0, ""
    for tag in _HIDING.finditer(source):
        name = tag[2].lower()
        if not hidden and not tag[1]:
            kept.append(source[at : tag.start()])
            hidden = name
        elif hidden == name and tag[1]:
            hidden, at = "", tag.end()
    return " ".join(kept if hidden else [*kept, source[at:]])


def _is_deep(source: str) -> bool:
    depth = 0
    for found in re.finditer(r"<(/?)(?:br|img|hr|meta|input|link|col|wbr|p|li|td|tr)?[a-z]?", source, re.IGNORECASE):
        if found[0].lower() in {
            "<br",
            "<img",
            "<hr",
            "<meta",
            "<input",
            "<link",
            "<col",
            "<wbr",
            "<p",
            "<li",
            "<td",
            "<tr",
        }:
            continue
        depth += -1 if found[1] else 1
        if depth > _MOST_DEEP:
            return True
    return False


def _take_quotes(tree: HtmlElement) -> str:
    """Removes what mail clients mark as quoted; its text."""
    taken: list[str] = []
    for element in list(tree.iter("blockquote", "div", "span", "hr", "table", "section")):
        if not _is_in(element, tree):
            continue
        name = str(element.get("id") or "")
        if _BELOW.match(name):
            taken.append(_take_below(element))
            break
        if _is_quote(element):
            inner = [
                part for part in element.iter("blockquote", "div") if part is not element and _is_inner_quote(part)
            ]
            outer = [part for part in inner if not any(above in inner for above in part.iterancestors())]
            blocks = [part for part in outer if part.tag == "blockquote"]
            parts = outer if blocks and element.tag == "div" else [element]
            taken += [_take(part) for part in parts]
    return "\n".join(taken)


def _is_quote(element: HtmlElement) -> bool:
    if element.tag == "blockquote":
        return _is_inner_quote(element)
    return (
        element.tag in {"div", "span", "table", "section"}
        and _QUOTES.search(str(element.get("class") or "")) is not None
    ) or bool(
        re.match(
            r"yahoo_quoted|isForwardContent|isReplyContent|replySplit", str(element.get("id") or ""), re.IGNORECASE
        )
    )


def _is_inner_quote(element: HtmlElement) -> bool:
    if element.tag == "blockquote":
        style = str(element.get("style") or "").replace(" ", "").lower()
        # Gmail and Outlook indent by a blockquote without a border.
        return not (
            "border:none" in style or ("margin-left" in style and "border" not in style and not element.get("class"))
        )
    return "gmail_attr" in str(element.get("class") or "") or "moz-cite-prefix" in str(element.get("class") or "")


def _is_in(element: HtmlElement, tree: HtmlElement) -> bool:
    """Whether an element is still part of the tree."""
    top = element
    while (parent := top.getparent()) is not None:
        top = parent
    return top is tree


def _take(element: HtmlElement) -> str:
    text = _text_of(element)
    element.drop_tree()
    return text


def _take_below(element: HtmlElement) -> str:
    """Removes an element and all that follows it in the document; its text."""
    taken: list[str] = []
    current: HtmlElement | None = element
    first = True
    while current is not None and (parent := current.getparent()) is not None:
        following = list(current.itersiblings())
        if first:
            taken += [_text_of(current), current.tail or ""]
        else:
            taken.append(current.tail or "")
        for sibling in following:
            taken += [_text_of(sibling), sibling.tail or ""]
            parent.remove(sibling)
        current.tail = None
        if first:
            parent.remove(current)
            first = False
        current = parent
    return "\n".join(taken)


def _take_signatures(tree: HtmlElement) -> str:
    taken: list[str] = []
    for element in list(tree.iter("div", "span", "table", "pre")):
        named = f"{element.get('class') or ''} {element.get('id') or ''} {element.get('data-smartmail') or ''}"
        if _SIGNS.search(named) and _is_in(element, tree):
            taken.append(_take(element))
    return "\n".join(taken)


def _text_of(element: HtmlElement) -> str:
    """What a reader sees of an element, block by block."""
    pieces: list[str] = []
    _write(element, pieces)
    text = "".join(pieces)
    text = re.sub(r" *\n *", "\n", re.sub(r"[ \t\r\xa0]+", " ", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _write(root: HtmlElement, pieces: list[str]) -> None:
    """Writes an element's text; walks without recursion, for the depth is the sender's choice."""
    stack: list[tuple[HtmlElement, bool]] = [(root, False)]
    while stack:
        element, is_end = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""
        if is_end:
            if tag in _BLOCKS:
                pieces.append("\n\n" if tag in _SPACED else "\n")
            elif tag == "td":
                pieces.append(" ")
            _tail(element, root, pieces)
            continue
        if not tag or tag in {"style", "script", "title", "head"} or _HIDDEN.search(str(element.get("style") or "")):
            _tail(element, root, pieces)
            continue
        if tag == "br":
            pieces.append("\n")
        elif tag == "hr":
            pieces.append("\n____________________\n")
        elif tag in _BLOCKS and pieces and not pieces[-1].endswith("\n"):
            pieces.append("\n")
        if element.text:
            pieces.append(" ".join(element.text.split("\n")) if tag != "pre" else element.text)
        stack.append((element, True))
        stack += [(child, False) for child in reversed(element)]


def _tail(element: HtmlElement, root: HtmlElement, pieces: list[str]) -> None:
    if element is not root and element.tail:
        pieces.append(" ".join(element.tail.split("\n")))
