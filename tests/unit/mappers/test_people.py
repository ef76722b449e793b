"""Patients, practitioners and places by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.cases.people import Person
from bridge.cases.snapshot import BusinessIdentifier
from bridge.fhir.bundle import received
from bridge.mappers import Parked, Why
from bridge.mappers.people import READABLE, person

from .builders import BASE_URL, a_version


def read(kind: str, **elements: Any) -> Person:
    found = person(a_version(kind, **elements), base_url=BASE_URL)
    assert isinstance(found, Person), found
    return found


def test_a_patient_with_everything() -> None:
    found = read(
        "Patient",
        identifier=[{"system": "urn:mrn", "value": "42"}, {"system": "urn:none"}],
        name=[
            {"use": "old", "text": "Before"},
            {"use": "official", "family": "Beispiel", "given": ["Nora", None]},
        ],
        communication=[
            {"language": {"coding": [{"code": "en"}]}},
            {"language": {"coding": [{"code": "pt-BR"}]}, "preferred": True},
        ],
        telecom=[{"system": "email", "rank": 2}, {"system": "phone", "rank": 1}, {"system": "fax"}],
        birthDate="1980-05",
        link=[{"type": "replaced-by", "other": {"reference": f"{BASE_URL}/Patient/new/_history/2"}}],
        active=False,
    )

    assert found == Person(
        ref="Patient/x1",
        type="Patient",
        version="3",
        display="Nora Beispiel",
        identifiers=(BusinessIdentifier("42", "urn:mrn"),),
        language="pt-BR",
        contact_preference="phone",
        birth_on="1980-05",
        active=False,
        replaced_by="Patient/new",
        updated_at=found.updated_at,
    )


@pytest.mark.parametrize("kind", sorted(READABLE))
def test_everybody_can_be_nameless(kind: str) -> None:
    assert read(kind).display is None


@pytest.mark.parametrize(
    ("kind", "elements", "expected"),
    [
        ("Patient", {"name": [{"text": "A"}, {"use": "usual", "text": "B"}]}, "B"),
        ("Patient", {"name": [{"use": "maiden", "text": "Was"}, {"text": "Is"}]}, "Is"),
        ("Practitioner", {"name": [{"family": "Muster"}]}, "Muster"),
        ("Organization", {"name": "Clinic"}, "Clinic"),
        ("CareTeam", {"name": "Team", "status": "active"}, "Team"),
        ("HealthcareService", {"name": "Physio"}, "Physio"),
        ("Location", {"name": "Room 4", "status": "active"}, "Room 4"),
        ("RelatedPerson", {"name": [{"given": ["Ann"]}]}, "Ann"),
        ("Device", {"deviceName": [{"name": "Pump", "type": "other"}]}, "Pump"),
        ("Device", {"name": [{"value": "Pump 5", "type": "user-friendly-name"}]}, "Pump 5"),
        (
            "PractitionerRole",
            {"practitioner": {"display": "Dr. Test"}, "organization": {"display": "Clinic"}},
            "Dr. Test, Clinic",
        ),
        ("PractitionerRole", {"code": [{"text": "Nurse"}]}, "Nurse"),
    ],
)
def test_names_as_a_person_reads_them(kind: str, elements: dict[str, Any], expected: str) -> None:
    assert read(kind, **elements).display == expected


def test_a_practitioner_speaks_by_a_plain_concept_in_r4() -> None:
    assert read("Practitioner", communication=[{"coding": [{"code": "de"}]}]).language == "de"


@pytest.mark.parametrize("elements", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026"}])
def test_the_dead_are_known_as_such(elements: dict[str, Any]) -> None:
    assert read("Patient", **elements).deceased


@pytest.mark.parametrize(
    ("said", "at"),
    [("2026-05-30T08:15:00-04:00", datetime(2026, 5, 30, 12, 15, tzinfo=UTC)), ("2026-05-30", None), ("soon", None)],
)
def test_the_moment_of_a_death_is_known_where_it_is_told_to_the_second(said: str, at: datetime | None) -> None:
    assert read("Patient", deceasedDateTime=said).deceased_at == at


def test_a_suspended_place_is_not_active() -> None:
    assert not read("Location", status="suspended").active


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"modifierExtension": [{"url": "urn:x"}]}, Why.UNKNOWN_MODIFIER),
        ({"implicitRules": "urn:x"}, Why.IMPLICIT_RULES),
        ({"deceasedBoolean": "no"}, Why.WRONG_SHAPE),
        ({"link": "Patient/2"}, Why.WRONG_SHAPE),
    ],
)
def test_who_could_be_taken_for_another_is_parked(elements: dict[str, Any], why: Why) -> None:
    found = person(a_version("Patient", **elements), base_url=BASE_URL)

    assert isinstance(found, Parked)
    assert found.code is why


def test_an_element_of_a_wrong_type_does_not_hide_the_name() -> None:
    assert read("Patient", name=[{"text": "Nora"}], telecom=[{"rank": "first"}]).display == "Nora"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"resourceType":"Task","id":"1"}'])
def test_what_is_nobody_is_parked(raw: bytes) -> None:
    assert isinstance(person(received(raw), base_url=BASE_URL), Parked)
