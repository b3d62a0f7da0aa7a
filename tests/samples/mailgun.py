"""Mailgun's requests: one event each, with a signature inside the body."""

import json
from typing import Any

from outpulse.settings import ProviderSettings
from tests.samples import NOW_S, Headers, Sample
from tests.signing import sign_mailgun


def _signed(key: str, body: bytes, at_s: int) -> tuple[bytes, Headers]:
    return json.dumps({"signature": sign_mailgun(key, at_s, "token"), **json.loads(body)}).encode(), {}


def _item(n: int) -> dict[str, Any]:
    headers = {"message-id": f"message-{n}", "from": "Our Side <us@brightloom.example>"}
    return {
        "event": "delivered",
        "timestamp": NOW_S - 60.0,
        "id": f"event-{n}",
        "recipient": "ada@example.com",
        "message": {"headers": headers},
    }


SAMPLE = Sample(
    settings=ProviderSettings(signing_keys=["sesame"]),
    both=ProviderSettings(signing_keys=["other", "sesame"]),
    setting="signing_keys",
    sign=lambda body, at_s: _signed("sesame", body, at_s),
    other_sign=lambda body, at_s: _signed("other", body, at_s),
    item=_item,
    body=lambda items: json.dumps({"event-data": items[0] if items else None}).encode(),
    name_path="event",
    id_path="id",
    address_path="recipient",
    note_path="note",
    batches=False,
    signs_body=False,
    takes_any_bytes=False,
    stale_s=10 * 3600 + 1,
    ahead_s=301,
)
