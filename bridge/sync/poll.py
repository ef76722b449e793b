"""
Poll: read everything that changed since the watermark, without losing what moves meanwhile.

Theory of operation. A *crawl* reads one stream in the order of ``_lastUpdated``, from the watermark minus an
overlap to the end. After each page the cursor is stored with the page, in one transaction. The next page is
asked for as a new search from the last timestamp seen (``ge``, never ``gt``: equal timestamps), not by the
server's own next link: servers that page by offset skip a row whenever an earlier one moves to the end
(seen with offset-paging servers), and a link expires while a process is down. The repeats fall out in the
inbox. Only where a whole page carries one timestamp, or the server does not sort, the next links are
followed, in passes that are repeated until one brings nothing that an earlier one should have brought.

Whether a server sorts is not believed but tried, once per crawl: a page may look sorted by accident (one that
ignores ``_sort`` often answers in the order of creation), and going on from its last timestamp would skip what
stands behind it. Asked for the newest first, a server that sorts cannot answer with something older.

When a crawl is complete, the watermark moves to what the server's clock said when the crawl began, minus a
lag; everything before is stored. The overlap catches what becomes visible late, a look back with every sweep what
is later still (FHIR R4 http.html#history: "created at or after"; servers need not be finer than a second).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from msgspec.structs import replace

from bridge.errors import CursorExpired, IncompleteScan, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, SearchPage
from bridge.fhir.query import cut_short
from bridge.fhir.times import format_instant
from bridge.store.port import Store
from bridge.store.rows import Cursor
from bridge.sync.line import Line
from bridge.sync.people import Asking
from bridge.sync.taking import PollReport, Progress, Taking, begin

LOOK_BACK = timedelta(hours=24)
"""How late a version may become visible and still be found by the sweep (rule ours)."""

AWAY = timedelta(hours=1)
"""After a pause of so long a poll looks back as far as a sweep does: what became visible late before it began would
be too old for the next look back when it ends (rule ours)."""

RUNG = "last-updated"
"""What this way of reading is called in a cursor."""

MOST_PASSES = 8
"""How often an unsorted crawl is repeated before it is called incomplete (rule ours)."""

LARGEST_PAGE = 1000
"""The largest page that is asked for when the server's links expire before their end (rule ours)."""


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
        IncompleteScan: The server gave less than there is.
        UnsafeAnswer: The server ignored the filter, paged in a circle or never came to rest.
    """
    taking = Taking(stream, store, line, clock, watch, Asking(client, store, line, clock))
    _Crawl(client, taking, begin(store, line, stream, RUNG, since)).run()
    return taking.report()


class _Crawl:
    """One crawl of one stream; its whole state that matters is the stored cursor."""

    def __init__(self, client: FhirClient, taking: Taking, cursor: Cursor) -> None:
        self._client, self._taking, self._cursor = client, taking, cursor
        self._stream, self._line = taking.stream, taking.line
        self._page_size = self._line.page_size
        self._sorts: bool | None = None
        """Whether the server sorts by ``_lastUpdated``; ``None`` until a page could tell."""
        self._short = 0
        """How often the server ended before it had given as many as it counted."""

    def run(self) -> None:
        """Read page after page until nothing is left."""
        position = self._cursor.position
        while True:
            page = self._search(position)
            if is_whole(page, len(page.entries)):
                self._take(page, _reached(page), last=True)
                return
            moved_to = self._moved(page, page, position)
            if moved_to is not None:
                self._take(page, moved_to)
                position = moved_to
                continue
            position = self._follow_links(page, position)
            if position is None:
                self._finish()
                return

    # Asking -----------------------------------------------------------------------------------------------

    def _search(self, position: datetime | None) -> SearchPage:
        page = self._ask(position, "_lastUpdated", self._page_size)
        if self._cursor.started_at is None:
            self._cursor = replace(self._cursor, started_at=page.server_at or page.updated_at)
        return page

    def _ask(self, position: datetime | None, order: str, count: int) -> SearchPage:
        since = position or self._from()
        params = [("_sort", order), (self._line.count_param, str(count))]
        if since is not None:
            params.insert(0, ("_lastUpdated", f"ge{format_instant(since)}"))
        return self._client.search(self._stream, params, critical=("_lastUpdated",) if since else ())

    def _from(self) -> datetime | None:
        if self._cursor.watermark is None:
            return None
        overlap = max(LOOK_BACK, self._line.overlap) if self._was_away() else self._line.overlap
        return self._cursor.watermark - overlap

    def _was_away(self) -> bool:
        """Whether nobody polled for so long that nobody may have looked back either."""
        checked_at = self._cursor.checked_at
        return checked_at is not None and self._taking.clock() - checked_at >= AWAY

    def _moved(self, first: SearchPage, page: SearchPage, position: datetime | None) -> datetime | None:
        """
        Return the timestamp from which a new search can go on, or ``None`` while next links have to do.

        Args:
            first: The first page of the search, *page* the one that was read last.
        """
        reached, began_with = _reached(page), _first_stamp(first)
        if reached is None or began_with is None or reached <= max(position or began_with, began_with):
            return None
        if self._sorts is None:
            self._sorts = self._tried(first, position, reached)
        return reached if self._sorts else None

    def _tried(self, first: SearchPage, position: datetime | None, reached: datetime) -> bool:
        """Ask for the newest first: a server that sorts gives neither what it gave first nor anything older."""
        try:
            page = self._ask(position, "-_lastUpdated", 1)
        except Refused:
            return False
        newest = _first_stamp(page)
        return newest is not None and newest >= reached and page.entries[0].ref != first.entries[0].ref

    # Following next links ---------------------------------------------------------------------------------

    def _follow_links(self, first: SearchPage, position: datetime | None) -> datetime | None:
        """
        Read on by next links until the timestamps move, or the end; passes repeat until one is quiet.

        Returns the timestamp from which keyset paging can go on, or ``None`` when the end was reached.
        """
        for number in range(MOST_PASSES):
            moved_to, quiet, links = self._one_pass(first, position)
            # Rows slide past a pass unseen where the server pages by offset: it takes a second one to say so.
            if quiet and (number > 0 or links == 0):
                self._page_size = self._line.page_size
                return moved_to
            first = self._search(position)
        raise UnsafeAnswer(
            f"{self._stream}: {MOST_PASSES} passes over the same search each brought something new; "
            "the server neither sorts by _lastUpdated nor pages stably"
        )

    def _one_pass(self, first: SearchPage, position: datetime | None) -> tuple[datetime | None, bool, int]:
        """Return where the timestamps moved, if they did, whether nothing was new, and how many links it took."""
        page, quiet, seen, read, said = first, True, set[str](), 0, None
        settled = self._settled(first, position)
        while True:
            quiet &= not self._taking.has_unknown(page, settled)
            self._take(page, position)
            read, said = read + len(page.entries), said or cut_short(page)
            moved_to = self._moved(first, page, position)
            if moved_to is not None:
                return moved_to, quiet, len(seen)
            if page.next_url is None:
                return None, self._ended(page, read, said) and quiet, len(seen)
            if page.next_url in seen:
                raise UnsafeAnswer(f"{self._stream}: the server's next links go round in a circle")
            seen.add(page.next_url)
            try:
                page = self._client.next_page(page.next_url)
            except CursorExpired:
                # Fewer links are needed where a page holds more.
                self._page_size = max(self._page_size, min(4 * self._page_size, LARGEST_PAGE))
                return None, False, len(seen)

    def _ended(self, page: SearchPage, read: int, said: str | None) -> bool:
        """
        Return whether the links led to everything. They may fall short once, when something is deleted meanwhile.

        Raises:
            IncompleteScan: They did not, and nothing else leads on.
        """
        refuse_short(self._stream, said)
        if is_whole(page, read):
            return True
        self._short += 1
        if self._short > 1:
            raise IncompleteScan(f"{self._stream}: the server gave {read} of {page.total} and no next link")
        return False

    def _settled(self, first: SearchPage, position: datetime | None) -> datetime | None:
        """
        Return up to which timestamp a pass has to find everything; what is newer, the next search finds.

        Of a server that sorts, only what shares the first timestamp is read by links; of another, everything
        up to the beginning of the crawl. ``None`` means all.
        """
        if self._sorts:
            return max((at for at in (position, _first_stamp(first)) if at is not None), default=None)
        began = self._cursor.started_at
        return began - self._line.lag if began is not None else None

    # Storing ----------------------------------------------------------------------------------------------

    def _take(self, page: SearchPage, reached: datetime | None, *, last: bool = False) -> None:
        """Store a page and the cursor in one transaction."""
        self._taking.note(page)
        read = self._cursor.read + len(page.entries)
        cursor = replace(self._cursor, position=reached or self._cursor.position, read=read)
        if last:
            cursor = self._at_rest(cursor)
        self._taking.take(page, cursor, read)
        self._cursor = cursor

    def _finish(self) -> None:
        self._cursor = self._at_rest(self._cursor)
        self._taking.save(self._cursor)

    def _at_rest(self, cursor: Cursor) -> Cursor:
        """Return the cursor after a complete crawl: never past the server's clock at its start minus the lag."""
        return self._taking.at_rest(cursor, self._safe(cursor))

    def _safe(self, cursor: Cursor) -> datetime | None:
        """Return up to when everything is stored, for certain; a server that tells no time is judged by ours."""
        if cursor.started_at is not None:
            return cursor.started_at - self._line.lag
        if cursor.position is not None:
            return min(cursor.position, self._taking.clock()) - self._line.lag
        return None


