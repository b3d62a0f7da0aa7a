"""The person and the mailbox that a reply points to, apart from the writer himself and from us."""

import re
from typing import Final, NamedTuple

from features.replies.folding import MOST_CHARACTERS, fold
from features.replies.people_cjk import find_cjk_name
from features.replies.reply_words import words

_ADDRESS: Final = re.compile(words("people", "address"), re.IGNORECASE | re.ASCII)
_AT: Final = re.compile(words("people", "at"), re.IGNORECASE)
_DOT: Final = re.compile(words("people", "dot"), re.IGNORECASE)
_DOMAIN_ALONE: Final = re.compile(r"\s@(?=\S)")
"""In "all mail to @firm.example" the word before is no mailbox."""
_NOT_A_PERSON: Final = re.compile(words("people", "not_a_person"), re.IGNORECASE)
_QUOTE: Final = re.compile(words("people", "quote"), re.MULTILINE)
"""Where the quoted thread begins, for texts that come uncleaned."""

_COPIED: Final = re.compile(words("people", "copied"), re.MULTILINE)
_SENDER: Final = re.compile(words("people", "sender"), re.MULTILINE)
_NAME: Final = re.compile(
    r"(?<![\w.'’-])(?:[^\W\d_](?:[^\W\d_]|['’](?=[^\W\d_]))*+(?:-[^\W\d_]++)*+)"
    r"(?:[ ](?:(?:de|da|do|dos|das|di|del|della|van|von|der|den|ter|zu|la|le|el|y|af|al|bin|ben|mac|[A-Z]\.)[ ]){0,3}"
    r"[^\W\d_a-z](?:[^\W\d_]|['’](?=[^\W\d_]))*+(?:-[^\W\d_]++)*+){0,3}(?![\w@])"
)
_TITLE: Final = re.compile(words("people", "title"))
_KEPT_TITLES: Final = re.compile(r"^(?:p|me|fr|hr|chef|de heer)\.?$")
_CUE: Final = re.compile(words("people", "cue"))
_STRONG: Final = re.compile(words("people", "strong"))
_AFTER: Final = re.compile(words("people", "after"))
_GONE: Final = re.compile(words("people", "gone"))
_VOCATIVE: Final = re.compile(r"^\s*[,:–—]")
"""What follows the name of a colleague who is addressed first of all, or by an @."""
_SELF: Final = re.compile(words("people", "self"))
NOT_NAMES: Final = frozenset(words("people", "not_names").split("|"))


class Referred(NamedTuple):
    """The person and the address that a reply names for the matter; either may be None."""

    name: str | None
    email: str | None


class _Address(NamedTuple):
    start: int
    end: int
    email: str


def unquoted(text: str) -> str:
    """The text up to its quoted thread, or all of it where nothing stands before one."""
    match = _QUOTE.search(fold(text))
    return text[: match.start()] if match and text[: match.start()].strip() else text


def referred(text: str, language: str, intent: str) -> Referred:
    """Whom and where to write instead: for referrals and automatic replies, else nobody."""
    if intent not in {"referral", "out_of_office"}:
        return Referred(None, None)
    text = unquoted(text[:MOST_CHARACTERS])
    folded = fold(text)
    addresses = _addresses(text)
    address = _best_address(folded, addresses, intent)
    if language in {"ja", "zh"}:
        name = find_cjk_name(folded, text, language, intent)
        if name is None and re.search(r"[A-Za-z]{3} [A-Z]", text):
            name = _best_name(folded, text, addresses, address, language, intent)
    else:
        name = _best_name(folded, text, addresses, address, language, intent)
    return Referred(name, address.email if address else None)


def copied(quoted: str) -> str | None:
    """The mailbox of the colleague to whom the writer passed our mail on, by the lines above it: "Cc:" and its like.

    None where nobody of another house than its sender's is named, or several are.
    """
    folded = fold(quoted[:MOST_CHARACTERS])
    senders = {one.email.partition("@")[2] for line in _SENDER.findall(folded) for one in _addresses(line)}
    found = {
        one.email
        for line in _COPIED.findall(folded)
        for one in _addresses(line)
        if one.email.partition("@")[2] not in senders and not _NOT_A_PERSON.match(one.email)
    }
    return found.pop() if len(found) == 1 else None


