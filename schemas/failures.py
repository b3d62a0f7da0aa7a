"""What can go wrong, as data and as exceptions.

The tree (who catches what):

    OutpulseError                 one clear line for the user, exit status 1
    ├── SettingsError             a setting is missing or wrong: names it and what is valid
    ├── RequestRefused            a webhook whose proof fails: carries the HTTP status
    ├── LogError                  the log cannot be written or read
    ├── LakeError                 the lake cannot be written or read
    │   ├── LakeLocked            another process is the writer
    │   ├── QueryRefused          a reader's statement that may not run
    │   ├── QueryStopped          a reader's statement that ran too long or grew too large
    │   ├── QueryWrong            a reader's statement that DuckDB does not understand
    │   └── LakeTooNew            written by a newer release
    ├── WeightsError              shipped weights of a model are damaged
    └── HomeError                 the home folder is unusable (read-only, full, of another kind)

An event that cannot be used is never an exception outside its decoder: it is a `DeadLetter`.
"""

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What could not be processed, with everything needed to try again.

    `id` derives from where it came from, so a repeated pass writes the same row. `reason` is a short stable phrase
    (`unmapped: NAME`, `not JSON`, `occurred_at out of range`); `detail` says what was received and what is valid.
    `raw` holds the bytes as received. `raw_partition` and `raw_offset` point into the `raw` stream.
    """

    id: str
    stage: str
    reason: str
    raw: bytes
    detail: str | None = None
    stream: str | None = None
    provider: str | None = None
    received_at: str | None = None
    raw_partition: int | None = None
    raw_offset: int | None = None


class OutpulseError(Exception):
    """A failure that a person can act on; its text is one clear line."""


class SettingsError(OutpulseError, ValueError):
    """A setting is missing or wrong."""


class RequestRefused(OutpulseError):  # noqa: N818 - reads as what happened
    """A webhook request whose proof is missing, wrong or stale. The text never holds a secret.

    `status` is the HTTP answer: 401 for a bad proof, 403 where no secret is set or a topic is not allowed.
    """

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class LogError(OutpulseError):
    """The log cannot be written or read."""


class LakeError(OutpulseError):
    """The lake cannot be written or read."""


class LakeLocked(LakeError):  # noqa: N818 - reads as the state it names
    """Another process holds the lake's writer lock."""


class LakeTooNew(LakeError):  # noqa: N818 - reads as the state it names
    """The lake was written by a newer release."""


class QueryRefused(LakeError):  # noqa: N818 - reads as what happened
    """A statement that does more than read the lake, or none that the database understands."""


class QueryWrong(LakeError):  # noqa: N818 - reads as what happened
    """A reader's statement has a mistake: of spelling, of a name, or in what it computes."""


class QueryStopped(LakeError):  # noqa: N818 - reads as what happened
    """A statement that took more time or memory than it may."""


class HomeError(OutpulseError):
    """The home folder cannot be used."""


class BadEvent(ValueError):  # noqa: N818 - it becomes a dead letter, never an error for the user
    """One event that cannot be used: `reason` is short and stable, the text is the detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class WeightsError(OutpulseError):
    """A file of weights is not the one that the project was released with."""
