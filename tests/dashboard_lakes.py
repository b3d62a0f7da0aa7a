"""Lakes for the dashboard's tests, made through the real flows."""

from pathlib import Path
from typing import Any

import msgspec

from data.world import World
from tests.lakes import land, works

Event = dict[str, Any]


def event(number: int, kind: str, **fields: Any) -> Event:
    """One event of delivery `number`."""
    return {
        "event_id": f"{kind}-{number}",
        "kind": kind,
        "occurred_at": "2026-01-30T17:00:00.000Z",
        "delivery_id": f"d{number}",
        "campaign_id": "spring",
        "channel": "email",
        **fields,
    }


def land_world(home: Path, days: int = 9) -> Path:
    """Simulated days until 2026-01-30T18:00Z, landed in as many chunks."""
    told = [msgspec.to_builtins(fact) for fact in World(1, days, scale=0.05).events()]
    events = [{name: value for name, value in fact.items() if value is not None} for fact in told]
    land(home, works(events, [1 + len(events) // days]))
    return home
