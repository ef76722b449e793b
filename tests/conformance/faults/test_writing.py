"""Writes that are doubled or refused, and patients that are one."""

from __future__ import annotations

import httpx
import pytest

from conformance.simulator import FhirError, ManualClock, Simulator
from conformance.simulator.faults import merge_patients

from ..plain import Json, a_task, put_tasks

IDENTIFIER = [{"system": "http://ids.example", "value": "one"}]
CONDITION = {"If-None-Exist": "identifier=http://ids.example|one"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
ACCEPT = [{"op": "replace", "path": "/status", "value": "accepted"}]


def created(fhir: httpx.Client) -> int:
    return fhir.post("Task", json=a_task("x", identifier=IDENTIFIER), headers=CONDITION).status_code


def test_racing_conditional_creates_duplicate_and_then_fail_for_ever(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    simulator.add_fault("conditional-create-race")

    racing = [created(fhir), created(fhir)]
    clock.advance(seconds=6)

    assert racing == [201, 201]
    assert [created(fhir), created(fhir)] == [412, 412]
    assert len(simulator.all("Task")) == 2


def test_conditional_create_without_the_race_creates_once(simulator: Simulator, fhir: httpx.Client) -> None:
    assert [created(fhir), created(fhir)] == [201, 200]


def test_what_does_not_fit_its_own_condition_is_not_created(fhir: httpx.Client) -> None:
    other = [{"system": "http://ids.example", "value": "a+b"}]
    condition = {"If-None-Exist": "identifier=http://ids.example|a+b"}

    answer = fhir.post("Task", json=a_task("x", identifier=other), headers=condition)

    assert answer.status_code == 400
    assert "HAPI-0929" in answer.text
    condition = {"If-None-Exist": "identifier=http://ids.example|a%2Bb"}
    assert fhir.post("Task", json=a_task("x", identifier=other), headers=condition).status_code == 201


def test_an_update_wedges_its_resource_for_ever(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("wedged-updates=1")

    first = fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))
    clock.advance(hours=72)
    again = fhir.put("Task/task-000", json=a_task("task-000", status="in-progress"))

    assert (first.status_code, again.status_code) == (200, 409)
    assert fhir.patch("Task/task-000", json=ACCEPT, headers=JSON_PATCH).status_code == 200  # no change, no write
    assert fhir.delete("Task/task-000").status_code == 409
    assert fhir.put("Task/task-001", json=a_task("task-001", status="accepted")).status_code == 200


def test_a_wedged_resource_fails_the_transaction_it_is_in(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("wedged-updates=1")
    fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))
    entries = [
        {"resource": a_task(id_, status="completed"), "request": {"method": "PUT", "url": f"Task/{id_}"}}
        for id_ in ("task-001", "task-000")
    ]

    answer = fhir.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})

    assert answer.status_code == 409
    assert fhir.get("Task/task-001").json()["status"] == "requested"


def test_an_id_that_another_type_has_is_refused(simulator: Simulator, fhir: httpx.Client) -> None:
    fhir.put("Patient/shared", json={"resourceType": "Patient", "id": "shared"})
    simulator.add_fault("shared-ids")

    assert fhir.put("Task/shared", json=a_task("shared")).status_code == 409
    assert fhir.put("Task/own", json=a_task("own")).status_code == 201


def test_writes_conflict_so_many_times_for_each_resource(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 1)
    simulator.add_fault("conflict-storm=2")

    answers = [fhir.put("Task/task-000", json=a_task("task-000", status="accepted")) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [409, 409, 200]


def test_a_period_across_the_end_of_summer_time_is_refused(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("dst-periods")

    def stored(start: str, end: str) -> int:
        return fhir.put("Task/a", json=a_task("a", executionPeriod={"start": start, "end": end})).status_code

    assert stored("2026-11-01T01:59:26-04:00", "2026-11-01T01:57:26-05:00") == 400
    assert stored("2026-11-01T01:57:26-04:00", "2026-11-01T01:59:26-05:00") == 201
    assert stored("2026-11-01", "2026-11-02") == 200


def test_only_a_patch_with_if_match_changes_what_is_there(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 1)
    simulator.add_fault("patch-only")

    put = fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))
    bare = fhir.patch("Task/task-000", json=ACCEPT, headers=JSON_PATCH)
    matched = fhir.patch("Task/task-000", json=ACCEPT, headers={**JSON_PATCH, "If-Match": 'W/"1"'})

    assert [put.status_code, bare.status_code, matched.status_code] == [405, 412, 200]


# Patients


@pytest.fixture
def merged(simulator: Simulator, fhir: httpx.Client) -> Simulator:
    for id_ in ("old", "new"):
        fhir.put(f"Patient/{id_}", json={"resourceType": "Patient", "id": id_})
    fhir.put("Task/a", json=a_task("a", **{"for": {"reference": "Patient/old"}}))
    merge_patients(simulator.ehr, "old", "new")
    return simulator


def test_merge_links_both_and_moves_the_records(merged: Simulator) -> None:
    def links(id_: str) -> list[tuple[str, str]]:
        patient: Json = merged.get(f"Patient/{id_}") or {}
        return [(link["type"], link["other"]["reference"]) for link in patient["link"]]

    assert links("old") == [("replaced-by", "Patient/new")]
    assert links("new") == [("replaces", "Patient/old")]
    task = merged.get("Task/a")
    assert task is not None
    assert task["for"] == {"reference": "Patient/new"}


@pytest.mark.parametrize(("manner", "status"), [("link", 200), ("gone", 410), ("missing", 404), ("redirect", 301)])
def test_a_merged_patient_is_shown_in_the_ways_of_the_field(
    merged: Simulator, fhir: httpx.Client, manner: str, status: int
) -> None:
    merged.add_fault(f"merged-patients={manner}")

    answer = fhir.get("Patient/old")

    assert answer.status_code == status
    assert fhir.get("Patient/new").status_code == 200
    if manner == "redirect":
        assert answer.headers["Location"] == "http://ehr.example/fhir/Patient/new"
        assert "4107" in answer.text


def test_patients_are_merged_after_a_while(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    for number in range(3):
        fhir.put(f"Patient/p{number}", json={"resourceType": "Patient", "id": f"p{number}"})
    simulator.add_fault("merged-patients=link,60")
    fhir.get("Patient")
    before = [patient.get("active") for patient in simulator.all("Patient")]
    clock.advance(seconds=60)
    fhir.get("Patient")

    assert before == [None] * 3
    assert [patient.get("active") for patient in simulator.all("Patient")].count(False) == 1


def test_only_patients_that_are_there_are_merged(merged: Simulator) -> None:
    with pytest.raises(FhirError):
        merge_patients(merged.ehr, "new", "nobody")
