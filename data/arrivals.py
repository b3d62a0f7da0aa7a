"""When events are heard of: lateness, copies and disorder, as numpy columns."""

from typing import Final

import numpy as np
import numpy.typing as npt

from data.clock import DAY_MS, HOUR_MS, SECOND_MS
from data.draws import Rng

LATE_HOURS_SHARE: Final = 0.03
LATE_DAYS_SHARE: Final = 0.002
"""Shares of events that arrive hours and days late: SendGrid retries for 24 h, mail gateways hold bounces longer."""
USUAL_SECONDS: Final = 8.0
HOURS: Final = 2.5
"""Means of the usual lateness and of the hours' tail."""

Instants = npt.NDArray[np.int64]
"""Milliseconds since 1970, UTC."""


def arrival_ms(occurred: Instants, end_ms: int, rng: Rng) -> Instants:
    """When each event is received: mostly seconds later, at times hours or days, never after the world's end."""
    count = len(occurred)
    drawn = rng.random(count)
    late_ms = 1 * SECOND_MS + rng.exponential(USUAL_SECONDS * SECOND_MS, count)
    hours_ms = 0.5 * HOUR_MS + rng.exponential(HOURS * HOUR_MS, count)
    days_ms = rng.uniform(1.0 * DAY_MS, 3.0 * DAY_MS, count)
    late_ms = np.where(drawn < LATE_HOURS_SHARE + LATE_DAYS_SHARE, hours_ms, late_ms)
    late_ms = np.where(drawn < LATE_DAYS_SHARE, days_ms, late_ms)
    return np.minimum(occurred + late_ms.astype(np.int64), end_ms)


def arrival_order(count: int, duplicate_share: float, disorder: int, rng: Rng) -> list[int]:
    """Rows in the order of writing: each once, a share once more later, each moved back by up to `disorder` rows."""
    rows = np.arange(count)
    copied = rows[rng.random(count) < duplicate_share]
    later = rng.uniform(copied, count) if len(copied) else np.empty(0)
    position = np.concatenate([rows + rng.uniform(0.0, disorder + 1e-9, count), later + disorder])
    order = np.concatenate([rows, copied])[np.argsort(position, kind="stable")]
    return [int(row) for row in order]