def is_whole(page: SearchPage, read: int) -> bool:
    """Return whether a search ends with *page*, of which *read* resources came, and nothing speaks against it."""
    return page.next_url is None and (page.total is None or page.total <= read) and cut_short(page) is None


def refuse_short(stream: str, said: str | None) -> None:
    """
    Refuse the end of a search of which the server *said* that it gave less than there is.

    Raises:
        IncompleteScan: It did.
    """
    if said is not None:
        raise IncompleteScan(f"{stream}: the server says that it gave less than there is ({said})")


def _reached(page: SearchPage) -> datetime | None:
    """Return the last timestamp of a page that is sorted by ``_lastUpdated``; ``None`` when it is not."""
    stamps = [entry.updated_at for entry in page.entries if entry.updated_at is not None]
    if not stamps or any(one > other for one, other in pairwise(stamps)):
        return None
    return stamps[-1]


def _first_stamp(page: SearchPage) -> datetime | None:
    return next((entry.updated_at for entry in page.entries if entry.updated_at is not None), None)


def note_asked(store: Store, line: Line, stream: str, now: datetime) -> None:
    """Keep since when a stream that was never read whole is asked for: from then on its data is waited for."""
    with store.reading() as tx:
        cursor = tx.cursor(line.name, stream)
    if cursor is None or cursor.lag(now) is None:
        with store.transaction() as tx:
            cursor = tx.cursor(line.name, stream) or Cursor(connection=line.name, stream=stream)
            tx.save_cursor(replace(cursor, behind_since=now))


def note_problem(store: Store, line: Line, stream: str, words: str) -> None:
    """Keep why the last poll of a stream failed, for the connection page; the cursor stays where it is."""
    with store.transaction() as tx:
        cursor = tx.cursor(line.name, stream) or Cursor(connection=line.name, stream=stream)
        tx.save_cursor(replace(cursor, problem=words))
