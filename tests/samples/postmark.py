"""Postmark's requests: one object each, unsigned."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import Sample
from tests.signing import basic_auth

SAMPLE = Sample(
    settings=ProviderSettings(basic_auth=["postmark:sesame"]),
    both=ProviderSettings(basic_auth=["postmark:other", "postmark:sesame"]),
    setting="basic_auth",
    sign=lambda body, _: (body, {"authorization": basic_auth("postmark:sesame")}),
    other_sign=lambda body, _: (body, {"authorization": basic_auth("postmark:other")}),
    item=lambda n: {
        "RecordType": "Delivery",
        "MessageID": f"message-{n}",
        "Recipient": "ada@example.com",
        "DeliveredAt": "2026-01-05T09:59:00.0000000Z",
        "Details": "250 ok",
    },
    body=lambda items: json.dumps(items[0] if items else None).encode(),
    name_path="RecordType",
    id_path=None,
    address_path="Recipient",
    note_path="Tag",
    batches=False,
    signs_anything=False,
    signs_body=False,
)
