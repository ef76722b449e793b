"""What the simulated EHR offers beyond what it shares with HAPI: switches, determinism, its own clock."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator, client_of, start
from conformance.simulator.dates import PREFIXES, bounds, parse_span
from conformance.simulator.parameters import PARAMETERS

from .plain import a_task, first_page, ids, next_link, put_tasks


def test_same_requests_at_the_same_time_give_the_same_answers(clock: ManualClock) -> None:
    def run() -> list[bytes]:
        with client_of(Simulator(ManualClock(clock()))) as fhir:
            put_tasks(fhir, 3)
            created = fhir.post("Task", json=a_task("x"))
            return [created.content, fhir.get("Task", params={"_count": "1"}).content]

    assert run() == run()


def test_every_answer_carries_the_injected_time(fhir: httpx.Client, clock: ManualClock) -> None:
    clock.advance(hours=1)

    assert fhir.get("Task").headers["Date"] == "Mon, 02 Nov 2026 13:00:00 GMT"
    assert fhir.get("Task/none").headers["Date"] == "Mon, 02 Nov 2026 13:00:00 GMT"


def test_lenient_server_ignores_unknown_parameters_with_a_warning(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.lenient = True
    put_tasks(fhir, 1)

    bundle = fhir.get("Task", params={"no-such": "1", "status": "requested"}).json()

    assert ids(bundle) == ["task-000"]
    warning = bundle["entry"][-1]
    assert warning["search"]["mode"] == "outcome"
    assert warning["resource"]["issue"][0]["severity"] == "warning"
    assert "no-such" in warning["resource"]["issue"][0]["diagnostics"]
    assert "no-such" not in bundle["link"][0]["url"]


def test_stale_write_status_can_be_412(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.stale_write_status = 412
    put_tasks(fhir, 1)

    stale = fhir.put("Task/task-000", json=a_task("task-000", status="draft"), headers={"If-Match": 'W/"7"'})

    assert stale.status_code == 412


def test_server_without_update_as_create_says_so_and_refuses(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.update_as_create = False

    assert fhir.put("Task/new", json=a_task("new")).status_code == 405
    assert fhir.get("metadata").json()["rest"][0]["resource"][0]["updateCreate"] is False


def test_server_without_conditional_create_doubles(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.conditional_create = False
    task = a_task("x", identifier=[{"system": "s", "value": "1"}])

    answers = [fhir.post("Task", json=task, headers={"If-None-Exist": "identifier=s|1"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]


def test_referential_integrity_refuses_dangling_references_and_deletes(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    simulator.options.referential_integrity = True
    task = a_task("a", **{"for": {"reference": "Patient/p"}})

    dangling = fhir.put("Task/a", json=task)
    fhir.put("Patient/p", json={"resourceType": "Patient", "id": "p"})
    stored = fhir.put("Task/a", json=task)
    referred_to = fhir.delete("Patient/p")

    assert (dangling.status_code, stored.status_code, referred_to.status_code) == (400, 201, 409)
    assert fhir.delete("Task/a").status_code == 200
    assert fhir.delete("Patient/p").status_code == 200


def test_authorization_is_asked_for_everywhere_but_in_metadata(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.authorization = "Bearer secret"

    refused = fhir.get("Task")

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert fhir.get("metadata").status_code == 200
    assert fhir.get("Task", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_page_is_capped_whatever_count_says(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.options.page_limit = 3
    put_tasks(fhir, 5)

    assert len(ids(first_page(fhir, _count="100"))) == 3


def test_cursor_expires_with_time(fhir: httpx.Client, simulator: Simulator, clock: ManualClock) -> None:
    simulator.options.cursor_lifetime = timedelta(minutes=5)
    put_tasks(fhir, 3)
    following = str(next_link(first_page(fhir, _count="1")))

    clock.advance(minutes=5)
    assert fhir.get(following).status_code == 200
    clock.advance(seconds=1)
    assert fhir.get(following).status_code == 410


def test_equal_timestamps_are_sorted_by_id_and_each_is_found(fhir: httpx.Client) -> None:
    for id_ in ("c", "a", "b"):
        fhir.put(f"Task/{id_}", json=a_task(id_))
    at = fhir.get("Task/a").json()["meta"]["lastUpdated"]

    assert ids(first_page(fhir)) == ["a", "b", "c"]
    assert ids(first_page(fhir, _lastUpdated=f"ge{at}")) == ["a", "b", "c"]


def test_data_survives_a_restart_of_the_server(simulator: Simulator) -> None:
    with start(simulator=simulator) as first:
        httpx.put(f"{first.base_url}/Task/a", json=a_task("a")).raise_for_status()
    with start(first.port, simulator=simulator) as second:
        answer = httpx.get(f"{second.base_url}/Task/a")

    assert second.base_url == first.base_url
    assert answer.json()["id"] == "a"


def test_what_is_too_deep_to_read_is_refused(fhir: httpx.Client) -> None:
    body = b'{"resourceType":"Task","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    answer = fhir.post("Task", content=body, headers={"Content-Type": "application/fhir+json"})

    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_unreadable_media_types_are_refused(fhir: httpx.Client) -> None:
    xml = {"Content-Type": "application/fhir+xml"}

    assert fhir.post("Task", content=b"<Task/>", headers=xml).status_code == 415
    assert fhir.get("Task", headers={"Accept": "application/fhir+xml"}).status_code == 406


def test_statement_lists_every_parameter_it_answers(fhir: httpx.Client) -> None:
    stated = fhir.get("metadata").json()["rest"][0]["resource"]

    for resource in stated:
        for search in resource["searchParam"]:
            value = "2026" if search["type"] == "date" else "x"
            answer = fhir.get(resource["type"], params={search["name"]: value})
            assert answer.status_code == 200, (resource["type"], search["name"])
    assert {resource["type"] for resource in stated} == PARAMETERS.keys()


def test_an_updated_value_is_no_longer_found_under_the_old_one(fhir: httpx.Client) -> None:
    put_tasks(fhir, 2)
    assert len(ids(first_page(fhir, status="requested"))) == 2

    fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))
    fhir.delete("Task/task-001")

    assert ids(first_page(fhir, status="requested")) == []
    assert ids(first_page(fhir, status="accepted")) == ["task-000"]


def test_failed_transaction_leaves_no_trace_in_search_or_history(fhir: httpx.Client) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": a_task("a"), "request": {"method": "PUT", "url": "Task/a"}},
            {"resource": a_task("b"), "request": {"method": "PUT", "url": "Task/other"}},
        ],
    }

    assert fhir.post("", json=bundle).status_code == 400
    assert fhir.get("Task").json()["total"] == 0
    assert fhir.get("_history").json()["total"] == 0
    assert fhir.get("Task/a").status_code == 404


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2026", 365 * 86_400_000_000),
        ("2028-02", 29 * 86_400_000_000),
        ("2026-03-10", 86_400_000_000),
        ("2026-03-10T12:00Z", 60_000_000),
        ("2026-03-10T12:00:00+01:00", 1_000_000),
        ("2026-03-10T12:00:00.123Z", 1_000),
        ("2026-03-10T12:00:00.123456Z", 1),
    ],
)
def test_a_date_spans_what_it_leaves_open(text: str, length: int) -> None:
    first, last = parse_span(text)

    assert last - first + 1 == length


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
def test_bounds_are_never_narrower_than_the_prefix(prefix: str) -> None:
    asked = parse_span("2026-03-10T12:00:00Z")
    low, high = bounds(prefix, asked)

    for instant in range(asked[0] - 2_000_000, asked[1] + 2_000_000, 250_000):
        if PREFIXES[prefix]((instant, instant), asked, asked[0]):
            assert low <= instant <= high


def test_numbers_keep_their_digits_through_update_and_patch(fhir: httpx.Client) -> None:
    body = json.dumps(a_task("a", input=[{"type": {"text": "dose"}, "valueDecimal": 0}]))
    fhir.put("Task/a", content=body.replace('"valueDecimal": 0', '"valueDecimal": 2.50'))
    operation = [{"op": "replace", "path": "/status", "value": "accepted"}]

    fhir.patch("Task/a", json=operation, headers={"Content-Type": "application/json-patch+json"})

    assert '"valueDecimal":2.50' in fhir.get("Task/a").text
