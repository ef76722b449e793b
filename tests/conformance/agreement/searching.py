"""Checks: search parameters, order and paging."""

from __future__ import annotations

import httpx

from .frame import LOCAL, SYSTEM, Json, Server, check, link, matches, refused


@check
def task_parameters_find_and_pass_over(server: Server) -> None:
    patient, parent = server.patient(), server.task()
    order = server.stored(
        {
            "resourceType": "ServiceRequest",
            "id": server.id(),
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/{patient['id']}"},
        }
    )
    owner = server.stored({"resourceType": "Organization", "id": server.id(), "name": "Owner"})
    asker = server.stored({"resourceType": "Practitioner", "id": server.id()})
    task = server.task(
        priority="urgent",
        code={"coding": [{"system": LOCAL, "code": "call"}]},
        businessStatus={"coding": [{"system": LOCAL, "code": "waiting"}]},
        groupIdentifier={"system": SYSTEM, "value": f"{server.key}-group"},
        focus={"reference": f"ServiceRequest/{order['id']}"},
        basedOn=[{"reference": f"ServiceRequest/{order['id']}"}],
        partOf=[{"reference": f"Task/{parent['id']}"}],
        owner={"reference": f"Organization/{owner['id']}"},
        requester={"reference": f"Practitioner/{asker['id']}"},
        authoredOn="2026-03-10T12:00:00Z",
        lastModified="2026-03-11T12:00:00Z",
        executionPeriod={"start": "2026-03-12", "end": "2026-03-14"},
        **{"for": {"reference": f"Patient/{patient['id']}"}},
    )
    for name, finds, passes in (
        ("_id", task["id"], parent["id"]),
        ("authored-on", "2026-03-10", "2026-03-11"),
        ("based-on", f"ServiceRequest/{order['id']}", "ServiceRequest/none"),
        ("business-status", f"{LOCAL}|waiting", f"{LOCAL}|done"),
        ("code", f"{LOCAL}|call", "write"),
        ("focus", f"ServiceRequest/{order['id']}", f"Task/{order['id']}"),
        ("group-identifier", f"{SYSTEM}|{server.key}-group", f"{SYSTEM}|{server.key}"),
        ("intent", "order", "plan"),
        ("modified", "ge2026-03-11", "ge2026-03-12"),
        ("owner", f"Organization/{owner['id']}", f"Practitioner/{asker['id']}"),
        ("part-of", f"Task/{parent['id']}", "Task/none"),
        ("patient", f"Patient/{patient['id']}", "Patient/none"),
        ("patient", patient["id"], "none"),
        ("period", "2026-03", "2026-04"),
        ("priority", "urgent", "stat"),
        ("requester", f"Practitioner/{asker['id']}", "Practitioner/none"),
        ("status", "requested", "completed"),
        ("status", "completed,requested", "draft,completed"),
        ("subject", f"Patient/{patient['id']}", "Patient/none"),
    ):
        assert task["id"] in server.mine((name, finds)), (name, finds)
        assert task["id"] not in server.mine((name, passes)), (name, passes)


@check
def order_parameters_find_and_pass_over(server: Server) -> None:
    patient, doctor = server.patient(), server.stored({"resourceType": "Practitioner", "id": server.id()})
    order = server.stored(
        {
            "resourceType": "ServiceRequest",
            "id": server.id(),
            "identifier": [{"system": SYSTEM, "value": server.key}],
            "status": "active",
            "intent": "order",
            "priority": "stat",
            "category": [{"coding": [{"system": LOCAL, "code": "referral"}]}],
            "code": {"coding": [{"system": LOCAL, "code": "cardiology"}]},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "requester": {"reference": f"Practitioner/{doctor['id']}"},
            "performer": [{"reference": f"Practitioner/{doctor['id']}"}],
            "authoredOn": "2026-03-10T12:00:00Z",
            "occurrencePeriod": {"start": "2026-03-20", "end": "2026-03-22"},
        }
    )
    for name, finds, passes in (
        ("authored", "ge2026-03-10", "gt2026-03-10"),
        ("category", f"{LOCAL}|referral", "other"),
        ("code", "cardiology", f"{SYSTEM}|cardiology"),
        ("identifier", f"{SYSTEM}|{server.key}", f"{SYSTEM}|none"),
        ("intent", "order", "plan"),
        ("occurrence", "ge2026-03-21", "gt2026-03-22"),
        ("patient", f"Patient/{patient['id']}", "Patient/none"),
        ("performer", f"Practitioner/{doctor['id']}", "Practitioner/none"),
        ("priority", "stat", "routine"),
        ("requester", f"Practitioner/{doctor['id']}", "Practitioner/none"),
        ("status", "active", "draft"),
        ("subject", f"Patient/{patient['id']}", "Patient/none"),
    ):
        by_id = ("_id", order["id"])
        assert server.found("ServiceRequest", by_id, (name, finds)) == [order["id"]], (name, finds)
        assert server.found("ServiceRequest", by_id, (name, passes)) == [], (name, passes)


