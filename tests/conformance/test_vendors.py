"""Each EHR shows what it shows, searches what it searches and takes what it takes, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from conformance.simulator import VENDORS, ManualClock, Options, Simulator, client_of
from conformance.simulator.parameters import COMMON, PARAMETERS

from .plain import Json, a_task, ids

Play = Callable[[str], httpx.Client]
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
PATIENT = {"reference": "Patient/p"}
PRACTITIONER = {"reference": "Practitioner/d"}
CODE = {"coding": [{"system": "http://codes.example", "code": "x"}]}
BY_VENDOR = sorted(VENDORS)


@pytest.fixture
def play(clock: ManualClock) -> Iterator[Play]:
    """A client of an EHR by name, in which one of each resource is there."""
    clients = []

    def start(vendor: str) -> httpx.Client:
        simulator = Simulator(clock, vendor=vendor)
        for resource in stored():
            simulator.put(resource)
        clock.advance(hours=1)
        clients.append(client_of(simulator))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def stored() -> list[Json]:
    request = {"subject": PATIENT, "intent": "order", "status": "active"}
    return [
        {"resourceType": "Patient", "id": "p"},
        {"resourceType": "Practitioner", "id": "d"},
        {"resourceType": "ServiceRequest", "id": "s", **request},
        {"resourceType": "MedicationRequest", "id": "m", **request},
        {
            "resourceType": "Appointment",
            "id": "a",
            "status": "booked",
            "start": "2026-11-05T15:00:00Z",
            "participant": [{"actor": PATIENT, "status": "accepted"}],
        },
        a_task("t", **{"for": PATIENT}),
    ]


def a_message(**elements: object) -> Json:
    message = {
        "resourceType": "Communication",
        "status": "completed",
        "subject": PATIENT,
        "sender": PRACTITIONER,
        "recipient": [PRACTITIONER],
        "category": [CODE],
        "sent": "2026-11-02T12:00:00Z",
        "payload": [{"contentString": "Please call the patient."}],
    }
    return message | elements


def declared(fhir: httpx.Client) -> dict[str, Json]:
    return {each["type"]: each for each in fhir.get("metadata").json()["rest"][0]["resource"]}


def interactions(fhir: httpx.Client, type_: str) -> set[str]:
    return {each["code"] for each in declared(fhir).get(type_, {}).get("interaction", [])}


def status(fhir: httpx.Client, path: str, **params: str) -> int:
    return fhir.get(path, params=params).status_code


# All of them


@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_what_is_declared_is_there_and_what_is_not_is_refused(play: Play, vendor: str) -> None:
    fhir = play(vendor)
    shown = declared(fhir)

    for type_ in sorted(PARAMETERS):
        codes = {each["code"] for each in shown.get(type_, {}).get("interaction", [])}
        assert (status(fhir, f"{type_}/none") == 404) or "read" not in codes
        assert (status(fhir, type_, _id="none") == 200) == ("search-type" in codes)
        if "create" not in codes:
            assert fhir.post(type_, json={"resourceType": type_}).status_code in {404, 405}


@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_declared_parameters_are_searched_and_others_are_not(play: Play, vendor: str) -> None:
    for type_, resource in declared(play(vendor)).items():
        names = {each["name"] for each in resource.get("searchParam", [])}
        assert names <= {
            "_id",
            "_lastUpdated",
            VENDORS[vendor].options.get("count_parameter"),
            *PARAMETERS[type_],
            *COMMON,
        }


@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_every_named_parameter_is_one_that_the_server_knows(vendor: str) -> None:
    surface = VENDORS[vendor].surface
    for type_, shown in surface.types.items() if surface is not None else ():
        known = {"_id", "_lastUpdated", "_maxresults", *PARAMETERS[type_]}
        asked = {name for way in shown.needs for name in way}
        assert (shown.parameters or set()) <= known | {"subject", "encounter", "_source"}, type_
        assert asked <= known | {"patient", "subject", "encounter", "identifier"}, type_


@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_says_what_it_is_and_where_that_comes_from(play: Play, vendor: str) -> None:
    software = play(vendor).get("metadata").json()["software"]

    assert VENDORS[vendor].says
    assert VENDORS[vendor].source
    assert "simulated" in f"{software['name']} {software.get('version')}"


@pytest.mark.parametrize("vendor", BY_VENDOR)
def test_the_clinics_own_screens_are_not_held_to_it(vendor: str, clock: ManualClock) -> None:
    with client_of(Simulator(clock, vendor=vendor), clinic=True) as clinic:
        assert clinic.put("Task/t", json=a_task("t")).status_code == 201
        assert clinic.get("Task").status_code == 200


def test_generic_is_the_simulator_without_a_name(clock: ManualClock) -> None:
    assert Simulator(clock, vendor="generic").options == Options()


def test_a_wrong_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'oracle'"):
        Simulator(vendor="orcale")


# One by one


def test_epic_updates_only_two_kinds_of_task_and_creates_none(play: Play) -> None:
    fhir = play("epic")
    referral = {"code": {"coding": [{"code": "community-resource"}]}}

    assert interactions(fhir, "Task") == {"read", "search-type", "update"}
    assert fhir.post("Task", json=a_task("x")).status_code == 405
    assert fhir.put("Task/t", json=a_task("t", status="accepted")).status_code == 422
    assert fhir.put("Task/t", json=a_task("t", status="accepted", **referral)).status_code == 200


def test_epic_ignores_last_updated_with_a_warning_and_refuses_scans(play: Play) -> None:
    fhir = play("epic")

    page = fhir.get("Task", params={"patient": "p", "_lastUpdated": "ge2099-01-01"}).json()
    scan = fhir.get("Task", params={"status": "requested"})

    assert ids(page) == ["t"]
    assert page["entry"][-1]["search"]["mode"] == "outcome"
    assert scan.status_code == 400
    assert "4110" in scan.text


def test_epic_ignores_an_order_that_it_does_not_know(play: Play) -> None:
    page = play("epic").get("Task", params={"patient": "p", "_sort": "-_lastUpdated"})

    assert page.status_code == 200
    assert "_sort" not in page.json()["link"][0]["url"]


def test_epic_takes_messages_about_an_order_in_progress(play: Play) -> None:
    fhir = play("epic")
    order = {"basedOn": [{"reference": "ServiceRequest/s"}]}

    assert fhir.post("Communication", json=a_message(**order)).status_code == 422
    assert fhir.post("Communication", json=a_message(status="in-progress")).status_code == 422
    assert fhir.post("Communication", json=a_message(status="in-progress", **order)).status_code == 201


def test_epic_says_that_it_found_nothing_and_cuts_off_at_a_hundred(play: Play) -> None:
    fhir = play("epic")

    nothing = fhir.get("Task", params={"patient": "nobody"}).json()

    assert nothing["total"] == 0
    assert "4101" in nothing["entry"][0]["resource"]["issue"][0]["diagnostics"]


def test_oracle_has_no_task_and_finds_visits_by_person_and_date(play: Play) -> None:
    fhir = play("oracle")

    assert status(fhir, "Task/t") == 404
    assert status(fhir, "Appointment", patient="p") == 400
    assert status(fhir, "Appointment", date="ge2026-11-01") == 400
    assert ids(fhir.get("Appointment", params={"patient": "p", "date": "ge2026-11-01"}).json()) == ["a"]
    assert status(fhir, "Appointment", patient="p", date="ge2026-11-01", _lastUpdated="ge2026-11-01T00:00:00Z") == 400


def test_oracle_reads_last_updated_with_ge_or_le_and_a_time(play: Play) -> None:
    fhir = play("oracle")

    def asked(value: str) -> int:
        return status(fhir, "ServiceRequest", patient="p", _lastUpdated=value)

    assert [asked(value) for value in ("ge2026-11-01T00:00:00Z", "gt2026-11-01T00:00:00Z", "ge2026-11-01")] == [
        200,
        400,
        400,
    ]


def test_oracle_changes_a_visit_by_json_patch_with_if_match_only(play: Play) -> None:
    fhir = play("oracle")
    arrive = [{"op": "replace", "path": "/status", "value": "arrived"}]
    comment = [{"op": "add", "path": "/comment", "value": "late"}]

    def patched(operations: list[Json], **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return fhir.patch("Appointment/a", json=operations, headers=JSON_PATCH | named).status_code

    assert fhir.put("Appointment/a", json=stored()[4]).status_code == 405
    assert patched(arrive) == 412
    assert patched(arrive, If_Match='W/"7"') == 409
    assert patched(comment, If_Match='W/"1"') == 422
    assert patched(arrive, If_Match='W/"1"') == 200


def test_oracle_answers_a_message_without_a_body_or_a_version(play: Play) -> None:
    fhir = play("oracle")

    made = fhir.post("Communication", json=a_message())

    assert (made.status_code, made.content) == (201, b"")
    assert "_history" not in made.headers["Location"]
    assert fhir.post("Communication", json=a_message(status="in-progress")).status_code == 422
    assert fhir.post("Communication", json=a_message(modifierExtension=[])).status_code == 422
    assert fhir.post("Communication", json=a_message(sender=PATIENT)).status_code == 422


def test_oracle_has_batches_and_no_transactions(play: Play) -> None:
    fhir = play("oracle")

    def bundled(type_: str) -> int:
        return fhir.post("", json={"resourceType": "Bundle", "type": type_, "entry": []}).status_code

    assert (bundled("batch"), bundled("transaction")) == (200, 405)


def test_athenahealth_finds_visits_by_id_only_and_takes_no_writes(play: Play) -> None:
    fhir = play("athenahealth")

    assert status(fhir, "Appointment", patient="p") == 400
    assert ids(fhir.get("Appointment", params={"_id": "a"}).json()) == ["a"]
    assert status(fhir, "ServiceRequest", _lastUpdated="ge2026-11-01") == 200
    assert fhir.put("ServiceRequest/s", json=stored()[2]).status_code == 405


def test_meditech_reads_a_task_but_does_not_search_it(play: Play) -> None:
    fhir = play("meditech")

    assert status(fhir, "Task/t") == 200
    assert status(fhir, "Task", patient="p") == 405
    assert status(fhir, "ServiceRequest", patient="p", _lastUpdated="ge2026-11-01") == 400
    assert fhir.post("Communication", json=a_message()).status_code == 201


def test_eclinicalworks_takes_250_requests_a_minute(play: Play, clock: ManualClock) -> None:
    fhir = play("eclinicalworks")

    answers = [fhir.get("ServiceRequest/s") for _ in range(251)]
    clock.advance(minutes=1)

    assert {answer.status_code for answer in answers[:250]} == {200}
    assert answers[250].status_code == 429
    assert "Retry-After" not in answers[250].headers
    assert status(fhir, "ServiceRequest/s") == 200
    assert status(fhir, "Appointment/a") == 404


def test_nextgen_has_no_versions(play: Play) -> None:
    fhir = play("nextgen")

    read = fhir.get("ServiceRequest/s")
    found = fhir.get("ServiceRequest", params={"patient": "p"}).json()["entry"][0]["resource"]

    asked = {"patient": "p", "_maxresults": "1"}
    fhir_paged = fhir.get("ServiceRequest", params=asked)

    assert fhir_paged.status_code == 200
    assert "ETag" not in read.headers
    assert "versionId" not in read.json()["meta"]
    assert "versionId" not in found["meta"]
    assert "lastUpdated" in found["meta"]


def test_canvas_takes_three_statuses_and_the_intent_unknown(play: Play) -> None:
    fhir = play("canvas")
    right = {"intent": "unknown", "description": "Call back", "requester": PRACTITIONER}

    def created(**elements: object) -> int:
        return fhir.post("Task", json=a_task("x", **{**right, **elements})).status_code

    assert created() == 201
    assert created(intent="order") == 422
    assert created(status="in-progress") == 422
    assert created(requester=PATIENT) == 422
    assert created(description="") == 422


def test_medplum_assigns_ids_and_answers_a_stale_write_412(play: Play) -> None:
    fhir = play("medplum")

    stale = fhir.put("Task/t", json=a_task("t", status="accepted"), headers={"If-Match": 'W/"9"'})

    assert fhir.put("Task/new", json=a_task("new")).status_code == 405
    assert stale.status_code == 412
    assert fhir.post("Task", json=a_task("new")).status_code == 201


def test_hapi_caches_searches_and_takes_ids(play: Play) -> None:
    fhir = play("hapi")
    fhir.get("Task")

    assert fhir.put("Task/new", json=a_task("new")).status_code == 201
    assert ids(fhir.get("Task").json()) == ["t"]
    assert len(ids(fhir.get("Task", headers={"Cache-Control": "no-cache"}).json())) == 2


def test_azure_ignores_unknown_parameters_and_pages_by_ten(play: Play) -> None:
    fhir = play("azure")
    for number in range(12):
        fhir.put(f"Task/n{number}", json=a_task(f"n{number}"))

    page = fhir.get("Task", params={"unheard-of": "x"}).json()

    assert len(ids(page)) == 10
    assert page["entry"][-1]["search"]["mode"] == "outcome"


def test_google_does_not_take_ids(play: Play) -> None:
    fhir = play("google")

    assert fhir.put("Task/new", json=a_task("new")).status_code == 405
    assert declared(fhir)["Task"]["updateCreate"] is False


def test_healthlake_misses_what_it_is_indexing(play: Play, clock: ManualClock) -> None:
    fhir = play("healthlake")
    fhir.put("Task/t", json=a_task("t", status="accepted"))

    missing = ids(fhir.get("Task").json())
    clock.advance(minutes=1)

    assert missing == []
    assert ids(fhir.get("Task").json()) == ["t"]
    assert fhir.post("", json={"resourceType": "Bundle", "type": "transaction"}).status_code == 405
