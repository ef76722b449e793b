"""A simulated EHR whose clock stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator, client_of

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def simulator(clock: ManualClock) -> Simulator:
    return Simulator(clock)


@pytest.fixture
def fhir(simulator: Simulator) -> Iterator[httpx.Client]:
    """A client that sees the simulator's faults, without a network."""
    with client_of(simulator) as client:
        yield client
