"""Which lines of a mail quote earlier messages: `>` marks, "On … wrote:", blocks of From/Sent/To/Subject, separators.

Below a line that introduces a quotation all is quoted, unless the quotation bears `>` marks: then what bears none is the
writer's again (answers between the lines, answers at the bottom).
"""

import re
from bisect import bisect_left
from typing import Final

from features.replies.quote_words import LABELS, SEPARATORS, VERBS

_LONGEST_LINE: Final = 600
"""Longer lines introduce nothing; a header with many recipients is cut by mail clients before that."""
_MARK: Final = re.compile(r" {0,4}(?:[>＞](?!=)|[A-Z]{1,3}>(?=[ >]))")
_MARKUP: Final = " *_>\u200b"
_RULE: Final = re.compile(r"[ >]*[-_=*–—─━~+]{3,}[ ]*")
_VERB: Final = re.compile(
    rf"(?:(?<![^\W\d_])(?:{VERBS})(?![^\W\d_])|写道|寫道|님이 작성|のメール|のメッセージ)", re.IGNORECASE
)
_ADDRESS: Final = re.compile(r"[\w.+=%'-]{1,64}@[\w-]{1,63}\.[\w.-]{2,80}")
_FRAMED: Final = re.compile(r"[<(\[][^<>()\[\]\s]{1,64}@[\w-]{1,63}\.[\w.-]{2,80}(?:[^<>()\[\]]{0,90})?[>)\]]")
_DATE: Final = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}[:.h]\d\d\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|(?:19|20)\d\d ?年|\d{1,2}月\d{1,2}日"
)
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_OPENER: Final = re.compile(
    r"[ >*_]*(?:on|am|le|el|em|il|op|den|dne|dnia|w dniu|w|at|a|à|von|de|da|från|van|od|pe|ter|tarihinde|在|于|於)"
    r"[ :]|[ >*_]*(?:[^\W\d_]{2,10}[.,]{0,2} ?)?\d|[ >*_]*[-]{2,} ?(?:on|am|le|el) ",
    re.IGNORECASE,
)
_FRAMED_ATTRIBUTION: Final = re.compile(
    rf"-{{2,}} ?[^<>]{{0,120}}<[^<>\s]{{3,100}}>[^<>]{{0,30}}(?:{VERBS})[^<>]{{0,30}}-{{2,}}"
)
"""Zoho's "---- On … <…> wrote ----"."""
_INLINE: Final = re.compile(
    r"(?:(?<=[.!?。] )|(?<=  )|^)(?=(?:On|Am|Le|El|Em|Il|Op|Den|W dniu|Dnia|Dne) [^<>\n]{4,110}<[^<>\s]{3,100}>"
    rf",?[^<>:\n]{{0,40}}(?:{VERBS})[^<>:\n]{{0,40}}[:：])"
)
"""Where an introduction begins within a line: mails whose line ends were lost, Yahoo's app."""
_INLINE_END: Final = re.compile(rf"((?:{VERBS})[^<>:\n]{{0,40}} ?[:：])[ ]+(?=\S)")
_MOST_WRAPPED: Final = 3
"""Lines that an introduction may be wrapped over."""
_CONTINUED: Final = 66
"""A quoted line at least this long may have been wrapped so that its rest lost the mark."""


def unfolded(text: str) -> list[str]:
    """Lines, with introductions of quotations that stand inside a line on lines of their own."""
    lines: list[str] = []
    for line in text.split("\n"):
        if "<" in line and len(line) < 20 * _LONGEST_LINE and (found := _INLINE.search(line)):
            lines.append(line[: found.start()].rstrip())
            rest = line[found.start() :]
            end = _INLINE_END.search(rest)
            lines += [rest[: end.end(1)], rest[end.end() :]] if end else [rest]
        else:
            lines.append(line)
    return lines


def quoted_lines(lines: list[str]) -> list[bool]:
    """For each line whether it is part of a quotation or introduces one."""
    marked = [_MARK.match(line) is not None for line in lines]
    _mark_wrapped(lines, marked)
    quoted = list(marked)
    attributions = _attributions(lines, marked)
    filled = [index for index, line in enumerate(lines) if line.strip()]
    at = 0
    while at < len(lines):
        end = at if marked[at] else _introduction(lines, at, attributions)
        if end == at:
            at += 1
            continue
        quoted[_above(lines, at) : end] = [True] * (end - _above(lines, at))
        place = bisect_left(filled, end)
        if place == len(filled) or not marked[filled[place]]:
            quoted[end:] = [True] * (len(lines) - end)
            break
        at = filled[place]
    return quoted


def _mark_wrapped(lines: list[str], marked: list[bool]) -> None:
    """Marks the short rests of long quoted lines that a mail client wrapped."""
    for at in range(1, len(lines) - 1):
        line = lines[at]
        if marked[at] or not marked[at - 1] or not marked[at + 1] or not line.strip():
            continue
        if len(lines[at - 1]) >= _CONTINUED and len(line) <= 30 and (line[0].islower() or len(line.split()) == 1):
            marked[at] = True


def _introduction(lines: list[str], at: int, attributions: dict[int, int]) -> int:
    """The end of the lines at `at` that introduce a quotation; `at` itself when they do not."""
    if at in attributions:
        return attributions[at]
    line = lines[at]
    if len(line) > _LONGEST_LINE or not line.strip():
        return at
    if _FRAMED_ATTRIBUTION.fullmatch(line.strip()):
        return at + 1
    if is_separator(line):
        return _end_of_headers(lines, at + 1, separated=True) or at + 1
    if label_of(line):
        return _end_of_headers(lines, at, separated=_follows_rule(lines, at)) or at
    return at


