"""`POST /webhooks/{provider}`, `/inbound/{provider}`, `/hooks/{name}`: prove, stamp, append the raw request, answer.

No meaning is parsed here.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from adapters import Adapter
from adapters.mapped import HOOK
from adapters.sns import CertificateNeeded
from eventlog import Record
from gateway.amazon import Amazon
from gateway.arrivals import Arrivals
from gateway.asgi import (
    Answer,
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    TooLarge,
    headers_of,
    problem,
    read_body,
    reply,
    too_large,
)
from gateway.commit import GroupCommit
from gateway.metrics import Metrics
from outpulse.settings import ProviderSettings, Settings
from schemas.events import RawRequest, Stream
from schemas.failures import LogError, RequestRefused
from schemas.instants import from_epoch_ms, parse_ms
from schemas.rawrecords import pack

Clock = Callable[[], int]
"""Milliseconds since 1970 by the wall clock."""

RECEIVED_AT_HEADER: Final = "x-outpulse-received-at"
RETRY_AFTER_SECONDS: Final = "5"
_STORED: Final = Answer(204)
_ALLOWED: Final = "POST, HEAD"
# Of these a replay has no use, and the log is no place for secrets.
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", RECEIVED_AT_HEADER})
# Brevo's pages disagree on whether a 503 ends its retries; all agree that a 429 does not.
_BUSY_STATUS: Final = {"brevo": 429}

_LOG: Final = logging.getLogger("outpulse.gateway")


class Webhooks:
    """The door for providers."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        settings: Settings,
        commit: GroupCommit,
        metrics: Metrics,
        clock: Clock,
        *,
        demo: bool = False,
        amazon: Amazon | None = None,
        arrivals: Arrivals | None = None,
        hooks: Mapping[str, Adapter] | None = None,
    ) -> None:
        self._arrivals = arrivals
        self._hooks = dict(hooks or {})
        own_token = [settings.gateway.token] if settings.gateway.token else []
        self._hook_settings = {
            name: hook
            if hook.bearer_tokens or hook.basic_auth or hook.headers
            else replace(hook, bearer_tokens=own_token)
            for name, hook in settings.hooks.items()
        }
        self._adapters = adapters
        self._amazon = amazon or Amazon()
        self._settings = settings
        self._commit = commit
        self._metrics = metrics
        self._clock = clock
        self._demo = demo
        own = settings.gateway
        self._limits = {
            False: (own.max_webhook_bytes, "max_webhook_bytes"),
            True: (own.max_inbound_bytes, "max_inbound_bytes"),
        }
        self._kept_out = {
            name: _SECRET_HEADERS | {header.lower() for header in own.headers}
            for name, own in {**settings.hooks, **settings.providers}.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request under /webhooks/, /inbound/ or /hooks/."""
        _, kind, name = scope["path"].split("/", 2)
        inbound, provider = kind == "inbound", name.rstrip("/")
        known = self._hooks if kind == "hooks" else self._adapters
        adapter = known.get(provider)
        if adapter is None:
            door, size, answer = "unknown", 0, _unknown(kind, provider, known)
        elif scope["method"] != "POST":
            # HEAD: Mandrill looks whether the URL exists before it saves it.
            door, size, answer = provider, 0, _not_posted(scope["method"])
        else:
            headers = headers_of(scope)
            try:
                body = await read_body(headers, receive, self._limits[inbound][0])
            except TooLarge as large:
                door, size, answer = provider, 0, too_large(*self._limits[inbound], large)
            except Disconnected:
                return
            else:
                door, size, answer = provider, len(body), await self._take(adapter, scope, headers, body, inbound)
        self._metrics.answered(door, answer.status, size)
        await reply(send, answer)

    async def _take(self, adapter: Adapter, scope: Scope, headers: Headers, body: bytes, inbound: bool) -> Answer:  # noqa: FBT001
        """Proves and stores one request."""
        provider = adapter.name
        is_hook = provider in self._hooks and self._hooks[provider] is adapter
        now_ms = self._clock()
        request = RawRequest(
            provider=f"{HOOK}{provider}" if is_hook else provider,
            method="POST",
            url=_url(scope),
            received_at=stamp(headers, now_ms, demo=self._demo),
            headers=headers,
            body=body,
            inbound=inbound,
        )
        settings = (self._hook_settings if is_hook else self._settings.providers).get(provider) or _NO_SETTINGS
        try:
            await self._verify(adapter, request, settings, now_ms)
        except RequestRefused as refused:
            self._count(provider, str(refused))
            return _refusal(provider, refused, settings)
        key, url = _replay_key(adapter, request), _confirmation_url(adapter, request, settings)
        kept_out = self._kept_out.get(provider, _SECRET_HEADERS)
        for name in headers.keys() & kept_out:
            del headers[name]
        try:
            await self._commit.append(Stream.RAW, lambda: [Record(key, pack(request))], len(body))
        except LogError as error:
            _LOG.error("request not stored provider=%s reason=%s", provider, error)
            return problem(_BUSY_STATUS.get(provider, 503), "try again later", retry_after=RETRY_AFTER_SECONDS)
        self._count(provider)
        if url is not None:
            self._amazon.confirm(url)
        return _STORED

    def _count(self, provider: str, refusal: str | None = None) -> None:
        if self._arrivals is not None:
            self._arrivals.count(provider, refusal)

    async def _verify(self, adapter: Adapter, request: RawRequest, settings: ProviderSettings, now_ms: int) -> None:
        try:
            adapter.verify(request, settings, now_ms)
        except CertificateNeeded as needed:
            if not await self._amazon.learn_certificate(needed.url):
                raise
            adapter.verify(request, settings, now_ms)


def _replay_key(adapter: Adapter, request: RawRequest) -> bytes | None:
    """The log's key of a request that a repeat of it shares; None for providers that have none."""
    make = getattr(adapter, "replay_key", None)
    found: bytes | None = make(request) if make else None
    return hashlib.sha256(b"\x1f".join((adapter.name.encode(), found))).digest() if found else None


def _confirmation_url(adapter: Adapter, request: RawRequest, settings: ProviderSettings) -> str | None:
    ask = getattr(adapter, "confirmation_url", None)
    found: str | None = ask(request, settings) if ask else None
    return found


def _unknown(kind: str, name: str, known: Mapping[str, Adapter]) -> Answer:
    what = "hook" if kind == "hooks" else "provider"
    valid = f"valid are {', '.join(sorted(known))}" if known else "none is set; set [hooks.NAME] mapping"
    return problem(404, f"unknown {what} {name[:40]!r}, {valid}")


_NO_SETTINGS: Final = ProviderSettings()


def _url(scope: Scope) -> str:
    """Path and query; the scope holds no credentials."""
    query: bytes = scope.get("query_string", b"")
    path: str = scope["path"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def stamp(headers: Mapping[str, str], now_ms: int, *, demo: bool) -> str:
    """`received_at`: the clock, in demo mode what the caller says, if it is a time."""
    if demo and (told := headers.get(RECEIVED_AT_HEADER)) is not None:
        try:
            return from_epoch_ms(parse_ms(told))
        except (ValueError, OverflowError):
            pass
    return from_epoch_ms(now_ms)


def _not_posted(method: str) -> Answer:
    if method == "HEAD":
        return Answer(200)
    return problem(405, f"{method} is not served here, valid are {_ALLOWED}", allow=_ALLOWED)


def _refusal(provider: str, refused: RequestRefused, settings: ProviderSettings) -> Answer:
    _LOG.warning("request refused provider=%s status=%d reason=%s", provider, refused.status, refused)
    if refused.status == 401 and settings.basic_auth:
        # SNS sends credentials only after it was asked for them in this way.
        return problem(401, str(refused), www_authenticate='Basic realm="outpulse"')
    retry = RETRY_AFTER_SECONDS if refused.status == 503 else None
    return problem(refused.status, str(refused), **({"retry_after": retry} if retry else {}))
