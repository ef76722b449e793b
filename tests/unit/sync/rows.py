"""A search server made by hand, which can do what real ones do wrong: its order, its links, its clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.times import format_instant, parse_instant
from bridge.store.memory import MemoryStore
from bridge.sync.poll import poll
from bridge.sync.taking import PollReport
from tests.unit.sync.world import BASE, World

T0 = datetime(2026, 5, 1, 8, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)
STREAM = "ServiceRequest"


def at(seconds: float) -> datetime:
    """Return a time so many seconds after the first row."""
    return T0 + timedelta(seconds=seconds)


@dataclass
class Row:
    """One ServiceRequest as it stands."""

    id: str
    at: datetime
    version: int = 1
    stamped: bool = True

    def entry(self) -> dict[str, Any]:
        """Return it as an entry of a searchset."""
        meta = {"versionId": str(self.version), "lastUpdated": format_instant(self.at)}
        resource = {
            "resourceType": STREAM,
            "id": self.id,
            "meta": meta if self.stamped else {"versionId": str(self.version)},
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/p1"},
        }
        return {"resource": resource, "search": {"mode": "match"}}


Order = Callable[[Sequence[Row], bool], Sequence[Row]]


def sorting(rows: Sequence[Row], newest_first: bool) -> Sequence[Row]:
    """Sort as asked; rows of one timestamp stand as they were made."""
    return sorted(rows, key=lambda row: row.at, reverse=newest_first)


def as_made(rows: Sequence[Row], newest_first: bool) -> Sequence[Row]:
    """Ignore ``_sort``: rows stand as they were made."""
    return rows


def always_newest_first(rows: Sequence[Row], newest_first: bool) -> Sequence[Row]:
    """Ignore ``_sort``: the newest first."""
    return sorted(rows, key=lambda row: row.at, reverse=True)


def scattered(rows: Sequence[Row], newest_first: bool) -> Sequence[Row]:
    """Ignore ``_sort``: an order that has to do with nothing."""
    return sorted(rows, key=lambda row: (len(row.id), row.id[::-1]))


@dataclass
class Ehr(httpx.BaseTransport):
    """
    Answers searches for ServiceRequests.

    Args:
        order: How rows are put in order; gets whether the newest were asked for first.
        frozen: Whether links page through what the search found; else each page is cut from a new search.
        links: How many next links of one search work before they answer 410; ``None`` for all.
        clock: What its ``Date`` says, ``None`` for none at all.
        meanwhile: Called before each request is answered, with how many came before.
        warnings: OperationOutcome issues that every first page carries.
        most: How many resources a search gives at most, without a next link to the others.
        counts: Whether a searchset tells how many there are.
    """

    rows: list[Row]
    order: Order = sorting
    frozen: bool = True
    links: int | None = None
    clock: Callable[[], datetime] | None = lambda: NOW
    meanwhile: Callable[[int], None] = lambda _: None
    warnings: Sequence[dict[str, Any]] = ()
    most: int | None = None
    counts: bool = False
    next_link: Callable[[str], str] = lambda url: url
    requests: list[httpx.Request] = field(default_factory=list)
    _kept: list[list[Row]] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a search or one of its next links."""
        self.meanwhile(len(self.requests))
        self.requests.append(request)
        params = request.url.params
        count, offset = int(params.get("_count", "20")), int(params.get("_offset", "0"))
        search = params.get("_search")
        if search is None:
            found = [Row(row.id, row.at, row.version, row.stamped) for row in self._found(params)]
            self._kept.append(found)
            search = str(len(self._kept) - 1)
        elif self.links is not None and offset // count > self.links:
            return httpx.Response(410, request=request)
        else:
            found = self._kept[int(search)] if self.frozen else list(self._found(params))
        following = params.set("_offset", str(offset + count)).set("_search", search)
        links = [{"relation": "next", "url": self.next_link(f"{BASE}/{STREAM}?{following}")}]
        total = len(found)
        found = found[: self.most]
        page = found[offset : offset + count]
        links = links if offset + count < len(found) else []
        return self._answer(request, page, links, total if self.counts else None, first=offset == 0)

    def _found(self, params: httpx.QueryParams) -> Sequence[Row]:
        bound = params.get("_lastUpdated")
        assert bound is None or bound.startswith("ge"), "only ge is safe, and every server has it"
        since = parse_instant(bound[2:]) if bound is not None else T0 - timedelta(days=9999)
        return self.order([row for row in self.rows if row.at >= since], params["_sort"] == "-_lastUpdated")

    def _answer(
        self,
        request: httpx.Request,
        page: Sequence[Row],
        links: Sequence[dict[str, str]],
        total: int | None,
        *,
        first: bool,
    ) -> httpx.Response:
        entries = [row.entry() for row in page]
        if first and self.warnings:
            outcome = {"resourceType": "OperationOutcome", "issue": list(self.warnings)}
            entries.append({"resource": outcome, "search": {"mode": "outcome"}})
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": list(links), "entry": entries}
        if total is not None:
            bundle["total"] = total
        date = {} if self.clock is None else {"Date": format_datetime(self.clock().astimezone(UTC), usegmt=True)}
        return httpx.Response(200, headers=date, content=json.dumps(bundle).encode(), request=request)

    def touch(self, own_id: str, when: datetime) -> None:
        """Give a row a new version, made at *when*."""
        row = next(row for row in self.rows if row.id == own_id)
        row.at, row.version = when, row.version + 1

    @property
    def asked(self) -> list[str]:
        """The filters of all searches so far, without next links and without tries of the order."""
        params = [request.url.params for request in self.requests]
        return [
            one.get("_lastUpdated", "") for one in params if "_search" not in one and one["_sort"] == "_lastUpdated"
        ]


_LINE = World().line


class Reader:
    """Bridge's poll over one such server and one store; ``clock`` is ours."""

    def __init__(self, ehr: Ehr, *, page_size: int = 3, clock: Callable[[], datetime] = lambda: NOW) -> None:
        self.ehr, self.clock = ehr, clock
        self.store = MemoryStore()
        self.line = _with_page_size(page_size)

    def poll(self, **more: Any) -> PollReport:
        """Read the stream once."""
        endpoint = Endpoint("main", BASE, attempts=1)
        with FhirClient(endpoint, clock=self.clock, sleep=lambda _: None, transport=self.ehr) as client:
            return poll(STREAM, client, self.store, self.line, self.clock, **more)

    @property
    def received(self) -> set[tuple[str, str]]:
        """Every (id, version) that is stored."""
        with self.store.reading() as tx:
            return {(row.ref.partition("/")[2], row.version) for row in tx.inbox(limit=100_000)}

    @property
    def missing(self) -> set[tuple[str, str]]:
        """What stands on the server and is not stored."""
        return {(row.id, str(row.version)) for row in self.ehr.rows} - self.received

    @property
    def cursor(self) -> Any:
        """How far the stream is read."""
        with self.store.reading() as tx:
            return tx.cursor("main", STREAM)


def _with_page_size(page_size: int) -> Any:
    return replace(_LINE, page_size=page_size)
