"""The message that a target gets: one notice as it is, several folded into one, or a summary of a flood."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.events import CommandAction
from schemas.records import AlertSeverity
from sinks.alerts.notices import HOLDING, NOTICE, RANK, Notice

_LINES: Final = 20
"""Lines of a list, so that a message stays on one screen."""
_COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    CommandAction.PAUSE: ("pause", "pauses"),
    CommandAction.SLOW: ("slow-down", "slow-downs"),
    CommandAction.WARN: ("warning", "warnings"),
    CommandAction.RESUME: ("resumption", "resumptions"),
    NOTICE: ("notice", "notices"),
}
_THEN: Final[Mapping[str, str]] = {"pause": "paused", "slow": "slowed", "resume": "resumed"}


class Text(NamedTuple):
    """A message as it is sent; `kind` is that of its newest or, of a summary, its most severe notice."""

    title: str
    body: str
    severity: str
    kind: str


def text_of(notices: Sequence[Notice], *, is_summary: bool) -> Text:
    """The message about notices that are in the order of arrival; the newest speaks for its kind, scope and rule."""
    return _summary(notices) if is_summary else _told(notices)


def _told(notices: Sequence[Notice]) -> Text:
    head = notices[-1]
    topic = (head.kind, head.scope, head.rule)
    again = [one for one in notices if (one.kind, one.scope, one.rule) == topic]
    others = [one for one in notices if (one.kind, one.scope, one.rule) != topic]
    body, title = head.body, head.title
    if len(again) > 1:
        title = f"{title} ({len(again)} times)"
        body += f"\n\nIt came {len(again)} times since {_minute(again[0])} UTC; the figures are the newest."
    if others:
        body += "\n\nBefore that, and not told until now:\n" + "\n".join(_listed(others))
    return Text(title, body, _worst(notices), head.kind)


def _summary(notices: Sequence[Notice]) -> Text:
    counts = Counter(one.kind for one in notices)
    order = sorted(counts, key=list(_COUNTED).index)
    told = ", ".join(f"{counts[kind]} {_COUNTED[kind][counts[kind] > 1]}" for kind in order)
    body = "\n".join(
        (
            f"Since {_minute(notices[0])} UTC more came than is told one by one:",
            *_listed(notices),
            "",
            "What to do: `outpulse pauses` shows what holds now; the table alerts has each of these in full.",
        )
    )
    return Text(f"{len(notices)} alerts: {told}", body, _worst(notices), order[0])


def _listed(notices: Sequence[Notice]) -> Iterator[str]:
    """A line for each kind, scope and rule, the most severe first."""
    counts = Counter((one.kind, one.scope, one.rule) for one in notices)
    newest = {(one.kind, one.scope, one.rule): one for one in notices}
    last = {one.scope: one.kind for one in notices if one.kind in HOLDING}
    lines = sorted(newest.values(), key=lambda one: -RANK[one.severity])
    for one in lines[:_LINES]:
        times = counts[one.kind, one.scope, one.rule]
        then = last.get(one.scope, one.kind)
        more = f", then {_THEN[then]}" if one.kind in HOLDING and then != one.kind else ""
        yield f"- {one.title}{f' ({times} times)' if times > 1 else ''}{more}"
    if len(lines) > _LINES:
        yield f"- and {len(lines) - _LINES} more"


def _worst(notices: Sequence[Notice]) -> AlertSeverity:
    return max((one.severity for one in notices), key=lambda severity: RANK[severity])


def _minute(notice: Notice) -> str:
    return notice.created_at[:16].replace("T", " ")
