"""Laws that hold for every provider in the registry.

A provider joins by `tests/samples/NAME.py`, which says how its requests are made and signed.
"""

import base64
import json
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import REGISTRY, Adapter, Parsed
from adapters.facts import bare_address, class_by_code, machine_by_agent
from adapters.reading import time_text
from outpulse.settings import ProviderSettings
from schemas.events import BounceClass, RawRequest
from schemas.failures import RequestRefused
from tests.samples import NOW_MS, NOW_S, Sample, changed, samples, without

RECEIVED_AT = "2026-01-05T10:00:00.000Z"
SAMPLES = samples()
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


def signed(provider: str, body: bytes, at_s: int = NOW_S, which: str = "sign") -> RawRequest:
    return request_of(provider, *getattr(SAMPLES[provider], which)(body, at_s))


def with_headers(request: RawRequest, headers: dict[str, str]) -> RawRequest:
    return msgspec.structs.replace(request, headers=headers)


def one(sample: Sample, n: int = 1) -> bytes:
    """A body with one good event."""
    return sample.body([sample.item(n)])


def read_all(provider: str, items: list[Any]) -> Parsed:
    """What items become: in one body where the provider sends batches, else in one body each."""
    sample, parse = SAMPLES[provider], REGISTRY[provider].parse
    bodies = [items] if sample.batches else [[item] for item in items]
    found = [parse(request_of(provider, sample.body(some), _ids(sample, n))) for n, some in enumerate(bodies)]
    return Parsed(
        *(list(chain(*parts)) for parts in zip(*((p.events, p.replies, p.rejected) for p in found), strict=True))
    )


def _ids(sample: Sample, n: int) -> dict[str, str]:
    return {sample.id_header: f"event-{n}"} if sample.id_header else {}


def test_every_provider_has_a_sample_and_knows_its_name() -> None:
    assert list(REGISTRY) == [adapter.name for adapter in REGISTRY.values()]


# Proofs


def refused(adapter: Adapter, request: RawRequest, settings: ProviderSettings) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        adapter.verify(request, settings, NOW_MS)
    return caught.value


def test_a_good_proof_passes(name: str, adapter: Adapter, sample: Sample) -> None:
    adapter.verify(signed(name, one(sample)), sample.settings, NOW_MS)


@pytest.mark.parametrize("which", ["sign", "other_sign"])
def test_while_secrets_rotate_both_pass(name: str, adapter: Adapter, sample: Sample, which: str) -> None:
    adapter.verify(signed(name, one(sample), which=which), sample.both, NOW_MS)


def test_a_proof_made_with_another_secret_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    found = refused(adapter, signed(name, one(sample), which="other_sign"), sample.settings)

    assert found.status == sample.refused_with


def test_a_changed_byte_of_the_body_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    if not sample.signs_body:
        pytest.skip("this provider does not sign its bodies")
    request = signed(name, one(sample))
    body = request.body

    for wrong in (body + b"\n", body[:-1], b" " + body, body.replace(b"ada", b"eve")):
        assert refused(adapter, msgspec.structs.replace(request, body=wrong), sample.settings).status == 401


def test_bytes_that_are_no_text_can_be_signed(name: str, adapter: Adapter, sample: Sample) -> None:
    if not sample.takes_any_bytes:
        pytest.skip("this provider's proof lies inside the body")
    adapter.verify(signed(name, b'[{"event":"\xff\xfe\x00"}]\r\n'), sample.settings, NOW_MS)


def test_a_stale_or_early_proof_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    if sample.stale_s is None or sample.ahead_s is None:
        pytest.skip("no time in this provider's proof")
    for at_s in (NOW_S - sample.stale_s, NOW_S + sample.ahead_s):
        assert refused(adapter, signed(name, one(sample), at_s), sample.settings).status == 401


