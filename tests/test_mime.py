"""The words of mails: parts chosen as a reader would see them, charsets as they are used, hostile ones in time."""

import base64
import quopri
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given
from hypothesis import strategies as st

from adapters.charsets import codec_of, in_charset
from adapters.mime import Mail, addresses_in, read_mail
from adapters.plaintext import tidy, unflowed
from adapters.smime import signed_content


def part(kind: str, body: str, *more: str) -> str:
    return "\n".join([f"Content-Type: {kind}", *more, "", body])


def multi(kind: str, *parts: str, boundary: str = "xx") -> str:
    lines = [f'Content-Type: multipart/{kind}; boundary="{boundary}"', ""]
    for one in parts:
        lines += [f"--{boundary}", one]
    return "\n".join([*lines, f"--{boundary}--", ""])


def read(text: str) -> Mail:
    return read_mail(f"From: ada@firm.example\nMIME-Version: 1.0\n{text}".encode())


PLAIN = part("text/plain", "plain words")
HTML = part("text/html", "<p>rich <b>words</b></p>")
PDF = part("application/pdf", "JVBE", 'Content-Disposition: attachment; filename="offer.pdf"')
IMAGE = part("image/png", "iVBO", "Content-ID: <logo>", "Content-Disposition: inline")
CALENDAR = part("text/calendar; method=REPLY; name=invite.ics", "BEGIN:VCALENDAR")


