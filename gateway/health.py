"""Whether the log can be written and read right now: what `GET /healthz` asks."""

import asyncio
import time
from typing import Final

import msgspec

from eventlog import Log, Record
from gateway.commit import GroupCommit
from schemas.events import Stream
from schemas.failures import LogError

PROBE_STREAM: Final = "health"
"""A stream of its own for trial appends; what lies in it means nothing and is dropped again."""
_TIMEOUT_SECONDS: Final = 5.0


class Health(msgspec.Struct, frozen=True):
    """`status` is `ok` or `failing`; `detail` says why; `waiting` counts submissions that are not on disk yet."""

    status: str
    writable: bool
    readable: bool
    waiting: int
    detail: str | None = None


async def check(log: Log, commit: GroupCommit) -> Health:
    """Appends a probe the way requests are appended, and reads the `raw` stream; gives up after 5 s."""
    write, read = await asyncio.gather(_fault(_write(log, commit)), _fault(_read(log)))
    return Health(
        status="failing" if write or read else "ok",
        writable=write is None,
        readable=read is None,
        waiting=commit.waiting,
        detail=write or read,
    )


async def _fault(work: "asyncio._CoroutineLike[None]") -> str | None:
    try:
        await asyncio.wait_for(work, _TIMEOUT_SECONDS)
    except TimeoutError:
        return f"the log did not answer within {_TIMEOUT_SECONDS:.0f} s"
    except LogError as error:
        return str(error)
    return None


async def _write(log: Log, commit: GroupCommit) -> None:
    now_ms = time.time_ns() // 1_000_000
    await commit.append(PROBE_STREAM, lambda: [Record(None, b"probe")], 5)
    await asyncio.to_thread(log.expire, PROBE_STREAM, 0, now_ms)


async def _read(log: Log) -> None:
    def look() -> None:
        last = log.end(Stream.RAW, 0) - 1
        log.read(Stream.RAW, 0, max(last, 0), 1)

    await asyncio.to_thread(look)
