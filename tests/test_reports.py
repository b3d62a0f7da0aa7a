"""Reports as mail: examples from the standards and from the servers' own documentation, each recipient's fate."""

import json
from typing import Any

import pytest

from adapters.contract import Parsed
from adapters.inbound import Inbound, read_inbound, read_mails
from adapters.reading import Receipt
from schemas.failures import BadEvent
from schemas.instants import parse_ms

RECEIVED = "2026-01-05T10:00:30.000Z"
RECEIPT = Receipt(RECEIVED, parse_ms(RECEIVED))
HEAD = """From: {sender}
To: {to}
Date: Mon, 05 Jan 2026 10:59:00 +0100
Subject: {subject}
"""
RETURNED = """Message-ID: <m1@brightloom.example>
From: Ida <ida@brightloom.example>
Reply-To: reply+d-17@in.brightloom.example
To: ada@firm.example
Subject: hello
"""


def read(raw: str | bytes, **fields: Any) -> Parsed:
    body = raw.encode() if isinstance(raw, str) else raw
    return read_inbound(Inbound(provider="mailgun", mime=body, **fields), RECEIPT)


def dsn(status: str, *, sender: str = "MAILER-DAEMON@mx.example", returned: str = RETURNED, **more: str) -> str:
    """A report in the three parts of RFC 6522; `more` changes types."""
    kind = more.get("kind", "message/delivery-status")
    report = more.get("report", "report-type=delivery-status;")
    return (
        HEAD.format(sender=sender, to="bounces@brightloom.example", subject="Undelivered Mail Returned to Sender")
        + more.get("header", "")
        + f'MIME-Version: 1.0\nContent-Type: {more.get("top", "multipart/report")}; {report} boundary="xx"\n\n'
        + "--xx\nContent-Type: text/plain\n\nSee below.\n"
        + f"--xx\nContent-Type: {kind}\n{more.get('encoding', '')}\n{status}\n"
        + f"--xx\nContent-Type: {more.get('copy', 'message/rfc822')}\n\n{returned}\nhi\n--xx--\n"
    )


def told(parsed: Parsed) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(e.kind.value, e.recipient, e.bounce_class and e.bounce_class.value, e.reason) for e in parsed.events]


