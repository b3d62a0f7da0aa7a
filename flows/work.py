"""What passes between the steps of the delivery flow: micro-batches, never single events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from features.columns import FACT_SCHEMA, Decoded
from schemas.events import Reply
from schemas.failures import DeadLetter
from sinks.commands import PlacedCommand
from sinks.rows import Result


@dataclass(frozen=True)
class Work:
    """A micro-batch as a source hands it out.

    `lines` are events as JSON text, `at` their places in the source (int64), `cursors` where every source that is part
    of the batch goes on; `source` names the lines' source for ever. `logged` lines are the log's own. `control` has
    commands with their offsets.
    `more_waits` says that the source has more to give at once. `decoded` is what a source has decoded ahead. `watch`
    makes further rows for the lake of the facts.
    """

    source: str
    cursors: Mapping[str, int]
    lines: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    at: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, np.int64))
    replies: Sequence[bytes] = ()
    dead: Sequence[bytes] = ()
    results: Sequence[bytes] = ()
    control: Sequence[tuple[int, bytes]] = ()
    logged: bool = False
    more_waits: bool = False
    decoded: Decoded | None = None
    watch: Callable[[pa.Table], Sequence[Result]] | None = None


@dataclass(frozen=True)
class Batch:
    """A decoded micro-batch: `facts` by `features.columns.FACT_SCHEMA`, in the order of their source.

    `number` is what the memory of seen facts calls it.
    """

    cursors: Mapping[str, int]
    facts: pa.Table = field(default_factory=FACT_SCHEMA.empty_table)
    replies: Sequence[Reply] = ()
    dead: Sequence[DeadLetter] = ()
    results: Sequence[Result] = ()
    commands: Sequence[PlacedCommand] = ()
    duplicates: int = 0
    more_waits: bool = False
    number: int = 0
