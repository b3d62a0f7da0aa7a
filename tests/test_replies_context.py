"""Short replies and the question that they answer: what is asked, what is answered, and what then is understood."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.answers import MOST_WORDS, answer_in, count_words
from features.replies.asked import asked_in, choice_of, first_message, options_of
from features.replies.heads import INTENTS
from features.replies.understanding import Correction, ReplyInput, ReplyModel, Understood
from outpulse.replying import reply_input

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ja", "zh")
RECEIVED = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
ROWS = Path(__file__).parent.parent / "data" / "replies_context.jsonl"


@pytest.fixture(scope="module")
def model() -> ReplyModel:
    return ReplyModel.shipped()


def understood(model: ReplyModel, text: str, *context: str, answered: str | None = None) -> Understood:
    return model.understand([ReplyInput("r", "email", None, {}, RECEIVED, text, context, answered)])[0]


@pytest.mark.parametrize(
    ("asked", "text", "intent"),
    [
        ("Shall I take you off our list?", "Yes please.", "unsubscribe"),
        ("Would Thursday at 2 work?", "Works.", "meeting_request"),
        ("Should I check back in spring?", "Do that.", "not_now"),
        ("Are you the right person for this, or is there somebody else?", "Marta.", "referral"),
        ("Are you the right person for this, or is there somebody else?", "no, finance", "referral"),
        ("Shall I send the price list?", "go ahead", "interested"),
        ("Not a fit? Reply no and I close your file.", "No.", "not_interested"),
        ("Who do you use today?", "Lemlist", "objection"),
    ],
)
def test_what_we_asked_last_gives_a_short_answer_its_meaning(
    model: ReplyModel, asked: str, text: str, intent: str
) -> None:
    assert understood(model, text, asked).intent == intent


@pytest.mark.parametrize(
    ("asked", "text", "intent"),
    [
        ("Shall I take you off our list?", "What does the small licence cost?", "question"),
        ("Would Thursday at 2 work?", "Take me off your list", "unsubscribe"),
        ("Shall I take you off our list?", "Thursday 2pm works, send an invite", "meeting_request"),
        ("Would Thursday at 2 work?", "Budget is frozen, try me in Q3", "not_now"),
        ("Should I close your file?", "Ana Ruiz runs this, copying her", "referral"),
    ],
)
def test_a_reply_that_says_something_of_its_own_keeps_its_meaning(
    model: ReplyModel, asked: str, text: str, intent: str
) -> None:
    assert understood(model, text, asked).intent == intent


def test_the_message_below_a_mail_goes_before_the_thread(model: ReplyModel) -> None:
    quoted = "Yes please.\n\nOn Mon, 4 May 2026, Al <al@example.com> wrote:\n> Shall I send the price list?"

    assert understood(model, quoted, "Shall I take you off our list?").intent == "interested"


def test_only_the_last_message_of_a_thread_is_answered(model: ReplyModel) -> None:
    asked = ("Shall I take you off our list?", "Would Thursday at 2 work?")

    assert understood(model, "Yes.", *asked).intent == "meeting_request"
    assert understood(model, "Yes.", *reversed(asked)).intent == "unsubscribe"


def test_the_last_message_of_a_thread_is_not_ours_where_ours_is_told_apart(model: ReplyModel) -> None:
    bare, theirs = understood(model, "Yes."), understood(model, "Yes.", "Please take me off your list.", answered="")

    assert theirs.intent_probabilities == bare.intent_probabilities
    assert understood(model, "Yes.", answered="Shall I take you off our list?").intent == "unsubscribe"


def test_what_was_passed_on_within_their_house_is_not_ours(model: ReplyModel) -> None:
    passed_on = "Yes please!\n\n---------- Forwarded message ---------\nFrom: Bo\n\nShall I have them stop writing?"

    assert understood(model, passed_on).intent != "unsubscribe"


def test_a_number_chooses_among_our_options(model: ReplyModel) -> None:
    asked = "Which is it?\n1. Not interested, thanks\n2. Please call me again in November\n3. Take me off your list"

    assert [understood(model, text, asked).intent for text in ("1", "2.", "Option 3")] == [
        "not_interested",
        "not_now",
        "unsubscribe",
    ]
    assert options_of(asked)["2"] == "Please call me again in November"
    assert (choice_of("(b)"), choice_of("2 of us would come")) == ("b", "")
    assert options_of("1. The only point of this mail") == {}


def test_a_day_that_is_agreed_to_is_found_in_our_question(model: ReplyModel) -> None:
    assert understood(model, "Do that.", "Should I get back to you in September?").extracted.resume_date == "2026-09-01"
    assert understood(model, "Rather in October.", "Should I get back to you in September?").extracted.resume_date == (
        "2026-10-01"
    )


def test_replies_without_a_thread_mean_to_the_bit_what_they_meant(
    model: ReplyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["Yes please.", "No.", "2", "Marta.", "お願いします。", "Take me off your list", "x" * 900, ""]
    replies = [ReplyInput(str(at), None, None, {}, RECEIVED, text) for at, text in enumerate(texts)]
    found = model.understand(replies)
    monkeypatch.setattr("features.replies.understanding.with_answers", lambda log_odds, *_: log_odds)

    assert model.understand(replies) == found


def test_corrections_outweigh_what_we_asked() -> None:
    model = ReplyModel.shipped()
    asked = ("Would Thursday at 2 work?",)
    same = [ReplyInput(f"c{n}", "email", None, {}, RECEIVED, "Roger that.", asked) for n in range(20)]
    model.learn([Correction(reply, {"intent": "referral"}) for reply in same])

    assert understood(model, "Roger that.", *asked).intent == "referral"


@pytest.mark.parametrize(
    ("message", "offers"),
    [
        ("Soll ich Sie aus dem Verteiler nehmen?", {"remove"}),
        ("Puis-je vous recontacter en octobre ?", {"later"}),
        ("¿Se lo mando?", {"send"}),
        ("Quem cuida da frota aí na empresa?", {"who"}),
        ("Devo chiudere la pratica?", {"close"}),
        ("Schikt donderdag om 11 uur?", {"meet"}),
        ("Ska jag skicka den?", {"send"}),
        ("Czy jest Pan zainteresowany?", {"interest"}),
        ("現在はどちらのシステムをお使いでしょうか。", {"tool"}),
        ("需要我把您从名单里删掉吗?", {"remove"}),
        ("I could send you the price list. May I?", {"send"}),
        ("No call needed.", set()),
        ("", set()),
    ],
)
def test_a_question_offers_what_it_says(message: str, offers: set[str]) -> None:
    assert asked_in(message).offers == offers


@pytest.mark.parametrize(
    ("text", "languages", "parts"),
    [
        ("Yes please, go ahead!", ("en",), (True, False, ())),
        ("no problem", ("en",), (True, False, ())),
        ("No, finance", ("en",), (False, True, ("finance",))),
        ("Please cease.", ("en",), (False, False, ("cease",))),
        ("Please.", ("en",), (True, False, ())),
        ("Nein danke, sehr nett", ("de", "en"), (False, True, ("nett",))),
        ("はい、お願いします。", ("en", "ja"), (True, False, ())),
        ("不用了,谢谢", ("en", "zh"), (False, True, ())),
        ("Yes. No.", ("en",), (True, True, ())),
    ],
)
def test_an_answer_is_taken_apart(
    text: str, languages: tuple[str, ...], parts: tuple[bool, bool, tuple[str, ...]]
) -> None:
    found = answer_in(text, languages)

    assert (found.says_yes, found.says_no, found.rest) == parts


@pytest.mark.parametrize("count", [MOST_WORDS - 1, MOST_WORDS, MOST_WORDS + 1])
def test_words_are_counted_and_two_signs_are_one(count: int) -> None:
    assert count_words("word " * count) == count_words("字" * (2 * count)) == count


def test_the_newest_message_of_a_quotation_stands_without_headers_and_older_ones() -> None:
    older = "From: Bo\nSent: Friday\nTo: Al\n\nWho are you?"
    outlook = f"From: Al\nSent: Monday\nTo: Bo\nSubject: RE: cranes\n\nMay I call?\n\n{older}"
    marked = "On Mon, 4 May 2026, Al <al@example.com> wrote:\n> May I call?\n>> Who are you?"

    assert first_message(outlook) == first_message(marked) == "May I call?"


def test_classify_takes_the_thread() -> None:
    told = reply_input({"id": 1, "text": "Works.", "context": ["Hello", "Would Thursday at 2 work?"]})

    assert told.context == ("Hello", "Would Thursday at 2 work?")


def test_the_labelled_replies_are_balanced_and_of_nobody() -> None:
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]

    assert len({row["id"] for row in rows}) == len(rows) == 240
    assert Counter(row["split"] for row in rows) == {"train": 120, "test": 120}
    assert Counter(row["kind"] for row in rows) == {"answer": 120, "own_words": 120}
    assert {row["language"] for row in rows} == set(LANGUAGES)
    assert all(row["intent"] in INTENTS and row["context"] for row in rows)


@given(
    text=st.text(max_size=40) | st.sampled_from(["yes", "no", "2", "👍", "Marta"]),
    quoted=st.text(max_size=120),
    context=st.lists(st.text(max_size=80), max_size=2),
    answered=st.none() | st.text(max_size=80),
)
def test_any_thread_is_read(
    model: ReplyModel, text: str, quoted: str, context: list[str], answered: str | None
) -> None:
    whole = text + "\n\nOn Mon, 4 May 2026, Al <al@example.com> wrote:\n> " + quoted.replace("\n", "\n> ")
    found = understood(model, whole, *context, answered=answered)

    assert found.intent in INTENTS
    assert sum(found.intent_probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_our_own_words_about_looking_forward_do_not_make_our_mail_a_forwarded_one(model: ReplyModel) -> None:
    reply = "Yes please.\n\nOn Mon, 2 Mar 2026, Al <al@example.com> wrote:\n"
    reply += "> I was looking forward to your answer.\n> Shall I take you off our list?"

    assert understood(model, reply).intent == "unsubscribe"


def test_a_quotation_that_begins_two_deep_is_read() -> None:
    assert first_message("> > Hi, may I call?\n> >> Who?") == "Hi, may I call?"


@pytest.mark.parametrize(
    "written",
    ["(" + " " * 200_000 + "x", "1" + "." * 200_000, "2", "(" * 200_000],
    ids=["spaces", "full stops", "a choice", "brackets"],
)
def test_a_choice_among_hostile_options_is_read(written: str) -> None:
    assert choice_of(written) == ("2" if written == "2" else "")
    assert options_of("\n" * 200_000 + "1) " * 100_000) == {}


def test_what_is_taught_with_its_thread_says_nothing_of_other_questions() -> None:
    taught = ReplyModel.shipped()
    asked = "Shall I take you off our list?"
    taught.learn(
        [
            Correction(
                ReplyInput(f"l{n}", "email", None, {}, RECEIVED, "Yes please.", (asked,)), {"intent": "unsubscribe"}
            )
            for n in range(3)
        ]
    )

    assert understood(taught, "Yes please.", asked).intent == "unsubscribe"
    assert understood(taught, "Yes please.", "Shall I send the price list?").intent == "interested"
