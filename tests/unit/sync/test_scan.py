"""Reading by date, by patient and by schedule: what cannot be asked for its changes is found all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from bridge.cases.terms import Status
from bridge.errors import IncompleteScan, Refused, Unreachable
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.store.rows import Cursor
from bridge.sync.connector import Connector
from bridge.sync.ladder import Ladder
from bridge.sync.rungs import Roster, Rung
from conformance.simulator import Simulator, SimulatorTransport
from tests.unit.sync.world import BASE, World, a_task, order, patient, visit

Through = Callable[[httpx.Request], httpx.Response | None]


class Clinic(World):
    """An EHR of some vendor and a Bridge that chooses how to read it; *through* may answer in the EHR's place."""

    def __init__(self, vendor: str, *, roster: Roster | None = None, faults: Any = (), **settings: Rung) -> None:
        super().__init__(vendor=vendor, write=False)
        self.ehr = Simulator(self.clock, faults=faults, vendor=vendor)
        self.through: Through = lambda _: None
        self.roster, self.settings_of_poll, self.asked = roster or Roster(), settings, list[httpx.URL]()
        self.bridge = self.laddered()

    def laddered(self) -> Connector:
        """Return a Bridge over the same store, as after a restart."""
        client = FhirClient(
            Endpoint("main", BASE, attempts=1), clock=self.clock, sleep=lambda _: None, transport=_Through(self)
        )
        ladder = Ladder(
            self.line,
            client,
            profile(self._vendor),
            client.capability,
            self.clock,
            settings=self.settings_of_poll,
            roster=self.roster,
            patients=self._known,
        )
        return replace(self.bridge, client=client, ladder=ladder)

    def _known(self) -> list[str]:
        with self.store.reading() as tx:
            return tx.patients("main")

    def read(self, stream: str, minutes: float = 30) -> Any:
        """Let time pass and read one stream."""
        self.clock.advance(minutes=minutes)
        self.asked.clear()
        return self.bridge.read_stream(stream)

    def cursor(self, stream: str) -> Cursor:
        """Return how far a stream is read."""
        with self.store.reading() as tx:
            found = tx.cursor("main", stream)
        assert found is not None
        return found


class _Through(httpx.BaseTransport):
    def __init__(self, clinic: Clinic) -> None:
        self._clinic, self._inner = clinic, SimulatorTransport(clinic.ehr)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._clinic.asked.append(request.url)
        return self._clinic.through(request) or self._inner.handle_request(request)


def of(number: int, **changes: Any) -> dict[str, Any]:
    """Return the order of the patient of that number."""
    return order(f"o{number}", subject={"reference": f"Patient/p{number}"}, **changes)


def a_clinic(vendor: str, patients: int = 3, **more: Any) -> Clinic:
    """Return an EHR with so many patients of one order each, all on the roster."""
    roster = Roster(patients=tuple(f"Patient/p{number}" for number in range(1, patients + 1)))
    clinic = Clinic(vendor, **{"roster": roster, **more})
    for number in range(1, patients + 1):
        clinic.ehr.put(patient(f"p{number}"))
        clinic.ehr.put(of(number))
    return clinic


# By patient -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["epic", "oracle"])
def test_an_ehr_that_wants_a_patient_in_every_search_is_read_by_patient(vendor: str) -> None:
    clinic = a_clinic(vendor)

    report = clinic.read("ServiceRequest")
    clinic.ehr.put(of(2, status="completed"))
    again = clinic.read("ServiceRequest")

    assert (report.counts.received, report.opened) == (3, 3)
    assert (again.counts.duplicate, again.counts.applied) == (2, 1)
    assert clinic.case("ServiceRequest/o2").status is Status.CLOSED
    assert clinic.cursor("ServiceRequest").rung == Rung.BY_PATIENT
    assert clinic.cursor("ServiceRequest").watermark is not None
    proof = replace(clinic.bridge, line=replace(clinic.line, types=("ServiceRequest",))).prove()
    assert (proof.resources, proof.differences) == ({"ServiceRequest": 3}, ())


def test_a_patient_bridge_has_come_to_know_is_read_too() -> None:
    clinic = a_clinic("epic", roster=Roster(patients=("Patient/p1",)))
    clinic.read("ServiceRequest")
    clinic.ehr.put(visit(participant=[{"actor": {"reference": "Patient/p1"}, "status": "accepted"}]))
    clinic.roster = Roster()
    clinic.bridge = clinic.laddered()

    report = clinic.read("Appointment")

    assert report.counts.applied == 1


