"""Bounces in words only, as servers' own documentation shows them: each recipient's fate, and no reason from the copy below."""

from typing import Any

import pytest

from tests.test_reports import HEAD, read, told

# In words. QSBMF (https://cr.yp.to/proto/qsbmf.txt) is what qmail-send writes.
QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ada@firm.example>:
Sorry, no mailbox here by that name. (#5.1.1)

<bob@firm.example>:
192.0.2.1 does not like recipient.
Remote host said: 552 5.2.2 mailbox full
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

Return-Path: <ida@brightloom.example>
Message-ID: <m1@brightloom.example>
Reply-To: reply+d-17@in.brightloom.example
To: ada@firm.example, bob@firm.example
Subject: 554 5.7.1 spam spam

blocked by Spamhaus
"""
# Exim specification, "Customizing bounce and warning messages".
EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ada@firm.example
    host mx.firm.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ada@firm.example>:
    550 5.1.1 <ada@firm.example>: user unknown
  bob@no-such.example
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

Return-path: <ida@brightloom.example>
Message-ID: <m1@brightloom.example>
Reply-To: reply+d-17@in.brightloom.example
To: ada@firm.example
"""
EXIM_WARNING = """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.

The message identifier is:     1abcDE-000000-AA

The address to which the message has not yet been delivered is:

  ada@firm.example

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered.
"""
SENDMAIL = """The original message was received at Mon, 5 Jan 2026 10:58:00 +0100

   ----- The following addresses had permanent fatal errors -----
<ada@firm.example>
    (reason: 550 5.7.1 <ada@firm.example>... Relaying denied)

   ----- Transcript of session follows -----
... while talking to mx.firm.example.:
>>> RCPT To:<ada@firm.example>
<<< 550 5.7.1 <ada@firm.example>... Relaying denied
"""
OLD_EXCHANGE = """Your message did not reach some or all of the intended recipients.

      Subject:  hello
      Sent:     05.01.2026 10:58

The following recipient(s) cannot be reached:

      'ada@firm.example' on 05.01.2026 10:58
            550 5.1.1 User unknown
"""


def worded(text: str, *, header: str = "", subject: str = "failure notice") -> str:
    return (
        HEAD.format(sender="MAILER-DAEMON@mx.example", to="ida@brightloom.example", subject=subject)
        + header
        + "\n"
        + text
    )


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (
            worded(QMAIL),
            [
                ("bounced", "ada@firm.example", "hard", "Sorry, no mailbox here by that name. (#5.1.1)"),
                ("bounced", "bob@firm.example", "soft", "Remote host said: 552 5.2.2 mailbox full"),
            ],
        ),
        (
            worded(EXIM, header="X-Failed-Recipients: ada@firm.example,\n  bob@no-such.example\n"),
            [
                ("bounced", "ada@firm.example", "hard", "550 5.1.1 <ada@firm.example>: user unknown"),
                ("bounced", "bob@no-such.example", "hard", "Unrouteable address"),
            ],
        ),
        (
            worded(SENDMAIL),
            [("bounced", "ada@firm.example", "block", "(reason: 550 5.7.1 <ada@firm.example>... Relaying denied)")],
        ),
        (worded(OLD_EXCHANGE), [("bounced", "ada@firm.example", "hard", "550 5.1.1 User unknown")]),
    ],
    ids=["qmail", "exim", "sendmail", "exchange"],
)
def test_a_bounce_in_words_tells_each_recipients_fate(raw: str, found: list[Any]) -> None:
    parsed = read(raw)

    assert told(parsed) == found
    assert {(e.attributes or {})["report"] for e in parsed.events} == {"bounce in words"}
    assert parsed.replies == []


def test_the_copy_below_a_bounce_in_words_names_the_message_and_no_reason() -> None:
    assert {(e.message_id, e.delivery_id) for e in read(worded(QMAIL)).events} == {("m1@brightloom.example", "d-17")}
    assert {(e.message_id, e.delivery_id) for e in read(worded(EXIM)).events} == {("m1@brightloom.example", "d-17")}


def test_a_warning_of_a_delay_is_no_bounce() -> None:
    raw = worded(EXIM_WARNING, subject="Warning: message 1abcDE-000000-AA delayed 24 hours")
    parsed = read(raw + "------ This is a copy of the message ------\n\nTo: ada@firm.example\n")

    assert [row[:3] for row in told(parsed)] == [("deferred", "ada@firm.example", None)]
