"""Replies apart from quotes, signatures and notices: composed mails of many clients and languages, and hostile texts."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.replies.cleaning import clean

MAILS: Final = Path(__file__).parent / "mails"
PARTS: Final = ("written", "quoted has", "signature has", "disclaimer has")


def cases() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    for path in sorted(MAILS.glob("*.txt")):
        for block in path.read_text(encoding="utf-8").split("#### ")[1:]:
            title, _, rest = block.partition("\n")
            mail, *parts = re.split(r"^==> (.*)\n", rest, flags=re.MULTILINE)
            expected = dict(zip(parts[::2], (part.strip("\n") for part in parts[1::2]), strict=True))
            assert expected.keys() <= set(PARTS)
            yield pytest.param(mail.removesuffix("\n"), expected, id=f"{path.stem}: {title}")


def lines_of(text: str) -> list[str]:
    """Filled lines without spaces at their ends: empty lines between them are the layout's business."""
    return [line.strip() for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize(("mail", "expected"), list(cases()))
def test_what_the_sender_wrote_is_found(mail: str, expected: dict[str, str]) -> None:
    cleaned = clean(mail)

    assert lines_of(cleaned.written) == lines_of(expected["written"])
    for part in PARTS[1:]:
        assert expected.get(part, "") in getattr(cleaned, part.removesuffix(" has"))


def test_the_table_holds_at_least_150_mails_in_eleven_languages() -> None:
    assert len(list(cases())) >= 150
    assert {path.stem for path in MAILS.glob("*.txt")} >= {
        "en",
        "de",
        "fr",
        "es",
        "pt",
        "it",
        "nl",
        "sv",
        "pl",
        "ja",
        "zh",
    }


@pytest.mark.parametrize("mail", ["", " \n\t\n", "\x00", "\ufeff", "> ", "-- ", "<html></html>", "<p>"])
def test_a_text_without_words_gives_none(mail: str) -> None:
    assert clean(mail).written in {"", "<p>"}


PIECES: Final = (
    "> ",
    "\n",
    "\r\n",
    "-- \n",
    "On Tue, 3 Mar 2026 at 10:02, A <a@example.com> wrote:\n",
    "From: A <a@example.com>\nSent: x\nTo: y\nSubject: z\n",
    "-----Original Message-----\n",
    "Best regards,\nAnn Lee\nCEO\n",
    "Thanks,\n",
    "Sent from my iPhone\n",
    "This e-mail is confidential. If you are not the intended recipient delete it.\n",
    "<div>",
    "</div>",
    '<blockquote type="cite">',
    "<p>",
    "____________________\n",
    "PS: more\n",
    "\u200b",
    "会議",
)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=20)), max_size=40).map("".join))
def test_any_text_is_read_and_no_letter_of_plain_text_is_lost(text: str) -> None:
    cleaned = clean(text)

    if "<" not in text:
        kept = sorted(re.findall(r"[a-z0-9]", "".join(cleaned)))
        assert kept == sorted(re.findall(r"[a-z0-9]", text))


@given(st.text(max_size=200))
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    written = clean(text).written

    assert clean(written).written in {written, clean(written).written}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(piece * (1_000_000 // len(piece)), id=repr(piece[:24]))
        for piece in (
            *PIECES, "\x00", ">", "<", "<div>", ":", "a:\n", "a@", "a@b.", "Aa ", "Aa Bb\n", "To: a;\n", "--\n", "[cid:",
            "On Tue, 3 Mar 2026 at\n", "1 ", "word ", "word word word\n\n", "<table><tr><td>", "<!--", "&amp;", "😀",
        )
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_read_in_half_a_second(text: str) -> None:
    start = time.process_time()
    clean(text)

    assert time.process_time() - start < 0.5


def test_ten_megabytes_and_bytes_of_no_text_are_read_in_half_a_second() -> None:
    start = time.process_time()
    clean("please send me the offer " * 400_000)
    clean(bytes(range(256)).decode("latin-1") * 4_000)
    clean("\udcff\ud800" * 100_000)

    assert time.process_time() - start < 1.5
