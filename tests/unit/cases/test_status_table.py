"""Every status code of the four resources in every lane: what a case of its own, or a case it joins, becomes."""

from __future__ import annotations

import pytest

from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.status_table import EFFECTS, STATUS_TABLE
from bridge.cases.terms import Status
from tests.unit.cases.builders import ORDER, Desk, a_prescription, a_snapshot, a_task, a_visit, said

FHIR_R4 = {
    "Task": "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed "
    "entered-in-error",
    "ServiceRequest": "draft active on-hold revoked completed entered-in-error unknown",
    "Appointment": "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist",
    "MedicationRequest": "active on-hold cancelled completed entered-in-error stopped draft unknown",
}
"""FHIR R4 4.0.1 task-status, request-status, appointmentstatus, medicationrequest-status."""


def test_the_table_holds_the_codes_of_r4_and_ended_of_r5_and_no_others() -> None:
    expected = {kind: set(codes.split()) for kind, codes in FHIR_R4.items()}
    expected["MedicationRequest"].add("ended")

    assert {kind: set(codes) for kind, codes in STATUS_TABLE.items()} == expected


def test_every_effect_is_had_by_some_code_and_every_code_is_explained() -> None:
    meanings = [meaning for codes in STATUS_TABLE.values() for meaning in codes.values()]

    assert {meaning.effect for meaning in meanings} == set(Effect)
    assert all(meaning.why for meaning in meanings)
    assert EFFECTS["Task"]["received"] is Effect.ASKED


N, OUT, WP, WV, WD, S, C = (
    Status.NEW,
    Status.NEEDS_OUTREACH,
    Status.WAITING_ON_PATIENT,
    Status.WAITING_ON_PROVIDER,
    Status.WAITING_ON_DOCUMENTS,
    Status.SCHEDULED,
    Status.CLOSED,
)

ALONE = [
    # A resource that is its own root, after a first version that opened a case.
    ("ServiceRequest/1", "draft", WV, "blocked:request-is-draft"),
    ("ServiceRequest/1", "active", N, "nobody-acted-yet"),
    ("ServiceRequest/1", "on-hold", WV, "blocked:paused-in-ehr"),
    ("ServiceRequest/1", "revoked", C, "root-cancelled"),
    ("ServiceRequest/1", "completed", C, "root-done"),
    ("ServiceRequest/1", "entered-in-error", C, "root-void"),
    ("ServiceRequest/1", "unknown", OUT, "blocked:status-unknown-in-ehr"),
    ("Task/1", "draft", WV, "blocked:request-is-draft"),
    ("Task/1", "requested", N, "nobody-acted-yet"),
    ("Task/1", "received", N, "nobody-acted-yet"),
    ("Task/1", "accepted", WV, "task-accepted"),
    ("Task/1", "ready", WV, "task-accepted"),
    ("Task/1", "rejected", C, "root-declined"),
    ("Task/1", "cancelled", C, "root-cancelled"),
    ("Task/1", "in-progress", S, "task-in-progress"),
    ("Task/1", "on-hold", WV, "blocked:paused-in-ehr"),
    ("Task/1", "failed", C, "root-failed"),
    ("Task/1", "completed", C, "root-done"),
    ("Task/1", "entered-in-error", C, "root-void"),
    ("Appointment/1", "proposed", OUT, "visit-proposed"),
    ("Appointment/1", "pending", WV, "provider-has-not-replied"),
    ("Appointment/1", "booked", S, "visit-booked"),
    ("Appointment/1", "arrived", S, "visit-arrived"),
    ("Appointment/1", "checked-in", S, "visit-arrived"),
    ("Appointment/1", "fulfilled", C, "visit-attended"),
    ("Appointment/1", "cancelled", OUT, "visit-cancelled-not-rebooked"),
    ("Appointment/1", "noshow", OUT, "missed-not-rebooked"),
    ("Appointment/1", "entered-in-error", C, "root-void"),
    ("Appointment/1", "waitlist", WV, "blocked:on-waitlist"),
    ("MedicationRequest/1", "draft", WV, "prescription-unsigned"),
    ("MedicationRequest/1", "active", C, "prescription-active"),
    ("MedicationRequest/1", "on-hold", WV, "blocked:paused-in-ehr"),
    ("MedicationRequest/1", "cancelled", C, "root-cancelled"),
    ("MedicationRequest/1", "stopped", C, "root-cancelled"),
    ("MedicationRequest/1", "completed", C, "root-done"),
    ("MedicationRequest/1", "ended", C, "root-done"),
    ("MedicationRequest/1", "entered-in-error", C, "root-void"),
    ("MedicationRequest/1", "unknown", OUT, "blocked:status-unknown-in-ehr"),
]

OPENER = {
    "ServiceRequest": a_snapshot(),
    "Task": a_task(parent=None),
    "Appointment": a_visit("proposed", parent=None),
    "MedicationRequest": a_prescription("draft"),
}


def test_every_row_of_the_table_is_tried_alone() -> None:
    assert sorted((ref.partition("/")[0], code) for ref, code, *_ in ALONE) == sorted(
        (kind, code) for kind, codes in STATUS_TABLE.items() for code in codes
    )


@pytest.mark.parametrize(("ref", "code", "status", "rule"), ALONE)
def test_what_a_case_becomes_by_its_root_alone(ref: str, code: str, status: Status, rule: str) -> None:
    desk = Desk()
    desk.take(OPENER[ref.partition("/")[0]])

    desk.take(a_snapshot(ref, code, version=2, title="Errand"))

    case = desk.case(ref)
    assert case.status is status
    assert status is not C or case.closure is not None
    assert (case.next_action is None, case.due_at is None) == (status is C, status is C)
    assert desk.view(ref).status.rule == rule


JOINING = [
    # A Task or a visit that joins the case of an active order.
    (a_task("draft"), N),
    (a_task("requested"), N),
    (a_task("received"), N),
    (a_task("accepted"), WV),
    (a_task("ready"), WV),
    (a_task("rejected"), WV),
    (a_task("cancelled"), N),
    (a_task("in-progress"), S),
    (a_task("on-hold"), WV),
    (a_task("on-hold", status_reason=said("records missing")), WD),
    (a_task("failed"), WV),
    (a_task("completed"), C),
    (a_task("entered-in-error"), N),
    (a_visit("proposed"), OUT),
    (a_visit("pending"), WV),
    (a_visit("pending", waits_for=("patient",)), WP),
    (a_visit("pending", waits_for=("patient", "provider")), WP),
    (a_visit("pending", waits_for=("provider",)), WV),
    (a_visit("booked"), S),
    (a_visit("arrived"), S),
    (a_visit("checked-in"), S),
    (a_visit("fulfilled"), WD),
    (a_visit("cancelled"), OUT),
    (a_visit("noshow"), OUT),
    (a_visit("entered-in-error"), N),
    (a_visit("waitlist"), WV),
]


@pytest.mark.parametrize(
    ("snapshot", "status"), [pytest.param(one, status, id=f"{one.type}-{one.status}") for one, status in JOINING]
)
def test_what_the_case_of_an_active_order_becomes_by_what_joins_it(snapshot: Snapshot, status: Status) -> None:
    desk = Desk()

    desk.take(a_snapshot(), snapshot)

    assert set(desk.alive()) == {ORDER}
    assert desk.case().status is status


def test_every_status_of_task_and_appointment_is_tried_joining() -> None:
    tried = {(snapshot.type, snapshot.status) for snapshot, _ in JOINING}

    assert tried == {(kind, code) for kind in ("Task", "Appointment") for code in STATUS_TABLE[kind]}
