"""How each provider's requests look, one module a provider with a `SAMPLE`: what the laws of all adapters run over."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec

from adapters import REGISTRY
from outpulse.settings import ProviderSettings

NOW_MS = 1_767_607_200_000
NOW_S = NOW_MS // 1000
"""2026-01-05T10:00:00Z."""
Headers = dict[str, str]
Item = dict[str, Any]


def changed(item: Item, path: str, value: object) -> Item:
    """The item with another value at a path such as `data.email.recipient` or `data.to.0`."""
    key, _, rest = path.partition(".")
    if rest.isdigit():
        return item | {key: [value if n == int(rest) else one for n, one in enumerate(item[key])]}
    return item | {key: changed(item.get(key, {}), rest, value) if rest else value}


def without(item: Item, path: str) -> Item:
    """The item without what stands at a path."""
    key, _, rest = path.partition(".")
    if rest:
        return item | {key: without(item[key], rest)}
    return {name: value for name, value in item.items() if name != key}


class Sample(msgspec.Struct, frozen=True):
    """How one provider's requests look.

    `item(n)` is one good event of `message-n` to ada@example.com a minute before `NOW_S`, with the id `event-n` where the
    provider has ids. `body(items)` is a whole body: of one item where `batches` is False. `sign(body, at_s)` gives body
    and headers with a proof, `other_sign` the same by a second secret; `settings` holds the first secret, `both` the
    second and then the first. Where nothing is signed (`signs_anything` False) the proof is basic auth. Paths name fields of an
    item: of the event's name, its id (None: the provider has none), the address, and a free text that becomes an
    attribute. `stale_s` and `ahead_s` are an age and a lead in seconds that are refused; None where no time is signed.
    `signed_at` is the header of the signed time. `takes_any_bytes` is False where the proof lies inside the body;
    `id_header` is the header in which the event's id comes, if it does not lie in the body; `refused_with` the status
    that a proof by another secret gets.
    """

    settings: ProviderSettings
    both: ProviderSettings
    setting: str
    sign: Callable[[bytes, int], tuple[bytes, Headers]]
    other_sign: Callable[[bytes, int], tuple[bytes, Headers]]
    item: Callable[[int], Item]
    body: Callable[[list[Any]], bytes]
    name_path: str
    id_path: str | None
    address_path: str
    note_path: str
    batches: bool = True
    signs_anything: bool = True
    signs_body: bool = True
    takes_any_bytes: bool = True
    signed_at: str | None = None
    stale_s: int | None = None
    ahead_s: int | None = None
    is_json: bool = True
    id_header: str | None = None
    refused_with: int = 401


def samples() -> dict[str, Sample]:
    """The sample of every provider in the registry."""
    return {name: import_module(f"tests.samples.{name}").SAMPLE for name in REGISTRY}