def test_a_scan_that_is_interrupted_goes_on_behind_the_last_patient() -> None:
    clinic = a_clinic("epic", 5)
    clinic.bridge.ladder.choice("ServiceRequest")  # type: ignore[union-attr]

    def away(request: httpx.Request) -> httpx.Response | None:
        if request.url.params.get("patient") == "p3":
            raise httpx.ConnectError("refused")
        return None

    clinic.through = away
    with pytest.raises(Unreachable):
        clinic.read("ServiceRequest", minutes=1)
    stopped = clinic.cursor("ServiceRequest")
    clinic.through = lambda _: None
    clinic.read("ServiceRequest", minutes=1)

    assert (stopped.place, stopped.watermark) == ("Patient/p2", None)
    assert [url.params["patient"] for url in clinic.asked] == ["p3", "p4", "p5"]
    done = clinic.cursor("ServiceRequest")
    assert (done.place, done.read, done.started_at, done.problem) == (None, 0, None, None)
    assert done.watermark == (stopped.started_at or clinic.clock()) - clinic.line.lag


def test_a_patient_who_is_closed_to_us_is_told_and_does_not_hold_up_the_others() -> None:
    clinic = a_clinic("epic")
    clinic.through = lambda sent: httpx.Response(403) if sent.url.params.get("patient") == "p2" else None

    report = clinic.read("ServiceRequest")

    assert report.counts.applied == 2
    assert report.warnings[0].startswith("1 of 3 by patient were refused")
    assert clinic.cursor("ServiceRequest").warnings == report.warnings


def test_an_ehr_that_refuses_every_patient_has_failed() -> None:
    clinic = a_clinic("epic")
    clinic.read("ServiceRequest")
    before = clinic.cursor("ServiceRequest")
    clinic.through = lambda sent: httpx.Response(403)

    with pytest.raises(Refused, match="403"):
        clinic.read("ServiceRequest", minutes=1)

    assert clinic.cursor("ServiceRequest").watermark == before.watermark


def test_a_patient_of_whom_less_came_than_there_is_moves_no_watermark() -> None:
    """One patient is cut short; the others are read all the same, and the next scan begins with the first."""
    clinic = a_clinic("epic")
    clinic.read("ServiceRequest")
    before = clinic.cursor("ServiceRequest")
    clinic.ehr.put(of(3, status="completed"))

    def short(sent: httpx.Request) -> httpx.Response | None:
        if sent.url.params.get("patient") != "p2":
            return None
        body = {"resourceType": "Bundle", "type": "searchset", "total": 4, "entry": []}
        return httpx.Response(200, json=body)

    clinic.through = short
    with pytest.raises(IncompleteScan, match="gave 0 of 4; so it was for 1 of 3 by patient"):
        clinic.read("ServiceRequest", minutes=1)

    after = clinic.cursor("ServiceRequest")
    assert (after.watermark, after.place) == (before.watermark, None)
    assert clinic.case("ServiceRequest/o3").status is Status.CLOSED


def test_of_a_patient_with_more_than_the_ehr_gives_what_is_open_is_read() -> None:
    """Epic gives 100 results at most and an information 59133 (its error codes, 2026-07)."""
    clinic = a_clinic("epic")
    for number in range(105):
        clinic.ehr.put(of(2, status="completed") | {"id": f"a-old-{number}"})

    report = clinic.read("ServiceRequest")

    assert clinic.case("ServiceRequest/o2").is_open
    assert clinic.case("ServiceRequest/o3").is_open
    assert report.warnings[-1].startswith("1 of 3 by patient have more than the EHR gives")
    assert clinic.cursor("ServiceRequest").watermark is not None


def test_what_a_snapshot_does_not_show_is_not_taken_for_deleted() -> None:
    clinic = a_clinic("epic")
    clinic.read("ServiceRequest")
    body = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    clinic.through = lambda sent: httpx.Response(200, json=body) if "patient" in sent.url.params else None

    clinic.read("ServiceRequest", minutes=1)

    assert clinic.case("ServiceRequest/o1").is_open


# By schedule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roster", "rung"),
    [
        (Roster(practitioners=("Practitioner/d1",)), "by-practitioner"),
        (Roster(locations=("Location/l1",)), "by-location"),
        (Roster(patients=("Patient/p1",)), "by-patient"),
    ],
)
def test_appointments_are_read_by_schedule_within_days(roster: Roster, rung: str) -> None:
    """Oracle Health wants a patient, practitioner or location, and a date (R4 documentation of 2024-05-02)."""
    clinic = Clinic("oracle", roster=roster)
    actors = ("Patient/p1", "Practitioner/d1", "Location/l1")
    there = [{"actor": {"reference": actor}, "status": "accepted"} for actor in actors]
    clinic.ehr.put(patient())
    clinic.ehr.put(order())
    clinic.ehr.put(visit("soon", participant=there))
    clinic.ehr.put(visit("later", start="2027-06-20T14:00:00Z", end="2027-06-20T14:30:00Z", participant=there))

    report = clinic.read("Appointment")

    assert clinic.cursor("Appointment").rung == rung
    assert report.counts.received == 1
    assert all(url.params.get_list("date") for url in clinic.asked if url.path.endswith("/Appointment"))


# By date --------------------------------------------------------------------------------------------------