def test_the_signed_time_cannot_be_changed(name: str, adapter: Adapter, sample: Sample) -> None:
    if sample.signed_at is None or sample.stale_s is None:
        pytest.skip("no header with the time in this provider's proof")
    stale = signed(name, one(sample), NOW_S - sample.stale_s)

    fresh = with_headers(stale, stale.headers | {sample.signed_at: str(NOW_S)})
    assert refused(adapter, fresh, sample.settings).status == 401


def test_a_missing_header_is_refused(name: str, adapter: Adapter, sample: Sample) -> None:
    request = signed(name, one(sample))

    for header in request.headers:
        rest = {key: value for key, value in request.headers.items() if key != header}
        assert refused(adapter, with_headers(request, rest), sample.settings).status == 401


@pytest.mark.parametrize("garbage", ["", " ", "!!!", "AAAA", "AAA", "é", "\x00", "MEUCIQ==", "a" * 10_000], ids=repr)
def test_a_header_of_garbage_is_refused(name: str, adapter: Adapter, sample: Sample, garbage: str) -> None:
    request = signed(name, one(sample))

    for header in request.headers:
        wrong = with_headers(request, request.headers | {header: garbage})
        assert refused(adapter, wrong, sample.settings).status == 401


@pytest.mark.parametrize("time", ["-1", "1e9", "1767607200.5", "١٧٦٧", "9" * 40, "1_767_607_200", "+1767607200"])
def test_a_signed_time_that_is_no_plain_number_is_refused(
    name: str, adapter: Adapter, sample: Sample, time: str
) -> None:
    if sample.signed_at is None:
        pytest.skip("no header with the time in this provider's proof")
    request = signed(name, one(sample))
    wrong = with_headers(request, request.headers | {sample.signed_at: time})

    assert refused(adapter, wrong, sample.settings).status == 401


@given(value=st.text(max_size=200))
def test_no_header_raises_anything_but_a_refusal(value: str) -> None:
    for provider, sample in SAMPLES.items():
        request = signed(provider, one(sample))
        for header, good in request.headers.items():
            if value.strip() != good:
                wrong = with_headers(request, request.headers | {header: value})
                with pytest.raises(RequestRefused):
                    REGISTRY[provider].verify(wrong, sample.settings, NOW_MS)


