"""
``/hooks/{connection}/{secret}``: where EHRs ring. Nothing that is sent is believed but which resources it names.

Who may ring: whoever knows the secret in the address, and the secret header or the key of the signature where
these are configured. A notification is made durable before it is answered. It is answered with 204: HAPI 8.0.0
takes a topic Bundle that is answered with an OperationOutcome for undelivered, and sends it fourteen times
(HAPI-1814, seen 2026-11); for the classic forms 204 is as good as any answer. What is refused is refused with
an OperationOutcome.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from bridge.errors import SourceError
from bridge.fhir.notification import Notification, NotificationKind, read_body, read_path
from bridge.sync.line import Line
from bridge.sync.notify import NotKept
from bridge.web.context import WebContext
from bridge.web.gate import Gate

MOST_BYTES = 8 * 1024 * 1024
"""A notification with full resources may be large; what is larger is better fetched (rule ours)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Refusal(Exception):
    status: int
    code: str
    words: str


def router(context: WebContext) -> APIRouter:
    """Return the routes."""
    hooks = APIRouter(prefix="/hooks", include_in_schema=False)

    async def bounded(request: Request) -> bytes | None:
        """Return the body; ``None`` where it is too large, or nobody will look at it."""
        if _gate(context, request.path_params) is None:
            return None
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > MOST_BYTES:
                return None
            parts.append(part)
        return b"".join(parts)

    body_of = Depends(bounded)

    def ring(request: Request, body: bytes | None = body_of) -> Response:
        try:
            _ring(context, request, body)
        except _Refusal as refusal:
            return _outcome(refusal)
        return Response(status_code=204)

    for address in ("/{connection}/{secret}", "/{connection}/{secret}/{path:path}"):
        hooks.add_api_route(address, ring, methods=["POST", "PUT", "DELETE"], response_class=Response)
    return hooks


def _gate(context: WebContext, named: Mapping[str, str]) -> Gate | None:
    """Return the gate that the address opens, if there is one."""
    gate = context.gates.get(named["connection"])
    return gate if gate is not None and gate.knows_path(named["secret"]) else None


def _ring(context: WebContext, request: Request, body: bytes | None) -> None:
    named = request.path_params
    gate, line = _gate(context, named), context.lines.get(named["connection"])
    if gate is None or line is None:
        raise _Refusal(404, "not-found", "there is no such hook")
    if body is None:
        raise _Refusal(413, "too-long", f"the body is larger than {MOST_BYTES} bytes; send ids only")
    if not gate.admits(request.headers, body):
        raise _Refusal(401, "security", "the secret header or the signature is missing or wrong")
    said = _said(line, request.method, named.get("path", ""), body)
    try:
        context.ring(line.name, _refs(line, said), said)
    except NotKept as error:
        log.warning("a notification was not kept: %s", error, extra={"connection": line.name})
        raise _Refusal(503, "transient", "it could not be kept now; send it again") from None


def _said(line: Line, method: str, path: str, body: bytes) -> Notification:
    try:
        named = read_path(path)
        if named is None and method == "POST":
            return read_body(body, base_url=line.base_url)
    except SourceError as error:
        raise _Refusal(400, "invalid", str(error)) from None
    if named is None:
        raise _Refusal(400, "invalid", f"{method} has to name a resource in its path")
    return Notification(kind=NotificationKind.EVENT, foci=(named,))


def _refs(line: Line, said: Notification) -> list[str]:
    """Return what to read again: the named resources of the types that are read, or all of these types."""
    if said.kind not in (NotificationKind.EVENT, NotificationKind.EVENTS):
        return []
    named = [ref for ref in said.foci if ref.partition("/")[0] in line.types]
    return named if said.complete else [*named, *line.types]


def _outcome(refusal: _Refusal) -> Response:
    issue = {"severity": "error", "code": refusal.code, "diagnostics": refusal.words}
    body = msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
    headers = {"Retry-After": "5"} if refusal.status == 503 else None
    return Response(body, refusal.status, headers, "application/fhir+json")