# RFC 3464, appendix E "Examples of DSNs": simple DSN, multi-recipient DSN, delayed DSN (hosts shortened).
SIMPLE = """Reporting-MTA: dns; cs.example

Original-Recipient: rfc822;louisl@larry.example
Final-Recipient: rfc822;louisl@larry.example
Action: failed
Status: 4.0.0
Diagnostic-Code: smtp; 426 connection timed out
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400
"""
MULTI = """Reporting-MTA: dns; cs.example

Original-Recipient: rfc822;arathib@vnet.example
Final-Recipient: rfc822;arathib@vnet.example
Action: failed
Status: 5.0.0 (permanent failure)
Diagnostic-Code: smtp;
 550 'arathib@vnet.example' is not a registered gateway user
Remote-MTA: dns; vnet.example

Original-Recipient: rfc822;johnh@hpnjld.example
Final-Recipient: rfc822;johnh@hpnjld.example
Action: delayed
Status: 4.0.0 (hpnjld.example: host name lookup failure)

Original-Recipient: rfc822;wsnell@sdcc13.example
Final-Recipient: rfc822;wsnell@sdcc13.example
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 550 user unknown
Remote-MTA: dns; sdcc13.example
"""
DELAYED = """Reporting-MTA: dns; sun2.example

Final-Recipient: rfc822;thomas@de-montfort.example
Status: 4.0.0 (unknown temporary failure)
Action: delayed
"""
# Postfix, bounce(8): a host that is not found.
POSTFIX = """Reporting-MTA: dns; mail.example
X-Postfix-Queue-ID: 4A1B2C
X-Postfix-Sender: rfc822; ida@brightloom.example
Arrival-Date: Mon,  5 Jan 2026 10:58:00 +0100 (CET)

Final-Recipient: rfc822; ada@no-such.example
Original-Recipient: rfc822;Ada@No-Such.example
Action: failed
Status: 5.4.4
Diagnostic-Code: X-Postfix; Host or domain name not found. Name service error
    for name=no-such.example type=A: Host not found
"""
# Microsoft, "Fix NDR error 550 5.1.10 in Exchange Online".
EXCHANGE = """Reporting-MTA: dns;am1.prod.example
Received-From-MTA: dns;mail.example
Arrival-Date: Mon, 5 Jan 2026 09:58:50 +0000

Final-Recipient: rfc822;ada@firm.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: ada
"""
GMAIL = """Reporting-MTA: dns; googlemail.example
Received-From-MTA: dns; ida@brightloom.example
Arrival-Date: Mon, 05 Jan 2026 01:58:58 -0800 (PST)
X-Original-Message-ID: <m1@brightloom.example>

Final-Recipient: rfc822; ada@firm.example
Action: failed
Status: 5.7.1
Remote-MTA: dns; mx.firm.example. (192.0.2.1, the server for the domain firm.example.)
Diagnostic-Code: smtp; 550-5.7.1 [192.0.2.9] Our system has detected that this message is
 550 5.7.1 likely unsolicited mail.
Last-Attempt-Date: Mon, 05 Jan 2026 01:58:59 -0800 (PST)
"""


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (SIMPLE, [("bounced", "louisl@larry.example", "soft", "426 connection timed out")]),
        (
            MULTI,
            [
                (
                    "bounced",
                    "arathib@vnet.example",
                    "hard",
                    "550 'arathib@vnet.example' is not a registered gateway user",
                ),
                ("deferred", "johnh@hpnjld.example", None, "4.0.0 (hpnjld.example: host name lookup failure)"),
                ("bounced", "wsnell@sdcc13.example", "hard", "550 user unknown"),
            ],
        ),
        (DELAYED, [("deferred", "thomas@de-montfort.example", None, "4.0.0 (unknown temporary failure)")]),
        (
            POSTFIX,
            [
                (
                    "bounced",
                    "Ada@No-Such.example",
                    "hard",
                    "Host or domain name not found. Name service error for name=no-such.example type=A: Host not found",
                )
            ],
        ),
        (
            EXCHANGE,
            [
                (
                    "bounced",
                    "ada@firm.example",
                    "hard",
                    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
                )
            ],
        ),
        (
            GMAIL,
            [
                (
                    "bounced",
                    "ada@firm.example",
                    "block",
                    "550-5.7.1 [192.0.2.9] Our system has detected that this message is 550 5.7.1 likely unsolicited mail.",
                )
            ],
        ),
    ],
    ids=["simple", "multi", "delayed", "postfix", "exchange", "gmail"],
)
def test_a_delivery_status_notification_tells_each_recipients_fate(status: str, found: list[Any]) -> None:
    parsed = read(dsn(status))

    assert told(parsed) == found
    assert (parsed.replies, parsed.rejected) == ([], [])
    assert {(e.message_id, e.delivery_id) for e in parsed.events} == {("m1@brightloom.example", "d-17")}
    assert {(e.attributes or {})["report"] for e in parsed.events} == {"delivery-status"}


def block(**fields: str) -> str:
    lines = {"Final-Recipient": "rfc822; ada@firm.example", "Action": "failed", "Status": "5.1.1"}
    lines |= {name.replace("_", "-"): value for name, value in fields.items()}
    return "Reporting-MTA: dns; mx.example\n\n" + "".join(
        f"{name}: {value}\n" for name, value in lines.items() if value
    )


@pytest.mark.parametrize(
    ("action", "status", "kind", "bounce_class"),
    [
        ("failed", "5.1.1", "bounced", "hard"),
        ("Failed", "5.2.2", "bounced", "soft"),
        ("failed (bounced)", "5.7.26", "bounced", "block"),
        ("failed", "4.4.7", "bounced", "soft"),
        ("failed", "4.7.0", "bounced", "block"),
        ("failed", "5.0.0", "bounced", "soft"),
        ("failed", "", "bounced", "soft"),
        ("delayed", "4.2.2", "deferred", None),
        ("delivered", "2.0.0", "delivered", None),
        ("relayed", "2.0.0", "delivered", None),
        ("expanded", "2.0.0", "delivered", None),
        ("", "5.1.1", "bounced", "hard"),
        ("", "4.4.1", "deferred", None),
    ],
)
def test_actions_and_codes_decide(action: str, status: str, kind: str, bounce_class: str | None) -> None:
    assert [row[:3] for row in told(read(dsn(block(Action=action, Status=status))))] == [
        (kind, "ada@firm.example", bounce_class)
    ]


