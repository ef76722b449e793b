"""Changes that show late, early, never, or with a time that is not theirs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator, client_of

from ..plain import a_task, first_page, ids, next_link, put_tasks


def last_updated(fhir: httpx.Client, id_: str) -> str:
    return str(fhir.get(f"Task/{id_}").json()["meta"]["lastUpdated"])


def test_late_commits_by_chance_are_the_same_for_the_same_seed(clock: ManualClock) -> None:
    def visible_after(seed: int) -> list[list[str]]:
        simulator = Simulator(clock, faults=["late-commit=0-300"], seed=seed)
        with client_of(simulator) as fhir:
            put_tasks(fhir, 6)
            seen = []
            for _ in range(5):
                clock.advance(seconds=60)
                seen.append(ids(first_page(fhir)))
        return seen

    first = visible_after(7)

    assert visible_after(7) == first
    assert visible_after(8) != first
    assert len(first[0]) < 6
    assert len(first[-1]) == 6


def test_versions_of_one_span_share_their_time(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("equal-timestamps=60")
    clock.advance(seconds=10)
    put_tasks(fhir, 1)
    clock.advance(seconds=49)
    fhir.put("Task/b", json=a_task("b"))

    assert last_updated(fhir, "task-000") == last_updated(fhir, "b") == "2026-11-02T12:00:00.000Z"
    clock.advance(seconds=1)
    assert fhir.put("Task/c", json=a_task("c")).json()["meta"]["lastUpdated"] == "2026-11-02T12:01:00.000Z"


def test_histories_repeat_and_omit_rows_that_share_a_time(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 6)
    simulator.add_fault("equal-timestamps")
    simulator.add_fault("repeat-rows=1,1")

    first = fhir.get("Task/_history", params={"_count": "2"}).json()
    second = fhir.get(str(next_link(first))).json()

    def names(bundle: dict[str, Any]) -> list[str]:
        return [entry["resource"]["id"] for entry in bundle["entry"]]

    assert names(first) == ["task-005", "task-004"]
    assert names(second) == ["task-004", "task-003"]


def test_first_version_is_missing_from_histories_while_it_is_young(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    simulator.add_fault("young-history=60")
    fhir.put("Task/a", json=a_task("a"))
    fhir.put("Task/a", json=a_task("a", status="accepted"))

    young = fhir.get("Task/a/_history").json()["total"]
    clock.advance(seconds=60)

    assert young == 1
    assert fhir.get("Task/a/_history").json()["total"] == 2


def test_a_changed_resource_is_missing_from_search_while_it_is_indexed(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    put_tasks(fhir, 2)
    clock.advance(minutes=20)
    simulator.add_fault("reindex=600")
    fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))

    assert ids(first_page(fhir)) == ["task-001"]
    assert fhir.get("Task/task-000").json()["status"] == "accepted"
    strong = fhir.get("Task", headers={"x-amz-fhir-history-consistency-level": "strong"}).json()
    assert sorted(ids(strong)) == ["task-000", "task-001"]
    clock.advance(minutes=10)
    assert ids(first_page(fhir)) == ["task-001", "task-000"]


def test_update_leaves_last_updated_where_it_was(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("still-timestamps")
    fhir.put("Task/a", json=a_task("a"))
    clock.advance(minutes=5)

    changed = fhir.put("Task/a", json=a_task("a", status="accepted")).json()

    assert changed["meta"]["versionId"] == "2"
    assert changed["meta"]["lastUpdated"] == "2026-11-02T12:00:00.000Z"
    assert ids(first_page(fhir, _lastUpdated="gt2026-11-02T12:00:00.000Z")) == []


def test_only_the_named_elements_leave_last_updated_where_it_was(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    simulator.add_fault("still-timestamps=priority+note")
    fhir.put("Task/a", json=a_task("a"))
    clock.advance(minutes=5)

    fhir.put("Task/a", json=a_task("a", priority="urgent"))
    quiet = last_updated(fhir, "a")
    fhir.put("Task/a", json=a_task("a", priority="urgent", status="accepted"))

    assert quiet == "2026-11-02T12:00:00.000Z"
    assert last_updated(fhir, "a") == "2026-11-02T12:05:00.000Z"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("2026-11-02", ["task-000"]),
        ("2026-11-01", []),
        ("2026-11-02T23:30:00", ["task-000"]),
        ("2026-11-03T04:30:00Z", ["task-000"]),
    ],
)
def test_dates_without_a_zone_are_read_in_the_servers_own(
    simulator: Simulator, fhir: httpx.Client, asked: str, found: list[str]
) -> None:
    fhir.put("Task/task-000", json=a_task("task-000", authoredOn="2026-11-03T04:30:00Z"))
    simulator.add_fault("zone-shift=-5")

    assert ids(fhir.get("Task", params={"authored-on": asked}).json()) == found


def test_the_servers_clock_can_be_wrong(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("clock-skew=-3600")

    answer = fhir.put("Task/a", json=a_task("a"))

    assert answer.headers["Date"] == "Mon, 02 Nov 2026 11:00:00 GMT"
    assert answer.json()["meta"]["lastUpdated"] == "2026-11-02T11:00:00.000Z"
