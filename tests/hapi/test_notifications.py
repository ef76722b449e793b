"""Notifications from a real HAPI server: classic rest-hooks move cases between two polls."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .launcher import HapiServer, free_port
from .line import Workplace
from .plain import Json

SECRET = "a-secret-of-this-test"
SECONDS = 60.0
"""HAPI rings 4 to 7 s after a change; the poll of these tests comes once a day."""


class Site:
    """Bridge as it serves, and its EHR."""

    def __init__(self, ehr: httpx.Client, workplace: Workplace, port: int) -> None:
        self.ehr, self.bridge = ehr, workplace.run
        self.hook = f"http://127.0.0.1:{port}/hooks/main/{SECRET}"
        self._api = f"http://127.0.0.1:{port}/api/v1"

    def subscribe(self, subscription: Json) -> None:
        """Make a Subscription and wait until the server calls it active."""
        made = self.ehr.post("Subscription", json=subscription).raise_for_status().json()
        awaited(lambda: self.ehr.get(f"Subscription/{made['id']}").json()["status"] == "active")

    def status(self, root: str) -> str | None:
        """Return where the case of a root stands; ``None`` while there is none."""
        found = httpx.get(f"{self._api}/cases", params={"patient": self.patient, "limit": 50}).json()["cases"]
        return next((case["status"] for case in found if case["root"] == root), None)

    patient = ""

    def admit(self, own_id: str) -> None:
        """Put the patient whose work this is."""
        self.patient = f"Patient/{own_id}"
        self.ehr.put(self.patient, json={"resourceType": "Patient", "id": own_id}).raise_for_status()

    def order(self, own_id: str, status: str = "active") -> str:
        """Put an order of the patient and return its reference."""
        resource = {
            "resourceType": "ServiceRequest",
            "id": own_id,
            "status": status,
            "intent": "order",
            "subject": {"reference": self.patient},
        }
        self.ehr.put(f"ServiceRequest/{own_id}", json=resource).raise_for_status()
        return f"ServiceRequest/{own_id}"


def awaited(holds: Callable[[], Any]) -> None:
    """Return once *holds* does; it is asked again and again, for no longer than it may take."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@contextmanager
def a_site(server: HapiServer, folder: Path, fhir_version: str, *, more: str = "", port: int = 0) -> Iterator[Site]:
    """Serve beside *server* until the block ends; *more* are settings of the connection."""
    port = port or free_port()
    (folder / "hook").write_text(SECRET)
    settings = f'fhir_version = "{fhir_version}"\npoll_seconds = 86400\nhook_secret_file = "hook"\n{more}'
    workplace = Workplace(folder, server.base_url, connection=settings, more=f"[web]\nport = {port}")
    process = workplace.start("serve")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Bridge is at")
        awaited(lambda: _has_read(port))
        with server.client() as ehr:
            yield Site(ehr, workplace, port)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _has_read(port: int) -> bool:
    """Whether the first poll of every stream is over; the next one is a day away."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/connections").json()
    except httpx.TransportError:
        return False
    return all(stream["last_success_at"] for stream in answer["connections"][0]["streams"])


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
