"""Brevo's requests: batches, unsigned."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import NOW_MS, Sample

SAMPLE = Sample(
    settings=ProviderSettings(bearer_tokens=["sesame"]),
    both=ProviderSettings(bearer_tokens=["other", "sesame"]),
    setting="bearer_tokens",
    sign=lambda body, _: (body, {"authorization": "Bearer sesame"}),
    other_sign=lambda body, _: (body, {"authorization": "Bearer other"}),
    item=lambda n: {
        "event": "delivered",
        "email": "ada@example.com",
        "id": 4711,
        "message-id": f"<message-{n}>",
        "ts_epoch": NOW_MS - 60_000,
    },
    body=lambda items: json.dumps(items).encode(),
    name_path="event",
    id_path=None,
    address_path="email",
    note_path="note",
    signs_anything=False,
    signs_body=False,
)