def stands_by(text: str, name: str | None, email: str | None) -> bool:
    """Whether a mailbox is told with somebody's name: in a demand to be removed, any other may be the writer's own."""
    if name is None or email is None or name not in text:
        return False
    rest = text[text.index(name) + len(name) :]
    return email in rest[: len(email) + _NEAR].lower()


def pointers(folded: str, start: int, end: int) -> tuple[bool, bool, bool, bool]:
    """Whether words of pointing or of greeting stand before a place, words of duty or of having left after it."""
    before, after = folded[max(0, start - 40) : start], folded[end : end + 60]
    return (
        _CUE.search(before) is not None,
        _SELF.search(before) is not None,
        _AFTER.match(after) is not None,
        _GONE.match(after) is not None,
    )


def addressed(text: str, person: Referred) -> tuple[int, str] | None:
    """Where the mailbox of a person stands in the text, and the mailbox."""
    if person.email is None:
        return None
    return next(((one.start, one.email) for one in _addresses(text) if one.email == person.email), None)


def _addresses(text: str) -> list[_Address]:
    found = (m for m in _ADDRESS.finditer(text) if not _DOMAIN_ALONE.search(m[0]))
    return [_Address(m.start(), m.end(), _plain(m[0])) for m in found]


def _plain(written: str) -> str:
    return _DOT.sub(".", _AT.sub("@", written)).lower().rstrip(".-_")


_NOT_THERE: Final = re.compile(words("people", "not_there"))
_NOT_THERE_AFTER: Final = re.compile(words("people", "not_there_after"))
_TELL: Final = re.compile(words("people", "tell"))


_FAILED: Final = re.compile(words("people", "failed"))
_HELD: Final = re.compile(words("people", "held"))
"""Words of mail that waits or was turned away, in the sentence of the mailbox it was for."""
_POINTED: Final = re.compile(words("people", "pointed"))
"""Who is told to write, before the address: it counts in a notice of mail that failed or waits, too."""
_LABEL: Final = re.compile(r"^(?:e-?mail|mail|m|e|t)?\s?[:.]?\s*$")
"""What stands before the address in a line of a signature."""
_MOST_ADDRESSES: Final = 30
_NEAR: Final = 12
"""Characters between a name and its mailbox."""


def _best_address(folded: str, addresses: list[_Address], intent: str) -> _Address | None:
    """The address that is named for the matter, not one that is gone, full, or the machine's own."""
    away = intent == "out_of_office"
    sign_off = _signature_start(folded)
    has_failed = away and _FAILED.search(folded[:sign_off]) is not None
    best, best_points = None, 0.0
    for place, one in enumerate(addresses[:_MOST_ADDRESSES]):
        if _NOT_A_PERSON.match(one.email):
            continue
        before, after = folded[max(0, one.start - 60) : one.start], folded[one.end : one.end + 40]
        points = 2.0 - 0.01 * place + bool(_TELL.search(before))
        is_pointed = _POINTED.search(before) is not None
        if away and not is_pointed and (has_failed or _HELD.search(_sentence(folded, one.start, one.end))):
            continue
        if _NOT_THERE_AFTER.match(after) or (away and _NOT_THERE.search(before) and not is_pointed):
            points -= 3
        line = folded[max(0, folded.rfind("\n", 0, one.start) + 1, one.start - 60) : one.start]
        if not away and one.start > sign_off and _LABEL.match(line):
            points -= 2.5
        if points > best_points:
            best, best_points = one, points
    return best


def _sentence(folded: str, start: int, end: int) -> str:
    """The sentence around a place, up to line ends."""
    begin = max(folded.rfind(mark, 0, start) for mark in (". ", "! ", "? ", "\n")) + 1
    ends = [at for mark in (". ", "! ", "? ", "\n") if (at := folded.find(mark, end)) >= 0]
    return folded[begin : min(ends, default=len(folded))]


