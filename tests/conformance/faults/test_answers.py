"""Answers that come late or are not what was asked for."""

from __future__ import annotations

import httpx
import pytest

from conformance.simulator import Simulator, SimulatorTransport

from ..plain import a_task, put_tasks


def test_a_slow_write_is_carried_out_although_the_client_gave_up(simulator: Simulator, fhir: httpx.Client) -> None:
    simulator.add_fault("slow=30")

    with pytest.raises(httpx.ReadTimeout):
        fhir.put("Task/a", json=a_task("a"), timeout=5)

    assert simulator.get("Task/a") is not None


def test_a_client_that_waits_gets_the_slow_answer(simulator: Simulator) -> None:
    simulator.add_fault("slow=30,2")
    waited: list[float] = []

    with httpx.Client(transport=SimulatorTransport(simulator, sleep=waited.append), timeout=60) as fhir:
        statuses = [fhir.get("http://ehr.example/fhir/Task").status_code for _ in range(4)]

    assert statuses == [200] * 4
    assert waited == [30, 30]


@pytest.mark.parametrize(
    ("manner", "status", "content_type", "body"),
    [
        ("login-page", 200, "text/html", "<!DOCTYPE"),
        ("no-content", 204, None, ""),
        ("empty", 200, "application/fhir+json;charset=UTF-8", ""),
        ("cut", 200, "application/fhir+json;charset=UTF-8", "{"),
        ("xml", 200, "application/fhir+xml", "<Bundle"),
        ("bad-gateway", 502, "text/html", "<html>"),
    ],
)
def test_every_second_read_is_answered_with_something_else(
    simulator: Simulator, fhir: httpx.Client, manner: str, status: int, content_type: str | None, body: str
) -> None:
    put_tasks(fhir, 2)
    simulator.add_fault(f"broken-answer={manner}")

    whole, broken = fhir.get("Task"), fhir.get("Task")

    assert whole.json()["total"] == 2
    assert broken.status_code == status
    assert broken.headers.get("Content-Type") == content_type
    assert broken.text.startswith(body) if body else broken.text == ""
