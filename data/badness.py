"""Requests that are no good: unreadable bodies with a right proof, and made-up events with a wrong one.

What is made up would change a figure if it were believed: new ids, real campaigns.
"""

from typing import Any, Final

import msgspec

from data.draws import Rng, pick, token
from data.facts import Told

MALFORMED: Final = ("truncated", "wrong_shape", "unknown_names", "year_1970")
FORGED: Final = ("wrong_key", "altered_body", "stale", "unsigned")
BAD_KINDS: Final = tuple(kind for pair in zip(MALFORMED, FORGED, strict=True) for kind in pair)
"""Flaws in the order in which they come round, half of them malformed, half forged."""

LONG_AGO_S: Final = 86_400
"""2 January 1970, in seconds: what a server without a clock says."""

_SHAPES: Final = (
    b'{"message":"this is not a list"}',
    b'"processed"',
    b'[null,17,[],"open",{"event":"open"}]',
    b"[{]",
)
_UNKNOWN_NAMES: Final = ("group_resubscribe", "account_status_change", "teleported")


def bad_request(flaw: str, neighbours: list[dict[str, Any]], like: Told, now_s: int, rng: Rng) -> tuple[bytes, bool]:
    """The body, and whether the request is to be forged (its proof spoiled in the way that `flaw` names).

    `neighbours` are copies of true events: in a malformed batch they must be read, and counted once all the same.
    """
    if flaw == "wrong_shape":
        return pick(rng, _SHAPES), False
    if flaw == "unknown_names":
        return _body(neighbours + [_made_up(like, name, now_s, rng) for name in _UNKNOWN_NAMES]), False
    if flaw == "year_1970":
        return _body([_made_up(like, "spamreport", LONG_AGO_S, rng), *neighbours]), False
    body = _body([_made_up(like, name, now_s, rng) for name in ("spamreport", "bounce", "click")])
    return (body[:-40], False) if flaw == "truncated" else (body, True)


def _body(items: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(items)


def _made_up(like: Told, name: str, timestamp_s: int, rng: Rng) -> dict[str, Any]:
    """An event that never happened, of a real campaign."""
    item: dict[str, Any] = {
        "email": "nobody@gmail.example",
        "timestamp": timestamp_s,
        "event": name,
        "sg_event_id": token(rng),
        "sg_message_id": f"{token(rng)}.filterdrecv-0-0-0-0",
        "campaign_id": like.campaign_id,
        "sender": like.sender,
        "delivery_id": f"dlv-made-up-{token(rng, 6)}",
    }
    return item | ({"type": "bounce", "status": "5.1.1"} if name == "bounce" else {})
