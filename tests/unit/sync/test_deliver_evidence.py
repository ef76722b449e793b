"""Deliver: what proves an outcome is referred to only where it is this patient's; otherwise it is words."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.commands import Close
from bridge.cases.terms import ClosureReason
from tests.unit.sync.world import BASE, World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"
OURS, THEIRS = {"reference": "Patient/p1"}, {"reference": "Patient/p2"}


def a_world(*resources: dict[str, Any]) -> World:
    """Return an EHR with one order, a Task that asks us to do it, and these."""
    world = World()
    asking = a_task(owner={"reference": "Organization/desk"})
    for resource in (patient(), patient("p2"), order(), asking, *resources):
        world.ehr.put(resource)
    world.sync()
    return world


def written(world: World, *evidence: str) -> dict[str, str]:
    """Close the case with this evidence; return how it stands in our Task and, the same, in the one that asked."""
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen", evidence=evidence))
    world.sync()
    ours, asked = world.task(ROOT)["output"][1:], world.ehr.get("Task/t1")["output"][1:]
    assert ours == asked
    world.sync()
    world.sync()
    assert world.writes == []
    return {
        one.get("valueString") or one["valueReference"]["reference"]: next(key for key in one if key != "type")
        for one in ours
    }


@pytest.mark.parametrize(
    ("resource", "how"),
    [
        ({"resourceType": "Encounter", "subject": OURS}, "valueReference"),
        ({"resourceType": "Encounter", "subject": {"reference": f"{BASE}/Patient/p1"}}, "valueReference"),
        ({"resourceType": "Device", "patient": OURS}, "valueReference"),
        ({"resourceType": "Encounter", "subject": THEIRS}, "valueString"),
        ({"resourceType": "Encounter", "subject": OURS, "patient": THEIRS}, "valueString"),
        ({"resourceType": "Encounter", "subject": {"display": "Pat"}}, "valueString"),
        ({"resourceType": "Organization", "name": "Clinic"}, "valueString"),
    ],
)
def test_evidence_is_a_reference_only_where_it_names_the_patient(resource: dict[str, Any], how: str) -> None:
    world = a_world({**resource, "id": "e9"})
    ref = f"{resource['resourceType']}/e9"

    assert written(world, ref) == {ref: how}


def test_what_is_not_there_is_words_and_so_is_what_names_nothing() -> None:
    world = a_world()

    assert written(world, "Encounter/nope", "a letter") == {"Encounter/nope": "valueString", "a letter": "valueString"}


def test_a_visit_proves_by_the_patient_among_its_participants() -> None:
    world = a_world(visit())

    assert written(world, "Appointment/v1") == {"Appointment/v1": "valueReference"}


def test_a_visit_that_became_somebody_elses_is_referred_to_no_longer() -> None:
    world = a_world(visit())
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen", evidence=("Appointment/v1",)))
    world.ehr.put(visit(participant=[{"actor": THEIRS, "status": "accepted"}]))

    world.bridge.deliver()

    assert world.task(ROOT)["output"][1]["valueString"] == "Appointment/v1"


def test_the_ehrs_own_evidence_is_checked_too() -> None:
    """What the order's own end names was read as part of the case, but may point anywhere."""
    world = a_world({"resourceType": "DocumentReference", "id": "r1", "subject": THEIRS})
    done = a_task(
        status="completed",
        owner={"reference": "Organization/elsewhere"},
        output=[{"type": {"text": "Report"}, "valueReference": {"reference": "DocumentReference/r1"}}],
    )
    world.ehr.put(done)

    world.sync()

    proof = world.task(ROOT)["output"][1:]
    assert [one.get("valueReference", {}).get("reference") for one in proof] == ["Task/t1", None]
    assert proof[1]["valueString"] == "DocumentReference/r1"


def test_an_ehr_that_cannot_answer_now_is_asked_again_before_anything_is_written() -> None:
    world = a_world({"resourceType": "Encounter", "id": "e9", "subject": OURS})
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen", evidence=("Encounter/e9",)))
    world.ehr.add_fault("throttle=1")
    with pytest.raises(Exception, match="429"):
        world.bridge.deliver()
    world.ehr.remove_fault("throttle")

    world.sync(minutes=60)

    assert world.task(ROOT)["output"][1]["valueReference"]["reference"] == "Encounter/e9"
