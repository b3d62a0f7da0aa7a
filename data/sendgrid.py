"""How SendGrid tells an email event: the JSON of its event webhook, and its signature.

Source: SendGrid's event webhook reference and its signature verification page.
"""

import base64
import zlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from data.facts import mail_id
from schemas.events import Event, Kind
from schemas.instants import parse_ms

NAMES: Final = {
    Kind.QUEUED: "processed",
    Kind.DEFERRED: "deferred",
    Kind.DELIVERED: "delivered",
    Kind.BOUNCED: "bounce",
    Kind.REJECTED: "dropped",
    Kind.OPENED: "open",
    Kind.CLICKED: "click",
    Kind.COMPLAINED: "spamreport",
    Kind.UNSUBSCRIBED: "unsubscribe",
}
"""SendGrid's names. It has none for `sent`: it tells when it took a message and when the receiver did."""

CUSTOM_ARGS: Final = (
    "campaign_id",
    "contact_id",
    "delivery_id",
    "sequence_step",
    "variant",
    "sender",
    "persona",
    "account_tier",
)
"""Given at sending, repeated by SendGrid as top-level keys of each event of the message."""

SIGNATURE_HEADER: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER: Final = "X-Twilio-Email-Event-Webhook-Timestamp"


def webhook_item(event: Event) -> dict[str, Any]:
    """One item of a post: the event in SendGrid's fields, `timestamp` in whole seconds."""
    item: dict[str, Any] = {
        "email": event.recipient,
        "timestamp": parse_ms(event.occurred_at) // 1000,
        "event": NAMES[event.kind],
        "sg_event_id": event.event_id,
        "category": ["outbound"],
    }
    if event.message_id is not None:
        item["smtp-id"] = mail_id(event.message_id)
        item["sg_message_id"] = event.message_id + _filter_suffix(event.message_id)
    item |= {name: getattr(event, name) for name in CUSTOM_ARGS if getattr(event, name) is not None}
    item |= event.attributes or {}
    if "sg_machine_open" in item:
        item["sg_machine_open"] = item["sg_machine_open"] == "true"
    if event.kind in {Kind.DELIVERED, Kind.BOUNCED}:
        item["tls"] = 1
    if event.url is not None:
        item |= {"url": event.url, "url_offset": {"index": 0, "type": "html"}}
    if event.reason is not None:
        item["response" if event.kind is Kind.DEFERRED else "reason"] = event.reason
    return item


def _filter_suffix(message_id: str) -> str:
    """What SendGrid's servers add to the id of the send call: the server, a counter and the recipient's number."""
    mark = zlib.crc32(message_id.encode())
    return f".filterdrecv-{mark % 0xFFFFF:05x}-{mark >> 12:05x}-1-{mark:08X}-{mark % 97:X}.0"


def new_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A fresh P-256 key, and its public half as SendGrid shows it: base64 of DER SubjectPublicKeyInfo on one line."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    der = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private_key, base64.b64encode(der).decode()


def signed_headers(private_key: ec.EllipticCurvePrivateKey, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The proof of a post: base64 of the DER signature over the timestamp's text and the raw body."""
    stamp = str(timestamp_s)
    signature = private_key.sign(stamp.encode() + body, ec.ECDSA(SHA256()))
    return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: stamp}
