"""
A relay between Bridge and a real server, so that something can happen just before the server gets a request.

What passes is not changed. The server is asked under the relay's own name, so the links that it makes lead back
here (HAPI builds them from the ``Host`` header).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}


class Relay:
    """
    Passes requests on to *base_url*.

    Three things may be set at any time. Two are told the method and the path below the FHIR base of a request:
    ``interrupt`` is called before the server gets it, and ``loses`` says whether its answer gets lost. While
    ``cut`` is true nothing gets through. ``passed`` counts the requests that the server answered.
    """

    def __init__(self, base_url: str) -> None:
        self._behind = httpx.URL(base_url)
        self._client = httpx.Client(timeout=60)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port
        self.base_url = f"http://127.0.0.1:{self.port}{self._behind.path}"
        self.passed = 0
        self.be_quiet()

    def be_quiet(self) -> None:
        """Let everything pass."""
        self.cut = False
        self.interrupt: Callable[[str, str], None] = lambda method, path: None
        self.loses: Callable[[str, str], bool] = lambda method, path: False

    def serve(self) -> None:
        """Answer until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.close()

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """Send a request to the server behind, and return its answer unless one of the two gets lost or it is away."""
        if self.cut:
            return None
        below = path.removeprefix(self._behind.path).lstrip("/")
        self.interrupt(method, below)
        url = self._behind.copy_with(raw_path=path.encode())
        try:
            answer = self._client.request(method, url, headers=headers, content=body)
        except httpx.TransportError:
            return None
        self.passed += 1
        return None if self.loses(method, below) else answer


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            answer = relay.pass_on(self.command, self.path, kept, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def relayed(base_url: str) -> Iterator[Relay]:
    """Run a relay in front of *base_url*."""
    relay = Relay(base_url)
    thread = Thread(target=relay.serve, name="relay", daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.close()
        thread.join()
