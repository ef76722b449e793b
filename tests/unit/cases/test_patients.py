"""Whose work it is: records that were replaced, and patients who died."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.cases import commands as do
from bridge.cases.changes import PatientKnown, PatientMerged
from bridge.cases.grouping import group
from bridge.cases.model import Case
from bridge.cases.patients import CONTACTS_PATIENT, is_same_person
from bridge.cases.people import MOST_LINKS, Person, heir, links
from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, Status
from bridge.errors import CommandRefused
from tests.unit.cases.builders import (
    NOW,
    ORDER,
    Desk,
    a_snapshot,
    a_task,
    a_visit,
    call,
    patient,
    refolded,
    taken,
)

A, B = "Patient/a", "Patient/b"


def known(*people: Person) -> dict[str, Person]:
    """Return records by reference."""
    return {person.ref: person for person in people}


def record(ref: str, into: str | None = None, **changes: Any) -> Person:
    """Return a patient's record, replaced by another where told."""
    return Person(ref=ref, type=ref.partition("/")[0], version="1", replaced_by=into, **changes)


def desk_of(*snapshots: Snapshot, **changes: Any) -> Desk:
    """Return a desk that has taken these in for a patient whose record is known."""
    desk = Desk()
    desk.people = known(record("Patient/p1", **changes))
    desk.take(*snapshots)
    return desk


def learn(desk: Desk, *people: Person) -> Case:
    """Take in what became known of people, and return the order's case."""
    desk.people |= known(*people)
    desk.look_again(*desk.sources)
    return desk.case()


# One person, two records ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ((), A),
        ((record(A),), A),
        ((record(A, B), record(B)), B),
        ((record(A, B), record(B, "Patient/c"), record("Patient/c")), "Patient/c"),
        ((record(A, B),), A),
        ((record(A, A),), A),
        ((record(A, B), record(B, A)), A),
        ((record(A, "RelatedPerson/r"), record("RelatedPerson/r")), A),
        ((record(A, B), record(B, gone=True)), A),
        ((record(A, B, gone=True), record(B)), B),
        ((record(A), record(B, A)), A),
    ],
    ids=[
        "never read",
        "stands",
        "replaced",
        "twice",
        "by one not read",
        "by itself",
        "in a circle",
        "by another kind",
        "by one deleted",
        "and deleted since",
        "the other by it",
    ],
)
def test_the_heir_is_the_record_that_a_replaced_one_names(people: tuple[Person, ...], expected: str) -> None:
    assert heir(A, known(*people)) == expected
    assert (links(A, known(*people)) == ()) == (expected == A)


@pytest.mark.parametrize("length", [MOST_LINKS, MOST_LINKS + 1])
def test_no_more_links_are_followed_than_can_be_meant(length: int) -> None:
    way = [record(f"Patient/{number}", f"Patient/{number + 1}") for number in range(length)]

    last = heir("Patient/0", known(*way, record(f"Patient/{length}")))

    assert last == (f"Patient/{length}" if length <= MOST_LINKS else "Patient/0")


def test_only_a_link_or_a_deletion_makes_two_records_one_person() -> None:
    alike = {"display": "Pat Example", "birth_on": "1980-05-01"}

    assert not is_same_person(A, B, known(record(A, **alike), record(B, **alike)))
    assert not is_same_person(A, B, known(record(B)))
    assert not is_same_person(B, A, known(record(A, B), record(B)))
    assert is_same_person(A, B, known(record(A, B), record(B)))
    assert is_same_person(A, B, known(record(A, gone=True), record(B)))
    assert not is_same_person(A, B, known(record(A, "Patient/c", gone=True), record(B)))


def test_a_group_may_hold_two_records_of_one_person_and_never_two_people() -> None:
    order, task = a_snapshot(patient=patient("a")), a_task(patient=patient("b"))
    snapshots = {one.ref: one for one in (order, task)}

    together = group(snapshots, known(record(A, B), record(B)))
    apart = group(snapshots, known(record(A), record(B)))

    assert (together.roots["Task/1"], together.aside) == (ORDER, frozenset())
    assert (apart.roots["Task/1"], apart.aside) == ("Task/1", {"Task/1"})


def test_a_case_that_follows_its_patient_is_the_same_life_of_it() -> None:
    desk = taken(a_snapshot(patient=patient("a")))
    learn(desk, record(A))

    case = learn(desk, record(A, B), record(B, display="Pat"))

    assert (case.patient_ref, case.round) == (B, 1)
    fact = desk.history[case.id][-1].fact
    assert isinstance(fact, PatientMerged)
    assert (fact.was, fact.by) == (A, ("Patient/a/_history/1",))
    assert refolded(desk.history[case.id]) == case


def test_a_case_whose_link_is_gone_goes_back_and_begins_another_life() -> None:
    desk = taken(a_snapshot(patient=patient("a")))
    learn(desk, record(A, B), record(B))

    case = learn(desk, record(A))

    assert (case.patient_ref, case.round) == (A, 2), "what was written in the other record is taken back"
    assert isinstance(desk.history[case.id][-1].fact, PatientKnown)


