"""Exports that tell only the last state of a message: what follows from a state.

A mail that was opened had been delivered; when it was opened is not told. Each event of a state has the only time there
is, and says so in its attribute `dated_by`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.facts import text_of
from adapters.histories.formats import DATED_BY
from adapters.reading import Receipt, address_of, event_of, occurred_ms
from schemas.events import BounceClass, Event, Kind

_UNKNOWN: Final = Receipt(None, None)
_AFTER_DELIVERY: Final = frozenset({Kind.OPENED, Kind.CLICKED, Kind.COMPLAINED, Kind.UNSUBSCRIBED})

State = tuple[Kind, BounceClass | None]
STATES: Final[Mapping[str, State]] = {
    "queued": (Kind.QUEUED, None),
    "scheduled": (Kind.QUEUED, None),
    "sent": (Kind.SENT, None),
    "delivered": (Kind.DELIVERED, None),
    "deferred": (Kind.DEFERRED, None),
    "deliverydelayed": (Kind.DEFERRED, None),
    "opened": (Kind.OPENED, None),
    "clicked": (Kind.CLICKED, None),
    "bounced": (Kind.BOUNCED, None),
    "bounce": (Kind.BOUNCED, None),
    "hardbounced": (Kind.BOUNCED, BounceClass.HARD),
    "hardbounce": (Kind.BOUNCED, BounceClass.HARD),
    "softbounced": (Kind.BOUNCED, BounceClass.SOFT),
    "softbounce": (Kind.BOUNCED, BounceClass.SOFT),
    "rejected": (Kind.REJECTED, None),
    "blocked": (Kind.REJECTED, None),
    "suppressed": (Kind.REJECTED, None),
    "failed": (Kind.FAILED, None),
    "spam": (Kind.COMPLAINED, None),
    "complained": (Kind.COMPLAINED, None),
    "unsub": (Kind.UNSUBSCRIBED, None),
    "unsubscribed": (Kind.UNSUBSCRIBED, None),
}
"""Names of states over all providers, by `formats.plain`."""


def events_of_state(
    provider: str,
    state: State,
    at_ms: int,
    dated_by: str,
    *,
    message_id: str | None,
    recipient: object,
    ours: Mapping[str, Any],
    attributes: Mapping[str, Any],
    reason: object = None,
) -> Iterator[Event]:
    """The event of a state, after `delivered` where the state cannot be without."""
    kind, bounce_class = state
    known = {name: text_of(value) for name, value in attributes.items() if value not in (None, "", [])}
    for one in (Kind.DELIVERED, kind) if kind in _AFTER_DELIVERY else (kind,):
        yield event_of(
            provider,
            _UNKNOWN,
            kind=one,
            at_ms=occurred_ms(at_ms, _UNKNOWN),
            event_id=None,
            message_id=message_id,
            recipient=address_of(recipient),
            attributes={**known, DATED_BY: dated_by},
            ours=ours,
            bounce_class=bounce_class if one is Kind.BOUNCED else None,
            reason=text_of(reason) if reason and one is kind else None,
        )
