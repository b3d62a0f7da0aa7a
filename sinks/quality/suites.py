"""What must hold of the measures: one `Check` a rule, by suite.

A check is about one column of a measure of `sinks.quality.frames`: its values are among some, or within bounds. Null is no
fault. Names stay: alerts and the table `data_quality` hang on them.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from schemas.events import BounceClass, Channel, Kind, Origin
from schemas.labels import EXTRACTED, FORGET, LABELS, LESSONS, MODEL
from schemas.records import AlertSeverity, AlertStatus, PauseAction
from schemas.tables import (
    ApplicationScope,
    ExperimentStatus,
    ExperimentType,
    ImplementationStatus,
    Intent,
    InterestLevel,
    LearningEventType,
    NextAction,
    OptimizationStatus,
    OptimizationTrigger,
    ResolutionStatus,
    Urgency,
)
from sinks.quality.gaps import MORE_NAMELESS, NAMING

STALE_HOURS: Final = 72.0
"""Nothing landed for so long is stale, unless the settings say otherwise: a weekend passes."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `least` and `most` are bounds that may be reached; `among` are the values that may occur."""

    name: str
    suite: str
    table: str
    kind: str
    frame: str
    column: str
    expectation: str
    mend: str
    least: float | None = None
    most: float | None = None
    among: tuple[str, ...] = ()
    severity: AlertSeverity = AlertSeverity.CRITICAL


_WRITTEN_PAST: Final = (
    "something wrote to the lake past the flows: restore a backup, or repair it with `outpulse sql --write`"
)
_DERIVE: Final = "figures and facts have come apart: restore a backup, or ask for help with the lake's folder at hand"
_PROVIDER: Final = "look at the newest events of that kind, and report the adapter that made them"
_REPLAY: Final = (
    "import that day's history (`outpulse import events`), or replay it from raw (`outpulse flows --rebuild`)"
)
_LIST: Final = "correct the list and import it again"


def checks(stale_hours: float = STALE_HOURS) -> list[Check]:
    """Every rule."""
    return [
        *_freshness(stale_hours),
        *_facts(),
        *_figures(),
        *_replies(),
        *_decisions(),
        *_insights(),
        *_imports(),
    ]


def _freshness(stale_hours: float) -> Iterator[Check]:
    yield Check(
        name="lands_in_time", frame="landing", column="hours_since_landed", most=stale_hours,
        expectation=f"something landed in the last {stale_hours:g} hours", severity=AlertSeverity.WARNING,
        mend="see `outpulse status` for lag and silent providers; if nothing was sent, raise [quality] stale_hours",
        suite="freshness", table="events", kind="freshness",
    )  # fmt: skip
    yield Check(
        name="figures_follow", frame="landing", column="minutes_underived", most=60,
        expectation="figures per delivery lag behind facts by an hour at most", severity=AlertSeverity.WARNING,
        mend="the writer is overloaded: see `outpulse status`, raise [lake] derive_share",
        suite="freshness", table="events", kind="freshness",
    )  # fmt: skip
    yield Check(
        name="newest_not_ahead", frame="landing", column="hours_ahead", most=25,
        expectation="the newest event is at most 25 hours ahead of its landing", mend=_WRITTEN_PAST,
        suite="freshness", table="events", kind="freshness",
    )  # fmt: skip
    for name, column, expectation in (
        ("no_missing_day", "missing_days", "no day is without events where the weekday or the days around it are busy"),
        ("no_thin_day", "thin_days", "no day has less than a twentieth of the events that are usual of its weekday"),
    ):
        found = _none(name, "freshness", "events", "completeness", ("days", column), expectation, _REPLAY)
        yield msgspec.structs.replace(found, severity=AlertSeverity.WARNING)


