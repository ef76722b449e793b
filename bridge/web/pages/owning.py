"""Taking the next case of a queue, and giving cases to somebody else after a look at what that would do."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bridge.cases.model import Case
from bridge.web.bodies import SELECTED, FormBody
from bridge.web.context import WebContext
from bridge.web.handing import MOST_CASES, Chosen, ClaimNext, Reassign
from bridge.web.owning import next_case, reassign
from bridge.web.pages.frame import frame
from bridge.web.pages.render import html, page
from bridge.web.problems import ApiError
from bridge.web.who import who


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.post("/claim-next")
    def next_of_queue(request: Request, form: FormBody) -> Response:
        case = next_case(context, ClaimNext(role=form.get("role", "")), by=who(context, request))
        return RedirectResponse(f"/cases/{case.id}?done=claim" if case else "/?view=team&left=false", 303)

    @pages.post("/reassign")
    def give(request: Request, form: FormBody) -> Response:
        chosen, owner = _chosen(form), form.get("owner", "")
        if not chosen or not owner:
            raise ApiError(422, "Tick the cases, and choose who is to have them.")
        sure = "sure" in form
        wanted = Reassign(owner=owner, cases=tuple(chosen), dry_run=not sure)
        found = reassign(context, wanted, by=who(context, request))
        with context.store.reading() as tx:
            cases: dict[str, Case | None] = {one.id: tx.case(one.id) for one in found.outcomes}
        moving = [one for one in found.outcomes if one.state == "reassigned"]
        values = frame(context, request, found=found, cases=cases, owner=owner, moving=moving, sure=sure)
        return html(page("reassign.html", **values))

    return pages


def _chosen(form: FormBody) -> Sequence[Chosen]:
    """The cases that were ticked: ids, or after a look at them ids with versions (``ID:7``)."""
    found = []
    for text in filter(None, form.get(SELECTED, "").split(",")):
        case_id, _, version = text.partition(":")
        if len(case_id) > 64 or (version and not (version.isascii() and version.isdigit() and len(version) < 10)):
            raise ApiError(422, "A case to reassign is not named.")
        found.append(Chosen(id=case_id, version=int(version) if version else None))
    if len(found) > MOST_CASES:
        raise ApiError(422, f"At most {MOST_CASES} cases at once.")
    return found
