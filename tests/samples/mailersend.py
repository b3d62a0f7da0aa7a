"""MailerSend's requests: one object each, signed."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import Sample
from tests.signing import sign_mailersend

SAMPLE = Sample(
    settings=ProviderSettings(signing_secrets=["sesame"]),
    both=ProviderSettings(signing_secrets=["other", "sesame"]),
    setting="signing_secrets",
    sign=lambda body, _: (body, sign_mailersend("sesame", body)),
    other_sign=lambda body, _: (body, sign_mailersend("other", body)),
    item=lambda n: {
        "type": "activity.delivered",
        "created_at": "2026-01-05T09:59:30.000000Z",
        "data": {
            "id": f"event-{n}",
            "created_at": "2026-01-05 09:59:00",
            "email": {"message": {"id": f"message-{n}"}, "recipient": {"email": "ada@example.com"}},
        },
    },
    body=lambda items: json.dumps(items[0] if items else None).encode(),
    name_path="type",
    id_path="data.id",
    address_path="data.email.recipient.email",
    note_path="data.note",
    batches=False,
)
