"""What is mapped, ignored and parked, whatever the type."""

from __future__ import annotations

import pytest

from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.status_table import EFFECTS, STATUS_TABLE
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.mappers import MAPPERS, MOST_BYTES, Ignored, Parked, Why, collect, normalize

from .builders import BASE_URL, a_version, mapped, outcome, parked

CODES = {
    "Task": "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed "
    "entered-in-error",
    "ServiceRequest": "draft active on-hold revoked completed entered-in-error unknown",
    "Appointment": "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist",
    "MedicationRequest": "active on-hold cancelled completed entered-in-error stopped draft unknown ended",
}
"""FHIR R4 4.0.1 value sets, and R5's ``ended``, as published; written out again to check the table."""

EVERY_STATUS = [(kind, code) for kind, codes in EFFECTS.items() for code in codes]


@pytest.mark.parametrize("kind", CODES)
def test_table_holds_exactly_the_codes_that_fhir_defines(kind: str) -> None:
    assert set(EFFECTS[kind]) == set(CODES[kind].split())
    assert set(EFFECTS) == set(MAPPERS)


def test_every_code_has_a_meaning_in_words_and_every_effect_a_code() -> None:
    meanings = [meaning for codes in STATUS_TABLE.values() for meaning in codes.values()]

    assert all(meaning.why.endswith((".", "?", ":")) for meaning in meanings)
    assert {meaning.effect for meaning in meanings} == set(Effect)


@pytest.mark.parametrize(("kind", "code"), EVERY_STATUS)
def test_every_status_is_mapped_to_its_one_effect(kind: str, code: str) -> None:
    snapshot = mapped(kind, status=code)

    assert (snapshot.status, snapshot.effect) == (code, EFFECTS[kind][code])


@pytest.mark.parametrize("kind", MAPPERS)
@pytest.mark.parametrize("code", ["doing", "Active", " active", "REQUESTED", "no-show", "act\u0131ve"])
def test_an_unknown_status_is_parked_never_guessed(kind: str, code: str) -> None:
    assert parked(kind, status=code).code is Why.UNKNOWN_STATUS


@pytest.mark.parametrize("kind", MAPPERS)
def test_a_status_that_is_missing_or_only_an_extension_is_parked(kind: str) -> None:
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}

    assert parked(kind, status=None).code is Why.MISSING_STATUS
    assert parked(kind, status="").code is Why.MISSING_STATUS
    assert parked(kind, status=None, _status=absent).code is Why.MISSING_STATUS


@pytest.mark.parametrize("kind", MAPPERS)
@pytest.mark.parametrize(
    ("element", "value", "why"),
    [
        ("status", 5, Why.WRONG_SHAPE),
        ("status", ["active"], Why.WRONG_SHAPE),
        ("meta", "1", Why.WRONG_SHAPE),
        ("modifierExtension", [{"url": "https://ehr.example/not"}], Why.UNKNOWN_MODIFIER),
        ("modifierExtension", {"url": "https://ehr.example/not"}, Why.UNKNOWN_MODIFIER),
        ("modifierExtension", [{}], Why.UNKNOWN_MODIFIER),
        ("implicitRules", "https://ehr.example/rules", Why.IMPLICIT_RULES),
        ("resourceType", "Patient", Why.WRONG_SHAPE),
    ],
)
def test_what_could_turn_the_meaning_round_is_parked(kind: str, element: str, value: object, why: Why) -> None:
    version = a_version(kind, **{element: value})
    labelled = SourceVersion(kind, "x1", "3", None, version.raw)

    verdict = normalize(labelled, base_url=BASE_URL)

    assert isinstance(verdict, Parked)
    assert verdict.code is why


@pytest.mark.parametrize("kind", MAPPERS)
def test_an_empty_modifier_list_changes_nothing(kind: str) -> None:
    assert mapped(kind, modifierExtension=[]) == mapped(kind)


@pytest.mark.parametrize("kind", ["Task", "ServiceRequest", "MedicationRequest"])
def test_an_unknown_intent_is_parked_and_a_missing_one_noted(kind: str) -> None:
    assert parked(kind, intent="wish").code is Why.UNKNOWN_INTENT
    assert mapped(kind, intent=None).oddities == ("intent is missing",)


def test_a_reason_shows_a_code_but_nothing_that_is_not_like_one() -> None:
    assert "'doing'" in parked("Task", status="doing").reason
    assert "Nora" not in parked("Task", status="Nora Beispiel").reason


@pytest.mark.parametrize("kind", MAPPERS)
def test_part_of_a_resource_is_parked(kind: str) -> None:
    """What a server left out would look like it was taken away."""
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

    assert parked(kind, meta={"versionId": "1", "tag": [tag]}).code is Why.INCOMPLETE


def test_other_types_are_ignored_with_a_reason() -> None:
    verdict = outcome("Observation", status="final")

    assert isinstance(verdict, Ignored)
    assert verdict.code == "out-of-scope"


def test_what_could_not_be_taken_apart_is_parked_with_its_issue() -> None:
    verdict = normalize(received(b"<html>"), base_url=BASE_URL)

    assert isinstance(verdict, Parked)
    assert verdict.code is Why.UNREADABLE
    assert verdict.reason


def test_an_oversized_resource_is_parked() -> None:
    verdict = normalize(a_version("Task", text={"div": "x" * MOST_BYTES}), base_url=BASE_URL)

    assert isinstance(verdict, Parked)
    assert verdict.code is Why.OVERSIZED


@pytest.mark.parametrize("kind", MAPPERS)
def test_header_is_kept_and_the_title_is_never_empty(kind: str) -> None:
    snapshot = mapped(kind, medicationCodeableConcept=None)

    assert (snapshot.ref, snapshot.type, snapshot.version) == (f"{kind}/x1", kind, "3")
    assert snapshot.title
    assert snapshot.patient is not None
    assert snapshot.patient.ref == "Patient/p1"


@pytest.mark.parametrize("kind", MAPPERS)
def test_mapping_the_same_version_twice_gives_equal_snapshots(kind: str) -> None:
    assert mapped(kind) == mapped(kind)


def test_two_mappers_for_one_type_are_refused() -> None:
    with pytest.raises(ValueError, match="two mappers for Task"):
        collect([MAPPERS["Task"], MAPPERS["Task"]])


def test_elements_of_r5_are_noted_on_an_r4_connection_only() -> None:
    reason = [{"concept": {"text": "Pain"}}]

    assert mapped("ServiceRequest", reason=reason).oddities == ("has elements of FHIR R5",)
    assert mapped("ServiceRequest", "R5", reason=reason).oddities == ()


def test_a_snapshot_holds_no_more_than_it_needs_of_a_bloated_resource() -> None:
    many = [{"reference": f"Condition/c{number}"} for number in range(500)]

    snapshot = mapped("ServiceRequest", reasonReference=many, code={"text": "word " * 500})

    assert isinstance(snapshot, Snapshot)
    assert len(snapshot.about) == 64
    assert len(snapshot.title) <= 300
    assert snapshot.oddities == ("names more than 64 resources; the rest is left out",)