def _facts() -> Iterator[Check]:
    for column, values in (("kind", Kind), ("channel", Channel), ("bounce_class", BounceClass), ("origin", Origin)):
        yield Check(
            name=f"known_{column}", suite="facts", table="events", kind="enum", frame="facts", column=column,
            among=_values(values), expectation=f"every {column} is one of the documented values", mend=_WRITTEN_PAST,
        )  # fmt: skip
    for name, column, kind, expectation in (
        ("has_event_id", "without_event_id", "completeness", "every event has an event_id"),
        ("has_time", "without_time", "completeness", "every event has occurred_at"),
        ("not_too_early", "too_early", "range", "no event is from before 2000"),
        ("not_ahead", "ahead", "range", "no event is more than 25 hours ahead of its receipt"),
        ("received_not_ahead", "received_ahead", "range", "no event was received in the future"),
        ("class_only_of_bounces", "class_without_bounce", "consistency", "only bounces have a bounce_class"),
        ("machines_open_or_click", "machine_without_click", "consistency", "only opens and clicks are a machine's"),
        (
            "identities_hold",
            "of_another_identity",
            "consistency",
            "provider, event_id, kind and recipient are as they landed",
        ),
        (
            "deliveries_hold",
            "of_another_delivery",
            "consistency",
            "every event belongs to the delivery that its ids name",
        ),
    ):
        yield _none(name, "facts", "events", kind, ("facts", column), expectation, _PROVIDER)
    for what in NAMING:
        yield Check(
            name=f"{what}_named", suite="facts", table="events", kind="completeness", frame="named", column=f"less_{what}",
            most=MORE_NAMELESS, severity=AlertSeverity.WARNING,
            expectation=f"events of the newest 24 hours name a {what} as often as those of the three days before",
            mend="see what the provider, or who sends, no longer hands over: SELECT provider, kind, attributes FROM events",
        )  # fmt: skip
    yield _none(
        "no_duplicates", "facts", "events", "uniqueness", ("duplicates", "duplicate_facts"),
        "every fact (provider, event_id, kind, recipient, UTC day) is there once", _WRITTEN_PAST,
    )  # fmt: skip


_LESS: Final = (
    ("deliveries", "sent"), ("sent", "delivered"), ("sent", "bounced"), ("bounced", "class"), ("delivered", "opened"),
    ("opened", "strict"), ("delivered", "clicked"), ("clicked", "strict"), ("delivered", "replied"),
    ("replied", "answered"), ("answered", "positive"), ("delivered", "complained"), ("delivered", "unsubscribed"),
    ("delivered", "machine_opened"), ("replied", "read"), ("deliveries", "rejected"), ("deliveries", "failed"),
    ("deliveries", "touched"), ("touched", "sent"), ("aware", "delivered"), ("engaged", "answered"), ("met", "meetings"),
    ("touched", "aware"), ("aware", "interested"), ("interested", "engaged"), ("engaged", "met"), ("met", "opportunities"),
)  # fmt: skip
"""(more, less) of a cohort's counts, each of which is unique per delivery."""
_RATES: Final = ("delivery", "open", "response", "positive_response", "click", "bounce", "complaint", "unsubscribe")
"""Not `meeting_booking`: it is of delivered messages, and a call may lead to a meeting without any."""


