"""The bearer token of our own doors: /events, and whatever else is not a provider's."""

from collections.abc import Mapping

from adapters.proofs import same
from gateway.asgi import Answer, problem


def refusal(headers: Mapping[str, str], token: str) -> Answer | None:
    """Why a request may not come in: 403 where no token is set, 401 for a missing or wrong one; else None."""
    if not token:
        return problem(403, "no token is set: set [gateway] token (or OUTPULSE_GATEWAY__TOKEN)")
    scheme, _, given = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and same(given.strip().encode("latin-1", "replace"), token):
        return None
    return problem(401, "the bearer token is missing or wrong; see [gateway] token", www_authenticate="Bearer")
