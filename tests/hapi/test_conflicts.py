"""
Bridge and the clinic's people write the same Task at the same moment, on a real server.

A relay lets the clinic write after Bridge has read a Task and before its own write arrives: HAPI answers that
with 409, and Bridge has to read again and put both together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock

import httpx
import pytest

from bridge.cases.commands import Close, LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason

from .clinic import Clinic
from .launcher import RunningHapi
from .line import Ehr, Workplace, beside
from .relay import Relay, relayed

PHONED = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.REACHED)


@dataclass(frozen=True)
class Site:
    """The clinic, and Bridge behind a relay."""

    clinic: Clinic
    bridge: Workplace
    relay: Relay
    ehr: Ehr


@pytest.fixture(scope="module")
def site(hapi_running: RunningHapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("conflicts")
    with hapi_running() as server, beside(server) as ehr, relayed(server.base_url) as relay:
        ehr.put({"resourceType": "Organization", "id": "front-desk", "name": "Front desk"})
        workplace = Workplace(folder, relay.base_url, connection='we_are = ["Organization/front-desk"]')
        yield Site(Clinic(server.base_url), workplace, relay, ehr)


@pytest.fixture
def clinic(site: Site) -> Iterator[Clinic]:
    yield site.clinic
    site.relay.be_quiet()


class Meanwhile:
    """Does something just before each of the first *times* writes of *target*."""

    def __init__(self, target: str, act: Callable[[int], object], times: int = 1) -> None:
        self._target, self._act, self._times = target, act, times
        self._lock = Lock()
        self.happened = 0

    def __call__(self, method: str, path: str) -> None:
        with self._lock:
            if method == "PUT" and path == self._target and self.happened < self._times:
                self.happened += 1
                self._act(self.happened)


def test_our_task_keeps_what_the_clinic_wrote_on_it_meanwhile(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Oak")
    order = clinic.order(patient)
    site.bridge.sync()
    ours = clinic.progress(patient, order).ref

    def annotate(_: int) -> None:
        clinic.change(
            ours,
            note=[{"text": "Daughter drives; mornings only"}],
            priority="asap",
            extension=[{"url": "https://clinic.example/room", "valueString": "4b"}],
            status="on-hold",
        )

    site.relay.interrupt = meanwhile = Meanwhile(ours, annotate)
    clinic.book(patient, order)
    report = site.bridge.sync()

    shown = clinic.progress(patient, order)
    assert meanwhile.happened == 1
    assert report["delivered"]["parked"] == 0
    assert (shown.status, shown.case_status) == ("in-progress", "scheduled")
    assert [note["text"] for note in shown.task["note"]] == ["Daughter drives; mornings only"]
    assert shown.task["priority"] == "asap"
    assert shown.task["extension"] == [{"url": "https://clinic.example/room", "valueString": "4b"}]
    assert site.bridge.sync()["writes"] == 0


def test_a_task_that_asks_us_keeps_what_the_clinic_wrote_on_it_meanwhile(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Pine")
    order = clinic.order(patient)
    asked = clinic.ask(patient, order, owner={"reference": "Organization/front-desk"})
    site.bridge.sync()

    site.relay.interrupt = meanwhile = Meanwhile(
        asked, lambda _: clinic.change(asked, note=[{"text": "Ask for the blue form"}], priority="urgent")
    )
    site.bridge.act(order, PHONED, new_id="attempt-of-pine")
    site.bridge.sync()

    stands = clinic.read(asked)
    assert meanwhile.happened == 1
    assert stands["status"] == "in-progress"
    assert stands["note"] == [{"text": "Ask for the blue form"}]
    assert stands["priority"] == "urgent"


def test_a_task_that_the_clinic_ends_meanwhile_stays_ended(site: Site, clinic: Clinic) -> None:
    """We were about to complete it; the clinic's cancellation came first, and FHIR draws no way out of that."""
    patient = clinic.patient("Quince")
    order = clinic.order(patient)
    asked = clinic.ask(patient, order, owner={"reference": "Organization/front-desk"})
    site.bridge.sync()

    site.relay.interrupt = meanwhile = Meanwhile(
        asked, lambda _: clinic.change(asked, status="cancelled", statusReason={"text": "Patient moved away"})
    )
    site.bridge.act(order, Close(reason=ClosureReason.COMPLETED, outcome="Seen"))
    site.bridge.sync()

    stands = clinic.read(asked)
    assert meanwhile.happened == 1
    assert (stands["status"], stands["statusReason"]["text"]) == ("cancelled", "Patient moved away")
    assert "output" not in stands


