"""Bridge as it serves beside a HAPI server: what is done in the EHR, and what the running Bridge says of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bridge.cases.intents import IntentState

from .launcher import HapiServer, free_port
from .line import Workplace
from .plain import Json, pages

SECRET = "a-secret-of-this-test"
SECONDS = 60.0
"""HAPI rings 4 to 7 s after a change; the poll of these tests comes once a day."""


class Site:
    """Bridge as it serves, and its EHR."""

    def __init__(self, ehr: httpx.Client, workplace: Workplace, port: int) -> None:
        self.ehr, self.bridge = ehr, workplace.run
        self.hook = f"http://127.0.0.1:{port}/hooks/main/{SECRET}"
        self._api = f"http://127.0.0.1:{port}/api/v1"
        self._made: list[str] = []

    def subscribe(self, subscription: Json) -> None:
        """Make a Subscription and wait until the server calls it active."""
        made = self.ehr.post("Subscription", json=subscription).raise_for_status().json()
        self._made.append(f"Subscription/{made['id']}")
        awaited(lambda: self.ehr.get(f"Subscription/{made['id']}").json()["status"] == "active")

    def unsubscribe(self) -> None:
        """Take away what `subscribe` made: a subscriber that is gone keeps HAPI from ringing at others."""
        for made in self._made:
            self.ehr.delete(made).raise_for_status()

    def is_written(self) -> bool:
        """Whether nothing is left to be written to the EHR."""
        outbox = httpx.get(f"{self._api}/connections").json()["connections"][0]["outbox"]
        return not any(outbox.get(state) for state in (IntentState.QUEUED, IntentState.SENDING))

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
        return order(self.ehr, self.patient, own_id, status)


def order(ehr: httpx.Client, patient: str, own_id: str, status: str = "active") -> str:
    """Put an order of *patient* and return its reference."""
    resource = {
        "resourceType": "ServiceRequest",
        "id": own_id,
        "status": status,
        "intent": "order",
        "subject": {"reference": patient},
    }
    ehr.put(f"ServiceRequest/{own_id}", json=resource).raise_for_status()
    return f"ServiceRequest/{own_id}"


def awaited(holds: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Return once *holds* does; it is asked again and again, for no longer than it may take."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@contextmanager
def a_site(
    server: HapiServer, folder: Path, fhir_version: str, *, more: str = "", port: int = 0, poll_seconds: int = 86400
) -> Iterator[Site]:
    """Serve beside *server* until the block ends; *more* are settings of the connection."""
    port = port or free_port()
    (folder / "hook").write_text(SECRET)
    settings = f'fhir_version = "{fhir_version}"\npoll_seconds = {poll_seconds}\nhook_secret_file = "hook"\n{more}'
    workplace = Workplace(folder, server.base_url, connection=settings, more=f"[web]\nport = {port}")
    process = workplace.start("serve")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Bridge is at")
        awaited(lambda: _has_read(port))
        with server.client() as ehr:
            site = Site(ehr, workplace, port)
            yield site
            site.unsubscribe()
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


# Subscriptions that Bridge makes ------------------------------------------------------------------------


def ringing_at(port: int, *more: str) -> str:
    """Return what has to be configured for Bridge to make Subscriptions."""
    return "\n".join(['subscribe = "auto"', f'subscribe_url = "http://127.0.0.1:{port}"', *more])


def ours(ehr: httpx.Client, port: int) -> list[Json]:
    """Return the Subscriptions that ring at this Bridge."""
    place = f"http://127.0.0.1:{port}/"
    found = [entry["resource"] for page in pages(ehr, "Subscription", {}) for entry in page.get("entry", ())]
    return [one for one in found if place in (one.get("endpoint") or one["channel"]["endpoint"])]


def states(ehr: httpx.Client, port: int) -> list[str]:
    """Return what the EHR calls them."""
    return [one["status"] for one in ours(ehr, port)]
