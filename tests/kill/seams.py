"""
The seams of a real process: every statement, commit and request, counted; before the chosen one it gets a signal.

They stand at the libraries, SQLAlchemy and httpx, so that nothing of Bridge has to know of them. A process
that is to be killed kills itself before the call, so a commit or a request that is to be hit was not made; that it was
made and nobody heard of it is the call after.
"""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, event


def signal_at(call: int, number: int, noted_in: Path) -> None:
    """Make this process signal itself before the so-and-so-many-th call at a seam, and note when."""
    calls = count(1)

    def pass_by(*_: Any, **__: Any) -> None:
        if next(calls) == call:
            noted_in.write_text(str(time.monotonic()))
            os.kill(os.getpid(), number)

    for name in ("before_cursor_execute", "commit", "rollback"):
        event.listen(Engine, name, pass_by)
    send = httpx.HTTPTransport.handle_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        pass_by()
        answer = send(self, request)
        pass_by()
        return answer

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]
