"""Seconds of each query of the overview, by running the page's own code with a clock around each query.

python -m benchmarks.page_queries HOME [SECONDS]
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboards import queries
from dashboards.filters import Filters, Range
from dashboards.reader import LakeReader, Reading


class Timed(LakeReader):
    """A reader that notes (query's first words, seconds)."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.found: dict[str, list[float]] = {}
        self.label = ""

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """As the reader's own, with the clock."""
        with super().reading() as reading:
            for name in ("rows", "arrow"):
                setattr(reading, name, self._timed(getattr(reading, name)))
            yield reading

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(query: str, *values: Any) -> Any:
            started = time.perf_counter()
            result = call(query, *values)
            words = " ".join(query.split())
            name = next((n for n, text in vars(queries).items() if text is query), words[:40])
            self.found.setdefault(f"{self.label} {name}", []).append(time.perf_counter() - started)
            return result

        return timed


def rounds(home: Path, until: Callable[[], bool], pause: float = 1.0) -> dict[str, dict[str, float]]:
    """Draws the page of every range over and over; median and longest milliseconds of each query."""
    reader = Timed(home)
    while not until():
        for chosen in Range:
            reader.label = chosen.value
            with reader.reading() as reading:
                queries.load(reading, Filters(range=chosen))
        time.sleep(pause)
    return {
        name: {"median_ms": round(1000 * statistics.median(s)), "max_ms": round(1000 * max(s)), "times": len(s)}
        for name, s in sorted(reader.found.items())
    }


def main() -> None:
    """Rounds over a home for some seconds."""
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    end = time.monotonic() + seconds
    print(json.dumps(rounds(Path(sys.argv[1]), lambda: time.monotonic() > end), indent=1))


if __name__ == "__main__":
    main()
