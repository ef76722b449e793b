"""
``/hooks/{connection}/{secret}``: where EHRs ring. Nothing that is sent is believed but which resources it names.

Who may ring: whoever knows the secret in the address, and the secret header or the key of the signature where
these are configured. A notification is made durable before it is answered. It is answered with 204: HAPI 8.0.0
takes a topic Bundle that is answered with an OperationOutcome for undelivered, and sends it fourteen times
(HAPI-1814, seen 2026-11); for the classic forms 204 is as good as any answer. What is refused is refused with
an OperationOutcome.

Event Grid asks for a code back before it sends anything, and a sender of CloudEvents whether it may (their
documentation, 2022; CloudEvents HTTP webhook 1.0, section 4): whoever knows the address is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from bridge.errors import SourceError
from bridge.fhir.events import validation_code
from bridge.fhir.hook import TooLarge, UnknownEncoding, named_by_headers, plain_body, read_body, read_path
from bridge.fhir.notification import Notification, NotificationKind, decode
from bridge.sync.line import Line
from bridge.sync.notify import NotKept
from bridge.web.context import WebContext
from bridge.web.gate import Gate

MOST_BYTES = 8 * 1024 * 1024
"""A notification with full resources may be large; what is larger is better fetched (rule ours)."""

MOST_AT_ONCE = 64 * 1024
"""Bytes that are checked and read at once, while other requests wait; larger bodies get a thread."""

_METHODS = ("POST", "PUT", "DELETE")
_OTHERS = ("GET", "HEAD", "OPTIONS", "PATCH")
_ASKS = "webhook-request-origin"
"""By which a sender of CloudEvents asks for leave."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Refusal(Exception):
    status: int
    code: str
    words: str
    headers: Mapping[str, str] = field(default_factory=dict)


def router(context: WebContext) -> APIRouter:
    """Return the route: a plain ASGI one, for FastAPI's own cost five times as much (measured 2026-11)."""
    hooks, waiting = APIRouter(), _Waiting(context.patience_seconds)

    async def ring(request: Request) -> Response:
        try:
            return await _ring(context, waiting, request)
        except _Refusal as refusal:
            connection = request.path_params.get("connection", "")
            if connection in context.lines:
                context.rings.refused(connection, refusal.status)
            return _outcome(refusal)

    for address in ("/hooks/{connection}/{secret}{path:path}", "/hooks/{path:path}"):
        hooks.add_route(address, ring, methods=[*_METHODS, *_OTHERS], include_in_schema=False)
    return hooks


def _gate(context: WebContext, named: Mapping[str, str]) -> Gate | None:
    """Return the gate that the address opens, if there is one."""
    gate = context.gates.get(named.get("connection", ""))
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


async def _ring(context: WebContext, waiting: _Waiting, request: Request) -> Response:
    """Answer once what was sent is durable; until then only this request waits, and no thread does."""
    named = request.path_params
    gate, line = _gate(context, named), context.lines.get(named.get("connection", ""))
    if gate is None or line is None:
        raise _Refusal(404, "not-found", "there is no such hook")
    if request.method not in _METHODS:
        answer = _not_a_ring(request)
        context.rings.asked(line.name)
        return answer
    body = await _body(request)
    if len(body) > MOST_AT_ONCE or "content-encoding" in request.headers:
        said = await run_in_threadpool(_said, gate, line, request, body)
    else:
        said = _said(gate, line, request, body)
    if isinstance(said, Response):
        context.rings.asked(line.name)
        return said
    try:
        await waiting.till_kept(context.ring(line.name, _refs(line, said), said))
    except NotKept as error:
        log.warning("a notification was not kept: %s", error, extra={"connection": line.name})
        words = "it could not be kept now; send it again"
        raise _Refusal(503, "transient", words, {"Retry-After": "5"}) from None
    context.rings.kept(line.name, said.kind)
    return Response(status_code=204)


def _not_a_ring(request: Request) -> Response:
    origin = request.headers.get(_ASKS)
    if request.method == "OPTIONS" and origin is not None:
        return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
    raise _Refusal(405, "not-supported", f"ring with {', '.join(_METHODS)}", {"Allow": ", ".join(_METHODS)})


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


def _said(gate: Gate, line: Line, request: Request, body: bytes) -> Notification | Response:
    """Return what was said by whoever may say it, or the answer to a question that rings for nothing."""
    if not gate.admits(request.headers, body):
        raise _Refusal(401, "security", "the secret header or the signature is missing or wrong")
    try:
        plain = plain_body(body, request.headers.get("content-encoding", ""), MOST_BYTES)
        code = validation_code(decode(plain)) if _is_asked(request) else None
        if code is not None:
            return Response(msgspec.json.encode({"validationResponse": code}), media_type="application/json")
        return _read(line, request, plain)
    except TooLarge:
        raise _Refusal(413, "too-long", f"the body is larger than {MOST_BYTES} bytes; send ids only") from None
    except UnknownEncoding:
        words = "the body is compressed in a way that is not understood; send gzip or none"
        raise _Refusal(415, "not-supported", words, {"Accept-Encoding": "gzip"}) from None
    except SourceError as error:
        if "xml" in request.headers.get("content-type", "").lower():
            raise _Refusal(415, "not-supported", "XML is not read; ask for application/fhir+json") from None
        raise _Refusal(400, "invalid", str(error)) from None


def _is_asked(request: Request) -> bool:
    return request.headers.get("aeg-event-type") == "SubscriptionValidation"


def _read(line: Line, request: Request, body: bytes) -> Notification:
    named = named_by_headers(request.headers) or read_path(request.path_params.get("path", ""))
    if named is not None and ("/" in named or request.method != "POST" or not body.strip()):
        return Notification(kind=NotificationKind.EVENT, foci=(named,))
    if request.method == "DELETE" or (request.method == "PUT" and not body.strip()):
        raise _Refusal(400, "invalid", f"{request.method} has to name a resource in its path")
    try:
        return read_body(body, base_url=line.base_url)
    except SourceError:
        if named is None:
            raise
        # What cannot be read was rung for the whole type that the address names.
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
    return Response(body, refusal.status, dict(refusal.headers), "application/fhir+json")
