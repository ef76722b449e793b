"""Checks: update, conditional writes, patch and delete."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from .frame import SYSTEM, Server, bare, check, refused


@check
def update_makes_the_next_version(server: Server) -> None:
    task = server.task()

    answer = server.put(task | {"status": "accepted"})

    assert answer.status_code == 200
    assert bare(answer.headers["ETag"]) == "2"
    assert answer.json()["meta"]["lastUpdated"] >= task["meta"]["lastUpdated"]


@check
def an_update_that_changes_nothing_keeps_the_version(server: Server) -> None:
    task = server.task()

    answer = server.put(task)

    assert answer.status_code == 200
    assert bare(answer.headers["ETag"]) == "1"
    assert server.get(f"Task/{task['id']}").json()["meta"] == task["meta"]


@check
def a_stale_if_match_is_409_on_put_and_patch(server: Server) -> None:
    task = server.task()
    server.stored(task | {"status": "accepted"})

    put = server.put(task | {"status": "cancelled"}, if_match='W/"1"')
    patch = server.patch(
        f"Task/{task['id']}", [{"op": "replace", "path": "/status", "value": "cancelled"}], if_match='W/"1"'
    )

    refused(put, 409)
    refused(patch, 409)
    assert server.get(f"Task/{task['id']}").json()["status"] == "accepted"


@check
def if_match_takes_weak_and_strong_tags(server: Server) -> None:
    task = server.task()

    assert server.put(task | {"status": "received"}, if_match='W/"1"').status_code == 200
    assert server.put(task | {"status": "accepted"}, if_match='"2"').status_code == 200


@check
def if_match_means_nothing_for_an_unused_id(server: Server) -> None:
    assert server.put(server.a_task(), if_match='W/"3"').status_code == 201


@check
def if_none_match_star_does_not_stop_an_update(server: Server) -> None:
    task = server.task()

    assert server.put(task | {"status": "received"}, if_none_match="*").status_code == 200


@check
def update_creates_under_the_clients_id(server: Server) -> None:
    task = server.a_task()

    answer = server.put(task)

    assert answer.status_code == 201
    assert answer.headers["Content-Location"].endswith(f"Task/{task['id']}/_history/1")


@check
def a_new_id_of_digits_only_is_refused(server: Server) -> None:
    refused(server.put(server.a_task(id="987654321012")), 400, 404, 405, 412, 422)


@check
def the_id_of_the_body_must_be_that_of_the_url(server: Server) -> None:
    task = server.a_task()

    refused(server.send("PUT", f"Task/{server.id()}", task), 400)


@check
def what_is_no_resource_of_the_type_is_refused(server: Server) -> None:
    as_json = {"Content-Type": "application/fhir+json"}

    refused(server.send("POST", "Task", {"resourceType": "Patient"}), 400)
    refused(server.send("POST", "Task", content=b"{not json", headers=as_json), 400)


@check
def a_status_outside_its_value_set_is_refused(server: Server) -> None:
    refused(server.put(server.a_task(status="finished")), 400)


@check
def a_missing_required_element_is_stored(server: Server) -> None:
    task = server.a_task()
    del task["intent"]

    assert server.put(task).status_code == 201


# Conditional writes


@check
def conditional_create_makes_one_resource(server: Server) -> None:
    body = server.a_task()
    criteria = {"If-None-Exist": f"identifier={SYSTEM}|{server.key}"}

    first = server.send("POST", "Task", body, headers=criteria)
    second = server.send("POST", "Task", body, headers=criteria)

    assert (first.status_code, second.status_code) == (201, 200)
    assert f"/Task/{first.json()['id']}" in (second.headers.get("Location") or second.headers["Content-Location"])
    assert len(server.mine()) == 1


@check
def conditional_create_with_several_matches_is_412(server: Server) -> None:
    server.task()
    server.task()

    answer = server.send(
        "POST", "Task", server.a_task(), headers={"If-None-Exist": f"identifier={SYSTEM}|{server.key}"}
    )

    refused(answer, 412)


@check
def what_does_not_fit_its_own_condition_is_not_created(server: Server) -> None:
    """A plain + in a condition is a space: it finds nothing, and the resource does not fit it."""
    value = f"{server.key}+1"
    body = server.a_task(identifier=[{"system": SYSTEM, "value": value}])

    def created(written: str) -> httpx.Response:
        return server.send("POST", "Task", body, headers={"If-None-Exist": f"identifier={SYSTEM}|{written}"})

    refused(created(value), 400)
    assert created(value.replace("+", "%2B")).status_code == 201


@check
def concurrent_conditional_creates_make_one_resource(server: Server) -> None:
    body = server.a_task()
    criteria = {"If-None-Exist": f"identifier={SYSTEM}|{server.key}"}

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: server.send("POST", "Task", body, headers=criteria), range(6)))

    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert len(server.mine()) == 1


@check
def conditional_update_creates_updates_or_is_412(server: Server) -> None:
    body = server.a_task()
    del body["id"]
    criteria = {"identifier": f"{SYSTEM}|{server.key}"}

    made = server.send("PUT", "Task", body, params=criteria)
    changed = server.send("PUT", "Task", body | {"status": "accepted"}, params=criteria)
    server.task()
    ambiguous = server.send("PUT", "Task", body, params=criteria)

    assert (made.status_code, changed.status_code) == (201, 200), (made.text, changed.text)
    assert changed.json()["id"] == made.json()["id"]
    refused(ambiguous, 412)


# Patch


@check
def json_patch_changes_what_it_names(server: Server) -> None:
    task = server.task(note=[{"text": "one"}])

    answer = server.patch(
        f"Task/{task['id']}",
        [
            {"op": "test", "path": "/status", "value": "requested"},
            {"op": "replace", "path": "/status", "value": "accepted"},
            {"op": "add", "path": "/note/-", "value": {"text": "two"}},
            {"op": "remove", "path": "/note/0"},
            {"op": "add", "path": "/description", "value": "patched"},
        ],
    )

    assert answer.status_code == 200, answer.text
    patched = server.get(f"Task/{task['id']}").json()
    assert patched["status"] == "accepted"
    assert patched["note"] == [{"text": "two"}]
    assert patched["description"] == "patched"
    assert patched["meta"]["versionId"] == "2"


@check
def a_patch_whose_test_fails_changes_nothing(server: Server) -> None:
    task = server.task()

    answer = server.patch(
        f"Task/{task['id']}",
        [
            {"op": "test", "path": "/status", "value": "completed"},
            {"op": "replace", "path": "/status", "value": "accepted"},
        ],
    )

    refused(answer, 400, 412, 422)
    assert server.get(f"Task/{task['id']}").json()["meta"]["versionId"] == "1"


@check
def a_patch_of_the_unknown_is_404(server: Server) -> None:
    refused(server.patch(f"Task/{server.key}-none", [{"op": "remove", "path": "/status"}]), 404)


# Delete


@check
def the_deleted_are_gone(server: Server) -> None:
    task = server.task()

    first = server.send("DELETE", f"Task/{task['id']}")
    second = server.send("DELETE", f"Task/{task['id']}")
    read = server.get(f"Task/{task['id']}")

    assert first.status_code in {200, 204}
    assert second.status_code in {200, 204}
    refused(read, 410)
    assert f"Task/{task['id']}/_history/2" in read.headers["Location"]
    assert server.mine() == []
    assert server.get(f"Task/{task['id']}/_history/1").status_code == 200


@check
def deleting_the_unknown_is_no_error(server: Server) -> None:
    assert server.send("DELETE", f"Task/{server.key}-none").status_code in {200, 204}


@check
def an_update_brings_the_deleted_back(server: Server) -> None:
    task = server.task()
    server.send("DELETE", f"Task/{task['id']}")

    answer = server.put(task)

    assert answer.status_code == 201
    assert answer.json()["meta"]["versionId"] == "3"


@check
def if_match_on_the_deleted_is_409(server: Server) -> None:
    task = server.task()
    server.send("DELETE", f"Task/{task['id']}")

    refused(server.put(task, if_match='W/"1"'), 409)
