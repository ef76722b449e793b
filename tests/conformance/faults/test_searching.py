"""Searches that are refused, not filtered, or answered with an OperationOutcome."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from conformance.simulator import Simulator
from conformance.simulator.faults import fault_named

from ..plain import first_page, ids, put_tasks


def link(bundle: dict[str, Any], relation: str) -> str:
    return str(next(each["url"] for each in bundle["link"] if each["relation"] == relation))


def test_last_updated_can_be_missing_from_some_types(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("no-last-updated=Appointment,Communication")
    asked = {"_lastUpdated": "ge2026-01-01"}

    assert fhir.get("Appointment", params=asked).status_code == 400
    assert fhir.get("Appointment", params={"_sort": "_lastUpdated"}).status_code == 400
    assert fhir.get("Task", params=asked).status_code == 200
    declared = {
        resource["type"]: {each["name"] for each in resource["searchParam"]}
        for resource in fhir.get("metadata").json()["rest"][0]["resource"]
    }
    assert "_lastUpdated" not in declared["Appointment"]
    assert "_lastUpdated" in declared["Task"]


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("Appointment", {}, 400),
        ("Appointment", {"date": "ge2026-01-01"}, 400),
        ("Appointment", {"patient": "p"}, 400),
        ("Appointment", {"patient": "p", "date": "ge2026-01-01"}, 200),
        ("Appointment", {"location": "l", "date": "ge2026-01-01"}, 200),
        ("Appointment", {"_id": "a"}, 200),
        ("ServiceRequest", {"status": "active"}, 400),
        ("ServiceRequest", {"patient": "p"}, 200),
        ("Patient", {}, 200),
    ],
)
def test_a_search_of_a_whole_type_is_refused(
    simulator: Simulator, fhir: httpx.Client, path: str, params: dict[str, str], status: int
) -> None:
    simulator.add_fault("no-scans")

    assert fhir.get(path, params=params).status_code == status


def test_an_ignored_filter_is_a_warning_inside_the_200_and_not_in_the_self_link(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("ignore-parameters=_lastUpdated")

    page = fhir.get("Task", params={"_lastUpdated": "ge2099-01-01", "status": "requested"}).json()

    assert len(ids(page)) == 2
    assert page["entry"][-1]["search"]["mode"] == "outcome"
    assert page["entry"][-1]["resource"]["issue"][0]["severity"] == "warning"
    assert link(page, "self").endswith("/Task?status=requested")


def test_a_filter_can_be_ignored_without_a_word(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("ignore-silently=_lastUpdated")

    page = fhir.get("Task", params={"_lastUpdated": "ge2099-01-01"}).json()

    assert len(page["entry"]) == 2
    assert link(page, "self").endswith("/Task")


def test_an_outcome_stands_among_the_matches(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("outcome-among-matches=error")

    page = first_page(fhir)

    assert len(ids(page)) == 2
    assert page["total"] == 2
    assert page["entry"][-1]["resource"]["issue"][0]["severity"] == "error"
    assert page["entry"][-1]["search"] == {"mode": "outcome"}


def test_every_second_search_is_an_outcome_and_nothing_else(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault("outcome-instead")

    whole, broken = first_page(fhir), fhir.get("Task", params={"_sort": "_lastUpdated,_id"})

    assert len(ids(whole)) == 2
    assert broken.status_code == 200
    assert [entry["resource"]["resourceType"] for entry in broken.json()["entry"]] == ["OperationOutcome"]


@pytest.mark.parametrize("status", ["401", "403"])
def test_one_type_is_forbidden_and_the_others_are_not(simulator: Simulator, fhir: httpx.Client, status: str) -> None:
    simulator.add_fault(f"forbidden=Task,{status}")

    answer = fhir.get("Task")

    assert answer.status_code == int(status)
    assert ("WWW-Authenticate" in answer.headers) == (status == "401")
    assert fhir.get("Patient").status_code == 200


def test_a_fault_refuses_a_type_that_is_none() -> None:
    with pytest.raises(ValueError, match="Tusk"):
        fault_named("no-scans=Tusk")
