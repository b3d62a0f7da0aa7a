"""Mandrill's requests: batches in a form field, signed with the URL."""

import json
from urllib.parse import parse_qsl, urlencode

from outpulse.settings import ProviderSettings
from tests.samples import NOW_S, Headers, Sample
from tests.signing import sign_mandrill

_URL = "https://hooks.example/webhooks/mandrill?a=1"


def _signed(key: str, body: bytes) -> tuple[bytes, Headers]:
    return body, sign_mandrill(key, _URL, dict(parse_qsl(body.decode())))


SAMPLE = Sample(
    settings=ProviderSettings(webhook_keys=["sesame"], url=_URL),
    both=ProviderSettings(webhook_keys=["other", "sesame"], url=_URL),
    setting="webhook_keys",
    sign=lambda body, _: _signed("sesame", body),
    other_sign=lambda body, _: _signed("other", body),
    item=lambda n: {
        "event": "delivered",
        "ts": NOW_S - 60,
        "_id": f"message-{n}",
        "msg": {"email": "ada@example.com", "metadata": []},
    },
    body=lambda items: urlencode({"mandrill_events": json.dumps(items)}).encode(),
    name_path="event",
    id_path=None,
    address_path="msg.email",
    note_path="msg.subject",
    takes_any_bytes=False,
    is_json=False,
)
