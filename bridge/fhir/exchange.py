"""
One request to an EHR and its answer: sent once, bounded in size and time, with every failure in our own terms.

The one place where a status, or an error of the network, becomes one of ours. Rules: FHIR R4 http.html. Where servers
are known to depart from it, the line says which and when.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urljoin

import httpx

from bridge.errors import (
    AuthExpired,
    Gone,
    Moved,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    ServerFault,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.answers import read_retry_after
from bridge.fhir.auth import Auth, NoAuth
from bridge.fhir.network import Transport, inflated, out_of_time, time_limit
from bridge.fhir.outcome import Outcome, parse_outcome
from bridge.fhir.reference import parse_reference

FHIR_JSON = "application/fhir+json"
MOST_ISSUES = 5
"""How many issues of an OperationOutcome an error tells (rule ours)."""


@dataclass(frozen=True)
class Endpoint:
    """
    Where an EHR is and how patient we are with it.

    ``timeout_seconds`` bounds each wait for the network, ``total_seconds`` a whole exchange, ``max_body_bytes``
    its answer's size. ``attempts`` is how often one read is tried (never anew after ``total_seconds``),
    ``patience_seconds`` how long it may wait in between; a server that asks for more gets ``Throttled``.
    ``headers`` are sent with every request beside the usual ones.
    """

    name: str
    base_url: str
    auth: Auth = field(default_factory=NoAuth)
    timeout_seconds: float = 30.0
    total_seconds: float = 60.0
    max_body_bytes: int = 50 * 1024 * 1024
    attempts: int = 4
    patience_seconds: float = 20.0
    ids_per_search: int = 50
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: httpx.Headers
    body: bytes


class Exchange:
    """
    The way to one EHR. Safe to share between threads.

    Args:
        clock: Our clock (aware UTC), for ``Retry-After`` dates.
        transport: Another way to send than the network; for tests of what a network can do.
        turn: Holds back every request until the server may be asked, and is told how it ended.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.endpoint = endpoint
        self.base = endpoint.base_url.rstrip("/")
        self._clock, self._turn = clock, turn
        self._http = httpx.Client(
            timeout=endpoint.timeout_seconds,
            transport=transport or Transport(),
            follow_redirects=False,
            trust_env=False,
            headers={**endpoint.headers, "Accept": FHIR_JSON, "Accept-Encoding": "gzip", "User-Agent": "bridge"},
        )

    def close(self) -> None:
        """Give back every connection."""
        self._http.close()

    def joined(self, url: str) -> str | None:
        """Return a link as an absolute URL (some servers give relative ones), ``None`` where it is none."""
        try:
            return urljoin(f"{self.base}/", url)
        except ValueError:
            return None

    def send(self, method: str, url: str, what: str, *, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """
        Send one request and return its answer, where that is a success (2xx).

        Args:
            what: What it is about, for the words of errors.

        Raises:
            RemoteError: Which kind says what to do about it; see ``bridge.errors``.
        """
        with self._turn():
            return self._sent(method, url, what, headers, body)

    def _sent(self, method: str, url: str, what: str, headers: dict[str, str], body: bytes | None) -> Answer:
        answer = self._exchange(method, url, what, headers, body)
        if answer.status == 401 and self.endpoint.auth.refresh():
            answer = self._exchange(method, url, what, headers, body)
        if 200 <= answer.status < 300:
            return answer
        raise self._error(answer, method, what)

    def _exchange(self, method: str, url: str, what: str, headers: dict[str, str], body: bytes | None) -> Answer:
        writes = method != "GET"
        headers = {**headers, "X-Request-Id": str(uuid.uuid4())}
        authorization = self.endpoint.auth.header()
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            with (
                time_limit(self.endpoint.total_seconds),
                self._http.stream(method, url, headers=headers, content=body) as response,
            ):
                return Answer(response.status_code, response.headers, self._body(response, what))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{what}: no connection to {self.base} ({_in_words(error)})") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
            raise Refused(f"{what}: this cannot be sent ({type(error).__name__})") from None
        except (httpx.HTTPError, ServerFault, UnsafeAnswer) as error:
            if writes:
                raise OutcomeUnknown(f"{what}: sent, but no whole answer came ({type(error).__name__})") from None
            if isinstance(error, RemoteError):
                raise
            late = isinstance(error, httpx.TimeoutException)
            said = "no answer in time" if late else f"the answer broke off ({type(error).__name__})"
            raise ServerFault(f"{what}: {said}") from None

    def _body(self, response: httpx.Response, what: str) -> bytes:
        """Read an answer, bounded in size and time."""
        chunks, size = [], 0
        for chunk in inflated(response):
            chunks.append(chunk)
            size += len(chunk)
            if size > self.endpoint.max_body_bytes:
                raise UnsafeAnswer(f"{what}: the answer is larger than {self.endpoint.max_body_bytes} bytes")
            if out_of_time():
                raise ServerFault(f"{what}: the answer took longer than {self.endpoint.total_seconds:g} s")
        return b"".join(chunks)

    def _moved_to(self, answer: Answer, ref: str) -> str | None:
        """Return which other resource of its type a redirect of *ref* leads to, where that is on this server."""
        url = self.joined(answer.headers.get("Location", ""))
        to = parse_reference(url, self.base).ref if url is not None else None
        return to if to is not None and to != ref and to.partition("/")[0] == ref.partition("/")[0] else None

    def _error(self, answer: Answer, method: str, what: str) -> RemoteError:
        """Return the error that an answer means: the one place where a status becomes an error."""
        outcome = parse_outcome(answer.body) or Outcome()
        moved_to = self._moved_to(answer, what) if method == "GET" and answer.status in (301, 308) else None
        issues, status = outcome.summary()[:MOST_ISSUES], answer.status
        told = f"{what}: answered {status}" + (f" ({'; '.join(issues)})" if issues else "") + _NEEDS.get(status, "")
        retry_at = read_retry_after(answer.headers, self._clock())
        if status == 429 or (status == 503 and retry_at is not None):
            return Throttled(told, retry_at=retry_at, status=status, issues=issues)
        if status == 401:
            return AuthExpired(told, status=status, issues=issues)
        if status == 409 or (status == 412 and method == "PUT"):
            return VersionConflict(told, status=status, issues=issues)
        if status == 408 or (status >= 500 and status != 501):
            # A proxy's 502 may hide a write that was done; 503 and 408 say that nothing was begun.
            unsure = method != "GET" and status not in (408, 503)
            return (OutcomeUnknown if unsure else ServerFault)(told, status=status, issues=issues)
        if moved_to is not None:
            return Moved(f"{told}: merged into {moved_to}", ref=moved_to, status=status, issues=issues)
        if status < 400:
            return Refused(f"{what}: answered {status}; redirects are not followed", status=status, issues=issues)
        return {404: NotFound, 410: Gone}.get(status, Refused)(told, status=status, issues=issues)


_NEEDS = {
    401: "; the EHR does not accept our credentials: check auth and its secrets",
    403: "; Bridge lacks a permission there: give its client the scope",
}
"""What a person has to do where asking again cannot help."""


def _in_words(error: httpx.TransportError) -> str:
    """Return what the network said, without the numbers that only its programmers know."""
    said = re.sub(r"^\[Errno -?\d+\] |\[SSL[^\]]*\] | \(_ssl\.c:\d+\)", "", str(error))
    return said or ("no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__)
