"""
Poll: read everything that changed since the watermark, without losing what moves meanwhile.

Theory of operation. A *crawl* reads one stream in the order of ``_lastUpdated``, from the watermark minus an
overlap to the end. After each page the cursor is stored with the page, in one transaction. The next page is
asked for as a new search from the last timestamp seen (``ge``, never ``gt``: equal timestamps), not by the
server's own next link: servers that page by offset skip a row whenever an earlier one moves to the end
(seen with offset-paging servers), and a link expires while a process is down. The repeats fall out in the
inbox. Only where a whole page carries one timestamp, or the server does not sort, the next links are
followed; such a crawl is repeated until a pass brings nothing new.

When a crawl is complete, the watermark moves to what the server's clock said when the crawl began, minus a
lag; everything before is stored. The overlap catches what becomes visible late, the sweep what is later still
(FHIR R4 http.html#history: "created at or after"; servers need not be finer than a second).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from msgspec.structs import replace

from bridge.errors import CursorExpired, UnsafeAnswer
from bridge.fhir.client import FhirClient, SearchPage
from bridge.fhir.times import format_instant
from bridge.store.port import Counts, Cursor, Store
from bridge.sync.ingest import IngestReport, Intake, ingest
from bridge.sync.line import Line

MOST_PASSES = 5
"""How often an unsorted crawl is repeated before it is called incomplete (rule ours)."""

MOST_PAGES = 100_000
"""A crawl longer than this is a server that pages in a circle (rule ours)."""


@dataclass(frozen=True)
class Progress:
    """How a crawl is getting on: resources read so far in this crawl, and the last page's report."""

    stream: str
    read: int
    page: IngestReport


@dataclass(frozen=True)
class PollReport:
    """What one complete crawl of one stream came to."""

    stream: str
    counts: Counts
    opened: int
    intents: int
    pages: int


def add(one: Counts, other: Counts) -> Counts:
    """Return the sum of two counts."""
    return Counts(
        one.received + other.received,
        one.applied + other.applied,
        one.duplicate + other.duplicate,
        one.ignored + other.ignored,
        one.parked + other.parked,
    )


