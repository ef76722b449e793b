"""``/api/v1``, who has a case: the next one of a queue, and one or many for somebody else."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from bridge.cases.commands import Assign
from bridge.cases.model import Case
from bridge.errors import CommandRefused, StaleVersion
from bridge.sync.claiming import claim_next
from bridge.sync.command import CaseUnknown, execute, preview
from bridge.web import openapi
from bridge.web.api import json_response
from bridge.web.bodies import JsonBody, decoded
from bridge.web.context import WebContext
from bridge.web.handing import Chosen, ClaimNext, Reassign, Reassigned, ReassignOutcome
from bridge.web.milestones import CaseDetail
from bridge.web.parameters import only_known
from bridge.web.problems import ApiError
from bridge.web.reading import read_case
from bridge.web.views import owner_view
from bridge.web.who import ActingAs, stand_in, who


def next_case(context: WebContext, wanted: ClaimNext, *, by: str) -> Case | None:
    """
    Take the next case of a queue; ``None`` where none waits.

    Raises:
        ApiError: 409, whoever acts does not take cases from that queue.
    """
    try:
        return claim_next(
            context.store,
            context.lines,
            wanted.role,
            by=by,
            now=context.clock(),
            new_id=context.new_id(),
            connection=wanted.connection,
            lane=wanted.lane,
        )
    except CommandRefused as error:
        raise ApiError(409, str(error)) from error


def reassign(context: WebContext, wanted: Reassign, *, by: str) -> Reassigned:
    """Give cases to somebody, each for itself: one that changed meanwhile is left alone and named."""
    done = (_one(context, chosen, wanted, by) for chosen in _once(wanted.cases))
    return Reassigned(dry_run=wanted.dry_run, outcomes=tuple(done))


def _once(cases: Iterable[Chosen]) -> Iterable[Chosen]:
    return {chosen.id: chosen for chosen in cases}.values()


def _one(context: WebContext, chosen: Chosen, wanted: Reassign, by: str) -> ReassignOutcome:
    with context.store.reading() as tx:
        before = tx.case(chosen.id)
    if before is None:
        return ReassignOutcome(id=chosen.id, state="unknown", reason="There is no such case.")
    told = ReassignOutcome(id=chosen.id, state="refused", version=before.version, was=owner_view(before.owner))
    try:
        after = _assigned(context, chosen, wanted, by)
    except StaleVersion:
        reason = "It changed since you looked at it."
        return msgspec.structs.replace(told, state="changed", reason=reason)
    except CaseUnknown:
        return msgspec.structs.replace(told, state="unknown", reason="There is no such case.")
    except CommandRefused as error:
        return msgspec.structs.replace(told, reason=str(error))
    moved = after.owner.id != before.owner.id
    version = before.version if wanted.dry_run else after.version
    return msgspec.structs.replace(
        told,
        state="reassigned" if moved else "already",
        version=version,
        owner=owner_view(after.owner),
        acts=stand_in(context, after),
    )


def _assigned(context: WebContext, chosen: Chosen, wanted: Reassign, by: str) -> Case:
    command, now = Assign(owner=wanted.owner), context.clock()
    if wanted.dry_run:
        return preview(
            context.store, context.lines, chosen.id, command, by=by, expected_version=chosen.version, now=now
        )
    return execute(
        context.store,
        context.lines,
        chosen.id,
        command,
        by=by,
        expected_version=chosen.version,
        now=now,
        new_id=context.new_id(),
    )


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    api = APIRouter(
        prefix="/api/v1", tags=["cases"], default_response_class=Response, dependencies=[Depends(only_known)]
    )

    @api.post(
        "/claim-next",
        responses=openapi.answers(CaseDetail, 400, 403, 404, 409, 413, 415, 422),
        openapi_extra=openapi.body("ClaimNext"),
    )
    def next_of_queue(request: Request, raw: JsonBody, acting_as: ActingAs = None) -> Response:
        """Take the case of a role queue that is due first, for whoever acts; 404 where none waits."""
        case = next_case(context, decoded(raw, ClaimNext), by=who(context, request))
        if case is None:
            raise ApiError(404, "No case waits in that queue.")
        return json_response(read_case(context, case.id).view, ETag=f'W/"{case.version}"')

    @api.post(
        "/reassign",
        responses=openapi.answers(Reassigned, 400, 403, 413, 415, 422),
        openapi_extra=openapi.body("Reassign"),
    )
    def reassign_cases(request: Request, raw: JsonBody, acting_as: ActingAs = None) -> Response:
        """Give one case or many to somebody, or with `dry_run` say what that would do."""
        return json_response(reassign(context, decoded(raw, Reassign), by=who(context, request)))

    return api