@check
def visit_parameters_find_and_pass_over(server: Server) -> None:
    patient, doctor = server.patient(), server.stored({"resourceType": "Practitioner", "id": server.id()})
    order = server.stored(_an_order(server, patient))
    visit = server.stored(
        {
            "resourceType": "Appointment",
            "id": server.id(),
            "identifier": [{"system": SYSTEM, "value": server.key}],
            "status": "booked",
            "start": "2026-03-10T09:00:00-05:00",
            "end": "2026-03-10T09:30:00-05:00",
            "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
            "participant": [
                {"actor": {"reference": f"Patient/{patient['id']}"}, "status": "accepted"},
                {"actor": {"reference": f"Practitioner/{doctor['id']}"}, "status": "needs-action"},
            ],
        }
    )
    for name, finds, passes in (
        ("actor", f"Practitioner/{doctor['id']}", "Practitioner/none"),
        ("based-on", f"ServiceRequest/{order['id']}", "ServiceRequest/none"),
        ("date", "2026-03-10", "2026-03-11"),
        ("date", "ge2026-03-10T14:00:00Z", "gt2026-03-10T14:00:00Z"),
        ("date", "le2026-03-10T09:00:00-05:00", "lt2026-03-10T14:00:00Z"),
        ("part-status", "needs-action", "declined"),
        ("patient", f"Patient/{patient['id']}", f"Patient/{doctor['id']}"),
        ("practitioner", f"Practitioner/{doctor['id']}", "Practitioner/none"),
        ("status", "booked", "noshow"),
    ):
        by_id = ("_id", visit["id"])
        assert server.found("Appointment", by_id, (name, finds)) == [visit["id"]], (name, finds)
        assert server.found("Appointment", by_id, (name, passes)) == [], (name, passes)


@check
def prescription_and_message_parameters_find_and_pass_over(server: Server) -> None:
    patient = server.patient()
    subject = {"reference": f"Patient/{patient['id']}"}
    order, task = server.stored(_an_order(server, patient)), server.task()
    drug = server.stored(
        {
            "resourceType": "MedicationRequest",
            "id": server.id(),
            "status": "on-hold",
            "intent": "order",
            "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": "pill"}]},
            "subject": subject,
            "authoredOn": "2026-03-10",
        }
    )
    message = server.stored(
        {
            "resourceType": "Communication",
            "id": server.id(),
            "identifier": [{"system": SYSTEM, "value": server.key}],
            "status": "completed",
            "category": [{"coding": [{"system": LOCAL, "code": "notification"}]}],
            "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
            "partOf": [{"reference": f"Task/{task['id']}"}],
            "subject": subject,
            "recipient": [subject],
            "sent": "2026-03-10T12:00:00Z",
        }
    )
    for found, name, finds, passes in (
        (drug, "authoredon", "2026-03-10", "2026-03-09"),
        (drug, "code", f"{LOCAL}|pill", "syrup"),
        (drug, "intent", "order", "plan"),
        (drug, "patient", patient["id"], "none"),
        (drug, "status", "on-hold", "active"),
        (message, "based-on", f"ServiceRequest/{order['id']}", "ServiceRequest/none"),
        (message, "category", "notification", "alert"),
        (message, "identifier", f"{SYSTEM}|{server.key}", f"{SYSTEM}|none"),
        (message, "part-of", f"Task/{task['id']}", "Task/none"),
        (message, "recipient", f"Patient/{patient['id']}", "Patient/none"),
        (message, "sent", "ge2026-03-10", "lt2026-03-10"),
        (message, "subject", f"Patient/{patient['id']}", "Patient/none"),
    ):
        type_, by_id = found["resourceType"], ("_id", found["id"])
        assert server.found(type_, by_id, (name, finds)) == [found["id"]], (name, finds)
        assert server.found(type_, by_id, (name, passes)) == [], (name, passes)


