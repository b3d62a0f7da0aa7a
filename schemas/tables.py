"""The product's data model: nine tables as Structs, every enum once, and the registry of all tables of the lake.

How annotations become columns stands in `schemas.records`, which also holds the system's own tables. Ids of campaigns,
deliveries and experiments are `schemas.identifiers.external_id` of the ids users and providers gave; ids of the user's
import (contacts, strategies, messages, templates, calendars) are kept as given, as text. Instants are UTC.
"""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from schemas.events import BounceClass, Channel
from schemas.imported import IMPORTED
from schemas.records import (
    Alert,
    DataQualityRow,
    DeadLetterRow,
    EventRow,
    FeedbackRow,
    Instant,
    Json,
    MetricsMinute,
    MetricsWindow,
    ModelRow,
    Pause,
    Suppression,
    about,
)


class ExecutionStatus(StrEnum):
    """Where a campaign stands."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"


class DeliveryStatus(StrEnum):
    """The furthest a delivery got, in rising order but for failed and bounced, which opened and later ones outrank."""

    SCHEDULED = "scheduled"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"


class ResponseChannel(StrEnum):
    """How a reply came."""

    EMAIL = "email"
    LINKEDIN = "linkedin"
    PHONE = "phone"
    OTHER = "other"


class Intent(StrEnum):
    """What the sender of a reply wants."""

    INTERESTED = "interested"
    NOT_INTERESTED = "not_interested"
    NOT_NOW = "not_now"
    REFERRAL = "referral"
    QUESTION = "question"
    OBJECTION = "objection"
    MEETING_REQUEST = "meeting_request"
    UNSUBSCRIBE = "unsubscribe"
    OUT_OF_OFFICE = "out_of_office"


class Urgency(StrEnum):
    """How soon a reply wants an answer."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class NextAction(StrEnum):
    """What a reply asks us to do."""

    AUTO_RESPOND = "auto_respond"
    HUMAN_REVIEW = "human_review"
    SCHEDULE_MEETING = "schedule_meeting"
    ADD_TO_NURTURE = "add_to_nurture"
    MARK_CLOSED = "mark_closed"


class ResolutionStatus(StrEnum):
    """How far the handling of a reply is."""

    PENDING = "pending"
    HANDLED = "handled"
    ESCALATED = "escalated"
    CLOSED = "closed"


class InterestLevel(StrEnum):
    """How interested the sender of a reply is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


class ObjectionType(StrEnum):
    """What an objection is about."""

    BUDGET = "budget"
    TIMING = "timing"
    AUTHORITY = "authority"
    NEED = "need"
    COMPETITOR = "competitor"
    TRUST = "trust"


class ExperimentType(StrEnum):
    """What an experiment varies."""

    SUBJECT_LINE = "subject_line"
    MESSAGE_CONTENT = "message_content"
    SEND_TIME = "send_time"
    CHANNEL_SEQUENCE = "channel_sequence"
    PERSONALIZATION = "personalization"


class ExperimentStatus(StrEnum):
    """Where an experiment stands."""

    PLANNING = "planning"
    RUNNING = "running"
    COMPLETED = "completed"
    INCONCLUSIVE = "inconclusive"


class LearningEventType(StrEnum):
    """What the system learned from."""

    USER_EDIT = "user_edit"
    PERFORMANCE_FEEDBACK = "performance_feedback"
    SUCCESS_PATTERN = "success_pattern"
    FAILURE_ANALYSIS = "failure_analysis"
    OPTIMIZATION_RESULT = "optimization_result"


class ApplicationScope(StrEnum):
    """How widely an insight holds."""

    GLOBAL = "global"
    INDUSTRY = "industry"
    PERSONA = "persona"
    USER_SPECIFIC = "user_specific"


class ImplementationStatus(StrEnum):
    """What became of an insight."""

    PENDING = "pending"
    APPLIED = "applied"
    TESTED = "tested"
    VALIDATED = "validated"


class MeetingType(StrEnum):
    """What a meeting is for."""

    DISCOVERY = "discovery"
    DEMO = "demo"
    TECHNICAL = "technical"
    BUSINESS_REVIEW = "business_review"
    CLOSING = "closing"


class MeetingStatus(StrEnum):
    """What became of a meeting."""

    SCHEDULED = "scheduled"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


class SequenceStatus(StrEnum):
    """Where a contact stands in a sequence."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    RESPONDED = "responded"


