"""The plain facts of a case: since when, how urgent, called what, for whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge.cases.people import Person
from bridge.cases.snapshot import BusinessIdentifier, Party, Priority, Snapshot
from bridge.cases.terms import Status
from tests.unit.cases.builders import (
    CARDIOLOGY,
    NOW,
    ORDER,
    Desk,
    a_prescription,
    a_snapshot,
    a_task,
    a_visit,
    by,
    patient,
    taken,
)


def test_an_older_version_that_comes_late_changes_nothing_but_how_long_the_work_is_known() -> None:
    desk = taken(a_snapshot(status="on-hold", version=2))
    before = desk.case()

    outcome = desk.take(a_snapshot(version=1, title="Old title"))

    assert outcome.stale == {(ORDER, "1")}
    assert (desk.case().status, desk.case().title) == (before.status, before.title)


def test_the_work_began_when_it_was_asked_for_as_early_as_any_version_says() -> None:
    early = datetime(2026, 4, 1, 9, tzinfo=UTC)
    desk = taken(a_snapshot(version=2))

    desk.take(a_snapshot(version=1, authored_at=early))

    assert desk.case().opened_at == early


def test_work_is_never_asked_for_in_the_future() -> None:
    future = NOW + timedelta(days=9)

    assert taken(a_snapshot(authored_at=future, updated_at=future)).case().opened_at == NOW


@pytest.mark.parametrize(
    ("snapshots", "priority"),
    [
        ([a_snapshot()], Priority.ROUTINE),
        ([a_snapshot(), a_task(priority=Priority.STAT)], Priority.STAT),
        ([a_snapshot(priority=Priority.ASAP), a_task(priority=Priority.ROUTINE)], Priority.ASAP),
        ([a_snapshot(), a_task("entered-in-error", priority=Priority.STAT)], Priority.ROUTINE),
    ],
)
def test_the_most_urgent_counts(snapshots: list[Snapshot], priority: Priority) -> None:
    assert taken(*snapshots).case().priority is priority


def test_titles_and_lanes_come_from_what_is_real_while_the_order_is_not_known() -> None:
    desk = taken(a_visit("booked"), a_task(title="Referral of Pat"))

    desk.take(a_visit("entered-in-error", version=2))

    assert (desk.case().title, desk.case().lane) == ("Referral of Pat", "referral")


def test_people_are_shown_by_the_names_they_are_known_by() -> None:
    desk = Desk()
    desk.people = {
        "Patient/p1": Person(
            ref="Patient/p1", type="Patient", version="1", display="Pat E.", language="pt", deceased=True
        ),
        "Organization/cardiology": Person(
            ref="Organization/cardiology", type="Organization", version="1", display="Heart"
        ),
        "Practitioner/house": Person(ref="Practitioner/house", type="Practitioner", version="1", display="Dr House"),
    }

    desk.take(a_snapshot(requester=by("Practitioner/house")), a_task(owner=CARDIOLOGY))

    case = desk.case()
    assert case.patient is not None
    assert case.requester is not None
    assert (case.patient.display, case.patient.language, case.patient.deceased) == ("Pat E.", "pt", True)
    assert (case.owner.display, case.requester.display) == ("Heart", "Dr House")


def test_a_patient_known_by_name_keeps_it_when_the_record_is_out_of_reach() -> None:
    desk = Desk()
    desk.people = {"Patient/p1": Person(ref="Patient/p1", type="Patient", version="1", display="Pat E.")}
    desk.take(a_snapshot())
    desk.people = {}

    desk.take(a_snapshot(version=2))

    case = desk.case()
    assert case.patient is not None
    assert case.patient.display == "Pat E."


def test_another_patient_is_another_patient() -> None:
    desk = taken(a_snapshot())

    desk.take(a_snapshot(version=2, patient=patient("p2")))

    case = desk.case()
    assert case.patient is not None
    assert (case.patient.ref, case.patient.display) == ("Patient/p2", None)


@pytest.mark.parametrize(
    "named", [Party(None, None, BusinessIdentifier("4711", "http://mrn.example")), Party("Patient", None, None, "Ada")]
)
def test_a_root_that_names_its_patient_otherwise_takes_nobody_elses_record(named: Party) -> None:
    """By identifier or name alone it may mean another patient than a Task about it does."""
    desk = taken(a_snapshot(patient=named), a_task(patient=patient("p2")))

    case = desk.case()
    assert case.patient is None or case.patient.ref != "Patient/p2"


def test_oddities_name_their_resource() -> None:
    case = taken(a_snapshot(), a_visit("noshow", oddities=("noshow without times",))).case()

    assert case.oddities == ("Appointment/1: noshow without times",)


def test_a_version_known_already_changes_nothing() -> None:
    desk = taken(a_snapshot(), a_task(), a_visit())

    outcome = desk.take(a_snapshot(), a_task(), a_visit())

    assert (outcome.pairs, outcome.changes, outcome.sources) == ([], [], [])


def test_a_version_number_longer_than_an_id_may_be_is_read_as_text() -> None:
    desk = taken(a_snapshot(version=1))
    endless = "9" * 5000

    desk.take(a_snapshot(status="on-hold", version=1, updated_at=NOW), a_prescription("draft"))
    desk.take(replace(a_snapshot(status="completed"), version=endless, updated_at=NOW))

    assert desk.case().status is Status.WAITING_ON_PROVIDER