def test_a_task_that_is_given_to_another_patient_meanwhile_is_left_alone(site: Site, clinic: Clinic) -> None:
    """Never the wrong patient: the write is parked with its reason, for a person to look at."""
    patient, other = clinic.patient("Rowan"), clinic.patient("Sorrel")
    order = clinic.order(patient)
    site.bridge.sync()
    ours = clinic.progress(patient, order).ref

    site.relay.interrupt = meanwhile = Meanwhile(ours, lambda _: clinic.change(ours, for_={"reference": other}))
    clinic.book(patient, order)
    site.bridge.sync()

    stands = clinic.read(ours)
    (parked,) = (row for row in site.bridge.outbox() if row.state is IntentState.PARKED)
    assert meanwhile.happened == 1
    assert stands["for"]["reference"] == other
    assert stands["status"] == "ready"
    assert parked.code == "patient-mismatch"
    clinic.change(ours, for_={"reference": patient})
    assert site.bridge.run("replay", "outbox", str(parked.id)).code == 0
    assert site.bridge.sync()["delivered"]["confirmed"] == 1
    assert clinic.progress(patient, order).status == "in-progress"


def test_a_task_of_ours_that_the_clinic_deletes_is_written_again(site: Site, clinic: Clinic) -> None:
    """Who asked would look for the answer in vain."""
    patient = clinic.patient("Sycamore")
    order = clinic.order(patient)
    site.bridge.sync()
    ours = clinic.progress(patient, order)
    clinic.delete(ours.ref)

    report = site.bridge.sync()

    again = clinic.progress(patient, order)
    assert report["sweep"]["lost"] == 1
    assert again.ref != ours.ref
    assert (again.status, again.case_status) == (ours.status, ours.case_status)
    assert site.bridge.sync()["writes"] == 0


def test_a_task_of_ours_that_the_clinic_ends_stays_so_and_is_shown(site: Site, clinic: Clinic) -> None:
    patient = clinic.patient("Tallow")
    order = clinic.order(patient)
    site.bridge.sync()
    clinic.change(clinic.progress(patient, order).ref, status="cancelled")

    report = site.bridge.sync()

    assert (report["sweep"]["lost"], report["writes"]) == (1, 0)
    assert clinic.progress(patient, order).status == "cancelled"
    assert any("ended in the EHR by somebody else (cancelled)" in reason for reason in report["delivery_reasons"])


def test_somebody_who_never_stops_writing_is_left_to_a_person(site: Site, clinic: Clinic) -> None:
    """Bounded, then parked and said; once it is quiet a replay makes it true."""
    patient = clinic.patient("Tamarind")
    order = clinic.order(patient)
    site.bridge.sync()
    ours = clinic.progress(patient, order).ref

    site.relay.interrupt = meanwhile = Meanwhile(
        ours, lambda number: clinic.change(ours, note=[{"text": f"Call {number}"}]), times=1000
    )
    clinic.book(patient, order)
    report = site.bridge.sync()
    (parked,) = (row for row in site.bridge.outbox() if row.state is IntentState.PARKED)

    assert 2 < meanwhile.happened < 50
    assert parked.code == "conflict"
    assert parked.reason in report["delivery_reasons"]
    site.relay.be_quiet()
    assert site.bridge.run("replay", "outbox", "--all").code == 0
    site.bridge.sync()
    shown = clinic.progress(patient, order)
    assert shown.status == "in-progress"
    assert [note["text"] for note in shown.task["note"]] == [f"Call {meanwhile.happened}"]


def test_an_answer_that_is_lost_doubles_nothing(site: Site, clinic: Clinic) -> None:
    """The create arrives, its answer does not: the next attempt looks first, and finds it."""
    patient = clinic.patient("Umbra")
    order = clinic.order(patient)
    lost: list[str] = []

    def loses(method: str, path: str) -> bool:
        if method in ("POST", "PUT") and path.partition("/")[0] == "Task" and not lost:
            lost.append(path)
            return True
        return False

    site.relay.loses = loses
    _round_until_all_is_said(site)

    assert len(lost) == 1
    assert clinic.progress(patient, order).task["meta"]["versionId"] == "1"


def test_a_server_that_minds_its_references_keeps_the_order_that_our_task_is_about(site: Site, clinic: Clinic) -> None:
    """The clinic is told so when it deletes; withdrawing the order is the way, and it is heard."""
    patient = clinic.patient("Viburnum")
    order = clinic.order(patient)
    site.bridge.sync()

    refused = site.ehr.delete(order)

    assert refused.status_code == httpx.codes.CONFLICT
    clinic.change(order, status="revoked")
    site.bridge.sync()
    assert not site.bridge.case(order).is_open
    assert clinic.progress(patient, order).status == "cancelled"


def _round_until_all_is_said(site: Site) -> None:
    """An attempt that failed is made again after a pause; rounds before that have nothing to do."""
    runs = (site.bridge.run("sync", "--once", "--json") for _ in range(20))
    assert any(run.json()[0]["left_to_deliver"] == 0 for run in runs)
