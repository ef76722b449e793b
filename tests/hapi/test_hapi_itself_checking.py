"""
What HAPI 8.0.0 checks and what it lets through: validation, references, and the switches of our own build of it.

As in `test_hapi_itself`, each name is a fact and the requests are plain HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .launcher import HapiServer, RunningHapi
from .plain import (
    SYSTEM,
    Json,
    a_task,
    diagnostics,
    issues,
    put,
)

pytestmark = pytest.mark.xdist_group("shared servers")

# -- validation ------------------------------------------------------------------------------------------------------


def test_structurally_invalid_resources_are_stored(fhir: httpx.Client, unique: str) -> None:
    without_intent = a_task(unique)
    del without_intent["intent"]
    noshow = {
        "resourceType": "Appointment",
        "id": unique,
        "status": "noshow",
        "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
    }

    assert put(fhir, without_intent).status_code == 201
    assert put(fhir, noshow).status_code == 201


def test_validate_reports_errors_inside_a_200(fhir: httpx.Client, unique: str) -> None:
    without_intent = a_task(unique)
    del without_intent["intent"]

    answer = fhir.post("Task/$validate", json=without_intent)

    assert answer.status_code == 200
    assert any("Task.intent: minimum required = 1" in text for text in issues(answer, "error"))


def test_validate_warns_when_a_resource_has_no_narrative(fhir: httpx.Client, unique: str) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A Task</div>'}

    bare = fhir.post("Task/$validate", json=a_task(unique))
    told = fhir.post("Task/$validate", json=a_task(unique, text=text))

    assert any("dom-6" in warning for warning in issues(bare, "warning"))
    assert not issues(told, "warning")
    assert not issues(told, "error")


def test_validate_says_nothing_about_terminologies_it_does_not_know(fhir: httpx.Client, unique: str) -> None:
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "999999"}, {"system": SYSTEM, "code": "x"}]}

    answer = fhir.post("Task/$validate", json=a_task(unique, code=code))

    assert not issues(answer, "error")
    assert not [warning for warning in issues(answer, "warning") if "dom-6" not in warning]


# -- referential integrity -------------------------------------------------------------------------------------------


def a_request(unique: str) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": unique,
        "status": "active",
        "intent": "order",
        "subject": {"display": "Synthetic Patient"},
    }


def test_integrity_on_refuses_a_task_before_its_request(fhir: httpx.Client, unique: str) -> None:
    refused = put(fhir, a_task(unique, focus={"reference": f"ServiceRequest/{unique}"}))

    assert refused.status_code == 400
    assert "HAPI-1094" in diagnostics(refused)


def test_integrity_on_refuses_to_delete_what_a_task_refers_to(fhir: httpx.Client, unique: str) -> None:
    put(fhir, a_request(unique))
    put(fhir, a_task(unique, focus={"reference": f"ServiceRequest/{unique}"}))

    assert fhir.delete(f"ServiceRequest/{unique}").status_code == 409


def test_integrity_off_takes_a_task_before_its_request_and_the_deletion_of_a_target(
    hapi_lenient: HapiServer, unique: str
) -> None:
    with hapi_lenient.client() as fhir:
        early = put(fhir, a_task(unique, focus={"reference": f"ServiceRequest/{unique}"}))
        put(fhir, a_request(unique))
        deleted = fhir.delete(f"ServiceRequest/{unique}")

        assert (early.status_code, deleted.status_code) == (201, 200)
        assert fhir.get(f"Task/{unique}").json()["focus"] == {"reference": f"ServiceRequest/{unique}"}


def test_an_absolute_reference_is_refused_even_to_the_servers_own_base(
    fhir: httpx.Client, hapi: HapiServer, unique: str
) -> None:
    put(fhir, a_request(unique))

    refused = put(fhir, a_task(unique, focus={"reference": f"{hapi.base_url}/ServiceRequest/{unique}"}))

    assert refused.status_code == 400
    assert "HAPI-0507" in diagnostics(refused)


# -- our own switches ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(hapi_running: RunningHapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HapiServer]:
    """A server on a database file that validates what it is sent."""
    database = tmp_path_factory.mktemp("hapi-database") / "ehr"
    with hapi_running(database=database, validate_requests=True) as server:
        yield server


def test_with_the_validating_interceptor_an_invalid_resource_is_422(strict: HapiServer, unique: str) -> None:
    without_intent = a_task(unique)
    del without_intent["intent"]

    with strict.client() as fhir:
        assert put(fhir, a_task(unique)).status_code == 201
        assert put(fhir, without_intent).status_code == 422


def test_a_server_on_a_file_comes_back_on_its_port_with_all_it_held(strict: HapiServer, unique: str) -> None:
    with strict.client() as fhir:
        put(fhir, a_task(unique))
        put(fhir, a_task(unique, status="accepted"))

        strict.restart()

        assert fhir.get(f"Task/{unique}").headers["ETag"] == 'W/"2"'


def test_without_the_search_cache_a_repeated_search_sees_what_is_new(hapi_lenient: HapiServer, unique: str) -> None:
    search = {"identifier": f"{SYSTEM}|{unique}"}
    with hapi_lenient.client() as fhir:
        fhir.get("Task", params=search)
        put(fhir, a_task(unique))

        assert len(fhir.get("Task", params=search).json()["entry"]) == 1


@pytest.mark.parametrize(("fixture", "version"), [("hapi", "4.0.1"), ("hapi_r4b", "4.3.0"), ("hapi_r5", "5.0.0")])
def test_each_fhir_version_is_served(request: pytest.FixtureRequest, fixture: str, version: str, unique: str) -> None:
    server: HapiServer = request.getfixturevalue(fixture)

    with server.client() as fhir:
        assert fhir.get("metadata").json()["fhirVersion"] == version
        assert put(fhir, a_task(unique)).status_code == 201
