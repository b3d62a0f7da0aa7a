"""Mails that `outpulse mailbox` has fetched by IMAP; they come by no request, so the gateway does not know this provider."""

import hashlib
from collections.abc import Mapping
from typing import Final

from adapters.contract import Parsed, ProofSettings, Rejected
from adapters.inbound import Inbound, read_inbound
from adapters.reading import receipt_of
from schemas.events import Kind, RawRequest
from schemas.failures import BadEvent, RequestRefused
from schemas.instants import parse_ms

PROVIDER: Final = "mailbox"
CAME_AT: Final = "x-mailbox-internaldate"
"""Header of the stored record: when the mail came into the folder (IMAP's INTERNALDATE), canonical text."""
SIZE: Final = "x-mailbox-size"
"""Header of a record that holds only the beginning of a mail: the bytes of the whole."""
FAULT: Final = "x-mailbox-fault"
"""Header of a record without a mail: why it could not be fetched."""

name: Final = PROVIDER
VOCABULARY: Final[Mapping[str, Kind]] = {"mail": Kind.REPLIED}


def verify(request: RawRequest, settings: ProofSettings, now_ms: int) -> None:
    """Refuses: the proof of a mail is the login to its mailbox.

    Raises:
        RequestRefused: always.
    """
    del request, settings, now_ms
    raise RequestRefused("mails of a mailbox carry no proof and are not taken by HTTP", status=403)


def parse(request: RawRequest) -> Parsed:
    """The events and the reply of one mail; never raises."""
    fault = request.headers.get(FAULT)
    if fault is not None:
        return Parsed(rejected=[Rejected("mail not fetched", f"{request.url}: {fault}", request.body)])
    if not request.body.strip():
        return Parsed(rejected=[Rejected("mail empty", f"{request.url}: a mail has headers", request.body)])
    try:
        return read_inbound(_inbound(request), receipt_of(request))
    except BadEvent as bad:
        return Parsed(rejected=[Rejected(bad.reason, str(bad), request.body)])
    except Exception as error:  # noqa: BLE001 - whatever is odd about a mail must not stop the flow
        return Parsed(rejected=[Rejected("not usable", str(error)[:200], request.body)])


def _inbound(request: RawRequest) -> Inbound:
    size = request.headers.get(SIZE)
    cut = {"truncated": f"{size} bytes, the first {len(request.body)} read"} if size else {}
    return Inbound(
        provider=PROVIDER,
        mime=request.body,
        came_ms=_ms_of(request.headers.get(CAME_AT)),
        attributes=cut,
        fallback_id=hashlib.sha256(request.body).hexdigest()[:32],
    )


def _ms_of(text: str | None) -> int | None:
    try:
        return parse_ms(text) if text else None
    except (ValueError, OverflowError):
        return None