@pytest.mark.parametrize(
    ("fields", "recipient"),
    [
        ({"Final_Recipient": "rfc822; <ada@firm.example>"}, "ada@firm.example"),
        ({"Final_Recipient": "RFC822;ada@firm.example (Ada)"}, "ada@firm.example"),
        ({"Final_Recipient": "ada@firm.example"}, "ada@firm.example"),
        ({"Final_Recipient": r"utf-8; j\x{F6}rg@firm.example"}, "jörg@firm.example"),
        ({"Final_Recipient": "utf-8; jörg@firm.example"}, "jörg@firm.example"),
        ({"Original_Recipient": "rfc822;Ada@Firm.example"}, "Ada@Firm.example"),
        ({"Original_Recipient": "x400; /c=us/s=ada/"}, "ada@firm.example"),
    ],
)
def test_a_recipient_is_read_in_every_form(fields: dict[str, str], recipient: str) -> None:
    assert [event.recipient for event in read(dsn(block(**fields))).events] == [recipient]


def test_an_unknown_action_is_a_dead_letter_and_costs_no_neighbour() -> None:
    status = block() + "\nFinal-Recipient: rfc822; bob@firm.example\nAction: teleported\n" + block()[30:]
    raw = dsn(status).encode()
    parsed = read(raw)
    assert [row[0] for row in told(parsed)] == ["bounced", "bounced"]
    assert [(one.reason, one.after, json.loads(one.raw)["action"]) for one in parsed.rejected] == [
        ("unmapped: teleported", 1, "teleported")
    ]

    twice = read_mails([raw, raw], RECEIPT, lambda body: Inbound(provider="mailgun", mime=body))
    assert [one.after for one in twice.rejected] == [1, 3]
    assert len(twice.events) == 4


@pytest.mark.parametrize(
    "more",
    [
        {"top": "multipart/mixed", "report": ""},
        {"kind": "message/global-delivery-status", "copy": "message/global"},
        {"copy": "text/rfc822-headers"},
        {"copy": "message/global-headers"},
        {"sender": "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@firm.example>"},
        {"sender": "postmaster@firm.example"},
        {"sender": "somebody@firm.example"},
    ],
    ids=str,
)
def test_reports_are_known_by_their_parts(more: dict[str, str]) -> None:
    (event,) = read(dsn(block(), **more)).events

    assert (event.kind, event.recipient, event.message_id) == ("bounced", "ada@firm.example", "m1@brightloom.example")
    assert event.delivery_id == "d-17"


def test_a_machine_readable_part_may_be_in_base64() -> None:
    import base64

    coded = base64.encodebytes(block().encode()).decode()
    (event,) = read(dsn(coded, encoding="Content-Transfer-Encoding: base64\n")).events

    assert (event.recipient, event.bounce_class) == ("ada@firm.example", "hard")


@pytest.mark.parametrize(
    ("header", "returned", "found"),
    [
        ("In-Reply-To: <m1@brightloom.example>\n", "Subject: hello\n", "m1@brightloom.example"),
        ("References: <m0@x.example> <m1@brightloom.example>\n", "Subject: hello\n", "m1@brightloom.example"),
        ("", "Subject: hello\n", None),
    ],
)
def test_a_report_without_the_message_names_it_by_its_own_headers(
    header: str, returned: str, found: str | None
) -> None:
    (event,) = read(dsn(block(), header=header, returned=returned)).events

    assert event.message_id == found


def test_a_report_that_names_nobody_is_read_by_its_words_or_is_a_dead_letter() -> None:
    with pytest.raises(BadEvent, match="names no refusal"):
        read(dsn("Reporting-MTA: dns; mx.example\n"))


