"""A server on a bare socket: whatever bytes a test wants, when it wants them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Script = Callable[[socket.socket, threading.Event], None]


@dataclass
class Wire:
    """A listening port; ``requests`` are the heads and bodies it got, in order."""

    port: int
    over: threading.Event = field(default_factory=threading.Event)
    requests: list[bytes] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """The FHIR base it plays."""
        return f"http://127.0.0.1:{self.port}/fhir"


@contextmanager
def listening(script: Script) -> Iterator[Wire]:
    """
    Serve until the block ends.

    *script* gets each connection once its request is there, and an event that is set when the test is over:
    a script that dawdles waits on that instead of sleeping.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, wire, script), daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            wire.over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", wire.port), timeout=1).close()
            thread.join(5)


def _serve(listener: socket.socket, wire: Wire, script: Script) -> None:
    while not wire.over.is_set():
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            request = _request(connection)
            if not request:
                continue
            wire.requests.append(request)
            with contextlib.suppress(OSError):
                script(connection, wire.over)


def _request(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(OSError):
        while b"\r\n\r\n" not in got:
            more = connection.recv(65536)
            if not more:
                return b""
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body
    return b""


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Return the bytes of an answer; *length* is what it claims, if not the truth."""
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/fhir+json",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
