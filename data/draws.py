"""Small random draws: every function takes the numpy Generator, nothing here has a seed or a clock of its own."""

import base64
import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Rng = np.random.Generator

Choice = TypeVar("Choice")
"""Whatever is chosen from."""


def child(seed: int, name: str) -> Rng:
    """A generator of its own for one part of the world, so that a change in one part leaves the others as they were."""
    return np.random.default_rng((seed, zlib.crc32(name.encode())))


def chance(rng: Rng, probability: float) -> bool:
    """True with this probability (0 to 1)."""
    return bool(rng.random() < probability)


def between(rng: Rng, low: float, high: float) -> float:
    """Evenly from low (included) to high (excluded)."""
    return low + (high - low) * float(rng.random())


def pick(rng: Rng, options: Sequence[Choice]) -> Choice:
    """One option, all alike. `Generator.choice` does the same fifty times slower."""
    return options[int(rng.random() * len(options))]


def weighted(rng: Rng, options: Sequence[Choice], weights: Sequence[float]) -> Choice:
    """One option, in proportion to its weight."""
    left = float(rng.random()) * sum(weights)
    for option, weight in zip(options, weights, strict=True):
        left -= weight
        if left < 0:
            return option
    return options[-1]


def token(rng: Rng, width: int = 16) -> str:
    """Random text of URL-safe base64 without padding; 16 bytes make the 22 characters of SendGrid's ids."""
    return base64.urlsafe_b64encode(rng.bytes(width)).rstrip(b"=").decode()
