"""Where the world's people live, what they are called, how companies are named. Invented, all under `.example`."""

from typing import Final

import msgspec


class Place(msgspec.Struct, frozen=True):
    """A region: its IANA time zone, its languages (ISO 639-1, the first is the usual one) and its names."""

    timezone: str
    languages: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    weight: float


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ENGLISH_FIRST: Final = _names("Amy Ben Carla Dwight Elena Frank Grace Hugo Imani Jonah Keisha Liam Maya Noel Priya")
_ENGLISH_LAST: Final = _names("Abbott Barnes Calder Dunmore Ellery Foster Grady Holt Irving Jarvis Keane Lomax")
_GERMAN_FIRST: Final = _names("Anke Bernd Clara Dirk Eva Felix Greta Heiko Ina Jonas Katrin Lars")
_GERMAN_LAST: Final = _names("Ahrens Brandt Claasen Dreyer Ebert Falk Grote Hansen Imhof Jansen Kessler Lorenz")
_FRENCH_FIRST: Final = _names("Agnes Baptiste Chloe Damien Elise Fabien Helene Jules Lea Marc Nadia Olivier")
_FRENCH_LAST: Final = _names("Aubry Besson Carpentier Delmas Estier Faure Garnier Humbert Joly Lacombe Morel")
_SPANISH_FIRST: Final = _names("Alba Bruno Carmen Diego Elena Fermin Gloria Hector Ines Jorge Lucia Mateo")
_SPANISH_LAST: Final = _names("Alonso Benitez Castano Duarte Escobar Fuentes Gallardo Herrero Ibarra Lozano")
_DUTCH_FIRST: Final = _names("Anouk Bram Daan Esmee Floor Gijs Hanneke Jasper Lotte Maarten")
_DUTCH_LAST: Final = _names("Bakker Dekker Everts Groen Hoekstra Kuiper Molenaar Prins Visser Wolters")
_NORDIC_FIRST: Final = _names("Astrid Bjorn Elsa Fredrik Gunnar Hanna Ida Johan Karin Lina Nils Oskar")
_NORDIC_LAST: Final = _names("Ahlberg Bergman Dahl Ekstrom Forsberg Hedlund Lindqvist Nyberg Sandell Wallin")
_ITALIAN_FIRST: Final = _names("Alessia Bruno Chiara Dario Elisa Franco Giulia Luca Marta Nicola")
_ITALIAN_LAST: Final = _names("Amato Bassi Conte Donati Ferraro Galli Longo Moretti Pagani Rinaldi")
_PORTUGUESE_FIRST: Final = _names("Ana Beatriz Caio Davi Eduarda Felipe Helena Igor Joana Tiago")
_PORTUGUESE_LAST: Final = _names("Almeida Barros Cardoso Duarte Freitas Lacerda Moraes Nogueira Pires Teixeira")
_INDIAN_FIRST: Final = _names("Aditi Bhavesh Charu Deepak Esha Gautam Ishaan Kavya Meera Rohan Sanjay Tara")
_INDIAN_LAST: Final = _names("Agarwal Bhatt Chopra Desai Gupta Iyer Joshi Kapoor Menon Nair Rao Shah")

PLACES: Final = (
    Place("America/New_York", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 20),
    Place("America/Chicago", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 9),
    Place("America/Denver", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 4),
    Place("America/Los_Angeles", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 12),
    Place("America/Sao_Paulo", ("pt", "en"), _PORTUGUESE_FIRST, _PORTUGUESE_LAST, 4),
    Place("America/Mexico_City", ("es", "en"), _SPANISH_FIRST, _SPANISH_LAST, 3),
    Place("Europe/London", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 12),
    Place("Europe/Berlin", ("de", "en"), _GERMAN_FIRST, _GERMAN_LAST, 10),
    Place("Europe/Paris", ("fr", "en"), _FRENCH_FIRST, _FRENCH_LAST, 6),
    Place("Europe/Madrid", ("es", "en"), _SPANISH_FIRST, _SPANISH_LAST, 4),
    Place("Europe/Amsterdam", ("nl", "en"), _DUTCH_FIRST, _DUTCH_LAST, 4),
    Place("Europe/Stockholm", ("sv", "en"), _NORDIC_FIRST, _NORDIC_LAST, 3),
    Place("Europe/Rome", ("it", "en"), _ITALIAN_FIRST, _ITALIAN_LAST, 3),
    Place("Asia/Kolkata", ("en",), _INDIAN_FIRST, _INDIAN_LAST, 4),
    Place("Australia/Sydney", ("en",), _ENGLISH_FIRST, _ENGLISH_LAST, 2),
)
"""Weights of a vendor that sells to North America and Europe; a half-hour zone and southern ones are among them."""

HOME_LANGUAGE_SHARE: Final = 0.65
"""Where English is the second language, this share answers in the first."""

COMPANY_FIRST: Final = _names(
    "Alder Amber Basalt Beacon Birch Cedar Cobalt Copper Coral Crane Delta Ember Fable Falcon Fern Flint Garnet "
    "Harbour Hazel Heron Indigo Juniper Kestrel Lantern Larch Linden Maple Marlow Meadow Mill Nettle Oak Onyx "
    "Orchard Otter Pebble Pine Quarry Raven Reed Ridge Rowan Saffron Sable Slate Spruce Stone Tamar Thistle Umber "
    "Velvet Willow Wren Yarrow"
)
COMPANY_SECOND: Final = _names(
    "bridge brook crest dale field ford forge gate grove haven hill lake line market mere moor point port quay "
    "stead stream vale view ward well wood works yard"
)

INDUSTRIES: Final = (
    "software",
    "manufacturing",
    "retail",
    "logistics",
    "financial_services",
    "healthcare",
    "hospitality",
)
TIERS: Final = ("enterprise", "mid_market", "small_business")
TIER_WEIGHTS: Final = (0.2, 0.35, 0.45)

MAILBOX_DOMAINS: Final = ("gmail.example", "outlook.example", "yahoo.example", "icloud.example")
MAILBOX_WEIGHTS: Final = (0.5, 0.27, 0.13, 0.1)
"""Free mailboxes that small businesses write from."""
