"""What is read from replies: expectations are written from the label conventions, by hand, language by language."""

from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.competitors import competitor
from features.replies.dates import resume_date
from features.replies.extraction import Extracted, extract
from features.replies.folding import fold
from features.replies.people import copied, referred
from features.replies.signals import OBJECTION_TYPES, bant, interest_level, objection_scores, questions
from features.replies.times import proposed_times

CASES = Path(__file__).parent / "cases"
AT = datetime(2026, 3, 11, 9, tzinfo=UTC)
LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ja", "zh")
INTENTS = ("not_now", "out_of_office", "referral", "objection", "meeting_request", "question", "interested")


def rows(name: str) -> list[tuple[str, ...]]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("language", "intent", "received", "expected", "text"),
    [pytest.param(*row, id=f"{row[0]}-{row[4]}") for row in rows("resume_dates.tsv")],
)
def test_the_day_to_come_back_follows_the_conventions(
    language: str, intent: str, received: str, expected: str, text: str
) -> None:
    intent = {"ooo": "out_of_office"}.get(intent, intent)

    found = resume_date(text, language, date.fromisoformat(received), intent)

    assert (found or "-") == expected


@pytest.mark.parametrize(
    ("language", "intent", "name", "email", "text"),
    [pytest.param(*row, id=f"{row[0]}-{row[4]}") for row in rows("people.tsv")],
)
def test_the_person_and_mailbox_pointed_to_are_found(
    language: str, intent: str, name: str, email: str, text: str
) -> None:
    intent = {"ooo": "out_of_office"}.get(intent, intent)

    found = referred(text.replace("\\n", "\n"), language, intent)

    assert (found.name or "-", found.email or "-") == (name, email)


def test_whoever_our_mail_was_passed_on_to_is_named_above_it() -> None:
    above = "From: Al Ruhe <al@oursoft.example>\nTo: head@mill.example\n"

    assert copied(above + "Cc: Dot Pell <d.pell@mill.example>\nSubject: Hi") == "d.pell@mill.example"
    assert copied("Von: al@oursoft.example\nKopie: d.pell@mill.example") == "d.pell@mill.example"
    assert copied(above + "Cc: boss@oursoft.example") is None  # somebody of ours
    assert copied(above + "Cc: a@mill.example, b@mill.example") is None  # who of them, nobody says
    assert copied(above) is None


