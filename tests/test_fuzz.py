"""Whatever is done to a body, it is read without an exception, nothing is lost in silence, and good neighbours land.

`benchmarks/fuzz_parsers.py` looks for more with more time, and what it has found stands here as cases.
"""

import json
import time
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import REGISTRY, Parsed
from adapters.forms import unquoted
from adapters.inbound import Inbound, lines_of, read_mails
from adapters.mapped import Mapped
from adapters.mappings import read_mapping
from adapters.reading import receipt_of
from schemas.events import RawRequest
from schemas.failures import RequestRefused
from tests.bodies import doors_of, mails, request_at, seeds_of
from tests.judging import faults_of
from tests.mutating import mutated, stretched
from tests.samples import NOW_MS, NOW_S, changed, samples
from tests.test_hooks import SAMPLES as HOOKS
from tests.test_hooks import TOOLS

SAMPLES = samples()
SEEDS = {name: seeds_of(name) for name in REGISTRY}
DONORS = {name: [body for _, body in seeds] for name, seeds in SEEDS.items()}
BATCHES = [name for name in REGISTRY if SAMPLES[name].batches]
MAILS = mails()
MUTANTS = 20
"""Damaged bodies a provider in one example: an example costs little, Hypothesis' own bookkeeping more."""
SEED = st.integers(0, 2**32)


def check(request: RawRequest) -> Parsed:
    """What the request's adapter makes of it, without any fault."""
    parsed = REGISTRY[request.provider].parse(request)
    assert faults_of(request, parsed) == [], request
    return parsed


@given(body=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_at_any_door_become_events_or_dead_letters(body: bytes) -> None:
    for name in REGISTRY:
        for door in range(len(doors_of(name))):
            check(request_at(name, door, body))


@given(seed=SEED)
def test_damaged_bodies_become_valid_events_or_dead_letters(seed: int) -> None:
    random = Random(seed)
    for name, seeds in SEEDS.items():
        for _ in range(MUTANTS):
            door, body = random.choice(seeds)
            check(request_at(name, door, mutated(body, random, DONORS[name])))


@given(seed=SEED)
def test_good_neighbours_of_damaged_items_all_land(seed: int) -> None:
    random = Random(seed)
    for name in BATCHES:
        sample = SAMPLES[name]
        damaged = [_damaged(sample.item(2), random) for _ in range(MUTANTS)]
        items = [item for n, one in enumerate(damaged) for item in (sample.item(1000 + n), one)]
        parsed = check(request_at(name, 0, sample.body([*items, sample.item(7)])))

        landed = {event.message_id for event in parsed.events}
        assert landed >= {f"message-{1000 + n}" for n in range(MUTANTS)} | {"message-7"}


def _damaged(item: Any, random: Random) -> Any:
    """The item as some JSON value near to it; a mail in its place would be another door's."""
    while True:
        with suppress(ValueError, RecursionError):
            found = json.loads(mutated(json.dumps(item).encode(), random, []))
            json.dumps(found, allow_nan=False)  # what is no JSON costs the whole body
            return "mail" if "relay_message" in repr(found)[:2000] else found


@given(seed=SEED)
def test_no_damaged_body_or_header_raises_anything_but_a_refusal(seed: int) -> None:
    random = Random(seed)
    for name, sample in SAMPLES.items():
        adapter: Any = REGISTRY[name]
        good, headers = sample.sign(sample.body([sample.item(1)]), NOW_S)
        for _ in range(3):
            body = mutated(good, random, DONORS[name])
            broken = {key: mutated(value.encode(), random, []).decode("latin-1") for key, value in headers.items()}
            for sent in (headers, broken):
                request = msgspec.structs.replace(request_at(name, 0, body), headers=sent)
                with suppress(RequestRefused):
                    adapter.verify(request, sample.settings, NOW_MS)
                    assert not (sample.signs_body and body != good), "a damaged body has passed"
                if hasattr(adapter, "replay_key"):
                    adapter.replay_key(request)
                if hasattr(adapter, "confirmation_url"):
                    adapter.confirmation_url(request, sample.settings)


@given(seed=SEED)
def test_damaged_mails_become_events_or_dead_letters_and_none_is_odd(seed: int) -> None:
    random = Random(seed)
    for _ in range(MUTANTS):
        raw = mutated(random.choice(MAILS), random, MAILS)
        text = raw.decode("utf-8", "replace")
        check_mail(raw, Inbound(provider="ses", mime=raw))
        check_mail(raw, Inbound(provider="mailgun", html=text, headers=lines_of(text), recipient=text[:60]))
        check_mail(raw, Inbound(provider="mailjet", text=text, sender=text[-60:], headers=lines_of(text)))


def check_mail(raw: bytes, mail: Inbound) -> Parsed:
    request = msgspec.structs.replace(request_at("ses", 1, raw), provider="mail")
    parsed = read_mails([{}], receipt_of(request), lambda _: mail)
    assert faults_of(request, parsed) == []
    assert "not usable" not in {item.reason for item in parsed.rejected}, parsed.rejected
    return parsed


@given(seed=SEED)
def test_damaged_posts_of_tools_become_events_or_dead_letters(seed: int) -> None:
    random = Random(seed)
    for tool in TOOLS:
        hook = Mapped(tool, read_mapping(HOOKS / f"{tool}.toml"))
        good = (HOOKS / f"{tool}.json").read_bytes()
        for _ in range(MUTANTS):
            body = mutated(good, random, [good])
            request = msgspec.structs.replace(request_at("ses", 0, body), provider="hook")
            assert faults_of(request, hook.parse(request)) == []


@given(
    pieces=st.lists(
        st.sampled_from([b"%", b"+", b"=", b"a", b"F", b"%41", b"%3d", b"%25", b"\r", b"\n", b"_", b"\xff"])
    )
)
def test_a_form_is_unquoted_as_urllib_does_it(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)

    assert unquoted(raw) == unquote_to_bytes(raw.replace(b"+", b" "))


# What the fuzzer has found


@pytest.mark.parametrize("odd", [[], {}, [1], {"a": []}, 17, True, None], ids=repr)
@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("resend", "data.bounce.subType", "email.bounced"),
        ("mailjet", "hard_bounce", "bounce"),
        ("ses", "bounce.bounceSubType", "Bounce"),
        ("ses", "bounce.bounceType", "Bounce"),
        ("sparkpost", "msys.message_event.bounce_class", "bounce"),
        ("sendgrid", "type", "bounce"),
    ],
)
def test_a_class_of_an_odd_type_costs_no_event(name: str, path: str, kind: str, odd: object) -> None:
    sample = SAMPLES[name]
    item = changed(changed(sample.item(1), sample.name_path, kind), path, odd)

    assert len(check(request_at(name, 0, sample.body([item]))).events) == 1


