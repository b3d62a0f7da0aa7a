"""Which lines at the end of what a person wrote are a signature: closing, name, position, telephone; footers of apps.

In doubt a line stays the writer's: a lone name, a sentence, a contact card that the text points to, a postscript.
"""

import re
from typing import Final

from features.replies.notices import paragraphs
from features.replies.signature_words import (
    CLOSINGS,
    COMPANIES,
    CONTACTS,
    FOOTERS,
    PLACES,
    SHORT_CLOSINGS,
    THANKS,
    TITLES,
)

_NAME_WORD: Final = r"(?:[^\W\d_a-zß-öø-ÿ][\w.'’-]*|d[aeiou]s?|v[ao]n|der|den|la|le|y|e|von|zu|af|ter|ten|&|/|\+)"
_NAME: Final = rf"(?:{_NAME_WORD} ?,? ?){{1,5}}"
_CLOSING: Final = re.compile(
    rf"[ *_]*(?:{THANKS}(?: (?:and|und|et|y|e|en|och|i|&))?[,.!]? )?{CLOSINGS}(?P<rest>.*)", re.IGNORECASE
)
_SHORT: Final = re.compile(rf"[ *_]*(?i:{SHORT_CLOSINGS})[ ,.!–—-]*(?:{_NAME})?[*_ .,!]*")
_THANKS: Final = re.compile(rf"[ *_]*(?i:{THANKS})[ ,.!。！–—~-]*(?:{_NAME})?[*_ .,!]*")
_FOOTER: Final = re.compile(rf"[ *_<\[(.-]*(?:{FOOTERS})", re.IGNORECASE)
_DELIMITER: Final = re.compile(r" {0,2}(?:--|—|––|__) ?")
_RULE: Final = re.compile(r" *(?:[-_=*＊~－―─━◆◇■□☆★+#・･·.:]{4,}|[-–—_]{3,}) *")
_POSTSCRIPT: Final = re.compile(
    r" *(?:p\. ?s\.?|ps|p\. ?d\.?|n\. ?b\.|追伸|又及|附言|ps\d?)\s*[:.：,-]? ?\w", re.IGNORECASE
)
_DASH_NAME: Final = re.compile(rf" *[-–—~/]{{1,2}} ?{_NAME} *")
_BARE_NAME: Final = re.compile(rf"[ *_]*{_NAME}[ *_.]*")
_GREETING: Final = re.compile(
    r"[ *_¡]*(?:hej|salut|servus|ciao|saludos?|(?:un )?cordial saludo|b(?:om|oa|uen|uenas?|uon|uona) |iyi |selam|love|miłego"
    r"|gr(?:ü|ue)(?:ß|ss) (?:gott|dich|euch|sie))",
    re.IGNORECASE,
)
"""Closings that open mails as well: never taken as a closing in the first line."""
_POINTING: Final = re.compile(
    r"[:：]\s*$|\b(?:below|following|unten|folgende|ci-dessous|suivante?s?|abajo|siguientes?|abaixo|seguintes?|seguenti?"
    r"|sotto|hieronder|volgende|nedan|följande|poniżej|poniższ\w+|następując\w+)\b|下記|以下|如下",
    re.IGNORECASE,
)
"""Ends of a text that point to the contact data below it."""
_INLINE_CLOSING: Final = re.compile(rf"(?<=[.!?。！])\s+(?=(?i:{CLOSINGS})[,.!]? *(?:{_NAME})?$)")
_TITLE: Final = re.compile(TITLES, re.IGNORECASE)
_COMPANY: Final = re.compile(COMPANIES, re.IGNORECASE)
_CONTACT: Final = re.compile(CONTACTS, re.IGNORECASE)
_PLACE: Final = re.compile(PLACES, re.IGNORECASE)
_ENDS: Final = (".", "!", "?", "。", "！", "？", ")", "…")
_LONGEST: Final = 160
"""Longer lines are no lines of a signature."""
_MOST_BELOW: Final = 25
"""Filled lines that a signature may have."""


