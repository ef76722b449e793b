"""
The seams of a real process: every statement, commit and request, counted; the chosen one is its last moment.

They stand at the libraries, SQLAlchemy and httpx, so that nothing of Bridge has to know of them. The process kills
itself (SIGKILL) before the call, so a commit or a request that is to be hit was not made; that it was made and nobody
heard of it is the call after.
"""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Any

import httpx
from sqlalchemy import Engine, event


def die_at(call: int) -> None:
    """Make this process kill itself before the so-and-so-many-th call at a seam."""
    calls = count(1)

    def pass_by(*_: Any, **__: Any) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "commit", "rollback"):
        event.listen(Engine, name, pass_by)
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        pass_by()
        answer = send(self, request)
        pass_by()
        return answer

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]
