"""The OpenAPI description: schemas come from the very structs that are encoded, so both always agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bridge.cases.commands import AnyCommand
from bridge.cases.measures.tally import Report
from bridge.cases.measures.trend import Trend
from bridge.web.connections import ConnectionList
from bridge.web.handing import Reassigned
from bridge.web.milestones import CaseDetail
from bridge.web.pausing import PauseState
from bridge.web.problems import PROBLEM_JSON, Problem
from bridge.web.views import (
    CaseList,
    InboxDetail,
    InboxList,
    OutboxList,
    Replayed,
    Suggestions,
    Timeline,
)

_REF = "#/components/schemas/{name}"

SHOWN: dict[str, Any] = {
    view.__name__: view
    for view in (
        CaseDetail,
        CaseList,
        ConnectionList,
        InboxDetail,
        InboxList,
        OutboxList,
        PauseState,
        Problem,
        Reassigned,
        Replayed,
        Report,
        Trend,
        Suggestions,
        Timeline,
    )
}
"""Every shape that a route answers with, by the name its schema has."""

_DETAILS = {
    304: "Not modified",
    308: "The case was merged: follow the address to the one it went into",
    400: "The request cannot be read",
    403: "The request comes from another site",
    404: "There is no such thing",
    409: "The command does not fit the case as it is",
    412: "The case changed since that version",
    413: "The request is too large",
    415: "The body is no JSON",
    422: "A parameter or the body is wrong",
    428: "If-Match with the case's version is missing",
    503: "Another measurement takes too long; try again after `Retry-After` seconds",
}


def answers(view: type[msgspec.Struct], *problems: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route's ``responses`` are: *view* when all is well, and these problem statuses."""
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": (view.__doc__ or "").strip().splitlines()[0], "content": _json(view.__name__)}
    }
    return {**found, **_told(problems)}


def _told(problems: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    content = {PROBLEM_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}}
    return {status: {"description": _DETAILS[status], "content": content} for status in problems}


def answered_as(media_type: str, description: str, schema: dict[str, Any], *problems: int) -> dict[int | str, Any]:
    """Return a route's ``responses`` for an answer that is of no struct of ours."""
    ok: dict[int | str, Any] = {200: {"description": description, "content": {media_type: {"schema": schema}}}}
    return {**ok, **_told(problems)}


def body(name: str) -> dict[str, Any]:
    """Return a route's ``openapi_extra`` for a JSON body whose schema is called *name*."""
    return {"requestBody": {"required": True, "content": _json(name)}}


def install(app: FastAPI, bodies: dict[str, Any]) -> None:
    """
    Make *app* describe itself with the schemas of what it answers and of the *bodies* it takes, by name.
    """
    types = {**SHOWN, **bodies}
    schemas, components = msgspec.json.schema_components(types.values(), ref_template=_REF)
    for name, schema in zip(types, schemas, strict=True):
        components.setdefault(name, schema)

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            found.setdefault("components", {}).setdefault("schemas", {}).update(components)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}


COMMAND = "Command"
BODIES: dict[str, Any] = {COMMAND: AnyCommand}
