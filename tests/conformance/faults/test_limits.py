"""Servers that ask for patience, or are not there."""

from __future__ import annotations

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator
from conformance.simulator.wire import Request

from ..plain import a_task


def test_throttle_can_name_an_http_date(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("throttle=1,date")

    assert fhir.get("Task").headers["Retry-After"] == "Mon, 02 Nov 2026 12:02:00 GMT"


def test_more_requests_than_the_limit_are_refused_until_the_span_is_over(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock
) -> None:
    simulator.add_fault("rate-limit=3,1")

    burst = [fhir.get("Task") for _ in range(5)]
    clock.advance(seconds=1)

    assert [answer.status_code for answer in burst] == [200, 200, 200, 429, 429]
    assert "Retry-After" not in burst[-1].headers
    assert fhir.get("Task").status_code == 200


def test_too_many_at_once_are_refused(simulator: Simulator) -> None:
    simulator.add_fault("concurrency=2,5")
    requests = [Request("GET", "Task") for _ in range(3)]

    first, second, third = (simulator.serving(request) for request in requests)
    with first as one, second as two, third as three:
        statuses = [one.status, two.status, three.status]
    with simulator.serving(requests[2]) as alone:
        statuses.append(alone.status)

    assert statuses == [200, 200, 429, 200]
    assert three.headers["Retry-After"] == "5"


def test_an_outage_ends(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("outage=600")

    down = fhir.put("Task/a", json=a_task("a"))
    clock.advance(minutes=10)

    assert down.status_code == 503
    assert simulator.get("Task/a") is None
    assert fhir.put("Task/a", json=a_task("a")).status_code == 201


def test_an_outage_can_be_a_gateways_page_or_a_closed_connection(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("outage=600,502")
    page = fhir.get("Task")
    simulator.add_fault("outage=600,close")

    assert (page.status_code, page.headers["Content-Type"]) == (502, "text/html")
    with pytest.raises(httpx.RemoteProtocolError):
        fhir.get("Task")
