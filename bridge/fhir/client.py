"""
The FHIR client: the interactions of FHIR's REST API that Bridge has with an EHR.

Reads are repeated here, a few times, while the server is busy or away. Writes never are: one that got no
answer may have happened (``OutcomeUnknown``), and only its sender knows how to look.

Rules: FHIR R4 http.html. Where servers are known to depart from it, the line says which and when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay

from bridge.errors import (
    AuthExpired,
    CursorExpired,
    OutcomeUnknown,
    PutOff,
    Refused,
    ServerFault,
    SourceError,
    Throttled,
    Unreachable,
    UnsafeAnswer,
    VersionConflict,
)
from bridge.fhir.answers import Written, parse_http_date, read_written
from bridge.fhir.bundle import BundlePage, received, split
from bridge.fhir.capability import Capability, parse_capability
from bridge.fhir.exchange import FHIR_JSON, MOST_ISSUES, Answer, Endpoint, Exchange
from bridge.fhir.outcome import Outcome, parse_outcome
from bridge.fhir.query import encode, escape, refuse_ignored
from bridge.fhir.reference import inside_base
from bridge.fhir.source import SourceVersion

__all__ = ["Endpoint", "FhirClient", "SearchPage", "Written", "escape"]

SearchPage = BundlePage

_T = TypeVar("_T")


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
        self._exchange = Exchange(endpoint, clock=clock, transport=transport, turn=turn)
        self._base = self._exchange.base
        self._clock, self._sleep = clock, sleep
        self.ahead: timedelta | None = None
        """How far the server's clock was ahead of ours when it last told, to a second or so."""

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back every connection."""
        self._exchange.close()

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

        def check(answer: Answer) -> SourceVersion:
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
        absolute = self._exchange.joined(url)
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

    def _as_page(self, answer: Answer, what: str) -> SearchPage:
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
        server_at = parse_http_date(answer.headers.get("Date"))
        if server_at is not None:
            self.ahead = server_at - self._clock()
        return msgspec.structs.replace(page, server_at=server_at)

    def _as_capability(self, answer: Answer) -> Capability:
        try:
            return parse_capability(answer.body)
        except SourceError as error:
            raise ServerFault(f"{self.endpoint.name}: {error}", status=answer.status) from None

    def _get(self, url: str, what: str, read: Callable[[Answer], _T]) -> _T:
        """Ask until there is an answer that *read* can use: what is cut short or no FHIR is asked for again."""
        headers = {"Cache-Control": "no-cache"}
        retrying = Retrying(
            retry=retry_if_exception_type((Unreachable, Throttled, ServerFault)),
            stop=stop_after_attempt(self.endpoint.attempts) | stop_after_delay(self.endpoint.total_seconds),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(lambda: read(self._exchange.send("GET", url, what, headers=headers)))

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

    def knock(self, method: str, path: str) -> int:
        """
        Send a write with nothing in it, which no server can carry out, and return the status of the answer.

        Raises:
            RemoteError: There was no answer, or none that says anything about this write (429, 5xx).
        """
        headers = {"Content-Type": FHIR_JSON}
        try:
            sent = self._exchange.send(method, f"{self._base}/{path}", f"{method} {path}", headers=headers, body=b"")
        except (AuthExpired, Refused, VersionConflict) as error:
            if error.status is None:
                raise
            return error.status
        return sent.status

    def delete(self, ref: str) -> None:
        """
        Delete ``Type/id``.

        Raises:
            NotFound, Gone: It is not there; as good as deleted.
            OutcomeUnknown: No answer: it may have been deleted. Deleting once more does no harm.
        """
        self._exchange.send("DELETE", f"{self._base}/{ref}", f"delete of {ref}", headers={})

    def _write(self, method: str, path: str, body: bytes, headers: dict[str, str], what: str) -> Written:
        headers = {**headers, "Content-Type": FHIR_JSON, "Prefer": "return=representation"}
        answer = self._exchange.send(method, f"{self._base}/{path}", what, headers=headers, body=body)
        kind, _, own_id = path.partition("/")
        written = read_written(answer.status, answer.headers, answer.body, kind, path if own_id else None)
        if written is None:
            raise OutcomeUnknown(f"{what}: answered {answer.status} without saying where", status=answer.status)
        return written
