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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    Gone,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    ServerFault,
    SourceError,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.auth import Auth, NoAuth
from bridge.fhir.bundle import BundlePage, received, split
from bridge.fhir.capability import Capability, parse_capability
from bridge.fhir.outcome import Issue, Outcome, parse_outcome
from bridge.fhir.reference import inside_base
from bridge.fhir.source import SourceVersion

SearchPage = BundlePage

FHIR_JSON = "application/fhir+json"
LONGEST_RETRY_AFTER = timedelta(hours=1)
"""A server that asks for more is asked again after this (rule ours)."""

_LOCATION = re.compile(r"/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?/?$")
_IGNORED_PARAMETER = frozenset({"4122", "59100", "59109"})
"""Epic's issue codes for a search parameter that was ignored (its error-code list, 2026-07)."""


@dataclass(frozen=True)
class Endpoint:
    """
    Where an EHR is and how patient we are with it.

    ``timeout_seconds`` bounds each wait for the network, ``total_seconds`` a whole answer, ``max_body_bytes``
    its size. ``attempts`` is how often one read is tried, ``patience_seconds`` how long it may wait in
    between; a server that asks for more gets ``Throttled``.
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


@dataclass(frozen=True)
class Written:
    """
    What a server answered to a write.

    ``version`` is from the ETag, else from ``Location``, else from the body; ``None`` where it is in none.
    """

    status: int
    ref: str
    version: str | None
    created: bool
    body: bytes | None


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
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._clock, self._sleep = clock, sleep
        self._http = httpx.Client(
            timeout=endpoint.timeout_seconds,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": FHIR_JSON, "User-Agent": "bridge"},
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
        answer = self._get(f"{self._base}/metadata", "metadata")
        try:
            return parse_capability(answer.body)
        except SourceError as error:
            raise ServerFault(f"{self.endpoint.name}: {error}", status=answer.status) from None

    def read(self, ref: str) -> SourceVersion:
        """
        Return the current version of ``Type/id``.

        Raises:
            NotFound, Gone: It is not there; ``Gone`` when the server knows that it was deleted.
        """
        answer = self._get(f"{self._base}/{ref}", ref)
        version = received(answer.body)
        if version.issue is not None or version.ref != ref:
            raise ServerFault(f"GET {ref} was answered with something else", status=answer.status)
        return version

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
        _refuse_ignored(page, kind, params, critical)
        return page

    def next_page(self, url: str) -> SearchPage:
        """
        Follow a next link.

        Raises:
            UnsafeAnswer: The link leads off the connection's base.
            CursorExpired: The server does not serve the link any longer.
        """
        absolute = url if "://" in url else f"{self._base}/{url.lstrip('/')}"
        if not inside_base(absolute, self._base):
            raise UnsafeAnswer(f"{self.endpoint.name}: a next link leads off the base URL; it was not followed")
        try:
            return self._page(absolute, "next page")
        except Refused as error:
            if error.status in (400, 404, 410):
                raise CursorExpired("the next link expired", status=error.status, issues=error.issues) from None
            raise

    def batch_read(self, refs: Iterable[str]) -> tuple[SourceVersion, ...]:
        """Return those of *refs* (one type) that a search by ``_id`` finds; absence proves nothing."""
        by_type: dict[str, list[str]] = {}
        for ref in refs:
            kind, _, own_id = ref.partition("/")
            by_type.setdefault(kind, []).append(own_id)
        found: list[SourceVersion] = []
        for kind, ids in by_type.items():
            for start in range(0, len(ids), self.endpoint.ids_per_search):
                found += self._by_ids(kind, ids[start : start + self.endpoint.ids_per_search])
        return tuple(found)

    def _by_ids(self, kind: str, ids: Sequence[str]) -> list[SourceVersion]:
        page = self.search(kind, [("_id", ",".join(ids)), ("_count", str(len(ids)))], critical=("_id",))
        wanted = set(ids)
        found = [entry for entry in page.entries if entry.type == kind and entry.id in wanted]
        seen: set[str] = set()
        while page.next_url is not None and page.next_url not in seen:
            seen.add(page.next_url)
            page = self.next_page(page.next_url)
            found += [entry for entry in page.entries if entry.type == kind and entry.id in wanted]
        return found

    def count(self, kind: str, params: Sequence[tuple[str, str]] = ()) -> int | None:
        """Return how many resources a search would find, where the server tells."""
        page = self._page(f"{self._base}/{kind}?{encode([*params, ('_summary', 'count')])}", f"count of {kind}")
        return page.total

    def _page(self, url: str, what: str) -> SearchPage:
        answer = self._get(url, what)
        try:
            page = split(answer.body)
        except SourceError as error:
            raise ServerFault(f"{what}: {error}", status=answer.status) from None
        for outcome in page.outcomes:
            if outcome.is_error:
                raise ServerFault(
                    f"{what}: the server reports an error inside its answer",
                    status=answer.status,
                    issues=outcome.summary(),
                )
        return msgspec.structs.replace(page, server_at=_date(answer.headers.get("Date")))

    def _get(self, url: str, what: str) -> _Answer:
        headers = {"Cache-Control": "no-cache"}
        retrying = Retrying(
            retry=retry_if_exception_type((Unreachable, Throttled, ServerFault)),
            stop=stop_after_attempt(self.endpoint.attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(lambda: self._send("GET", url, what, headers=headers))

    def _wait(self, state: RetryCallState) -> float:
        """Return how long to wait; gives up at once where the server asks for more than our patience."""
        error = state.outcome.exception() if state.outcome is not None else None
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
        answer = self._write("POST", kind, body, headers, f"create of {kind}", create=True)
        return _written(answer, kind, None)

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
        answer = self._write("PUT", ref, body, headers, f"update of {ref}")
        return _written(answer, ref.partition("/")[0], ref)

    def _write(
        self, method: str, path: str, body: bytes, headers: dict[str, str], what: str, *, create: bool = False
    ) -> _Answer:
        headers = {**headers, "Content-Type": FHIR_JSON, "Prefer": "return=representation"}
        return self._send(method, f"{self._base}/{path}", what, headers=headers, body=body, create=create)

    # One request ------------------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        url: str,
        what: str,
        *,
        headers: dict[str, str],
        body: bytes | None = None,
        create: bool = False,
    ) -> _Answer:
        answer = self._exchange(method, url, what, headers, body)
        if answer.status == 401 and self.endpoint.auth.refresh():
            answer = self._exchange(method, url, what, headers, body)
        if 200 <= answer.status < 300:
            return answer
        raise self._error(answer, method, what, create=create)

    def _exchange(self, method: str, url: str, what: str, headers: dict[str, str], body: bytes | None) -> _Answer:
        writes = method != "GET"
        headers = {**headers, "X-Request-Id": str(uuid.uuid4())}
        authorization = self.endpoint.auth.header()
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            with self._http.stream(method, url, headers=headers, content=body) as response:
                return _Answer(response.status_code, response.headers, self._body(response, what))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{what}: no connection to {self.endpoint.name} ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL, ServerFault) as error:
            if writes:
                raise OutcomeUnknown(f"{what}: sent, but no whole answer came ({type(error).__name__})") from None
            if isinstance(error, ServerFault):
                raise
            raise ServerFault(f"{what}: the answer broke off ({type(error).__name__})") from None

    def _body(self, response: httpx.Response, what: str) -> bytes:
        """Read an answer, bounded in size and time."""
        deadline = time.monotonic() + self.endpoint.total_seconds
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > self.endpoint.max_body_bytes:
                raise ServerFault(f"{what}: the answer is larger than {self.endpoint.max_body_bytes} bytes")
            if time.monotonic() > deadline:
                raise ServerFault(f"{what}: the answer took longer than {self.endpoint.total_seconds:g} s")
        return b"".join(chunks)

    def _error(self, answer: _Answer, method: str, what: str, *, create: bool) -> RemoteError:
        """Return the error that an answer means: the one place where a status becomes an error."""
        outcome = parse_outcome(answer.body) or Outcome()
        issues, status = outcome.summary(), answer.status
        told = f"{what}: answered {status}" + (f" ({'; '.join(issues)})" if issues else "")
        retry_at = _retry_at(answer.headers.get("Retry-After"), self._clock())
        if status == 429 or (status == 503 and retry_at is not None):
            return Throttled(told, retry_at=retry_at, status=status, issues=issues)
        if status == 401:
            return AuthExpired(told, status=status, issues=issues)
        if status == 409 or (status == 412 and not create):
            return VersionConflict(told, status=status, issues=issues)
        if status >= 500:
            unsure = method != "GET" and status in (500, 502, 504)
            return (OutcomeUnknown if unsure else ServerFault)(told, status=status, issues=issues)
        if 300 <= status < 400:
            return Refused(f"{what}: a redirect was not followed", status=status, issues=issues)
        kind = {404: NotFound, 410: Gone}.get(status, Refused)
        return kind(told, status=status, issues=issues)


def encode(params: Sequence[tuple[str, str]]) -> str:
    """Return search parameters as a query, everything encoded that servers trip over (``|``, ``+``, ``:``)."""
    return "&".join(f"{quote(name, safe='_-.:')}={quote(value, safe='')}" for name, value in params)


def escape(value: str) -> str:
    """Escape a value within a search parameter (FHIR R4 search.html#escaping)."""
    return re.sub(r"([\\,$|])", r"\\\1", value)


def _refuse_ignored(page: SearchPage, kind: str, params: Sequence[tuple[str, str]], critical: Sequence[str]) -> None:
    """
    Refuse an answer to a search whose filter the server says, or shows, that it ignored.

    A filter that was ignored gives too much, or a scan that never ends; either way what is missing from it
    means nothing (FHIR R4 search.html#errors: servers should process on and say so).
    """
    for outcome in page.outcomes:
        for issue in outcome.issues:
            if any(_is_about(issue, name) for name in critical):
                raise UnsafeAnswer(f"search of {kind}: the server ignored a filter", issues=outcome.summary())
    if not critical or page.self_url is None:
        return
    shown = {name for name, _ in parse_qsl(urlsplit(page.self_url).query, keep_blank_values=True)}
    sent = {name for name, _ in params}
    lost = [name for name in critical if name not in shown]
    if shown & sent and lost:
        raise UnsafeAnswer(f"search of {kind}: the self link lacks {', '.join(lost)}: the filter was ignored")


def _is_about(issue: Issue, name: str) -> bool:
    if _IGNORED_PARAMETER.intersection(issue.details) or issue.code == "not-supported":
        return name in issue.mentions or not issue.mentions
    return False


def _written(answer: _Answer, kind: str, ref: str | None) -> Written:
    """Read a write's answer: 201 with an empty body, and ``Location`` without ``_history``, are common."""
    location = _LOCATION.search(urlsplit(answer.headers.get("Location", "")).path)
    body = received(answer.body) if answer.body else None
    usable = body is not None and body.issue is None and body.type == kind
    if ref is None and location is not None:
        ref = f"{location[1]}/{location[2]}"
    if ref is None and usable and body is not None:
        ref = body.ref
    if ref is None:
        raise OutcomeUnknown(f"create of {kind}: answered {answer.status} without saying where", status=answer.status)
    version = parse_etag(answer.headers.get("ETag"))
    if version is None and location is not None:
        version = location[3]
    if version is None and usable and body is not None and not body.version.startswith("sha256:"):
        version = body.version
    return Written(answer.status, ref, version, answer.status == 201, body.raw if usable and body else None)


def parse_etag(text: str | None) -> str | None:
    """Return the versionId in an ETag: weak, strong or bare (HAPI's batch answers), ``None`` without one."""
    if not text:
        return None
    return text.strip().removeprefix("W/").strip('"') or None


def _retry_at(text: str | None, now: datetime) -> datetime | None:
    """Return when ``Retry-After`` (seconds or an HTTP date, RFC 9110 10.2.3) allows the next try."""
    if text is None:
        return None
    if text.strip().isdigit():
        wait = timedelta(seconds=min(int(text), int(LONGEST_RETRY_AFTER.total_seconds())))
        return now + wait
    at = _date(text)
    return min(max(at, now), now + LONGEST_RETRY_AFTER) if at is not None else None


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
