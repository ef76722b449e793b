"""Each fault does what its name says, and nothing once it is removed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from conformance.simulator import FAULTS, ManualClock, Options, Simulator, client_of, start
from conformance.simulator.faults import fault_named

from .plain import a_task, first_page, ids, next_link, put_tasks

ARGUMENTS = {
    "broken-answer": "=cut",
    "clock-skew": "=60",
    "expire-cursors-after": "=1",
    "forbidden": "=Task",
    "ignore-parameters": "=status",
    "ignore-silently": "=status",
    "merged-patients": "=gone",
    "next-link": "=loop",
    "slow": "=1",
    "throttle": "=1",
    "truncate": "=1",
    "zone-shift": "=-5",
}
"""The arguments of the faults that need some."""


@pytest.fixture
def over_network(simulator: Simulator) -> Iterator[httpx.Client]:
    with start(simulator=simulator) as handle, httpx.Client(base_url=handle.base_url + "/") as client:
        yield client


def test_cursor_expires_after_the_given_number_of_pages(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 5)
    simulator.add_fault("expire-cursors-after=2")

    second = fhir.get(str(next_link(first_page(fhir, _count="1"))))
    third = fhir.get(str(next_link(second.json())))

    assert second.status_code == 200
    assert third.status_code == 410
    assert third.json()["resourceType"] == "OperationOutcome"


def test_throttle_answers_every_nth_request_429_without_carrying_it_out(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    simulator.add_fault("throttle=2,120")

    answers = [fhir.post("Task", json=a_task("x")) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [201, 429, 201, 429]
    assert answers[1].headers["Retry-After"] == "120"
    assert len(simulator.all("Task")) == 2


def test_throttle_can_leave_retry_after_out(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("throttle=1,")

    assert "Retry-After" not in fhir.get("Task").headers


def test_dropped_answer_is_a_write_that_was_stored(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("drop-answer=1")

    with pytest.raises(httpx.RemoteProtocolError):
        fhir.put("Task/lost", json=a_task("lost"))

    assert fhir.get("Task/lost").json()["status"] == "requested"
    assert fhir.put("Task/next", json=a_task("next")).status_code == 201


def test_dropped_answer_closes_a_real_connection(simulator: Simulator, over_network: httpx.Client) -> None:
    simulator.add_fault("drop-answer=1")

    with pytest.raises(httpx.RemoteProtocolError):
        over_network.put("Task/lost", json=a_task("lost"))

    assert over_network.get("Task/lost").status_code == 200


def test_dropped_answer_can_be_a_502_without_a_body(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("drop-answer=1,502")

    answer = fhir.put("Task/lost", json=a_task("lost"))

    assert (answer.status_code, answer.content) == (502, b"")
    assert fhir.get("Task/lost").status_code == 200


def test_a_refused_write_is_not_dropped(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("drop-answer=1")

    assert fhir.put("Task/other", json=a_task("not-other")).status_code == 400


def test_late_commit_shows_a_version_after_its_time(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    fhir.put("Task/a", json=a_task("a"))
    clock.advance(seconds=1)
    simulator.add_fault("late-commit=90")
    late = fhir.put("Task/a", json=a_task("a", status="accepted")).json()

    before = fhir.get("Task").json()["entry"][0]["resource"]
    clock.advance(seconds=90)
    after = fhir.get("Task").json()["entry"][0]["resource"]

    assert before["status"] == "requested"
    assert after == late
    assert after["meta"]["lastUpdated"] == "2026-11-02T12:00:01.000Z"


def test_late_commit_hides_from_histories_too(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("late-commit=10")
    fhir.put("Task/a", json=a_task("a"))

    assert fhir.get("Task/_history").json()["total"] == 0
    clock.advance(seconds=10)
    assert fhir.get("Task/_history").json()["total"] == 1


def test_without_last_updated_neither_search_nor_sort_nor_statement_has_it(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    simulator.add_fault("no-last-updated")

    assert fhir.get("Task", params={"_lastUpdated": "ge2026"}).status_code == 400
    assert fhir.get("Task", params={"_sort": "_lastUpdated"}).status_code == 400
    assert "_lastUpdated" not in fhir.get("metadata").text


def test_offset_pages_drift_when_data_changes(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    tasks = put_tasks(fhir, 4)
    simulator.add_fault("offset-paging")

    first = first_page(fhir, _count="2")
    clock.advance(seconds=1)
    fhir.put(f"Task/{tasks[0]}", json=a_task(tasks[0], status="accepted"))
    second = fhir.get(str(next_link(first))).json()

    assert ids(first) == tasks[:2]
    assert ids(second) == [tasks[3], tasks[0]]
    assert next_link(second) is None


def test_created_without_a_body_has_a_location_without_history(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("empty-201")

    answer = fhir.post("Task", json=a_task("x"))

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"].endswith("/fhir/Task/1")
    assert answer.headers["Content-Length"] == "0" if "Content-Length" in answer.headers else True


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_removed(name: str) -> None:
    simulator = Simulator()
    simulator.add_fault(name + ARGUMENTS.get(name, ""))

    simulator.remove_fault(name)

    assert simulator.options == Options()
    with client_of(simulator) as fhir:
        answer = fhir.post("Task", json=a_task("x"))
        assert answer.status_code == 201
        assert answer.content
        assert fhir.get("Task").json()["total"] == 1


@pytest.mark.parametrize("spec", ["nonsense", "throttle", "throttle=0", "throttle=x", "drop-answer=1,maybe"])
def test_a_wrong_fault_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fault_named(spec)


def test_the_clinics_own_writes_go_past_faults_and_authorization() -> None:
    simulator = Simulator(options=Options(authorization="Bearer secret"), faults=["throttle=1"])

    with client_of(simulator, clinic=True) as clinic:
        assert clinic.put("Task/a", json=a_task("a")).status_code == 201
