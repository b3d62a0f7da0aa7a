"""The email provider and the other channels, posting the world over real HTTP: signed, repeated, retried, disordered.

Signatures carry the real clock, events the simulated one; `x-outpulse-received-at` says when the post arrives in the
world, which the gateway honours in demo mode only.
"""

import queue
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, TypedDict
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from data.sendgrid import new_key, signed_headers
from data.traffic import WEBHOOK_PATH, Request, Role, plan
from data.world import World
from schemas.failures import OutpulseError
from schemas.instants import from_epoch_ms

__all__ = ["Esp", "Progress", "Summary", "Undeliverable", "new_key"]

CONNECTIONS: Final = 4
"""Kept open, each with one post under way: enough to keep a gateway on two cores busy."""
DEADLINE_SECONDS: Final = 60.0
"""How long one post is tried before the run fails. SendGrid goes on for 24 h; nobody watches a demo that long."""
ANSWER_SECONDS: Final = 30.0
"""How long an answer is waited for."""
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0
"""Pauses between tries double from the first to the longest."""
STALE_SECONDS: Final = 3 * 24 * 3600
"""Age of a stale proof: well beyond the 26 h for which SendGrid's retries are accepted."""

Progress = Callable[[int, int], None]
"""Told after each post: the world's events posted so far, and in all."""


class Summary(TypedDict):
    """What was posted. `events` counts each of the world's events once, the others count requests.

    `answers` holds the final answers by status; webhooks are answered 204 or 401, posts to /events 202.
    """

    posted: int
    events: int
    duplicates: int
    malformed: int
    forged: int
    answers: dict[int, int]


class Undeliverable(OutpulseError):  # noqa: N818 - reads as the state it names
    """A good post was not taken before its deadline."""


class Esp:
    """Posts a world to `{base_url}/webhooks/sendgrid` and `{base_url}/events`.

    `speed` is simulated seconds per real second; None posts as fast as answers come. `token` is the bearer of /events.
    """

    def __init__(
        self,
        world: World,
        base_url: str,
        private_key: ec.EllipticCurvePrivateKey,
        token: str,
        *,
        speed: float | None = None,
        connections: int = CONNECTIONS,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._world = world
        self._url = urlsplit(base_url)
        self._private_key = private_key
        self._forger = new_key()[0]
        self._token = token
        self._speed = speed
        self._connections = connections
        self._deadline_seconds = deadline_seconds

    def run(self, progress: Progress | None = None) -> Summary:
        """Posts everything and returns when the last answer is in.

        Raises:
            Undeliverable: a good post was not taken before its deadline; nothing more is posted.
        """
        waiting: queue.Queue[Request | None] = queue.Queue(2 * self._connections)
        tally = _Tally(self._world.event_count, progress)
        threads = [
            threading.Thread(target=self._work, args=(waiting, tally), daemon=True, name=f"esp-{number}")
            for number in range(self._connections)
        ]
        for thread in threads:
            thread.start()
        try:
            self._feed(waiting, tally)
        finally:
            for _ in threads:
                waiting.put(None)
            for thread in threads:
                thread.join()
        if tally.failure is not None:
            raise tally.failure
        return tally.summary

    def _feed(self, waiting: queue.Queue[Request | None], tally: "_Tally") -> None:
        """Hands out the plan in order, each request at its time."""
        started, first_ms = time.monotonic(), self._world.start_ms
        for request in plan(self._world):
            if self._speed is not None:
                due = started + (request.received_ms - first_ms) / 1000 / self._speed
                tally.failed.wait(max(0.0, due - time.monotonic()))
            if tally.failed.is_set():
                return
            waiting.put(request)

    def _work(self, waiting: queue.Queue[Request | None], tally: "_Tally") -> None:
        """One connection: posts what waits until there is no more; after a failure it only empties the queue."""
        connection = self._connect()
        while (request := waiting.get()) is not None:
            if tally.failed.is_set():
                continue
            try:
                tally.count(request, self._post_until_settled(connection, request))
            except Exception as error:  # noqa: BLE001 - it is raised again by `run`, in the caller's thread
                tally.fail(error)
        connection.close()

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        return kind(self._url.hostname or "127.0.0.1", self._url.port, timeout=ANSWER_SECONDS)

    def _post_until_settled(self, connection: HTTPConnection, request: Request) -> int:
        """The final answer: tries again while the answer asks for it, each time with a new proof."""
        pause_seconds = FIRST_PAUSE_SECONDS
        deadline = time.monotonic() + self._deadline_seconds
        while True:
            status, trouble = self._post(connection, request)
            if _is_settled(status, request.role):
                return status
            if time.monotonic() + pause_seconds > deadline:
                raise Undeliverable(f"POST {request.path} was not taken in {self._deadline_seconds:g} s: {trouble}")
            time.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    def _post(self, connection: HTTPConnection, request: Request) -> tuple[int, str]:
        """Status and words of one try; status 0 when there was no answer."""
        body, headers = self._proven(request)
        headers["x-outpulse-received-at"] = from_epoch_ms(request.received_ms)
        try:
            connection.request("POST", self._url.path.rstrip("/") + request.path, body, headers)
            answer = connection.getresponse()
            words = answer.read()[:200].decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            connection.close()  # the next request opens it anew
            return 0, f"{type(error).__name__}: {error}"
        return answer.status, f"answered {answer.status} {words}"

    def _proven(self, request: Request) -> tuple[bytes, dict[str, str]]:
        """Body and headers with the proof that the request's flaw leaves it."""
        if request.path != WEBHOOK_PATH:
            return request.body, {"content-type": "application/x-ndjson", "authorization": f"Bearer {self._token}"}
        headers = {"content-type": "application/json", "user-agent": "SendGrid Event API"}
        now_s = int(time.time())
        body = request.body
        match request.flaw:
            case "unsigned":
                return body, headers
            case "wrong_key":
                return body, headers | signed_headers(self._forger, now_s, body)
            case "stale":
                return body, headers | signed_headers(self._private_key, now_s - STALE_SECONDS, body)
            case "altered_body":
                return body.replace(b"click", b"open", 1), headers | signed_headers(self._private_key, now_s, body)
            case _:
                return body, headers | signed_headers(self._private_key, now_s, body)


def _is_settled(status: int, role: Role) -> bool:
    """Whether no further try is due: a good answer, or a refusal of what is no good."""
    is_good = role in {Role.GOOD, Role.DUPLICATE}
    return 200 <= status < 300 or (not is_good and 400 <= status < 500 and status != 429)


class _Tally:
    """What the connections report, under one lock."""

    def __init__(self, events_in_all: int, progress: Progress | None) -> None:
        self.summary = Summary(posted=0, events=0, duplicates=0, malformed=0, forged=0, answers={})
        self.failed = threading.Event()
        self.failure: Exception | None = None
        self._events_in_all = events_in_all
        self._progress = progress
        self._lock = threading.Lock()

    def count(self, request: Request, status: int) -> None:
        with self._lock:
            self.summary["posted"] += 1
            self.summary["events"] += request.events
            self.summary["duplicates"] += request.role is Role.DUPLICATE
            self.summary["malformed"] += request.role is Role.MALFORMED
            self.summary["forged"] += request.role is Role.FORGED
            self.summary["answers"][status] = self.summary["answers"].get(status, 0) + 1
            if self._progress is not None:
                self._progress(self.summary["events"], self._events_in_all)

    def fail(self, error: Exception) -> None:
        with self._lock:
            self.failure = self.failure or error
            self.failed.set()