def split_closing(line: str) -> tuple[str, str]:
    """A last line's words, and a closing with a name that follows them on the same line."""
    if len(line) > 2000:
        return line, ""
    found = _INLINE_CLOSING.search(line, max(0, len(line) - 100))
    return (line[: found.start()], line[found.end() :]) if found else (line, "")


def signature_lines(lines: list[str], open_lines: list[bool]) -> list[bool]:
    """For each line of what a person wrote (`open_lines`) whether it belongs to a signature."""
    signed = [False] * len(lines)
    for at, line in enumerate(lines):
        if open_lines[at] and len(line) <= _LONGEST and _FOOTER.match(line):
            signed[at] = True
    filled = [at for at, line in enumerate(lines) if open_lines[at] and not signed[at] and line.strip()]
    if not filled:
        return signed
    if _DELIMITER.fullmatch(lines[filled[-1]]):
        signed[filled[-1]] = True  # what stood below it was marked as a signature, or was no text
    for run in _runs(lines, open_lines):
        _sign(lines, [at for at in run if not signed[at] and lines[at].strip()], signed)
    return signed


def _runs(lines: list[str], open_lines: list[bool]) -> list[list[int]]:
    """Indices of lines of the writer's between quotations; empty lines between belong to none."""
    runs: list[list[int]] = []
    current: list[int] = []
    for at in range(len(lines)):
        if open_lines[at]:
            current.append(at)
        elif lines[at].strip() and current:
            runs.append(current)
            current = []
    return [*runs, current] if current else runs


def _sign(lines: list[str], filled: list[int], signed: list[bool]) -> None:
    start = _start(lines, filled)
    if start is None:
        return
    keep = False
    previous = start - 1
    for at in (index for index in filled if index >= start):
        if _POSTSCRIPT.match(lines[at]):
            keep = True
        elif keep and at > previous + 1:
            keep = False  # an empty line ends a postscript
        signed[at] = not keep
        previous = at


def _start(lines: list[str], filled: list[int]) -> int | None:
    """The first line of the signature among filled lines of the writer's, None without one."""
    begin = max(0, len(filled) - _MOST_BELOW)
    for number in range(len(filled)):
        at = filled[number]
        below = filled[number + 1 :]
        if _DELIMITER.fullmatch(lines[at]) and 0 < len(below) <= _MOST_BELOW:
            return at
        if number < begin:
            continue
        line = lines[at]
        if len(line) > _LONGEST:
            continue
        if _RULE.fullmatch(line) and below and _is_card(lines, below):
            return at
        first = number == 0
        if (first and _GREETING.match(line)) or not line.strip():
            continue
        if is_closing(line) and _is_signature(lines, below, named=False, first=first):
            return at
        if below and _THANKS.fullmatch(line) and _is_signature(lines, below, named=True):
            return below[0]
    return _unclosed(lines, filled) if filled else None


def is_closing(line: str) -> bool:  # noqa: PLR0911 - one return a ground
    """Whether a line is a closing, with or without a name behind it."""
    if len(line) > 90:
        return False
    if _SHORT.fullmatch(line):
        return True
    found = _CLOSING.match(line)
    if found is None:
        return False
    rest = found["rest"].strip(" *_")
    if not rest or not rest.strip(",.!;:。，！-–—/"):
        return True
    if rest[0].isalnum() and not found["rest"].startswith(" "):
        return False  # a longer word that begins like a closing
    if len(rest) > 45 or "?" in rest or (re.search(r"\d", rest) and not _CONTACT.search(rest)):
        return False
    rest = rest.lstrip(",.!;:/|–—- ")
    return (
        re.fullmatch(_NAME, rest) is not None
        or re.match(
            r"(?:aus|from|de|depuis|desde|uit|från|z|da|dal|dalla|an|i\.? ?a\.?|und|and|et|y|e|en|och|to you|to all|/)\b",
            rest,
            re.IGNORECASE,
        )
        is not None
        or _CLOSING.match(rest) is not None
    )


