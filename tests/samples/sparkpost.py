"""SparkPost's requests: batches of wrapped events, unsigned."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import NOW_S, Sample
from tests.signing import basic_auth

SAMPLE = Sample(
    settings=ProviderSettings(basic_auth=["sparkpost:sesame"]),
    both=ProviderSettings(basic_auth=["sparkpost:other", "sparkpost:sesame"]),
    setting="basic_auth",
    sign=lambda body, _: (body, {"authorization": basic_auth("sparkpost:sesame")}),
    other_sign=lambda body, _: (body, {"authorization": basic_auth("sparkpost:other")}),
    item=lambda n: {
        "msys": {
            "message_event": {
                "type": "delivery",
                "timestamp": str(NOW_S - 60),
                "event_id": f"event-{n}",
                "transmission_id": f"message-{n}",
                "raw_rcpt_to": "ada@example.com",
            }
        }
    },
    body=lambda items: json.dumps(items).encode(),
    name_path="msys.message_event.type",
    id_path="msys.message_event.event_id",
    address_path="msys.message_event.raw_rcpt_to",
    note_path="msys.message_event.note",
    signs_anything=False,
    signs_body=False,
)
