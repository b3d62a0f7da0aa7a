"""The system's own tables: facts, minute cells, dead letters, decisions, alerts, corrections, models, suppressions.

A table is a frozen Struct; `schemas.derive` turns it into Arrow, SQL and JSON Schema. The annotations say the type:
text is VARCHAR, `uuid.UUID` UUID, `Instant` TIMESTAMPTZ in UTC, `datetime.date` DATE (a UTC day), `int` BIGINT,
`float` DOUBLE, `bool` BOOLEAN, `bytes` BLOB, `Json` JSON, `dict[str, str]` MAP(VARCHAR, VARCHAR), an enum VARCHAR with
its values in the column's comment. A column is NOT NULL unless its annotation has None. `about(...)` is the comment
that analysts read.

`id` is `schemas.identifiers.uuid7_of` of the row's event time and natural key. A text id that came from outside becomes
a UUID by `schemas.identifiers.external_id`.
"""

import operator
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from schemas.events import Detector, Event, Origin

Json = Annotated[str, msgspec.Meta(extra={"sql": "JSON"})]
"""JSON text in a column of type JSON."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware datetime; naive ones are refused."""


def about(text: str) -> msgspec.Meta:
    """The comment of a column."""
    return msgspec.Meta(description=text)


class PauseAction(StrEnum):
    """What a decision asks of the dispatcher: look, send less, send nothing, send again."""

    WARN = "warn"
    SLOW = "slow"
    PAUSE = "pause"
    RESUME = "resume"


class AlertSeverity(StrEnum):
    """How much an alert should disturb."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertStatus(StrEnum):
    """How far an alert got."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


EVENT_COMMENTS: Final[Mapping[str, str]] = {
    "event_id": "names the fact: the provider's id, else a hash of what identifies the fact",
    "kind": "what happened to the message",
    "occurred_at": "when it happened, UTC, to the millisecond",
    "received_at": "when it reached us, UTC (wall clock)",
    "channel": "how the message travelled",
    "provider": "who reported it: the email service provider or hook",
    "campaign_id": "the campaign, as the sender of the message named it",
    "delivery_id": "one message to one contact, as the sender of the message named it",
    "message_id": "the provider's or the mail's id of the message",
    "contact_id": "the contact, as the user's import names it",
    "recipient": "address, number or profile written to",
    "sender": "the sending identity (mailbox, number or profile)",
    "sequence_step": "the step of the sequence, as text",
    "variant": "the experiment's variant the contact got",
    "persona": "the contact's persona",
    "account_tier": "tier of the contact's account",
    "bounce_class": "hard: address dead; soft: try later; block: sender unwelcome; null unless bounced",
    "is_machine": "true: opened or clicked by a machine; null counts as human",
    "url": "the link that was clicked",
    "reason": "the provider's words for a bounce, rejection or failure",
    "attributes": "everything else the provider said, as flat text",
    "recipient_domain": "what follows the last @ of recipient, lower case",
    "origin": "which door the event came in by",
}

METRIC_KEYS: Final = (
    "campaign_id",
    "channel",
    "sequence_step",
    "variant",
    "persona",
    "account_tier",
    "sender",
    "recipient_domain",
    "kind",
    "bounce_class",
    "is_machine",
)
"""What the figures of `metrics_minute` and `metrics_*` are counted by."""

Field = tuple[str, Any] | tuple[str, Any, Any]


def _event_columns() -> dict[str, Field]:
    """Name -> (name, annotation[, default]) of the columns of `events`; times are instants here, not text."""
    types = {field.name: field.type for field in msgspec.structs.fields(Event)}
    types |= {"occurred_at": Instant, "received_at": Instant | None, "recipient_domain": str | None, "origin": Origin}
    required = {"event_id", "kind", "occurred_at", "origin"}
    noted: dict[str, Any] = {
        name: operator.getitem(Annotated, (t, about(EVENT_COMMENTS.get(name, "")))) for name, t in types.items()
    }
    return {name: (name, noted[name]) if name in required else (name, noted[name], None) for name in types}


_EVENT_COLUMNS: Final = _event_columns()


def _row_type(name: str, doc: str, fields: Iterable[Field]) -> type[msgspec.Struct]:
    """A table whose columns derive from those of `events`."""
    return msgspec.defstruct(name, list(fields), namespace={"__doc__": doc}, module=__name__, frozen=True, kw_only=True)


EventRow: Final = _row_type(
    "EventRow",
    "One fact about one outbound message; the first copy in the log's order is kept, duplicates are not rows.",
    _EVENT_COLUMNS.values(),
)

_COUNT: Final = Annotated[int, about("number of events")]
_CELL: Final = (*(_EVENT_COLUMNS[key] for key in METRIC_KEYS), ("events", _COUNT))

MetricsMinute: Final = _row_type(
    "MetricsMinute",
    "How many events of one combination of keys fell into one minute of event time.",
    [("minute", Annotated[datetime, msgspec.Meta(tz=True), about("start of the UTC minute of occurred_at")]), *_CELL],
)

MetricsWindow: Final = _row_type(
    "MetricsWindow",
    "How many events of one combination of keys the window (as_of - width, as_of] of event time holds.",
    [
        (
            "as_of",
            Annotated[datetime, msgspec.Meta(tz=True), about("the newest accepted occurred_at in the lake, UTC")],
        ),
        *_CELL,
    ],
)


class DeadLetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could not be processed, with its bytes, so that it can be tried again."""

    id: UUID
    received_at: Annotated[Instant | None, about("when it reached us, UTC (wall clock)")] = None
    stream: Annotated[str | None, about("the stream it was read from")] = None
    provider: str | None = None
    stage: Annotated[str, about("the part that gave up: normalize, decode, import")]
    reason: Annotated[str, about("short and stable, such as 'not JSON' or 'unmapped: NAME'")]
    detail: Annotated[str | None, about("what was received and what is valid")] = None
    raw: Annotated[bytes, about("the bytes as received")]
    raw_partition: Annotated[int | None, about("partition of the raw stream that holds the request")] = None
    raw_offset: Annotated[int | None, about("offset in the raw stream that holds the request")] = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about what may be sent, the guard's or a person's; `active_pauses` has those that hold now."""

    id: UUID
    action: PauseAction
    send_share: Annotated[float, about("share of sends still allowed, 0..1: 0 nothing, 1 everything")]
    scope_kind: Annotated[
        str, about("campaign, sender, domain, contact or all; joined kinds such as 'sender,domain' narrow the scope")
    ]
    scope_value: Annotated[str, about("the value, of joined kinds the values as a row of CSV; '' for all")]
    rule: Annotated[str | None, about("the rule that fired; null for a person's decision")] = None
    metric: Annotated[str | None, about("what the rule watched, such as hard_bounce")] = None
    observed_rate: Annotated[float | None, about("hits / trials, 0..1")] = None
    tolerance: Annotated[float | None, about("the rate the rule tolerates, 0..1")] = None
    evidence: Annotated[float | None, about("e-value against the tolerated rate; it fires at 1 / alpha")] = None
    trials: Annotated[int | None, about("sends the rule had seen")] = None
    hits: Annotated[int | None, about("bad outcomes among the trials")] = None
    caused_by: Annotated[str | None, about("event_id of the event that tipped it")] = None
    occurred_at: Annotated[Instant, about("event time of the decision, UTC")]
    decided_at: Annotated[Instant, about("wall clock of the decision, UTC; differs between passes over one log")]
    decided_by: Annotated[str, about("guard, replay or a person")]
    why: Annotated[str, about("the reason in words")]
    control_offset: Annotated[
        int | None, about("place in the control stream; null for a replay's, which do not hold")
    ] = None
    detector: Annotated[
        Detector | None, about("what the guard decided by; null for a person's decision, and for older ones")
    ] = None
    until: Annotated[Instant | None, about("when it ends by itself, UTC; null if it does not")] = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One message to people, mostly about a pause."""

    id: UUID
    pause_id: Annotated[UUID | None, about("pauses.id it tells of")] = None
    severity: AlertSeverity
    title: str
    body: str
    target: Annotated[str | None, about("where it goes, without secrets")] = None
    status: AlertStatus
    attempts: Annotated[int, about("how often sending was tried")]
    created_at: Annotated[Instant, about("event time of what it tells, UTC")]
    sent_at: Annotated[Instant | None, about("wall clock of the successful sending, UTC")] = None


class FeedbackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person's correction of one field of one reply's reading."""

    id: UUID
    event_id: Annotated[str, about("the replied event")]
    field: Annotated[str, about("what was corrected, such as intent")]
    old_value: str | None = None
    new_value: str
    given_by: Annotated[str, about("the person")]
    given_at: Annotated[Instant, about("UTC")]


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one model."""

    name: str
    version: str
    trained_on: Annotated[str | None, about("what it learned from: data set, examples, corrections")] = None
    metrics: Annotated[Json | None, about("scores by name, as a JSON object")] = None
    active: Annotated[bool, about("whether it makes the predictions now")]
    created_at: Annotated[Instant, about("event time of the newest thing it learned, UTC")]


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who must not be written to: filled by unsubscribes, complaints and hard bounces, or by people."""

    contact_id: str | None = None
    recipient: Annotated[str | None, about("address, number or profile, lower case")] = None
    scope: Annotated[str, about("all, or a channel")]
    reason: Annotated[str, about("such as unsubscribed, complained, hard bounce, or a person's words")]
    source: Annotated[str, about("who says so: a provider, the reply classifier, an import or a person")]
    event_id: Annotated[str | None, about("the event that says so")] = None
    since: Annotated[Instant, about("event time, UTC")]


class DataQualityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one run of `outpulse check`: what was expected of the landed tables and what was found."""

    id: Annotated[UUID, about("derived from the run's time and the check")]
    run_at: Annotated[Instant, about("wall clock of the run, UTC")]
    suite: Annotated[str, about("freshness, facts, figures, replies, decisions or imports")]
    check_name: Annotated[str, about("the check's name; stable")]
    table_name: Annotated[str, about("the table that it looks at")]
    kind: Annotated[str, about("freshness, completeness, enum, range, uniqueness, reference or consistency")]
    expectation: Annotated[str, about("what must hold, in words")]
    success: Annotated[bool, about("whether it holds")]
    severity: Annotated[AlertSeverity, about("how much a failure should disturb")]
    observed: Annotated[str | None, about("what was found where it fails, in words; null where it holds")] = None
    failures: Annotated[int | None, about("rows of the measure that break it")] = None
    mend: Annotated[str | None, about("what to do where it fails")] = None
