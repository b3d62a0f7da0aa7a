"""The identity of a fact, as the key of a log record: 16 bytes of BLAKE2b over the parts that name it."""

import hashlib

from schemas.events import Event, Reply


def _digest(*parts: str | None) -> bytes:
    text = "\x1f".join("\x1e" if part is None else part for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def event_key(event: Event) -> bytes:
    """Key of (provider, event_id, kind, recipient, UTC day of occurred_at)."""
    return _digest(event.provider, event.event_id, event.kind, event.recipient, event.occurred_at[:10])


def reply_key(reply: Reply) -> bytes:
    """Key of a reply's words: (provider, event_id, recipient)."""
    return _digest(reply.provider, reply.event_id, reply.recipient)
