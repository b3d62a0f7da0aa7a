"""Signs webhook requests as the providers do, for tests, demos of tests and load generators."""

import base64
import time

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def sendgrid_keypair() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A P-256 key and its public half as SendGrid shows it: base64 DER on one line."""
    private_key = ec.generate_private_key(ec.SECP256R1())
    public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private_key, base64.b64encode(public).decode()


def sign_sendgrid(
    private_key: ec.EllipticCurvePrivateKey, body: bytes, timestamp: int | str | None = None
) -> dict[str, str]:
    """The two headers of a signed post, names in lower case; `timestamp` in unix seconds, now if left out."""
    text = str(int(time.time()) if timestamp is None else timestamp)
    signature = private_key.sign(text.encode() + body, ec.ECDSA(SHA256()))
    return {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": text,
    }