@given(body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_body_raises_anything_but_a_refusal(body: bytes) -> None:
    for provider, sample in SAMPLES.items():
        headers = signed(provider, one(sample)).headers
        with suppress(RequestRefused):
            REGISTRY[provider].verify(request_of(provider, body, headers), sample.settings, NOW_MS)


def test_without_a_secret_the_refusal_names_the_setting(name: str, adapter: Adapter, sample: Sample) -> None:
    found = refused(adapter, signed(name, one(sample)), ProviderSettings())

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
    settings = msgspec.structs.replace(
        sample.settings, basic_auth=CREDENTIALS.basic_auth, bearer_tokens=CREDENTIALS.bearer_tokens
    )
    request = signed(name, one(sample))
    only = request_of(name, one(sample), {"authorization": given_header})

    adapter.verify(with_headers(request, request.headers | {"authorization": given_header}), settings, NOW_MS)
    adapter.verify(only, CREDENTIALS, NOW_MS)
    if sample.signs_anything:
        assert refused(adapter, only, settings).status == 401


@pytest.mark.parametrize(
    "given_header",
    ["", "Basic", "Basic !!!", basic("user:Secret"), basic("user"), "Bearer", "Bearer token-3", "token-1", "\xff"],
)
def test_wrong_credentials_are_refused_and_not_repeated(
    name: str, adapter: Adapter, sample: Sample, given_header: str
) -> None:
    settings = msgspec.structs.replace(
        sample.settings, basic_auth=CREDENTIALS.basic_auth, bearer_tokens=CREDENTIALS.bearer_tokens
    )
    request = signed(name, one(sample))

    wrong = with_headers(request, request.headers | {"authorization": given_header})
    found = refused(adapter, wrong, settings)

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
    body = one(sample)[:-5]

    parsed = adapter.parse(request_of(name, body))

    assert parsed.events == []
    assert [("not JSON", body)] == [(item.reason, item.raw) for item in parsed.rejected]


def test_good_items_of_a_batch_land_beside_bad_ones(name: str, sample: Sample) -> None:
    unknown = changed(sample.item(2), sample.name_path, "teleported")
    items: list[Any] = [None, sample.item(1), unknown, 17, [], {}, "text", sample.item(3)]

    parsed = read_all(name, items)

    assert [event.message_id for event in parsed.events] == ["message-1", "message-3"]
    assert len(items) - 2 == len(parsed.rejected)
    assert "unmapped: teleported" in {item.reason for item in parsed.rejected}


def test_events_carry_provider_channel_and_time_of_receipt(name: str, sample: Sample) -> None:
    (event,) = read_all(name, [sample.item(1)]).events

    assert (name, "email", RECEIVED_AT) == (event.provider, event.channel, event.received_at)
    assert (event.recipient, event.occurred_at) == ("ada@example.com", "2026-01-05T09:59:00.000Z")


def test_the_providers_own_id_is_the_events(name: str, sample: Sample) -> None:
    if sample.id_path is None:
        pytest.skip("this provider gives no id")
    found = [event.event_id for event in read_all(name, [sample.item(n) for n in range(3)]).events]

    assert found == ["event-0", "event-1", "event-2"]


def test_without_an_id_copies_of_one_fact_share_a_made_one(name: str, sample: Sample) -> None:
    bare = without(sample.item(1), sample.id_path) if sample.id_path else sample.item(1)
    other = changed(bare, sample.address_path, "grace@example.com")
    found = [REGISTRY[name].parse(request_of(name, sample.body([item]))).events for item in (bare, bare, other)]

    first, second, third = (event for events in found for event in events)

    assert first.event_id == second.event_id != third.event_id
    assert len(first.event_id) == 32


def test_a_body_of_a_megabyte_is_read_whole(name: str, sample: Sample) -> None:
    count = 2000 if sample.batches else 2
    size = 500 if sample.batches else 2**20
    items = [changed(sample.item(n), sample.note_path, "x" * size) for n in range(count)]
    assert sum(len(sample.body([item])) for item in items) > 2**20

    parsed = read_all(name, items)

    assert [f"message-{n}" for n in range(count)] == [event.message_id for event in parsed.events]
    assert any(value == "x" * size for value in (parsed.events[0].attributes or {}).values())


def test_an_address_of_any_script_is_kept(name: str, sample: Sample) -> None:
    addresses = ["δοκιμή@παράδειγμα.example", "用户@例子.example", "o'hara+tag@example.com", "ÅSA@EXAMPLE.com"]
    items = [changed(sample.item(n), sample.address_path, address) for n, address in enumerate(addresses)]

    parsed = read_all(name, items)

    assert addresses == [event.recipient for event in parsed.events]


@pytest.mark.parametrize(
    "damage",
    [rb"\ud800", b"\xff\xfe", rb"\udc00\ud800", b"\xed\xa0\x80"],
    ids=["lone surrogate", "invalid UTF-8", "surrogates turned round", "surrogate as UTF-8"],
)
def test_damaged_text_does_not_lose_its_neighbours(name: str, adapter: Adapter, sample: Sample, damage: bytes) -> None:
    noted = changed(sample.item(2), sample.note_path, "DAMAGE")
    items = [sample.item(1), noted, sample.item(3)] if sample.batches else [noted]

    parsed = adapter.parse(request_of(name, sample.body(items).replace(b"DAMAGE", damage)))

    assert "message-2" in [event.message_id for event in parsed.events]
    assert len(parsed.events) == len(items)
    msgspec.json.encode(parsed.events)


def test_a_nul_character_passes_and_a_nul_byte_is_not_json(name: str, adapter: Adapter, sample: Sample) -> None:
    body = sample.body([changed(sample.item(1), sample.note_path, "a\x00b")])

    assert len(adapter.parse(request_of(name, body)).events) == 1
    if sample.is_json:
        assert [item.reason for item in adapter.parse(request_of(name, b"\x00" + body)).rejected] == ["not JSON"]


@given(content=BODIES)
def test_any_json_is_read_without_raising(content: Any) -> None:
    for provider, adapter in REGISTRY.items():
        adapter.parse(request_of(provider, json.dumps(content).encode()))
        adapter.parse(request_of(provider, json.dumps([content]).encode()))
        adapter.parse(request_of(provider, SAMPLES[provider].body([content])))


@given(data=st.data())
def test_any_value_in_any_field_gives_an_event_or_a_dead_letter(data: st.DataObject) -> None:
    for provider, sample in SAMPLES.items():
        item = sample.item(1)
        paths = [*_paths(item), "campaign_id", "url", "type", "status", "reason"]
        item = changed(item, data.draw(st.sampled_from(paths)), data.draw(BODIES))

        parsed = read_all(provider, [item, sample.item(2)])

        is_check = item == {"msys": {}}  # SparkPost tries a webhook with it
        assert len(parsed.events) + len(parsed.rejected) >= (1 if is_check else 2)
        assert parsed.events[-1].message_id == "message-2"
        for event in parsed.events:
            assert event == msgspec.json.decode(msgspec.json.encode(event), type=type(event))


def _paths(item: dict[str, Any], before: str = "") -> list[str]:
    """Paths of all fields at any depth."""
    found = []
    for key, value in item.items():
        if "." not in key:
            found += [before + key, *(_paths(value, f"{before}{key}.") if isinstance(value, dict) else [])]
    return found


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
        ("5.0.0 then 5.7.1", BounceClass.BLOCK),
        ("Exim 4.94.2 said 5.2.2", BounceClass.SOFT),
        ("from 192.5.7.1 refused", None),
        ("no code", None),
        ("", None),
    ],
)
def test_an_enhanced_code_says_full_or_policy(text: str, found: BounceClass | None) -> None:
    assert found is class_by_code(text)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-01-05 10:00:00", "2026-01-05 10:00:00Z"),
        ("2026-01-05T10:00:00.5", "2026-01-05T10:00:00.5Z"),
        ("2026-01-05 10:00:00+00", "2026-01-05 10:00:00+00:00"),
        ("2026-01-05 10:00:00.894719+0130", "2026-01-05 10:00:00.894719+01:30"),
        ("2026-01-05T10:00:00-05:00", "2026-01-05T10:00:00-05:00"),
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00Z"),
        ("2026-01-05", "2026-01-05"),
        (1767607200, 1767607200),
        (None, None),
    ],
)
def test_a_time_without_a_zone_is_utc_and_a_short_offset_is_completed(told: object, read: object) -> None:
    assert read == time_text(told)


def test_an_endless_user_agent_is_judged_and_not_kept() -> None:
    assert machine_by_agent("x" * 2_000_000 + "bot") is True
    assert machine_by_agent("x" * 2_000_000) is False


def test_mails_among_events_keep_their_place() -> None:
    events = [
        {"event": "send", "ts": NOW_S - 60, "_id": f"m{n}", "msg": {"email": "ada@example.com"}} for n in range(2)
    ]
    raw = "From: ada@example.com\nMessage-ID: <r1@example.com>\n\nyes"
    mail = {"event": "inbound", "ts": NOW_S - 60, "msg": {"raw_msg": raw, "email": "us@brightloom.example"}}
    body = SAMPLES["mandrill"].body([events[0], mail, None, events[1], mail | {"ts": 1}])

    parsed = REGISTRY["mandrill"].parse(request_of("mandrill", body))

    assert [event.message_id for event in parsed.events] == ["m0", "r1@example.com", "m1"]
    assert [bad.after for bad in parsed.rejected] == [2, 3]


def test_an_address_is_freed_of_its_display_name() -> None:
    assert bare_address('"Ada <x>" <Ada@example.com>') == "Ada@example.com"
    assert bare_address("Ada@example.com") == "Ada@example.com"
