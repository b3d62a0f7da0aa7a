"""The watch over people's agreement with readings: tells a fall, keeps quiet while it is steady, and is shown."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from dashboards.inbox import DRIFT
from eventlog import Record, Stored
from eventlog.sqlite import SqliteLog
from features.replies.drift import AgreementWatch
from features.replies.understanding import Correction
from flows.reply_heeding import Heeding, Made
from flows.reply_models import ModelShelf
from flows.reply_state import ReplyState, event_name
from schemas.events import Event, Feedback, Kind, Reply, Stream
from schemas.identifiers import uuid7_of
from schemas.instants import from_datetime, parse_ms
from schemas.tables import Intent, ResponseIntelligence
from tests.lakes import rows
from tests.test_replies_flow import work

BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
NINE_IN_TEN = [n % 10 != 3 for n in range(400)]
FOUR_IN_TEN = [n % 10 in {0, 2, 5, 7} for n in range(150)]


class OneVersion(ModelShelf):
    """Learns nothing, so that only agreement is looked at."""

    @property
    def version(self) -> str:
        return "test-1"

    def learn(self, corrections: Sequence[Correction], place: int) -> None:
        """Nothing."""


def told(home: Path, agreed: Sequence[bool]) -> Made:
    """What people's first words on so many replies, all read as questions, lead to: right, or an objection."""
    made = Made()
    with closing(ReplyState(home / "models")) as state:
        heeding = Heeding(state, OneVersion(home, state))
        with state.transaction():
            for number, is_right in enumerate(agreed):
                read(state, number)
                heeding.heed(opinion(number, "question" if is_right else "objection"), made)
    return made


def read(state: ReplyState, number: int) -> None:
    moment = from_datetime(BEGAN + timedelta(minutes=number))
    event = Event(event_id=f"r{number}", kind=Kind.REPLIED, occurred_at=moment, contact_id=f"c{number}")
    state.add_event(event)
    state.add_reply(Reply(event_id=event.event_id, text="Fine."))
    row = ResponseIntelligence(
        id=uuid7_of(parse_ms(moment), event.event_id),
        event_id=event.event_id,
        intent_classification=Intent.QUESTION,
        extracted="{}",
        model_version="test-1",
        created_at=BEGAN + timedelta(minutes=number),
    )
    state.note_words(event_name(event), "Fine.")
    state.note_reading(event_name(event), row)


def opinion(number: int, value: str) -> Stored:
    said = Feedback(
        id=f"f{number}",
        event_id=f"r{number}",
        field="intent",
        new_value=value,
        old_value="question",
        given_by="ida",
        given_at=from_datetime(BEGAN + timedelta(days=1, minutes=number)),
    )
    return Stored(number + 1, msgspec.json.encode(said), 0)


def drifts(made: Made) -> list[dict[str, object]]:
    found = [msgspec.json.decode(value) for _, value in made.rows]
    return [
        one["row"]
        for one in found
        if one["table"] == "ai_learning_events" and one["row"]["event_type"] == "failure_analysis"
    ]


def test_a_fall_of_agreement_is_told_soon_with_the_share_before_and_now(home: Path) -> None:
    made = told(home, NINE_IN_TEN + FOUR_IN_TEN)
    found = drifts(made)

    assert made.dead == []
    assert found
    first = found[0]
    context, impact = (msgspec.json.decode(str(first[name])) for name in ("event_context", "impact_measurement"))
    assert len(NINE_IN_TEN) < context["feedback_offset"] <= len(NINE_IN_TEN) + 100
    assert impact["recent_agreement"] < impact["agreement"] < 0.9
    assert (impact["drifts"], context["version"]) == (1, "test-1")


@pytest.mark.parametrize("share", [10, 9, 5], ids=lambda share: f"{share} of 10 agree")
def test_steady_agreement_is_no_drift_however_high_it_is(home: Path, share: int) -> None:
    made = told(home, [n * 7 % 10 < share for n in range(600)])

    assert (drifts(made), made.dead) == ([], [])


def test_only_what_is_said_first_of_a_reply_counts(home: Path) -> None:
    made = Made()
    with closing(ReplyState(home / "models")) as state:
        heeding = Heeding(state, OneVersion(home, state))
        with state.transaction():
            read(state, 0)
            for place in range(300):
                said = opinion(0, "question" if place % 2 else "objection")
                heeding.heed(Stored(place + 1, said.value, 0), made)
        assert state.agreements() == [False]
    assert drifts(made) == []


def test_a_watch_that_is_made_anew_from_what_it_saw_decides_the_same() -> None:
    seen = NINE_IN_TEN + FOUR_IN_TEN
    whole, found = AgreementWatch(), []
    for place, agreed in enumerate(seen):
        if whole.add(agreed=agreed):
            found.append(place)
    again = AgreementWatch(seen[:420])

    assert [place for place in range(420, len(seen)) if again.add(agreed=seen[place])] == [p for p in found if p >= 420]
    assert again.metrics() == whole.metrics()


def test_drift_stands_in_the_lake_and_on_the_page_of_replies(home: Path) -> None:
    made = told(home, NINE_IN_TEN + FOUR_IN_TEN)
    with closing(SqliteLog(home / "log")) as log:
        log.append(Stream.RESULTS, [Record(key, value) for key, value in made.rows])
    work(home, names=("delivery",))
    shown = rows(home, DRIFT)

    assert len(shown) == len(drifts(made))
    assert all("of the last 100" in insight and confidence == 0.998 for _, insight, confidence in shown)
    (metrics,) = rows(home, "SELECT metrics->>'drifts' FROM models WHERE active")[0]
    assert int(metrics) == len(shown)
