"""Requests that somebody else made, changed, kept or sent again, provider by provider: none of them passes.

What holds for all providers alike stands in `tests/test_adapters.py`.
"""

import json
from itertools import permutations
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest

from adapters import REGISTRY, mailersend, mailgun, mandrill, resend, sendgrid
from adapters import ses as amazon
from outpulse.settings import ProviderSettings
from schemas.events import RawRequest
from schemas.failures import RequestRefused
from tests.samples import NOW_MS, NOW_S, samples, ses
from tests.signing import (
    sendgrid_keypair,
    sign_mailersend,
    sign_mailgun,
    sign_mandrill,
    sign_sendgrid,
    sign_sns,
    sign_standard,
)
from tests.test_adapters import one, request_of, signed, with_headers

SAMPLES = samples()
SECRETS = ("sesame", "other", "whsec_")
FORM = {"content-type": "application/x-www-form-urlencoded"}


def passes(request: RawRequest, settings: ProviderSettings) -> bool:
    """Whether a request is taken; a refusal must be one, and must not repeat a secret."""
    why = None
    try:
        REGISTRY[request.provider].verify(request, settings, NOW_MS)
    except RequestRefused as refused:
        why = refused
    assert why is None or (why.status in {401, 403} and not [secret for secret in SECRETS if secret in str(why)])
    return why is None


