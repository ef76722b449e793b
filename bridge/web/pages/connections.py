"""The connections page: is the data current, do the counters add up, what is parked and how to go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from bridge.cases.intents import IntentState
from bridge.store.port import InboxState
from bridge.web.bodies import FormBody
from bridge.web.context import WebContext
from bridge.web.operations import (
    ReplayInbox,
    ReplayOutbox,
    connection_views,
    inbox_detail,
    replay_inbox,
    replay_outbox,
)
from bridge.web.pages.render import frame, html, live, page
from bridge.web.problems import ApiError
from bridge.web.views import inbox_view, outbox_view

_SHOWN = 25


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.get("/connections")
    def connections(
        request: Request,
        read: Annotated[int | None, Query(ge=0)] = None,
        queued: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        views = connection_views(context)
        with context.store.reading() as tx:
            stuck = {
                view.name: [
                    outbox_view(row)
                    for state in (IntentState.PARKED, IntentState.NOT_WRITABLE)
                    for row in tx.outbox(connection=view.name, state=state, limit=_SHOWN)
                ]
                for view in views
            }
        values = frame(context, connections=views, stuck=stuck, read=read, queued=queued)
        return live(request, "connections.html", "_connections.html", values)

    @pages.get("/parked")
    def parked(
        connection: Annotated[str, Query(max_length=256)],
        type_: Annotated[str, Query(alias="type", max_length=64)],
        code: Annotated[str, Query(max_length=64)],
    ) -> Response:
        with context.store.reading() as tx:
            rows = tx.inbox(connection=connection, state=InboxState.PARKED, code=code, limit=500)
        shown = [inbox_view(row) for row in rows if row.type == type_]
        return html(page("parked.html", **frame(context, connection=connection, type=type_, code=code, rows=shown)))

    @pages.get("/inbox/{row_id}")
    def inbox_row(row_id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
        detail = inbox_detail(context, row_id, reveal=False)
        return html(page("inbox.html", **frame(context, detail=detail, row=detail.row)))

    @pages.post("/connections/replay-inbox")
    def again_inbox(form: FormBody) -> Response:
        wanted = ReplayInbox(
            ids=_ids(form),
            connection=form.get("connection"),
            type=form.get("type"),
            code=form.get("code"),
        )
        return RedirectResponse(f"/connections?read={replay_inbox(context, wanted).replayed}", 303)

    @pages.post("/connections/replay-outbox")
    def again_outbox(form: FormBody) -> Response:
        state = IntentState.NOT_WRITABLE if form.get("state") == "not-writable" else IntentState.PARKED
        wanted = ReplayOutbox(ids=_ids(form), connection=form.get("connection"), state=state)
        return RedirectResponse(f"/connections?queued={replay_outbox(context, wanted).replayed}", 303)

    return pages


def _ids(form: FormBody) -> tuple[int, ...] | None:
    """The one row that a button is for; without it the form is for all rows of its group."""
    if "id" not in form:
        return None
    if not (form["id"].isascii() and form["id"].isdigit() and len(form["id"]) < 19):
        raise ApiError(422, "The row to try again is not named.")
    return (int(form["id"]),)
