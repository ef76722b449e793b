"""Checks: what a server says of itself, create and read."""

from __future__ import annotations

from .frame import Server, bare, check, refused, without_server_part


@check
def metadata_says_what_the_server_does(server: Server) -> None:
    statement = server.get("metadata").json()

    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"].startswith("4.0")
    resources = {each["type"]: each for each in statement["rest"][0]["resource"]}
    for type_ in ("Task", "ServiceRequest", "Appointment", "MedicationRequest", "Communication"):
        done = {each["code"] for each in resources[type_]["interaction"]}
        assert {"read", "vread", "create", "update", "patch", "delete", "search-type"} <= done
        assert {"history-instance", "history-type"} <= done
        assert resources[type_].get("updateCreate", True) is True
        assert resources[type_]["conditionalCreate"] is True
        searches = {each["name"] for each in resources[type_]["searchParam"]}
        assert {"_id", "_lastUpdated", "identifier", "patient", "status"} <= searches


@check
def every_answer_has_a_date(server: Server) -> None:
    assert "GMT" in server.get("metadata").headers["Date"]


@check
def create_answers_201_with_location_and_etag(server: Server) -> None:
    body = server.a_task()
    del body["id"]

    answer = server.send("POST", "Task", body)

    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"].endswith(f"Task/{made['id']}/_history/1")
    assert bare(answer.headers["ETag"]) == made["meta"]["versionId"] == "1"
    assert "lastUpdated" in made["meta"]
    assert without_server_part(made) == body | {"id": made["id"]}


@check
def prefer_minimal_leaves_the_body_out(server: Server) -> None:
    answer = server.send("POST", "Task", server.a_task(), headers={"Prefer": "return=minimal"})

    assert answer.status_code == 201
    assert answer.content == b""
    assert "/Task/" in answer.headers["Location"]


@check
def read_gives_back_equal_values_and_decimal_digits(server: Server) -> None:
    task = server.task(
        input=[{"type": {"text": "dose"}, "valueDecimal": 1.5}, {"type": {"text": "é"}, "valueInteger": 2}]
    )
    precise = f'{{"resourceType":"Task","id":"{server.id()}","status":"draft","intent":"plan",' + (
        '"input":[{"type":{"text":"dose"},"valueDecimal":1.00}]}'
    )
    put = server.send("PUT", f"Task/{server.key}-2", content=precise, headers={"Content-Type": "application/fhir+json"})

    assert put.status_code == 201, put.text
    assert without_server_part(server.get(f"Task/{task['id']}").json()) == without_server_part(task)
    assert "1.00" in server.get(f"Task/{server.key}-2").text


@check
def read_carries_etag_and_last_modified(server: Server) -> None:
    task = server.task()

    answer = server.get(f"Task/{task['id']}")

    assert answer.headers["ETag"] == 'W/"1"'
    assert "GMT" in answer.headers["Last-Modified"]
    assert answer.headers["Content-Type"].startswith("application/fhir+json")


@check
def read_of_the_same_version_can_be_304(server: Server) -> None:
    task = server.task()

    answer = server.send("GET", f"Task/{task['id']}", headers={"If-None-Match": 'W/"1"'})

    assert answer.status_code == 304


@check
def read_of_the_unknown_is_404(server: Server) -> None:
    refused(server.get(f"Task/{server.key}-none"), 404)


@check
def an_unknown_resource_type_is_refused(server: Server) -> None:
    refused(server.get("Nonsense"), 404, 400)


@check
def old_versions_can_be_read(server: Server) -> None:
    task = server.task()
    server.stored(task | {"status": "accepted"})

    assert server.get(f"Task/{task['id']}/_history/1").json()["status"] == "requested"
    assert server.get(f"Task/{task['id']}/_history/2").json()["status"] == "accepted"
    refused(server.get(f"Task/{task['id']}/_history/9"), 404)
