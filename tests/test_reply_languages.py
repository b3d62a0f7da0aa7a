"""The language of a reply: short ones, and threads in languages that the models do not know."""

# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.languages import LANGUAGES, language_of

FOREIGN = {
    "fi": "Hyvää päivää, kirjoitan teille koska haluaisimme esitellä palvelumme, joka säästää myynnin aikaa joka viikko.",
    "cs": "Dobrý den, píšu vám, protože bychom rádi představili službu, která šetří obchodníkům čas každý týden.",
    "tr": "Merhaba, satış ekibinize her hafta zaman kazandıran yeni hizmetimizi tanıtmak için size yazıyorum.",
    "ru": "Добрый день, пишу вам, потому что мы хотели бы представить сервис, который экономит время продавцов.",
    "el": "Καλημέρα σας, σας γράφω επειδή θα θέλαμε να παρουσιάσουμε την υπηρεσία μας στην ομάδα πωλήσεων.",
}


@pytest.mark.parametrize("thread", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("text", ["ok thanks", "nej tack", "", "👍"])
def test_a_short_reply_in_a_thread_of_a_foreign_language_has_a_language(text: str, thread: str) -> None:
    assert language_of(text, ["Re:", thread]) in {*LANGUAGES, *FOREIGN}


@given(
    st.text(max_size=40), st.lists(st.one_of(st.sampled_from([*FOREIGN.values()]), st.text(max_size=60)), max_size=3)
)
def test_any_text_in_any_thread_has_a_language(text: str, around: list[str]) -> None:
    assert 2 <= len(language_of(text, around)) <= 3
