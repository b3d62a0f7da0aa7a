"""`outpulse normalize`: recorded webhook requests through a provider's adapter, for looking and for checks."""

import base64
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters import REGISTRY, Adapter, mailbox
from outpulse.settings import ProviderSettings, provider_settings
from schemas.decode import load_json
from schemas.events import Event, Kind, RawRequest, Reply
from schemas.failures import BadEvent, OutpulseError, RequestRefused
from schemas.instants import from_epoch_ms, parse_ms

_REFUSED_STATUS: Final = 3
_ENCODE: Final = msgspec.json.Encoder().encode


def run_normalize(provider: str, files: Sequence[Path], secrets: Path | None) -> int:
    """Prints NDJSON in input order; 3 when a request was refused."""
    known: Mapping[str, Adapter] = {**REGISTRY, mailbox.name: mailbox}
    adapter = known.get(provider)
    if adapter is None:
        raise OutpulseError(f"unknown provider {provider!r}; valid are {', '.join(sorted(known))}")
    settings = _settings(secrets) if secrets else None
    status = 0
    for path in files:
        for line in _lines(adapter, provider, path, settings):
            status = _REFUSED_STATUS if "refused" in line else status
            sys.stdout.buffer.write(_ENCODE(line) + b"\n")
    sys.stdout.buffer.flush()
    return status


def _settings(path: Path) -> ProviderSettings:
    try:
        tree = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise OutpulseError(f"{path} is not a JSON object of provider settings: {error}") from None
    return provider_settings(tree)


def _lines(adapter: Adapter, provider: str, path: Path, settings: ProviderSettings | None) -> list[dict[str, Any]]:
    request = recorded_request(provider, path)
    if settings is not None:
        try:
            adapter.verify(request, settings, parse_ms(request.received_at))
        except RequestRefused as error:
            return [{"request": path.name, "refused": str(error)}]
    parsed = adapter.parse(request)
    replies = {(reply.event_id, reply.recipient): reply for reply in parsed.replies}
    lines = [_event_line(event, replies, path.name) for event in parsed.events]
    for place, item in enumerate(parsed.rejected):  # in input order: each behind the events before it
        dead = {"request": path.name, "dead_letter": item.reason, "detail": item.detail}
        lines.insert(item.after + place, dead)
    return lines


def _event_line(event: Event, replies: Mapping[tuple[str, str | None], Reply], name: str) -> dict[str, Any]:
    line = {field: getattr(event, field) for field in Event.__struct_fields__}
    if event.kind is Kind.REPLIED:
        reply = replies.get((event.event_id, event.recipient)) or replies.get((event.event_id, None))
        line |= {field: getattr(reply, field, None) for field in ("subject", "text", "headers")}
    return {**line, "request": name}


def recorded_request(provider: str, path: Path) -> RawRequest:
    """A recorded request: `{method, url, received_at, headers, body, body_encoding?}`, or a bare body.

    A bare body counts as received when the file was last changed.

    Raises:
        OutpulseError: the file cannot be read, or it is a record with something wrong in it.
    """
    try:
        content = path.read_bytes()
        changed_ms = path.stat().st_mtime_ns // 1_000_000
    except OSError as error:
        raise OutpulseError(f"{path} cannot be read: {error.strerror}") from None
    record: Any = None
    with suppress(BadEvent):
        record = load_json(content)
    if not isinstance(record, dict) or "body" not in record or not {"headers", "method"} & set(record):
        return RawRequest(
            provider=provider,
            method="POST",
            url=f"/webhooks/{provider}",
            received_at=from_epoch_ms(min(changed_ms, time.time_ns() // 1_000_000)),
            headers={},
            body=content,
        )
    try:
        received = from_epoch_ms(parse_ms(str(record.get("received_at") or from_epoch_ms(changed_ms))))
    except (ValueError, OverflowError) as error:
        raise OutpulseError(f"{path}: received_at: {error}") from None
    url = str(record.get("url") or f"/webhooks/{provider}")
    return RawRequest(
        provider=provider,
        method=str(record.get("method") or "POST"),
        url=url,
        received_at=received,
        headers=_headers(record, path),
        body=_body(record, path),
        inbound="/inbound/" in url,
    )


def _headers(record: dict[str, Any], path: Path) -> dict[str, str]:
    headers = record.get("headers") or {}
    if not isinstance(headers, dict):
        raise OutpulseError(f"{path}: headers is a JSON {type(headers).__name__}, valid is an object of name and value")
    return {name.lower(): value if isinstance(value, str) else str(value) for name, value in headers.items()}


def _body(record: dict[str, Any], path: Path) -> bytes:
    body, encoding = record["body"], record.get("body_encoding")
    if encoding not in {None, "", "base64"}:
        raise OutpulseError(f"{path}: body_encoding is {encoding!r}, valid is base64, or none for text")
    if body is None:
        return b""
    if not isinstance(body, str):
        return _ENCODE(body)
    if not encoding:
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise OutpulseError(f"{path}: body is not base64: {error}") from None
