"""What every provider's module offers, and what comes out of it. Nothing here does I/O."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from schemas.events import Event, Kind, RawRequest, Reply


class Rejected(msgspec.Struct, frozen=True):
    """One item of a request that made no event: a short stable `reason`, what was received, and its bytes.

    `after` counts the request's events that come before it.
    """

    reason: str
    detail: str
    raw: bytes
    after: int = 0


class Parsed(msgspec.Struct, frozen=True):
    """What a request says, in the order of its items."""

    events: list[Event] = []
    replies: list[Reply] = []
    rejected: list[Rejected] = []


class ProofSettings(Protocol):
    """A provider's settings, by shape: lists hold several secrets for rotation, empty means not set."""

    @property
    def public_keys(self) -> Sequence[str]: ...  # noqa: D102 - the names are those of `[providers.NAME]`
    @property
    def inbound_public_keys(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def signing_keys(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def signing_secrets(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def inbound_signing_secrets(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def webhook_keys(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def topic_arns(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def signing_certs(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def basic_auth(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def bearer_tokens(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def insecure(self) -> bool: ...  # noqa: D102


class Adapter(Protocol):
    """What a provider's module offers: the module itself is the adapter.

    It may also offer `FAMILIES`, the provider's own classes of refusals to the families of `adapters.bounces`;
    `replay_key(request) -> bytes | None`, what an exact repeat of a proven request has in common with it:
    the gateway stores a key once; and `confirmation_url(request, settings) -> str | None`, a URL that the gateway visits
    when such a request was stored.
    """

    name: str
    """The provider's name in URLs, settings and events."""

    @property
    def VOCABULARY(self) -> Mapping[str, Kind]:  # noqa: N802 - a constant of a module
        """Every name of an event that has a kind of ours; where fields beside the name decide, the usual kind."""
        ...

    def verify(self, request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
        """Checks the proof on the raw bytes; `now_ms` is the real clock in milliseconds since 1970.

        Raises:
            RequestRefused: missing, wrong or stale proof (401), no secret set (403).
        """
        ...

    def parse(self, request: RawRequest) -> Parsed:
        """Events, replies and what could not be used; never raises, whatever the body holds."""
        ...
