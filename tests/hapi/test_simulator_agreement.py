"""HAPI passes the checks that the simulated EHR passes, so that what is tested on one holds on the other."""

from __future__ import annotations

import httpx
import pytest

from conformance.generator import generate, in_dependency_order, transactions
from tests.conformance.agreement import CHECKS, Check, Server

from .launcher import HapiServer

pytestmark = pytest.mark.xdist_group("shared servers")


@pytest.mark.parametrize("agreed", CHECKS, ids=lambda check: check.name.replace(" ", "-"))
def test_hapi_agrees(agreed: Check, hapi: HapiServer) -> None:
    with httpx.Client(timeout=60) as client:
        agreed.run(Server(client, hapi.base_url))


def test_hapi_stores_generated_work_and_finds_no_error_in_it(hapi: HapiServer, fhir: httpx.Client) -> None:
    """The generator's resources are a fair stand-in for real ones only if HAPI's validator takes them."""
    resources = in_dependency_order(generate(seed=90, count=60))

    for bundle in transactions(resources):
        fhir.post("", json=bundle).raise_for_status()

    for resource in resources:
        issues = fhir.post(f"{resource['resourceType']}/$validate", json=resource).json()["issue"]
        errors = [issue["diagnostics"] for issue in issues if issue["severity"] in {"error", "fatal"}]
        assert not errors, (resource["resourceType"], resource["id"], errors)
