"""Ready-made analyses of the lake: views and macros on top of the tables, with their columns, parameters and sources.

A macro is a view with parameters: `FROM attribution(half_life_days := 14)`. The SQL of both is in `sinks.analyses`; a test
keeps it equal to these Structs. Rates are 0..1, days and hours are UTC unless a zone is given.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final

import msgspec

from schemas.records import Instant, about
from schemas.tables import CampaignId

Channel = Annotated[str | None, about("how the messages travelled")]
Persona = Annotated[str | None, about("the contacts' persona")]
Tier = Annotated[str | None, about("tier of the contacts' accounts")]
Step = Annotated[str | None, about("the step of the sequence, as text")]
Sent = Annotated[int, about("deliveries that were sent")]
Delivered = Annotated[int, about("deliveries that arrived")]
Opened = Annotated[int, about("deliveries opened by a human")]
Clicked = Annotated[int, about("deliveries clicked by a human")]
Responses = Annotated[int, about("deliveries with a reply that is not out_of_office")]
Positive = Annotated[int, about("deliveries with an interested, question or meeting_request reply")]
Meetings = Annotated[int, about("deliveries with a booked meeting")]
OpenRate = Annotated[float | None, about("opened / delivered")]
ResponseRate = Annotated[float | None, about("responses / delivered")]
Low = Annotated[float | None, about("lower end of the 95% Wilson interval of response_rate")]
High = Annotated[float | None, about("upper end of the 95% Wilson interval of response_rate")]
Weekday = Annotated[int, about("1 Monday .. 7 Sunday, in the zone")]
Hour = Annotated[int, about("0..23, in the zone")]
FirstTouch = Annotated[float | None, about("share of the outcomes by the first touch: all to the earliest")]
LastTouch = Annotated[float | None, about("by the last touch: all to the latest before the outcome")]
Linear = Annotated[float | None, about("linear: the same to each")]
TimeDecay = Annotated[float | None, about("time decay: half as much for each half-life before the latest touch")]


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries by the furthest stage they reached, by the UTC day of sending.

    A stage counts what proves it or any later stage, so no stage is larger than the one before: mail that was answered
    without a visible open has awakened interest too.
    """

    metric_date: Annotated[date, about("UTC day of sending, of a call the day of the call")]
    campaign_id: CampaignId = None
    channel: Channel = None
    persona: Persona = None
    account_tier: Tier = None
    touched: Annotated[int, about("deliveries that were sent, called or connected")]
    awareness: Annotated[int, about("arrived: delivered, opened, called, connected or further")]
    interest: Annotated[int, about("opened or clicked by a human, connected, or further")]
    engagement: Annotated[int, about("a reply that is not out_of_office, or further")]
    meeting: Annotated[int, about("a meeting was booked, or further")]
    opportunity: Annotated[int, about("an opportunity was created")]


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """campaign_performance_metrics in its finest grain: by step, variant and sender too; counts only, to be added up."""

    metric_date: Annotated[date, about("UTC day of sending")]
    campaign_id: CampaignId = None
    channel: Channel = None
    persona: Persona = None
    account_tier: Tier = None
    sequence_step: Step = None
    variant: Annotated[str | None, about("the experiment's variant")] = None
    sender: Annotated[str | None, about("the sending identity")] = None
    messages_sent: Sent
    messages_delivered: Delivered
    messages_opened: Opened
    messages_clicked: Clicked
    responses_received: Responses
    positive_responses: Positive
    meetings_booked: Meetings
    opportunities: Annotated[int, about("deliveries with an opportunity")]
    bounced: Annotated[int, about("deliveries with a bounce of any class")]
    bounced_hard: Annotated[int, about("deliveries with a hard bounce")]
    complained: Annotated[int, about("deliveries with a complaint")]
    unsubscribed: Annotated[int, about("deliveries with an unsubscribe")]