def _figures() -> Iterator[Check]:
    table = "campaign_performance_metrics"
    for more, less in _LESS:
        told = {"class": "bounced of any one class", "strict": f"{more} by non-suspects"}.get(less, less)
        yield Check(
            name=f"{less if less not in {'class', 'strict'} else f'{more}_{less}'}_within_{more}", suite="figures",
            table=table, kind="consistency", frame="cohorts", column=f"{more}_less_{less}", least=0,
            expectation=f"in every cohort, {told} is at most {more}", mend=_DERIVE,
        )  # fmt: skip
    yield Check(
        name="no_negative_counts", suite="figures", table=table, kind="range", frame="cohorts", column="least_count",
        least=0, expectation="no count of a cohort is negative", mend=_DERIVE,
    )  # fmt: skip
    yield _none(
        "cohorts_not_ahead",
        "figures",
        table,
        "range",
        ("cohorts", "days_ahead"),
        "no cohort is of a day to come",
        _DERIVE,
    )
    for rate in _RATES:
        yield Check(
            name=f"{rate}_rate_within_1", suite="figures", table=table, kind="range", frame="rates", column=f"{rate}_rate",
            least=0, most=1, expectation=f"every {rate}_rate is 0 to 1", mend=_DERIVE,
        )  # fmt: skip
    yield Check(
        name="costs_not_negative", suite="figures", table=table, kind="range", frame="rates", column="least_cost", least=0,
        expectation="no cost_per_response is negative", mend=_LIST,
    )  # fmt: skip
    for name, of, frame, column, expectation in (
        ("cells_equal_facts", "metrics_campaign_minute", "cells", "cells_less_facts", "cells of each day add up to its events"),
        ("no_negative_cells", "metrics_campaign_minute", "negative_cells", "negative_cells", "no minute cell is negative"),
        ("corrections_balance", "metrics_minute", "corrections", "corrections_sum", "corrections of minutes add up to 0"),
        ("cohorts_equal_facts", table, "derived", "deliveries_less_facts", "cohorts count every delivery once"),
        ("replies_equal_facts", table, "derived", "replied_less_facts", "cohorts count every answered delivery once"),
        ("suspects_exist", "message_deliveries", "suspects", "unknown_suspects", "suspects are deliveries with an open or click"),
    ):  # fmt: skip
        yield _none(name, "figures", of, "consistency", (frame, column), expectation, _DERIVE)
    few = "counted anew from events, for the two newest days and another,"
    for name, of, frame, column, expectation in (
        ("cells_recounted", "metrics_campaign_minute", "minutes", "wrong", f"{few} every minute cell is the same"),
        ("cohorts_recounted", table, "recounted", "wrong_cohorts", f"{few} all counts of cohorts are the same"),
        ("send_hours_recounted", table, "recounted", "wrong_hours", f"{few} all counts of hours are the same"),
        ("send_hours_equal_cohorts", table, "hours", "wrong", "hours of sending add up to the cohorts of each day"),
    ):  # fmt: skip
        yield Check(
            name=name, suite="figures", table=of, kind="consistency", frame=frame, column=column, among=("nothing",),
            expectation=expectation, mend=_DERIVE,
        )  # fmt: skip


def _replies() -> Iterator[Check]:
    table = "response_intelligence"
    for column, values in (
        ("intent_classification", Intent), ("urgency_level", Urgency), ("next_action_required", NextAction),
        ("resolution_status", ResolutionStatus), ("interest_level", InterestLevel),
    ):  # fmt: skip
        yield Check(
            name=f"known_{column}", suite="replies", table=table, kind="enum", frame="readings", column=column,
            among=_values(values), expectation=f"every {column} is one of the documented values", mend=_WRITTEN_PAST,
        )  # fmt: skip
    for name, least in (("sentiment", -1), ("confidence", 0), ("priority", 0)):
        for side in ("least", "most"):
            yield Check(
                name=f"{side}_{name}_in_range", suite="replies", table=table, kind="range", frame="readings",
                column=f"{side}_{name}", least=least, most=1, expectation=f"every {name} is {least} to 1",
                mend="see which model_version made it; `outpulse models` takes a version back",
            )  # fmt: skip
    orphans = "the event of these replies never came, or was removed: look at `dead_letters` of the same time"
    for name, kind, column, expectation, severity in (
        ("readings_have_replies", "reference", "orphan_readings", "every reading is of a reply in events", None),
        (
            "words_have_replies",
            "reference",
            "orphan_words",
            "all words belong to a reply in events",
            AlertSeverity.WARNING,
        ),
        ("readings_once", "uniqueness", "repeated_readings", "a model reads a reply once", None),
    ):
        found = _none(name, "replies", table, kind, ("orphans", column), expectation, orphans)
        yield found if severity is None else msgspec.structs.replace(found, severity=severity)


