"""
The FHIR client: what every request to an EHR has in common, and the one place that translates HTTP errors.

Reads are repeated here, a few times, while the server is busy or away. Writes never are: one that got no
answer may have happened (``OutcomeUnknown``), and only its sender knows how to look.

Rules: FHIR R4 http.html. Where servers are known to depart from it, the line says which and when.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TypeVar
from urllib.parse import urljoin

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    Gone,
    Moved,
    NotFound,
    OutcomeUnknown,
    PutOff,
    Refused,
    RemoteError,
    ServerFault,
    SourceError,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.answers import Written, parse_http_date, read_retry_after, read_written
from bridge.fhir.auth import Auth, NoAuth
from bridge.fhir.bundle import BundlePage, received, split
from bridge.fhir.capability import Capability, parse_capability
from bridge.fhir.network import Transport, inflated, out_of_time, time_limit
from bridge.fhir.outcome import Outcome, parse_outcome
from bridge.fhir.query import encode, escape, refuse_ignored
from bridge.fhir.reference import inside_base, parse_reference
from bridge.fhir.source import SourceVersion

__all__ = ["Endpoint", "FhirClient", "SearchPage", "Written", "escape"]

SearchPage = BundlePage

FHIR_JSON = "application/fhir+json"
MOST_ISSUES = 5
"""How many issues of an OperationOutcome an error tells (rule ours)."""

_T = TypeVar("_T")


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
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class FhirClient:
    """
    One EHR's REST API. Safe to share between threads.

    Args:
        clock: Our clock (aware UTC), for ``Retry-After`` dates.
        sleep: Waits that many seconds between two tries of a read.
        transport: Another way to send than the network; for tests of what a network can do.
        turn: Holds back every request until the server may be asked, and is told how it ended.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._clock, self._sleep, self._turn = clock, sleep, turn
        self._http = httpx.Client(
            timeout=endpoint.timeout_seconds,
            transport=transport or Transport(),
            follow_redirects=False,
            trust_env=False,
            headers={**endpoint.headers, "Accept": FHIR_JSON, "Accept-Encoding": "gzip", "User-Agent": "bridge"},
        )

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back every connection."""
        self._http.close()

    # Reading ----------------------------------------------------------------------------------------------

    def capability(self) -> Capability:
        """Return the server's CapabilityStatement."""
        return self._get(f"{self._base}/metadata", "metadata", self._as_capability)

    def read(self, ref: str) -> SourceVersion:
        """
        Return the current version of ``Type/id``.

        Raises:
            NotFound, Gone: It is not there; ``Gone`` when the server knows that it was deleted.
            Moved: It was merged into another, by a redirect there; that is not followed.
        """

        def check(answer: _Answer) -> SourceVersion:
            version = received(answer.body)
            if version.issue is not None or version.ref != ref:
                raise ServerFault(f"GET {ref} was answered with something else", status=answer.status)
            return version

        return self._get(f"{self._base}/{ref}", ref, check)

    def search(self, kind: str, params: Sequence[tuple[str, str]], *, critical: Sequence[str] = ()) -> SearchPage:
        """
        Return the first page of a search.

        Args:
            critical: Parameters whose being ignored makes the answer unsafe.

        Raises:
            UnsafeAnswer: The server says, or its self link shows, that it ignored a critical parameter.
        """
        url = f"{self._base}/{kind}?{encode(params)}" if params else f"{self._base}/{kind}"
        page = self._page(url, f"search of {kind}")
        refuse_ignored(page, f"search of {kind}", params, critical)
        return page

    def next_page(self, url: str) -> SearchPage:
        """
        Follow a next link.

        Raises:
            UnsafeAnswer: The link leads off the connection's base.
            CursorExpired: The server does not serve the link any longer.
        """
        absolute = self._joined(url)
        if absolute is None or not inside_base(absolute, self._base):
            raise UnsafeAnswer(f"{self.endpoint.name}: a next link leads off the base URL; it was not followed")
        try:
            return self._page(absolute, "next page")
        except Refused as error:
            if error.status in (400, 404, 410):
                raise CursorExpired("the next link expired", status=error.status, issues=error.issues) from None
            raise

    def batch_read(self, refs: Iterable[str]) -> tuple[SourceVersion, ...]:
        """Return those of *refs* that a search by ``_id`` finds, each once; absence proves nothing."""
        by_type: dict[str, list[str]] = {}
        for ref in dict.fromkeys(refs):
            kind, _, own_id = ref.partition("/")
            by_type.setdefault(kind, []).append(own_id)
        found: list[SourceVersion] = []
        for kind, ids in by_type.items():
            for start in range(0, len(ids), self.endpoint.ids_per_search):
                found += self._by_ids(kind, ids[start : start + self.endpoint.ids_per_search])
        return tuple(found)

    def _by_ids(self, kind: str, ids: Sequence[str]) -> list[SourceVersion]:
        page = self.search(kind, [("_id", ",".join(ids)), ("_count", str(len(ids)))], critical=("_id",))
        found = {entry.id: entry for entry in page.entries if entry.type == kind}
        for _ in ids:
            if page.next_url is None or found.keys() >= {*ids}:
                break
            page = self.next_page(page.next_url)
            found.update({entry.id: entry for entry in page.entries if entry.type == kind})
        return [found[own_id] for own_id in ids if own_id in found]

    def count(self, kind: str, params: Sequence[tuple[str, str]] = ()) -> int | None:
        """Return how many resources a search would find, where the server tells."""
        page = self._page(f"{self._base}/{kind}?{encode([*params, ('_summary', 'count')])}", f"count of {kind}")
        return page.total

    def ask(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return what an operation answers that changes nothing (``Subscription/1/$status``), as it came."""
        return self._get(f"{self._base}/{path}?{encode(params)}".rstrip("?"), path, lambda answer: answer.body)

    def _page(self, url: str, what: str) -> SearchPage:
        return self._get(url, what, lambda answer: self._as_page(answer, what))

    def _as_page(self, answer: _Answer, what: str) -> SearchPage:
        try:
            page = split(answer.body)
        except SourceError as error:
            issues = (parse_outcome(answer.body) or Outcome()).summary()[:MOST_ISSUES]
            raise ServerFault(f"{what}: {error}", status=answer.status, issues=issues) from None
        for outcome in page.outcomes:
            if outcome.is_error:
                raise ServerFault(
                    f"{what}: the server reports an error inside its answer",
                    status=answer.status,
                    issues=outcome.summary()[:MOST_ISSUES],
                )
        return msgspec.structs.replace(page, server_at=parse_http_date(answer.headers.get("Date")))

    def _as_capability(self, answer: _Answer) -> Capability:
        try:
            return parse_capability(answer.body)
        except SourceError as error:
            raise ServerFault(f"{self.endpoint.name}: {error}", status=answer.status) from None

    def _joined(self, url: str) -> str | None:
        """Return a link as an absolute URL (some servers give relative ones), ``None`` where it is none."""
        try:
            return urljoin(f"{self._base}/", url)
        except ValueError:
            return None

    def _get(self, url: str, what: str, read: Callable[[_Answer], _T]) -> _T:
        """Ask until there is an answer that *read* can use: what is cut short or no FHIR is asked for again."""
        headers = {"Cache-Control": "no-cache"}
        retrying = Retrying(
            retry=retry_if_exception_type((Unreachable, Throttled, ServerFault)),
            stop=stop_after_attempt(self.endpoint.attempts) | stop_after_delay(self.endpoint.total_seconds),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(lambda: read(self._send("GET", url, what, headers=headers)))

    def _wait(self, state: RetryCallState) -> float:
        """Return how long to wait; gives up at once where the server asks for more than our patience."""
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, PutOff):
            raise error
        if isinstance(error, Throttled) and error.retry_at is not None:
            asked = (error.retry_at - self._clock()).total_seconds()
            if asked > self.endpoint.patience_seconds:
                raise error
            return max(0.0, asked)
        return min(0.2 * 2.0 ** (state.attempt_number - 1), self.endpoint.patience_seconds)

    # Writing ----------------------------------------------------------------------------------------------

    def create(self, kind: str, body: bytes, *, if_none_exist: str | None = None) -> Written:
        """
        Create a resource, conditionally where *if_none_exist* gives a search (FHIR R4 http.html#ccreate).

        Raises:
            Refused: 412: several resources fit the condition; or the server does not want it.
            VersionConflict: 409: another create of the same thing is under way (HAPI 8.0.0, seen 2026-11).
            OutcomeUnknown: No answer: it may have been created.
        """
        headers = {"If-None-Exist": if_none_exist} if if_none_exist is not None else {}
        return self._write("POST", kind, body, headers, f"create of {kind}")

    def update(self, ref: str, body: bytes, *, if_match: str | None = None, create_only: bool = False) -> Written:
        """
        Write ``Type/id`` whole: over version *if_match*, or new with an id of ours (*create_only*).

        Raises:
            VersionConflict: 409 or 412: somebody else wrote first.
            OutcomeUnknown: No answer: it may have been written.
        """
        headers = {"If-Match": f'W/"{if_match}"'} if if_match is not None else {}
        if create_only:
            headers["If-None-Match"] = "*"
        return self._write("PUT", ref, body, headers, f"update of {ref}")

    def delete(self, ref: str) -> None:
        """
        Delete ``Type/id``.

        Raises:
            NotFound, Gone: It is not there; as good as deleted.
            OutcomeUnknown: No answer: it may have been deleted. Deleting once more does no harm.
        """
        self._send("DELETE", f"{self._base}/{ref}", f"delete of {ref}", headers={})

    def _write(self, method: str, path: str, body: bytes, headers: dict[str, str], what: str) -> Written:
        headers = {**headers, "Content-Type": FHIR_JSON, "Prefer": "return=representation"}
        answer = self._send(method, f"{self._base}/{path}", what, headers=headers, body=body)
        kind, _, own_id = path.partition("/")
        written = read_written(answer.status, answer.headers, answer.body, kind, path if own_id else None)
        if written is None:
            raise OutcomeUnknown(f"{what}: answered {answer.status} without saying where", status=answer.status)
        return written

    # One request ------------------------------------------------------------------------------------------

    def _send(self, method: str, url: str, what: str, *, headers: dict[str, str], body: bytes | None = None) -> _Answer:
        with self._turn():
            return self._sent(method, url, what, headers, body)

    def _sent(self, method: str, url: str, what: str, headers: dict[str, str], body: bytes | None) -> _Answer:
        answer = self._exchange(method, url, what, headers, body)
        if answer.status == 401 and self.endpoint.auth.refresh():
            answer = self._exchange(method, url, what, headers, body)
        if 200 <= answer.status < 300:
            return answer
        raise self._error(answer, method, what)

    def _exchange(self, method: str, url: str, what: str, headers: dict[str, str], body: bytes | None) -> _Answer:
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
                return _Answer(response.status_code, response.headers, self._body(response, what))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{what}: no connection to {self._base} ({_in_words(error)})") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
            raise Refused(f"{what}: this cannot be sent ({type(error).__name__})") from None
        except (httpx.HTTPError, ServerFault, UnsafeAnswer) as error:
            if writes:
                raise OutcomeUnknown(f"{what}: sent, but no whole answer came ({type(error).__name__})") from None
            if isinstance(error, RemoteError):
                raise
            raise ServerFault(f"{what}: the answer broke off ({type(error).__name__})") from None

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

    def _moved_to(self, answer: _Answer, ref: str) -> str | None:
        """Return which other resource of its type a redirect of *ref* leads to, where that is on this server."""
        url = self._joined(answer.headers.get("Location", ""))
        to = parse_reference(url, self._base).ref if url is not None else None
        return to if to is not None and to != ref and to.partition("/")[0] == ref.partition("/")[0] else None

    def _error(self, answer: _Answer, method: str, what: str) -> RemoteError:
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
