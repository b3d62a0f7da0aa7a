"""Laws that hold for every provider in the registry.

A provider joins by a `Sample` that says how its requests are made and signed.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import REGISTRY, Adapter
from adapters.facts import bare_address, class_by_code, machine_by_agent
from outpulse.settings import ProviderSettings
from schemas.events import BounceClass, RawRequest
from schemas.failures import RequestRefused
from tests.signing import sendgrid_keypair, sign_sendgrid

NOW_MS = 1_767_607_200_000
NOW_S = NOW_MS // 1000
RECEIVED_AT = "2026-01-05T10:00:00.000Z"


class Sample(msgspec.Struct, frozen=True):
    """How one provider's requests look.

    `sign(body, at_s)` gives the headers of a proof, `other_sign` one of a second secret; `settings` holds the first
    secret, `both` the second and then the first. `item(n)` is one good event, `batch(items)` a body; `signature` and
    `signed_at` name the proof's headers, None where there are none.
    """

    settings: ProviderSettings
    both: ProviderSettings
    setting: str
    sign: Callable[[bytes, int], dict[str, str]]
    other_sign: Callable[[bytes, int], dict[str, str]]
    item: Callable[[int], dict[str, Any]]
    batch: Callable[[list[Any]], bytes]
    name_key: str
    id_key: str
    address_key: str
    signature: str
    signed_at: str | None
    stale_s: int
    ahead_s: int


def _sendgrid() -> Sample:
    key, public = sendgrid_keypair()
    other_key, other_public = sendgrid_keypair()
    return Sample(
        settings=ProviderSettings(public_keys=[public]),
        both=ProviderSettings(public_keys=[other_public, public]),
        setting="public_keys",
        sign=lambda body, at_s: sign_sendgrid(key, body, at_s),
        other_sign=lambda body, at_s: sign_sendgrid(other_key, body, at_s),
        item=lambda n: {
            "email": "ada@example.com",
            "timestamp": NOW_S - 60,
            "event": "delivered",
            "sg_event_id": f"event-{n}",
            "sg_message_id": f"message-{n}.filter",
        },
        batch=lambda items: json.dumps(items).encode(),
        name_key="event",
        id_key="sg_event_id",
        address_key="email",
        signature="x-twilio-email-event-webhook-signature",
        signed_at="x-twilio-email-event-webhook-timestamp",
        stale_s=26 * 3600 + 1,
        ahead_s=301,
    )


SAMPLES = {"sendgrid": _sendgrid()}
BODIES = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=12,
    )
)


@pytest.fixture(params=sorted(REGISTRY))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def adapter(name: str) -> Adapter:
    return REGISTRY[name]


@pytest.fixture
def sample(name: str) -> Sample:
    return SAMPLES[name]


def request_of(provider: str, body: bytes, headers: dict[str, str] | None = None) -> RawRequest:
    return RawRequest(
        provider=provider,
        method="POST",
        url=f"/webhooks/{provider}",
        received_at=RECEIVED_AT,
        headers=headers or {},
        body=body,
    )


def test_every_provider_has_a_sample_and_knows_its_name() -> None:
    assert set(SAMPLES) == set(REGISTRY)
    assert list(REGISTRY) == [adapter.name for adapter in REGISTRY.values()]


# Proofs


def refused(adapter: Adapter, request: RawRequest, settings: ProviderSettings) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        adapter.verify(request, settings, NOW_MS)
    return caught.value


def test_a_good_proof_passes(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([sample.item(1)])

    adapter.verify(request_of(name, body, sample.sign(body, NOW_S)), sample.settings, NOW_MS)


@pytest.mark.parametrize("which", ["sign", "other_sign"])
def test_while_secrets_rotate_both_pass(name: str, adapter: Adapter, sample: Sample, which: str) -> None:
    body = sample.batch([sample.item(1)])
    headers = getattr(sample, which)(body, NOW_S)

    adapter.verify(request_of(name, body, headers), sample.both, NOW_MS)


def test_a_proof_made_with_another_secret_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([sample.item(1)])

    assert refused(adapter, request_of(name, body, sample.other_sign(body, NOW_S)), sample.settings).status == 401


def test_a_changed_byte_of_the_body_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([sample.item(1)])
    headers = sample.sign(body, NOW_S)

    for changed in (body + b"\n", body[:-1], b" " + body, body.replace(b"ada@", b"eve@")):
        assert refused(adapter, request_of(name, changed, headers), sample.settings).status == 401


def test_bytes_that_are_no_text_can_be_signed(name: str, adapter: Adapter, sample: Sample) -> None:
    body = b'[{"event":"\xff\xfe\x00"}]\r\n'

    adapter.verify(request_of(name, body, sample.sign(body, NOW_S)), sample.settings, NOW_MS)


def test_a_stale_or_early_proof_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([])

    for at_s in (NOW_S - sample.stale_s, NOW_S + sample.ahead_s):
        assert refused(adapter, request_of(name, body, sample.sign(body, at_s)), sample.settings).status == 401


def test_the_signed_time_cannot_be_changed(name: str, adapter: Adapter, sample: Sample) -> None:
    if sample.signed_at is None:
        pytest.skip("no time in this provider's proof")
    body = sample.batch([])
    headers = sample.sign(body, NOW_S - sample.stale_s) | {sample.signed_at: str(NOW_S)}

    assert refused(adapter, request_of(name, body, headers), sample.settings).status == 401


def test_a_missing_header_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([])
    headers = sample.sign(body, NOW_S)

    for header in headers:
        without = {key: value for key, value in headers.items() if key != header}
        assert refused(adapter, request_of(name, body, without), sample.settings).status == 401


@pytest.mark.parametrize("garbage", ["", " ", "!!!", "AAAA", "AAA", "é", "\x00", "MEUCIQ==", "a" * 10_000], ids=repr)
def test_a_header_of_garbage_is_refused(name: str, adapter: Adapter, sample: Sample, garbage: str) -> None:
    body = sample.batch([])
    headers = sample.sign(body, NOW_S)

    for header in headers:
        assert refused(adapter, request_of(name, body, headers | {header: garbage}), sample.settings).status == 401


@pytest.mark.parametrize("time", ["-1", "1e9", "1767607200.5", "١٧٦٧", "9" * 40, "1_767_607_200", "+1767607200"])
def test_a_signed_time_that_is_no_plain_number_is_refused(
    name: str, adapter: Adapter, sample: Sample, time: str
) -> None:
    if sample.signed_at is None:
        pytest.skip("no time in this provider's proof")
    body = sample.batch([])
    headers = sample.sign(body, NOW_S) | {sample.signed_at: time}

    assert refused(adapter, request_of(name, body, headers), sample.settings).status == 401


@given(value=st.text(max_size=200))
def test_no_header_raises_anything_but_a_refusal(value: str) -> None:
    for provider, sample in SAMPLES.items():
        headers = sample.sign(b"[]", NOW_S)
        for header in headers:
            request = request_of(provider, b"[]", headers | {header: value})
            if value.strip() != headers[header]:
                with pytest.raises(RequestRefused):
                    REGISTRY[provider].verify(request, sample.settings, NOW_MS)


def test_without_a_secret_the_refusal_names_the_setting(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([])

    found = refused(adapter, request_of(name, body, sample.sign(body, NOW_S)), ProviderSettings())

    assert found.status == 403
    assert f"[providers.{name}]" in str(found)
    assert sample.setting in str(found)


def test_without_a_secret_insecure_lets_everything_in(name: str, adapter: Adapter) -> None:
    adapter.verify(request_of(name, b"[]"), ProviderSettings(insecure=True), NOW_MS)


def test_insecure_does_not_switch_off_a_secret_that_is_set(name: str, adapter: Adapter, sample: Sample) -> None:
    settings = msgspec.structs.replace(sample.settings, insecure=True)

    assert refused(adapter, request_of(name, b"[]"), settings).status == 401


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


CREDENTIALS = ProviderSettings(
    basic_auth=["old:pässword:with colon", "user:secret"], bearer_tokens=["token-1", "token-2"]
)


@pytest.mark.parametrize(
    "given_header",
    [basic("user:secret"), basic("old:pässword:with colon"), "bearer token-2", "Bearer  token-1 "],
)
def test_credentials_are_checked_beside_the_signature(
    name: str, adapter: Adapter, sample: Sample, given_header: str
) -> None:
    body = sample.batch([])
    settings = msgspec.structs.replace(
        sample.settings, basic_auth=CREDENTIALS.basic_auth, bearer_tokens=CREDENTIALS.bearer_tokens
    )
    headers = sample.sign(body, NOW_S) | {"authorization": given_header}

    adapter.verify(request_of(name, body, headers), settings, NOW_MS)
    adapter.verify(request_of(name, body, {"authorization": given_header}), CREDENTIALS, NOW_MS)
    assert refused(adapter, request_of(name, body, {"authorization": given_header}), settings).status == 401


@pytest.mark.parametrize(
    "given_header",
    ["", "Basic", "Basic !!!", basic("user:Secret"), basic("user"), "Bearer", "Bearer token-3", "token-1", "\xff"],
)
def test_wrong_credentials_are_refused_and_not_repeated(
    name: str, adapter: Adapter, sample: Sample, given_header: str
) -> None:
    body = sample.batch([])
    settings = msgspec.structs.replace(
        sample.settings, basic_auth=CREDENTIALS.basic_auth, bearer_tokens=CREDENTIALS.bearer_tokens
    )
    headers = sample.sign(body, NOW_S) | {"authorization": given_header}

    found = refused(adapter, request_of(name, body, headers), settings)

    assert found.status == 401
    for secret in ("secret", "token-1", "token-2", "Secret", "token-3"):
        assert secret not in str(found)


def test_every_custom_header_must_be_there(name: str, adapter: Adapter) -> None:
    settings = ProviderSettings(headers={"X-Our-Key": "sesame", "X-Other": "grüße"})
    good = {"x-our-key": "sesame", "x-other": "grüße".encode().decode("latin-1")}

    adapter.verify(request_of(name, b"[]", good), settings, NOW_MS)
    for wrong in ({}, good | {"x-our-key": "Sesame"}, {"x-our-key": "sesame"}):
        found = refused(adapter, request_of(name, b"[]", wrong), settings)
        assert found.status == 401
        assert "sesame" not in str(found)


# Parsing


def test_a_truncated_body_is_one_dead_letter_with_all_its_bytes(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([sample.item(1), sample.item(2)])[:-5]

    parsed = adapter.parse(request_of(name, body))

    assert parsed.events == []
    assert [("not JSON", body)] == [(item.reason, item.raw) for item in parsed.rejected]


def test_good_items_of_a_batch_land_beside_bad_ones(name: str, adapter: Adapter, sample: Sample) -> None:
    unknown = sample.item(2) | {sample.name_key: "teleported"}
    items: list[Any] = [None, sample.item(1), unknown, 17, [], {}, "text", sample.item(3)]

    parsed = adapter.parse(request_of(name, sample.batch(items)))

    assert [event.event_id for event in parsed.events] == ["event-1", "event-3"]
    assert len(items) - 2 == len(parsed.rejected)
    assert "unmapped: teleported" in {item.reason for item in parsed.rejected}


def test_events_carry_provider_channel_and_time_of_receipt(name: str, adapter: Adapter, sample: Sample) -> None:
    (event,) = adapter.parse(request_of(name, sample.batch([sample.item(1)]))).events

    assert (name, "email", RECEIVED_AT) == (event.provider, event.channel, event.received_at)


def test_without_an_id_copies_of_one_fact_share_a_made_one(name: str, adapter: Adapter, sample: Sample) -> None:
    bare = {key: value for key, value in sample.item(1).items() if key != sample.id_key}
    other = bare | {sample.address_key: "grace@example.com"}

    first, second, third = adapter.parse(request_of(name, sample.batch([bare, bare, other]))).events

    assert first.event_id == second.event_id != third.event_id
    assert len(first.event_id) == 32


def test_a_batch_of_a_megabyte_is_read_whole(name: str, adapter: Adapter, sample: Sample) -> None:
    items = [sample.item(n) | {"note": "x" * 400} for n in range(2000)]
    body = sample.batch(items)
    assert len(body) > 2**20

    parsed = adapter.parse(request_of(name, body))

    assert [f"event-{n}" for n in range(2000)] == [event.event_id for event in parsed.events]


def test_an_address_of_any_script_is_kept(name: str, adapter: Adapter, sample: Sample) -> None:
    addresses = ["δοκιμή@παράδειγμα.example", "用户@例子.example", "o'hara+tag@example.com", "ÅSA@EXAMPLE.com"]
    items = [sample.item(n) | {sample.address_key: address} for n, address in enumerate(addresses)]

    parsed = adapter.parse(request_of(name, sample.batch(items)))

    assert addresses == [event.recipient for event in parsed.events]


@pytest.mark.parametrize(
    "damage",
    [rb"\ud800", b"\xff\xfe", rb"\udc00\ud800", b"\xed\xa0\x80"],
    ids=["lone surrogate", "invalid UTF-8", "surrogates turned round", "surrogate as UTF-8"],
)
def test_damaged_text_does_not_lose_its_neighbours(name: str, adapter: Adapter, sample: Sample, damage: bytes) -> None:
    items = [sample.item(1), sample.item(2) | {"note": "DAMAGE"}, sample.item(3)]

    parsed = adapter.parse(request_of(name, sample.batch(items).replace(b"DAMAGE", damage)))

    assert [event.event_id for event in parsed.events] == ["event-1", "event-2", "event-3"]
    msgspec.json.encode(parsed.events)


def test_a_nul_character_passes_and_a_nul_byte_is_not_json(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.batch([sample.item(1) | {"note": "a\x00b"}])

    assert len(adapter.parse(request_of(name, body)).events) == 1
    assert [item.reason for item in adapter.parse(request_of(name, b"\x00" + body)).rejected] == ["not JSON"]


@given(content=BODIES)
def test_any_json_is_read_without_raising(content: Any) -> None:
    for provider, adapter in REGISTRY.items():
        adapter.parse(request_of(provider, json.dumps(content).encode()))
        adapter.parse(request_of(provider, json.dumps([content]).encode()))


@given(fields=st.dictionaries(st.text(max_size=10), BODIES, max_size=5), data=st.data())
def test_any_value_in_any_field_gives_an_event_or_a_dead_letter(fields: dict[str, Any], data: st.DataObject) -> None:
    for provider, adapter in REGISTRY.items():
        sample = SAMPLES[provider]
        item = sample.item(1)
        field = data.draw(st.sampled_from([*sorted(item), "campaign_id", "url", "type", "status", "reason"]))
        item = fields | item | {field: data.draw(BODIES)}

        parsed = adapter.parse(request_of(provider, sample.batch([item, sample.item(2)])))

        assert len(parsed.events) + len(parsed.rejected) == 2
        assert parsed.events[-1].event_id == "event-2"
        for event in parsed.events:
            assert event == msgspec.json.decode(msgspec.json.encode(event), type=type(event))


@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_without_raising(body: bytes) -> None:
    for provider, adapter in REGISTRY.items():
        adapter.parse(request_of(provider, body))


# Readings


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        ("Mozilla/5.0", True),
        ("Mozilla/5.0 ", False),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", True),
        ("SomeCrawler", True),
        ("Baiduspider", True),
        ("python-requests/2.31", True),
        ("curl/8.5", True),
        ("Go-http-client/1.1", True),
        ("Mozilla/5.0 HeadlessChrome/120", True),
        ("Barracuda Sentinel", True),
        ("proofpoint", True),
        ("Mimecast", True),
        ("Mozilla/5.0 (via ggpht.com GoogleImageProxy)", False),
        ("YahooMailProxy; https://help.yahoo.com", False),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT X19)", False),
        ("", None),
    ],
)
def test_a_user_agent_tells_machines_from_people(agent: str, machine: bool | None) -> None:  # noqa: FBT001
    assert machine is machine_by_agent(agent)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.7.1 refused", BounceClass.BLOCK),
        ("5.7.26", BounceClass.BLOCK),
        ("4.7.1 later", None),
        ("452 4.2.2 full", BounceClass.SOFT),
        ("552-5.2.2 full", BounceClass.SOFT),
        ("550 5.1.1 no such user", None),
        ("from 192.5.7.1 refused", None),
        ("no code", None),
        ("", None),
    ],
)
def test_an_enhanced_code_says_full_or_policy(text: str, found: BounceClass | None) -> None:
    assert found is class_by_code(text)


def test_an_address_is_freed_of_its_display_name() -> None:
    assert bare_address('"Ada <x>" <Ada@example.com>') == "Ada@example.com"
    assert bare_address("Ada@example.com") == "Ada@example.com"