def _is_signature(  # noqa: PLR0911 - one return a ground
    lines: list[str], below: list[int], *, named: bool, first: bool = False
) -> bool:
    """Whether all that follows a closing may be a signature.

    `named` asks for a name in the first line; `first` that a closing with nothing above it is followed by more.
    """
    if len(below) > _MOST_BELOW:
        return False
    if not below:
        return not named
    if named and not (
        _BARE_NAME.fullmatch(lines[below[0]]) or _is_evidence(lines[below[0]]) or is_closing(lines[below[0]])
    ):
        return False
    proven = False
    plain = 0
    for number, at in enumerate(below):
        line = lines[at].strip()
        if _POSTSCRIPT.match(line):
            return True
        if _is_evidence(line):
            proven = True
        elif _is_sentence(line) and not is_closing(line) and not _THANKS.fullmatch(line):
            slogan = proven or (plain > 1 and at == below[number - 1] + 1)
            if not slogan or line.endswith(("?", "？")):
                return False
        elif (number > 5 or _is_lower(line, number)) and not proven:
            return False
        else:
            plain += 1
    return proven or not first or (len(below) <= 2 and _BARE_NAME.fullmatch(lines[below[0]]) is not None)


def _is_lower(line: str, number: int) -> bool:
    """Whether the first line below a closing begins with a small letter, and not with a title such as dr. or ppa."""
    return number == 0 and line[0].islower() and not line.split(maxsplit=1)[0].endswith(".")


def _is_card(lines: list[str], below: list[int]) -> bool:
    """Whether lines below a rule are contact data."""
    if len(below) > _MOST_BELOW or _is_sentence(lines[below[0]].strip()):
        return False
    evidence = sum(_is_evidence(lines[at]) for at in below)
    return evidence * 3 >= len(below) and _is_signature(lines, below, named=False)


def _is_evidence(line: str) -> bool:
    """Whether a line holds what signatures hold: telephone, address, position, company."""
    if len(line) > _LONGEST or (_is_sentence(line.strip()) and len(line.split()) > 7):
        return False
    return bool(_CONTACT.search(line) or _TITLE.search(line) or _COMPANY.search(line) or _PLACE.search(line))


def _is_sentence(line: str) -> bool:
    """Whether a line reads like a sentence."""
    if len(line) > _LONGEST or line.endswith("?"):
        return True
    if re.search("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]", line):
        return line.endswith(("。", "！", "？")) or (
            len(line) > 24 and not _CONTACT.search(line) and not _PLACE.search(line)
        )
    words = line.split()
    if line.endswith((".", "!", ":", "…")):
        return len(words) >= 4 and sum(word[:1].islower() for word in words) >= 2
    return len(words) >= 7 and sum(word[:1].islower() for word in words) * 2 > len(words)


def _unclosed(lines: list[str], filled: list[int]) -> int | None:
    """The start of a signature that no closing announces."""
    last = filled[-1]
    if len(filled) > 1 and len(lines[last]) <= 60 and _DASH_NAME.fullmatch(lines[last]):
        return last
    chosen = set(filled)
    blocks = paragraphs(lines, [at in chosen for at in range(last + 1)] + [False] * (len(lines) - last - 1))
    start: int | None = None
    for begin, end in reversed(blocks[-3:]):
        block = range(begin, end)
        evidence = sum(_is_evidence(lines[at]) for at in block)
        if any(len(lines[at]) > _LONGEST or _is_sentence(lines[at].strip()) for at in block):
            break
        if not evidence and not (start is not None and len(block) == 1 and _BARE_NAME.fullmatch(lines[begin])):
            break
        start = begin
    if start is None:
        return None
    size = sum(at >= start for at in filled)
    evidence = sum(_is_evidence(lines[at]) for at in filled if at >= start)
    named = _BARE_NAME.fullmatch(lines[start].split(",")[0].split("|")[0]) is not None
    before = [at for at in filled if at < start]
    if not before:
        return start if named and evidence >= 2 and size >= 3 else None
    ended = lines[before[-1]].rstrip(" *_").endswith(_ENDS) or len(lines[before[-1]].split()) >= 5
    pointing = _POINTING.search(lines[before[-1]][-25:]) is not None or lines[before[-1]].rstrip().endswith(",")
    strong = (size >= 2 and named and evidence * 2 >= size - 1) or (evidence >= 2 and evidence == size)
    return start if strong and ended and not pointing else None