class OptimizationTrigger(StrEnum):
    """What called for an optimization."""

    LOW_PERFORMANCE = "low_performance"
    HIGH_BOUNCE = "high_bounce"
    POOR_ENGAGEMENT = "poor_engagement"
    OPPORTUNITY_DETECTED = "opportunity_detected"


class OptimizationStatus(StrEnum):
    """How far an optimization is."""

    RECOMMENDED = "recommended"
    APPROVED = "approved"
    IMPLEMENTED = "implemented"
    MEASURED = "measured"


CreatedAt = Annotated[datetime, msgspec.Meta(tz=True), about("event time of the fact that made the row, UTC")]
CampaignExecutionId = Annotated[UUID | None, about("campaign_executions.id")]
CampaignId = Annotated[str | None, about("the campaign, as the sender of the messages named it")]
ContactId = Annotated[str | None, about("the contact, as the user's import names it")]
DeliveryId = Annotated[str | None, about("one message to one contact, as the sender named it")]


class CampaignExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign that events or an import name; figures are of today's knowledge and correct themselves."""

    id: Annotated[UUID, about("derived from campaign_id")]
    campaign_strategy_id: Annotated[str | None, about("the user's campaign_strategies, as imported")] = None
    execution_status: ExecutionStatus
    launch_date: Annotated[Instant | None, about("as imported, else the UTC day of the first message")] = None
    pause_date: Annotated[Instant | None, about("event time of the pause that holds, UTC; null if none does")] = None
    completion_date: Annotated[Instant | None, about("as imported, UTC")] = None
    total_targets: Annotated[int | None, about("contacts of the import, else contacts seen")] = None
    messages_sent: Annotated[int | None, about("deliveries that were sent, each counted once")] = None
    responses_received: Annotated[int | None, about("deliveries with a reply that is not out_of_office")] = None
    meetings_booked: Annotated[int | None, about("deliveries with a booked meeting")] = None
    execution_settings: Annotated[Json | None, about("throttling, timing, channel preferences, as imported")] = None
    performance_summary: Annotated[Json | None, about("rates of the whole campaign by name")] = None
    optimization_history: Annotated[Json | None, about("list of optimization actions, oldest first")] = None
    created_at: CreatedAt
    campaign_id: CampaignId = None


class MessageDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one contact: delivery_id, or else (provider, message_id, recipient), names it."""

    id: Annotated[UUID, about("derived from delivery_id, else from (provider, message_id, recipient)")]
    campaign_execution_id: CampaignExecutionId = None
    contact_id: ContactId = None
    message_id: Annotated[str | None, about("the provider's or the mail's id of the message")] = None
    channel: Channel | None = None
    sequence_step: Annotated[str | None, about("the step of the sequence, as text")] = None
    scheduled_send_time: Annotated[Instant | None, about("when it was queued, UTC")] = None
    actual_send_time: Annotated[
        Instant | None, about("earliest sent, else earliest queued, else earliest event, UTC; null if not sent")
    ] = None
    delivery_status: Annotated[
        DeliveryStatus | None, about("the furthest reached; machine opens and clicks do not raise it")
    ] = None
    delivery_metadata: Annotated[Json | None, about("provider response, tracking ids")] = None
    personalization_used: Json | None = None
    created_at: CreatedAt
    delivery_id: DeliveryId = None
    campaign_id: CampaignId = None
    provider: Annotated[str | None, about("who reported it")] = None
    recipient: Annotated[str | None, about("address, number or profile written to")] = None
    sender: Annotated[str | None, about("the sending identity")] = None
    event_id: Annotated[str | None, about("the earliest event, which made the row")] = None
    delivered_at: Annotated[Instant | None, about("first sign that it arrived, UTC")] = None
    opened_at: Annotated[Instant | None, about("first open by a human, UTC")] = None
    clicked_at: Annotated[Instant | None, about("first click by a human, UTC")] = None
    replied_at: Annotated[Instant | None, about("first reply, UTC")] = None
    bounced_at: Annotated[Instant | None, about("first bounce, UTC")] = None
    bounce_class: Annotated[BounceClass | None, about("hard: address dead; soft: try later; block: unwelcome")] = None
    complained_at: Annotated[Instant | None, about("first complaint, UTC")] = None
    unsubscribed_at: Annotated[Instant | None, about("first unsubscribe, UTC")] = None
    variant: Annotated[str | None, about("the experiment's variant")] = None
    persona: Annotated[str | None, about("the contact's persona")] = None
    account_tier: Annotated[str | None, about("tier of the contact's account")] = None
    recipient_domain: Annotated[str | None, about("what follows the last @ of recipient, lower case")] = None
    events: Annotated[int | None, about("number of events of the delivery")] = None
    machine_suspect: Annotated[
        bool | None, about("its opens or clicks look like a machine's by what happened around them")
    ] = None
    machine_reason: Annotated[str | None, about("network, hidden_link, many_links, at_delivery, joined by a comma")] = (
        None
    )


class ResponseIntelligence(msgspec.Struct, frozen=True, kw_only=True):
    """One reply and how the model, corrected by people, reads it."""

    id: UUID
    message_delivery_id: Annotated[UUID | None, about("message_deliveries.id it answers; null if unknown")] = None
    response_text: Annotated[str | None, about("the words as received, quoted thread included")] = None
    response_timestamp: Annotated[Instant | None, about("when it was written, UTC")] = None
    response_channel: ResponseChannel | None = None
    sentiment_score: Annotated[float | None, about("-1 hostile .. 0 neutral .. 1 enthusiastic")] = None
    intent_classification: Intent | None = None
    urgency_level: Urgency | None = None
    next_action_required: NextAction | None = None
    auto_response_sent: bool | None = None
    human_takeover_requested: bool | None = None
    resolution_status: ResolutionStatus | None = None
    ai_confidence_score: Annotated[float | None, about("probability of the intent, 0..1")] = None
    created_at: CreatedAt
    language: Annotated[str | None, about("ISO 639-1")] = None
    interest_level: InterestLevel | None = None
    objection_type: Annotated[ObjectionType | None, about("on objections only")] = None
    extracted: Annotated[
        Json | None, about("resume_date, referred_name, referred_email, proposed_times, competitor, objection_type")
    ] = None
    model_version: Annotated[str | None, about("models.version that read it")] = None
    delivery_id: DeliveryId = None
    campaign_id: CampaignId = None
    provider: Annotated[str | None, about("who reported it")] = None
    recipient: Annotated[str | None, about("whom the message was sent to: the one who replied")] = None
    sender: Annotated[str | None, about("our sending identity")] = None
    event_id: Annotated[str | None, about("the replied event")] = None
    feedback_offset: Annotated[int | None, about("how far the model had read the feedback stream")] = None
    contact_id: Annotated[str | None, about("the contact, where the reply's own event names it")] = None
    priority: Annotated[float | None, about("0..1: value of the account, urgency and intent together")] = None
    review_reasons: Annotated[str | None, about("why a person should look at it, joined by a comma")] = None


class CampaignPerformanceMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One cohort of deliveries of one campaign: those sent on one UTC day, by channel, persona and tier.

    Counts are of deliveries, each once; a rate without a denominator is null, not 0. Rates are 0..1.
    """

    id: UUID
    campaign_execution_id: CampaignExecutionId = None
    metric_date: Annotated[date, about("UTC day the messages were sent")]
    channel: Channel | None = None
    contact_persona: str | None = None
    account_tier: str | None = None
    messages_sent: Annotated[int, about("deliveries that were sent")]
    delivery_rate: Annotated[float | None, about("delivered / sent")] = None
    open_rate: Annotated[float | None, about("deliveries opened by a human / delivered")] = None
    response_rate: Annotated[float | None, about("deliveries with a reply not out_of_office / delivered")] = None
    positive_response_rate: Annotated[
        float | None, about("deliveries with an interested, question or meeting_request reply / delivered")
    ] = None
    meeting_booking_rate: Annotated[float | None, about("deliveries with a booked meeting / delivered")] = None
    cost_per_response: Annotated[float | None, about("imported cost of its messages / responses")] = None
    engagement_score: Annotated[float | None, about("0..1, weighted human opens, clicks and replies")] = None
    conversion_funnel_data: Annotated[Json | None, about("deliveries per stage, human and machine opens apart")] = None
    created_at: CreatedAt
    campaign_id: CampaignId = None
    deliveries: Annotated[int, about("deliveries, sent or not")]
    messages_delivered: Annotated[int, about("deliveries that arrived")]
    messages_opened: Annotated[int, about("deliveries opened by a human")]
    messages_clicked: Annotated[int, about("deliveries clicked by a human")]
    replies_received: Annotated[int, about("deliveries with any reply, automatic ones included")]
    responses_received: Annotated[int, about("deliveries with a reply that is not out_of_office")]
    positive_responses: Annotated[int, about("deliveries with an interested, question or meeting_request reply")]
    meetings_booked: Annotated[int, about("deliveries with a booked meeting")]
    bounced_hard: Annotated[int, about("deliveries with a hard bounce")]
    bounced_soft: Annotated[int, about("deliveries with a soft bounce")]
    bounced_block: Annotated[int, about("deliveries with a block bounce")]
    complained: Annotated[int, about("deliveries with a complaint")]
    unsubscribed: Annotated[int, about("deliveries with an unsubscribe")]
    rejected: Annotated[int, about("deliveries the provider refused to send")]
    failed: Annotated[int, about("deliveries that failed")]
    click_rate: Annotated[float | None, about("deliveries clicked by a human / delivered")] = None
    bounce_rate: Annotated[float | None, about("deliveries with a hard, soft or block bounce / sent")] = None
    complaint_rate: Annotated[float | None, about("deliveries with a complaint / delivered")] = None
    unsubscribe_rate: Annotated[float | None, about("deliveries with an unsubscribe / delivered")] = None
    messages_opened_strict: Annotated[int, about("deliveries opened by a human and not machine_suspect")]
    messages_clicked_strict: Annotated[int, about("deliveries clicked by a human and not machine_suspect")]
    open_rate_strict: Annotated[float | None, about("messages_opened_strict / delivered")] = None
    click_rate_strict: Annotated[float | None, about("messages_clicked_strict / delivered")] = None


class CampaignExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment of one campaign and what it has shown so far."""

    id: Annotated[UUID, about("derived from the experiment's given id")]
    campaign_execution_id: CampaignExecutionId = None
    experiment_type: ExperimentType
    experiment_name: str
    hypothesis: str | None = None
    test_variants: Annotated[Json | None, about("list of variants")] = None
    traffic_allocation: Annotated[Json | None, about("variant -> share of contacts, 0..1")] = None
    success_metric: Annotated[
        str | None, about("opened, clicked, replied, positive_reply or meeting_booked, per delivery")
    ] = None
    statistical_significance: Annotated[float | None, about("confidence that the leader leads, 0..1")] = None
    winning_variant: Annotated[str | None, about("null until decided")] = None
    experiment_status: ExperimentStatus
    start_date: Annotated[Instant | None, about("first delivery in it, UTC")] = None
    end_date: Annotated[Instant | None, about("event time of the decision, UTC")] = None
    results_summary: Annotated[Json | None, about("per variant: trials, successes, rate, interval")] = None
    created_at: CreatedAt
    campaign_id: CampaignId = None
    experiment_id: Annotated[str | None, about("the id as given")] = None


class AiLearningEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the system learned, from people or from outcomes."""

    id: UUID
    event_type: LearningEventType
    event_context: Annotated[Json | None, about("what it was learned from")] = None
    learning_insight: Annotated[str | None, about("the insight in words")] = None
    confidence_level: Annotated[float | None, about("0..1")] = None
    application_scope: ApplicationScope | None = None
    implementation_status: ImplementationStatus | None = None
    impact_measurement: Annotated[Json | None, about("figures before and after")] = None
    created_at: CreatedAt


