"""Results that are cached, expire, shift, are cut off or badly linked."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator, SimulatorTransport

from ..plain import a_task, first_page, ids, next_link, put_tasks

NO_CACHE = {"Cache-Control": "no-cache"}


def outcomes(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"]["issue"][0] for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]


def test_the_same_search_is_answered_from_a_cache_for_a_minute(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    simulator.add_fault("search-cache")
    put_tasks(fhir, 1)
    first_page(fhir)
    fhir.put("Task/late", json=a_task("late"))
    clock.advance(seconds=60)

    cached = first_page(fhir)
    clock.advance(seconds=1)

    assert ids(cached) == ["task-000"]
    assert sorted(ids(first_page(fhir))) == ["late", "task-000"]


def test_no_cache_reads_past_the_cache_and_another_search_has_its_own(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("search-cache")
    put_tasks(fhir, 1)
    first_page(fhir)
    fhir.put("Task/late", json=a_task("late"))

    fresh = fhir.get("Task", params={"_sort": "_lastUpdated,_id"}, headers=NO_CACHE).json()

    assert sorted(ids(fresh)) == ["late", "task-000"]
    assert len(ids(fhir.get("Task", params={"status": "requested"}).json())) == 2


def test_what_the_cache_found_is_shown_as_it_is_now(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("search-cache")
    put_tasks(fhir, 2)
    fhir.get("Task", params={"status": "requested"})
    fhir.put("Task/task-000", json=a_task("task-000", status="accepted"))
    fhir.delete("Task/task-001")

    found = fhir.get("Task", params={"status": "requested"}).json()

    assert [entry["resource"]["status"] for entry in found["entry"]] == ["accepted"]


def test_cursor_expires_with_time(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("expire-cursors=60")
    put_tasks(fhir, 3)
    following = str(next_link(first_page(fhir, _count="1")))

    clock.advance(seconds=60)
    in_time = fhir.get(following)
    clock.advance(seconds=1)

    assert in_time.status_code == 200
    assert fhir.get(following).status_code == 410


def test_second_page_repeats_two_rows_and_omits_two(simulator: Simulator, fhir: httpx.Client) -> None:
    tasks = put_tasks(fhir, 8)
    simulator.add_fault("repeat-rows=2,1")

    first = first_page(fhir, _count="3")
    second = fhir.get(str(next_link(first))).json()
    third = fhir.get(str(next_link(second))).json()

    assert ids(first) == tasks[:3]
    assert ids(second) == [tasks[1], tasks[2], tasks[3]]
    assert ids(third) == tasks[6:]
    assert second["resourceType"] == "Bundle"


def test_every_other_result_is_whole(simulator: Simulator, fhir: httpx.Client) -> None:
    tasks = put_tasks(fhir, 4)
    simulator.add_fault("repeat-rows=2,2")

    whole = first_page(fhir, _count="2")

    assert ids(fhir.get(str(next_link(whole))).json()) == tasks[2:]


def test_a_page_times_out_while_another_of_its_search_is_under_way(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 3)
    simulator.add_fault("parallel-pages")
    following = str(next_link(first_page(fhir, _count="1")))
    under_way, go_on = threading.Event(), threading.Event()

    def slow(seconds: float) -> None:
        under_way.set()
        go_on.wait(30)

    with httpx.Client(transport=SimulatorTransport(simulator, sleep=slow)) as other:
        reader = threading.Thread(target=other.get, args=(following,))
        reader.start()
        under_way.wait(30)
        parallel = fhir.get(following, timeout=None)
        go_on.set()
        reader.join(30)

    assert parallel.status_code == 500
    assert parallel.json()["issue"][0]["code"] == "timeout"
    assert fhir.get(following).status_code == 200


def test_parallel_page_is_a_timeout_to_a_client_that_waits_less_than_a_minute(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    put_tasks(fhir, 3)
    simulator.add_fault("slow=61")

    with pytest.raises(httpx.ReadTimeout):
        fhir.get("Task", timeout=60)


@pytest.mark.parametrize(
    ("manner", "url"),
    [
        ("relative", "/fhir?_page="),
        ("port-twice", "http://ehr.example:443:443/fhir?_page="),
        ("other-host", "http://internal.ehr.example:8080/fhir?_page="),
        ("scheme", "https://ehr.example/fhir?_page="),
        ("loop", "http://ehr.example/fhir/Task?_sort="),
    ],
)
def test_next_link_is_written_in_the_ways_of_the_field(
    simulator: Simulator, fhir: httpx.Client, manner: str, url: str
) -> None:
    put_tasks(fhir, 3)
    simulator.add_fault(f"next-link={manner}")

    assert str(next_link(first_page(fhir, _count="1"))).startswith(url)


def test_next_link_can_be_too_long_to_be_found(simulator: Simulator, fhir: httpx.Client) -> None:
    put_tasks(fhir, 3)
    simulator.add_fault("next-link=long")
    following = str(next_link(first_page(fhir, _count="1")))

    assert len(following) > 4096
    assert fhir.get(following).status_code == 404


def test_plus_of_a_zone_is_left_as_it_is_in_links_and_breaks_the_next_page(
    simulator: Simulator, fhir: httpx.Client
) -> None:
    put_tasks(fhir, 3)
    simulator.add_fault("offset-paging")
    simulator.add_fault("unescaped-plus")

    first = first_page(fhir, _count="1", _lastUpdated="ge2026-11-01T00:00:00+01:00")

    assert "+01:00" in str(next_link(first)).replace("%3A", ":")
    assert fhir.get(str(next_link(first))).status_code == 400


@pytest.mark.parametrize(
    ("manner", "code", "total"), [("note", "too-costly", 2), ("total", None, 5), ("silent", None, 2)]
)
def test_a_result_is_cut_off_and_says_so_or_not(
    simulator: Simulator, fhir: httpx.Client, manner: str, code: str | None, total: int
) -> None:
    put_tasks(fhir, 5)
    simulator.add_fault(f"truncate=2,{manner}")

    page = first_page(fhir)

    assert len(ids(page)) == 2
    assert next_link(page) is None
    assert page["total"] == total
    assert [issue["code"] for issue in outcomes(page)] == ([code] if code else [])
