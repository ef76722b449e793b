"""Each EHR by name, simulated: what it offers is found, what it does not offer is a problem with its reason."""

from __future__ import annotations

import pytest

from bridge.cases.terms import Status
from bridge.sync.rungs import Roster
from conformance.simulator import VENDORS
from tests.unit.sync.test_scan import Clinic
from tests.unit.sync.world import a_task, order, patient, visit

ROSTER = Roster(patients=("Patient/p1", "Patient/p2"), practitioners=("Practitioner/d1",))

WAYS = {
    "generic": ("last-updated", "last-updated", "last-updated"),
    "epic": ("by-patient", "by-patient", "by-patient"),
    "oracle": ("by-patient", "by-practitioner", None),
    "athenahealth": ("last-updated", None, None),
    "meditech": ("by-patient", "by-practitioner", None),
    "eclinicalworks": ("by-patient", None, None),
    "nextgen": ("by-patient", None, None),
    "canvas": ("snapshot", "snapshot", "date"),
    "medplum": ("last-updated", "last-updated", "last-updated"),
    "hapi": ("last-updated", "last-updated", "last-updated"),
    "azure": ("last-updated", "last-updated", "last-updated"),
    "google": ("last-updated", "last-updated", "last-updated"),
    "healthlake": ("last-updated", "last-updated", "last-updated"),
}
"""How ServiceRequest, Appointment and Task are read; ``None`` where there is no way."""


def a_clinic(vendor: str) -> Clinic:
    clinic = Clinic(vendor, roster=ROSTER)
    there = [{"actor": {"reference": one}, "status": "accepted"} for one in ("Patient/p1", "Practitioner/d1")]
    for resource in (patient(), order(), a_task(), visit(participant=there), patient("p2")):
        clinic.ehr.put(resource)
    clinic.ehr.put(order("o2", subject={"reference": "Patient/p2"}))
    clinic.clock.advance(minutes=10)
    return clinic


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_type_is_read_in_the_way_the_ehr_allows(vendor: str) -> None:
    clinic = a_clinic(vendor)

    reports, problems = clinic.bridge.read()
    clinic.ehr.put(order(status="completed"))
    clinic.clock.advance(minutes=30)
    _, still = clinic.bridge.read()
    swept = clinic.bridge.compare()

    assert clinic.bridge.ladder is not None
    choices = [clinic.bridge.ladder.known[kind] for kind in ("ServiceRequest", "Appointment", "Task")]
    assert tuple(one.step and one.step.rung.value for one in choices) == WAYS[vendor], [one.words for one in choices]
    assert len(problems) == len(still) == 4 - len(reports)
    assert clinic.case("ServiceRequest/o1").status is Status.CLOSED
    assert clinic.case("ServiceRequest/o2").is_open
    assert (swept.compared > 0, swept.repaired, swept.missing, swept.problems) == (True, 0, 0, ())


def test_an_order_that_comes_back_to_what_it_was_has_changed_where_there_are_no_versions() -> None:
    """NextGen Enterprise keeps no versions (its CapabilityStatement, captured 2026-07-24)."""
    clinic = a_clinic("nextgen")
    clinic.bridge.read()
    began = clinic.case("ServiceRequest/o1").status

    seen = []
    for status in ("on-hold", "active", "active", "on-hold", "active"):
        clinic.ehr.put(order(status=status))
        report = clinic.read("ServiceRequest")
        seen.append((clinic.case("ServiceRequest/o1").status, report.counts.applied))

    assert [applied for _, applied in seen] == [1, 1, 0, 1, 1]
    assert [status for status, _ in seen] == [seen[0][0], began, began, seen[0][0], began]
    assert seen[0][0] is not began