def _decisions() -> Iterator[Check]:
    yield Check(
        name="known_action", suite="decisions", table="pauses", kind="enum", frame="decisions", column="action",
        among=_values(PauseAction), expectation="every action is one of the documented values", mend=_WRITTEN_PAST,
    )  # fmt: skip
    for column, least in (("least_share", 0), ("most_share", 0), ("most_rate", 0)):
        yield Check(
            name=f"{column}_in_range", suite="decisions", table="pauses", kind="range", frame="decisions", column=column,
            least=least, most=1, expectation="shares and observed rates of pauses are 0 to 1", mend=_WRITTEN_PAST,
        )  # fmt: skip
    for name, table, kind, place, expectation in (
        ("hits_within_trials", "pauses", "consistency", ("decisions", "more_hits_than_trials"), "hits are at most trials"),
        ("pauses_once", "pauses", "uniqueness", ("decisions", "repeated_ids"), "every decision is there once"),
        ("pauses_have_scope", "pauses", "completeness", ("decisions", "without_scope"), "every decision names its scope"),
        ("one_active_version", "models", "uniqueness", ("tables", "active_twice"), "a model has one active version"),
        ("somebody_suppressed", "suppressions", "completeness", ("tables", "nobody_suppressed"), "suppressions name whom"),
        ("alerts_have_pauses", "alerts", "reference", ("tables", "alerts_of_no_pause"), "alerts are of pauses that exist"),
        ("significance_in_range", "campaign_experiments", "range", ("tables", "odd_significance"), "significance is 0 to 1"),
    ):  # fmt: skip
        yield _none(name, "decisions", table, kind, place, expectation, _WRITTEN_PAST)
    yield Check(
        name="few_dead_letters", suite="decisions", table="dead_letters", kind="completeness", frame="tables",
        column="dead_share", most=0.1, expectation="at most a tenth of what came could not be used",
        mend="SELECT provider, reason, count(*) FROM dead_letters GROUP BY ALL", severity=AlertSeverity.WARNING,
    )  # fmt: skip
    yield Check(
        name="few_new_dead_letters", suite="decisions", table="dead_letters", kind="completeness", frame="letters",
        column="new_dead_share", most=0.1, severity=AlertSeverity.WARNING,
        expectation="at most a tenth of what came in the newest 24 hours could not be used",
        mend="SELECT provider, reason, count(*) FROM dead_letters WHERE received_at > now() - INTERVAL 1 DAY GROUP BY ALL",
    )  # fmt: skip
    yield msgspec.structs.replace(
        _none("meetings_after_booking", "decisions", "meeting_bookings", "consistency", ("tables", "met_before_booked"),
              "no meeting was to take place a day before it was booked", _PROVIDER),
        severity=AlertSeverity.WARNING,
    )  # fmt: skip


_FIELDS: Final = (*LABELS, *LABELS.values(), *EXTRACTED, LESSONS, MODEL, FORGET)


