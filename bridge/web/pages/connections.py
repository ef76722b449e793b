"""The connections page: is the data current, do the counters add up, what is parked and how to go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from bridge.cases.intents import IntentState
from bridge.store.port import Tx
from bridge.store.rows import LATE_CODE, InboxState
from bridge.web import words
from bridge.web.bodies import SELECTED, FormBody
from bridge.web.context import WebContext
from bridge.web.operations import (
    ReplayInbox,
    ReplayOutbox,
    connection_views,
    inbox_detail,
    replay_inbox,
    replay_outbox,
)
from bridge.web.pages.frame import frame
from bridge.web.pages.render import html, live, page
from bridge.web.pausing import PauseRequest, pause, resume
from bridge.web.problems import ApiError
from bridge.web.views import Replayed, inbox_view, outbox_view
from bridge.web.who import who

_SHOWN = 25
_PREVIEWED = 200


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
        types = {name: line.types for name, line in context.lines.items()}
        values = frame(context, request, connections=views, stuck=stuck, types=types, read=read, queued=queued)
        return live(request, "connections.html", "_connections.html", values)

    @pages.get("/parked")
    def parked(
        request: Request,
        connection: Annotated[str, Query(max_length=256)],
        type_: Annotated[str, Query(alias="type", max_length=64)],
        code: Annotated[str, Query(max_length=64)],
    ) -> Response:
        with context.store.reading() as tx:
            rows = tx.inbox(connection=connection, state=InboxState.PARKED, code=code, limit=500)
        shown = [inbox_view(row) for row in rows if row.type == type_]
        return html(
            page("parked.html", **frame(context, request, connection=connection, type=type_, code=code, rows=shown))
        )

    @pages.get("/late")
    def late(
        request: Request,
        connection: Annotated[str, Query(max_length=256)],
        type_: Annotated[str, Query(alias="type", max_length=64)],
    ) -> Response:
        with context.store.reading() as tx:
            rows = tx.inbox(connection=connection, state=InboxState.APPLIED, code=LATE_CODE, limit=500)
        shown = [inbox_view(row) for row in rows if row.type == type_]
        return html(page("late.html", **frame(context, request, connection=connection, type=type_, rows=shown)))

    @pages.post("/connections/pause")
    def leave_alone(request: Request, form: FormBody) -> Response:
        pause(
            context, form.get("connection", ""), PauseRequest(type=form.get("type") or None), by=who(context, request)
        )
        return RedirectResponse("/connections", 303)

    @pages.post("/connections/resume")
    def go_on(form: FormBody) -> Response:
        resume(context, form.get("connection", ""), PauseRequest(type=form.get("type") or None))
        return RedirectResponse("/connections", 303)

    @pages.get("/inbox/{row_id}")
    def inbox_row(request: Request, row_id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
        detail = inbox_detail(context, row_id, reveal=False)
        return html(page("inbox.html", **frame(context, request, detail=detail, row=detail.row)))

    @pages.post("/connections/replay-inbox")
    def again_inbox(request: Request, form: FormBody) -> Response:
        wanted = ReplayInbox(
            ids=_ids(form),
            connection=form.get("connection"),
            type=form.get("type"),
            code=form.get("code"),
            dry_run="preview" in form,
        )
        if wanted.dry_run:
            return _preview(context, request, "inbox", form, replay_inbox(context, wanted))
        return RedirectResponse(f"/connections?read={replay_inbox(context, wanted).replayed}", 303)

    @pages.post("/connections/replay-outbox")
    def again_outbox(request: Request, form: FormBody) -> Response:
        state = IntentState.NOT_WRITABLE if form.get("state") == "not-writable" else IntentState.PARKED
        wanted = ReplayOutbox(ids=_ids(form), connection=form.get("connection"), state=state, dry_run="preview" in form)
        if wanted.dry_run:
            return _preview(context, request, "outbox", form, replay_outbox(context, wanted))
        return RedirectResponse(f"/connections?queued={replay_outbox(context, wanted).replayed}", 303)

    return pages


def _preview(context: WebContext, request: Request, what: str, form: FormBody, found: Replayed) -> Response:
    """Show what a replay would do, with a button that does it."""
    with context.store.reading() as tx:
        rows = {one.id: _named(tx, what, one.id) for one in found.outcomes[:_PREVIEWED]}
    again = {name: text for name, text in form.items() if name != "preview"}
    shown = found.outcomes[:_PREVIEWED]
    return html(
        page("replay.html", **frame(context, request, what=what, found=found, shown=shown, names=rows, again=again))
    )


def _named(tx: Tx, what: str, row_id: int) -> str:
    if what == "inbox":
        received = tx.inbox_row(row_id)
        return received.ref if received is not None else ""
    intent = tx.outbox_row(row_id)
    return words.INTENT_TEXT[intent.intent.kind] if intent is not None else ""


def _ids(form: FormBody) -> tuple[int, ...] | None:
    """The rows that were ticked, or the one that a button is for; without any the form is for all of its group."""
    if SELECTED not in form:
        return None
    texts = form[SELECTED].split(",")
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        raise ApiError(422, "The row to try again is not named.")
    return tuple(map(int, texts))
