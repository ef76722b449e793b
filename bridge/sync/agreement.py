"""
Agreement: whether the EHR and the cases say the same, resource by resource, and what does not.

Everything in scope is read again, by searches that have nothing to do with where the poll stands, and held
against what is kept here: was the EHR's version received, could it be read, does the newest snapshot say what the
version says, and is what open cases rest on still there. Then the coordination Tasks of open cases are read.
Whatever differs is looked at a second time at the end: what only moved meanwhile is no difference. Nothing is
stored and nothing is written; a poll, a sweep and a delivery mend what they can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice

from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow
from bridge.errors import Gone, IncompleteScan, NotFound, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.mappers import Ignored, Parked
from bridge.store.port import Store, Tx
from bridge.store.queries import CaseFilter
from bridge.store.rows import OutboxRow
from bridge.sync.ingest import OWN_WRITE, read_version
from bridge.sync.line import Line
from bridge.sync.lookback import Params, every_page
from bridge.sync.noticed import task_name
from bridge.sync.several import read_several
from bridge.tasks.identity import case_of_task
from bridge.tasks.merge import decode, patient_of
from bridge.tasks.transitions import FINAL

AT_ONCE = 100
IN_FLIGHT = timedelta(minutes=1)
"""How long a write may wait without being a difference (rule ours)."""

_ALL = 1_000_000


class Kind(StrEnum):
    """What differs."""

    NOT_RECEIVED = "not-received"
    """The EHR's version never came."""
    NOT_READ = "not-read"
    """It came and is parked."""
    OTHER_VERSION = "other-version"
    """It came, but the case goes by another."""
    MAPPED_OTHERWISE = "mapped-otherwise"
    """The case goes by it, as an earlier release read it."""
    NOT_THERE = "not-there"
    """An open case rests on something that the EHR does not have."""
    NOT_READABLE = "not-readable"
    """It differed, or an open case rests on it, and the EHR closes it to us: what it says now is not known."""
    NOT_WRITTEN = "not-written"
    """What the EHR should say of an open case does not stand there."""
    NOT_PROVEN = "not-proven"
    """Nothing shows all there is of a resource type: of it only what open cases rest on was compared, by name."""
    STANDS_TWICE = "stands-twice"
    """Two Tasks of ours stand there where one should."""


@dataclass(frozen=True)
class Difference:
    """
    One thing in which the EHR and Bridge differ, or may.

    ``what`` is ``Type/id``, the case where nothing stands, or the resource type of which nothing is proven.
    """

    kind: Kind
    what: str
    words: str
    case: str | None = None


@dataclass(frozen=True)
class Agreement:
    """
    What was compared, and what differs.

    ``asked_at`` to ``told_at`` is when, by our clock; ``ehr_at`` the EHR's own clock at the beginning.
    """

    connection: str
    asked_at: datetime
    told_at: datetime
    ehr_at: datetime | None
    resources: Mapping[str, int]
    cases: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass
class _Seen:
    refs: set[str] = field(default_factory=set)
    count: dict[str, int] = field(default_factory=dict)
    suspects: dict[str, None] = field(default_factory=dict)
    ours: dict[str, set[str]] = field(default_factory=dict)
    """Our Tasks by the identifier that they carry."""
    ehr_at: datetime | None = None


def agreement(
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    *,
    searches: Callable[[str], Iterable[Params]],
    watch: Callable[[str, int], None] = lambda stream, read: None,
) -> Agreement:
    """
    Compare everything in scope.

    Args:
        searches: By which searches, together, all of a resource type can be read.
        watch: Told after every page how many resources of a type were read.

    Raises:
        RemoteError: The EHR does not answer: nothing is proven.
    """
    asked_at, seen = clock(), _Seen()
    differences: list[Difference] = []
    for stream in line.types:
        try:
            for params in searches(stream):
                _whole(partial(_read, client, store, line, stream, params, seen, watch))
        except (Refused, UnsafeAnswer) as error:
            differences.append(Difference(Kind.NOT_PROVEN, stream, str(error)))
    differences += [*_second_look(client, store, line, seen), *_twice(client, seen)]
    cases = 0
    for some in _open_cases(store, line):
        cases += len(some)
        differences += _unwritten(client, store, line, some, clock())
    return Agreement(line.name, asked_at, clock(), seen.ehr_at, seen.count, cases, tuple(differences))


