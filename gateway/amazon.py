"""What SNS wants of whoever it posts to: its certificates fetched, subscriptions to allowed topics confirmed.

Only URLs that `adapters.sns.is_amazons` has passed are visited, over https, without redirects; a flood of forged requests
causes no flood of visits.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final, Never
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, build_opener

from adapters.sns import FETCHED, is_amazons

Fetch = Callable[[str], bytes]
"""Gets a URL; raises OSError when that fails."""

_TIMEOUT_SECONDS: Final = 5
_MOST_BYTES: Final = 64 * 1024
_AT_ONCE: Final = 2
_PAUSE_SECONDS: Final = 30
"""A URL that failed is not tried again for this long."""
_MOST_FAILED: Final = 1_000

_LOG: Final = logging.getLogger("outpulse.gateway")


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl) -> Never:  # type: ignore[no-untyped-def] # noqa: ANN001
        del newurl
        raise HTTPError(req.full_url, code, msg, headers, fp)


def fetch_https(url: str) -> bytes:
    """The start of what a URL of Amazon's holds, at most 64 KiB.

    Raises:
        OSError: no answer, a bad certificate, another status than 200, or a URL that is none of Amazon's.
    """
    if not is_amazons(url):
        raise OSError("not one of Amazon SNS's URLs")
    opener = build_opener(HTTPSHandler(context=ssl.create_default_context()), _NoRedirects())
    with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
        found: bytes = answer.read(_MOST_BYTES)
    return found


class Amazon:
    """Visits SNS in worker threads, a few at a time; lives in the gateway's event loop."""

    def __init__(self, fetch: Fetch = fetch_https) -> None:
        self._fetch = fetch
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._failed_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def learn_certificate(self, url: str) -> bool:
        """Whether the certificate is known now."""
        async with self._gate:
            if FETCHED.get(url) is not None:
                return True
            found = await self._visit(url, "certificate")
            if found is None:
                return False
            FETCHED.put(url, found.decode("ascii", "replace"))
            return True

    def confirm(self, url: str) -> None:
        """Visits a subscription's URL soon; what goes wrong is logged, without the URL's token."""
        task = asyncio.get_running_loop().create_task(self._confirm(url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _confirm(self, url: str) -> None:
        async with self._gate:
            if await self._visit(url, "confirmation") is not None:
                _LOG.warning("subscription confirmed host=%s", url.split("/", 3)[2])

    async def _visit(self, url: str, what: str) -> bytes | None:
        now = time.monotonic()
        if now - self._failed_at.get(url, float("-inf")) < _PAUSE_SECONDS:
            return None
        try:
            return await asyncio.to_thread(self._fetch, url)
        except (OSError, ValueError) as error:
            if len(self._failed_at) >= _MOST_FAILED:
                self._failed_at.clear()
            self._failed_at[url] = now
            reason = getattr(error, "reason", None) or type(error).__name__
            _LOG.warning("%s not fetched host=%s reason=%s", what, url.split("/", 3)[2], reason)
            return None
