"""What every way of reading a stream has in common: pages are taken in with their cursor, and summed up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from bridge.errors import UnsafeAnswer
from bridge.fhir.client import SearchPage
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.rows import Counts, Cursor
from bridge.sync.ingest import Asks, IngestReport, Intake, ingest
from bridge.sync.line import Line

log = logging.getLogger(__name__)

MOST_WARNINGS = 20
"""How many different warnings of a server one report carries (rule ours)."""

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
    warnings: tuple[str, ...] = ()
    """What the server warned of within its answers, as codes."""


def add(one: Counts, other: Counts) -> Counts:
    """Return the sum of two counts."""
    return Counts(
        one.received + other.received,
        one.applied + other.applied,
        one.duplicate + other.duplicate,
        one.ignored + other.ignored,
        one.parked + other.parked,
    )


def begin(store: Store, line: Line, stream: str, rung: str, since: datetime | None) -> Cursor:
    """
    Return where *stream* goes on, read by *rung*.

    What another way has read says nothing about where this one has to begin: it begins anew.
    """
    with store.reading() as tx:
        stored = tx.cursor(line.name, stream)
    if stored is None or stored.rung not in (None, rung):
        problem = stored.problem if stored is not None else None
        behind = (stored.known_until or stored.behind_since) if stored is not None else None
        return Cursor(
            connection=line.name, stream=stream, watermark=since, rung=rung, problem=problem, behind_since=behind
        )
    # One that has only failed so far has no watermark either.
    return replace(stored, rung=rung, watermark=stored.watermark or since)


class Taking:
    """
    Takes the pages of one crawl in, each with the cursor as it stands after it, and sums up what came of them.

    Args:
        watch: Told after every page, for a progress bar.
        ask: What asks the EHR where a page leaves a doubt, see ``ingest``.
    """

    def __init__(
        self,
        stream: str,
        store: Store,
        line: Line,
        clock: Callable[[], datetime],
        watch: Callable[[Progress], None],
        ask: Asks | None = None,
    ) -> None:
        self.stream, self.store, self.line, self.clock, self._ask = stream, store, line, clock, ask
        self._watch = watch
        self.warnings: dict[str, None] = {}
        self._counts, self._opened, self._intents, self._pages = Counts(), 0, 0, 0

    def ours(self, page: SearchPage) -> list[SourceVersion]:
        """Return what the page says about this stream; what has not even a readable type is kept as well."""
        return [version for version in page.entries if version.type in (self.stream, "")]

    def note(self, page: SearchPage) -> None:
        """Keep what the server warned of."""
        self.warn(words for outcome in page.outcomes for words in outcome.summary())

    def warn(self, said: Iterable[str]) -> None:
        """Keep warnings, each once."""
        for words in said:
            if words not in self.warnings and len(self.warnings) < MOST_WARNINGS:
                self.warnings[words] = None
                log.warning("the server warns", extra={"connection": self.line.name, "stream": self.stream})

    def take(self, page: SearchPage, cursor: Cursor, read: int) -> None:
        """
        Store a page and the cursor in one transaction; *read* resources have come in this crawl.

        Raises:
            UnsafeAnswer: There is no end to the pages.
        """
        if self._pages >= MOST_PAGES:
            raise UnsafeAnswer(f"{self.stream}: more than {MOST_PAGES} pages in one crawl")
        taken = Intake(self.stream, self.ours(page), "poll", cursor)
        report = ingest(taken, self.store, self.line, self.clock(), self._ask)
        self.tally(report.counts, report.opened, report.intents)
        self._pages += 1
        self._watch(Progress(self.stream, read, report))

    def tally(self, counts: Counts, opened: int = 0, intents: int = 0) -> None:
        """Add what came in by another way than a page."""
        self._counts = add(self._counts, counts)
        self._opened, self._intents = self._opened + opened, self._intents + intents

    def save(self, cursor: Cursor) -> None:
        """Move the cursor where there is nothing to store with it."""
        ingest(Intake(self.stream, (), "poll", cursor), self.store, self.line, self.clock())

    def has_unknown(self, page: SearchPage, until: datetime | None = None) -> bool:
        """Whether *page* holds a version up to *until* that was never received."""
        keys = {
            (version.ref, version.version)
            for version in self.ours(page)
            if until is None or version.updated_at is None or version.updated_at <= until
        }
        with self.store.reading() as tx:
            return bool(keys - tx.known_versions(self.line.name, keys))

    def at_rest(self, cursor: Cursor, watermark: datetime | None) -> Cursor:
        """Return the cursor after a complete crawl; a watermark never goes back."""
        known = [at for at in (cursor.watermark, watermark) if at is not None]
        return replace(
            cursor,
            watermark=max(known, default=None),
            position=None,
            started_at=None,
            place=None,
            read=0,
            checked_at=self.clock(),
            problem=None,
            warnings=tuple(self.warnings),
            behind_since=None,
        )

    def report(self) -> PollReport:
        """Return what was read."""
        return PollReport(self.stream, self._counts, self._opened, self._intents, self._pages, tuple(self.warnings))