def _insights() -> Iterator[Check]:
    """What parts and people find out: experiments, lessons, optimizations, alerts and corrections."""
    for frame, table, column, values in (
        ("experiments", "campaign_experiments", "experiment_type", _values(ExperimentType)),
        ("experiments", "campaign_experiments", "experiment_status", _values(ExperimentStatus)),
        ("learning", "ai_learning_events", "event_type", _values(LearningEventType)),
        ("learning", "ai_learning_events", "application_scope", _values(ApplicationScope)),
        ("learning", "ai_learning_events", "implementation_status", _values(ImplementationStatus)),
        ("actions", "optimization_actions", "optimization_trigger", _values(OptimizationTrigger)),
        ("actions", "optimization_actions", "optimization_status", _values(OptimizationStatus)),
        ("alerts", "alerts", "severity", _values(AlertSeverity)),
        ("alerts", "alerts", "status", _values(AlertStatus)),
        ("feedback", "feedback", "field", tuple(dict.fromkeys(_FIELDS))),
    ):
        yield Check(
            name=f"known_{column if column.startswith(('experiment', 'optim')) else f'{frame}_{column}'}", suite="decisions",
            table=table, kind="enum", frame=frame, column=column, among=values, mend=_WRITTEN_PAST,
            expectation=f"every {column} is one of the documented values",
        )  # fmt: skip
    for frame, table in (
        ("experiments", "campaign_experiments"), ("learning", "ai_learning_events"), ("actions", "optimization_actions"),
        ("alerts", "alerts"), ("feedback", "feedback"),
    ):  # fmt: skip
        place = (frame, "repeated_ids")
        yield _none(f"{frame}_once", "decisions", table, "uniqueness", place, "every id is there once", _WRITTEN_PAST)
    for name, table, kind, place, expectation in (
        ("experiments_named", "campaign_experiments", "completeness", ("experiments", "nameless"), "experiments have a name"),
        ("experiments_end_after_start", "campaign_experiments", "consistency", ("experiments", "end_before_start"),
         "no experiment ends before it starts"),
        ("alerts_titled", "alerts", "completeness", ("alerts", "untitled"), "every alert has a title"),
        ("feedback_of_replies", "feedback", "completeness", ("feedback", "of_nothing"), "corrections name what they are of"),
        ("feedback_by_somebody", "feedback", "completeness", ("feedback", "by_nobody"), "corrections name who gave them"),
    ):  # fmt: skip
        yield _none(name, "decisions", table, kind, place, expectation, _WRITTEN_PAST)
    for name, table, place, most in (
        ("least_learning_confidence_in_range", "ai_learning_events", ("learning", "least_confidence"), 1),
        ("most_learning_confidence_in_range", "ai_learning_events", ("learning", "most_confidence"), 1),
        ("attempts_not_negative", "alerts", ("alerts", "least_attempts"), None),
    ):
        yield Check(
            name=name, suite="decisions", table=table, kind="range", frame=place[0], column=place[1], least=0, most=most,
            expectation="confidence is 0 to 1" if most else "no number of attempts is negative", mend=_WRITTEN_PAST,
        )  # fmt: skip


def _imports() -> Iterator[Check]:
    for name, table, kind, place, expectation in (
        ("contacts_once", "contacts", "uniqueness", ("contacts", "repeated_contacts"), "every contact_id is there once"),
        ("contacts_have_id", "contacts", "completeness", ("contacts", "without_id"), "no contact_id is blank"),
        ("zones_exist", "contacts", "enum", ("contacts", "odd_zones"), "every timezone is a known one"),
        ("plans_once", "campaign_plans", "uniqueness", ("plans", "repeated_plans"), "every campaign has one plan"),
        ("ends_after_start", "campaign_plans", "consistency", ("plans", "end_before_start"), "no campaign ends before it starts"),
        ("messages_once", "campaign_messaging", "uniqueness", ("messages", "repeated_messages"), "every id is there once"),
    ):  # fmt: skip
        yield _none(name, "imports", table, kind, place, expectation, _LIST)
    for name, table, frame, column in (
        ("account_value_not_negative", "contacts", "contacts", "least_value"),
        ("cost_not_negative", "campaign_plans", "plans", "least_cost"),
        ("targets_not_negative", "campaign_plans", "plans", "least_targets"),
    ):
        yield Check(
            name=name, suite="imports", table=table, kind="range", frame=frame, column=column, least=0, mend=_LIST,
            expectation="the imported number is 0 or more",
        )  # fmt: skip
    for name, column, kind, expectation in (
        ("messages_have_words", "without_words", "completeness", "every message has a subject or a body"),
        ("messages_have_campaigns", "unknown_campaigns", "reference", "messages are of campaigns that exist"),
    ):
        found = _none(name, "imports", "campaign_messaging", kind, ("messages", column), expectation, _LIST)
        yield msgspec.structs.replace(found, severity=AlertSeverity.WARNING)


def _none(name: str, suite: str, table: str, kind: str, place: tuple[str, str], expectation: str, mend: str) -> Check:
    """That a column is 0 in every row of its measure."""
    return Check(
        name=name, suite=suite, table=table, kind=kind, frame=place[0], column=place[1], least=0, most=0,
        expectation=expectation, mend=mend,
    )  # fmt: skip


def _values(kind: type[StrEnum]) -> tuple[str, ...]:
    return tuple(str(member.value) for member in kind)
