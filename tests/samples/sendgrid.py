"""SendGrid's requests: arrays signed with ECDSA."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import NOW_S, Sample
from tests.signing import sendgrid_keypair, sign_sendgrid

_KEY, _PUBLIC = sendgrid_keypair()
_OTHER_KEY, _OTHER_PUBLIC = sendgrid_keypair()

SAMPLE = Sample(
    settings=ProviderSettings(public_keys=[_PUBLIC]),
    both=ProviderSettings(public_keys=[_OTHER_PUBLIC, _PUBLIC]),
    setting="public_keys",
    sign=lambda body, at_s: (body, sign_sendgrid(_KEY, body, at_s)),
    other_sign=lambda body, at_s: (body, sign_sendgrid(_OTHER_KEY, body, at_s)),
    item=lambda n: {
        "email": "ada@example.com",
        "timestamp": NOW_S - 60,
        "event": "delivered",
        "sg_event_id": f"event-{n}",
        "sg_message_id": f"message-{n}.filter",
    },
    body=lambda items: json.dumps(items).encode(),
    name_path="event",
    id_path="sg_event_id",
    address_path="email",
    note_path="note",
    signed_at="x-twilio-email-event-webhook-timestamp",
    stale_s=26 * 3600 + 1,
    ahead_s=301,
)