def _best_name(
    folded: str, text: str, addresses: list[_Address], address: _Address | None, language: str, intent: str
) -> str | None:
    """The name with the most words around it that point to somebody, or None."""
    best, best_points = None, 2.9 if intent == "out_of_office" else 1.9
    sign_off = _signature_start(text)
    for match in _NAME.finditer(text):
        found = _candidate(folded, text, match, language)
        if found is None:
            continue
        start, end, name, titled = found
        if any(one.start <= start < one.end for one in addresses):
            continue
        points = _name_points(folded, text, start, end, titled=titled, language=language)
        points += _address_points(name, end, address)
        if start >= sign_off and points < 6:
            points -= 4
        points += 0.5 * (" " in name) - start / 20_000
        if points > best_points:
            best, best_points = name, points
    return best


def _candidate(folded: str, text: str, match: re.Match[str], language: str) -> tuple[int, int, str, bool] | None:
    """Start, end and words of a name, with its title, or None for what is no name."""
    start, end = match.span()
    words = text[start:end].split(" ")
    while words and (
        not words[0][:1].isupper()
        or re.split("['’]", fold(words[0]))[0] in NOT_NAMES
        or (len(words[0]) < 2)
        or (words[0].isupper() and len(words[0]) > 4)
    ):
        start += len(words[0]) + 1
        words = words[1:]
    while words and (not words[-1][:1].isupper() or fold(words[-1]) in NOT_NAMES):
        words = words[:-1]
    if not words or len(words) > 5:
        return None
    name = " ".join(words).removesuffix("'s").removesuffix("’s")
    title = _TITLE.search(folded[max(0, start - 24) : start])
    if title is None:
        one_noun = language == "de" and len(words) == 1
        return (
            None
            if one_noun and not _STRONG.search(folded[max(0, start - 30) : start])
            else (start, start + len(name), name, False)
        )
    end = start + len(name)
    if _KEPT_TITLES.match(title[1]):
        return start, end, name, True
    begin = max(0, start - 24) + title.start(1)
    return begin, end, text[begin:end], True


def _name_points(folded: str, text: str, start: int, end: int, *, titled: bool, language: str) -> float:
    before, after = folded[max(0, start - 60) : start], folded[end : end + 60]
    points = 2.0 * titled
    if cue := _CUE.search(before):
        near = re.split(r"[.!?;\n]", before)[-1][-40:]
        points += 3.0 if _STRONG.search(near) else 1.5
    if _AFTER.match(after):
        points += 3.0
    if _GONE.match(after):
        points -= 6.0
    if _SELF.search(before) and not cue:
        points -= 6.0
    several, sentence_start = " " in text[start:end], not before.strip() or before.rstrip()[-1:] in ".!?:\n/"
    if text[start - 1 : start] == "@" or (_VOCATIVE.match(after) and not text[:start].strip()):
        points += 2.5
    if language != "de" and not sentence_start:
        points += 1.0
    if several:
        points += 1.5 if before.rstrip()[-1:] == ":" else 1.0
    elif sentence_start and not titled and points < 2.5:
        points -= 3.0
    if language == "de" and not several and not titled:
        points -= 1.0
    return points


def _address_points(name: str, end: int, address: _Address | None) -> float:
    """What an address beside the name, or made of the name, adds."""
    if address is None:
        return 0.0
    points = 3.0 if 0 <= address.start - end < 8 else 0.0
    local = re.sub(r"[^a-z]", " ", address.email.split("@")[0])
    tokens = [t for t in re.findall(r"[a-z]{3,}", fold(name)) if t not in NOT_NAMES]
    if any(t in local.replace(" ", "") for t in tokens):
        points += 3.0
    return points


_SIGN_OFF: Final = re.compile(words("people", "sign_off"))


def _signature_start(text: str) -> int:
    """Where the writer signs off: after the words of parting, or at a last line that is only a name."""
    folded = fold(text)
    match = None
    for match in _SIGN_OFF.finditer(folded):  # noqa: B007  # the last one
        pass
    if match is not None and match.start() > 0:
        return match.start()
    last = text.rstrip().rfind("\n")
    return last + 1 if last > 0 and len(text.rstrip()) - last < 40 and "@" not in text[last:] else len(text)
