"""Mailjet's requests: arrays, unsigned."""

import json

from outpulse.settings import ProviderSettings
from tests.samples import NOW_S, Sample
from tests.signing import basic_auth

SAMPLE = Sample(
    settings=ProviderSettings(basic_auth=["mailjet:sesame"]),
    both=ProviderSettings(basic_auth=["mailjet:other", "mailjet:sesame"]),
    setting="basic_auth",
    sign=lambda body, _: (body, {"authorization": basic_auth("mailjet:sesame")}),
    other_sign=lambda body, _: (body, {"authorization": basic_auth("mailjet:other")}),
    item=lambda n: {"event": "sent", "time": NOW_S - 60, "MessageID": f"message-{n}", "email": "ada@example.com"},
    body=lambda items: json.dumps(items).encode(),
    name_path="event",
    id_path=None,
    address_path="email",
    note_path="note",
    signs_anything=False,
    signs_body=False,
)