class WeeklyCohort(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of the messages of one week until now; the newest weeks still rise."""

    sent_week: Annotated[date, about("Monday of the UTC week of sending")]
    campaign_id: CampaignId = None
    channel: Channel = None
    messages_sent: Sent
    messages_delivered: Delivered
    messages_opened: Opened
    messages_clicked: Clicked
    responses_received: Responses
    positive_responses: Positive
    meetings_booked: Meetings
    opportunities: Annotated[int, about("deliveries with an opportunity")]
    delivery_rate: Annotated[float | None, about("delivered / sent")] = None
    open_rate: OpenRate = None
    response_rate: ResponseRate = None
    meeting_rate: Annotated[float | None, about("meetings / delivered")] = None


class ResponseCurve(msgspec.Struct, frozen=True, kw_only=True):
    """How fast answers come: of each week's messages, the share answered within 1, 2, 3 … days."""

    sent_week: Annotated[date, about("Monday of the UTC week of sending")]
    campaign_id: CampaignId = None
    channel: Channel = None
    day: Annotated[int, about("days after sending: 1 is within 24 hours")]
    responses: Annotated[int, about("deliveries answered (not out_of_office) within that time")]
    delivered: Delivered
    response_rate: ResponseRate = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Response by persona, tier and channel, with how sure it is and how it compares with all."""

    persona: Persona = None
    account_tier: Tier = None
    channel: Channel = None
    messages_sent: Sent
    messages_delivered: Delivered
    messages_opened: Opened
    responses_received: Responses
    positive_responses: Positive
    meetings_booked: Meetings
    open_rate: OpenRate = None
    response_rate: ResponseRate = None
    response_low: Low = None
    response_high: High = None
    lift: Annotated[float | None, about("response_rate / that of all segments of the channel; 1 is average")] = None


class SendHour(msgspec.Struct, frozen=True, kw_only=True):
    """What became of messages by the hour they were sent."""

    sent_hour: Annotated[datetime, msgspec.Meta(tz=True), about("start of the UTC hour of sending")]
    campaign_id: CampaignId = None
    channel: Channel = None
    persona: Persona = None
    messages_sent: Sent
    messages_delivered: Delivered
    messages_opened: Opened
    messages_clicked: Clicked
    responses_received: Responses
    positive_responses: Positive
    meetings_booked: Meetings


class SendTime(msgspec.Struct, frozen=True, kw_only=True):
    """What became of messages by weekday and hour of sending, with how sure it is and how it compares with all."""

    weekday: Weekday
    hour: Hour
    channel: Channel = None
    messages_sent: Sent
    messages_delivered: Delivered
    messages_opened: Opened
    responses_received: Responses
    open_rate: OpenRate = None
    response_rate: ResponseRate = None
    response_low: Low = None
    response_high: High = None
    lift: Annotated[float | None, about("response_rate / that of all hours of the channel; 1 is average")] = None


class ActivityHour(msgspec.Struct, frozen=True, kw_only=True):
    """When things happen: events by weekday and hour of their own time, those of machines left out."""

    weekday: Weekday
    hour: Hour
    channel: Channel = None
    kind: Annotated[str, about("what happened")]
    events: Annotated[int, about("number of events")]


class DailyActivity(msgspec.Struct, frozen=True, kw_only=True):
    """How much happened on each day, by the day of the event; those of machines have is_machine true."""

    day: Annotated[date, about("UTC day of the events")]
    campaign_id: CampaignId = None
    channel: Channel = None
    kind: Annotated[str, about("what happened")]
    bounce_class: Annotated[str | None, about("hard, soft or block; null unless bounced")] = None
    is_machine: Annotated[bool | None, about("true: opened or clicked by a machine; null counts as human")] = None
    events: Annotated[int, about("number of events")]


class CreditedTouch(msgspec.Struct, frozen=True, kw_only=True):
    """One touch before one outcome of the same person, on any channel, and its share of the credit.

    An outcome is a delivery's first event of the kind. A person is a contact_id, else a recipient. A touch is a delivery
    that was sent, called or connected in the window before the outcome. The four credits of an outcome add up to 1 each;
    an outcome without any touch has one row without a touch, which gets the credit.
    """

    outcome_event_id: Annotated[str, about("events.event_id of the outcome")]
    outcome_at: Annotated[Instant, about("when it happened, UTC")]
    person: Annotated[str | None, about("contact_id, else the recipient in lower case")] = None
    touched_at: Annotated[Instant | None, about("sent time of the touch, UTC; null without a touch")] = None
    channel: Channel = None
    campaign_id: CampaignId = None
    delivery_id: Annotated[str | None, about("the touch, as the sender named it")] = None
    sequence_step: Step = None
    variant: Annotated[str | None, about("the experiment's variant")] = None
    sender: Annotated[str | None, about("the sending identity")] = None
    persona: Persona = None
    account_tier: Tier = None
    position: Annotated[int, about("1 is the earliest touch of the outcome")]
    touches: Annotated[int, about("touches of the outcome in the window")]
    days_before: Annotated[float | None, about("days from the touch to the outcome")] = None
    first_touch: FirstTouch = None
    last_touch: LastTouch = None
    linear: Linear = None
    time_decay: TimeDecay = None


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes shared out among channels, campaigns and steps, by four models side by side.

    Each model's column adds up to the number of outcomes; a row without channel holds those without any touch.
    """

    channel: Channel = None
    campaign_id: CampaignId = None
    sequence_step: Step = None
    outcomes: Annotated[int, about("outcomes that this touched at least once")]
    touches: Annotated[int, about("touches before outcomes")]
    first_touch: FirstTouch = None
    last_touch: LastTouch = None
    linear: Linear = None
    time_decay: TimeDecay = None


class DictionaryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """This page as a table: every table, view and macro, and every column."""

    object_name: Annotated[str, about("table, view or macro")]
    object_kind: Annotated[str, about("table, view, macro or function")]
    column_name: Annotated[str | None, about("null in the row of the object itself")] = None
    data_type: Annotated[str | None, about("DuckDB's type")] = None
    meaning: Annotated[str | None, about("meaning and unit")] = None


class Parameter(msgspec.Struct, frozen=True):
    """A macro's parameter; without a default it must be given, in its place."""

    name: str
    meaning: str
    default: str | None = None


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """A view (no parameters) or a macro: its columns, or the meaning of its value, and where its formula is from."""

    struct: type[msgspec.Struct] | None = None
    parameters: tuple[Parameter, ...] = ()
    is_macro: bool = False
    meaning: str = ""
    source: str = ""


_ZONE: Final = Parameter("zone", "time zone of weekday and hour, such as Europe/Berlin", "'UTC'")
_SINCE: Final = Parameter("since", "first UTC day of sending", "DATE '2000-01-01'")
_UNTIL: Final = Parameter("until", "last UTC day of sending", "DATE '2079-12-31'")
_TOUCHED: Final = (
    Parameter(
        "outcome",
        "kind of event that is the outcome, such as meeting_booked or opportunity_created",
        "'meeting_booked'",
    ),
    Parameter("window_days", "touches count this many days before an outcome", "90"),
    Parameter("half_life_days", "time decay: a touch this much older counts half", "7"),
)
_MODELS: Final = (
    "Google Analytics Help, Multi-Channel Funnels, 'About the default MCF attribution models' (last interaction, first "
    "interaction, linear, and time decay with a half-life of 7 days)"
)
_WILSON: Final = (
    "E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the American "
    "Statistical Association 22 (1927), 209-212"
)
_PROPORTION: Final = (
    Parameter("hits", "successes, 0 .. trials"),
    Parameter("trials", "attempts"),
    Parameter("z", "standard normal quantile: 1.96 for 95 %, 2.576 for 99 %", "1.96"),
)

ANALYSES: Final[Mapping[str, Analysis]] = {
    "cohorts": Analysis(struct=Cohort),
    "funnel": Analysis(struct=Funnel),
    "weekly_cohorts": Analysis(struct=WeeklyCohort),
    "send_hours": Analysis(struct=SendHour),
    "wilson_low": Analysis(
        is_macro=True,
        parameters=_PROPORTION,
        meaning="lower end of the Wilson score interval of hits / trials; null without trials",
        source=_WILSON,
    ),
    "wilson_high": Analysis(
        is_macro=True,
        parameters=_PROPORTION,
        meaning="upper end of the Wilson score interval of hits / trials; null without trials",
        source=_WILSON,
    ),
    "segments": Analysis(struct=Segment, is_macro=True, parameters=(_SINCE, _UNTIL), source=_WILSON),
    "send_times": Analysis(struct=SendTime, is_macro=True, parameters=(_ZONE, _SINCE, _UNTIL), source=_WILSON),
    "activity_hours": Analysis(struct=ActivityHour, is_macro=True, parameters=(_ZONE,)),
    "daily_activity": Analysis(struct=DailyActivity),
    "response_curve": Analysis(
        struct=ResponseCurve, is_macro=True, parameters=(Parameter("days", "days to follow a week's messages", "14"),)
    ),
    "credited_touches": Analysis(struct=CreditedTouch, is_macro=True, parameters=_TOUCHED, source=_MODELS),
    "attribution": Analysis(struct=Attribution, is_macro=True, parameters=_TOUCHED, source=_MODELS),
    "meeting_attribution": Analysis(struct=Attribution, source=_MODELS),
    "opportunity_attribution": Analysis(struct=Attribution, source=_MODELS),
    "data_dictionary": Analysis(struct=DictionaryEntry),
}
"""In an order in which each can be made; those with `struct` are relations, the others give a value."""


def call_of(name: str) -> str:
    """How it is written in a FROM or a SELECT, with defaults: `attribution(window_days := 90)`."""
    found = ANALYSES[name]
    if not found.is_macro:
        return name
    shown = [p.name if p.default is None else f"{p.name} := {p.default}" for p in found.parameters]
    return f"{name}({', '.join(shown)})"
