"""
Who acts, while there is no login: whoever a request says it is for, else the site's one name for everybody.

People say it once on any page, which a cookie keeps until the browser is closed; programs say it with each request
in ``Acting-As``. Nothing proves it. It decides whose name stands in the history and who takes a case, not what may
be done: that is the same for everybody who reaches this address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import RedirectResponse

from bridge.cases.model import Case
from bridge.cases.owners import OwnerEntry
from bridge.cases.terms import OwnerKind
from bridge.web.bodies import FormBody
from bridge.web.context import WebContext
from bridge.web.problems import ApiError
from bridge.web.views import OwnerView, owner_view

COOKIE = "bridge-who"
HEADER = "Acting-As"

ActingAs = Annotated[
    str | None, Header(alias=HEADER, max_length=256, description="The person of the owners section who acts.")
]
"""Describes the header; ``who`` reads it."""


def people(context: WebContext) -> Mapping[str, OwnerEntry]:
    """Return the persons of the configuration by name, in the order in which they are read."""
    entries = (entry for line in context.lines.values() for entry in line.rules.owners.entries())
    found = {entry.name: entry for entry in entries if entry.kind is OwnerKind.PERSON}
    return dict(sorted(found.items(), key=lambda item: item[1].display.casefold()))


def who(context: WebContext, request: Request) -> str:
    """
    Return the name under which a request acts.

    Raises:
        ApiError: 422, the header names nobody of the owners section.
    """
    known = people(context)
    named = request.headers.get(HEADER)
    if named is not None:
        if named not in known:
            raise ApiError(422, f"{HEADER}: expected a person of the owners section.")
        return named
    kept = request.cookies.get(COOKIE)
    return kept if kept in known and kept is not None else context.acting_as


def queues(context: WebContext, name: str) -> tuple[str, ...]:
    """Return the role queues that *name* works; none for who is nobody of the configuration."""
    owners = [line.rules.owners for line in context.lines.values()]
    roles = {entry.name: book for book in owners for entry in book.entries() if entry.kind is OwnerKind.ROLE}
    return tuple(role for role, book in roles.items() if book.works(name, role))


def stand_in(context: WebContext, case: Case) -> OwnerView | None:
    """Return who acts for a case's owner today, where the owner is away and somebody does."""
    line = context.lines.get(case.connection)
    if line is None:
        return None
    today = context.clock().astimezone(context.zone).date()
    acting = line.rules.owners.stand_in(case.owner, case.backup, today)
    return None if acting.id == case.owner.id else owner_view(acting)


def router(context: WebContext) -> APIRouter:
    """Return the route by which people say who they are."""
    pages = APIRouter(default_response_class=Response, include_in_schema=False)

    @pages.post("/who")
    def say(request: Request, form: FormBody) -> Response:
        name = form.get("who", "")
        if name and name not in people(context):
            raise ApiError(422, "Nobody of that name is configured.")
        answer = RedirectResponse(_ours(form.get("back", "/")), 303)
        secure = request.url.scheme == "https"
        if name:
            answer.set_cookie(COOKIE, name, httponly=True, samesite="strict", secure=secure)
        else:
            answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
        return answer

    return pages


def _ours(address: str) -> str:
    """Return *address* where it leads to a page of ours: ``//host`` and ``/\\host`` are other sites to a browser."""
    fit = address.startswith("/") and address[1:2] not in ("/", "\\") and address.isprintable()
    return address if fit else "/"
