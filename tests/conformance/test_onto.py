"""The stories told on a server that is not ours: what happens when the telling, or the server, breaks off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from conformance.onto import Teller
from conformance.simulator import Simulator, client_of
from conformance.simulator.wire import Answer, Request

BEGUN = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


class Flaky(Simulator):
    """A server that can be away."""

    away = False

    def handle_clinic(self, request: Request) -> Answer:
        """Carry *request* out."""
        if self.away:
            raise httpx.ConnectError("nobody is there")
        return super().handle_clinic(request)

    def versions(self) -> dict[str, str]:
        """Return the version of each resource that the stories are about."""
        with client_of(self, clinic=True) as clinic:
            kinds = ("ServiceRequest", "Task", "Appointment", "MedicationRequest")
            found = [clinic.get(kind, params={"_count": 500}).json().get("entry", []) for kind in kinds]
        return {entry["fullUrl"]: entry["resource"]["meta"]["versionId"] for page in found for entry in page}


class Telling:
    """A telling on a server, with a clock."""

    def __init__(self) -> None:
        self.server, self.now = Flaky(), BEGUN

    def teller(self) -> Teller:
        return Teller(client_of(self.server, clinic=True), seed=4, stories=20, clock=lambda: self.now)


def test_who_starts_again_goes_on_where_the_telling_stopped() -> None:
    told, undisturbed = Telling(), Telling()
    first, whole = told.teller(), undisturbed.teller()
    began = first.tell()
    before = told.server.versions()
    again = told.teller().tell()
    unchanged = told.server.versions()
    whole.tell()
    for telling in (told, undisturbed):
        telling.now += timedelta(minutes=5)
    later = told.teller().tell()
    whole.tell()

    assert len(began) > 10
    assert again == []
    assert unchanged == before
    assert later != []
    assert told.server.versions() == undisturbed.server.versions()


def test_a_server_that_is_away_misses_no_step() -> None:
    told, undisturbed = Telling(), Telling()
    teller, whole = told.teller(), undisturbed.teller()
    teller.tell()
    whole.tell()
    for telling in (told, undisturbed):
        telling.now += timedelta(minutes=3)
    told.server.away = True
    with pytest.raises(httpx.HTTPError):
        teller.tell()
    told.server.away = False
    teller.tell()
    whole.tell()

    assert told.server.versions() == undisturbed.server.versions()
