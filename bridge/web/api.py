"""``/api/v1``, the cases: list, read, history, and what people do to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AwareDatetime

from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.cases.terms import BlockerCategory, Status
from bridge.errors import CommandRefused, StaleVersion
from bridge.store.queries import CaseFilter, CaseOrder
from bridge.sync.command import CaseUnknown, execute
from bridge.web import openapi
from bridge.web.bodies import JsonBody, decoded
from bridge.web.context import WebContext
from bridge.web.milestones import CaseDetail
from bridge.web.parameters import only_known
from bridge.web.problems import ApiError
from bridge.web.reading import Listed, list_cases, read_case
from bridge.web.timeline import timeline
from bridge.web.views import CaseList, Suggestions, Timeline
from bridge.web.who import ActingAs, who

CaseId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9\-.]+$")]
Word = Annotated[str | None, Query(max_length=256)]
Limit = Annotated[int, Query(ge=1, le=200)]

_encoder = msgspec.json.Encoder()


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filters of ``GET /cases`` in a body, so that what is looked for is in no address and no log."""

    connection: str | None = None
    lane: str | None = None
    status: Status | None = None
    owner: str | None = None
    patient: str | None = None
    blocker: Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(['any', *BlockerCategory])})$")] | None = None
    overdue: bool = False
    unowned: bool = False
    escalated: bool = False
    waiting_on_ehr: bool = False
    closed_since: datetime | None = None
    order: CaseOrder = CaseOrder.DUE
    open: bool | None = None
    q: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: str | None = None


def json_response(value: object, **headers: str) -> Response:
    """Return *value* as ready JSON bytes."""
    return Response(_encoder.encode(value), 200, headers, "application/json")


def case_filter(context: WebContext, search: Search) -> CaseFilter:
    """Return what *search* asks for as a filter of the store."""
    return CaseFilter(
        connection=search.connection,
        lane=search.lane,
        status=search.status,
        owner=search.owner,
        patient=search.patient,
        blocker=search.blocker,
        is_open=search.open,
        overdue_at=context.clock() if search.overdue else None,
        unowned=search.unowned,
        escalated=search.escalated,
        waiting_on_ehr=search.waiting_on_ehr,
        closed_since=search.closed_since,
        order=search.order,
        q=search.q,
    )


def version_of(if_match: str | None) -> int:
    """
    Return the case version that an ``If-Match`` header names: ``"7"``, ``W/"7"`` or ``7``.

    Raises:
        ApiError: 428 (RFC 6585) when there is none, 400 when it is no version.
    """
    if if_match is None:
        raise ApiError(428, 'Send If-Match with the version of the case that you saw, such as "7".')
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(400, 'If-Match must be one version of the case, such as "7".')
    return int(text)


