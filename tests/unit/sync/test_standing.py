"""Our own Tasks on the EHR: what others delete is written again, once; what they end stays, and is shown."""

from __future__ import annotations

import pytest

from bridge.cases.commands import Close, RaiseBlocker
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.terms import BlockerCategory, ClosureReason
from bridge.sync.standing import MANY
from tests.unit.sync.world import World, order, patient

ROOT = "ServiceRequest/o1"
OWN_SYSTEM = "urn:bridge:case"


def world_with_task(count: int = 1, *, own_ids: bool = True) -> World:
    """Return a world in which the Tasks of *count* referrals stand on the EHR, under ids of ours or of its own."""
    world = World()
    world.ehr.put(patient())
    for number in range(1, count + 1):
        world.ehr.put(order(f"o{number}"))
    world.ehr.ehr.options.update_as_create = own_ids
    world.sync()
    assert len(world.ours("Task", OWN_SYSTEM)) == count
    return world


def delete(world: World, ref: str) -> None:
    """Delete a resource as somebody else does."""
    world.clinic.delete(ref).raise_for_status()


def task_states(world: World) -> list[IntentState]:
    """Return how the intents about coordination Tasks ended, in their order."""
    return [row.state for row in world.outbox() if row.intent.kind is IntentKind.COORDINATION_TASK]


@pytest.mark.parametrize("own_ids", [True, False])
def test_a_deleted_task_is_written_again_once(own_ids: bool) -> None:
    world = world_with_task(own_ids=own_ids)
    before = world.task(ROOT)
    delete(world, f"Task/{before['id']}")

    report = world.sync()

    assert report.sweep.lost == 1
    after = world.task(ROOT)
    assert {key: after[key] for key in ("identifier", "status", "focus", "for")} == {
        key: before[key] for key in ("identifier", "status", "focus", "for")
    }
    again = world.sync()
    assert (again.sweep.lost, world.writes) == (0, [])


def test_a_task_deleted_twice_is_written_twice() -> None:
    world = world_with_task()
    for _ in range(2):
        delete(world, f"Task/{world.task(ROOT)['id']}")
        assert world.sync().sweep.lost == 1
    assert world.task(ROOT)["status"] == "ready"
    assert task_states(world).count(IntentState.CONFIRMED) == 3


@pytest.mark.parametrize("status", ["cancelled", "completed", "entered-in-error"])
def test_a_task_ended_by_somebody_else_is_left_so_and_shown(status: str) -> None:
    world = world_with_task()
    world.ehr.put({**world.task(ROOT), "status": status})

    report = world.sync()

    assert (report.sweep.lost, world.writes) == (1, [])
    row = world.outbox()[-1]
    assert (row.state, row.code) == (IntentState.NOT_WRITABLE, "ended-in-ehr")
    assert (world.sync().sweep.lost, world.writes) == (0, [])


def test_a_task_changed_otherwise_is_left_to_the_next_change() -> None:
    world = world_with_task()
    world.ehr.put({**world.task(ROOT), "description": "seen by the front desk"})

    assert (world.sync().sweep.lost, world.writes) == (0, [])


def test_the_task_of_a_closed_case_is_not_looked_for() -> None:
    world = world_with_task()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED))
    world.sync()
    delete(world, f"Task/{world.task(ROOT)['id']}")

    assert (world.sync().sweep.lost, world.writes) == (0, [])


def test_when_all_of_many_are_deleted_the_server_is_believed() -> None:
    world = world_with_task(MANY)
    for task in world.ours("Task", OWN_SYSTEM):
        delete(world, f"Task/{task['id']}")

    assert world.sync().sweep.lost == MANY
    assert len(world.ours("Task", OWN_SYSTEM)) == MANY


def test_when_all_of_many_are_not_found_the_server_is_not_believed() -> None:
    """Who may no longer read Tasks gets 404 for each; conditional creates would find nothing either."""
    world = world_with_task(MANY)
    world.unfound = {f"Task/{task['id']}" for task in world.ours("Task", OWN_SYSTEM)}

    world.clock.advance(minutes=10)
    world.requests.clear()
    report = world.bridge.sync_once()

    assert (report.sweep.lost, world.writes) == (0, [])
    assert any("none of our Tasks is there" in problem for problem in report.problems)


def test_a_task_that_the_ehr_closes_to_us_is_not_taken_for_lost_and_hides_no_other() -> None:
    world = world_with_task(3)
    closed, deleted = (world.task(f"ServiceRequest/o{number}")["id"] for number in (1, 2))
    world.forbidden.add(f"Task/{closed}")
    delete(world, f"Task/{deleted}")

    assert world.bridge.compare().lost == 1


def parked(world: World) -> list[str | None]:
    return [row.code for row in world.outbox() if row.state is IntentState.PARKED]


def test_what_was_given_up_while_the_order_was_deleted_is_written_once_it_is_back() -> None:
    """Deleted and brought back between two polls, it changes nothing else of its case."""
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    delete(world, ROOT)
    world.bridge.deliver()
    assert parked(world) == ["root-missing"]
    world.ehr.put(order())

    world.sync()

    assert (parked(world), world.task(ROOT)["status"]) == ([], "ready")


def test_what_was_given_up_while_the_order_named_another_patient_is_written_once_it_does_not() -> None:
    world = world_with_task()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    world.ehr.put(order(subject={"reference": "Patient/other"}))
    world.bridge.deliver()
    assert parked(world) == ["patient-mismatch"]
    world.ehr.put(order())

    world.sync()

    assert (parked(world), world.task(ROOT)["for"]["reference"]) == ([], "Patient/p1")
    assert world.task(ROOT)["status"] == "on-hold"


def test_while_the_order_is_deleted_nothing_is_tried_again() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.bridge.read()
    delete(world, ROOT)
    world.bridge.deliver()

    world.sync()

    assert world.ours("Task", OWN_SYSTEM) == []
    assert set(task_states(world)) <= {IntentState.SUPERSEDED, IntentState.PARKED}
