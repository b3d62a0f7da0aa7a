"""What happened in the last hour and day, by kind, and whether what must hold does."""

from collections import Counter
from collections.abc import Sequence
from html import escape

import pyarrow as pa

from dashboards.invariants import INVARIANTS
from dashboards.words import KINDS, count, kind_key, kind_name


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
    return f"""<div class="wide" tabindex="0" role="region" aria-label="Events right now">
        <table class="campaigns"><thead><tr><th>Events of the</th>{heads}</tr></thead>
        <tbody>{rows}</tbody></table></div>"""


def checks_html(broken: Sequence[str]) -> str:
    """Each invariant and whether it holds, those that do not first."""
    names = sorted(INVARIANTS, key=lambda name: name not in broken)
    rows = "".join(
        f'<tr><td><span class="{"alarm" if name in broken else "good"}">{"broken" if name in broken else "holds"}</span></td>'
        f"<td>{escape(name)}</td></tr>"
        for name in names
    )
    return f"""<div class="wide" tabindex="0" role="region" aria-label="Rules"><table class="listing">
        <caption>What must hold of the figures</caption><thead><tr>
        <th scope="col">State</th><th scope="col">Rule</th></tr></thead><tbody>{rows}</tbody></table></div>"""


def _by_kind(window: pa.Table) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in window.to_pylist():
        found[kind_key(row["kind"], is_machine=row["is_machine"])] += row["events"]
    return found
