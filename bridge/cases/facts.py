"""The sources of one group sorted out once, for the rules that draw conclusions from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from bridge.cases.calendar import plausible
from bridge.cases.lane_parts import Complex
from bridge.cases.lanes import Lane
from bridge.cases.patients import person_of
from bridge.cases.people import Person
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Effect, Party, Snapshot
from bridge.cases.sources import SourceRow

LIVE_TASK = frozenset({Effect.ASKED, Effect.ACCEPTED, Effect.UNDER_WAY, Effect.PAUSED})
"""Effects of a Task that somebody is still to do."""
ENDED_TASK = frozenset({Effect.DONE, Effect.CANCELLED, Effect.DECLINED, Effect.FAILED, Effect.VOID})
"""Effects of a Task that nobody is to do any more."""
FIRM_VISIT = frozenset({Effect.BOOKED, Effect.ARRIVED})
"""Effects of a visit whose time is agreed."""


_T = TypeVar("_T")


class Answer(msgspec.Struct, Generic[_T], frozen=True, gc=False):
    """A conclusion and the rule that drew it."""

    value: _T
    rule: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """The sources of one group, sorted out once: the root, what is live, and the visit that counts."""

    root: SourceRow | None
    rows: tuple[SourceRow, ...]
    live: tuple[Snapshot, ...]
    tasks: tuple[Snapshot, ...]
    visit: Snapshot | None
    lead: Snapshot
    lane: Lane
    patient: Party | None = None
    """As the sources name the patient."""
    person: Person | None = None
    """The patient's record, if it was read; the one that took its place where it was replaced."""

    @property
    def has_died(self) -> bool:
        """Whether the EHR says that the patient has died."""
        return self.person is not None and self.person.deceased


def gather(
    root: str,
    rows: Sequence[SourceRow],
    rules: Rules,
    fallback: str | None,
    people: Mapping[str, Person] | None = None,
) -> Facts | None:
    """
    Sort out the sources of a group; ``None`` when no lane that is switched on knows this kind of work.

    Args:
        fallback: The lane the case was in before, for work that no lane claims any longer.
        people: The records of those whom the sources name, as far as they were read.
    """
    ordered = tuple(sorted(rows, key=lambda row: (row.ref != root, row.ref)) if len(rows) > 1 else rows)
    live = tuple([row.snapshot for row in ordered if row.gone_at is None and row.snapshot.effect is not Effect.VOID])
    lead = ordered[0].snapshot if ordered[0].ref == root or not live else live[0]
    lane = _lane_of_errand(lead, live, rules) or rules.lanes.of(lead)
    if lane is None:
        lane = next((found for found in map(rules.lanes.of, live) if found is not None), None)
    if lane is None and fallback is not None and fallback in rules.lanes:
        lane = rules.lanes[fallback]
    if lane is None:
        return None
    top = ordered[0] if ordered[0].ref == root else None
    patient = _patient(top, ordered)
    return Facts(
        root=top,
        rows=ordered,
        live=live,
        tasks=tuple([one for one in live if one.type == "Task" and _does_the_work(one, root, rules)]),
        visit=visit_that_counts(live),
        lead=lead,
        lane=lane,
        patient=patient,
        person=person_of(patient, people) if people else None,
    )


def _patient(root: SourceRow | None, rows: Sequence[SourceRow]) -> Party | None:
    """
    Return the patient, by the root's own word where it has one.

    A root that names its patient by identifier or name alone may mean another than a resource about it does:
    nobody's record is guessed.
    """
    if root is not None and root.snapshot.patient is not None:
        return root.snapshot.patient
    named = [row.snapshot.patient for row in rows if row.snapshot.patient is not None]
    return next((party for party in named if party.ref is not None), named[0] if named else None)


def _lane_of_errand(lead: Snapshot, live: Sequence[Snapshot], rules: Rules) -> Lane | None:
    """A prescription in force is no work by itself: what a Task about it asks for says what kind of work it is."""
    if lead.effect is not Effect.PRESCRIBED:
        return None
    errands = (one for one in live if one.type == "Task" and one.effect in LIVE_TASK)
    return next((lane for lane in map(rules.lanes.of, errands) if lane is not None), None)


