"""
The simulated EHR answers as a FHIR server does: the same checks that HAPI passes.

With ``BRIDGE_REFEREE_URL`` set they also run against the server there, which must allow writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from conformance.simulator import start
from tests.conformance.agreement import CHECKS, Check, Server

REFEREE = os.environ.get("BRIDGE_REFEREE_URL")


@pytest.fixture(scope="module", params=["simulator", "referee"] if REFEREE else ["simulator"])
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "referee" and REFEREE:
        yield REFEREE
    else:
        with start() as handle:
            yield handle.base_url


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.mark.parametrize("agreed", CHECKS, ids=lambda check: check.name.replace(" ", "-"))
def test_simulator_agrees(agreed: Check, client: httpx.Client, base_url: str) -> None:
    agreed.run(Server(client, base_url))
