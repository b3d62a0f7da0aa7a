"""What single providers want of the gateway: tokens stored once, SNS's certificates and subscriptions, inbound mail."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from adapters import sns
from gateway import amazon
from outpulse.settings import GatewaySettings, ProviderSettings, Settings
from schemas.events import RawRequest
from tests.samples import NOW_S, mailgun, ses
from tests.signing import sign_sns, sns_certificate
from tests.test_adapters import request_of
from tests.test_gateway import WatchedLog, ask, gateway, log

__all__ = ["log"]

SETTINGS = Settings(
    gateway=GatewaySettings(max_webhook_bytes=2000, max_inbound_bytes=4000),
    providers={
        "mailgun": ProviderSettings(signing_keys=["sesame"]),
        "ses": ProviderSettings(topic_arns=[ses.TOPIC]),
        "postmark": ProviderSettings(basic_auth=["a:b"]),
    },
)
CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t0ken"


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sns.FETCHED, "_by_url", {})


def stored(log: WatchedLog) -> list[RawRequest]:
    """What the log holds, each key once."""
    from schemas.rawrecords import unpack

    return [unpack(record.value) for record in log.read("raw", 0, 1, 100)]


def test_a_token_that_was_taken_in_is_answered_and_dropped_whatever_it_comes_with(log: WatchedLog) -> None:
    body, _ = mailgun.SAMPLE.sign(mailgun.SAMPLE.body([mailgun.SAMPLE.item(1)]), NOW_S)
    forged = json.dumps(json.loads(body) | {"event-data": mailgun.SAMPLE.item(2)}).encode()

    assert [
        ask(log, "POST", "/webhooks/mailgun", SETTINGS, content=one).status_code for one in (body, body, forged)
    ] == [
        204,
        204,
        204,
    ]
    assert [request.body for request in stored(log)] == [body]


class Amazon:
    """SNS's side: what is fetched, and what it gives."""

    def __init__(self, **pages: bytes) -> None:
        self.pages = pages
        self.visited: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.visited.append(url)
        if "broken" in url:
            raise OSError("no answer")
        return ses.CERTIFICATE.encode()


def post(log: WatchedLog, side: Amazon, *envelopes: dict[str, Any]) -> list[int]:
    """Posts signed envelopes to one gateway, and waits for what it does afterwards."""
    import asyncio

    async def run() -> list[int]:
        async with gateway(log, SETTINGS, fetch=side) as client:
            found = [(await client.post("/webhooks/ses", content=json.dumps(one))).status_code for one in envelopes]
            await asyncio.sleep(0.2)
            return found

    return asyncio.run(run())


def notification(**fields: Any) -> dict[str, Any]:
    return sign_sns(ses.KEY, ses.envelope({"eventType": "Send", "mail": {}}, **fields))


def confirmation(topic: str = ses.TOPIC, url: str = CONFIRM) -> dict[str, Any]:
    extra = {"SubscribeURL": url, "Token": "t0ken", "TopicArn": topic, "Type": "SubscriptionConfirmation"}
    return sign_sns(ses.KEY, ses.envelope("You have chosen to subscribe", "c1", **extra))


def test_a_certificate_is_fetched_once_and_the_request_taken(log: WatchedLog) -> None:
    side = Amazon()

    assert post(log, side, notification(), notification(message_id="event-2")) == [204, 204]
    assert side.visited == [ses.CERT_URL]
    assert len(stored(log)) == 2


def test_a_certificate_that_cannot_be_had_is_503_and_not_asked_for_again_at_once(log: WatchedLog) -> None:
    side = Amazon()
    broken = notification(SigningCertURL="https://sns.eu-west-1.amazonaws.com/broken.pem")

    assert post(log, side, broken, broken) == [503, 503]
    assert len(side.visited) == 1
    assert stored(log) == []


def test_a_forged_message_is_refused_after_the_certificate_came(log: WatchedLog) -> None:
    assert post(log, Amazon(), notification() | {"Message": "{}"}) == [401]


def test_a_subscription_to_an_allowed_topic_is_confirmed(log: WatchedLog) -> None:
    side = Amazon()

    assert post(log, side, confirmation()) == [204]
    assert side.visited == [ses.CERT_URL, CONFIRM]


def test_other_topics_and_other_hosts_are_not_visited(log: WatchedLog) -> None:
    side = Amazon()
    found = post(
        log,
        side,
        confirmation(topic=ses.OTHER_TOPIC),
        confirmation(url="https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription"),
        notification(SigningCertURL="https://evil.example/a.pem"),
        sign_sns(ses.KEY, confirmation() | {"Type": "UnsubscribeConfirmation", "MessageId": "u"}),
    )

    assert found == [403, 204, 401, 204]
    assert side.visited == [ses.CERT_URL]


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://xsns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu.west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://[::1/a.pem",
        "",
        None,
        7,
    ],
)
def test_only_amazons_own_hosts_are_amazons(url: object) -> None:
    assert not sns.is_amazons(url, ".pem")


def test_a_url_of_somebody_else_is_never_fetched() -> None:
    with pytest.raises(OSError, match="not one of Amazon"):
        amazon.fetch_https("https://evil.example/a.pem")


def test_amazons_hosts_are_amazons() -> None:
    assert sns.is_amazons("https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-x.pem", ".pem")
    assert sns.is_amazons("https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-x.pem", ".pem")


@pytest.mark.parametrize(("days", "why"), [((-20, -1), "not valid now"), ((1, 20), "not valid now")])
def test_a_certificate_out_of_its_time_is_refused(days: tuple[int, int], why: str) -> None:
    from schemas.failures import RequestRefused

    _, pem = sns_certificate(days)
    with pytest.raises(RequestRefused, match=why):
        sns.key_of(pem, NOW_S * 1000)


def test_inbound_mail_has_a_door_and_a_limit_of_its_own(log: WatchedLog) -> None:
    answers: list[httpx.Response] = [
        ask(log, "POST", "/inbound/postmark", SETTINGS, content=b"x" * size, auth=("a", "b")) for size in (3000, 5000)
    ]

    assert [answer.status_code for answer in answers] == [204, 413]
    assert "max_inbound_bytes" in answers[1].text
    assert [(request.inbound, request.url) for request in stored(log)] == [(True, "/inbound/postmark")]


def test_a_signature_version_cannot_stand_for_the_other(tmp_path: Path) -> None:
    del tmp_path
    from schemas.failures import RequestRefused

    settings = ProviderSettings(topic_arns=[ses.TOPIC], signing_certs={ses.CERT_URL: ses.CERTIFICATE})
    for version, other in (("1", "2"), ("2", "1")):
        signed = notification(SignatureVersion=version)
        good = msgspec.json.encode(signed)
        wrong = msgspec.json.encode(signed | {"SignatureVersion": other})
        sns.check_envelope(request_of("ses", good), settings, NOW_S * 1000)
        with pytest.raises(RequestRefused, match="does not fit"):
            sns.check_envelope(request_of("ses", wrong), settings, NOW_S * 1000)