def poll(
    stream: str,
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    *,
    since: datetime | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> PollReport:
    """
    Read one stream up to now, going on where an interrupted crawl stopped.

    Args:
        since: Where a stream that was never read begins; ``None`` means everything the server has.
        watch: Told after every page, for a progress bar.

    Raises:
        RemoteError: The server did not answer as it should; what was stored stays, the cursor stands.
        UnsafeAnswer: The server ignored the filter, paged in a circle or never came to rest.
    """
    crawl = _Crawl(stream, client, store, line, clock, since, watch)
    crawl.run()
    return crawl.report()


class _Crawl:
    """One crawl of one stream; its whole state that matters is the stored cursor."""

    def __init__(
        self,
        stream: str,
        client: FhirClient,
        store: Store,
        line: Line,
        clock: Callable[[], datetime],
        since: datetime | None,
        watch: Callable[[Progress], None],
    ) -> None:
        self._stream, self._client, self._store, self._line = stream, client, store, line
        self._clock, self._watch = clock, watch
        with store.reading() as tx:
            stored = tx.cursor(line.name, stream)
        self._cursor = stored or Cursor(connection=line.name, stream=stream, watermark=since)
        self._counts, self._opened, self._intents, self._pages = Counts(), 0, 0, 0

    def run(self) -> None:
        """Read page after page until nothing is left."""
        position = self._cursor.position
        while True:
            page = self._search(position)
            reached = _reached(page)
            if page.next_url is None:
                self._take(page, reached, last=True)
                return
            if reached is not None and (position is None or reached > position):
                self._take(page, reached)
                position = reached
                continue
            position = self._follow_links(page, position)
            if position is None:
                self._finish()
                return

    def report(self) -> PollReport:
        """Return what was read."""
        return PollReport(self._stream, self._counts, self._opened, self._intents, self._pages)

    def _search(self, position: datetime | None) -> SearchPage:
        since = position or self._from()
        params = [("_sort", "_lastUpdated"), ("_count", str(self._line.page_size))]
        if since is not None:
            params.insert(0, ("_lastUpdated", f"ge{format_instant(since)}"))
        page = self._client.search(self._stream, params, critical=("_lastUpdated",) if since else ())
        if self._cursor.started_at is None:
            self._cursor = replace(self._cursor, started_at=page.server_at or page.updated_at)
        return page

    def _from(self) -> datetime | None:
        if self._cursor.watermark is None:
            return None
        return self._cursor.watermark - self._line.overlap

    def _follow_links(self, first: SearchPage, position: datetime | None) -> datetime | None:
        """
        Read on by next links until the timestamps move, or the end; passes repeat until one is quiet.

        Returns the timestamp from which keyset paging can go on, or ``None`` when the end was reached.
        """
        for _ in range(MOST_PASSES):
            moved_to, fresh = self._one_pass(first, position)
            if moved_to is not None:
                return moved_to
            if not fresh:
                return None
            first = self._search(position)
        raise UnsafeAnswer(
            f"{self._stream}: {MOST_PASSES} passes over the same search each brought something new; "
            "the server neither sorts by _lastUpdated nor pages stably"
        )

    def _one_pass(self, page: SearchPage, position: datetime | None) -> tuple[datetime | None, bool]:
        fresh, seen = False, set[str]()
        for _ in range(MOST_PAGES):
            fresh |= self._take(page, position).fresh
            if page.next_url is None:
                return None, fresh
            if page.next_url in seen:
                raise UnsafeAnswer(f"{self._stream}: the server's next links go round in a circle")
            seen.add(page.next_url)
            try:
                page = self._client.next_page(page.next_url)
            except CursorExpired:
                return None, True
            reached = _reached(page)
            if reached is not None and position is not None and reached > position:
                self._take(page, reached)
                return reached, fresh
        raise UnsafeAnswer(f"{self._stream}: more than {MOST_PAGES} pages in one crawl")

    def _take(self, page: SearchPage, reached: datetime | None, *, last: bool = False) -> IngestReport:
        """Store a page and the cursor in one transaction."""
        cursor = replace(
            self._cursor,
            position=reached or self._cursor.position,
            read=self._cursor.read + len(page.entries),
        )
        if last:
            cursor = self._at_rest(cursor)
        versions = [version for version in page.entries if version.type in (self._stream, "")]
        report = ingest(Intake(self._stream, versions, "poll", cursor), self._store, self._line, self._clock())
        self._cursor = cursor
        self._counts = add(self._counts, report.counts)
        self._opened, self._intents = self._opened + report.opened, self._intents + report.intents
        self._pages += 1
        self._watch(Progress(self._stream, cursor.read, report))
        return report

    def _finish(self) -> None:
        cursor = self._at_rest(self._cursor)
        ingest(Intake(self._stream, (), "poll", cursor), self._store, self._line, self._clock())
        self._cursor = cursor

    def _at_rest(self, cursor: Cursor) -> Cursor:
        """Return the cursor after a complete crawl: never past the server's clock at its start minus the lag."""
        began = cursor.started_at
        safe = began - self._line.lag if began is not None else cursor.position
        known = [at for at in (cursor.watermark, safe) if at is not None]
        return replace(
            cursor,
            watermark=max(known, default=None),
            position=None,
            started_at=None,
            next_url=None,
            read=0,
            checked_at=self._clock(),
            problem=None,
        )


def _reached(page: SearchPage) -> datetime | None:
    """Return the last timestamp of a page that is sorted by ``_lastUpdated``; ``None`` when it is not."""
    stamps = [entry.updated_at for entry in page.entries]
    if not stamps or any(stamp is None for stamp in stamps):
        return None
    known = [stamp for stamp in stamps if stamp is not None]
    in_order = all(one <= other for one, other in pairwise(known))
    return known[-1] if in_order else None


def note_problem(store: Store, line: Line, stream: str, words: str) -> None:
    """Keep why the last poll of a stream failed, for the connection page; the cursor stays where it is."""
    with store.transaction() as tx:
        cursor = tx.cursor(line.name, stream) or Cursor(connection=line.name, stream=stream)
        tx.save_cursor(replace(cursor, problem=words))


def age(cursor: Cursor | None, now: datetime) -> timedelta | None:
    """Return how old the data of a stream may be, by our clock; ``None`` before its first complete crawl."""
    if cursor is None or cursor.checked_at is None:
        return None
    return now - cursor.checked_at.astimezone(UTC)