def is_separator(line: str) -> bool:
    """Whether a line says, framed by dashes or before a colon, that a message follows as it was received."""
    core = line.strip(" >")
    if not 2 < len(core) <= 120 or (core[0] not in "-_=*–—─━【" and core[-1] not in ":："):
        return False
    words = " ".join(core.strip("-_=*–—─━:： 【】").casefold().replace("’", "'").split())
    return words in SEPARATORS or words.removesuffix(" follows") in SEPARATORS


def label_of(line: str) -> str | None:
    """What a header line names (from, date, to, subject, other), else None."""
    at = min((p for p in (line.find(":", 0, 40), line.find("：", 0, 40)) if p > 0), default=-1)
    if at < 0:
        return None
    kind = LABELS.get(" ".join(line[:at].strip(_MARKUP).casefold().split()))
    if kind and line[at + 1 :].startswith("//"):
        return None
    return kind


def _end_of_headers(lines: list[str], at: int, *, separated: bool) -> int | None:
    """The end of a block of header lines that begins at `at`, None when there is none."""
    kinds: set[str] = set()
    end = start = at if (first := _next_filled(lines, at)) is None else first
    addressed = False
    gaps = 0
    for index in range(start, min(len(lines), start + 24)):
        line = lines[index]
        kind = label_of(line) if len(line) <= 20 * _LONGEST_LINE else None
        if kind:
            kinds.add(kind)
            addressed = addressed or (kind == "from" and "@" in line)
            kinds |= _kinds_within(line)
            end, gaps = index + 1, 0
        elif gaps < 2 and _may_continue(line):
            gaps += 1
        else:
            break
    named = kinds - {"other"}
    enough = 3 if not separated and not addressed else 2
    return end if "from" in named and len(named) >= enough else (end if separated and len(named) >= 2 else None)


def _may_continue(line: str) -> bool:
    """Whether a line without a label may stand within a block of headers."""
    return not line.strip() or line[0] == " " or "@" in line or line.rstrip().endswith((";", ","))


def _kinds_within(line: str) -> set[str]:
    """What the labels within one line name: blocks of headers whose line ends were lost."""
    if len(line) < 40:
        return set()
    words = re.split(r"[ *]*[:：][ *]", line[:1000])
    labels = (" ".join(w.split(" ")[-n:]).casefold().strip(_MARKUP) for w in words[:-1] for n in (1, 2))
    return {LABELS[label] for label in labels if label in LABELS}


def _attributions(lines: list[str], marked: list[bool]) -> dict[int, int]:
    """First line -> end of each "On … wrote:"."""
    found: dict[int, int] = {}
    for at, line in enumerate(lines):
        tail = line[-12:].rstrip(" *_>")
        if not tail or tail[-1] not in ":：" or marked[at] or len(line) > _LONGEST_LINE:
            continue
        if (start := _start_of_attribution(lines, at, marked)) is not None:
            found[start] = at + 1
    return found


def _start_of_attribution(lines: list[str], at: int, marked: list[bool]) -> int | None:
    following = _next_filled(lines, at + 1)
    before_quote = following is not None and marked[following]
    for start in range(at, max(-1, at - _MOST_WRAPPED), -1):
        if marked[start] or not lines[start].strip() or len(lines[start]) > _LONGEST_LINE:
            return None
        joined = " ".join(line.strip() for line in lines[start : at + 1])
        if _is_attribution(joined, before_quote=before_quote):
            return _wrapped_start(lines, start, marked)
    return None


def _is_attribution(joined: str, *, before_quote: bool) -> bool:
    if len(joined) > _LONGEST_LINE:
        return False
    framed = _FRAMED.search(joined) is not None
    dated = _DATE.search(joined) is not None
    if framed and dated and (_OPENER.match(joined) or _VERB.search(joined)):
        return True
    verb = _VERB.search(joined)
    if verb is None:
        return False
    if _OPENER.match(joined) and (dated or framed):
        return True
    # Without an opening word the verb must end the line: "Jane Doe <jane@…> wrote:", "Jane wrote on 12.03.2026 10:04:".
    at_end = len(joined) - verb.end() <= 40
    if (dated or framed or _ADDRESS.search(joined)) and at_end and len(joined) <= 160 and joined.count(" ") <= 16:
        return True
    return before_quote and at_end and len(joined) <= 120


def _wrapped_start(lines: list[str], start: int, marked: list[bool]) -> int:
    """Where an introduction begins, of which the lines from `start` on are already enough to tell."""
    if _OPENER.match(lines[start]):
        return start
    for above in range(start - 1, max(-1, start - _MOST_WRAPPED), -1):
        line = lines[above]
        if marked[above] or not line.strip() or len(line) > _LONGEST_LINE:
            break
        ended = line.rstrip()[-1] in ".!?" and not _YEAR.search(line)
        if _OPENER.match(line) and re.search(r"\d", line) and not ended:
            return above
    return start


def _follows_rule(lines: list[str], at: int) -> bool:
    return any(_RULE.fullmatch(lines[above]) for above in range(max(0, at - 2), at))


def _above(lines: list[str], at: int) -> int:
    """Where the rule and the empty lines above an introduction begin."""
    start = at
    for above in range(at - 1, max(-1, at - 4), -1):
        if lines[above].strip() and not _RULE.fullmatch(lines[above]):
            break
        if lines[above].strip():
            start = above
    return start


def _next_filled(lines: list[str], at: int) -> int | None:
    """The next line that is not empty, within the few that mail clients leave empty."""
    return next((index for index in range(at, min(len(lines), at + 12)) if lines[index].strip()), None)
