"""`POST /feedback`: what people say of the readings of replies, into the stream `feedback`."""

from typing import Any, Final

import msgspec

from eventlog import Record
from gateway.asgi import Answer, problem
from gateway.door import LOG, PostDoor
from gateway.posted import MAX_ITEMS, Refusal, split
from gateway.webhooks import RETRY_AFTER_SECONDS
from schemas.decode import load_json
from schemas.events import Stream
from schemas.failures import BadEvent, LogError
from schemas.labels import feedback_of

_MOST_BYTES: Final = 4 * 2**20
"""Some ten thousand corrections; `[gateway] max_events_bytes` bounds it too."""


class FeedbackDoor(PostDoor):
    """The door for corrections of readings."""

    name = "feedback"

    @property
    def _most_bytes(self) -> int:
        return min(_MOST_BYTES, self._settings.max_events_bytes)

    async def _take(self, body: bytes, received_at: str) -> Answer:
        records, rejected = read(body, received_at)
        if records:
            try:
                await self._commit.append(Stream.FEEDBACK, lambda: records, len(body))
            except LogError as error:
                LOG.error("post not stored door=%s reason=%s", self.name, error)
                return problem(503, "try again later", retry_after=RETRY_AFTER_SECONDS)
        told = {"accepted": len(records), "rejected": rejected}
        if records:
            return Answer(202, msgspec.json.encode(told))
        return Answer(422, msgspec.json.encode({"error": "no item is a usable correction", **told}))


def read(body: bytes, given_at: str) -> tuple[list[Record], list[Refusal]]:
    """Records of the corrections in a body (an object, an array or NDJSON), and what was not taken; never raises."""
    try:
        items = split(body.removeprefix(b"\xef\xbb\xbf"))
    except BadEvent as bad:
        return [], [Refusal(0, bad.reason)]
    records: list[Record] = []
    rejected: list[Refusal] = []
    for index, raw in enumerate(items[:MAX_ITEMS]):
        try:
            told: Any = load_json(bytes(raw))
            if not isinstance(told, dict):
                raise ValueError("not an object")  # noqa: TRY301, TRY004 - one refusal a reason
            said = feedback_of(told, given_at)
        except (BadEvent, ValueError, RecursionError, OverflowError) as error:
            rejected.append(Refusal(index, error.reason if isinstance(error, BadEvent) else str(error)[:300]))
            continue
        records.append(Record(said.id.encode(), msgspec.json.encode(said)))
    return records, rejected
