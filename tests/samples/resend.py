"""Resend's requests: one object each, signed as Standard Webhooks."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import Sample
from tests.signing import sign_standard

_SECRET = "whsec_c2VzYW1lIGFuZCBsaWxpZXM="
_OTHER = "whsec_b3RoZXIgc2VjcmV0IGhlcmU="

SAMPLE = Sample(
    settings=ProviderSettings(signing_secrets=[_SECRET]),
    both=ProviderSettings(signing_secrets=[_OTHER, _SECRET]),
    setting="signing_secrets",
    sign=lambda body, at_s: (body, sign_standard(_SECRET, body, at_s, "msg_1")),
    other_sign=lambda body, at_s: (body, sign_standard(_OTHER, body, at_s, "msg_1")),
    item=lambda n: {
        "type": "email.delivered",
        "created_at": "2026-01-05T09:59:00.000Z",
        "data": {"email_id": f"message-{n}", "to": "ada@example.com"},
    },
    body=lambda items: json.dumps(items[0] if items else None).encode(),
    name_path="type",
    id_path=None,
    address_path="data.to",
    note_path="data.subject",
    batches=False,
    signed_at="svix-timestamp",
    stale_s=301,
    ahead_s=301,
    id_header="svix-id",
)
