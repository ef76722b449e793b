"""``/health``: is the process alive, and can it answer. No patient data, no version: anybody may ask."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bridge.web.context import WebContext


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    health = APIRouter(prefix="/health", tags=["health"])

    @health.get("/live")
    def live() -> Response:
        """Say that the process runs."""
        return Response(b'{"status":"live"}', media_type="application/json")

    @health.get("/ready")
    def ready() -> Response:
        """Say that the database answers and that nobody told the process to stop; else the answer is 503."""
        if context.stopping():
            return Response(b'{"status":"stopping"}', 503, {"Connection": "close"}, "application/json")
        with context.store.reading() as tx:
            for name in context.lines:
                tx.cursors(name)
        return Response(b'{"status":"ready"}', media_type="application/json")

    return health
