"""
Scan: streams that cannot be asked what changed are read whole, search by search, and compared.

The inbox holds every version once, so reading the same again costs requests and stores nothing. A resource
without ``meta.versionId`` counts as changed when its content did. The cursor keeps which patient or schedule
was read last: an interrupted scan goes on behind it. A scan in which anything was cut short moves no watermark.

By date, what was made since the watermark is read, then everything that is still open, then by name whatever
was open here and is not any more there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.cases.sources import SourceRow
from bridge.errors import CursorExpired, IncompleteScan, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient, SearchPage
from bridge.fhir.query import cut_short
from bridge.store.port import Store
from bridge.store.rows import Cursor
from bridge.sync.line import Line
from bridge.sync.people import Asking
from bridge.sync.poll import LARGEST_PAGE, MOST_PASSES, is_whole, refuse_short
from bridge.sync.rungs import BEGINNING, Roster, Rung, Step
from bridge.sync.sweep import compare
from bridge.sync.taking import PollReport, Progress, Taking, begin

MADE_LATE = timedelta(days=3)
"""How much older than its arrival the date of a resource may be and still be found by it (rule ours)."""

AT_ONCE = 100

Params = Sequence[tuple[str, str]]


class Scan:
    """One reading of one stream; its whole state that matters is the stored cursor."""

    def __init__(self, client: FhirClient, taking: Taking, cursor: Cursor) -> None:
        self._client, self._taking, self.cursor = client, taking, cursor
        self._page_size = taking.line.page_size

    def read(self, params: Params, place: str | None = None) -> set[str]:
        """
        Read one search to its end, and return what it found (``Type/id``).

        Args:
            place: What the cursor says was read last, once this is stored.

        Raises:
            IncompleteScan: The server gave less than there is, or never the same twice.
        """
        found: set[str] = set()
        for number in range(MOST_PASSES):
            if self._one_pass(params, place, found, again=number > 0):
                return found
        raise IncompleteScan(f"{self._taking.stream}: {MOST_PASSES} passes over the same search differed")

    def finish(self) -> None:
        """Store that everything was read that there was when it began."""
        began = self.cursor.started_at
        watermark = began - self._taking.line.lag if began is not None else None
        self._taking.save(self._taking.at_rest(self.cursor, watermark))

    def begin_anew(self) -> None:
        """Store that the next scan has to begin with the first place."""
        self._taking.save(replace(self.cursor, place=None, started_at=None, read=0))

    def _one_pass(self, params: Params, place: str | None, found: set[str], *, again: bool) -> bool:
        """Return whether the search was read whole and, where pages may slide, brought nothing new any more."""
        page, quiet, links, read, said = self._first(params), True, set[str](), 0, None
        while True:
            quiet &= not self._taking.has_unknown(page)
            read, said = read + len(page.entries), said or cut_short(page)
            found.update(version.ref for version in page.entries)
            whole = said is None and is_whole(page, read)
            settled = whole and (not links or (again and quiet))
            self._take(page, place if settled else None)
            if page.next_url is None:
                refuse_short(self._taking.stream, said)
                if not whole and again:
                    raise IncompleteScan(f"{self._taking.stream}: the server gave {read} of {page.total}")
                return settled
            if page.next_url in links:
                raise UnsafeAnswer(f"{self._taking.stream}: the server's next links go round in a circle")
            links.add(page.next_url)
            try:
                page = self._client.next_page(page.next_url)
            except CursorExpired:
                self._page_size = max(self._page_size, min(4 * self._page_size, LARGEST_PAGE))
                return False

    def _first(self, params: Params) -> SearchPage:
        count = (self._taking.line.count_param, str(self._page_size))
        critical = [name for name, _ in params]
        page = self._client.search(self._taking.stream, [*params, count], critical=critical)
        if self.cursor.started_at is None:
            at = page.server_at or page.updated_at or self._taking.clock()
            self.cursor = replace(self.cursor, started_at=at)
        return page

    def _take(self, page: SearchPage, place: str | None) -> None:
        self._taking.note(page)
        read = self.cursor.read + len(page.entries)
        cursor = replace(self.cursor, place=place or self.cursor.place, read=read)
        self._taking.take(page, cursor, read)
        self.cursor = cursor


def poll_by_date(
    stream: str,
    step: Step,
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    *,
    since: datetime | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> PollReport:
    """
    Read what was made since the watermark, and everything that can still change.

    Raises:
        RemoteError: The server did not answer as it should; what came is kept, the cursor stands.
        IncompleteScan: It gave less than there is.
    """
    taking = Taking(stream, store, line, clock, watch, Asking(client, store, line, clock))
    scan = Scan(client, taking, begin(store, line, stream, step.rung, since))
    seen = _read_made(scan, step, line)
    if step.status is not None:
        seen |= scan.read([("status", step.status)])
    _read_again(client, taking, seen)
    scan.finish()
    return taking.report()


def _read_made(scan: Scan, step: Step, line: Line) -> set[str]:
    """Read what was made since the watermark; without one all there is, of a server that wants a date from ever on."""
    if step.param is None or scan.cursor.watermark is None:
        try:
            return scan.read([])
        except Refused:
            if step.param is None:
                raise
    began = scan.cursor.watermark or BEGINNING
    day = (began - max(line.overlap, MADE_LATE)).date().isoformat()
    dates = [step.param, *([step.also] if step.also is not None else [])]
    return set[str]().union(*(scan.read([(date, f"ge{day}")]) for date in dates))


def _read_again(client: FhirClient, taking: Taking, seen: set[str]) -> None:
    """Ask by name for what was open here and was not among what was *seen*."""
    after = ""
    while rows := _open_sources(taking, after):
        after = rows[-1].ref
        gone = [
            row for row in rows if row.gone_at is None and row.snapshot.type == taking.stream and row.ref not in seen
        ]
        if gone:
            report = compare(client, taking.store, taking.line, gone, taking.clock, taking.stream)
            for error in report.closed.values():
                raise error
            taking.tally(report.counts)
            taking.warn(report.problems)


def _open_sources(taking: Taking, after: str) -> list[SourceRow]:
    with taking.store.reading() as tx:
        return tx.sources_to_sweep(taking.line.name, after, AT_ONCE)


def poll_snapshot(
    stream: str,
    step: Step,
    keys: Sequence[str],
    roster: Roster,
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    *,
    watch: Callable[[Progress], None] = lambda _: None,
) -> PollReport:
    """
    Read everything there is: of the whole type, or of each of *keys* (``Patient/1``), going on where it stopped.

    One that the server refuses is told and does not hold up the others; it is asked for again the next time.

    Raises:
        RemoteError: The server did not answer as it should, or refuses every one of them.
        IncompleteScan: It gave less than there is of one of them; the others were read.
    """
    taking = Taking(stream, store, line, clock, watch, Asking(client, store, line, clock))
    scan = Scan(client, taking, begin(store, line, stream, step.rung, None))
    window = roster.window(step.window, clock())
    if step.rung is Rung.SNAPSHOT or step.param is None:
        scan.read(window)
    else:
        _read_each(scan, taking, step, sorted(keys), window)
    scan.finish()
    return taking.report()


def _read_each(scan: Scan, taking: Taking, step: Step, keys: Sequence[str], window: Params) -> None:
    rest = [key for key in keys if scan.cursor.place is None or key > scan.cursor.place]
    refused: list[Refused] = []
    short: list[IncompleteScan] = []
    too_many = 0
    for key in rest:
        try:
            too_many += not _read_one(scan, step, key, window)
        except Refused as error:
            refused.append(error)
        except IncompleteScan as error:
            short.append(error)
    if refused and len(refused) == len(keys):
        raise refused[0]
    if short:
        scan.begin_anew()
        raise IncompleteScan(f"{short[0]}; so it was for {len(short)} of {len(keys)} by {step.param}")
    if refused:
        taking.warn([f"{len(refused)} of {len(keys)} by {step.param} were refused, the first so: {refused[0]}"])
    if too_many:
        taking.warn(
            [f"{too_many} of {len(keys)} by {step.param} have more than the EHR gives: only what is open was read"]
        )


def _read_one(scan: Scan, step: Step, key: str, window: Params) -> bool:
    """
    Read what there is of *key*, or where that is more than the server gives, what of it is open.

    Returns whether all was read. What was open here and is not any more there, the sweep asks for by name.
    """
    assert step.param is not None
    own = [(step.param, key.partition("/")[2]), *window]
    try:
        scan.read(own, key)
        return True
    except IncompleteScan:
        if step.status is None:
            raise
    scan.read([*own, ("status", step.status)], key)
    return False