@pytest.mark.parametrize("odd", [[], {}, 17, None], ids=repr)
def test_an_envelope_of_an_odd_type_is_read_as_a_notification(odd: object) -> None:
    body = changed(json.loads(SAMPLES["ses"].body([SAMPLES["ses"].item(1)])), "Type", odd)

    assert len(check(request_at("ses", 0, json.dumps(body).encode())).events) == 1


@pytest.mark.parametrize(
    "charset",
    [
        "charset*=x'y'z",
        'charset="a\0b"',
        "charset*=a\0b''c",
        "charset*0=a; charset*=b",
        "charset=punycode",
        "charset=unicode_escape",
        "charset=utf-7",
    ],
)
def test_a_mail_of_an_odd_charset_is_a_reply(charset: str) -> None:
    raw = f"From: a@b.example\nContent-Type: text/plain; {charset}\n\nhällo \\ud800 +2AA-".encode()

    assert "llo" in check_mail(raw, Inbound(provider="ses", mime=raw)).replies[0].text


def test_a_report_that_names_nobody_is_a_dead_letter() -> None:
    raw = MAILS[3].replace(b"Final-Recipient", b"Nobody")
    parsed = check_mail(raw, Inbound(provider="ses", mime=raw))

    assert (parsed.replies, len(parsed.events) + len(parsed.rejected)) == ([], 1)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_value_nested_a_thousand_deep_has_an_outcome(name: str) -> None:
    sample = SAMPLES[name]
    deep: Any = 0
    for _ in range(900):
        deep = [deep]
    check(request_at(name, 0, sample.body([changed(sample.item(1), sample.note_path, deep)])))


@pytest.mark.parametrize("name", [*REGISTRY, "mail"])
def test_a_body_stretched_to_a_megabyte_takes_less_than_a_second(name: str) -> None:
    random = Random(17)
    seeds = [(0, raw) for raw in MAILS] if name == "mail" else SEEDS[name]
    for _ in range(2):
        door, body = random.choice(seeds)
        body = stretched(body, random, 900_000)
        start = time.process_time()
        if name == "mail":
            check_mail(body, Inbound(provider="ses", mime=body))
        else:
            REGISTRY[name].parse(request_at(name, door, body))
        assert time.process_time() - start < 1


@pytest.mark.parametrize("name", [name for name in BATCHES if SAMPLES[name].is_json])
def test_a_dead_letter_of_an_item_has_its_bytes_as_received(name: str) -> None:
    good = SAMPLES[name].body([SAMPLES[name].item(1)])[1:-1]
    odd = b'{ "b" : "a\\/b\xff" , "n":1e999,"a":1.0 }'
    parsed = check(request_at(name, 0, b"[" + good + b" , " + odd + b"," + good + b"]"))

    assert [(item.raw, item.after) for item in parsed.rejected] == [(odd, 1)]
    assert len(parsed.events) == 2
