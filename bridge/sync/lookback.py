"""
Looking back: what became visible on the EHR later than a poll looks.

A poll begins an overlap of minutes before its watermark; a version that an index shows only after that would
never be read, and where it is the first of its resource no case could miss it. So with every sweep what is dated
within the last day is listed once more, by id and version alone where the server can, and what was never received
is read (late commits of up to two minutes are documented, LinuxForHealth/FHIR #2030; index rebuilds take hours).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from bridge.errors import CursorExpired, IncompleteScan, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, SearchPage
from bridge.fhir.query import cut_short
from bridge.fhir.times import format_instant
from bridge.store.port import Store
from bridge.store.rows import Counts
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line
from bridge.sync.people import Asking
from bridge.sync.poll import LOOK_BACK, is_whole, refuse_short
from bridge.sync.rungs import Rung
from bridge.sync.several import read_several
from bridge.sync.taking import add

Params = Sequence[tuple[str, str]]


def look_back(
    client: FhirClient,
    store: Store,
    line: Line,
    stream: str,
    clock: Callable[[], datetime],
    via: str,
    held: Callable[[], Collection[str]] = tuple,
) -> Counts:
    """
    Take in what of *stream* became visible late; what the next poll will see anyway is left to it.

    Args:
        held: Called before every page; tells which types are paused.

    Raises:
        RemoteError: The EHR does not answer as it should, or is paused.
    """
    with store.reading() as tx:
        cursor = tx.cursor(line.name, stream)
    if cursor is None or cursor.watermark is None or cursor.rung not in (None, Rung.LAST_UPDATED):
        return Counts()
    until, total = cursor.watermark - line.overlap, Counts()
    if stream in held():
        return total
    for page in _listed(client, line, stream, cursor.watermark - LOOK_BACK):
        keys = {
            (version.ref, version.version)
            for version in page.entries
            if version.type == stream and version.updated_at is not None and version.updated_at <= until
        }
        with store.reading() as tx:
            late = sorted(ref for ref, _ in keys - tx.known_versions(line.name, keys))
        found = read_several(client, late).found
        if found:
            ask = Asking(client, store, line, clock)
            total = add(total, ingest(Intake(via, found, via), store, line, clock(), ask).counts)
        if stream in held():
            break
    return total


def _listed(client: FhirClient, line: Line, stream: str, since: datetime) -> Iterator[SearchPage]:
    asked = [("_lastUpdated", f"ge{format_instant(since)}"), ("_sort", "_lastUpdated")]
    count = (line.count_param, str(line.page_size))
    try:
        yield from every_page(client, stream, [*asked, ("_elements", "id,meta"), count], ("_lastUpdated",))
    except Refused:
        yield from every_page(client, stream, [*asked, count], ("_lastUpdated",))


def every_page(client: FhirClient, stream: str, params: Params, critical: Sequence[str]) -> Iterator[SearchPage]:
    """
    Yield the pages of one search, by the server's own links.

    Raises:
        UnsafeAnswer: The links lead in a circle or expire before their end, or a *critical* filter was ignored.
        IncompleteScan: After the last page: the server says, or its count shows, that there is more.
    """
    page, links = client.search(stream, params, critical=critical), set[str]()
    read, said = _distinct(page), cut_short(page)
    yield page
    while page.next_url is not None:
        if page.next_url in links:
            raise UnsafeAnswer(f"{stream}: the server's next links go round in a circle")
        links.add(page.next_url)
        try:
            page = client.next_page(page.next_url)
        except CursorExpired as error:
            raise UnsafeAnswer(f"{stream}: {error}; ask for larger pages (page_size)") from None
        read, said = read | _distinct(page), said or cut_short(page)
        yield page
    refuse_short(stream, said)
    if not is_whole(page, len(read)):
        raise IncompleteScan(f"{stream}: the server gave {len(read)} of {page.total} and no next link")


def _distinct(page: SearchPage) -> set[object]:
    """Return what tells the page's entries from those of others; pages that slide repeat some and leave others out."""
    return {version.ref if version.issue is None else version.raw for version in page.entries}