@check
def people_are_found_by_name_birth_date_and_identifier(server: Server) -> None:
    patient = server.patient(
        identifier=[{"system": SYSTEM, "value": server.key}],
        name=[{"family": "Zielińska", "given": ["Ada", "Keiko"]}],
        birthDate="1950-02-03",
        gender="female",
    )
    for name, finds, passes in (
        ("family", "ziel", "lins"),
        ("family", "ZIELINSKA", "zz"),
        ("family:exact", "Zielińska", "Ziel"),
        ("given", "keiko", "bea"),
        ("name", "Ada", "bea"),
        ("birthdate", "1950-02-03", "1950-02-04"),
        ("birthdate", "1950", "1951"),
        ("gender", "female", "male"),
        ("identifier", f"{SYSTEM}|{server.key}", f"{LOCAL}|{server.key}"),
    ):
        by_id = ("_id", patient["id"])
        assert server.found("Patient", by_id, (name, finds)) == [patient["id"]], (name, finds)
        assert server.found("Patient", by_id, (name, passes)) == [], (name, passes)


@check
def tokens_match_with_and_without_their_system(server: Server) -> None:
    task = server.task(code={"coding": [{"system": LOCAL, "code": "call"}, {"code": "plain"}]})

    for finds in (f"{LOCAL}|call", "call", f"{LOCAL}|", "plain", "|plain", f"none,{LOCAL}|call"):
        assert server.mine(code=finds) == [task["id"]], finds
    for passes in ("|call", f"{SYSTEM}|call", "CALLS", f"{LOCAL}|plain"):
        assert server.mine(code=passes) == [], passes


@check
def values_with_commas_are_escaped(server: Server) -> None:
    task = server.task(code={"coding": [{"system": LOCAL, "code": "a,b"}]})

    assert server.mine(code=f"{LOCAL}|a\\,b") == [task["id"]]
    assert server.mine(code=f"{LOCAL}|a,b") == []


@check
def references_match_by_type(server: Server) -> None:
    patient = server.patient()
    known = server.task(**{"for": {"reference": f"Patient/{patient['id']}"}})

    assert server.mine(**{"subject:Patient": patient["id"]}) == [known["id"]]
    assert server.mine(**{"subject:Organization": patient["id"]}) == []
    refused(server.get("Task", **{"owner:identifier": f"{SYSTEM}|x"}), 400)


@check
def missing_and_not_are_understood(server: Server) -> None:
    bare_task, owned = server.task(), server.task(owner={"reference": _organization(server)})

    assert server.mine(**{"owner:missing": "true"}) == [bare_task["id"]]
    assert server.mine(**{"owner:missing": "false"}) == [owned["id"]]
    assert set(server.mine(**{"status:not": "completed"})) == {bare_task["id"], owned["id"]}
    assert server.mine(**{"status:not": "requested"}) == []


@check
def date_prefixes_compare_spans_of_time(server: Server) -> None:
    authored = {
        "month": "2026-03",
        "day": "2026-03-10",
        "noon": "2026-03-10T12:00:00Z",
        "zoned": "2026-03-10T23:30:00+02:00",
    }
    ids = {server.task(authoredOn=when)["id"]: name for name, when in authored.items()}

    for asked, expected in (
        ("2026-03", "month day noon zoned"),
        ("2026-03-10", "day noon zoned"),
        ("2026-03-10T12:00:00Z", "noon"),
        ("2026-03-10T14:00:00+02:00", "noon"),
        ("gt2026-03-10", "month"),
        ("lt2026-03-10", "month"),
        ("ge2026-03-10", "month day noon zoned"),
        ("le2026-03-10", "month day noon zoned"),
        ("gt2026-03-10T12:00:00Z", "month day zoned"),
        ("ge2026-03-10T12:00:00Z", "month day noon zoned"),
        ("lt2026-03-10T12:00:00Z", "month day"),
        ("sa2026-03-10", ""),
        ("sa2026-03-09", "day noon zoned"),
        ("eb2026-03-11", "day noon zoned"),
        ("eb2026-03-10", ""),
        ("ge2027", ""),
    ):
        found = {ids[each] for each in server.mine(**{"authored-on": asked})}
        assert found == set(expected.split()), (asked, found)


