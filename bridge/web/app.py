"""The web application, wired from what ``bootstrap`` gives it. Routes are plain ``def``, run in threads."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from bridge.web import api, handing, health, hooks, measures, metrics, openapi, operations, owning, problems, who
from bridge.web.context import WebContext
from bridge.web.guard import Guard
from bridge.web.pages import case, connections, review, worklist
from bridge.web.pages import owning as owning_pages
from bridge.web.pages.render import STATIC
from bridge.web.pausing import PauseRequest

_DESCRIPTION = """Coordination cases, what was received from each EHR, and what is to be true there.

Times are ISO 8601 in UTC. Errors are `application/problem+json`. A command needs `If-Match` with the
version of the case that its author saw. See `docs/api.md`."""

BODIES: dict[str, Any] = {
    **openapi.BODIES,
    "ClaimNext": handing.ClaimNext,
    "Reassign": handing.Reassign,
    "Search": api.Search,
    "PauseRequest": PauseRequest,
    "ReplayInbox": operations.ReplayInbox,
    "ReplayOutbox": operations.ReplayOutbox,
}


_PAGES = (worklist, case, connections, owning_pages, review, who)
_ROOMS = (hooks, *_PAGES, api, owning, operations, measures, health, metrics)
"""Routes are tried one after the other, and nothing is asked for as often as the hooks."""


class _Assets(StaticFiles):
    """Static files; an address with a version in it never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200 and scope["query_string"].startswith(b"v="):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def create_probes(context: WebContext) -> FastAPI:
    """Return the application of a process without a web view: whether it is well, and its metrics."""
    app = FastAPI(title="Bridge worker", version=context.version, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, allowed_hosts=context.allowed_hosts, new_id=context.new_id)
    problems.install(app)
    for room in (health, metrics):
        app.include_router(room.router(context))
    return app


def create_app(context: WebContext) -> FastAPI:
    """Return the application for ``uvicorn`` or a test client."""
    app = FastAPI(
        title="Bridge",
        version=context.version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.add_middleware(Guard, allowed_hosts=context.allowed_hosts, new_id=context.new_id)
    problems.install(app)
    for room in _ROOMS:
        app.include_router(room.router(context))
    app.mount("/static", _Assets(directory=STATIC), name="static")
    openapi.install(app, BODIES)
    return app
