"""The foot of the page: what happened in the last hour and day, what could not be read, and whether the checks hold."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from html import escape

import pyarrow as pa

from dashboards.invariants import INVARIANTS
from dashboards.words import KINDS, NOTHING, count, kind_key, kind_name


def windows_html(last_hour: pa.Table, last_day: pa.Table) -> str:
    """Events of every kind in both windows, each event counted."""
    windows = {"last hour": _by_kind(last_hour), "last 24 hours": _by_kind(last_day)}
    seen = set(windows["last 24 hours"])
    kinds = [key for key in [*KINDS, *sorted(seen - set(KINDS))] if key in seen]
    heads = "".join(f"<th>{escape(kind_name(key))}</th>" for key in kinds)
    rows = "".join(
        f"<tr><td>{name}</td>{''.join(f'<td>{count(events[key])}</td>' for key in kinds)}</tr>"
        for name, events in windows.items()
    )
    return f"""<div class="wide"><table class="campaigns"><thead><tr><th>Events of the</th>{heads}</tr></thead>
        <tbody>{rows}</tbody></table></div>"""


def dead_letters_html(letters: pa.Table) -> str:
    """The most frequent reasons why something could not be read."""
    rows = letters.to_pylist()
    if not rows:
        return "<p>None: everything that came in could be read.</p>"
    body = "".join(
        f"<tr><td>{escape(row['reason'])}</td><td>{count(row['letters'])}</td><td>{_received(row['latest'])}</td></tr>"
        for row in rows
    )
    return f"""<table class="campaigns"><thead><tr><th>Reason</th><th>Letters</th><th>Latest received</th></tr></thead>
        <tbody>{body}</tbody></table><p>{count(rows[0]["all_letters"])} in all.</p>"""


def _received(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else NOTHING


def checks_line(broken: Sequence[str]) -> str:
    """One line on the invariants."""
    if broken:
        return "⚠ Checks that do not hold: " + "; ".join(broken) + "."
    return f"All {len(INVARIANTS)} checks of these figures hold."


def _by_kind(window: pa.Table) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in window.to_pylist():
        found[kind_key(row["kind"], is_machine=row["is_machine"])] += row["events"]
    return found