@check
def last_updated_bounds_include_and_exclude(server: Server) -> None:
    task = server.task()
    at = task["meta"]["lastUpdated"]

    for finds in (f"ge{at}", f"le{at}", "gt2020-01-01", "lt2100-01-01T00:00:00Z", at):
        assert server.mine(_lastUpdated=finds) == [task["id"]], finds
    for passes in (f"gt{at}", f"lt{at}", "lt2020-01-01", "ge2100"):
        assert server.mine(_lastUpdated=passes) == [], passes
    assert server.mine(("_lastUpdated", "ge2020"), ("_lastUpdated", f"le{at}")) == [task["id"]]
    assert server.mine(("_lastUpdated", "ge2020"), ("_lastUpdated", f"lt{at}")) == []


@check
def the_updated_move_in_time(server: Server) -> None:
    first, second = server.task(), server.task()
    moved = server.stored(first | {"status": "accepted"})

    in_time = sorted([second, moved], key=lambda task: (task["meta"]["lastUpdated"], task["id"]))
    assert server.mine(_sort="_lastUpdated,_id") == [task["id"] for task in in_time]
    assert moved["id"] in server.mine(_lastUpdated=f"ge{moved['meta']['lastUpdated']}")


@check
def unescaped_plus_in_a_time_zone_is_refused_or_understood(server: Server) -> None:
    answer = server.send("GET", "Task?_lastUpdated=ge2026-01-01T00:00:00+00:00&_count=1")

    assert answer.status_code in {200, 400}
    assert server.get("Task", _lastUpdated="ge2026-01-01T00:00:00+00:00", _count="1").status_code == 200


@check
def several_ids_are_found_at_once(server: Server) -> None:
    tasks = [server.task()["id"] for _ in range(3)]

    assert sorted(server.found("Task", _id=f"{tasks[0]},{tasks[2]},none")) == [tasks[0], tasks[2]]


# Order and paging


@check
def results_are_sorted_as_asked(server: Server) -> None:
    times = ("2026-03-12", "2026-03-10", "2026-03-11")
    late, early, middle = (server.task(authoredOn=when)["id"] for when in times)

    assert server.mine(_sort="authored-on") == [early, middle, late]
    assert server.mine(_sort="-authored-on") == [late, middle, early]
    assert server.mine(_sort="_lastUpdated,_id") == [late, early, middle]
    newest = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _sort="-_lastUpdated").json()
    moved = [entry["resource"]["meta"]["lastUpdated"] for entry in matches(newest)]
    assert moved == sorted(moved, reverse=True)
    assert server.mine(_sort="_id") == sorted([late, early, middle])


@check
def pages_follow_next_and_hold_everything_once(server: Server) -> None:
    tasks = [server.task()["id"] for _ in range(5)]
    answer = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _count="2", _sort="_lastUpdated,_id")

    pages = [answer.json()]
    while (url := link(pages[-1], "next")) is not None:
        pages.append(server.send("GET", url).json())

    assert [len(matches(page)) for page in pages] == [2, 2, 1]
    assert [entry["resource"]["id"] for page in pages for entry in matches(page)] == tasks
    assert all(page["resourceType"] == "Bundle" and page["type"] == "searchset" for page in pages)
    assert link(pages[0], "self") is not None


@check
def a_search_is_stable_while_it_is_paged_through(server: Server) -> None:
    tasks = [server.task() for _ in range(5)]
    first = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _count="2", _sort="_lastUpdated,_id").json()

    server.stored(tasks[0] | {"status": "accepted"})
    server.task()
    ids = [entry["resource"]["id"] for entry in matches(first)]
    url = link(first, "next")
    while url is not None:
        page = server.send("GET", url).json()
        ids += [entry["resource"]["id"] for entry in matches(page)]
        url = link(page, "next")

    assert ids == [task["id"] for task in tasks]