def test_a_forwarded_report_is_a_reply() -> None:
    raw = (
        HEAD.format(sender="ada@firm.example", to="reply+d-17@in.brightloom.example", subject="Fwd: Undelivered")
        + 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="yy"\n\n--yy\nContent-Type: text/plain\n\n'
        + "What is this?\n--yy\nContent-Type: message/rfc822\n\n"
        + dsn(block())
        + "\n--yy--\n"
    )
    parsed = read(raw)

    assert [(e.kind, (e.attributes or {})["attachments"]) for e in parsed.events] == [("replied", "message/rfc822")]
    assert parsed.replies[0].text.strip() == "What is this?"


def test_a_receipt_that_a_mail_was_shown_is_no_reply() -> None:
    raw = dsn(
        "Final-Recipient: rfc822; ada@firm.example\nDisposition: manual-action/MDN-sent-manually; displayed\n",
        kind="message/disposition-notification",
        report="report-type=disposition-notification;",
        sender="ada@firm.example",
    )
    with pytest.raises(BadEvent) as caught:
        read(raw)
    assert caught.value.reason == "unmapped: disposition-notification"


# RFC 5965, appendix B.2 "Full Email Feedback Report" (hosts and addresses changed).
FULL = """Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <ida@brightloom.example>
Original-Rcpt-To: <ada@firm.example>
Original-Rcpt-To: <bob@firm.example>
Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT
Reporting-MTA: dns; mail.firm.example
Source-IP: 192.0.2.1
Authentication-Results: mail.firm.example; spf=fail smtp.mail=ida@brightloom.example
Reported-Domain: brightloom.example
Reported-Uri: http://brightloom.example/earn_money.html
Removal-Recipient: ada@firm.example
"""


def arf(text: str, **more: str) -> str:
    chosen = {
        "kind": "message/feedback-report",
        "report": "report-type=feedback-report;",
        "sender": "abuse@firm.example",
    }
    return dsn(text, **{**chosen, **more})


def test_a_feedback_report_is_a_complaint_of_each_recipient() -> None:
    parsed = read(arf(FULL))

    assert told(parsed) == [
        ("complained", "ada@firm.example", None, "abuse"),
        ("complained", "bob@firm.example", None, "abuse"),
    ]
    assert {(e.message_id, e.delivery_id) for e in parsed.events} == {("m1@brightloom.example", "d-17")}
    assert parsed.events[0].attributes == {
        "feedback-type": "abuse",
        "user-agent": "SomeGenerator/1.0",
        "source-ip": "192.0.2.1",
        "report": "feedback-report",
    }


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("abuse", "complained"),
        ("Fraud", "complained"),
        ("virus", "complained"),
        ("other", "complained"),
        ("opt-out", "unsubscribed"),
        ("opt-out-list", "unsubscribed"),
    ],
)
def test_a_feedback_report_that_hides_its_recipient_is_of_whom_we_wrote_to(kind: str, found: str) -> None:
    parsed = read(arf(f"Feedback-Type: {kind}\nUser-Agent: X/1\nVersion: 1\nOriginal-Rcpt-To: redacted\n"))

    assert [row[:2] for row in told(parsed)] == [(found, "ada@firm.example")]


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "dmarc"])
def test_a_feedback_report_of_another_kind_is_unmapped(kind: str) -> None:
    with pytest.raises(BadEvent) as caught:
        read(arf(f"Feedback-Type: {kind}\n"))
    assert caught.value.reason == f"unmapped: {kind}"


def test_a_reply_from_an_automat_is_a_reply_with_its_marks() -> None:
    raw = (
        HEAD.format(sender="ada@firm.example", to="reply+d-17@in.brightloom.example", subject="Automatic reply: hello")
        + "Return-Path: <>\nAuto-Submitted: auto-replied\nIn-Reply-To: <m1@brightloom.example>\n\nI am away.\n"
    )
    parsed = read(raw)

    assert [(e.kind, (e.attributes or {})["auto_submitted"]) for e in parsed.events] == [("replied", "auto-replied")]
    assert (parsed.replies[0].headers or {})["return-path"] == "<>"
