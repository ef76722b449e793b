"""
Reconcile: sources that changed, or a person's decision, become changes of cases.

Theory of operation. A group is everything that has one root (``grouping``). A case exists for a group once
any version of any of its resources, new or old, would open one (``rules.opening``); so whether a case exists
does not depend on the order versions came in. What the case *is* then follows from the newest versions and
the people's decisions (``derive``). The difference to the case as it was becomes changes with their causes,
and the new case is the fold of those changes, never anything else.

When resources are linked anew, groups form anew: a case whose root now belongs to another group is merged
into that group's case, taking along everything people did, and comes back as itself if it is split off again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.calendar import plausible
from bridge.cases.changes import Cause, CauseKind, Change, Fact, fold
from bridge.cases.derive import View, derive
from bridge.cases.facts import Answer, Facts, gather
from bridge.cases.grouping import CROSSES_PATIENTS, group
from bridge.cases.model import Case, CasePatient, Closure, ClosureReason, OwnerKind, SourceLine, Status
from bridge.cases.people import Person
from bridge.cases.rules import Rules, case_id, opening
from bridge.cases.snapshot import Effect, Party, Snapshot
from bridge.cases.sources import SourceRow

_T = TypeVar("_T")

VISIT_EVENTS = {
    Effect.MISSED: "missed",
    Effect.VISIT_CANCELLED: "cancelled",
    Effect.WAITLISTED: "waitlisted",
    Effect.BOOKED: "booked",
    Effect.ATTENDED: "attended",
}


@dataclass(frozen=True)
class Arrival:
    """One received version that was mapped, and what is odd about how it came to be (in fixed words)."""

    snapshot: Snapshot
    note: str | None = None


@dataclass(frozen=True)
class Known:
    """
    What the store holds about everything that a page touches.

    ``sources`` are the arrivals' own rows, their parents' and every member of each of their groups;
    ``cases`` the cases of those groups' roots, merged ones too; ``last_seq`` each case's last history entry.
    """

    sources: Mapping[str, SourceRow]
    cases: Mapping[str, Case]
    last_seq: Mapping[str, int]
    people: Mapping[str, Person]


@dataclass(frozen=True)
class Outcome:
    """
    What a page comes to.

    ``stale`` are the arrivals that were older than what is known, ``idle`` those whose group is no work.
    ``pairs`` are the cases that changed, as they were and as they are now.
    """

    sources: Sequence[SourceRow]
    pairs: Sequence[tuple[Case | None, Case]]
    changes: Sequence[Change]
    stale: frozenset[tuple[str, str]]
    idle: Mapping[str, str]
    groups: Mapping[str, Sequence[SourceRow]] = field(default_factory=dict)


_ID_LENGTH = 64
"""The longest id that FHIR allows (R4 datatypes.html#id); a longer number is text, Python would not read it."""


def is_newer(snapshot: Snapshot, than: Snapshot) -> bool:
    """
    Whether *snapshot* is a newer version of the resource that *than* is a version of.

    By ``meta.lastUpdated``. A tie cannot be decided by FHIR (versionId is opaque): whole numbers are compared
    as such, since servers that number their versions count upwards, other ids as text; so that the answer
    does not depend on the order of arrival. The sweep compares with the EHR and has the last word (rule ours).
    """
    return _age(snapshot) > _age(than)


def _age(snapshot: Snapshot) -> tuple[float, int, str]:
    at = snapshot.updated_at.timestamp() if snapshot.updated_at is not None else float("-inf")
    number = int(snapshot.version) if len(snapshot.version) <= _ID_LENGTH and _is_number(snapshot.version) else -1
    return at, number, snapshot.version


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def reconcile(arrivals: Sequence[Arrival], known: Known, rules: Rules, now: datetime) -> Outcome:
    """Fold a page of arrivals into the cases they touch; see the module's docstring."""
    rows = dict(known.sources)
    stale: set[tuple[str, str]] = set()
    causes: dict[str, Cause] = {}
    notes: dict[str, list[tuple[Cause, str]]] = {}
    touched: set[str] = set()
    for arrival in arrivals:
        snapshot = arrival.snapshot
        before = rows.get(snapshot.ref)
        rows[snapshot.ref] = merged = _merge(before, snapshot, rules, now)
        if merged.snapshot is not snapshot:
            stale.add((snapshot.ref, snapshot.version))
        if before is None or merged != before:
            touched.add(snapshot.ref)
        causes[snapshot.ref] = _cause(merged.snapshot)
        if arrival.note is not None:
            notes.setdefault(snapshot.ref, []).append((_cause(snapshot), arrival.note))
    return _settle(rows, touched, causes, notes, stale, known, rules, now)


def revisit(refs: Iterable[str], known: Known, rules: Rules, cause: Cause, now: datetime) -> Outcome:
    """Derive the groups of *refs* again: time has passed, a source is gone, or a person became known."""
    rows = dict(known.sources)
    touched = set(refs)
    for ref in touched:
        row = rows[ref]
        told = opening(row.snapshot, rules, now)
        rows[ref] = replace(row, opened=row.opened or told.opens, watch_at=told.watch_at)
    return _settle(rows, touched, dict.fromkeys(touched, cause), {}, set(), known, rules, now)


def rederive(root: str, rows: Sequence[SourceRow], cause: Cause, book: Book) -> Outcome:
    """Derive one case again after facts were written into *book*: the end of a person's command."""
    _reconcile_group(root, rows, {row.ref: cause for row in rows}, {}, book)
    return Outcome(
        sources=(), pairs=book.pairs(), changes=book.changes, stale=frozenset(), idle={}, groups={root: rows}
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
) -> Outcome:
    _regroup(rows)
    notes = _with_crossings(rows, known, notes)
    groups = _by_root(rows)
    affected = _affected(groups, rows, known, touched)
    book = Book(known, rules, now)
    for root in affected:
        _reconcile_group(root, groups.get(root, ()), causes, notes, book)
    emptied = [root for root in affected if not _is_work(groups.get(root, ()))]
    heirs = [_merge_away(root, known, rows, causes, book) for root in emptied]
    for heir in filter(None, heirs):
        _reconcile_group(heir, groups[heir], causes, {}, book)
    changed = [row for ref, row in rows.items() if known.sources.get(ref) != row]
    return Outcome(
        sources=changed,
        pairs=book.pairs(),
        changes=book.changes,
        stale=frozenset(stale),
        idle={ref: _why_idle(rows[ref]) for ref in touched if not book.has_case(rows[ref].root)},
        groups={root: groups[root] for root in affected if root in groups},
    )


# Sources --------------------------------------------------------------------------------------------------


def _merge(before: SourceRow | None, snapshot: Snapshot, rules: Rules, now: datetime) -> SourceRow:
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
    if not is_newer(snapshot, before.snapshot):
        return replace(before, opened=opened, began_at=began)
    return replace(
        before,
        snapshot=snapshot,
        opened=opened,
        began_at=began,
        watch_at=told.watch_at,
        gone_at=None,
        missed_at=None,
    )


def _began(snapshot: Snapshot, now: datetime) -> datetime:
    """Return when the work was asked for, as this version tells it; never in the future."""
    stated = (plausible(snapshot.authored_at), plausible(snapshot.updated_at))
    return min((*filter(None, stated), now))


def _with_crossings(
    rows: Mapping[str, SourceRow], known: Known, notes: Mapping[str, list[tuple[Cause, str]]]
) -> dict[str, list[tuple[Cause, str]]]:
    """Add a note for every link that turned out to lead to another patient, once."""
    found = {ref: list(texts) for ref, texts in notes.items()}
    for ref, row in rows.items():
        before = known.sources.get(ref)
        if row.aside is not None and (before is None or before.aside is None):
            found.setdefault(ref, []).append((_cause(row.snapshot), CROSSES_PATIENTS))
    return found


def _regroup(rows: dict[str, SourceRow]) -> None:
    formed = group({ref: row.snapshot for ref, row in rows.items()})
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
    return sorted(roots, key=lambda root: (root not in groups, root))


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


class Book:
    """The changes of one page as they are written down, case by case."""

    def __init__(self, known: Known, rules: Rules, now: datetime) -> None:
        self.known, self.rules, self.now = known, rules, now
        self.changes: list[Change] = []
        self._cases: dict[str, Case] = dict(known.cases)
        self._versions: dict[str, int] = {}
        self._last_seq = dict(known.last_seq)

    def case(self, root: str) -> Case | None:
        """Return the root's case as it is after what was written down so far."""
        return self._cases.get(root)

    def has_case(self, root: str) -> bool:
        """Whether the root has a case that is not merged away."""
        case = self._cases.get(root)
        return case is not None and case.merged_into is None

    def write(self, root: str, cause: Cause, fact: Fact) -> Case:
        """Write one fact down and return the case after it."""
        case = self._cases.get(root)
        opened = fact.case if isinstance(fact, facts_of.CaseOpened) else None
        subject = case if case is not None else opened
        assert subject is not None, "a history begins with case-opened"
        version = self._versions.setdefault(subject.id, 1 if case is None else case.version + 1)
        seq = self._last_seq.get(subject.id, 0) + 1
        self._last_seq[subject.id] = seq
        change = Change(subject.id, seq, version, self.now, cause, fact)
        self.changes.append(change)
        self._cases[root] = after = fold(case, change)
        return after

    def pairs(self) -> list[tuple[Case | None, Case]]:
        """Return the cases that changed, as they were and as they are."""
        return [
            (self.known.cases.get(root), case)
            for root, case in self._cases.items()
            if case is not self.known.cases.get(root)
        ]


def _reconcile_group(
    root: str,
    rows: Sequence[SourceRow],
    causes: Mapping[str, Cause],
    notes: Mapping[str, list[tuple[Cause, str]]],
    book: Book,
) -> None:
    if not _is_work(rows):
        return
    prior = book.case(root)
    facts = gather(root, rows, book.rules, prior.lane if prior is not None else None)
    if facts is None:
        return
    cause = _cause_for(rows, causes)
    view = _with_names(derive(facts, book.rules, prior, book.now), book.known.people)
    for fact_cause, fact in differences(prior, view, facts, root, cause, book):
        book.write(root, fact_cause, fact)
    for row in rows:
        for note_cause, text in notes.get(row.ref, ()):
            book.write(root, note_cause, facts_of.OddityNoted(text))


def differences(
    prior: Case | None, view: View, facts: Facts, root: str, cause: Cause, book: Book
) -> list[tuple[Cause, Fact]]:
    """Return what changed from *prior* to *view*, in the order in which people read it."""
    patient = _patient(view.patient, prior, book.known.people)
    if prior is None:
        opened = facts_of.CaseOpened(_opened(view, root, patient, book))
        return [(cause, opened), *_visit_events((), facts, cause)]
    found: list[tuple[Cause, Fact]] = []

    def note(changed: bool, make: Callable[[], Fact], rule: str | None = None) -> None:
        if changed:
            found.append((replace(cause, rule=rule) if rule is not None else cause, make()))

    note(prior.merged_into is not None, lambda: facts_of.CaseMerged(None))
    note(
        (prior.sources, prior.oddities) != (view.sources, view.oddities),
        lambda: facts_of.SourcesChanged(view.sources, view.oddities),
    )
    found += _visit_events(prior.sources, facts, cause)
    note(prior.lane != view.lane.name, lambda: facts_of.LaneChanged(view.lane.name, prior.lane))
    told = (view.title, view.priority, view.requester, view.visit_at, view.opened_at)
    was = (prior.title, prior.priority, prior.requester, prior.visit_at, prior.opened_at)
    note(told != was, lambda: facts_of.FactsChanged(*told))
    note(prior.patient != patient, lambda: facts_of.PatientKnown(patient))
    _differ_in_work(prior, view, note)
    note(prior.local != view.local, lambda: facts_of.LocalDecided(view.local))
    return found


def _differ_in_work(prior: Case, view: View, note: Callable[..., None]) -> None:
    closure = _value(view.closure)
    if prior.closure is not None and (closure is None or _was_never(prior.closure, closure)):
        was = prior.closure
        note(True, lambda: facts_of.CaseReopened(was), view.status.rule)
    blocker = _value(view.blocker)
    if blocker is not None:
        note(prior.blocker != blocker, lambda: facts_of.BlockerRaised(blocker), _rule(view.blocker))
    elif prior.blocker is not None:
        gone = prior.blocker
        note(True, lambda: facts_of.BlockerCleared(gone))
    note(
        prior.status is not view.status.value,
        lambda: facts_of.StatusChanged(view.status.value, prior.status),
        view.status.rule,
    )
    note(
        (prior.owner, prior.backup) != (view.owner.value, view.backup),
        lambda: facts_of.OwnerAssigned(view.owner.value, view.backup),
        view.owner.rule,
    )
    action, due = _value(view.next_action), _value(view.due_at)
    note(
        (prior.next_action, prior.due_at) != (action, due),
        lambda: facts_of.NextActionSet(action, due),
        _rule(view.next_action),
    )
    note(closure is not None and prior.escalation is not None, lambda: facts_of.Escalated(None))
    if closure is not None and prior.closure != closure:
        note(True, lambda: facts_of.CaseClosed(closure), _rule(view.closure))


_NEVER = frozenset({ClosureReason.ENTERED_IN_ERROR, ClosureReason.DUPLICATE})


def _was_never(was: Closure, now: Closure) -> bool:
    """Whether a case that should never have been turns out to be one after all: another life begins."""
    return was.reason in _NEVER and now.reason not in _NEVER


def _opened(view: View, root: str, patient: CasePatient | None, book: Book) -> Case:
    rules, closure = book.rules, _value(view.closure)
    return Case(
        id=case_id(rules.connection, root),
        connection=rules.connection,
        tenant=rules.tenant,
        root=root,
        lane=view.lane.name,
        status=view.status.value,
        priority=view.priority,
        patient=patient,
        title=view.title,
        requester=view.requester,
        sources=view.sources,
        owner=view.owner.value,
        backup=view.backup,
        next_action=_value(view.next_action),
        due_at=_value(view.due_at),
        blocker=_value(view.blocker),
        closure=closure,
        oddities=view.oddities,
        visit_at=view.visit_at,
        opened_at=view.opened_at,
        updated_at=book.now,
        closed_at=closure.at if closure is not None else None,
    )


def _visit_events(before: Sequence[SourceLine], facts: Facts, cause: Cause) -> list[tuple[Cause, Fact]]:
    known = {line.ref: line.effect for line in before}
    return [
        (cause, facts_of.VisitHappened(VISIT_EVENTS[snapshot.effect], snapshot.ref, plausible(snapshot.start_at)))
        for snapshot in facts.live
        if snapshot.effect in VISIT_EVENTS and known.get(snapshot.ref) is not snapshot.effect
    ]


def _with_names(view: View, people: Mapping[str, Person]) -> View:
    """Give the requester, and an owner whom the EHR named, the name they are known by."""
    requester = _named(view.requester, people)
    owner = view.owner.value
    party = _named(owner.party, people)
    if owner.kind is OwnerKind.EHR and party is not owner.party and party is not None:
        owner = replace(owner, display=party.display or owner.display, party=party)
    if requester is view.requester and owner is view.owner.value:
        return view
    return replace(view, requester=requester, owner=Answer(owner, view.owner.rule))


def _named(party: Party | None, people: Mapping[str, Person]) -> Party | None:
    """Return *party* with a name, where it came without one and is known by one."""
    person = people.get(party.ref or "") if party is not None else None
    if party is None or party.display or person is None or not person.display:
        return party
    return replace(party, display=person.display)


def _patient(party: Party | None, prior: Case | None, people: Mapping[str, Person]) -> CasePatient | None:
    if party is None or party.ref is None:
        return None
    person = people.get(party.ref)
    if person is not None:
        return CasePatient(
            ref=party.ref,
            display=person.display or party.display,
            identifiers=person.identifiers,
            language=person.language,
            contact_preference=person.contact_preference,
            birth_on=person.birth_on,
            deceased=person.deceased,
        )
    if prior is not None and prior.patient is not None and prior.patient.ref == party.ref:
        return prior.patient
    return CasePatient(ref=party.ref, display=party.display)


# Merging --------------------------------------------------------------------------------------------------


def _merge_away(
    root: str, known: Known, rows: Mapping[str, SourceRow], causes: Mapping[str, Cause], book: Book
) -> str | None:
    """
    What made the group of *root* work has left it: its case goes on where that went.

    Returns the root of that group, or ``None`` where there was nothing to merge.
    """
    case = book.case(root)
    if case is None or case.merged_into is not None:
        return None
    left = [row for row in known.sources.values() if row.root == root and rows[row.ref].root != root]
    heir = min((rows[row.ref].root for row in left if row.opened), default=None)
    target = book.case(heir) if heir is not None else None
    if heir is None or target is None:
        return None
    cause = _cause_for([rows[row.ref] for row in left], causes)
    _hand_over(case, heir, book, replace(cause, rule="merged"))
    closure = Closure(reason=ClosureReason.DUPLICATE, outcome="Belongs to another case", by=cause.what, at=book.now)
    ending: list[Fact] = [facts_of.SourcesChanged(())]
    if case.blocker is not None:
        ending.append(facts_of.BlockerCleared(case.blocker))
    if case.status is not Status.CLOSED:
        ending.append(facts_of.StatusChanged(Status.CLOSED, case.status))
    ending += [
        facts_of.NextActionSet(None, None),
        facts_of.CaseClosed(closure),
        facts_of.CaseMerged(target.id),
    ]
    for fact in ending:
        book.write(root, cause, fact)
    return heir


def _hand_over(case: Case, heir: str, book: Book, cause: Cause) -> None:
    """Give the heir what people did on *case*: attempts, remarks, the escalation, standing decisions."""
    target = book.case(heir)
    assert target is not None
    known = {attempt.id for attempt in target.outreach}
    for attempt in case.outreach:
        if attempt.id not in known:
            book.write(heir, cause, facts_of.OutreachLogged(attempt))
    for remark in case.notes:
        if remark not in target.notes:
            book.write(heir, cause, facts_of.NoteAdded(remark))
    if case.escalation is not None and target.escalation is None:
        book.write(heir, cause, facts_of.Escalated(case.escalation))
    ours, theirs = target.local, case.local
    combined = replace(
        ours,
        owner=ours.owner or theirs.owner,
        blocker=ours.blocker or theirs.blocker,
        next_action=ours.next_action or theirs.next_action,
        snoozed_until=ours.snoozed_until or theirs.snoozed_until,
        snooze_reason=ours.snooze_reason or theirs.snooze_reason,
        snoozed_over=ours.snoozed_over or theirs.snoozed_over,
        reopened_at=ours.reopened_at or theirs.reopened_at,
    )
    if combined != ours:
        book.write(heir, cause, facts_of.LocalDecided(combined))


# Small things ---------------------------------------------------------------------------------------------


def _cause(snapshot: Snapshot) -> Cause:
    return Cause(CauseKind.SOURCE, f"{snapshot.ref}/_history/{snapshot.version}")


def _cause_for(rows: Sequence[SourceRow], causes: Mapping[str, Cause]) -> Cause:
    given = [causes[row.ref] for row in rows if row.ref in causes]
    return given[-1] if given else Cause(CauseKind.RULE, "linked-anew")


def _value(answer: Answer[_T] | None) -> _T | None:
    return answer.value if answer is not None else None


def _rule(answer: Answer[_T] | None) -> str | None:
    return answer.rule if answer is not None else None