def cancellation_asked(facts: Facts) -> Snapshot | None:
    """Return the Task by which the requester asks to stop the work (HL7 Clinical Order Workflows 1.0.0), if any."""
    live = [task for task in facts.live if task.type == "Task" and task.effect in LIVE_TASK]
    asking = [task for task in live if task.codes and _aborts(task)]
    return min(asking, key=by_time) if asking else None


def _aborts(task: Snapshot) -> bool:
    return any(coding.token == _ABORT for coding in task.codes)


def visit_that_counts(live: Sequence[Snapshot]) -> Snapshot | None:
    """Return the last firm visit (booked or arrived), else the last of any other kind."""
    visits = [snapshot for snapshot in live if snapshot.type == "Appointment"]
    if len(visits) < 2:
        return visits[0] if visits else None
    firm = [visit for visit in visits if visit.effect in FIRM_VISIT]
    return max(firm or visits, key=_when)


def _when(snapshot: Snapshot) -> tuple[float, str]:
    at = snapshot.start_at or snapshot.updated_at
    return (at.timestamp() if at is not None else float("-inf"), snapshot.ref)


def visit_outlives_request(facts: Facts, now: datetime) -> bool:
    """Whether the request was withdrawn, and a visit for it is still to come: the patient would come for nothing."""
    root, visit = facts.root, facts.visit
    if root is None or root.gone_at is not None or root.snapshot.effect is not Effect.CANCELLED:
        return False
    if visit is None or visit.effect not in FIRM_VISIT or visit.ref == root.ref:
        return False
    at = plausible(visit.start_at)
    return at is not None and at > now


def complexity(facts: Facts) -> Complex | None:
    """Return why this work is not routine, as its lane tells it."""
    rules = facts.lane.complex
    return next((rule for rule in rules if any(rule.fits(one) for one in facts.live)), None) if rules else None


_AMENDED = frozenset(
    f"http://hl7.org/fhir/{system}|{code}"
    for system in ("observation-status", "diagnostic-report-status")
    for code in ("amended", "corrected", "appended")
)
"""What says that a result is not what it was when it was given out (FHIR R4 observation-status and others)."""


def amended(facts: Facts) -> Snapshot | None:
    """Return the finished Task that says of its result that it was amended, if one does."""
    if not facts.tasks:
        return None
    found = [task for task in facts.tasks if task.effect is Effect.DONE and is_amended(task)]
    return max(found, key=by_time) if found else None


def is_amended(task: Snapshot) -> bool:
    """Whether a finished Task says that what it gave out was amended since."""
    if task.effect is not Effect.DONE:
        return False
    said = (task.business_status, task.status_reason)
    return any(coding.token in _AMENDED for concept in said if concept is not None for coding in concept.codes)


def visit_at(facts: Facts) -> datetime | None:
    """Return when the visit that counts begins, where that is told."""
    return plausible(facts.visit.start_at) if facts.visit is not None else None


def visit_failed_at(visit: Snapshot | None) -> datetime | None:
    """Return when the visit was missed, or called off if that was before it should have been."""
    if visit is None or visit.effect not in (Effect.MISSED, Effect.VISIT_CANCELLED):
        return None
    start, told = plausible(visit.start_at), stated_at(visit)
    return min(start, told) if start is not None else told


def stated_at(snapshot: Snapshot) -> datetime:
    """Return when the source says that it came to be as it is."""
    return plausible(snapshot.updated_at or snapshot.modified_at or snapshot.authored_at) or _EPOCH


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def by_time(snapshot: Snapshot) -> tuple[datetime, str]:
    """Return the key by which the last word is found."""
    return stated_at(snapshot), snapshot.ref


def _does_the_work(task: Snapshot, root: str, rules: Rules) -> bool:
    """Whether a Task stands for the work itself, rather than for a step of it or for a change of it."""
    if task.ref == root:
        return True
    if task.parent != root or any(coding.token in _ABOUT_THE_REQUEST for coding in task.codes):
        return False
    rule = rules.lanes.rule_of(task)
    return rule is None or rule.blocker is None


_ABORT = "http://hl7.org/fhir/CodeSystem/task-code|abort"
_ABOUT_THE_REQUEST = frozenset(
    f"http://hl7.org/fhir/CodeSystem/task-code|{code}"
    for code in ("approve", "abort", "replace", "change", "suspend", "resume")
)
"""task-code values that ask to change or stop the request, not to do it (FHIR R4 CodeSystem task-code)."""
