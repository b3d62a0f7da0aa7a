"""What passes through the log: the only place where a field, a kind or a channel is defined.

Times are text in one canonical form, RFC 3339 UTC with milliseconds (`2026-01-05T10:00:00.123Z`): it sorts as time
does and is what files, the log and HTTP carry. `schemas.instants` converts.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec


class Kind(StrEnum):
    """Everything that can happen to an outbound message."""

    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    FAILED = "failed"
    CONNECTED = "connected"
    CALLED = "called"
    MEETING_BOOKED = "meeting_booked"
    MEETING_CONFIRMED = "meeting_confirmed"
    MEETING_CANCELLED = "meeting_cancelled"
    MEETING_HELD = "meeting_held"
    MEETING_NO_SHOW = "meeting_no_show"
    OPPORTUNITY_CREATED = "opportunity_created"


class Channel(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    LINKEDIN_CONNECT = "linkedin_connect"
    LINKEDIN_MESSAGE = "linkedin_message"
    PHONE = "phone"
    VIDEO = "video"


class BounceClass(StrEnum):
    """What a bounce says: the address is dead, try later, or the sender is unwelcome."""

    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"


class Origin(StrEnum):
    """Which door an event came in by."""

    RAW = "raw"
    API = "api"
    MAILBOX = "mailbox"
    REPLAY = "replay"


class Stream(StrEnum):
    """The streams of the log."""

    RAW = "raw"
    EVENTS = "events"
    REPLIES = "replies"
    CONTROL = "control"
    FEEDBACK = "feedback"
    RESULTS = "results"
    DEADLETTER = "deadletter"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One normalized record of one fact about one outbound message; absent means None.

    Its identity, everywhere, is (`provider`, `event_id`, `kind`, `recipient`, UTC day of `occurred_at`).
    Unknown fields are ignored, so that an older reader can read what a newer writer wrote.
    """

    event_id: str
    kind: Kind
    occurred_at: str
    received_at: str | None = None
    channel: Channel | None = None
    provider: str | None = None
    campaign_id: str | None = None
    delivery_id: str | None = None
    message_id: str | None = None
    contact_id: str | None = None
    recipient: str | None = None
    sender: str | None = None
    sequence_step: str | None = None
    variant: str | None = None
    persona: str | None = None
    account_tier: str | None = None
    bounce_class: BounceClass | None = None
    is_machine: bool | None = None
    url: str | None = None
    reason: str | None = None
    attributes: dict[str, str] | None = None


EVENT_FIELDS: Final[tuple[str, ...]] = Event.__struct_fields__

ATTRIBUTED_FIELDS: Final[tuple[str, ...]] = (
    "campaign_id",
    "contact_id",
    "sequence_step",
    "variant",
    "sender",
    "persona",
    "account_tier",
)
"""What an event takes from its delivery when it does not carry it itself."""


class LoggedEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event as it lies in the `events` stream: with its origin and, if it came as a webhook, where the request lies.

    `raw_offset` is the offset in the `raw` stream; `raw_partition` its partition.
    """

    origin: Origin
    raw_partition: int | None = None
    raw_offset: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The words of a reply, in the `replies` stream under the `event_id` of its `replied` event.

    `headers` keeps the mail's headers with lower-case names, or None for channels that have none.
    """

    event_id: str
    text: str
    subject: str | None = None
    headers: dict[str, str] | None = None
    provider: str | None = None
    recipient: str | None = None
    occurred_at: str | None = None
    received_at: str | None = None
    channel: str | None = None
    origin: Origin | None = None
    raw_partition: int | None = None
    raw_offset: int | None = None


class RawRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A webhook request as received: header names lower-case, `body` the exact bytes that were signed.

    `url` is the path and query, with credentials removed. `received_at` is the gateway's clock.
    """

    provider: str
    method: str
    url: str
    received_at: str
    headers: dict[str, str]
    body: bytes
    inbound: bool = False


class CommandAction(StrEnum):
    """What a command does: the first four to a scope, the last two to a person's addresses."""

    WARN = "warn"
    SLOW = "slow"
    PAUSE = "pause"
    RESUME = "resume"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"


class Detector(StrEnum):
    """What the guard decided by: a rate above its tolerance, a rate that changed, or the evidence of a probation."""

    LIMIT = "limit"
    SHIFT = "shift"
    PROBATION = "probation"


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the guard or a person tells the dispatcher, in the `control` stream; its log key is `id`.

    `scope_kind` and `scope_value` are as `control.scopes` writes them; a suppression has none, but `contact_id`,
    `recipient` or both, and `channel` (None is all). `send_share` counts for `slow` only. `occurred_at` is the event time,
    `decided_at` the wall clock of the decision. `evidence` is the e-value, `observed_rate` is `hits` / `trials`;
    `detector` says what the e-value is about, None for people. A person's `slow` with `metric` "probation" puts the scope
    on probation by `rule`. A pause or slow-down ends by itself at the instant `until`, if it names one.
    """

    id: str
    action: CommandAction
    scope_kind: str = ""
    scope_value: str = ""
    occurred_at: str
    decided_by: str
    why: str
    send_share: float = 0.0
    rule: str | None = None
    caused_by: str | None = None
    metric: str | None = None
    observed_rate: float | None = None
    tolerance: float | None = None
    evidence: float | None = None
    trials: int | None = None
    hits: int | None = None
    decided_at: str | None = None
    channel: str | None = None
    contact_id: str | None = None
    recipient: str | None = None
    detector: Detector | None = None
    until: str | None = None


class Lesson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A labelled reply that models learn from: any of the labels that `outpulse replies classify` gives.

    `context` holds earlier messages of the thread, oldest first.
    """

    reply: Reply
    labels: dict[str, Any]
    context: list[str] = []


class Feedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A person's correction of one field of one reply's reading, in the `feedback` stream.

    Three fields are about no reading: `lessons` (labelled replies of a file, in `lessons`), `model` (`new_value` is the
    version to go back to) and `forget` (the models must not keep the words of `event_id`).
    """

    id: str
    event_id: str
    field: str
    new_value: str
    given_by: str
    given_at: str
    old_value: str | None = None
    lessons: list[Lesson] | None = None


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row for a table of the lake, from a part that does not write to it, in the `results` stream.

    `row` holds the columns of `table` as JSON; a later row of the same `id` takes the place of an earlier one.
    """

    table: str
    row: dict[str, Any]
