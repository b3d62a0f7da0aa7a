"""The labels of replies: what people may say of one, which column shows it, and which values are valid."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.events import Feedback
from schemas.identifiers import uuid7_of
from schemas.instants import from_epoch_ms, parse_ms
from schemas.tables import Intent, NextAction, ObjectionType, Urgency

LABELS: Final[Mapping[str, str]] = {
    "intent": "intent_classification",
    "sentiment_score": "sentiment_score",
    "urgency_level": "urgency_level",
    "next_action": "next_action_required",
    "language": "language",
    "objection_type": "objection_type",
}
"""Labels and the columns of response_intelligence that show them; those of `EXTRACTED` stand in `extracted`, too."""
EXTRACTED: Final = (
    "resume_date",
    "referred_name",
    "referred_email",
    "proposed_times",
    "competitor",
    "objection_type",
)
"""The keys of `extracted`, in this order."""
LESSONS: Final = "lessons"
MODEL: Final = "model"
FORGET: Final = "forget"
"""Fields of feedback that are about no reading: labelled replies, a version to go back to, an event to forget."""
_VALID: Final[Mapping[str, Any]] = {
    "intent": Intent,
    "sentiment_score": float,
    "urgency_level": Urgency,
    "next_action": NextAction,
    "language": str,
    "objection_type": ObjectionType | None,
    "resume_date": str | None,
    "referred_name": str | None,
    "referred_email": str | None,
    "proposed_times": list[str] | None,
    "competitor": str | None,
}
_ENUMS: Final = {"intent": Intent, "urgency_level": Urgency, "next_action": NextAction, "objection_type": ObjectionType}
_BY_COLUMN: Final = {column: label for label, column in LABELS.items()}


def label_of(field: str) -> str | None:
    """The label that a field names, by its own name or its column's; None where there is no such.

    >>> label_of("intent_classification")
    'intent'
    """
    name = _BY_COLUMN.get(field, field)
    return name if name in _VALID else None


def value_of(label: str, told: object) -> Any:  # noqa: ANN401 - of any label
    """A label's value from text or JSON; empty text is none.

    Raises:
        ValueError: not a value of the label, with what is valid.
    """
    given = None if told == "" else told
    if label == "proposed_times" and isinstance(given, str):
        given = [part.strip() for part in given.split("\n") if part.strip()]
    try:
        found = msgspec.convert(given, _VALID[label], strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"{label} is {str(told)[:80]!r}, valid {_valid(label)}") from None
    if label == "sentiment_score" and not -1 <= found <= 1:
        raise ValueError(f"{label} is {found}, valid is -1 to 1")
    return found


def _valid(label: str) -> str:
    if label in _ENUMS:
        return f"are {', '.join(_ENUMS[label])}"
    return "is a number from -1 to 1" if label == "sentiment_score" else "is text"


def feedback_of(told: Mapping[str, Any], given_at: str) -> Feedback:
    """A correction from JSON: `event_id, field, new_value`, and `given_by, given_at, old_value, id` where they are known.

    The same correction by the same person at the same instant is the same; `given_at` stands in where it names no time.

    Raises:
        ValueError: with the first thing that is wrong.
    """
    event_id, field = told.get("event_id"), told.get("field")
    if not isinstance(event_id, str) or not event_id:
        raise ValueError("event_id missing")
    label = label_of(field) if isinstance(field, str) else None
    if label is None:
        raise ValueError(f"field unknown, valid are {', '.join(_VALID)}")
    value_of(label, told.get("new_value"))
    try:
        given_ms = parse_ms(str(told.get("given_at") or given_at))
        moment = from_epoch_ms(given_ms)
    except (ValueError, OverflowError):
        raise ValueError("given_at is not a time") from None
    by = str(told.get("given_by") or "api")
    new, old = _text(told.get("new_value")) or "", _text(told.get("old_value"))
    key = f"feedback\x1f{event_id}\x1f{label}\x1f{new}\x1f{by}\x1f{moment}"
    return Feedback(
        id=str(told.get("id") or uuid7_of(given_ms, key)),
        event_id=event_id,
        field=label,
        new_value=new,
        old_value=old,
        given_by=by,
        given_at=moment,
    )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return msgspec.json.encode(value).decode()
