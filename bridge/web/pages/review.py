"""The weekly review: one page to go through together, on a screen or on paper."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bridge.web.context import WebContext
from bridge.web.pages.frame import frame
from bridge.web.pages.render import html, page
from bridge.web.pages.worklist import Choice, Filters
from bridge.web.reviewing import late_by, review


def router(context: WebContext) -> APIRouter:
    """Return the route."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.get("/review")
    def weekly(request: Request, connection: Choice = "", lane: Choice = "") -> Response:
        filters = Filters(connection=connection or "", lane=lane or "")
        now = context.clock()
        values = frame(
            context,
            request,
            review=review(context, connection=filters.connection or None, lane=filters.lane or None),
            filters=filters,
            lanes={one.name: one.title for line in context.lines.values() for one in line.rules.lanes.all},
            names=tuple(context.lines),
            today=now.astimezone(context.zone).date(),
            late_by=late_by,
        )
        return html(page("review.html", **values))

    return pages