@check
def an_unknown_cursor_is_410(server: Server) -> None:
    for _ in range(3):
        server.task()
    first = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _count="1").json()
    url = httpx.URL(str(link(first, "next")))
    gone = {name: "11111111-2222-3333-4444-555555555555.1" for name in ("_getpages", "_page") if name in url.params}

    refused(server.send("GET", str(url.copy_merge_params(gone))), 410)


@check
def a_search_without_matches_is_an_empty_bundle(server: Server) -> None:
    answer = server.get("Task", identifier=f"{SYSTEM}|none-{server.key}")

    assert answer.status_code == 200
    assert answer.json().get("entry", []) == []
    assert answer.json()["total"] == 0


@check
def counts_come_without_entries(server: Server) -> None:
    server.task()
    server.task()
    for wanted in ({"_summary": "count"}, {"_count": "0"}):
        answer = server.get("Task", identifier=f"{SYSTEM}|{server.key}", **wanted).json()
        assert answer["total"] == 2, wanted
        assert answer.get("entry", []) == []


@check
def totals_are_accurate_when_asked(server: Server) -> None:
    for _ in range(3):
        server.task()

    answer = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _count="1", _total="accurate").json()

    assert answer["total"] == 3


@check
def the_total_of_several_pages_need_not_be_stated(server: Server) -> None:
    for _ in range(3):
        server.task()

    answer = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _count="2").json()

    assert answer.get("total", 3) == 3


@check
def elements_narrow_what_comes_back(server: Server) -> None:
    server.task(description="long", priority="urgent")

    answer = server.get("Task", identifier=f"{SYSTEM}|{server.key}", _elements="status,priority").json()

    resource = matches(answer)[0]["resource"]
    assert resource["status"] == "requested"
    assert resource["priority"] == "urgent"
    assert "description" not in resource
    assert {"id", "meta"} <= resource.keys()


@check
def includes_bring_what_is_referred_to(server: Server) -> None:
    patient = server.patient()
    owner = _organization(server)
    task = server.task(owner={"reference": owner}, **{"for": {"reference": f"Patient/{patient['id']}"}})
    mine = ("identifier", f"{SYSTEM}|{server.key}")

    forward = server.send("GET", "Task", params=[mine, ("_include", "Task:patient"), ("_include", "Task:owner")])
    backward = server.get("Patient", _id=patient["id"], _revinclude="Task:patient")

    assert _by_mode(forward) == {
        "match": {f"Task/{task['id']}"},
        "include": {f"Patient/{patient['id']}", owner},
    }
    assert _by_mode(backward) == {
        "match": {f"Patient/{patient['id']}"},
        "include": {f"Task/{task['id']}"},
    }


@check
def search_by_post_is_search(server: Server) -> None:
    task = server.task()

    answer = server.send("POST", "Task/_search", data={"identifier": f"{SYSTEM}|{server.key}"})

    assert answer.status_code == 200, answer.text
    assert [entry["resource"]["id"] for entry in matches(answer.json())] == [task["id"]]


@check
def an_unknown_parameter_is_400_whatever_is_preferred(server: Server) -> None:
    for handling in ("strict", "lenient"):
        answer = server.send("GET", "Task", params={"no-such": "1"}, headers={"Prefer": f"handling={handling}"})
        refused(answer, 400)


@check
def unreadable_values_are_400(server: Server) -> None:
    refused(server.get("Task", _lastUpdated="yesterday"), 400)
    refused(server.get("Task", **{"authored-on": "ge2026-13-45"}), 400)


@check
def a_raw_pipe_in_a_query_is_400(server: Server) -> None:
    url = httpx.URL(f"{server.base}/Task")
    raw = url.copy_with(raw_path=url.raw_path + f"?identifier={SYSTEM}|x".encode())

    assert server.send("GET", str(url)).status_code == 200
    assert server.raw(raw) == 400


def _an_order(server: Server, patient: Json) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": server.id(),
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient['id']}"},
    }


def _organization(server: Server) -> str:
    made = server.stored({"resourceType": "Organization", "id": server.id(), "name": "Owner"})
    return f"Organization/{made['id']}"


def _by_mode(answer: httpx.Response) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in answer.json()["entry"]:
        key = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        found.setdefault(entry["search"]["mode"], set()).add(key)
    return found