def test_in_a_demand_to_be_removed_a_mailbox_counts_beside_a_name_only() -> None:
    def mailbox(text: str) -> str | None:
        return extract(text, "en", AT, "unsubscribe").referred_email

    assert (
        mailbox("Maria Kolbe (m.kolbe@mill.example) handles purchasing. Take me off your list.")
        == "m.kolbe@mill.example"
    )
    assert mailbox("Please take info@mill.example off your list.") is None


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Thursday 2pm works, send an invite", ("Thursday 2pm",)),
        ("en", "Can you do tomorrow at 9:15?", ("tomorrow at 9:15",)),
        ("en", "Wednesday at 10 or Friday at 2 CT?", ("Wednesday at 10", "Friday at 2 CT")),
        ("de", "Morgen 16:00 oder Montag 9:00?", ("Morgen 16:00", "Montag 9:00")),
        ("de", "Mittwoch, 15.10., um 9:30 passt bei uns", ("Mittwoch, 15.10., um 9:30",)),
        ("fr", "On dit mardi 9 juin à 11h ?", ("mardi 9 juin à 11h",)),
        ("es", "va, miércoles 10am?", ("miércoles 10am",)),
        ("pt", "Consegue hoje às 15h?", ("hoje às 15h",)),
        ("it", "Possiamo sentirci lunedì 2 marzo alle 9?", ("lunedì 2 marzo alle 9",)),
        ("nl", "Kan dinsdag om 14:00 ook?", ("dinsdag om 14:00",)),
        ("sv", "tisdag 20 jan efter 14 passar", ("tisdag 20 jan efter 14",)),
        ("pl", "Może środa 11:00?", ("środa 11:00",)),
        ("ja", "明日15時でOKです", ("明日15時",)),
        ("zh", "定在6月30日15点", ("6月30日15点",)),
    ],
)
def test_proposed_times_are_the_words_as_written(language: str, text: str, expected: tuple[str, ...]) -> None:
    found = proposed_times(text, language, "meeting_request")

    assert found == expected
    assert all(words in text for words in found)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "We already pay for Outreach, why switch?", "Outreach"),
        ("en", "We use HubSpot for all of this.", "HubSpot"),
        ("en", "We're two years into ShiftNest and the team trusts it.", "ShiftNest"),
        ("en", "Not sure that we need another tool.", None),
        ("de", "Wir nutzen bereits Pipedrive.", "Pipedrive"),
        ("de", "Wir arbeiten mit Quentavo und sind zufrieden.", "Quentavo"),
        ("fr", "Nous avons Compteo et notre comptable aussi.", "Compteo"),
        ("es", "Ya tenemos Salesforce y funciona.", "Salesforce"),
        ("pt", "A gente usa o Laudix faz quatro anos.", "Laudix"),
        ("it", "Lavoriamo con PagheFacili da dieci anni.", "PagheFacili"),
        ("nl", "Wij werken met Houtplan en dat draait prima.", "Houtplan"),
        ("sv", "Vi kör Fastnova sedan fyra år.", "Fastnova"),
        ("pl", "Od lat siedzimy na Jira.", "Jira"),
        ("ja", "Salesforceを使っています。", "Salesforce"),
        ("zh", "我们现用Salesforce，挺好。", "Salesforce"),  # noqa: RUF001
    ],
)
def test_the_product_in_use_is_named(language: str, text: str, expected: str | None) -> None:
    assert competitor(text, language, "objection") == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Honestly that is far too expensive for our budget.", "budget"),
        ("en", "I would need approval from the board and my boss.", "authority"),
        ("en", "We are happy with our vendor and the contract renews.", "competitor"),
        ("en", "Do you have references or any proof for those claims?", "trust"),
        ("de", "Das ist uns zu teuer, die Kosten sind zu hoch.", "budget"),
        ("fr", "C'est trop cher, le tarif est délirant.", "budget"),
        ("es", "El precio es muy caro.", "budget"),
        ("pt", "O preço é salgado, sem orçamento.", "budget"),
        ("it", "Il prezzo è alto, costa troppo.", "budget"),
        ("nl", "De prijs is te duur.", "budget"),
        ("sv", "Priset är för dyrt.", "budget"),
        ("pl", "Cena za wysoka, za drogo.", "budget"),
        ("ja", "価格が高いです。", "budget"),
        ("zh", "价格太贵了，超预算。", "budget"),  # noqa: RUF001
    ],
)
def test_the_kind_of_an_objection_is_told_by_its_words(language: str, text: str, expected: str) -> None:
    assert extract(text, language, AT, "objection").objection_type == expected


def test_only_objections_have_a_kind() -> None:
    assert extract("Far too expensive.", "en", AT, "not_interested").objection_type is None


def test_scores_are_given_for_each_kind_of_objection() -> None:
    scores = objection_scores("too expensive", "en")

    assert set(scores) == set(OBJECTION_TYPES)
    assert scores["budget"] > 0
    assert objection_scores("", "en") == dict.fromkeys(OBJECTION_TYPES, 0.0)


def test_signals_of_a_deal_are_short_words() -> None:
    found = bant("No budget this year, the board decides, we are looking for something before renewal.")

    assert found["budget"] == "none"
    assert found["authority"] == "others"
    assert found["need"] == "present"
    assert found["timeline"] == "contract_end"


def test_interest_follows_the_intent_and_warm_or_cold_words() -> None:
    assert interest_level("ok", "meeting_request") == "high"
    assert interest_level("How much?", "question") == "medium"
    assert interest_level("I love it, but not before June", "not_now") == "medium"
    assert interest_level("no thanks", "not_interested") == "none"


