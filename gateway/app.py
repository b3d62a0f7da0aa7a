"""The gateway as an ASGI application: FastAPI, with the routes that carry the load served before it is reached."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

from adapters import REGISTRY, Adapter
from eventlog import Log
from gateway.amazon import Amazon, Fetch, fetch_https
from gateway.arrivals import Arrivals
from gateway.asgi import Receive, Scope, Send
from gateway.commit import GroupCommit
from gateway.control import Control
from gateway.events import Events
from gateway.feedback import FeedbackDoor
from gateway.health import check
from gateway.metrics import Metrics
from gateway.pages import DOCS_PAGE, SECURITY_SCHEMES, hot_paths
from gateway.webhooks import Clock, Webhooks
from outpulse.settings import Settings

_DOORS: Final = ("/webhooks/", "/inbound/", "/hooks/")
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Gateway(FastAPI):
    """FastAPI for the routes that are asked for now and then; /webhooks, /events, /feedback and /control go past it.

    `commit` is where routes append: 2xx only after its `append` has returned.
    """

    commit: GroupCommit
    provider_door: Webhooks
    events_door: Events
    feedback_door: FeedbackDoor
    control_door: Control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the server's lifespan."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(_DOORS):
                await self.provider_door(scope, receive, send)
                return
            if path == "/events":
                await self.events_door(scope, receive, send)
                return
            if path == "/feedback":
                await self.feedback_door(scope, receive, send)
                return
            if path == "/control" or path.startswith("/control/"):
                await self.control_door(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """FastAPI's description of its routes and ours of the hot ones."""
        described = super().openapi()
        described["paths"] |= hot_paths(REGISTRY)
        described.setdefault("components", {}).setdefault("securitySchemes", {}).update(SECURITY_SCHEMES)
        return described


def build(
    settings: Settings,
    log: Log,
    *,
    demo: bool = False,
    clock: Clock = wall_clock_ms,
    fetch: Fetch = fetch_https,
    arrivals: Arrivals | None = None,
    hooks: Mapping[str, Adapter] | None = None,
) -> Gateway:
    """The application; it closes its writer at shutdown, and leaves the log open.

    In demo mode the header `x-outpulse-received-at` stands in for the clock's stamp; a proof's age is always judged by
    `clock` (milliseconds since 1970). `fetch` gets what Amazon SNS wants visited; `arrivals` counts
    what came and what was refused; `hooks` are the adapters that mapping files make, by name.
    """
    metrics = Metrics()
    commit = GroupCommit(log, observe=metrics.appended)
    metrics.watch_queue(lambda: commit.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        commit.close()
        if arrivals is not None:
            arrivals.close()

    app = Gateway(title="Outpulse gateway", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.commit = commit
    app.provider_door = Webhooks(
        REGISTRY, settings, commit, metrics, clock, demo=demo, amazon=Amazon(fetch), arrivals=arrivals, hooks=hooks
    )
    app.events_door = Events(settings, commit, metrics, clock, demo=demo)
    app.feedback_door = FeedbackDoor(settings, commit, metrics, clock, demo=demo)
    app.control_door = Control(settings, log, metrics)
    _add_pages(app, log, metrics)
    return app


def _add_pages(app: Gateway, log: Log, metrics: Metrics) -> None:
    """Routes that say how the gateway is."""

    @app.get("/healthz", summary="Whether the log can be written and read", responses={503: {"description": "no"}})
    async def healthz() -> Response:
        health = await check(log, app.commit)
        status = 200 if health.status == "ok" else 503
        return Response(msgspec.json.encode(health), status, media_type="application/json")

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def show_metrics() -> Response:
        return Response(metrics.page(), media_type=_METRICS_TYPE)

    @app.get("/docs", summary="The routes, readable without internet", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)
