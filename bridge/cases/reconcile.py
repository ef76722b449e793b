"""
Reconcile: sources that changed, or a person's decision, become changes of cases.

Theory of operation. A group is everything that has one root (``grouping``). A case exists for a group once
any version of any of its resources, new or old, would open one (``rules.opening``); so whether a case exists
does not depend on the order versions came in. What the case *is* then follows from the newest versions and
the people's decisions (``derive``). The difference to the case as it was becomes changes with their causes,
and the new case is the fold of those changes, never anything else.

When resources are linked anew, groups form anew: a case whose root now belongs to another group is merged
into that group's case, taking along everything people did, and comes back as itself if it is split off again.

``book`` holds the changes as they are written down, ``differences`` finds them, ``moved`` says what brought them about,
``merging`` hands a case over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.book import Book, Known, Outcome, cause_for, cause_of
from bridge.cases.calendar import plausible
from bridge.cases.changes import Cause, CauseKind
from bridge.cases.derive import View, derive
from bridge.cases.differences import differences
from bridge.cases.facts import ENDED_TASK, LIVE_TASK, Facts, gather
from bridge.cases.grouping import CROSSES_PATIENTS, group
from bridge.cases.merging import merge_away
from bridge.cases.model import Case
from bridge.cases.moved import moved_by
from bridge.cases.naming import with_names
from bridge.cases.people import Person
from bridge.cases.rules import Rules, opening
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow, Unread


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """
    One received version that was mapped, and what is odd about how it came to be (in fixed words).

    ``stands`` is whether the EHR was asked for it by name and has the last word, whatever it is dated.
    """

    snapshot: Snapshot
    note: str | None = None
    stands: bool = False


_ID_LENGTH = 64
"""The longest id that FHIR allows (R4 datatypes.html#id); a longer number is text, Python would not read it."""


def is_newer(snapshot: Snapshot, than: Snapshot) -> bool:
    """
    Whether *snapshot* is a newer version of the resource that *than* is a version of.

    By ``meta.lastUpdated``. A tie cannot be decided by FHIR (versionId is opaque): whole numbers are compared
    as such, since servers that number their versions count upwards, other ids as text; so that the answer
    does not depend on the order of arrival. What carries no version goes by its receipt, which its name ends with
    (``@``) where need be. An EHR whose clock was put back dates what is newer earlier; so where they differ it is asked
    which one stands, and has the last word (``Arrival.stands``; rule ours).
    """
    now, before = snapshot.updated_at, than.updated_at
    if now is not None and before is not None and now != before:
        return now > before
    return _age(snapshot) > _age(than)


def _age(one: Snapshot | Unread) -> tuple[float, int, str]:
    at = one.updated_at.timestamp() if one.updated_at is not None else float("-inf")
    counted = one.version.rpartition("@")[2]
    number = int(counted) if len(counted) <= _ID_LENGTH and _is_number(counted) else -1
    return at, number, one.version


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def reconcile(
    arrivals: Sequence[Arrival], known: Known, rules: Rules, now: datetime, unread: Sequence[Unread] = ()
) -> Outcome:
    """Fold a page of arrivals, and of what came and could not be read, into the cases they touch; see above."""
    rows = dict(known.sources)
    stale: set[tuple[str, str]] = set()
    causes: dict[str, Cause] = {}
    notes: dict[str, list[tuple[Cause, str]]] = {}
    touched: set[str] = set()
    revived: set[str] = set()
    for arrival in arrivals:
        snapshot = arrival.snapshot
        before = rows.get(snapshot.ref)
        rows[snapshot.ref] = merged = _merge(before, arrival, rules, now)
        if merged.snapshot is not snapshot:
            stale.add((snapshot.ref, snapshot.version))
        if before is None or merged != before:
            touched.add(snapshot.ref)
        if before is not None and merged.snapshot is snapshot and _is_revived(before.snapshot, snapshot):
            revived.add(snapshot.ref)
        causes[snapshot.ref] = cause_of(merged.snapshot)
        if arrival.note is not None:
            notes.setdefault(snapshot.ref, []).append((cause_of(snapshot), arrival.note))
    for version in unread:
        row = rows.get(version.ref)
        if row is not None and _age(version) > max(_age(one) for one in (row.snapshot, row.unread) if one):
            rows[version.ref] = replace(row, unread=version, gone_at=None, missed_at=None)
            causes[version.ref] = Cause(CauseKind.SOURCE, f"{version.ref}/_history/{version.version}")
            touched.add(version.ref)
    return _settle(rows, touched, causes, notes, stale, known, rules, now, revived)


def revisit(
    refs: Iterable[str], known: Known, rules: Rules, cause: Cause | Mapping[str, Cause], now: datetime
) -> Outcome:
    """
    Derive the groups of *refs* again: time has passed, a source is gone, or a person became known.

    Where time alone changed what is asked for since anybody looked (a visit began, a supply runs out), what had come
    due until then comes first.

    Args:
        cause: Why, for all of them or for each.
    """
    rows = dict(known.sources)
    touched = set(refs)
    causes = dict.fromkeys(touched, cause) if isinstance(cause, Cause) else cause
    for ref in touched:
        row = rows[ref]
        told = opening(row.snapshot, rules, now)
        rows[ref] = replace(row, opened=row.opened or told.opens, watch_at=told.watch_at)
    turns = {row.root: _turns(row.root, known, now) for row in (known.sources[ref] for ref in touched)}
    return _settle(rows, touched, causes, {}, set(), known, rules, now, turns=turns)


def rederive(root: str, rows: Sequence[SourceRow], cause: Cause, book: Book) -> Outcome:
    """Derive one case again after facts were written into *book*: the end of a person's command."""
    _reconcile_group(root, rows, {row.ref: cause for row in rows}, {}, book)
    return Outcome(
        sources=(),
        pairs=book.pairs(),
        changes=book.changes,
        stale=frozenset(),
        idle={},
        groups={root: rows},
        wakes=book.wakes,
    )


def _settle(
    rows: dict[str, SourceRow],
    touched: set[str],
    causes: Mapping[str, Cause],
    notes: Mapping[str, list[tuple[Cause, str]]],
    stale: set[tuple[str, str]],
    known: Known,
    rules: Rules,
    now: datetime,
    revived: Set[str] = frozenset(),
    turns: Mapping[str, Sequence[datetime]] = MappingProxyType({}),
) -> Outcome:
    _regroup(rows, known.people)
    notes = _with_crossings(rows, known, notes)
    groups = _by_root(rows)
    affected = _affected(groups, rows, known, touched)
    book = Book(known, rules, now)
    for root in affected:
        for at in turns.get(root, ()):
            _climb_until(at, root, [row for row in known.sources.values() if row.root == root], book)
        _reconcile_group(root, groups.get(root, ()), causes, notes, book, revived)
    emptied = [root for root in affected if root in known.cases and not _is_work(groups.get(root, ()))]
    heirs = [merge_away(root, known, rows, causes, book) for root in emptied]
    for heir in filter(None, heirs):
        _reconcile_group(heir, groups[heir], causes, {}, book)
    changed = [row for ref, row in rows.items() if row is not (was := known.sources.get(ref)) and row != was]
    return Outcome(
        sources=changed,
        pairs=book.pairs(),
        changes=book.changes,
        stale=frozenset(stale),
        idle={ref: _why_idle(rows[ref]) for ref in touched if not book.has_case(rows[ref].root)},
        groups={root: groups[root] for root in affected if root in groups},
        wakes=book.wakes,
    )


# Sources --------------------------------------------------------------------------------------------------


def _merge(before: SourceRow | None, arrival: Arrival, rules: Rules, now: datetime) -> SourceRow:
    snapshot = arrival.snapshot
    told = opening(snapshot, rules, now)
    began = _began(snapshot, now)
    if before is None:
        return SourceRow(
            connection=rules.connection,
            ref=snapshot.ref,
            root=snapshot.ref,
            snapshot=snapshot,
            opened=told.opens,
            began_at=began,
            watch_at=told.watch_at,
        )
    opened, began = before.opened or told.opens, min(before.began_at, began)
    if not (arrival.stands or is_newer(snapshot, before.snapshot)):
        return replace(before, opened=opened, began_at=began)
    overtaken = before.unread is None or arrival.stands or _age(before.unread) <= _age(snapshot)
    return replace(
        before,
        snapshot=snapshot,
        opened=opened,
        began_at=began,
        watch_at=told.watch_at,
        gone_at=None,
        missed_at=None,
        unread=None if overtaken else before.unread,
    )


def _is_revived(before: Snapshot, now: Snapshot) -> bool:
    """Whether a Task that had ended is to be done after all. Bridge itself never takes one out of its end."""
    return now.type == "Task" and now.effect in LIVE_TASK and before.effect in ENDED_TASK


def _began(snapshot: Snapshot, now: datetime) -> datetime:
    """Return when the work was asked for, as this version tells it; never in the future."""
    stated = (plausible(snapshot.authored_at), plausible(snapshot.updated_at), now)
    return min([at for at in stated if at is not None])


def _with_crossings(
    rows: Mapping[str, SourceRow], known: Known, notes: Mapping[str, list[tuple[Cause, str]]]
) -> dict[str, list[tuple[Cause, str]]]:
    """Add a note for every link that turned out to lead to another patient, once."""
    found = {ref: list(texts) for ref, texts in notes.items()}
    for ref, row in rows.items():
        before = known.sources.get(ref)
        if row.aside is not None and (before is None or before.aside is None):
            found.setdefault(ref, []).append((cause_of(row.snapshot), CROSSES_PATIENTS))
    return found


def _regroup(rows: dict[str, SourceRow], people: Mapping[str, Person]) -> None:
    formed = group({ref: row.snapshot for ref, row in rows.items()}, people)
    for ref, row in rows.items():
        root, aside = formed.roots[ref], row.snapshot.parent if ref in formed.aside else None
        if (root, aside) != (row.root, row.aside):
            rows[ref] = replace(row, root=root, aside=aside)


def _by_root(rows: Mapping[str, SourceRow]) -> dict[str, list[SourceRow]]:
    groups: dict[str, list[SourceRow]] = {}
    for row in rows.values():
        groups.setdefault(row.root, []).append(row)
    return groups


def _affected(
    groups: Mapping[str, Sequence[SourceRow]], rows: Mapping[str, SourceRow], known: Known, touched: set[str]
) -> list[str]:
    """Return the roots to look at: where something arrived, and where something came from or went to."""
    roots = {rows[ref].root for ref in touched}
    for ref, row in rows.items():
        before = known.sources.get(ref)
        if before is not None and before.root != row.root:
            roots |= {before.root, row.root}
    return [*sorted(roots & groups.keys()), *sorted(roots - groups.keys())]


def _is_work(rows: Sequence[SourceRow]) -> bool:
    """Whether a group has a case: once any version of any of its resources would open one."""
    return any(row.opened for row in rows)


def _why_idle(row: SourceRow) -> str:
    snapshot = row.snapshot
    if snapshot.do_not_perform:
        return "do-not-perform"
    if snapshot.intent in ("proposal", "plan"):
        return "not-an-order"
    return f"no-work:{snapshot.effect.value}"


# Cases ----------------------------------------------------------------------------------------------------


LANE_OFF = "its lane is switched off: it stays as it is, and nobody is called"


def _say_that_it_stays(prior: Case | None, cause: Cause, book: Book) -> None:
    """An open case whose kind of work no lane is for any longer is neither ended nor moved, and says so."""
    if prior is not None and prior.is_open and LANE_OFF not in prior.oddities:
        book.write(prior.root, cause, facts_of.SourcesChanged(prior.sources, (*prior.oddities, LANE_OFF)))


def _turns(root: str, known: Known, now: datetime) -> list[datetime]:
    """Return the moments, since the case last changed, at which time alone changed what is asked for."""
    case = known.cases.get(root)
    if case is None or not case.is_open:
        return []
    moments = {row.watch_at for row in known.sources.values() if row.root == root and row.watch_at is not None}
    return sorted(at for at in moments if case.updated_at < at <= now)


def _climb_until(turn: datetime, root: str, rows: Sequence[SourceRow], book: Book) -> None:
    """Write down who had to be asked to step in before *turn*, by what was asked for then."""
    prior = book.case(root)
    facts = _facts(root, rows, prior, book) if prior is not None else None
    if prior is None or facts is None:
        return
    view = derive(facts, book.rules, prior, turn - _JUST_BEFORE)
    for one in view.escalations if view.closure is None else ():
        told = Cause(CauseKind.TIMER, "clock", f"{'escalate' if one.is_open else 'resolve'}:{one.trigger.value}")
        book.write(root, told, facts_of.Escalated(one))


_JUST_BEFORE = timedelta(microseconds=1)


def _reconcile_group(
    root: str,
    rows: Sequence[SourceRow],
    causes: Mapping[str, Cause],
    notes: Mapping[str, list[tuple[Cause, str]]],
    book: Book,
    revived: Set[str] = frozenset(),
) -> None:
    if not _is_work(rows):
        return
    prior = book.case(root)
    cause = cause_for(rows, causes)
    facts = _facts(root, rows, prior, book)
    if facts is None:
        _say_that_it_stays(prior, cause, book)
        return
    view = _view(facts, prior, book, revived)

    if len(rows) > 1:
        look = partial(_look, root, prior, book, revived)
        cause = moved_by(root, rows, causes, book.known.sources, prior, view, look) or cause
    view = with_names(view, book.known.people)
    for fact_cause, fact in differences(prior, view, facts, root, cause, book):
        book.write(root, fact_cause, fact)
    for row in rows if notes else ():
        for note_cause, text in notes.get(row.ref, ()):
            book.write(root, note_cause, facts_of.OddityNoted(text))
    after = book.case(root)
    if after is not None:
        book.wakes[after.id] = view.wake_at


def _facts(root: str, rows: Sequence[SourceRow], prior: Case | None, book: Book) -> Facts | None:
    return gather(root, rows, book.rules, prior.lane if prior is not None else None, book.known.people)


def _view(facts: Facts, prior: Case | None, book: Book, revived: Set[str]) -> View:
    back = any(task.ref in revived and task is not _known(task.ref, book) for task in facts.tasks) if revived else False
    return derive(facts, book.rules, prior, book.now, revived=back)


def _look(root: str, prior: Case | None, book: Book, revived: Set[str], rows: Sequence[SourceRow]) -> View | None:
    """Return how the case would stand with these members; ``None`` where they are none."""
    facts = _facts(root, rows, prior, book) if _is_work(rows) else None
    return _view(facts, prior, book, revived) if facts is not None else None


def _known(ref: str, book: Book) -> Snapshot | None:
    row = book.known.sources.get(ref)
    return row.snapshot if row is not None else None
