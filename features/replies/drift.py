"""Whether predictions still are what people say: a watch over agreement that notices when its rate has changed."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

_DELTA: Final = 0.002
"""ADWIN's confidence: a change is told wrongly in 0.2% of cases (Bifet and Gavaldà, 2007; River's default)."""
_RECENT: Final = 100


class AgreementWatch:
    """Watches a stream of agreements (True) and disagreements with ADWIN; River is imported when the first one comes."""

    def __init__(self, seen: Iterable[bool] = ()) -> None:
        self._seen: list[bool] = []
        self._drifts = 0
        for one in seen:
            self.add(agreed=one)

    @cached_property
    def _detector(self) -> Any:  # noqa: ANN401 - River has no types for it
        from river.drift import ADWIN  # noqa: PLC0415 - takes seconds, and most homes never need it

        return ADWIN(delta=_DELTA)  # type: ignore[no-untyped-call]

    def add(self, *, agreed: bool) -> bool:
        """Takes in the next; True when the rate of agreement has changed."""
        self._seen.append(agreed)
        self._detector.update(float(agreed))
        found = bool(self._detector.drift_detected)
        self._drifts += found
        return found

    def recent(self) -> float | None:
        """Share of agreement among the last hundred; None before the first."""
        last = self._seen[-_RECENT:]
        return sum(last) / len(last) if last else None

    def metrics(self) -> dict[str, Any]:
        """Counts and rates by name."""
        if not self._seen:
            return {}
        overall = sum(self._seen) / len(self._seen)
        return {
            "checked": len(self._seen),
            "agreement": round(overall, 4),
            "recent_agreement": round(self.recent() or 0.0, 4),
            "drifts": self._drifts,
        }