def test_questions_are_the_sentences_with_a_question_mark() -> None:
    assert questions("Hello. What does it cost? Fine. Geht das?\n価格はいくらですか？") == (  # noqa: RUF001
        "What does it cost?",
        "Geht das?",
        "価格はいくらですか？",  # noqa: RUF001
    )


def test_a_day_counts_at_the_contacts_place() -> None:
    late = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)

    here = extract("Ping me in two weeks", "en", late, "not_now")
    there = extract("Ping me in two weeks", "en", late, "not_now", timezone=ZoneInfo("Asia/Tokyo"))

    assert (here.resume_date, there.resume_date) == ("2026-03-25", "2026-03-26")


def test_an_american_writes_the_month_first() -> None:
    text = "Call me again on 5/6."

    assert extract(text, "en", AT, "not_now").resume_date == "2026-06-05"
    assert extract(text, "en", AT, "not_now", timezone=ZoneInfo("America/Chicago")).resume_date == "2026-05-06"


def test_the_subject_of_an_automatic_reply_is_read_too() -> None:
    assert extract("Thanks.", "en", AT, "out_of_office", subject="Out until 20 March").resume_date == "2026-03-21"


def test_a_quoted_thread_is_not_read() -> None:
    text = "Talk to Ana Ruiz.\n\nOn Tue, 3 Mar 2026 at 10:00, Bo <bo@sender.example> wrote:\n> write to x@other.example"

    assert referred(text, "en", "referral") == ("Ana Ruiz", None)


def test_unknown_languages_are_read_as_english() -> None:
    assert extract("Back on 4 May", "xx", AT, "out_of_office").resume_date == "2026-05-04"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("intent", INTENTS)
@given(text=st.text(max_size=300))
def test_no_text_makes_it_fail(language: str, intent: str, text: str) -> None:
    assert isinstance(extract(text, language, AT, intent, subject=text), Extracted)


@given(
    text=st.lists(
        st.sampled_from(
            [
                "31",
                "30",
                "2",
                "/",
                ".",
                "-",
                "until",
                "Feb",
                "May",
                "bis",
                "Q3",
                "year",
                "week",
                "in",
                "99",
                "2079",
                "2099",
                "@",
                "x.example",
                "月",
                "日",
                "年",
                "十",
            ]
        ),
        max_size=12,
    ),
    day=st.dates(date(2000, 1, 1), date(2079, 12, 31)),
)
def test_no_date_makes_it_fail(text: list[str], day: date) -> None:
    for joined in (" ".join(text), "".join(text)):
        for language in ("en", "de", "ja", "zh"):
            extract(joined, language, datetime(day.year, day.month, day.day, tzinfo=UTC), "out_of_office")


@given(st.text(max_size=200))
def test_folding_keeps_every_character_in_its_place(text: str) -> None:
    assert len(fold(text)) == len(text)


@pytest.mark.parametrize("piece", [">\n", "\n", "> * \n", "Cc: a@b.example\n", "from "])
def test_quotations_of_any_form_are_read_in_linear_time(piece: str) -> None:
    began = perf_counter()
    copied(piece * 200_000)
    assert perf_counter() - began < 0.5


@pytest.mark.parametrize(
    "piece",
    ["a", "1", "1.", " ", "until ", "4 May ", "A", "Ab ", "@a.", "a@b.c ", "月", "三", "?", "\n", "bis 4. ", "de A "],
)
@pytest.mark.parametrize("language", ["en", "de", "ja", "zh"])
def test_a_megabyte_of_anything_takes_half_a_second(piece: str, language: str) -> None:
    text = piece * (1_000_000 // len(piece))
    extract("warm", language, AT, "referral")

    started = perf_counter()
    for intent in ("out_of_office", "meeting_request"):
        extract(text, language, AT, intent)

    assert perf_counter() - started < 1.0  # two of them
