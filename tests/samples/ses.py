"""Amazon SES's requests: one event each, as JSON text inside SNS's signed envelope."""

import json
from typing import Any

from outpulse.settings import ProviderSettings
from tests.samples import Headers, Sample
from tests.signing import sign_sns, sns_certificate

TOPIC = "arn:aws:sns:eu-west-1:111122223333:outpulse"
CERT_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
OTHER_TOPIC = "arn:aws:sns:eu-west-1:111122223333:other"
KEY, CERTIFICATE = sns_certificate()


def envelope(message: Any, message_id: str = "event-1", **fields: Any) -> dict[str, Any]:
    """An unsigned notification."""
    return {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Event Notification",
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": "2026-01-05T10:00:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERT_URL,
        **fields,
    }


def _body(items: list[Any]) -> bytes:
    """A notification of one item, whose `_id` becomes the envelope's MessageId."""
    item = items[0] if items else None
    if not isinstance(item, dict):
        return json.dumps(envelope(json.dumps(item))).encode()
    rest = {key: value for key, value in item.items() if key != "_id"}
    wrapped = envelope(rest, item.get("_id", ""))
    return json.dumps({key: value for key, value in wrapped.items() if key != "MessageId" or value != ""}).encode()


def _signed(topic: str, body: bytes) -> tuple[bytes, Headers]:
    signed = sign_sns(KEY, {"MessageId": "m", **json.loads(body), "TopicArn": topic})
    return json.dumps(signed).encode(), {}


def _item(n: int) -> dict[str, Any]:
    """An event; `_id` is the envelope's MessageId."""
    return {
        "_id": f"event-{n}",
        "eventType": "Delivery",
        "mail": {
            "messageId": f"message-{n}",
            "timestamp": "2026-01-05T09:58:00.000Z",
            "destination": ["ada@example.com"],
        },
        "delivery": {"timestamp": "2026-01-05T09:59:00.000Z"},
    }


SAMPLE = Sample(
    settings=ProviderSettings(topic_arns=[TOPIC], signing_certs={CERT_URL: CERTIFICATE}),
    both=ProviderSettings(topic_arns=[OTHER_TOPIC, TOPIC], signing_certs={CERT_URL: CERTIFICATE}),
    setting="topic_arns",
    sign=lambda body, _: _signed(TOPIC, body),
    other_sign=lambda body, _: _signed(OTHER_TOPIC, body),
    item=_item,
    body=_body,
    name_path="eventType",
    id_path="_id",
    address_path="mail.destination.0",
    note_path="delivery.reportingMTA",
    batches=False,
    signs_body=False,
    takes_any_bytes=False,
    refused_with=403,
)
