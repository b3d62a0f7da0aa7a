"""What the sender of a reply wrote, apart from the quoted thread, the signature and notices.

Every word of the text is in one of the four parts; in doubt it is in `written`.
"""

import re
from typing import Final, NamedTuple

from features.replies.characters import MOST_RAW, cut, tidied
from features.replies.markup import is_markup, read_markup
from features.replies.notices import notice_lines, without_tag
from features.replies.quotes import quoted_lines, unfolded
from features.replies.signatures import signature_lines, split_closing

_GAPS: Final = re.compile(r"\n[ \n]*\n")


class Cleaned(NamedTuple):
    """The parts of a reply: the sender's words, earlier messages, the sender's signature, notices by machines.

    `quoted` holds invitations and what lies beyond `MOST_CHARACTERS`, too; what lies beyond `MOST_RAW` is in no part.
    """

    written: str
    quoted: str
    signature: str
    disclaimer: str


def clean(text: str) -> Cleaned:
    r"""The parts of a reply's text, which may be HTML; any text is read, and none raises.

    >>> clean("Not now.\n\n-- \nJo\n\nOn Mon, 2 Mar 2026, Al <al@example.com> wrote:\n> Hi").written
    'Not now.'
    """
    quoted, signature = [], []
    if is_markup(text):
        page = read_markup(text)
        text, quoted, signature = page.text, [page.quoted], [page.signature]
    text, rest = cut(tidied(text[:MOST_RAW]))
    lines = unfolded(text)
    is_quoted = quoted_lines(lines)
    tags = _untag(lines, is_quoted)
    is_notice, is_invitation = notice_lines(lines, [not q for q in is_quoted])
    is_open = [
        not (quote or notice or invitation)
        for quote, notice, invitation in zip(is_quoted, is_notice, is_invitation, strict=True)
    ]
    closing = _last_closing(lines, is_open)
    is_signed = signature_lines(lines, is_open)
    written = [line for line, mine, signed in zip(lines, is_open, is_signed, strict=True) if mine and not signed]
    quoted += [_chosen(lines, [q or i for q, i in zip(is_quoted, is_invitation, strict=True)]), rest]
    signature += [_chosen(lines, is_signed), closing]
    return Cleaned(
        _joined("\n".join(written)),
        _joined("\n\n".join(quoted)),
        _joined("\n".join(signature)),
        _joined("\n".join([*tags, _chosen(lines, is_notice)])),
    )


def _untag(lines: list[str], is_quoted: list[bool]) -> list[str]:
    """Takes tags of outside mail from the first lines; the tags."""
    for at, line in enumerate(lines[:12]):
        if is_quoted[at]:
            break
        if line.strip():
            tag, lines[at] = without_tag(line)
            if tag:
                return [tag]
    return []


def _last_closing(lines: list[str], is_open: list[bool]) -> str:
    """Takes a closing with a name from the end of the last line of the sender's words."""
    for at in range(len(lines) - 1, -1, -1):
        if is_open[at] and lines[at].strip():
            lines[at], closing = split_closing(lines[at])
            return closing
    return ""


def _chosen(lines: list[str], wanted: list[bool]) -> str:
    return "\n".join(line for line, is_wanted in zip(lines, wanted, strict=True) if is_wanted)


def _joined(text: str) -> str:
    """Text without spaces at its ends and with single empty lines."""
    return _GAPS.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()
