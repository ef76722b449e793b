"""
The seams between Bridge and the world, where a process may die, somebody else may act, and the network may fail.

Each replica of Bridge has seams of its own. A call at a seam is counted; the one that was chosen kills the
process: it raises ``Crash``, and so does every later one, because a dead process does nothing more. What was
sent to the EHR stays, what was not committed is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import httpx

from bridge.store.port import Store, Tx


class Crash(BaseException):
    """The process is dead. No handler of errors sees it."""


class Seams:
    """Where one process can be hit."""

    def __init__(self) -> None:
        self.dead = False
        self._left: int | None = None

    def arm(self, calls: int) -> None:
        """Kill the process at the so-and-so-many-th call from now."""
        self._left = calls

    def disarm(self) -> None:
        """Let the process live."""
        self._left = None

    def pass_by(self) -> None:
        """
        Go through a seam.

        Raises:
            Crash: This is where the process dies, or it is dead.
        """
        if self._left is not None:
            self._left -= 1
            self.dead = self.dead or self._left <= 0
        if self.dead:
            raise Crash


class SeamStore:
    """A store whose transactions can be hit before they begin, before they commit and after."""

    def __init__(self, inner: Store, seams: Seams) -> None:
        self._inner, self._seams = inner, seams

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Open a transaction; one that is hit before it commits leaves nothing."""
        self._seams.pass_by()
        with self._inner.transaction() as tx:
            yield tx
            self._seams.pass_by()
        self._seams.pass_by()

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """Open a transaction that only reads."""
        self._seams.pass_by()
        with self._inner.reading() as tx:
            yield tx

    def close(self) -> None:
        """Leave the store open: it outlives the process."""


NOT_SENT = ("refused", "no-connection-in-time", "slow-down", "unavailable", "broken", "late")
SENT = ("lost", "bad-gateway", "cut", "login-page", "nothing")


class Network:
    """How bad the way to the EHR is; ``share`` of all requests goes wrong, each in a way of its own."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.share = 0.0

    def trouble(self) -> str | None:
        """Return what goes wrong with the next request, or ``None``."""
        if self._rng.random() >= self.share:
            return None
        return self._rng.choice(NOT_SENT + SENT)


class Wire(httpx.BaseTransport):
    """
    One replica's way to the EHR.

    Args:
        meanwhile: Lets others act: called when a request is about to be sent, and when it was carried out.
    """

    def __init__(self, inner: httpx.BaseTransport, seams: Seams, network: Network, meanwhile: Callable[[], None]):
        self._inner, self._seams, self._network, self._meanwhile = inner, seams, network, meanwhile

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request to the EHR and back, if all goes well."""
        self._seams.pass_by()
        self._meanwhile()
        trouble = self._network.trouble()
        if trouble in NOT_SENT:
            return _unsent(request, trouble)
        answer = self._inner.handle_request(request)
        self._seams.pass_by()
        self._meanwhile()
        return _spoilt(request, answer, trouble) if trouble is not None else answer


def _unsent(request: httpx.Request, trouble: str) -> httpx.Response:
    match trouble:
        case "refused":
            raise httpx.ConnectError("refused", request=request)
        case "no-connection-in-time":
            raise httpx.ConnectTimeout("late", request=request)
        case "slow-down":
            return httpx.Response(429, headers={"Retry-After": "3"}, request=request)
        case "unavailable":
            return httpx.Response(503, request=request)
        case "broken":
            return httpx.Response(500, text="<html>error</html>", request=request)
    raise httpx.ReadTimeout("late", request=request)


def _spoilt(request: httpx.Request, answer: httpx.Response, trouble: str) -> httpx.Response:
    match trouble:
        case "lost":
            raise httpx.ReadTimeout("late", request=request)
        case "bad-gateway":
            return httpx.Response(502, text="<html>502</html>", request=request)
        case "cut":
            return httpx.Response(answer.status_code, content=answer.content[: len(answer.content) // 2])
        case "login-page":
            return httpx.Response(200, headers={"Content-Type": "text/html"}, text="<html>Sign in</html>")
    return httpx.Response(200, request=request)
