"""Mail that comes in: replies find their deliveries, reports become bounces and complaints, odd mails harm nobody."""

import base64
import contextlib
import json
import time
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import REGISTRY
from adapters.contract import Parsed
from adapters.inbound import Inbound, read_inbound
from adapters.mime import read_mail, text_of_html
from adapters.reading import Receipt
from schemas.events import Kind, RawRequest
from schemas.failures import BadEvent
from schemas.instants import parse_ms

RECEIVED = "2026-01-05T10:00:30.000Z"
RECEIPT = Receipt(RECEIVED, parse_ms(RECEIVED))
DATE = "Mon, 05 Jan 2026 10:59:00 +0100"
AT = "2026-01-05T09:59:00.000Z"


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    fields = {
        "From": "Ada Example <ada@firm.example>",
        "To": "reply+d-17@in.brightloom.example",
        "Subject": "Re: hello",
        "Date": DATE,
        "Message-ID": "<r1@firm.example>",
        "In-Reply-To": "<m1@brightloom.example>",
        "References": "<m0@brightloom.example> <m1@brightloom.example>",
    }
    for name, value in (fields | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        if value:
            message[name] = value
    message.set_content("Sounds good.\n> hello")
    return message


def read(raw: bytes, provider: str = "mailgun", **fields: Any) -> Parsed:
    return read_inbound(Inbound(provider=provider, mime=raw, **fields), RECEIPT)


def test_a_reply_is_an_event_and_its_words() -> None:
    parsed = read(mail().as_bytes())
    (event,), (reply,) = parsed.events, parsed.replies

    assert (event.kind, event.occurred_at, event.message_id) == (Kind.REPLIED, AT, "r1@firm.example")
    assert (event.recipient, event.delivery_id) == ("reply+d-17@in.brightloom.example", "d-17")
    assert event.attributes == {
        "from": "ada@firm.example",
        "in_reply_to": "m1@brightloom.example",
        "references": "m0@brightloom.example m1@brightloom.example",
        "original_message_id": "m1@brightloom.example",
    }
    assert (reply.event_id, reply.subject, reply.text.strip()) == (event.event_id, "Re: hello", "Sounds good.\n> hello")
    assert reply.headers is not None
    assert reply.headers["from"] == "Ada Example <ada@firm.example>"


@pytest.mark.parametrize(
    ("headers", "fields", "found"),
    [
        ({"To": "us@brightloom.example", "Delivered_To": "reply+d-18@in.example"}, {}, "d-18"),
        ({"To": "us@brightloom.example", "Cc": "x@y.example, <Reply+d-19@in.example>"}, {}, "d-19"),
        ({"To": "us@brightloom.example"}, {"recipient": "reply+d-20@in.example"}, "d-20"),
        ({"To": "us@brightloom.example"}, {"delivery_hint": "d-21"}, "d-21"),
        ({"To": "us+tag@brightloom.example"}, {}, None),
    ],
)
def test_a_reply_finds_its_delivery_by_the_address_it_was_sent_to(
    headers: dict[str, str], fields: dict[str, str], found: str | None
) -> None:
    assert [event.delivery_id for event in read(mail(**headers).as_bytes(), **fields).events] == [found]


@pytest.mark.parametrize(
    ("provider", "headers", "found"),
    [
        ("mailgun", {"In_Reply_To": ""}, "m1@brightloom.example"),
        ("ses", {"In_Reply_To": "<0100abc@eu-west-1.amazonses.com>"}, "0100abc"),
        ("postmark", {"In_Reply_To": "<883953f4@mtasv.example>"}, "883953f4"),
        ("mailgun", {"In_Reply_To": "", "References": ""}, None),
    ],
)
def test_a_reply_names_the_message_it_answers(provider: str, headers: dict[str, str], found: str | None) -> None:
    (event,) = read(mail(**headers).as_bytes(), provider).events

    assert (event.attributes or {}).get("original_message_id") == found


def test_html_alone_becomes_text_and_plain_text_wins_where_both_are() -> None:
    message = mail()
    message.add_alternative("<p>Sounds <b>bad</b></p>", subtype="html")
    assert read(message.as_bytes()).replies[0].text.strip() == "Sounds good.\n> hello"
    message = mail()
    message.set_content("<style>p{}</style><p>Ja,&nbsp;gern&auml;<br>bald</p><script>x()</script>", subtype="html")
    assert read(message.as_bytes()).replies[0].text.split() == ["Ja,", "gernä", "bald"]


def test_attachments_are_listed_and_not_read() -> None:
    message = mail()
    message.add_attachment(b"secret" * 100, maintype="application", subtype="pdf", filename="Angebot für Ada.pdf")
    parsed = read(message.as_bytes())

    assert (parsed.events[0].attributes or {})["attachments"] == "Angebot für Ada.pdf"
    assert "secret" not in parsed.replies[0].text


@pytest.mark.parametrize(
    ("charset", "raw", "found"),
    [
        ("iso-8859-15", "Grüße für 5 €".encode("iso-8859-15"), "Grüße für 5 €"),
        ("shift_jis", "了解しました".encode("shift_jis"), "了解しました"),
        ("utf-8", "Grüße".encode("cp1252"), "Grüße"),
        ("no-such-charset", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
    ],
)
def test_charsets_are_read_and_wrong_ones_guessed(charset: str, raw: bytes, found: str) -> None:
    head = f"From: a@b.example\r\nDate: {DATE}\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()

    assert read(head + raw).replies[0].text == found


def test_headers_of_any_script_are_read() -> None:
    raw = (
        f"From: a@b.example\r\nDate: {DATE}\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Raw: Grüße\r\n\r\nhi".encode()
    )
    headers = read(raw).replies[0].headers or {}

    assert (headers["subject"], headers["x-raw"]) == ("Grüße", "Grüße")


def test_machine_headers_are_kept() -> None:
    parsed = read(mail(Auto_Submitted="auto-replied", Precedence="bulk").as_bytes())

    assert (parsed.events[0].attributes or {})["auto_submitted"] == "auto-replied"
    assert (parsed.replies[0].headers or {})["precedence"] == "bulk"


def test_a_mail_without_a_date_counts_from_its_receipt_and_one_from_the_future_is_refused() -> None:
    assert read(mail(Date="").as_bytes()).events[0].occurred_at == RECEIVED
    with pytest.raises(BadEvent, match="24 h"):
        read(mail(Date="Mon, 05 Jan 2032 10:59:00 +0100").as_bytes())


REPORT = """From: Mail Delivery <mailer-daemon@mx.example>
To: reply+d-17@in.brightloom.example
Date: Mon, 05 Jan 2026 10:59:00 +0100
Message-ID: <dsn1@mx.example>
Content-Type: multipart/report; report-type={kind}; boundary=xx

--xx
Content-Type: text/plain

Something happened.
--xx
Content-Type: message/{kind}

{blocks}
--xx
Content-Type: message/rfc822

Message-ID: <m1@brightloom.example>
To: ada@firm.example
Subject: hello

hi
--xx--
"""


def test_a_delivery_status_notification_is_a_bounce_for_each_recipient_and_no_reply() -> None:
    blocks = """Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ada@firm.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

Final-Recipient: rfc822; bob@firm.example
Action: delayed
Status: 4.4.1

Original-Recipient: rfc822;cleo@firm.example
Final-Recipient: rfc822; x@y.example
Action: failed
Status: 5.7.1
"""
    parsed = read(REPORT.format(kind="delivery-status", blocks=blocks).encode())

    assert [(e.kind, e.recipient, e.bounce_class, e.reason) for e in parsed.events] == [
        ("bounced", "ada@firm.example", "hard", "550 5.1.1 no such user"),
        ("deferred", "bob@firm.example", None, "4.4.1"),
        ("bounced", "cleo@firm.example", "block", "5.7.1"),
    ]
    assert {(e.message_id, e.delivery_id) for e in parsed.events} == {("m1@brightloom.example", "d-17")}
    assert parsed.replies == []


@pytest.mark.parametrize(
    ("told", "kind"), [("abuse", "complained"), ("fraud", "complained"), ("opt-out", "unsubscribed")]
)
def test_a_feedback_report_is_a_complaint(told: str, kind: str) -> None:
    blocks = f"Feedback-Type: {told}\nUser-Agent: Loop/1\nVersion: 1\nOriginal-Rcpt-To: <ada@firm.example>\n"
    parsed = read(REPORT.format(kind="feedback-report", blocks=blocks).encode())

    assert [(e.kind, e.recipient, e.message_id) for e in parsed.events] == [
        (kind, "ada@firm.example", "m1@brightloom.example")
    ]
    assert parsed.replies == []


def test_a_feedback_report_that_says_no_spam_is_unmapped() -> None:
    with pytest.raises(BadEvent, match="not-spam"):
        read(REPORT.format(kind="feedback-report", blocks="Feedback-Type: not-spam\n").encode())


def test_a_bounce_in_words_only_is_a_bounce_too() -> None:
    message = mail(From="MAILER-DAEMON@mx.example", X_Failed_Recipients="ada@firm.example")
    message.set_content("Hi.\n\n550 5.1.1 <ada@firm.example>: no such user here\n")
    parsed = read(message.as_bytes())

    assert [(e.kind, e.bounce_class, e.recipient) for e in parsed.events] == [("bounced", "hard", "ada@firm.example")]
    assert parsed.replies == []


MIME = mail().as_bytes()
PARTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "sendgrid": (
        urlencode(
            {
                "headers": MIME.decode().partition("\n\n")[0],
                "from": "Ada Example <ada@firm.example>",
                "text": "Sounds good.\n> hello".encode("utf-16"),
                "charsets": json.dumps({"text": "utf-16"}),
                "envelope": json.dumps({"to": ["reply+d-17@in.brightloom.example"], "from": "ada@firm.example"}),
                "subject": "Re: hello",
            }
        ).encode(),
        {},
    ),
    "mailgun": (
        urlencode(
            {
                "recipient": "reply+d-17@in.brightloom.example",
                "from": "ada@firm.example",
                "subject": "Re: hello",
                "body-plain": "Sounds good.\n> hello",
                "timestamp": "1767607140",
                "token": "t1",
                "message-headers": json.dumps(
                    [["In-Reply-To", "<m1@brightloom.example>"], ["Message-Id", "<r1@firm.example>"]]
                ),
            }
        ).encode(),
        {"content-type": "application/x-www-form-urlencoded"},
    ),
    "postmark": (
        json.dumps(
            {
                "FromFull": {"Email": "ada@firm.example", "Name": "Ada"},
                "OriginalRecipient": "reply+d-17@in.brightloom.example",
                "MailboxHash": "d-17",
                "MessageID": "p1",
                "Date": DATE,
                "Subject": "Re: hello",
                "TextBody": "Sounds good.\n> hello",
                "Headers": [
                    {"Name": "Message-ID", "Value": "<r1@firm.example>"},
                    {"Name": "In-Reply-To", "Value": "<m1@mtasv.example>"},
                ],
            }
        ).encode(),
        {},
    ),
    "ses": (
        json.dumps(
            {
                "Type": "Notification",
                "MessageId": "sns",
                "Message": json.dumps(
                    {
                        "notificationType": "Received",
                        "mail": {"timestamp": AT, "messageId": "s1", "source": "ada@firm.example"},
                        "receipt": {
                            "recipients": ["reply+d-17@in.brightloom.example"],
                            "action": {"encoding": "BASE64"},
                        },
                        "content": base64.b64encode(MIME).decode(),
                    }
                ),
            }
        ).encode(),
        {},
    ),
    "sparkpost": (
        json.dumps(
            [
                {
                    "msys": {
                        "relay_message": {
                            "content": {
                                "email_rfc822": base64.b64encode(MIME).decode(),
                                "email_rfc822_is_base64": True,
                            },
                            "rcpt_to": "reply+d-17@in.brightloom.example",
                        }
                    }
                }
            ]
        ).encode(),
        {},
    ),
    "brevo": (
        json.dumps(
            {
                "items": [
                    {
                        "Uuid": ["b1"],
                        "MessageId": "<r1@firm.example>",
                        "InReplyTo": "<m1@brightloom.example>",
                        "From": {"Name": "Ada", "Address": "ada@firm.example"},
                        "Recipients": ["reply+d-17@in.brightloom.example"],
                        "SentAtDate": DATE,
                        "Subject": "Re: hello",
                        "RawTextBody": "Sounds good.\n> hello",
                    }
                ]
            }
        ).encode(),
        {},
    ),
    "mailjet": (
        json.dumps(
            {
                "Sender": "ada@firm.example",
                "Recipient": "reply+d-17@in.brightloom.example",
                "From": "Ada <ada@firm.example>",
                "Subject": "Re: hello",
                "Headers": {
                    "Message-ID": "<r1@firm.example>",
                    "In-Reply-To": ["<m1@brightloom.example>"],
                    "Date": DATE,
                },
                "Text-part": "Sounds good.\n> hello",
            }
        ).encode(),
        {},
    ),
    "mandrill": (
        urlencode(
            {
                "mandrill_events": json.dumps(
                    [
                        {
                            "event": "inbound",
                            "ts": 1767607140,
                            "msg": {"raw_msg": MIME.decode(), "email": "reply+d-17@in.brightloom.example"},
                        }
                    ]
                )
            }
        ).encode(),
        {},
    ),
    "mailersend": (
        json.dumps(
            {
                "type": "inbound.message",
                "data": {
                    "id": "ms1",
                    "created_at": AT,
                    "recipients": {"rcptTo": [{"email": "reply+d-17@in.brightloom.example"}]},
                    "raw": MIME.decode(),
                },
            }
        ).encode(),
        {},
    ),
}


@pytest.mark.parametrize("provider", PARTS)
def test_every_provider_hands_over_the_same_reply(provider: str) -> None:
    body, headers = PARTS[provider]
    request = RawRequest(
        provider=provider, method="POST", url="/", received_at=RECEIVED, headers=headers, body=body, inbound=True
    )
    parsed = REGISTRY[provider].parse(request)

    assert parsed.rejected == []
    (event,), (reply,) = parsed.events, parsed.replies
    assert (event.kind, event.delivery_id, event.occurred_at) == ("replied", "d-17", AT)
    assert (event.recipient, event.message_id) == ("reply+d-17@in.brightloom.example", "r1@firm.example")
    assert (event.attributes or {})["from"] == "ada@firm.example"
    assert (event.attributes or {})["original_message_id"].startswith("m1")
    assert (reply.text.split(), reply.subject) == (["Sounds", "good.", ">", "hello"], "Re: hello")
    assert (reply.event_id, reply.recipient) == (event.event_id, event.recipient)


def test_resends_metadata_makes_an_event_whose_words_have_to_be_fetched() -> None:
    data = {
        "email_id": "e1",
        "received_for": ["reply+d-17@in.example"],
        "from": "ada@firm.example",
        "message_id": "<r1@x>",
    }
    body = json.dumps({"type": "email.received", "created_at": AT, "data": data}).encode()
    request = RawRequest(provider="resend", method="POST", url="/", received_at=RECEIVED, headers={}, body=body)
    parsed = REGISTRY["resend"].parse(request)

    assert [(e.kind, e.delivery_id, e.attributes) for e in parsed.events] == [
        ("replied", "d-17", {"email_id": "e1", "from": "ada@firm.example"})
    ]
    assert parsed.replies == []


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 200_000,
        "<table><tr><td>" * 60_000 + "word",
        "<" * 1_000_000,
        "<!--" * 250_000,
        "&amp;" * 200_000,
        "<p>" + "x " * 500_000,
        "<style>" * 100_000,
        '<img src="' + "x" * 1_000_000,
    ],
    ids=["deep", "tables", "angles", "comments", "entities", "long", "styles", "attribute"],
)
def test_a_megabyte_of_hostile_html_is_read_in_time(html: str) -> None:
    started = time.monotonic()
    text_of_html(html)

    assert time.monotonic() - started < 10  # the machine may be busy; without the guards it takes minutes


@given(raw=st.binary(max_size=400))
def test_any_bytes_are_a_mail_or_a_bad_event(raw: bytes) -> None:
    read_mail(raw)
    read_mail(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" + raw + b"\r\n--a--")
    read_mail(b"Content-Type: text/html; charset=" + raw[:20] + b"\r\n\r\n" + raw)


@given(raw=st.text(max_size=200))
def test_any_headers_are_read(raw: str) -> None:
    for provider in ("mailgun", "ses"):
        with contextlib.suppress(BadEvent):
            text = f"From: {raw}\r\nSubject: {raw}\r\nDate: {raw}\r\nReferences: {raw}\r\n\r\n{raw}"
            read(text.encode("utf-8", "replace"), provider)