class MeetingBooking(msgspec.Struct, frozen=True, kw_only=True):
    """One booked meeting and its fate."""

    id: UUID
    response_intelligence_id: Annotated[UUID | None, about("the reply that led to it")] = None
    contact_id: ContactId = None
    meeting_type: MeetingType | None = None
    scheduled_datetime: Annotated[Instant | None, about("when it takes place, UTC")] = None
    meeting_duration: Annotated[int | None, about("minutes")] = None
    meeting_status: MeetingStatus
    calendar_integration_id: Annotated[str | None, about("as given by the calendar")] = None
    meeting_prep_data: Json | None = None
    meeting_outcome: Json | None = None
    opportunity_created: Annotated[bool | None, about("whether an opportunity followed")] = None
    created_at: CreatedAt


class SequenceExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One contact on its way through one campaign's sequence."""

    id: UUID
    campaign_execution_id: CampaignExecutionId = None
    contact_id: ContactId = None
    sequence_template_id: Annotated[str | None, about("as imported")] = None
    current_step: Annotated[int | None, about("the furthest numbered step sent")] = None
    total_steps: int | None = None
    sequence_status: SequenceStatus
    next_action_date: Annotated[Instant | None, about("UTC; null if nothing is planned")] = None
    sequence_personalization: Json | None = None
    step_completion_history: Annotated[Json | None, about("list of steps with their sent time, oldest first")] = None
    response_handling_history: Annotated[Json | None, about("list of replies and actions, oldest first")] = None
    exit_reason: Annotated[str | None, about("why it ended early")] = None
    created_at: CreatedAt
    campaign_id: CampaignId = None


class OptimizationAction(msgspec.Struct, frozen=True, kw_only=True):
    """One recommended change to a campaign and what came of it."""

    id: UUID
    campaign_execution_id: CampaignExecutionId = None
    optimization_trigger: OptimizationTrigger
    current_performance: Annotated[Json | None, about("figures at the time of the trigger")] = None
    recommended_actions: Annotated[Json | None, about("list of actions")] = None
    actions_taken: Annotated[Json | None, about("list of actions")] = None
    impact_prediction: Json | None = None
    actual_impact: Json | None = None
    optimization_status: OptimizationStatus
    created_at: CreatedAt
    campaign_id: CampaignId = None


TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "campaign_executions": CampaignExecution,
    "message_deliveries": MessageDelivery,
    "response_intelligence": ResponseIntelligence,
    "campaign_performance_metrics": CampaignPerformanceMetric,
    "campaign_experiments": CampaignExperiment,
    "ai_learning_events": AiLearningEvent,
    "meeting_bookings": MeetingBooking,
    "sequence_execution": SequenceExecution,
    "optimization_actions": OptimizationAction,
    "events": EventRow,
    "metrics_minute": MetricsMinute,
    "metrics_1m": MetricsWindow,
    "metrics_5m": MetricsWindow,
    "metrics_1h": MetricsWindow,
    "metrics_24h": MetricsWindow,
    "dead_letters": DeadLetterRow,
    "pauses": Pause,
    "active_pauses": Pause,
    "alerts": Alert,
    "feedback": FeedbackRow,
    "models": ModelRow,
    "suppressions": Suppression,
    "data_quality": DataQualityRow,
    **IMPORTED,
}
"""Every table and view that analysts find, by name; which of them are views is the lake's business."""
