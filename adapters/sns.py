"""Amazon SNS: how an envelope is proved, by the SNS developer guide, "Verifying the signatures of Amazon SNS messages".

A good signature says that SNS has sent a message, not that it is about our account: so topics are allowed by their ARN,
and certificates come from Amazon's hosts only. The check is pure; a certificate that is neither among the settings nor
known already is asked for by `CertificateNeeded`, and the gateway fetches it.
"""

import re
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from adapters.contract import ProofSettings
from adapters.proofs import decoded_base64
from adapters.reading import body_of, object_of
from schemas.events import RawRequest
from schemas.failures import BadEvent, RequestRefused

_HOST: Final = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?")
_MOST_CERTIFICATES: Final = 64
_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
_HASHES: Final = {"1": SHA1, "2": SHA256}


class CertificateNeeded(RequestRefused):
    """The certificate at `url` has to be fetched before the request can be judged."""

    def __init__(self, url: str) -> None:
        super().__init__("the signing certificate is not known", status=503)
        self.url = url


class _Certificates:
    """Certificates by URL that the gateway has fetched; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._by_url: dict[str, str] = {}
        self._lock = Lock()

    def put(self, url: str, pem: str) -> None:
        with self._lock:
            while len(self._by_url) >= _MOST_CERTIFICATES:
                self._by_url.pop(next(iter(self._by_url)))
            self._by_url[url] = pem

    def get(self, url: str) -> str | None:
        return self._by_url.get(url)


FETCHED: Final = _Certificates()


def is_amazons(url: object, suffix: str = "") -> bool:
    """Whether a URL is https, on one of SNS's own hosts, without credentials or port, its path ending so."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        plain = parts.netloc == parts.hostname
    except ValueError:
        return False
    return (
        plain
        and parts.scheme == "https"
        and _HOST.fullmatch(parts.hostname or "") is not None
        and parts.path.endswith(suffix)
    )


def check_envelope(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Checks topic, certificate and signature.

    Raises:
        RequestRefused: 401 for a bad proof, 403 for a topic that is not allowed.
        CertificateNeeded: the certificate is not at hand.
    """
    try:
        envelope = object_of(body_of(request))
    except BadEvent:
        raise RequestRefused("the body is no SNS message") from None
    topic = envelope.get("TopicArn")
    if topic not in settings.topic_arns:
        raise RequestRefused("the topic is not among [providers.ses] topic_arns", status=403)
    keys, version = _SIGNED.get(str(envelope.get("Type"))), _HASHES.get(str(envelope.get("SignatureVersion")))
    signature = decoded_base64(str(envelope.get("Signature") or ""))
    if keys is None or version is None or not signature:
        raise RequestRefused("the message's type, signature or signature version is none of SNS's")
    signed = "".join(f"{key}\n{envelope[key]}\n" for key in keys if isinstance(envelope.get(key), str))
    public = _public_key(envelope.get("SigningCertURL"), settings, now_ms)
    try:
        public.verify(signature, signed.encode("utf-8", "surrogatepass"), padding.PKCS1v15(), version())
    except (InvalidSignature, ValueError):
        raise RequestRefused("the signature does not fit the message") from None


def _public_key(url: Any, settings: ProofSettings, now_ms: int) -> rsa.RSAPublicKey:  # noqa: ANN401 - JSON is anything
    if not is_amazons(url, ".pem"):
        raise RequestRefused("SigningCertURL is not one of Amazon SNS's")
    pem = settings.signing_certs.get(url) or FETCHED.get(url)
    if pem is None:
        raise CertificateNeeded(url)
    return key_of(pem, now_ms)


def key_of(pem: str, now_ms: int) -> rsa.RSAPublicKey:
    """The RSA key of a certificate that is valid now.

    Raises:
        RequestRefused: 401, when it cannot be read, has expired, or holds another kind of key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
    except ValueError:
        raise RequestRefused("the signing certificate cannot be read") from None
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise RequestRefused("the signing certificate is not valid now")
    if not isinstance(key, rsa.RSAPublicKey):
        raise RequestRefused("the signing certificate holds no RSA key")
    return key
