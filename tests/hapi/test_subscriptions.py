"""Subscriptions that Bridge makes on real HAPI servers itself: they ring, are there once, are mended and go again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from .launcher import HapiServer, RunningHapi, free_port
from .line import WORK
from .plain import Json, pages
from .test_notifications import SECRET, a_site, awaited


def settings(port: int, *more: str) -> str:
    """Return what has to be configured for Bridge to make Subscriptions."""
    return "\n".join(['subscribe = "auto"', f'subscribe_url = "http://127.0.0.1:{port}"', *more])


def ours(ehr: httpx.Client, port: int) -> list[Json]:
    """Return the Subscriptions that ring at this Bridge."""
    place = f"http://127.0.0.1:{port}/"
    found = [entry["resource"] for page in pages(ehr, "Subscription", {}) for entry in page.get("entry", ())]
    return [one for one in found if place in (one.get("endpoint") or one["channel"]["endpoint"])]


def states(ehr: httpx.Client, port: int) -> list[str]:
    return [one["status"] for one in ours(ehr, port)]


def test_classic_ones_are_made_once_ring_and_are_mended(hapi: HapiServer, tmp_path: Path, unique: str) -> None:
    port = free_port()
    all_active = ["active"] * len(WORK)
    with a_site(hapi, tmp_path, "R4", more=settings(port), port=port) as site:
        awaited(lambda: states(site.ehr, port) == all_active)
        made = {one["id"] for one in ours(site.ehr, port)}
        site.admit(f"{unique}-patient")

        root = site.order(f"{unique}-order")
        awaited(lambda: site.status(root) == "new")

        site.order(f"{unique}-order", "revoked")
        awaited(lambda: site.status(root) == "closed")

    with hapi.client() as ehr:
        broken, gone, *rest = ours(ehr, port)
        ehr.put(f"Subscription/{broken['id']}", json={**broken, "status": "off"}).raise_for_status()
        ehr.delete(f"Subscription/{gone['id']}").raise_for_status()

    with a_site(hapi, tmp_path, "R4", more=settings(port), port=port) as site:
        awaited(lambda: states(site.ehr, port) == all_active)
        assert {one["id"] for one in [broken, *rest]} == made - {gone["id"]}
        assert {one["id"] for one in ours(site.ehr, port)} > made - {gone["id"]}

        told = site.bridge("subscriptions", "verify")
        assert told.code == 0, told
    removed = site.bridge("subscriptions", "remove")

    assert removed.code == 0, removed
    with hapi.client() as ehr:
        assert ours(ehr, port) == []
    assert SECRET not in told.out + told.err + removed.out + removed.err


# Topics ---------------------------------------------------------------------------------------------------

TOPIC = "http://example.org/fhir/SubscriptionTopic/orders"


def a_topic() -> Json:
    """
    Return a topic that tells of every order that is made or changed, as an operator would put it.

    HAPI 8.0.0 compares the trigger's resource with the bare type: the address of its StructureDefinition, which R5
    allows as well, never fires (seen 2026-11).
    """
    trigger = {"resource": "ServiceRequest", "supportedInteraction": ["create", "update", "delete"]}
    return {
        "resourceType": "SubscriptionTopic",
        "id": "orders",
        "url": TOPIC,
        "status": "active",
        "resourceTrigger": [trigger],
    }


@pytest.mark.parametrize("fhir_version", ["R4B", "R5"])
def test_a_topic_moves_cases_between_polls(
    hapi_running: RunningHapi, tmp_path: Path, unique: str, fhir_version: str
) -> None:
    port = free_port()
    more = settings(port, 'read = ["ServiceRequest"]', f'subscribe_topics = {{ ServiceRequest = "{TOPIC}" }}')
    with hapi_running(fhir_version=fhir_version) as server:
        with server.client() as ehr:
            ehr.put("SubscriptionTopic/orders", json=a_topic()).raise_for_status()
        with a_site(server, tmp_path, fhir_version, more=more, port=port) as site:
            awaited(lambda: states(site.ehr, port) == ["active"])
            site.admit(f"{unique}-patient")

            root = site.order(f"{unique}-order")
            awaited(lambda: site.status(root) == "new")

            site.order(f"{unique}-order", "revoked")
            awaited(lambda: site.status(root) == "closed")
