"""Checks of who sent a request that all providers share; each refuses by raising, and no text ever holds a secret."""

import base64
import binascii
import hmac
from collections.abc import Sequence

from adapters.contract import ProofSettings
from schemas.events import RawRequest
from schemas.failures import RequestRefused


def same(received: str | bytes, expected: str | bytes) -> bool:
    """Whether two secrets are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(_wire(received), _wire(expected))


def _wire(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def needs_signature(provider: str, setting: str, secrets: Sequence[str], settings: ProofSettings) -> bool:
    """Whether a signature is to be checked: its secrets are set.

    Without them another proof that is set (`basic_auth`, `bearer_tokens`, `headers`) has to do, or `insecure = true`. An
    empty text is no secret: anybody could sign with it.

    Raises:
        RequestRefused: 403, when nothing at all protects the endpoint; names the setting.
    """
    if any(secrets):
        return True
    if settings.basic_auth or settings.bearer_tokens or settings.headers or settings.insecure:
        return False
    raise RequestRefused(
        f"no secret is set for {provider}: set [providers.{provider}] {setting} (or insecure = true, for tests)",
        status=403,
    )


def check_credentials(request: RawRequest, settings: ProofSettings) -> None:
    """Basic auth, bearer token and custom headers, as far as they are set.

    Where both basic auth and bearer tokens are set, one of them is enough: a request has one Authorization header.
    Custom headers must all be there.

    Raises:
        RequestRefused: 401, saying which of them is missing or wrong.
    """
    if settings.basic_auth or settings.bearer_tokens:
        _check_authorization(request.headers.get("authorization", ""), settings)
    for name, value in settings.headers.items():
        if not value or not same(_as_sent(request.headers.get(name.lower(), "")), value):
            raise RequestRefused(f"the header {name} is missing or wrong")


def _check_authorization(header: str, settings: ProofSettings) -> None:
    scheme, _, given = header.strip().partition(" ")
    if scheme.lower() == "basic":
        pair = decoded_base64(given.strip())
        if pair is not None and _one_of(settings.basic_auth, pair):
            return
    elif scheme.lower() == "bearer":
        token = _as_sent(given.strip())
        if _one_of(settings.bearer_tokens, token):
            return
    raise RequestRefused("the Authorization header is missing or wrong")


def _one_of(known: Sequence[str], given: bytes) -> bool:
    """Compares with each, whether or not an earlier one fits, so that the time tells nothing."""
    return sum(same(given, secret) for secret in known if secret) > 0


def _as_sent(value: str) -> bytes:
    """A header's bytes: servers read them as Latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def required_header(request: RawRequest, header: str) -> str:
    """The value of a header by its name in any case.

    Raises:
        RequestRefused: 401, when it is absent or empty.
    """
    value = request.headers.get(header.lower(), "").strip()
    if not value:
        raise RequestRefused(f"the header {header} is missing")
    return value


def decoded_base64(text: str) -> bytes | None:
    """The bytes of strict base64; None for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def signed_ms(text: str, what: str) -> int:
    """Milliseconds since 1970 of a signature's time, given as unix seconds (to 11 digits) or milliseconds.

    Raises:
        RequestRefused: 401, when it is not a plain number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RequestRefused(f"{what} is not a unix time")
    number = int(text)
    return number * 1000 if len(text) < 12 else number


def check_age(at_ms: int, now_ms: int, back_ms: int, ahead_ms: int) -> None:
    """Refuses a proof made too long ago, or too far ahead; both limits still pass. All in milliseconds.

    Raises:
        RequestRefused: 401, with the age and the limit.
    """
    age_ms = now_ms - at_ms
    if age_ms > back_ms:
        raise RequestRefused(f"the signature is stale: {age_ms // 1000} s old, at most {back_ms // 1000} s pass")
    if -age_ms > ahead_ms:
        raise RequestRefused(
            f"the signature is {-age_ms // 1000} s ahead of our clock, at most {ahead_ms // 1000} s pass"
        )
