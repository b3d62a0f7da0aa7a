"""The taggers of people, times and products: examples in eleven languages, written by hand, and what holds for any text."""

from datetime import UTC, datetime
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.date_words import date_words, languages
from features.replies.extraction import extract
from features.replies.folding import fold
from features.replies.periods import next_holiday
from features.replies.spans import marked_name, marked_product, marked_times
from features.replies.tagging import MOST_WORDS, words_in

AT = datetime(2026, 3, 11, 9, tzinfo=UTC)
LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ja", "zh")
WORDS = (
    *("Anna Berg", "Mr", "Thursday", "at", "3pm", "14:30", "or", ",", ".", "\n", "we use", "Salesforce", "("),
    *("a@b.example", "contact", "morgen", "lunes", "HubSpot", "\u2019", "K9", "é", "ß"),
    *("张伟", "周四", "下午", "佐藤さん", "15時", "を"),
)
PIECES = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "I only do the books. Marta Ostrow handles procurement, please write to her.", "Marta Ostrow"),
        ("de", "Dafür ist meine Kollegin Heike Brandt zuständig.", "Heike Brandt"),
        ("fr", "Merci de contacter Julie Marchand pour ce sujet.", "Julie Marchand"),
        ("es", "Esto lo lleva Carmen Rojas, escríbale a ella.", "Carmen Rojas"),
        ("pt", "Fale com o Paulo Teixeira, ele cuida disso.", "Paulo Teixeira"),
        ("it", "Si rivolga a Marco Ferri, che segue gli acquisti.", "Marco Ferri"),
        ("nl", "Neem contact op met Sanne de Wit, zij gaat hierover.", "Sanne de Wit"),
        ("sv", "Prata med Karin Lund, hon ansvarar för inköp.", "Karin Lund"),
        ("pl", "Proszę o kontakt z Anną Wójcik, ona się tym zajmuje.", "Anną Wójcik"),
        ("ja", "この件は担当の佐藤さんにご連絡ください。", "佐藤"),
        ("zh", "这个事请联系王经理。", "王经理"),
    ],
)
def test_the_person_pointed_to_is_marked(language: str, text: str, expected: str) -> None:
    assert marked_name(text, language, "referral") == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Thursday after 1 works for me, send an invite.", ("Thursday after 1",)),
        ("de", "Passt Ihnen Donnerstag um 14 Uhr?", ("Donnerstag um 14 Uhr",)),
        ("fr", "Je vous propose mardi à 10h.", ("mardi à 10h",)),
        ("es", "¿Le viene bien martes a las 16h?", ("martes a las 16h",)),
        ("pt", "Pode ser quinta às 15h?", ("quinta às 15h",)),
        ("it", "Facciamo giovedì alle 11?", ("giovedì alle 11",)),
        ("nl", "Kan woensdag om 15 uur?", ("woensdag om 15 uur",)),
        ("sv", "Funkar torsdag kl 13?", ("torsdag kl 13",)),
        ("pl", "Może być wtorek o 12:00?", ("wtorek o 12:00",)),
        ("ja", "木曜日の15時からお話しできますか。", ("木曜日の15時",)),
        ("zh", "周四下午3点可以开会。", ("周四下午3点",)),
    ],
)
def test_the_times_offered_are_marked(language: str, text: str, expected: tuple[str, ...]) -> None:
    found = marked_times(text, language, "meeting_request")

    assert tuple(one.rstrip("から") for one in found) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "We already use Pipedrive and are happy with it.", "Pipedrive"),
        ("de", "Wir arbeiten seit Jahren mit Salesforce.", "Salesforce"),
        ("fr", "Nous utilisons déjà HubSpot.", "HubSpot"),
        ("es", "Ya usamos HubSpot y nos va bien.", "HubSpot"),
        ("pt", "Já usamos o Pipedrive há anos.", "Pipedrive"),
        ("it", "Usiamo già Salesforce e siamo contenti.", "Salesforce"),
        ("nl", "Wij werken al met HubSpot.", "HubSpot"),
        ("sv", "Vi använder redan Pipedrive.", "Pipedrive"),
        ("pl", "Korzystamy już z HubSpot.", "HubSpot"),
        ("ja", "すでにSalesforceを使っています。", "Salesforce"),
        ("zh", "我们已经在用Salesforce了。", "Salesforce"),
    ],
)
def test_the_product_in_use_is_marked(language: str, text: str, expected: str) -> None:
    assert marked_product(text, language, "objection") == expected


def test_a_demand_to_be_removed_may_name_somebody() -> None:
    text = "Please talk to Mr Halloran, he buys these now. And take me off your list."

    assert extract(text, "en", AT, "unsubscribe").referred_name == "Mr Halloran"


@pytest.mark.parametrize("intent", ["interested", "not_interested", "question", "not_now", "objection"])
def test_times_and_people_are_marked_only_where_somebody_meets_or_points(intent: str) -> None:
    found = extract("Ask Anna Berg, Thursday at 3pm.", "en", AT, intent)

    assert (found.referred_name, found.proposed_times) == (None, ())


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=st.one_of(PIECES, st.text(max_size=200)))
def test_what_is_marked_stands_in_the_text(language: str, text: str) -> None:
    name = marked_name(text, language, "referral")
    product = marked_product(text, language, "objection")

    assert name is None or name in text
    assert product is None or product in text
    assert all(one and one in text for one in marked_times(text, language, "meeting_request"))


@given(text=PIECES)
def test_the_same_text_is_marked_the_same_way(text: str) -> None:
    assert extract(text, "en", AT, "meeting_request") == extract(text, "en", AT, "meeting_request")


@given(text=st.one_of(PIECES, st.text(max_size=300)))
def test_words_stand_in_order_and_hold_all_letters(text: str) -> None:
    row = words_in(text)

    assert all(a.end <= b.start for a, b in pairwise(row))
    outside = set(range(len(text))) - {at for word in row for at in range(word.start, word.end)}
    assert not any(text[at].isalpha() or text[at].isdecimal() for at in outside)
    assert all(word.text == fold(text)[word.start : word.end] or word.text == "¶" for word in row)


@pytest.mark.parametrize(
    "piece", ["Mr ", "Anna ", "Thursday ", "3pm ", "a@b.example ", "HubSpot ", "we use ", "张", "さん", "周四", "15時"]
)
@pytest.mark.parametrize("language", ["en", "pl", "ja", "zh"])
def test_a_megabyte_is_marked_in_a_second(piece: str, language: str) -> None:
    text = piece * (1_000_000 // len(piece))
    extract("warm", language, AT, "objection")

    started = process_time()
    for intent in ("referral", "meeting_request", "objection"):
        extract(text, language, AT, intent)

    assert process_time() - started < 3.0  # three of them
    assert len(words_in(text)) <= MOST_WORDS


def test_every_holiday_that_has_a_word_has_a_date_or_none() -> None:
    for language in languages():
        for _, name in date_words(language).named:
            next_holiday("carnival" if name == "sport_break" else name, AT.date())


def test_a_holiday_of_no_fixed_date_does_not_stop_a_reply() -> None:
    assert extract("Sentiamoci dopo il ponte.", "it", AT, "not_now").resume_date is None
    # Eid al-Fitr of 2026 is 20 to 22 March in Turkey, the 23rd is a Monday.
    assert extract("Please write again after Ramadan.", "en", AT, "not_now").resume_date == "2026-03-23"


def test_a_raised_digit_is_read_as_a_letter() -> None:
    assert marked_times("Thursday ²x at 3pm", "en", "meeting_request")