@pytest.mark.parametrize(
    ("text", "words", "attachments"),
    [
        (multi("alternative", PLAIN, HTML), "plain words", []),
        (multi("alternative", HTML, PLAIN), "plain words", []),
        (multi("alternative", part("text/plain", "  "), HTML), "rich words", []),
        (multi("alternative", PLAIN, HTML, CALENDAR), "plain words", ["invite.ics"]),
        (multi("alternative", PLAIN, multi("related", HTML, IMAGE, boundary="r")), "plain words", ["image/png"]),
        (multi("mixed", multi("alternative", PLAIN, HTML, boundary="a"), PDF), "plain words", ["offer.pdf"]),
        (multi("related", multi("alternative", HTML, boundary="a"), IMAGE), "rich words", ["image/png"]),
        (multi("mixed", HTML, part("text/plain", "list footer")), "rich words list footer", []),
        (
            multi("mixed", PLAIN, IMAGE, part("text/plain", "below the picture")),
            "plain words below the picture",
            ["image/png"],
        ),
        (
            multi("signed; micalg=sha-256", PLAIN, part("application/pkcs7-signature; name=smime.p7s", "MII")),
            "plain words",
            ["smime.p7s"],
        ),
        (
            multi("signed", multi("mixed", PLAIN, PDF, boundary="m"), part("application/pgp-signature", "-----")),
            "plain words",
            ["offer.pdf", "application/pgp-signature"],
        ),
        (
            multi("mixed", PLAIN, part("message/rfc822", "Subject: old\n\nnot these words")),
            "plain words",
            ["message/rfc822"],
        ),
        (
            multi("mixed", part("text/plain; name=notes.txt", "not these", "Content-Disposition: attachment"), HTML),
            "rich words",
            ["notes.txt"],
        ),
        (multi("mixed", part("text/csv", "a,b"), PLAIN), "plain words", ["text/csv"]),
        (part("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "MII"), "", ["smime.p7m"]),
        (part("text/markdown", "*words*"), "*words*", []),
        (
            multi(
                "mixed",
                part("text/plain", "one"),
                multi(
                    "mixed",
                    part("text/plain", "two"),
                    multi("alternative", part("text/plain", "three"), HTML, boundary="c"),
                    boundary="b",
                ),
            ),
            "one two three",
            [],
        ),
    ],
)
def test_the_words_are_those_that_a_reader_sees(text: str, words: str, attachments: list[str]) -> None:
    mail = read(text)

    assert " ".join(mail.text.split()) == words
    assert mail.attachments == attachments


def signed(mail: str, *options: pkcs7.PKCS7Options) -> str:
    """A mail in a signature of S/MIME, in base64; opaque unless told to be detached."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "Ada")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    builder = pkcs7.PKCS7SignatureBuilder().set_data(mail.encode())
    builder = builder.add_signer(made.sign(key, hashes.SHA256()), key, hashes.SHA256())
    der = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, *options])
    return base64.encodebytes(der).decode()


OPAQUE = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"


def test_an_opaque_signature_is_opened() -> None:
    text = multi("mixed", multi("alternative", PLAIN, HTML, boundary="a"), PDF)
    encoding, shown = "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename=smime.p7m"
    mail = read(part(OPAQUE, signed(text), encoding, shown))
    assert (mail.text.strip(), mail.attachments) == ("plain words", ["offer.pdf"])

    detached = read(part(OPAQUE, signed(text, pkcs7.PKCS7Options.DetachedSignature), encoding, shown))
    assert (detached.text, detached.attachments) == ("", ["smime.p7m"])


def test_an_opaque_signature_in_pieces_of_unknown_length_is_opened() -> None:
    # As RFC 5652 allows, and streaming signers write: every length indefinite, the content in two octet strings.
    oid, data = bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("06092a864886f70d010701")
    pieces = b"\x24\x80\x04\x1bContent-Type: text/plain\r\n\r\x04\x06\nwords\0\0"
    inner = b"\x02\x01\x01\x31\x00\x30\x80" + data + b"\xa0\x80" + pieces + b"\0\0\0\0"
    raw = b"\x30\x80" + oid + b"\xa0\x80\x30\x80" + inner + b"\0\0\0\0\0\0"

    assert signed_content(raw) == b"Content-Type: text/plain\r\n\r\nwords"
    assert all(
        signed_content(raw[:length]) in {None, b"Content-Type: text/plain\r\n\r\nwords"} for length in range(len(raw))
    )


@given(raw=st.binary(max_size=200))
def test_bytes_that_are_no_signature_stay_an_attachment(raw: bytes) -> None:
    signed_content(raw)
    signed_content(b"\x30\x80\x06\x09" + bytes.fromhex("2a864886f70d010702") + b"\xa0\x80" + raw)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("iso-2022-jp", b"\x1b$BEl5~\x1b(B", "東京"),
        ("ISO-2022-JP", b"\x1b$BEl5~\x1b(B \x1b$B\x7f\x7f\x1b(B!", "東京 "),
        ("gb18030", "你好€".encode("gb18030"), "你好€"),
        ("gb2312", "镕".encode("gbk"), "镕"),  # a letter that GB2312 lacks and mails under its name hold
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
        ("shift_jis", "①髙".encode("cp932"), "①髙"),
        ("iso-8859-1", b"\x93quoted\x94 \x96 \x80", "\u201cquoted\u201d \u2013 €"),  # Windows-1252 under a wrong name
        ("us-ascii", b"caf\xe9 \x92", "café \u2019"),
        ("windows-1252", "Grüße \u2013 ok".encode(), "Grüße \u2013 ok"),  # UTF-8 under a wrong name
        ("unknown-8bit", "Grüße".encode(), "Grüße"),
        ("unknown-8bit", "Grüße".encode("cp1252"), "Grüße"),
        ("x-user-defined", b"plain", "plain"),
        ("utf-8", "schön und grün, größ".encode()[:-1], "schön und grün, grö\ufffd"),  # cut within a letter
        ("utf-8", b"\xef\xbb\xbfmark", "mark"),
        ("utf-16le", "Grüße".encode("utf-16le"), "Grüße"),
        ('"utf-8"', "ü".encode(), "ü"),
        ("utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-"),
        ("unicode_escape", rb"\x41", r"\x41"),
        ("punycode", b"Mnchen-3ya", "Mnchen-3ya"),
        ("rot13", b"uryyb", "uryyb"),
        ("base64", b"aGk=", "aGk="),
        (None, b"", ""),
    ],
)
def test_charsets_are_read_as_they_are_used(charset: str | None, raw: bytes, text: str) -> None:
    found = in_charset(raw, charset)

    assert found.startswith(text) if text == "東京 " else found == text


@pytest.mark.parametrize(
    "label", ["utf-7", "utf7", "unicode-1-1-utf-7", "idna", "undefined", "zlib", "../x", "\udc80", ""]
)
def test_labels_that_are_no_charset_of_mail_are_refused(label: str) -> None:
    assert codec_of(label) is None


@pytest.mark.parametrize(
    ("text", "delete_space", "found"),
    [
        ("This is one \nparagraph.\n\nThis is another.", False, "This is one paragraph.\n\nThis is another."),
        ("> quoted \n> still quoted\n>> deeper\nnot", False, "> quoted still quoted\n>> deeper\nnot"),
        ("> a quote that never ends \nan answer", False, "> a quote that never ends \nan answer"),
        (" >not a quote", False, ">not a quote"),
        (" From here", False, "From here"),
        ("words \n-- \nAda", False, "words \n-- \nAda"),
        ("日本 \n語", True, "日本語"),
        ("trailing ", False, "trailing "),
    ],
)
def test_flowed_text_is_one_line_a_paragraph(text: str, delete_space: bool, found: str) -> None:  # noqa: FBT001
    assert unflowed(text, delete_space=delete_space) == found


def test_flowed_text_is_known_by_its_parameter() -> None:
    assert read(part("text/plain; format=flowed; delsp=yes", "one \ntwo")).text == "onetwo"
    assert read(part("text/plain; format=flowed", "one \ntwo")).text == "one two"
    assert read(part("text/plain", "one \ntwo")).text == "one \ntwo"


SIGNED = """Before
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Yes, gladly.
- -- not a signature
- From me
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCgAdFiEE
-----END PGP SIGNATURE-----
After"""


def test_the_frame_of_an_inline_signature_is_taken_away() -> None:
    assert tidy(SIGNED) == "Before\nYes, gladly.\n-- not a signature\nFrom me\nAfter"
    assert tidy(SIGNED.replace("\n", "\r\n")) == tidy(SIGNED)
    assert tidy(SIGNED.partition("-----BEGIN PGP SIGNATURE")[0]).startswith("Before\n-----BEGIN")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("attachment; filename*=utf-8''Angebot%20f%C3%BCr%20Ada.pdf", "Angebot für Ada.pdf"),
        ("attachment; filename*0*=iso-8859-1'de'Angebot%20f%FCr; filename*1=\" Ada.pdf\"", "Angebot für Ada.pdf"),
        ('attachment; filename="=?utf-8?q?Angebot_f=C3=BCr_Ada=2Epdf?="', "Angebot für Ada.pdf"),
        ('attachment; filename="Angebot für Ada.pdf"', "Angebot für Ada.pdf"),
        ("attachment", "attachment"),
        ("attachment; filename*=no-such''%FF.pdf", "ÿ.pdf"),
        ('inline; filename="picture.png"', "picture.png"),
    ],
)
def test_names_of_attachments_are_read_in_every_form(field: str, name: str) -> None:
    assert read(multi("mixed", PLAIN, part("application/pdf", "x", f"Content-Disposition: {field}"))).attachments == [
        name
    ]


def test_machines_marks_are_kept_as_they_stand() -> None:
    marks = {
        "Auto-Submitted": "auto-replied",
        "X-Autoreply": "yes",
        "X-Auto-Response-Suppress": "All",
        "Precedence": "bulk",
        "List-Id": "<news.firm.example>",
        "List-Unsubscribe": "<https://firm.example/u>",
        "Return-Path": "<>",
        "X-Autorespond": "Re: hello",
    }
    headers = read("\n".join(f"{name}: {value}" for name, value in marks.items()) + "\n" + PLAIN).headers

    assert {name: headers[name.lower()] for name in marks} == marks


def test_transfer_encodings_are_undone() -> None:
    body = quopri.encodestring("Grüße = ok".encode()).decode()
    assert (
        read(part("text/plain; charset=utf-8", body, "Content-Transfer-Encoding: quoted-printable")).text.strip()
        == "Grüße = ok"
    )
    odd = part("text/plain; charset=utf-8", "R3LDvMOf!!ZQ", "Content-Transfer-Encoding: base64")
    assert read(odd).text.startswith("Grüß")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ada <a@x.example>, b@y.example", ["a@x.example", "b@y.example"]),
        ('"Example, Ada" <a@x.example>', ["a@x.example"]),
        ("a@x.example\nreply+d-1@y.example", ["a@x.example", "reply+d-1@y.example"]),  # a header that came twice
        ("(" * 5_000 + " a@x.example", ["a@x.example"]),
        ("undisclosed-recipients:;", []),
        ("jörg@bücher.example", ["jörg@bücher.example"]),
    ],
    ids=["two", "comma", "lines", "comments", "nobody", "unicode"],
)
def test_addresses_are_found_in_headers(text: str, found: list[str]) -> None:
    assert addresses_in(text) == found


def nested(depth: int, lines: int) -> bytes:
    heads = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(depth))
    return b"Subject: deep\n" + heads + b"\nwords\n" + b"x\n" * lines


@pytest.mark.parametrize(
    "raw",
    [
        nested(50, 2_000_000),
        nested(5_000, 1_000_000),
        b"Content-Type: message/rfc822\n\n" * 5_000,
        b"Received: x\n" * 1_000_000 + b"\nhi",
        b"To: " + b"(" * 1_000_000 + b"\n\nhi",
        b"To: " + b"<a@b.example>," * 100_000 + b"\n\nhi",
        b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nhi",
        b"References: " + b"<a@b.example> " * 100_000 + b"\n\nhi",
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 200_000,
        b"Content-Type: text/plain; format=flowed\n\n" + b"> x \n" * 1_000_000,
        b"Content-Type: text/plain\n\n" + b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" * 100_000,
        b"Content-Type: text/plain; " + b"a*0*=" * 50_000 + b"\n\nhi",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=a\n\n--a\n"
        b"Content-Type: message/delivery-status\n\n" + b"Final-Recipient: rfc822; a@b.example\n\n" * 100_000,
    ],
    ids=["lines", "levels", "mails", "headers", "comments", "addresses", "words", "references", "parts", "flowed", "signed",
         "parameters", "blocks"],
)  # fmt: skip
def test_a_hostile_mail_is_read_in_time(raw: bytes) -> None:
    started = time.process_time()
    mail = read_mail(raw)
    addresses_in(mail.headers.get("to"))

    assert time.process_time() - started < 20  # the machine may be slow; without the guards it takes minutes


@given(raw=st.binary(max_size=300), name=st.binary(max_size=30))
def test_whatever_a_mail_holds_it_can_be_written_down(raw: bytes, name: bytes) -> None:
    disposition = b'Content-Disposition: attachment; filename="' + name.replace(b"\n", b"") + b'"\n'
    mail = read_mail(b"X-Odd: " + raw + b"\n" + disposition + b"Content-Type: application/x\n\n" + raw)

    for text in (mail.text, *mail.attachments, *mail.headers, *mail.headers.values()):
        text.encode()


def test_a_message_that_the_standard_library_writes_is_read_back() -> None:
    message = EmailMessage()
    message["Subject"] = "Grüße aus Köln " * 10
    message.set_content("Schöne Grüße\n" * 3)
    message.add_alternative("<p>Schöne Grüße</p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="zip", filename="Prüfung.zip")
    mail = read_mail(message.as_bytes())

    assert (mail.headers["subject"], mail.text, mail.attachments) == (
        ("Grüße aus Köln " * 10).strip(),
        "Schöne Grüße\n" * 3,
        ["Prüfung.zip"],
    )