# All providers


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_proof_that_was_cut_or_lengthened_is_refused(name: str) -> None:
    sample = SAMPLES[name]
    request = signed(name, one(sample))

    for header, value in request.headers.items():
        wrong = [value[:-1], value[1:], value + "A", "A" + value, value[: len(value) // 2], value + "," + value]
        wrong += [value.swapcase(), value[::-1], f"{value}\x00", f"{value}é", f"{value}€"]
        for text in {text for text in wrong if text.strip() != value}:
            assert not passes(with_headers(request, request.headers | {header: text}), sample.settings), (header, text)


@pytest.mark.parametrize(("ours", "theirs"), list(permutations(sorted(REGISTRY), 2)), ids=lambda name: name)
def test_a_proof_for_another_provider_is_refused(ours: str, theirs: str) -> None:
    sample = SAMPLES[ours]
    body, headers = SAMPLES[theirs].sign(one(SAMPLES[theirs]), NOW_S)
    if not (sample.signs_anything or SAMPLES[theirs].signs_anything):
        headers = {"authorization": "Basic c29tZWJvZHk6ZWxzZQ=="}

    assert not passes(request_of(ours, body, headers), sample.settings)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_an_empty_secret_lets_nobody_in(name: str) -> None:
    one_each = ProviderSettings(basic_auth=[""], bearer_tokens=[""], headers={"x-key": ""})
    empty = {"signing_keys": [""], "webhook_keys": [""], "public_keys": [""], "topic_arns": [""]}
    secrets = {"signing_secrets": ["whsec_"] if name == "resend" else [""], "inbound_signing_secrets": [""]}
    settings = msgspec.structs.replace(ProviderSettings(url=URL), **empty, **secrets)
    body = one(SAMPLES[name])
    proofs: list[dict[str, str]] = [
        {},
        {"authorization": "Basic ", "x-key": ""},
        {"authorization": "Bearer "},
        sign_mailersend("", body),
        sign_mandrill("", URL, dict(parse_qsl(body.decode()))),
    ]
    for headers in proofs:
        assert not passes(request_of(name, body, headers), settings)
        assert not passes(request_of(name, body, headers), one_each)
        assert not passes(request_of(name, body, headers), ProviderSettings(headers={"x-key": ""}))
    assert not passes(mailgun_request(sign_mailgun("", NOW_S, TOKEN)), ProviderSettings(signing_keys=["", "k"]))


# SendGrid

PRIVATE, PUBLIC = sendgrid_keypair()


def test_sendgrids_time_and_body_cannot_change_places() -> None:
    body = b"[]"
    headers = sign_sendgrid(PRIVATE, body, NOW_S)
    settings = ProviderSettings(public_keys=[PUBLIC])
    time = "x-twilio-email-event-webhook-timestamp"

    assert passes(request_of("sendgrid", body, headers), settings)
    moved = headers | {time: str(NOW_S)[:-1]}
    assert not passes(request_of("sendgrid", str(NOW_S)[-1:].encode() + body, moved), settings)


def test_sendgrids_body_is_checked_as_bytes_with_any_line_end() -> None:
    body = b'[{"event":"open","sg_event_id":"\xff"}]\r\n'
    settings = ProviderSettings(public_keys=[PUBLIC])
    headers = sign_sendgrid(PRIVATE, body, NOW_S)

    assert passes(request_of("sendgrid", body, headers), settings)
    assert not passes(request_of("sendgrid", body.rstrip(), headers), settings)


@pytest.mark.parametrize("signature", ["MEUCIQ==", "MAYCAQECAQE=", "AAAA", "MAYCAQACAQA="], ids=str)
def test_a_der_signature_of_nonsense_is_refused(signature: str) -> None:
    headers = sign_sendgrid(PRIVATE, b"[]", NOW_S) | {"x-twilio-email-event-webhook-signature": signature}

    assert not passes(request_of("sendgrid", b"[]", headers), ProviderSettings(public_keys=[PUBLIC]))


# Mailgun

TOKEN = "123c2f5b8f3c0b1e9d9c5a7b3d1f0e8a6c4b2d0f8e6a4c2b0d"
MAILGUN = ProviderSettings(signing_keys=["sesame"])
EVENT = {"event-data": {"event": "opened", "timestamp": NOW_S, "id": "e1"}}


def mailgun_request(proof: object, **beside: Any) -> RawRequest:
    return request_of("mailgun", json.dumps({"signature": proof, **EVENT, **beside}).encode())


def test_a_sub_accounts_event_passes_by_the_parents_key_over_the_same_token() -> None:
    own, parents = (sign_mailgun(key, NOW_S, TOKEN) for key in ("sub-account", "sesame"))
    request = mailgun_request({**own, "parent-signature": parents["signature"]})

    assert passes(request, MAILGUN)
    assert passes(request, ProviderSettings(signing_keys=["sub-account"]))
    assert not passes(request, ProviderSettings(signing_keys=["third"]))
    assert not passes(mailgun_request({**own, "parent-signature": own["signature"]}), MAILGUN)


def test_a_token_stays_the_key_of_repeats_whatever_stands_beside_it() -> None:
    proof = sign_mailgun("sesame", NOW_S, TOKEN)
    beside: list[dict[str, Any]] = [
        {},
        {"parent-signature": "0" * 64},
        {"parent-signature": {"token": "other", "timestamp": str(NOW_S), "signature": "0" * 64}},
    ]
    for more in beside:
        for request in (mailgun_request({**proof, **more}), mailgun_request(proof, **more)):
            assert passes(request, MAILGUN)
            assert mailgun.replay_key(request) == TOKEN.encode()


def test_digits_of_a_token_cannot_move_into_the_timestamp() -> None:
    proof = sign_mailgun("sesame", NOW_S, TOKEN)

    for count in range(1, 4):
        moved = {**proof, "timestamp": f"{NOW_S}{TOKEN[:count]}", "token": TOKEN[count:]}
        assert not passes(mailgun_request(moved), MAILGUN)
        back = {**proof, "timestamp": str(NOW_S)[:-count], "token": str(NOW_S)[-count:] + TOKEN}
        assert not passes(mailgun_request(back), MAILGUN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature": ""},
        {"signature": None},
        {"signature": ["0" * 64]},
        {"signature": sign_mailgun("sesame", NOW_S, TOKEN)["signature"].upper()},
        {"signature": "zz" * 32},
        {"token": ""},
        {"token": TOKEN[:-1]},
        {"token": None},
        {"timestamp": str(NOW_S + 1)},
        {"timestamp": True},
        {"timestamp": None},
    ],
    ids=str,
)
def test_a_changed_triple_of_mailguns_is_refused(wrong: dict[str, Any]) -> None:
    assert not passes(mailgun_request(sign_mailgun("sesame", NOW_S, TOKEN) | wrong), MAILGUN)


@pytest.mark.parametrize("proof", [None, [], "text", 7, {}], ids=str)
def test_a_mailgun_request_without_a_triple_is_refused(proof: object) -> None:
    assert not passes(mailgun_request(proof), MAILGUN)


def test_a_timestamp_may_be_a_number_as_the_page_documents_it() -> None:
    assert passes(mailgun_request(sign_mailgun("sesame", NOW_S, TOKEN) | {"timestamp": NOW_S}), MAILGUN)


def test_in_a_form_the_last_triple_counts() -> None:
    fields = [("event", "opened"), ("token", "a variable of ours"), *sign_mailgun("sesame", NOW_S, TOKEN).items()]

    assert passes(request_of("mailgun", urlencode(fields).encode(), FORM), MAILGUN)
    assert not passes(request_of("mailgun", urlencode([*fields, ("token", "later")]).encode(), FORM), MAILGUN)


# Resend

WHSEC = "whsec_" + "c2VzYW1lc2VzYW1lc2VzYW1lc2VzYW1l"
RESEND = ProviderSettings(signing_secrets=[WHSEC])


def test_other_versions_of_a_signature_are_skipped_and_any_match_counts() -> None:
    headers = sign_standard(WHSEC, b"{}", NOW_S, "msg_1")
    good = headers["svix-signature"]

    for text in (f"v1a,AAAA {good}", f"v1,AAAA {good} v2,x", f"{good} v1,%%%"):
        assert passes(request_of("resend", b"{}", headers | {"svix-signature": text}), RESEND)
    for text in (good.replace("v1,", "v2,"), good.replace("v1,", ""), good.replace("v1,", "v1a,"), "v1,", ","):
        assert not passes(request_of("resend", b"{}", headers | {"svix-signature": text}), RESEND)


def test_an_id_of_other_headers_than_the_signed_ones_is_nobodys() -> None:
    body = json.dumps({"type": "email.sent", "created_at": "2026-01-05T09:59:00Z", "data": {"email_id": "m"}}).encode()
    request = request_of("resend", body, sign_standard(WHSEC, body, NOW_S, "msg_1", "webhook") | {"svix-id": "forged"})

    assert passes(request, RESEND)
    assert resend.replay_key(request) == b"msg_1"
    assert [event.event_id for event in resend.parse(request).events] == ["msg_1"]


@pytest.mark.parametrize(("age_s", "fine"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_resends_window_is_five_minutes_each_way(age_s: int, fine: bool) -> None:  # noqa: FBT001
    assert passes(request_of("resend", b"{}", sign_standard(WHSEC, b"{}", NOW_S - age_s, "msg_1")), RESEND) is fine


# Amazon SES

SES = ProviderSettings(topic_arns=[ses.TOPIC], signing_certs={ses.CERT_URL: ses.CERTIFICATE})
NOTICE = sign_sns(ses.KEY, ses.envelope({"eventType": "Send", "mail": {"messageId": "m"}}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"Message": "{}"},
        {"MessageId": "other"},
        {"Timestamp": "2026-01-05T10:00:01.000Z"},
        {"Subject": "another"},
        {"Subject": None},
        {"TopicArn": ses.OTHER_TOPIC},
        {"TopicArn": None},
        {"TopicArn": [ses.TOPIC]},
        {"Type": "SubscriptionConfirmation"},
        {"Type": None},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
        {"Signature": ""},
        {"Signature": "AAAA"},
        {"Signature": "%%%"},
        {"Signature": NOTICE["Signature"][:-4]},
        {"Signature": None},
        {"SigningCertURL": "https://evil.example/a.pem"},
        {"SigningCertURL": ses.CERT_URL.replace("https", "http")},
        {"SigningCertURL": None},
    ],
    ids=str,
)
def test_a_changed_envelope_is_refused(wrong: dict[str, Any]) -> None:
    assert passes(request_of("ses", json.dumps(NOTICE).encode()), SES)
    assert not passes(request_of("ses", json.dumps(NOTICE | wrong).encode()), SES)


def test_sns_messages_pass_with_and_without_a_subject_and_by_either_version() -> None:
    for fields in ({"SignatureVersion": "1"}, {"SignatureVersion": "2"}, {"SignatureVersion": 2}, {"Subject": None}):
        found = sign_sns(ses.KEY, {key: value for key, value in (NOTICE | fields).items() if value is not None})
        assert passes(request_of("ses", json.dumps(found).encode()), SES)


def test_an_unsubscription_is_acknowledged_and_never_visited() -> None:
    fields = {
        "Type": "UnsubscribeConfirmation",
        "Token": "t",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
    }
    request = request_of("ses", json.dumps(sign_sns(ses.KEY, NOTICE | fields)).encode())

    assert passes(request, SES)
    assert amazon.confirmation_url(request, SES) is None
    assert amazon.parse(request).events == []
    assert amazon.parse(request).rejected == []


# Mandrill

URL = "https://user:pass@hooks.example/webhooks/mandrill?a=1&b=2"
MANDRILL = ProviderSettings(webhook_keys=["sesame"], url=URL)


def mandrill_request(fields: dict[str, str], key: str, url: str = URL) -> RawRequest:
    return request_of("mandrill", urlencode(fields).encode(), sign_mandrill(key, url, fields) | FORM)


def test_mandrills_url_counts_as_it_is_configured_with_query_and_credentials() -> None:
    fields = {"mandrill_events": '[{"event":"send"}]'}

    assert passes(mandrill_request(fields, "sesame"), MANDRILL)
    for url in (URL + "/", URL.replace("user:pass@", ""), URL.partition("?")[0], URL.replace("https", "http")):
        assert not passes(mandrill_request(fields, "sesame", url), MANDRILL)


def test_fields_are_signed_by_their_names_order() -> None:
    assert passes(mandrill_request({"zeta": "1", "mandrill_events": "[]", "alpha": "ü €"}, "sesame"), MANDRILL)


def test_the_public_test_key_is_good_for_the_empty_array_only() -> None:
    request = mandrill_request({"mandrill_events": "[]"}, "test-webhook")

    assert passes(request, MANDRILL)
    assert mandrill.parse(request).rejected == []
    for fields in (
        {"mandrill_events": '[{"event":"send"}]'},
        {"mandrill_events": "[ ]"},
        {"mandrill_events": "[]", "a": ""},
    ):
        assert not passes(mandrill_request(fields, "test-webhook"), MANDRILL)


def test_a_look_whether_the_url_exists_needs_no_proof_and_says_nothing() -> None:
    body = urlencode({"mandrill_events": '[{"event":"send","ts":1767607200,"_id":"m"}]'}).encode()
    request = msgspec.structs.replace(request_of("mandrill", body, FORM), method="HEAD")

    assert passes(request, MANDRILL)
    assert mandrill.parse(request).events == []


# MailerSend

MAILERSEND = ProviderSettings(signing_secrets=["sesame"], inbound_signing_secrets=["other"])
PUBLISHED = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"


def mailersend_request(body: bytes, secret: str) -> RawRequest:
    return request_of("mailersend", body, sign_mailersend(secret, body))


def test_the_published_secret_is_good_for_a_webhooks_test_only() -> None:
    test = b'{"type":"webhook.test","message":"Hello"}'

    assert passes(mailersend_request(test, PUBLISHED), MAILERSEND)
    assert mailersend.parse(mailersend_request(test, PUBLISHED)).rejected == []
    for body in (
        b'{"type":"activity.sent","data":{}}',
        b'{"type":"webhook.test","type":"activity.sent"}',
        b'[{"type":"webhook.test"}]',
        b"webhook.test",
        b"",
    ):
        assert not passes(mailersend_request(body, PUBLISHED), MAILERSEND)


def test_escaped_slashes_belong_to_what_was_signed() -> None:
    body = b'{"type":"activity.sent","url":"https:\\/\\/hooks.example\\/"}'
    request = mailersend_request(body, "sesame")

    assert passes(request, MAILERSEND)
    assert not passes(msgspec.structs.replace(request, body=body.replace(b"\\/", b"/")), MAILERSEND)


def test_an_inbound_route_has_a_secret_of_its_own() -> None:
    for secret, inbound in (("sesame", False), ("other", True)):
        request = mailersend_request(b"{}", secret)
        assert passes(msgspec.structs.replace(request, inbound=inbound), MAILERSEND)
        assert not passes(msgspec.structs.replace(request, inbound=not inbound), MAILERSEND)


@pytest.mark.parametrize("module", [sendgrid, resend], ids=lambda module: str(module.name))
def test_a_proof_is_measured_by_the_clock_it_is_given(module: Any) -> None:
    sample = SAMPLES[module.name]
    request = signed(module.name, one(sample), NOW_S - 10_000_000)

    module.verify(request, sample.settings, NOW_MS - 10_000_000_000)
    assert not passes(request, sample.settings)
