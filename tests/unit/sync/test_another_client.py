"""What another client does to the resources under a case: changed, deleted, voided, linked anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.cases.commands import LogOutreach, Note
from bridge.cases.model import Case
from bridge.cases.terms import AttemptOutcome, Channel, Status
from bridge.store.queries import CaseFilter
from tests.unit.sync.world import World, a_task, order, patient, visit

FIRST, SECOND, TASK = "ServiceRequest/o1", "ServiceRequest/o2", "Task/t1"


def cases(world: World) -> dict[str, Case]:
    """Return the cases that are not merged away, by root."""
    with world.store.reading() as tx:
        return {case.root: case for case in tx.list_cases(CaseFilter(), limit=100).cases}


def ours(world: World) -> dict[str, list[str]]:
    """Return the status of our coordination Tasks on the EHR, by what they are about."""
    found: dict[str, list[str]] = {}
    for task in world.ours("Task", "urn:bridge:case"):
        found.setdefault(task["focus"]["reference"], []).append(task["status"])
    return found


def settled(world: World) -> None:
    """Run a round, and check that another one writes nothing and finds nothing to do."""
    world.sync()
    world.sync()
    assert world.writes == []
    for case in cases(world).values():
        assert case.is_open == (case.next_action is not None) == (case.due_at is not None)
    assert set(ours(world)) >= set(cases(world))
    assert all(len(statuses) == 1 for statuses in ours(world).values())


def a_world(*resources: dict[str, Any]) -> World:
    """Return an EHR with these, all of it known and told."""
    world = World()
    for resource in (patient(), patient("p2"), *resources):
        world.ehr.put(resource)
    settled(world)
    return world


def test_a_task_linked_to_an_order_takes_its_case_and_what_was_done_along() -> None:
    world = a_world(a_task(focus=None), order())
    assert set(cases(world)) == {FIRST, TASK}
    world.act(TASK, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.act(TASK, Note(text="prefers mornings"))

    world.ehr.put(a_task())
    settled(world)

    assert set(cases(world)) == {FIRST}
    heir = world.case(FIRST)
    assert [attempt.id for attempt in heir.outreach] == ["attempt-1"]
    assert [note.text for note in heir.notes] == ["prefers mornings"]
    assert ours(world)[TASK] == ["entered-in-error"]


def test_a_task_moved_to_another_order_and_back_leaves_no_second_task_of_ours() -> None:
    world = a_world(order(), order("o2"), a_task(status="in-progress"))
    assert (world.case(FIRST).status, world.case(SECOND).status) == (Status.SCHEDULED, Status.NEW)

    world.ehr.put(a_task(status="in-progress", focus={"reference": SECOND}))
    settled(world)
    assert (world.case(FIRST).status, world.case(SECOND).status) == (Status.NEW, Status.SCHEDULED)

    world.ehr.put(a_task(status="in-progress"))
    settled(world)
    assert (world.case(FIRST).status, world.case(SECOND).status) == (Status.SCHEDULED, Status.NEW)


def test_a_task_split_off_and_joined_again_is_told_as_often() -> None:
    world = a_world(order(), a_task())

    world.ehr.put(a_task(focus=None))
    settled(world)
    assert set(cases(world)) == {FIRST, TASK}

    world.ehr.put(a_task())
    settled(world)
    assert set(cases(world)) == {FIRST}

    world.ehr.put(a_task(focus=None))
    world.sync()
    assert set(cases(world)) == {FIRST, TASK}
    assert world.case(TASK).is_open


@pytest.mark.parametrize(
    ("move", "status"),
    [
        (lambda world: world.ehr.put(order(status="entered-in-error")), Status.CLOSED),
        (lambda world: world.ehr.put(order(status="revoked")), Status.SCHEDULED),
        (lambda world: world.ehr.put(order(status="completed")), Status.CLOSED),
        (lambda world: world.ehr.put(order(status="on-hold")), Status.WAITING_ON_PROVIDER),
        (lambda world: world.clinic.delete("/ServiceRequest/o1"), Status.CLOSED),
        (lambda world: world.ehr.put(visit(status="noshow")), Status.NEEDS_OUTREACH),
        (lambda world: world.clinic.delete("/Appointment/v1"), Status.NEW),
        (lambda world: world.ehr.put(visit(status="entered-in-error")), Status.NEW),
    ],
    ids=["void", "revoked", "completed", "held", "deleted", "missed", "visit deleted", "visit void"],
)
def test_the_case_follows_and_is_told_once(move: Callable[[World], object], status: Status) -> None:
    world = a_world(order(), visit())
    assert world.case(FIRST).status is Status.SCHEDULED

    move(world)
    settled(world)

    assert world.case(FIRST).status is status


def test_an_order_that_turns_out_to_be_another_patients_is_not_told_of_under_the_first() -> None:
    """Never the wrong patient: what was written about the first one stays with the first one."""
    world = a_world(order(), a_task())

    world.ehr.put(a_task() | {"for": {"reference": "Patient/p2"}})
    settled(world)

    assert set(cases(world)) == {FIRST, TASK}
    told = {task["focus"]["reference"]: task["for"]["reference"] for task in world.ours("Task", "urn:bridge:case")}
    assert told == {FIRST: "Patient/p1", TASK: "Patient/p2"}
