"""Whom, when and which product a reply names, as marked by fitted taggers that look at what the rules found, too."""

from functools import lru_cache
from typing import Final, NamedTuple

from features.replies.competitors import competitor, known_products
from features.replies.folding import fold
from features.replies.people import Referred, addressed, referred
from features.replies.surroundings import Features, name_features, product_features, time_features
from features.replies.tagging import Tagger, Word, words_in
from features.replies.times import proposed_times
from features.replies.weights import shipped_arrays

KINDS: Final = ("name", "time", "product")
INTENTS_WITH: Final = {
    "name": frozenset({"referral", "out_of_office", "unsubscribe"}),
    "time": frozenset({"meeting_request"}),
    "product": frozenset({"objection", "not_now"}),
}
"""Where the taggers look: of 1,228 labels of the authors a to q, 7 stand in replies of other intents."""
BIAS: Final = {"name": 1.5, "time": 0.0, "product": 1.0}
"""Nats for a span to begin: the best F1 over authors left out by turns, a to q."""
_MOST_TIMES: Final = 8


class Evidence(NamedTuple):
    """A text in words, with the features of each; None for a word that is in no span."""

    row: list[Word]
    features: Features


@lru_cache(maxsize=1)
def _taggers() -> dict[str, Tagger]:
    arrays, _ = shipped_arrays("reply_spans")
    return {kind: Tagger.unpacked(kind, arrays, bias=BIAS[kind]) for kind in KINDS}


def evidence(kind: str, text: str, language: str, intent: str) -> Evidence:
    """What the tagger of a kind (`KINDS`) looks at in a text without its quoted thread."""
    if kind == "name":
        return _of_names(text, intent, by_rules(text, language, intent))
    return _of_times(text, language, intent) if kind == "time" else _of_products(text, language, intent)


def by_rules(text: str, language: str, intent: str) -> Referred:
    """The person that rules find, in demands to be removed as well."""
    return referred(text, language, "referral" if intent == "unsubscribe" else intent)


def marked_name(text: str, language: str, intent: str, person: Referred | None = None) -> str | None:
    """The person that the reply points to, as written, or None; `text` is without its quoted thread.

    `person` is what `by_rules` found, where it was asked already.
    """
    if intent not in INTENTS_WITH["name"]:
        return None
    found = _marked("name", text, _of_names(text, intent, person or by_rules(text, language, intent)))
    return max(found, key=lambda one: one[1])[0] if found else None


def marked_times(text: str, language: str, intent: str) -> tuple[str, ...]:
    """The days and times that the writer offers, as written and in order; `text` is without its quoted thread."""
    if intent not in INTENTS_WITH["time"]:
        return ()
    found = _marked("time", text, _of_times(text, language, intent))
    return tuple(dict.fromkeys(words for words, _ in found))[:_MOST_TIMES]


def marked_product(text: str, language: str, intent: str) -> str | None:
    """The product in use that the writer names, or None; `text` is without its quoted thread."""
    if intent not in INTENTS_WITH["product"]:
        return competitor(text, language, intent)
    found = _marked("product", text, _of_products(text, language, intent))
    return max(found, key=lambda one: one[1])[0] if found else None


def _marked(kind: str, text: str, seen: Evidence) -> list[tuple[str, float]]:
    """The spans that the tagger finds, in order, each with its margin."""
    if not any(seen.features):
        return []
    found = [
        (text[seen.row[span.first].start : seen.row[span.last - 1].end].strip(" ,.-\n"), span.margin)
        for span in _taggers()[kind].spans(seen.features)
    ]
    return [one for one in found if any(letter.isalnum() for letter in one[0])]


def _places(text: str, *names: str | None) -> list[tuple[int, int]]:
    """Where what rules found stands in the text, each for the first time."""
    found = [(text.find(name), len(name)) for name in names if name]
    return [(start, start + length) for start, length in found if start >= 0]


def _of_names(text: str, intent: str, person: Referred) -> Evidence:
    row = words_in(text)
    ruled, address = _places(text, person.name), addressed(text, person)
    return Evidence(row, name_features(row, fold(text), intent, ruled, address))


def _of_times(text: str, language: str, intent: str) -> Evidence:
    row = words_in(text)
    ruled = _places(text, *proposed_times(text, language, intent))
    return Evidence(row, time_features(row, fold(text), language, ruled))


def _of_products(text: str, language: str, intent: str) -> Evidence:
    row = words_in(text)
    ruled = _places(text, competitor(text, language, "objection"))
    return Evidence(row, product_features(row, intent, ruled, known_products(text)))
