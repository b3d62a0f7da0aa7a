"""Industry figures that others have published, with their sources; they are to look at, and count in nothing."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Benchmark:
    """One published rate (0..1) of a population, with its source; `as_of` is a month."""

    metric: str
    rate: float
    population: str
    as_of: str
    source: str
    url: str


@cache
def benchmarks() -> Sequence[Benchmark]:
    """All of data/benchmarks.csv, in its order."""
    text = files("data").joinpath("benchmarks.csv").read_text(encoding="utf-8")
    return tuple(
        Benchmark(row["metric"], float(row["rate"]), row["population"], row["as_of"], row["source"], row["url"])
        for row in csv.DictReader(text.splitlines())
    )
