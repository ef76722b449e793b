"""Who takes part in a visit, whose reply is missing, and times that are not there."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.snapshot import Party, Priority
from bridge.mappers import Why

from .builders import mapped, parked

SEVERAL = ("has several patients; none was chosen",)


def taking_part(reference: str, status: str = "accepted", **elements: Any) -> dict[str, Any]:
    return {"actor": {"reference": reference}, "status": status, **elements}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("accepted", "accepted"), ()),
        (("needs-action", "accepted"), ("patient",)),
        (("accepted", "tentative"), ("provider",)),
        (("tentative", "needs-action"), ("patient", "provider")),
        (("declined", "accepted"), ("declined-by-patient",)),
        (("accepted", "declined"), ("declined-by-provider",)),
    ],
)
def test_whose_reply_is_missing(statuses: tuple[str, str], expected: tuple[str, ...]) -> None:
    patient, provider = statuses
    people = [taking_part("Patient/p1", patient), taking_part("Practitioner/d1", provider)]

    assert mapped("Appointment", participant=people).waits_for == expected


@pytest.mark.parametrize("required", ["optional", "information-only", False])
def test_nobody_waits_for_those_who_are_not_required(required: object) -> None:
    people = [taking_part("Patient/p1"), taking_part("Practitioner/d1", "needs-action", required=required)]

    assert mapped("Appointment", participant=people).waits_for == ()


@pytest.mark.parametrize("required", ["required", True, None])
def test_the_required_are_waited_for(required: object) -> None:
    people = [taking_part("Patient/p1"), taking_part("Practitioner/d1", "needs-action", required=required)]

    assert mapped("Appointment", participant=people).waits_for == ("provider",)


def test_a_relative_replies_for_the_patient() -> None:
    people = [taking_part("Patient/p1"), taking_part("RelatedPerson/m1", "needs-action")]

    assert mapped("Appointment", participant=people).waits_for == ("patient",)


def test_clinician_is_the_owner_before_a_place_that_comes_first() -> None:
    people = [taking_part("Patient/p1"), taking_part("Location/l1"), taking_part("Practitioner/d1")]

    assert mapped("Appointment", participant=people).owner == Party("Practitioner", "Practitioner/d1")
    assert mapped("Appointment", participant=people[:2]).owner == Party("Location", "Location/l1")
    assert mapped("Appointment", participant=people[:1]).owner is None


def test_of_several_patients_none_is_chosen() -> None:
    """Never the wrong patient: a group visit is nobody's visit."""
    snapshot = mapped("Appointment", participant=[taking_part("Patient/p1"), taking_part("Patient/p2")])

    assert (snapshot.patient, snapshot.oddities) == (None, SEVERAL)


def test_the_same_patient_twice_is_one_patient() -> None:
    people = [
        {"actor": {"reference": "Patient/p1", "display": "Nora"}},
        {"actor": {"reference": "Patient/p1/_history/2", "display": "Beispiel, Nora"}},
    ]

    assert mapped("Appointment", participant=people).patient == Party("Patient", "Patient/p1", None, "Nora")


def test_r5_subject_is_the_patient_where_nobody_else_is() -> None:
    people = [taking_part("Practitioner/d1")]
    subject = {"reference": "Patient/p9"}

    assert mapped("Appointment", "R5", participant=people, subject=subject).patient == Party("Patient", "Patient/p9")


def test_r5_subject_that_contradicts_the_participants_leaves_no_patient() -> None:
    snapshot = mapped("Appointment", "R5", subject={"reference": "Patient/p9"})

    assert (snapshot.patient, snapshot.oddities) == (None, SEVERAL)


@pytest.mark.parametrize("status", ["proposed", "cancelled", "waitlist"])
def test_times_may_be_missing_where_fhir_says_so(status: str) -> None:
    assert mapped("Appointment", status=status, start=None, end=None).oddities == ()


@pytest.mark.parametrize("status", ["booked", "noshow", "fulfilled"])
def test_missing_times_are_noted_elsewhere(status: str) -> None:
    assert mapped("Appointment", status=status, start=None, end=None).oddities == (f"{status} without times",)


def test_noshow_with_a_cancellation_reason_is_accepted_and_noted() -> None:
    """R4's app-4 is misspelt and forbids the pair, so it is met although senders mean well."""
    snapshot = mapped("Appointment", status="noshow", cancelationReason={"text": "Transport"})

    assert snapshot.status_reason is not None
    assert snapshot.status_reason.text == "Transport"
    assert snapshot.oddities == ("noshow with a cancellation reason",)


def test_a_start_without_offset_is_not_guessed() -> None:
    snapshot = mapped("Appointment", start="2026-03-18T09:00:00", end="2026-03-18T09:30:00Z")

    assert snapshot.start_at is None
    assert snapshot.oddities == ("start has no time with an offset",)


def test_priority_is_a_concept_in_r5_and_a_number_without_meaning_in_r4() -> None:
    stat = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "S"}]}

    assert mapped("Appointment", priority=1).priority is None
    assert mapped("Appointment", "R5", priority=stat).priority is Priority.STAT


@pytest.mark.parametrize(
    "participant",
    [5, [None], ["Patient/p1"], [{"actor": "Patient/p1"}], [{"actor": {"reference": 1}}]],
)
def test_participants_of_a_wrong_type_park_the_version(participant: object) -> None:
    assert parked("Appointment", participant=participant).code is Why.WRONG_SHAPE


def test_a_modifier_in_a_participant_parks_the_version() -> None:
    people = [taking_part("Patient/p1", modifierExtension=[{"url": "urn:x"}])]

    assert parked("Appointment", participant=people).code is Why.UNKNOWN_MODIFIER
