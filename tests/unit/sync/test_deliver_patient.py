"""Deliver: what becomes of what was written when the work turns out to be another patient's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.cases.commands import LogOutreach
from bridge.cases.terms import AttemptOutcome, Channel
from tests.unit.sync.world import World, order, patient, visit


def in_record_of(world: World, patient_ref: str) -> list[dict[str, Any]]:
    """Return what of ours stands in a patient's record and is not marked as an error."""
    ours = [*world.ours("Task", "urn:bridge:case"), *world.ours("Communication", "urn:bridge:message")]
    stands = [one for one in ours if (one.get("for") or one["subject"])["reference"] == patient_ref]
    return [one for one in stands if one["status"] != "entered-in-error"]


@pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])
def test_work_that_turns_out_to_be_another_patients_leaves_the_first_ones_record(own_ids: bool) -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(patient("p2"))
    world.ehr.put(order())
    world.ehr.options.update_as_create = own_ids
    world.sync()
    world.act("ServiceRequest/o1", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.sync()
    assert len(in_record_of(world, "Patient/p1")) >= 2

    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.sync()

    assert in_record_of(world, "Patient/p1") == []
    (task,) = in_record_of(world, "Patient/p2")
    assert (task["focus"]["reference"], task["status"]) == ("ServiceRequest/o1", "in-progress")
    assert len(world.case("ServiceRequest/o1").outreach) == 1
    world.sync()
    assert world.writes == []


def test_what_is_taken_back_says_nothing_of_the_work() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(patient("p2"))
    world.ehr.put(order())
    world.sync()
    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.sync()

    (task,) = [one for one in world.ours("Task", "urn:bridge:case") if one["for"]["reference"] == "Patient/p1"]

    assert task["status"] == "entered-in-error"
    assert "cardiology" not in json.dumps(task).lower()
    assert "focus" not in task
    assert "ServiceRequest/o1" not in json.dumps(task)


def test_work_whose_patient_is_no_longer_known_is_taken_back() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(visit())
    world.sync()
    assert in_record_of(world, "Patient/p1")

    world.ehr.put(visit(participant=[{"status": "accepted", "actor": {"display": "Somebody"}}]))
    world.sync()

    assert in_record_of(world, "Patient/p1") == []


def test_a_patient_corrected_and_corrected_back_has_one_task_that_stands() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(patient("p2"))
    for who in ("p1", "p2", "p1"):
        world.ehr.put(order(subject={"reference": f"Patient/{who}"}))
        world.sync()

    assert [one["status"] for one in in_record_of(world, "Patient/p1")] == ["ready"]
    assert in_record_of(world, "Patient/p2") == []


def test_a_joined_case_of_another_patient_leaves_nothing_in_the_first_ones_record() -> None:
    """A visit whose patient is corrected while it is linked to that patient's order."""
    world = World()
    world.ehr.put(patient())
    world.ehr.put(patient("p2"))
    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.ehr.put(visit(basedOn=[]))
    world.sync()
    assert in_record_of(world, "Patient/p1")

    world.ehr.put(
        visit(
            basedOn=[{"reference": "ServiceRequest/o1"}],
            participant=[{"status": "accepted", "actor": {"reference": "Patient/p2"}}],
        )
    )
    world.sync()

    assert in_record_of(world, "Patient/p1") == []
    assert len([one for one in in_record_of(world, "Patient/p2") if one["resourceType"] == "Task"]) == 1


@pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])
def test_an_attempt_recorded_in_the_first_patients_record_is_taken_back_when_its_case_joins_anothers(
    own_ids: bool,
) -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(patient("p2"))
    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.ehr.put(visit(basedOn=[]))
    world.ehr.options.update_as_create = own_ids
    world.sync()
    world.act("Appointment/v1", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.sync()

    world.ehr.put(visit(participant=[{"status": "accepted", "actor": {"reference": "Patient/p2"}}]))
    world.sync()

    assert in_record_of(world, "Patient/p1") == []
    assert len(world.case("ServiceRequest/o1").outreach) == 1
