"""The simulated EHR as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import parse_qsl

from conformance.simulator.simulator import Simulator
from conformance.simulator.wire import Answer, FhirError, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BASE_PATH = "/fhir"
_UNENCODED = frozenset(b'|"<>\\^`{}')


def application(simulator: Simulator) -> Application:
    """Return an ASGI application that serves *simulator* below ``/fhir``."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"the simulated EHR does not speak {scope['type']}")
        request = _request(scope, await _body(receive))
        with _refused(scope) or simulator.serving(request) as answer:
            if answer.wait_seconds:
                await asyncio.sleep(answer.wait_seconds)
            if answer.hang_up:
                await _hang_up(receive, send)
            else:
                await _send(answer, scope["method"], send)

    return serve


def _refused(scope: Scope) -> AbstractContextManager[Answer] | None:
    """Return the answer to what does not reach the FHIR server at all."""
    path = scope["path"]
    if path != BASE_PATH and not path.startswith(f"{BASE_PATH}/"):
        return nullcontext(FhirError(404, "not-found", f"The FHIR base is {BASE_PATH}").answer())
    if _UNENCODED.intersection(scope["query_string"]):
        # Tomcat, and so HAPI, refuses these characters unless they are percent-encoded (RFC 3986).
        return nullcontext(FhirError(400, "invalid", 'Percent-encode | " < > \\ ^ ` { } in a query').answer())
    return None


def _request(scope: Scope, body: bytes) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    base = f"{scope['scheme']}://{headers.get('host', 'localhost')}{BASE_PATH}"
    path = scope["path"].removeprefix(BASE_PATH).strip("/")
    return Request(scope["method"], path, tuple(query), headers, body, base)


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send(answer: Answer, method: str, send: Send) -> None:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection without a status line.

    ASGI has no message for this; uvicorn's ``send`` is a method of the object that holds the transport.
    Where there is none, the answer breaks off in its body, which a client cannot read either.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            continue
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
