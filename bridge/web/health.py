"""``/health``: is the process alive, and can it answer. No patient data, no version: anybody may ask."""

from __future__ import annotations

from fastapi import APIRouter, Response

from bridge.errors import StoreUnavailable
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
        """Say that the database answers and saves, and that nobody told the process to stop; else it is 503."""
        if context.stopping():
            return Response(b'{"status":"stopping"}', 503, {"Connection": "close"}, "application/json")
        if context.store.problem is not None and not _saves(context):
            return Response(b'{"status":"database does not save"}', 503, media_type="application/json")
        with context.store.reading() as tx:
            for name in context.lines:
                tx.cursors(name)
        return Response(b'{"status":"ready"}', media_type="application/json")

    return health


def _saves(context: WebContext) -> bool:
    """Try to save something: who is not ready is asked nothing, and would never find out otherwise."""
    try:
        with context.store.transaction() as tx:
            tx.win_tick("saves", context.clock(), context.clock())
    except StoreUnavailable:
        return False
    return True
