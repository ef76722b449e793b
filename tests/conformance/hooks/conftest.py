"""An EHR that can be subscribed to."""

from __future__ import annotations

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator

from .subscriber import Office


@pytest.fixture
def office(simulator: Simulator, clock: ManualClock, fhir: httpx.Client) -> Office:
    return Office(simulator, clock, fhir)