def test_an_order_that_moves_on_with_its_patient_changes_nothing_more() -> None:
    desk = taken(a_snapshot(patient=patient("a")))
    learn(desk, record(A, B), record(B))
    version = desk.case().version

    desk.take(a_snapshot(version=2, patient=patient("b")))

    assert "PatientKnown" not in desk.facts()[-desk.case().version + version :]
    assert (desk.case().patient_ref, desk.case().round) == (B, 1)


# A death --------------------------------------------------------------------------------------------------

_SITUATIONS = [
    (a_snapshot(),),
    (a_snapshot(), a_task("in-progress")),
    (a_snapshot(), a_visit("booked")),
    (a_snapshot(), a_visit("noshow")),
    (a_snapshot(), a_visit("pending", waits_for=("patient",))),
    (a_snapshot(status="on-hold"),),
]


@pytest.mark.parametrize("snapshots", _SITUATIONS, ids=["new", "under way", "booked", "missed", "asked", "on hold"])
def test_no_next_action_turns_to_a_patient_who_has_died(snapshots: tuple[Snapshot, ...]) -> None:
    desk = desk_of(*snapshots)

    case = learn(desk, record("Patient/p1", deceased=True))

    assert case.next_action is not None
    assert case.next_action.text == "Review: the patient has died"
    assert case.blocker is not None
    assert (case.blocker.category, case.status) == (BlockerCategory.CLINICAL_REVIEW, Status.WAITING_ON_PROVIDER)
    action = desk.view().next_action
    assert action is not None
    assert action.rule == "patient-deceased"


def test_a_decision_taken_while_the_patient_lived_lapses() -> None:
    desk = desk_of(a_snapshot())
    desk.do(do.SetNextAction(code=Action.CALL_PATIENT, text="Call in the evening"))
    desk.do(do.Snooze(until=NOW + timedelta(days=9), reason="on holiday"))

    case = learn(desk, record("Patient/p1", deceased=True))

    assert case.next_action is not None
    assert case.next_action.code is Action.CLOSE_WITH_REASON
    assert case.local.snoozed_until is None


def test_the_review_stays_when_a_person_clears_what_holds_it_up() -> None:
    desk = desk_of(a_snapshot(), deceased=True)

    case = desk.do(do.ClearBlocker())

    assert case.blocker is None
    assert case.next_action is not None
    assert case.next_action.code is Action.CLOSE_WITH_REASON


@pytest.mark.parametrize("code", sorted(CONTACTS_PATIENT))
def test_a_person_cannot_make_turning_to_them_the_next_action(code: Action) -> None:
    desk = desk_of(a_snapshot(), deceased=True)

    with pytest.raises(CommandRefused, match="has died"):
        desk.do(do.SetNextAction(code=code))


def test_another_next_action_is_for_a_person_to_set() -> None:
    case = desk_of(a_snapshot(), deceased=True).do(do.SetNextAction(code=Action.UPDATE_REFERRAL_SOURCE))

    assert case.next_action is not None
    assert case.next_action.code is Action.UPDATE_REFERRAL_SOURCE


def test_an_attempt_after_the_death_is_refused_and_one_before_it_is_kept() -> None:
    desk = desk_of(a_snapshot(), deceased=True, deceased_at=NOW - timedelta(days=1))

    with pytest.raises(CommandRefused, match="write a note instead"):
        desk.do(call())
    case = desk.do(call(at=NOW - timedelta(days=2)))

    assert len(case.outreach) == 1


def test_a_death_brings_no_closed_case_back_and_its_correction_only_what_was_closed_over_it() -> None:
    lived, died = desk_of(a_snapshot()), desk_of(a_snapshot(), deceased=True)
    for desk in (lived, died):
        desk.do(do.Close(reason=ClosureReason.OTHER, outcome="No longer needed"))

    assert learn(lived, record("Patient/p1", deceased=True)).status is Status.CLOSED
    assert learn(lived, record("Patient/p1")).status is Status.CLOSED
    assert learn(died, record("Patient/p1")).is_open


def test_what_was_closed_over_a_death_stays_closed_when_the_record_is_replaced() -> None:
    desk = desk_of(a_snapshot(), deceased=True)
    desk.do(do.Close(reason=ClosureReason.OTHER, outcome="Died"))

    case = learn(desk, record("Patient/p1", B, deceased=True), record(B, deceased=True))

    assert (case.patient_ref, case.status) == (B, Status.CLOSED)


def test_another_edit_of_the_record_of_somebody_dead_changes_nothing() -> None:
    died = record("Patient/p1", deceased=True, deceased_at=NOW)
    desk = desk_of(a_snapshot(), deceased=True, deceased_at=NOW)
    before = desk.case()

    assert learn(desk, replace(died, version="7", updated_at=NOW + timedelta(days=3))) == before
