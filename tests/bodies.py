"""Bodies to damage: what each provider's documented requests look like, at both of its doors, and mails of every sort."""

from urllib.parse import parse_qsl

from schemas.events import RawRequest
from tests import test_inbound as inbound
from tests.samples import samples
from tests.test_golden import cases_of, request_of

RECEIVED_AT = "2026-01-05T10:00:30.000Z"
FORM = {"content-type": "application/x-www-form-urlencoded"}
_PARTS = {"content-type": "multipart/form-data; boundary=xYzZY"}
Doors = list[tuple[dict[str, str], bool]]


def doors_of(provider: str) -> Doors:
    """Headers, and whether it is the inbound door: what a provider's requests come with."""
    plain: Doors = [({}, False), ({}, True)]
    if provider in {"sendgrid", "mailgun", "mandrill"}:
        return [*plain, (FORM, False), (FORM, True), (_PARTS, False), (_PARTS, True)]
    headers = {"postmark": {"x-pm-webhook-trace-id": "trace"}, "resend": {"svix-id": "msg_1"}}.get(provider, {})
    return [*plain, (headers, False)]


def request_at(provider: str, door: int, body: bytes) -> RawRequest:
    """A body at one of the provider's doors, counted round."""
    doors = doors_of(provider)
    headers, is_inbound = doors[door % len(doors)]
    return RawRequest(
        provider=provider,
        method="POST",
        url="/",
        received_at=RECEIVED_AT,
        headers=headers,
        body=body,
        inbound=is_inbound,
    )


def seeds_of(provider: str) -> list[tuple[int, bytes]]:
    """Bodies from the golden cases, the sample and an inbound mail, each with the number of its door."""
    sample, cases = samples()[provider], cases_of(provider)
    items = [case["item"] for case in cases if "item" in case]
    found = [(request_of(case).body, case.get("headers", {}), bool(case.get("inbound"))) for case in cases]
    found += [(sample.body(items[n : n + 8]), {}, False) for n in range(0, len(items), 8)]
    found += [(sample.body([sample.item(1)]), {}, False), (b"[]", {}, False), (b"{}", {}, False)]
    if provider in inbound.PARTS:
        body, headers = inbound.PARTS[provider]
        found += [(body, headers or FORM, True), (as_parts(body), _PARTS, True)]
    return [(_door(provider, headers, is_inbound=is_inbound), body) for body, headers, is_inbound in found]


def _door(provider: str, headers: dict[str, str], *, is_inbound: bool) -> int:
    wanted = headers.get("content-type", "").partition(";")[0]
    doors = enumerate(doors_of(provider))
    fitting = [
        n for n, (has, at) in doors if at == is_inbound and has.get("content-type", "").partition(";")[0] == wanted
    ]
    return fitting[-1] if fitting else int(is_inbound)


def as_parts(form: bytes) -> bytes:
    """A multipart body with the fields of an urlencoded one, and a file."""
    part = b'--xYzZY\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    pairs = parse_qsl(form.decode("latin-1"), encoding="latin-1")
    parts = [part % (key.encode("latin-1"), value.encode("latin-1")) for key, value in pairs]
    file = b'--xYzZY\r\nContent-Disposition: form-data; name="attachment1"; filename="a.pdf"\r\n\r\nx\r\n--xYzZY--\r\n'
    return b"".join(parts) + file


def mails() -> list[bytes]:
    """A plain reply, one with HTML and an attachment, bounces in words and by RFC 3464, a complaint by RFC 5965."""
    blocks = (
        "Final-Recipient: rfc822; ada@firm.example\nAction: failed\nStatus: 5.1.1\n\nReporting-MTA: dns; mx.example\n"
    )
    told = "Feedback-Type: abuse\nVersion: 1\nOriginal-Rcpt-To: <ada@firm.example>\n"
    both = inbound.mail()
    both.add_alternative("<p>Sounds <b>bad</b><style>p{}</style></p>", subtype="html")
    both.add_attachment(b"x" * 60, maintype="application", subtype="pdf", filename="Angebot für Ada.pdf")
    words = inbound.mail(From="MAILER-DAEMON@mx.example", X_Failed_Recipients="ada@firm.example")
    words.set_content("Hi.\n\n550 5.1.1 <ada@firm.example>: no such user here\n")
    reports = [("delivery-status", blocks), ("feedback-report", told)]
    made = [inbound.REPORT.format(kind=kind, blocks=text).encode() for kind, text in reports]
    return [inbound.MIME, both.as_bytes(), words.as_bytes(), *made]
