"""Notifications from a real HAPI server: classic rest-hooks move cases between two polls."""

from __future__ import annotations

from pathlib import Path

import pytest

from .launcher import HapiServer
from .plain import Json
from .served import a_site, awaited

pytestmark = pytest.mark.xdist_group("shared servers")


def classic(criteria: str, endpoint: str, payload: str | None) -> Json:
    channel: Json = {"type": "rest-hook", "endpoint": endpoint}
    if payload is not None:
        channel["payload"] = payload
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "coordination",
        "criteria": criteria,
        "channel": channel,
    }


@pytest.mark.parametrize("payload", [None, "application/fhir+json"], ids=["empty", "payload"])
def test_a_classic_rest_hook_moves_cases_between_polls(
    hapi: HapiServer, tmp_path: Path, unique: str, payload: str | None
) -> None:
    with a_site(hapi, tmp_path, "R4") as site:
        endpoint = site.hook if payload else f"{site.hook}/ServiceRequest"
        site.subscribe(classic("ServiceRequest?", endpoint, payload))
        site.admit(f"{unique}-patient")

        root = site.order(f"{unique}-order")
        awaited(lambda: site.status(root) == "new")

        site.order(f"{unique}-order", "revoked")
        awaited(lambda: site.status(root) == "closed")