# Resources ------------------------------------------------------------------------------------------------


def _twice(client: FhirClient, seen: _Seen) -> Iterator[Difference]:
    """Yield where more than one Task stands under an identifier of ours, each read once more."""
    for name, refs in seen.ours.items():
        if len(refs) > 1:
            again = (_read_one(client, ref) for ref in sorted(refs))
            stand = [one.ref for one in again if isinstance(one, SourceVersion) and task_name(one) == name]
            if len(stand) > 1:
                words = f"{', '.join(stand)} stand for one case: a sweep takes all but the oldest back"
                yield Difference(Kind.STANDS_TWICE, stand[-1], words, case_of_task(name))


def _whole(read: Callable[[], None]) -> None:
    """
    Read a search to its end, a second time where that fell short: something may have been deleted meanwhile.

    Raises:
        IncompleteScan: The server gives less than there is: what it keeps back proves nothing.
    """
    try:
        read()
    except IncompleteScan:
        read()


def _read(
    client: FhirClient,
    store: Store,
    line: Line,
    stream: str,
    params: Params,
    seen: _Seen,
    watch: Callable[[str, int], None],
) -> None:
    count, here = (line.count_param, str(line.page_size)), set[str]()
    for page in every_page(client, stream, [*params, count], [name for name, _ in params]):
        seen.ehr_at = seen.ehr_at or page.server_at
        refs = [version.ref for version in page.entries if version.type == stream]
        if not here.isdisjoint(refs):
            raise IncompleteScan(
                f"{stream}: pages repeat rows, and may leave others out; ask for larger ones (page_size)"
            )
        here.update(refs)
        versions = [version for version in page.entries if version.type == stream and version.ref not in seen.refs]
        seen.refs.update(version.ref for version in versions)
        for version in versions:
            if (name := task_name(version)) is not None:
                seen.ours.setdefault(name, set()).add(version.ref)
        seen.count[stream] = seen.count.get(stream, 0) + len(versions)
        with store.reading() as tx:
            seen.suspects.update(dict.fromkeys(one.what for one in _compared(tx, line, versions)))
        watch(stream, seen.count[stream])


def _compared(tx: Tx, line: Line, versions: Sequence[SourceVersion]) -> Iterator[Difference]:
    """Hold versions, each the EHR's newest, against what is kept."""
    received = tx.known_versions(line.name, [(version.ref, version.version) for version in versions])
    rows = tx.sources(line.name, [version.ref for version in versions])
    for version in versions:
        verdict = read_version(version, line)
        if isinstance(verdict, Ignored) and verdict.code == OWN_WRITE:
            continue
        if (version.ref, version.version) not in received:
            yield Difference(Kind.NOT_RECEIVED, version.ref, f"version {version.version} has not come")
        elif isinstance(verdict, Parked):
            yield Difference(Kind.NOT_READ, version.ref, f"version {version.version} is parked: {verdict.reason}")
        elif isinstance(verdict, Snapshot) and version.ref in rows:
            yield from _against(rows[version.ref], verdict)


def _against(row: SourceRow, snapshot: Snapshot) -> Iterator[Difference]:
    if row.snapshot.version != snapshot.version:
        words = f"the EHR has version {snapshot.version}, here version {row.snapshot.version} counts"
        yield Difference(Kind.OTHER_VERSION, row.ref, words)
    elif row.gone_at is not None:
        yield Difference(Kind.OTHER_VERSION, row.ref, "it is there; here it was taken for deleted")
    elif row.snapshot != snapshot:
        yield Difference(Kind.MAPPED_OTHERWISE, row.ref, f"version {snapshot.version} is read otherwise by now")


