"""Dates that stand for "none" (0001-01-01, 9999-12-31) are read, never applied, and never stop a page."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config import Settings
from bridge.wiring import make_line, read_lanes
from tests.stateful.world import BASE, NOW, cases_in, take_in, version_of
from tests.unit.sync.world import a_task, order, visit

STAND_INS = (
    "0001-01-01",
    "0001",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+05:00",
    "9999-12",
    "9999-12-31",
    "9999-12-31T23:59:59Z",
)


def prescription(**changes: Any) -> dict[str, Any]:
    """Return a prescription that waits for a signature."""
    subject = {"reference": "Patient/p1"}
    return {"resourceType": "MedicationRequest", "id": "m1", "status": "draft", "subject": subject, **changes}


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("date", STAND_INS)
def test_a_date_that_stands_for_none_leaves_every_case_due_soon(zone: str, date: str) -> None:
    connections = {"main": {"base_url": BASE}}
    settings = Settings.model_validate({"site": {"time_zone": zone}, "connections": connections})
    line = make_line("main", settings.connections["main"], settings, read_lanes(settings))
    period = {"period": {"end": date}}
    page = [
        order("o1", authoredOn=date),
        order("o2", occurrencePeriod=period["period"]),
        a_task("t1", focus={"reference": "ServiceRequest/o3"}, restriction=period),
        a_task("t2", focus={"reference": "ServiceRequest/o4"}, authoredOn=date, lastModified=date),
        visit("v1", basedOn=[], start=date, end=date),
        visit("v2", basedOn=[], status="noshow", start=date, created=date),
        prescription(dispenseRequest={"validityPeriod": {"end": date}}),
    ]

    cases = cases_in(take_in([version_of(resource, number) for number, resource in enumerate(page, 1)], [], line))

    assert all(case["due_at"] is not None for case in cases.values())
    dues = {root: case["due_at"][:4] for root, case in cases.items()}
    assert set(dues.values()) == {str(NOW.year)}, dues
