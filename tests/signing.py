"""Signs webhook requests as the providers do, for tests, demos of tests and load generators."""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID


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


def basic_auth(pair: str) -> str:
    """The Authorization header of `user:password`."""
    return "Basic " + base64.b64encode(pair.encode()).decode()


def sign_mailgun(key: str, timestamp: int | str, token: str) -> dict[str, str]:
    """The `signature` object of a webhook."""
    text = str(timestamp)
    signature = hmac.new(key.encode(), (text + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": text, "token": token, "signature": signature}


def sign_standard(secret: str, body: bytes, timestamp: int, message_id: str, family: str = "svix") -> dict[str, str]:
    """The three headers of a Standard Webhook; `secret` as shown, with `whsec_`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {f"{family}-id": message_id, f"{family}-timestamp": str(timestamp), f"{family}-signature": f"v1,{signature}"}


def sign_mandrill(key: str, url: str, fields: dict[str, str]) -> dict[str, str]:
    """The header of a form post."""
    signed = url + "".join(name + value for name, value in sorted(fields.items()))
    signature = hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()
    return {"x-mandrill-signature": base64.b64encode(signature).decode()}


def sign_mailersend(secret: str, body: bytes) -> dict[str, str]:
    """The header of a webhook."""
    return {"signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def sns_certificate(days: tuple[int, int] = (-400, 40_000)) -> tuple[rsa.RSAPrivateKey, str]:
    """An RSA key and a certificate of it, valid between two days from now, as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.example")])
    now = datetime(2026, 1, 5, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .sign(key, SHA256())
    )
    return key, certificate.public_bytes(Encoding.PEM).decode()


def sign_sns(key: rsa.RSAPrivateKey, envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope with its Signature, by its SignatureVersion."""
    notification = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    confirmation = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    keys = notification if envelope["Type"] == "Notification" else confirmation
    text = "".join(f"{name}\n{envelope[name]}\n" for name in keys if envelope.get(name) is not None)
    algorithm = SHA1() if envelope["SignatureVersion"] == "1" else SHA256()
    signature = key.sign(text.encode("utf-8", "surrogatepass"), padding.PKCS1v15(), algorithm)
    return envelope | {"Signature": base64.b64encode(signature).decode()}
