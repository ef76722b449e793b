"""
What holds for every request and every response: who may ask, and what a browser may do with the answer.

- ``Host`` must be one of ours, or a page of another site could reach a loopback server by DNS rebinding.
- A request that changes something must come from our own pages: browsers say where a request comes from in
  ``Sec-Fetch-Site`` (W3C Fetch Metadata) and ``Origin``. Programs send neither; a form must send one.
- Headers per OWASP ASVS 5.0, 3.4. ``Referrer-Policy: no-referrer`` makes browsers send ``Origin: null``
  with our own forms, which is why ``Sec-Fetch-Site`` counts first.
- An error nobody expected is logged under an id, without its text, and answered with that id alone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.logs import about
from bridge.web.problems import Problem, log_fault, problem_response

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": POLICY,
}
_FIXED = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
_OURS = frozenset(name for name, _ in _FIXED)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ANY_HOST = frozenset({"/health/live", "/health/ready"})
"""Probes call a server by whatever address they have; what they are told is no secret."""
_HOOKS = "/hooks/"
"""
EHRs call us by the name in their Subscription and show a secret, which no page of another site knows. HAPI 8.0.0
posts an empty notification as a form (seen 2026-11).
"""
_PLAIN_ID = re.compile(r"[0-9a-fA-F-]{16,64}")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


class Guard:
    """ASGI middleware around everything; see the module's docstring."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: frozenset[str], new_id: Callable[[], str]) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.casefold() for host in allowed_hosts}
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        with about(request=request_id):
            await self._answer(scope, receive, _Answer(scope, send, request_id))

    async def _answer(self, scope: Scope, receive: Receive, guarded: _Answer) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await problem_response(refusal)(scope, receive, guarded.send)
            return
        try:
            await self._app(scope, receive, guarded.send)
        except Exception as error:  # noqa: BLE001 - the top of a request: nobody above can answer it better
            fault_id = self._new_id()
            log_fault(error, fault_id)
            if not guarded.started:
                await problem_response(_fault(scope, fault_id))(scope, receive, guarded.send)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if scope["path"].startswith(_HOOKS):
            return None
        if scope["path"] not in _ANY_HOST and _host_name(headers.get("host", "")) not in self._hosts:
            detail = "This server does not answer to that name; see web.allowed_hosts."
            return Problem(status=400, title="Unknown host", detail=detail)
        if scope["method"] not in _SAFE and not _is_ours(headers):
            detail = "Requests that change something are taken from this server's own pages only."
            return Problem(status=403, title="Cross-site request", detail=detail)
        return None


class _Answer:
    """Adds the headers to an answer on its way out, and knows whether one has begun."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope, self._send, self.started = scope, send, False
        self._request_id = request_id.encode()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = self._headers(message["headers"])
        await self._send(message)

    def _headers(self, given: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return *given* with ours; plain lists, as this is done for every notification too."""
        names = {name for name, _ in given}
        headers = [pair for pair in given if pair[0] not in _OURS] if names & _OURS else list(given)
        headers += _FIXED
        headers.append((b"x-request-id", self._request_id))
        if b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        if self._scope.get("scheme") == "https":
            headers.append((b"strict-transport-security", b"max-age=31536000"))
        return headers


def _request_id(headers: Headers) -> str:
    """Return the id that a proxy gave the request, where it is a plain one; nobody's words get into the log by it."""
    given = headers.get("x-request-id", "")
    return given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex


def _fault(scope: Scope, fault_id: str) -> Problem:
    status, title = (503, "Not ready") if scope["path"] in _ANY_HOST else (500, "Internal error")
    return Problem(status=status, title=title, id=fault_id)


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_ours(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    return not headers.get("content-type", "").startswith(_FORMS)