def test_by_date_what_was_made_and_what_is_still_open_is_read() -> None:
    clinic = a_clinic("generic", faults=["no-last-updated"])
    clinic.read("ServiceRequest")
    clinic.ehr.put(of(1, status="on-hold"))
    clinic.ehr.put(of(2, status="completed"))
    clinic.ehr.put(patient("p4"))
    clinic.ehr.put(of(4, authoredOn="2026-06-01T14:30:00Z"))

    report = clinic.read("ServiceRequest")

    assert clinic.cursor("ServiceRequest").rung == Rung.DATE
    assert report.counts.applied == 3, "one was made, one is on hold, one is over"
    assert clinic.case("ServiceRequest/o2").status is Status.CLOSED
    assert clinic.case("ServiceRequest/o4").is_open


def test_an_order_that_is_entered_late_with_an_old_date_is_found_while_it_is_open() -> None:
    clinic = a_clinic("generic", faults=["no-last-updated"])
    clinic.read("ServiceRequest")
    clinic.ehr.put(of(1, status="active") | {"id": "late", "authoredOn": "2025-01-01T08:00:00Z"})

    clinic.read("ServiceRequest")

    assert clinic.case("ServiceRequest/late").is_open


# The whole type -------------------------------------------------------------------------------------------


def test_a_type_without_any_filter_is_read_whole_each_time() -> None:
    clinic = a_clinic("generic", 8, ServiceRequest=Rung.SNAPSHOT)
    clinic.line = replace(clinic.line, page_size=3)
    clinic.bridge = replace(clinic.laddered(), line=clinic.line)

    first = clinic.read("ServiceRequest")
    clinic.ehr.put(of(5, status="completed"))
    clinic.read("ServiceRequest")

    assert first.opened == 8
    assert clinic.case("ServiceRequest/o5").status is Status.CLOSED
    assert clinic.cursor("ServiceRequest").rung == Rung.SNAPSHOT


@pytest.mark.parametrize("faults", [["offset-paging"], ["expire-cursors-after=1"]])
def test_a_whole_type_is_read_whatever_becomes_of_its_pages(faults: list[str]) -> None:
    clinic = a_clinic("generic", 8, ServiceRequest=Rung.SNAPSHOT, faults=faults)
    clinic.line = replace(clinic.line, page_size=3)
    clinic.bridge = replace(clinic.laddered(), line=clinic.line)

    clinic.read("ServiceRequest")

    assert all(clinic.case(f"ServiceRequest/o{number}").is_open for number in range(1, 9))


# From one rung to another ---------------------------------------------------------------------------------


def test_another_rung_begins_anew() -> None:
    """What one way has read says nothing about what another would have: by patient only the roster was read."""
    clinic = a_clinic("generic", 2, ServiceRequest=Rung.BY_PATIENT)
    clinic.ehr.put(of(9))
    clinic.read("ServiceRequest")
    clinic.settings_of_poll = {}
    clinic.bridge = clinic.laddered()

    clinic.read("ServiceRequest")

    assert clinic.cursor("ServiceRequest").rung == Rung.LAST_UPDATED
    assert clinic.case("ServiceRequest/o9").is_open


def test_what_is_read_whole_waits_for_its_turn_and_the_rest_does_not() -> None:
    clinic = a_clinic("generic", ServiceRequest=Rung.SNAPSHOT)
    clinic.bridge.read()
    clinic.clock.advance(minutes=5)

    soon, _ = clinic.bridge.read(due_only=True)
    clinic.clock.advance(minutes=5)
    later, _ = clinic.bridge.read(due_only=True)

    assert [report.stream for report in soon] == ["MedicationRequest", "Appointment", "Task"]
    assert "ServiceRequest" in [report.stream for report in later]


def test_a_type_without_a_way_is_a_problem_that_says_why() -> None:
    clinic = a_clinic("oracle")
    clinic.clock.advance(minutes=10)

    _, problems = clinic.bridge.read()

    assert [words for words in problems if words.startswith("Task: there is no way to read Task")]
    assert "cannot be searched for" in (clinic.cursor("Task").problem or "")


def test_a_patients_appointments_are_asked_for_with_a_date_where_that_is_wanted() -> None:
    """Some servers declare the parameter, and not that they refuse a search without it."""
    clinic = a_clinic("generic", faults=["no-scans=Appointment"])
    clinic.ehr.put(visit())

    clinic.read("Appointment")

    with clinic.store.reading() as tx:
        assert "Appointment/v1" in tx.sources("main", ["Appointment/v1"])
    assert clinic.cursor("Appointment").rung == "by-patient"


def test_a_task_that_nobody_dated_a_change_of_is_found_by_when_it_was_made() -> None:
    clinic = a_clinic("generic", faults=["no-last-updated"])
    clinic.read("Task")
    made = clinic.clock().isoformat(timespec="seconds")
    clinic.ehr.put(a_task("t9", status="completed", authoredOn=made))

    clinic.read("Task")

    with clinic.store.reading() as tx:
        assert "Task/t9" in tx.sources("main", ["Task/t9"])
