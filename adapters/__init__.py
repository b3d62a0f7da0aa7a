"""One file per provider with `verify` and `parse`, pure and replayable over recorded requests; one visible registry."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from schemas.events import Event, RawRequest, Reply


class Rejected(msgspec.Struct, frozen=True):
    """One item of a request that made no event: a short stable `reason`, what was received, and its bytes."""

    reason: str
    detail: str
    raw: bytes


class Parsed(msgspec.Struct, frozen=True):
    """What a request says, in the order of its items."""

    events: list[Event] = []
    replies: list[Reply] = []
    rejected: list[Rejected] = []


class Adapter(Protocol):
    """What a provider's module offers."""

    name: str

    def verify(self, request: RawRequest, settings: Any, now_ms: int) -> None:  # noqa: ANN401 - ProviderSettings by shape
        """Checks the proof on the raw bytes.

        Raises:
            RequestRefused: missing, wrong or stale proof (401), no secret set (403).
        """
        ...

    def parse(self, request: RawRequest) -> Parsed:
        """Events, replies and what could not be used; never raises for what a provider can send."""
        ...


REGISTRY: Final[Mapping[str, Adapter]] = {}
