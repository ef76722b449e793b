"""Checks: histories, batches and transactions."""

from __future__ import annotations

from typing import Any

from .frame import SYSTEM, Json, Server, bare, check, refused


@check
def the_history_of_a_resource_is_newest_first(server: Server) -> None:
    task = server.task()
    server.stored(task | {"status": "accepted"})
    server.send("DELETE", f"Task/{task['id']}")

    bundle = server.get(f"Task/{task['id']}/_history").json()

    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    newest, changed, first = bundle["entry"]
    assert newest["request"]["method"] == "DELETE"
    assert "resource" not in newest
    assert changed["resource"]["status"] == "accepted"
    assert first["resource"]["meta"]["versionId"] == "1"
    assert all("status" in entry["response"] for entry in bundle["entry"])


@check
def the_history_of_the_unknown_is_404(server: Server) -> None:
    refused(server.get(f"Task/{server.key}-none/_history"), 404)


@check
def the_history_of_a_type_begins_at_since(server: Server) -> None:
    server.task()
    late = server.task()
    server.send("DELETE", f"Task/{late['id']}")

    bundle = server.get("Task/_history", _since=late["meta"]["lastUpdated"], _count="50").json()

    asked = [entry["request"]["url"] for entry in bundle["entry"]]
    moved = [entry["resource"]["meta"]["lastUpdated"] for entry in bundle["entry"] if "resource" in entry]
    assert sum(late["id"] in url for url in asked) == 2
    assert all(each >= late["meta"]["lastUpdated"] for each in moved)
    assert bundle["entry"][0]["request"]["method"] == "DELETE"


@check
def a_batch_answers_each_entry_by_itself(server: Server) -> None:
    there, gone = server.task(), server.task()
    server.send("DELETE", f"Task/{gone['id']}")

    bundle = _send(
        server,
        "batch",
        _entry("GET", f"Task/{there['id']}"),
        _entry("GET", f"Task/{gone['id']}"),
        _entry("GET", f"Task/{server.key}-none"),
        _entry("PUT", f"Task/{server.key}-new", server.a_task(id=f"{server.key}-new")),
        _entry("GET", "Task?no-such=1"),
    )

    assert bundle["type"] == "batch-response"
    statuses = [entry["response"]["status"][:3] for entry in bundle["entry"]]
    assert statuses == ["200", "410", "404", "201", "400"]
    assert bundle["entry"][0]["resource"]["id"] == there["id"]
    assert bare(bundle["entry"][3]["response"]["etag"]) == "1"
    assert bundle["entry"][3]["response"]["location"].endswith(f"Task/{server.key}-new/_history/1")


@check
def a_transaction_points_urn_references_at_what_it_creates(server: Server) -> None:
    urn = "urn:uuid:7f3e6a4e-0d7f-4f9e-8d3c-0a6a4b7d9c11"
    patient = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": server.key}]}
    task = server.a_task(**{"for": {"reference": urn}})

    bundle = _send(
        server,
        "transaction",
        _entry("PUT", f"Task/{task['id']}", task),
        _entry("POST", "Patient", patient, full_url=urn),
    )

    assert bundle["type"] == "transaction-response"
    assert [entry["response"]["status"][:3] for entry in bundle["entry"]] == ["201", "201"]
    (made,) = server.found("Patient", identifier=f"{SYSTEM}|{server.key}")
    assert server.get(f"Task/{task['id']}").json()["for"]["reference"] == f"Patient/{made}"
    assert made in bundle["entry"][1]["response"]["location"]


@check
def a_transaction_reuses_what_if_none_exist_finds(server: Server) -> None:
    patient = server.patient(identifier=[{"system": SYSTEM, "value": server.key}])
    urn = "urn:uuid:0b5a2f0a-6f0b-4d39-9a39-3f4f7b3f5a10"
    again = _entry("POST", "Patient", {"resourceType": "Patient"}, full_url=urn)
    again["request"]["ifNoneExist"] = f"identifier={SYSTEM}|{server.key}"
    task = server.a_task(**{"for": {"reference": urn}})

    bundle = _send(server, "transaction", again, _entry("PUT", f"Task/{task['id']}", task))

    assert bundle["entry"][0]["response"]["status"].startswith("200")
    assert server.get(f"Task/{task['id']}").json()["for"]["reference"] == f"Patient/{patient['id']}"


@check
def a_transaction_resolves_conditional_references(server: Server) -> None:
    patient = server.patient(identifier=[{"system": SYSTEM, "value": server.key}])
    task = server.a_task(**{"for": {"reference": f"Patient?identifier={SYSTEM}|{server.key}"}})

    _send(server, "transaction", _entry("PUT", f"Task/{task['id']}", task))

    assert server.get(f"Task/{task['id']}").json()["for"]["reference"] == f"Patient/{patient['id']}"


@check
def a_transaction_that_fails_stores_nothing(server: Server) -> None:
    kept = server.task()

    answer = server.send(
        "POST",
        "",
        _bundle(
            "transaction",
            _entry("PUT", f"Task/{server.key}-new", server.a_task(id=f"{server.key}-new")),
            _entry("PUT", f"Task/{kept['id']}", kept | {"status": "accepted"}),
            _entry("POST", "Task", server.a_task(status="finished")),
        ),
    )

    refused(answer, 400)
    assert server.mine() == [kept["id"]]
    assert server.get(f"Task/{kept['id']}").json()["meta"]["versionId"] == "1"
    refused(server.get(f"Task/{server.key}-new"), 404)


@check
def a_transaction_obeys_if_match(server: Server) -> None:
    task = server.task()
    server.stored(task | {"status": "received"})
    stale = _entry("PUT", f"Task/{task['id']}", task | {"status": "accepted"})
    stale["request"]["ifMatch"] = 'W/"1"'

    refused(server.send("POST", "", _bundle("transaction", stale)), 409, 412)


@check
def one_unknown_code_makes_a_batch_unreadable(server: Server) -> None:
    good = _entry("PUT", f"Task/{server.key}-new", server.a_task(id=f"{server.key}-new"))
    bad = _entry("POST", "Task", server.a_task(status="finished"))

    refused(server.send("POST", "", _bundle("batch", good, bad)), 400)
    refused(server.get(f"Task/{server.key}-new"), 404)


@check
def a_bundle_of_another_type_is_refused(server: Server) -> None:
    refused(server.send("POST", "", _bundle("collection")), 400, 422)


def _entry(method: str, url: str, resource: Json | None = None, full_url: str | None = None) -> Json:
    entry: Json = {"request": {"method": method, "url": url}}
    if full_url is not None:
        entry["fullUrl"] = full_url
    if resource is not None:
        entry["resource"] = resource
    return entry


def _bundle(type_: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries)}


def _send(server: Server, type_: str, *entries: Json) -> Any:
    answer = server.send("POST", "", _bundle(type_, *entries))
    assert answer.status_code == 200, answer.text
    return answer.json()
