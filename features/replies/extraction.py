"""What a reply says that can be acted upon: dates, people, times, the product in use, signals of a deal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from features.replies.dates import local_day, resume_date
from features.replies.folding import MOST_CHARACTERS
from features.replies.people import stands_by, unquoted
from features.replies.signals import bant, interest_level, objection_type, questions
from features.replies.spans import by_rules, marked_name, marked_product, marked_times

KindOf = Callable[[str, str, str | None], str | None]
"""The kind of an objection by what its sender wrote, its language, and the product in use that it names."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The findings of one reply; None or empty where the reply does not say."""

    resume_date: str | None = None
    referred_name: str | None = None
    referred_email: str | None = None
    proposed_times: tuple[str, ...] = ()
    competitor: str | None = None
    objection_type: str | None = None
    bant: Mapping[str, str] = field(default_factory=dict)
    interest_level: str = "none"
    questions: tuple[str, ...] = ()


def extract(
    text: str,
    language: str,
    received_at: datetime,
    intent: str,
    *,
    subject: str | None = None,
    timezone: tzinfo | None = None,
    kind_of: KindOf = objection_type,
) -> Extracted:
    """Everything that the reply says, given its language (ISO 639-1) and intent.

    `text` is what the sender wrote; of automatic replies the whole. `received_at` is aware; days count in `timezone`, the
    contact's, else in UTC. The first 8,000 characters count. The subject of an automatic reply is read for a date too.
    `kind_of` is asked about objections; by default the words alone tell their kind.
    """
    today = local_day(received_at, timezone)
    text = text[:MOST_CHARACTERS]
    written = unquoted(text)
    language = language.lower().split("-")[0].split("_")[0]
    date = resume_date(written, language, today, intent, month_first=_month_first(language, timezone))
    if date is None and subject and intent == "out_of_office":
        date = resume_date(subject, language, today, intent)
    person = by_rules(written, language, intent)
    name = marked_name(written, language, intent, person)
    product = marked_product(written, language, intent)
    return Extracted(
        resume_date=date,
        referred_name=name,
        referred_email=person.email if intent != "unsubscribe" or stands_by(written, name, person.email) else None,
        proposed_times=marked_times(written, language, intent),
        competitor=product,
        objection_type=kind_of(written, language, product) if intent == "objection" else None,
        bant=bant(written),
        interest_level=interest_level(written, intent),
        questions=questions(written) if intent != "out_of_office" else (),
    )


def _month_first(language: str, timezone: tzinfo | None) -> bool | None:
    """Whether 3/5 is 5 March, where the contact's zone tells: in America people write so, elsewhere hardly."""
    zone = str(timezone) if timezone is not None else ""
    return True if language == "en" and zone.startswith(("America/", "US/")) else None