def _second_look(client: FhirClient, store: Store, line: Line, seen: _Seen) -> Iterator[Difference]:
    """Look again at what differed, and by name for what open cases rest on and no search has shown."""
    unseen = dict.fromkeys(row.ref for row in _open_sources(store, line) if row.ref not in seen.refs)
    asked = iter(seen.suspects | unseen)
    while refs := list(islice(asked, AT_ONCE)):
        several = read_several(client, refs)
        found, closed = {version.ref: version for version in several.found}, {*several.refused}
        for ref in set(refs) - found.keys() - closed:
            answer = _read_one(client, ref)
            if isinstance(answer, Refused):
                closed.add(ref)
            elif answer is not None:
                found[ref] = answer
        with store.reading() as tx:
            yield from _compared(tx, line, list(found.values()))
            resting = {row.ref for row in tx.sources(line.name, refs).values() if _holds_up(tx, line, row)}
        for ref in refs:
            if ref in closed and (ref in resting or ref in seen.suspects):
                yield Difference(Kind.NOT_READABLE, ref, "the EHR does not let us read it by name")
            elif ref not in found and ref in resting:
                yield Difference(Kind.NOT_THERE, ref, "an open case rests on it, and the EHR does not have it")


def _open_sources(store: Store, line: Line) -> Iterator[SourceRow]:
    after = ""
    while True:
        with store.reading() as tx:
            rows = tx.sources_to_sweep(line.name, after, AT_ONCE)
        if not rows:
            return
        yield from (row for row in rows if row.gone_at is None)
        after = rows[-1].ref


def _holds_up(tx: Tx, line: Line, row: SourceRow) -> bool:
    """Whether an open case goes by a source that is not known to be gone."""
    case = tx.cases_of_roots(line.name, [row.root]).get(row.root)
    return row.gone_at is None and case is not None and case.is_open and case.merged_into is None


# Writes ---------------------------------------------------------------------------------------------------


def _open_cases(store: Store, line: Line) -> Iterator[Sequence[Case]]:
    cursor: str | None = None
    while True:
        with store.reading() as tx:
            page = tx.list_cases(CaseFilter(connection=line.name, is_open=True), limit=AT_ONCE, cursor=cursor)
        if page.cases:
            yield page.cases
        cursor = page.next_cursor
        if cursor is None:
            return


def _unwritten(
    client: FhirClient, store: Store, line: Line, cases: Sequence[Case], now: datetime
) -> Iterator[Difference]:
    """Say of which cases the coordination Task does not stand as it was last meant to."""
    if not line.writes:
        return
    with store.reading() as tx:
        rows = tx.outbox(case_ids=[case.id for case in cases], limit=_ALL)
    last = {row.intent.case_id: row for row in rows if row.intent.kind is IntentKind.COORDINATION_TASK}
    several = read_several(client, _written(last.values()))
    standing = {version.ref: version for version in several.found} | several.refused
    for case in cases:
        row = last.get(case.id)
        words = "nothing was ever to be written of it" if row is None else _not_standing(row, case, standing, client)
        if words is not None and (row is None or row.state not in _WAITING or now - row.created_at > IN_FLIGHT):
            yield Difference(Kind.NOT_WRITTEN, row.written or case.id if row is not None else case.id, words, case.id)


_WAITING = (IntentState.QUEUED, IntentState.SENDING)


def _written(rows: Iterable[OutboxRow]) -> list[str]:
    return [row.written for row in rows if row.written is not None]


def _not_standing(
    row: OutboxRow, case: Case, standing: Mapping[str, SourceVersion | Refused], client: FhirClient
) -> str | None:
    if row.state is not IntentState.CONFIRMED or row.written is None:
        return f"{row.state.value}: {row.reason or 'it waits for its turn'}"
    found = standing.get(row.written) or _read_one(client, row.written)
    if found is None:
        return "our Task is not there"
    if isinstance(found, Refused):
        return f"our Task may not be read: {found}"
    current = decode(found.raw)
    if patient_of(current) != case.patient_ref:
        return "our Task is for another patient than the case"
    return f"our Task was ended there ({current['status']})" if current.get("status") in FINAL else None


def _read_one(client: FhirClient, ref: str) -> SourceVersion | Refused | None:
    try:
        return client.read(ref)
    except (Gone, NotFound):
        return None
    except Refused as error:
        return error
