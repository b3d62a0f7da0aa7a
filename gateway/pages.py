"""What the gateway says about itself: the OpenAPI description of the hot routes, and a page that shows all of it.

FastAPI describes its own routes; the hot ones bypass it and are described here. Its page would load scripts from the
internet; this one holds all it needs.
"""

from collections.abc import Iterable
from typing import Any, Final

from gateway.control import OPTIONAL, REQUIRED

_ERROR: Final = {
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}},
    },
}
_EVENT: Final = {
    "type": "object",
    "required": ["event_id", "kind", "occurred_at"],
    "description": "An Event; one of kind `replied` may hold `subject`, `text` and `headers`.",
}
_ANSWER: Final = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"index": {"type": "integer"}, "reason": {"type": "string"}},
            },
        },
    },
}


def _answers(**told: str) -> dict[str, Any]:
    """Answers by status, given as `_204="..."`."""
    return {
        status[1:]: {"description": text} | (_ERROR if status >= "_4" else {}) for status, text in sorted(told.items())
    }


_DECISION: Final = {
    "type": "object",
    "properties": {
        "allowed": {"type": "boolean"},
        "reason": {
            "type": ["string", "null"],
            "description": "begins with `suppressed:`, `paused:`, `slowed:` or `unknown:`",
        },
        "pause_id": {"type": ["string", "null"]},
        "share": {"type": "number", "description": "0 nothing is sent, 1 everything"},
    },
}


def _control_paths() -> dict[str, Any]:
    """The routes that say what may be sent."""
    refused = {"_401": "missing or wrong bearer token", "_403": "no [gateway] token is set"}
    refused |= {"_405": "only GET is served", "_503": "the control log cannot be read; see Retry-After"}
    asked = [
        {"name": name, "in": "query", "required": name in REQUIRED, "schema": {"type": "string"}}
        for name in (*REQUIRED, *OPTIONAL)
    ]
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}}
    whole = {"name": "suppressions", "in": "query", "schema": {"type": "boolean"}}
    return {
        "/control": _get(
            "What holds now: pauses, shares and how many are suppressed; with suppressions=true, who",
            [whole],
            _answers(_200="pauses with their evidence", **refused),
        ),
        "/control/allowed": _get(
            "Whether a message may be sent now",
            asked,
            _answers(**refused, _422="a parameter is missing or unknown")
            | {"200": {"description": "the answer", "content": {"application/json": {"schema": _DECISION}}}}
            | {
                "503": {
                    "description": "the control log cannot be read: allowed is false",
                    "content": {"application/json": {"schema": _DECISION}},
                },
            },
        ),
        "/control/stream": _get(
            "Server-sent events: what holds now, then every new command; ids are offsets",
            [last],
            _answers(**refused)
            | {"200": {"description": "the events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
        ),
    }


def _get(summary: str, parameters: list[dict[str, Any]], responses: dict[str, Any]) -> dict[str, Any]:
    told = {"summary": summary, "security": [{"token": []}], "parameters": parameters, "responses": responses}
    return {"get": told}


_CORRECTION: Final = {
    "type": "object",
    "required": ["event_id", "field", "new_value"],
    "properties": {name: {"type": "string"} for name in ("event_id", "field", "new_value", "given_by", "given_at")},
    "description": "What a person says of one label of one reply, such as field `intent`.",
}


def _feedback_path() -> dict[str, Any]:
    """The route for corrections of readings."""
    schema = {"oneOf": [_CORRECTION, {"type": "array", "items": _CORRECTION}]}
    refused = {"_401": "missing or wrong bearer token", "_403": "no [gateway] token is set", "_413": "over 4 MiB"}
    refused |= {"_422": "no item is usable", "_503": "the log cannot be written; see Retry-After"}
    taken = {"description": "on disk; items not taken by place and reason"}
    return {
        "summary": "Corrections of how replies were read: one object, an array, or NDJSON",
        "security": [{"token": []}],
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": _answers(**refused) | {"202": taken | {"content": {"application/json": {"schema": _ANSWER}}}},
    }


def hot_paths(providers: Iterable[str]) -> dict[str, Any]:
    """OpenAPI's `paths` of the routes that FastAPI does not serve."""
    names = sorted(providers)
    provider = {"name": "provider", "in": "path", "required": True, "schema": {"type": "string", "enum": names}}
    return _control_paths() | {
        "/webhooks/{provider}": {
            "post": {
                "summary": "A provider's webhook: proven, stored as received, answered when it is on disk",
                "parameters": [provider],
                "requestBody": {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
                "responses": _answers(
                    _204="stored, also when the body cannot be parsed",
                    _401="bad, missing or stale proof",
                    _403="no secret is set, or the topic is not allowed",
                    _404="unknown provider; the text lists the valid ones",
                    _405="only POST and HEAD are served",
                    _413="over [gateway] max_webhook_bytes",
                    _429="as 503, for Brevo",
                    _503="the log cannot be written; see Retry-After",
                ),
            },
            "head": {
                "summary": "Whether the provider's URL exists",
                "parameters": [provider],
                "responses": _answers(_200="it does", _404="unknown provider"),
            },
        },
        "/feedback": {"post": _feedback_path()},
        "/events": {
            "post": {
                "summary": "Canonical events and replies: one object, an array, or NDJSON",
                "security": [{"token": []}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}},
                        "application/x-ndjson": {"schema": {"type": "string"}},
                    },
                },
                "responses": _answers(
                    _401="missing or wrong bearer token",
                    _403="no [gateway] token is set",
                    _413="over [gateway] max_events_bytes",
                    _422="no item is usable",
                    _503="the log cannot be written; see Retry-After",
                )
                | {
                    "202": {
                        "description": "on disk; items not taken by place (blank lines do not count) and reason",
                        "content": {"application/json": {"schema": _ANSWER}},
                    },
                },
            },
        },
    }


SECURITY_SCHEMES: Final = {"token": {"type": "http", "scheme": "bearer", "description": "[gateway] token"}}

DOCS_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Outpulse gateway</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
         color: #1c2430; background: #fff; }
  h2 { font-size: 1.05rem; margin: 2rem 0 .25rem; }
  h2 b { display: inline-block; min-width: 4rem; color: #14532d; }
  code { font-family: ui-monospace, monospace; }
  table { border-collapse: collapse; margin-top: .5rem; }
  td { padding: .15rem .9rem .15rem 0; vertical-align: top; }
  td:first-child { font-variant-numeric: tabular-nums; font-weight: 600; }
  @media (prefers-color-scheme: dark) { body { color: #e5e9f0; background: #12161c; } h2 b { color: #86efac; }
         a { color: #93c5fd; } }
</style>
<h1>Outpulse gateway</h1>
<p>Described in full by <a href="openapi.json">openapi.json</a>.</p>
<main>Loading…</main>
<script>
  const element = (name, text, ...children) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  };
  fetch("openapi.json").then(answer => answer.json()).then(api => {
    const parts = [];
    for (const [path, verbs] of Object.entries(api.paths).sort()) {
      for (const [verb, route] of Object.entries(verbs)) {
        parts.push(element("h2", "", element("b", verb.toUpperCase()), element("code", path)));
        parts.push(element("div", route.summary || ""));
        const rows = Object.entries(route.responses || {}).map(([status, answer]) =>
          element("tr", "", element("td", status), element("td", answer.description)));
        parts.push(element("table", "", ...rows));
      }
    }
    document.querySelector("main").replaceChildren(...parts);
  }).catch(problem => { document.querySelector("main").textContent = "openapi.json cannot be read: " + problem; });
</script>
</html>
"""
