"""``/api/v1``, the operations: connections, what is parked on the way in and out, and trying it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from bridge.cases.intents import IntentKind, IntentState
from bridge.store.port import Tx
from bridge.store.rows import InboxRow, InboxState, OutboxRow
from bridge.sync.replay import foresee_inbox
from bridge.web import openapi
from bridge.web.api import Limit, Word, json_response
from bridge.web.bodies import JsonBody, decoded
from bridge.web.connections import ConnectionList, ConnectionView, connection_view
from bridge.web.context import Replay, WebContext
from bridge.web.masking import masked
from bridge.web.parameters import only_known
from bridge.web.pausing import PauseRequest, PauseState, pause, resume
from bridge.web.problems import ApiError
from bridge.web.views import (
    InboxDetail,
    InboxList,
    OutboxList,
    Replayed,
    ReplayOutcome,
    inbox_view,
    outbox_view,
)
from bridge.web.who import ActingAs, who

MOST_AT_ONCE = 10_000
"""Rows that one replay takes up; the rest stays parked and is there for the next one."""
_PAGE = 1000
_REPLAYABLE = (IntentState.PARKED, IntentState.NOT_WRITABLE)

Name = Annotated[str, Path(max_length=256)]
After = Annotated[int, Query(ge=0, description="The last id of the page before.")]


class ReplayInbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked versions to read again: by *ids*, else all that fit the filters."""

    ids: tuple[int, ...] | None = None
    connection: str | None = None
    type: str | None = None
    code: str | None = None
    dry_run: bool = False


class ReplayOutbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked or not writable intents to try again: by *ids*, else all that fit the filters."""

    ids: tuple[int, ...] | None = None
    connection: str | None = None
    kind: IntentKind | None = None
    code: str | None = None
    state: IntentState = IntentState.PARKED
    dry_run: bool = False


def connection_views(context: WebContext) -> tuple[ConnectionView, ...]:
    """Read how every configured connection stands."""
    now = context.clock()
    with context.store.reading() as tx:
        return tuple(
            connection_view(tx, info, now=now, stale_after=context.stale_after) for info in context.connections()
        )


def replay_inbox(context: WebContext, wanted: ReplayInbox) -> Replayed:
    """Read parked versions again, or say what would become of each."""
    with context.store.reading() as tx:
        ids = [row.id for row in _parked_in(tx, wanted) if row.id is not None]
    if not wanted.dry_run:
        return _replayed(ids, context.replay_inbox)
    found = foresee_inbox(context.store, context.lines, ids, context.clock())
    return _foreseen(
        ids, [ReplayOutcome(id=one.id, state=one.state.value, code=one.code, reason=one.reason) for one in found]
    )


def replay_outbox(context: WebContext, wanted: ReplayOutbox) -> Replayed:
    """
    Queue parked intents again, or say which ones would be; what the EHR will say to them nobody knows.

    Raises:
        ApiError: The state asked for is not one that can be replayed.
    """
    if wanted.state not in _REPLAYABLE:
        raise ApiError(422, "state: only parked and not-writable intents can be replayed.")
    with context.store.reading() as tx:
        ids = [row.id for row in _parked_out(tx, wanted)]
    if not wanted.dry_run:
        return _replayed(ids, context.replay_outbox)
    return _foreseen(ids, [ReplayOutcome(id=row_id, state=IntentState.QUEUED.value) for row_id in ids])


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    api = APIRouter(
        prefix="/api/v1", tags=["operations"], default_response_class=Response, dependencies=[Depends(only_known)]
    )

    @api.get("/connections", responses=openapi.answers(ConnectionList))
    def connections() -> Response:
        """Say of every connection whether its data is current, what came in and out, and what is stuck."""
        return json_response(ConnectionList(connection_views(context)))

    @api.post(
        "/connections/{name}/pause",
        responses=openapi.answers(PauseState, 400, 403, 404, 413, 415, 422),
        openapi_extra=openapi.body("PauseRequest"),
    )
    def pause_connection(request: Request, name: Name, raw: JsonBody, acting_as: ActingAs = None) -> Response:
        """Read and write nothing for a connection, or read nothing of one type, until it is resumed."""
        return json_response(pause(context, name, decoded(raw, PauseRequest), by=who(context, request)))

    @api.post(
        "/connections/{name}/resume",
        responses=openapi.answers(PauseState, 400, 403, 404, 413, 415, 422),
        openapi_extra=openapi.body("PauseRequest"),
    )
    def resume_connection(name: Name, raw: JsonBody) -> Response:
        """Go on where a pause began; nothing was lost meanwhile."""
        return json_response(resume(context, name, decoded(raw, PauseRequest)))

    @api.get("/inbox", responses=openapi.answers(InboxList, 422))
    def inbox(
        state: InboxState = InboxState.PARKED,
        connection: Word = None,
        code: Word = None,
        resource: Annotated[str | None, Query(max_length=256, description="`Type/id`.")] = None,
        limit: Limit = 50,
        after: After = 0,
    ) -> Response:
        """List received versions and what became of them."""
        with context.store.reading() as tx:
            rows = tx.inbox(connection=connection, state=state, code=code, ref=resource, limit=limit, after=after)
        following = rows[-1].id if len(rows) == limit else None
        return json_response(InboxList(rows=tuple(map(inbox_view, rows)), next=following))

    @api.get("/inbox/{row_id}", responses=openapi.answers(InboxDetail, 404))
    def inbox_row(
        row_id: Annotated[int, Path(ge=1, le=2**62)],
        reveal: Annotated[bool, Query(description="Show the content as received.")] = False,
    ) -> Response:
        """Read one received version; everything about people in it is masked unless `reveal` is set."""
        return json_response(inbox_detail(context, row_id, reveal=reveal))

    @api.get("/outbox", responses=openapi.answers(OutboxList, 422))
    def outbox(
        state: IntentState | None = None,
        connection: Word = None,
        case: Word = None,
        limit: Limit = 50,
        after: After = 0,
    ) -> Response:
        """List what should be true in the EHR and where each of it stands."""
        with context.store.reading() as tx:
            rows = tx.outbox(
                connection=connection,
                case_ids=None if case is None else [case],
                state=state,
                limit=limit,
                after=after,
            )
        following = rows[-1].id if len(rows) == limit else None
        return json_response(OutboxList(rows=tuple(map(outbox_view, rows)), next=following))

    @api.post(
        "/inbox/replay",
        responses=openapi.answers(Replayed, 400, 403, 413, 415, 422),
        openapi_extra=openapi.body("ReplayInbox"),
    )
    def inbox_replay(raw: JsonBody) -> Response:
        """Read parked versions again, with the mappers as they are now."""
        return json_response(replay_inbox(context, decoded(raw, ReplayInbox)))

    @api.post(
        "/outbox/replay",
        responses=openapi.answers(Replayed, 400, 403, 413, 415, 422),
        openapi_extra=openapi.body("ReplayOutbox"),
    )
    def outbox_replay(raw: JsonBody) -> Response:
        """Try parked writes again."""
        return json_response(replay_outbox(context, decoded(raw, ReplayOutbox)))

    return api


def inbox_detail(context: WebContext, row_id: int, *, reveal: bool) -> InboxDetail:
    """
    Read one received version with its content.

    Raises:
        ApiError: There is no such row.
    """
    with context.store.reading() as tx:
        row = tx.inbox_row(row_id)
    if row is None:
        raise ApiError(404, "There is no such inbox row.")
    raw = row.raw.decode("utf-8", "replace") if reveal else masked(row.raw)
    return InboxDetail(row=inbox_view(row), masked=not reveal, size_bytes=len(row.raw), raw=raw)


def _parked_in(tx: Tx, wanted: ReplayInbox) -> Iterator[InboxRow]:
    if wanted.ids is not None:
        found = (tx.inbox_row(row_id) for row_id in wanted.ids[:MOST_AT_ONCE])
        yield from (row for row in found if row is not None and row.state is InboxState.PARKED)
        return
    after, taken = 0, 0
    while taken < MOST_AT_ONCE:
        rows = tx.inbox(
            connection=wanted.connection, state=InboxState.PARKED, code=wanted.code, limit=_PAGE, after=after
        )
        fitting = [row for row in rows if wanted.type in (None, row.type)]
        yield from fitting[: MOST_AT_ONCE - taken]
        taken += len(fitting)
        if len(rows) < _PAGE:
            return
        after = rows[-1].id or after


def _parked_out(tx: Tx, wanted: ReplayOutbox) -> Iterator[OutboxRow]:
    if wanted.ids is not None:
        found = (tx.outbox_row(row_id) for row_id in wanted.ids[:MOST_AT_ONCE])
        yield from (row for row in found if row is not None and row.state in _REPLAYABLE)
        return
    after, taken = 0, 0
    while taken < MOST_AT_ONCE:
        rows = tx.outbox(connection=wanted.connection, state=wanted.state, limit=_PAGE, after=after)
        fitting = [row for row in rows if wanted.kind in (None, row.intent.kind) and wanted.code in (None, row.code)]
        yield from fitting[: MOST_AT_ONCE - taken]
        taken += len(fitting)
        if len(rows) < _PAGE:
            return
        after = rows[-1].id


def _replayed(ids: Sequence[int], replay: Replay) -> Replayed:
    done = replay(ids) if ids else 0
    return Replayed(dry_run=False, matched=len(ids), replayed=done, ids=tuple(ids))


def _foreseen(ids: Sequence[int], outcomes: Sequence[ReplayOutcome]) -> Replayed:
    becomes = Counter(one.state for one in outcomes)
    return Replayed(
        dry_run=True, matched=len(ids), replayed=0, ids=tuple(ids), becomes=dict(becomes), outcomes=tuple(outcomes)
    )
