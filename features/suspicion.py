"""Opens and clicks that look like a machine's by what happened around them; a finding on the whole delivery.

Providers' flags and user agents decide `is_machine` of one event. Security scanners hide behind ordinary user agents; what
gives them away lies between events: they click within seconds of the delivery, follow all links of a mail at once, follow
links that no person sees, and come from known networks. Folds are minimum, bit-or and sets, so order does not matter.

Sources: reports of scanner vendors' behaviour by Barracuda (Link Protection), Microsoft (Safe Links) and Proofpoint (URL
Defense) documentation; times are our choice, on the side of calling a person a person.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

REASONS: Final = ("network", "hidden_link", "many_links", "at_delivery")
"""Why a delivery is suspect, in the order of their bits and of `machine_reason`."""

HIDDEN_LINK: Final = "op_hidden=1"
"""What a link's address holds that no reader can see (white on white, one pixel): only a machine follows it."""
CLICK_MS: Final = 5_000
"""A click this soon after the delivery, or before it, is a scanner's: a person has yet to be told of the mail."""
OPEN_MS: Final = 1_000
"""The same for opens: phones fetch nothing within a second of delivery."""
BURST_MS: Final = 2_000
BURST_LINKS: Final = 3
"""This many different links within `BURST_MS`: nobody reads that fast."""
EARLY_MS: Final = 10_000
EARLY_LINKS: Final = 2
"""This many different links within `EARLY_MS` of the delivery."""

_MOST_CLICKS: Final = 200
"""Clicks of a delivery that are compared with one another, the earliest: a shared link may have thousands."""

_BIT: Final = {name: 1 << position for position, name in enumerate(REASONS)}
_HUMAN: Final = "kind IN ('opened', 'clicked') AND is_machine IS NOT TRUE"


class Network(NamedTuple):
    """Addresses `low` to `high` (IPv4 as numbers) that fetch mails' pictures and links for `owner`'s scanners."""

    low: int
    high: int
    owner: str


def event_marks(networks: Sequence[Network]) -> str:
    """SQL over event columns: the bits that one open or click of a person sets by itself, as INTEGER."""
    found = "string_split(json_extract_string(attributes, '$.ip'), '.')"
    number = "a[1]::UBIGINT * 16777216 + a[2]::UBIGINT * 65536 + a[3]::UBIGINT * 256 + a[4]::UBIGINT"
    inside = " OR ".join(f"n BETWEEN {one.low} AND {one.high}" for one in networks) or "false"
    known = f"list_any_value([TRY({number}) FOR a IN [{found}] IF len(a) = 4])"
    network = f"coalesce(list_any_value([({inside}) FOR n IN [{known}]]), false)"
    # A look at the first number spares nearly all addresses the reading of JSON, half of the cost of all this.
    octets = sorted({octet for one in networks for octet in range(one.low >> 24, (one.high >> 24) + 1)})
    maybe = f"""regexp_matches(attributes, '"ip"\\s*:\\s*"({"|".join(map(str, octets))})\\.')"""
    return f"""(CASE WHEN NOT ({_HUMAN}) THEN 0 ELSE
        CASE WHEN {maybe} THEN CASE WHEN {network} THEN {_BIT["network"]} ELSE 0 END ELSE 0 END
        + CASE WHEN contains(url, '{HIDDEN_LINK}') THEN {_BIT["hidden_link"]} ELSE 0 END END)::INTEGER"""


def folds() -> str:
    """SQL aggregates over a delivery's events that `marks` reads: bits of events, times in ms, links of clicks."""
    return f"""coalesce(bit_or(marks), 0) AS event_marks,
        min(CASE WHEN kind = 'delivered' THEN epoch_ms(occurred_at) END) AS delivered_ms,
        min(CASE WHEN kind = 'opened' AND {_HUMAN} THEN epoch_ms(occurred_at) END) AS opened_ms,
        list_sort(list_distinct(list({{'at': epoch_ms(occurred_at), 'url': url}})
            FILTER (kind = 'clicked' AND {_HUMAN})))[:{_MOST_CLICKS}] AS clicks"""


def marks() -> str:
    """SQL over `folds`: why the delivery is suspect, as bits; 0 when it is not."""
    near = "len(list_distinct([o.url FOR o IN clicks IF o.at BETWEEN c.at AND c.at + {}]))"
    burst = f"len([1 FOR c IN clicks IF {near.format(BURST_MS)} >= {BURST_LINKS}]) > 0"
    early = f"len(list_distinct([c.url FOR c IN clicks IF c.at <= delivered_ms + {EARLY_MS}])) >= {EARLY_LINKS}"
    soon = f"len([1 FOR c IN clicks IF c.at <= delivered_ms + {CLICK_MS}]) > 0"
    return f"""(event_marks
        + CASE WHEN len(clicks) >= {EARLY_LINKS} AND (({burst}) OR coalesce({early}, false))
            THEN {_BIT["many_links"]} ELSE 0 END
        + CASE WHEN coalesce(opened_ms <= delivered_ms + {OPEN_MS}, false) OR coalesce({soon}, false)
            THEN {_BIT["at_delivery"]} ELSE 0 END)::INTEGER"""


def reason(column: str) -> str:
    """SQL: the names of the bits in a column, joined by a comma; null for none."""
    named = ", ".join(f"CASE WHEN {column} & {bit} <> 0 THEN '{name}' END" for name, bit in _BIT.items())
    return f"nullif(concat_ws(', ', {named}), '')"