def carry_out(context: WebContext, case_id: str, command: AnyCommand, *, by: str, version: int) -> Case:
    """
    Carry out a person's command and return the case after it.

    Raises:
        ApiError: 404, 409 when it was merged or the command does not fit it, 412 when it has changed.
    """
    try:
        return execute(
            context.store,
            dict(context.lines),
            case_id,
            command,
            by=by,
            expected_version=version,
            now=context.clock(),
            new_id=context.new_id(),
        )
    except CaseUnknown as error:
        raise ApiError(404, "There is no such case.") from error
    except StaleVersion as error:
        now_at = read_case(context, case_id).case.version
        detail = f"The case is at version {now_at}, not {version}; look at it again."
        raise ApiError(412, detail, version=now_at) from error
    except CommandRefused as error:
        merged_into = read_case(context, case_id).case.merged_into
        raise ApiError(409, str(error), merged_into=merged_into) from error


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    api = APIRouter(
        prefix="/api/v1", tags=["cases"], default_response_class=Response, dependencies=[Depends(only_known)]
    )

    @api.get("/cases", responses=openapi.answers(CaseList, 422))
    def cases(
        connection: Word = None,
        lane: Word = None,
        status: Status | None = None,
        owner: Annotated[str | None, Query(max_length=256, description="An owner's id.")] = None,
        patient: Annotated[str | None, Query(max_length=256, description="`Patient/id`.")] = None,
        blocker: BlockerCategory | Literal["any"] | None = None,
        overdue: Annotated[bool, Query(description="Only open cases whose due time has passed.")] = False,
        unowned: Annotated[bool, Query(description="Only cases of a role queue that no person took.")] = False,
        escalated: bool = False,
        waiting_on_ehr: Annotated[
            bool, Query(description="Only cases of which something is still to be written, or is parked.")
        ] = False,
        closed_since: Annotated[
            AwareDatetime | None, Query(description="Only cases closed at this time or later; with its offset.")
        ] = None,
        order: CaseOrder = CaseOrder.DUE,
        open_: Annotated[bool | None, Query(alias="open")] = None,
        q: Annotated[
            str | None,
            Query(max_length=256, description="Words in title or patient; prefer `POST /cases/search`."),
        ] = None,
        limit: Limit = 50,
        cursor: Word = None,
    ) -> Response:
        """
        List cases, by default the soonest due first. Merged cases are not listed.

        `order` is `due`, `oldest` (asked for first) or `closed` (closed last).
        """
        search = Search(
            connection=connection,
            lane=lane,
            status=status,
            owner=owner,
            patient=patient,
            blocker=blocker,
            overdue=overdue,
            unowned=unowned,
            escalated=escalated,
            waiting_on_ehr=waiting_on_ehr,
            closed_since=closed_since,
            order=order,
            open=open_,
            q=q,
        )
        return _listed(list_cases(context, case_filter(context, search), limit=limit, cursor=cursor))

    @api.post("/cases/search", responses=openapi.answers(CaseList, 400, 415, 422), openapi_extra=_SEARCH)
    def search_cases(raw: JsonBody) -> Response:
        """List cases like `GET /cases`; the filters are in the body, so no name gets into a log."""
        search = decoded(raw, Search)
        where = case_filter(context, search)
        return _listed(list_cases(context, where, limit=search.limit, cursor=search.cursor))

    @api.get("/cases/{case_id}", responses=openapi.answers(CaseDetail, 308, 404))
    def case(case_id: CaseId) -> Response:
        """Read one case. A case that was merged answers 308 with the address of the one it went into."""
        read = read_case(context, case_id)
        if read.case.merged_into is not None:
            return RedirectResponse(f"/api/v1/cases/{read.case.merged_into}", 308)
        return _case(read.view)

    @api.get("/cases/{case_id}/timeline", responses=openapi.answers(Timeline, 404))
    def case_timeline(case_id: CaseId) -> Response:
        """Read a case's history; a merged case keeps its own."""
        read = read_case(context, case_id)
        entries = timeline(read.changes, read.writes, zone=context.zone, now=context.clock())
        return json_response(Timeline(case_id, entries))

    @api.get("/cases/{case_id}/suggestions", responses=openapi.answers(Suggestions, 404))
    def suggestions(case_id: CaseId) -> Response:
        """Read what remarks on a case suggest; `accept-suggestion` and `dismiss-suggestion` answer one by its key."""
        return json_response(Suggestions(case_id, tuple(read_case(context, case_id).suggestions)))

    @api.post(
        "/cases/{case_id}/commands",
        responses=openapi.answers(CaseDetail, 400, 403, 404, 409, 412, 413, 415, 422, 428),
        openapi_extra=openapi.body(openapi.COMMAND),
    )
    def command(
        request: Request,
        case_id: CaseId,
        raw: JsonBody,
        if_match: Annotated[str | None, Header(alias="If-Match")] = None,
        acting_as: ActingAs = None,
    ) -> Response:
        """Do something to a case; answers with the case after it."""
        version = version_of(if_match)
        wanted: Any = decoded(raw, AnyCommand)  # type: ignore[arg-type]
        done = carry_out(context, case_id, wanted, by=who(context, request), version=version)
        return _case(read_case(context, done.id).view)

    return api


_SEARCH = openapi.body("Search")


def _listed(page: Listed) -> Response:
    return json_response(CaseList(cases=page.cases, total=page.total, next=page.next))


def _case(view: CaseDetail) -> Response:
    return json_response(view, ETag=f'W/"{view.version}"')
