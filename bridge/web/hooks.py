"""
``/hooks/{connection}/{secret}``: where EHRs ring. Nothing that is sent is believed but which resources it names.

Who may ring: whoever knows the secret in the address, and the secret header or the key of the signature where
these are configured. A notification is made durable before it is answered. It is answered with 204: HAPI 8.0.0
takes a topic Bundle that is answered with an OperationOutcome for undelivered, and sends it fourteen times
(HAPI-1814, seen 2026-11); for the classic forms 204 is as good as any answer. What is refused is refused with
an OperationOutcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from bridge.errors import SourceError
from bridge.fhir.notification import Notification, NotificationKind, read_body, read_path
from bridge.sync.line import Line
from bridge.sync.notify import NotKept
from bridge.web.context import WebContext
from bridge.web.gate import Gate

MOST_BYTES = 8 * 1024 * 1024
"""A notification with full resources may be large; what is larger is better fetched (rule ours)."""

MOST_AT_ONCE = 64 * 1024
"""Bytes that are checked and read at once, while other requests wait; larger bodies get a thread."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Refusal(Exception):
    status: int
    code: str
    words: str


def router(context: WebContext) -> APIRouter:
    """Return the route: a plain ASGI one, for FastAPI's own cost five times as much (measured 2026-11)."""
    hooks, waiting = APIRouter(), _Waiting(context.patience_seconds)

    async def ring(request: Request) -> Response:
        try:
            await _ring(context, waiting, request)
        except _Refusal as refusal:
            return _outcome(refusal)
        return Response(status_code=204)

    address = "/hooks/{connection}/{secret}{path:path}"
    hooks.add_route(address, ring, methods=["POST", "PUT", "DELETE"], include_in_schema=False)
    return hooks


def _gate(context: WebContext, named: Mapping[str, str]) -> Gate | None:
    """Return the gate that the address opens, if there is one."""
    gate = context.gates.get(named["connection"])
    return gate if gate is not None and gate.knows_path(named["secret"]) else None


class _Waiting:
    """
    Wakes an event loop once for each commit, however many requests wait for it.

    Woken for each of them, loop and committing thread took the interpreter from each other again and again:
    at 1,000 notifications a second most of the time to an answer was that (measured 2026-11).
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._last: tuple[Future[None], asyncio.Future[None]] | None = None

    async def till_kept(self, kept: Future[None]) -> None:
        """
        Return when *kept* is done.

        Raises:
            NotKept: It failed, or was not done in time.
        """
        if self._last is None or self._last[0] is not kept:
            self._last = (kept, asyncio.wrap_future(kept))
        here = self._last[1]
        await asyncio.wait((here,), timeout=self._patience_seconds)
        if not here.done():
            raise NotKept(f"not durable after {self._patience_seconds} s")
        here.result()


async def _ring(context: WebContext, waiting: _Waiting, request: Request) -> None:
    """Return once what was sent is durable; until then only this request waits, and no thread does."""
    named = request.path_params
    gate, line = _gate(context, named), context.lines.get(named["connection"])
    if gate is None or line is None:
        raise _Refusal(404, "not-found", "there is no such hook")
    body = await _body(request)
    if len(body) > MOST_AT_ONCE:
        said = await run_in_threadpool(_said, gate, line, request, body)
    else:
        said = _said(gate, line, request, body)
    try:
        await waiting.till_kept(context.ring(line.name, _refs(line, said), said))
    except NotKept as error:
        log.warning("a notification was not kept: %s", error, extra={"connection": line.name})
        raise _Refusal(503, "transient", "it could not be kept now; send it again") from None


async def _body(request: Request) -> bytes:
    """Return the body; what is too large is not read to its end."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise _Refusal(413, "too-long", f"the body is larger than {MOST_BYTES} bytes; send ids only")
        parts.append(part)
    return b"".join(parts)


def _said(gate: Gate, line: Line, request: Request, body: bytes) -> Notification:
    """Return what was said by whoever may say it."""
    if not gate.admits(request.headers, body):
        raise _Refusal(401, "security", "the secret header or the signature is missing or wrong")
    return _read(line, request.method, request.path_params.get("path", ""), body)


def _read(line: Line, method: str, path: str, body: bytes) -> Notification:
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
