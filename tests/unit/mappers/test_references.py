"""Owners, patients and parents, however a reference names them."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.snapshot import BusinessIdentifier, Party
from bridge.mappers import Why

from .builders import BASE_URL, mapped, parked

OWNERS = (
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "CareTeam",
    "HealthcareService",
    "Patient",
    "Device",
    "RelatedPerson",
)


@pytest.mark.parametrize("kind", OWNERS)
def test_every_owner_type_is_resolved(kind: str) -> None:
    owner = mapped("Task", owner={"reference": f"{kind}/o1", "display": "Somebody"}).owner

    assert owner == Party(kind, f"{kind}/o1", None, "Somebody")


NPI = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}
KNOWN = BusinessIdentifier("1234567893", "http://hl7.org/fhir/sid/us-npi")
URI = "urn:ietf:rfc:3986"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (None, None),
        ({}, None),
        ({"identifier": {"system": "urn:x"}}, None),
        ({"type": "Organization", "identifier": NPI}, Party("Organization", None, KNOWN, None)),
        (
            {"type": "http://hl7.org/fhir/StructureDefinition/Organization", "identifier": NPI},
            Party("Organization", None, KNOWN, None),
        ),
        ({"display": "Front desk"}, Party(None, None, None, "Front desk")),
        ({"reference": f"{BASE_URL}/Organization/o1"}, Party("Organization", "Organization/o1")),
        ({"reference": "Organization/o1/_history/4"}, Party("Organization", "Organization/o1")),
        (
            {"reference": "https://other.example/fhir/Organization/o1"},
            Party("Organization", None, BusinessIdentifier("https://other.example/fhir/Organization/o1", URI)),
        ),
        (
            {"reference": "https://other.example/fhir/Organization/o1", "identifier": NPI},
            Party("Organization", None, KNOWN),
        ),
        (
            {"reference": f"{BASE_URL}.evil.example/Organization/o1"},
            Party("Organization", None, BusinessIdentifier(f"{BASE_URL}.evil.example/Organization/o1", URI)),
        ),
        ({"reference": "urn:uuid:1"}, Party(None, None, BusinessIdentifier("urn:uuid:1", URI))),
        (
            {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|1234567893"},
            Party("Practitioner", None, KNOWN),
        ),
        ({"reference": "not a reference", "display": "X"}, Party(None, None, None, "X")),
        ({"reference": "not a reference"}, None),
        ({"reference": f"https://other.example/{'A/' * 2000}1"}, None),
    ],
)
def test_owner_of_any_kind_of_reference(reference: dict[str, Any] | None, expected: Party | None) -> None:
    assert mapped("Task", owner=reference).owner == expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            {"resourceType": "Practitioner", "name": [{"family": "Test", "given": ["Ada"]}]},
            Party("Practitioner", None, None, "Ada Test"),
        ),
        ({"resourceType": "Organization", "name": "Clinic"}, Party("Organization", None, None, "Clinic")),
        ({"resourceType": "CareTeam", "identifier": [NPI]}, Party("CareTeam", None, KNOWN, None)),
        (
            {"resourceType": "PractitionerRole", "code": [{"text": "Nurse"}]},
            Party("PractitionerRole", None, None, "Nurse"),
        ),
        (
            {"resourceType": "Device", "deviceName": [{"name": "Pump", "type": "user-friendly-name"}]},
            Party("Device", None, None, "Pump"),
        ),
        ({"resourceType": "Device"}, Party("Device", None, None, "Device without a name")),
    ],
)
def test_contained_owner_is_named_and_has_no_reference(inner: dict[str, Any], expected: Party) -> None:
    owner = mapped("Task", contained=[5, {"id": "other"}, {"id": "o", **inner}], owner={"reference": "#o"}).owner

    assert owner == expected


def test_a_contained_resource_with_an_unknown_modifier_parks_the_version() -> None:
    inner = {"resourceType": "Practitioner", "id": "o", "modifierExtension": [{"url": "urn:x"}]}

    assert parked("Task", contained=[inner], owner={"reference": "#o"}).code is Why.UNKNOWN_MODIFIER


def test_a_contained_resource_that_is_not_there_is_noted() -> None:
    snapshot = mapped("Task", owner={"reference": "#gone", "display": "Clinic"})

    assert snapshot.owner == Party(None, None, None, "Clinic")
    assert snapshot.oddities == ("refers to a contained resource that is not there",)


@pytest.mark.parametrize("kind", ["Group", "Device", "Location"])
def test_only_a_patient_is_the_patient(kind: str) -> None:
    snapshot = mapped("ServiceRequest", subject={"reference": f"{kind}/s1"})

    assert snapshot.patient is None
    assert snapshot.oddities == ("is about somebody or something that is no patient",)


def test_a_patient_of_another_server_is_never_one_of_this_server() -> None:
    patient = mapped("Task", for_={"reference": "https://other.example/fhir/Patient/p1"}).patient

    assert patient is not None
    assert patient.ref is None


@pytest.mark.parametrize(
    ("kind", "element"),
    [("Task", "for"), ("ServiceRequest", "subject"), ("MedicationRequest", "subject")],
)
@pytest.mark.parametrize("value", ["Patient/p1", 7, [], {"reference": 5}, [{"reference": "a"}, {"reference": "b"}]])
def test_a_patient_reference_of_a_wrong_type_parks_the_version(kind: str, element: str, value: object) -> None:
    assert parked(kind, **{element: value}).code is Why.WRONG_SHAPE


def test_parent_is_the_focus_then_based_on_then_part_of() -> None:
    elements: dict[str, Any] = {
        "focus": {"reference": "ServiceRequest/focus"},
        "basedOn": [{"reference": "CarePlan/c"}, {"reference": "ServiceRequest/above"}],
        "partOf": [{"reference": "Task/parent"}],
    }

    whole = mapped("Task", **elements)
    without_focus = mapped("Task", **{**elements, "focus": {"reference": "Claim/c1"}})

    assert whole.parent == "ServiceRequest/focus"
    assert whole.about == ("CarePlan/c", "ServiceRequest/above", "Task/parent")
    assert without_focus.parent == "ServiceRequest/above"
    assert without_focus.about == ("Claim/c1", "CarePlan/c", "Task/parent")
    assert mapped("Task", partOf=elements["partOf"]).parent == "Task/parent"


def test_a_reference_to_itself_is_no_parent() -> None:
    snapshot = mapped("Task", partOf=[{"reference": "Task/x1"}], focus={"reference": f"{BASE_URL}/Task/x1"})

    assert (snapshot.parent, snapshot.about) == (None, ())
    assert "refers to itself" in snapshot.oddities


def test_a_request_on_another_server_is_noted_and_not_followed() -> None:
    snapshot = mapped("Task", focus={"reference": "https://other.example/fhir/ServiceRequest/s1"})

    assert snapshot.parent is None
    assert snapshot.oddities == ("names what it belongs to in a way that cannot be followed",)


def test_a_service_request_has_no_parent_and_names_what_it_is_based_on() -> None:
    snapshot = mapped("ServiceRequest", basedOn=[{"reference": "ServiceRequest/other"}])

    assert (snapshot.parent, snapshot.about) == (None, ("ServiceRequest/other",))


def test_the_patient_is_not_repeated_among_what_is_named() -> None:
    assert mapped("Task", focus={"reference": "Patient/p1"}).about == ()
