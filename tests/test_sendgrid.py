"""SendGrid: bodies of other shapes, and how old its signatures may be; documented payloads lie in `tests/golden`."""

import json
from typing import Any

import msgspec
import pytest

from adapters import sendgrid
from outpulse.settings import ProviderSettings
from schemas.events import RawRequest
from schemas.failures import RequestRefused
from tests.signing import sendgrid_keypair, sign_sendgrid

NOW_MS = 1_767_607_200_000
PRIVATE_KEY, PUBLIC_KEY = sendgrid_keypair()


def request_of(items: Any, received_at: str = "2026-01-05T10:00:30.000Z") -> RawRequest:
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    return RawRequest(
        provider="sendgrid", method="POST", url="/webhooks/sendgrid", received_at=received_at, headers={}, body=body
    )


def test_a_bare_object_with_an_event_counts_as_a_batch_of_one() -> None:
    parsed = sendgrid.parse(request_of({"event": "open", "timestamp": 1767607200, "sg_event_id": "one"}))

    assert [event.event_id for event in parsed.events] == ["one"]


@pytest.mark.parametrize("body", [{}, {"events": []}, 7, "text", None, True], ids=str)
def test_a_body_of_another_shape_is_one_dead_letter_with_the_whole_body(body: Any) -> None:
    parsed = sendgrid.parse(request_of(body))

    assert [("not an array", json.dumps(body).encode())] == [(item.reason, item.raw) for item in parsed.rejected]


def test_an_empty_batch_is_nothing_and_no_fault() -> None:
    parsed = sendgrid.parse(request_of([]))

    assert (parsed.events, parsed.replies, parsed.rejected) == ([], [], [])


def test_a_time_that_the_request_itself_lacks_does_not_lose_its_events() -> None:
    parsed = sendgrid.parse(request_of([{"event": "open", "timestamp": 1767607200}], received_at=""))

    assert [event.received_at for event in parsed.events] == [None]


@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_absurd_nesting_raises_nothing(depth: int) -> None:
    nested = b'[{"event":"open","timestamp":1767607200,"x":' + b"[" * depth + b"]" * depth + b"}]"

    parsed = sendgrid.parse(request_of(nested))

    assert len(parsed.events) + len(parsed.rejected) == 1


def signed(at_s: int, *, inbound: bool = False) -> RawRequest:
    request = request_of(b"[]")
    return msgspec.structs.replace(request, headers=sign_sendgrid(PRIVATE_KEY, b"[]", at_s), inbound=inbound)


@pytest.mark.parametrize(
    ("age_s", "passes"),
    [
        pytest.param(26 * 3600 - 1, True, id="a second younger than 26 h"),
        pytest.param(26 * 3600, True, id="exactly 26 h old"),
        pytest.param(26 * 3600 + 1, False, id="a second older than 26 h"),
        pytest.param(-299, True, id="a second less than 5 min ahead"),
        pytest.param(-300, True, id="exactly 5 min ahead"),
        pytest.param(-301, False, id="a second more than 5 min ahead"),
    ],
)
def test_a_signature_passes_within_its_window(age_s: int, passes: bool) -> None:  # noqa: FBT001
    request = signed(NOW_MS // 1000 - age_s)
    settings = ProviderSettings(public_keys=[PUBLIC_KEY])

    if passes:
        sendgrid.verify(request, settings, NOW_MS)
    else:
        with pytest.raises(RequestRefused, match=r"stale|ahead"):
            sendgrid.verify(request, settings, NOW_MS)


def test_inbound_mail_has_keys_of_its_own() -> None:
    request = signed(NOW_MS // 1000, inbound=True)

    sendgrid.verify(request, ProviderSettings(inbound_public_keys=[PUBLIC_KEY]), NOW_MS)
    with pytest.raises(RequestRefused, match="inbound_public_keys") as refused:
        sendgrid.verify(request, ProviderSettings(public_keys=[PUBLIC_KEY]), NOW_MS)
    assert refused.value.status == 403


def test_a_key_in_a_pem_frame_is_read_too() -> None:
    framed = f"-----BEGIN PUBLIC KEY-----\n{PUBLIC_KEY[:64]}\n{PUBLIC_KEY[64:]}\n-----END PUBLIC KEY-----\n"

    sendgrid.verify(signed(NOW_MS // 1000), ProviderSettings(public_keys=[framed]), NOW_MS)


@pytest.mark.parametrize("key", ["", "no key", "AAAA", "é"], ids=["empty", "no base64", "no DER", "not ASCII"])
def test_a_key_that_cannot_be_read_is_a_refusal_that_names_the_setting(key: str) -> None:
    with pytest.raises(RequestRefused, match="public_keys") as refused:
        sendgrid.verify(signed(NOW_MS // 1000), ProviderSettings(public_keys=[key]), NOW_MS)
    assert refused.value.status == 403


def test_a_key_that_cannot_be_read_leaves_the_others_in_use() -> None:
    sendgrid.verify(signed(NOW_MS // 1000), ProviderSettings(public_keys=["no key", PUBLIC_KEY]), NOW_MS)
